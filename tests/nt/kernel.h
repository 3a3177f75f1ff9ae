/* SPDX-License-Identifier: MIT
 *
 * The fake kernel, as the tests see it: what it may answer, what it did answer, and objects that no
 * Windows call makes. What the library sees of it is windows.h.
 *
 * It is as nasty as Windows may be, and not nastier: each answer here was seen from a Windows, or
 * is allowed by its documentation. While it owns an op it scribbles over the OVERLAPPED and over
 * what a read will fill, and whoever touches any of it meanwhile is caught.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is decided, in groups of which one is chosen each time; then what merely happens. */
#define KERNEL_ANSWERS(X)                                                                          \
    X(IO_TRUE, "read or write: TRUE")                                                              \
    X(IO_SHORT, "read or write: TRUE, fewer bytes")                                                \
    X(IO_WARNING, "read: FALSE, a warning")                                                        \
    X(IO_ERROR, "read or write: FALSE, an error")                                                  \
    X(IO_PENDING, "read or write: pending")                                                        \
    X(IO_EARLY, "read or write: pending, and completed before the call returns")                   \
    X(CALL_PROMPT, "call: does not block")                                                         \
    X(CALL_BLOCKS, "call: blocks inside")                                                          \
    X(END_OK, "completion: success")                                                               \
    X(END_SHORT, "completion: fewer bytes")                                                        \
    X(END_WARNING, "completion: a warning")                                                        \
    X(END_NOTICE, "completion: a success with something to say")                                   \
    X(END_ERROR, "completion: an error")                                                           \
    X(STATUS_PLAIN, "Internal: the status")                                                        \
    X(STATUS_GARBAGE, "Internal: garbage in its high half")                                        \
    X(STATUS_LEFT, "Internal: left at STATUS_PENDING by a call that succeeded")                    \
    X(CANCEL_WINS, "CancelIoEx: TRUE, ends as cancelled")                                          \
    X(CANCEL_LOSES, "CancelIoEx: TRUE, yet it succeeds")                                           \
    X(CANCEL_NOT_FOUND, "CancelIoEx: ERROR_NOT_FOUND, the packet still to come")                   \
    X(CANCEL_LATE, "CancelIoEx: ERROR_NOT_FOUND, the packet is queued")                            \
    X(CANCEL_BLUFF, "CancelIoEx: TRUE, though the packet is queued")                               \
    X(GET_ALL, "GetQueuedCompletionStatusEx: all there is room for")                               \
    X(GET_FEWER, "GetQueuedCompletionStatusEx: fewer than there are")                              \
    X(EMPTY_PLAIN, "GetQueuedCompletionStatusEx: FALSE, count 0")                                  \
    X(EMPTY_COUNT, "GetQueuedCompletionStatusEx: FALSE with a count")                              \
    X(POST_TAKEN, "post: taken")                                                                   \
    X(POST_FAILED, "post: failed")                                                                 \
    X(MODES_SET, "SetFileCompletionNotificationModes: set")                                        \
    X(MODES_REFUSED, "SetFileCompletionNotificationModes: refused")                                \
    X(FLUSH_OK, "flush: success")                                                                  \
    X(FLUSH_ERROR, "flush: an error")                                                              \
    X(SYSTEM_NEW, "ntdll: has all it may have")                                                    \
    X(SYSTEM_OLD, "ntdll: has no reserve objects")                                                 \
    X(UNBINDS, "ntdll: takes a file from its port")                                                \
    X(UNBINDS_NOT, "ntdll: cannot take a file from its port")

#define KERNEL_EVENTS(X)                                                                           \
    X(SAW_TRUE_PACKET, "TRUE and a packet")                                                        \
    X(SAW_TRUE_SKIPPED, "TRUE and no packet")                                                      \
    X(SAW_WARNING_PACKET, "a warning and a packet")                                                \
    X(SAW_WARNING_SKIPPED, "a warning and no packet")                                              \
    X(SAW_OVERTAKEN, "a packet dequeued before its call had returned")                             \
    X(SAW_REORDERED, "a completion that overtook an older one")                                    \
    X(SAW_BATCH, "a batch of several entries")                                                     \
    X(SAW_MIXED_BATCH, "a failed entry inside a successful batch")                                 \
    X(SAW_CANCELLED, "an op that ended as cancelled")                                              \
    X(SAW_CONNECTED, "ERROR_PIPE_CONNECTED and no packet")                                         \
    X(SAW_1450, "ERROR_NO_SYSTEM_RESOURCES, 1450")                                                 \
    X(SAW_1453, "ERROR_WORKING_SET_QUOTA, 1453")                                                   \
    X(SAW_WAIT, "a wait in an empty port")

enum kernel_answer {
#define KERNEL_NAME(name, words) name,
    KERNEL_ANSWERS(KERNEL_NAME) KERNEL_EVENTS(KERNEL_NAME) KERNEL_COUNT
#undef KERNEL_NAME
};

/* What fails, and what the contract calls it: independent of the library's own table. */
struct kernel_error {
    uint32_t error;  /* GetLastError() */
    uint32_t status; /* the NTSTATUS */
    int name;        /* errno; 0: the end of a stream, which is no error */
};
#define KERNEL_ERRORS        24u
#define KERNEL_ERROR_ABORTED 18u /* the index of ERROR_OPERATION_ABORTED */
extern const struct kernel_error kernel_errors[KERNEL_ERRORS];

/* An answer of weight 0 is never given. */
struct kernel_profile {
    uint32_t weights[KERNEL_COUNT];
    uint32_t errors; /* bit per index of kernel_errors that IO_ERROR and END_ERROR may choose */
    uint32_t failed_posts_max; /* in a row */
};

/* Right in every byte, awkward in every other way: the contract suite must pass on it. */
extern const struct kernel_profile kernel_awkward;
/* Everything it can do. */
extern const struct kernel_profile kernel_hostile;

/* Forgets everything, and what is decided from here on is decided by profile. No port is open. */
void kernel_reset(const struct kernel_profile *profile);

/* A handle as CreateFileW makes them, for overlapped I/O, on so many bytes of memory that hold
 * kernel_byte() of their position. */
void *kernel_open_memory(size_t size);
uint8_t kernel_byte(uint64_t position);
#define KERNEL_MEMORY_MAX 65536u

/* As if they had been opened that way. */
void kernel_make_synchronous(void *handle);
void kernel_make_direct(void *handle);
/* From now on SetFileCompletionNotificationModes is refused. */
void kernel_refuse_modes(void);

/* The reading end of a pipe, as CreateNamedPipeW makes it; reads of it wait for data. */
void *kernel_open_pipe(void);
void kernel_pipe_write(void *pipe, const void *data, size_t size);
void kernel_pipe_drain(void *pipe, size_t size);
void kernel_pipe_hang_up(void *pipe); /* the writing end is closed */
bool kernel_pipe_is_open(void *pipe);

/* From now on nothing that is pending completes, or it does again. */
void kernel_hold(bool hold);

/* How the last call on this OVERLAPPED really ended, or the last flush of this handle. False: there
 * was none. */
struct kernel_verdict {
    uint32_t error; /* 0: success */
    uint32_t bytes;
};
bool kernel_last_verdict(const void *overlapped, struct kernel_verdict *verdict_out);

/* What reop.h makes of it; only a read that is known as one can end at the end of a file. */
int64_t kernel_promised(const struct kernel_verdict *verdict, bool reads);

/* Calls that blocked for 1 ms or more since the reset. */
uint64_t kernel_stalls(void);
/* Ops that the kernel owns, and posted packets that nobody has dequeued. */
uint32_t kernel_owned(void);

/* Where there is no device thread: everybody sleeps. Completes something, if it can; if others
 * count the time it may leave it. False: it did nothing. */
bool kernel_idle(bool may_refuse);

#endif
