/* SPDX-License-Identifier: MIT
 *
 * POSIX AIO as glibc has it: threads behind aio_write(), and aio_suspend() over all that is in
 * flight. glibc serves one descriptor by one thread at a time, so every block has a descriptor of
 * its own, as far as there are some.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <aio.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 32u

struct loop {
    const struct job *job;
    int fds[DESCRIPTORS_MAX];
    uint64_t at;
    unsigned char *buffers;
    struct aiocb *blocks;
    const struct aiocb **waiting; /* NULL: not in flight */
    int64_t *start_ns;
};

const char peer_modes[] = " ";

void peer_prepare(const struct job *job)
{
    struct aioinit init = {.aio_threads = (int) (job->depth < 32 ? job->depth : 32),
                           .aio_num = (int) job->depth,
                           .aio_idle_time = 1};

    aio_init(&init);
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);

    (void) thread;
    loop->job = job;
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++)
        loop->fds[i] = peer_open_file(job);
    loop->buffers = peer_buffers(job);
    loop->blocks = calloc(job->depth, sizeof *loop->blocks);
    loop->waiting = calloc(job->depth, sizeof(struct aiocb *));
    loop->start_ns = calloc(job->depth, sizeof *loop->start_ns);
    return loop;
}

static void queue_block(struct loop *loop, uint32_t index)
{
    const struct job *job = loop->job;
    struct aiocb *block = &loop->blocks[index];

    if (job->timed)
        loop->start_ns[index] = peer_now_ns();
    block->aio_fildes = loop->fds[index % DESCRIPTORS_MAX];
    block->aio_buf = loop->buffers + (size_t) index * job->block_size;
    block->aio_nbytes = job->block_size;
    block->aio_offset = (off_t) job_next(job, &loop->at);
    block->aio_sigevent.sigev_notify = SIGEV_NONE;
    if (aio_write(block) != 0)
        peer_fail("aio_write", errno);
    loop->waiting[index] = block;
}

/* True: it has come back. */
static bool collect(struct loop *loop, uint32_t index)
{
    int error;
    ssize_t size;

    if (loop->waiting[index] == NULL)
        return false;
    error = aio_error(&loop->blocks[index]);
    if (error == EINPROGRESS)
        return false;
    size = aio_return(&loop->blocks[index]);
    if (size != (ssize_t) loop->job->block_size)
        peer_fail("write", error);
    if (loop->job->timed)
        peer_record(peer_now_ns() - loop->start_ns[index]);
    loop->waiting[index] = NULL;
    return true;
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;
    uint64_t queued = 0, done = 0;

    while (queued < loop->job->depth && queued < op_count)
        queue_block(loop, (uint32_t) queued++);
    while (done < op_count) {
        if (aio_suspend(loop->waiting, (int) loop->job->depth, NULL) != 0 && errno != EINTR)
            peer_fail("aio_suspend", errno);
        for (uint32_t i = 0; i < loop->job->depth; i++) {
            if (!collect(loop, i))
                continue;
            done++;
            if (queued < op_count) {
                queued++;
                queue_block(loop, i);
            }
        }
    }
}

void peer_close(void *state)
{
    struct loop *loop = state;

    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++)
        close(loop->fds[i]);
    free(loop->start_ns);
    free(loop->waiting);
    free(loop->blocks);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
