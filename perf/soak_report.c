/* SPDX-License-Identifier: MIT
 *
 * The report is a file of JSON lines, opened to append. A line is gathered in the stream's own
 * buffer and written at once, so that whatever kills us leaves whole lines.
 */
#include "report.h"
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_SIZE (1 << 18)
#define EVENTS_SHOWN  20u
#define FACTS_WARNED  8u
#define COMMAND_MAX   4608
#define LIVE_NS       (SOAK_NS / 4)

const char *const soak_step_names[SOAK_STEPS] = {
    "none",     "acquired", "submitted", "submitted again", "cancel asked",   "came back",
    "released", "phase",    "quiet",     "opened",          "engine created", "engine destroyed"};

const char *soak_op_kind(uint32_t kind)
{
    switch (kind) {
    case REOP_KIND_READ:
        return "read";
    case REOP_KIND_WRITE:
        return "write";
    case REOP_KIND_SYNC_DATA:
        return "sync";
    case REOP_KIND_POST:
        return "post";
    default:
        return "nothing";
    }
}

static struct {
    FILE *file;
    const char *name;
} report;

bool soak_report_open(const struct soak_options *options)
{
    static char buffer[LINE_MAX_SIZE];

    if (options->report == NULL)
        return true;
    report.name = options->report;
    report.file = fopen(options->report, "ab");
    if (report.file == NULL) {
        report_problem("--report", "%s: %s.%s", options->report, platform_words(-errno, 0),
                       report_advice(-errno));
        return false;
    }
    setvbuf(report.file, buffer, _IOFBF, sizeof buffer);
    return true;
}

static bool end_line(void)
{
    fputs("}\n", report.file);
    if (fflush(report.file) == 0 && !ferror(report.file))
        return true;
    report_problem("--report", "%s: %s.%s", report.name, platform_words(-errno, 0),
                   report_advice(-errno));
    return false;
}

static double seconds_of(const struct soak_run *run)
{
    return (double) (platform_now_ns() - run->shared->start_ns) / SOAK_NS;
}

static void field(FILE *stream, const char *key, uint64_t value)
{
    fprintf(stream, ", \"%s\": %" PRIu64, key, value);
}

static void known(FILE *stream, const char *key, int64_t value)
{
    if (value < 0)
        fprintf(stream, ", \"%s\": null", key);
    else
        fprintf(stream, ", \"%s\": %" PRId64, key, value);
}

static void string(FILE *stream, const char *key, const char *value)
{
    fprintf(stream, ", \"%s\": ", key);
    report_json_string(stream, value);
}

static uint64_t submitted_of(const struct soak_shared *shared)
{
    return SOAK_SUM(shared, submitted[0]) + SOAK_SUM(shared, submitted[1]);
}

static uint64_t completed_of(const struct soak_shared *shared)
{
    return SOAK_SUM(shared, completed[0]) + SOAK_SUM(shared, completed[1]);
}

/* --- the first line --- */

static void tell_fact(void *context, const char *name, const char *value)
{
    FILE *stream = context;

    fputs(", ", stream);
    report_json_string(stream, name);
    fputs(": ", stream);
    report_json_string(stream, value);
}

struct warnings {
    char sentences[FACTS_WARNED][160];
    unsigned count;
};

static void keep_warning(void *context, const char *sentence)
{
    struct warnings *warnings = context;

    if (warnings->count < FACTS_WARNED)
        snprintf(warnings->sentences[warnings->count++], sizeof warnings->sentences[0], "%s",
                 sentence);
}

static void ignore_fact(void *context, const char *name, const char *value)
{
    (void) context;
    (void) name;
    (void) value;
}

static void ignore_warning(void *context, const char *sentence)
{
    (void) context;
    (void) sentence;
}

static void tell_environment(FILE *stream, const char *folder)
{
    static struct warnings warnings;
    struct platform_facts facts = {tell_fact, ignore_warning, stream};
    struct platform_facts spoilers = {ignore_fact, keep_warning, &warnings};

    fprintf(stream, ", \"environment\": {\"library\": \"reop %d.%d.%d\", \"compiler\": ",
            REOP_VERSION_MAJOR, REOP_VERSION_MINOR, REOP_VERSION_PATCH);
    report_json_string(stream, REOP_COMPILER);
    platform_tell_facts(folder, &facts);
    fputs("}, \"warnings\": [", stream);
    warnings.count = 0;
    platform_tell_facts(folder, &spoilers);
    for (unsigned i = 0; i < warnings.count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        report_json_string(stream, warnings.sentences[i]);
    }
    fputc(']', stream);
}

bool soak_report_begin(const struct soak_run *run)
{
    const struct soak_options *options = run->options;
    FILE *stream = report.file;

    if (stream == NULL)
        return true;
    fprintf(stream, "{\"reop_soak\": 1, \"line\": \"begin\", \"time\": %.3f",
            (double) platform_wall_ns() / SOAK_NS);
    field(stream, "seed", options->seed);
    fprintf(stream, ", \"duration_s\": %.3f, \"limit_s\": %.3f, \"phase_s\": %.3f",
            (double) options->duration_ns / SOAK_NS, (double) options->limit_ns / SOAK_NS,
            (double) soak_plan_length_ns(options) / SOAK_NS);
    field(stream, "read_percent", options->read_percent);
    fprintf(stream, ", \"fault_rate\": %g", options->fault_share);
    string(stream, "defect", soak_defect_names[options->defect]);
    string(stream, "folder", options->folder);
    fprintf(stream, ", \"child_pid\": %lu, \"command\": [\"reop\"", run->child.number);
    for (int i = 0; i < run->argc; i++) {
        fputs(", ", stream);
        report_json_string(stream, run->argv[i]);
    }
    fputc(']', stream);
    tell_environment(stream, options->folder);
    return end_line();
}

/* --- the lines in between --- */

static void put_counts(FILE *stream, const struct soak_shared *shared)
{
    field(stream, "submitted", submitted_of(shared));
    field(stream, "completed", completed_of(shared));
    field(stream, "reads", SOAK_SUM(shared, reads));
    field(stream, "writes", SOAK_SUM(shared, writes));
    field(stream, "syncs", SOAK_SUM(shared, syncs));
    field(stream, "posts", SOAK_SUM(shared, posts));
    field(stream, "bytes_read", SOAK_SUM(shared, bytes_read));
    field(stream, "bytes_written", SOAK_SUM(shared, bytes_written));
    field(stream, "blocks_checked", SOAK_SUM(shared, blocks_checked));
    field(stream, "cancels", SOAK_SUM(shared, cancels));
    field(stream, "cancelled", SOAK_SUM(shared, cancelled));
    field(stream, "past_cancels", SOAK_SUM(shared, too_late));
    field(stream, "short_transfers", SOAK_SUM(shared, shorts));
    field(stream, "injected_errors", SOAK_SUM(shared, faults));
    field(stream, "opens", SOAK_SUM(shared, opened));
    field(stream, "engines", SOAK_SUM(shared, engines));
    field(stream, "phases", atomic_load(&shared->phases));
    field(stream, "audits", atomic_load(&shared->audits));
    known(stream, "allocations", atomic_load(&shared->allocations));
    known(stream, "resident_kib", shared->usage.resident_kib);
    known(stream, "descriptors", shared->usage.descriptors);
    known(stream, "threads", shared->usage.threads);
    known(stream, "mappings", shared->usage.mappings);
}

static void put_latency(FILE *stream, const struct soak_shared *shared)
{
    static struct histogram latency;

    histogram_clear(&latency);
    for (unsigned i = 0; i < SOAK_DRIVERS; i++)
        histogram_add(&latency, &shared->latency[i]);
    fprintf(stream,
            ", \"steady_latency_ns\": {\"count\": %" PRIu64 ", \"p50\": %" PRId64
            ", \"p99\": %" PRId64 ", \"p99_9\": %" PRId64 ", \"max\": %" PRId64 "}",
            latency.total, histogram_percentile_ns(&latency, 50),
            histogram_percentile_ns(&latency, 99), histogram_percentile_ns(&latency, 99.9),
            latency.max_ns);
}

static const char *phase_name(const struct soak_shared *shared)
{
    static const char *const stages[] = {"set-up", "warm-up", NULL, "read back", "done"};
    const char *stage = stages[atomic_load(&shared->stage)];

    return stage != NULL ? stage : soak_kind_names[atomic_load(&shared->kind)];
}

bool soak_report_progress(struct soak_run *run)
{
    const struct soak_shared *shared = run->shared;
    uint64_t submitted = submitted_of(shared);
    int64_t now_ns = platform_now_ns();
    FILE *stream = report.file;

    if (stream == NULL)
        return true;
    fprintf(stream, "{\"line\": \"progress\", \"seconds\": %.1f", seconds_of(run));
    field(stream, "phase", atomic_load(&shared->phase));
    string(stream, "kind", phase_name(shared));
    string(stream, "backend", shared->backend);
    fprintf(stream, ", \"ops_per_second\": %.0f",
            (double) (submitted - run->submitted_before) * SOAK_NS /
                (double) (now_ns - run->line_ns));
    put_counts(stream, shared);
    put_latency(stream, shared);
    run->submitted_before = submitted;
    run->line_ns = now_ns;
    return end_line();
}

/* --- the last line --- */

static void put_event(FILE *stream, const struct soak_run *run, const struct soak_event *event)
{
    fprintf(stream, "{\"seconds\": %.6f, \"step\": \"%s\", \"detail\": %" PRId64,
            (double) (atomic_load(&event->ns) - run->shared->start_ns) / SOAK_NS,
            soak_step_names[atomic_load(&event->step) % SOAK_STEPS], atomic_load(&event->detail));
}

static void put_trail(FILE *stream, const struct soak_run *run, const struct soak_op *op)
{
    uint32_t count = atomic_load(&op->trail_count);
    uint32_t first = count > SOAK_TRAIL ? count - SOAK_TRAIL : 0;

    fputs(", \"trail\": [", stream);
    for (uint32_t i = first; i < count; i++) {
        const struct soak_event *event = &op->trail[i % SOAK_TRAIL];

        fputs(i > first ? ", " : "", stream);
        put_event(stream, run, event);
        fprintf(stream, ", \"thread\": %" PRIu32 "}", atomic_load(&event->other));
    }
    fputc(']', stream);
}

struct recent {
    const struct soak_event *event;
    unsigned thread;
};

static int by_time(const void *left, const void *right)
{
    int64_t a = atomic_load(&((const struct recent *) left)->event->ns);
    int64_t b = atomic_load(&((const struct recent *) right)->event->ns);

    return (a > b) - (a < b);
}

/* The last events of all threads, in order. */
static unsigned last_events(const struct soak_shared *shared, struct recent events[EVENTS_SHOWN])
{
    static struct recent all[SOAK_THREADS * SOAK_EVENTS];
    unsigned count = 0, first;

    for (unsigned thread = 0; thread < SOAK_THREADS; thread++) {
        uint32_t kept = atomic_load(&shared->event_counts[thread]);

        for (uint32_t i = 0; i < kept && i < SOAK_EVENTS; i++)
            all[count++] = (struct recent){&shared->events[thread][i], thread};
    }
    qsort(all, count, sizeof *all, by_time);
    first = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0;
    memcpy(events, all + first, (count - first) * sizeof *all);
    return count - first;
}

static void put_events(FILE *stream, const struct soak_run *run)
{
    struct recent events[EVENTS_SHOWN];
    unsigned count = last_events(run->shared, events);

    fputs(", \"events\": [", stream);
    for (unsigned i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        put_event(stream, run, events[i].event);
        fprintf(stream, ", \"thread\": %u, \"op\": %" PRId64 "}", events[i].thread,
                (int64_t) (int32_t) atomic_load(&events[i].event->other));
    }
    fputc(']', stream);
}

/* The oldest op in flight, where nobody named one: a hang begins with it. */
static const struct soak_op *op_to_show(const struct soak_run *run)
{
    const struct soak_shared *shared = run->shared;
    const struct soak_op *oldest = NULL;

    if (run->end == SOAK_FAILED)
        return shared->failed_op < SOAK_OPS_MAX ? &shared->ops[shared->failed_op] : NULL;
    for (uint32_t i = 0; i < atomic_load(&shared->op_count) && i < SOAK_OPS_MAX; i++) {
        const struct soak_op *op = &shared->ops[i];

        if (atomic_load(&op->state) == SOAK_IN_FLIGHT &&
            (oldest == NULL || atomic_load(&op->submit_ns) < atomic_load(&oldest->submit_ns)))
            oldest = op;
    }
    return oldest;
}

static const char *const states[] = {"free", "held", "in flight"};

static void put_op(FILE *stream, const struct soak_run *run, const struct soak_op *op)
{
    fprintf(stream,
            ", \"op\": {\"number\": %td, \"state\": \"%s\", \"use\": %" PRIu64
            ", \"kind\": \"%s\", \"file\": %" PRIu32 ", \"block\": %" PRIu32
            ", \"blocks\": %" PRIu32 ", \"bytes\": %" PRIu32 ", \"done\": %" PRIu32,
            op - run->shared->ops, states[atomic_load(&op->state) % 3], atomic_load(&op->use),
            soak_op_kind(op->kind), op->target, op->block, op->block_count, op->size, op->done);
    put_trail(stream, run, op);
    fputc('}', stream);
}

/* What repeats it: the same command, with the seed, from the phase on in which it happened. */
static const char *repeat_command(const struct soak_run *run, char command[COMMAND_MAX])
{
    const struct soak_options *options = run->options;
    const struct soak_shared *shared = run->shared;
    char defect[64] = "";

    if (options->defect != SOAK_DEFECT_NONE)
        snprintf(defect, sizeof defect, " --defect %s", soak_defect_names[options->defect]);
    snprintf(command, COMMAND_MAX,
             "reop soak --backend %s --seed %" PRIu64 " --phase %" PRIu64 " --mix %" PRIu32
             " --fault-rate %g --duration %.0fs --limit %.0fs%s '%s'",
             shared->backend[0] != '\0' ? shared->backend : "auto", options->seed,
             atomic_load(&shared->phase), options->read_percent, options->fault_share,
             (double) options->duration_ns / SOAK_NS, (double) options->limit_ns / SOAK_NS, defect,
             options->folder);
    return command;
}

static const char *const verdict_names[] = {"pass", "fail", "not judged"};
static const char *const end_names[] = {"pass", "partial", "fail", "hang", "crash", "environment"};

static const char *overall(const struct soak_run *run,
                           const struct soak_judgement judgements[SOAK_CHECKS])
{
    for (unsigned i = 0; i < SOAK_CHECKS; i++) {
        if (judgements[i].verdict == SOAK_FAIL)
            return end_names[SOAK_FAILED];
    }
    return end_names[run->end];
}

static void put_order(FILE *stream, const struct soak_shared *shared)
{
    fputs(", \"order\": [", stream);
    for (unsigned i = 0; i < SOAK_RAN && atomic_load(&shared->ran[i]) != 0; i++)
        fprintf(stream, "%s\"%s\"", i > 0 ? ", " : "",
                soak_kind_names[atomic_load(&shared->ran[i]) - 1]);
    fputc(']', stream);
}

static void put_end(FILE *stream, const struct soak_run *run,
                    const struct soak_judgement judgements[SOAK_CHECKS])
{
    const struct soak_op *op = op_to_show(run);
    char command[COMMAND_MAX];

    fprintf(stream, "{\"line\": \"end\", \"verdict\": \"%s\", \"partial\": %s, \"seconds\": %.3f",
            overall(run, judgements), run->end == SOAK_ENDED ? "false" : "true", seconds_of(run));
    field(stream, "seed", run->options->seed);
    field(stream, "phase", atomic_load(&run->shared->phase));
    string(stream, "kind", phase_name(run->shared));
    string(stream, "backend", run->shared->backend);
    string(stream, "why", run->shared->why);
    string(stream, "notes", run->shared->notes);
    put_counts(stream, run->shared);
    put_latency(stream, run->shared);
    put_order(stream, run->shared);
    fputs(", \"checks\": {", stream);
    for (unsigned i = 0; i < SOAK_CHECKS; i++) {
        fprintf(stream, "%s\"%s\": {\"verdict\": \"%s\", \"words\": ", i > 0 ? ", " : "",
                soak_check_names[i], verdict_names[judgements[i].verdict]);
        report_json_string(stream, judgements[i].words);
        fputc('}', stream);
    }
    fputc('}', stream);
    if (run->end < SOAK_FAILED)
        return;
    string(stream, "failure", run->end_words);
    if (op != NULL)
        put_op(stream, run, op);
    put_events(stream, run);
    string(stream, "repeat", repeat_command(run, command));
}

bool soak_report_end(struct soak_run *run, const struct soak_judgement judgements[SOAK_CHECKS])
{
    if (report.file == NULL)
        return true;
    put_end(report.file, run, judgements);
    return end_line();
}

/* --- for people --- */

static bool live;

void soak_report_live(const struct soak_run *run)
{
    static int64_t next_ns, before_ns;
    static uint64_t before;
    int64_t now_ns = platform_now_ns();
    uint64_t completed = completed_of(run->shared);

    if (now_ns < next_ns || !platform_stderr_is_terminal())
        return;
    fprintf(stderr,
            "\r%.0f of %.0f s  phase %" PRIu64 ", %s  %.0f op/s  %" PRIu64 " in flight  %" PRIu64
            " audits\033[K",
            seconds_of(run), (double) run->options->duration_ns / SOAK_NS,
            atomic_load(&run->shared->phase), phase_name(run->shared),
            (double) (completed - before) * SOAK_NS / (double) (now_ns - before_ns),
            submitted_of(run->shared) - completed, atomic_load(&run->shared->audits));
    before = completed;
    before_ns = now_ns;
    next_ns = now_ns + LIVE_NS;
    live = true;
}

void soak_report_live_end(void)
{
    if (live)
        fputs("\r\033[K", stderr);
    live = false;
}

static void show_event(const struct soak_run *run, const struct soak_event *event)
{
    fprintf(stderr, "    %12.6f s  %-16s %" PRId64,
            (double) (atomic_load(&event->ns) - run->shared->start_ns) / SOAK_NS,
            soak_step_names[atomic_load(&event->step) % SOAK_STEPS], atomic_load(&event->detail));
}

static void show_op(const struct soak_run *run, const struct soak_op *op)
{
    uint32_t count = atomic_load(&op->trail_count);

    fprintf(stderr,
            "  op %td: %s, use %" PRIu64 ", %s, file %" PRIu32 ", block %" PRIu32 " and %" PRIu32
            " in all, %" PRIu32 " of %" PRIu32 " bytes. Its last steps:\n",
            op - run->shared->ops, states[atomic_load(&op->state) % 3], atomic_load(&op->use),
            soak_op_kind(op->kind), op->target, op->block, op->block_count, op->done, op->size);
    for (uint32_t i = count > SOAK_TRAIL ? count - SOAK_TRAIL : 0; i < count; i++) {
        const struct soak_event *event = &op->trail[i % SOAK_TRAIL];

        show_event(run, event);
        fprintf(stderr, "  (thread %" PRIu32 ")\n", atomic_load(&event->other));
    }
}

void soak_report_failure(const struct soak_run *run)
{
    const struct soak_op *op = op_to_show(run);
    struct recent events[EVENTS_SHOWN];
    unsigned count = last_events(run->shared, events);
    char command[COMMAND_MAX];

    report_problem(end_names[run->end], "%s", run->end_words);
    if (run->end == SOAK_IMPOSSIBLE)
        return;
    fprintf(stderr,
            "  phase %" PRIu64 ", %s, seed %" PRIu64 ", backend %s, %.1f s after the start\n",
            atomic_load(&run->shared->phase), phase_name(run->shared), run->options->seed,
            run->shared->backend, seconds_of(run));
    if (op != NULL)
        show_op(run, op);
    fprintf(stderr, "  The last events:\n");
    for (unsigned i = 0; i < count; i++) {
        show_event(run, events[i].event);
        fprintf(stderr, "  (thread %u, op %" PRId64 ")\n", events[i].thread,
                (int64_t) (int32_t) atomic_load(&events[i].event->other));
    }
    fprintf(stderr,
            "  What is on the disk was left: reop_soak.* in %s\n"
            "  To repeat it: %s\n",
            run->options->folder, repeat_command(run, command));
}

static void print_text(const struct soak_run *run,
                       const struct soak_judgement judgements[SOAK_CHECKS])
{
    const struct soak_shared *shared = run->shared;
    const char *verdict = overall(run, judgements);

    printf("soak        %.1f of %.0f s, seed %" PRIu64 ", %" PRIu64 " phases, in %s\n",
           seconds_of(run), (double) run->options->duration_ns / SOAK_NS, run->options->seed,
           atomic_load(&shared->phases), run->options->folder);
    printf("backend     %s%s%s%s\n", shared->backend, *shared->why ? " (" : "", shared->why,
           *shared->why ? ")" : "");
    printf("ops         %" PRIu64 ": %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
           " syncs, %" PRIu64 " posts; %.1f MB read, %.1f MB written\n",
           completed_of(shared), SOAK_SUM(shared, reads), SOAK_SUM(shared, writes),
           SOAK_SUM(shared, syncs), SOAK_SUM(shared, posts),
           (double) SOAK_SUM(shared, bytes_read) / 1e6,
           (double) SOAK_SUM(shared, bytes_written) / 1e6);
    printf("faults      %" PRIu64 " injected errors, %" PRIu64 " short transfers\n",
           SOAK_SUM(shared, faults), SOAK_SUM(shared, shorts));
    if (*shared->notes)
        printf("note        %s\n", shared->notes);
    for (unsigned i = 0; i < SOAK_CHECKS; i++)
        printf("%-16s %-10s %s\n", soak_check_names[i], verdict_names[judgements[i].verdict],
               judgements[i].words);
    if (run->end == SOAK_STOPPED)
        printf("PARTIAL     %s\n", run->end_words);
    printf("verdict     %s\n", verdict);
}

void soak_report_print(const struct soak_run *run,
                       const struct soak_judgement judgements[SOAK_CHECKS])
{
    if (!run->options->json) {
        print_text(run, judgements);
        return;
    }
    put_end(stdout, run, judgements);
    puts("}");
}
