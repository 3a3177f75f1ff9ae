/* SPDX-License-Identifier: MIT
 *
 * Faults over the real backends: reop_engine_faults() of <reop/sim.h>.
 */
#include "fixture.h"

#include <reop/sim.h>

#define FILE_SIZE 65536u
#define SIZE      4096u

static void switch_on(struct fixture *fixture, struct reop_faults faults)
{
    cr_assert_eq(reop_engine_faults(fixture->engine, &faults), 0, "%s", fixture->backend->name);
}

/* Promise: "An op that fails so never reaches the system"; what does not fail is as ever; and
 * "Which op is hit depends on the seed and the order of submits". */
BACKEND_TEST(fault, each_fault_happens_and_the_rest_is_right, ON_HOST_FILES)
{
    enum { EIOS, ENOSPCS, SHORTS, WHOLE, KINDS };
    uint32_t rounds = fixture_volume(3000);
    uint64_t story[2] = {0};
    uint32_t counts[KINDS] = {0};

    for (uint32_t run = 0; run < 2; run++) {
        struct reop_faults faults = {.seed = 7};
        struct fixture fixture;
        uint8_t expected[FILE_SIZE], seen[SIZE];
        reop_file *file;
        reop_op *op;

        faults.rate[REOP_FAULT_EIO] = 3000;
        faults.rate[REOP_FAULT_ENOSPC] = 3000;
        faults.rate[REOP_FAULT_SHORT] = 3000;
        fixture_open(&fixture, backend);
        switch_on(&fixture, faults);
        file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, FILE_SIZE);
        for (uint32_t i = 0; i < FILE_SIZE; i++)
            expected[i] = fixture_byte(i);
        op = fixture_acquire(&fixture);
        for (uint32_t i = 0; i < rounds; i++) {
            uint32_t offset = i * 7 % 15 * SIZE;
            uint8_t *buffer = reop_op_buffer(op);
            bool write = i % 2 == 0;
            int64_t result;

            memset(buffer, (int) i, SIZE);
            result = fixture_finish(&fixture, op,
                                    write ? reop_write(op, file, buffer, SIZE, offset)
                                          : reop_read(op, file, buffer, SIZE, offset));
            story[run] = story[run] * 31 + (uint64_t) result;
            counts[EIOS] += result == -EIO;
            counts[ENOSPCS] += result == -ENOSPC;
            counts[SHORTS] += result > 0 && result < SIZE;
            counts[WHOLE] += result == SIZE;
            cr_assert(result > 0 || result == -EIO || (result == -ENOSPC && write), "%s: %lld",
                      backend->name, (long long) result);
            if (result < 0) {
                cr_assert_eq(op->os_error, (uint32_t) -result, "%s", backend->name);
            } else if (write) { /* a short one may have written all of it */
                memset(expected + offset, (int) i, SIZE);
            } else {
                cr_assert_arr_eq(buffer, expected + offset, (size_t) result, "%s", backend->name);
            }
        }
        cr_assert_eq(fixture_load(fixture_path(&fixture, 0), seen, SIZE), SIZE);
        cr_assert_arr_eq(seen, expected, SIZE, "%s: a failed write was written", backend->name);
        reop_release(fixture.lane, op);
        fixture_close_file(file);
        fixture_close(&fixture);
    }
    printf("%s: %u EIO, %u ENOSPC, %u short, %u whole\n", backend->name, counts[EIOS],
           counts[ENOSPCS], counts[SHORTS], counts[WHOLE]);
    for (uint32_t i = 0; i < KINDS; i++)
        cr_assert_gt(counts[i], 0, "%s: outcome %u never occurred", backend->name, i);
    cr_assert_eq(story[0], story[1], "%s: one seed, two stories", backend->name);
}

/* Promise: "completes delay_ns later", and others are not held up. */
BACKEND_TEST(fault, delayed_op_comes_later, ON_HOST_FILES)
{
    struct reop_faults faults = {.seed = 3, .delay_ns = 20 * FIXTURE_MS};
    struct fixture fixture;
    uint32_t late = 0, prompt = 0;
    reop_file *file;

    faults.rate[REOP_FAULT_DELAY] = 16384;
    fixture_open(&fixture, backend);
    switch_on(&fixture, faults);
    file = fixture_file(&fixture, REOP_FILE_READ, FILE_SIZE);
    for (uint32_t i = 0; i < 40; i++) {
        reop_op *op = fixture_acquire(&fixture);
        int64_t before_ns = fixture_now_ns();
        bool is_late;

        cr_assert_eq(
            fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 512, i * 512)),
            512, "%s", backend->name);
        cr_assert(fixture_matches(reop_op_buffer(op), 512, i * 512), "%s", backend->name);
        is_late = fixture_now_ns() - before_ns >= (int64_t) faults.delay_ns;
        late += is_late;
        prompt += !is_late;
        reop_release(fixture.lane, op);
    }
    cr_assert_gt(prompt, 0, "%s", backend->name);
    if (!(backend->traits & REOP_ENGINE_INLINE)) /* what is answered at once is not delayed */
        cr_assert_gt(late, 0, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* A full depth of ops, some delayed, some failing, each comes back once. */
BACKEND_TEST(fault, each_of_many_comes_back_once, ON_HOST_FILES)
{
    struct reop_faults faults = {.seed = 11, .delay_ns = FIXTURE_MS};
    uint32_t back[FIXTURE_OPS] = {0}, pending = 0, rounds = fixture_volume(100);
    reop_op *ops[FIXTURE_OPS], *reaped[7];
    struct fixture fixture;
    reop_file *file;

    faults.rate[REOP_FAULT_DELAY] = 20000;
    faults.rate[REOP_FAULT_EIO] = 20000;
    fixture_open(&fixture, backend);
    switch_on(&fixture, faults);
    file = fixture_file(&fixture, REOP_FILE_READ, FILE_SIZE);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, FIXTURE_OPS), FIXTURE_OPS);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < FIXTURE_OPS; i++) {
            reop_status status =
                reop_read(ops[i], file, reop_op_buffer(ops[i]), 512, i * UINT64_C(512));

            ops[i]->user = &back[i];
            cr_assert_neq(status, REOP_REJECTED, "%s", backend->name);
            pending += status == REOP_PENDING;
            back[i] += status == REOP_DONE;
        }
        while (pending > 0) {
            int count = reop_reap(fixture.engine, reaped, 7, FIXTURE_PATIENCE_NS);

            cr_assert_gt(count, 0, "%s: %d", backend->name, count);
            for (int i = 0; i < count; i++)
                ++*(uint32_t *) reaped[i]->user;
            pending -= (uint32_t) count;
        }
        for (uint32_t i = 0; i < FIXTURE_OPS; i++)
            cr_assert_eq(back[i], round + 1, "%s", backend->name);
    }
    reop_release_many(fixture.lane, ops, FIXTURE_OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "readv, writev and streams are never short": what was moved could not be moved again. */
BACKEND_TEST(fault, no_byte_of_a_stream_is_lost, ON_STREAMS)
{
    struct reop_faults faults = {.seed = 5};
    struct fixture fixture;
    struct fixture_pipe pipe;
    reop_op *op;

    faults.rate[REOP_FAULT_SHORT] = 65536;
    fixture_open(&fixture, backend);
    switch_on(&fixture, faults);
    fixture_pipe_open(&fixture, &pipe);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 20; i++) {
        fixture_pipe_write(&pipe, "twelve bytes", 12);
        cr_assert_eq(
            fixture_finish(&fixture, op, reop_read(op, pipe.reader, reop_op_buffer(op), 512, 0)),
            12, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_arr_eq(reop_op_buffer(op), "twelve bytes", 12, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "before the first submit, once"; "-ENOTSUP: a rate of the device alone, or an engine on
 * the sim". */
BACKEND_TEST(fault, refuses_what_it_cannot_do, ON_EVERY_BACKEND)
{
    struct reop_faults faults = {.seed = 1};
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    cr_assert_eq(reop_engine_faults(fixture.engine, NULL), -EINVAL, "%s", backend->name);
    faults.rate[REOP_FAULT_LOST] = 1;
    cr_assert_eq(reop_engine_faults(fixture.engine, &faults), -ENOTSUP, "%s", backend->name);
    faults.rate[REOP_FAULT_LOST] = 0;
    faults.rate[REOP_FAULT_EIO] = 65537;
    cr_assert_eq(reop_engine_faults(fixture.engine, &faults), -EINVAL, "%s", backend->name);
    faults.rate[REOP_FAULT_EIO] = 65536;
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    op = fixture_acquire(&fixture);
    if (backend->traits & FIXTURE_SIM) {
        cr_assert_eq(reop_engine_faults(fixture.engine, &faults), -ENOTSUP, "%s", backend->name);
    } else {
        switch_on(&fixture, faults);
        cr_assert_eq(reop_engine_faults(fixture.engine, &faults), -EINVAL, "%s", backend->name);
        cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0)),
                     -EIO, "%s: always", backend->name);
    }
    fixture_finish(&fixture, op, reop_post(op, fixture.engine, 5));
    cr_assert_eq(op->result, 5, "%s: a post is no I/O", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}
