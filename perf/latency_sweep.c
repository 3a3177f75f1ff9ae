/* SPDX-License-Identifier: MIT
 *
 * Latency against rate. A closed loop at full depth shows what the system can do; open loops then
 * come at a tenth of that, two tenths, and so on, until one is not sustained. The knee is where
 * rate divided by mean response is greatest (Kleinrock's power): beyond it, more work costs more
 * waiting than it is worth.
 */
#include "commands.h"
#include "latency.h"
#include "report.h"

#include <inttypes.h>
#include <math.h>

#define SWEEP_STEPS      10u
#define SWEEP_STEPS_MAX  13u
#define SWEEP_PERCENTILE 3u

struct point {
    uint64_t rate;
    double achieved, mean_ns;
    int64_t ns[SWEEP_PERCENTILE];
    bool thin[SWEEP_PERCENTILE], sustained, noisy;
};

struct sweep {
    struct point points[SWEEP_STEPS_MAX];
    unsigned count;
    double limit;        /* of a closed loop at full depth; 0: not measured */
    const char *picture; /* what came of it, in words; NULL: nothing yet */
};

static const double percents[SWEEP_PERCENTILE] = {50, 99, 99.9};
static struct latency_run run;

static struct point point_of(uint64_t rate)
{
    const struct histogram *response = &run.series[LATENCY_RESPONSE];
    unsigned faults = latency_faults(&run);
    struct point point = {.rate = rate,
                          .achieved = latency_achieved(&run),
                          .mean_ns = histogram_mean_ns(response),
                          .sustained = !(faults & LATENCY_NOT_SUSTAINED),
                          .noisy = (faults & LATENCY_NOISY_GENERATOR) != 0};

    for (unsigned i = 0; i < SWEEP_PERCENTILE; i++) {
        point.ns[i] = histogram_percentile_ns(response, percents[i]);
        point.thin[i] = histogram_percentile_is_thin(response, percents[i]);
    }
    return point;
}

/* The index of the knee among those that were sustained; count: there is none. */
static unsigned knee_of(const struct sweep *sweep)
{
    const struct point *points = sweep->points;
    unsigned knee = sweep->count;

    for (unsigned i = 0; i < sweep->count; i++) {
        if (points[i].sustained && points[i].mean_ns > 0 &&
            (knee == sweep->count ||
             points[i].achieved / points[i].mean_ns > points[knee].achieved / points[knee].mean_ns))
            knee = i;
    }
    return knee;
}

static void write_table(FILE *stream, const void *content)
{
    const struct sweep *sweep = content;
    unsigned knee = knee_of(sweep);
    char time[REPORT_TIME_MAX], cell[REPORT_TIME_MAX + 1];

    latency_text_load(stream, &run);
    if (sweep->limit > 0)
        fprintf(stream, "closed loop at full depth: %.0f op/s\n", sweep->limit);
    fprintf(stream, "%12s %12s %12s %12s %12s\n", "asked op/s", "achieved", "p50", "p99", "p99.9");
    for (unsigned i = 0; i < sweep->count; i++) {
        const struct point *point = &sweep->points[i];

        fprintf(stream, "%12" PRIu64 " %12.0f", point->rate, point->achieved);
        for (unsigned k = 0; k < SWEEP_PERCENTILE; k++) {
            snprintf(cell, sizeof cell, "%s%s", point->thin[k] ? "~" : "",
                     report_time(point->ns[k], time));
            fprintf(stream, " %12s", cell);
        }
        fprintf(stream, "%s%s%s\n", i == knee ? "  knee" : "",
                point->sustained ? "" : "  not sustained", point->noisy ? "  noisy" : "");
    }
    if (run.end != LATENCY_COMPLETE)
        fputs("PARTIAL: the sweep ended before its end\n", stream);
    if (knee == sweep->count)
        fputs("no rate was sustained: no knee\n", stream);
    else
        fprintf(stream, "knee: %" PRIu64 " op/s, where rate divided by mean response is greatest\n",
                sweep->points[knee].rate);
    if (sweep->picture != NULL)
        fprintf(stream, "plot: %s\n", sweep->picture);
}

static void write_csv(FILE *stream, const void *content)
{
    const struct sweep *sweep = content;

    fputs("rate,achieved,mean_ns,p50_ns,p99_ns,p99_9_ns,sustained,knee\n", stream);
    for (unsigned i = 0; i < sweep->count; i++) {
        const struct point *point = &sweep->points[i];

        fprintf(stream, "%" PRIu64 ",%.1f,%.1f,%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%d\n",
                point->rate, point->achieved, point->mean_ns, point->ns[0], point->ns[1],
                point->ns[2], point->sustained, i == knee_of(sweep));
    }
}

static void write_json(FILE *stream, const void *content)
{
    const struct sweep *sweep = content;
    unsigned knee = knee_of(sweep);

    fputs("{\"reop_latency_sweep\": 1, \"knee_rate\": ", stream);
    if (knee < sweep->count)
        fprintf(stream, "%" PRIu64, sweep->points[knee].rate);
    else
        fputs("null", stream);
    fputs(", \"closed_loop_rate\": ", stream);
    if (sweep->limit > 0)
        fprintf(stream, "%.1f", sweep->limit);
    else
        fputs("null", stream);
    fprintf(stream, ", \"partial\": %s, \"points\": [",
            run.end == LATENCY_COMPLETE ? "false" : "true");
    for (unsigned i = 0; i < sweep->count; i++) {
        const struct point *point = &sweep->points[i];

        fprintf(stream,
                "%s{\"rate\": %" PRIu64
                ", \"achieved\": %.1f, \"mean_ns\": %.1f, \"p50_ns\": %" PRId64
                ", \"p99_ns\": %" PRId64 ", \"p99_9_ns\": %" PRId64
                ", \"sustained\": %s, \"noisy\": %s}",
                i > 0 ? ", " : "", point->rate, point->achieved, point->mean_ns, point->ns[0],
                point->ns[1], point->ns[2], point->sustained ? "true" : "false",
                point->noisy ? "true" : "false");
    }
    fputs("]}\n", stream);
}

/* The picture is drawn from sweep.csv. */
static bool store(const char *folder, struct sweep *sweep)
{
    unsigned knee = knee_of(sweep);
    bool good = latency_write(folder, "sweep.csv", write_csv, sweep);

    sweep->picture = latency_plot_sweep(
        &run, folder, knee < sweep->count ? sweep->points[knee].rate : 0, sweep->limit);
    good = good && latency_write(folder, "summary.txt", write_table, sweep) &&
           latency_write(folder, "sweep.json", write_json, sweep);
    sweep->picture = NULL;
    return good;
}

/* One run, stored in a folder of its own, named by the rate. */
static bool run_at(const struct latency_options *options, const char *name)
{
    char folder[LATENCY_PATH_MAX];

    if (options->out == NULL)
        return latency_load(&run, options, NULL);
    if (!latency_path(folder, options->out, name))
        return false;
    return latency_load(&run, options, folder) && latency_store(&run, folder);
}

/* What a closed loop at full depth reaches; 0, and explained: nothing. */
static double find_limit(const struct latency_options *options)
{
    struct latency_options closed = *options;

    closed.rate = 0;
    closed.closed = true;
    closed.poisson = false;
    if (!run_at(&closed, "closed") || run.end != LATENCY_COMPLETE)
        return 0;
    if (latency_achieved(&run) < SWEEP_STEPS)
        report_problem("--sweep", "a closed loop did %.1f op/s: too few to divide by ten.",
                       latency_achieved(&run));
    return latency_achieved(&run) < SWEEP_STEPS ? 0 : latency_achieved(&run);
}

/* From a tenth of the limit upwards, until a rate is not sustained. */
static void climb(const struct latency_options *options, double limit, struct sweep *sweep)
{
    while (sweep->count < SWEEP_STEPS_MAX && run.end == LATENCY_COMPLETE) {
        struct latency_options open = *options;
        char name[32];

        open.rate = (uint64_t) floor(limit * (sweep->count + 1) / SWEEP_STEPS);
        snprintf(name, sizeof name, "%" PRIu64, open.rate);
        if (open.rate == 0 || (options->rate > 0 && open.rate > options->rate))
            return;
        if (!run_at(&open, name) || run.measured_ns == 0)
            return;
        sweep->points[sweep->count] = point_of(open.rate);
        if (!sweep->points[sweep->count++].sustained)
            return;
    }
}

int latency_sweep(const struct latency_options *options)
{
    static struct sweep sweep;
    bool good;

    if (options->out != NULL && !latency_make_folder(options->out))
        return EXIT_FOUND;
    if (options->rate == 0)
        sweep.limit = find_limit(options);
    else
        run.end = LATENCY_COMPLETE;
    climb(options, options->rate > 0 ? (double) options->rate : sweep.limit, &sweep);
    run.options = options; /* each run had its own */
    good = sweep.count > 0 && run.end == LATENCY_COMPLETE;
    if (run.end != LATENCY_COMPLETE)
        report_problem(options->file, "the sweep ended before its end. The results are partial.");
    if (options->out != NULL && sweep.count == 0)
        platform_remove(options->out); /* nothing is in it, or it stays */
    else if (options->out != NULL)
        good = store(options->out, &sweep) && good;
    if (options->json)
        write_json(stdout, &sweep);
    else if (sweep.count > 0)
        write_table(stdout, &sweep);
    good = report_flush() && good;
    if (platform_stop_signal() != 0)
        return EXIT_SIGNAL + platform_stop_signal();
    return good ? EXIT_DONE : EXIT_FOUND;
}
