/* SPDX-License-Identifier: MIT
 *
 * The four functions of mimalloc that the library calls, on the C library's allocator: a sanitizer
 * then sees where each block ends and whether it was given back.
 */
#include <mimalloc.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mi_malloc(size_t size)
{
    return malloc(size);
}

void *mi_malloc_aligned(size_t size, size_t align)
{
    void *block = NULL;

    return posix_memalign(&block, align, size) == 0 ? block : NULL;
}

void *mi_zalloc_aligned(size_t size, size_t align)
{
    void *block = mi_malloc_aligned(size, align);

    if (block != NULL)
        memset(block, 0, size);
    return block;
}

void mi_free(void *block)
{
    free(block);
}
