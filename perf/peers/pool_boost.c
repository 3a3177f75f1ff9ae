/* SPDX-License-Identifier: MIT
 *
 * boost::lockfree::stack of pointers, with room for all objects from the start.
 */
#define _GNU_SOURCE

#include "pool_main.h"

/* pool_boost_stack.cc */
void *boost_stack_pop(void);
void boost_stack_push(void *object);

struct object {
    unsigned char bytes[PATTERN_OBJECT_SIZE];
};

static struct object objects[PATTERN_OBJECTS];

PATTERN_INLINE void *peer_take(void *door)
{
    (void) door;
    return boost_stack_pop();
}

PATTERN_INLINE void peer_give(void *door, void *object)
{
    (void) door;
    boost_stack_push(object);
}

int main(int argc, char **argv)
{
    for (uint32_t i = PATTERN_OBJECTS; i-- > 0;)
        peer_give(NULL, &objects[i]);
    return pool_main(argc, argv, NULL);
}
