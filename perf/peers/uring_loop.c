/* SPDX-License-Identifier: MIT */
#include "uring_loop.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct uring_loop {
    struct io_uring ring;
    int fd;
    uint32_t block_size;
    uint32_t depth;
    unsigned char *buffers;
};

struct uring_loop *uring_loop_open(const char *path, uint32_t block_size, uint32_t depth)
{
    struct uring_loop *loop = calloc(1, sizeof *loop);
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    struct iovec all;
    int error;

    if (loop == NULL)
        return NULL;
    loop->block_size = block_size;
    loop->depth = depth;
    loop->fd = open(path, O_WRONLY | O_CLOEXEC);
    loop->buffers = aligned_alloc(4096, (size_t) block_size * depth);
    all = (struct iovec){loop->buffers, (size_t) block_size * depth};
    error = io_uring_queue_init_params(depth, &loop->ring, &params);
    if (loop->fd < 0 || loop->buffers == NULL || error < 0 ||
        (error = io_uring_register_files(&loop->ring, &loop->fd, 1)) < 0 ||
        (error = io_uring_register_buffers(&loop->ring, &all, 1)) < 0 ||
        (error = io_uring_register_ring_fd(&loop->ring)) < 0) {
        fprintf(stderr, "hand-written loop: cannot set up for %s: %s\n", path, strerror(-error));
        return NULL;
    }
    memset(loop->buffers, 0x5a, all.iov_len);
    return loop;
}

static inline void queue_block(struct uring_loop *loop, uint32_t index)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

    io_uring_prep_write_fixed(sqe, 0, loop->buffers + (size_t) index * loop->block_size,
                              loop->block_size, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = index;
}

void uring_loop_run(struct uring_loop *loop, uint64_t op_count)
{
    uint64_t queued = 0, done = 0;

    while (queued < loop->depth && queued < op_count)
        queue_block(loop, (uint32_t) queued++);
    while (done < op_count) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int outcome = io_uring_submit_and_wait(&loop->ring, 1);

        if (outcome < 0) {
            fprintf(stderr, "hand-written loop: enter: %s\n", strerror(-outcome));
            exit(1);
        }
        io_uring_for_each_cqe(&loop->ring, head, cqe)
        {
            if (cqe->res != (int) loop->block_size) {
                fprintf(stderr, "hand-written loop: a write answered %d\n", cqe->res);
                exit(1);
            }
            seen++;
            done++;
            if (queued < op_count) {
                queued++;
                queue_block(loop, (uint32_t) cqe->user_data);
            }
        }
        io_uring_cq_advance(&loop->ring, seen);
    }
}

void uring_loop_close(struct uring_loop *loop)
{
    io_uring_queue_exit(&loop->ring);
    close(loop->fd);
    free(loop->buffers);
    free(loop);
}
