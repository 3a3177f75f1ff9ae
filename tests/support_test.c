/* SPDX-License-Identifier: MIT
 *
 * The instruments that other tests rely on: a counter that counts nothing and a filter that lets
 * everything through would make those tests pass for the wrong reason.
 */
#include "alloc_count.h"
#include "no_mmap.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <malloc.h>
#include <mimalloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each expression allocates once, and is counted once; what it allocated is freed, and counted. */
#define COUNTED(allocate, release)                                                                 \
    do {                                                                                           \
        uint64_t before = alloc_count_now(), frees = alloc_count_frees();                          \
        void *volatile block = (allocate);                                                         \
                                                                                                   \
        cr_assert_not_null(block, #allocate);                                                      \
        cr_assert_eq(alloc_count_now() - before, 1, #allocate);                                    \
        release(block);                                                                            \
        cr_assert_eq(alloc_count_frees() - frees, 1, #release " after " #allocate);                \
    } while (0)

static void *by_posix_memalign(void)
{
    void *block;

    return posix_memalign(&block, 64, 100) == 0 ? block : NULL;
}

Test(support, every_member_of_the_malloc_family_is_counted)
{
    if (!alloc_count_supported())
        cr_skip_test("nothing can count every allocation under this sanitizer");
    COUNTED(malloc(100), free);
    COUNTED(calloc(10, 10), free);
    COUNTED(realloc(NULL, 100), free);
    COUNTED(reallocarray(NULL, 10, 10), free);
    COUNTED(aligned_alloc(64, 128), free);
    COUNTED(memalign(64, 100), free);
    COUNTED(valloc(100), free);
    COUNTED(pvalloc(100), free);
    COUNTED(by_posix_memalign(), free);
    COUNTED(strdup("by the C library"), free);
}

Test(support, realloc_of_a_block_is_counted)
{
    void *volatile block = malloc(100);
    uint64_t before = alloc_count_now();

    if (!alloc_count_supported())
        cr_skip_test("nothing can count every allocation under this sanitizer");
    block = realloc(block, 1000);
    cr_assert_eq(alloc_count_now() - before, 1);
    free(block);
}

Test(support, calls_of_mimalloc_are_counted)
{
    if (!alloc_count_supported())
        cr_skip_test("nothing can count every allocation under this sanitizer");
    COUNTED(mi_malloc(100), mi_free);
    COUNTED(mi_zalloc(100), mi_free);
    COUNTED(mi_calloc(10, 10), mi_free);
    COUNTED(mi_malloc_aligned(100, 64), mi_free);
    COUNTED(mi_zalloc_aligned(100, 64), mi_free);
}

Test(support, the_control_allocates_once)
{
    uint64_t before = alloc_count_now();

    if (!alloc_count_supported())
        cr_skip_test("nothing can count every allocation under this sanitizer");
    alloc_count_control();
    cr_assert_eq(alloc_count_now() - before, 1);
}

/* How a child ends that calls act() where memory cannot be mapped. */
static int status_without_mmap(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        signal(SIGSYS, SIG_DFL);
        if (no_mmap_install() != 0)
            _exit(1);
        act();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static void do_nothing(void)
{
    (void) getpid();
}

static void allocate_much(void) /* less might come from what was mapped before */
{
    void *volatile block = malloc((size_t) 1 << 30);

    (void) block;
}

static void map_a_page(void)
{
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void remap_a_page(void)
{
    mremap(NULL, 4096, 8192, MREMAP_MAYMOVE);
}

static void unmap_a_page(void)
{
    munmap(NULL, 4096);
}

static void move_the_break(void)
{
    syscall(SYS_brk, NULL);
}

Test(support, without_mmap_only_mapping_is_deadly)
{
    static void (*const deadly[])(void) = {allocate_much, map_a_page, remap_a_page, unmap_a_page,
                                           move_the_break};
    int status = status_without_mmap(do_nothing);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned) status);
    for (unsigned i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        status = status_without_mmap(deadly[i]);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "number %u: status 0x%x", i,
                  (unsigned) status);
    }
}
