/* SPDX-License-Identifier: MIT
 *
 * libuv: uv_fs_write() with a callback, in its own thread pool (UV_THREADPOOL_SIZE, 4 unless set).
 */
#define _GNU_SOURCE

#include "peer.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct loop;

struct block {
    uv_fs_t fs; /* first, so that a callback's argument is the block */
    struct loop *loop;
    uv_buf_t buffer;
    int64_t start_ns;
};

struct loop {
    const struct job *job;
    uv_loop_t uv;
    int fd;
    uint64_t at;
    uint64_t left; /* to be submitted */
    unsigned char *buffers;
    struct block *blocks;
};

const char peer_modes[] = " ";

void peer_prepare(const struct job *job)
{
    (void) job;
}

void *peer_open(const struct job *job, uint32_t thread)
{
    struct loop *loop = calloc(1, sizeof *loop);

    (void) thread;
    loop->job = job;
    loop->fd = peer_open_file(job);
    loop->buffers = peer_buffers(job);
    loop->blocks = calloc(job->depth, sizeof *loop->blocks);
    uv_loop_init(&loop->uv);
    for (uint32_t i = 0; i < job->depth; i++) {
        loop->blocks[i].loop = loop;
        loop->blocks[i].buffer =
            uv_buf_init((char *) loop->buffers + (size_t) i * job->block_size, job->block_size);
    }
    return loop;
}

static void on_write(uv_fs_t *fs);

static void queue_block(struct block *block)
{
    struct loop *loop = block->loop;

    loop->left--;
    if (loop->job->timed)
        block->start_ns = peer_now_ns();
    uv_fs_write(&loop->uv, &block->fs, loop->fd, &block->buffer, 1,
                (int64_t) job_next(loop->job, &loop->at), on_write);
}

static void on_write(uv_fs_t *fs)
{
    struct block *block = (struct block *) fs;

    if (fs->result != (ssize_t) block->loop->job->block_size)
        peer_fail("write", fs->result);
    if (block->loop->job->timed)
        peer_record(peer_now_ns() - block->start_ns);
    uv_fs_req_cleanup(fs);
    if (block->loop->left > 0)
        queue_block(block);
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;

    loop->left = op_count;
    for (uint32_t i = 0; i < loop->job->depth && loop->left > 0; i++)
        queue_block(&loop->blocks[i]);
    uv_run(&loop->uv, UV_RUN_DEFAULT); /* until nothing is in flight */
}

void peer_close(void *state)
{
    struct loop *loop = state;

    uv_loop_close(&loop->uv);
    close(loop->fd);
    free(loop->blocks);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
