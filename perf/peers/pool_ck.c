/* SPDX-License-Identifier: MIT
 *
 * Concurrency Kit's ck_stack, pushed and popped by many (mpmc: a generation against ABA).
 */
#define _GNU_SOURCE

#include "pool_main.h"

#include <ck_stack.h>

struct object {
    ck_stack_entry_t entry;
    unsigned char bytes[PATTERN_OBJECT_SIZE - sizeof(ck_stack_entry_t)];
};

static struct object objects[PATTERN_OBJECTS];
static alignas(128) ck_stack_t stack = CK_STACK_INITIALIZER;

PATTERN_INLINE void *peer_take(void *door)
{
    (void) door;
    return ck_stack_pop_mpmc(&stack); /* the entry comes first in an object */
}

PATTERN_INLINE void peer_give(void *door, void *object)
{
    (void) door;
    ck_stack_push_mpmc(&stack, &((struct object *) object)->entry);
}

int main(int argc, char **argv)
{
    for (uint32_t i = PATTERN_OBJECTS; i-- > 0;)
        peer_give(NULL, &objects[i]);
    return pool_main(argc, argv, NULL);
}
