/* SPDX-License-Identifier: MIT
 *
 * A sanitizer has the malloc family already, and offers hooks.
 */
#include "alloc_count.h"

#include <stddef.h>

int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *));

static void allocated(const volatile void *block, size_t size)
{
    (void) block;
    (void) size;
    alloc_count_add();
}

static void freed(const volatile void *block)
{
    (void) block;
    alloc_count_add_free();
}

static bool installed;

__attribute__((constructor)) static void install(void)
{
    installed = __sanitizer_install_malloc_and_free_hooks(allocated, freed) != 0;
}

bool alloc_count_supported(void)
{
    return installed;
}
