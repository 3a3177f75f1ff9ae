/* SPDX-License-Identifier: MIT */
#include "latency.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CLOCK_STEP_NS 100000000

const struct latency_percentile latency_percentiles[LATENCY_PERCENTILES] = {
    {"p50", "p50", 50},       {"p90", "p90", 90},          {"p99", "p99", 99},
    {"p99_9", "p99.9", 99.9}, {"p99_99", "p99.99", 99.99}, {"p99_999", "p99.999", 99.999},
};

double latency_achieved(const struct latency_run *run)
{
    return run->measured_ns > 0 ? (double) run->completed_in_time * 1e9 / (double) run->measured_ns
                                : 0;
}

/* --- verdicts --- */

/* A stall leaves a backlog that goes away; one that was there for the last quarter of the run and
 * has grown does not. Whoever stops a run gives its last arrivals no time. */
static bool not_sustained(const struct latency_run *run)
{
    return (run->end == LATENCY_COMPLETE && run->abandoned > 0) ||
           (run->backlog_slope > 0 && run->backlog_age_ns > run->measured_ns / 4);
}

unsigned latency_faults(const struct latency_run *run)
{
    const struct histogram *response = &run->series[LATENCY_RESPONSE];
    int64_t p99_ns = histogram_percentile_ns(response, 99);
    unsigned faults = 0;

    if (run->end != LATENCY_COMPLETE)
        faults |= LATENCY_PARTIAL;
    if (!run->options->closed && not_sustained(run))
        faults |= LATENCY_NOT_SUSTAINED;
    if (histogram_percentile_ns(&run->lateness, 99.9) * 10 > p99_ns)
        faults |= LATENCY_NOISY_GENERATOR;
    if (run->measured_ns > 0 && !run->warmup_settled)
        faults |= LATENCY_NOT_SETTLED;
    if (histogram_percentile_ns(&run->hiccups, 99.9) * 2 > histogram_percentile_ns(response, 99.9))
        faults |= LATENCY_HICCUPS;
    if (run->wall_step_ns > CLOCK_STEP_NS || run->wall_step_ns < -CLOCK_STEP_NS)
        faults |= LATENCY_CLOCK_STEPPED;
    if (histogram_percentile_is_thin(response, 99))
        faults |= LATENCY_FEW_SAMPLES;
    return faults;
}

static const struct {
    enum latency_fault fault;
    const char *key, *words;
} verdicts[] = {
    {LATENCY_PARTIAL, "partial", "PARTIAL: the run did not reach its end."},
    {LATENCY_NOT_SUSTAINED, "rate_not_sustained",
     "rate not sustained: these percentiles describe a growing queue."},
    {LATENCY_NOISY_GENERATOR, "generator_noise",
     "generator noise: it was late itself (p99.9 above a tenth of the response's p99)."},
    {LATENCY_NOT_SETTLED, "warmup_not_settled",
     "warm-up not settled: service times still drifted when measuring began, or were too few."},
    {LATENCY_HICCUPS, "machine_hiccups",
     "machine hiccups: a thread that only sleeps woke up late by half the response's p99.9."},
    {LATENCY_CLOCK_STEPPED, "clock_stepped",
     "the time of day was set meanwhile: dates are off; durations are not, their clock is "
     "another."},
    {LATENCY_FEW_SAMPLES, "few_samples", "few samples: not even p99 has ten beyond it."},
};

#define VERDICTS (sizeof verdicts / sizeof *verdicts)

/* --- text --- */

static void text_series(FILE *stream, const char *name, const struct histogram *series)
{
    char time[REPORT_TIME_MAX], cell[REPORT_TIME_MAX + 1];

    fprintf(stream, "%-11s", name);
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++) {
        double percent = latency_percentiles[i].percent;

        report_time(histogram_percentile_ns(series, percent), time);
        snprintf(cell, sizeof cell, "%s%s",
                 histogram_percentile_is_thin(series, percent) ? "~" : "", time);
        fprintf(stream, " %11s", series->total == 0 ? "-" : cell);
    }
    fprintf(stream, " %11s", series->total == 0 ? "-" : report_time(series->max_ns, time));
    fprintf(stream, " %10" PRIu64 "\n", series->total);
}

static void text_table(FILE *stream, const struct latency_run *run)
{
    fprintf(stream, "%-11s", "");
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++)
        fprintf(stream, " %11s", latency_percentiles[i].label);
    fprintf(stream, " %11s %10s\n", "max", "samples");
    for (unsigned i = 0; i < LATENCY_SERIES; i++)
        text_series(stream, latency_series_names[i], &run->series[i]);
    text_series(stream, "hiccups", &run->hiccups);
    if (!run->options->closed)
        text_series(stream, "lateness", &run->lateness);
}

void latency_print_load(FILE *stream, const struct latency_run *run)
{
    const struct latency_options *options = run->options;

    if (options->closed)
        fputs("CLOSED LOOP", stream);
    else
        fprintf(stream, "open loop, %s arrivals", options->poisson ? "poisson" : "fixed");
    fprintf(stream, ", depth %" PRIu32 ", ", options->depth);
    if (options->read_percent % 100 == 0)
        fputs(options->read_percent == 0 ? "writes" : "reads", stream);
    else
        fprintf(stream, "%" PRIu32 " %% reads, blocks", options->read_percent);
    fprintf(stream, " of %" PRIu32 " bytes%s%s, %s", options->block_size,
            options->direct ? ", direct" : "", options->durable ? ", durable" : "", run->backend);
}

void latency_print_rate(FILE *stream, const struct latency_run *run)
{
    char asked[32] = "max";

    if (run->options->rate > 0)
        snprintf(asked, sizeof asked, "%" PRIu64, run->options->rate);
    fprintf(stream, "asked %s op/s, achieved %.1f op/s", asked, latency_achieved(run));
}

void latency_print_verdicts(FILE *stream, const struct latency_run *run)
{
    unsigned faults = latency_faults(run), any = 0;

    if (faults == 0)
        fputs("valid", stream);
    for (unsigned i = 0; i < VERDICTS; i++) {
        if (!(faults & (unsigned) verdicts[i].fault))
            continue;
        fputs(any++ ? ", " : "NOT VALID: ", stream);
        for (const char *at = verdicts[i].key; *at != '\0'; at++)
            fputc(*at == '_' ? ' ' : *at, stream);
    }
}

void latency_text_load(FILE *stream, const struct latency_run *run)
{
    const struct latency_options *options = run->options;

    fprintf(stream, "file        %s, %" PRIu64 " bytes\n", options->file, run->info.size);
    if (*run->why != '\0')
        fprintf(stream, "backend     %s (%s)\n", run->backend, run->why);
    fputs("load        ", stream);
    latency_print_load(stream, run);
    fprintf(stream, ", seed %" PRIu64 "\n", options->seed);
    if (options->closed)
        fputs("            an op waits for one before it, so stalls hide what they held back\n",
              stream);
    if (options->fault_share > 0)
        fprintf(stream, "faults      injected into a share of %g of the ops\n",
                options->fault_share);
}

static void text_rate(FILE *stream, const struct latency_run *run)
{
    fputs("rate        ", stream);
    latency_print_rate(stream, run);
    fprintf(stream, ": %" PRIu64 " arrived, %" PRIu64 " completed in %.3f s, %" PRIu64 " failed\n",
            run->arrived, run->completed_in_time, (double) run->measured_ns / 1e9, run->failed);
    if (!run->options->closed)
        fprintf(stream,
                "backlog     %" PRIu64 " at the end, %" PRIu64 " at most, slope %.1f a second; "
                "%" PRIu64 " never submitted, counted with the age they had\n",
                run->backlog_end, run->backlog_max, run->backlog_slope, run->abandoned);
    fprintf(stream, "warm-up     %.1f s, %s\n", (double) run->warmup_took_ns / 1e9,
            run->warmup_settled ? "settled" : "not settled");
    fprintf(stream,
            "measuring   clock %.1f ns to read, grain %" PRId64 " ns; recording %.1f ns a sample; ",
            (double) run->clock_cost_ns_x100 / 100, run->clock_grain_ns,
            (double) run->record_cost_ns_x100 / 100);
    if (run->heap_allocations < 0)
        fprintf(stream, "heap allocations cannot be counted in this build\n");
    else
        fprintf(stream, "%" PRId64 " heap allocations\n", run->heap_allocations);
}

static void text_end(FILE *stream, const struct latency_run *run)
{
    if (run->end == LATENCY_STOPPED)
        fprintf(stream, "PARTIAL     stopped by %s\n",
                platform_signal_name(platform_stop_signal()));
    if (run->end == LATENCY_FAILED)
        fprintf(stream, "PARTIAL     %s %" PRIu32 " bytes at offset %" PRIu64 ": %s\n",
                run->failed_kind == REOP_KIND_READ ? "reading" : "writing",
                run->options->block_size, run->failed_offset,
                platform_words(run->failed_result, run->failed_os_error));
    if (run->end == LATENCY_STUCK)
        fprintf(stream, "PARTIAL     ops in flight did not come back\n");
}

void latency_text(FILE *stream, const struct latency_run *run)
{
    unsigned faults = latency_faults(run);

    latency_text_load(stream, run);
    text_rate(stream, run);
    text_end(stream, run);
    text_table(stream, run);
    if (faults == 0)
        fputs("verdict     valid\n", stream);
    for (unsigned i = 0; i < VERDICTS; i++) {
        if (faults & (unsigned) verdicts[i].fault)
            fprintf(stream, "verdict     %s\n", verdicts[i].words);
    }
    for (unsigned i = 0; i < run->environment.warning_count; i++)
        fprintf(stream, "note        %s\n", run->environment.warnings[i]);
}

/* --- JSON --- */

static void json_series(FILE *stream, const char *name, const struct histogram *series)
{
    fprintf(stream, "  \"%s_ns\": {\"count\": %" PRIu64, name, series->total);
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++) {
        if (series->total == 0)
            fprintf(stream, ", \"%s\": null", latency_percentiles[i].key);
        else
            fprintf(stream, ", \"%s\": %" PRId64, latency_percentiles[i].key,
                    histogram_percentile_ns(series, latency_percentiles[i].percent));
    }
    fprintf(stream, ", \"max\": %" PRId64 ", \"mean\": %.1f, \"thin\": [", series->max_ns,
            histogram_mean_ns(series));
    for (unsigned i = 0, any = 0; i < LATENCY_PERCENTILES; i++) {
        if (histogram_percentile_is_thin(series, latency_percentiles[i].percent))
            fprintf(stream, "%s\"%s\"", any++ ? ", " : "", latency_percentiles[i].key);
    }
    fputs("]},\n", stream);
}

static void json_load(FILE *stream, const struct latency_run *run)
{
    const struct latency_options *options = run->options;

    fprintf(stream, "  \"loop\": \"%s\", \"arrival\": \"%s\",\n",
            options->closed ? "closed" : "open",
            options->closed ? "none" : (options->poisson ? "poisson" : "fixed"));
    if (options->rate > 0)
        fprintf(stream, "  \"rate_asked\": %" PRIu64, options->rate);
    else
        fputs("  \"rate_asked\": null", stream); /* as fast as ops come back */
    fprintf(stream, ", \"rate_achieved\": %.1f, \"started_unix_s\": %.3f,\n", latency_achieved(run),
            (double) run->start_wall_ns / 1e9);
    fprintf(stream,
            "  \"read_percent\": %" PRIu32 ", \"block_size\": %" PRIu32 ", \"depth\": %" PRIu32
            ", \"direct\": %s, \"durable\": %s, \"seed\": %" PRIu64 ",\n",
            options->read_percent, options->block_size, options->depth,
            options->direct ? "true" : "false", options->durable ? "true" : "false", options->seed);
    fprintf(stream, "  \"fault_rate\": %.6f,\n", options->fault_share);
    fprintf(stream, "  \"duration_s\": %.3f, \"measured_s\": %.6f, \"file_size\": %" PRIu64 ",\n",
            (double) options->duration_ns / 1e9, (double) run->measured_ns / 1e9, run->info.size);
    fputs("  \"file\": ", stream);
    report_json_string(stream, options->file);
    fprintf(stream, ", \"backend\": \"%s\", \"why\": ", run->backend);
    report_json_string(stream, run->why);
    fputs(",\n", stream);
}

static void json_counts(FILE *stream, const struct latency_run *run)
{
    static const char *const ends[] = {"complete", "stopped", "failed", "stuck"};

    fprintf(stream,
            "  \"arrived\": %" PRIu64 ", \"completed\": %" PRIu64
            ", \"completed_in_time\": %" PRIu64 ", \"failed\": %" PRIu64
            ", \"never_submitted\": %" PRIu64 ",\n",
            run->arrived, run->completed, run->completed_in_time, run->failed, run->abandoned);
    fprintf(stream,
            "  \"backlog_end\": %" PRIu64 ", \"backlog_max\": %" PRIu64
            ", \"backlog_slope\": %.3f, \"submit_stalls\": %" PRIu64 ",\n",
            run->backlog_end, run->backlog_max, run->backlog_slope, run->submit_stalls);
    fprintf(stream,
            "  \"warmup_s\": %.3f, \"clock_cost_ns\": %.2f, \"clock_grain_ns\": %" PRId64
            ", \"record_cost_ns\": %.2f, \"clock_step_ns\": %" PRId64 ",\n",
            (double) run->warmup_took_ns / 1e9, (double) run->clock_cost_ns_x100 / 100,
            run->clock_grain_ns, (double) run->record_cost_ns_x100 / 100, run->wall_step_ns);
    if (run->heap_allocations < 0)
        fputs("  \"heap_allocations\": null,\n", stream);
    else
        fprintf(stream, "  \"heap_allocations\": %" PRId64 ",\n", run->heap_allocations);
    fprintf(stream, "  \"end\": \"%s\", \"error\": ", ends[run->end]);
    if (run->end == LATENCY_FAILED)
        report_json_string(stream, platform_words(run->failed_result, run->failed_os_error));
    else
        fputs("null", stream);
    fputs(",\n", stream);
}

void latency_json(FILE *stream, const struct latency_run *run)
{
    unsigned faults = latency_faults(run);

    fprintf(stream, "{\n  \"reop_latency\": 1, \"version\": \"%d.%d.%d\",\n", REOP_VERSION_MAJOR,
            REOP_VERSION_MINOR, REOP_VERSION_PATCH);
    json_load(stream, run);
    json_counts(stream, run);
    for (unsigned i = 0; i < LATENCY_SERIES; i++)
        json_series(stream, latency_series_names[i], &run->series[i]);
    json_series(stream, "hiccups", &run->hiccups);
    json_series(stream, "lateness", &run->lateness);
    fprintf(stream, "  \"partial\": %s, \"valid\": %s, \"verdicts\": [",
            faults & LATENCY_PARTIAL ? "true" : "false", faults == 0 ? "true" : "false");
    for (unsigned i = 0, any = 0; i < VERDICTS; i++) {
        if (faults & (unsigned) verdicts[i].fault)
            fprintf(stream, "%s\"%s\"", any++ ? ", " : "", verdicts[i].key);
    }
    fputs("]\n}\n", stream);
}

/* --- files --- */

bool latency_make_folder(const char *folder)
{
    int error = platform_make_folder(folder);

    if (error == -EEXIST)
        report_problem("--out",
                       "%s is there already, and results are never overwritten. Give another name.",
                       folder);
    else if (error < 0)
        report_problem("--out", "making %s: %s.%s", folder, platform_words(error, 0),
                       report_advice(error));
    return error == 0;
}

bool latency_path(char path[LATENCY_PATH_MAX], const char *folder, const char *name)
{
    int length = snprintf(path, LATENCY_PATH_MAX, "%s/%s", folder, name);

    if (length >= 0 && length < LATENCY_PATH_MAX)
        return true;
    report_problem(folder, "the name is too long.");
    return false;
}

FILE *latency_create(const char *folder, const char *name)
{
    char path[LATENCY_PATH_MAX];
    FILE *file;

    if (!latency_path(path, folder, name))
        return NULL;
    file = fopen(path, "wb");
    if (file == NULL)
        report_problem(path, "making it: %s.%s", platform_words(-errno, 0), report_advice(-errno));
    return file;
}

bool latency_close(FILE *file, const char *folder, const char *name)
{
    bool good = !ferror(file);

    errno = 0; /* a write long ago left only its mark */
    if (fclose(file) == 0 && good)
        return true;
    report_problem(folder, "writing %s: %s. What is there is not complete.%s", name,
                   errno == 0 ? "an earlier write failed" : platform_words(-errno, 0),
                   report_advice(-errno));
    return false;
}

bool latency_write(const char *folder, const char *name,
                   void (*write)(FILE *stream, const void *content), const void *content)
{
    FILE *file = latency_create(folder, name);

    if (file == NULL)
        return false;
    write(file, content);
    return latency_close(file, folder, name);
}

static void write_environment(FILE *stream, const void *content)
{
    const struct latency_run *run = content;
    const struct latency_environment *environment = &run->environment;

    fprintf(stream, "{\n  \"library\": \"reop %d.%d.%d\",\n  \"compiler\": ", REOP_VERSION_MAJOR,
            REOP_VERSION_MINOR, REOP_VERSION_PATCH);
    report_json_string(stream, REOP_COMPILER);
    fprintf(stream, ",\n  \"started_unix_s\": %.3f,\n  \"seed\": %" PRIu64 ",\n",
            (double) run->start_wall_ns / 1e9, run->options->seed);
    fprintf(stream, "  \"offset_align\": %" PRIu32 ", \"memory_align\": %" PRIu32 ",\n",
            run->info.offset_align, run->info.memory_align);
    fputs("  \"command\": [\"reop\"", stream);
    for (int i = 0; i < run->options->argc; i++) {
        fputs(", ", stream);
        report_json_string(stream, run->options->argv[i]);
    }
    fputs("],\n", stream);
    for (unsigned i = 0; i < environment->fact_count; i++) {
        fputs("  ", stream);
        report_json_string(stream, environment->facts[i].name);
        fputs(": ", stream);
        report_json_string(stream, environment->facts[i].value);
        fputs(",\n", stream);
    }
    fputs("  \"warnings\": [", stream);
    for (unsigned i = 0; i < environment->warning_count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        report_json_string(stream, environment->warnings[i]);
    }
    fputs("]\n}\n", stream);
}

static void write_distribution(FILE *stream, const void *content)
{
    histogram_distribution(stream, content);
}

struct summary {
    const struct latency_run *run;
    const char *picture;
};

static void write_summary(FILE *stream, const void *content)
{
    const struct summary *summary = content;

    latency_text(stream, summary->run);
    fprintf(stream, "plot        %s\n", summary->picture);
}

static void write_result(FILE *stream, const void *content)
{
    latency_json(stream, content);
}

bool latency_store(const struct latency_run *run, const char *folder)
{
    struct summary summary = {.run = run};
    bool good = latency_write(folder, "hiccups.hgrm", write_distribution, &run->hiccups) &&
                latency_write(folder, "lateness.hgrm", write_distribution, &run->lateness) &&
                latency_write(folder, "env.json", write_environment, run);

    for (unsigned i = 0; good && i < LATENCY_SERIES; i++) {
        char name[32];

        snprintf(name, sizeof name, "%s.hgrm", latency_series_names[i]);
        good = latency_write(folder, name, write_distribution, &run->series[i]);
    }
    if (!good)
        return false;
    summary.picture = latency_plot_percentiles(run, folder);
    return latency_write(folder, "summary.txt", write_summary, &summary) &&
           latency_write(folder, "result.json", write_result, run); /* last: where it is, all is */
}
