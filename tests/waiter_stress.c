/* SPDX-License-Identifier: MIT
 *
 * Releases against waiters: nobody may go on sleeping once an op has come home for him. Two ways:
 *
 *   duel   round by round, a release is aimed at the moment in which a waiter falls asleep. The
 *          releaser's lane is full, as lanes are at their worst, and the waiter sees only what is
 *          in the freelist.
 *   crowd  more threads than ops take them with reop_acquire_wait(), hold them for a moment and
 *          release them through private lanes and the shared one.
 *
 * waiter_stress duel|crowd CACHE MILLISECONDS SEED
 */
#include <reop/reop.h>

#include "sync.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS INT64_C(3000000000) /* nobody is kept that long, but by a lost wake-up */
#define CROWD       6u
#define CROWD_LANES 2u /* private ones: the slab has fewer ops than there are threads */
#define DUELS_MIN   100u
#define CACHE_MAX   128u

struct waiter {
    reop_lane *lane;
    uint32_t index;
    uint64_t random;
    uint64_t waits, nulls; /* of these, how many had to wait; stranded */
    uint64_t stranded;
    struct sync_thread thread;
};

static reop_pool *pool;
static int64_t end_ns;
static atomic_bool stop;

/* duel: odd from the releaser, even from the waiter, who then waits; and what it got. */
static atomic_uint begun, answered;
static _Atomic(reop_op *) answer;

static uint32_t draw(uint64_t *random, uint32_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (uint32_t) (*random >> 20) % below;
}

static void spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++) {
        /* passes some nanoseconds */
    }
}

/* Close enough to aim, and kind to a machine that has other things to do. */
static void await(atomic_uint *what, uint32_t value)
{
    for (uint32_t turns = 0; *what != value && !stop; turns++)
        if (turns % 1024 == 1023)
            sched_yield();
}

/* --- duel -------------------------------------------------------------------------------- */

static void duel_waiter(void *argument)
{
    struct waiter *self = argument;

    for (uint32_t round = 1;; round += 2) {
        await(&begun, round);
        if (stop)
            return;
        begun = round + 1; /* "now" */
        spin(draw(&self->random, 400));
        answer = reop_acquire_wait(self->lane, PATIENCE_NS);
        answered = round + 1;
    }
}

/* Fills the lane to the brim and keeps one op. */
static reop_op *keep_one(reop_lane *lane, uint32_t cache)
{
    reop_op *ops[2 * CACHE_MAX + 2];
    uint32_t count = reop_acquire_many(lane, ops, 2 * CACHE_MAX + 2);

    for (uint32_t i = 1; i < count && i <= cache; i++)
        reop_release(lane, ops[i]);
    for (uint32_t i = cache + 1; i < count; i++)
        abort(); /* the slab is larger than it says */
    return ops[0];
}

static int duel(uint32_t cache, uint64_t seed)
{
    static struct waiter waiter;
    reop_lane *lane = reop_pool_lane(pool, 0);
    uint64_t duels = 0, early = 0, stranded = 0;

    waiter.lane = reop_pool_shared_lane(pool);
    waiter.random = seed + 1;
    if (sync_thread_start(&waiter.thread, duel_waiter, &waiter) != 0)
        return 2;
    for (uint32_t round = 1; sync_now_ns() < end_ns && stranded == 0; round += 2) {
        reop_op *op = keep_one(lane, cache);

        begun = round;
        await(&begun, round + 1);
        spin(draw(&seed, 400));
        reop_release(lane, op);
        early += answered != round + 1; /* the waiter is still at it */
        await(&answered, round + 1);
        op = answer;
        stranded += op == NULL;
        duels++;
        if (op != NULL)
            reop_release(lane, op);
    }
    stop = true;
    sync_thread_join(&waiter.thread);
    printf("duels %llu, of these the release was over first %llu, stranded %llu: ",
           (unsigned long long) duels, (unsigned long long) early, (unsigned long long) stranded);
    if (stranded != 0)
        return printf("FAIL an op was home and its waiter asleep\n"), 1;
    if (duels < DUELS_MIN)
        return printf("FAIL too few duels\n"), 1;
    return printf("PASS\n"), 0;
}

/* --- crowd ------------------------------------------------------------------------------- */

static void crowd_waiter(void *argument)
{
    struct waiter *self = argument;
    reop_lane *shared = reop_pool_shared_lane(pool);

    while (!stop) {
        reop_op *op = reop_acquire(self->lane);

        if (op == NULL) {
            self->waits++;
            op = reop_acquire_wait(self->lane, PATIENCE_NS);
        }
        if (op == NULL) {
            self->stranded++;
            stop = true;
            return;
        }
        spin(draw(&self->random, 300));
        reop_release(draw(&self->random, 4) == 0 ? shared : self->lane, op);
        spin(draw(&self->random, 300));
    }
}

static int crowd(uint64_t seed)
{
    static struct waiter waiters[CROWD];
    uint64_t waits = 0, stranded = 0;

    for (uint32_t i = 0; i < CROWD; i++) {
        waiters[i].lane = i < CROWD_LANES ? reop_pool_lane(pool, i) : reop_pool_shared_lane(pool);
        waiters[i].random = seed + i;
        if (sync_thread_start(&waiters[i].thread, crowd_waiter, &waiters[i]) != 0)
            return 2;
    }
    while (sync_now_ns() < end_ns && !stop)
        sched_yield();
    stop = true;
    for (uint32_t i = 0; i < CROWD; i++) {
        sync_thread_join(&waiters[i].thread);
        waits += waiters[i].waits;
        stranded += waiters[i].stranded;
    }
    printf("waits %llu, stranded %llu: ", (unsigned long long) waits,
           (unsigned long long) stranded);
    if (stranded != 0)
        return printf("FAIL a waiter was not served\n"), 1;
    if (waits == 0)
        return printf("FAIL nobody had to wait\n"), 1;
    return printf("PASS\n"), 0;
}

int main(int argc, char **argv)
{
    reop_pool_config config = {.op_count = 1};
    bool is_duel;
    int status;

    if (argc != 5) {
        fprintf(stderr, "usage: %s duel|crowd CACHE MILLISECONDS SEED\n", argv[0]);
        return 2;
    }
    is_duel = strcmp(argv[1], "duel") == 0;
    config.lane_count = is_duel ? 1 : CROWD_LANES;
    config.lane_cache = (uint32_t) atoi(argv[2]);
    if (config.lane_cache == 0)
        config.lane_cache = REOP_LANE_EXACT;
    if (reop_pool_create(&config, &pool) != 0)
        return 2;
    end_ns = sync_deadline_ns(atoi(argv[3]) * INT64_C(1000000));
    status = is_duel ? duel((uint32_t) atoi(argv[2]), strtoull(argv[4], NULL, 10))
                     : crowd(strtoull(argv[4], NULL, 10));
    if (status == 0 && reop_pool_destroy(pool) != 0)
        return printf("FAIL an op was lost\n"), 1;
    return status;
}
