/* SPDX-License-Identifier: MIT
 *
 * What each event says. The system's half is in trace_etw.c, trace_usdt.c or trace_none.c.
 */
#include "trace.h"

#include "engine.h"

/* 0: nobody traced when it was launched, and all that is known is when its batch was. */
static uint64_t duration_ns(const struct slot *slot, int64_t now_ns)
{
    uint64_t date = engine_date_of(slot);

    return date & DATE_EXACT ? (uint64_t) now_ns - (date & ~DATE_EXACT) : 0;
}

/* What an event says of a launch. */
#define LAUNCH(from, its_use)                                                                      \
    .op = (uintptr_t) (from), .use = (its_use), .kind = (uint8_t) (from)->kind,                    \
    .file = (uintptr_t) (from)->file, .offset = (from)->offset, .size = (from)->size

void trace_start(const reop_op *op)
{
    struct trace_io_start event = {LAUNCH(op, reop_op_use(op))};

    engine_date(slot_of(op), (uint64_t) sync_now_ns() | DATE_EXACT);
    trace_write_io_start(&event);
}

/* Ops that one reap brings back have come back together: one look at the clock. */
void trace_stop(reop_op *const ops[], uint32_t count)
{
    int64_t now_ns = count > 0 ? sync_now_ns() : 0;

    for (uint32_t i = 0; i < count; i++) {
        const reop_op *op = ops[i];
        const struct slot *slot = slot_of(op);
        uint64_t use = slot_use(slot_word(slot));
        struct trace_io_stop event = {LAUNCH(op, use), .os_error = op->os_error,
                                      .duration_ns = duration_ns(slot, now_ns)};

        if (op->result < 0)
            event.status = op->result;
        else
            event.bytes = (uint64_t) op->result;
        trace_write_io_stop(&event);
    }
}

void trace_reaped(reop_engine *engine, uint32_t count, uint32_t max)
{
    struct trace_reap event = {.engine = (uintptr_t) engine, .count = count, .max = max};

    if (count == 0)
        return;
    event.in_flight = engine_in_flight(engine);
    trace_write_reap(&event);
}

void trace_woken(reop_engine *engine)
{
    trace_write_wake(&(struct trace_wake){.engine = (uintptr_t) engine});
}

void trace_exhausted_pool(const reop_pool *pool)
{
    if (trace_on(queue))
        trace_write_exhausted(&(struct trace_exhausted){.pool = (uintptr_t) pool,
                                                        .slot_count = pool_slab(pool)->slot_count});
}

void trace_stalled(reop_engine *engine, const reop_file *file, int64_t ns)
{
    trace_write_stall(&(struct trace_stall){
        .engine = (uintptr_t) engine, .file = (uintptr_t) file, .duration_ns = (uint64_t) ns});
}

void trace_strayed(reop_engine *engine, const reop_op *op)
{
    uint64_t word = slot_word(slot_of(op));

    trace_write_unexpected(&(struct trace_unexpected){.engine = (uintptr_t) engine,
                                                      .op = (uintptr_t) op,
                                                      .use = slot_use(word),
                                                      .state = (uint8_t) (word & SLOT_STATE)});
}

void trace_failed(const reop_op *op)
{
    trace_write_error(&(struct trace_error){LAUNCH(op, slot_use(slot_word(slot_of(op)))),
                                            .status = op->result, .os_error = op->os_error});
}

/* --- rundown ------------------------------------------------------------------------------ */

static void run_down_engine(reop_engine *engine)
{
    trace_write_engine(&(struct trace_engine){.engine = (uintptr_t) engine,
                                              .backend = (uint8_t) engine->backend->id,
                                              .flags = engine->flags,
                                              .depth = engine->depth,
                                              .file_count = engine->file_count,
                                              .pool_count = atomic_load(&engine->pool_count)});
}

static void run_down_file(reop_engine *engine, reop_file *file)
{
    struct trace_file event = {.engine = (uintptr_t) engine, .file = (uintptr_t) file};
    bool open;

    sync_lock(&engine->lock); /* while we have it the file does not close */
    open = atomic_load(&file->open) != 0;
    if (open) {
        event.handle = (uint64_t) file->handle;
        event.flags = file->flags;
        event.submitted = file_submitted(file);
        event.completed = atomic_load(&file->completed);
        event.stalls = atomic_load(&file->stalls);
        event.stall_ns = atomic_load(&file->stall_ns);
    }
    sync_unlock(&engine->lock);
    if (open)
        trace_write_file(&event);
}

static void run_down_counters(reop_engine *engine)
{
    struct reop_engine_stats stats;

    reop_engine_query(engine, &stats);
    trace_write_counters(&(struct trace_counters){.engine = (uintptr_t) engine,
                                                  .submitted = stats.submitted,
                                                  .completed = stats.completed,
                                                  .failed = stats.failed,
                                                  .rejected = stats.rejected,
                                                  .cancels = stats.cancels,
                                                  .stalls = stats.submit_stalls,
                                                  .stall_ns = stats.submit_stall_ns,
                                                  .unexpected = stats.unexpected,
                                                  .files = stats.files});
}

void trace_run_down(reop_engine *engine)
{
    run_down_engine(engine);
    for (uint32_t i = 0; i < engine->file_count; i++)
        run_down_file(engine, &engine->files[i]);
    run_down_counters(engine);
}
