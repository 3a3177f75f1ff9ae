/* SPDX-License-Identifier: MIT
 *
 * The child: takes everything it needs, then conducts. The main thread gives orders to the driving
 * threads, one phase after the other; while they work it looks every 10 ms whether it is still
 * wanted, and ten times a second whether an op has been away for too long.
 */
#include "alloc_count.h"
#include "soak_child.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS       (SOAK_NS / 100)
#define WATCH_NS      (SOAK_NS / 10)
#define SAMPLE_NS     SOAK_NS
#define WARMUP_NS     (SOAK_NS / 5) /* of each kind of phase */
#define STUCK_MAX     4u
#define LANE_CACHE    8u
#define AGED_OPS      16u
#define AGED_LAUNCHES 65000u
#define AGE_NS        (20 * SOAK_NS) /* at most */
#define TOUCH_SIZE    4096u
#define EXIT_CHECK    1
#define EXIT_BAD      4

struct soak_work work;

static struct soak_block cached_blocks[4096], direct_blocks[1024], failing_blocks[1024],
    storm_blocks[64];

#define BLOCKS(array) .blocks = array, .block_count = sizeof array / sizeof *array
#define BOTH          (REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE)

static const struct soak_file files[SOAK_TARGETS] = {
    [SOAK_CACHED] = {.name = "reop_soak.cached", .flags = BOTH, BLOCKS(cached_blocks)},
    [SOAK_DIRECT] = {.name = "reop_soak.direct",
                     .flags = BOTH | REOP_FILE_DIRECT | REOP_FILE_DURABLE,
                     BLOCKS(direct_blocks)},
    [SOAK_FAILING] = {.name = "reop_soak.failing",
                      .engine = SOAK_FAULTY,
                      .flags = BOTH,
                      BLOCKS(failing_blocks)},
    [SOAK_STORM] = {.name = "reop_soak.storm", .flags = BOTH, BLOCKS(storm_blocks)},
};

/* --- for everybody here --- */

static void remove_files(void)
{
    for (unsigned i = 0; i < SOAK_TARGETS && !work.simulated; i++) {
        if (work.files[i].path[0] != '\0')
            platform_remove(work.files[i].path);
    }
}

void soak_fail(enum soak_check check, const struct soak_op *op, const char *format, ...)
{
    va_list arguments;

    if (atomic_exchange(&work.shared->failed, true)) {
        for (;;) /* another thread is writing its own down, and ends the process */
            platform_sleep_until(platform_now_ns() + SOAK_NS);
    }
    atomic_store(&work.shared->failed_check, check);
    work.shared->failed_op = op == NULL ? UINT32_MAX : (uint32_t) (op - work.shared->ops);
    va_start(arguments, format);
    vsnprintf(work.shared->failure, sizeof work.shared->failure, format, arguments);
    va_end(arguments);
    if (check == SOAK_ENVIRONMENT)
        remove_files();
    atomic_store(&work.shared->told, true);
    _Exit(check == SOAK_ENVIRONMENT ? EXIT_BAD : EXIT_CHECK);
}

static void note_in(struct soak_event *event, const struct soak_driver *driver, enum soak_step step,
                    uint32_t number, int64_t detail)
{
    atomic_store_explicit(&event->ns, driver->now_ns, memory_order_relaxed);
    atomic_store_explicit(&event->detail, detail, memory_order_relaxed);
    atomic_store_explicit(&event->other, number, memory_order_relaxed);
    atomic_store_explicit(&event->step, step, memory_order_relaxed);
}

void soak_note(struct soak_driver *driver, enum soak_step step, struct soak_op *op, int64_t detail)
{
    struct soak_shared *shared = work.shared;
    _Atomic uint32_t *count = &shared->event_counts[driver->index];
    uint32_t at = atomic_load_explicit(count, memory_order_relaxed); /* one writer */
    uint32_t number = op == NULL ? UINT32_MAX : (uint32_t) (op - shared->ops);

    if (work.auditing) /* hundreds of steps that would hide what came before them */
        return;
    note_in(&shared->events[driver->index][at % SOAK_EVENTS], driver, step, number, detail);
    atomic_store_explicit(count, at + 1, memory_order_relaxed);
    if (op == NULL)
        return;
    at = atomic_fetch_add_explicit(&op->trail_count, 1, memory_order_relaxed);
    note_in(&op->trail[at % SOAK_TRAIL], driver, step, driver->index, detail);
}

void soak_beat(struct soak_driver *driver)
{
    atomic_fetch_add_explicit(&work.shared->beats[driver->index], 1, memory_order_relaxed);
}

/* --- taking what is needed --- */

static void cannot(const char *what, int64_t error, const char *more)
{
    soak_fail(SOAK_ENVIRONMENT, NULL, "%s: %s%s%s.%s", what, platform_words(error, 0),
              *more == '\0' ? "" : ": ", more, report_advice(error));
}

static void create_pools(void)
{
    reop_pool_config config = {.op_count = SOAK_SMALL_OPS,
                               .lane_count = SOAK_DRIVERS,
                               .lane_cache = LANE_CACHE,
                               .context_size = 64,
                               .buffer_size = SOAK_SMALL_SIZE + 2 * SOAK_EDGE};
    int error = reop_pool_create(&config, &work.pools[SOAK_SMALL]);

    config.op_count = SOAK_HUGE_OPS;
    config.lane_cache = REOP_LANE_EXACT;
    config.buffer_size = SOAK_HUGE_SIZE + 2 * SOAK_EDGE;
    if (error == 0)
        error = reop_pool_create(&config, &work.pools[SOAK_LARGE]);
    if (error < 0)
        cannot("memory for the ops", error, "");
}

static void create_engines(void)
{
    reop_engine_config config = {
        .backend = work.options->backend, .file_count = 8, .pool = work.pools[SOAK_SMALL]};
    int error = 0;

    for (unsigned i = 0; i < SOAK_ENGINES && error == 0; i++) {
        error = soak_create_engine(&config, i == SOAK_FAULTY, UINT64_C(48) << 20, &work.engines[i]);
        if (error == 0)
            error = reop_engine_register(work.engines[i], work.pools[SOAK_LARGE]);
    }
    if (error < 0)
        cannot("--backend", error, reop_engine_why(NULL));
    snprintf(work.shared->backend, sizeof work.shared->backend, "%s",
             reop_engine_backend(work.engines[SOAK_SOUND]));
    snprintf(work.shared->why, sizeof work.shared->why, "%s",
             reop_engine_why(work.engines[SOAK_SOUND]));
}

int soak_open(struct soak_file *file, uint32_t flags)
{
    return reop_file_open(work.engines[file->engine], file->path, flags, &file->file);
}

/* Written with zeroes from end to end, so that no later write needs room. */
static void make_file(struct soak_file *file)
{
    uint64_t size = (uint64_t) file->block_count * SOAK_BLOCK;
    int error;

    if (work.simulated)
        snprintf(file->path, sizeof file->path, "%s", file->name);
    else
        snprintf(file->path, sizeof file->path, "%s/%s", work.options->folder, file->name);
    error = soak_open(file, file->flags | REOP_FILE_CREATE | REOP_FILE_TRUNCATE);
    if (error == -ENOTSUP && (file->flags & REOP_FILE_DIRECT)) {
        file->flags &= ~REOP_FILE_DIRECT;
        snprintf(work.shared->notes, sizeof work.shared->notes,
                 "direct I/O is not possible in this DIR: %s went through the cache", file->name);
        error = soak_open(file, file->flags | REOP_FILE_CREATE | REOP_FILE_TRUNCATE);
    }
    if (error == 0)
        error = reop_file_preallocate(file->file, size);
    if (error < 0)
        cannot(file->path, error, "");
    for (uint32_t i = 0; i < file->block_count; i++)
        file->blocks[i].acked = file->blocks[i].attempted = SOAK_SEQUENCE_FIRST;
    atomic_fetch_add(&work.shared->blocks_total, file->block_count);
}

static void make_files(void)
{
    memcpy(work.files, files, sizeof files);
    for (unsigned i = 0; i < SOAK_TARGETS; i++) {
        make_file(&work.files[i]);
        soak_beat(SOAK_CONDUCTOR);
    }
    reop_file_close(work.files[SOAK_STORM].file); /* opened again by each storm */
    work.files[SOAK_STORM].file = NULL;
}

/* --- the driving threads --- */

/* A ring carries 16 bits of a launch's number: some ops are launched so often that theirs are about
 * to pass 2^16. */
static void age(struct soak_driver *driver)
{
    int64_t end_ns = platform_now_ns() + AGE_NS;
    reop_op *ops[AGED_OPS];

    for (unsigned i = 0; i < AGED_OPS; i++)
        ops[i] = reop_acquire(driver->lanes[SOAK_SMALL]);
    for (uint32_t launch = 0; launch < AGED_LAUNCHES && platform_now_ns() < end_ns; launch++) {
        for (unsigned i = 0; i < AGED_OPS; i++)
            reop_post(ops[i], work.engines[SOAK_SOUND], 0);
        for (int left = AGED_OPS; left > 0;) {
            reop_op *back[AGED_OPS];
            int count = reop_reap(work.engines[SOAK_SOUND], back, AGED_OPS, SOAK_NS);

            left -= count > 0 ? count : 0;
        }
        soak_beat(driver);
    }
    work.aged = AGED_OPS * (reop_op_use(ops[0]) - 1);
    atomic_store(&work.shared->use_started, reop_op_use(ops[0]) - 1);
    for (unsigned i = 0; i < AGED_OPS; i++)
        reop_release(driver->lanes[SOAK_SMALL], ops[i]);
}

static void rest(struct soak_driver *driver)
{
    platform_sleep_until(platform_now_ns() + SOAK_NS / 1000);
    soak_beat(driver);
}

static void await_order(struct soak_driver *driver, uint32_t last)
{
    while (atomic_load(&work.order.number) == last)
        rest(driver);
}

static void driver_main(void *context)
{
    struct soak_driver *driver = context;
    uint32_t order = 0;

    if (driver->index == 0 && strcmp(work.shared->backend, "uring") == 0)
        age(driver);
    atomic_store(&driver->ready, true);
    while (!atomic_load(&work.drivers[0].ready)) /* its ops are not for others to reap */
        rest(driver);
    for (;;) {
        await_order(driver, order);
        order = atomic_load(&work.order.number);
        if (work.order.over)
            break;
        phase_run(driver, order);
        soak_note(driver, SOAK_STEP_QUIET, NULL, work.order.kind);
        atomic_store(&driver->arrived, order);
    }
}

static void start_drivers(void)
{
    work.driver_count = work.simulated ? 1 : SOAK_DRIVERS;
    atomic_store(&work.shared->drivers, work.driver_count);
    for (unsigned i = 0; i < SOAK_THREADS; i++) {
        struct soak_driver *driver = &work.drivers[i];

        driver->index = i;
        driver->tally = &work.shared->tallies[i];
        for (unsigned pool = 0; pool < SOAK_POOLS; pool++)
            driver->lanes[pool] = i < SOAK_DRIVERS ? reop_pool_lane(work.pools[pool], i)
                                                   : reop_pool_shared_lane(work.pools[pool]);
    }
    for (unsigned i = 0; i < work.driver_count; i++) {
        int error = platform_thread_start(&work.drivers[i].thread, driver_main, &work.drivers[i]);

        if (error < 0)
            cannot("starting a thread", error, "");
    }
}

/* --- watching --- */

static void list_stuck(enum soak_engine engine, char *text, size_t size)
{
    struct reop_stuck_op stuck[STUCK_MAX];
    struct reop_engine_stats stats;
    uint32_t count = 0;
    size_t at;

    reop_engine_query(work.engines[engine], &stats);
    if (!work.simulated) /* there only the owner may ask */
        count = reop_stuck(work.engines[engine], stuck, STUCK_MAX);
    at = (size_t) snprintf(text, size,
                           "the engine has submitted %" PRIu64 " and completed %" PRIu64
                           "; it says that in flight are",
                           stats.submitted, stats.completed);
    for (uint32_t i = 0; i < count && at < size; i++)
        at += (size_t) snprintf(text + at, size - at,
                                " [kind %" PRIu32 ", use %" PRIu64 ", %" PRIu32 " bytes at %" PRIu64
                                ", %" PRIu32 " ms]",
                                stuck[i].kind, stuck[i].use, stuck[i].size, stuck[i].offset,
                                stuck[i].age_ms);
    if (count == 0 && at < size)
        snprintf(text + at, size - at, work.simulated ? " (not asked)" : " none");
}

static void watch(int64_t now_ns)
{
    static char stuck[640];

    for (uint32_t i = 0; i < atomic_load(&work.shared->op_count); i++) {
        struct soak_op *op = &work.shared->ops[i];
        bool in_flight = atomic_load(&op->state) == SOAK_IN_FLIGHT; /* then its time is set */
        int64_t age_ns = now_ns - atomic_load(&op->submit_ns);

        if (!in_flight || age_ns < work.options->limit_ns)
            continue;
        list_stuck(work.files[op->target].engine, stuck, sizeof stuck);
        soak_fail(SOAK_LOST, op, "op %" PRIu32 " has not come back for %.1f s; %s", i,
                  (double) age_ns / SOAK_NS, stuck);
    }
}

/* A tick that is late was late for everybody: how the machine itself did, beside the latencies. */
static void tick(void)
{
    static int64_t watch_ns, sample_ns;
    static double late_sum, late_count;
    int64_t due_ns = platform_now_ns() + TICK_NS, now_ns;

    platform_sleep_until(due_ns);
    now_ns = SOAK_CONDUCTOR->now_ns = platform_now_ns();
    soak_beat(SOAK_CONDUCTOR);
    if (process_orphaned())
        _Exit(EXIT_BAD);
    if (work.order.kind == SOAK_STEADY) {
        late_sum += (double) (now_ns - due_ns);
        late_count++;
    }
    if (now_ns >= watch_ns) {
        watch(now_ns);
        watch_ns = now_ns + WATCH_NS;
    }
    if (now_ns >= sample_ns) {
        audit_sample();
        if (work.measuring && late_count > 0)
            soak_series_add(&work.shared->delay,
                            (double) (now_ns - work.shared->start_ns) / SOAK_NS,
                            late_sum / late_count);
        late_sum = late_count = 0;
        sample_ns = now_ns + SAMPLE_NS;
    }
}

/* --- conducting --- */

static bool stopped(void)
{
    return atomic_load(&work.shared->stop);
}

static bool all_arrived(uint32_t order)
{
    for (unsigned i = 0; i < work.driver_count; i++) {
        if (atomic_load(&work.drivers[i].arrived) != order)
            return false;
    }
    return true;
}

static void conduct(enum soak_kind kind, uint64_t seed, int64_t end_ns)
{
    uint32_t order = atomic_load(&work.order.number) + 1;

    work.order.kind = kind;
    work.order.seed = seed;
    atomic_store(&work.shared->kind, kind);
    soak_note(SOAK_CONDUCTOR, SOAK_STEP_PHASE, NULL, kind);
    atomic_store(&work.order.number, order);
    while (platform_now_ns() < end_ns && !stopped())
        tick();
    atomic_store(&work.order.ended, order);
    for (unsigned i = 0; i < SOAK_ENGINES; i++)
        reop_wake(work.engines[i]); /* whoever sleeps in a reap has nothing to wait for now */
    while (!all_arrived(order))
        tick();
    audit();
}

static void warm_up(void)
{
    atomic_store(&work.shared->stage, SOAK_WARMING_UP);
    for (unsigned i = 0; i < SOAK_KINDS && !stopped(); i++)
        conduct((enum soak_kind) i, work.options->seed + i, platform_now_ns() + WARMUP_NS);
    audit_begin();
}

static void conduct_phase(uint64_t number, int64_t end_ns)
{
    uint64_t seed = work.options->seed, before = atomic_load(&work.shared->phases);
    enum soak_kind kind = soak_plan_kind(seed, number);

    atomic_store(&work.shared->phase, number);
    if (before < SOAK_RAN)
        atomic_store(&work.shared->ran[before], (uint32_t) kind + 1);
    conduct(kind, seed * 1000003 + number, end_ns);
    atomic_fetch_add(&work.shared->phases, 1);
}

static void run_phases(void)
{
    const struct soak_options *options = work.options;
    int64_t length_ns = soak_plan_length_ns(options);
    int64_t last_ns = work.shared->start_ns + options->duration_ns - soak_plan_reserve_ns(options);
    int64_t begin_ns = platform_now_ns();

    atomic_store(&work.shared->stage, SOAK_RUNNING);
    for (uint64_t number = options->first_phase; !stopped(); number++) {
        int64_t now_ns = platform_now_ns();
        int64_t end_ns = now_ns + length_ns < last_ns ? now_ns + length_ns : last_ns;

        if (now_ns >= last_ns)
            break;
        conduct_phase(number, end_ns);
        atomic_store(&work.shared->measured_ns, platform_now_ns() - begin_ns);
    }
}

static void finish(void)
{
    atomic_store(&work.shared->stage, SOAK_READING_BACK);
    if (!stopped()) {
        int error = soak_open(&work.files[SOAK_STORM], work.files[SOAK_STORM].flags);

        if (error < 0)
            soak_fail(SOAK_LIFECYCLES, NULL, "opening %s at the end: %s",
                      work.files[SOAK_STORM].path, platform_words(error, 0));
        conduct(SOAK_READ_BACK, work.options->seed, 0);
    }
    work.order.over = true;
    atomic_fetch_add(&work.order.number, 1);
    for (unsigned i = 0; i < work.driver_count; i++)
        platform_thread_join(&work.drivers[i].thread);
}

static void let_go(void)
{
    int error = 0;

    for (unsigned i = 0; i < SOAK_TARGETS && error == 0; i++)
        error = work.files[i].file == NULL ? 0 : reop_file_close(work.files[i].file);
    remove_files();
    for (unsigned i = 0; i < SOAK_ENGINES && error == 0; i++)
        error = reop_engine_destroy(work.engines[i]);
    for (unsigned i = 0; i < SOAK_POOLS && error == 0; i++)
        error = reop_pool_destroy(work.pools[i]);
    if (error < 0)
        soak_fail(SOAK_LIFECYCLES, NULL, "letting go of everything at the end: %s",
                  platform_words(error, 0));
}

/* A page that is touched for the first time in an hour would look like growth. Adding nothing takes
 * nothing away from what the parent writes. */
static void touch(void *memory, size_t size)
{
    _Atomic unsigned char *bytes = memory;

    for (size_t at = 0; at < size; at += TOUCH_SIZE)
        atomic_fetch_add_explicit(&bytes[at], 0, memory_order_relaxed);
}

int soak_child(void *shared)
{
    uint64_t before = alloc_count_now();

    touch(shared, sizeof *work.shared);
    work.shared = shared;
    work.options = &work.shared->options;
    work.simulated = work.options->backend == REOP_BACKEND_SIM;
    alloc_count_control();
    work.counts_allocations = alloc_count_supported() && alloc_count_now() > before;
    create_pools();
    create_engines();
    make_files();
    start_drivers();
    warm_up();
    run_phases();
    finish();
    let_go();
    atomic_store(&work.shared->stage, SOAK_DONE);
    return 0;
}
