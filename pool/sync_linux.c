/* SPDX-License-Identifier: MIT
 *
 * The part of sync.h that is Linux's own: membarrier and huge pages.
 */
#define _GNU_SOURCE

#include "sync.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE_PAGE_SIZE ((uintptr_t) 2 << 20)

static atomic_bool membarrier_registered;

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

bool sync_barrier_init(void)
{
    bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;

    if (registered) /* release: pairs with sync_barrier */
        atomic_store_explicit(&membarrier_registered, true, memory_order_release);
    return registered;
}

void sync_barrier(void)
{
    if (!atomic_load_explicit(&membarrier_registered, memory_order_acquire)) {
        atomic_thread_fence(memory_order_seq_cst);
        return;
    }
    /* Other threads count on it and have no fence of their own: going on would lose a wake-up. */
    REOP_CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0,
               "membarrier worked at create and is refused now: %s", strerror(errno));
}

/* madvise takes the advice also where huge pages are switched off. */
static bool huge_pages_off(void)
{
    char text[64] = "";
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return true;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close(fd);
    return strstr(text, "[never]") != NULL;
}

const char *sync_huge_pages(void *memory, size_t size)
{
    uintptr_t first = ((uintptr_t) memory + HUGE_PAGE_SIZE - 1) & ~(HUGE_PAGE_SIZE - 1);
    uintptr_t end = ((uintptr_t) memory + size) & ~(HUGE_PAGE_SIZE - 1);

    if (end <= first)
        return "huge pages: the pool is smaller than one";
    if (huge_pages_off())
        return "huge pages: switched off (/sys/kernel/mm/transparent_hugepage/enabled)";
    if (madvise((void *) first, end - first, MADV_HUGEPAGE) != 0)
        return "huge pages: madvise(MADV_HUGEPAGE) was refused";
    return "";
}
