/* SPDX-License-Identifier: MIT */
#include "latency_clerk.h"
#include "report.h"

#include <inttypes.h>
#include <string.h>

#define CLERK_LOOKS_NS INT64_C(5000000)
#define WATCH_STEP_NS  INT64_C(1000000)

/* Here and not on the heap: the C library would allocate them while the run is measured. */
static struct histogram_scratch scratch;
static char log_buffer[1 << 16], table_buffer[1 << 16];

const char *const latency_series_names[LATENCY_SERIES] = {"response", "service", "submit"};

/* What a C library allocates for a thread that sleeps and prints numbers it has allocated then. */
static void wake_up(struct clerk *clerk)
{
    char text[64];

    platform_sleep_until(platform_now_ns() + WATCH_STEP_NS);
    snprintf(text, sizeof text, "%.1f %.6f", (double) platform_now_ns() / 3, 1e-3 / 3);
    atomic_fetch_add(&clerk->awake, 1);
}

/* --- the clerk --- */

static void write_table_head(FILE *table)
{
    fputs("start_s,length_s,arrived,completed,failed,backlog,in_flight", table);
    for (unsigned i = 0; i < LATENCY_SERIES; i++) {
        const char *name = latency_series_names[i];

        fprintf(table, ",%s_count,%s_mean_ns,%s_p50_ns,%s_p99_ns,%s_p99_9_ns,%s_max_ns", name, name,
                name, name, name, name);
    }
    fputc('\n', table);
}

static void write_table_row(FILE *table, const struct latency_interval *interval)
{
    fprintf(table, "%.6f,%.6f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu32,
            (double) interval->start_ns / 1e9, (double) interval->length_ns / 1e9,
            interval->arrived, interval->completed, interval->failed, interval->backlog,
            interval->in_flight);
    for (unsigned i = 0; i < LATENCY_SERIES; i++) {
        const struct histogram *series = &interval->series[i];

        fprintf(table, ",%" PRIu64 ",%.1f,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
                series->total, histogram_mean_ns(series), histogram_percentile_ns(series, 50),
                histogram_percentile_ns(series, 99), histogram_percentile_ns(series, 99.9),
                series->max_ns);
    }
    fputc('\n', table);
}

static void print_live(const struct latency_run *run, const struct latency_interval *interval)
{
    const struct histogram *response = &interval->series[LATENCY_RESPONSE];
    char p50[REPORT_TIME_MAX], p99[REPORT_TIME_MAX], max[REPORT_TIME_MAX];

    fprintf(stderr, "\r%.1f s of %.1f  ", (double) (interval->start_ns + interval->length_ns) / 1e9,
            (double) run->options->duration_ns / 1e9);
    fprintf(stderr, "%.0f", (double) interval->completed * 1e9 / (double) interval->length_ns);
    if (run->options->rate > 0)
        fprintf(stderr, " of %" PRIu64, run->options->rate);
    fprintf(stderr, " op/s  p50 %s  p99 %s  max %s  waiting %" PRIu64 "\033[K",
            report_time(histogram_percentile_ns(response, 50), p50),
            report_time(histogram_percentile_ns(response, 99), p99),
            report_time(response->max_ns, max), interval->backlog);
}

static void book(struct clerk *clerk, struct latency_interval *interval)
{
    for (unsigned i = 0; i < LATENCY_SERIES; i++)
        histogram_add(&clerk->run->series[i], &interval->series[i]);
    clerk->run->arrived += interval->arrived;
    clerk->run->failed += interval->failed;
    if (clerk->folder != NULL && interval->length_ns > 0) {
        for (unsigned i = 0; i < LATENCY_SERIES; i++)
            histogram_log_row(clerk->log, i == LATENCY_RESPONSE ? NULL : latency_series_names[i],
                              clerk->run->start_ns - clerk->begin_ns + interval->start_ns,
                              interval->length_ns, &interval->series[i], &scratch);
        write_table_row(clerk->table, interval);
        fflush(clerk->log); /* what a kill leaves behind ends with a whole row */
        fflush(clerk->table);
    }
    if (clerk->live && interval->length_ns > 0)
        print_live(clerk->run, interval);
    memset(interval, 0, sizeof *interval);
}

static void clerk_main(void *context)
{
    struct clerk *clerk = context;
    uint32_t booked = 0;

    if (clerk->live)
        fputs("\rwarming up\033[K", stderr);
    wake_up(clerk);
    for (;;) {
        bool ended = atomic_load(&clerk->ended);

        /* Acquire: pairs with clerk_next(), which filled the interval before. */
        if (atomic_load_explicit(&clerk->handed_over, memory_order_acquire) != booked) {
            book(clerk, &clerk->intervals[booked % 2]);
            booked++;
            /* Release: pairs with clerk_next(), which fills it again. */
            atomic_store_explicit(&clerk->booked, booked, memory_order_release);
        } else if (ended) {
            break;
        } else {
            platform_sleep_until(platform_now_ns() + CLERK_LOOKS_NS);
        }
    }
}

/* --- the watch --- */

/* An open loop too: each step that was slept through counts, with its own delay. */
static void watch_main(void *context)
{
    struct clerk *clerk = context;
    int64_t next_ns = 0;

    platform_be_punctual();
    wake_up(clerk);
    while (!atomic_load(&clerk->ended)) {
        int64_t now_ns = platform_now_ns();

        if (!atomic_load(&clerk->measuring) || next_ns == 0)
            next_ns = now_ns;
        for (; next_ns <= now_ns; next_ns += WATCH_STEP_NS) {
            if (atomic_load_explicit(&clerk->measuring, memory_order_relaxed))
                histogram_record(&clerk->run->hiccups, now_ns - next_ns);
        }
        platform_sleep_until(next_ns);
    }
}

/* --- from outside --- */

static bool open_files(struct clerk *clerk)
{
    char writer[32];

    clerk->log = latency_create(clerk->folder, "latency.hlog");
    clerk->table = clerk->log == NULL ? NULL : latency_create(clerk->folder, "intervals.csv");
    if (clerk->table == NULL)
        return false;
    setvbuf(clerk->log, log_buffer, _IOFBF, sizeof log_buffer);
    setvbuf(clerk->table, table_buffer, _IOFBF, sizeof table_buffer);
    snprintf(writer, sizeof writer, "reop %d.%d.%d", REOP_VERSION_MAJOR, REOP_VERSION_MINOR,
             REOP_VERSION_PATCH);
    histogram_log_begin(clerk->log, writer, platform_wall_ns());
    write_table_head(clerk->table);
    return true;
}

bool clerk_begin(struct clerk *clerk, struct latency_run *run, const char *folder)
{
    int error;

    memset(clerk, 0, sizeof *clerk);
    clerk->run = run;
    clerk->folder = folder;
    clerk->begin_ns = platform_now_ns();
    clerk->live = platform_stderr_is_terminal();
    if (folder != NULL && !open_files(clerk))
        return false;
    error = platform_thread_start(&clerk->thread, clerk_main, clerk);
    if (error == 0) {
        error = platform_thread_start(&clerk->watch, watch_main, clerk);
        if (error == 0) {
            while (atomic_load(&clerk->awake) < 2)
                platform_sleep_until(platform_now_ns() + WATCH_STEP_NS);
            return true;
        }
        atomic_store(&clerk->ended, true);
        platform_thread_join(&clerk->thread);
    }
    report_problem("threads", "starting one: %s.", platform_words(error, 0));
    return false;
}

struct latency_interval *clerk_measure(struct clerk *clerk)
{
    atomic_store(&clerk->measuring, true);
    return &clerk->intervals[0];
}

struct latency_interval *clerk_next(struct clerk *clerk)
{
    uint32_t handed_over = atomic_load_explicit(&clerk->handed_over, memory_order_relaxed);

    if (atomic_load_explicit(&clerk->booked, memory_order_acquire) != handed_over)
        return NULL;
    atomic_store_explicit(&clerk->handed_over, handed_over + 1, memory_order_release);
    return &clerk->intervals[(handed_over + 1) % 2];
}

bool clerk_end(struct clerk *clerk, bool last)
{
    bool good = true;

    atomic_store(&clerk->measuring, false);
    while (last && clerk_next(clerk) == NULL)
        platform_sleep_until(platform_now_ns() + CLERK_LOOKS_NS);
    atomic_store(&clerk->ended, true);
    platform_thread_join(&clerk->thread);
    platform_thread_join(&clerk->watch);
    if (clerk->live)
        fputs("\r\033[K", stderr);
    if (clerk->folder != NULL) {
        good = latency_close(clerk->log, clerk->folder, "latency.hlog");
        good = latency_close(clerk->table, clerk->folder, "intervals.csv") && good;
    }
    return good;
}
