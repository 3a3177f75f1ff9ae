/* SPDX-License-Identifier: MIT
 *
 * Verdicts, when a run is over. Most checks have been made while it ran and end it where they fail;
 * memory and latency are judged by their whole course.
 */
#include "latency_statistics.h"
#include "report.h"
#include "soak.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define DRIFT_SECONDS    600.0
#define MEMORY_SECONDS   1800.0
#define ENOUGH_POINTS    32u
#define GROWTH_KIB       64.0 /* an hour */
#define SLOWER           1.10
#define SHORT_USE        65536u /* launches, of which a ring's answer carries the number */
#define SECONDS_PER_HOUR 3600.0

const char *const soak_check_names[SOAK_CHECKS + 1] = {
    "conservation", "lost completion", "reuse",    "data",      "allocations", "memory",
    "handles",      "latency drift",   "counters", "lifecycle", "etw",         "environment"};

uint64_t soak_sum(const struct soak_shared *shared, size_t field_offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SOAK_THREADS; i++)
        sum += atomic_load(
            (const _Atomic uint64_t *) (const void *) ((const char *) &shared->tallies[i] +
                                                       field_offset));
    return sum;
}

REPORT_PRINTF(3, 4)
static void say(struct soak_judgement *judgement, enum soak_verdict verdict, const char *format,
                ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(judgement->words, sizeof judgement->words, format, arguments);
    va_end(arguments);
    judgement->verdict = verdict;
}

static double covered(const struct soak_series *series)
{
    return series->count < 2 ? 0 : series->x[series->count - 1] - series->x[0];
}

static void judge_memory(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    static struct statistics_slope slope;
    double low, high, hourly;

    if (shared->usage.resident_kib < 0) {
        say(judgement, SOAK_UNJUDGED, "not known on this system");
        return;
    }
    if (covered(&shared->memory) < MEMORY_SECONDS || shared->memory.count < ENOUGH_POINTS) {
        say(judgement, SOAK_UNJUDGED,
            "too short to judge: %.0f s of %.0f; %" PRId64 " KiB resident, %+" PRId64
            " since the warm-up",
            covered(&shared->memory), MEMORY_SECONDS, shared->usage.resident_kib,
            shared->usage.resident_kib - shared->baseline.resident_kib);
        return;
    }
    statistics_slope(shared->memory.x, shared->memory.y, shared->memory.count, &slope);
    hourly = slope.slope * SECONDS_PER_HOUR;
    low = slope.low * SECONDS_PER_HOUR;
    high = slope.high * SECONDS_PER_HOUR;
    say(judgement, slope.trend && low > GROWTH_KIB ? SOAK_FAIL : SOAK_PASS,
        "%" PRId64 " KiB resident, %+.1f KiB an hour (95 %%: %+.1f to %+.1f), %s",
        shared->usage.resident_kib, hourly, low, high, slope.trend ? "a trend" : "no trend");
}

static struct statistics_ratio last_to_first(const struct soak_series *series)
{
    static double values[SOAK_SERIES];
    unsigned quarter = series->count / 4;
    struct statistics_run first = {values, quarter};
    struct statistics_run last = {values + series->count - quarter, quarter};
    struct statistics_ratio ratio;

    for (unsigned i = 0; i < series->count; i++)
        values[i] = series->y[i] + 1; /* no 0, of which there is no logarithm */
    statistics_bootstrap(&first, 1, &last, 1, &ratio);
    return ratio;
}

static void judge_drift(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    struct statistics_ratio op, machine;

    if (covered(&shared->drift) < DRIFT_SECONDS || shared->drift.count < ENOUGH_POINTS ||
        shared->delay.count < ENOUGH_POINTS) {
        say(judgement, SOAK_UNJUDGED,
            "too short to judge: %.0f s of %.0f, %" PRIu32 " points of %u", covered(&shared->drift),
            DRIFT_SECONDS, shared->drift.count, ENOUGH_POINTS);
        return;
    }
    op = last_to_first(&shared->drift);
    machine = last_to_first(&shared->delay);
    if (op.low > SLOWER && machine.low > SLOWER)
        say(judgement, SOAK_UNJUDGED,
            "inconclusive: %.3f times the latency (95 %%: %.3f to %.3f), "
            "but the machine itself woke sleepers %.3f times as late (%.3f to %.3f)",
            op.ratio, op.low, op.high, machine.ratio, machine.low, machine.high);
    else
        say(judgement, op.low > SLOWER ? SOAK_FAIL : SOAK_PASS,
            "last quarter to first: %.3f times the latency (95 %%: %.3f to %.3f); machine's own "
            "delay %.3f times",
            op.ratio, op.low, op.high, machine.ratio);
}

static void judge_data(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    bool complete = atomic_load(&shared->stage) == SOAK_DONE && !atomic_load(&shared->stop);
    uint64_t checked = SOAK_SUM(shared, blocks_checked), total = atomic_load(&shared->blocks_total);

    if (complete)
        say(judgement, SOAK_PASS,
            "%" PRIu64 " blocks checked; all %" PRIu64 " read back at the end, %" PRIu64
            " of them kept unreadable by injected faults",
            checked, total, atomic_load(&shared->unreadable));
    else
        say(judgement, checked > 0 ? SOAK_PASS : SOAK_UNJUDGED,
            "%" PRIu64 " blocks checked; not read back at the end", checked);
}

/* Only a ring's answer carries less than the whole use number. */
static void judge_counters(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    uint64_t wrapped = atomic_load(&shared->blocks_wrapped);
    uint64_t started = atomic_load(&shared->use_started);
    uint64_t highest = atomic_load(&shared->use_highest);
    bool rings = strcmp(shared->backend, "uring") == 0;
    bool passed = started < SHORT_USE && highest > SHORT_USE;

    say(judgement, wrapped > 0 && (passed || !rings) ? SOAK_PASS : SOAK_UNJUDGED,
        "sequence numbers of %" PRIu64 " blocks passed 2^32; an op's use number went from %" PRIu64
        " to %" PRIu64 "%s",
        wrapped, started, highest,
        !rings   ? ""
        : passed ? ", past the 2^16 of which a ring carries it"
                 : ", not past the 2^16 of which a ring carries it");
}

static void judge_lifecycle(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    uint64_t full = SOAK_SUM(shared, filled_up), engines = SOAK_SUM(shared, engines);

    say(judgement, engines > 0 ? SOAK_PASS : SOAK_UNJUDGED,
        "%" PRIu64 " opens, %" PRIu64 " closes refused while ops were in flight, %" PRIu64
        " engines created and destroyed, %" PRIu64 " writes to a full device%s",
        SOAK_SUM(shared, opened), SOAK_SUM(shared, closes_refused), engines, full,
        full == 0 ? " (there is none here)" : "");
}

static void judge_counts(const struct soak_shared *shared, struct soak_judgement *judgements)
{
    uint64_t audits = atomic_load(&shared->audits);
    uint64_t ops = SOAK_SUM(shared, completed[0]) + SOAK_SUM(shared, completed[1]);
    int64_t allocations = atomic_load(&shared->allocations);

    say(&judgements[SOAK_CONSERVATION], audits > 0 ? SOAK_PASS : SOAK_UNJUDGED,
        "%" PRIu64 " audits", audits);
    say(&judgements[SOAK_LOST], SOAK_PASS, "%" PRIu64 " ops came back, none later than %.0f s", ops,
        (double) shared->options.limit_ns / SOAK_NS);
    say(&judgements[SOAK_REUSE], SOAK_PASS,
        "%" PRIu64 " ops acquired as they were released; %" PRIu64 " cancelled of %" PRIu64
        " asked; %" PRIu64 " cancels of past launches did nothing",
        SOAK_SUM(shared, acquired[0]) + SOAK_SUM(shared, acquired[1]), SOAK_SUM(shared, cancelled),
        SOAK_SUM(shared, cancels), SOAK_SUM(shared, too_late));
    if (allocations < 0)
        say(&judgements[SOAK_ALLOCATIONS], SOAK_UNJUDGED, "cannot be counted in this build");
    else
        say(&judgements[SOAK_ALLOCATIONS], SOAK_PASS,
            "%" PRId64 " since the warm-up, and %" PRIu64
            " while engines were created and destroyed",
            allocations, atomic_load(&shared->excused));
}

static void judge_handles(const struct soak_shared *shared, struct soak_judgement *judgement)
{
    const struct process_usage *usage = &shared->baseline;

    if (usage->descriptors < 0)
        say(judgement, SOAK_UNJUDGED, "not known on this system");
    else if (usage->threads < 0)
        say(judgement, SOAK_PASS,
            "%" PRId64 " handles at each audit; threads and mappings are not "
            "counted here",
            usage->descriptors);
    else
        say(judgement, SOAK_PASS,
            "%" PRId64 " descriptors, %" PRId64 " threads, %" PRId64 " mappings at each audit",
            usage->descriptors, usage->threads, usage->mappings);
}

void soak_judge(const struct soak_shared *shared, struct soak_judgement judgements[SOAK_CHECKS])
{
    uint32_t failed = atomic_load(&shared->failed_check);

    judge_counts(shared, judgements);
    judge_data(shared, &judgements[SOAK_DATA]);
    judge_memory(shared, &judgements[SOAK_MEMORY]);
    judge_handles(shared, &judgements[SOAK_HANDLES]);
    judge_drift(shared, &judgements[SOAK_DRIFT]);
    judge_counters(shared, &judgements[SOAK_COUNTERS]);
    judge_lifecycle(shared, &judgements[SOAK_LIFECYCLES]);
    judgements[SOAK_ETW] = soak_etw_end();
    if (atomic_load(&shared->stage) < SOAK_RUNNING) {
        for (unsigned i = 0; i < SOAK_CHECKS; i++)
            say(&judgements[i], SOAK_UNJUDGED, "it did not get past its warm-up");
    }
    if (atomic_load(&shared->told) && failed < SOAK_CHECKS)
        say(&judgements[failed], SOAK_FAIL, "%.250s", shared->failure);
}
