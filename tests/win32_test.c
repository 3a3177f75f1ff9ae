/* SPDX-License-Identifier: MIT
 *
 * What only Windows has: the native hatch row by row, with the calls it was made for; message
 * pipes, sockets, sharing, long paths, scattered pages. Named pipes and sockets answer at once or
 * later as the test wishes, under Wine too.
 */
#include <winsock2.h> /* before any <windows.h> */

#include "fixture.h"

#include "error.h"

#include <reop/win32.h>

#include <winioctl.h>

#ifndef FSCTL_PIPE_PEEK
#define FSCTL_PIPE_PEEK CTL_CODE(FILE_DEVICE_NAMED_PIPE, 3, METHOD_BUFFERED, FILE_READ_DATA)
#endif

/* Of named pipes, that nobody has given a meaning to. */
#define UNKNOWN_CODE CTL_CODE(FILE_DEVICE_NAMED_PIPE, 0x7ff, METHOD_BUFFERED, FILE_ANY_ACCESS)

static reop_file *attach(struct fixture *fixture, HANDLE handle, uint32_t flags)
{
    reop_file *file = NULL;
    int error = reop_file_attach(fixture->engine, (reop_handle) handle, flags, &file);

    cr_assert_eq(error, 0, "%s: attach answered %d", fixture->backend->name, error);
    return file;
}

/* A pipe's server end, overlapped; and the name to open the other end by. */
static HANDLE make_server(char name[64], DWORD mode)
{
    static LONG count;
    HANDLE server;

    snprintf(name, 64, "\\\\.\\pipe\\reop-win32-%lu-%ld", (unsigned long) GetCurrentProcessId(),
             (long) InterlockedIncrement(&count));
    server = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, mode, 1, 4096, 4096,
                              0, NULL);
    cr_assert_neq(server, INVALID_HANDLE_VALUE, "%s", name);
    return server;
}

static HANDLE make_client(const char *name, DWORD flags)
{
    HANDLE client =
        CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, flags, NULL);

    cr_assert_neq(client, INVALID_HANDLE_VALUE, "%s: %lu", name, (unsigned long) GetLastError());
    return client;
}

static void send_bytes(HANDLE client, const void *data, DWORD size)
{
    DWORD written = 0;

    cr_assert(WriteFile(client, data, size, &written, NULL));
    cr_assert_eq(written, size);
}

static bool is_inline(const struct fixture *fixture)
{
    return (fixture->backend->traits & REOP_ENGINE_INLINE) != 0;
}

/* The call is over, and no packet comes: DONE where the engine may say so. */
static void expect_answered(struct fixture *fixture, reop_op *op, reop_status status)
{
    reop_op *again = NULL;

    cr_assert_eq(status, is_inline(fixture) ? REOP_DONE : REOP_PENDING, "%s",
                 fixture->backend->name);
    fixture_finish(fixture, op, status);
    cr_assert_eq(reop_reap(fixture->engine, &again, 1, 5 * FIXTURE_MS), 0, "%s: twice",
                 fixture->backend->name);
}

/* --- the native hatch ------------------------------------------------------------------------- */

static reop_status connect_pipe(reop_op *op, reop_file *file, HANDLE server)
{
    reop_call call;
    reop_status status = reop_call_begin(&call, op, file, 0);
    DWORD error;

    if (status != REOP_PENDING)
        return status;
    error = ConnectNamedPipe(server, call.overlapped) ? ERROR_SUCCESS : GetLastError();
    return reop_call_commit(&call, error, 0);
}

/* Promise: "ERROR_IO_PENDING: comes: PENDING", and "ERROR_PIPE_CONNECTED: none: answered now: 0,
 * and os_error", by ConnectNamedPipe before and after its client; and a cancel of it. */
BACKEND_TEST(win32, connect_named_pipe, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_op *op, *again = NULL;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 9; i++) {
        char name[64];
        HANDLE server = make_server(name, PIPE_TYPE_BYTE), client = INVALID_HANDLE_VALUE;
        reop_file *file = attach(&fixture, server, i % 2 ? REOP_FILE_PACKETS : 0);
        uint64_t use = reop_op_use(op);
        reop_status status;

        if (i % 3 == 1)
            client = make_client(name, 0);
        status = connect_pipe(op, file, server);
        if (i % 3 == 1) {
            expect_answered(&fixture, op, status);
            cr_assert_eq(op->os_error, ERROR_PIPE_CONNECTED, "%s: %u", backend->name, op->os_error);
            cr_assert_eq(op->result, 0, "%s", backend->name);
        } else {
            cr_assert_eq(status, REOP_PENDING, "%s", backend->name);
            cr_assert_eq(reop_reap(fixture.engine, &again, 1, 5 * FIXTURE_MS), 0, "%s",
                         backend->name);
            if (i % 3 == 0)
                client = make_client(name, 0);
            else
                cr_assert_eq(reop_cancel(op, use), 0, "%s", backend->name);
            cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
            cr_assert_eq(op->result, i % 3 == 0 ? 0 : -ECANCELED, "%s: %lld", backend->name,
                         (long long) op->result);
        }
        cr_assert_eq(op->kind, REOP_KIND_NATIVE, "%s", backend->name);
        cr_assert_eq(reop_op_use(op), use + 1, "%s", backend->name);
        if (client != INVALID_HANDLE_VALUE)
            CloseHandle(client);
        fixture_close_file(file);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

static reop_status control(reop_op *op, reop_file *file, HANDLE handle, DWORD code, void *out,
                           DWORD out_size)
{
    reop_call call;
    reop_status status = reop_call_begin(&call, op, file, 0);
    DWORD error = ERROR_SUCCESS, bytes = 0;

    if (status != REOP_PENDING)
        return status;
    if (!DeviceIoControl(handle, code, NULL, 0, out, out_size, &bytes, call.overlapped))
        error = GetLastError();
    return reop_call_commit(&call, error, bytes);
}

/* Promise: "success: none, granted: answered now: bytes"; "anything else: none: answered now:
 * -errno"; by DeviceIoControl: looking into a pipe, and a code that nobody knows. */
BACKEND_TEST(win32, device_io_control, ON_HOST_FILES)
{
    struct {
        ULONG state, available, messages, message_size;
        char data[8];
    } peeked;
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    HANDLE server, client;
    char name[64];

    fixture_open(&fixture, backend);
    server = make_server(name, PIPE_TYPE_BYTE);
    client = make_client(name, 0);
    file = attach(&fixture, server, 0);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        send_bytes(client, "x", 1);
        memset(&peeked, 0, sizeof peeked);
        fixture_finish(&fixture, op,
                       control(op, file, server, FSCTL_PIPE_PEEK, &peeked, sizeof peeked));
        cr_assert_eq(op->result, 17 + i, "%s: %lld, %u", backend->name, (long long) op->result,
                     op->os_error);
        cr_assert_eq(peeked.available, 1 + i, "%s", backend->name);
        expect_answered(&fixture, op, control(op, file, server, UNKNOWN_CODE, NULL, 0));
        cr_assert_lt(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_neq(op->os_error, 0, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    CloseHandle(client);
    fixture_close(&fixture);
}

static reop_status watch(reop_op *op, reop_file *file, HANDLE folder, void *out, DWORD out_size)
{
    reop_call call;
    reop_status status = reop_call_begin(&call, op, file, 0);
    DWORD error = ERROR_SUCCESS;

    if (status != REOP_PENDING)
        return status;
    if (!ReadDirectoryChangesW(folder, out, out_size, FALSE, FILE_NOTIFY_CHANGE_FILE_NAME, NULL,
                               call.overlapped, NULL))
        error = GetLastError();
    return reop_call_commit(&call, error, 0);
}

/* Promise: "A call whose success means "queued", such as ReadDirectoryChangesW, needs a file
 * attached with REOP_FILE_PACKETS": it comes back when something changes, or is cancelled. */
BACKEND_TEST(win32, read_directory_changes, ON_HOST_FILES)
{
    static union {
        FILE_NOTIFY_INFORMATION change;
        char room[4096];
    } found;
    enum { ADD, REMOVE, CANCEL, DEEDS };
    struct fixture fixture;
    char folder_name[FIXTURE_PATH_SIZE], path[FIXTURE_PATH_SIZE + 8];
    reop_op *op, *again = NULL;
    reop_file *file;
    HANDLE folder;

    fixture_open(&fixture, backend);
    snprintf(folder_name, sizeof folder_name, "%s/reop-watched-%llu", fixture_folder(),
             (unsigned long long) fixture_now_ns());
    snprintf(path, sizeof path, "%s/new", folder_name);
    cr_assert(CreateDirectoryA(folder_name, NULL));
    folder = CreateFileA(folder_name, FILE_LIST_DIRECTORY,
                         FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                         OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, NULL);
    cr_assert_neq(folder, INVALID_HANDLE_VALUE);
    file = attach(&fixture, folder, REOP_FILE_PACKETS);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 2 * DEEDS; i++) {
        uint64_t use = reop_op_use(op);

        cr_assert_eq(watch(op, file, folder, &found, sizeof found), REOP_PENDING, "%s",
                     backend->name);
        cr_assert_eq(reop_reap(fixture.engine, &again, 1, 20 * FIXTURE_MS), 0, "%s: queued is done",
                     backend->name);
        if (i % DEEDS == ADD)
            fixture_fill(path, 1);
        else if (i % DEEDS == REMOVE)
            fixture_remove(path);
        else
            cr_assert_eq(reop_cancel(op, use), 0, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        if (i % DEEDS == CANCEL) {
            cr_assert_eq(op->result, -ECANCELED, "%s: %lld", backend->name, (long long) op->result);
            continue;
        }
        cr_assert_gt(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(found.change.Action,
                     i % DEEDS == ADD ? FILE_ACTION_ADDED : FILE_ACTION_REMOVED, "%s",
                     backend->name);
        cr_assert_eq(found.change.FileNameLength, 6, "%s", backend->name);
        cr_assert_eq(memcmp(found.change.FileName, L"new", 6), 0, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    RemoveDirectoryA(folder_name);
    fixture_close(&fixture);
}

/* Promise: begin answers "REJECTED as reop_read() does", and then there is nothing to commit; what
 * it launched "is offset", in the call's OVERLAPPED too. */
BACKEND_TEST(win32, begin_rejects_and_sets_the_offset, ON_HOST_FILES)
{
    const uint64_t offset = (UINT64_C(7) << 32) + 5;
    struct fixture fixture;
    reop_file *file;
    reop_call call;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    op = fixture_acquire(&fixture);
    fixture_expect_rejected(op, reop_call_begin(&call, op, file, UINT64_MAX), 1, EINVAL);
    fixture_expect_rejected(op, reop_call_begin(NULL, op, file, 0), 1, EINVAL);
    cr_assert_eq(reop_call_begin(&call, op, file, offset), REOP_PENDING, "%s", backend->name);
    cr_assert_eq(call.overlapped->Offset, 5, "%s", backend->name);
    cr_assert_eq(call.overlapped->OffsetHigh, 7, "%s", backend->name);
    cr_assert_null(call.overlapped->hEvent, "%s", backend->name);
    cr_assert_eq(op->offset, offset, "%s", backend->name);
    expect_answered(&fixture, op, reop_call_commit(&call, ERROR_CRC, 0)); /* the call said so */
    cr_assert_eq(op->result, -EIO, "%s", backend->name);
    cr_assert_eq(op->os_error, ERROR_CRC, "%s", backend->name);
    fixture_close_file(file);
    fixture_expect_rejected(op, reop_call_begin(&call, op, file, 0), 2, EINVAL);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "anything else: none: answered now: -errno", where every success comes by packet too. */
BACKEND_TEST(win32, an_error_at_once_brings_no_packet, ON_HOST_FILES)
{
    struct fixture fixture;
    HANDLE server, client;
    char name[64];
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    server = make_server(name, PIPE_TYPE_BYTE);
    client = make_client(name, 0);
    file = attach(&fixture, server, REOP_FILE_PACKETS);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 5; i++) {
        expect_answered(&fixture, op, control(op, file, server, UNKNOWN_CODE, NULL, 0));
        cr_assert_lt(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    CloseHandle(client);
    fixture_close(&fixture); /* asserts that no packet was unexpected */
}

/* --- pipes ------------------------------------------------------------------------------------ */

/* Promise: "success, or ERROR_MORE_DATA: comes, not granted: PENDING", and "ERROR_MORE_DATA: none,
 * granted: answered now: bytes, and os_error": a message longer than the buffer, read before it
 * arrives and after, with and without a packet; the rest is there for the next read. */
BACKEND_TEST(win32, message_pipes, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 8; i++) {
        char name[64];
        HANDLE server = make_server(name, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE);
        HANDLE client = make_client(name, 0);
        reop_file *file = attach(&fixture, server, i & 1 ? REOP_FILE_PACKETS : 0);
        bool early = (i & 2) != 0;
        reop_status status;

        if (early)
            send_bytes(client, "seven b", 7);
        status = reop_read(op, file, reop_op_buffer(op), 4, 0);
        if (!early || (i & 1) || !is_inline(&fixture))
            cr_assert_eq(status, REOP_PENDING, "%s: %u", backend->name, i);
        else
            cr_assert_eq(status, REOP_DONE, "%s: %u", backend->name, i);
        if (!early)
            send_bytes(client, "seven b", 7);
        cr_assert_eq(fixture_finish(&fixture, op, status), 4, "%s: %u: %lld", backend->name, i,
                     (long long) op->result);
        cr_assert_eq(op->os_error, ERROR_MORE_DATA, "%s: %u: %u", backend->name, i, op->os_error);
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 4, 0));
        cr_assert_eq(op->result, 3, "%s: %u: %lld", backend->name, i, (long long) op->result);
        cr_assert_eq(op->os_error, 0, "%s: %u: %u", backend->name, i, op->os_error);
        cr_assert_arr_eq(reop_op_buffer(op), "n b", 3, "%s", backend->name);
        fixture_close_file(file);
        CloseHandle(client);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "success: none, granted", seen at work: a read of a pipe that holds data is DONE on an
 * inline engine, and every one comes by packet with REOP_FILE_PACKETS. */
BACKEND_TEST(win32, bytes_that_are_there_are_answered_at_once, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t packets = 0; packets < 2; packets++) {
        char name[64];
        HANDLE server = make_server(name, PIPE_TYPE_BYTE), client = make_client(name, 0);
        reop_file *file = attach(&fixture, server, packets ? REOP_FILE_PACKETS : 0);

        for (uint32_t i = 0; i < 20; i++) {
            reop_status status;

            send_bytes(client, "abc", 3);
            status = reop_read(op, file, reop_op_buffer(op), 64, 0);
            if (packets) {
                cr_assert_eq(status, REOP_PENDING, "%s", backend->name);
                cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
            } else {
                expect_answered(&fixture, op, status);
            }
            cr_assert_eq(op->result, 3, "%s: %lld", backend->name, (long long) op->result);
        }
        fixture_close_file(file);
        CloseHandle(client);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "a closed writer [is] result 0; where the system has a code for [it] (Windows: ...
 * ERROR_BROKEN_PIPE), os_error holds it"; a write to a closed reader is -EPIPE; and a sync of a
 * pipe, which would wait for its reader, is refused by -EINVAL. */
BACKEND_TEST(win32, pipe_ends, ON_HOST_FILES)
{
    struct fixture fixture;
    char name[64];
    HANDLE server, client;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    server = make_server(name, PIPE_TYPE_BYTE);
    client = make_client(name, 0);
    file = attach(&fixture, server, 0);
    op = fixture_acquire(&fixture);
    fixture_finish(&fixture, op, reop_write(op, file, "unread", 6, 0));
    cr_assert_eq(op->result, 6, "%s: %lld", backend->name, (long long) op->result);
    expect_answered(&fixture, op, reop_sync(op, file, 0));
    cr_assert_eq(op->result, -EINVAL, "%s: %lld", backend->name, (long long) op->result);
    CloseHandle(client);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, 0));
    cr_assert_eq(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
    cr_assert_eq(op->os_error, ERROR_BROKEN_PIPE, "%s: %u", backend->name, op->os_error);
    fixture_finish(&fixture, op, reop_write(op, file, "nobody", 6, 0));
    cr_assert_eq(op->result, -EPIPE, "%s: %lld, %u", backend->name, (long long) op->result,
                 op->os_error);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void connect_sockets(SOCKET pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(listener, (struct sockaddr *) &address, size), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
    cr_assert_eq(listen(listener, 1), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(pair[0], (struct sockaddr *) &address, size), 0);
    pair[1] = accept(listener, NULL, NULL);
    cr_assert_neq(pair[1], INVALID_SOCKET);
    closesocket(listener);
}

static reop_status receive(reop_op *op, reop_file *file, SOCKET socket, WSABUF *piece)
{
    reop_call call;
    reop_status status = reop_call_begin(&call, op, file, 0);
    DWORD error = ERROR_SUCCESS, bytes = 0, flags = 0;

    if (status != REOP_PENDING)
        return status;
    if (WSARecv(socket, piece, 1, &bytes, &flags, call.overlapped, NULL) != 0)
        error = (DWORD) WSAGetLastError();
    return reop_call_commit(&call, error, bytes);
}

/* Promise: "Nor is anything granted to a socket": each receive comes by packet, by the hatch and by
 * reop_read(), and close ends Winsock's half too. */
BACKEND_TEST(win32, sockets, ON_HOST_FILES)
{
    struct fixture fixture;
    WSADATA winsock;
    SOCKET pair[2];
    reop_file *file;
    reop_op *op;

    cr_assert_eq(WSAStartup(MAKEWORD(2, 2), &winsock), 0);
    fixture_open(&fixture, backend);
    connect_sockets(pair);
    file = attach(&fixture, (HANDLE) pair[1], 0);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 8; i++) {
        WSABUF piece = {.len = 64, .buf = reop_op_buffer(op)};
        reop_status status;

        if (i & 1)
            cr_assert_eq(send(pair[0], "hello", 5, 0), 5);
        status = i & 2 ? receive(op, file, pair[1], &piece)
                       : reop_read(op, file, reop_op_buffer(op), 64, 0);
        cr_assert_eq(status, REOP_PENDING, "%s: %lld", backend->name, (long long) op->result);
        if (!(i & 1))
            cr_assert_eq(send(pair[0], "hello", 5, 0), 5);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, 5, "%s: %lld, %u", backend->name, (long long) op->result,
                     op->os_error);
        cr_assert_arr_eq(reop_op_buffer(op), "hello", 5, "%s", backend->name);
    }
    fixture_close_file(file);
    cr_assert_eq(send(pair[1], "x", 1, 0), SOCKET_ERROR, "%s: still open", backend->name);
    cr_assert_eq(WSAGetLastError(), WSAENOTSOCK, "%s", backend->name);
    closesocket(pair[0]);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
    WSACleanup();
}

/* --- attach ----------------------------------------------------------------------------------- */

static int try_attach(struct fixture *fixture, HANDLE handle, uint32_t flags)
{
    reop_file *file = NULL;

    return reop_file_attach(fixture->engine, (reop_handle) handle, flags, &file);
}

/* Promise: "A handle the backend cannot serve is refused with -ENOTSUP: on Windows one not opened
 * for overlapped I/O"; "When it fails the handle is still yours". */
BACKEND_TEST(win32, attach_refuses_what_cannot_be_served, ON_HOST_FILES)
{
    struct fixture fixture, other;
    char name[64];
    HANDLE server, client, overlapped_client;
    reop_file *file;
    DWORD written;

    fixture_open(&fixture, backend);
    other = fixture;
    other.engine = fixture_engine(backend, fixture.pool, (reop_engine_config){0});
    cr_assert_eq(try_attach(&fixture, INVALID_HANDLE_VALUE, 0), -EBADF, "%s", backend->name);
    server = make_server(name, PIPE_TYPE_BYTE);
    client = make_client(name, 0);
    cr_assert_eq(try_attach(&fixture, client, 0), -ENOTSUP, "%s: synchronous", backend->name);
    cr_assert(WriteFile(client, "mine", 4, &written, NULL), "%s", backend->name);
    cr_assert_eq(try_attach(&fixture, server, REOP_FILE_DIRECT), -ENOTSUP, "%s", backend->name);
    file = attach(&fixture, server, 0);
    cr_assert_eq(try_attach(&other, server, 0), -ENOTSUP, "%s: it has a port", backend->name);
    fixture_close_file(file);
    CloseHandle(client);

    server = make_server(name, PIPE_TYPE_BYTE);
    overlapped_client = make_client(name, FILE_FLAG_OVERLAPPED);
    cr_assert(SetFileCompletionNotificationModes(overlapped_client,
                                                 FILE_SKIP_COMPLETION_PORT_ON_SUCCESS));
    cr_assert_eq(try_attach(&fixture, overlapped_client, REOP_FILE_PACKETS), -ENOTSUP,
                 "%s: its successes never come by packet", backend->name);
    file = attach(&fixture, overlapped_client, 0);
    fixture_close_file(file);
    CloseHandle(server);
    cr_assert_eq(reop_engine_destroy(other.engine), 0);
    fixture_close(&fixture);
}

/* Promise: "nor anywhere a file opened to append": it would ignore the offset. And "a directory may
 * be attached, for reop_sync() and native calls". */
BACKEND_TEST(win32, appending_handles_are_refused_and_folders_are_not, ON_HOST_FILES)
{
    struct fixture fixture;
    HANDLE handle;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    handle = CreateFileA("reop-append", FILE_APPEND_DATA | SYNCHRONIZE, 0, NULL, CREATE_ALWAYS,
                         FILE_FLAG_OVERLAPPED | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    cr_assert_neq(handle, INVALID_HANDLE_VALUE, "%lu", (unsigned long) GetLastError());
    cr_assert_eq(try_attach(&fixture, handle, 0), -ENOTSUP, "%s", backend->name);
    CloseHandle(handle);

    handle = CreateFileA(".", GENERIC_READ | GENERIC_WRITE,
                         FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                         OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, NULL);
    cr_assert_neq(handle, INVALID_HANDLE_VALUE, "%lu", (unsigned long) GetLastError());
    file = attach(&fixture, handle, 0);
    op = fixture_acquire(&fixture);
    cr_assert_eq(fixture_finish(&fixture, op, reop_sync(op, file, 0)), 0, "%s: %lld, %u",
                 backend->name, (long long) op->result, op->os_error);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- files ------------------------------------------------------------------------------------ */

static int try_open(struct fixture *fixture, const char *path, uint32_t flags)
{
    reop_file *file = NULL;
    int error = reop_file_open(fixture->engine, path, flags, &file);

    if (error == 0)
        fixture_close_file(file);
    return error;
}

/* Promise: "sharing [is] explicit": without it nobody else can open the file; what is shared, and
 * no more, is shared. */
BACKEND_TEST(win32, sharing_is_explicit, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    const char *path;

    fixture_open(&fixture, backend);
    path = fixture_path(&fixture, 0);
    fixture_fill(path, 100);
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_READ, &file), 0);
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_READ | FIXTURE_SHARED), -EBUSY, "%s",
                 backend->name);
    fixture_close_file(file);
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_READ | REOP_FILE_SHARE_READ, &file),
                 0);
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_READ | FIXTURE_SHARED), 0, "%s", backend->name);
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_WRITE | FIXTURE_SHARED), -EBUSY, "%s",
                 backend->name);
    cr_assert_not(DeleteFileA(path), "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "The path is UTF-8"; long ones too, and one that is too long is -ENAMETOOLONG. */
BACKEND_TEST(win32, long_paths, ON_HOST_FILES)
{
    static char path[40000];
    static wchar_t made[4096];
    struct fixture fixture;
    wchar_t name[64];
    size_t length;

    fixture_open(&fixture, backend);
    snprintf(path, sizeof path, "reop-long-%llu", (unsigned long long) fixture_now_ns());
    MultiByteToWideChar(CP_UTF8, 0, path, -1, name, 64);
    GetFullPathNameW(name, 200, made, NULL);
    memmove(made + 4, made, (wcslen(made) + 1) * sizeof made[0]);
    memcpy(made, L"\\\\?\\", 4 * sizeof made[0]);
    for (uint32_t i = 0; i < 5; i++) { /* each part has 100 letters, and 200 bytes */
        cr_assert(CreateDirectoryW(made, NULL), "%s: %lu", backend->name,
                  (unsigned long) GetLastError());
        wcscat(made, L"\\");
        strcat(path, "/");
        for (uint32_t j = 0; j < 100; j++) {
            wcscat(made, L"\u00fc");
            strcat(path, "\xc3\xbc");
        }
    }
    cr_assert_gt(wcslen(made), MAX_PATH);
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_EXCLUSIVE),
                 0, "%s: %d", backend->name,
                 try_open(&fixture, path, REOP_FILE_WRITE | REOP_FILE_CREATE));
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_READ), 0, "%s", backend->name);
    cr_assert(DeleteFileW(made), "%s: another file was made", backend->name);
    for (uint32_t i = 0; i < 5; i++) {
        *wcsrchr(made, L'\\') = 0;
        cr_assert(RemoveDirectoryW(made), "%s", backend->name);
    }
    for (length = strlen(path); length < sizeof path - 1; length++)
        path[length] = 'x';
    cr_assert_eq(try_open(&fixture, path, REOP_FILE_READ), -ENAMETOOLONG, "%s", backend->name);
    cr_assert_eq(try_open(&fixture, "not \xff UTF-8", REOP_FILE_READ), -EINVAL, "%s",
                 backend->name);
    fixture_close(&fixture);
}

/* Promise: "End of file ... os_error holds [ERROR_HANDLE_EOF]". */
BACKEND_TEST(win32, end_of_file_has_its_code, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 100);
    op = fixture_acquire(&fixture);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, 100));
    cr_assert_eq(op->result, 0, "%s", backend->name);
    cr_assert_eq(op->os_error, ERROR_HANDLE_EOF, "%s: %u", backend->name, op->os_error);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "Writes zeroes ... then syncs": past the engine, whose port sees nothing of it. */
BACKEND_TEST(win32, preallocate_queues_no_packet, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_op *op = NULL;
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 10);
    cr_assert_eq(reop_file_preallocate(file, 1 << 20), 0, "%s", backend->name);
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, 20 * FIXTURE_MS), 0, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture); /* asserts that no packet was unexpected */
}

/* --- pages, scattered and gathered ------------------------------------------------------------ */

#define PAGE 4096u

static reop_status move_pages(reop_op *op, reop_file *file, bool write,
                              const struct reop_piece *pieces, uint32_t count, uint64_t offset)
{
    return write ? reop_writev(op, file, pieces, count, offset)
                 : reop_readv(op, file, pieces, count, offset);
}

/* Promise: "REJECTED with -ENOTSUP where the system has no such call (on Windows: anything but
 * page-sized pieces of a direct file)", and those are moved. */
BACKEND_TEST(win32, pages_are_scattered_and_gathered, ON_HOST_FILES)
{
    static const uint32_t counts[] = {1, 2, 7, REOP_PIECES_MAX};
    static struct reop_piece pieces[REOP_PIECES_MAX];
    static uint8_t found[3 * PAGE];
    struct fixture fixture;
    reop_file *plain, *file = NULL;
    uint8_t *pages;
    reop_op *op;

    fixture_open(&fixture, backend);
    plain = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, sizeof found);
    cr_assert_eq(
        reop_file_open(fixture.engine, fixture_path(&fixture, 0),
                       REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_DIRECT | FIXTURE_SHARED, &file),
        0, "%s", backend->name);
    pages = VirtualAlloc(NULL, REOP_PIECES_MAX * PAGE, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    cr_assert_not_null(pages);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 4; i++) {
        size_t size = counts[i] * PAGE;

        for (uint32_t j = 0; j < counts[i]; j++) /* the last page first */
            pieces[j] = (struct reop_piece){pages + (counts[i] - 1 - j) * PAGE, PAGE};
        for (size_t j = 0; j < size; j++)
            ((uint8_t *) pieces[j / PAGE].data)[j % PAGE] = fixture_byte(j);
        fixture_finish(&fixture, op, move_pages(op, file, true, pieces, counts[i], PAGE));
        cr_assert_eq(op->result, (int64_t) size, "%s: %u pages: %lld, %u", backend->name, counts[i],
                     (long long) op->result, op->os_error);
        cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, sizeof found), sizeof found);
        cr_assert(fixture_matches(found + PAGE, PAGE, 0), "%s: the first page", backend->name);
        cr_assert(counts[i] == 1 || fixture_matches(found + 2 * PAGE, PAGE, PAGE),
                  "%s: the second page", backend->name);
        memset(pages, 0, size);
        fixture_finish(&fixture, op, move_pages(op, file, false, pieces, counts[i], PAGE));
        cr_assert_eq(op->result, (int64_t) size, "%s: %u pages: %lld, %u", backend->name, counts[i],
                     (long long) op->result, op->os_error);
        for (uint32_t j = 0; j < counts[i]; j++)
            cr_assert(fixture_matches(pieces[j].data, PAGE, j * PAGE), "%s: page %u", backend->name,
                      j);
    }
    for (uint32_t write = 0; write < 2; write++) {
        uint64_t use = reop_op_use(op);

        pieces[0] = (struct reop_piece){pages, PAGE};
        fixture_expect_rejected(op, move_pages(op, plain, write, pieces, 1, 0), use, ENOTSUP);
        pieces[0].size = 2 * PAGE;
        fixture_expect_rejected(op, move_pages(op, file, write, pieces, 1, 0), use, ENOTSUP);
        pieces[0] = (struct reop_piece){pages + 512, PAGE};
        fixture_expect_rejected(op, move_pages(op, file, write, pieces, 1, 0), use, ENOTSUP);
    }
    VirtualFree(pages, 0, MEM_RELEASE);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close_file(plain);
    fixture_close(&fixture);
}

/* --- errors ----------------------------------------------------------------------------------- */

static bool has_a_name(int error)
{
#define IS_NAME(name) || error == name
    return false ERROR_NAMES(IS_NAME);
#undef IS_NAME
}

/* Promise: "a negative errno by name ... from the table"; "A system code with no name here is EIO";
 * and of one mistake with several codes, one name. */
Test(win32, every_code_has_a_name_of_the_table)
{
    static const struct {
        uint32_t code;
        int name;
    } known[] = {{ERROR_OPERATION_ABORTED, ECANCELED},
                 {ERROR_NETNAME_DELETED, ECONNRESET},
                 {WSAECONNRESET, ECONNRESET},
                 {ERROR_ACCESS_DENIED, EACCES},
                 {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
                 {ERROR_WORKING_SET_QUOTA, ENOMEM},
                 {ERROR_DISK_FULL, ENOSPC},
                 {ERROR_HANDLE_DISK_FULL, ENOSPC},
                 {ERROR_SHARING_VIOLATION, EBUSY},
                 {ERROR_INVALID_HANDLE, EBADF},
                 {ERROR_CRC, EIO},
                 {ERROR_WRITE_PROTECT, EROFS}};
    uint32_t named = 0;

    for (uint32_t code = 0; code < 20000; code++) {
        cr_assert(has_a_name(error_from_system(code)), "%u", code);
        named += error_from_system(code) != EIO;
    }
    for (uint32_t i = 0; i < sizeof known / sizeof known[0]; i++)
        cr_assert_eq(error_from_system(known[i].code), known[i].name, "%u", known[i].code);
    printf("%u codes have a name of their own\n", named);
    cr_assert_gt(named, 50);
}
