/* SPDX-License-Identifier: MIT
 *
 * The pool's promises in reop.h, in its words. What only many threads can break is shown by
 * freelist_proofs; here are the promises one by one.
 */
#include <criterion/criterion.h>

#include <reop/reop.h>

#include "misuse.h"
#include "pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS        INT64_C(1000000)
#define OPS_LIMIT 200000u

static reop_op *held[OPS_LIMIT];

static reop_pool *create(const reop_pool_config *config)
{
    reop_pool *pool = NULL;

    cr_assert_eq(reop_pool_create(config, &pool), 0);
    cr_assert_not_null(pool);
    return pool;
}

static void destroy(reop_pool *pool)
{
    cr_assert_eq(reop_pool_destroy(pool), 0, "an op is out, or an engine holds the pool");
}

/* All that a lane gives, one by one. */
static uint32_t drain(reop_lane *lane, reop_op *ops[], uint32_t limit)
{
    uint32_t count = 0;

    while (count < limit && (ops[count] = reop_acquire(lane)) != NULL)
        count++;
    cr_assert_lt(count, limit, "the pool has more ops than the test has room for");
    return count;
}

static void sleep_ms(int64_t ms)
{
    struct sync_mutex mutex;
    struct sync_cond cond;
    int64_t deadline_ns = sync_deadline_ns(ms * MS);

    sync_mutex_init(&mutex);
    sync_cond_init(&cond);
    sync_lock(&mutex);
    while (sync_wait(&cond, &mutex, deadline_ns)) {
        /* woken for no reason */
    }
    sync_unlock(&mutex);
    sync_cond_destroy(&cond);
    sync_mutex_destroy(&mutex);
}

/* --- config ------------------------------------------------------------------------------ */

/* Promise: "A zeroed config with op_count set is a valid one." */
Test(pool_config, zeroed_with_op_count_set_is_valid)
{
    reop_pool_config config = {.op_count = 1};
    reop_pool *pool = create(&config);
    reop_op *op = reop_acquire(reop_pool_shared_lane(pool));

    cr_assert_not_null(op);
    cr_assert_null(reop_acquire(reop_pool_shared_lane(pool)));
    reop_release(reop_pool_shared_lane(pool), op);
    cr_assert_str_eq(reop_pool_why(pool), "");
    destroy(pool);
}

/* Promises: "-EINVAL: the config"; "0 if the config is invalid". */
Test(pool_config, invalid_is_einval_and_has_no_footprint)
{
    static const reop_pool_config invalid[] = {
        {.op_count = 0},
        {.op_count = REOP_OPS_MAX + 1},
        {.op_count = UINT32_MAX},
        {.op_count = 1, .lane_count = REOP_LANES_MAX + 1},
        {.op_count = 1, .lane_count = 1, .lane_cache = 129},
        {.op_count = 1, .lane_count = 1, .lane_cache = REOP_LANE_EXACT - 1},
        {.op_count = 1, .buffer_size = 1, .buffer_align = 3},
        {.op_count = 1, .buffer_size = 1, .buffer_align = UINT32_C(1) << 31},
        {.op_count = 1, .flags = 2},
    };

    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        reop_pool *pool = NULL;

        cr_assert_eq(reop_pool_footprint(&invalid[i]), 0, "config %zu", i);
        cr_assert_eq(reop_pool_create(&invalid[i], &pool), -EINVAL, "config %zu", i);
        cr_assert_null(pool);
    }
    cr_assert_eq(reop_pool_footprint(NULL), 0);
    cr_assert_eq(reop_pool_create(NULL, &(reop_pool *){NULL}), -EINVAL);
    cr_assert_eq(reop_pool_create(&(reop_pool_config){.op_count = 1}, NULL), -EINVAL);
}

/* Promises: "op_count 1 to REOP_OPS_MAX", "lane_count up to REOP_LANES_MAX", "lane_cache up to
 * 128", "buffer_align power of two up to 1 GiB". */
Test(pool_config, limits_are_valid)
{
    static const reop_pool_config valid[] = {
        {.op_count = REOP_OPS_MAX},
        {.op_count = 1, .lane_count = REOP_LANES_MAX, .lane_cache = 128},
        {.op_count = 1, .lane_count = REOP_LANES_MAX, .lane_cache = REOP_LANE_EXACT},
        {.op_count = 1, .buffer_size = 1, .buffer_align = UINT32_C(1) << 30},
        {.op_count = 1, .flags = REOP_POOL_HUGE_PAGES},
    };

    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        cr_assert_neq(reop_pool_footprint(&valid[i]), 0, "config %zu", i);
}

/* Promise: "-ENOMEM". */
Test(pool_config, too_much_is_enomem)
{
    reop_pool_config config = {.op_count = REOP_OPS_MAX, .buffer_size = UINT32_MAX};
    size_t footprint = reop_pool_footprint(&config);
    reop_pool *pool = NULL;

    if (footprint == 0) /* a 32-bit machine: the size overflows */
        cr_assert_eq(reop_pool_create(&config, &pool), -EINVAL);
    else
        cr_assert_eq(reop_pool_create(&config, &pool), -ENOMEM);
    cr_assert_null(pool);
}

/* Promise: "spare slots' buffers never outweigh the pool's own"; the pool of 8 ops, 16 lanes and
 * 1 MiB buffers must not become 320 MiB. */
Test(pool_config, spare_buffers_never_outweigh_the_pools_own)
{
    static const uint32_t op_counts[] = {1, 2, 7, 8, 31, 100, 1000, 4096, 50000};
    static const uint32_t lane_counts[] = {0, 1, 2, 5, 16, 100, REOP_LANES_MAX};
    reop_pool_config config = {
        .op_count = 8, .lane_count = 16, .buffer_size = 1u << 20, .buffer_align = 4096};

    cr_assert_leq(reop_pool_footprint(&config), 16u << 20);
    for (size_t i = 0; i < sizeof op_counts / sizeof *op_counts; i++) {
        for (size_t j = 0; j < sizeof lane_counts / sizeof *lane_counts; j++) {
            reop_pool_config with = {.op_count = op_counts[i],
                                     .lane_count = lane_counts[j],
                                     .buffer_size = 1u << 20,
                                     .buffer_align = 1};
            reop_pool_config small = with;
            uint64_t buffers;

            small.buffer_size = 1;
            buffers = (reop_pool_footprint(&with) - reop_pool_footprint(&small)) / ((1u << 20) - 1);
            cr_assert_geq(buffers, op_counts[i]);
            cr_assert_leq(buffers, 2u * op_counts[i], "%u ops, %u lanes", (unsigned) op_counts[i],
                          (unsigned) lane_counts[j]);
        }
    }
}

/* --- memory ------------------------------------------------------------------------------ */

/* Promises: "Else yours, and must outlive the pool"; "at least reop_pool_footprint() when memory is
 * set"; footprint: "its alignment included"; "-EINVAL: ... memory that is too small". */
Test(pool_memory, callers_memory_of_the_footprints_size_is_enough)
{
    reop_pool_config config = {.op_count = 100,
                               .lane_count = 3,
                               .context_size = 40,
                               .buffer_size = 1000,
                               .buffer_align = 8192};
    size_t footprint = reop_pool_footprint(&config);
    unsigned char *memory = malloc(footprint + 64);
    size_t offsets[] = {0, 1, 17, 63};

    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        reop_pool *pool;
        uint32_t count;

        memset(memory, 0xA5, footprint + 64);
        config.memory = memory + offsets[i];
        config.memory_size = footprint - 1;
        cr_assert_eq(reop_pool_create(&config, &pool), -EINVAL);
        config.memory_size = footprint;
        pool = create(&config);
        count = drain(reop_pool_lane(pool, 0), held, OPS_LIMIT);
        cr_assert_geq(count, 100);
        for (uint32_t op = 0; op < count; op++) {
            memset(reop_op_buffer(held[op]), 0, config.buffer_size);
            memset(reop_op_context(held[op]), 0, config.context_size);
        }
        reop_release_many(reop_pool_lane(pool, 0), held, count);
        destroy(pool);
        for (size_t at = 0; at < offsets[i]; at++)
            cr_assert_eq(memory[at], 0xA5, "wrote before the memory");
        for (size_t at = offsets[i] + footprint; at < footprint + 64; at++)
            cr_assert_eq(memory[at], 0xA5, "wrote behind the memory");
    }
    free(memory);
}

/* Promises: "bytes of your own storage beside each op, zeroed at create"; "contents survive
 * release". */
Test(pool_memory, contexts_are_zeroed_at_create_and_survive_release)
{
    reop_pool_config config = {.op_count = 50, .lane_count = 2, .context_size = 100};
    static const unsigned char zeroes[100];
    size_t footprint = reop_pool_footprint(&config);
    unsigned char *memory = malloc(footprint);
    reop_pool *pool;
    uint32_t count;

    memset(memory, 0xA5, footprint);
    config.memory = memory;
    config.memory_size = footprint;
    pool = create(&config);
    count = drain(reop_pool_lane(pool, 0), held, OPS_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_arr_eq(reop_op_context(held[i]), zeroes, sizeof zeroes);
        cr_assert_eq((uintptr_t) reop_op_context(held[i]) % 16, 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        memset(reop_op_context(held[i]), (int) (i % 255) + 1, 100);
        held[i]->data = reop_op_context(held[i]);
    }
    reop_release_many(reop_pool_lane(pool, 1), held, count);
    cr_assert_eq(drain(reop_pool_lane(pool, 1), held, OPS_LIMIT), count);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *context = reop_op_context(held[i]);

        cr_assert_neq(context[0], 0);
        cr_assert_eq(context[99], context[0], "contexts overlap");
    }
    reop_release_many(reop_pool_lane(pool, 0), held, count);
    destroy(pool);
    free(memory);
}

/* Promises: "bytes of I/O buffer bound to each op"; "buffer_align power of two, 0 for the page
 * size". Buffers do not overlap and are not touched. */
Test(pool_memory, buffers_are_aligned_and_apart_and_untouched)
{
    static const uint32_t aligns[] = {0, 1, 512, 4096, 65536};

    for (size_t i = 0; i < sizeof aligns / sizeof *aligns; i++) {
        reop_pool_config config = {.op_count = 40,
                                   .lane_count = 1,
                                   .lane_cache = 4,
                                   .buffer_size = 5000,
                                   .buffer_align = aligns[i]};
        size_t align = aligns[i] ? aligns[i] : sync_page_size();
        size_t footprint = reop_pool_footprint(&config);
        unsigned char *memory = malloc(footprint);
        reop_pool *pool;
        uint32_t count;

        memset(memory, 0xA5, footprint);
        config.memory = memory;
        config.memory_size = footprint;
        pool = create(&config);
        count = drain(reop_pool_lane(pool, 0), held, OPS_LIMIT);
        for (uint32_t op = 0; op < count; op++) {
            const unsigned char *buffer = reop_op_buffer(held[op]);

            cr_assert_eq((uintptr_t) buffer % align, 0);
            cr_assert(buffer >= memory && buffer + 5000 <= memory + footprint);
            for (uint32_t at = 0; at < 5000; at++)
                cr_assert_eq(buffer[at], 0xA5, "create touched a buffer");
        }
        for (uint32_t op = 0; op < count; op++)
            memset(reop_op_buffer(held[op]), (int) op, 5000);
        for (uint32_t op = 0; op < count; op++) {
            const unsigned char *buffer = reop_op_buffer(held[op]);

            cr_assert_eq(buffer[0], op);
            cr_assert_eq(buffer[4999], op);
        }
        reop_release_many(reop_pool_lane(pool, 0), held, count);
        destroy(pool);
        free(memory);
    }
}

/* Promises: "NULL: none", of context and buffer. */
Test(pool_memory, no_context_and_no_buffer_is_null)
{
    reop_pool_config config = {.op_count = 1};
    reop_pool *pool = create(&config);
    reop_op *op = reop_acquire(reop_pool_shared_lane(pool));

    cr_assert_null(reop_op_context(op));
    cr_assert_null(reop_op_buffer(op));
    reop_release(reop_pool_shared_lane(pool), op);
    destroy(pool);
}

/* Promise: "Asks for huge pages behind the block. Best effort: reop_pool_why() says when they were
 * not given." */
Test(pool_memory, huge_pages_are_best_effort_and_why_says_so)
{
    reop_pool_config small = {.op_count = 10, .flags = REOP_POOL_HUGE_PAGES};
    reop_pool_config large = {
        .op_count = 64, .buffer_size = 1u << 17, .flags = REOP_POOL_HUGE_PAGES};
    size_t footprint = reop_pool_footprint(&small);
    reop_pool *pool = create(&large);
    reop_op *op = reop_acquire(reop_pool_shared_lane(pool));

    memset(reop_op_buffer(op), 1, 1u << 17);
    cr_assert_not_null(reop_pool_why(pool));
    printf("huge pages for 8 MiB: '%s'\n", reop_pool_why(pool));
    reop_release(reop_pool_shared_lane(pool), op);
    destroy(pool);

    small.memory = malloc(footprint); /* smaller than the 2 MiB it is not given */
    small.memory_size = footprint;
    pool = create(&small);
    cr_assert_not_null(strstr(reop_pool_why(pool), "huge pages"));
    destroy(pool);
    free(small.memory);
}

/* --- lanes ------------------------------------------------------------------------------- */

/* Promise: "NULL when index is not below lane_count." */
Test(pool_lane, null_when_index_is_not_below_lane_count)
{
    reop_pool_config config = {.op_count = 10, .lane_count = 3};
    reop_pool *pool = create(&config);

    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_not_null(reop_pool_lane(pool, i));
        cr_assert_neq(reop_pool_lane(pool, i), reop_pool_lane(pool, (i + 1) % 3));
        cr_assert_neq(reop_pool_lane(pool, i), reop_pool_shared_lane(pool));
    }
    cr_assert_null(reop_pool_lane(pool, 3));
    cr_assert_null(reop_pool_lane(pool, UINT32_MAX));
    destroy(pool);
}

/* Promise: "user, on_done: Cleared by reop_acquire()". And an op is given to one caller only. */
Test(pool_lane, acquire_clears_the_callers_fields_and_gives_an_op_once)
{
    reop_pool_config config = {.op_count = 300, .lane_count = 2};
    reop_pool *pool = create(&config);

    for (uint32_t round = 0; round < 3; round++) {
        uint32_t count = drain(reop_pool_lane(pool, round % 2), held, OPS_LIMIT);

        for (uint32_t i = 0; i < count; i++) {
            cr_assert_null(held[i]->user, "given twice, or not cleared");
            cr_assert(held[i]->on_done == NULL);
            held[i]->user = held;
            held[i]->on_done = (void (*)(reop_op *)) abort;
        }
        reop_release_many(reop_pool_lane(pool, round % 2), held, count);
    }
    destroy(pool);
}

struct shape {
    uint32_t op_count, lane_count, lane_cache;
};

#ifdef REOP_TEST_SANITIZED
#define SLOWNESS 4u
#else
#define SLOWNESS 1u
#endif

static const struct shape shapes[] = {
    {1, 0, 0},      {1, 1, 0},     {1, 1, 1},      {1, 16, 128},  {1, 4, REOP_LANE_EXACT},
    {2, 2, 3},      {7, 16, 0},    {64, 16, 0},    {65, 3, 5},    {100, 16, 100},
    {448, 2, 128},  {449, 16, 0},  {1000, 16, 17}, {5000, 7, 0},  {5000, 1, 2},
    {30000, 16, 0}, {70000, 2, 1}, {100000, 0, 0}, {100000, 4, 0}};

#define SHAPES (sizeof shapes / sizeof *shapes)

static reop_pool *create_shape(const struct shape *shape)
{
    reop_pool_config config = {.op_count = shape->op_count,
                               .lane_count = shape->lane_count,
                               .lane_cache = shape->lane_cache};

    return create(&config);
}

/* The shared lane is the last. */
static reop_lane *lane_of(reop_pool *pool, const struct shape *shape, uint32_t index)
{
    return index < shape->lane_count ? reop_pool_lane(pool, index) : reop_pool_shared_lane(pool);
}

/* Promise: "NULL only if, at some instant inside the call, at least op_count ops were held": also
 * when every other lane's cache is full. */
Test(pool_lane, null_only_if_op_count_ops_are_held, .timeout = 60)
{
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        reop_pool *pool = create_shape(shape);

        for (uint32_t last = 0; last <= shape->lane_count; last++) {
            for (uint32_t other = 0; other <= shape->lane_count; other++) {
                uint32_t count = drain(lane_of(pool, shape, other), held, OPS_LIMIT);

                /* One by one, so that each lane ends with a full cache. */
                for (uint32_t op = 0; other != last && op < count; op++)
                    reop_release(lane_of(pool, shape, other), held[op]);
                if (other == last)
                    reop_release_many(lane_of(pool, shape, other == 0), held, count);
            }
            uint32_t count = drain(lane_of(pool, shape, last), held, OPS_LIMIT);

            cr_assert_geq(count, shape->op_count, "shape %zu, last %u: %u", i, (unsigned) last,
                          (unsigned) count);
            cr_assert_null(reop_acquire(lane_of(pool, shape, last)));
            reop_release_many(lane_of(pool, shape, last), held, count);
            last += shape->op_count > 20000 ? shape->lane_count / 2 : 0; /* takes its time */
        }
        destroy(pool);
    }
}

/* Promise: lane_cache "ops a private lane may keep at hand"; "REOP_LANE_EXACT: none". The slab is
 * larger than op_count by exactly that. */
Test(pool_lane, a_lane_keeps_no_more_than_lane_cache)
{
    static const uint32_t caches[] = {1, 2, 3, 9, 64, 100, 128, REOP_LANE_EXACT};

    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        reop_pool_config config = {.op_count = 500, .lane_count = 3, .lane_cache = caches[i]};
        uint32_t cache = caches[i] == REOP_LANE_EXACT ? 0 : caches[i];
        reop_pool *pool = create(&config);
        reop_lane *lane = reop_pool_lane(pool, 0);
        reop_lane *shared = reop_pool_shared_lane(pool);
        uint32_t all = drain(shared, held, OPS_LIMIT), left;

        cr_assert_eq(all, 500 + 3 * cache);
        for (uint32_t op = 0; op < all; op++)
            reop_release(lane, held[op]);
        left = drain(shared, held, OPS_LIMIT);
        cr_assert_geq(left + cache, all, "cache %u", (unsigned) cache);
        for (uint32_t op = 0; op < left; op++)
            reop_release(shared, held[op]);
        destroy(pool);
    }
}

/* Promises: "Stores up to max ops and returns how many. Fewer only if reop_acquire() would have
 * answered NULL."; release_many. */
Test(pool_lane, acquire_many_stores_fewer_only_if_acquire_would_answer_null)
{
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        reop_pool *pool = create_shape(shape);

        for (uint32_t index = 0; index <= shape->lane_count; index++) {
            reop_lane *lane = lane_of(pool, shape, index);
            uint32_t count = 0, got;

            cr_assert_eq(reop_acquire_many(lane, held, 0), 0);
            for (uint32_t max = 1; (got = reop_acquire_many(lane, held + count, max)) == max;
                 max = max * 3 + 1)
                count += got;
            count += got;
            cr_assert_null(reop_acquire(lane));
            cr_assert_geq(count, shape->op_count);
            for (uint32_t op = 0; op < count; op++) {
                cr_assert_null(held[op]->user, "given twice");
                held[op]->user = held;
            }
            reop_release_many(lane, held, 0);
            reop_release_many(lane, held, count / 2);
            reop_release_many(reop_pool_shared_lane(pool), held + count / 2, count - count / 2);
        }
        destroy(pool);
    }
}

/* Promise: release, "Any lane of the op's pool." And "-EBUSY while an op is out". */
Test(pool_lane, ops_come_home_through_any_lane)
{
    reop_pool_config config = {.op_count = 200, .lane_count = 4};
    reop_pool *pool = create(&config);
    uint32_t count = drain(reop_pool_lane(pool, 0), held, OPS_LIMIT);

    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(reop_pool_destroy(pool), -EBUSY, "%u ops out", (unsigned) (count - i));
        reop_release(i % 5 < 4 ? reop_pool_lane(pool, i % 5) : reop_pool_shared_lane(pool),
                     held[i]);
    }
    destroy(pool);
}

/* Random calls on every lane against a model that knows who holds what. */
Test(pool_lane, random_calls_agree_with_a_model, .timeout = 60)
{
    uint32_t nulls = 0, shorts = 0, acquired = 0;
    uint64_t random = 88172645463325252u;

    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        reop_pool *pool = create_shape(shape);
        uint32_t count = 0, steps = shape->op_count / SLOWNESS + 10000; /* full after a tenth */

        for (uint32_t step = 0; step < steps; step++) {
            reop_lane *lane;
            uint32_t many;

            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            lane = lane_of(pool, shape, (uint32_t) (random >> 8) % (shape->lane_count + 1));
            many = (uint32_t) (random >> 24) % 40;
            /* Long stretches of more acquires, then of more releases. */
            if ((random & 7) < (step / (4 * shape->op_count + 100) % 2 ? 2u : 6u)) {
                uint32_t got = reop_acquire_many(lane, held + count, many);

                nulls += got == 0 && many != 0;
                shorts += got != 0 && got < many;
                cr_assert(got == many || count + got >= shape->op_count);
                for (uint32_t op = count; op < count + got; op++) {
                    cr_assert_null(held[op]->user, "given twice");
                    held[op]->user = held;
                }
                count += got;
                acquired += got;
            } else if (count != 0) {
                uint32_t at = (uint32_t) (random >> 32) % count;
                reop_op *op = held[at];

                held[at] = held[--count];
                reop_release(lane, op);
                many = many < count ? many : count;
                count -= many;
                reop_release_many(lane, held + count, many);
            }
        }
        reop_release_many(reop_pool_shared_lane(pool), held, count);
        destroy(pool);
    }
    printf("acquired %u, shorter than asked %u, NULL %u\n", (unsigned) acquired, (unsigned) shorts,
           (unsigned) nulls);
    cr_assert_gt(nulls, 0);
    cr_assert_gt(shorts, 0);
}

/* --- waiters ----------------------------------------------------------------------------- */

#define WAITERS 4u

struct wait {
    reop_lane *lane;
    int64_t timeout_ns;
    _Atomic(reop_op *) op;
    atomic_bool begun, ended;
    atomic_uint *order; /* drawn when it is served */
    uint32_t rank;
    struct sync_thread thread;
};

static void wait_run(void *argument)
{
    struct wait *wait = argument;

    wait->begun = true;
    wait->op = reop_acquire_wait(wait->lane, wait->timeout_ns);
    if (wait->order)
        wait->rank = (*wait->order)++;
    wait->ended = true;
}

/* Nothing tells that a waiter is asleep, so it is given time: ms. */
static void wait_start(struct wait *wait, reop_lane *lane, int64_t timeout_ns, int64_t ms)
{
    memset(wait, 0, sizeof *wait);
    wait->lane = lane;
    wait->timeout_ns = timeout_ns;
    cr_assert_eq(sync_thread_start(&wait->thread, wait_run, wait), 0);
    while (!wait->begun)
        sleep_ms(1);
    sleep_ms(ms);
}

static reop_op *wait_join(struct wait *wait)
{
    sync_thread_join(&wait->thread);
    return wait->op;
}

/* Promise: "Blocks." ... only while there is no op. */
Test(pool_wait, does_not_wait_while_there_is_an_op)
{
    reop_pool_config config = {.op_count = 2};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_shared_lane(pool);
    reop_op *first = reop_acquire_wait(lane, 0);
    reop_op *second = reop_acquire_wait(lane, REOP_FOREVER);

    cr_assert_not_null(first);
    cr_assert_not_null(second);
    cr_assert_null(reop_acquire_wait(lane, 0));
    reop_release(lane, first);
    reop_release(lane, second);
    destroy(pool);
}

/* Promise: "NULL on time-out". */
Test(pool_wait, null_on_time_out, .timeout = 30)
{
    reop_pool_config config = {.op_count = 1, .lane_count = 1};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_lane(pool, 0);
    uint32_t count = drain(lane, held, OPS_LIMIT);
    int64_t start_ns = sync_now_ns();

    cr_assert_null(reop_acquire_wait(lane, 30 * MS));
    cr_assert_geq(sync_now_ns() - start_ns, 30 * MS);
    cr_assert_lt(sync_now_ns() - start_ns, 10000 * MS);
    reop_release_many(lane, held, count);
    cr_assert_not_null(held[0] = reop_acquire_wait(lane, 30 * MS));
    reop_release(lane, held[0]);
    destroy(pool);
}

/* Promise: "every release serves the oldest waiter first": by any lane, private or shared. */
Test(pool_wait, a_release_through_any_lane_wakes_a_waiter, .timeout = 60)
{
    for (uint32_t to = 0; to < 3; to++) {
        for (uint32_t from = 0; from < 3; from++) {
            struct shape shape = {2, 2, from == 2 ? REOP_LANE_EXACT : 0};
            reop_lane *releaser;
            struct wait wait;
            reop_pool *pool;
            uint32_t count;

            if (to == from && to < 2)
                continue; /* a private lane belongs to one thread */
            pool = create_shape(&shape);
            releaser = lane_of(pool, &shape, from);
            count = drain(lane_of(pool, &shape, to), held, OPS_LIMIT);
            wait_start(&wait, lane_of(pool, &shape, to), REOP_FOREVER, 5);
            cr_assert(!wait.ended);
            if (from == 1)
                reop_release_many(releaser, &held[--count], 1);
            else
                reop_release(releaser, held[--count]);
            held[count] = wait_join(&wait);
            cr_assert_not_null(held[count]);
            cr_assert_null(held[count]->user);
            count++;
            reop_release_many(releaser, held, count);
            destroy(pool);
        }
    }
}

/* Whether the waiters were served in the order in which they began. */
static bool waiters_are_served_in_order(int64_t ms)
{
    reop_pool_config config = {.op_count = WAITERS, .lane_count = 1, .lane_cache = REOP_LANE_EXACT};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_lane(pool, 0);
    static struct wait waits[WAITERS];
    atomic_uint order = 0;
    bool in_order = true;

    cr_assert_eq(drain(lane, held, OPS_LIMIT), WAITERS);
    for (uint32_t i = 0; i < WAITERS; i++) {
        wait_start(&waits[i], reop_pool_shared_lane(pool), REOP_FOREVER, ms);
        waits[i].order = &order;
    }
    for (uint32_t i = 0; i < WAITERS; i++) {
        reop_release(lane, held[i]);
        while (order < i + 1)
            sleep_ms(1);
        /* The op was the waiter's before the release returned. */
        if (reop_acquire(lane) != NULL)
            cr_assert_fail("an op was given to somebody else beside a sleeping waiter");
    }
    for (uint32_t i = 0; i < WAITERS; i++) {
        reop_release(lane, wait_join(&waits[i]));
        in_order &= waits[i].rank == i;
    }
    destroy(pool);
    return in_order;
}

/* Promise: "Once a waiter is asleep every release serves the oldest waiter first." A waiter may not
 * be asleep yet on a loaded machine, hence several attempts with more and more time. */
Test(pool_wait, every_release_serves_the_oldest_waiter_first, .timeout = 60)
{
    int64_t ms = 10;

    while (!waiters_are_served_in_order(ms)) {
        ms *= 3;
        cr_assert_lt(ms, 1000, "waiters are not served in order");
    }
}

struct thief {
    reop_lane *lane;
    atomic_bool stop;
    atomic_uint stolen;
    struct sync_thread thread;
};

static void steal(void *argument)
{
    struct thief *thief = argument;

    while (!thief->stop) {
        reop_op *op = reop_acquire(thief->lane);

        if (op != NULL) {
            thief->stolen++;
            reop_release(thief->lane, op);
        }
    }
}

/* Whether 100 releases served a waiter who was asleep, and nobody who was quicker. */
static bool nobody_overtakes_a_waiter(int64_t ms)
{
    reop_pool_config config = {.op_count = 1};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_shared_lane(pool);
    reop_op *op = reop_acquire(lane);
    struct thief thief = {.lane = lane};

    cr_assert_eq(sync_thread_start(&thief.thread, steal, &thief), 0);
    for (uint32_t i = 0; i < 100 && thief.stolen == 0; i++) {
        struct wait wait;

        wait_start(&wait, lane, REOP_FOREVER, ms);
        if (i % 2)
            reop_release_many(lane, &op, 1);
        else
            reop_release(lane, op);
        op = wait_join(&wait);
    }
    thief.stop = true;
    sync_thread_join(&thief.thread);
    reop_release(lane, op);
    destroy(pool);
    return thief.stolen == 0;
}

/* The same promise while another thread takes whatever there is. Time as for the order. */
Test(pool_wait, a_release_serves_a_waiter_before_all_others, .timeout = 120)
{
    int64_t ms = 2;

    while (!nobody_overtakes_a_waiter(ms)) {
        ms *= 3;
        cr_assert_lt(ms, 300, "an op was given to somebody else beside a sleeping waiter");
    }
}

/* One release_many serves as many waiters as it has ops, out of a lane's cache too. */
Test(pool_wait, release_many_serves_many_waiters, .timeout = 60)
{
    reop_pool_config config = {.op_count = 8, .lane_count = 1};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_lane(pool, 0);
    static struct wait waits[WAITERS];
    uint32_t count = drain(lane, held, OPS_LIMIT);

    for (uint32_t i = 0; i < WAITERS; i++)
        wait_start(&waits[i], reop_pool_shared_lane(pool), REOP_FOREVER, 5);
    reop_release_many(lane, held, count);
    for (uint32_t i = 0; i < WAITERS; i++) {
        held[i] = wait_join(&waits[i]);
        cr_assert_not_null(held[i]);
    }
    reop_release_many(lane, held, WAITERS);
    destroy(pool);
}

/* Whether one interrupt ended all waits: those begun ms ago and more. */
static bool one_interrupt_ends_every_wait(int64_t ms)
{
    reop_pool_config config = {.op_count = 1};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_shared_lane(pool);
    static struct wait waits[WAITERS];
    reop_op *op = reop_acquire(lane);
    uint32_t ended = 0;

    reop_pool_interrupt(pool); /* nobody is asleep: nothing happens, then or later */
    for (uint32_t i = 0; i < WAITERS; i++)
        wait_start(&waits[i], lane, REOP_FOREVER, ms);
    for (uint32_t i = 0; i < WAITERS; i++)
        cr_assert(!waits[i].ended, "an interrupt is not sticky");
    reop_pool_interrupt(pool);
    sleep_ms(10 * ms);
    for (uint32_t i = 0; i < WAITERS; i++)
        ended += waits[i].ended;
    for (uint32_t i = 0; i < WAITERS; i++) {
        while (!waits[i].ended) { /* one that was not asleep yet */
            reop_pool_interrupt(pool);
            sleep_ms(1);
        }
        cr_assert_null(wait_join(&waits[i]));
    }
    reop_release(lane, op);
    destroy(pool);
    return ended == WAITERS;
}

/* Promise: "Ends every reop_acquire_wait() that is asleep now." Time as for the order. */
Test(pool_wait, interrupt_ends_every_wait_that_is_asleep_now, .timeout = 60)
{
    int64_t ms = 10;

    while (!one_interrupt_ends_every_wait(ms)) {
        ms *= 3;
        cr_assert_lt(ms, 1000, "one interrupt does not end every wait");
    }
}

#define HAND_OVERS 300u

struct hand_over {
    reop_lane *lane;
    atomic_bool stop;
    atomic_uint given, timed_out;
    struct sync_thread thread;
};

static void hand_over_run(void *argument)
{
    struct hand_over *side = argument;
    int64_t timeout_ns = 1;

    while (!side->stop) {
        reop_op *op = reop_acquire_wait(side->lane, timeout_ns);

        timeout_ns = timeout_ns * 5 % 99991 + 1;
        if (op == NULL) {
            side->timed_out++;
            continue;
        }
        side->given++;
        reop_release(side->lane, op);
    }
}

/* An op handed over at the moment of the time-out is not lost: the only one is held for about as
 * long as the others wait. */
Test(pool_wait, no_op_is_lost_to_a_time_out, .timeout = 60)
{
    reop_pool_config config = {.op_count = 1, .lane_count = 3, .lane_cache = REOP_LANE_EXACT};
    reop_pool *pool = create(&config);
    reop_lane *lane = reop_pool_lane(pool, 2);
    static struct hand_over sides[2];
    int64_t held_ns = 1;

    for (uint32_t i = 0; i < 2; i++) {
        sides[i].lane = i ? reop_pool_lane(pool, i) : reop_pool_shared_lane(pool);
        cr_assert_eq(sync_thread_start(&sides[i].thread, hand_over_run, &sides[i]), 0);
    }
    while (sides[0].given + sides[1].given < HAND_OVERS ||
           sides[0].timed_out + sides[1].timed_out < HAND_OVERS) {
        reop_op *op = reop_acquire_wait(lane, 20000 * MS);
        int64_t until_ns = sync_deadline_ns(held_ns);

        cr_assert_not_null(op, "the op was lost");
        held_ns = held_ns * 7 % 999983 + 1;
        while (sync_now_ns() < until_ns) {
            /* the others wait meanwhile */
        }
        reop_release(lane, op);
    }
    for (uint32_t i = 0; i < 2; i++)
        sides[i].stop = true;
    for (uint32_t i = 0; i < 2; i++) {
        sync_thread_join(&sides[i].thread);
        printf("given %u, timed out %u\n", sides[i].given, sides[i].timed_out);
    }
    destroy(pool);
}

/* --- engines ----------------------------------------------------------------------------- */

/* Promise: destroy, "-EBUSY while ... an engine holds the pool". */
Test(pool_holders, ebusy_while_an_engine_holds_the_pool)
{
    reop_pool_config config = {.op_count = 1};
    reop_pool *pool = create(&config);
    int engines[SLOT_HOLDERS_MAX + 1];
    uint32_t index;

    for (uint32_t i = 0; i < SLOT_HOLDERS_MAX; i++) {
        cr_assert_eq(pool_hold(pool, &engines[i], &index), 0);
        cr_assert_eq(index, i);
    }
    cr_assert_eq(pool_hold(pool, &engines[SLOT_HOLDERS_MAX], &index), -EMFILE);
    pool_unhold(pool, 7);
    cr_assert_eq(pool_hold(pool, &engines[SLOT_HOLDERS_MAX], &index), 0);
    cr_assert_eq(index, 7);
    sync_lock(pool_holders_lock(pool));
    cr_assert_eq(pool_holder(pool, 7), &engines[SLOT_HOLDERS_MAX]);
    cr_assert_eq(pool_holder(pool, 8), &engines[8]);
    sync_unlock(pool_holders_lock(pool));
    for (uint32_t i = SLOT_HOLDERS_MAX; i-- > 0;) {
        cr_assert_eq(reop_pool_destroy(pool), -EBUSY);
        pool_unhold(pool, i);
    }
    destroy(pool);
}

/* --- misuse ------------------------------------------------------------------------------ */

static void release_twice(void *lane)
{
    reop_op *op = reop_acquire(lane);

    reop_release(lane, op);
    reop_release(lane, op);
}

static void release_many_twice(void *lane)
{
    reop_op *ops[2] = {reop_acquire(lane), NULL};

    ops[1] = ops[0];
    reop_release_many(lane, ops, 2);
}

static void release_in_flight(void *lane)
{
    reop_op *op = reop_acquire(lane);

    slot_launch(slot_of(op), slot_held(slot_of(op), "submit"), slot_launch_bits(0));
    reop_release(lane, op);
}

static void release_elsewhere(void *lanes)
{
    reop_release(((reop_lane **) lanes)[1], reop_acquire(((reop_lane **) lanes)[0]));
}

/* Promise: "Misuse - ... releasing one twice - is ... a bug: whenever the op's state shows it, the
 * program aborts with a message, in every build." */
Test(pool_misuse, aborts_with_a_message, .timeout = 60)
{
    reop_pool_config config = {.op_count = 4, .lane_count = 1};
    reop_pool *pool = create(&config), *other = create(&config);
    reop_lane *lanes[] = {reop_pool_lane(pool, 0), reop_pool_lane(other, 0)};

    misuse_expect_abort(release_twice, lanes[0], "reop: release of op");
    misuse_expect_abort(release_twice, lanes[0], "which is free, not held");
    misuse_expect_abort(release_twice, reop_pool_shared_lane(pool), "which is free, not held");
    misuse_expect_abort(release_many_twice, lanes[0], "which is free, not held");
    misuse_expect_abort(release_in_flight, lanes[0], "which is in flight, not held");
    misuse_expect_abort(release_elsewhere, lanes, "to a lane of another pool");
    destroy(other);
    destroy(pool);
}
