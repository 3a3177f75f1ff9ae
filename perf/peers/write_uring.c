/* SPDX-License-Identifier: MIT
 *
 * The loop an expert writes by hand with liburing: registered file, buffers and ring,
 * SINGLE_ISSUER and DEFER_TASKRUN, one enter that submits and waits. Each thread has a ring.
 *
 *   plain    as in liburing's examples: no registration, no flags
 *   nop      IORING_OP_NOP instead of writes
 *   noarray  without the kernel's array of indices, as liburing has it from 2.6 on
 */
#define _GNU_SOURCE

#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct loop {
    struct io_uring ring;
    const struct job *job;
    int fd;
    bool plain;
    bool nop;
    uint64_t at;
    unsigned char *buffers;
    int64_t *start_ns;
};

const char peer_modes[] = " plain nop noarray ";

void peer_prepare(const struct job *job)
{
    (void) job;
}

static void set_up(struct loop *loop)
{
    const struct job *job = loop->job;
    struct io_uring_params params = {
        .flags = loop->plain ? 0 : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    struct iovec all = {loop->buffers, (size_t) job->block_size * job->depth};
    int error, fd;

    if (strcmp(job->mode, "noarray") == 0) {
        params.flags |= 1u << 16; /* IORING_SETUP_NO_SQARRAY, which 2.3 does not know */
        fd = (int) syscall(__NR_io_uring_setup, job->depth, &params);
        error = fd < 0 ? -errno : io_uring_queue_mmap(fd, &params, &loop->ring);
        loop->ring.features = params.features;
    } else {
        error = io_uring_queue_init_params(job->depth, &loop->ring, &params);
    }

    if (error == 0 && !loop->plain &&
        ((error = io_uring_register_files(&loop->ring, &loop->fd, 1)) < 0 ||
         (error = io_uring_register_buffers(&loop->ring, &all, 1)) < 0 ||
         (error = io_uring_register_ring_fd(&loop->ring)) > 0))
        error = error > 0 ? 0 : error;
    if (error < 0)
        peer_fail("io_uring", error);
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);

    (void) thread;
    loop->job = job;
    loop->plain = strcmp(job->mode, "plain") == 0;
    loop->nop = strcmp(job->mode, "nop") == 0;
    loop->fd = peer_open_file(job);
    loop->buffers = peer_buffers(job);
    loop->start_ns = calloc(job->depth, sizeof *loop->start_ns);
    set_up(loop);
    return loop;
}

static inline void queue_block(struct loop *loop, uint32_t index, bool plain, bool nop, bool timed)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
    unsigned char *buffer = loop->buffers + (size_t) index * loop->job->block_size;

    if (timed)
        loop->start_ns[index] = peer_now_ns();
    if (nop) {
        io_uring_prep_nop(sqe);
    } else if (plain) {
        io_uring_prep_write(sqe, loop->fd, buffer, loop->job->block_size,
                            job_next(loop->job, &loop->at));
    } else {
        io_uring_prep_write_fixed(sqe, 0, buffer, loop->job->block_size,
                                  job_next(loop->job, &loop->at), 0);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    sqe->user_data = index;
}

/* plain, nop and timed are constants to the compiler. */
static inline __attribute__((always_inline)) void run(struct loop *loop, uint64_t op_count,
                                                      bool plain, bool nop, bool timed)
{
    int expected = nop ? 0 : (int) loop->job->block_size;
    uint64_t queued = 0, done = 0;

    while (queued < loop->job->depth && queued < op_count)
        queue_block(loop, (uint32_t) queued++, plain, nop, timed);
    while (done < op_count) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int outcome = io_uring_submit_and_wait(&loop->ring, 1);

        if (outcome < 0)
            peer_fail("enter", outcome);
        io_uring_for_each_cqe(&loop->ring, head, cqe)
        {
            uint32_t index = (uint32_t) cqe->user_data;

            if (cqe->res != expected)
                peer_fail("write", cqe->res);
            if (timed)
                peer_record(peer_now_ns() - loop->start_ns[index]);
            seen++;
            done++;
            if (queued < op_count) {
                queued++;
                queue_block(loop, index, plain, nop, timed);
            }
        }
        io_uring_cq_advance(&loop->ring, seen);
    }
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;

    if (loop->nop)
        run(loop, op_count, false, true, false);
    else if (loop->job->timed)
        run(loop, op_count, loop->plain, false, true);
    else if (loop->plain)
        run(loop, op_count, true, false, false);
    else
        run(loop, op_count, false, false, false);
}

void peer_close(void *state)
{
    struct loop *loop = state;

    io_uring_queue_exit(&loop->ring);
    close(loop->fd);
    free(loop->start_ns);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
