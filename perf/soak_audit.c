/* SPDX-License-Identifier: MIT
 *
 * What has to add up when nothing is in flight: our books, the pools, the engines, the files, the
 * heap and what the process holds of the system.
 */
#include "alloc_count.h"
#include "soak_child.h"

#include <inttypes.h>
#include <string.h>

void soak_series_add(struct soak_series *series, double x, double y)
{
    if (series->every == 0)
        series->every = 1;
    if (++series->skipped < series->every)
        return;
    series->skipped = 0;
    if (series->count == SOAK_SERIES) {
        for (uint32_t i = 0; i < SOAK_SERIES / 2; i++) {
            series->x[i] = series->x[2 * i + 1];
            series->y[i] = series->y[2 * i + 1];
        }
        series->count /= 2;
        series->every *= 2;
    }
    series->x[series->count] = x;
    series->y[series->count++] = y;
}

/* --- conservation --- */

static void audit_pool_books(enum soak_pool pool)
{
    uint64_t acquired = 0, released = 0;

    for (unsigned i = 0; i < SOAK_THREADS; i++) {
        acquired += atomic_load(&work.shared->tallies[i].acquired[pool]);
        released += atomic_load(&work.shared->tallies[i].released[pool]);
    }
    if (acquired != released)
        soak_fail(SOAK_CONSERVATION, NULL,
                  "OP LEAKED: %" PRIu64 " ops acquired and %" PRIu64 " released, none in flight",
                  acquired, released);
}

/* The pool itself is asked for everything it has, by way of each lane, since a lane keeps a few at
 * hand beyond op_count; each op has to be as it was released. */
static void audit_pool(enum soak_pool pool, uint32_t op_count)
{
    static struct soak_op *ops[SOAK_OPS_MAX];
    static uint32_t at_first[SOAK_POOLS];
    uint32_t count = 0;

    for (unsigned i = 0; i < SOAK_THREADS; i++) {
        while (count < SOAK_OPS_MAX &&
               (ops[count] = driver_acquire(&work.drivers[i], pool)) != NULL)
            count++;
    }
    if (at_first[pool] == 0)
        at_first[pool] = count;
    if (count != at_first[pool] || count < op_count)
        soak_fail(SOAK_CONSERVATION, NULL,
                  "OP LEAKED: a pool of %" PRIu32 " ops has %" PRIu32 " left of %" PRIu32
                  ", none in flight",
                  op_count, count, at_first[pool]);
    while (count > 0)
        driver_release(SOAK_CONDUCTOR, ops[--count]);
}

static void audit_engine(enum soak_engine engine)
{
    uint64_t submitted = 0, completed = 0;
    struct reop_engine_stats stats;

    for (unsigned i = 0; i < SOAK_THREADS; i++) {
        submitted += atomic_load(&work.shared->tallies[i].submitted[engine]);
        completed += atomic_load(&work.shared->tallies[i].completed[engine]);
    }
    reop_engine_query(work.engines[engine], &stats);
    if (engine == SOAK_SOUND) { /* the ops that were aged before the books were opened */
        submitted += work.aged;
        completed += work.aged;
    }
    if (submitted != completed || stats.submitted != submitted || stats.completed != completed)
        soak_fail(SOAK_CONSERVATION, NULL,
                  "the engine submitted %" PRIu64 " and completed %" PRIu64
                  ", our books say %" PRIu64 " and %" PRIu64 ", none in flight",
                  stats.submitted, stats.completed, submitted, completed);
    if (stats.unexpected != 0)
        soak_fail(SOAK_REUSE, NULL, "%" PRIu64 " packets came for ops that were not in flight",
                  stats.unexpected);
}

static void audit_files(void)
{
    uint32_t files[SOAK_ENGINES] = {0, 0};
    struct reop_engine_stats stats;

    for (unsigned i = 0; i < SOAK_TARGETS; i++) {
        struct reop_file_info info;

        if (work.files[i].file == NULL)
            continue;
        files[work.files[i].engine]++;
        if (reop_file_query(work.files[i].file, &info) < 0 || info.submitted != info.completed)
            soak_fail(SOAK_CONSERVATION, NULL,
                      "%s: %" PRIu64 " ops submitted and %" PRIu64 " completed, none in flight",
                      work.files[i].path, info.submitted, info.completed);
    }
    for (unsigned i = 0; i < SOAK_ENGINES; i++) {
        reop_engine_query(work.engines[i], &stats);
        if (stats.files != files[i])
            soak_fail(SOAK_CONSERVATION, NULL,
                      "the engine has %" PRIu32 " files open instead of %" PRIu32, stats.files,
                      files[i]);
    }
}

/* --- heap and system --- */

static void audit_allocations(void)
{
    int64_t allocations;

    if (!work.counts_allocations || !work.measuring)
        return;
    allocations =
        (int64_t) (alloc_count_now() - atomic_load(&work.shared->excused)) - work.base_allocations;
    atomic_store(&work.shared->allocations, allocations);
    if (allocations != 0)
        soak_fail(SOAK_ALLOCATIONS, NULL,
                  "ALLOCATED: %" PRId64 " calls of the malloc family since the warm-up",
                  allocations);
}

static void same(const char *what, int64_t before, int64_t now)
{
    if (before != now)
        soak_fail(SOAK_HANDLES, NULL, "%s: %" PRId64 " after the warm-up, %" PRId64 " now", what,
                  before, now);
}

static void audit_handles(void)
{
    const struct process_usage *before = &work.shared->baseline, *now = &work.shared->usage;

    if (!work.measuring || work.order.kind == SOAK_READ_BACK) /* then one file more is open */
        return;
    same("DESCRIPTORS LEAKED", before->descriptors, now->descriptors);
    same("THREADS LEFT", before->threads, now->threads);
    same("MAPPINGS LEFT", before->mappings, now->mappings);
}

/* What is resident counts once each kind of phase has run at its full length. */
void audit_sample(void)
{
    bool settled = atomic_load(&work.shared->phases) >= SOAK_KINDS;

    process_usage(&work.shared->usage);
    if (settled && work.shared->usage.resident_kib >= 0)
        soak_series_add(&work.shared->memory,
                        (double) (platform_now_ns() - work.shared->start_ns) / SOAK_NS,
                        (double) work.shared->usage.resident_kib);
}

static void note_uses(void)
{
    for (uint32_t i = 0; i < atomic_load(&work.shared->op_count); i++) {
        uint64_t use = atomic_load(&work.shared->ops[i].use);

        if (use > atomic_load(&work.shared->use_highest))
            atomic_store(&work.shared->use_highest, use);
    }
}

void audit(void)
{
    for (unsigned i = 0; i < SOAK_ENGINES; i++)
        audit_engine((enum soak_engine) i);
    audit_files();
    for (unsigned i = 0; i < SOAK_POOLS; i++)
        audit_pool_books((enum soak_pool) i);
    work.auditing = true;
    audit_pool(SOAK_SMALL, SOAK_SMALL_OPS);
    audit_pool(SOAK_LARGE, SOAK_HUGE_OPS);
    work.auditing = false;
    audit_sample();
    audit_allocations();
    audit_handles();
    note_uses();
    atomic_fetch_add(&work.shared->audits, 1);
}

void audit_begin(void)
{
    process_usage(&work.shared->baseline);
    work.base_allocations = (int64_t) (alloc_count_now() - atomic_load(&work.shared->excused));
    atomic_store(&work.shared->allocations, work.counts_allocations ? 0 : -1);
    work.measuring = true;
}
