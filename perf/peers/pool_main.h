/* SPDX-License-Identifier: MIT
 *
 * main() of a peer of the pool that is a program of its own: takes a pattern's name, prints
 * nanoseconds. Defines what peer_take() and peer_give() make of it.
 */
#ifndef POOL_MAIN_H
#define POOL_MAIN_H

#include "pool_patterns.h"

PATTERN_INLINE void *peer_take(void *door);
PATTERN_INLINE void peer_give(void *door, void *object);

PATTERN_INLINE void take_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        while ((objects[i] = peer_take(door)) == NULL) {
            /* the other side has them all for a moment */
        }
}

PATTERN_INLINE void give_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        peer_give(door, objects[i]);
}

static const struct peer peer = {peer_take, peer_give, take_batch, give_batch};

static void *second(void *run)
{
    pattern_thread(&peer, (struct pattern_run *) run, 1);
    return NULL;
}

static int pool_main(int argc, char **argv, void *door)
{
    void *doors[2] = {door, door};

    for (uint32_t pattern = 0; argc == 2 && pattern < PATTERN_COUNT; pattern++) {
        if (strcmp(argv[1], pattern_names[pattern]) == 0) {
            printf("%.3f\n", pattern_time(&peer, (enum pattern) pattern, doors, second));
            return 0;
        }
    }
    fprintf(stderr, "usage: %s i|ii|iii|rnd|iv|biv\n", argv[0]);
    return 2;
}

#endif
