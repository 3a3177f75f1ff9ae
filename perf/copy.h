/* SPDX-License-Identifier: MIT
 *
 * The inputs to OUTPUT through one engine: each free op takes the next block of the input into its
 * own buffer and writes it at its offset; a short transfer goes on with the same op. copy.c sets up
 * and writes, verify.c reads back.
 */
#ifndef REOP_COPY_H
#define REOP_COPY_H

#include "histogram.h"
#include "input.h"
#include "options.h"
#include "platform.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define COPY_REAP_MAX 64u

/* Nothing waits longer than this without a look at platform_stop_signal(). */
#define COPY_PATIENCE_NS INT64_C(100000000)

/* What a block is, beside its op: the op's context. */
struct block {
    uint64_t offset; /* in OUTPUT, of its first byte */
    uint32_t size;
    uint32_t done; /* bytes of it that were moved */
    int64_t submit_ns;
    bool back; /* verify: nothing more will come */
};

struct copy {
    const struct options *options;
    struct input *input;

    reop_pool *pool;
    reop_lane *lane;
    reop_engine *engine;
    reop_op *scratch; /* verify: only its buffer is used, for the other side of the comparison */
    reop_file *file;  /* OUTPUT as the options ask for it */
    reop_file *tail;  /* direct: OUTPUT through the cache, for bytes that fill no sector */
    struct reop_file_info info; /* of file, when it was opened */
    bool regular;

    uint32_t in_flight;
    reop_op *filling; /* takes the input's next bytes; NULL: none */
    reop_op *waiting; /* a list by op->user: for the tail, until nothing is in flight */
    bool ended;       /* nothing more is read from the input */
    uint64_t read_bytes;
    XXH3_state_t checksum; /* of read_bytes */

    /* The outcome. */
    uint64_t bytes; /* of completed blocks */
    uint64_t ops;
    int64_t elapsed_ns;
    struct histogram latency;
    bool failed;
    uint64_t failed_offset; /* the lowest that could not be written: the complete prefix */
    uint32_t failed_size;
    int64_t failed_result;
    uint32_t failed_os_error;
    int64_t input_error;
    bool stuck; /* the engine itself failed with ops in flight */
};

/* Each is false when it failed, and explained. copy_destroy() is due in any case. */
bool copy_create(struct copy *copy, const struct options *options, struct input *input);
bool copy_open(struct copy *copy, const struct platform_place *output);

/* Until the input ends, a write fails or a signal asks to stop; nothing is in flight afterwards.
 * What of OUTPUT equals the input is copy_prefix(). */
void copy_write(struct copy *copy);
uint64_t copy_prefix(const struct copy *copy);

bool copy_close(struct copy *copy);
void copy_destroy(struct copy *copy);

/* Reaps into ops like reop_reap(); a failing engine is given 10 s to recover, then copy->stuck. */
int copy_reap(struct copy *copy, reop_op *ops[COPY_REAP_MAX], int64_t timeout_ns);

#endif
