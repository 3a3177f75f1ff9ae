/* SPDX-License-Identifier: MIT
 *
 * What the tool says: problems and progress on standard error, results on standard output.
 */
#ifndef REOP_REPORT_H
#define REOP_REPORT_H

#include "histogram.h"
#include "options.h"

#if defined(__GNUC__)
#define REPORT_PRINTF(at, from) __attribute__((format(printf, at, from)))
#else
#define REPORT_PRINTF(at, from)
#endif

/* Whose problems these are: "write" until somebody else says so. */
void report_command(const char *name);

/* "reop write: <subject>: <message>", on a line of its own. The message says what failed, then the
 * system's words, then what to do. */
REPORT_PRINTF(2, 3) void report_problem(const char *subject, const char *format, ...);

/* What to do about a negative errno on a file: "" or a sentence that begins with a space. */
const char *report_advice(int64_t result);

/* "950 ns", "12.5 us", "100.0 ms". */
#define REPORT_TIME_MAX 32
const char *report_time(int64_t ns, char text[REPORT_TIME_MAX]);

/* In quotes. What is no UTF-8 stays as it is: a path is the system's own bytes. */
void report_json_string(FILE *stream, const char *text);

/* A line that rewrites itself, a few times a second; nothing unless begun on a terminal. */
void report_progress_begin(const char *verb, uint64_t bytes_expected); /* 0: not known */
void report_progress(uint64_t bytes, int64_t now_ns);
void report_progress_end(void);

enum report_answer { REPORT_UNKNOWN = -1, REPORT_NO, REPORT_YES };

struct report {
    const struct options *options;
    const char *backend;
    const char *why; /* "" or why no better backend is used */
    uint64_t bytes;
    uint64_t ops;
    int64_t elapsed_ns;
    const struct histogram *latency;
    int64_t heap_allocations; /* -1: cannot be counted here */
    int64_t heap_allocations_setup;
    enum report_answer verified;
    uint64_t checksum;
};

/* False, and explained: standard output did not take it. */
bool report_print(const struct report *report);

/* The same for what was printed otherwise. */
bool report_flush(void);

#endif
