/* SPDX-License-Identifier: MIT
 *
 * There is no fork() here: the runner starts itself again and names the test by its number.
 */
#include "runner.h"

#include <signal.h>
#include <windows.h>

/* What abort() and a crash leave behind. */
#define ABORT_EXIT_CODE 3u
#define CRASH_EXIT_CODE 0xC0000000u

void runner_quiet(void)
{
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
}

double runner_now(void)
{
    return 1e-3 * (double) GetTickCount64();
}

void runner_quit(int exit_code)
{
    fflush(NULL);
    _exit(exit_code);
}

/* On a busy machine Wine fails to start a process now and then, with ERROR_INTERNAL_ERROR. */
#define START_TRIES 5

static bool start(size_t number, size_t parameter, PROCESS_INFORMATION *process_out)
{
    STARTUPINFOW startup = {.cb = sizeof startup};
    wchar_t path[4096], line[4224];
    DWORD length = GetModuleFileNameW(NULL, path, sizeof path / sizeof path[0]);

    if (length == 0 || length >= sizeof path / sizeof path[0])
        return false;
    swprintf(line, sizeof line / sizeof line[0], L"\"%ls\" --child %llu %llu", path,
             (unsigned long long) number, (unsigned long long) parameter);
    for (int i = 0; i < START_TRIES; i++) {
        if (CreateProcessW(path, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, process_out))
            return true;
        fprintf(stderr, "CreateProcess: error %lu\n", (unsigned long) GetLastError());
        Sleep(100);
    }
    return false;
}

struct runner_end runner_process(const struct runner_test *test, size_t number, size_t parameter,
                                 double timeout)
{
    DWORD timeout_ms = timeout > 0 ? (DWORD) (timeout * 1000) : INFINITE;
    PROCESS_INFORMATION process;
    struct runner_end end = {.exit_code = RUNNER_FAILED};
    DWORD code;

    fflush(NULL);
    if (!start(number, parameter, &process))
        return end;
    if (WaitForSingleObject(process.hProcess, timeout_ms) == WAIT_TIMEOUT) {
        TerminateProcess(process.hProcess, RUNNER_FAILED);
        WaitForSingleObject(process.hProcess, INFINITE);
        end.timed_out = true;
    } else if (GetExitCodeProcess(process.hProcess, &code)) {
        end.exit_code = (int) code;
        if (code == ABORT_EXIT_CODE && test->options->exit_code != (int) ABORT_EXIT_CODE)
            end.signal = SIGABRT;
        else if (code >= CRASH_EXIT_CODE)
            end.signal = SIGSEGV;
    }
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return end;
}
