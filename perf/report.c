/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define PROGRESS_EVERY_NS INT64_C(200000000)

static struct {
    bool on;
    const char *verb;
    uint64_t expected;
    int64_t start_ns, next_ns;
} progress;

static const char *command = "write";

void report_command(const char *name)
{
    command = name;
}

void report_problem(const char *subject, const char *format, ...)
{
    va_list arguments;

    report_progress_end();
    fprintf(stderr, "reop %s: %s: ", command, subject);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

const char *report_advice(int64_t result)
{
    switch (-result) {
    case ENOENT:
        return " Check the name, and that its folder is there.";
    case EACCES:
    case EPERM:
        return " Check its permissions.";
    case EISDIR:
        return " Name a file in it.";
    case ENOTDIR:
        return " A part of the path is a file: check the name.";
    case ENOSPC:
        return " Free some space there, or choose another place.";
    case EFBIG:
        return " Check ulimit -f, and what the file system allows.";
    case EROFS:
        return " Choose a place on a file system that is mounted for writing.";
    case EIO:
        return " Check the device and the system's log.";
    case ENOMEM:
        return " Give a smaller --depth or --block.";
    default:
        return "";
    }
}

void report_progress_begin(const char *verb, uint64_t bytes_expected)
{
    progress.on = platform_stderr_is_terminal();
    progress.verb = verb;
    progress.expected = bytes_expected;
    progress.start_ns = platform_now_ns();
    progress.next_ns = progress.start_ns + PROGRESS_EVERY_NS;
}

void report_progress(uint64_t bytes, int64_t now_ns)
{
    double mib = (double) bytes / (1 << 20);

    if (!progress.on || now_ns < progress.next_ns)
        return;
    progress.next_ns = now_ns + PROGRESS_EVERY_NS;
    fprintf(stderr, "\r%s %.1f MiB", progress.verb, mib);
    if (progress.expected != 0)
        fprintf(stderr, " of %.1f, %.0f %%", (double) progress.expected / (1 << 20),
                100.0 * (double) bytes / (double) progress.expected);
    fprintf(stderr, ", %.1f MB/s\033[K",
            (double) bytes * 1e3 / (double) (now_ns - progress.start_ns));
}

void report_progress_end(void)
{
    if (progress.on)
        fputs("\r\033[K", stderr);
    progress.on = false;
}

void report_json_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(stream, "\\%c", *text);
        else if ((unsigned char) *text < 0x20)
            fprintf(stream, "\\u%04x", (unsigned) *text);
        else
            fputc(*text, stream);
    }
    fputc('"', stream);
}

/* null where there is nothing to say: a 0 would be a claim. */
static void json_count(const char *key, int64_t count)
{
    if (count < 0)
        printf(", \"%s\": null", key);
    else
        printf(", \"%s\": %" PRId64, key, count);
}

static const struct {
    const char *key, *label;
    double percent;
    bool in_text;
} percentiles[] = {{"p50", "p50", 50, true},
                   {"p90", "p90", 90, true},
                   {"p99", "p99", 99, true},
                   {"p99_9", "p99.9", 99.9, true},
                   {"p99_99", "p99.99", 99.99, false}};

#define PERCENTILE_COUNT (sizeof percentiles / sizeof *percentiles)

static void json_latency(const struct histogram *latency)
{
    bool any = latency->total > 0;

    printf(", \"latency_ns\": {");
    for (unsigned i = 0; i < PERCENTILE_COUNT; i++) {
        printf("\"%s\": ", percentiles[i].key);
        if (any)
            printf("%" PRId64 ", ", histogram_percentile_ns(latency, percentiles[i].percent));
        else
            printf("null, ");
    }
    if (any)
        printf("\"max\": %" PRId64 ", \"mean\": %.1f}", latency->max_ns,
               histogram_mean_ns(latency));
    else
        printf("\"max\": null, \"mean\": null}");
}

static void print_json(const struct report *report)
{
    static const char *const answers[] = {"null", "false", "true"};
    double seconds = (double) report->elapsed_ns / 1e9;

    printf("{\"backend\": \"%s\", \"block_size\": %" PRIu32 ", \"depth\": %" PRIu32,
           report->backend, report->options->block_size, report->options->depth);
    printf(", \"bytes\": %" PRIu64 ", \"ops\": %" PRIu64 ", \"seconds\": %.9f", report->bytes,
           report->ops, seconds);
    printf(", \"bytes_per_second\": %.1f, \"ops_per_second\": %.1f",
           (double) report->bytes / seconds, (double) report->ops / seconds);
    json_latency(report->latency);
    json_count("heap_allocations", report->heap_allocations);
    json_count("heap_allocations_setup", report->heap_allocations_setup);
    printf(", \"verified\": %s, \"checksum\": \"%016" PRIx64 "\"}\n",
           answers[report->verified - REPORT_UNKNOWN], report->checksum);
}

const char *report_time(int64_t ns, char text[REPORT_TIME_MAX])
{
    if (ns < 10000)
        snprintf(text, REPORT_TIME_MAX, "%" PRId64 " ns", ns);
    else if (ns < 10000000)
        snprintf(text, REPORT_TIME_MAX, "%.1f us", (double) ns / 1e3);
    else
        snprintf(text, REPORT_TIME_MAX, "%.1f ms", (double) ns / 1e6);
    return text;
}

static void print_time(int64_t ns)
{
    char text[REPORT_TIME_MAX];

    fputs(report_time(ns, text), stdout);
}

static void text_latency(const struct histogram *latency)
{
    printf("latency     ");
    if (latency->total == 0) {
        printf("nothing was written\n");
        return;
    }
    for (unsigned i = 0; i < PERCENTILE_COUNT; i++) {
        if (!percentiles[i].in_text)
            continue;
        printf("%s ", percentiles[i].label);
        print_time(histogram_percentile_ns(latency, percentiles[i].percent));
        printf(", ");
    }
    printf("max ");
    print_time(latency->max_ns);
    printf(" (submit to reap)\n");
}

static void text_heap(const struct report *report)
{
    if (report->heap_allocations < 0)
        printf("heap        allocations cannot be counted in this build\n");
    else
        printf("heap        %" PRId64 " allocations in the steady state, %" PRId64
               " during set-up\n",
               report->heap_allocations, report->heap_allocations_setup);
}

static void print_text(const struct report *report)
{
    static const char *const answers[] = {"not done", "no: OUTPUT differs",
                                          "yes: read back and equal"};
    double seconds = (double) report->elapsed_ns / 1e9;

    printf("backend     %s%s%s%s\n", report->backend, *report->why ? " (" : "", report->why,
           *report->why ? ")" : "");
    printf("wrote       %" PRIu64 " bytes to %s in %.3f s: %" PRIu64 " ops, blocks of %" PRIu32
           " bytes, depth %" PRIu32 "%s%s\n",
           report->bytes, report->options->output, seconds, report->ops,
           report->options->block_size, report->options->depth,
           report->options->direct ? ", direct" : "", report->options->durable ? ", durable" : "");
    printf("rate        %.0f op/s, %.1f MB/s\n", (double) report->ops / seconds,
           (double) report->bytes / seconds / 1e6);
    text_latency(report->latency);
    text_heap(report);
    printf("verified    %s\n", answers[report->verified - REPORT_UNKNOWN]);
    printf("checksum    %016" PRIx64 " (XXH3-64)\n", report->checksum);
}

bool report_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    report_problem("standard output", "printing to it: %s.", platform_words(-errno, 0));
    return false;
}

bool report_print(const struct report *report)
{
    if (report->options->json)
        print_json(report);
    else if (!report->options->quiet)
        print_text(report);
    return report_flush();
}
