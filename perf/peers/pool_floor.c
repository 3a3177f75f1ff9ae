/* SPDX-License-Identifier: MIT */
#include "pool_floor.h"

#include <stdatomic.h>
#include <stdlib.h>

struct object {
    uint64_t head[4];
    void *user;
    void *on_done;
    uint64_t rest[6];
    _Atomic uint64_t state;
    uint64_t tail[3];
};

struct floor {
    struct object *objects;
    struct object *last;
    uint32_t next;
    uint32_t padding[27]; /* two doors share no cache line */
};

struct floor *floor_create(void)
{
    struct floor *floor = calloc(1, sizeof *floor);

    if (floor)
        floor->objects = calloc(FLOOR_OBJECTS, sizeof *floor->objects);
    return floor && floor->objects ? floor : NULL;
}

struct floor *floor_second_door(const struct floor *floor)
{
    struct floor *second = calloc(1, sizeof *second);

    if (second) {
        second->objects = floor->objects;
        second->next = FLOOR_OBJECTS / 2;
    }
    return second;
}

static inline void *take(struct floor *floor)
{
    struct object *object = floor->last;

    if (object)
        floor->last = NULL;
    else
        object = &floor->objects[floor->next++ % FLOOR_OBJECTS];
    if (atomic_load_explicit(&object->state, memory_order_relaxed) != 0)
        abort();
    atomic_store_explicit(&object->state, 1, memory_order_relaxed);
    object->user = NULL;
    object->on_done = NULL;
    return object;
}

static inline void give(struct floor *floor, void *memory)
{
    struct object *object = memory;

    if (atomic_load_explicit(&object->state, memory_order_relaxed) != 1)
        abort();
    atomic_store_explicit(&object->state, 0, memory_order_relaxed);
    floor->last = object;
}

void *floor_take(struct floor *floor)
{
    return take(floor);
}

void floor_give(struct floor *floor, void *object)
{
    give(floor, object);
}

void floor_take_many(struct floor *floor, void *objects[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        objects[i] = take(floor);
}

void floor_give_many(struct floor *floor, void *objects[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        give(floor, objects[i]);
}
