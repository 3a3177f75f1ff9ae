/* SPDX-License-Identifier: MIT
 *
 * One block holds a pool: its own struct, the freelist, the lanes, the slots, the contexts
 * and the buffers, in this order. slab_plan() says what lies where; everything but the
 * buffers is zeroed.
 */
#ifndef REOP_SLAB_H
#define REOP_SLAB_H

#include "pool.h"

/* slot_count == op_count + lane_count * lane_capacity: caches can hide no op that a caller was
 * promised. Offsets are from the aligned start of the block. */
struct slab_plan {
    uint32_t lane_capacity; /* 0: exact */
    uint32_t lane_stride;
    uint32_t bits_shift; /* of the freelist: log2 of a refill */
    uint32_t slot_count;
    uint64_t context_stride;
    uint64_t buffer_stride;
    uint64_t lines, dry, lanes, slots, contexts, buffers; /* offsets */
    uint64_t size;
    uint64_t align;
};

/* False: the config is invalid, or the size is more than this machine can address. */
bool slab_plan(const reop_pool_config *config, size_t header_size, struct slab_plan *plan_out);

/* The bytes to ask for: the block starts at the first aligned address in them. */
size_t slab_footprint(const struct slab_plan *plan);

/* Not touched yet. NULL: the system has no memory. *owned_out is what slab_free() takes: NULL for
 * memory of the caller. */
unsigned char *slab_create(const reop_pool_config *config, const struct slab_plan *plan,
                           void **owned_out);
void slab_free(void *owned);

#endif
