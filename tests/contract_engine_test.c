/* SPDX-License-Identifier: MIT
 *
 * The contract of an engine used by one thread: its config, its pools, reap and run, flush, wake,
 * stop, what is stuck, and what it counts. Several threads: contract_threads_test.c.
 */
#include "fixture.h"

#include <reop/sim.h>

#include <string.h>

/* --- create ----------------------------------------------------------------------------------- */

static reop_pool *small_pool(uint32_t op_count)
{
    reop_pool_config config = {.op_count = op_count, .buffer_size = 512};
    reop_pool *pool = NULL;

    cr_assert_eq(reop_pool_create(&config, &pool), 0);
    return pool;
}

/* Promise: "A zeroed config with pool set is a valid one"; "REOP_BACKEND_AUTO, the best that works
 * here"; "The name of the backend in use: "iocp", "uring", "threads", "sim"."; "file_count ... 0:
 * 64". */
Test(contract_engine, zeroed_config_with_a_pool_is_valid)
{
    static const char *const names[] = {"iocp", "uring", "threads"};
    reop_pool *pool = small_pool(4);
    reop_engine *engine = NULL;
    uint32_t known = 0;

    cr_assert_eq(reop_engine_create(&(reop_engine_config){.pool = pool}, &engine), 0, "%s",
                 reop_engine_why(NULL));
    for (uint32_t i = 0; i < 3; i++)
        known += strcmp(reop_engine_backend(engine), names[i]) == 0;
    cr_assert_eq(known, 1, "%s", reop_engine_backend(engine));
    cr_assert_not_null(reop_engine_why(engine));
    printf("auto is %s, why: '%s'\n", reop_engine_backend(engine), reop_engine_why(engine));
    cr_assert_eq(reop_engine_destroy(engine), 0);
    cr_assert_eq(reop_pool_destroy(pool), 0);
}

/* Promise: "The name of the backend in use". */
BACKEND_TEST(contract_engine, the_backend_asked_for_is_the_one_in_use, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    const char *name;

    fixture_open(&fixture, backend);
    name = reop_engine_backend(fixture.engine);
    cr_assert_eq(strncmp(backend->name, name, strlen(name)), 0, "%s is %s", backend->name, name);
    fixture_close(&fixture);
}

static void expect_create_fails(reop_engine_config config, int error)
{
    reop_engine *engine = NULL;
    const char *why;

    cr_assert_eq(reop_engine_create(&config, &engine), error);
    why = reop_engine_why(NULL);
    cr_assert_neq(why[0], 0, "no reason given");
    cr_assert_null(strchr(why, '\n'), "more than one line: %s", why);
}

/* Promise: "-EINVAL: the config; -ENOTSUP: that backend does not work here (asked for by name)";
 * "With NULL: why the calling thread's last reop_engine_create() failed, or """. */
Test(contract_engine, create_refuses_a_bad_config_and_says_why)
{
    reop_pool *pool = small_pool(4);
    reop_engine *engine = NULL;

    cr_assert_str_eq(reop_engine_why(NULL), "");
    expect_create_fails((reop_engine_config){0}, -EINVAL);
    expect_create_fails((reop_engine_config){.pool = pool, .backend = 99}, -EINVAL);
    expect_create_fails((reop_engine_config){.pool = pool, .flags = 1u << 30}, -EINVAL);
    expect_create_fails((reop_engine_config){.pool = pool, .file_count = REOP_FILES_MAX + 1},
                        -EINVAL);
    expect_create_fails((reop_engine_config){.pool = pool, .backend = fixture_foreign_backend()},
                        -ENOTSUP);
    cr_assert_eq(reop_engine_create(&(reop_engine_config){.pool = pool}, &engine), 0);
    cr_assert_str_eq(reop_engine_why(NULL), "");
    cr_assert_eq(reop_engine_destroy(engine), 0);
    cr_assert_eq(reop_pool_destroy(pool), 0, "a create that failed still holds the pool");
}

/* Promise: "uring: 32768, and asking for more is -EINVAL"; 0 goes "as far as the backend goes". */
BACKEND_TEST(contract_engine, uring_depth_is_at_most_32768, ON_EVERY_BACKEND)
{
    reop_pool *pool = small_pool(40000);
    reop_engine_config config = {
        .backend = backend->backend, .flags = backend->traits & 0xffffu, .pool = pool};
    reop_engine *engine;

    if (backend->backend == REOP_BACKEND_URING) {
        config.depth = 32769;
        cr_assert_eq(reop_engine_create(&config, &engine), -EINVAL, "%s", backend->name);
    }
    engine = fixture_engine(backend, pool, (reop_engine_config){.depth = 32768});
    cr_assert_eq(reop_engine_destroy(engine), 0, "%s", backend->name);
    config.depth = 0;
    cr_assert_eq(reop_engine_create(&config, &engine), 0, "%s: %s", backend->name,
                 reop_engine_why(NULL));
    cr_assert_eq(reop_engine_destroy(engine), 0, "%s", backend->name);
    cr_assert_eq(reop_pool_destroy(pool), 0, "%s", backend->name);
}

/* Promise: "-EBUSY while ops are in flight, files are attached". A refused destroy changes nothing.
 */
BACKEND_TEST(contract_engine, destroy_is_ebusy_while_anything_is_attached_or_in_flight,
             ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(reop_engine_destroy(fixture.engine), -EBUSY, "%s: a file", backend->name);
    op = fixture_acquire(&fixture);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0)), 16,
                 "%s", backend->name);
    fixture_close_file(file);
    cr_assert_eq(reop_post(op, fixture.engine, 3), REOP_PENDING, "%s", backend->name);
    cr_assert_eq(reop_engine_destroy(fixture.engine), -EBUSY, "%s: a post", backend->name);
    cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* --- pools ------------------------------------------------------------------------------------ */

/* Promise: "Ops of a registered pool can be submitted; those of another are REJECTED with -EINVAL."
 * And of reop_pool_destroy(): "-EBUSY while an op is out or an engine holds the pool." */
BACKEND_TEST(contract_engine, ops_of_registered_pools_only, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_pool *second = small_pool(8);
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    op = reop_acquire(reop_pool_shared_lane(second));
    fixture_expect_rejected(op, reop_read(op, file, reop_op_buffer(op), 16, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_sync(op, file, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_post(op, fixture.engine, 0), 1, EINVAL);

    cr_assert_eq(reop_engine_register(fixture.engine, second), 0, "%s", backend->name);
    for (uint64_t i = 0; i < 20; i++) { /* both pools, their own buffers, turn about */
        reop_op *other = fixture_acquire(&fixture);

        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, i));
        fixture_finish(&fixture, other, reop_read(other, file, reop_op_buffer(other), 64, i + 100));
        cr_assert(op->result == 64 && fixture_matches(reop_op_buffer(op), 64, i), "%s",
                  backend->name);
        cr_assert(other->result == 64 && fixture_matches(reop_op_buffer(other), 64, i + 100), "%s",
                  backend->name);
        reop_release(fixture.lane, other);
    }
    reop_release(reop_pool_shared_lane(second), op);
    cr_assert_eq(reop_pool_destroy(second), -EBUSY, "%s: an engine holds it", backend->name);
    cr_assert_eq(reop_pool_destroy(fixture.pool), -EBUSY, "%s: an engine holds it", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
    cr_assert_eq(reop_pool_destroy(second), 0, "%s", backend->name);
}

/* Promise: "-EEXIST: it is registered; -EMFILE: the engine has REOP_ENGINE_POOLS pools". */
BACKEND_TEST(contract_engine, registers_sixteen_pools, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_pool *pools[REOP_ENGINE_POOLS];
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    pools[0] = NULL; /* that place is the fixture's pool's */
    for (uint32_t i = 1; i < REOP_ENGINE_POOLS; i++) {
        reop_op *op;

        pools[i] = small_pool(2);
        cr_assert_eq(reop_engine_register(fixture.engine, pools[i]), 0, "%s: %u", backend->name, i);
        op = reop_acquire(reop_pool_shared_lane(pools[i]));
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, i));
        cr_assert_eq(op->result, 64, "%s: %u", backend->name, i);
        cr_assert(fixture_matches(reop_op_buffer(op), 64, i), "%s: %u", backend->name, i);
        reop_release(reop_pool_shared_lane(pools[i]), op);
    }
    pools[0] = small_pool(2);
    cr_assert_eq(reop_engine_register(fixture.engine, fixture.pool), -EEXIST, "%s", backend->name);
    cr_assert_eq(reop_engine_register(fixture.engine, pools[5]), -EEXIST, "%s", backend->name);
    cr_assert_eq(reop_engine_register(fixture.engine, pools[0]), -EMFILE, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
    for (uint32_t i = 0; i < REOP_ENGINE_POOLS; i++)
        cr_assert_eq(reop_pool_destroy(pools[i]), 0, "%s: pool %u", backend->name, i);
}

/* As reop_engine_create(), but a simulated device is a small one: 256 of 4 MiB take a sanitizer
 * half a minute. */
static int create_small(const struct fixture_backend *backend, const reop_engine_config *config,
                        reop_engine **engine_out)
{
    static const struct reop_sim_config device = {.capacity = 65536, .file_count = 4};

    return backend->traits & FIXTURE_SIM ? reop_sim_create(config, &device, engine_out)
                                         : reop_engine_create(config, engine_out);
}

/* Promise: "-EMFILE: the pool has 256 engines already". One that is destroyed makes room. */
BACKEND_TEST(contract_engine, a_pool_has_up_to_256_engines, ON_EVERY_BACKEND)
{
    enum { ENGINES = 256 };
    static reop_engine *engines[ENGINES + 1];
    reop_pool *pool = small_pool(2);
    reop_engine_config config = {.backend = backend->backend,
                                 .flags = backend->traits & 0xffffu,
                                 .threads = 1,
                                 .pool = pool};

    engines[0] = fixture_engine(backend, pool, config);
    for (uint32_t i = 1; i < ENGINES; i++) {
        int error = create_small(backend, &config, &engines[i]);

        if (error == -ENOTSUP && strstr(reop_engine_why(NULL), "allocate memory") != NULL) {
            while (i-- > 0)
                cr_assert_eq(reop_engine_destroy(engines[i]), 0, "%s: %u", backend->name, i);
            cr_assert_eq(reop_pool_destroy(pool), 0, "%s", backend->name);
            cr_skip_test("RLIMIT_MEMLOCK is too small for 256 rings");
        }
        cr_assert_eq(error, 0, "%s: %u", backend->name, i);
    }
    cr_assert_eq(create_small(backend, &config, &engines[ENGINES]), -EMFILE, "%s", backend->name);
    cr_assert_eq(reop_engine_destroy(engines[7]), 0, "%s", backend->name);
    cr_assert_eq(create_small(backend, &config, &engines[7]), 0, "%s", backend->name);
    for (uint32_t i = 0; i < ENGINES; i++)
        cr_assert_eq(reop_engine_destroy(engines[i]), 0, "%s: %u", backend->name, i);
    cr_assert_eq(reop_pool_destroy(pool), 0, "%s", backend->name);
}

/* Promise: "An engine is ... a completion port, a ring, or a set of workers", and an op comes back
 * from the one it was submitted to: two engines may share a pool. */
BACKEND_TEST(contract_engine, engines_may_share_a_pool, ON_EVERY_BACKEND)
{
    struct fixture fixture, other;
    reop_file *file, *other_file;
    reop_op *op;

    fixture_open(&fixture, backend);
    other = fixture;
    other.engine = fixture_engine(backend, fixture.pool, (reop_engine_config){0});
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(reop_file_open(other.engine, fixture_path(&fixture, 0),
                                REOP_FILE_READ | FIXTURE_SHARED, &other_file),
                 0);
    op = fixture_acquire(&fixture);
    for (uint64_t i = 0; i < 20; i++) {
        struct fixture *here = i % 2 ? &other : &fixture;
        reop_op *reaped = NULL;
        reop_status status =
            reop_read(op, i % 2 ? other_file : file, reop_op_buffer(op), 64, i * 7);

        cr_assert_eq(reop_reap(i % 2 ? fixture.engine : other.engine, &reaped, 1, 0), 0, "%s",
                     backend->name);
        cr_assert_eq(fixture_finish(here, op, status), 64, "%s", backend->name);
        cr_assert(fixture_matches(reop_op_buffer(op), 64, i * 7), "%s", backend->name);
        cr_assert_eq(fixture_finish(here, op, reop_post(op, here->engine, 9)), 9, "%s",
                     backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close_file(other_file);
    cr_assert_eq(reop_engine_destroy(other.engine), 0, "%s", backend->name);
    fixture_close(&fixture);
}

/* --- reap and wake ---------------------------------------------------------------------------- */

/* How long a reap that finds nothing takes; asserts that it answers 0. */
static int64_t empty_reap_ns(struct fixture *fixture, int64_t timeout_ns)
{
    int64_t before_ns = fixture_now_ns();
    reop_op *op = NULL;

    cr_assert_eq(reop_reap(fixture->engine, &op, 1, timeout_ns), 0, "%s", fixture->backend->name);
    return fixture_now_ns() - before_ns;
}

/* Promise: "0 on time-out"; "Time-outs round up". */
BACKEND_TEST(contract_engine, reap_time_outs_round_up, ON_EVERY_BACKEND)
{
    static const int64_t timeouts_ns[] = {1, 1000, 999999, 1000001, 20 * FIXTURE_MS};
    struct fixture fixture;

    fixture_open(&fixture, backend);
    cr_assert_lt(empty_reap_ns(&fixture, 0), FIXTURE_PATIENCE_NS, "%s", backend->name);
    for (uint32_t i = 0; i < 5; i++) {
        int64_t took_ns = empty_reap_ns(&fixture, timeouts_ns[i]);

        cr_assert_geq(took_ns, timeouts_ns[i], "%s: %lld ns", backend->name, (long long) took_ns);
        cr_assert_lt(took_ns, FIXTURE_PATIENCE_NS, "%s", backend->name);
    }
    fixture_close(&fixture);
}

/* Promise: "Sticky: ends the current or next reap of one thread; many may be one." */
BACKEND_TEST(contract_engine, wake_is_sticky_and_used_up, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    uint32_t early = 0;

    fixture_open(&fixture, backend);
    for (uint32_t i = 0; i < 3; i++) {
        reop_wake(fixture.engine);
        empty_reap_ns(&fixture, REOP_FOREVER); /* the test's time-out is the judge */
        cr_assert_geq(empty_reap_ns(&fixture, 5 * FIXTURE_MS), 5 * FIXTURE_MS, "%s: wakes twice",
                      backend->name);
    }
    for (uint32_t i = 0; i < 3; i++)
        reop_wake(fixture.engine);
    for (uint32_t i = 0; i < 5; i++)
        early += empty_reap_ns(&fixture, 5 * FIXTURE_MS) < 5 * FIXTURE_MS;
    cr_assert(early >= 1 && early <= 3, "%s: 3 wakes ended %u reaps", backend->name, early);
    fixture_close(&fixture);
}

/* Promise: "Waits until at least one op has come back, then takes up to max of them without waiting
 * again." A wake beside the ops does not hide them. */
BACKEND_TEST(contract_engine, reap_takes_what_is_there_without_waiting_again, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_op *ops[3], *reaped[FIXTURE_OPS];

    fixture_open(&fixture, backend);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 3), 3);
    for (uint32_t round = 0; round < 4; round++) {
        int64_t before_ns = fixture_now_ns();
        int count = 0;

        for (uint32_t i = 0; i < 3; i++)
            cr_assert_eq(reop_post(ops[i], fixture.engine, i), REOP_PENDING, "%s", backend->name);
        if (round % 2 == 1)
            reop_wake(fixture.engine);
        while (count < 3) {
            int got = reop_reap(fixture.engine, reaped, FIXTURE_OPS, FIXTURE_PATIENCE_NS);

            cr_assert_geq(got, 0, "%s", backend->name);
            count += got;
        }
        cr_assert_eq(count, 3, "%s", backend->name);
        cr_assert_lt(fixture_now_ns() - before_ns, FIXTURE_PATIENCE_NS / 2, "%s", backend->name);
    }
    reop_release_many(fixture.lane, ops, 3);
    fixture_close(&fixture);
}

/* --- run -------------------------------------------------------------------------------------- */

struct run_log {
    struct fixture *fixture;
    uint32_t calls;
    uint32_t still_in_flight[8]; /* at each call */
    reop_op *order[8];
};

static void log_done(reop_op *op)
{
    struct run_log *log = op->user;
    struct reop_stuck_op stuck[FIXTURE_OPS];

    log->order[log->calls] = op;
    log->still_in_flight[log->calls++] = reop_stuck(log->fixture->engine, stuck, FIXTURE_OPS);
}

/* Promise: "reop_reap(), then op->on_done(op), each op landed just before its call": the ops behind
 * it are still in flight, and it itself is held. */
BACKEND_TEST(contract_engine, run_lands_each_op_just_before_its_call, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct run_log log = {.fixture = &fixture};
    reop_op *ops[4];

    fixture_open(&fixture, backend);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 4), 4);
    for (uint32_t i = 0; i < 4; i++) {
        ops[i]->user = &log;
        ops[i]->on_done = log_done;
        cr_assert_eq(reop_post(ops[i], fixture.engine, (int64_t) i), REOP_PENDING);
    }
    while (log.calls < 4)
        cr_assert_gt(reop_run(fixture.engine, 8, FIXTURE_PATIENCE_NS), 0, "%s", backend->name);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(log.still_in_flight[i], 3 - i, "%s: call %u saw %u in flight", backend->name,
                     i, log.still_in_flight[i]);
        cr_assert_eq(log.order[i], ops[log.order[i]->result], "%s", backend->name);
    }
    reop_release_many(fixture.lane, ops, 4);
    fixture_close(&fixture);
}

struct relay {
    struct fixture *fixture;
    reop_file *file;
    uint32_t left;
    uint32_t wrong;
};

/* As a caller writes it: "Loop on it, do not recurse." */
static void pass_on(reop_op *op)
{
    struct relay *relay = op->user;
    reop_status status;

    do {
        relay->wrong += op->result != 64;
        if (relay->left == 0) {
            reop_release(relay->fixture->lane, op);
            return;
        }
        relay->left--;
        status = reop_read(op, relay->file, reop_op_buffer(op), 64, relay->left % 64);
    } while (status == REOP_DONE);
    if (status == REOP_REJECTED)
        relay->wrong++;
}

/* Promise: "HELD       yours", in on_done: the op may be submitted again, or released, there. */
BACKEND_TEST(contract_engine, on_done_may_submit_again_and_release, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct relay relay = {.fixture = &fixture, .left = 500};
    reop_op *op;

    fixture_open(&fixture, backend);
    relay.file = fixture_file(&fixture, REOP_FILE_READ, 512);
    for (uint32_t i = 0; i < 3; i++) {
        op = fixture_acquire(&fixture);
        op->user = &relay;
        op->on_done = pass_on;
        cr_assert_eq(reop_post(op, fixture.engine, 64), REOP_PENDING, "%s", backend->name);
    }
    while (relay.left > 0) {
        int count = reop_run(fixture.engine, 2, FIXTURE_PATIENCE_NS);

        cr_assert(count >= 0 && count <= 2, "%s: run answered %d", backend->name, count);
    }
    while (reop_run(fixture.engine, 2, 20 * FIXTURE_MS) > 0) {
        /* The last of the three. */
    }
    cr_assert_eq(relay.wrong, 0, "%s", backend->name);
    fixture_close_file(relay.file);
    fixture_close(&fixture); /* asserts that all three were released */
}

/* --- flush ------------------------------------------------------------------------------------ */

static bool appears(const char *path, const char *text)
{
    int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;

    while (fixture_now_ns() < deadline_ns) {
        if (fixture_holds(path, text, strlen(text)))
            return true;
        fixture_sleep_ms(1);
    }
    return false;
}

/* Promise: "The system has an op after the next reop_flush() or reop_reap()", of
 * REOP_ENGINE_DEFER. */
BACKEND_TEST(contract_engine, deferred_op_is_the_systems_after_flush, ON_DEFERRED)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    reop_status status;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 0);
    op = fixture_acquire(&fixture);
    status = reop_write(op, file, "flushed", 7, 0);
    cr_assert_eq(reop_flush(fixture.engine), 0, "%s", backend->name);
    cr_assert(appears(fixture_path(&fixture, 0), "flushed"), "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, status), 7, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "Without it, when submit returns." */
BACKEND_TEST(contract_engine, prompt_op_is_the_systems_when_submit_returns, ON_PROMPT)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    reop_status status;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 0);
    op = fixture_acquire(&fixture);
    status = reop_write(op, file, "submitted", 9, 0);
    cr_assert(appears(fixture_path(&fixture, 0), "submitted"), "%s", backend->name);
    cr_assert_eq(reop_flush(fixture.engine), 0, "%s: nothing to do", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, status), 9, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- stop ------------------------------------------------------------------------------------- */

/* Promise: "Refuses new submits (-ECANCELED) while reaping goes on"; and of reop_reap(),
 * "-ECANCELED once the engine is stopped and nothing is in flight (every reap then says so)". */
BACKEND_TEST(contract_engine, stop_refuses_submits_while_reaping_goes_on, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *ops[3], *reaped = NULL;
    uint32_t pending = 1;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 3), 3);
    pending += reop_read(ops[0], file, reop_op_buffer(ops[0]), 64, 0) == REOP_PENDING;
    cr_assert_eq(reop_post(ops[1], fixture.engine, 5), REOP_PENDING, "%s", backend->name);
    reop_stop(fixture.engine);
    reop_stop(fixture.engine); /* twice is once */
    fixture_expect_rejected(ops[2], reop_read(ops[2], file, reop_op_buffer(ops[2]), 64, 0), 1,
                            ECANCELED);
    fixture_expect_rejected(ops[2], reop_sync(ops[2], file, 0), 1, ECANCELED);
    fixture_expect_rejected(ops[2], reop_post(ops[2], fixture.engine, 0), 1, ECANCELED);
    for (; pending > 0; pending--)
        fixture_reap(&fixture);
    cr_assert_eq(ops[0]->result, 64, "%s", backend->name);
    cr_assert_eq(ops[1]->result, 5, "%s", backend->name);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), -ECANCELED, "%s", backend->name);
        cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, REOP_FOREVER), -ECANCELED, "%s",
                     backend->name);
        cr_assert_eq(reop_run(fixture.engine, 1, FIXTURE_PATIENCE_NS), -ECANCELED, "%s",
                     backend->name);
        reop_wake(fixture.engine);
    }
    reop_release_many(fixture.lane, ops, 3);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- stuck ------------------------------------------------------------------------------------ */

static const struct reop_stuck_op *find_stuck(const struct reop_stuck_op *list, uint32_t count,
                                              const reop_op *op)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].op == op)
            return &list[i];
    return NULL;
}

/* Promise: "What hangs, as copies ... Returns how many were stored." Nothing else is listed, and
 * the age is the op's, not the engine's idle time. */
BACKEND_TEST(contract_engine, stuck_lists_exactly_what_is_in_flight, ON_PENDING)
{
    struct fixture fixture;
    struct reop_stuck_op list[FIXTURE_OPS];
    const struct reop_stuck_op *entry;
    reop_file *file;
    reop_op *ops[4], *idle;
    uint64_t use;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 4), 4);
    idle = fixture_acquire(&fixture);
    cr_assert_eq(reop_stuck(fixture.engine, list, FIXTURE_OPS), 0, "%s", backend->name);
    fixture_finish(&fixture, ops[2], reop_post(ops[2], fixture.engine, 0)); /* its next use is 2 */
    fixture_sleep_ms(300);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(reop_read(ops[i], file, reop_op_buffer(ops[i]), 16 + i, 100 + i), REOP_PENDING,
                     "%s", backend->name);
    use = reop_op_use(ops[3]);
    cr_assert_eq(reop_post(ops[3], fixture.engine, 0), REOP_PENDING, "%s", backend->name);

    cr_assert_eq(reop_stuck(fixture.engine, list, 0), 0, "%s", backend->name);
    cr_assert_eq(reop_stuck(fixture.engine, list, 2), 2, "%s", backend->name);
    cr_assert_eq(reop_stuck(fixture.engine, list, FIXTURE_OPS), 4, "%s", backend->name);
    for (uint32_t i = 0; i < 3; i++) {
        entry = find_stuck(list, 4, ops[i]);
        cr_assert_not_null(entry, "%s: %u", backend->name, i);
        cr_assert_eq(entry->kind, REOP_KIND_READ, "%s", backend->name);
        cr_assert_eq(entry->size, 16 + i, "%s", backend->name);
        cr_assert_eq(entry->offset, 100 + i, "%s", backend->name);
        cr_assert_eq(entry->use, i == 2 ? 2 : 1, "%s", backend->name);
        cr_assert_lt(entry->age_ms, 290, "%s: age %u ms at once", backend->name, entry->age_ms);
    }
    entry = find_stuck(list, 4, ops[3]);
    cr_assert_not_null(entry, "%s", backend->name);
    cr_assert_eq(entry->kind, REOP_KIND_POST, "%s", backend->name);
    cr_assert_eq(entry->use, use, "%s", backend->name);
    fixture_sleep_ms(80);
    cr_assert_eq(reop_stuck(fixture.engine, list, FIXTURE_OPS), 4, "%s", backend->name);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(list[i].age_ms >= 50 && list[i].age_ms < 60000, "%s: age %u ms", backend->name,
                  list[i].age_ms);
    for (uint32_t i = 0; i < 4; i++)
        fixture_reap(&fixture);
    cr_assert_eq(reop_stuck(fixture.engine, list, FIXTURE_OPS), 0, "%s", backend->name);
    reop_release_many(fixture.lane, ops, 4);
    reop_release(fixture.lane, idle);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- counts ----------------------------------------------------------------------------------- */

/* Promise: "accepted submits, posts included"; "of these, come back"; "of these, with a negative
 * result"; rejected; "reop_cancel() calls that asked the system"; files "attached now"; and of a
 * file's info, submitted and completed. submitted is completed and what is in flight. */
BACKEND_TEST(contract_engine, counts_add_up, ON_PENDING)
{
    struct fixture fixture;
    struct reop_engine_stats stats;
    struct reop_file_info info;
    reop_file *file;
    reop_op *ops[6];

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 6), 6);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(reop_read(ops[i], file, reop_op_buffer(ops[i]), 16, 0), REOP_PENDING);
    cr_assert_eq(reop_write(ops[3], file, reop_op_buffer(ops[3]), 16, 0), REOP_PENDING);
    cr_assert_eq(reop_post(ops[4], fixture.engine, -EIO), REOP_PENDING);
    cr_assert_eq(reop_post(ops[5], fixture.engine, 1), REOP_PENDING);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.submitted, 6, "%s", backend->name);
    cr_assert_eq(stats.completed, 0, "%s: nothing was reaped", backend->name);
    cr_assert_eq(stats.files, 1, "%s", backend->name);
    for (uint64_t i = 1; i <= 6; i++) {
        fixture_reap(&fixture);
        reop_engine_query(fixture.engine, &stats);
        cr_assert_eq(stats.completed, i, "%s", backend->name);
    }
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(reop_read(ops[0], file, reop_op_buffer(ops[0]), 16, UINT64_MAX),
                     REOP_REJECTED);
    cr_assert_eq(reop_cancel(ops[0], 1), -ENOENT);
    cr_assert_eq(reop_file_query(file, &info), 0);
    cr_assert_eq(info.submitted, 4, "%s", backend->name);
    cr_assert_eq(info.completed, 4, "%s", backend->name);
    fixture_close_file(file);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.submitted, 6, "%s", backend->name);
    cr_assert_eq(stats.failed, 2, "%s: %llu", backend->name, (unsigned long long) stats.failed);
    cr_assert_eq(stats.rejected, 2, "%s", backend->name);
    cr_assert_eq(stats.cancels, 0, "%s", backend->name);
    cr_assert_eq(stats.files, 0, "%s", backend->name);
    reop_release_many(fixture.lane, ops, 6);
    fixture_close(&fixture);
}
