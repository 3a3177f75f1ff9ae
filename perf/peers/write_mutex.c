/* SPDX-License-Identifier: MIT
 *
 * What is written by hand when several threads share a ring: a mutex around all that touches it.
 * Registered file and buffers; whoever finds nothing to reap waits in the kernel, without the lock.
 *
 *   held   a thread does not let the lock go after each batch, but only when there is nothing more
 *          to do: what completes at once is then all one thread's work
 */
#define _GNU_SOURCE

#include "peer.h"

#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_uring ring;
static const struct job *job;
static int fd;
static unsigned char *buffers;
static uint64_t tickets, target, back; /* to be submitted, asked for, reaped; under the lock */
static uint32_t *idle;                 /* blocks not in flight; under the lock */
static uint32_t idle_count;

const char peer_modes[] = " held ";

void peer_prepare(const struct job *of)
{
    static struct job all;
    struct iovec buffer;
    int error;

    all = *of;
    all.depth *= of->threads;
    job = &all;
    fd = peer_open_file(job);
    buffers = peer_buffers(job);
    idle = calloc(job->depth, sizeof *idle);
    while (idle_count < job->depth) {
        idle[idle_count] = idle_count;
        idle_count++;
    }
    buffer = (struct iovec){buffers, (size_t) job->block_size * job->depth};
    error = io_uring_queue_init(job->depth, &ring, 0);
    if (error == 0 && ((error = io_uring_register_files(&ring, &fd, 1)) < 0 ||
                       (error = io_uring_register_buffers(&ring, &buffer, 1)) < 0))
        peer_fail("io_uring", error);
}

void *peer_open(const struct job *of, uint32_t thread)
{
    (void) of;
    (void) thread;
    return &ring;
}

static void submit_what_can_be(void)
{
    uint32_t queued = 0;

    for (; tickets > 0 && idle_count > 0; tickets--, queued++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        uint32_t index = idle[--idle_count];

        io_uring_prep_write_fixed(sqe, 0, buffers + (size_t) index * job->block_size,
                                  job->block_size, 0, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        sqe->user_data = index;
    }
    if (queued > 0)
        io_uring_submit(&ring);
}

static uint32_t reap(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;

    io_uring_for_each_cqe(&ring, head, cqe)
    {
        if (cqe->res != (int) job->block_size)
            peer_fail("write", cqe->res);
        idle[idle_count++] = (uint32_t) cqe->user_data;
        seen++;
    }
    io_uring_cq_advance(&ring, seen);
    back += seen;
    return seen;
}

void peer_run(void *state, uint64_t op_count)
{
    struct __kernel_timespec millisecond = {.tv_nsec = 1000000};
    struct io_uring_getevents_arg wait = {.ts = (uintptr_t) &millisecond};
    bool held = strcmp(job->mode, "held") == 0;

    (void) state;
    pthread_mutex_lock(&lock);
    target += op_count;
    tickets += op_count;
    while (back < target) {
        uint32_t seen;

        submit_what_can_be();
        seen = reap();
        if (seen > 0 && held)
            continue;
        pthread_mutex_unlock(&lock);
        if (seen == 0)
            io_uring_enter2((unsigned) ring.ring_fd, 0, 1,
                            IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (sigset_t *) &wait,
                            sizeof wait);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
}

void peer_close(void *state)
{
    (void) state;
}

void peer_finish(void)
{
    io_uring_queue_exit(&ring);
    close(fd);
    free(idle);
    free(buffers);
}
