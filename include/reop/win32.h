/* SPDX-License-Identifier: MIT
 *
 * The native hatch of the iocp backend: any overlapped call, through an op. reop_read() and
 * reop_write() are made of the same two halves.
 *
 *     reop_call call;
 *     DWORD error = ERROR_SUCCESS, bytes = 0;
 *     reop_status status = reop_call_begin(&call, op, file, 0);
 *
 *     if (status == REOP_PENDING) {
 *         if (!DeviceIoControl(handle, code, in, 8, out, 64, &bytes, call.overlapped))
 *             error = GetLastError();
 *         status = reop_call_commit(&call, error, bytes);
 *     }
 */
#ifndef REOP_WIN32_H
#define REOP_WIN32_H

#include <reop/reop.h>

#include <windows.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Yours, usually on the stack, from begin to commit. Only overlapped is for reading. */
typedef struct reop_call {
    OVERLAPPED *overlapped; /* for the call: the op's own, its offset set, its event NULL */
    reop_op *op;
    reop_file *file;
    reop_engine *engine;
    uint32_t granted; /* the file's successes come without a packet */
} reop_call;

/* PENDING: the op is launched. Make one overlapped call on the file's handle with call->overlapped,
 * from this thread, then commit. REJECTED as reop_read() does; -ENOTSUP on another backend. The
 * op's kind is REOP_KIND_NATIVE, its data and size are NULL and 0, its offset is offset. What the
 * call is given by pointer is the system's until the op comes back. */
REOP_API reop_status reop_call_begin(reop_call *call, reop_op *op, reop_file *file,
                                     uint64_t offset);

/* Exactly once for each begin that answered PENDING. error: 0 when the call succeeded, else what
 * GetLastError() or WSAGetLastError() says, or what the call returned where it returns the code
 * itself. bytes: what the call stored as transferred, looked at only when it succeeded; a variable
 * of your own, which the call may not write to later.
 *
 *     the call said                        packet               answer
 *     ERROR_IO_PENDING                     comes                PENDING
 *     success, or ERROR_MORE_DATA          comes, not granted   PENDING
 *     success                              none, granted        answered now: bytes
 *     ERROR_MORE_DATA                      none, granted        answered now: bytes, and os_error
 *     ERROR_PIPE_CONNECTED                 none                 answered now: 0, and os_error
 *     anything else                        none                 answered now: -errno
 *
 * Answered now is DONE on an engine with REOP_ENGINE_INLINE, else PENDING like the others.
 *
 * A call whose success means "queued", such as ReadDirectoryChangesW, needs a file attached with
 * REOP_FILE_PACKETS: nothing is granted to it. Nor is anything granted to a socket. */
REOP_API reop_status reop_call_commit(reop_call *call, DWORD error, DWORD bytes);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* REOP_WIN32_H */
