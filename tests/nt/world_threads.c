/* SPDX-License-Identifier: MIT
 *
 * Real threads, real time.
 */
#include "chance.h"
#include "world.h"

#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const bool world_has_device_thread = true;

uint32_t *world_last_error(void)
{
    static _Thread_local uint32_t last_error;

    return &last_error;
}

/* A generator of its own for each thread: the decisions' generator is behind the kernel's lock. */
void world_boundary(void)
{
    static _Atomic uint32_t threads;
    static _Thread_local uint32_t state;

    if (state == 0)
        state = atomic_fetch_add(&threads, 1) * 2654435769u | 1u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (state % 64 == 0)
        world_sleep((int64_t) (state >> 16) % 64 * 1000);
    else if (state % 8 == 0)
        sched_yield();
}

void world_sleep(int64_t ns)
{
    struct timespec left = {(time_t) (ns / 1000000000), (long) (ns % 1000000000)};

    while (nanosleep(&left, &left) != 0) {
        /* A signal: sleep the rest. */
    }
}

void world_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("fake NT: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\nthread timing is not repeated, decisions are: ", stderr);
    va_end(arguments);
    chance_print();
    abort();
}
