/* SPDX-License-Identifier: MIT
 *
 * reop latency: what an arrival waits for its answer. In the open loop (the default) arrivals come
 * at their own times, whatever the system does, and an arrival's clock starts when it was meant to
 * start: a stall is then charged with everything it delayed. In a closed loop the next op waits for
 * the one before, so a stall hides what it held back; such results say so.
 *
 *   latency_options.c  the command line
 *   latency_load.c     arrivals, submits, reaps: the one thread that measures
 *   latency_clerk.c    two threads beside it: one keeps the books, one sees the machine hiccup
 *   latency_report.c   what is printed and stored when a run is over
 *   latency_plot.c     pictures, by gnuplot
 *   latency_sweep.c    many rates, and the knee
 *   latency_compare.c  two folders of runs, and a verdict
 */
#ifndef REOP_LATENCY_H
#define REOP_LATENCY_H

#include "histogram.h"
#include "options.h"
#include "platform.h"

#include <stdio.h>

#define LATENCY_RATE_MAX    UINT64_C(100000000)
#define LATENCY_FILE_SIZE   (UINT64_C(64) << 20) /* of a FILE that has to be made */
#define LATENCY_PATH_MAX    4096
#define LATENCY_PERCENTILES 6
#define LATENCY_INTERVALS                                                                          \
    20 /* in a run, unless they would be longer than 1 s or shorter than 100 ms */

struct latency_options {
    const char *file;
    const char *out;       /* NULL: nothing is stored */
    uint64_t rate;         /* arrivals per second; 0: as fast as ops come back */
    uint32_t read_percent; /* of the ops; the others write */
    uint32_t block_size;
    uint32_t depth;
    uint32_t backend; /* enum reop_backend */
    int64_t duration_ns;
    int64_t warmup_ns; /* at least; 0: none */
    uint64_t seed;
    double fault_share; /* share of the ops; above 0 failures do not end the run */
    bool closed, poisson, direct, durable, sweep, json;
    int argc; /* the command line, for the record */
    char *const *argv;
};

enum options_verdict latency_options_read(int argc, char *argv[], struct latency_options *options);

enum latency_series { LATENCY_RESPONSE, LATENCY_SERVICE, LATENCY_SUBMIT, LATENCY_SERIES };

/* What happened between two looks at the clock. */
struct latency_interval {
    struct histogram series[LATENCY_SERIES];
    int64_t start_ns, length_ns; /* start: since measuring began */
    uint64_t arrived, completed, failed;
    uint64_t backlog; /* arrivals that waited for an op at its end */
    uint32_t in_flight;
};

enum latency_end {
    LATENCY_COMPLETE,
    LATENCY_STOPPED, /* by a signal */
    LATENCY_FAILED,  /* an op came back with an error */
    LATENCY_STUCK    /* ops did not come back at all */
};

#define LATENCY_FACTS_MAX    32
#define LATENCY_WARNINGS_MAX 8

struct latency_environment {
    struct {
        char name[32], value[512];
    } facts[LATENCY_FACTS_MAX];
    char warnings[LATENCY_WARNINGS_MAX][160];
    unsigned fact_count, warning_count;
};

/* One run. Times are in ns, and start_ns is when measuring began, after the warm-up. */
struct latency_run {
    const struct latency_options *options;
    char backend[16], why[512];
    struct reop_file_info info;

    int64_t clock_cost_ns_x100, clock_grain_ns, record_cost_ns_x100;
    int64_t start_ns, start_wall_ns, measured_ns;
    int64_t wall_step_ns; /* by how much the time of day moved against the clock */
    int64_t warmup_took_ns;
    bool warmup_settled;

    enum latency_end end;
    int64_t failed_result; /* the first that failed, and where */
    uint32_t failed_os_error, failed_kind;
    uint64_t failed_offset;

    uint64_t arrived;   /* intended to start while it was measured */
    uint64_t completed; /* of these, in time or afterwards */
    uint64_t completed_in_time;
    uint64_t failed;
    uint64_t abandoned; /* of these, never submitted: counted with the age they had reached */
    uint64_t backlog_end;
    int64_t backlog_age_ns; /* since it was last seen empty */
    double backlog_slope;   /* arrivals per second, a straight line through the run */
    uint64_t backlog_max;
    uint64_t submit_stalls;
    int64_t heap_allocations; /* from first arrival to last reap; -1: cannot be counted here */

    struct histogram series[LATENCY_SERIES];
    struct histogram lateness; /* of the generator itself */
    struct histogram hiccups;  /* by how much a sleep of 1 ms was too long */

    struct latency_environment environment; /* as it was before the first arrival */
};

struct latency_percentile {
    const char *key, *label;
    double percent;
};
extern const struct latency_percentile latency_percentiles[LATENCY_PERCENTILES];
extern const char *const latency_series_names[LATENCY_SERIES];

/* Runs once; false when it could not even begin, and explained. folder: to be made, for the clerk's
 * files; gone again when FILE is not good; NULL: none. */
bool latency_load(struct latency_run *run, const struct latency_options *options,
                  const char *folder);

/* --- verdicts --- */

enum latency_fault {
    LATENCY_NOT_SUSTAINED = 1,
    LATENCY_NOISY_GENERATOR = 2,
    LATENCY_NOT_SETTLED = 4,
    LATENCY_HICCUPS = 8,
    LATENCY_CLOCK_STEPPED = 16,
    LATENCY_PARTIAL = 32,
    LATENCY_FEW_SAMPLES = 64
};
unsigned latency_faults(const struct latency_run *run);
/* Achieved, in ops per second. */
double latency_achieved(const struct latency_run *run);

/* --- files and reports --- */

void latency_text_load(FILE *stream, const struct latency_run *run); /* the first lines of it */
void latency_text(FILE *stream, const struct latency_run *run);
void latency_json(FILE *stream, const struct latency_run *run);
/* False, and explained: something could not be stored. */
bool latency_store(const struct latency_run *run, const char *folder);
/* Leaves a gnuplot script in folder, and draws by it. Says in words what came of it. */
const char *latency_plot_percentiles(const struct latency_run *run, const char *folder);
const char *latency_plot_sweep(const struct latency_run *run, const char *folder, uint64_t knee,
                               double limit);

/* One line each, without its end: what kind of load it is; asked and achieved; what to think of it.
 */
void latency_print_load(FILE *stream, const struct latency_run *run);
void latency_print_rate(FILE *stream, const struct latency_run *run);
void latency_print_verdicts(FILE *stream, const struct latency_run *run);

/* False, and explained: it could not be made, or is there already. */
bool latency_make_folder(const char *folder);
/* folder/name. False, and explained: too long. */
bool latency_path(char path[LATENCY_PATH_MAX], const char *folder, const char *name);
/* NULL, and explained. */
FILE *latency_create(const char *folder, const char *name);
bool latency_close(FILE *file, const char *folder, const char *name);
/* All three in one. */
bool latency_write(const char *folder, const char *name,
                   void (*write)(FILE *stream, const void *content), const void *content);

int latency_sweep(const struct latency_options *options);
int latency_compare(const char *folder_a, const char *folder_b);

#endif
