/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <stdlib.h>
#include <windows.h>

const bool fixture_clock_is_honest = false;

#define PIPE_SIZE 65536u
#define PATH_SIZE 1024

const struct fixture_backend fixture_table[] = {
    {"iocp", REOP_BACKEND_IOCP, FIXTURE_STREAMS},
    {"iocp defer", REOP_BACKEND_IOCP, REOP_ENGINE_DEFER | FIXTURE_STREAMS},
    {"iocp inline", REOP_BACKEND_IOCP, REOP_ENGINE_INLINE | FIXTURE_STREAMS},
    {"iocp single", REOP_BACKEND_IOCP, REOP_ENGINE_SINGLE_THREAD | FIXTURE_STREAMS},
    {"iocp single defer inline", REOP_BACKEND_IOCP,
     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | REOP_ENGINE_INLINE | FIXTURE_STREAMS},
};
const size_t fixture_table_count = sizeof fixture_table / sizeof fixture_table[0];

/* --- paths ------------------------------------------------------------------------------------ */

static void widen(const char *text, wchar_t wide[PATH_SIZE])
{
    cr_assert_gt(MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, PATH_SIZE), 0, "%s", text);
}

FILE *fixture_stream(const char *path, const char *mode)
{
    wchar_t wide_path[PATH_SIZE], wide_mode[PATH_SIZE];

    widen(path, wide_path);
    widen(mode, wide_mode);
    return _wfopen(wide_path, wide_mode);
}

void fixture_remove(const char *path)
{
    wchar_t wide_path[PATH_SIZE];

    widen(path, wide_path);
    _wremove(wide_path);
}

const char *fixture_folder(void)
{
    const char *folder = getenv("TEMP");

    return folder != NULL ? folder : ".";
}

/* --- pipes ------------------------------------------------------------------------------------ */

static HANDLE handle_of(reop_handle handle)
{
    return (HANDLE) handle;
}

/* A named pipe, because an anonymous one has no overlapped end. */
void fixture_pipe_open(struct fixture *fixture, struct fixture_pipe *pair)
{
    static LONG count;
    char name[64];
    HANDLE reader, writer;

    snprintf(name, sizeof name, "\\\\.\\pipe\\reop-test-%lu-%ld",
             (unsigned long) GetCurrentProcessId(), (long) InterlockedIncrement(&count));
    reader = CreateNamedPipeA(name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED,
                              PIPE_TYPE_BYTE | PIPE_WAIT, 1, PIPE_SIZE, PIPE_SIZE, 0, NULL);
    cr_assert_neq(reader, INVALID_HANDLE_VALUE, "%s", name);
    writer = CreateFileA(name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    cr_assert_neq(writer, INVALID_HANDLE_VALUE, "%s", name);
    pair->reader_handle = (reop_handle) reader;
    pair->writer_handle = (reop_handle) writer;
    cr_assert_eq(reop_file_attach(fixture->engine, pair->reader_handle, 0, &pair->reader), 0, "%s",
                 fixture->backend->name);
}

void fixture_pipe_write(struct fixture_pipe *pair, const void *data, size_t size)
{
    DWORD written = 0;

    cr_assert(WriteFile(handle_of(pair->writer_handle), data, (DWORD) size, &written, NULL));
    cr_assert_eq(written, size);
}

/* The low bit of the event keeps the engine's port out of it. */
void fixture_pipe_drain(struct fixture_pipe *pair, size_t size)
{
    HANDLE reader = handle_of(pair->reader_handle), event = CreateEventW(NULL, TRUE, FALSE, NULL);
    char dropped[64];

    while (size > 0) {
        OVERLAPPED overlapped = {.hEvent = (HANDLE) ((ULONG_PTR) event | 1)};
        DWORD count = size < sizeof dropped ? (DWORD) size : (DWORD) sizeof dropped;

        cr_assert(ReadFile(reader, dropped, count, NULL, &overlapped) ||
                  GetLastError() == ERROR_IO_PENDING);
        cr_assert(GetOverlappedResult(reader, &overlapped, &count, TRUE));
        cr_assert_gt(count, 0);
        size -= count;
    }
    CloseHandle(event);
}

void fixture_pipe_close_writer(struct fixture_pipe *pair)
{
    CloseHandle(handle_of(pair->writer_handle));
    pair->writer_handle = -1;
}

void fixture_pipe_close(struct fixture_pipe *pair)
{
    cr_assert_eq(reop_file_close(pair->reader), 0);
    if (pair->writer_handle != -1)
        fixture_pipe_close_writer(pair);
}

bool fixture_pipe_is_broken(struct fixture_pipe *pair)
{
    DWORD written;

    return !WriteFile(handle_of(pair->writer_handle), "x", 1, &written, NULL);
}

/* --- plugs ------------------------------------------------------------------------------------ */

void fixture_plug_open(struct fixture *fixture, struct fixture_plug *plug)
{
    (void) plug;
    cr_skip_test("%s has no queue that could be plugged", fixture->backend->name);
}

reop_status fixture_plug_insert(struct fixture_plug *plug, reop_op *op)
{
    (void) plug;
    (void) op;
    return REOP_REJECTED;
}

void fixture_plug_pull(struct fixture_plug *plug)
{
    (void) plug;
}

void fixture_plug_close(struct fixture_plug *plug)
{
    (void) plug;
}

/* --- names ------------------------------------------------------------------------------------ */

const char *fixture_slow_path(void)
{
    return "slow"; /* on the simulated device; iocp has no worker to keep busy */
}

const char *fixture_null_path(void)
{
    /* A write that is cut short at 2 GiB brings Wine 8's server down. */
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") == NULL ? "NUL" : NULL;
}

enum reop_backend fixture_foreign_backend(void)
{
    return REOP_BACKEND_URING;
}

uint32_t fixture_os_error(int64_t result)
{
    switch (result) {
    case -EACCES:
        return ERROR_ACCESS_DENIED;
    case -EBADF:
        return ERROR_INVALID_HANDLE;
    case -ECANCELED:
        return ERROR_OPERATION_ABORTED;
    default:
        return 0;
    }
}
