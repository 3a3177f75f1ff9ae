/* SPDX-License-Identifier: MIT
 *
 * See slab.h. Plans are made in 64 bits and cannot overflow there: fewer than 2^29 slots, with less
 * than 2^33 bytes of context and 2^33 of buffer each, and less than 2^40 for all the rest.
 */
#include "slab.h"

#include "lane.h"

#include <mimalloc.h>

#define CACHE_LINE       64u
#define SLOT_ALIGN       128u /* pairs of lines, which processors fetch together */
#define CONTEXT_ALIGN    16u
#define CONTEXT_SIZE_MAX (UINT32_MAX - CONTEXT_ALIGN + 1) /* its stride fits 32 bits */
#define HUGE_PAGE_SIZE   (2u << 20)
#define BUFFER_ALIGN_MAX (UINT32_C(1) << 30)

#define LANE_BATCH_MIN 8u
#define LANE_BATCH_MAX (LANE_CAPACITY_MAX / 2)

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static bool config_is_valid(const reop_pool_config *config)
{
    if (config == NULL || config->op_count == 0 || config->op_count > REOP_OPS_MAX)
        return false;
    if (config->lane_count > REOP_LANES_MAX)
        return false;
    if (config->lane_cache > LANE_CAPACITY_MAX && config->lane_cache != REOP_LANE_EXACT)
        return false;
    if (config->context_size > CONTEXT_SIZE_MAX)
        return false;
    if (config->buffer_align > BUFFER_ALIGN_MAX ||
        (config->buffer_align & (config->buffer_align - 1)) != 0)
        return false;
    return (config->flags & ~REOP_POOL_HUGE_PAGES) == 0;
}

/* Large enough to be worth it, small enough that a lane holds no great part of the pool; and where
 * there are buffers, all lanes together no more than the pool's own number. */
static uint32_t automatic_capacity(const reop_pool_config *config)
{
    uint32_t share = config->op_count / (4 * config->lane_count);
    uint32_t batch = LANE_BATCH_MIN;

    while (batch < LANE_BATCH_MAX && 2 * batch <= share)
        batch *= 2;
    if (config->buffer_size != 0 && 2 * batch * config->lane_count > config->op_count) {
        batch = LANE_BATCH_MIN;
        while (batch != 0 && 2 * batch * config->lane_count > config->op_count)
            batch /= 2;
        if (batch == 0) /* one at hand saves the freelist already */
            return config->lane_count <= config->op_count;
    }
    return 2 * batch;
}

static uint32_t lane_capacity(const reop_pool_config *config)
{
    if (config->lane_count == 0 || config->lane_cache == REOP_LANE_EXACT)
        return 0;
    return config->lane_cache ? config->lane_cache : automatic_capacity(config);
}

/* A refill fills half the lane, so that the next release does not spill at once. */
static uint32_t refill_shift(uint32_t capacity)
{
    uint32_t shift = 0;

    if (capacity == 0)
        return 6;
    while (4u << shift <= capacity)
        shift++;
    return shift;
}

static uint64_t place(uint64_t *end, uint64_t align, uint64_t size)
{
    uint64_t offset = align_up(*end, align);

    *end = offset + size;
    return offset;
}

bool slab_plan(const reop_pool_config *config, size_t header_size, struct slab_plan *plan_out)
{
    struct slab_plan plan = {.size = header_size};
    uint64_t buffer_align;
    uint32_t word_count;

    if (!config_is_valid(config))
        return false;
    buffer_align = config->buffer_align ? config->buffer_align : sync_page_size();
    plan.lane_capacity = lane_capacity(config);
    plan.bits_shift = refill_shift(plan.lane_capacity);
    plan.slot_count = config->op_count + config->lane_count * plan.lane_capacity;
    plan.lane_stride = (uint32_t) align_up(
        sizeof(struct reop_lane) + plan.lane_capacity * sizeof(reop_op *), SLOT_ALIGN);
    plan.context_stride = align_up(config->context_size, CONTEXT_ALIGN);
    plan.buffer_stride = align_up(config->buffer_size, buffer_align);

    word_count = freelist_word_count(plan.slot_count, plan.bits_shift);
    plan.lines = place(&plan.size, CACHE_LINE,
                       freelist_line_count(word_count) * sizeof(struct freelist_line));
    plan.dry = place(&plan.size, CACHE_LINE, freelist_dry_count(word_count) * sizeof(uint64_t));
    plan.lanes = place(&plan.size, SLOT_ALIGN,
                       (uint64_t) plan.lane_stride * (config->lane_count + 1)); /* + the shared */
    plan.slots = place(&plan.size, SLOT_ALIGN, (uint64_t) plan.slot_count * sizeof(struct slot));
    plan.contexts = place(&plan.size, CACHE_LINE, plan.slot_count * plan.context_stride);
    plan.align = SLOT_ALIGN;
    plan.buffers = plan.size;
    if (plan.buffer_stride != 0) {
        plan.buffers = place(&plan.size, buffer_align, plan.slot_count * plan.buffer_stride);
        plan.align = buffer_align > SLOT_ALIGN ? buffer_align : SLOT_ALIGN;
    }
    if ((config->flags & REOP_POOL_HUGE_PAGES) && plan.align < HUGE_PAGE_SIZE)
        plan.align = HUGE_PAGE_SIZE;
    *plan_out = plan;
    return plan.size + plan.align - 1 <= (uint64_t) PTRDIFF_MAX;
}

size_t slab_footprint(const struct slab_plan *plan)
{
    return (size_t) (plan->size + plan->align - 1);
}

unsigned char *slab_create(const reop_pool_config *config, const struct slab_plan *plan,
                           void **owned_out)
{
    unsigned char *memory = config->memory;

    *owned_out = NULL;
    if (memory == NULL) {
        memory = mi_malloc(slab_footprint(plan));
        if (memory == NULL)
            return NULL;
        *owned_out = memory;
    }
    return memory + (align_up((uintptr_t) memory, plan->align) - (uintptr_t) memory);
}

void slab_free(void *owned)
{
    mi_free(owned);
}
