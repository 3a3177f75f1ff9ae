/* SPDX-License-Identifier: MIT
 *
 * What every peer of `perf/run compare` shares, so that all do the same work: blocks of one size,
 * round and round over one region of one file, depth of them in flight on each thread. A peer
 * defines the five functions at the end; peer.c has main(), the clock and the report.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_DEPTH_MAX 32768u

struct job {
    const char *path;
    const char *mode; /* a peer's own variants; "" is its best */
    uint32_t block_size;
    uint32_t depth;
    uint32_t threads;
    int open_flags;                               /* O_WRONLY and what else was asked for */
    uint64_t region_size;                         /* of the file; a multiple of block_size */
    bool timed;                                   /* note the latency of each write */
    uint32_t pool_size, file_count, engine_count; /* scale_reop's */
};

/* The offset of the n-th write: at_out is the next one's, which starts at 0. */
static inline uint64_t job_next(const struct job *job, uint64_t *at)
{
    uint64_t offset = *at;

    *at = offset + job->block_size < job->region_size ? offset + job->block_size : 0;
    return offset;
}

static inline int64_t peer_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ends the program. error: an errno, its sign does not matter. */
void peer_fail(const char *what, long long error);

/* Page-aligned and touched. */
unsigned char *peer_buffers(const struct job *job);

/* Latency of a timed job, of the calling thread. */
void peer_record(int64_t ns);

/* The file of the job, opened. */
int peer_open_file(const struct job *job);

/* --- what a peer defines --------------------------------------------------------------------- */

extern const char peer_modes[]; /* space before and after each: " plain nop " */

void peer_prepare(const struct job *job); /* once, before the threads */
void *peer_open(const struct job *job, uint32_t thread);
void peer_run(void *state, uint64_t op_count); /* until all have come back */
void peer_close(void *state);
void peer_finish(void);

#ifdef __cplusplus
}
#endif

#endif
