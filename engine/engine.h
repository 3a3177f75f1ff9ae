/* SPDX-License-Identifier: MIT
 *
 * The engine that all backends share: who owns it, what is in flight, what is ready to be reaped,
 * and the table of files.
 *
 * Equations, exact when nothing is under way:
 *     submitted - completed          == I/O ops in flight of a file; an engine's are its files'
 *     posted - unposted              == posts in flight
 */
#ifndef REOP_ENGINE_H
#define REOP_ENGINE_H

#include "backend.h"
#include "pool.h"
#include "trace.h"

#include <reop/sim.h>

/* Work for whoever reaps next; the hot path reads all of it with one load. */
#define ENGINE_WAKE    1u  /* reop_wake() */
#define ENGINE_READY   2u  /* the shared ready list is not empty */
#define ENGINE_CANCELS 4u  /* the mailbox is not empty */
#define ENGINE_CHORES  8u  /* the backend has work that only the owner can do */
#define ENGINE_STOP    16u /* reop_stop(); stays */
#define ENGINE_UNARMED 32u /* no interrupt reaches the backend until its next collect() */

#define ENGINE_CANCELS_MAX 1024u

/* Intrusive, first in first out, linked by slot->link. */
struct queue {
    struct slot *head;
    struct slot *tail;
};

static inline void queue_push(struct queue *queue, struct slot *slot)
{
    slot->link = NULL;
    if (queue->head == NULL)
        queue->head = slot;
    else
        queue->tail->link = slot;
    queue->tail = slot;
}

static inline struct slot *queue_pop(struct queue *queue)
{
    struct slot *slot = queue->head;

    if (slot != NULL)
        queue->head = slot->link;
    return slot;
}

struct engine_pool {
    reop_pool *pool;
    uint64_t launch_bits; /* for slot_launch; the holder among them */
    uint64_t land_bits;   /* for slot_land_plain */
    /* What the system has registered of the slab's buffers. fixed_size 0: nothing. */
    uintptr_t fixed_base;
    uintptr_t fixed_end;  /* if one registered buffer covers all; else fixed_base */
    size_t fixed_size;    /* what all of them cover */
    size_t fixed_chunk;   /* what each covers */
    uint64_t fixed_index; /* of the first */
    const struct slab *slab;
};

/* fault.c: faults over this engine's backend. */
struct faults {
    struct reop_faults config;
    const struct backend *backend; /* the real one; NULL: switched off */
    reop_status (*submit)(reop_engine *engine, reop_file *file, struct slot *slot);
    struct backend copy; /* of it, with calls exchanged */
    _Atomic uint64_t random;
    struct sync_mutex lock;
    struct queue held; /* completed, and delayed; guarded by lock */
};

struct engine_cancel {
    struct slot *slot;
    uint64_t use;
};

/* file->open. KNOWN: a submit has returned, so the backend knows the file. */
enum file_gate { FILE_SHUT, FILE_OPEN, FILE_KNOWN };

/* file->plain_end while the backend knows the file and it has no alignment, else 0: transfers that
 * begin below it need no look at where they go, as no size makes them end too far. */
#define FILE_PLAIN_END (UINT64_C(1) << 62)

struct reop_file {
    /* A cache line for what a submit and a landing look at. The counts go on when the place is used
     * again: an engine's are the sum of its files'. */
    _Alignas(64) reop_engine *engine;
    _Atomic uint64_t submitted; /* counted before the gates are checked, and taken back when they
                                 * refuse */
    _Atomic uint64_t queued;    /* beside them: counted under a lock of the backend's, and the gates
                                 * looked at before. See settle() */
    _Atomic uint64_t completed;
    _Atomic uint32_t open; /* enum file_gate */
    /* The backend's own: kept when the place is used again. */
    _Atomic uint32_t table;
    uint64_t native;
    _Atomic uint64_t plain_end; /* shut and opened with open */
    reop_handle handle;

    _Atomic uint64_t inside;   /* submits under way that are not done with the file when others can
                                * have the op */
    uint64_t submitted_before; /* by those that had the place before */
    bool stream;
    bool regular;
    bool masked;          /* any of the next three is not 0 */
    uint64_t offset_mask; /* bits that must be zero in an offset: alignment; all for a stream */
    uint32_t size_mask;   /* in a size */
    uint32_t memory_mask; /* in a data pointer */
    uint32_t flags;       /* READ, WRITE, DIRECT, DURABLE, PACKETS that were granted */
    _Atomic uint64_t stalls;
    _Atomic uint64_t stall_ns;
    _Atomic uint64_t sync_error; /* errno << 32 | os_error of the first failed sync, 0: none */
    struct reop_file *next_free;
};

/* Seq_cst, both: pairs with the gates, which are shut before. */
static inline uint64_t file_submitted(const reop_file *file)
{
    return atomic_load(&file->submitted) + atomic_load(&file->queued);
}

/* Between the two close answers -EBUSY, whatever became of the op. */
static inline void file_stay(reop_file *file)
{
    atomic_fetch_add(&file->inside, 1); /* pairs with file_busy; before anybody can have the op */
}

static inline void file_leave(reop_file *file)
{
    /* Pairs with file_busy: the file and the engine may go once this is seen. */
    atomic_fetch_sub(&file->inside, 1);
}

/* reop_read() and reop_write(), whose arguments lie in the same registers; and reop_reap().
 * Backends that know a plain way (plain.h) put their own in place of the long ones. */
typedef reop_status engine_transfer(reop_op *op, reop_file *file, void *data, uint32_t size,
                                    uint64_t offset, reop_engine *engine);
typedef int engine_reap(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns);

struct reop_engine {
    /* Constant after create, but for the owner. */
    reop_status (*submit)(reop_engine *engine, reop_file *file, struct slot *slot);
    engine_transfer *read;
    engine_transfer *write;
    engine_reap *reap;
    void *state; /* the backend's */
    /* The owner while nothing can refuse what it submits and nobody traces it: not metered, not
     * stopping. Else 0, and submits go the long way; as they do where the backend has no other. And
     * while there is no attention to be paid in a reap either. Of an engine that threads share, the
     * first is 1 instead of the owner; and settle() is called after it was shut, where it matters.
     */
    _Atomic uintptr_t plain_owner;
    _Atomic uintptr_t plain_reaper;
    _Atomic uint32_t owner_reaps; /* instead of reapers, where counts are not shared */
    uint32_t flags;

    /* The first has a cache line: all that a plain way looks at is in it or above. */
    _Alignas(64) struct engine_pool pools[REOP_ENGINE_POOLS];
    _Atomic uint32_t pool_count;

    uint32_t depth;
    const struct backend *backend;
    bool single;
    bool
        counts_shared; /* counters need RMW: several threads, or no sync_barrier() to see them by */
    bool parts; /* letting go of a lock of the backend's is submit's last touch of file and engine,
                 * REOP_KIND_NATIVE excepted; and the op is dated after that */
    bool metered;        /* in_flight is counted: depth may not cover every op */
    _Atomic bool summed; /* of threads that share the engine: depth does not cover the ops of pools
                          * that came later, and what is in flight is summed up at each submit */
    _Atomic uintptr_t owner;    /* of a single-threaded engine: 0 until the first submit or reap */
    _Atomic uint32_t attention; /* ENGINE_WAKE... */
    struct queue own;           /* the ready list of a single-threaded engine's owner: no lock */

    _Alignas(64) _Atomic uint32_t reapers; /* threads inside reap */
    _Atomic uint64_t in_flight;
    _Atomic uint64_t posted;
    _Atomic uint64_t unposted;
    _Atomic uint64_t failed;
    _Atomic uint64_t rejected;
    _Atomic uint64_t cancelled;
    _Atomic uint64_t stalls;
    _Atomic uint64_t stall_ns;
    _Atomic uint64_t unexpected;
    _Atomic uint32_t turn;       /* which of ready list and system is served first */
    struct sync_mutex *pin_lock; /* whoever pins or unpins an op holds it, if the backend has one
                                  * under which it lands them */

    struct sync_mutex lock; /* guards ready, cancels, pools and the file table */
    struct queue ready;
    struct engine_cancel *cancels; /* a ring of cancel_count */
    uint32_t cancel_count;
    uint64_t cancel_head; /* both count cancels, and do not wrap */
    uint64_t cancel_tail;
    struct reop_file *files;
    struct reop_file *free_files;
    uint64_t slot_count; /* of all pools */
    uint32_t file_count;
    _Atomic uint32_t files_used; /* places that ever had a file: the first ones */
    uint32_t files_open;
    uint64_t born_tick; /* two clocks at create, to tell one by the other */
    int64_t born_ns;
    char why[512];
    struct faults faults;

    /* The tracer's: of all engines, and when this one last wrote its rundown. */
    reop_engine *next_traced;
    _Atomic int64_t rundown_ns;
};

/* Adds a sentence to reop_engine_why(). */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void engine_say(reop_engine *engine, const char *format, ...);

/* The cold halves. */
void engine_own_first(reop_engine *engine);
void engine_ready(reop_engine *engine, struct slot *slot); /* from any thread, wakes a reaper */
void engine_ask(reop_engine *engine, uint32_t attention);  /* sets it and wakes a reaper */
/* Of an engine that threads share. Unpinning delivers what has landed meanwhile. */
bool engine_pin(reop_engine *engine, struct slot *slot, uint64_t use);
void engine_unpin(reop_engine *engine, struct slot *slot);
const struct engine_pool *engine_find_pool(const reop_engine *engine, const reop_pool *pool);
static inline const struct engine_pool *engine_pool_of(const reop_engine *engine,
                                                       const struct slot *slot)
{
    return REOP_LIKELY(slot->pool == engine->pools[0].pool) ? &engine->pools[0]
                                                            : engine_find_pool(engine, slot->pool);
}

void engine_stalled(reop_engine *engine, reop_file *file, uint64_t ticks);
bool engine_finished(reop_engine *engine);
void engine_meter(reop_engine *engine); /* owner: from now on in_flight is counted */
uint64_t engine_submitted(reop_engine *engine);
uint64_t engine_in_flight(reop_engine *engine);
bool engine_overfull(reop_engine *engine); /* for engine->summed */
void engine_judge(reop_engine *engine);    /* owner: whether the plain way is open from here on */

/* The long ways: any engine, any thread, anything to look at. */
reop_status transfer_the_long_way(reop_op *op, reop_file *file, enum reop_kind kind, void *data,
                                  uint32_t size, uint64_t offset);
engine_transfer read_the_long_way;
engine_transfer write_the_long_way;
engine_reap reap_the_long_way;
engine_reap reap_inside; /* what is left of it for who has counted itself in */

/* The first thread that submits or reaps owns a single-threaded engine; another aborts. */
static inline void engine_own(reop_engine *engine)
{
    uintptr_t owner;

    if (!engine->single)
        return;
    owner = atomic_load_explicit(&engine->owner, memory_order_relaxed); /* set once, by ourselves */
    if (REOP_LIKELY(owner == sync_thread_self()))
        return;
    engine_own_first(engine);
}

static inline bool engine_owned(const reop_engine *engine)
{
    return engine->single && atomic_load_explicit(&engine->owner, memory_order_relaxed) ==
                                 sync_thread_self(); /* no partner: only we set it to ourselves */
}

/* slot->launched says when the system was asked for the op, about: ticks. 0: it has not been yet.
 * With this bit: just when, in nanoseconds, since somebody traces the op. While an owner has one
 * queued the plain way it says nothing. */
#define DATE_EXACT (UINT64_C(1) << 63)

static inline void engine_date(struct slot *slot, uint64_t date)
{
    atomic_store_explicit(&slot->launched, date, memory_order_relaxed); /* the launch orders it */
}

static inline uint64_t engine_date_of(const struct slot *slot)
{
    return atomic_load_explicit(&slot->launched, memory_order_relaxed); /* as in engine_date */
}

/* One writer: a plain increment that others may read. Several: an RMW, seq_cst because closing a
 * file and stopping are store-then-load races against it. With one writer sync_barrier() takes that
 * part. */
static inline void engine_count(_Atomic uint64_t *counter, bool shared)
{
    if (shared) {
        atomic_fetch_add(counter, 1);
        return;
    }
    /* Release pairs with file_busy: a file closes after all that its ops did. */
    sync_add_alone(counter, 1);
    atomic_signal_fence(memory_order_seq_cst);
}

/* A call into the system has taken so long that it may be worth counting: less is less than a
 * millisecond. */
static inline bool engine_stalls(uint64_t ticks)
{
    return ticks >> 18 != 0;
}

static inline void engine_called(reop_engine *engine, reop_file *file, uint64_t ticks)
{
    if (REOP_UNLIKELY(engine_stalls(ticks)))
        engine_stalled(engine, file, ticks);
}

static inline void engine_uncount(_Atomic uint64_t *counter, uint64_t count, bool shared)
{
    if (shared)
        atomic_fetch_sub(counter, count);
    else
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - count,
                              memory_order_relaxed); /* as in engine_count */
}

/* Ops that have landed and are not counted yet: a batch is mostly of one file. */
struct landed {
    reop_file *file;
    uint32_t count;
};

static inline struct landed engine_landed_none(const reop_engine *engine)
{
    return (struct landed){engine->files, 0}; /* some file: a post has none */
}

/* Before the caller may use the ops. */
static inline void engine_count_landed(reop_engine *engine, struct landed landed)
{
    _Atomic uint64_t *completed = &landed.file->completed;

    if (landed.count == 0)
        return;
    if (engine->counts_shared)
        atomic_fetch_add(completed, landed.count);
    else /* release pairs with file_busy: a file closes after all that its ops did */
        atomic_store_explicit(completed,
                              atomic_load_explicit(completed, memory_order_relaxed) + landed.count,
                              memory_order_release);
    if (engine->metered)
        engine_uncount(&engine->in_flight, landed.count, engine->counts_shared);
}

/* Of an engine whose counts are shared: a thread is in reap no more. */
static inline void engine_reaped(reop_engine *engine)
{
    /* What is left is for the next reaper, who may be asleep. */
    if (atomic_fetch_sub(&engine->reapers, 1) > 1 && atomic_load(&engine->attention) != 0)
        engine->backend->interrupt(engine);
}

/* What failed, a post, or the first of another file. Answers landed, with the op in it. */
struct landed engine_land_rare(reop_engine *engine, const reop_op *op, struct landed landed);

/* An op has come back, and is the caller's once landed is counted. */
static inline void engine_note_landed(reop_engine *engine, const reop_op *op, bool failed,
                                      struct landed *landed)
{
    if (REOP_UNLIKELY(failed || op->file != landed->file))
        *landed = engine_land_rare(engine, op, *landed);
    else
        landed->count++;
}

/* IN_FLIGHT to HELD. False: pinned, and whoever unpins it delivers it. */
static inline bool engine_land(reop_engine *engine, struct slot *slot, struct landed *landed)
{
    if (REOP_UNLIKELY(!slot_land(slot, engine->single)))
        return false;
    engine_note_landed(engine, &slot->op, slot->op.result < 0, landed);
    return true;
}

/* After a submit counted its op out again: a reaper who looked meanwhile whether a stopped engine
 * is finished took it for one in flight, and sleeps. Seq_cst: pairs with that look. */
static inline void engine_counted_out(reop_engine *engine)
{
    if (REOP_UNLIKELY(atomic_load(&engine->attention) & ENGINE_STOP))
        engine->backend->interrupt(engine);
}

/* Owner: the op is ready to be reaped. */
static inline void engine_push_own(reop_engine *engine, struct slot *slot)
{
    queue_push(&engine->own, slot);
    atomic_store_explicit(&engine->plain_reaper, 0, memory_order_relaxed); /* ours */
}

/* The answer to a submit whose outcome is known inside it, and written to the op. */
static inline reop_status engine_answer(reop_engine *engine, struct slot *slot)
{
    if (engine->flags & REOP_ENGINE_INLINE) {
        struct landed landed = engine_landed_none(engine);
        bool done = engine_land(engine, slot, &landed);

        engine_count_landed(engine, landed);
        engine_counted_out(engine);
        if (REOP_UNLIKELY(trace_on(io)) && done)
            trace_stop((reop_op *[]){&slot->op}, 1);
        return done ? REOP_DONE : REOP_PENDING;
    }
    if (engine->single)
        engine_push_own(engine, slot);
    else
        engine_ready(engine, slot);
    return REOP_PENDING;
}

/* --- file.c and file_posix.c, file_win32.c --- */

/* Fills in what the handle is: masks, flags, stream. -EISDIR, -EBADF, -ENOTSUP when flags ask for
 * what it does not have. */
int file_inspect(reop_file *file, uint32_t flags);
int file_open_handle(const char *path_utf8, uint32_t flags, reop_handle *handle_out);
int file_close_handle(reop_handle handle);
int file_size(const reop_file *file, uint64_t *size_out);
int file_zero_fill(reop_file *file, uint64_t from, uint64_t to); /* and syncs */
uint32_t file_physical_sector(const reop_file *file);            /* 0: unknown */

void file_table_init(reop_engine *engine);

/* For the native hatches: the two halves of a submit. PENDING: launched, and the system has to be
 * asked. wrong: reject with -EINVAL. end is called once for each begin that was PENDING, after the
 * system was asked. */
reop_status submit_native_begin(reop_op *op, reop_file *file, void *data, uint64_t offset,
                                bool wrong);
void submit_native_end(reop_file *file);

#endif
