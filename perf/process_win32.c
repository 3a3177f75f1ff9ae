/* SPDX-License-Identifier: MIT
 *
 * The memory is a section whose handle the child inherits, by its number in an environment variable
 * and so without a word on the command line.
 */
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include <psapi.h>

#define VARIABLE L"REOP_SOAK_SHARED"
#define LINE_MAX 32768

static HANDLE section, parent;

void *process_share(size_t size)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};

    section = CreateFileMappingW(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE,
                                 (DWORD) ((uint64_t) size >> 32), (DWORD) size, NULL);
    return section == NULL ? NULL : MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, size);
}

void *process_shared(size_t size)
{
    unsigned long long handle, id;
    wchar_t text[64];

    if (GetEnvironmentVariableW(VARIABLE, text, 64) == 0 ||
        swscanf(text, L"%llu,%llu", &handle, &id) != 2)
        return NULL;
    SetConsoleCtrlHandler(NULL, TRUE); /* the parent hears of Ctrl-C, and tells us */
    parent = OpenProcess(SYNCHRONIZE, FALSE, (DWORD) id);
    return MapViewOfFile((HANDLE) (uintptr_t) handle, FILE_MAP_ALL_ACCESS, 0, 0, size);
}

int process_start(struct process *process, int (*child)(void *context), void *context)
{
    static wchar_t path[LINE_MAX], line[LINE_MAX];
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION started;
    wchar_t text[64];

    (void) child;
    (void) context;
    swprintf(text, 64, L"%llu,%lu", (unsigned long long) (uintptr_t) section,
             (unsigned long) GetCurrentProcessId());
    SetEnvironmentVariableW(VARIABLE, text);
    GetModuleFileNameW(NULL, path, LINE_MAX);
    wcsncpy(line, GetCommandLineW(), LINE_MAX - 1);
    if (!CreateProcessW(path, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &started))
        return -EAGAIN;
    SetEnvironmentVariableW(VARIABLE, NULL);
    CloseHandle(started.hThread);
    *process = (struct process){.id = (intptr_t) started.hProcess, .number = started.dwProcessId};
    return 0;
}

static void conclude(struct process *process, int status)
{
    process->over = true;
    process->status = status;
    CloseHandle((HANDLE) process->id);
}

void process_look(struct process *process)
{
    DWORD code = 0;

    if (process->over || WaitForSingleObject((HANDLE) process->id, 0) != WAIT_OBJECT_0)
        return;
    GetExitCodeProcess((HANDLE) process->id, &code);
    conclude(process, (int) (code & 0x7fffffff));
}

void process_kill(struct process *process)
{
    if (process->over)
        return;
    TerminateProcess((HANDLE) process->id, 1);
    WaitForSingleObject((HANDLE) process->id, INFINITE);
    conclude(process, -1);
}

bool process_orphaned(void)
{
    return parent != NULL && WaitForSingleObject(parent, 0) == WAIT_OBJECT_0;
}

/* Threads and mappings are not counted: to ask for them allocates. */
void process_usage(struct process_usage *usage_out)
{
    PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof memory};
    DWORD handles = 0;

    *usage_out = (struct process_usage){-1, -1, -1, -1};
    if (K32GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof memory))
        usage_out->resident_kib = (int64_t) (memory.WorkingSetSize / 1024);
    /* Wine says 0: nobody has none. */
    if (GetProcessHandleCount(GetCurrentProcess(), &handles) && handles > 0)
        usage_out->descriptors = handles;
}
