/* SPDX-License-Identifier: MIT
 *
 * Faults over a real backend. Switching them on exchanges the engine's vtable for a copy in which
 * submit and collect are those of this file; the engine knows nothing of it, so an engine without
 * faults runs the same instructions as if this file did not exist.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#define DELAY_NS 10000000

static uint64_t draw(struct faults *faults)
{
    /* splitmix64; relaxed: the numbers need no order, only to differ. */
    uint64_t mixed = atomic_fetch_add_explicit(&faults->random, UINT64_C(0x9e3779b97f4a7c15),
                                               memory_order_relaxed);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static bool chance(struct faults *faults, uint32_t fault)
{
    uint32_t rate = faults->config.rate[fault];

    return rate > 0 && draw(faults) % 65536 < rate;
}

static bool is_write(const reop_op *op)
{
    return op->kind == REOP_KIND_WRITE || op->kind == REOP_KIND_WRITEV;
}

static int64_t failure(struct faults *faults, const reop_op *op)
{
    if (op->kind == REOP_KIND_NATIVE)
        return 0;
    if (chance(faults, REOP_FAULT_EIO))
        return -EIO;
    return is_write(op) && chance(faults, REOP_FAULT_ENOSPC) ? -ENOSPC : 0;
}

/* All of it was moved; the caller moves the rest again, which no stream would let him. */
static void shorten(struct faults *faults, reop_op *op)
{
    uint64_t unit = op->file->size_mask + UINT64_C(1), units;

    if ((op->kind != REOP_KIND_READ && op->kind != REOP_KIND_WRITE) || op->result <= 0 ||
        op->file->stream)
        return;
    units = (uint64_t) op->result / unit;
    if (units > 1 && chance(faults, REOP_FAULT_SHORT))
        op->result = (int64_t) (unit * (1 + draw(faults) % (units - 1)));
}

static reop_status faults_submit(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct faults *faults = &engine->faults;
    int64_t result = failure(faults, &slot->op);
    reop_status status;

    if (result < 0) {
        slot->op.result = result;
        slot->op.os_error = (uint32_t) -result;
        return engine_answer(engine, slot);
    }
    status = faults->submit(engine, file, slot);
    if (status == REOP_DONE)
        shorten(faults, &slot->op); /* it is held: no count knows how much it moved */
    return status;
}

static int64_t due_ns(const struct slot *slot)
{
    int64_t ns;

    memcpy(&ns, &slot->op.overlapped,
           sizeof ns); /* scratch, now that the backend is done with it */
    return ns;
}

/* Takes those that are delayed out of ops. Answers how many are left. */
static int hold(reop_engine *engine, reop_op *ops[], int count)
{
    struct faults *faults = &engine->faults;
    int64_t due = sync_now_ns() + (int64_t) faults->config.delay_ns;
    int left = 0;

    for (int i = 0; i < count; i++) {
        shorten(faults, ops[i]);
        if (!chance(faults, REOP_FAULT_DELAY)) {
            ops[left++] = ops[i];
            continue;
        }
        memcpy(&ops[i]->overlapped, &due, sizeof due);
        sync_lock(&faults->lock);
        queue_push(&faults->held, slot_of(ops[i]));
        sync_unlock(&faults->lock);
    }
    if (left < count)
        faults->backend->interrupt(engine); /* whoever sleeps has to look when these are due */
    return left;
}

/* What was held long enough. wait_ns_out: until the next is. All wait equally long, in order. */
static int let_go(struct faults *faults, reop_op *ops[], uint32_t max, int64_t *wait_ns_out)
{
    int64_t now_ns;
    int count = 0;

    sync_lock(&faults->lock);
    if (faults->held.head != NULL) {
        now_ns = sync_now_ns();
        while ((uint32_t) count < max && faults->held.head != NULL &&
               due_ns(faults->held.head) <= now_ns)
            ops[count++] = &queue_pop(&faults->held)->op;
        if (faults->held.head != NULL)
            *wait_ns_out =
                due_ns(faults->held.head) > now_ns ? due_ns(faults->held.head) - now_ns : 1;
    }
    sync_unlock(&faults->lock);
    return count;
}

static int faults_collect(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct faults *faults = &engine->faults;
    int64_t wait_ns = -1;
    int released = let_go(faults, ops, max, &wait_ns), count;

    if ((uint32_t) released == max)
        return released;
    if (released > 0)
        timeout_ns = 0;
    if (wait_ns >= 0 && (timeout_ns < 0 || wait_ns < timeout_ns))
        timeout_ns = wait_ns;
    count = faults->backend->collect(engine, ops + released, max - (uint32_t) released, timeout_ns);
    if (count > 0)
        count = hold(engine, ops + released, count);
    return released > 0 ? released + (count > 0 ? count : 0) : count;
}

static void faults_destroy(reop_engine *engine)
{
    sync_mutex_destroy(&engine->faults.lock);
    engine->faults.backend->destroy(engine);
}

int reop_engine_faults(reop_engine *engine, const struct reop_faults *config)
{
    struct faults *faults;
    uint64_t sum = 0;

    if (engine == NULL || config == NULL || engine->faults.backend != NULL ||
        engine_submitted(engine) > 0)
        return -EINVAL;
    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++)
        sum += config->rate[i];
    if (sum > 65536 || config->delay_ns > INT64_MAX / 2)
        return -EINVAL;
    for (uint32_t i = REOP_FAULT_BIT_FLIP; i < REOP_FAULT_COUNT; i++)
        if (config->rate[i] > 0)
            return -ENOTSUP;
    if (engine->backend->id == REOP_BACKEND_SIM)
        return -ENOTSUP;
    faults = &engine->faults;
    faults->config = *config;
    if (faults->config.delay_ns == 0)
        faults->config.delay_ns = DELAY_NS;
    faults->random = config->seed;
    sync_mutex_init(&faults->lock);
    faults->backend = engine->backend;
    faults->submit = engine->submit;
    faults->copy = *engine->backend;
    faults->copy.collect = faults_collect;
    faults->copy.destroy = faults_destroy;
    engine->backend = &faults->copy;
    engine->submit = faults_submit;
    engine->read = read_the_long_way;
    engine->write = write_the_long_way;
    engine->reap = reap_the_long_way;
    engine->parts = false;
    atomic_store(&engine->plain_owner, 0); /* the native hatch has no pointer of its own */
    return 0;
}
