/* SPDX-License-Identifier: MIT
 *
 * libaio, the kernel's older interface: io_submit() in batches, io_getevents() for one or more. The
 * array of iocbs is prepared once. On a file without O_DIRECT io_submit() does the write itself.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <libaio.h>
#include <stdlib.h>
#include <unistd.h>

struct loop {
    const struct job *job;
    io_context_t context;
    int fd;
    uint64_t at;
    unsigned char *buffers;
    struct iocb *blocks;
    struct iocb **batch;
    struct io_event *events;
    int64_t *start_ns;
};

const char peer_modes[] = " ";

void peer_prepare(const struct job *job)
{
    (void) job;
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int error;

    (void) thread;
    loop->job = job;
    loop->fd = peer_open_file(job);
    loop->buffers = peer_buffers(job);
    loop->blocks = calloc(job->depth, sizeof *loop->blocks);
    loop->batch = calloc(job->depth, sizeof(struct iocb *));
    loop->events = calloc(job->depth, sizeof *loop->events);
    loop->start_ns = calloc(job->depth, sizeof *loop->start_ns);
    error = io_setup((int) job->depth, &loop->context);
    if (error < 0)
        peer_fail("io_setup", error);
    return loop;
}

static inline void queue_block(struct loop *loop, uint32_t index, uint32_t place)
{
    const struct job *job = loop->job;
    struct iocb *block = &loop->blocks[index];

    if (job->timed)
        loop->start_ns[index] = peer_now_ns();
    io_prep_pwrite(block, loop->fd, loop->buffers + (size_t) index * job->block_size,
                   job->block_size, (long long) job_next(job, &loop->at));
    loop->batch[place] = block;
}

static void submit(struct loop *loop, uint32_t count)
{
    uint32_t done = 0;

    while (done < count) {
        int outcome = io_submit(loop->context, count - done, loop->batch + done);

        if (outcome <= 0)
            peer_fail("io_submit", outcome);
        done += (uint32_t) outcome;
    }
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;
    const struct job *job = loop->job;
    uint64_t queued = 0, done = 0;

    for (; queued < job->depth && queued < op_count; queued++)
        queue_block(loop, (uint32_t) queued, (uint32_t) queued);
    submit(loop, (uint32_t) queued);
    while (done < op_count) {
        int count = io_getevents(loop->context, 1, job->depth, loop->events, NULL);
        uint32_t again = 0;

        if (count < 0)
            peer_fail("io_getevents", count);
        for (int i = 0; i < count; i++) {
            uint32_t index = (uint32_t) (loop->events[i].obj - loop->blocks);

            if (loop->events[i].res != job->block_size)
                peer_fail("write", (long long) loop->events[i].res);
            if (job->timed)
                peer_record(peer_now_ns() - loop->start_ns[index]);
            done++;
            if (queued < op_count) {
                queued++;
                queue_block(loop, index, again++);
            }
        }
        submit(loop, again);
    }
}

void peer_close(void *state)
{
    struct loop *loop = state;

    io_destroy(loop->context);
    close(loop->fd);
    free(loop->start_ns);
    free(loop->events);
    free(loop->batch);
    free(loop->blocks);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
