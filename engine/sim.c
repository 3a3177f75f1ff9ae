/* SPDX-License-Identifier: MIT
 *
 * The simulated backend: ops in flight on a device whose every answer comes from a tape of choices
 * (sim_tape.h) and whose sectors survive a crash or do not (sim_disk.c). Time is virtual: it goes
 * on when somebody waits. An op in flight has two instants in a heap: its buffer is taken, and it
 * completes.
 */
#include "engine.h"
#include "sim_disk.h"

#include <errno.h>
#include <string.h>

#define TRANSFER_MAX UINT64_C(0x7ffff000) /* as on Linux */
#define POLL_NS      1000                 /* what a reap that does not wait takes */
#define LATENCY_NS   10000
#define DELAY_NS     10000000
#define SPARE_OPENS  64u /* handles that are detached */
#define FLAGS_ALL    63u
#define ATOMIC_MAX   65536u

enum phase { PHASE_TAKE, PHASE_DONE };

struct flight {
    struct slot *slot;
    uint64_t number; /* of the op, from 0 */
    uint64_t write;  /* a write's own number; a sync's: the last one that it makes durable */
    uint64_t hash;   /* of the buffer, when the device last looked */
    int64_t due_ns;  /* of the next phase */
    int64_t done_ns;
    uint32_t place; /* in the heap; when it is not in flight: the next free */
    uint32_t open;
    uint8_t phase;
    uint8_t fault;
    bool taken;
    bool hashed;
    bool adopted; /* what an earlier write had dirtied, so a sync of that one cannot miss it */
};

struct open {
    uint32_t node;
    uint32_t flags;
    uint32_t life; /* that it was opened in */
    bool used;
};

struct sim {
    struct sync_mutex lock; /* guards all below: open and close are any thread's */
    struct sync_cond arrived;
    bool interrupted;
    bool off;      /* the power */
    uint32_t life; /* crashes so far */
    uint64_t crash_at;
    uint64_t number_done; /* highest of a completed op */
    uint32_t script_at;
    struct queue deferred;
    struct queue done;
    struct flight *flights;
    uint32_t *heap;
    uint32_t heap_count;
    uint32_t free_flight;
    struct open *opens;
    uint32_t open_count;
    struct sim_disk disk;
};

/* What reop_sim_create() was called with, on its way through reop_engine_create(). */
static _Thread_local const struct reop_sim_config *creating;

struct sim_disk *sim_disk_of(const reop_engine *engine)
{
    return engine != NULL && engine->backend->id == REOP_BACKEND_SIM
               ? &((struct sim *) engine->state)->disk
               : NULL;
}

static struct sim *sim_of(reop_engine *engine)
{
    REOP_CHECK(sim_disk_of(engine) != NULL, "reop_sim_... of an engine that is not on the sim");
    return engine->state;
}

static void trace(struct sim *sim, enum sim_event_kind kind, uint32_t detail,
                  const struct flight *flight, uint64_t offset, int64_t amount)
{
    sim_account_add(&sim->disk.account, kind, detail, sim->opens[flight->open].node, flight->number,
                    offset, amount);
}

/* --- the heap of instants ---------------------------------------------------------------- */

static bool sooner(const struct sim *sim, uint32_t one, uint32_t other)
{
    const struct flight *a = &sim->flights[one], *b = &sim->flights[other];

    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void heap_put(struct sim *sim, uint32_t place, uint32_t flight)
{
    sim->heap[place] = flight;
    sim->flights[flight].place = place;
}

static void heap_rise(struct sim *sim, uint32_t place, uint32_t flight)
{
    while (place > 0 && sooner(sim, flight, sim->heap[(place - 1) / 2])) {
        heap_put(sim, place, sim->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(sim, place, flight);
}

static void heap_sink(struct sim *sim, uint32_t place, uint32_t flight)
{
    for (;;) {
        uint32_t child = place * 2 + 1;

        if (child + 1 < sim->heap_count && sooner(sim, sim->heap[child + 1], sim->heap[child]))
            child++;
        if (child >= sim->heap_count || !sooner(sim, sim->heap[child], flight))
            break;
        heap_put(sim, place, sim->heap[child]);
        place = child;
    }
    heap_put(sim, place, flight);
}

static void heap_push(struct sim *sim, uint32_t flight)
{
    heap_rise(sim, sim->heap_count++, flight);
}

static uint32_t heap_pop(struct sim *sim)
{
    uint32_t first = sim->heap[0], last = sim->heap[--sim->heap_count];

    if (sim->heap_count > 0)
        heap_sink(sim, 0, last);
    return first;
}

/* --- an op's buffers --------------------------------------------------------------------- */

static bool is_write(const reop_op *op)
{
    return op->kind == REOP_KIND_WRITE || op->kind == REOP_KIND_WRITEV;
}

static bool is_sync(const reop_op *op)
{
    return op->kind == REOP_KIND_SYNC || op->kind == REOP_KIND_SYNC_DATA;
}

/* The op's pieces: its own array, or one made up in single. Answers the bytes in all. */
static uint64_t pieces_of(const reop_op *op, struct reop_piece *single, struct sim_cursor *cursor)
{
    uint64_t total = 0;

    cursor->at = 0;
    if (op->kind == REOP_KIND_READ || op->kind == REOP_KIND_WRITE) {
        *single = (struct reop_piece){op->data, op->size};
        cursor->pieces = single;
        return op->size;
    }
    cursor->pieces = op->data;
    for (uint32_t i = 0; i < op->size; i++)
        total += cursor->pieces[i].size;
    return total;
}

static uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t size)
{
    uint64_t lanes[4] = {hash, hash + 1, hash + 2, hash + 3};
    uint64_t words[4];

    for (; size >= sizeof words; size -= sizeof words, bytes += sizeof words) {
        memcpy(words, bytes, sizeof words);
        for (int i = 0; i < 4; i++)
            lanes[i] = (lanes[i] ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    for (; size > 0; size--, bytes++)
        lanes[0] = (lanes[0] ^ *bytes) * UINT64_C(0x9e3779b97f4a7c15);
    return lanes[0] ^ lanes[1] >> 7 ^ lanes[2] >> 13 ^ lanes[3] >> 19;
}

static uint64_t hash_of(const reop_op *op)
{
    struct reop_piece single;
    struct sim_cursor cursor;
    uint64_t left = pieces_of(op, &single, &cursor), hash = 0;

    left = left < TRANSFER_MAX ? left : TRANSFER_MAX;
    for (; left > 0; cursor.pieces++) {
        size_t size = cursor.pieces->size < left ? cursor.pieces->size : (size_t) left;

        hash = hash_bytes(hash, cursor.pieces->data, size);
        left -= size;
    }
    return hash;
}

/* --- faults ------------------------------------------------------------------------------ */

static bool can_happen(uint32_t fault, const reop_op *op)
{
    switch (fault) {
    case REOP_FAULT_EIO:
    case REOP_FAULT_DELAY:
        return true;
    case REOP_FAULT_SHORT:
        return !is_sync(op);
    case REOP_FAULT_BIT_FLIP:
        return !is_sync(op) && !is_write(op);
    case REOP_FAULT_DROPPED_SYNC:
        return is_sync(op);
    case REOP_FAULT_ENOSPC:
    case REOP_FAULT_LOST:
    case REOP_FAULT_MISDIRECTED:
        return is_write(op);
    default:
        return false;
    }
}

static uint32_t draw_fault(struct sim *sim, const reop_op *op)
{
    const uint32_t *rates = sim->disk.config.faults.rate;
    uint32_t sum = 0, drawn;

    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++)
        sum += can_happen(i, op) ? rates[i] : 0;
    if (sum == 0)
        return REOP_FAULT_NONE;
    drawn = 65535 - sim_tape_choose(&sim->disk.tape, 65536);
    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++) {
        if (!can_happen(i, op))
            continue;
        if (drawn < rates[i])
            return i;
        drawn -= rates[i];
    }
    return REOP_FAULT_NONE;
}

static uint32_t choose_fault(struct sim *sim, const struct flight *flight)
{
    const struct reop_sim_config *config = &sim->disk.config;
    const reop_op *op = &flight->slot->op;

    while (sim->script_at < config->script_count &&
           config->script[sim->script_at].op < flight->number)
        sim->script_at++;
    if (sim->script_at < config->script_count &&
        config->script[sim->script_at].op == flight->number) {
        uint32_t fault = config->script[sim->script_at].fault;

        return can_happen(fault, op) ? fault : REOP_FAULT_NONE;
    }
    return draw_fault(sim, op);
}

static void note_fault(struct sim *sim, const struct flight *flight)
{
    sim->disk.stats.faults[flight->fault]++;
    trace(sim, SIM_EVENT_FAULT, flight->fault, flight, 0, 0);
}

/* A transfer of at least two units moves fewer. */
static uint64_t shorten(struct sim *sim, struct flight *flight, uint64_t size)
{
    uint64_t unit =
        sim->opens[flight->open].flags & REOP_FILE_DIRECT ? sim->disk.config.sector_size : 1;
    uint64_t units = size / unit;

    if (flight->fault != REOP_FAULT_SHORT || units < 2)
        return size;
    note_fault(sim, flight);
    return unit * (units - 1 - sim_tape_choose(&sim->disk.tape, (uint32_t) units - 1));
}

/* Elsewhere in the file, where it does not grow it. False: there is no such place. */
static bool misdirect(struct sim *sim, struct sim_range *range)
{
    uint64_t size = sim->disk.nodes[range->node].now.size;
    uint64_t shift =
        sim->disk.config.sector_size * (uint64_t) (1 + sim_tape_choose(&sim->disk.tape, 16));

    if (range->offset + shift + range->size <= size)
        range->offset += shift;
    else if (range->offset >= shift && range->offset - shift + range->size <= size)
        range->offset -= shift;
    else
        return false;
    return true;
}

/* --- the two instants -------------------------------------------------------------------- */

static struct flight *flight_of(const struct sim *sim, const struct slot *slot)
{
    return &sim->flights[slot->op.overlapped.internal];
}

static void power_cut(struct sim *sim);

/* True: this is where the power is cut. */
static bool event(struct sim *sim)
{
    sim->disk.stats.events++;
    if (sim->disk.stats.events != sim->crash_at)
        return false;
    power_cut(sim);
    return true;
}

static int64_t take_read(struct sim *sim, struct flight *flight, struct sim_range range,
                         struct sim_cursor cursor)
{
    uint64_t file_size = sim->disk.nodes[range.node].now.size;
    uint64_t left = range.offset < file_size ? file_size - range.offset : 0;

    if (range.size > left)
        range.size = left;
    if (range.size == 0)
        return 0;
    range.size = shorten(sim, flight, range.size);
    if (flight->fault == REOP_FAULT_EIO)
        sim_disk_spoil(&sim->disk, range);
    else if (flight->fault == REOP_FAULT_BIT_FLIP)
        sim_disk_flip(&sim->disk, range);
    if (flight->fault == REOP_FAULT_EIO || flight->fault == REOP_FAULT_BIT_FLIP)
        note_fault(sim, flight);
    return sim_disk_read(&sim->disk, range, cursor) ? (int64_t) range.size : -EIO;
}

static int64_t take_write(struct sim *sim, struct flight *flight, struct sim_range range,
                          struct sim_cursor cursor)
{
    bool direct = (sim->opens[flight->open].flags & REOP_FILE_DIRECT) != 0;
    uint64_t end, written;

    if (range.size == 0)
        return 0;
    if (flight->fault == REOP_FAULT_EIO || flight->fault == REOP_FAULT_ENOSPC) {
        note_fault(sim, flight);
        return flight->fault == REOP_FAULT_EIO ? -EIO : -ENOSPC;
    }
    range.size = shorten(sim, flight, range.size);
    end = range.offset + range.size;
    if (flight->fault == REOP_FAULT_LOST && direct) {
        note_fault(sim, flight);
        sim_disk_extend(&sim->disk, range.node, end);
        return (int64_t) range.size;
    }
    if (flight->fault == REOP_FAULT_MISDIRECTED && misdirect(sim, &range)) {
        note_fault(sim, flight);
        sim_disk_write(&sim->disk, range, cursor);
        sim_disk_extend(&sim->disk, range.node, end);
        return (int64_t) range.size;
    }
    written = sim_disk_write(&sim->disk, range, cursor);
    if (flight->fault == REOP_FAULT_LOST) { /* the page cache has it, and thinks it clean */
        note_fault(sim, flight);
        range.size = written;
        sim_disk_forget(&sim->disk, range);
    }
    return written > 0 ? (int64_t) written : -ENOSPC;
}

static struct sim_range range_of(const struct sim *sim, const struct flight *flight, uint64_t size)
{
    return (struct sim_range){sim->opens[flight->open].node, flight->slot->op.offset, size,
                              flight->write};
}

/* The device takes the op's buffer, or fills it. */
static void take(struct sim *sim, struct flight *flight)
{
    reop_op *op = &flight->slot->op;
    struct reop_piece single;
    struct sim_cursor cursor;
    uint64_t size;

    if (event(sim))
        return;
    flight->taken = true;
    flight->phase = PHASE_DONE;
    flight->due_ns = flight->done_ns;
    if (!is_sync(op)) {
        size = pieces_of(op, &single, &cursor);
        if (size > TRANSFER_MAX)
            size = TRANSFER_MAX;
        flight->write = is_write(op) ? ++sim->disk.write_last : 0;
        sim->disk.adopted = false;
        op->result = is_write(op) ? take_write(sim, flight, range_of(sim, flight, size), cursor)
                                  : take_read(sim, flight, range_of(sim, flight, size), cursor);
        flight->adopted = sim->disk.adopted;
        if (!is_write(op) && op->result > 0) {
            flight->hash = hash_of(op);
            flight->hashed = true;
        }
        trace(sim, SIM_EVENT_TAKEN, op->kind, flight, op->offset, op->result);
    }
}

static int64_t finish_sync(struct sim *sim, struct flight *flight)
{
    uint32_t node = sim->opens[flight->open].node;
    bool dropped = flight->fault == REOP_FAULT_DROPPED_SYNC;

    if (dropped || flight->fault == REOP_FAULT_EIO) {
        note_fault(sim, flight);
        if (dropped)
            sim_disk_sync(&sim->disk, node, flight->write, true);
        return -EIO;
    }
    if (sim->disk.config.flags & REOP_SIM_IGNORE_SYNC)
        return 0;
    sim_disk_sync(&sim->disk, node, flight->write, false);
    sim_disk_sync_size(&sim->disk, node);
    if (flight->slot->op.kind == REOP_KIND_SYNC)
        sim_disk_sync_names(&sim->disk, node);
    return 0;
}

static void finish_write(struct sim *sim, const struct flight *flight)
{
    uint32_t flags = sim->opens[flight->open].flags, device = sim->disk.config.flags;
    bool durable = (flags & REOP_FILE_DURABLE) && !(device & REOP_SIM_IGNORE_DURABLE);
    bool through = (flags & REOP_FILE_DIRECT) && (device & REOP_SIM_WRITE_THROUGH);

    if (flight->slot->op.result <= 0)
        return;
    if (durable || through)
        sim_disk_store(&sim->disk, range_of(sim, flight, (uint64_t) flight->slot->op.result));
    if (durable)
        sim_disk_sync_size(&sim->disk, sim->opens[flight->open].node);
}

static void come_back(struct sim *sim, struct flight *flight)
{
    reop_op *op = &flight->slot->op;

    op->os_error = op->result < 0 ? (uint32_t) -op->result : 0;
    trace(sim, SIM_EVENT_DONE, op->kind, flight, op->offset, op->result);
    queue_push(&sim->done, flight->slot);
    flight->place = sim->free_flight;
    sim->free_flight = (uint32_t) (flight - sim->flights);
}

static void complete(struct sim *sim, struct flight *flight)
{
    reop_op *op = &flight->slot->op;

    if (event(sim))
        return;
    heap_pop(sim);
    if (flight->hashed && flight->hash != hash_of(op)) {
        sim->disk.stats.buffers_changed++;
        trace(sim, SIM_EVENT_CHANGED, op->kind, flight, op->offset, 0);
    }
    if (op->result != -ECANCELED && is_sync(op))
        op->result = op->result < 0 ? op->result : finish_sync(sim, flight);
    else if (op->result != -ECANCELED && is_write(op))
        finish_write(sim, flight);
    if (flight->number < sim->number_done)
        sim->disk.stats.reordered++;
    else
        sim->number_done = flight->number;
    come_back(sim, flight);
}

/* Lets time pass until then, or, if first, until an op has come back. */
static void work(struct sim *sim, int64_t until_ns, bool first)
{
    int64_t *now_ns = &sim->disk.account.now_ns;

    while (sim->heap_count > 0 && sim->flights[sim->heap[0]].due_ns <= until_ns) {
        struct flight *flight = &sim->flights[sim->heap[0]];

        if (first && sim->done.head != NULL && flight->due_ns > *now_ns)
            return;
        if (flight->due_ns > *now_ns)
            *now_ns = flight->due_ns;
        if (flight->phase == PHASE_DONE) {
            complete(sim, flight);
            continue;
        }
        take(sim, flight);
        if (flight->phase == PHASE_DONE && sim->heap_count > 0)
            heap_sink(sim, flight->place, sim->heap[flight->place]);
    }
    if (until_ns > *now_ns && !(first && sim->done.head != NULL))
        *now_ns = until_ns;
}

/* --- submit ------------------------------------------------------------------------------ */

static int64_t refusal(const struct sim *sim, const struct flight *flight)
{
    const struct open *open = &sim->opens[flight->open];
    const reop_op *op = &flight->slot->op;

    if (sim->off || open->life != sim->life)
        return -ENODEV;
    if (is_sync(op))
        return 0;
    return open->flags & (is_write(op) ? REOP_FILE_WRITE : REOP_FILE_READ) ? 0 : -EBADF;
}

/* A sync may miss what is still in flight, though the cache has it. */
static void sync_begins(struct sim *sim, struct flight *sync)
{
    uint32_t node = sim->opens[sync->open].node;

    sync->write = sim->disk.write_last;
    sim->disk.sync_last = sync->write;
    for (uint32_t i = 0; i < sim->heap_count; i++) {
        struct flight *other = &sim->flights[sim->heap[i]];
        reop_op *op = &other->slot->op;

        if (!is_write(op) || !other->taken || other->adopted || op->result <= 0 ||
            sim->opens[other->open].node != node || sim_tape_choose(&sim->disk.tape, 2) == 0)
            continue;
        sim_disk_postpone(&sim->disk, range_of(sim, other, (uint64_t) op->result),
                          ++sim->disk.write_last);
        other->write = sim->disk.write_last;
    }
}

static void draw_times(struct sim *sim, struct flight *flight)
{
    const struct reop_sim_config *config = &sim->disk.config;
    struct sim_tape *tape = &sim->disk.tape;
    int64_t now_ns = sim->disk.account.now_ns;
    uint64_t latency_ns = config->latency_ns;

    if (config->jitter_ns > 0)
        latency_ns += config->jitter_ns / 255 * sim_tape_byte(tape);
    if (flight->fault == REOP_FAULT_DELAY) {
        latency_ns += config->faults.delay_ns;
        note_fault(sim, flight);
    }
    flight->done_ns = now_ns + (int64_t) latency_ns;
    flight->due_ns = flight->done_ns;
    if (flight->phase == PHASE_TAKE)
        flight->due_ns = now_ns + (int64_t) (latency_ns / 256 * sim_tape_byte(tape));
}

/* The device has the op. */
static void accept(struct sim *sim, struct slot *slot)
{
    reop_op *op = &slot->op;
    uint32_t place = sim->free_flight;
    struct flight *flight = &sim->flights[place];

    sim->free_flight = flight->place;
    *flight = (struct flight){.slot = slot,
                              .number = sim->disk.stats.ops++,
                              .open = (uint32_t) op->file->native,
                              .phase = is_sync(op) ? PHASE_DONE : PHASE_TAKE};
    op->overlapped.internal = place;
    trace(sim, SIM_EVENT_SUBMIT, op->kind, flight, op->offset, op->size);
    op->result = refusal(sim, flight);
    if (op->result == -ENODEV) {
        come_back(sim, flight);
        return;
    }
    if (op->result < 0)
        flight->phase = PHASE_DONE;
    else
        flight->fault = (uint8_t) choose_fault(sim, flight);
    if (op->result == 0 && is_write(op)) {
        flight->hash = hash_of(op);
        flight->hashed = true;
    }
    if (is_sync(op))
        sync_begins(sim, flight);
    draw_times(sim, flight);
    heap_push(sim, place);
    if (event(sim) || flight->phase != PHASE_TAKE || flight->due_ns > sim->disk.account.now_ns)
        return;
    take(sim, flight);
    if (!sim->off)
        heap_sink(sim, flight->place, place);
}

static void accept_deferred(struct sim *sim)
{
    struct slot *slot;

    while ((slot = queue_pop(&sim->deferred)) != NULL)
        accept(sim, slot);
}

/* An INLINE engine's op that the device answers at once. */
static bool answer_at_once(struct sim *sim, struct slot *slot)
{
    struct flight *flight = flight_of(sim, slot);

    if (sim->done.head == slot) /* it has come back already */
        return true;
    if (sim->done.head != NULL || sim_tape_choose(&sim->disk.tape, 2) != 0)
        return false;
    flight->due_ns = flight->done_ns = INT64_MIN; /* before all others */
    heap_rise(sim, flight->place, sim->heap[flight->place]);
    if (flight->phase == PHASE_TAKE)
        take(sim, flight);
    if (!sim->off) /* else power_cut() brought it back, with all others */
        complete(sim, flight);
    return sim->done.head == slot;
}

static reop_status sim_submit(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct sim *sim = engine->state;
    bool answered = false;

    (void) file;
    sync_lock(&sim->lock);
    if (engine->flags & REOP_ENGINE_DEFER) {
        queue_push(&sim->deferred, slot);
    } else {
        accept(sim, slot);
        if (engine->flags & REOP_ENGINE_INLINE)
            answered = answer_at_once(sim, slot);
        if (answered)
            queue_pop(&sim->done);
    }
    sync_unlock(&sim->lock);
    return answered ? engine_answer(engine, slot) : REOP_PENDING;
}

static int sim_flush(reop_engine *engine)
{
    struct sim *sim = engine->state;

    sync_lock(&sim->lock);
    accept_deferred(sim);
    sync_unlock(&sim->lock);
    return 0;
}

/* --- collect ----------------------------------------------------------------------------- */

/* The clock, so much later; saturates. */
static int64_t later(const struct sim *sim, int64_t ns)
{
    int64_t now_ns = sim->disk.account.now_ns;

    return ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + ns;
}

static void wait_for_work(struct sim *sim, int64_t timeout_ns)
{
    if (timeout_ns >= 0) {
        work(sim, later(sim, timeout_ns > 0 ? timeout_ns : POLL_NS), true);
    } else if (sim->heap_count > 0) {
        while (sim->done.head == NULL)
            work(sim, sim->flights[sim->heap[0]].due_ns, true);
    } else {
        while (!sim->interrupted) /* nothing can happen here but what another thread does */
            sync_wait(&sim->arrived, &sim->lock, SYNC_NEVER);
    }
}

static int sim_collect(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct sim *sim = engine->state;
    bool interrupted;
    struct slot *slot;
    int count = 0;

    sync_lock(&sim->lock);
    accept_deferred(sim);
    work(sim, sim->disk.account.now_ns, false);
    interrupted = sim->interrupted;
    if (sim->done.head == NULL && !interrupted)
        wait_for_work(sim, timeout_ns);
    sim->interrupted = false;
    while ((uint32_t) count < max && (slot = queue_pop(&sim->done)) != NULL)
        ops[count++] = &slot->op;
    sync_unlock(&sim->lock);
    /* The engine has its eye on the real clock, and virtual time is over: it leaves at a signal. */
    return count == 0 && timeout_ns > 0 && !interrupted ? -EINTR : count;
}

static void sim_interrupt(reop_engine *engine)
{
    struct sim *sim = engine->state;

    sync_lock(&sim->lock);
    sim->interrupted = true;
    sync_unlock(&sim->lock);
    sync_signal(&sim->arrived);
}

/* Before its buffer is taken a cancel wins at the first choice, after that it loses; and it may be
 * the other way round. */
static void sim_cancel(reop_engine *engine, struct slot *slot)
{
    struct sim *sim = engine->state;
    struct flight *flight;
    bool wins;

    sync_lock(&sim->lock);
    accept_deferred(sim);
    flight = flight_of(sim, slot);
    if (flight->slot == slot && flight->place < sim->heap_count &&
        sim->heap[flight->place] == (uint32_t) (flight - sim->flights)) {
        wins = (sim_tape_choose(&sim->disk.tape, 2) == 0) == !flight->taken;
        sim->disk.stats.cancelled += wins;
        sim->disk.stats.cancel_lost += !wins;
        trace(sim, SIM_EVENT_CANCEL, wins, flight, 0, 0);
        if (wins) {
            slot->op.result = -ECANCELED;
            flight->phase = PHASE_DONE;
            flight->due_ns = sim->disk.account.now_ns;
            heap_rise(sim, flight->place, sim->heap[flight->place]);
        }
    }
    sync_unlock(&sim->lock);
}

/* --- files ------------------------------------------------------------------------------- */

static struct open *open_of(const struct sim *sim, reop_handle handle)
{
    if (handle < 0 || (uint32_t) handle >= sim->open_count || !sim->opens[handle].used)
        return NULL;
    return &sim->opens[handle];
}

static int sim_open(reop_engine *engine, const char *path, uint32_t flags, reop_handle *handle_out)
{
    struct sim *sim = engine->state;
    uint32_t place = 0;
    struct open *open;
    int error = -ENODEV;

    sync_lock(&sim->lock);
    while (place < sim->open_count && sim->opens[place].used)
        place++;
    open = &sim->opens[place];
    if (place == sim->open_count)
        error = -EMFILE;
    else if (!sim->off)
        error = sim_disk_open(&sim->disk, path, flags, &open->node);
    if (error == 0) {
        open->used = true;
        open->flags = flags;
        open->life = sim->life;
        *handle_out = (reop_handle) place;
        sim_account_add(&sim->disk.account, SIM_EVENT_OPEN, 0, open->node, 0, flags,
                        (int64_t) sim->disk.nodes[open->node].now.size);
    }
    sync_unlock(&sim->lock);
    return error;
}

static int sim_close(reop_engine *engine, reop_handle handle)
{
    struct sim *sim = engine->state;
    struct open *open;

    sync_lock(&sim->lock);
    open = open_of(sim, handle);
    if (open != NULL) {
        if (open->life == sim->life) /* a crash closes what was open */
            sim_disk_close(&sim->disk, open->node);
        open->used = false;
    }
    sync_unlock(&sim->lock);
    return open != NULL ? 0 : -EBADF;
}

static int sim_inspect(reop_file *file, uint32_t flags)
{
    struct sim *sim = file->engine->state;
    uint32_t shown = REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_DIRECT | REOP_FILE_DURABLE;
    const struct open *open;

    sync_lock(&sim->lock);
    open = open_of(sim, file->handle);
    if (open != NULL)
        file->flags = open->flags & shown;
    sync_unlock(&sim->lock);
    if (open == NULL)
        return -EBADF;
    if (flags & ~file->flags & (REOP_FILE_DIRECT | REOP_FILE_DURABLE))
        return -ENOTSUP;
    if (file->flags & REOP_FILE_DIRECT) {
        file->offset_mask = sim->disk.config.sector_size - 1;
        file->size_mask = sim->disk.config.sector_size - 1;
        file->memory_mask = sim->disk.config.sector_size - 1;
    }
    file->regular = true;
    file->native = (uint64_t) file->handle;
    return 0;
}

static int sim_size(const reop_file *file, uint64_t *size_out)
{
    struct sim *sim = file->engine->state;
    const struct open *open;
    int error = -ENODEV;

    sync_lock(&sim->lock);
    open = open_of(sim, file->handle);
    if (open != NULL && open->life == sim->life && !sim->off) {
        *size_out = sim->disk.nodes[open->node].now.size;
        error = 0;
    }
    sync_unlock(&sim->lock);
    return error;
}

static uint32_t sim_physical_sector(const reop_file *file)
{
    const struct sim *sim = file->engine->state;

    return sim->disk.config.sector_size;
}

static bool fill(struct sim_disk *disk, uint32_t node, uint64_t from, uint64_t to)
{
    static unsigned char zeroes[4096]; /* never written */

    while (from < to) {
        struct reop_piece piece = {zeroes, to - from < sizeof zeroes ? (size_t) (to - from)
                                                                     : sizeof zeroes};
        struct sim_range range = {node, from, piece.size, ++disk->write_last};

        if (sim_disk_write(disk, range, (struct sim_cursor){&piece, 0}) < piece.size)
            return false;
        from += piece.size;
    }
    return true;
}

static int sim_zero_fill(reop_file *file, uint64_t from, uint64_t to)
{
    struct sim *sim = file->engine->state;
    const struct open *open;
    int error = 0;

    sync_lock(&sim->lock);
    open = open_of(sim, file->handle);
    if (open == NULL || open->life != sim->life || sim->off)
        error = -ENODEV;
    else if (!(open->flags & REOP_FILE_WRITE))
        error = -EBADF;
    else if (!fill(&sim->disk, open->node, from, to))
        error = -ENOSPC;
    if (error == 0) {
        sim_disk_sync(&sim->disk, open->node, sim->disk.write_last, false);
        sim_disk_sync_size(&sim->disk, open->node);
        sim_disk_sync_names(&sim->disk, open->node);
    }
    sync_unlock(&sim->lock);
    return error;
}

/* The backend's half of attaching is in sim_inspect(). */
static int sim_attach(reop_engine *engine, reop_file *file)
{
    (void) engine;
    (void) file;
    return 0;
}

static int sim_detach(reop_engine *engine, reop_file *file, bool closing)
{
    (void) engine;
    (void) file;
    (void) closing;
    return 0;
}

static void sim_register_pool(reop_engine *engine, uint32_t index)
{
    (void) engine; /* takes any memory */
    (void) index;
}

/* --- create ------------------------------------------------------------------------------ */

static const char *device_wrong(const struct reop_sim_config *device)
{
    uint64_t rates = 0;

    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++)
        rates += device->faults.rate[i];
    if (device->sector_size != 512 && device->sector_size != 4096)
        return "sector_size is neither 512 nor 4096";
    if (device->atomic_size < device->sector_size || device->atomic_size > ATOMIC_MAX ||
        (device->atomic_size & (device->atomic_size - 1)) != 0)
        return "atomic_size is no power of two from sector_size to 65536";
    if (device->capacity < device->sector_size || device->capacity > UINT64_C(1) << 40)
        return "capacity is less than a sector or more than 1 TiB";
    if (device->file_count > 65536 || device->event_count > UINT32_C(1) << 24 ||
        device->tape_size > UINT32_C(1) << 30)
        return "file_count, event_count or tape_size is too large";
    if ((device->flags & ~FLAGS_ALL) != 0)
        return "flags has unknown bits";
    if (rates > 65536 || device->garbage > 65536)
        return "rates are more than 65536 in 65536";
    if (device->latency_ns > INT64_MAX / 8 || device->jitter_ns > INT64_MAX / 8 ||
        device->faults.delay_ns > INT64_MAX / 8)
        return "latency_ns, jitter_ns or delay_ns is too large";
    return NULL;
}

static struct reop_sim_config complete_device(void)
{
    struct reop_sim_config device = {0};
    uint32_t power = 16;

    if (creating != NULL)
        device = *creating;
    device.capacity = device.capacity > 0 ? device.capacity : UINT64_C(4) << 20;
    device.sector_size = device.sector_size > 0 ? device.sector_size : 512;
    device.atomic_size = device.atomic_size > 0 ? device.atomic_size : device.sector_size;
    device.file_count = device.file_count > 0 ? device.file_count : 64;
    device.latency_ns = device.latency_ns > 0 ? device.latency_ns : LATENCY_NS;
    device.faults.delay_ns = device.faults.delay_ns > 0 ? device.faults.delay_ns : DELAY_NS;
    device.tape_size = device.tape_size > 0 ? device.tape_size : 16384;
    device.event_count = device.event_count > 0 ? device.event_count : 256;
    while (power < device.event_count && power < UINT32_C(1) << 31)
        power *= 2;
    device.event_count = power;
    return device;
}

/* Lays the state out; memory NULL: answers its size. */
static size_t carve(struct sim *sim, const reop_engine_config *config, unsigned char *memory)
{
    size_t flights_at = (sizeof(struct sim) + 63) & ~(size_t) 63;
    size_t heap_at = flights_at + config->depth * sizeof(struct flight);
    size_t opens_at = heap_at + ((config->depth * sizeof(uint32_t) + 63) & ~(size_t) 63);
    uint32_t open_count = config->file_count + SPARE_OPENS;
    size_t disk_at = opens_at + open_count * sizeof(struct open);

    if (memory != NULL) {
        sim->flights = (struct flight *) (void *) (memory + flights_at);
        sim->heap = (uint32_t *) (void *) (memory + heap_at);
        sim->opens = (struct open *) (void *) (memory + opens_at);
        sim->open_count = open_count;
    }
    return sim_disk_carve(&sim->disk, memory, disk_at);
}

static const char *not_here(const reop_engine_config *config)
{
    if (config->backend != REOP_BACKEND_SIM)
        return "it is used only when asked for by name";
    return config->flags & REOP_ENGINE_SINGLE_THREAD ? NULL : "it needs REOP_ENGINE_SINGLE_THREAD";
}

static size_t sim_state_size(const reop_engine_config *config)
{
    struct sim sizing = {.disk.config = complete_device()};

    if (not_here(config) != NULL || device_wrong(&sizing.disk.config) != NULL)
        return sizeof(struct sim); /* and sim_create() refuses */
    return carve(&sizing, config, NULL);
}

static int sim_create(reop_engine *engine, const reop_engine_config *config)
{
    struct sim *sim = engine->state;
    const char *wrong = not_here(config);

    if (wrong != NULL) {
        engine_say(engine, "sim: %s", wrong);
        return -ENOTSUP;
    }
    sim->disk.config = complete_device();
    wrong = device_wrong(&sim->disk.config);
    if (wrong != NULL) {
        engine_say(engine, "sim: %s", wrong);
        return -EINVAL;
    }
    carve(sim, config, engine->state);
    for (uint32_t i = 0; i < config->depth; i++)
        sim->flights[i].place = i + 1; /* the free list */
    sync_mutex_init(&sim->lock);
    sync_cond_init(&sim->arrived);
    return 0;
}

static void sim_destroy(reop_engine *engine)
{
    struct sim *sim = engine->state;

    sync_cond_destroy(&sim->arrived);
    sync_mutex_destroy(&sim->lock);
}

static const struct backend_files sim_files = {
    .open = sim_open,
    .close = sim_close,
    .inspect = sim_inspect,
    .size = sim_size,
    .zero_fill = sim_zero_fill,
    .physical_sector = sim_physical_sector,
};

const struct backend sim_backend = {
    .name = "sim",
    .id = REOP_BACKEND_SIM,
    .kinds = 1u << REOP_KIND_READ | 1u << REOP_KIND_WRITE | 1u << REOP_KIND_READV |
             1u << REOP_KIND_WRITEV | 1u << REOP_KIND_SYNC | 1u << REOP_KIND_SYNC_DATA,
    .depth_max = 1u << 20,
    .state_size = sim_state_size,
    .create = sim_create,
    .destroy = sim_destroy,
    .register_pool = sim_register_pool,
    .attach = sim_attach,
    .detach = sim_detach,
    .submit = sim_submit,
    .flush = sim_flush,
    .collect = sim_collect,
    .interrupt = sim_interrupt,
    .cancel = sim_cancel,
    .files = &sim_files,
};

/* --- <reop/sim.h> ------------------------------------------------------------------------ */

int reop_sim_create(const reop_engine_config *config, const struct reop_sim_config *device,
                    reop_engine **engine_out)
{
    reop_engine_config chosen = config != NULL ? *config : (reop_engine_config){0};
    int error;

    if (chosen.backend == REOP_BACKEND_AUTO)
        chosen.backend = REOP_BACKEND_SIM;
    if (chosen.backend != REOP_BACKEND_SIM)
        return -EINVAL;
    creating = device;
    error = reop_engine_create(&chosen, engine_out);
    creating = NULL;
    return error;
}

int reop_sim_reset(reop_engine *engine, const uint8_t *tape, size_t tape_size, uint64_t seed)
{
    struct sim *sim = sim_of(engine);
    struct sim_tape *choices = &sim->disk.tape;
    bool busy;

    if (tape_size > choices->capacity)
        return -EINVAL;
    sync_lock(&sim->lock);
    busy = sim->heap_count > 0 || sim->done.head != NULL || sim->deferred.head != NULL;
    for (uint32_t i = 0; i < sim->open_count; i++)
        busy = busy || sim->opens[i].used;
    if (!busy) {
        sim_disk_reset(&sim->disk);
        sim->off = false;
        sim->crash_at = 0;
        sim->number_done = 0;
        sim->script_at = 0;
        if (tape_size > 0)
            memmove(choices->bytes, tape, tape_size);
        choices->size = (uint32_t) tape_size;
        choices->used = 0;
        choices->random = seed;
        choices->seeded = seed != 0;
    }
    sync_unlock(&sim->lock);
    return busy ? -EBUSY : 0;
}

uint32_t reop_sim_choose(reop_engine *engine, uint32_t limit)
{
    struct sim *sim = sim_of(engine);
    uint32_t chosen;

    sync_lock(&sim->lock);
    chosen = sim_tape_choose(&sim->disk.tape, limit);
    sync_unlock(&sim->lock);
    return chosen;
}

int64_t reop_sim_now_ns(reop_engine *engine)
{
    struct sim *sim = sim_of(engine);
    int64_t now_ns;

    sync_lock(&sim->lock);
    now_ns = sim->disk.account.now_ns;
    sync_unlock(&sim->lock);
    return now_ns;
}

void reop_sim_advance(reop_engine *engine, uint64_t ns)
{
    struct sim *sim = sim_of(engine);

    sync_lock(&sim->lock);
    work(sim, later(sim, ns < INT64_MAX ? (int64_t) ns : INT64_MAX), false);
    sync_unlock(&sim->lock);
}

static void power_cut(struct sim *sim)
{
    struct sim_disk *disk = &sim->disk;

    sim->off = true;
    sim->crash_at = 0;
    disk->stats.crashes++;
    sim_account_add(&disk->account, SIM_EVENT_CRASH, 0, 0, 0, disk->stats.events, 0);
    while (sim->heap_count > 0) {
        struct flight *flight = &sim->flights[heap_pop(sim)];

        flight->slot->op.result = -ENODEV;
        come_back(sim, flight);
    }
    sim->life++;
    sim_disk_crash(disk);
}

void reop_sim_crash(reop_engine *engine)
{
    struct sim *sim = sim_of(engine);

    sync_lock(&sim->lock);
    if (!sim->off)
        power_cut(sim);
    sync_unlock(&sim->lock);
}

void reop_sim_crash_after(reop_engine *engine, uint64_t events)
{
    struct sim *sim = sim_of(engine);

    sync_lock(&sim->lock);
    sim->crash_at = events > 0 ? sim->disk.stats.events + events : 0;
    sync_unlock(&sim->lock);
}

bool reop_sim_crashed(reop_engine *engine)
{
    struct sim *sim = sim_of(engine);
    bool off;

    sync_lock(&sim->lock);
    off = sim->off;
    sync_unlock(&sim->lock);
    return off;
}

void reop_sim_restart(reop_engine *engine)
{
    struct sim *sim = sim_of(engine);

    sync_lock(&sim->lock);
    if (sim->off)
        sim_account_add(&sim->disk.account, SIM_EVENT_RESTART, 0, 0, 0, 0, 0);
    sim->off = false;
    sync_unlock(&sim->lock);
}

int reop_sim_rename(reop_engine *engine, const char *from, const char *to)
{
    struct sim *sim = sim_of(engine);
    int error;

    sync_lock(&sim->lock);
    error = sim->off ? -ENODEV : sim_disk_rename(&sim->disk, from, to);
    sync_unlock(&sim->lock);
    return error;
}

int reop_sim_remove(reop_engine *engine, const char *name)
{
    struct sim *sim = sim_of(engine);
    int error;

    sync_lock(&sim->lock);
    error = sim->off ? -ENODEV : sim_disk_remove(&sim->disk, name);
    sync_unlock(&sim->lock);
    return error;
}

int reop_sim_store(reop_engine *engine, const char *name, const void *data, size_t size)
{
    struct sim *sim = sim_of(engine);
    struct sim_disk *disk = &sim->disk;
    struct reop_piece piece = {(void *) (uintptr_t) data, size};
    uint32_t node = 0;
    int error;

    sync_lock(&sim->lock);
    error =
        sim_disk_open(disk, name, REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_TRUNCATE, &node);
    if (error == 0) {
        struct sim_range range = {node, 0, size, ++disk->write_last};

        if (size > 0 && sim_disk_write(disk, range, (struct sim_cursor){&piece, 0}) < size)
            error = -ENOSPC;
        sim_disk_sync(disk, node, disk->write_last, false);
        sim_disk_sync_size(disk, node);
        sim_disk_sync_names(disk, node);
        sim_disk_close(disk, node);
    }
    sync_unlock(&sim->lock);
    return error;
}

int64_t reop_sim_load(reop_engine *engine, const char *name, void *data, size_t size)
{
    struct sim *sim = sim_of(engine);
    struct reop_piece piece = {data, size};
    int64_t loaded = -ENOENT;
    uint32_t node;

    sync_lock(&sim->lock);
    node = sim_disk_find(&sim->disk, name);
    if (node != 0) {
        uint64_t file_size = sim->disk.nodes[node].now.size;
        struct sim_range range = {node, 0, file_size < size ? file_size : size, 0};

        loaded = sim_disk_read(&sim->disk, range, (struct sim_cursor){&piece, 0})
                     ? (int64_t) range.size
                     : -EIO;
    }
    sync_unlock(&sim->lock);
    return loaded;
}

void reop_sim_query(reop_engine *engine, struct reop_sim_stats *stats_out)
{
    struct sim *sim = sim_of(engine);

    sync_lock(&sim->lock);
    *stats_out = sim->disk.stats;
    stats_out->tape_used = sim->disk.tape.used;
    sync_unlock(&sim->lock);
}
