/* SPDX-License-Identifier: MIT
 *
 * The completion port. After an overlapped call there is one question: will a packet come? commit()
 * answers it, from what the call returned and what the file was granted and from nothing else: a
 * packet that comes may have been reaped by another thread before the call returned, and the op
 * launched again.
 *
 * Helper threads do no I/O. They run FlushFileBuffers, which has no overlapped form, and one posts
 * again a wake that the system had no memory for.
 */
#include "engine.h"
#include "error.h"
#include "offload.h"
#include "plain.h"

#include <reop/win32.h>

#define BATCH    64u
#define FILE_KEY ((ULONG_PTR) 0)
#define WAKE_KEY ((ULONG_PTR) 1)
#define RETRY_NS INT64_C(1000000)

#define MILLISECONDS_MAX (INFINITE - 1) /* more is not forever */

/* file->table: successes come without a packet. It holds for the file, and is asked of no call. */
#define TABLE_SKIPS 1u

#define NOTIFICATION_CLASS            41    /* FileIoCompletionNotificationInformation */
#define STATUS_OF_PENDING             0x103 /* STATUS_PENDING */
#define RESERVE_IO_COMPLETION         1     /* MemoryReserveIoCompletion */
#define FILE_REPLACE_COMPLETION_CLASS 61    /* FileReplaceCompletionInformation, Windows 8.1 */

struct io_status { /* IO_STATUS_BLOCK */
    void *status;
    ULONG_PTR information;
};

struct file_completion { /* FILE_COMPLETION_INFORMATION */
    HANDLE port;
    void *key;
};

/* What ntdll exports and not every system has: looked up, never imported. */
typedef void procedure(void);
typedef ULONG(WINAPI status_to_error)(LONG status);
typedef LONG(WINAPI allocate_reserve)(HANDLE *reserve, void *attributes, int type);
typedef LONG(WINAPI post_reserved)(HANDLE port, HANDLE reserve, void *key, void *overlapped,
                                   LONG status, ULONG_PTR bytes);
typedef LONG(WINAPI query_information)(HANDLE file, struct io_status *io_status, void *information,
                                       ULONG size, int class);
typedef LONG(WINAPI set_information)(HANDLE file, struct io_status *io_status, void *information,
                                     ULONG size, int class);

struct iocp {
    HANDLE port;
    HANDLE reserve; /* a packet set aside, so that a post cannot fail. NULL: this system has none */
    status_to_error *status_to_error;
    post_reserved *post_reserved;
    query_information *query_information;
    set_information *set_information;
    size_t page_size;
    struct slot wake;          /* a wake's packet brings its op, which is never in flight */
    _Atomic uint32_t notified; /* a wake is on its way: at most one is */

    struct plain_asked asked; /* of a plain reap; and what the port gave it */
    ULONG arrived;
    OVERLAPPED_ENTRY entries[BATCH];

    struct sync_mutex lock; /* guards the two below */
    struct sync_cond changed;
    bool post_failed; /* and has to be tried again */
    bool stopping;
    struct sync_thread poster;

    struct offload flushers;
    struct sync_thread flusher_threads[];
};

static_assert(sizeof(OVERLAPPED) == sizeof(struct reop_overlapped) &&
                  offsetof(OVERLAPPED, Internal) == offsetof(struct reop_overlapped, internal) &&
                  offsetof(OVERLAPPED, InternalHigh) ==
                      offsetof(struct reop_overlapped, internal_high) &&
                  offsetof(OVERLAPPED, Offset) == offsetof(struct reop_overlapped, offset) &&
                  offsetof(OVERLAPPED, OffsetHigh) ==
                      offsetof(struct reop_overlapped, offset_high) &&
                  offsetof(OVERLAPPED, hEvent) == offsetof(struct reop_overlapped, event),
              "the public overlapped is the system's");

/* --- outcomes ---------------------------------------------------------------------------- */

/* What the system said, in the words of reop.h. The op is ours. */
static void settle(reop_op *op, DWORD error, DWORD bytes)
{
    bool reads = op->kind == REOP_KIND_READ || op->kind == REOP_KIND_READV;

    op->os_error = error;
    if (error == ERROR_SUCCESS || error == ERROR_MORE_DATA)
        op->result = bytes;
    else if (error == ERROR_PIPE_CONNECTED ||
             (reads && (error == ERROR_HANDLE_EOF || error == ERROR_BROKEN_PIPE)))
        op->result = 0;
    else
        op->result = -error_from_system(error);
}

/* Ends a submit: who has the op now? ERROR_MORE_DATA is the one warning among the answers: like a
 * success it queues a packet, and the call's own count is 0. */
static reop_status commit(reop_engine *engine, struct slot *slot, uint32_t granted, DWORD error,
                          DWORD bytes)
{
    bool warning = error == ERROR_MORE_DATA;

    if (error == ERROR_IO_PENDING || (!granted && (error == ERROR_SUCCESS || warning)))
        return REOP_PENDING; /* the packet's. Even to look at the op would be wrong */
    if (warning)
        bytes = (DWORD) slot->op.overlapped.internal_high;
    settle(&slot->op, error, bytes);
    return engine_answer(engine, slot);
}

/* --- submit ------------------------------------------------------------------------------ */

static uint32_t granted_to(reop_file *file)
{
    return atomic_load_explicit(&file->table, memory_order_relaxed); /* set before it was opened */
}

static OVERLAPPED *prepare(reop_op *op, uint64_t offset)
{
    op->overlapped = (struct reop_overlapped){.offset = (uint32_t) offset,
                                              .offset_high = (uint32_t) (offset >> 32)};
    return (OVERLAPPED *) (void *) &op->overlapped;
}

/* The system locks all the pages, and is done with the array, before the call returns. */
static DWORD call_pieces(HANDLE handle, reop_op *op, OVERLAPPED *overlapped, uint32_t granted,
                         DWORD *bytes_out)
{
    FILE_SEGMENT_ELEMENT segments[REOP_PIECES_MAX + 1];
    const struct reop_piece *pieces = op->data;
    uint32_t count = op->size;
    DWORD size = 0;
    BOOL done;

    for (uint32_t i = 0; i < count; i++) {
        segments[i].Alignment = (uintptr_t) pieces[i].data;
        size += (DWORD) pieces[i].size;
    }
    segments[count].Alignment = 0;
    if (op->kind == REOP_KIND_READV)
        done = ReadFileScatter(handle, segments, size, NULL, overlapped);
    else
        done = WriteFileGather(handle, segments, size, NULL, overlapped);
    if (!done)
        return GetLastError();
    if (granted) /* else a packet is coming, and overlapped is not ours */
        *bytes_out = (DWORD) overlapped->InternalHigh;
    return ERROR_SUCCESS;
}

static DWORD call(HANDLE handle, reop_op *op, uint32_t granted, DWORD *bytes_out)
{
    OVERLAPPED *overlapped = prepare(op, op->offset);
    BOOL done;

    if (op->kind == REOP_KIND_READ)
        done = ReadFile(handle, op->data, op->size, bytes_out, overlapped);
    else if (op->kind == REOP_KIND_WRITE)
        done = WriteFile(handle, op->data, op->size, bytes_out, overlapped);
    else
        return call_pieces(handle, op, overlapped, granted, bytes_out);
    return done ? ERROR_SUCCESS : GetLastError();
}

static reop_status submit_sync(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct iocp *iocp = engine->state;

    if (file->stream) { /* FlushFileBuffers of a pipe waits for its reader, for ever perhaps */
        settle(&slot->op, ERROR_INVALID_FUNCTION, 0);
        return engine_answer(engine, slot);
    }
    offload_push(&iocp->flushers, slot, true);
    return REOP_PENDING;
}

static reop_status iocp_submit(reop_engine *engine, reop_file *file, struct slot *slot)
{
    uint32_t granted = granted_to(file);
    uint64_t start;
    DWORD bytes = 0;
    DWORD error;

    if (slot->op.kind == REOP_KIND_SYNC || slot->op.kind == REOP_KIND_SYNC_DATA)
        return submit_sync(engine, file, slot);
    start = sync_tick();
    error = call((HANDLE) file->handle, &slot->op, granted, &bytes);
    engine_called(engine, file, sync_tick() - start);
    return commit(engine, slot, granted, error, bytes);
}

/* Since the launch: what the call took. The owner has not reaped the op meanwhile: it is we; so the
 * load need not be an atomic one. */
static inline uint64_t ticks_since(const reop_op *op)
{
    return sync_tick() - *(const uint64_t *) (const void *) &slot_of(op)->launched;
}

/* The rest of a plain transfer, when it was not just pending. */
static REOP_APART reop_status answered(reop_op *op, DWORD error)
{
    DWORD bytes = op->os_error;
    reop_file *file = op->file;

    engine_called(file->engine, file, ticks_since(op));
    return commit(file->engine, slot_of(op), granted_to(file), error, bytes);
}

/* The plain way. Little outlives the call, so that little has to be saved for it: its arguments are
 * had back from the op, and its count goes where the landing puts the system's code. */
static inline reop_status transfer(reop_op *op, reop_file *file, enum reop_kind kind, void *data,
                                   uint32_t size, uint64_t offset, reop_engine *engine)
{
    struct slot *slot = slot_of(op);
    OVERLAPPED *overlapped;
    DWORD *bytes_out;
    DWORD error;
    BOOL done;

    if (REOP_UNLIKELY(!plain_submits(slot, engine) || !plain_enters(file, offset)))
        return (kind == REOP_KIND_READ ? read_the_long_way
                                       : write_the_long_way)(op, file, data, size, offset, engine);
    plain_fill(op, file, kind, data, size, offset);
    overlapped = prepare(op, offset);
    engine_date(slot, sync_tick());
    plain_launch(slot, engine);
    atomic_signal_fence(memory_order_seq_cst); /* so that no register is kept for them */
    bytes_out = (DWORD *) (void *) &op->os_error;
    if (kind == REOP_KIND_READ)
        done = ReadFile((HANDLE) file->handle, op->data, op->size, bytes_out, overlapped);
    else
        done = WriteFile((HANDLE) file->handle, op->data, op->size, bytes_out, overlapped);
    if (done)
        return answered(op, ERROR_SUCCESS);
    error = GetLastError();
    if (REOP_UNLIKELY(error != ERROR_IO_PENDING))
        return answered(op, error);
    if (REOP_UNLIKELY(engine_stalls(ticks_since(op))))
        return answered(op, ERROR_IO_PENDING);
    return REOP_PENDING;
}

static reop_status read_plain(reop_op *op, reop_file *file, void *data, uint32_t size,
                              uint64_t offset, reop_engine *engine)
{
    return transfer(op, file, REOP_KIND_READ, data, size, offset, engine);
}

static reop_status write_plain(reop_op *op, reop_file *file, void *data, uint32_t size,
                               uint64_t offset, reop_engine *engine)
{
    return transfer(op, file, REOP_KIND_WRITE, data, size, offset, engine);
}

/* ReadFileScatter and WriteFileGather move whole pages, and only past the cache. */
static bool iocp_takes_pieces(const reop_file *file, const struct reop_piece *pieces,
                              uint32_t count)
{
    const struct iocp *iocp = file->engine->state;

    if (!(file->flags & REOP_FILE_DIRECT))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (pieces[i].size != iocp->page_size || (uintptr_t) pieces[i].data % iocp->page_size != 0)
            return false;
    return true;
}

static int iocp_flush(reop_engine *engine)
{
    (void) engine; /* a submit is a system call: nothing is ever queued here */
    return 0;
}

reop_status reop_call_begin(reop_call *call, reop_op *op, reop_file *file, uint64_t offset)
{
    reop_status status = submit_native_begin(op, file, NULL, offset, call == NULL);

    if (status != REOP_PENDING)
        return status;
    call->overlapped = prepare(op, offset);
    call->op = op;
    call->file = file;
    call->engine = file->engine;
    call->granted = granted_to(file);
    return REOP_PENDING;
}

reop_status reop_call_commit(reop_call *call, DWORD error, DWORD bytes)
{
    reop_status status = commit(call->engine, slot_of(call->op), call->granted, error, bytes);

    submit_native_end(call->file);
    return status;
}

/* A flusher's work. */
static void flush_one(void *context, struct slot *slot)
{
    reop_op *op = &slot->op;

    settle(op, FlushFileBuffers((HANDLE) op->file->handle) ? ERROR_SUCCESS : GetLastError(), 0);
    engine_ready(context, slot);
}

static void iocp_cancel(reop_engine *engine, struct slot *slot)
{
    struct iocp *iocp = engine->state;
    reop_op *op = &slot->op;

    if (op->kind != REOP_KIND_SYNC && op->kind != REOP_KIND_SYNC_DATA) {
        /* Whatever it answers, the op comes back as it would have: ERROR_NOT_FOUND does not mean
         * that no packet is coming. */
        CancelIoEx((HANDLE) op->file->handle, (OVERLAPPED *) (void *) &op->overlapped);
    } else if (offload_remove(&iocp->flushers, slot)) {
        settle(op, ERROR_OPERATION_ABORTED, 0);
        engine_ready(engine, slot);
    } /* else a flusher has it, and will finish */
}

/* --- wake -------------------------------------------------------------------------------- */

static bool post(struct iocp *iocp)
{
    OVERLAPPED *overlapped = (OVERLAPPED *) (void *) &iocp->wake.op.overlapped;

    if (iocp->reserve != NULL &&
        iocp->post_reserved(iocp->port, iocp->reserve, (void *) WAKE_KEY, overlapped, 0, 0) >= 0)
        return true;
    return PostQueuedCompletionStatus(iocp->port, 0, WAKE_KEY, overlapped);
}

static void iocp_interrupt(reop_engine *engine)
{
    struct iocp *iocp = engine->state;

    if (atomic_exchange(&iocp->notified, 1) != 0 || post(iocp)) /* pairs with arrive() */
        return;
    sync_lock(&iocp->lock);
    iocp->post_failed = true;
    sync_unlock(&iocp->lock);
    sync_signal(&iocp->changed);
}

/* Posting takes memory of the kernel's and can fail, and everybody who could try again may be
 * asleep, waiting for that very packet. */
static void post_again(void *argument)
{
    struct iocp *iocp = argument;

    sync_lock(&iocp->lock);
    while (!iocp->stopping) {
        iocp->post_failed = iocp->post_failed && !post(iocp);
        sync_wait(&iocp->changed, &iocp->lock,
                  iocp->post_failed ? sync_deadline_ns(RETRY_NS) : SYNC_NEVER);
    }
    sync_unlock(&iocp->lock);
}

static void stop_poster(struct iocp *iocp)
{
    sync_lock(&iocp->lock);
    iocp->stopping = true;
    sync_unlock(&iocp->lock);
    sync_signal(&iocp->changed);
    sync_thread_join(&iocp->poster);
}

/* --- collect ----------------------------------------------------------------------------- */

/* The op of one packet, its outcome stored; NULL when it is none's. */
static reop_op *arrive(reop_engine *engine, const OVERLAPPED_ENTRY *entry)
{
    struct iocp *iocp = engine->state;
    DWORD bytes = entry->dwNumberOfBytesTransferred;
    struct slot *slot;
    LONG status;

    if (entry->lpCompletionKey == WAKE_KEY) {
        atomic_store(&iocp->notified, 0); /* before anybody looks at engine->attention again */
        return NULL;
    }
    slot = slot_of((reop_op *) (void *) entry->lpOverlapped);
    /* Low half: it is a 32-bit NTSTATUS, and the rest may be anything. */
    status = (LONG) (uint32_t) slot->op.overlapped.internal;
    if (REOP_UNLIKELY((slot_word(slot) & SLOT_STATE) != SLOT_IN_FLIGHT ||
                      status == STATUS_OF_PENDING)) {
        /* One too many: after a call that was answered at once, say, where nothing stored the
         * status. An op in flight that has another packet to come must not be ended by it. */
        atomic_fetch_add_explicit(&engine->unexpected, 1, memory_order_relaxed);
        if (trace_on(error))
            trace_strayed(engine, &slot->op);
        return NULL;
    }
    slot->op.os_error = ERROR_SUCCESS;
    slot->op.result = bytes;
    if (REOP_LIKELY(status == 0))
        return &slot->op;
    settle(&slot->op, iocp->status_to_error(status), bytes);
    if (status > 0) /* a success with something to say: the system's code stays beside the count */
        slot->op.result = bytes;
    return &slot->op;
}

static DWORD milliseconds(int64_t ns)
{
    if (ns < 0)
        return INFINITE;
    if (ns > (int64_t) MILLISECONDS_MAX * 1000000 - 999999)
        return MILLISECONDS_MAX;
    return (DWORD) ((ns + 999999) / 1000000);
}

/* The port gave nothing: what collect() answers. */
static int no_packet(void)
{
    DWORD error = GetLastError();

    return error == ERROR_SUCCESS || error == WAIT_TIMEOUT ? 0 : -error_from_system(error);
}

static int iocp_collect(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    const struct iocp *iocp = engine->state;
    OVERLAPPED_ENTRY entries[BATCH];
    ULONG arrived;
    int count = 0;

    if (max == 0)
        return 0;
    if (!GetQueuedCompletionStatusEx(iocp->port, entries, max < BATCH ? max : BATCH, &arrived,
                                     milliseconds(timeout_ns), FALSE))
        return no_packet(); /* what it stored means nothing */
    for (ULONG i = 0; i < arrived; i++) {
        reop_op *op = arrive(engine, &entries[i]);

        if (REOP_LIKELY(op != NULL))
            ops[count++] = op;
    }
    return count;
}

/* The rest of a plain reap: packets that the plain way has no eye for. */
static REOP_APART int reap_rest(struct iocp *iocp, uint32_t landed_count)
{
    reop_engine *engine = iocp->asked.engine;
    struct landed landed = engine_landed_none(engine);
    uint32_t count = landed_count;

    for (uint32_t i = landed_count; i < iocp->arrived; i++) {
        reop_op *op = arrive(engine, &iocp->entries[i]);

        if (op != NULL) {
            engine_land(engine, slot_of(op), &landed);
            iocp->asked.ops[count++] = op;
        }
    }
    engine_count_landed(engine, landed);
    return plain_reap_answer(&iocp->asked, count, 0);
}

static REOP_APART int reap_no_packet(const struct iocp *iocp)
{
    return plain_reap_answer(&iocp->asked, 0, no_packet());
}

/* An op succeeded. A wake's is not in flight. */
static inline bool is_plain(const reop_op *op)
{
    return (uint32_t) op->overlapped.internal == 0 && slot_is(slot_of(op), SLOT_IN_FLIGHT);
}

/* The plain way: lands the ops that come first, as long as they are plain and of one file. All
 * calls but the one are its last act. */
static int reap_plain(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct iocp *iocp = engine->state;
    const OVERLAPPED_ENTRY *entry, *end;
    reop_op *op, **next;
    uint64_t land_bits;
    reop_file *file;

    if (REOP_UNLIKELY(timeout_ns > 0 || !plain_reaps(engine, ops, max))) /* gather() counts time */
        return reap_the_long_way(engine, ops, max, timeout_ns);
    plain_reap_begin(&iocp->asked, engine, ops, max, timeout_ns);
    if (REOP_UNLIKELY(!GetQueuedCompletionStatusEx(iocp->port, iocp->entries,
                                                   max < BATCH ? max : BATCH, &iocp->arrived,
                                                   timeout_ns < 0 ? INFINITE : 0, FALSE)))
        return reap_no_packet(iocp);
    entry = iocp->entries;
    end = entry + iocp->arrived;
    op = (reop_op *) (void *) entry->lpOverlapped;
    if (REOP_UNLIKELY(entry == end || !is_plain(op)))
        return reap_rest(iocp, 0);
    engine = iocp->asked.engine;
    land_bits = engine->pools[0].land_bits;
    ops = next = iocp->asked.ops;
    file = op->file;
    for (;;) {
        op->result = entry->dwNumberOfBytesTransferred;
        op->os_error = ERROR_SUCCESS;
        slot_land_plain(slot_of(op), land_bits);
        *next++ = op;
        if (++entry == end)
            break;
        op = (reop_op *) (void *) entry->lpOverlapped;
        if (REOP_UNLIKELY(!is_plain(op) || op->file != file))
            break;
    }
    plain_count_landed(file, (uint32_t) (next - ops));
    if (REOP_UNLIKELY(entry != end))
        return reap_rest(iocp, (uint32_t) (next - ops));
    plain_reap_end(engine);
    return (int) (next - ops);
}

/* --- files ------------------------------------------------------------------------------- */

/* Do successes come without a packet? The mode stays with a handle for ever, so it may be older
 * than we are. otherwise: the answer where the system does not tell. */
static bool skips(const struct iocp *iocp, HANDLE handle, bool otherwise)
{
    struct io_status io_status;
    ULONG modes;

    if (iocp->query_information == NULL ||
        iocp->query_information(handle, &io_status, &modes, sizeof modes, NOTIFICATION_CLASS) < 0)
        return otherwise;
    return (modes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != 0;
}

static int iocp_attach(reop_engine *engine, reop_file *file)
{
    struct iocp *iocp = engine->state;
    HANDLE handle = (HANDLE) file->handle;
    bool packets = (file->flags & REOP_FILE_PACKETS) != 0;
    UCHAR modes = FILE_SKIP_SET_EVENT_ON_HANDLE;
    bool set;

    if (packets && skips(iocp, handle, false))
        return -ENOTSUP;
    if (CreateIoCompletionPort(handle, iocp->port, FILE_KEY, 0) == NULL) {
        DWORD error = GetLastError();

        /* It has a port already, or is not overlapped. */
        return error == ERROR_INVALID_PARAMETER ? -ENOTSUP : -error_from_system(error);
    }
    if (!packets)
        modes |= FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;
    set = SetFileCompletionNotificationModes(handle, modes);
    atomic_store_explicit(&file->table, skips(iocp, handle, set && !packets) ? TABLE_SKIPS : 0,
                          memory_order_relaxed); /* file->open publishes it */
    return 0;
}

/* The handle keeps its notification modes: they cannot be taken back. */
static int iocp_detach(reop_engine *engine, reop_file *file, bool closing)
{
    struct iocp *iocp = engine->state;
    struct file_completion none = {NULL, NULL};
    struct io_status io_status;

    if (closing)
        return 0; /* with its handle it leaves the port */
    if (iocp->set_information == NULL ||
        iocp->set_information((HANDLE) file->handle, &io_status, &none, sizeof none,
                              FILE_REPLACE_COMPLETION_CLASS) < 0)
        return -ENOTSUP;
    return 0;
}

static void iocp_register_pool(reop_engine *engine, uint32_t index)
{
    (void) engine; /* the port takes any memory */
    (void) index;
}

/* --- create ------------------------------------------------------------------------------ */

static size_t iocp_state_size(const reop_engine_config *config)
{
    return sizeof(struct iocp) + config->sync_threads * sizeof(struct sync_thread);
}

static procedure *find(const char *name)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");

    return ntdll == NULL ? NULL : (procedure *) GetProcAddress(ntdll, name);
}

static void find_all(struct iocp *iocp)
{
    allocate_reserve *allocate = (allocate_reserve *) find("NtAllocateReserveObject");

    iocp->status_to_error = (status_to_error *) find("RtlNtStatusToDosError");
    iocp->query_information = (query_information *) find("NtQueryInformationFile");
    iocp->set_information = (set_information *) find("NtSetInformationFile");
    iocp->post_reserved = (post_reserved *) find("NtSetIoCompletionEx");
    if (iocp->post_reserved == NULL || allocate == NULL ||
        allocate(&iocp->reserve, NULL, RESERVE_IO_COMPLETION) < 0)
        iocp->reserve = NULL;
}

static void close_handles(struct iocp *iocp)
{
    if (iocp->reserve != NULL)
        CloseHandle(iocp->reserve);
    CloseHandle(iocp->port);
}

static int iocp_create(reop_engine *engine, const reop_engine_config *config)
{
    struct iocp *iocp = engine->state;
    int error;

    engine->read = read_plain;
    engine->write = write_plain;
    engine->reap = reap_plain;
    iocp->asked.engine = engine;
    iocp->page_size = sync_page_size();
    iocp->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, config->threads);
    if (iocp->port == NULL)
        return -error_from_system(GetLastError());
    find_all(iocp);
    if (iocp->status_to_error == NULL) {
        engine_say(engine, "iocp: this ntdll has no RtlNtStatusToDosError");
        error = -ENOTSUP;
        goto close;
    }
    sync_mutex_init(&iocp->lock);
    sync_cond_init(&iocp->changed);
    error = sync_thread_start(&iocp->poster, post_again, iocp);
    if (error < 0)
        goto destroy_lock;
    error = offload_start(&iocp->flushers, iocp->flusher_threads, config->sync_threads, flush_one,
                          engine);
    if (error == 0)
        return 0;

    engine_say(engine, "iocp: cannot start %u flushers", (unsigned) config->sync_threads);
    stop_poster(iocp);
destroy_lock:
    sync_cond_destroy(&iocp->changed);
    sync_mutex_destroy(&iocp->lock);
close:
    close_handles(iocp);
    return error;
}

static void iocp_destroy(reop_engine *engine)
{
    struct iocp *iocp = engine->state;

    offload_stop(&iocp->flushers); /* first: a flusher may still be about to interrupt */
    stop_poster(iocp);
    sync_cond_destroy(&iocp->changed);
    sync_mutex_destroy(&iocp->lock);
    close_handles(iocp);
}

const struct backend iocp_backend = {
    .name = "iocp",
    .id = REOP_BACKEND_IOCP,
    .kinds = 1u << REOP_KIND_READ | 1u << REOP_KIND_WRITE | 1u << REOP_KIND_READV |
             1u << REOP_KIND_WRITEV | 1u << REOP_KIND_SYNC | 1u << REOP_KIND_SYNC_DATA |
             1u << REOP_KIND_NATIVE,
    .depth_max = UINT32_MAX,
    .state_size = iocp_state_size,
    .create = iocp_create,
    .destroy = iocp_destroy,
    .register_pool = iocp_register_pool,
    .attach = iocp_attach,
    .detach = iocp_detach,
    .submit = iocp_submit,
    .takes_pieces = iocp_takes_pieces,
    .flush = iocp_flush,
    .collect = iocp_collect,
    .interrupt = iocp_interrupt,
    .cancel = iocp_cancel,
};
