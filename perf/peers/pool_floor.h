/* SPDX-License-Identifier: MIT
 *
 * The floor under the pool's figures: the same two out-of-line calls, the same state check and the
 * same clearing of the caller's fields, but no pool: what was given last is taken next, else the
 * next one of a ring, which is large enough for the patterns and is not asked whether it is free.
 */
#ifndef POOL_FLOOR_H
#define POOL_FLOOR_H

#include <stdint.h>

#define FLOOR_OBJECTS 1024u /* a power of two */

struct floor;

/* The doors of one ring. NULL: no memory. */
struct floor *floor_create(void);
struct floor *floor_second_door(const struct floor *floor);
void *floor_take(struct floor *floor);
void floor_give(struct floor *floor, void *object);
void floor_take_many(struct floor *floor, void *objects[], uint32_t count);
void floor_give_many(struct floor *floor, void *objects[], uint32_t count);

#endif
