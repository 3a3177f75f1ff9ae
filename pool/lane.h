/* SPDX-License-Identifier: MIT
 *
 * A thread's own door to the pool: a place for the op that was released last, and a stack, in
 * front of the freelist. Most calls touch only these, with plain loads and stores; to take what was
 * just given is one load, which waits for no count. An empty stack takes all of one freelist word
 * (refill); a full one gives back its older half (spill). A lane of capacity 0 has neither: it
 * takes and gives one op at a time, and any thread may use it at once.
 */
#ifndef REOP_LANE_H
#define REOP_LANE_H

#include "freelist.h"
#include "slot.h"

#include <string.h>

#define LANE_CAPACITY_MAX 128u

/* The rare halves stay out of line, so that the common ones need no stack frame. */
#if defined(__GNUC__)
#define LANE_RARE __attribute__((noinline, unused)) static
#else
#define LANE_RARE static
#endif

/* What a lane of capacity 0 has for a last op: nobody takes it, and nothing goes in its place. */
#define LANE_NO_PLACE ((reop_op *) (uintptr_t) 1)

/* count + (last is an op) <= capacity: what a lane can hide from an empty verdict. A refill's
 * 1 << bits_shift is no more than capacity, if that is not 0. */
struct reop_lane {
    reop_op *last;  /* released last, and not acquired since; NULL: there is none */
    uint32_t count; /* in the stack */
    uint32_t room;  /* of the stack */
    uint32_t capacity;
    reop_pool *pool;
    struct slot *slots;
    const struct freelist *freelist;
    _Atomic uint32_t home; /* the word to look at first: a hint */
    reop_op *cached[];     /* room entries, the newest last */
};

static inline void lane_init(struct reop_lane *lane, reop_pool *pool, struct slot *slots,
                             const struct freelist *freelist, uint32_t capacity, uint32_t home)
{
    lane->last = capacity ? NULL : LANE_NO_PLACE;
    lane->count = 0;
    lane->room = capacity ? capacity - 1 : 0;
    lane->capacity = capacity;
    lane->pool = pool;
    lane->slots = slots;
    lane->freelist = freelist;
    atomic_init(&lane->home, home);
}

/* Takes from the freelist: the word of a whole refill, or one op. */
static inline uint64_t lane_take(struct reop_lane *lane, uint32_t *word_out)
{
    uint32_t home = atomic_load_explicit(&lane->home, memory_order_relaxed); /* a hint */
    uint64_t bits = freelist_take(lane->freelist, home, lane->capacity != 0, word_out);

    if (bits != 0 && *word_out != home)
        atomic_store_explicit(&lane->home, *word_out, memory_order_relaxed);
    return bits;
}

/* The stack is empty. NULL: so was the freelist, at some instant inside the call. */
LANE_RARE reop_op *lane_refill(struct reop_lane *lane)
{
    uint32_t word = 0;
    uint64_t bits = lane_take(lane, &word);
    struct slot *first = lane->slots + ((size_t) word << lane->freelist->bits_shift);
    uint64_t rest = bits & (bits - 1); /* the lowest is handed out */
    uint32_t at;

    if (bits == 0)
        return NULL;
    if (lane->capacity) { /* else there is nothing to write, and others may be reading */
        at = lane->count = (uint32_t) __builtin_popcountll(rest);
        for (; rest != 0; rest &= rest - 1) /* the next is the next to be handed out */
            lane->cached[--at] = &first[__builtin_ctzll(rest)].op;
    }
    return &first[__builtin_ctzll(bits)].op;
}

static inline uint32_t lane_count(const struct reop_lane *lane)
{
    return lane->count + ((uintptr_t) lane->last > (uintptr_t) LANE_NO_PLACE);
}

/* The stack's newest; it has one. */
static inline reop_op *lane_pop_stack(struct reop_lane *lane)
{
    return lane->cached[--lane->count];
}

/* The stack has room. */
static inline void lane_push_stack(struct reop_lane *lane, reop_op *op)
{
    lane->cached[lane->count++] = op;
}

/* What is at hand. NULL: the freelist has to be asked. */
static inline reop_op *lane_pop(struct reop_lane *lane)
{
    reop_op *op = lane->last;

    if (REOP_LIKELY((uintptr_t) op > (uintptr_t) LANE_NO_PLACE)) {
        lane->last = NULL;
        return op;
    }
    return lane->count != 0 ? lane_pop_stack(lane) : NULL;
}

/* False: the lane is full. Always so of one that has no place. Ops enter the stack in the order in
 * which they come, so that what one word held goes back to it at once. */
static inline bool lane_push(struct reop_lane *lane, reop_op *op)
{
    reop_op *before = lane->last;

    if (REOP_UNLIKELY(before != NULL)) {
        if (REOP_UNLIKELY(lane->count == lane->room))
            return false;
        lane_push_stack(lane, before);
    }
    lane->last = op;
    return true;
}

static inline uint32_t lane_index_of(const struct reop_lane *lane, const reop_op *op)
{
    return (uint32_t) (slot_of(op) - lane->slots);
}

/* Gives ops back to the freelist, those of one word at once. The table is indexed by the low bits
 * of the word's number, so neighbours meet in it and strangers rarely collide. */
static inline void lane_spill(const struct reop_lane *lane, reop_op *const ops[], uint32_t count)
{
    const struct freelist *freelist = lane->freelist;
    uint64_t used = 0;
    uint64_t bits[FREELIST_BITS_MAX];
    uint32_t words[FREELIST_BITS_MAX];
    uint32_t span = UINT32_MAX;

    for (uint32_t i = 0; i < count;) {
        uint32_t index = lane_index_of(lane, ops[i]);
        uint32_t word = index >> freelist->bits_shift;
        uint32_t entry = word % FREELIST_BITS_MAX;
        uint64_t run = 0; /* mostly long: what a refill took comes back in its order */

        do {
            run |= UINT64_C(1) << (index & ((1u << freelist->bits_shift) - 1));
            if (++i == count)
                break;
            index = lane_index_of(lane, ops[i]);
        } while (index >> freelist->bits_shift == word);
        if ((used >> entry & 1) && words[entry] == word) {
            bits[entry] |= run;
            continue;
        }
        if (used >> entry & 1) {
            freelist_give(freelist, words[entry], bits[entry]);
            freelist_count(freelist, freelist_span_of(freelist, words[entry]));
        }
        used |= UINT64_C(1) << entry;
        words[entry] = word;
        bits[entry] = run;
    }
    for (; used != 0; used &= used - 1) {
        uint32_t entry = (uint32_t) __builtin_ctzll(used);
        uint32_t next = freelist_span_of(freelist, words[entry]);

        if (next != span && span != UINT32_MAX)
            freelist_count(freelist, span);
        span = next;
        freelist_give(freelist, words[entry], bits[entry]);
    }
    if (span != UINT32_MAX)
        freelist_count(freelist, span);
}

static inline void lane_give(const struct reop_lane *lane, const reop_op *op)
{
    const struct freelist *freelist = lane->freelist;
    uint32_t index = lane_index_of(lane, op);
    uint32_t word = index >> freelist->bits_shift;

    freelist_give(freelist, word, UINT64_C(1) << (index & ((1u << freelist->bits_shift) - 1)));
    freelist_count(freelist, freelist_span_of(freelist, word));
}

/* The stack is full. */
LANE_RARE void lane_overflow(struct reop_lane *lane, reop_op *op)
{
    uint32_t batch = (lane->room + 1) / 2;

    if (batch == 0 && lane->last != NULL) {
        lane_give(lane, op);
        return;
    }
    if (batch != 0) {
        lane_spill(lane, lane->cached, batch);
        lane->count -= batch;
        memmove(lane->cached, lane->cached + batch, lane->count * sizeof(reop_op *));
    }
    lane_push(lane, op);
}

/* NULL: see lane_refill(). */
static inline reop_op *lane_acquire(struct reop_lane *lane)
{
    reop_op *op = lane_pop(lane);

    return REOP_LIKELY(op != NULL) ? op : lane_refill(lane);
}

static inline void lane_release(struct reop_lane *lane, reop_op *op)
{
    if (REOP_UNLIKELY(!lane_push(lane, op)))
        lane_overflow(lane, op);
}

#endif
