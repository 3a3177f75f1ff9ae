/* SPDX-License-Identifier: MIT
 *
 * The contract of streams, on the backends that serve them: a read of an empty pipe really is in
 * flight until a byte, the end, or a cancel comes, so here can be seen what a file hides.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static reop_op *start_read(struct fixture *fixture, struct fixture_pipe *pipe)
{
    reop_op *op = fixture_acquire(fixture);
    reop_status status = reop_read(op, pipe->reader, reop_op_buffer(op), 64, 0);

    cr_assert_eq(status, REOP_PENDING, "%s: %d", fixture->backend->name, (int) status);
    return op;
}

static void expect_nothing(struct fixture *fixture)
{
    reop_op *op = NULL;

    cr_assert_eq(reop_reap(fixture->engine, &op, 1, 10 * FIXTURE_MS), 0, "%s",
                 fixture->backend->name);
}

/* Promise: "IN_FLIGHT  the system's", until there is something to read; "A transfer may be short";
 * "a stream's offset is 0", and what else is asked for is out of bounds. */
BACKEND_TEST(contract_stream, read_waits_for_bytes_and_may_be_short, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct reop_file_info info;
    reop_op *op, *other;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    op = start_read(&fixture, &pipe);
    expect_nothing(&fixture);
    fixture_pipe_write(&pipe, "seven..", 7);
    cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
    cr_assert_eq(op->result, 7, "%s", backend->name);
    cr_assert_arr_eq(reop_op_buffer(op), "seven..", 7, "%s", backend->name);

    other = fixture_acquire(&fixture);
    fixture_expect_rejected(other, reop_read(other, pipe.reader, reop_op_buffer(other), 8, 1), 1,
                            EINVAL);
    cr_assert_eq(reop_file_query(pipe.reader, &info), 0, "%s", backend->name);
    cr_assert_eq(info.size, 0, "%s: 0 for a stream", backend->name);
    cr_assert_lt(reop_file_preallocate(pipe.reader, 4096), 0, "%s", backend->name);
    reop_release(fixture.lane, op);
    reop_release(fixture.lane, other);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "a closed writer [is] result 0". */
BACKEND_TEST(contract_stream, closed_writer_is_zero, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    reop_op *op;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    op = start_read(&fixture, &pipe);
    expect_nothing(&fixture);
    fixture_pipe_close_writer(&pipe);
    cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
    cr_assert_eq(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
    reop_release(fixture.lane, op);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "0: asked, and the op still comes back, with -ECANCELED if the request won", once; and
 * what it did not read is there for the next. */
BACKEND_TEST(contract_stream, cancel_of_a_waiting_read_wins, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct reop_engine_stats stats;
    reop_op *op;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    for (uint64_t use = 1; use < 20; use += 2) {
        op = start_read(&fixture, &pipe);
        if (use % 4 == 1)
            expect_nothing(&fixture); /* now it surely waits in the system */
        cr_assert_eq(reop_cancel(op, reop_op_use(op) - 1), 0, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, -ECANCELED, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(op->os_error, fixture_os_error(-ECANCELED), "%s", backend->name);
        expect_nothing(&fixture);
        fixture_pipe_write(&pipe, "kept", 4);
        fixture_finish(&fixture, op, reop_read(op, pipe.reader, reop_op_buffer(op), 64, 0));
        cr_assert_eq(op->result, 4, "%s: %lld", backend->name, (long long) op->result);
        reop_release(fixture.lane, op);
    }
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.cancels, 10, "%s", backend->name);
    cr_assert_eq(stats.failed, 10, "%s", backend->name);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "Asks the system to give up on one launch"; "-ENOENT: that use is not in flight": a
 * stale use does not reach the launch that is. */
BACKEND_TEST(contract_stream, stale_cancel_does_not_reach_a_later_launch, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    reop_op *op;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    op = fixture_acquire(&fixture);
    for (uint64_t use = 1; use < 40; use += 2) {
        fixture_pipe_write(&pipe, "1", 1);
        fixture_finish(&fixture, op, reop_read(op, pipe.reader, reop_op_buffer(op), 1, 0));
        cr_assert_eq(reop_read(op, pipe.reader, reop_op_buffer(op), 1, 0), REOP_PENDING);
        cr_assert_eq(reop_cancel(op, use), -ENOENT, "%s", backend->name);
        cr_assert_eq(reop_cancel(op, use + 2), -ENOENT, "%s", backend->name);
        if (use % 8 == 1)
            expect_nothing(&fixture);
        fixture_pipe_write(&pipe, "2", 1);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, 1, "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "-EBUSY while one of its ops is in flight"; "-EBUSY while ops are in flight"; "What
 * hangs": of an op that the system really holds. */
BACKEND_TEST(contract_stream, a_hanging_read_keeps_file_and_engine, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct reop_stuck_op list[4];
    reop_op *ops[3];

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    for (uint32_t i = 0; i < 3; i++)
        ops[i] = start_read(&fixture, &pipe);
    expect_nothing(&fixture);
    fixture_sleep_ms(50);
    cr_assert_eq(reop_file_close(pipe.reader), -EBUSY, "%s", backend->name);
    cr_assert_eq(reop_engine_destroy(fixture.engine), -EBUSY, "%s", backend->name);
    cr_assert_eq(reop_stuck(fixture.engine, list, 4), 3, "%s", backend->name);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(list[i].kind, REOP_KIND_READ, "%s", backend->name);
        cr_assert_eq(list[i].use, 1, "%s", backend->name);
        cr_assert_eq(list[i].size, 64, "%s", backend->name);
        cr_assert_geq(list[i].age_ms, 40, "%s: %u", backend->name, list[i].age_ms);
    }
    cr_assert_eq(reop_cancel(ops[1], 1), 0, "%s", backend->name);
    cr_assert_eq(fixture_reap(&fixture), ops[1], "%s", backend->name);
    cr_assert_eq(reop_stuck(fixture.engine, list, 4), 2, "%s", backend->name);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_neq(list[i].op, ops[1], "%s", backend->name);
    fixture_pipe_close_writer(&pipe);
    fixture_reap(&fixture);
    fixture_reap(&fixture);
    for (uint32_t i = 0; i < 3; i++)
        reop_release(fixture.lane, ops[i]);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "The handle becomes the file's until close or detach": then nothing in the system holds
 * it open any longer, however often the file was used. */
BACKEND_TEST(contract_stream, closed_pipe_is_let_go_of, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_pipe_open(&fixture, &pipe);
        fixture_pipe_write(&pipe, "used", 4);
        fixture_finish(&fixture, op, reop_read(op, pipe.reader, reop_op_buffer(op), 64, 0));
        cr_assert_eq(op->result, 4, "%s", backend->name);
        cr_assert_eq(reop_file_close(pipe.reader), 0, "%s", backend->name);
        cr_assert(fixture_pipe_is_broken(&pipe), "%s: the reading end is open still",
                  backend->name);
        fixture_pipe_close_writer(&pipe);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "never when depth covers every op", with every op hanging in the system at once, and all
 * of them cancelled: each comes back once, the completion queue holds them all. */
BACKEND_TEST(contract_stream, every_op_may_hang_and_be_cancelled, ON_STREAMS)
{
    enum { OPS = 512 };
    static reop_op *ops[OPS], *reaped[OPS];
    struct fixture fixture;
    struct fixture_pipe pipe;
    uint32_t came_back = 0;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = OPS, .buffer_size = 64},
                      (reop_engine_config){0});
    fixture_pipe_open(&fixture, &pipe);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < OPS; i++)
            ops[i] = start_read(&fixture, &pipe);
        if (round > 0)
            expect_nothing(&fixture);
        for (uint32_t i = 0; i < OPS; i++)
            cr_assert_eq(reop_cancel(ops[i], round + 1), 0, "%s", backend->name);
        for (came_back = 0; came_back < OPS;) {
            int count = reop_reap(fixture.engine, reaped, OPS, FIXTURE_PATIENCE_NS);

            cr_assert_gt(count, 0, "%s: %d", backend->name, count);
            for (int i = 0; i < count; i++)
                cr_assert_eq(reaped[i]->result, -ECANCELED, "%s", backend->name);
            came_back += (uint32_t) count;
        }
        reop_release_many(fixture.lane, ops, OPS);
    }
    expect_nothing(&fixture);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* --- other threads ---------------------------------------------------------------------------- */

struct helper {
    struct fixture *fixture;
    struct fixture_pipe *pipe;
    reop_op *op;
    uint64_t use;
    int answer;
    _Atomic uint32_t reaped;
    _Atomic uint32_t stopped; /* reapers whose last reap answered -ECANCELED */
};

static void *cancel_later(void *argument)
{
    struct helper *helper = argument;

    fixture_sleep_ms(5);
    helper->answer = reop_cancel(helper->op, helper->use);
    return NULL;
}

/* Promise: "cancel ... stay free", from another thread while the reaper sleeps for ever. */
BACKEND_TEST(contract_stream, cancel_from_another_thread_reaches_a_sleeping_reaper, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct helper helper = {.fixture = &fixture};

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    for (uint32_t i = 0; i < 20; i++) {
        pthread_t thread;
        reop_op *reaped = NULL;

        helper.op = start_read(&fixture, &pipe);
        helper.use = reop_op_use(helper.op) - 1;
        cr_assert_eq(pthread_create(&thread, NULL, cancel_later, &helper), 0);
        while (reop_reap(fixture.engine, &reaped, 1, REOP_FOREVER) == 0) {
            /* 0 may be a wake; the test's time-out is the judge of a cancel that got lost. */
        }
        pthread_join(thread, NULL);
        cr_assert_eq(reaped, helper.op, "%s", backend->name);
        cr_assert_eq(helper.answer, 0, "%s", backend->name);
        cr_assert_eq(reaped->result, -ECANCELED, "%s: %lld", backend->name,
                     (long long) reaped->result);
        reop_release(fixture.lane, reaped);
    }
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

static void *reap_until_stopped(void *argument)
{
    struct helper *helper = argument;
    reop_op *op;
    int count;

    while ((count = reop_reap(helper->fixture->engine, &op, 1, REOP_FOREVER)) >= 0) {
        if (count == 0)
            continue;
        reop_release(helper->fixture->lane, op);
        atomic_fetch_add(&helper->reaped, 1);
    }
    atomic_fetch_add(&helper->stopped, count == -ECANCELED);
    return NULL;
}

/* Promise: "Refuses new submits (-ECANCELED) while reaping goes on": reapers sleep on beside an op
 * that hangs, and all of them are told once it is back. */
BACKEND_TEST(contract_stream, stopped_engine_waits_for_what_hangs, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct helper helper = {.fixture = &fixture};
    uint32_t reapers = backend->traits & REOP_ENGINE_SINGLE_THREAD ? 0 : 3;
    pthread_t threads[3];
    reop_op *op = NULL;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    start_read(&fixture, &pipe);
    cr_assert_eq(reop_flush(fixture.engine), 0);
    for (uint32_t i = 0; i < reapers; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, reap_until_stopped, &helper), 0);
    reop_stop(fixture.engine);
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, 10 * FIXTURE_MS), 0, "%s", backend->name);
    cr_assert_eq(atomic_load(&helper.reaped), 0, "%s", backend->name);
    fixture_pipe_write(&pipe, "end", 3);
    if (reapers == 0) {
        op = fixture_reap(&fixture);
        cr_assert_eq(op->result, 3, "%s", backend->name);
        reop_release(fixture.lane, op);
    }
    for (uint32_t i = 0; i < reapers; i++)
        pthread_join(threads[i], NULL);
    if (reapers > 0) {
        cr_assert_eq(atomic_load(&helper.stopped), reapers, "%s", backend->name);
        cr_assert_eq(atomic_load(&helper.reaped), 1, "%s", backend->name);
    }
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, REOP_FOREVER), -ECANCELED, "%s", backend->name);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "Without it [DEFER], when submit returns": while a reaper sleeps beside an op that
 * hangs, another thread's op goes through the same engine. */
BACKEND_TEST(contract_stream, a_reaper_asleep_beside_a_hanging_read_holds_up_nobody,
             ON_SHARED_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe hanging, pipe;
    struct helper helper = {.fixture = &fixture};
    pthread_t thread;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &hanging);
    fixture_pipe_open(&fixture, &pipe);
    start_read(&fixture, &hanging);
    cr_assert_eq(reop_flush(fixture.engine), 0);
    cr_assert_eq(pthread_create(&thread, NULL, reap_until_stopped, &helper), 0);
    for (uint32_t i = 1; i <= 50; i++) {
        int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;

        if (i % 5 == 0)
            fixture_sleep_ms(2); /* the reaper is surely asleep */
        start_read(&fixture, &pipe);
        if (backend->traits & REOP_ENGINE_DEFER)
            cr_assert_eq(reop_flush(fixture.engine), 0);
        fixture_pipe_write(&pipe, "x", 1);
        while (atomic_load(&helper.reaped) < i && fixture_now_ns() < deadline_ns)
            fixture_sleep_ms(1);
        cr_assert_eq(atomic_load(&helper.reaped), i, "%s: op %u did not come back", backend->name,
                     i);
    }
    reop_stop(fixture.engine);
    fixture_pipe_write(&hanging, "x", 1);
    pthread_join(thread, NULL);
    fixture_pipe_close(&hanging);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

static void *close_pipe(void *argument)
{
    struct helper *helper = argument;

    helper->answer = reop_file_close(helper->pipe->reader);
    return NULL;
}

/* Promise: "On a single-threaded uring engine, closed by another thread than the owner, the kernel
 * lets go at the owner's next reap"; elsewhere at once. */
BACKEND_TEST(contract_stream, pipe_closed_by_another_thread_is_let_go_of, ON_STREAMS)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct helper helper = {.fixture = &fixture, .pipe = &pipe};
    pthread_t thread;
    reop_op *op, *reaped = NULL;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_pipe_open(&fixture, &pipe);
        fixture_pipe_write(&pipe, "used", 4);
        fixture_finish(&fixture, op, reop_read(op, pipe.reader, reop_op_buffer(op), 64, 0));
        cr_assert_eq(op->result, 4, "%s", backend->name);
        cr_assert_eq(pthread_create(&thread, NULL, close_pipe, &helper), 0);
        pthread_join(thread, NULL);
        cr_assert_eq(helper.answer, 0, "%s", backend->name);
        if (backend->traits & REOP_ENGINE_SINGLE_THREAD)
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, FIXTURE_MS), 0, "%s", backend->name);
        cr_assert(fixture_pipe_is_broken(&pipe), "%s: the reading end is open still",
                  backend->name);
        fixture_pipe_close_writer(&pipe);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}
