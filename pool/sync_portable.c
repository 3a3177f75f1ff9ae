/* SPDX-License-Identifier: MIT
 *
 * The part of sync.h that POSIX systems other than Linux answer without help from the kernel.
 */
#include "sync.h"

#include <stdatomic.h>

bool sync_barrier_init(void)
{
    return false;
}

void sync_barrier(void)
{
    atomic_thread_fence(memory_order_seq_cst); /* the light half is one too */
}

const char *sync_huge_pages(void *memory, size_t size)
{
    (void) memory;
    (void) size;
    return "huge pages: this system has no call for them";
}
