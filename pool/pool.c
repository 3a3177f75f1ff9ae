/* SPDX-License-Identifier: MIT
 *
 * The pool's public face: create and destroy, the calls on lanes, waiters, and who holds it.
 */
#include "pool.h"

#include "lane.h"
#include "slab.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whoever sleeps in reop_acquire_wait(). On its own stack, and in the pool's queue until it is
 * done; all under waiters_lock. */
struct waiter {
    struct waiter *next;
    reop_op *op; /* what it was handed. NULL: interrupted */
    bool done;
    struct sync_cond cond;
};

/* slab.slot_count == bits in the freelist + cached in lanes + held + in flight + on the way from
 * one to another. */
struct reop_pool {
    struct slab slab; /* down to owned: constant after create */
    struct freelist freelist;
    unsigned char *lanes; /* lane_count private ones, then the shared one */
    uint32_t lane_count;
    uint32_t lane_stride;
    const char *why;
    void *owned; /* what to give back to the allocator */

    alignas(128) _Atomic uint32_t waiter_count; /* in the queue: what every release looks at */

    alignas(128) struct sync_mutex waiters_lock;
    struct waiter *oldest; /* the queue is FIFO */
    struct waiter **newest_link;

    struct sync_mutex holders_lock;
    void *holders[SLOT_HOLDERS_MAX]; /* engines */
};

void check_failed(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "reop: %s\n", line);
    abort();
}

/* --- create and destroy ------------------------------------------------------------------ */

static struct reop_lane *lane_at(const reop_pool *pool, uint32_t index)
{
    return (struct reop_lane *) (void *) (pool->lanes + (size_t) index * pool->lane_stride);
}

static void lanes_init(reop_pool *pool, uint32_t capacity)
{
    for (uint32_t index = 0; index <= pool->lane_count; index++) {
        uint64_t home = (uint64_t) index * pool->freelist.word_count / (pool->lane_count + 1);

        lane_init(lane_at(pool, index), pool, pool->slab.slots, &pool->freelist,
                  index < pool->lane_count ? capacity : 0, (uint32_t) home);
    }
}

static void pool_init(reop_pool *pool, unsigned char *block, const struct slab_plan *plan)
{
    struct slab *slab = &pool->slab;

    slab->slots = (struct slot *) (void *) (block + plan->slots);
    slab->slot_count = plan->slot_count;
    slab->context_stride = (uint32_t) plan->context_stride;
    slab->contexts = plan->context_stride ? block + plan->contexts : NULL;
    slab->buffers = plan->buffer_stride ? block + plan->buffers : NULL;
    slab->buffer_stride = (size_t) plan->buffer_stride;
    for (uint32_t index = 0; index < slab->slot_count; index++) { /* while its page is hot */
        memset(&slab->slots[index], 0, sizeof(struct slot));
        slab->slots[index].pool = pool;
    }
    freelist_init(&pool->freelist, (struct freelist_line *) (void *) (block + plan->lines),
                  (_Atomic uint64_t *) (void *) (block + plan->dry), plan->slot_count,
                  plan->bits_shift);
    pool->lanes = block + plan->lanes;
    pool->lane_stride = plan->lane_stride;
    lanes_init(pool, plan->lane_capacity);
    sync_mutex_init(&pool->waiters_lock);
    sync_mutex_init(&pool->holders_lock);
    pool->newest_link = &pool->oldest;
}

size_t reop_pool_footprint(const reop_pool_config *config)
{
    struct slab_plan plan;

    return slab_plan(config, sizeof(reop_pool), &plan) ? slab_footprint(&plan) : 0;
}

int reop_pool_create(const reop_pool_config *config, reop_pool **pool_out)
{
    struct slab_plan plan;
    const char *why = "";
    unsigned char *block;
    reop_pool *pool;
    void *owned;

    if (pool_out == NULL || !slab_plan(config, sizeof(reop_pool), &plan))
        return -EINVAL;
    if (config->memory != NULL && config->memory_size < slab_footprint(&plan))
        return -EINVAL;
    block = slab_create(config, &plan, &owned);
    if (block == NULL)
        return -ENOMEM;
    if (config->flags & REOP_POOL_HUGE_PAGES) /* before the first touch */
        why = sync_huge_pages(block, (size_t) plan.size);
    memset(block, 0, (size_t) plan.slots);
    memset(block + plan.contexts, 0, (size_t) (plan.buffers - plan.contexts));
    pool = (reop_pool *) (void *) block;
    pool->why = why;
    pool->owned = owned;
    pool->lane_count = config->lane_count;
    pool_init(pool, block, &plan);
    *pool_out = pool;
    return 0;
}

static bool every_op_is_home(const reop_pool *pool)
{
    uint32_t count = freelist_free_count(&pool->freelist);

    for (uint32_t index = 0; index < pool->lane_count; index++)
        count += lane_count(lane_at(pool, index));
    return count == pool->slab.slot_count;
}

static bool is_held_by_an_engine(reop_pool *pool)
{
    bool held = false;

    sync_lock(&pool->holders_lock);
    for (uint32_t index = 0; index < SLOT_HOLDERS_MAX; index++)
        held |= pool->holders[index] != NULL;
    sync_unlock(&pool->holders_lock);
    return held;
}

int reop_pool_destroy(reop_pool *pool)
{
    if (is_held_by_an_engine(pool) || !every_op_is_home(pool))
        return -EBUSY;
    sync_mutex_destroy(&pool->holders_lock);
    sync_mutex_destroy(&pool->waiters_lock);
    slab_free(pool->owned);
    return 0;
}

const char *reop_pool_why(const reop_pool *pool)
{
    return pool->why;
}

reop_lane *reop_pool_lane(reop_pool *pool, uint32_t index)
{
    return index < pool->lane_count ? lane_at(pool, index) : NULL;
}

reop_lane *reop_pool_shared_lane(reop_pool *pool)
{
    return lane_at(pool, pool->lane_count);
}

/* An op's place in an array of the slab's. NULL and 0: there is none. */
static inline void *place_of(const reop_op *op, const struct slab *slab, const unsigned char *first,
                             size_t stride)
{
    return (void *) ((uintptr_t) first + (size_t) (slot_of(op) - slab->slots) * stride);
}

void *reop_op_context(reop_op *op)
{
    const struct slab *slab = &slot_of(op)->pool->slab;

    return place_of(op, slab, slab->contexts, slab->context_stride);
}

void *reop_op_buffer(reop_op *op)
{
    const struct slab *slab = &slot_of(op)->pool->slab;

    return place_of(op, slab, slab->buffers, slab->buffer_stride);
}

/* --- waiters ----------------------------------------------------------------------------- */

/* waiters_lock is held. */
static struct waiter *waiter_pop(reop_pool *pool)
{
    struct waiter *waiter = pool->oldest;

    if (waiter == NULL)
        return NULL;
    pool->oldest = waiter->next;
    if (pool->oldest == NULL)
        pool->newest_link = &pool->oldest;
    atomic_fetch_sub(&pool->waiter_count, 1);
    return waiter;
}

static void waiter_push(reop_pool *pool, struct waiter *waiter)
{
    *pool->newest_link = waiter;
    pool->newest_link = &waiter->next;
    atomic_fetch_add(&pool->waiter_count, 1);
}

static void waiter_remove(reop_pool *pool, const struct waiter *waiter)
{
    struct waiter **link = &pool->oldest;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    if (*link == NULL)
        pool->newest_link = link;
    atomic_fetch_sub(&pool->waiter_count, 1);
}

static void waiter_end(struct waiter *waiter, reop_op *op)
{
    waiter->op = op;
    waiter->done = true;
    sync_signal(&waiter->cond);
}

/* Hands what the lane and the freelist have to the oldest waiters. waiters_lock is held. */
static void waiters_serve(reop_pool *pool, struct reop_lane *lane)
{
    while (pool->oldest != NULL) {
        reop_op *op = lane_acquire(lane);

        if (op == NULL)
            return;
        waiter_end(waiter_pop(pool), op);
    }
}

LANE_RARE void attend_waiters(struct reop_lane *lane)
{
    reop_pool *pool = lane->pool;

    sync_lock(&pool->waiters_lock);
    waiters_serve(pool, lane);
    sync_unlock(&pool->waiters_lock);
}

/* After ops were put into the lane or the freelist. A waiter counts itself, then finds the freelist
 * empty, then sleeps, and all of this, the spills and this load have one order. A release that
 * loads later serves it. For all that loaded earlier, what they put is in the freelist, where the
 * waiter would have found it, or in a lane, and lanes hold no more than the slab has beyond
 * op_count: so at least op_count ops are still held, and their releases load later. */
static inline void attend(reop_pool *pool, struct reop_lane *lane)
{
    if (REOP_UNLIKELY(atomic_load(&pool->waiter_count) != 0))
        attend_waiters(lane);
}

/* To the oldest waiter, past the freelist, where anybody could be quicker than he is. False: nobody
 * waits. */
static bool hand_over(reop_pool *pool, reop_op *op)
{
    struct waiter *waiter;

    if (REOP_LIKELY(atomic_load(&pool->waiter_count) == 0)) /* attend() looks again */
        return false;
    sync_lock(&pool->waiters_lock);
    waiter = waiter_pop(pool);
    if (waiter != NULL)
        waiter_end(waiter, op);
    sync_unlock(&pool->waiters_lock);
    return waiter != NULL;
}

/* At the deadline the op may just have been handed over: done decides, under the lock. */
static reop_op *wait_for_op(struct reop_lane *lane, int64_t deadline_ns)
{
    reop_pool *pool = lane->pool;
    struct waiter waiter = {.next = NULL};

    sync_cond_init(&waiter.cond);
    sync_lock(&pool->waiters_lock);
    waiter_push(pool, &waiter);
    waiters_serve(pool, lane);
    while (!waiter.done) {
        if (!sync_wait(&waiter.cond, &pool->waiters_lock, deadline_ns) && !waiter.done) {
            waiter_remove(pool, &waiter);
            break;
        }
    }
    sync_unlock(&pool->waiters_lock);
    sync_cond_destroy(&waiter.cond);
    return waiter.op;
}

void reop_pool_interrupt(reop_pool *pool)
{
    struct waiter *waiter;

    sync_lock(&pool->waiters_lock);
    while ((waiter = waiter_pop(pool)) != NULL)
        waiter_end(waiter, NULL);
    sync_unlock(&pool->waiters_lock);
}

/* --- acquire and release ----------------------------------------------------------------- */

static inline reop_op *hand_out(reop_op *op)
{
    slot_take(slot_of(op));
    op->user = NULL;
    op->on_done = NULL;
    return op;
}

static inline reop_op *take_back(const struct reop_lane *lane, reop_op *op)
{
    struct slot *slot = slot_of(op);

    REOP_CHECK(slot->pool == lane->pool, "release of op %p to a lane of another pool",
               (const void *) op);
    slot_held(slot, "release");
    slot_give(slot);
    return op;
}

static _Atomic(pool_exhausted *) on_exhausted;

LANE_RARE void tell_exhausted(const reop_lane *lane)
{
    pool_exhausted *call =
        atomic_load_explicit(&on_exhausted, memory_order_relaxed); /* a constant */

    if (call != NULL)
        call(lane->pool);
}

LANE_RARE reop_op *acquire_refilling(reop_lane *lane)
{
    reop_op *op = lane_refill(lane);

    if (op != NULL)
        return hand_out(op);
    tell_exhausted(lane);
    return NULL;
}

REOP_HOT reop_op *reop_acquire(reop_lane *lane)
{
    reop_op *op = lane_pop(lane);

    return REOP_LIKELY(op != NULL) ? hand_out(op) : acquire_refilling(lane);
}

uint32_t reop_acquire_many(reop_lane *lane, reop_op *ops[], uint32_t max)
{
    uint32_t count = 0;

    while (count < max) {
        uint32_t at_hand = lane->count < max - count ? lane->count : max - count;
        reop_op *op, **newest = lane->cached + lane->count;

        if (at_hand > 0) /* else others may be reading it */
            lane->count -= at_hand;
        for (; at_hand > 0; at_hand--)
            ops[count++] = hand_out(*--newest);
        if (count == max)
            break;
        op = lane_acquire(lane);
        if (op == NULL) {
            tell_exhausted(lane);
            break;
        }
        ops[count++] = hand_out(op);
    }
    return count;
}

reop_op *reop_acquire_wait(reop_lane *lane, int64_t timeout_ns)
{
    reop_op *op = lane_acquire(lane);

    if (op == NULL) {
        tell_exhausted(lane);
        if (timeout_ns != 0)
            op = wait_for_op(lane, sync_deadline_ns(timeout_ns));
    }
    return op ? hand_out(op) : NULL;
}

/* Spills, or aborts: out of line, so that the common way needs no stack frame. */
LANE_RARE void release_rarely(reop_lane *lane, reop_op *op)
{
    take_back(lane, op);
    if (hand_over(lane->pool, op))
        return;
    lane_overflow(lane, op);
    attend(lane->pool, lane);
}

REOP_HOT void reop_release(reop_lane *lane, reop_op *op)
{
    struct slot *slot = slot_of(op);
    reop_pool *pool = lane->pool;

    if (REOP_UNLIKELY(slot->pool != pool || !slot_is(slot, SLOT_HELD) || !lane_push(lane, op))) {
        release_rarely(lane, op);
        return;
    }
    slot_give(slot);
    attend(pool, lane);
}

void reop_release_many(reop_lane *lane, reop_op *const ops[], uint32_t count)
{
    uint32_t given = 0;

    while (given < count) {
        uint32_t room = lane->room - lane->count;
        uint32_t some = room < count - given ? room : count - given;
        reop_op *op, **next = lane->cached + lane->count;

        if (some > 0) /* as in acquire */
            lane->count += some;
        for (; some > 0; some--)
            *next++ = take_back(lane, ops[given++]);
        if (given == count)
            break;
        op = take_back(lane, ops[given++]);
        if (!hand_over(lane->pool, op))
            lane_overflow(lane, op);
    }
    attend(lane->pool, lane);
}

/* --- for engines ------------------------------------------------------------------------- */

const struct slab *pool_slab(const reop_pool *pool)
{
    return &pool->slab;
}

void pool_on_exhausted(pool_exhausted *call)
{
    atomic_store_explicit(&on_exhausted, call, memory_order_relaxed);
}

int pool_hold(reop_pool *pool, void *engine, uint32_t *index_out)
{
    uint32_t index = 0;

    sync_lock(&pool->holders_lock);
    while (index < SLOT_HOLDERS_MAX && pool->holders[index] != NULL)
        index++;
    if (index < SLOT_HOLDERS_MAX)
        pool->holders[index] = engine;
    sync_unlock(&pool->holders_lock);
    *index_out = index;
    return index < SLOT_HOLDERS_MAX ? 0 : -EMFILE;
}

void pool_unhold(reop_pool *pool, uint32_t index)
{
    sync_lock(&pool->holders_lock);
    pool->holders[index] = NULL;
    sync_unlock(&pool->holders_lock);
}

struct sync_mutex *pool_holders_lock(reop_pool *pool)
{
    return &pool->holders_lock;
}

void *pool_holder(reop_pool *pool, uint32_t index)
{
    return pool->holders[index];
}
