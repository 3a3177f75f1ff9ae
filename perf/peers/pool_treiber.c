/* SPDX-License-Identifier: MIT
 *
 * A Treiber stack of indices with a tag beside the head, 32 bits each, against ABA: the freelist
 * that is usually written by hand.
 */
#define _GNU_SOURCE

#include "pool_main.h"

#define NONE UINT32_MAX

struct object {
    unsigned char bytes[PATTERN_OBJECT_SIZE];
};

static struct object objects[PATTERN_OBJECTS];
static _Atomic uint32_t next[PATTERN_OBJECTS];
static alignas(128) _Atomic uint64_t top; /* tag << 32 | index */

PATTERN_INLINE void *peer_take(void *door)
{
    uint64_t old = atomic_load_explicit(&top, memory_order_acquire);
    uint64_t new;

    (void) door;
    do {
        if ((uint32_t) old == NONE)
            return NULL;
        new = ((old >> 32) + 1) << 32 |
              atomic_load_explicit(&next[(uint32_t) old], memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&top, &old, new, memory_order_acquire,
                                                    memory_order_acquire));
    return &objects[(uint32_t) old];
}

PATTERN_INLINE void peer_give(void *door, void *object)
{
    uint32_t index = (uint32_t) ((struct object *) object - objects);
    uint64_t old = atomic_load_explicit(&top, memory_order_relaxed);

    (void) door;
    do
        atomic_store_explicit(&next[index], (uint32_t) old, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&top, &old, ((old >> 32) + 1) << 32 | index,
                                                  memory_order_release, memory_order_relaxed));
}

int main(int argc, char **argv)
{
    atomic_init(&top, NONE);
    for (uint32_t i = PATTERN_OBJECTS; i-- > 0;)
        peer_give(NULL, &objects[i]);
    return pool_main(argc, argv, NULL);
}
