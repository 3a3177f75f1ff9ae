/* SPDX-License-Identifier: MIT
 *
 * What an engine may know of a pool: where its slots and buffers lie, and that it holds it.
 */
#ifndef REOP_POOL_H
#define REOP_POOL_H

#include "slot.h"
#include "sync.h"

/* The carved block. Constant after create. */
struct slab {
    struct slot *slots;      /* 128-byte aligned */
    uint32_t slot_count;     /* op_count and what the lanes' caches can hold */
    uint32_t context_stride; /* 0: none */
    unsigned char *contexts;
    unsigned char *buffers;
    size_t buffer_stride; /* bytes from one buffer to the next; 0: none */
};

const struct slab *pool_slab(const reop_pool *pool);

/* The engines that hold the pool, by index: slot_holder() of a state word. The lock is held by
 * whoever goes from a state word to an engine, so that the engine cannot be destroyed meanwhile;
 * and by whoever pins, so that pins do not overlap. */
int pool_hold(reop_pool *pool, void *engine, uint32_t *index_out); /* -EMFILE: SLOT_HOLDERS_MAX */
void pool_unhold(reop_pool *pool, uint32_t index);
struct sync_mutex *pool_holders_lock(reop_pool *pool);
void *pool_holder(reop_pool *pool, uint32_t index); /* lock held. NULL: gone */

/* To be called, from now on, with each pool of the process in which an acquire finds no op, by the
 * thread that found none. */
typedef void pool_exhausted(const reop_pool *pool);
void pool_on_exhausted(pool_exhausted *call);

#endif
