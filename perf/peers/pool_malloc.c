/* SPDX-License-Identifier: MIT
 *
 * The C library's malloc as a peer of the pool: a program of its own, because a shared mimalloc
 * replaces malloc in every process that links it. Takes a pattern's name and prints nanoseconds.
 */
#define _GNU_SOURCE

#include "pool_patterns.h"

static void *take(void *door)
{
    (void) door;
    return malloc(PATTERN_OBJECT_SIZE);
}

static void give(void *door, void *object)
{
    (void) door;
    free(object);
}

static void take_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        objects[i] = take(door);
}

static void give_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        give(door, objects[i]);
}

static const struct peer peer = {take, give, take_batch, give_batch};

static void *second(void *run)
{
    pattern_thread(&peer, run, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    for (uint32_t pattern = 0; argc == 2 && pattern < PATTERN_COUNT; pattern++) {
        if (strcmp(argv[1], pattern_names[pattern]) == 0) {
            printf("%.3f\n", pattern_time(&peer, pattern, (void *[2]){NULL, NULL}, second));
            return 0;
        }
    }
    fprintf(stderr, "usage: %s i|ii|iii|rnd|iv|biv\n", argv[0]);
    return 2;
}
