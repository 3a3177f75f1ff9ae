/* SPDX-License-Identifier: MIT
 *
 * The slab's element: a public op and its private half. The state word says who owns the op, and
 * nothing outside this file changes it:
 *
 *     slot_take    FREE -> HELD           slot_launch  HELD -> IN_FLIGHT
 *     slot_give    HELD -> FREE           slot_land    IN_FLIGHT -> HELD
 *     slot_pin, slot_unpin                keep an op IN_FLIGHT while a canceller asks the system
 *
 * word = use << 12 | holder << 4 | landed << 3 | pinned << 2 | state
 *
 * use counts launches; 52 bits last 14 years at ten million launches of one op a second. holder is
 * the pool's index of the engine that launched it; it and the two flags are 0 unless the op is in
 * flight, so that each step is one addition. pinned and landed are the cancel protocol: an op
 * that lands while it is pinned is not delivered; whoever unpins it then delivers it. So a cancel
 * can never reach a later launch, and nobody spins.
 */
#ifndef REOP_SLOT_H
#define REOP_SLOT_H

#include <reop/reop.h>

#include "check.h"
#include "sync.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What a submit of a plain transfer and its landing look at is the second line, but for the
 * OVERLAPPED, where the system asks for one, and the date of an op that does not come at once. */
struct slot {
    _Atomic uint64_t launched; /* when it was: see engine_date() */
    struct slot *link;         /* for whoever owns the op: a ready list, a queue, a lane's chain */
    reop_op op;
    _Atomic uint64_t state;
    reop_pool *pool; /* set at create */
};

static_assert(sizeof(struct reop_overlapped) == 2 * sizeof(uintptr_t) + 8 + sizeof(void *),
              "OVERLAPPED has no padding");
static_assert(sizeof(void *) != 8 || sizeof(reop_op) == 96, "the public op is 96 bytes");
static_assert(sizeof(void *) != 8 ||
                  (sizeof(struct slot) == 128 && offsetof(struct slot, op.result) == 64),
              "a slot is two cache lines, and the second begins with the outcome");

#define SLOT_FREE      UINT64_C(0) /* zeroed memory is a free slot that was never launched */
#define SLOT_HELD      UINT64_C(1)
#define SLOT_IN_FLIGHT UINT64_C(2)
#define SLOT_STATE     UINT64_C(3)
#define SLOT_PINNED    UINT64_C(4)
#define SLOT_LANDED    UINT64_C(8)

#define SLOT_HOLDER_SHIFT 4
#define SLOT_HOLDERS_MAX  256u
#define SLOT_USE_SHIFT    12
#define SLOT_USE_ONE      (UINT64_C(1) << SLOT_USE_SHIFT)

static inline struct slot *slot_of(const reop_op *op)
{
    return (struct slot *) (void *) ((char *) (uintptr_t) op - offsetof(struct slot, op));
}

static inline uint64_t slot_use(uint64_t word)
{
    return word >> SLOT_USE_SHIFT;
}

static inline uint32_t slot_holder(uint64_t word)
{
    return (uint32_t) (word >> SLOT_HOLDER_SHIFT) % SLOT_HOLDERS_MAX;
}

/* A snapshot, for deciding whether to look closer. */
static inline uint64_t slot_word(const struct slot *slot)
{
    return atomic_load_explicit(&slot->state, memory_order_relaxed); /* no partner: a hint */
}

static inline const char *slot_state_name(uint64_t word)
{
    static const char *const names[] = {"free", "held", "in flight", "corrupt"};

    return names[word & SLOT_STATE];
}

/* Aborts. */
static inline void slot_wrong(const reop_op *op, uint64_t word, uint64_t state, const char *what)
{
    check_failed("%s of op %p (use %llu), which is %s, not %s", what, (const void *) op,
                 (unsigned long long) slot_use(word), slot_state_name(word),
                 slot_state_name(state));
}

static inline void slot_expect(const struct slot *slot, uint64_t word, uint64_t state,
                               const char *what)
{
    if (REOP_UNLIKELY((word & SLOT_STATE) != state))
        slot_wrong(&slot->op, word, state, what);
}

/* For the plain ways, whose caller has the op or owns the engine that has it: nobody else writes
 * the word then, and it need not be an atomic load, save for ThreadSanitizer, to which a cancel
 * that fails has written. HELD and IN_FLIGHT have a bit each, and looking at one is one
 * instruction. A word with both, which nothing makes but stray memory, passes. */
static inline bool slot_is(const struct slot *slot, uint64_t state)
{
#ifdef SYNC_TSAN
    return (slot_word(slot) & state) != 0;
#else
    return (*(const uint64_t *) (const void *) &slot->state & state) != 0;
#endif
}

/* The state word of an op that the caller has to hold. */
static inline uint64_t slot_held(const struct slot *slot, const char *what)
{
    uint64_t word = slot_word(slot);

    slot_expect(slot, word, SLOT_HELD, what);
    return word;
}

/* FREE to HELD. The lane or the freelist has made the slot this thread's, and ordered it. */
static inline void slot_take(struct slot *slot)
{
    if (REOP_UNLIKELY(slot_is(slot, SLOT_STATE)))
        slot_wrong(&slot->op, slot_word(slot), SLOT_FREE, "acquire");
    sync_add_alone(&slot->state, SLOT_HELD);
}

/* HELD to FREE, before anybody can find the slot in a lane or the freelist; once slot_held() has
 * answered. */
static inline void slot_give(struct slot *slot)
{
    sync_add_alone(&slot->state, 0 - SLOT_HELD);
}

/* What a launch adds to the state word. holder: the engine's index in the pool. */
static inline uint64_t slot_launch_bits(uint32_t holder)
{
    return SLOT_USE_ONE + ((uint64_t) holder << SLOT_HOLDER_SHIFT) + SLOT_IN_FLIGHT - SLOT_HELD;
}

/* HELD to IN_FLIGHT. Called before the system call: the completion may be landed by another thread
 * before that call returns, so from here on the op belongs to the system. word is what slot_held()
 * answered. */
static inline void slot_launch(struct slot *slot, uint64_t word, uint64_t launch_bits)
{
    /* Release publishes the op's fields: pairs with slot_pin. */
    atomic_store_explicit(&slot->state, word + launch_bits, memory_order_release);
}

/* The same on an engine that this thread owns, or under a lock that whoever lands it takes. */
static inline void slot_launch_plain(struct slot *slot, uint64_t launch_bits)
{
    sync_add_alone(&slot->state, launch_bits);
}

/* A ring carries the op from its submitter's thread to the one that lands it. The system call
 * orders that, and ThreadSanitizer does not know it: hand over after the last look at the op,
 * arrive before the first. */
#ifdef SYNC_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define slot_hand_over(slot) __tsan_release(slot)
#define slot_arrive(slot)    __tsan_acquire(slot)
#else
#define slot_hand_over(slot) ((void) (slot))
#define slot_arrive(slot)    ((void) (slot))
#endif

/* The same use, held. */
static inline uint64_t slot_landed(uint64_t word)
{
    return (word & ~(SLOT_USE_ONE - 1)) + SLOT_HELD;
}

/* IN_FLIGHT to HELD, after the outcome was stored. False: the op is pinned, and whoever unpins it
 * delivers it. owned: the engine is single-threaded and this is its owner, so nobody pins. */
static inline bool slot_land(struct slot *slot, bool owned)
{
    uint64_t word = atomic_load_explicit(&slot->state, memory_order_relaxed);

    slot_expect(slot, word, SLOT_IN_FLIGHT, "completion");
    if (owned) {
        atomic_store_explicit(
            &slot->state, slot_landed(word),
            memory_order_relaxed); /* others read a hint, unless it is in flight */
        return true;
    }
    /* Acquire pairs with slot_unpin: a canceller's reads of the op come before our next writes.
     * Release pairs with it too: whoever unpins a landed op sees its outcome. */
    while (!atomic_compare_exchange_weak_explicit(
        &slot->state, &word, word & SLOT_PINNED ? word | SLOT_LANDED : slot_landed(word),
        memory_order_acq_rel, memory_order_relaxed)) {
    }
    return !(word & SLOT_PINNED);
}

/* The same where whoever pins or unpins holds a lock, and so does the caller. */
static inline bool slot_land_locked(struct slot *slot)
{
    uint64_t word = slot_word(slot);
    bool pinned = (word & SLOT_PINNED) != 0;

    slot_expect(slot, word, SLOT_IN_FLIGHT, "completion");
    atomic_store_explicit(&slot->state, pinned ? word | SLOT_LANDED : slot_landed(word),
                          memory_order_relaxed); /* the lock orders */
    return !pinned;
}

/* Of a word that says in flight, and no more. */
static inline bool slot_lands(uint64_t word)
{
    return (word & (SLOT_STATE | SLOT_PINNED)) == SLOT_IN_FLIGHT;
}

static inline void slot_land_word(struct slot *slot, uint64_t word)
{
    atomic_store_explicit(&slot->state, slot_landed(word), memory_order_relaxed); /* as above */
}

/* What a landing that nobody pins adds to the state word, after a launch that added launch_bits. */
static inline uint64_t slot_land_bits(uint64_t launch_bits)
{
    return SLOT_USE_ONE - launch_bits;
}

/* The same for the owner of the one engine that launches its pool's ops, once slot_is() has
 * answered that this one is in flight. */
static inline void slot_land_plain(struct slot *slot, uint64_t land_bits)
{
    sync_add_alone(&slot->state, land_bits);
}

/* Keeps launch number use in flight, so that op->file can be read and the system asked to cancel.
 * False: that launch is not in flight. Pins of one op never overlap: the pool's holders lock. */
static inline bool slot_pin(struct slot *slot, uint64_t use)
{
    uint64_t word = atomic_load_explicit(&slot->state, memory_order_relaxed);

    while ((word & SLOT_STATE) == SLOT_IN_FLIGHT && slot_use(word) == use) {
        /* Acquire pairs with slot_launch: the op's fields are those of this launch. */
        if (atomic_compare_exchange_weak_explicit(&slot->state, &word, word | SLOT_PINNED,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

/* True: the op landed meanwhile, and the caller must deliver it through the ready list. */
static inline bool slot_unpin(struct slot *slot)
{
    uint64_t word = atomic_fetch_and_explicit(&slot->state, ~(SLOT_PINNED | SLOT_LANDED),
                                              memory_order_acq_rel); /* pairs with slot_land */

    return (word & SLOT_LANDED) != 0;
}

#endif
