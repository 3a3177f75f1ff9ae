/* SPDX-License-Identifier: MIT
 *
 * How the cost of an op grows: one thread and depth writes in flight at a time, but as many ops in
 * the pool (pool=), files attached to each engine (files=) and engines in the process (engines=) as
 * asked for. Ops are acquired and released around every write; files take turns from write to
 * write, engines from slice to slice.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <reop/reop.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SLICE 2048u /* writes on one engine before the next has its turn */

struct place {
    reop_engine *engine;
    reop_file **files;
    uint32_t next;
};

static struct job job;
static reop_pool *pool;
static reop_lane *lane;
static struct place *places;
static unsigned char *buffers;

const char peer_modes[] = " ";

static void must(int outcome, const char *what)
{
    if (outcome >= 0)
        return;
    fprintf(stderr, "%s\n", reop_engine_why(NULL));
    peer_fail(what, outcome);
}

static void open_place(struct place *place)
{
    reop_engine_config config = {.backend = REOP_BACKEND_URING,
                                 .depth = job.depth < PEER_DEPTH_MAX ? job.depth : 0,
                                 .file_count = job.file_count,
                                 .flags = REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER,
                                 .pool = pool};

    must(reop_engine_create(&config, &place->engine), "engine");
    place->files = calloc(job.file_count, sizeof(reop_file *));
    for (uint32_t i = 0; i < job.file_count; i++)
        must(reop_file_open(place->engine, job.path, REOP_FILE_WRITE, &place->files[i]), job.path);
}

void peer_prepare(const struct job *of)
{
    struct rlimit limit;
    reop_pool_config config;

    job = *of;
    config = (reop_pool_config){.op_count = job.pool_size > job.depth ? job.pool_size : job.depth,
                                .lane_count = 1};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    must(reop_pool_create(&config, &pool), "pool");
    lane = reop_pool_lane(pool, 0);
    buffers = peer_buffers(&job); /* not the pool's: ten million of these would be 40 GB */
    places = calloc(job.engine_count, sizeof *places);
}

void *peer_open(const struct job *of, uint32_t thread)
{
    (void) of;
    (void) thread;
    for (uint32_t i = 0; i < job.engine_count; i++)
        open_place(&places[i]);
    return places;
}

static void queue_block(struct place *place, uint64_t number)
{
    reop_op *op = reop_acquire(lane);
    reop_file *file = place->files[place->next++ % job.file_count];

    if (reop_write(op, file, buffers + number % job.depth * job.block_size, job.block_size, 0) !=
        REOP_PENDING)
        peer_fail("a write was not accepted", op->result);
}

static void run(struct place *place, uint64_t op_count)
{
    uint64_t queued = 0, done = 0;
    reop_op *ops[256];

    while (queued < job.depth && queued < op_count)
        queue_block(place, queued++);
    while (done < op_count) {
        int count = reop_reap(place->engine, ops, sizeof ops / sizeof *ops, REOP_FOREVER);

        must(count, "reap");
        for (int i = 0; i < count; i++) {
            if (ops[i]->result != job.block_size)
                peer_fail("write", ops[i]->result);
            reop_release(lane, ops[i]);
            done++;
            if (queued < op_count)
                queue_block(place, queued++);
        }
    }
}

void peer_run(void *state, uint64_t op_count)
{
    uint64_t slice = job.engine_count > 1 ? SLICE : op_count, done = 0;

    (void) state;
    for (uint32_t i = 0; done < op_count; i++, done += slice)
        run(&places[i % job.engine_count], op_count - done < slice ? op_count - done : slice);
}

void peer_close(void *state)
{
    (void) state;
    for (uint32_t i = 0; i < job.engine_count; i++) {
        for (uint32_t j = 0; j < job.file_count; j++)
            must(reop_file_close(places[i].files[j]), "close");
        must(reop_engine_destroy(places[i].engine), "engine destroy");
        free(places[i].files);
    }
}

void peer_finish(void)
{
    must(reop_pool_destroy(pool), "pool destroy");
    free(places);
    free(buffers);
}
