/* SPDX-License-Identifier: MIT
 *
 * The loop an expert writes by hand with a completion port: each block has its OVERLAPPED, and
 * GetQueuedCompletionStatusEx takes as many packets as there are. Built on nt_instant.c, for the
 * instructions it takes.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <windows.h>

#define BATCH 64u

struct block {
    OVERLAPPED overlapped; /* first: a packet's is its block */
    unsigned char *data;
};

struct loop {
    const struct job *job;
    HANDLE port;
    HANDLE file;
    uint64_t at;
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
    loop->buffers = peer_buffers(job);
    loop->blocks = calloc(job->depth, sizeof *loop->blocks);
    loop->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    loop->file = loop->port; /* any: this kernel has one */
    for (uint32_t i = 0; i < job->depth; i++)
        loop->blocks[i].data = loop->buffers + (size_t) i * job->block_size;
    return loop;
}

static inline void queue_block(struct loop *loop, struct block *block)
{
    uint64_t offset = job_next(loop->job, &loop->at);

    block->overlapped =
        (OVERLAPPED){.Offset = (DWORD) offset, .OffsetHigh = (DWORD) (offset >> 32)};
    if (!WriteFile(loop->file, block->data, loop->job->block_size, NULL, &block->overlapped) &&
        GetLastError() != ERROR_IO_PENDING)
        peer_fail("WriteFile", EIO);
}

void peer_run(void *state, uint64_t op_count)
{
    struct loop *loop = state;
    uint64_t queued = 0, done = 0;

    while (queued < loop->job->depth && queued < op_count)
        queue_block(loop, &loop->blocks[queued++]);
    while (done < op_count) {
        OVERLAPPED_ENTRY entries[BATCH];
        ULONG count;

        if (!GetQueuedCompletionStatusEx(loop->port, entries, BATCH, &count, INFINITE, FALSE))
            peer_fail("GetQueuedCompletionStatusEx", EIO);
        for (ULONG i = 0; i < count; i++) {
            struct block *block = (struct block *) (void *) entries[i].lpOverlapped;

            if (block->overlapped.Internal != 0 ||
                entries[i].dwNumberOfBytesTransferred != loop->job->block_size)
                peer_fail("write", EIO);
            done++;
            if (queued < op_count) {
                queued++;
                queue_block(loop, block);
            }
        }
    }
}

void peer_close(void *state)
{
    struct loop *loop = state;

    free(loop->blocks);
    free(loop->buffers);
    free(loop);
}

void peer_finish(void)
{
    /* Each thread has closed its own. */
}
