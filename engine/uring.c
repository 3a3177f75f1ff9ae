/* SPDX-License-Identifier: MIT
 *
 * io_uring through liburing. A single-threaded engine is one SINGLE_ISSUER, DEFER_TASKRUN ring
 * without a lock, and a reap is one enter that submits and, unless ops are expected back in it,
 * waits. Any other engine has a lock for each of its two queues, and one to enter the kernel with;
 * nobody waits for an op holding any. Where it defers, a submit fills an entry and is gone, also
 * while another thread is in the kernel; of several threads that reap, one at a time hands over, as
 * far as it goes (see parking).
 *
 * user_data is the op's address: while the kernel is asked to cancel one, it cannot be launched
 * again, as it is pinned or the asker's own.
 */
#include "engine.h"
#include "error.h"
#include "plain.h"

#include <reop/uring.h>

#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_MAX      32768u /* IORING_MAX_ENTRIES */
#define BUFFERS_MAX   1024u
#define BUFFER_MAX    ((size_t) 1 << 30) /* one registered buffer: io_buffer_validate() */
#define MOMENT_TICKS  16384u /* what a batch takes its submitter, and more: 2 to 16 us */
#define NAP_NS        50000  /* while who holds queue_locked is not running */
#define AT_ONCE_TRIES 1024u  /* an enter too many in so many reaps */
#define CQ_SPARE      16u    /* completions that are not an op's: wakes */

#define SETUP_NO_SQARRAY (1u << 16) /* Linux 6.6 */

/* file->table, about the kernel's fixed-file table: not tried, in it, not in it, to be taken out.
 */
enum table { TABLE_NONE, TABLE_IN, TABLE_OUT, TABLE_STALE };

struct uring {
    struct io_uring ring;
    const struct io_uring_cqe *cqes_end; /* behind the completion queue's last place */
    struct plain_asked asked;            /* owner */
    unsigned enter_flags;                /* of the owner, who waits */
    unsigned idle_gap; /* owner: entries that the kernel took, less completions taken off the queue,
                        * while it has no op. A wake poll is one entry - counted early, while no
                        * plain way is open - and a zero-copy send two completions */
    unsigned at_once;  /* owner: all bits, while ops are expected back in the call that hands them
                        * over; else none */
    unsigned doubted;  /* owner: reaps that looked first, and found the kernel without an op */
    unsigned dated;    /* owner, or under queue_locked: the entries before it have a date */
    bool fixed_files;
    bool enabled;              /* single-threaded: by the owner, who alone may enter from then on */
    bool arming;               /* the wake poll was queued and not taken, when last seen */
    unsigned armed_end;        /* the queue's tail behind it */
    _Atomic bool backlog;      /* an enter failed and left entries, or is under way */
    _Atomic uint32_t notified; /* a wake is on its way: at most one is */
    int event_fd;
    struct slot wake;      /* its op's address is the wake poll's user_data; it has no file */
    uint32_t buffer_count; /* guarded by engine->lock */
    struct sync_mutex submit_lock;          /* a shared ring: of whoever hands over */
    _Atomic uint64_t pushed;                /* ops handed over; under queue_locked */
    _Atomic bool flushing;                  /* somebody is, and looks for who has parked after */
    _Atomic uint64_t flushes;               /* that left nothing queued */
    _Alignas(64) _Atomic bool queue_locked; /* guards the submission queue of a shared ring */
    _Atomic uint64_t queued;                /* ops in it, ever; under queue_locked */
    _Atomic uint64_t queuers; /* whose they are that are not handed over: a bit of each thread */
    _Alignas(64) struct sync_mutex reap_lock; /* guards the completion queue of a shared ring */
    _Atomic uint64_t taken; /* ops that came back; under reap_lock. Ring: pushed - taken of them */
    int park_fd;            /* an eventfd: who parks waits for it */
    _Alignas(64) _Atomic uint32_t parked; /* threads, or soon */
    _Atomic bool crowded;                 /* who last waited in the kernel was woken in vain */
};

/* io_uring_enter2() without a signal mask, whose size then is not looked at. Not a call, after
 * which every register would have to be had from memory, in a cache that the kernel has just used.
 */
static inline int call_enter(int fd, unsigned count, unsigned wanted, unsigned flags)
{
#if defined(__x86_64__) && defined(__LP64__)
    long outcome = __NR_io_uring_enter;
    register const void *mask __asm__("r8") = NULL;
    register unsigned long with __asm__("r10") = flags;

    __asm__ volatile("syscall"
                     : "+a"(outcome)
                     : "D"(fd), "S"(count), "d"(wanted), "r"(with), "r"(mask)
                     : "rcx", "r11", "memory");
    return (int) outcome;
#else
    return io_uring_enter2((unsigned) fd, count, wanted, flags, NULL, _NSIG / 8);
#endif
}

/* Whoever has it has a batch to see to: to sleep and be woken takes two calls, and longer. */
static bool trylock_soon(struct sync_mutex *mutex)
{
    uint64_t start;

    if (REOP_LIKELY(sync_trylock(mutex)))
        return true;
    for (start = sync_tick(); sync_tick() - start < MOMENT_TICKS; sync_spin())
        if (sync_trylock(mutex))
            return true;
    return false;
}

static void lock_soon(struct sync_mutex *mutex)
{
    if (!trylock_soon(mutex))
        sync_lock(mutex);
}

static inline bool trylock_queue(struct uring *uring)
{
    /* Acquire pairs with unlock_queue. */
    return !atomic_exchange_explicit(&uring->queue_locked, true, memory_order_acquire);
}

/* It is held for a few instructions, so that letting go is a store. Who is kept waiting for longer
 * sleeps, as the other may not be running, and must be let, whatever the priorities. */
static REOP_APART void wait_for_queue(struct uring *uring)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    uint64_t start = sync_tick();

    while (!trylock_queue(uring)) {
        while (atomic_load_explicit(&uring->queue_locked, memory_order_relaxed)) { /* a hint */
            if (sync_tick() - start < MOMENT_TICKS)
                sync_spin();
            else
                nanosleep(&nap, NULL);
        }
    }
}

static inline void lock_queue(struct uring *uring)
{
    if (REOP_UNLIKELY(!trylock_queue(uring)))
        wait_for_queue(uring);
}

static inline void unlock_queue(struct uring *uring)
{
    atomic_store_explicit(&uring->queue_locked, false, memory_order_release); /* lock_queue */
}

/* --- entering ---------------------------------------------------------------------------- */

static bool has_backlog(struct uring *uring)
{
    /* Relaxed: who has read that all is pushed, which is stored after, sees it true. */
    return atomic_load_explicit(&uring->backlog, memory_order_relaxed);
}

/* Nothing would end a wait in the kernel but a completion. */
static bool is_unarmed(reop_engine *engine)
{
    /* Relaxed: a hint, or ours alone. */
    return (atomic_load_explicit(&engine->attention, memory_order_relaxed) & ENGINE_UNARMED) != 0;
}

/* The submission queue is ours: shows the kernel what is in it. */
static void publish(struct uring *uring)
{
    struct io_uring_sq *queue = &uring->ring.sq;

    uint64_t queued = atomic_load_explicit(&uring->queued, memory_order_relaxed); /* ours */

    /* Pairs with the kernel's acquire. */
    io_uring_smp_store_release(queue->ktail, queue->sqe_tail);
    if (atomic_load_explicit(&uring->pushed, memory_order_relaxed) != queued)
        atomic_store(&uring->pushed, queued); /* seq_cst: pairs with park() */
}

/* What the kernel has been shown, and has not taken. */
static inline unsigned published(const struct uring *uring)
{
    unsigned taken = io_uring_smp_load_acquire(uring->ring.sq.khead); /* first: it is never ahead */

    /* Acquire, as another thread may have published more. */
    return io_uring_smp_load_acquire(uring->ring.sq.ktail) - taken;
}

/* Hands over what was published; times the enter when it may stall. */
static int enter(reop_engine *engine, reop_file *file)
{
    struct uring *uring = engine->state;
    unsigned flags = uring->enter_flags & ~IORING_ENTER_GETEVENTS;
    uint64_t start = sync_tick();
    unsigned left;
    int submitted;

    do { /* the kernel takes less than all when it has no memory for the next */
        submitted = call_enter(uring->ring.enter_ring_fd, published(uring), 0, flags);
        left = published(uring);
    } while (REOP_UNLIKELY(submitted == -EINTR || (submitted > 0 && left > 0)));
    engine_called(engine, file, sync_tick() - start);
    if (REOP_UNLIKELY(left > 0 || has_backlog(uring))) /* release: what is entered is entered */
        atomic_store_explicit(&uring->backlog, left > 0, memory_order_release);
    return submitted < 0 ? -error_from_system((uint32_t) -submitted) : 0;
}

/* Deferred ops get their date when they are handed over, but for exact ones: those of the
 * entries from there on. */
static void date_from(struct uring *uring, unsigned at)
{
    const struct io_uring_sq *queue = &uring->ring.sq;
    uint64_t now = sync_tick();

    for (; at != queue->sqe_tail; at++) {
        uintptr_t op = queue->sqes[at & queue->ring_mask].user_data;

        engine_date(slot_of((reop_op *) op), now);
    }
    uring->dated = at;
}

/* Of what is queued, what has none. */
static void date_queued(struct uring *uring)
{
    unsigned first = io_uring_smp_load_acquire(uring->ring.sq.khead); /* as in is_full */
    unsigned tail = uring->ring.sq.sqe_tail;

    if (uring->dated - first <= tail - first) /* else it lies behind */
        first = uring->dated;
    if (first != tail)
        date_from(uring, first);
}

/* The submission queue is ours. Acquire pairs with the kernel's release: it may take entries for
 * another thread meanwhile, and has read those that it has taken. */
static inline bool is_full(const struct io_uring_sq *queue)
{
    return queue->sqe_tail - io_uring_smp_load_acquire(queue->khead) >= queue->ring_entries;
}

/* NULL: the queue is full. io_uring_get_sqe() for a ring without SQE128. */
static inline struct io_uring_sqe *take_sqe(struct io_uring_sq *queue)
{
    unsigned tail = queue->sqe_tail;

    if (REOP_UNLIKELY(is_full(queue)))
        return NULL;
    queue->sqe_tail = tail + 1;
    return &queue->sqes[tail & queue->ring_mask];
}

/* There is room for every op in flight; only a wake poll can have taken the last. */
static struct io_uring_sqe *make_room(struct uring *uring)
{
    atomic_store(&uring->backlog, true); /* as in flush_locked */
    publish(uring);
    call_enter(uring->ring.enter_ring_fd, published(uring), 0,
               uring->enter_flags & ~IORING_ENTER_GETEVENTS);
    if (published(uring) > 0) /* and who was in enter() meanwhile may have taken it back */
        atomic_store(&uring->backlog, true);
    return take_sqe(&uring->ring.sq);
}

/* The wake poll has to be submitted, which a plain reap does not do; and until the kernel has taken
 * it, it may have the last place in the queue, where a plain submit does not look for room. */
static void disarmed(reop_engine *engine)
{
    atomic_fetch_or(&engine->attention, ENGINE_UNARMED);
    if (!engine->single)
        return; /* whose submits look for room, and reaps for attention */
    atomic_store(&engine->plain_owner, 0);
    atomic_store(&engine->plain_reaper, 0);
}

/* Queues a multishot poll of an eventfd. False: there is no room. The submission queue is ours. */
static bool queue_wake_poll(reop_engine *engine)
{
    struct uring *uring = engine->state;
    const struct io_uring_sq *queue = &uring->ring.sq;
    struct io_uring_sqe *sqe;

    if (uring->arming && (int) (uring->armed_end - io_uring_smp_load_acquire(queue->khead)) > 0)
        return true; /* it still is */
    sqe = take_sqe(&uring->ring.sq);
    if (sqe == NULL)
        sqe = make_room(uring);
    if (sqe == NULL)
        return false;
    io_uring_prep_poll_multishot(sqe, uring->event_fd, POLLIN);
    sqe->user_data = (uintptr_t) &uring->wake.op;
    uring->arming = true;
    if (engine->single)
        uring->idle_gap++;
    uring->armed_end = queue->sqe_tail;
    return true;
}

/* A wake poll: interrupting is a write to its eventfd, from any thread. It is never read: each
 * write completes the poll once more. By the owner, or under submit_lock. */
static void arm(reop_engine *engine)
{
    struct uring *uring = engine->state;
    const struct io_uring_sq *queue = &uring->ring.sq;
    bool queued;

    lock_queue(uring);
    if (engine->parts)
        date_queued(uring); /* others' ops, which go with it */
    queued = queue_wake_poll(engine);
    atomic_store(&uring->backlog, true); /* as in flush_locked; enter() takes it back */
    publish(uring);
    unlock_queue(uring);
    if (!queued)
        return; /* still unarmed: the next reap tries again */
    /* Before the kernel has it: another thread may find at once that it has ended. */
    atomic_fetch_and(&engine->attention, ~ENGINE_UNARMED);
    enter(engine, NULL);
    uring->arming = (int) (uring->armed_end - *queue->khead) > 0;
    if (uring->arming)
        disarmed(engine);
}

/* The owner's first use of a ring that was created disabled, since SINGLE_ISSUER binds it to the
 * thread that enables it. liburing 2.3 declares io_uring_enable_rings() but does not export it. */
static void enable(reop_engine *engine)
{
    struct uring *uring = engine->state;

    if (REOP_LIKELY(uring->enabled))
        return;
    REOP_CHECK(syscall(__NR_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
                       NULL, 0) == 0,
               "uring: cannot enable the ring: %s", strerror(errno));
    uring->enabled = true;
    uring->enter_flags = IORING_ENTER_GETEVENTS;
    if (io_uring_register_ring_fd(&uring->ring) == 1) /* saves a lookup; a thread has room for 16 */
        uring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    arm(engine);
}

/* --- parking ----------------------------------------------------------------------------- */

/* Threads that reap from one deferring ring, where what is handed over is back before the enter
 * returns, get in each other's way: one of them handles all of it, on a hot cache, and the kernel
 * wakes the others for every batch, in vain. So once that is seen, those that find nothing park:
 * they wait for a word from another thread, not for a completion. Nobody stays parked beside ops
 * that the ring has or may get: whoever flushes, or leaves reap, looks for the parked after.
 *
 * It is an eventfd, and not a condition, for signals to end the waiting. */
static void unpark(struct uring *uring)
{
    uint64_t one = 1;

    REOP_CHECK(write(uring->park_fd, &one, sizeof one) == sizeof one || errno == EAGAIN,
               "uring: eventfd: %s", strerror(errno));
}

static bool is_crowded(const struct uring *uring)
{
    return atomic_load_explicit(&uring->crowded, memory_order_relaxed); /* a hint */
}

static bool ring_is_empty(struct uring *uring)
{
    uint64_t taken = atomic_load(&uring->taken); /* first: it never is ahead */

    return atomic_load(&uring->pushed) == taken;
}

static inline bool has_arrived(const struct io_uring_cq *queue)
{
    /* Acquire pairs with the kernel's release; and khead may be another thread's to store. */
    return io_uring_smp_load_acquire(queue->khead) != io_uring_smp_load_acquire(queue->ktail);
}

/* Something is queued that nobody has handed over. Seq_cst, as park() wants it. */
static inline bool is_queued(struct uring *uring)
{
    return atomic_load(&uring->queued) != atomic_load(&uring->pushed);
}

/* One of the parked may have queued what is. Seq_cst, after flushing was stored: pairs with park().
 */
static inline bool is_for_the_parked(struct uring *uring)
{
    return atomic_load(&uring->parked) > 0 && is_queued(uring);
}

/* For who has flushed, or leaves: one of the parked is to see to what there is. While somebody
 * flushes, who then looks in turn, that is what has come back only. Seq_cst, after flushing and
 * pushed were stored: pairs with park(). */
static inline void pass_on(struct uring *uring)
{
    if (REOP_UNLIKELY(atomic_load(&uring->parked) > 0) &&
        (atomic_load(&uring->flushing) ? has_arrived(&uring->ring.cq)
                                       : is_queued(uring) || !ring_is_empty(uring)))
        unpark(uring);
}

/* Parks, unless there is something to do. busy: while another thread flushes; else while the ring
 * is empty. 0, or -EINTR: a signal. */
static int park(struct uring *uring, int64_t timeout_ns, bool busy)
{
    struct timespec timeout = {(time_t) (timeout_ns / 1000000000),
                               (long) (timeout_ns % 1000000000)};
    struct pollfd told = {.fd = uring->park_fd, .events = POLLIN};
    uint64_t any;
    int outcome = 0;

    atomic_fetch_add(&uring->parked, 1); /* before the looks: pairs with pass_on and interrupt */
    if (atomic_load(&uring->notified) == 0 &&
        (busy ? atomic_load(&uring->flushing) : ring_is_empty(uring)))
        outcome = ppoll(&told, 1, timeout_ns > 0 ? &timeout : NULL, NULL);
    atomic_fetch_sub(&uring->parked, 1);
    if (outcome > 0 && read(uring->park_fd, &any, sizeof any) < 0)
        REOP_CHECK(errno == EAGAIN, "uring: eventfd: %s", strerror(errno)); /* another was told */
    return outcome < 0 && errno == EINTR ? -EINTR : 0;
}

static void uring_interrupt(reop_engine *engine)
{
    struct uring *uring = engine->state;
    uint64_t one = 1;

    if (atomic_exchange(&uring->notified, 1) == 0) /* pairs with arrive() */
        REOP_CHECK(write(uring->event_fd, &one, sizeof one) == sizeof one, "uring: eventfd: %s",
                   strerror(errno));
    if (atomic_load(&uring->parked) > 0) /* after notified: pairs with park() */
        unpark(uring);
}

/* --- files and buffers ------------------------------------------------------------------- */

static uint32_t table_index(const reop_file *file)
{
    return (uint32_t) (file - file->engine->files);
}

static bool table_put(struct uring *uring, const reop_file *file, int fd)
{
    return uring->fixed_files &&
           io_uring_register_files_update(&uring->ring, table_index(file), &fd, 1) == 1;
}

/* An entry's first eight bytes are opcode, flags, ioprio and fd; file->native is all but the
 * opcode. */
static uint64_t native_of(uint8_t flags, uint32_t fd)
{
    return (uint64_t) fd << 32 | (uint64_t) flags << 8;
}

static void enlist(reop_engine *engine, reop_file *file)
{
    bool in = table_put(engine->state, file, (int) file->handle);

    file->native =
        in ? native_of(IOSQE_FIXED_FILE, table_index(file)) : native_of(0, (uint32_t) file->handle);
    atomic_store(&file->table, in ? TABLE_IN : TABLE_OUT);
}

/* A single-threaded ring's table belongs to its owner, who enters a file at its first submit. */
static int uring_attach(reop_engine *engine, reop_file *file)
{
    if (!engine->single)
        enlist(engine, file);
    else if (atomic_load(&file->table) == TABLE_OUT)
        atomic_store(&file->table, TABLE_NONE);
    return 0;
}

static int uring_detach(reop_engine *engine, reop_file *file, bool closing)
{
    struct uring *uring = engine->state;

    (void) closing;
    if (atomic_load(&file->table) != TABLE_IN)
        return 0;
    /* The table's reference keeps the file open in the kernel, so it has to go too. */
    if (!engine->single || engine_owned(engine)) {
        table_put(uring, file, -1);
        atomic_store(&file->table, TABLE_NONE);
    } else {
        atomic_store(&file->table, TABLE_STALE);
        engine_ask(engine, ENGINE_CHORES);
    }
    return 0;
}

static void uring_chores(reop_engine *engine)
{
    struct uring *uring = engine->state;

    date_queued(uring);
    if (io_uring_sq_ready(&uring->ring) > 0)
        uring->at_once = 0; /* a reap that looks at no clock would date them anew */
    for (uint32_t i = 0; i < engine->file_count; i++) {
        reop_file *file = &engine->files[i];

        if (atomic_load(&file->table) == TABLE_STALE) {
            table_put(uring, file, -1);
            atomic_store(&file->table, TABLE_NONE);
        }
    }
}

/* 0 or -errno. size 0 takes one out again. */
static int put_buffer(struct uring *uring, uint32_t index, void *data, size_t size)
{
    struct iovec piece = {data, size};
    __u64 tag = 0;
    int outcome;

    if (index >= BUFFERS_MAX)
        return -ENOSPC;
    outcome = io_uring_register_buffers_update_tag(&uring->ring, index, &piece, &tag, 1);
    return outcome < 0 ? outcome : 0;
}

static void uring_register_pool(reop_engine *engine, uint32_t index)
{
    struct uring *uring = engine->state;
    struct engine_pool *pool = &engine->pools[index];
    size_t stride = pool->slab->buffer_stride;
    size_t size = stride * pool->slab->slot_count;
    size_t chunk = stride > BUFFER_MAX ? BUFFER_MAX : BUFFER_MAX / stride * stride;
    uint32_t first = uring->buffer_count, next = first;
    int error = 0;

    for (size_t at = 0; at < size && error == 0; at += chunk)
        error = put_buffer(uring, next++, pool->slab->buffers + at,
                           size - at < chunk ? size - at : chunk);
    if (error < 0) {
        engine_say(engine, "uring: buffers not registered: %s%s", strerror(-error),
                   error == -ENOMEM ? " (RLIMIT_MEMLOCK is too small)" : "");
        while (--next > first)
            put_buffer(uring, next - 1, NULL, 0);
        return;
    }
    uring->buffer_count = next;
    pool->fixed_base = (uintptr_t) pool->slab->buffers;
    pool->fixed_chunk = chunk;
    pool->fixed_index = first;
    pool->fixed_size = size;
    pool->fixed_end = pool->fixed_base + (size <= chunk ? size : 0);
}

/* The index of the registered buffer that holds all of data, or -1. */
static int fixed_index(const struct engine_pool *pool, const reop_op *op)
{
    uintptr_t start = (uintptr_t) op->data;
    size_t at = start - pool->fixed_base;
    size_t chunk;

    if (REOP_LIKELY(start >= pool->fixed_base && start + op->size <= pool->fixed_end))
        return (int) pool->fixed_index;
    if (at >= pool->fixed_size || op->size > pool->fixed_size - at)
        return -1;
    chunk = at / pool->fixed_chunk;
    return op->size <= (chunk + 1) * pool->fixed_chunk - at ? (int) (pool->fixed_index + chunk)
                                                            : -1;
}

/* --- submit ------------------------------------------------------------------------------ */

/* An entry of a transfer as eight words: what lies beside the length (the flags) and beside the
 * buffer's index (personality, file_index) is zero. native: the first. */
static inline void fill_transfer(struct io_uring_sqe *sqe, const struct slot *slot, uint64_t native,
                                 const void *data, uint32_t size, uint64_t offset, uint64_t buffer)
{
    uint64_t *words = (uint64_t *) (void *) sqe;

    words[0] = native;
    words[1] = offset;
    words[2] = (uintptr_t) data;
    words[3] = size;
    words[4] = (uintptr_t) &slot->op;
    words[5] = buffer;
    words[6] = 0;
    words[7] = 0;
}

static inline void fill_from_op(struct io_uring_sqe *sqe, const reop_op *op, uint64_t native,
                                uint32_t buffer)
{
    fill_transfer(sqe, slot_of(op), native, op->data, op->size, op->offset, buffer);
}

static_assert(IORING_OP_WRITE_FIXED == IORING_OP_READ_FIXED + 1 &&
                  IORING_OP_WRITE == IORING_OP_READ + 1 && REOP_KIND_WRITE == REOP_KIND_READ + 1,
              "an opcode is one of READ's plus the kind");
static_assert(offsetof(struct io_uring_sqe, fd) == 4 && offsetof(struct io_uring_sqe, flags) == 1,
              "file->native is the first eight bytes of an entry");
static_assert(offsetof(struct io_uring_sqe, off) == 8 &&
                  offsetof(struct io_uring_sqe, addr) == 16 &&
                  offsetof(struct io_uring_sqe, len) == 24 &&
                  offsetof(struct io_uring_sqe, user_data) == 32 &&
                  offsetof(struct io_uring_sqe, buf_index) == 40 &&
                  sizeof(struct io_uring_sqe) == 64 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "an entry is eight words, the low bytes first");

static inline void fill_native(struct io_uring_sqe *sqe, const struct io_uring_sqe *from,
                               const reop_op *op, uint64_t native)
{
    uint32_t first; /* all but the fd */

    memcpy(&first, from, sizeof first);
    *sqe = *from;
    native |= first;
    memcpy(sqe, &native, sizeof native);
    sqe->user_data = (uintptr_t) op;
}

static void fill(const reop_engine *engine, struct io_uring_sqe *sqe, reop_op *op, uint64_t native)
{
    int buffer;

    switch (op->kind) {
    case REOP_KIND_READ:
    case REOP_KIND_WRITE:
        buffer = fixed_index(engine_pool_of(engine, slot_of(op)), op);
        native += op->kind - REOP_KIND_READ;
        fill_from_op(sqe, op, native + (buffer >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ),
                     buffer >= 0 ? (uint32_t) buffer : 0);
        break;
    case REOP_KIND_READV:
        fill_from_op(sqe, op, native + IORING_OP_READV, 0);
        break;
    case REOP_KIND_WRITEV:
        fill_from_op(sqe, op, native + IORING_OP_WRITEV, 0);
        break;
    case REOP_KIND_NATIVE:
        fill_native(sqe, op->data, op, native);
        op->data = NULL; /* the caller's entry, which may be gone when the op comes back */
        break;
    default:
        fill_from_op(sqe, op, native + IORING_OP_FSYNC, 0);
        sqe->fsync_flags = op->kind == REOP_KIND_SYNC_DATA ? IORING_FSYNC_DATASYNC : 0;
    }
}

/* The submission queue is ours. */
static bool push(reop_engine *engine, const reop_file *file, struct slot *slot)
{
    struct uring *uring = engine->state;
    struct io_uring_sqe *sqe = take_sqe(&uring->ring.sq);

    if (REOP_UNLIKELY(sqe == NULL))
        sqe = make_room(uring);
    if (REOP_UNLIKELY(sqe == NULL)) {
        slot->op.result = -EAGAIN;
        slot->op.os_error = EAGAIN;
        return false;
    }
    fill(engine, sqe, &slot->op, file->native);
    slot_hand_over(slot);
    return true;
}

static bool is_dated_exactly(const struct slot *slot)
{
    return (engine_date_of(slot) & DATE_EXACT) != 0;
}

/* The same where ops get their date when they are handed over. */
static bool push_dated(reop_engine *engine, const reop_file *file, struct slot *slot)
{
    struct uring *uring = engine->state;
    bool exact = (engine->single || engine->parts) && is_dated_exactly(slot), pushed;

    if (exact || is_full(&uring->ring.sq))
        date_queued(uring); /* what is before it, or is handed over to make room */
    pushed = push(engine, file, slot);
    if (exact) /* nobody dates it anew */
        uring->dated = uring->ring.sq.sqe_tail;
    return pushed;
}

static reop_status submit_owned(reop_engine *engine, reop_file *file, struct slot *slot)
{
    uint32_t table = atomic_load_explicit(&file->table, memory_order_relaxed);
    struct uring *uring = engine->state;
    bool exact = is_dated_exactly(slot), pushed;

    if (REOP_UNLIKELY(table != TABLE_IN && table != TABLE_OUT)) {
        enable(engine);
        enlist(engine, file);
    }
    pushed = push_dated(engine, file, slot);
    if (exact)
        uring->at_once = 0;
    if (REOP_UNLIKELY(!pushed))
        return engine_answer(engine, slot);
    if (!(engine->flags & REOP_ENGINE_DEFER)) {
        publish(uring);
        enter(engine, file);
    }
    return REOP_PENDING;
}

/* take_sqe() where the ring has an entry for each op there is, and the wake poll is not queued. */
static inline struct io_uring_sqe *next_sqe(struct uring *uring)
{
    struct io_uring_sq *queue = &uring->ring.sq;
    unsigned tail = IO_URING_READ_ONCE(queue->sqe_tail); /* once: so adding needs no register */

    queue->sqe_tail++;
    return &queue->sqes[tail & queue->ring_mask];
}

/* The plain way: a transfer from the first pool's registered buffers, queued until the next flush
 * or reap. */
static inline reop_status transfer_deferred(reop_op *op, reop_file *file, enum reop_kind kind,
                                            void *data, uint32_t size, uint64_t offset,
                                            reop_engine *engine)
{
    const struct engine_pool *pool = &engine->pools[0];
    struct slot *slot = slot_of(op);
    uintptr_t start = (uintptr_t) data;
    struct io_uring_sqe *sqe;
    struct uring *uring;

    if (REOP_UNLIKELY(!plain_submits(slot, engine) || start < pool->fixed_base ||
                      start + size > pool->fixed_end || !plain_enters(file, offset)))
        return transfer_the_long_way(op, file, kind, data, size, offset);
    uring = engine->state;
    sqe = next_sqe(uring);
    plain_fill(op, file, kind, data, size, offset);
    fill_transfer(sqe, slot, file->native + IORING_OP_READ_FIXED + (kind - REOP_KIND_READ), data,
                  size, offset, 0); /* of the first pool's first buffer */
    plain_launch(slot, engine);
    return REOP_PENDING;
}

REOP_HOT static reop_status read_deferred(reop_op *op, reop_file *file, void *data, uint32_t size,
                                          uint64_t offset, reop_engine *engine)
{
    return transfer_deferred(op, file, REOP_KIND_READ, data, size, offset, engine);
}

REOP_HOT static reop_status write_deferred(reop_op *op, reop_file *file, void *data, uint32_t size,
                                           uint64_t offset, reop_engine *engine)
{
    return transfer_deferred(op, file, REOP_KIND_WRITE, data, size, offset, engine);
}

/* A shared ring: the system has the op when this returns. */
static reop_status submit_shared(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct uring *uring = engine->state;
    bool pushed, stuck = false;

    lock_soon(&uring->submit_lock);
    lock_queue(uring);
    pushed = push(engine, file, slot);
    publish(uring);
    unlock_queue(uring);
    if (REOP_LIKELY(pushed))
        stuck = enter(engine, file) < 0;
    sync_unlock(&uring->submit_lock);
    if (REOP_UNLIKELY(stuck))
        uring_interrupt(engine); /* it stays queued: a sleeping reaper has to try again */
    return REOP_LIKELY(pushed) ? REOP_PENDING : engine_answer(engine, slot);
}

/* Of the calling thread; another may have the same. */
static inline uint64_t own_bit(void)
{
    return UINT64_C(1) << (sync_thread_self() * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

/* The submission queue is ours, and has one more op. */
static inline void note_queued(struct uring *uring)
{
    /* Relaxed: only who holds the lock stores, and a thread sees its own. */
    uint64_t queuers = atomic_load_explicit(&uring->queuers, memory_order_relaxed);

    atomic_store_explicit(&uring->queuers, queuers | own_bit(), memory_order_relaxed);
    sync_add_alone(&uring->queued, 1);
}

/* A shared ring, deferring: left for whoever flushes. */
static reop_status queue_shared(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct uring *uring = engine->state;
    reop_status status;
    bool pushed;

    lock_queue(uring);
    pushed = push_dated(engine, file, slot);
    if (REOP_LIKELY(pushed))
        note_queued(uring);
    else
        file_stay(file); /* unlike others, this answer touches the engine after the op can be had */
    unlock_queue(uring);
    if (REOP_LIKELY(pushed))
        return REOP_PENDING;
    status = engine_answer(engine, slot);
    file_leave(file);
    return status;
}

/* The plain way of it: a transfer from the first pool's registered buffers, and nobody is at the
 * queue. */
static inline reop_status transfer_queued(reop_op *op, reop_file *file, enum reop_kind kind,
                                          void *data, uint32_t size, uint64_t offset,
                                          reop_engine *engine)
{
    const struct engine_pool *pool = &engine->pools[0];
    struct uring *uring = engine->state;
    uintptr_t start = (uintptr_t) data;
    struct io_uring_sqe *sqe;

    if (REOP_UNLIKELY(!slot_is(slot_of(op), SLOT_HELD) || slot_of(op)->pool != pool->pool ||
                      start < pool->fixed_base || start + size > pool->fixed_end || trace_on(io) ||
                      !trylock_queue(uring)))
        return transfer_the_long_way(op, file, kind, data, size, offset);
    if (REOP_UNLIKELY(is_full(&uring->ring.sq) || !plain_enters_locked(file, engine, offset))) {
        unlock_queue(uring);
        return transfer_the_long_way(op, file, kind, data, size, offset);
    }
    sqe = next_sqe(uring);
    plain_fill(op, file, kind, data, size, offset);
    fill_transfer(sqe, slot_of(op), file->native + IORING_OP_READ_FIXED + (kind - REOP_KIND_READ),
                  data, size, offset, 0); /* of the first pool's first buffer */
    plain_launch(slot_of(op), engine);
    slot_hand_over(slot_of(op));
    note_queued(uring);
    unlock_queue(uring);
    return REOP_PENDING;
}

REOP_HOT static reop_status read_queued(reop_op *op, reop_file *file, void *data, uint32_t size,
                                        uint64_t offset, reop_engine *engine)
{
    return transfer_queued(op, file, REOP_KIND_READ, data, size, offset, engine);
}

REOP_HOT static reop_status write_queued(reop_op *op, reop_file *file, void *data, uint32_t size,
                                         uint64_t offset, reop_engine *engine)
{
    return transfer_queued(op, file, REOP_KIND_WRITE, data, size, offset, engine);
}

static void uring_settle(reop_engine *engine)
{
    struct uring *uring = engine->state;

    lock_queue(uring);
    date_queued(uring);
    unlock_queue(uring);
}

/* Backlog is true while a flush is under way, too. */
static bool is_unflushed(struct uring *uring)
{
    return is_queued(uring) || has_backlog(uring);
}

/* A shared ring; submit_lock is ours, and is let go. */
static int flush_locked(reop_engine *engine)
{
    struct uring *uring = engine->state;
    int error = 0;

    atomic_store(&uring->flushing, true); /* tells those who would wait for the lock to park */
    lock_queue(uring);
    atomic_store_explicit(&uring->queuers, 0, memory_order_relaxed); /* as in note_queued */
    if (engine->parts)
        date_queued(uring);
    /* Before all is pushed: who finds it so, and wants to flush, has to wait for our enter. */
    atomic_store(&uring->backlog, true);
    publish(uring);
    unlock_queue(uring);
    if (REOP_LIKELY(published(uring) > 0))
        error = enter(engine, NULL);
    else
        atomic_store_explicit(&uring->backlog, false, memory_order_release); /* as in enter */
    if (!has_backlog(uring))
        atomic_fetch_add(&uring->flushes, 1); /* pairs with wait_for_flusher */
    atomic_store(&uring->flushing, false);    /* seq_cst, before we look: pairs with park */
    sync_unlock(&uring->submit_lock);
    return error;
}

/* What it leaves to the parked is for the caller to pass on. */
static int flush(reop_engine *engine)
{
    struct uring *uring = engine->state;

    if (!is_unflushed(uring))
        return 0;
    lock_soon(&uring->submit_lock);
    return flush_locked(engine);
}

/* False: another thread is at it, and it will take more than a moment. */
static bool flush_soon(reop_engine *engine, int *error_out)
{
    struct uring *uring = engine->state;

    *error_out = 0;
    if (!is_unflushed(uring))
        return true;
    if (!trylock_soon(&uring->submit_lock))
        return false;
    *error_out = flush_locked(engine);
    return true;
}

static int uring_flush(reop_engine *engine)
{
    struct uring *uring = engine->state;
    int error;

    if (engine->single) {
        enable(engine);
        date_queued(uring);
        publish(uring);
        return published(uring) > 0 ? enter(engine, NULL) : 0;
    }
    error = flush(engine);
    pass_on(uring);
    return error;
}

static bool multishot(const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_ACCEPT:
        return (sqe->ioprio & IORING_ACCEPT_MULTISHOT) != 0;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
        return (sqe->ioprio & IORING_RECV_MULTISHOT) != 0;
    case IORING_OP_POLL_ADD:
        return (sqe->len & IORING_POLL_ADD_MULTI) != 0;
    case IORING_OP_TIMEOUT:
        return (sqe->timeout_flags & 1u << 6) != 0; /* IORING_TIMEOUT_MULTISHOT, Linux 6.4 */
    default:
        return sqe->opcode == 49; /* IORING_OP_READ_MULTISHOT, Linux 6.7 */
    }
}

static REOP_APART reop_status native_the_long_way(reop_op *op, reop_file *file,
                                                  const struct io_uring_sqe *sqe)
{
    bool wrong = sqe == NULL || (sqe->flags & ~IOSQE_ASYNC) != 0 || multishot(sqe);
    reop_status status;

    status = submit_native_begin(op, file, (void *) (uintptr_t) sqe, 0, wrong);
    if (status != REOP_PENDING)
        return status;
    status = file->engine->submit(file->engine, file, slot_of(op)); /* copies *op->data */
    submit_native_end(file);
    return status;
}

/* The opcodes of entries that can ask for more than one completion, as far as 64 go. */
#define MULTISHOT_OPCODES                                                                          \
    (UINT64_C(1) << IORING_OP_ACCEPT | UINT64_C(1) << IORING_OP_RECV |                             \
     UINT64_C(1) << IORING_OP_RECVMSG | UINT64_C(1) << IORING_OP_POLL_ADD |                        \
     UINT64_C(1) << IORING_OP_TIMEOUT | UINT64_C(1) << 49)

/* The plain way for a copied entry. */
REOP_HOT reop_status reop_uring_submit(reop_op *op, reop_file *file, const struct io_uring_sqe *sqe)
{
    struct slot *slot = slot_of(op);
    reop_engine *engine;
    struct uring *uring;
    uint16_t first;

    if (REOP_UNLIKELY(file == NULL || sqe == NULL))
        return native_the_long_way(op, file, sqe);
    engine = file->engine;
    uring = engine->state;
    memcpy(&first, sqe, sizeof first);
    if (REOP_UNLIKELY(!plain_submits(slot, engine) || first >= 64 || /* flags above the opcode */
                      (MULTISHOT_OPCODES >> first & 1) != 0 || !plain_enters_native(file)))
        return native_the_long_way(op, file, sqe);
    plain_fill(op, file, REOP_KIND_NATIVE, NULL, 0, 0);
    fill_native(next_sqe(uring), sqe, op, file->native);
    plain_launch(slot, engine);
    return REOP_PENDING;
}

/* --- collect ----------------------------------------------------------------------------- */

/* A completion that is no op's, or one of several of an op. */
static reop_op *arrive_rare(reop_engine *engine, reop_op *op, const struct io_uring_cqe *cqe)
{
    struct uring *uring = engine->state;

    if (op == &uring->wake.op) {
        if (!(cqe->flags & IORING_CQE_F_MORE))
            disarmed(engine);
        atomic_store(&uring->notified, 0); /* before anybody looks at engine->attention again */
        return NULL;
    }
    if (cqe->flags & IORING_CQE_F_NOTIF)
        return op; /* the buffer of a zero-copy send is free; its result came before */
    slot_arrive(slot_of(op));
    op->result = cqe->res < 0 ? -error_from_system((uint32_t) -cqe->res) : cqe->res;
    op->os_error = cqe->res < 0 ? (uint32_t) -cqe->res : 0;
    return cqe->flags & IORING_CQE_F_MORE ? NULL : op;
}

/* The op of one completion, its outcome stored; or NULL. */
static inline reop_op *arrive(reop_engine *engine, const struct io_uring_cqe *cqe)
{
    const struct uring *uring = engine->state;
    reop_op *op = (reop_op *) (uintptr_t) cqe->user_data;

    if (REOP_UNLIKELY(op == &uring->wake.op || cqe->flags != 0))
        return arrive_rare(engine, op, cqe);
    slot_arrive(slot_of(op));
    op->result = cqe->res;
    op->os_error = 0;
    if (REOP_UNLIKELY(cqe->res < 0)) {
        op->os_error = (uint32_t) -cqe->res;
        /* EINTR is what a cancelled call in a kernel worker says. */
        op->result = cqe->res == -EINTR ? -ECANCELED : -error_from_system(op->os_error);
    }
    return op;
}

/* Takes completions off the queue, which is ours, and says how many: wakes are among them. */
static unsigned drain(reop_engine *engine, reop_op *ops[], uint32_t max, uint32_t *count_out)
{
    struct uring *uring = engine->state;
    const struct io_uring_cq *queue = &uring->ring.cq;
    const struct io_uring_cqe *cqes = queue->cqes;
    unsigned mask = queue->ring_mask, first = *queue->khead, head = first;
    unsigned tail = io_uring_smp_load_acquire(queue->ktail); /* pairs with the kernel's release */
    unsigned end = head + (tail - head < max ? tail - head : max);
    reop_op **next = ops;

    for (; head != end; head++) {
        reop_op *op = arrive(engine, &cqes[head & mask]);

        if (REOP_UNLIKELY(op == NULL)) {
            if (engine->single)
                uring->idle_gap--;
            end += end != tail; /* it took nobody's room */
            continue;
        }
        *next++ = op;
    }
    io_uring_smp_store_release(queue->khead, head); /* the kernel may use the entries again */
    *count_out = (uint32_t) (next - ops);
    return head - first;
}

static struct __kernel_timespec timespec_of(int64_t ns)
{
    return (struct __kernel_timespec){ns / 1000000000, ns % 1000000000};
}

static REOP_APART int enter_and_wait_until(struct uring *uring, int64_t timeout_ns)
{
    struct __kernel_timespec timeout = timespec_of(timeout_ns);
    struct io_uring_cqe *cqe;

    return io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
}

/* The owner's half of collect that is not taking. One enter submits, runs what the kernel has put
 * off for this thread, and waits, but never beside work that is done. */
static inline int enter_owned(struct uring *uring, bool waits)
{
    struct io_uring_sq *queue = &uring->ring.sq;
    unsigned tail = queue->sqe_tail, count = tail - *queue->khead;

    /* Only if there is a reason to. TASKRUN: done, but not yet queued. */
    if (REOP_UNLIKELY(count == 0) && (!waits || has_arrived(&uring->ring.cq)) &&
        (IO_URING_READ_ONCE(*queue->kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0)
        return 0;
    io_uring_smp_store_release(queue->ktail, tail); /* pairs with the kernel's acquire */
    return call_enter(uring->ring.enter_ring_fd, count, waits, uring->enter_flags);
}

/* As collect() has to say it. */
static int enter_error(int outcome)
{
    if (outcome >= 0 || outcome == -ETIME)
        return 0;
    return outcome == -EINTR ? -EINTR : -error_from_system((uint32_t) -outcome);
}

static int collect_owned(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    uint32_t count;
    int outcome;

    date_queued(uring);
    if (REOP_UNLIKELY(is_unarmed(engine))) {
        if (uring->enabled)
            arm(engine);
        else
            enable(engine); /* which arms */
        if (is_unarmed(engine))
            timeout_ns = 0;
    }
    if (timeout_ns > 0 && !has_arrived(&uring->ring.cq))
        outcome = enter_and_wait_until(uring, timeout_ns);
    else
        outcome = enter_owned(uring, timeout_ns != 0);
    drain(engine, ops, max, &count);
    return count > 0 ? (int) count : enter_error(outcome);
}

/* Every op a zero-copy send at the greatest depth, and a wake: the kernel keeps what found no room
 * until somebody enters. */
static bool has_overflow(struct uring *uring)
{
    return (IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
}

/* The kernel has none of the owner's ops. */
static inline bool is_idle(const struct uring *uring)
{
    return *uring->ring.sq.khead - *uring->ring.cq.khead == uring->idle_gap;
}

/* What the plain way left on the queue, behind the count that it took off. */
static uint32_t drain_rest(const struct plain_asked *asked, uint32_t count)
{
    reop_engine *engine = asked->engine;
    struct landed landed = engine_landed_none(engine);
    reop_op **ops = asked->ops + count;
    uint32_t more;

    drain(engine, ops, asked->max - count, &more);
    for (uint32_t i = 0; i < more; i++)
        engine_land(engine, slot_of(ops[i]), &landed);
    engine_count_landed(engine, landed);
    return more;
}

/* The rest of a plain reap. outcome: of the enter, which matters when nothing has come. */
static REOP_APART int reap_rest(struct uring *uring, int outcome, uint32_t count)
{
    count += drain_rest(&uring->asked, count);
    return plain_reap_answer(&uring->asked, count, enter_error(outcome));
}

/* The same where all was expected at once, and has not come, or not all of it was taken. It was
 * handed over just now: before, the kernel had none, and the enter did not wait. */
static REOP_APART int reap_late(struct uring *uring, int outcome, uint32_t count)
{
    unsigned taken = *uring->ring.sq.khead;

    count += drain_rest(&uring->asked, count);
    uring->dated = taken; /* the kernel may have refused some */
    if (!is_idle(uring))
        date_from(uring, *uring->ring.cq.khead + uring->idle_gap - count);
    if (taken - io_uring_smp_load_acquire(uring->ring.cq.ktail) != uring->idle_gap)
        uring->at_once = 0;
    return plain_reap_answer(&uring->asked, count, enter_error(outcome));
}

/* In one completion: without flags, which are above res. */
static inline bool succeeded(const struct io_uring_cqe *cqe)
{
    uint64_t result;

    memcpy(&result, &cqe->res, sizeof result);
    return (result & ~(uint64_t) INT32_MAX) == 0;
}

/* An op succeeded. A wake is none, as its slot is not in flight; nor is a completion too many,
 * which aborts the long way. */
static inline bool is_plain(const struct io_uring_cqe *cqe, const reop_op *op)
{
    return succeeded(cqe) && slot_is(slot_of(op), SLOT_IN_FLIGHT);
}

/* A plain completion's. */
static inline void land_one(reop_op *op, const struct io_uring_cqe *cqe, uint64_t land_bits)
{
    slot_arrive(slot_of(op));
    op->result = cqe->res;
    op->os_error = 0;
    slot_land_plain(slot_of(op), land_bits);
}

/* Lands the ops that come first on the queue, as long as they are plain, of one file, and the queue
 * does not wrap. */
static inline int land_plain(struct uring *uring, int outcome, bool at_once)
{
    unsigned head = *uring->ring.cq.khead;
    /* Acquire pairs with the kernel's release. */
    unsigned most = io_uring_smp_load_acquire(uring->ring.cq.ktail) - head;
    const struct io_uring_cqe *cqe = &uring->ring.cq.cqes[head & uring->ring.cq.ring_mask], *end;
    reop_op *op = (reop_op *) (uintptr_t) cqe->user_data, **ops = uring->asked.ops, **next = ops;
    uint64_t land_bits = uring->asked.engine->pools[0].land_bits;
    reop_file *file;
    uint32_t count;

    if (REOP_UNLIKELY(most == 0 || !is_plain(cqe, op)))
        return (at_once ? reap_late : reap_rest)(uring, outcome, 0);
    file = op->file;
    if (REOP_UNLIKELY(most > uring->asked.max))
        most = uring->asked.max;
    end = cqe + most;
    if (REOP_UNLIKELY(end > uring->cqes_end))
        end = uring->cqes_end;
    for (;;) {
        land_one(op, cqe, land_bits);
        *next++ = op;
        if (++cqe == end)
            break;
        op = (reop_op *) (uintptr_t) cqe->user_data;
        if (REOP_UNLIKELY(!is_plain(cqe, op) || op->file != file))
            break;
    }
    count = (uint32_t) (next - ops);
    head += count;
    io_uring_smp_store_release(uring->ring.cq.khead, head); /* the kernel may use them again */
    plain_count_landed(file, count);
    if (at_once && REOP_UNLIKELY(head + uring->idle_gap != uring->ring.sq.sqe_tail))
        return reap_late(uring, 0, count);
    if (!at_once && REOP_UNLIKELY(count < most))
        return reap_rest(uring, 0, count);
    plain_reap_end(uring->asked.engine);
    return (int) count;
}

REOP_HOT static REOP_APART int land_at_once(struct uring *uring, int outcome)
{
    return land_plain(uring, outcome, true);
}

/* The plain way beside ops that take a while. */
static REOP_APART int reap_beside(struct uring *uring)
{
    if (is_idle(uring) && ++uring->doubted % AT_ONCE_TRIES == 0)
        uring->at_once = ~0u; /* from the next on, perhaps */
    if (uring->asked.timeout_ns > 0)
        return plain_reap_go_on(&uring->asked);
    date_queued(uring);
    return land_plain(uring, enter_owned(uring, uring->asked.timeout_ns != 0), false);
}

/* The plain way. Where all that was handed over came back in the same call, so that an op has no
 * age, it asks for no more than that, and looks at no clock. All the calls it makes are its last
 * act, where call_enter() is none, so that it needs no frame. */
REOP_HOT static int reap_owned(reop_engine *engine, reop_op *ops[], uint32_t max,
                               int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    const struct io_uring_sq *queue = &uring->ring.sq;
    unsigned tail, count, head, arrived;
    const struct io_uring_cqe *cqe;
    reop_op *op;
    int outcome;

    if (REOP_UNLIKELY(!plain_reaps(engine, ops, max)))
        return reap_the_long_way(engine, ops, max, timeout_ns);
    plain_reap_begin(&uring->asked, engine, ops, max, timeout_ns);
    tail = queue->sqe_tail;
    count = tail - *queue->khead;
    if (REOP_UNLIKELY((count & uring->at_once) == 0 || !is_idle(uring)))
        return reap_beside(uring);
    uring->dated = tail;                            /* or they need none: see reap_late() */
    io_uring_smp_store_release(queue->ktail, tail); /* pairs with the kernel's acquire */
    outcome = call_enter(uring->ring.enter_ring_fd, count, 0, uring->enter_flags);
    head = *uring->ring.cq.khead;
    /* Acquire pairs with the kernel's release. */
    arrived = io_uring_smp_load_acquire(uring->ring.cq.ktail) - head;
    cqe = &uring->ring.cq.cqes[head & uring->ring.cq.ring_mask];
    op = (reop_op *) (uintptr_t) cqe->user_data;
    if (arrived != 1 || REOP_UNLIKELY(!is_plain(cqe, op)))
        return land_at_once(uring, outcome);
    engine = uring->asked.engine;
    land_one(op, cqe, engine->pools[0].land_bits);
    uring->asked.ops[0] = op;
    io_uring_smp_store_release(uring->ring.cq.khead, ++head);
    plain_count_landed(op->file, 1);
    if (REOP_UNLIKELY(head + uring->idle_gap != queue->sqe_tail))
        return reap_late(uring, 0, 1);
    plain_reap_end(engine);
    return 1;
}

/* Under reap_lock. */
static inline void count_taken(struct uring *uring, uint32_t count)
{
    atomic_store_explicit(
        &uring->taken, atomic_load_explicit(&uring->taken, memory_order_relaxed) + count,
        memory_order_release); /* late is safe: who believes in ops does not park */
}

static unsigned drain_locked(reop_engine *engine, reop_op *ops[], uint32_t max, uint32_t *count_out)
{
    struct uring *uring = engine->state;
    unsigned seen;

    lock_soon(&uring->reap_lock);
    seen = drain(engine, ops, max, count_out);
    count_taken(uring, *count_out);
    sync_unlock(&uring->reap_lock);
    return seen;
}

/* Waits for a completion. Any number of threads may: the kernel wakes all of them for one. */
static int wait_in_kernel(reop_engine *engine, int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    struct __kernel_timespec timeout = timespec_of(timeout_ns);
    struct io_uring_getevents_arg wait = {.ts = timeout_ns > 0 ? (uintptr_t) &timeout : 0};
    unsigned wanted = timeout_ns != 0 && !is_unarmed(engine);
    int outcome = io_uring_enter2((unsigned) uring->ring.ring_fd, 0, wanted,
                                  IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (sigset_t *) &wait,
                                  sizeof wait);

    if (outcome >= 0 || outcome == -ETIME || outcome == -EINTR)
        return outcome;
    return -error_from_system((uint32_t) -outcome);
}

/* Nothing has come back: waits, and says how much of it did then. */
static int sleep_and_drain(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns,
                           uint32_t *count_out)
{
    struct uring *uring = engine->state;
    bool crowded = is_crowded(uring);
    int outcome;
    unsigned seen;

    pass_on(uring);
    if (crowded && timeout_ns != 0 && !is_unarmed(engine) && !has_overflow(uring) &&
        ring_is_empty(uring)) {
        outcome = park(uring, timeout_ns, false);
        drain_locked(engine, ops, max, count_out);
        return outcome;
    }
    outcome = wait_in_kernel(engine, timeout_ns);
    seen = drain_locked(engine, ops, max, count_out);
    if (outcome < 0)
        return outcome == -ETIME ? 0 : outcome;
    if (uring->park_fd >= 0 &&
        crowded != (seen == 0)) /* relaxed: what is better, not what is right */
        atomic_store_explicit(&uring->crowded, seen == 0, memory_order_relaxed);
    return 0;
}

/* Another thread flushes: waits until it is told, and sees that what it had queued is handed over.
 * Not for the lock, where each flush would wake it, mostly in vain; unless there is no parking. */
static int wait_for_flusher(reop_engine *engine, int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    int64_t deadline_ns = sync_deadline_ns(timeout_ns), left_ns = timeout_ns;
    /* An RMW: the flush that counts after us is followed by one that takes all we have queued. */
    uint64_t flushes = atomic_fetch_add(&uring->flushes, 0);
    int outcome, error = 0;

    do {
        outcome = park(uring, left_ns, true);
        if (atomic_load(&uring->flushes) - flushes >= 2 || flush_soon(engine, &error))
            return outcome < 0 ? outcome : error;
        if (timeout_ns > 0)
            left_ns = deadline_ns - sync_now_ns();
    } while (outcome == 0 && (timeout_ns < 0 || left_ns > 0) && atomic_load(&uring->flushing) &&
             atomic_load(&uring->notified) == 0);
    error = flush(engine);
    return outcome < 0 ? outcome : error;
}

/* Nothing of what is queued is ours: gives others a moment to hand it over, on their own hot
 * cache. True: all that was queued when we were called is the system's. */
static bool flushed_by_others(struct uring *uring)
{
    bool flushing = atomic_load(&uring->flushing); /* before the next: no flush begins unseen */
    uint64_t flushes = atomic_fetch_add(&uring->flushes, 0), enough = flushes + 1, start;

    if (uring->park_fd < 0 ||
        (atomic_load_explicit(&uring->queuers, memory_order_relaxed) & own_bit()) != 0)
        return false; /* nobody defers, or perhaps we did */
    /* One that was under way may not have all; the next has. */
    if (flushing && (is_queued(uring) || atomic_load(&uring->flushes) != flushes))
        enough++;
    for (start = sync_tick(); atomic_load(&uring->flushes) < enough;) {
        if (sync_tick() - start > MOMENT_TICKS)
            return false;
        sync_spin();
    }
    return true;
}

static void rearm(reop_engine *engine)
{
    struct uring *uring = engine->state;

    lock_soon(&uring->submit_lock);
    if (is_unarmed(engine))
        arm(engine);
    sync_unlock(&uring->submit_lock);
}

static int collect_shared(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    uint32_t count, more = 0;
    unsigned seen;
    int error = 0;

    if (REOP_UNLIKELY(is_unarmed(engine)))
        rearm(engine);
    if (REOP_UNLIKELY(is_crowded(uring) && timeout_ns != 0 && atomic_load(&uring->flushing))) {
        error = wait_for_flusher(engine, timeout_ns);
        timeout_ns = 0;
    } else if (is_unflushed(uring) && timeout_ns == 0) {
        error = flush(engine);
    } else if (is_unflushed(uring) && !flushed_by_others(uring) && !flush_soon(engine, &error)) {
        if (uring->park_fd >= 0) {
            error = wait_for_flusher(engine, timeout_ns);
            timeout_ns = 0;
        } else {
            error = flush(engine);
        }
    }
    seen = drain_locked(engine, ops, max, &count);
    /* A wake that was taken off the queue must not be slept on: its reason is for gather to see. */
    if (seen == 0 && error == 0 && (timeout_ns != 0 || has_overflow(uring))) {
        error = sleep_and_drain(engine, ops, max, timeout_ns, &count);
    } else if (REOP_UNLIKELY(count > 0 && count < max && is_for_the_parked(uring) &&
                             sync_trylock(&uring->submit_lock))) {
        /* Cheaper than to wake who has queued it: it need not come before what we have. */
        flush_locked(engine);
        drain_locked(engine, ops + count, max - count, &more);
    }
    if (REOP_UNLIKELY(is_unarmed(engine)))
        rearm(engine); /* we took the last of the wake poll, and another may wait for the next */
    pass_on(uring);
    return count > 0 ? (int) (count + more) : error;
}

/* Takes completions off the queue and lands their ops, as nobody pins one meanwhile. */
static uint32_t land_locked(reop_engine *engine, reop_op *ops[], uint32_t max)
{
    struct uring *uring = engine->state;
    const struct io_uring_cq *queue = &uring->ring.cq;
    struct landed landed = engine_landed_none(engine);
    unsigned first, head, end, others = 0;
    reop_op **next = ops;

    lock_soon(&uring->reap_lock);
    first = head = *queue->khead;
    end = io_uring_smp_load_acquire(queue->ktail); /* pairs with the kernel's release */
    if (REOP_UNLIKELY(end - head > max))
        end = head + max;
    for (; head != end; head++) {
        const struct io_uring_cqe *cqe = &queue->cqes[head & queue->ring_mask];
        reop_op *op = (reop_op *) (uintptr_t) cqe->user_data;
        uint64_t word = slot_word(slot_of(op));

        slot_arrive(slot_of(op));
        if (REOP_LIKELY(succeeded(cqe) && slot_lands(word) && op->file == landed.file)) {
            op->result = cqe->res;
            op->os_error = 0;
            slot_land_word(slot_of(op), word);
            landed.count++;
        } else {
            op = arrive(engine, cqe);
            others += op == NULL;
            if (op == NULL || !slot_land_locked(slot_of(op)))
                continue;
            engine_note_landed(engine, op, op->result < 0, &landed);
        }
        *next++ = op;
    }
    io_uring_smp_store_release(queue->khead, head); /* the kernel may use the entries again */
    count_taken(uring, head - first - others);
    sync_unlock(&uring->reap_lock);
    engine_count_landed(engine, landed);
    return (uint32_t) (next - ops);
}

/* The plain way on a ring that threads share, for who finds something. */
REOP_HOT static int reap_shared(reop_engine *engine, reop_op *ops[], uint32_t max,
                                int64_t timeout_ns)
{
    struct uring *uring = engine->state;
    uint32_t count = 0;
    int error;

    /* Relaxed: hints, for what is looked at again before anybody waits. */
    if (REOP_UNLIKELY(
            ops == NULL || (int32_t) max <= 0 || trace_on_in_reap() ||
            atomic_load_explicit(&engine->attention, memory_order_relaxed) != 0 ||
            (is_crowded(uring) && atomic_load_explicit(&uring->flushing, memory_order_relaxed))))
        return reap_the_long_way(engine, ops, max, timeout_ns);
    atomic_fetch_add(&engine->reapers, 1); /* destroy looks at it */
    if (!is_unflushed(uring) || (timeout_ns != 0 && flushed_by_others(uring)) ||
        (flush_soon(engine, &error) && error == 0))
        count = land_locked(engine, ops, max);
    if (REOP_UNLIKELY(count > 0 && count < max && is_for_the_parked(uring) &&
                      sync_trylock(&uring->submit_lock))) {
        flush_locked(engine); /* as in collect_shared */
        count += land_locked(engine, ops + count, max - count);
    }
    if (REOP_UNLIKELY(count == 0))
        return reap_inside(engine, ops, max, timeout_ns);
    if (REOP_UNLIKELY(is_unarmed(engine)))
        rearm(engine); /* as in collect_shared */
    pass_on(uring);
    engine_reaped(engine);
    return (int) count;
}

static int uring_collect(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    return engine->single ? collect_owned(engine, ops, max, timeout_ns)
                          : collect_shared(engine, ops, max, timeout_ns);
}

/* Asks in the call itself, so that the request cannot outlive the launch it was meant for. */
static void uring_cancel(reop_engine *engine, struct slot *slot)
{
    struct uring *uring = engine->state;
    struct io_uring_sync_cancel_reg request = {
        .addr = (uintptr_t) &slot->op, .fd = -1,
        /* timeout 0: do not wait for one that already runs */
    };

    uring_flush(engine);
    io_uring_register_sync_cancel(&uring->ring, &request);
}

/* --- create ------------------------------------------------------------------------------ */

static size_t uring_state_size(const reop_engine_config *config)
{
    (void) config;
    return sizeof(struct uring);
}

static void say_why_not(reop_engine *engine, int error)
{
    const char *hint = "";

    if (error == EPERM || error == EACCES)
        hint = ": forbidden here, by seccomp or kernel.io_uring_disabled";
    else if (error == ENOSYS)
        hint = ": this kernel is built without it";
    else if (error == EINVAL)
        hint = ": needs Linux 6.1";
    engine_say(engine, "uring: %s%s", strerror(error), hint);
}

/* -EINVAL where sync cancel, Linux 6.0, does not exist. A single-threaded ring's flags are newer.
 */
static int probe_sync_cancel(struct uring *uring)
{
    struct io_uring_sync_cancel_reg request = {.addr = (uintptr_t) &uring->wake.op, .fd = -1};
    int outcome = io_uring_register_sync_cancel(&uring->ring, &request);

    return outcome == -ENOENT ? 0 : outcome;
}

/* io_uring_queue_init_params(), and without the kernel's array of indices where it can do without,
 * as liburing does from 2.6 on: one load less for each op. */
static int create_ring(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    struct io_uring_params direct = *params;
    int fd, error;

    direct.flags |= SETUP_NO_SQARRAY;
    fd = (int) syscall(__NR_io_uring_setup, entries, &direct);
    if (fd < 0)
        return io_uring_queue_init_params(entries, ring, params); /* a kernel before 6.6, perhaps */
    error = io_uring_queue_mmap(fd, &direct, ring);
    if (error < 0) {
        close(fd);
        return error;
    }
    ring->features = direct.features;
    return 0;
}

static int uring_create(reop_engine *engine, const reop_engine_config *config)
{
    struct uring *uring = engine->state;
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
        /* A zero-copy send completes twice. IORING_MAX_CQ_ENTRIES is twice RING_MAX. */
        .cq_entries =
            config->depth <= RING_MAX - CQ_SPARE ? 2 * config->depth + CQ_SPARE : 2 * RING_MAX,
    };
    bool parts = !engine->single && (config->flags & REOP_ENGINE_DEFER) != 0;
    int error;

    if (engine->single)
        params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED;
    uring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (uring->event_fd < 0)
        return -error_from_system((uint32_t) errno);
    error = create_ring(config->depth, &uring->ring, &params);
    if (error < 0)
        goto close_event;
    error = engine->single ? 0 : probe_sync_cancel(uring);
    if (error < 0)
        goto exit_ring;
    uring->park_fd = parts ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (parts && uring->park_fd < 0) {
        error = -errno;
        goto exit_ring;
    }
    sync_mutex_init(&uring->submit_lock);
    sync_mutex_init(&uring->reap_lock);

    error = io_uring_register_files_sparse(&uring->ring, config->file_count);
    uring->fixed_files = error == 0;
    if (error < 0)
        engine_say(engine, "uring: files not registered: %s%s", strerror(-error),
                   error == -EMFILE ? " (RLIMIT_NOFILE is below file_count)" : "");
    io_uring_register_buffers_sparse(&uring->ring, BUFFERS_MAX); /* else register_pool says so */
    if (!engine->single) {
        engine->reap = reap_shared;
        engine->pin_lock = &uring->reap_lock;
        if (parts) {
            engine->submit = queue_shared;
            if (!engine->metered) {
                engine->read = read_queued;
                engine->write = write_queued;
            }
        }
        engine->parts = parts;
        arm(engine);
        return 0;
    }
    disarmed(engine); /* until it is enabled */
    uring->asked.engine = engine;
    uring->at_once = ~0u;
    uring->cqes_end = uring->ring.cq.cqes + uring->ring.cq.ring_entries;
    engine->submit = submit_owned;
    engine->reap = reap_owned;
    if ((config->flags & REOP_ENGINE_DEFER) &&
        uring->ring.sq.ring_entries >= pool_slab(config->pool)->slot_count) {
        engine->read = read_deferred;
        engine->write = write_deferred;
    }
    return 0;

exit_ring:
    io_uring_queue_exit(&uring->ring);
close_event:
    close(uring->event_fd);
    if (error == -EMFILE || error == -ENFILE)
        return -EMFILE;
    say_why_not(engine, -error);
    return -ENOTSUP;
}

static void uring_destroy(reop_engine *engine)
{
    struct uring *uring = engine->state;

    /* The registered ring fd is an entry in the owner's own list: another thread would drop its
     * own. */
    if (engine->single && !engine_owned(engine))
        uring->ring.int_flags = 0;
    io_uring_queue_exit(&uring->ring);
    close(uring->event_fd);
    if (uring->park_fd >= 0)
        close(uring->park_fd);
    sync_mutex_destroy(&uring->submit_lock);
    sync_mutex_destroy(&uring->reap_lock);
}

const struct backend uring_backend = {
    .name = "uring",
    .id = REOP_BACKEND_URING,
    .kinds = 1u << REOP_KIND_READ | 1u << REOP_KIND_WRITE | 1u << REOP_KIND_READV |
             1u << REOP_KIND_WRITEV | 1u << REOP_KIND_SYNC | 1u << REOP_KIND_SYNC_DATA |
             1u << REOP_KIND_NATIVE,
    .depth_max = RING_MAX,
    .state_size = uring_state_size,
    .create = uring_create,
    .destroy = uring_destroy,
    .register_pool = uring_register_pool,
    .attach = uring_attach,
    .detach = uring_detach,
    .submit = submit_shared,
    .flush = uring_flush,
    .collect = uring_collect,
    .interrupt = uring_interrupt,
    .cancel = uring_cancel,
    .chores = uring_chores,
    .settle = uring_settle,
};
