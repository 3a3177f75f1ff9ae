/* SPDX-License-Identifier: MIT
 *
 * The thread that measures. It submits what is due, reaps what has come back, and sleeps (in reap)
 * only while nothing is due; it never waits for an op. An arrival that finds none stays where it is
 * in the sequence, and its clock runs.
 */
#include "alloc_count.h"
#include "latency_arrivals.h"
#include "latency_clerk.h"
#include "latency_statistics.h"
#include "report.h"
#include "setup.h"

#include <errno.h>
#include <string.h>

#ifdef __OPTIMIZE__
#define OPTIMISED true
#else
#define OPTIMISED false
#endif

#define REAP_MAX         64
#define SUBMIT_MAX       8u                /* before what came back meanwhile is looked at */
#define SPIN_NS          INT64_C(60000)    /* a sleep can be too long by about this */
#define STEP_NS          INT64_C(10000000) /* the longest sleep, and between looks at the backlog */
#define DRAIN_NS         INT64_C(2000000000)  /* at most, for arrivals that still wait at the end */
#define GIVE_UP_NS       INT64_C(10000000000) /* for ops that do not come back */
#define WARMUP_WINDOWS   10u
#define WARMUP_LONGEST   10 /* times what was asked for */
#define CALIBRATE_ROUNDS 20
#define CALIBRATE_COUNT  10000

/* An arrival, beside its op: the op's context. */
struct arrival {
    int64_t intended_ns, submit_ns;
    uint64_t offset;
    uint32_t done; /* bytes that were moved */
    bool read, measured;
};

struct load {
    const struct latency_options *options;
    struct latency_run *run;
    struct clerk clerk;

    reop_pool *pool;
    reop_lane *lane;
    reop_engine *engine;
    reop_file *file;
    uint64_t blocks;
    uint64_t random;
    bool created;

    struct arrivals head; /* the next to be submitted; the closed loop uses its time only */
    struct arrivals due;  /* the next to come */
    uint32_t in_flight;
    bool starved;     /* an arrival found no op */
    int64_t freed_ns; /* when that was over */

    struct latency_interval *interval; /* NULL: warming up, or over */
    int64_t interval_start_ns, interval_ns;
    int64_t last_ns; /* arrivals from here on are not submitted; INT64_MAX while warming up */
    int64_t sample_ns;
    int64_t empty_ns; /* the last look that found no backlog */
    struct statistics_line backlog;

    double window_sum, window_count, windows[WARMUP_WINDOWS];
    unsigned window_index;
    int64_t warmup_start_ns, window_end_ns;
};

static struct load load;

/* --- set-up --- */

static bool place_good(const char *path, const struct platform_place *place, bool writes)
{
    if (place->kind >= PLATFORM_FOLDER) {
        report_problem(path, "%s. Name a regular file, a block device or /dev/null.",
                       place->kind == PLATFORM_FOLDER ? "is a directory"
                                                      : "has no offsets to read or write at");
        return false;
    }
    if (writes || (place->kind != PLATFORM_MISSING && place->kind != PLATFORM_SINK))
        return true;
    report_problem(path, place->kind == PLATFORM_SINK
                             ? "has nothing to read. Give --write, or name another FILE."
                             : "is not there, and cannot be read. With --write it would be made.");
    return false;
}

static bool create_engine(void)
{
    const struct latency_options *options = load.options;
    /* Without DEFER the system has an op when its submit returns: no batch delays it. */
    struct setup setup = {.backend = options->backend,
                          .flags = REOP_ENGINE_SINGLE_THREAD,
                          .depth = options->depth,
                          .op_count = options->depth,
                          .context_size = sizeof(struct arrival),
                          .block_size = options->block_size,
                          .fault_share = options->fault_share,
                          .seed = options->seed};

    if (!setup_create(&setup, &load.pool, &load.engine))
        return false;
    load.lane = reop_pool_shared_lane(load.pool);
    snprintf(load.run->backend, sizeof load.run->backend, "%s", reop_engine_backend(load.engine));
    snprintf(load.run->why, sizeof load.run->why, "%s", reop_engine_why(load.engine));
    return true;
}

/* Bytes that no compression of the device below makes smaller, and every page of them touched. */
static void fill_buffers(void)
{
    reop_op *op, *ops = NULL;

    while ((op = reop_acquire(load.lane)) != NULL) {
        unsigned char *data = reop_op_buffer(op);

        for (uint32_t i = 0; i < load.options->block_size; i++)
            data[i] = (unsigned char) (arrivals_random(&load.random) >> 56);
        op->user = ops;
        ops = op;
    }
    for (; ops != NULL; ops = op) {
        op = ops->user;
        reop_release(load.lane, ops);
    }
}

static bool measure_file(const struct platform_place *place)
{
    const struct latency_options *options = load.options;
    struct reop_file_info *info = &load.run->info;
    int error = 0;

    if (load.created)
        error = reop_file_preallocate(load.file, LATENCY_FILE_SIZE);
    if (error == 0)
        error = reop_file_query(load.file, info);
    if (error < 0) {
        report_problem(options->file, "filling it with 64 MiB of zeroes: %s.%s",
                       platform_words(error, 0), report_advice(error));
        return false;
    }
    if (!setup_block_fits(options->file, info, options->block_size))
        return false;
    load.blocks = info->size / options->block_size;
    if (place->kind == PLATFORM_SINK)
        load.blocks = 1;
    if (load.blocks == 0)
        report_problem(options->file,
                       "its %llu bytes hold no block of %lu. Give a smaller --block "
                       "or a larger FILE.",
                       (unsigned long long) info->size, (unsigned long) options->block_size);
    return load.blocks > 0;
}

static bool open_file(void)
{
    const struct latency_options *options = load.options;
    bool reads = options->read_percent > 0, writes = options->read_percent < 100;
    struct platform_place place;
    uint32_t flags = (reads ? REOP_FILE_READ : 0) | (writes ? REOP_FILE_WRITE : 0) |
                     (options->direct ? REOP_FILE_DIRECT : 0) |
                     (options->durable && writes ? REOP_FILE_DURABLE : 0) | REOP_FILE_SHARE_READ |
                     REOP_FILE_SHARE_WRITE;
    int error = platform_look(options->file, &place);

    if (error < 0) {
        report_problem(options->file, "looking at it: %s.%s", platform_words(error, 0),
                       report_advice(error));
        return false;
    }
    if (!place_good(options->file, &place, writes))
        return false;
    if (place.kind == PLATFORM_MISSING)
        flags |= REOP_FILE_CREATE;
    load.created = place.kind == PLATFORM_MISSING ||
                   (place.kind == PLATFORM_REGULAR && place.size == 0 && writes);
    error = reop_file_open(load.engine, options->file, flags, &load.file);
    if (error == -ENOTSUP && options->direct)
        report_problem(options->file, "this file system or device cannot bypass the cache; leave "
                                      "out --direct.");
    else if (error < 0)
        report_problem(options->file, "opening it for %s: %s.%s",
                       !writes ? "reading" : (reads ? "reading and writing" : "writing"),
                       platform_words(error, 0), report_advice(error));
    if (error == 0 && measure_file(&place))
        return true;
    if (place.kind == PLATFORM_MISSING && platform_look(options->file, &place) == 0 &&
        place.kind == PLATFORM_REGULAR)
        platform_remove(options->file); /* ours, half made */
    return false;
}

static void keep_fact(void *context, const char *name, const char *value)
{
    struct latency_environment *environment = context;

    if (environment->fact_count == LATENCY_FACTS_MAX)
        return;
    snprintf(environment->facts[environment->fact_count].name, 32, "%.31s", name);
    snprintf(environment->facts[environment->fact_count].value, 512, "%.511s", value);
    environment->fact_count++;
}

static void keep_warning(void *context, const char *sentence)
{
    struct latency_environment *environment = context;

    if (environment->warning_count < LATENCY_WARNINGS_MAX)
        snprintf(environment->warnings[environment->warning_count++], 160, "%.159s", sentence);
}

static void warn_of_what_we_are(const struct platform_facts *facts)
{
    const struct latency_options *options = load.options;
    bool all_durable = options->durable && options->read_percent == 0;

    if (!OPTIMISED)
        facts->warning(facts->context, "this reop was built without optimisation.");
    if (load.run->info.size > 0 && !options->direct && !all_durable)
        facts->warning(facts->context, "without --direct the system's cache answers where it can: "
                                       "this is not the device's latency.");
}

/* What the measuring itself costs: the clock, and the recording of a sample. The best of many short
 * rounds: whatever interrupted the others is not their cost. */
static void calibrate(void)
{
    struct latency_run *run = load.run;
    int64_t start_ns, before_ns, now_ns, clock_ns = INT64_MAX, record_ns = INT64_MAX;

    run->clock_grain_ns = INT64_MAX;
    for (int round = 0; round < CALIBRATE_ROUNDS; round++) {
        start_ns = now_ns = platform_now_ns();
        for (int i = 0; i < CALIBRATE_COUNT; i++) {
            before_ns = now_ns;
            now_ns = platform_now_ns();
            if (now_ns > before_ns && now_ns - before_ns < run->clock_grain_ns)
                run->clock_grain_ns = now_ns - before_ns;
        }
        clock_ns = now_ns - start_ns < clock_ns ? now_ns - start_ns : clock_ns;
        start_ns = platform_now_ns();
        for (int i = 0; i < CALIBRATE_COUNT; i++)
            histogram_record(&run->lateness, 1000 + (i * 7919) % 1000000); /* empty still */
        now_ns = platform_now_ns();
        record_ns = now_ns - start_ns < record_ns ? now_ns - start_ns : record_ns;
    }
    run->clock_cost_ns_x100 = clock_ns * 100 / CALIBRATE_COUNT;
    run->record_cost_ns_x100 = record_ns * 100 / CALIBRATE_COUNT;
    histogram_clear(&run->lateness);
}

/* --- one op --- */

static struct arrival *arrival_of(reop_op *op)
{
    return reop_op_context(op);
}

static void note_failure(reop_op *op, int64_t result)
{
    struct latency_run *run = load.run;

    if (run->end == LATENCY_COMPLETE && load.options->fault_share == 0) {
        run->failed_result = result;
        run->failed_os_error = op->os_error;
        run->failed_kind = op->kind;
        run->failed_offset = arrival_of(op)->offset + arrival_of(op)->done;
        run->end = LATENCY_FAILED;
    }
    if (load.interval != NULL && arrival_of(op)->measured)
        load.interval->failed++;
    reop_release(load.lane, op);
}

static void submit(reop_op *op)
{
    struct arrival *arrival = arrival_of(op);
    unsigned char *data = (unsigned char *) reop_op_buffer(op) + arrival->done;
    uint32_t size = load.options->block_size - arrival->done;
    uint64_t offset = arrival->offset + arrival->done;
    reop_status status = arrival->read ? reop_read(op, load.file, data, size, offset)
                                       : reop_write(op, load.file, data, size, offset);

    if (status == REOP_PENDING)
        load.in_flight++;
    else
        note_failure(op, op->result);
}

static void launch(reop_op *op, int64_t intended_ns, int64_t now_ns)
{
    struct arrival *arrival = arrival_of(op);
    uint64_t random = arrivals_random(&load.random);
    bool measured = load.interval != NULL && intended_ns >= load.run->start_ns;

    arrival->intended_ns = intended_ns;
    arrival->submit_ns = now_ns;
    arrival->offset = (random >> 8) % load.blocks * load.options->block_size;
    arrival->done = 0;
    arrival->read = (random & 0xff) * 100 / 256 < load.options->read_percent;
    arrival->measured = measured;
    submit(op);
    if (measured)
        histogram_record(&load.interval->series[LATENCY_SUBMIT], platform_now_ns() - now_ns);
}

static void answered(reop_op *op, int64_t now_ns)
{
    struct arrival *arrival = arrival_of(op);

    if (arrival->measured) {
        histogram_record(&load.interval->series[LATENCY_RESPONSE], now_ns - arrival->intended_ns);
        histogram_record(&load.interval->series[LATENCY_SERVICE], now_ns - arrival->submit_ns);
        load.interval->completed++;
        load.run->completed++;
        load.run->completed_in_time += now_ns < load.last_ns;
    }
    load.window_sum += (double) (now_ns - arrival->submit_ns);
    load.window_count++;
    reop_release(load.lane, op);
}

static void landed(reop_op *op, int64_t now_ns)
{
    struct arrival *arrival = arrival_of(op);

    load.in_flight--;
    if (load.starved) {
        load.starved = false;
        load.freed_ns = now_ns;
    }
    if (op->result <= 0) { /* one that moves nothing would go on for ever */
        note_failure(op, op->result < 0 ? op->result : -EIO);
        return;
    }
    arrival->done += (uint32_t) op->result;
    if (arrival->done < load.options->block_size)
        submit(op);
    else
        answered(op, now_ns);
}

/* --- arrivals --- */

/* An arrival is late by the generator's fault from when it was due and an op was free. */
static void submit_open(void)
{
    for (unsigned i = 0; i < SUBMIT_MAX; i++) {
        int64_t now_ns = platform_now_ns(), intended_ns = load.head.next_ns;
        int64_t ready_ns = intended_ns > load.freed_ns ? intended_ns : load.freed_ns;
        reop_op *op;

        if (intended_ns > now_ns || intended_ns >= load.last_ns)
            return;
        op = reop_acquire(load.lane);
        if (op == NULL) {
            load.starved = true;
            return;
        }
        if (load.interval != NULL && intended_ns >= load.run->start_ns)
            histogram_record(&load.run->lateness, now_ns - ready_ns);
        arrivals_step(&load.head);
        launch(op, intended_ns, now_ns);
    }
}

/* What a stall held back is not made up for. */
static void submit_closed(void)
{
    for (unsigned i = 0; i < load.options->depth; i++) {
        int64_t now_ns = platform_now_ns();
        reop_op *op;

        if (load.head.next_ns > now_ns || now_ns >= load.last_ns)
            return;
        op = reop_acquire(load.lane);
        if (op == NULL)
            return;
        load.head.next_ns = now_ns;
        if (load.options->rate > 0)
            load.head.next_ns += 1000000000 / (int64_t) load.options->rate;
        if (load.interval != NULL)
            load.interval->arrived++;
        launch(op, now_ns, now_ns);
    }
}

/* Counts what has come up to now, submitted or not. */
static void count_arrivals(int64_t now_ns)
{
    int64_t until_ns = now_ns < load.last_ns ? now_ns : load.last_ns - 1;

    for (; load.due.next_ns <= until_ns; arrivals_step(&load.due)) {
        if (load.interval != NULL && load.due.next_ns >= load.run->start_ns)
            load.interval->arrived++;
    }
}

/* The head is ahead when it has looked at the clock since. */
static uint64_t backlog(void)
{
    return load.due.index > load.head.index ? load.due.index - load.head.index : 0;
}

static int64_t patience_ns(int64_t now_ns)
{
    int64_t wait_ns = load.head.next_ns - now_ns - SPIN_NS;
    bool waits_for_op = load.in_flight == load.options->depth;

    if (waits_for_op || load.head.next_ns >= load.last_ns || wait_ns > STEP_NS)
        return STEP_NS;
    return wait_ns > 0 ? wait_ns : 0;
}

static void reap(void)
{
    int64_t timeout_ns = patience_ns(platform_now_ns()), now_ns;
    reop_op *ops[REAP_MAX];
    int count = reop_reap(load.engine, ops, REAP_MAX, timeout_ns);

    now_ns = platform_now_ns();
    for (int i = 0; i < count; i++)
        landed(ops[i], now_ns);
    if (count < 0 && load.run->end == LATENCY_COMPLETE) {
        load.run->end = LATENCY_FAILED;
        load.run->failed_result = count;
        load.run->failed_os_error = 0;
    }
}

/* --- warm-up, intervals, the end --- */

static void begin_measuring(int64_t now_ns, bool settled)
{
    struct latency_run *run = load.run;

    run->warmup_settled = settled;
    run->warmup_took_ns = now_ns - load.warmup_start_ns;
    run->start_ns = now_ns;
    run->start_wall_ns = platform_wall_ns();
    load.last_ns = now_ns + load.options->duration_ns;
    load.interval_start_ns = now_ns;
    load.sample_ns = now_ns;
    load.empty_ns = now_ns;
    load.interval = clerk_measure(&load.clerk);
}

/* A tenth of the warm-up is a window; the last ten must show no drift of the service time. */
static void warm_up(int64_t now_ns)
{
    int64_t window_ns = load.options->warmup_ns / WARMUP_WINDOWS, took_ns;

    if (now_ns < load.window_end_ns)
        return;
    took_ns = now_ns - load.warmup_start_ns;
    if (load.window_count > 0)
        load.windows[load.window_index++ % WARMUP_WINDOWS] = load.window_sum / load.window_count;
    load.window_sum = load.window_count = 0;
    load.window_end_ns = now_ns + window_ns;
    if (took_ns >= load.options->warmup_ns * WARMUP_LONGEST)
        begin_measuring(now_ns, load.options->warmup_ns == 0);
    else if (load.window_index >= WARMUP_WINDOWS) {
        double in_order[WARMUP_WINDOWS];

        for (unsigned i = 0; i < WARMUP_WINDOWS; i++)
            in_order[i] = load.windows[(load.window_index + i) % WARMUP_WINDOWS];
        if (!statistics_drift(in_order, WARMUP_WINDOWS))
            begin_measuring(now_ns, true);
    }
}

static void sample_backlog(int64_t now_ns)
{
    if (now_ns < load.sample_ns || now_ns >= load.last_ns)
        return;
    load.sample_ns = now_ns + STEP_NS;
    statistics_line_add(&load.backlog, (double) (now_ns - load.run->start_ns) / 1e9,
                        (double) backlog());
    if (backlog() > load.run->backlog_max)
        load.run->backlog_max = backlog();
    if (backlog() == 0)
        load.empty_ns = now_ns;
}

static void close_interval(int64_t now_ns)
{
    struct latency_interval *next, *interval = load.interval;

    interval->start_ns = load.interval_start_ns - load.run->start_ns;
    interval->length_ns = now_ns - load.interval_start_ns;
    interval->backlog = backlog();
    interval->in_flight = load.in_flight;
    next = clerk_next(&load.clerk);
    if (next == NULL)
        return;
    load.interval = next;
    load.interval_start_ns = now_ns;
}

static void on_time(int64_t now_ns)
{
    if (load.interval == NULL) {
        warm_up(now_ns);
        return;
    }
    sample_backlog(now_ns);
    if (now_ns - load.interval_start_ns >= load.interval_ns &&
        load.last_ns - now_ns >= load.interval_ns / 2)
        close_interval(now_ns);
}

static void turn(int64_t now_ns)
{
    if (load.options->closed) {
        submit_closed();
    } else {
        count_arrivals(now_ns);
        submit_open();
    }
    reap();
}

static bool ended_early(void)
{
    if (load.run->end == LATENCY_COMPLETE && platform_stop_signal() != 0)
        load.run->end = LATENCY_STOPPED;
    return load.run->end != LATENCY_COMPLETE;
}

/* Nothing new comes; what waits gets its turn for a while. What is left then counts with the age
 * that it has: less than it would have been, which is better than leaving it out. */
static void drain(void)
{
    int64_t now_ns = platform_now_ns(), drain_ns = load.options->duration_ns;
    int64_t drain_end_ns = now_ns + (drain_ns < DRAIN_NS ? drain_ns : DRAIN_NS);

    while (!ended_early() && (now_ns = platform_now_ns()) < drain_end_ns &&
           load.head.next_ns < load.last_ns && !load.options->closed)
        turn(now_ns);
    for (drain_end_ns = now_ns + GIVE_UP_NS; load.in_flight > 0 && now_ns < drain_end_ns;
         now_ns = platform_now_ns()) {
        if (load.head.next_ns < load.last_ns) /* reap() is to sleep */
            load.last_ns = load.head.next_ns;
        reap();
    }
    if (load.in_flight > 0)
        load.run->end = LATENCY_STUCK;
}

static void abandon(int64_t last_ns)
{
    int64_t now_ns = platform_now_ns();

    for (; load.head.next_ns < last_ns; arrivals_step(&load.head)) {
        if (load.head.next_ns < load.run->start_ns)
            continue;
        histogram_record(&load.interval->series[LATENCY_RESPONSE], now_ns - load.head.next_ns);
        load.run->abandoned++;
    }
}

static void finish(void)
{
    struct latency_run *run = load.run;
    int64_t now_ns = platform_now_ns(), end_ns = now_ns < load.last_ns ? now_ns : load.last_ns;

    if (load.interval == NULL) { /* stopped while warming up */
        load.last_ns = now_ns;
        drain();
        return;
    }
    load.last_ns = end_ns;
    if (!load.options->closed)
        count_arrivals(end_ns);
    run->backlog_end = backlog();
    if (run->backlog_end > run->backlog_max)
        run->backlog_max = run->backlog_end;
    run->backlog_age_ns = backlog() > 0 ? end_ns - load.empty_ns : 0;
    run->backlog_slope = statistics_line_slope(&load.backlog);
    run->measured_ns = end_ns - run->start_ns;
    run->wall_step_ns = (platform_wall_ns() - run->start_wall_ns) - (now_ns - run->start_ns);
    load.interval->start_ns = load.interval_start_ns - run->start_ns;
    load.interval->length_ns = end_ns - load.interval_start_ns;
    load.interval->backlog = backlog();
    load.interval->in_flight = load.in_flight;
    drain();
    if (!load.options->closed)
        abandon(end_ns);
}

static void run_load(void)
{
    int64_t now_ns = platform_now_ns();
    uint64_t seed = load.options->seed, allocations;
    bool counts;

    load.interval_ns = load.options->duration_ns / LATENCY_INTERVALS;
    if (load.interval_ns < 100000000)
        load.interval_ns = 100000000;
    if (load.interval_ns > 1000000000)
        load.interval_ns = 1000000000;
    load.warmup_start_ns = now_ns;
    load.window_end_ns = now_ns + load.options->warmup_ns / WARMUP_WINDOWS;
    load.last_ns = INT64_MAX;
    if (load.options->closed) {
        load.head.next_ns = now_ns;
    } else {
        arrivals_begin(&load.head, load.options->rate, load.options->poisson, seed, now_ns);
        load.due = load.head;
    }
    platform_be_punctual();
    allocations = alloc_count_now();
    alloc_count_control();
    counts = alloc_count_supported() && alloc_count_now() > allocations;
    allocations = alloc_count_now();
    while (!ended_early() && now_ns < load.last_ns) {
        on_time(now_ns);
        turn(now_ns);
        now_ns = platform_now_ns();
    }
    finish();
    load.run->heap_allocations = counts ? (int64_t) (alloc_count_now() - allocations) : -1;
}

static void let_go(void)
{
    if (load.run->end == LATENCY_STUCK) /* the system has ops still; they end with the process */
        return;
    if (load.file != NULL)
        reop_file_close(load.file);
    if (load.engine != NULL)
        reop_engine_destroy(load.engine);
    if (load.pool != NULL)
        reop_pool_destroy(load.pool);
}

bool latency_load(struct latency_run *run, const struct latency_options *options,
                  const char *folder)
{
    struct platform_facts facts = {keep_fact, keep_warning, &run->environment};
    struct reop_engine_stats stats;
    bool good = false;

    memset(run, 0, sizeof *run);
    memset(&load, 0, sizeof load);
    run->options = load.options = options;
    load.run = run;
    load.random = ~options->seed;
    if (!create_engine() || (folder != NULL && !latency_make_folder(folder))) {
        let_go();
        return false;
    }
    if (open_file()) {
        platform_tell_facts(options->file, &facts);
        warn_of_what_we_are(&facts);
        fill_buffers();
        calibrate();
        good = clerk_begin(&load.clerk, run, folder);
        if (good) {
            run_load();
            good = clerk_end(&load.clerk, load.interval != NULL);
            reop_engine_query(load.engine, &stats);
            run->submit_stalls = stats.submit_stalls;
        }
    } else if (folder != NULL) {
        platform_remove(folder);
    }
    let_go();
    return good;
}
