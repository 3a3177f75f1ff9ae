/* SPDX-License-Identifier: MIT
 *
 * Nothing here can copy a process. The test is started again with the number of the wanted misuse
 * in its environment; there that call does the deed, and the ones before it do nothing.
 */
#include "misuse.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define NUMBER_NAME     "REOP_TEST_MISUSE"
#define ABORT_EXIT_CODE 3u
#define LIMIT_MS        20000u

static unsigned call_count;

static bool start(HANDLE to_parent, unsigned number, PROCESS_INFORMATION *process_out)
{
    STARTUPINFOW startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
    wchar_t line[4096];
    char text[16];
    bool started;

    if (wcslen(GetCommandLineW()) >= sizeof line / sizeof line[0])
        return false;
    wcscpy(line, GetCommandLineW());
    startup.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    startup.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    startup.hStdError = to_parent;
    snprintf(text, sizeof text, "%u", number);
    SetEnvironmentVariableA(NUMBER_NAME, text);
    started = CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, process_out);
    SetEnvironmentVariableA(NUMBER_NAME, NULL);
    return started;
}

static void read_all(HANDLE from_child, char *text, DWORD size)
{
    DWORD length = 0, count;

    while (length < size && ReadFile(from_child, text + length, size - length, &count, NULL))
        length += count;
}

static unsigned number_wanted(void)
{
    char text[16];
    DWORD length = GetEnvironmentVariableA(NUMBER_NAME, text, sizeof text);

    return length > 0 && length < sizeof text ? (unsigned) strtoul(text, NULL, 10) : 0;
}

void misuse_expect_abort(void (*misuse)(void *argument), void *argument, const char *words)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    PROCESS_INFORMATION process;
    char text[4096] = "";
    HANDLE from_child, to_parent;
    DWORD code = 0;

    call_count++;
    if (number_wanted() == call_count) {
        misuse(argument);
        _exit(0);
    }
    if (number_wanted() != 0)
        return;
    cr_assert(CreatePipe(&from_child, &to_parent, &inherited, 0));
    cr_assert(start(to_parent, call_count, &process));
    CloseHandle(to_parent);
    read_all(from_child, text, sizeof text - 1);
    CloseHandle(from_child);
    if (WaitForSingleObject(process.hProcess, LIMIT_MS) == WAIT_TIMEOUT)
        TerminateProcess(process.hProcess, 1);
    cr_assert(GetExitCodeProcess(process.hProcess, &code));
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    cr_assert_eq(code, ABORT_EXIT_CODE, "exit code %lu, saying: %s", (unsigned long) code, text);
    cr_assert_not_null(strstr(text, words), "wanted '%s' in: %s", words, text);
}
