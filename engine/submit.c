/* SPDX-License-Identifier: MIT
 *
 * Every submit: check, count in, launch, hand to the backend. Nothing is launched that can still be
 * rejected, and nothing is touched that was launched.
 */
#include "engine.h"
#include "error.h"

static reop_status reject(reop_engine *engine, reop_op *op, int error)
{
    op->result = error;
    op->os_error = 0;
    if (engine != NULL)
        atomic_fetch_add_explicit(&engine->rejected, 1, memory_order_relaxed);
    return REOP_REJECTED;
}

/* Whether a submit touches file or engine after others can have the op. Not on a single-threaded
 * engine, whose one thread cannot reap what it is still submitting. */
static inline bool lingers(const reop_engine *engine, enum reop_kind kind)
{
    return !engine->single && (!engine->parts || kind == REOP_KIND_NATIVE);
}

/* Fuller than it may be, with the op that has just been counted in. */
static inline bool is_full(reop_engine *engine)
{
    if (engine->metered)
        return atomic_load(&engine->in_flight) > engine->depth;
    return REOP_UNLIKELY(atomic_load(&engine->summed)) && engine_overfull(engine);
}

/* The gates again, now that one of them was found shut. 0: it was not, try again. */
static int refused(reop_engine *engine, reop_file *file, bool inside)
{
    bool full = is_full(engine);
    bool open;

    engine_uncount(&file->submitted, 1, engine->counts_shared);
    if (engine->metered)
        engine_uncount(&engine->in_flight, 1, engine->counts_shared);
    if (inside)
        file_leave(file);
    engine_counted_out(engine);
    /* A close that answers -EBUSY shuts the gate for a moment, and holds the lock meanwhile. */
    sync_lock(&engine->lock);
    open = atomic_load(&file->open) != FILE_SHUT;
    sync_unlock(&engine->lock);
    if (!open)
        return -EINVAL;
    if (atomic_load(&engine->attention) & ENGINE_STOP)
        return -ECANCELED;
    return full ? -EAGAIN : 0;
}

/* Seq_cst, after the counts: pairs with file_shut, and with gather's look at STOP. */
static inline bool gates_open(reop_engine *engine, reop_file *file)
{
    return atomic_load(&file->open) != FILE_SHUT &&
           !(atomic_load(&engine->attention) & ENGINE_STOP) && !is_full(engine);
}

/* Counts first, looks at the gates after: whoever shuts one looks at the counts after that. */
static inline int enter(reop_engine *engine, reop_file *file, bool inside)
{
    int error;

    do {
        if (inside)
            file_stay(file);
        engine_count(&file->submitted, engine->counts_shared);
        if (engine->metered)
            engine_count(&engine->in_flight, engine->counts_shared);
        if (gates_open(engine, file))
            return 0;
        error = refused(engine, file, inside);
    } while (error == 0);
    return error;
}

/* All that comes before the system is asked. PENDING: launched, and the system has to be asked. */
static reop_status begin(reop_op *op, reop_file *file, enum reop_kind kind, void *data,
                         uint32_t size, uint64_t offset, bool wrong)
{
    struct slot *slot = slot_of(op);
    const struct engine_pool *pool;
    reop_engine *engine;
    uint64_t word;
    int error;

    word = slot_held(slot, "submit");
    if (REOP_UNLIKELY(file == NULL))
        return reject(NULL, op, -EINVAL);
    engine = file->engine;
    engine_own(engine);
    if (REOP_UNLIKELY(wrong || offset >= (uint64_t) INT64_MAX - size))
        return reject(engine, op, -EINVAL);
    if (kind > REOP_KIND_WRITE && !(engine->backend->kinds & (1u << kind)))
        return reject(engine, op, -ENOTSUP);
    pool = &engine->pools[0];
    if (REOP_UNLIKELY(slot->pool != pool->pool)) {
        pool = engine_find_pool(engine, slot->pool);
        if (pool == NULL)
            return reject(engine, op, -EINVAL);
        if (!engine->metered && engine->single)
            engine_meter(engine);
    }
    error = enter(engine, file, lingers(engine, kind));
    if (REOP_UNLIKELY(error != 0))
        return reject(engine, op, error);

    op->kind = kind;
    op->file = file;
    op->data = data;
    op->size = size;
    op->offset = offset;
    engine_date(slot, engine->parts ? 0 : sync_tick());
    if (REOP_UNLIKELY(trace_on(io)))
        trace_start(op);
    slot_launch(slot, word, pool->launch_bits);
    return REOP_PENDING;
}

/* Asks the system, and is done with the file. */
static inline reop_status hand_over(reop_op *op, reop_file *file, enum reop_kind kind)
{
    reop_engine *engine = file->engine;
    bool inside = lingers(engine, kind);
    reop_status status = engine->submit(engine, file, slot_of(op));

    if (inside)
        file_leave(file);
    return status;
}

static reop_status submit(reop_op *op, reop_file *file, enum reop_kind kind, void *data,
                          uint32_t size, uint64_t offset, bool wrong)
{
    reop_status status = begin(op, file, kind, data, size, offset, wrong);

    if (status != REOP_PENDING)
        return status;
    return hand_over(op, file, kind);
}

/* What the next submit of the file's may rely on: its backend knows it when this one returns. After
 * begin(), before the system is asked. */
static void note_known(reop_file *file)
{
    uint32_t open = atomic_load(&file->open);

    /* Else it is being shut; which cannot succeed, as an op of ours is counted in and has not been
     * handed over. */
    if (file->engine->single && open == FILE_OPEN &&
        atomic_compare_exchange_strong(&file->open, &open, FILE_KNOWN) && !file->masked)
        atomic_store(&file->plain_end, FILE_PLAIN_END);
}

void submit_native_end(reop_file *file)
{
    if (!file->engine->single)
        file_leave(file);
}

static bool misaligned(const reop_file *file, const void *data, uint32_t size, uint64_t offset)
{
    return file != NULL && file->masked &&
           ((offset & file->offset_mask) | (size & file->size_mask) |
            ((uintptr_t) data & file->memory_mask)) != 0;
}

REOP_APART reop_status transfer_the_long_way(reop_op *op, reop_file *file, enum reop_kind kind,
                                             void *data, uint32_t size, uint64_t offset)
{
    reop_status status =
        begin(op, file, kind, data, size, offset, misaligned(file, data, size, offset));

    if (status != REOP_PENDING)
        return status;
    note_known(file);
    return hand_over(op, file, kind);
}

reop_status read_the_long_way(reop_op *op, reop_file *file, void *data, uint32_t size,
                              uint64_t offset, reop_engine *engine)
{
    (void) engine;
    return transfer_the_long_way(op, file, REOP_KIND_READ, data, size, offset);
}

reop_status write_the_long_way(reop_op *op, reop_file *file, void *data, uint32_t size,
                               uint64_t offset, reop_engine *engine)
{
    (void) engine;
    return transfer_the_long_way(op, file, REOP_KIND_WRITE, data, size, offset);
}

REOP_HOT reop_status reop_read(reop_op *op, reop_file *file, void *data, uint32_t size,
                               uint64_t offset)
{
    if (REOP_UNLIKELY(file == NULL))
        return read_the_long_way(op, file, data, size, offset, NULL);
    return file->engine->read(op, file, data, size, offset, file->engine);
}

REOP_HOT reop_status reop_write(reop_op *op, reop_file *file, const void *data, uint32_t size,
                                uint64_t offset)
{
    void *bytes = (void *) (uintptr_t) data;

    if (REOP_UNLIKELY(file == NULL))
        return write_the_long_way(op, file, bytes, size, offset, NULL);
    return file->engine->write(op, file, bytes, size, offset, file->engine);
}

reop_status submit_native_begin(reop_op *op, reop_file *file, void *data, uint64_t offset,
                                bool wrong)
{
    reop_status status = begin(op, file, REOP_KIND_NATIVE, data, 0, offset, wrong);

    if (status == REOP_PENDING)
        note_known(file);
    return status;
}

static bool pieces_wrong(const reop_file *file, const struct reop_piece *pieces, uint32_t count,
                         uint64_t offset)
{
    uint64_t total = 0;

    if (file == NULL || pieces == NULL || count == 0 || count > REOP_PIECES_MAX)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        if (pieces[i].size > INT32_MAX ||
            misaligned(file, pieces[i].data, (uint32_t) pieces[i].size, offset))
            return true;
        total += pieces[i].size;
    }
    return total > INT32_MAX || offset >= (uint64_t) INT64_MAX - total;
}

static inline reop_status submit_pieces(reop_op *op, reop_file *file, enum reop_kind kind,
                                        const struct reop_piece *pieces, uint32_t count,
                                        uint64_t offset)
{
    bool wrong = pieces_wrong(file, pieces, count, offset);

    if (!wrong && file->engine->backend->takes_pieces != NULL && atomic_load(&file->open) != 0 &&
        !file->engine->backend->takes_pieces(file, pieces, count))
        kind = REOP_KIND_POST; /* which no backend submits: -ENOTSUP */
    return submit(op, file, kind, (void *) (uintptr_t) pieces, count, offset, wrong);
}

reop_status reop_readv(reop_op *op, reop_file *file, const struct reop_piece *pieces,
                       uint32_t count, uint64_t offset)
{
    return submit_pieces(op, file, REOP_KIND_READV, pieces, count, offset);
}

reop_status reop_writev(reop_op *op, reop_file *file, const struct reop_piece *pieces,
                        uint32_t count, uint64_t offset)
{
    return submit_pieces(op, file, REOP_KIND_WRITEV, pieces, count, offset);
}

reop_status reop_sync(reop_op *op, reop_file *file, uint32_t flags)
{
    enum reop_kind kind = flags & REOP_SYNC_DATA ? REOP_KIND_SYNC_DATA : REOP_KIND_SYNC;
    reop_status status = begin(op, file, kind, NULL, 0, 0, (flags & ~REOP_SYNC_DATA) != 0);
    uint64_t sync_error;

    if (status != REOP_PENDING)
        return status;
    sync_error = atomic_load(&file->sync_error);
    if (sync_error == 0)
        return hand_over(op, file, kind);
    /* After a failed sync the page cache no longer tells the truth: the same answer for ever. */
    op->result = -(int64_t) (sync_error >> 32);
    op->os_error = (uint32_t) sync_error;
    if (!lingers(file->engine, kind))
        file_stay(file); /* what answers here does so on every engine */
    status = engine_answer(file->engine, slot_of(op));
    file_leave(file);
    return status;
}

reop_status reop_post(reop_op *op, reop_engine *engine, int64_t result)
{
    struct slot *slot = slot_of(op);
    const struct engine_pool *pool;
    uint64_t word = slot_held(slot, "post");

    pool = engine != NULL ? engine_find_pool(engine, slot->pool) : NULL;
    if (pool == NULL)
        return reject(engine, op, -EINVAL);
    atomic_fetch_add(&engine->posted, 1);
    /* Seq_cst, after the count: pairs with gather's look at STOP and then at the counts. */
    if (atomic_load(&engine->attention) & ENGINE_STOP) {
        atomic_fetch_sub(&engine->posted, 1);
        engine->backend->interrupt(engine);
        return reject(engine, op, -ECANCELED);
    }
    op->kind = REOP_KIND_POST;
    op->file = NULL;
    op->data = NULL;
    op->size = 0;
    op->offset = 0;
    op->result = result;
    op->os_error = 0;
    engine_date(slot, sync_tick());
    if (REOP_UNLIKELY(trace_on(io)))
        trace_start(op);
    slot_launch(slot, word, pool->launch_bits);
    if (engine_owned(engine))
        engine_push_own(engine, slot);
    else
        engine_ready(engine, slot);
    return REOP_PENDING;
}

uint64_t reop_op_use(const reop_op *op)
{
    return slot_use(slot_word(slot_of(op))) + 1;
}

/* To the owner, by value: the op may be anybody's by the time it is looked at. */
static int mail_cancel(reop_engine *engine, struct slot *slot, uint64_t use)
{
    bool full;

    sync_lock(&engine->lock);
    full = engine->cancel_tail - engine->cancel_head == engine->cancel_count;
    if (!full)
        engine->cancels[engine->cancel_tail++ % engine->cancel_count] =
            (struct engine_cancel){slot, use};
    sync_unlock(&engine->lock);
    if (full)
        return -EAGAIN;
    engine_ask(engine, ENGINE_CANCELS);
    return 0;
}

int reop_cancel(reop_op *op, uint64_t use)
{
    struct slot *slot = slot_of(op);
    reop_engine *engine = NULL;
    uint64_t word = slot_word(slot);
    int answer = -ENOENT;

    if ((word & SLOT_STATE) != SLOT_IN_FLIGHT || slot_use(word) != use)
        return -ENOENT;
    /* While an op is in flight its engine holds the pool; while we have the lock it cannot let go.
     */
    sync_lock(pool_holders_lock(slot->pool));
    word = slot_word(slot);
    if ((word & SLOT_STATE) == SLOT_IN_FLIGHT && slot_use(word) == use)
        engine = pool_holder(slot->pool, slot_holder(word));
    if (engine == NULL) {
        /* It has come back. */
    } else if (engine->single && !engine_owned(engine)) {
        answer = mail_cancel(engine, slot, use);
    } else if (engine->single || engine_pin(engine, slot, use)) {
        answer = 0;
        if (op->kind != REOP_KIND_POST)
            engine->backend->cancel(engine, slot);
        if (!engine->single)
            engine_unpin(engine, slot);
    }
    if (answer == 0)
        atomic_fetch_add_explicit(&engine->cancelled, 1, memory_order_relaxed);
    sync_unlock(pool_holders_lock(slot->pool));
    return answer;
}
