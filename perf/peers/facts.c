/* SPDX-License-Identifier: MIT
 *
 * What never shows in operations per second: the bytes of an op, the time to create a pool of a
 * million beside the first touch of as many bytes, and what an idle engine does in a second. Prints
 * one "name value" per line.
 */
#define _GNU_SOURCE

#include <reop/reop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define OPS 1000000u

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec * 1e-6;
}

static void create_pool(const char *name, uint32_t flags, uint32_t buffer_size)
{
    reop_pool_config config = {.op_count = OPS, .flags = flags, .buffer_size = buffer_size};
    double start_ms = now_ms();
    reop_pool *pool;

    if (reop_pool_create(&config, &pool) != 0)
        exit(1);
    printf("%s %.2f\n", name, now_ms() - start_ms);
    reop_pool_destroy(pool);
}

static double touch(size_t size, int advice)
{
    double start_ms = now_ms();
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        exit(1);
    madvise(memory, size, advice);
    memset(memory, 1, size);
    start_ms = now_ms() - start_ms;
    munmap(memory, size);
    return start_ms;
}

/* How often the process was scheduled while it waited for nothing. */
static void idle(void)
{
    reop_pool_config pool_config = {.op_count = 8};
    reop_engine_config config = {0};
    struct rusage before, after;
    reop_engine *engine;
    reop_op *op;

    if (reop_pool_create(&pool_config, &config.pool) != 0 ||
        reop_engine_create(&config, &engine) != 0)
        exit(1);
    reop_reap(engine, &op, 1, 1000000); /* sets up what the first reap does */
    getrusage(RUSAGE_SELF, &before);
    reop_reap(engine, &op, 1, 1000000000);
    getrusage(RUSAGE_SELF, &after);
    /* Asleep once; every further time was a wake-up for nothing. */
    printf("idle_wakeups_per_s %ld\n", after.ru_nvcsw - before.ru_nvcsw - 1);
    reop_engine_destroy(engine);
    reop_pool_destroy(config.pool);
}

int main(void)
{
    reop_pool_config config = {.op_count = OPS};
    size_t size = reop_pool_footprint(&config);

    printf("bytes_per_op %.2f\n", (double) size / OPS);
    printf("pool_mib %.1f\n", (double) size / (1 << 20));
    /* A virtual machine's memory may cost its host more, once, than the machine itself. */
    touch(size, MADV_NORMAL);
    create_pool("create_ms", 0, 0);
    printf("first_touch_ms %.2f\n", touch(size, MADV_NORMAL));
    touch(2 * size, MADV_HUGEPAGE);
    create_pool("create_huge_pages_ms", REOP_POOL_HUGE_PAGES, 0);
    create_pool("create_with_4k_buffers_ms", 0, 4096);
    idle();
    return 0;
}
