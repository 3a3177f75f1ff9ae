/* SPDX-License-Identifier: MIT
 *
 * The completion thread by hand: one thread owns the submission queue of a ring, another its
 * completion queue, and blocks that came back are handed over through a ring of their own. No lock:
 * liburing allows that division and no other. Registered file and buffers.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 32u

static struct io_uring ring;
static struct job job;
static int fd;
static unsigned char *buffers;
static uint32_t *blocks; /* job.depth of them that are not in flight, as a ring */
static _Alignas(64) _Atomic uint64_t given; /* by the completion thread */
static _Alignas(64) uint64_t taken;         /* by the submitter */

const char peer_modes[] = " ";

void peer_prepare(const struct job *of)
{
    struct iovec buffer;
    int error;

    job = *of;
    if (job.threads != 2)
        peer_fail("threads", EINVAL);
    job.depth *= 2;
    fd = peer_open_file(&job);
    buffers = peer_buffers(&job);
    blocks = calloc(job.depth, sizeof *blocks);
    while (given < job.depth) {
        blocks[given] = (uint32_t) given;
        given++;
    }
    buffer = (struct iovec){buffers, (size_t) job.block_size * job.depth};
    error = io_uring_queue_init(job.depth, &ring, 0);
    if (error < 0 || (error = io_uring_register_files(&ring, &fd, 1)) < 0 ||
        (error = io_uring_register_buffers(&ring, &buffer, 1)) < 0)
        peer_fail("io_uring", error);
}

void *peer_open(const struct job *of, uint32_t thread)
{
    (void) of;
    return thread == 0 ? (void *) &taken : NULL; /* whoever has a state submits */
}

static void submit(uint64_t op_count)
{
    uint64_t at = 0;

    for (uint64_t queued = 0; queued < op_count; queued++) {
        struct io_uring_sqe *sqe;
        uint32_t index;

        if (taken == atomic_load_explicit(&given, memory_order_acquire) || queued % BATCH == 0)
            io_uring_submit(&ring);
        while (taken == atomic_load_explicit(&given, memory_order_acquire))
            sched_yield();
        index = blocks[taken++ % job.depth];
        sqe = io_uring_get_sqe(&ring);
        io_uring_prep_write_fixed(sqe, 0, buffers + (size_t) index * job.block_size, job.block_size,
                                  job_next(&job, &at), 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        sqe->user_data = index;
    }
    io_uring_submit(&ring);
}

static void complete(uint64_t op_count)
{
    uint64_t place = atomic_load_explicit(&given, memory_order_relaxed);

    for (uint64_t done = 0; done < op_count;) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;

        io_uring_for_each_cqe(&ring, head, cqe)
        {
            if (cqe->res != (int) job.block_size)
                peer_fail("write", cqe->res);
            blocks[place++ % job.depth] = (uint32_t) cqe->user_data;
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        done += seen;
        atomic_store_explicit(&given, place, memory_order_release);
        if (seen == 0)
            io_uring_enter2((unsigned) ring.ring_fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, _NSIG / 8);
    }
}

void peer_run(void *state, uint64_t op_count)
{
    if (state != NULL)
        submit(2 * op_count); /* the other's share too */
    else
        complete(2 * op_count);
}

void peer_close(void *state)
{
    (void) state;
}

void peer_finish(void)
{
    io_uring_queue_exit(&ring);
    close(fd);
    free(blocks);
    free(buffers);
}
