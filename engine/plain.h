/* SPDX-License-Identifier: MIT
 *
 * The plain way through a submit and a reap: one thread owns the engine, its one pool has an op for
 * each place in the system, nobody traces and nothing is stopping. (Where threads share an engine a
 * backend may have one under locks of its own.) A backend makes its own read, write and reap of
 * these pieces, in this order, and hands over to the long way whatever they answer false to: then
 * nothing has happened.
 */
#ifndef REOP_PLAIN_H
#define REOP_PLAIN_H

#include "engine.h"

#include <errno.h>

/* The caller is the owner, and the op is held, and of the first pool. */
static inline bool plain_submits(const struct slot *slot, const reop_engine *engine)
{
    /* No partner: only we set it to ourselves. */
    return atomic_load_explicit(&engine->plain_owner, memory_order_relaxed) == sync_thread_self() &&
           slot_is(slot, SLOT_HELD) && slot->pool == engine->pools[0].pool;
}

/* The last that can answer false. Counts the op in, and looks at the gate after that, as
 * gates_open() does. */
static inline bool plain_enters(reop_file *file, uint64_t offset)
{
    engine_count(&file->submitted, false);
    if (REOP_LIKELY(offset < atomic_load(&file->plain_end)))
        return true;
    engine_uncount(&file->submitted, 1, false);
    return false;
}

/* The same for what does not go anywhere in the file. */
static inline bool plain_enters_native(reop_file *file)
{
    engine_count(&file->submitted, false);
    if (REOP_LIKELY(atomic_load(&file->open) == FILE_KNOWN))
        return true;
    engine_uncount(&file->submitted, 1, false);
    return false;
}

/* The same on an engine that threads share, and whose depth covers every op; by whoever holds the
 * lock that settle() takes after a gate was shut. */
static inline bool plain_enters_locked(reop_file *file, const reop_engine *engine, uint64_t offset)
{
    /* Relaxed: the lock orders. */
    if (REOP_UNLIKELY(offset >= atomic_load_explicit(&file->plain_end, memory_order_relaxed) ||
                      atomic_load_explicit(&engine->plain_owner, memory_order_relaxed) == 0))
        return false;
    sync_add_alone(&file->queued, 1);
    return true;
}

static inline void plain_fill(reop_op *op, reop_file *file, enum reop_kind kind, void *data,
                              uint32_t size, uint64_t offset)
{
    op->kind = kind;
    op->file = file;
    op->data = data;
    op->size = size;
    op->offset = offset;
}

/* Before the system is asked. The date is the backend's. */
static inline void plain_launch(struct slot *slot, const reop_engine *engine)
{
    slot_launch_plain(slot, engine->pools[0].launch_bits);
}

/* The caller is the owner, and there is nothing to look at but the system. */
static inline bool plain_reaps(const reop_engine *engine, reop_op *ops[], uint32_t max)
{
    if (REOP_UNLIKELY(ops == NULL))
        return false;
    if (REOP_UNLIKELY((int32_t) max <= 0))
        return false;
    return atomic_load_explicit(&engine->plain_reaper, memory_order_relaxed) ==
               sync_thread_self() && /* as in plain_submits */
           !trace_on_in_reap();
}

/* What a plain reap was asked for: in memory, as any register that outlives the call into the
 * system would have to be saved and had back. */
struct plain_asked {
    reop_engine *engine; /* constant */
    reop_op **ops;
    int64_t timeout_ns;
    uint32_t max;
};

static inline void plain_reap_begin(struct plain_asked *asked, reop_engine *engine, reop_op *ops[],
                                    uint32_t max, int64_t timeout_ns)
{
    asked->ops = ops;
    asked->timeout_ns = timeout_ns;
    asked->max = max;
    atomic_store_explicit(&engine->owner_reaps, 1, memory_order_relaxed); /* destroy looks at it */
}

/* Before the caller may use the ops. */
static inline void plain_count_landed(reop_file *file, uint32_t count)
{
    /* Release pairs with file_busy: a file closes after all that its ops did. */
    sync_add_alone(&file->completed, count);
}

static inline void plain_reap_end(reop_engine *engine)
{
    atomic_store_explicit(&engine->owner_reaps, 0, memory_order_release); /* pairs with destroy */
}

/* What is left of the long way: for gather(), which counts time, and looks at everything. */
static inline int plain_reap_go_on(const struct plain_asked *asked)
{
    return reap_inside(asked->engine, asked->ops, asked->max, asked->timeout_ns);
}

/* The end with whatever has come. error: what collect() would answer, if that is nothing. */
static inline int plain_reap_answer(const struct plain_asked *asked, uint32_t count, int error)
{
    if (count == 0 && error == 0 && asked->timeout_ns != 0)
        return plain_reap_go_on(asked);
    plain_reap_end(asked->engine);
    if (count > 0)
        return (int) count;
    return error == -EINTR ? 0 : error;
}

#endif
