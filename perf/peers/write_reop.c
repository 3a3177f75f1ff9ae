/* SPDX-License-Identifier: MIT
 *
 * reop. Each thread has a single-threaded, deferring engine on uring; the pool is shared, with a
 * lane for each. An op that comes back is submitted again.
 *
 *   recycled   an op that comes back is released, and another acquired
 *   nop        IORING_OP_NOP through the native hatch
 *   malloc     recycled, and the buffer of each write is malloc()ed and freed
 *   shared     one engine for all threads, deferring too; each submits and reaps
 *   split      one engine for two threads: one submits, the other reaps
 *   workers    the threads backend
 */
#define _GNU_SOURCE

#include "peer.h"

#include <reop/reop.h>
#include <reop/uring.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loop {
    const struct job *job;
    uint32_t thread;
    reop_lane *lane;
    reop_engine *engine;
    reop_file *file;
    uint64_t at;
};

#define SPLIT_BATCH 32u

enum kind { REUSED, RECYCLED, NOP, MALLOC, SPLIT };

static reop_pool *pool;
static reop_engine *shared_engine;
static reop_file *shared_file;
static enum kind mode;
static bool shared;

const char peer_modes[] = " recycled nop malloc shared split workers ";

static void must(int outcome, const char *what)
{
    if (outcome >= 0)
        return;
    fprintf(stderr, "%s\n", reop_engine_why(NULL));
    peer_fail(what, outcome);
}

static reop_engine *create_engine(const struct job *job, uint32_t flags)
{
    bool workers = strcmp(job->mode, "workers") == 0;
    reop_engine_config config = {.backend = workers ? REOP_BACKEND_THREADS : REOP_BACKEND_URING,
                                 .flags = flags,
                                 .pool = pool};
    reop_engine *engine;

    must(reop_engine_create(&config, &engine), "engine");
    if (!workers && reop_engine_why(engine)[0] != '\0')
        fprintf(stderr, "write_reop: %s\n", reop_engine_why(engine));
    return engine;
}

static reop_file *open_file(const struct job *job, reop_engine *engine)
{
    uint32_t flags = REOP_FILE_WRITE;
    reop_file *file;

    if (job->open_flags & O_DIRECT)
        flags |= REOP_FILE_DIRECT;
    if ((job->open_flags & O_DSYNC) == O_DSYNC)
        flags |= REOP_FILE_DURABLE;
    must(reop_file_open(engine, job->path, flags, &file), job->path);
    return file;
}

void peer_prepare(const struct job *job)
{
    reop_pool_config config = {.op_count = job->depth * job->threads,
                               .lane_count = job->threads,
                               .context_size = sizeof(int64_t),
                               .buffer_size = job->block_size};

    mode = strcmp(job->mode, "recycled") == 0 ? RECYCLED
           : strcmp(job->mode, "nop") == 0    ? NOP
           : strcmp(job->mode, "malloc") == 0 ? MALLOC
           : strcmp(job->mode, "split") == 0  ? SPLIT
                                              : REUSED;
    shared = mode == SPLIT || strcmp(job->mode, "shared") == 0 || strcmp(job->mode, "workers") == 0;
    if (mode == MALLOC)
        config.buffer_size = 0;
    must(reop_pool_create(&config, &pool), "pool");
    if (!shared)
        return;
    shared_engine = create_engine(job, REOP_ENGINE_DEFER);
    shared_file = open_file(job, shared_engine);
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);

    loop->job = job;
    loop->thread = thread;
    loop->lane = reop_pool_lane(pool, thread);
    loop->engine =
        shared ? shared_engine : create_engine(job, REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER);
    loop->file = shared ? shared_file : open_file(job, loop->engine);
    return loop;
}

/* kind and timed are constants to the compiler, here and below. */
static inline __attribute__((always_inline)) void queue_block(struct loop *loop, reop_op *op,
                                                              void *buffer, enum kind kind,
                                                              bool timed)
{
    reop_status status;

    if (timed)
        *(int64_t *) reop_op_context(op) = peer_now_ns();
    if (kind == NOP) {
        static const struct io_uring_sqe nop = {.opcode = IORING_OP_NOP};

        status = reop_uring_submit(op, loop->file, &nop);
    } else {
        status = reop_write(op, loop->file, buffer, loop->job->block_size,
                            job_next(loop->job, &loop->at));
    }
    if (status != REOP_PENDING)
        peer_fail("a write was not accepted", op->result);
}

static inline void *take_buffer(const struct loop *loop, reop_op *op, enum kind kind)
{
    void *buffer;

    if (kind != MALLOC)
        return reop_op_buffer(op);
    buffer = malloc(loop->job->block_size);
    if (buffer == NULL)
        peer_fail("malloc", ENOMEM);
    return buffer;
}

static inline __attribute__((always_inline)) void run(struct loop *loop, uint64_t op_count,
                                                      enum kind kind, bool timed)
{
    int64_t expected = kind == NOP ? 0 : loop->job->block_size;
    uint64_t queued = 0, done = 0;
    reop_op *ops[256];

    while (queued < loop->job->depth && queued < op_count) {
        reop_op *op = reop_acquire(loop->lane);

        queue_block(loop, op, take_buffer(loop, op, kind), kind, timed);
        queued++;
    }
    while (done < op_count) {
        int count = reop_reap(loop->engine, ops, sizeof ops / sizeof *ops, REOP_FOREVER);

        must(count, "reap");
        for (int i = 0; i < count; i++) {
            reop_op *op = ops[i];

            if (op->result != expected)
                peer_fail("write", op->result);
            if (timed)
                peer_record(peer_now_ns() - *(int64_t *) reop_op_context(op));
            if (kind == MALLOC)
                free(op->data);
            done++;
            if (queued == op_count) {
                reop_release(loop->lane, op);
                continue;
            }
            queued++;
            if (kind == RECYCLED || kind == MALLOC) {
                reop_release(loop->lane, op);
                op = reop_acquire(loop->lane);
                queue_block(loop, op, take_buffer(loop, op, kind), kind, timed);
            } else {
                queue_block(loop, op, op->data, kind, timed);
            }
        }
    }
}

/* --- one engine for all threads -------------------------------------------------------------- */

static _Atomic uint64_t tickets; /* writes still to be submitted, by whichever thread */
static _Atomic uint64_t target;  /* writes asked for */
static _Atomic uint64_t back;    /* writes reaped */

static uint32_t take_tickets(uint32_t want)
{
    uint64_t left = tickets;

    while (!atomic_compare_exchange_weak(&tickets, &left, left < want ? 0 : left - want)) {
    }
    return left < want ? (uint32_t) left : want;
}

static void run_shared(struct loop *loop, uint64_t op_count)
{
    reop_op *ops[256];
    uint32_t first;

    target += op_count;
    tickets += op_count;
    first = take_tickets(loop->job->depth);
    for (uint32_t i = 0; i < first; i++) {
        reop_op *op = reop_acquire(loop->lane);

        if (op == NULL) { /* another thread has them, and submits for us */
            tickets += first - i;
            break;
        }
        queue_block(loop, op, reop_op_buffer(op), REUSED, false);
    }
    while (back < target) {
        int count = reop_reap(loop->engine, ops, sizeof ops / sizeof *ops, 1000000);
        uint32_t again;

        must(count, "reap");
        again = take_tickets((uint32_t) count);
        for (uint32_t i = 0; i < (uint32_t) count; i++) {
            if (ops[i]->result != loop->job->block_size)
                peer_fail("write", ops[i]->result);
            if (i < again)
                queue_block(loop, ops[i], ops[i]->data, REUSED, false);
            else
                reop_release(loop->lane, ops[i]);
        }
        back += (uint32_t) count;
        if (back >= target)
            reop_wake(loop->engine);
    }
}

/* --- one submits, the other reaps ------------------------------------------------------------- */

static void submit_all(struct loop *loop, uint64_t op_count)
{
    uint64_t queued = 0;

    while (queued < op_count) {
        reop_op *op = reop_acquire(loop->lane);

        if (op == NULL || queued % SPLIT_BATCH == 0)
            must(reop_flush(loop->engine), "flush");
        if (op == NULL) {
            sched_yield();
            continue;
        }
        queue_block(loop, op, reop_op_buffer(op), REUSED, false);
        queued++;
    }
    must(reop_flush(loop->engine), "flush");
}

static void reap_all(struct loop *loop, uint64_t op_count)
{
    reop_op *ops[256];

    for (uint64_t done = 0; done < op_count;) {
        int count = reop_reap(loop->engine, ops, sizeof ops / sizeof *ops, REOP_FOREVER);

        must(count, "reap");
        for (int i = 0; i < count; i++)
            if (ops[i]->result != loop->job->block_size)
                peer_fail("write", ops[i]->result);
        reop_release_many(loop->lane, ops, (uint32_t) count);
        done += (uint64_t) count;
    }
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;

    bool timed = loop->job->timed;

    if (mode == SPLIT) /* each does its half of the other's share too */
        loop->thread == 0 ? submit_all(loop, 2 * op_count) : reap_all(loop, 2 * op_count);
    else if (shared)
        run_shared(loop, op_count);
    else if (mode == NOP)
        run(loop, op_count, NOP, false);
    else if (mode == MALLOC)
        run(loop, op_count, MALLOC, false);
    else if (mode == RECYCLED)
        timed ? run(loop, op_count, RECYCLED, true) : run(loop, op_count, RECYCLED, false);
    else
        timed ? run(loop, op_count, REUSED, true) : run(loop, op_count, REUSED, false);
}

void peer_close(void *state)
{
    struct loop *loop = state;

    if (!shared) {
        must(reop_file_close(loop->file), "close");
        must(reop_engine_destroy(loop->engine), "engine destroy");
    }
    free(loop);
}

void peer_finish(void)
{
    if (shared) {
        must(reop_file_close(shared_file), "close");
        must(reop_engine_destroy(shared_engine), "engine destroy");
    }
    must(reop_pool_destroy(pool), "pool destroy");
}
