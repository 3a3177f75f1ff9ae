/* SPDX-License-Identifier: MIT
 *
 * The counters, and the wrapped mi_ functions: the linker sends each call of mi_x in the program's
 * own objects to __wrap_mi_x, and __real_mi_x is the one that was meant.
 */
#include "alloc_count.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static atomic_uint_fast64_t allocations; /* relaxed: counters that order nothing */
static atomic_uint_fast64_t frees;

void alloc_count_add(void)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

void alloc_count_add_free(void)
{
    atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
}

uint64_t alloc_count_now(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

uint64_t alloc_count_frees(void)
{
    return atomic_load_explicit(&frees, memory_order_relaxed);
}

void alloc_count_control(void)
{
    void *(*volatile allocate)(size_t) = malloc; /* a plain pair would be optimised away */
    void (*volatile release)(void *) = free;

    release(allocate(1));
}

#define WRAP(name, parameters, ...)                                                                \
    void *__real_##name parameters;                                                                \
    void *__wrap_##name parameters;                                                                \
    void *__wrap_##name parameters                                                                 \
    {                                                                                              \
        alloc_count_add();                                                                         \
        return __real_##name(__VA_ARGS__);                                                         \
    }

WRAP(mi_malloc, (size_t size), size)
WRAP(mi_zalloc, (size_t size), size)
WRAP(mi_calloc, (size_t count, size_t size), count, size)
WRAP(mi_realloc, (void *block, size_t size), block, size)
WRAP(mi_malloc_aligned, (size_t size, size_t align), size, align)
WRAP(mi_zalloc_aligned, (size_t size, size_t align), size, align)
WRAP(mi_calloc_aligned, (size_t count, size_t size, size_t align), count, size, align)
WRAP(mi_realloc_aligned, (void *block, size_t size, size_t align), block, size, align)

#define WRAP_FREE(name, parameters, ...)                                                           \
    void __real_##name parameters;                                                                 \
    void __wrap_##name parameters;                                                                 \
    void __wrap_##name parameters                                                                  \
    {                                                                                              \
        alloc_count_add_free();                                                                    \
        __real_##name(__VA_ARGS__);                                                                \
    }

WRAP_FREE(mi_free, (void *block), block)
WRAP_FREE(mi_free_size, (void *block, size_t size), block, size)
WRAP_FREE(mi_free_aligned, (void *block, size_t align), block, align)
WRAP_FREE(mi_free_size_aligned, (void *block, size_t size, size_t align), block, size, align)
