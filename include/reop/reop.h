/* SPDX-License-Identifier: MIT
 *
 * reop - allocation-free, reusable I/O operations
 *
 * An *op* is one preallocated I/O operation. A *pool* owns a fixed slab of ops. You acquire an op,
 * submit it on a *file* attached to an *engine*, get it back exactly once, and submit it again or
 * release it. Nothing allocates after the create calls.
 *
 * State is ownership. There are three states because there are three owners:
 *
 *       FREE --reop_acquire--> HELD --submit answers PENDING--> IN_FLIGHT
 *        ^                     |  ^                                 |
 *        +----reop_release-----+  +-----------reop_reap-------------+
 *
 *   FREE       the pool's.
 *   HELD       yours: every public field may be read and written.
 *   IN_FLIGHT  the system's: touch neither the op, its buffer nor its array of pieces until reaped.
 *
 * A submit has three answers, and they differ in who owns the op:
 *
 *   REOP_PENDING   It comes back through reop_reap(), once. IN_FLIGHT.
 *   REOP_DONE      The system has answered. Still HELD, op->result is final, never reaped. Only an
 *                  engine created with REOP_ENGINE_INLINE answers DONE. Loop on it, do not recurse.
 *   REOP_REJECTED  The system was never asked, and no use was consumed. Still HELD, op->result says
 *                  why: -EAGAIN (depth reached; never when depth covers every op), -EINVAL,
 *                  -ENOTSUP, or -ECANCELED (the engine is stopping).
 *
 * op->result is >= 0 (bytes moved) or a negative errno by name, of this platform's <errno.h>, from
 * the table below. op->os_error is the system's own code whenever it was not plain success, beside
 * a result >= 0 too. End of file and a closed writer are result 0; where the system has a code for
 * them (Windows: ERROR_HANDLE_EOF, ERROR_BROKEN_PIPE), os_error holds it.
 *
 *   EACCES EAGAIN EBADF EBUSY ECANCELED ECONNRESET EEXIST EFAULT EFBIG EINTR EINVAL EIO EISDIR
 *   ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ENOSPC ENOSYS ENOTDIR ENOTSUP ENXIO
 *   EOVERFLOW EPERM EPIPE EROFS ESPIPE ETIMEDOUT ETXTBSY
 *
 * A system code with no name here is EIO (EDQUOT is ENOSPC), and os_error says which it was.
 *
 * Misuse - submitting an op you do not hold, releasing one twice - is not an error to handle but a
 * bug: whenever the op's state shows it, the program aborts with a message, in every build. An op
 * that was released and taken again by someone else is HELD: a stale pointer to it cannot be told
 * apart from a good one.
 *
 * Threads: every function may be called from any thread unless it says otherwise. An op belongs
 * to one thread at a time; handing it to another thread is yours to synchronise. On io_uring a
 * thread must not exit while ops it submitted are in flight: the kernel may cancel them.
 * After fork() the child may only exec or _exit.
 *
 * Functions that return int answer 0 or a count, or a negative errno from the table above.
 */
#ifndef REOP_REOP_H
#define REOP_REOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REOP_VERSION_MAJOR 0
#define REOP_VERSION_MINOR 1
#define REOP_VERSION_PATCH 0

#if defined(_WIN32) && defined(REOP_SHARED_BUILD)
#define REOP_API __declspec(dllexport)
#elif defined(_WIN32) && defined(REOP_SHARED)
#define REOP_API __declspec(dllimport)
#elif defined(__GNUC__)
#define REOP_API __attribute__((visibility("default")))
#else
#define REOP_API
#endif

typedef struct reop_engine reop_engine; /* a completion port, a ring, or a set of workers */
typedef struct reop_pool reop_pool;     /* a slab of ops, their contexts and their buffers */
typedef struct reop_lane reop_lane;     /* one thread's door to a pool */
typedef struct reop_file reop_file;     /* a handle attached to an engine; lives in its table */
typedef struct reop_op reop_op;         /* one operation, used over and over */
typedef intptr_t reop_handle;           /* a HANDLE, a SOCKET or a file descriptor */

typedef enum reop_status { REOP_PENDING, REOP_DONE, REOP_REJECTED } reop_status;

#define REOP_FOREVER INT64_C(-1) /* timeout_ns: wait until something completes */

/* --- op ---------------------------------------------------------------------------------- */

enum reop_kind {
    REOP_KIND_NONE, /* never submitted */
    REOP_KIND_READ,
    REOP_KIND_WRITE,
    REOP_KIND_READV,
    REOP_KIND_WRITEV,
    REOP_KIND_SYNC,
    REOP_KIND_SYNC_DATA,
    REOP_KIND_POST,
    REOP_KIND_NATIVE /* <reop/uring.h>, <reop/win32.h> */
};

/* Layout-compatible with OVERLAPPED, so that <windows.h> stays out of this header. Elsewhere the
 * same bytes are the backend's scratch. */
struct reop_overlapped {
    uintptr_t internal;
    uintptr_t internal_high;
    uint32_t offset;
    uint32_t offset_high;
    void *event;
};

struct reop_op {
    struct reop_overlapped overlapped; /* first, so op and OVERLAPPED share an address */

    /* Yours. Cleared by reop_acquire(), kept across submits; the library never writes them else. */
    void *user;
    void (*on_done)(reop_op *op); /* called by reop_run() only, which needs it set */

    /* The outcome of the last submit. Valid while HELD. */
    int64_t result;
    uint32_t os_error;
    uint32_t kind; /* enum reop_kind */

    /* What it was submitted with: enough to resume after a short transfer. For readv and writev
     * data is the array of pieces and size their number. */
    reop_file *file;
    void *data;
    uint32_t size;
    uint64_t offset;
};

/* --- pool -------------------------------------------------------------------------------- */

/* A zeroed config with op_count set is a valid one. */
typedef struct reop_pool_config {
    uint32_t op_count;     /* ops that callers can hold at once, 1 to REOP_OPS_MAX */
    uint32_t lane_count;   /* private lanes, one per thread that acquires and releases at speed; up
                            * to REOP_LANES_MAX */
    uint32_t lane_cache;   /* ops a private lane may keep at hand, up to 128; 0: chosen so that the
                            * spare slots' buffers never outweigh the pool's own;
                            * REOP_LANE_EXACT: none */
    uint32_t context_size; /* bytes of your own storage beside each op, zeroed at create */
    uint32_t buffer_size;  /* bytes of I/O buffer bound to each op, 0 for none */
    uint32_t buffer_align; /* power of two up to 1 GiB, 0 for the page size */
    void *memory;       /* NULL: taken from mimalloc, once. Else yours, and must outlive the pool */
    size_t memory_size; /* at least reop_pool_footprint() when memory is set */
    uint32_t flags;     /* REOP_POOL_HUGE_PAGES */
} reop_pool_config;

#define REOP_OPS_MAX    (UINT32_C(1) << 28)
#define REOP_LANES_MAX  1024u
#define REOP_LANE_EXACT UINT32_MAX

/* Asks for huge pages behind the block. Best effort: reop_pool_why() says when they were not given.
 */
#define REOP_POOL_HUGE_PAGES 1u

/* The bytes a pool of this config takes, its alignment included; 0 if the config is invalid or the
 * size overflows. */
REOP_API size_t reop_pool_footprint(const reop_pool_config *config);

/* -EINVAL: the config, or memory that is too small; -ENOMEM. */
REOP_API int reop_pool_create(const reop_pool_config *config, reop_pool **pool_out);

/* -EBUSY while an op is out or an engine holds the pool. No other call on the pool may be under
 * way. */
REOP_API int reop_pool_destroy(reop_pool *pool);

/* "" or what was not granted (huge pages). The text lives as long as the pool. */
REOP_API const char *reop_pool_why(const reop_pool *pool);

/* A private lane belongs to one thread at a time and needs no atomic on most calls; handing it to
 * another thread is yours to synchronise. NULL when index is not below lane_count. The shared lane
 * may be used by any thread at once, at the price of one atomic per call. */
REOP_API reop_lane *reop_pool_lane(reop_pool *pool, uint32_t index);
REOP_API reop_lane *reop_pool_shared_lane(reop_pool *pool);

/* NULL only if, at some instant inside the call, at least op_count ops were held (or in flight):
 * your back-pressure. Lock-free. */
REOP_API reop_op *reop_acquire(reop_lane *lane);

/* Stores up to max ops and returns how many. Fewer only if reop_acquire() would have answered NULL.
 */
REOP_API uint32_t reop_acquire_many(reop_lane *lane, reop_op *ops[], uint32_t max);

/* Blocks. Once a waiter is asleep every release serves the oldest waiter first. NULL on time-out or
 * reop_pool_interrupt(). Never call it from the thread that reaps. */
REOP_API reop_op *reop_acquire_wait(reop_lane *lane, int64_t timeout_ns);

/* Ends every reop_acquire_wait() that is asleep now. */
REOP_API void reop_pool_interrupt(reop_pool *pool);

/* Any lane of the op's pool. Wait-free while nobody sleeps in reop_acquire_wait(). */
REOP_API void reop_release(reop_lane *lane, reop_op *op);
REOP_API void reop_release_many(reop_lane *lane, reop_op *const ops[], uint32_t count);

REOP_API void *reop_op_context(
    reop_op *op);                           /* your storage; contents survive release. NULL: none */
REOP_API void *reop_op_buffer(reop_op *op); /* the op's own buffer. NULL: none */

/* --- engine ------------------------------------------------------------------------------ */

enum reop_backend {
    REOP_BACKEND_AUTO, /* the best that works here */
    REOP_BACKEND_IOCP,
    REOP_BACKEND_URING, /* Linux 6.1 or later */
    REOP_BACKEND_THREADS,
    REOP_BACKEND_SIM
};

/* A zeroed config with pool set is a valid one. */
typedef struct reop_engine_config {
    uint32_t backend;    /* enum reop_backend */
    uint32_t depth;      /* most ops in flight, 0: every op of the pool, as far as the backend goes
                          * (uring: 32768, and asking for more is -EINVAL) */
    uint32_t file_count; /* most files attached at once, 0: 64; up to REOP_FILES_MAX */
    uint32_t threads;    /* IOCP: concurrency value. THREADS: workers. 0: one per processor */
    uint32_t sync_threads; /* Windows: helpers that run FlushFileBuffers, 0: one */
    uint32_t flags;
    reop_pool *pool; /* required. Its buffers are registered with the system; more pools by
                      * reop_engine_register() */
} reop_engine_config;

#define REOP_FILES_MAX 65536u

/* One thread, the owner, submits, flushes, reaps and runs: the first that does. Another aborts.
 * Ownership never moves. Open, attach, close, cancel, post, stop and wake stay free. */
#define REOP_ENGINE_SINGLE_THREAD 1u
/* The system has an op after the next reop_flush() or reop_reap(). Without it, when submit returns.
 */
#define REOP_ENGINE_DEFER 2u
/* Submits may answer REOP_DONE. */
#define REOP_ENGINE_INLINE 4u

/* -EINVAL: the config; -ENOTSUP: that backend does not work here (asked for by name), or none does;
 * -ENOMEM; -EMFILE: the pool has 256 engines already. reop_engine_why(NULL) then says it in words.
 */
REOP_API int reop_engine_create(const reop_engine_config *config, reop_engine **engine_out);

/* -EBUSY while ops are in flight, files are attached or a thread is in reap. No other call on the
 * engine may be under way, reop_cancel() excepted. A single-threaded engine is best destroyed by
 * its owner: by another thread, what the kernel keeps for the owner goes when that thread exits. */
REOP_API int reop_engine_destroy(reop_engine *engine);

/* Ops of a registered pool can be submitted; those of another are REJECTED with -EINVAL. 0 also
 * where the system did not take the buffers: reop_engine_why(). -EEXIST: it is registered; -EMFILE:
 * the engine has REOP_ENGINE_POOLS pools, or the pool 256 engines. */
REOP_API int reop_engine_register(reop_engine *engine, reop_pool *pool);
#define REOP_ENGINE_POOLS 16u

/* The name of the backend in use: "iocp", "uring", "threads", "sim". */
REOP_API const char *reop_engine_backend(const reop_engine *engine);

/* "" or why no better backend is used and what was not granted, in words. The text lives as long as
 * the engine. With NULL: why the calling thread's last reop_engine_create() failed, or "". */
REOP_API const char *reop_engine_why(const reop_engine *engine);

/* Counts since create. Each is exact; together they are a snapshot only when nothing is under way.
 */
struct reop_engine_stats {
    uint64_t submitted; /* accepted submits, posts included */
    uint64_t completed; /* of these, come back */
    uint64_t failed;    /* of these, with a negative result */
    uint64_t rejected;
    uint64_t cancels;       /* reop_cancel() calls that asked the system */
    uint64_t submit_stalls; /* submits that blocked the caller for 1 ms or more */
    uint64_t submit_stall_ns;
    uint64_t unexpected; /* packets for an op that was not in flight */
    uint32_t files;      /* attached now */
};
REOP_API void reop_engine_query(const reop_engine *engine, struct reop_engine_stats *stats_out);

/* Events for a tracer (ETW, USDT) that it had no room for, since the process began; 0 where the
 * tracer counts them itself. A lost event changes no I/O. */
REOP_API uint64_t reop_trace_lost(void);

/* Waits until at least one op has come back, then takes up to max of them without waiting again.
 * Returns how many were stored in ops, which the caller now holds; 0 on time-out, signal or wake;
 * -ECANCELED once the engine is stopped and nothing is in flight (every reap then says so); or what
 * reop_flush() would have answered, when nothing came back. Time-outs round up; on Windows their
 * grain is 1 to 16 ms. Not from within on_done. */
REOP_API int reop_reap(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns);

/* reop_reap(), then op->on_done(op), each op landed just before its call. Not from within on_done.
 */
REOP_API int reop_run(reop_engine *engine, uint32_t max, int64_t timeout_ns);

/* 0, or -errno with everything still queued. */
REOP_API int reop_flush(reop_engine *engine);

/* Sticky: ends the current or next reap of one thread; many may be one. */
REOP_API void reop_wake(reop_engine *engine);

/* Refuses new submits (-ECANCELED) while reaping goes on. */
REOP_API void reop_stop(reop_engine *engine);

/* What hangs, as copies: a stuck op may complete while you look. Returns how many were stored.
 * Nothing is ever freed under the system. Walks every slot. A single-threaded engine: owner only.
 */
struct reop_stuck_op {
    const reop_op *op;
    uint64_t use, offset;
    uint32_t kind, size, age_ms; /* since the system was asked for it, about */
};
REOP_API uint32_t reop_stuck(reop_engine *engine, struct reop_stuck_op *list, uint32_t max);

/* --- file -------------------------------------------------------------------------------- */

#define REOP_FILE_READ         0x001u
#define REOP_FILE_WRITE        0x002u
#define REOP_FILE_CREATE       0x004u /* create it if it is missing */
#define REOP_FILE_EXCLUSIVE    0x008u /* with CREATE: -EEXIST if it is there */
#define REOP_FILE_TRUNCATE     0x010u /* to length 0; needs WRITE */
#define REOP_FILE_DIRECT       0x020u /* bypass the cache */
#define REOP_FILE_DURABLE      0x040u /* a write completes when it is durable */
#define REOP_FILE_PACKETS      0x080u /* Windows: every success comes by packet, see attach */
#define REOP_FILE_SHARE_READ   0x100u /* Windows; elsewhere every file is shared */
#define REOP_FILE_SHARE_WRITE  0x200u
#define REOP_FILE_SHARE_DELETE 0x400u

/* Opens for overlapped I/O and attaches. The path is UTF-8; access, creation and sharing are
 * explicit. REOP_FILE_DIRECT and REOP_FILE_DURABLE are granted or the call fails with -ENOTSUP:
 * never silently downgraded. A new file has mode 0666 less the umask. A directory is -EISDIR.
 * -EMFILE: file_count files are attached. */
REOP_API int reop_file_open(reop_engine *engine, const char *path_utf8, uint32_t flags,
                            reop_file **file_out);

/* The handle becomes the file's until close or detach. A handle the backend cannot serve is refused
 * with -ENOTSUP: on Windows one not opened for overlapped I/O, on threads a FIFO or a socket,
 * anywhere a file opened to append. A directory may be attached, for reop_sync() and native calls.
 * flags may hold REOP_FILE_DIRECT and REOP_FILE_DURABLE, which the handle then must have
 * (-ENOTSUP), and REOP_FILE_PACKETS: on Windows every success comes by packet; needed for calls
 * whose TRUE means "queued", such as ReadDirectoryChangesW. When it fails the handle is still
 * yours. */
REOP_API int reop_file_attach(reop_engine *engine, reop_handle handle, uint32_t flags,
                              reop_file **file_out);

/* -EBUSY while one of its ops is in flight or a thread is inside a submit on it. -EINVAL: not open.
 * Any other error is the system's own word on a handle that is closed all the same. The file's
 * place in the table is used again by a later open: a stale pointer to it cannot be told apart. On
 * a single-threaded uring engine, closed by another thread than the owner, the kernel lets go at
 * the owner's next reap. */
REOP_API int reop_file_close(reop_file *file);

/* As close, and the handle is yours again. -ENOTSUP where the system cannot (Windows before 8.1).
 */
REOP_API int reop_file_detach(reop_file *file, reop_handle *handle_out);

/* Writes zeroes from the end of the file up to size, then syncs: a set-up call that blocks. A
 * journal written into space that was only reserved, or past the valid data length, is slower by a
 * factor of 2 to 5 (Windows: KB156932, such writes block inside the submit). Never shrinks a file.
 */
REOP_API int reop_file_preallocate(reop_file *file, uint64_t size);

struct reop_file_info {
    uint64_t size;            /* bytes, now; 0 for a stream */
    uint32_t offset_align;    /* of offsets and sizes: 1 unless direct */
    uint32_t memory_align;    /* of data pointers: 1 unless direct */
    uint32_t physical_sector; /* bytes; 0: unknown */
    uint32_t flags;           /* READ, WRITE, DIRECT, DURABLE: what the handle has */
    uint64_t submitted;
    uint64_t completed;
    uint64_t submit_stalls; /* submits on this file that blocked the caller for 1 ms or more */
    uint64_t submit_stall_ns;
    int sync_error; /* 0, or what every later sync will answer */
    reop_handle handle;
};
REOP_API int reop_file_query(const reop_file *file, struct reop_file_info *info_out);

/* --- submit ------------------------------------------------------------------------------ */

/* The op, data and file stay as they are until the op is reaped. offset + size stay below
 * INT64_MAX; a stream's offset is 0. A transfer may be short. Rejected with -EINVAL: a closed file,
 * a range out of bounds, a direct file's alignment, an op of a pool the engine does not have. */
REOP_API reop_status reop_read(reop_op *op, reop_file *file, void *data, uint32_t size,
                               uint64_t offset);
REOP_API reop_status reop_write(reop_op *op, reop_file *file, const void *data, uint32_t size,
                                uint64_t offset);

/* Same layout as struct iovec. */
struct reop_piece {
    void *data;
    size_t size;
};
#define REOP_PIECES_MAX 1024u

/* 1 to REOP_PIECES_MAX pieces, less than 2 GiB in all. Pieces are the system's until the op comes
 * back. REJECTED with -ENOTSUP where the system has no such call (on Windows: anything but
 * page-sized pieces of a direct file). */
REOP_API reop_status reop_readv(reop_op *op, reop_file *file, const struct reop_piece *pieces,
                                uint32_t count, uint64_t offset);
REOP_API reop_status reop_writev(reop_op *op, reop_file *file, const struct reop_piece *pieces,
                                 uint32_t count, uint64_t offset);

/* Makes durable every write *reaped* before it was submitted, nothing in flight. After a failed
 * sync or durable write (one that was not merely cancelled) every later sync on that file fails
 * with the same error: after a failed fsync the page cache no longer tells the truth. flags: 0 or
 * REOP_SYNC_DATA, which leaves out times and the like. */
#define REOP_SYNC_DATA 1u
REOP_API reop_status reop_sync(reop_op *op, reop_file *file, uint32_t flags);

/* A completion without I/O: the op is reaped with this result. Never DONE, never -EAGAIN, not
 * counted towards depth. From any thread, on a single-threaded engine too. */
REOP_API reop_status reop_post(reop_op *op, reop_engine *engine, int64_t result);

/* The number of the op's next launch, from 1. Read it while you hold the op. */
REOP_API uint64_t reop_op_use(const reop_op *op);

/* Asks the system to give up on one launch. 0: asked, and the op still comes back, with -ECANCELED
 * if the request won. -ENOENT: that use is not in flight, yet or any more, and nothing was asked.
 * -EAGAIN: a single-threaded engine has more cancels from other threads waiting than it can hold
 * (as many as its depth, 1024 at most); nothing was asked. Safe against reuse; the pool must
 * outlive the call. */
REOP_API int reop_cancel(reop_op *op, uint64_t use);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* REOP_REOP_H */
