/* SPDX-License-Identifier: MIT
 *
 * The calls that reop makes to mimalloc, by the C library: a peer that is to use the C library's
 * malloc cannot link Debian's mimalloc, which replaces malloc in the whole process.
 */
#include <mimalloc.h>

#include <stdlib.h>
#include <string.h>

void *mi_malloc(size_t size)
{
    return malloc(size);
}

void *mi_zalloc_aligned(size_t size, size_t alignment)
{
    void *memory = NULL;

    return posix_memalign(&memory, alignment, size) == 0 ? memset(memory, 0, size) : NULL;
}

void mi_free(void *memory)
{
    free(memory);
}
