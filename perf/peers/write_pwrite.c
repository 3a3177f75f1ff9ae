/* SPDX-License-Identifier: MIT
 *
 * What needs no library: a thread pool. One thread hands blocks over through a queue under a mutex,
 * workers (as many as the depth, 16 at most) call pwrite() and hand them back through another.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_MAX 16u

/* First in first out, at most depth blocks. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    uint32_t *blocks;
    uint32_t read;
    uint32_t written;
};

struct loop {
    const struct job *job;
    int fd;
    uint64_t at;
    unsigned char *buffers;
    uint64_t *offsets;
    int64_t *start_ns;
    struct queue todo;
    struct queue done;
    pthread_t workers[WORKERS_MAX];
    uint32_t worker_count;
};

#define NO_BLOCK UINT32_MAX /* ends a worker */

const char peer_modes[] = " ";

static void queue_init(struct queue *queue, uint32_t depth)
{
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    queue->blocks = calloc(depth + WORKERS_MAX, sizeof *queue->blocks);
}

static void push(struct queue *queue, uint32_t size, uint32_t block)
{
    pthread_mutex_lock(&queue->lock);
    queue->blocks[queue->written++ % size] = block;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

static uint32_t pop(struct queue *queue, uint32_t size)
{
    uint32_t block;

    pthread_mutex_lock(&queue->lock);
    while (queue->read == queue->written)
        pthread_cond_wait(&queue->filled, &queue->lock);
    block = queue->blocks[queue->read++ % size];
    pthread_mutex_unlock(&queue->lock);
    return block;
}

static void *work(void *argument)
{
    struct loop *loop = argument;
    const struct job *job = loop->job;
    uint32_t size = job->depth + WORKERS_MAX, block;

    while ((block = pop(&loop->todo, size)) != NO_BLOCK) {
        if (pwrite(loop->fd, loop->buffers + (size_t) block * job->block_size, job->block_size,
                   (off_t) loop->offsets[block]) != (ssize_t) job->block_size)
            peer_fail("write", errno);
        push(&loop->done, size, block);
    }
    return NULL;
}

void peer_prepare(const struct job *job)
{
    (void) job;
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int error = 0;

    (void) thread;
    loop->job = job;
    loop->fd = peer_open_file(job);
    loop->buffers = peer_buffers(job);
    loop->offsets = calloc(job->depth, sizeof *loop->offsets);
    loop->start_ns = calloc(job->depth, sizeof *loop->start_ns);
    queue_init(&loop->todo, job->depth);
    queue_init(&loop->done, job->depth);
    loop->worker_count = job->depth < WORKERS_MAX ? job->depth : WORKERS_MAX;
    for (uint32_t i = 0; i < loop->worker_count && error == 0; i++)
        error = pthread_create(&loop->workers[i], NULL, work, loop);
    if (error != 0)
        peer_fail("thread", error);
    return loop;
}

static void queue_block(struct loop *loop, uint32_t block)
{
    if (loop->job->timed)
        loop->start_ns[block] = peer_now_ns();
    loop->offsets[block] = job_next(loop->job, &loop->at);
    push(&loop->todo, loop->job->depth + WORKERS_MAX, block);
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;
    uint64_t queued = 0;

    while (queued < loop->job->depth && queued < op_count)
        queue_block(loop, (uint32_t) queued++);
    for (uint64_t done = 0; done < op_count; done++) {
        uint32_t block = pop(&loop->done, loop->job->depth + WORKERS_MAX);

        if (loop->job->timed)
            peer_record(peer_now_ns() - loop->start_ns[block]);
        if (queued < op_count) {
            queued++;
            queue_block(loop, block);
        }
    }
}

void peer_close(void *state)
{
    struct loop *loop = state;

    for (uint32_t i = 0; i < loop->worker_count; i++)
        push(&loop->todo, loop->job->depth + WORKERS_MAX, NO_BLOCK);
    for (uint32_t i = 0; i < loop->worker_count; i++)
        pthread_join(loop->workers[i], NULL);
    close(loop->fd);
    free(loop->todo.blocks);
    free(loop->done.blocks);
    free(loop->start_ns);
    free(loop->offsets);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
