/* SPDX-License-Identifier: MIT
 *
 * reop on iocp.c itself, over nt_instant.c: a single-threaded engine, ops reused. For the
 * instructions it takes, beside write_iocp.c.
 */
#include "peer.h"

#include <reop/reop.h>

#include <stdlib.h>

struct loop {
    const struct job *job;
    reop_lane *lane;
    reop_engine *engine;
    reop_file *file;
    uint64_t at;
};

static reop_pool *pool;

const char peer_modes[] = " ";

static void must(int outcome, const char *what)
{
    if (outcome < 0)
        peer_fail(what, outcome);
}

void peer_prepare(const struct job *job)
{
    reop_pool_config config = {
        .op_count = job->depth, .lane_count = 1, .buffer_size = job->block_size};

    must(reop_pool_create(&config, &pool), "pool");
}

void *peer_open(const struct job *job, uint32_t thread)
{
    reop_engine_config config = {.flags = REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER,
                                 .pool = pool};
    struct loop *loop = calloc(1, sizeof *loop);

    loop->job = job;
    loop->lane = reop_pool_lane(pool, thread);
    must(reop_engine_create(&config, &loop->engine), "engine");
    must(reop_file_open(loop->engine, job->path, REOP_FILE_WRITE, &loop->file), job->path);
    return loop;
}

static inline void queue_block(struct loop *loop, reop_op *op, void *buffer)
{
    if (reop_write(op, loop->file, buffer, loop->job->block_size, job_next(loop->job, &loop->at)) !=
        REOP_PENDING)
        peer_fail("a write was not accepted", op->result);
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;
    uint64_t queued = 0, done = 0;
    reop_op *ops[64];

    for (; queued < loop->job->depth && queued < op_count; queued++) {
        reop_op *op = reop_acquire(loop->lane);

        queue_block(loop, op, reop_op_buffer(op));
    }
    while (done < op_count) {
        int count = reop_reap(loop->engine, ops, sizeof ops / sizeof *ops, REOP_FOREVER);

        must(count, "reap");
        for (int i = 0; i < count; i++) {
            if (ops[i]->result != loop->job->block_size)
                peer_fail("write", ops[i]->result);
            done++;
            if (queued == op_count) {
                reop_release(loop->lane, ops[i]);
                continue;
            }
            queued++;
            queue_block(loop, ops[i], ops[i]->data);
        }
    }
}

void peer_close(void *state)
{
    struct loop *loop = state;

    must(reop_file_close(loop->file), "close");
    must(reop_engine_destroy(loop->engine), "engine destroy");
    free(loop);
}

void peer_finish(void)
{
    must(reop_pool_destroy(pool), "pool destroy");
}
