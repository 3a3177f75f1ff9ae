/* SPDX-License-Identifier: MIT
 *
 * The malloc family, defined here and therefore found first by every library of the process; each
 * call goes on to the C library's private name for the same thing (or to that of an allocator that
 * stands in for the C library's, such as Debian's libmimalloc).
 */
#include "alloc_count.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *block);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *reallocarray(void *block, size_t count, size_t size);
void *memalign(size_t align, size_t size);
void *aligned_alloc(size_t align, size_t size);
int posix_memalign(void **block_out, size_t align, size_t size);
void *valloc(size_t size);
void *pvalloc(size_t size);
void free(void *block);

bool alloc_count_supported(void)
{
    return true;
}

void *malloc(size_t size)
{
    alloc_count_add();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    alloc_count_add();
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    alloc_count_add();
    return __libc_realloc(block, size);
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;

    alloc_count_add();
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(block, bytes);
}

void *memalign(size_t align, size_t size)
{
    alloc_count_add();
    return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    alloc_count_add();
    return __libc_memalign(align, size);
}

int posix_memalign(void **block_out, size_t align, size_t size)
{
    void *block;

    alloc_count_add();
    if (align % sizeof(void *) != 0 || align == 0 || (align & (align - 1)) != 0)
        return EINVAL;
    block = __libc_memalign(align, size);
    if (block == NULL)
        return ENOMEM;
    *block_out = block;
    return 0;
}

void *valloc(size_t size)
{
    alloc_count_add();
    return __libc_memalign((size_t) sysconf(_SC_PAGESIZE), size);
}

void *pvalloc(size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);

    alloc_count_add();
    return __libc_memalign(page, (size + page - 1) & ~(page - 1));
}

void free(void *block)
{
    if (block != NULL)
        alloc_count_add_free();
    __libc_free(block);
}
