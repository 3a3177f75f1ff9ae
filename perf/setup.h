/* SPDX-License-Identifier: MIT
 *
 * The pool and the engine of a command, made as its options say, and what stands in the way
 * explained.
 */
#ifndef REOP_SETUP_H
#define REOP_SETUP_H

#include <reop/sim.h>

#include <stdbool.h>

struct setup {
    uint32_t backend; /* enum reop_backend */
    uint32_t flags;   /* REOP_ENGINE_ */
    uint32_t depth;
    uint32_t op_count, context_size, block_size; /* of the pool */
    double fault_share;                          /* of the ops */
    uint64_t seed;                               /* of the faults */
};

/* False, and explained; what could be made is there all the same, and is the caller's. */
bool setup_create(const struct setup *setup, reop_pool **pool_out, reop_engine **engine_out);

/* What makes a share of the ops go wrong. */
struct reop_faults setup_faults(double fault_share, uint64_t seed);

/* False, and explained: the file moves multiples of another size. */
bool setup_block_fits(const char *file, const struct reop_file_info *info, uint32_t block_size);

#endif
