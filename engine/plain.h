/* SPDX-License-Identifier: MIT
 *
 * The plain way through a submit and a reap: one thread owns the engine, its one pool has an op for
 * each place in the system, nobody traces and nothing is stopping. A backend makes its own read,
 * write and reap of these pieces, in this order, and hands over to the long way whatever they
 * answer false to: then nothing has happened.
 */
#ifndef REOP_PLAIN_H
#define REOP_PLAIN_H

#include "engine.h"

/* The op is held, and of the first pool; the caller is the owner; and the range does not end too
 * far: none does that begins below 2^62. */
static inline bool plain_submits(const struct slot *slot, const reop_engine *engine,
                                 uint64_t offset)
{
    /* No partner: only we set it to ourselves. */
    return slot_is_held(slot_word(slot)) &&
           atomic_load_explicit(&engine->plain_owner, memory_order_relaxed) == sync_thread_self() &&
           slot->pool == engine->pools[0].pool && offset >> 62 == 0;
}

/* Counts the op in. The last that can answer false. least: what the file's gate has to be. */
static inline bool plain_enters(reop_file *file, enum file_gate least)
{
    engine_count(&file->submitted, false);
    /* After the count, as in gates_open(). */
    if (REOP_LIKELY(atomic_load(&file->open) >= (uint32_t) least))
        return true;
    engine_uncount(&file->submitted, 1, false);
    return false;
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

/* The first op since the last flush or reap: somebody has to look at the clock, for all of a batch.
 */
static inline bool plain_begins_batch(const reop_engine *engine)
{
    return engine->batch_ns == 0;
}

/* Before the system is asked. */
static inline void plain_launch(struct slot *slot, reop_engine *engine)
{
    slot->launched = engine->batch_ns;
    slot_launch(slot, slot_word(slot), engine->pools[0].launch_bits);
}

/* The caller is the owner, and there is nothing to look at but the system. Timeouts are for
 * gather(). */
static inline bool plain_reaps(const reop_engine *engine, reop_op *ops[], uint32_t max,
                               int64_t timeout_ns)
{
    if (REOP_UNLIKELY(ops == NULL))
        return false;
    if (REOP_UNLIKELY((int32_t) max <= 0))
        return false;
    return timeout_ns <= 0 &&
           atomic_load_explicit(&engine->plain_reaper, memory_order_relaxed) ==
               sync_thread_self() && /* as in plain_submits */
           !trace_on_in_reap();
}

static inline void plain_reap_begin(reop_engine *engine)
{
    engine->batch_ns = 0;
    atomic_store_explicit(&engine->reapers, 1, memory_order_relaxed); /* destroy looks at it */
}

/* Before the caller may use the ops. */
static inline void plain_count_landed(reop_file *file, uint32_t count)
{
    /* Release pairs with file_busy: a file closes after all that its ops did. */
    atomic_store_explicit(&file->completed,
                          atomic_load_explicit(&file->completed, memory_order_relaxed) + count,
                          memory_order_release);
}

static inline void plain_reap_end(reop_engine *engine)
{
    atomic_store_explicit(&engine->reapers, 0, memory_order_release); /* pairs with destroy */
}

#endif
