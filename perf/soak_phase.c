/* SPDX-License-Identifier: MIT
 *
 * What the driving threads do in a phase. Most kinds are one loop with other numbers.
 */
#include "soak_child.h"

#include <string.h>

#define SUBMIT_MAX 8u               /* before what came back is looked at */
#define STEP_NS    (SOAK_NS / 100)  /* the longest sleep */
#define RETRY_NS   (SOAK_NS / 1000) /* when no op or no block was free */
#define BEHIND_NS  (SOAK_NS / 10)   /* what is later than this is not made up for */
#define DRIFT_NS   SOAK_NS          /* between two points of the steady phases' latency */

struct recipe {
    enum soak_pool pool;
    enum soak_target target;
    uint32_t depth; /* of each driver */
    uint32_t rate;  /* ops a second, 0: as many as go */
    uint32_t on_ms, off_ms;
    uint32_t blocks_max; /* of one op */
    uint32_t direct_percent, cancel_percent;
    uint32_t posts, syncs; /* of 1000 ops */
    bool headers;          /* some reads are of a few bytes */
};

static const struct recipe recipes[SOAK_KINDS] = {
    [SOAK_STEADY] = {.depth = 16, .rate = 2000, .blocks_max = 8, .direct_percent = 5, .syncs = 1},
    [SOAK_BURST] = {.depth = 128, .on_ms = 50, .off_ms = 50, .blocks_max = 8, .direct_percent = 2},
    [SOAK_IDLE] = {.depth = 1, .rate = 5, .blocks_max = 4},
    [SOAK_CANCEL_STORM] = {.depth = 128, .blocks_max = 8, .cancel_percent = 60, .syncs = 5},
    [SOAK_TINY] = {.depth = 64, .blocks_max = 1, .posts = 300, .syncs = 1, .headers = true},
    [SOAK_HUGE] = {.pool = SOAK_LARGE, .depth = 4, .blocks_max = 256, .direct_percent = 20},
    [SOAK_FAULTS] = {.target = SOAK_FAILING,
                     .depth = 64,
                     .blocks_max = 8,
                     .cancel_percent = 5,
                     .posts = 20,
                     .syncs = 5},
    /* Beside the thread that opens and closes. */
    [SOAK_LIFECYCLE] = {.depth = 16, .rate = 500, .blocks_max = 8},
};

struct pace {
    int64_t next_ns, interval_ns;
};

static bool submit_one(struct soak_driver *driver, const struct recipe *recipe)
{
    enum soak_engine engine = work.files[recipe->target].engine;
    enum soak_target target = recipe->target;
    uint32_t draw = driver_draw(driver, 1000), count = 1 + driver_draw(driver, recipe->blocks_max);
    struct soak_op *op = driver_acquire(driver, recipe->pool);

    if (op == NULL)
        return false;
    if (draw < recipe->posts) {
        driver_post(driver, op, engine);
        return true;
    }
    if (draw < recipe->posts + recipe->syncs) {
        driver_sync(driver, op, target);
        return true;
    }
    if (driver_draw(driver, 100) < recipe->direct_percent)
        target = SOAK_DIRECT;
    if (!driver_claim(driver, op, target, count)) {
        driver_release(driver, op);
        return false;
    }
    if (driver_draw(driver, 100) >= work.options->read_percent) {
        driver_write(driver, op);
    } else {
        if (recipe->headers && driver_draw(driver, 2) == 0)
            op->size = SOAK_BLOCK_HEADER;
        driver_read(driver, op);
    }
    if (driver_draw(driver, 100) < recipe->cancel_percent)
        driver_cancel_any(driver);
    return true;
}

static bool pausing(const struct soak_driver *driver, const struct recipe *recipe)
{
    return recipe->off_ms > 0 &&
           driver->now_ns / (SOAK_NS / 1000) % (recipe->on_ms + recipe->off_ms) >= recipe->on_ms;
}

/* How long nothing is to be submitted. */
static int64_t submit_due(struct soak_driver *driver, const struct recipe *recipe,
                          struct pace *pace)
{
    if (pausing(driver, recipe))
        return STEP_NS;
    for (unsigned i = 0; i < SUBMIT_MAX; i++) {
        if (atomic_load(&driver->in_flight) >= recipe->depth)
            return STEP_NS;
        if (pace->next_ns > driver->now_ns)
            return pace->next_ns - driver->now_ns < STEP_NS ? pace->next_ns - driver->now_ns
                                                            : STEP_NS;
        if (!submit_one(driver, recipe))
            return RETRY_NS;
        pace->next_ns += pace->interval_ns;
        if (pace->next_ns < driver->now_ns - BEHIND_NS)
            pace->next_ns = driver->now_ns;
    }
    return 0;
}

static void turn(struct soak_driver *driver, const struct recipe *recipe, struct pace *pace)
{
    int64_t wait_ns = submit_due(driver, recipe, pace);
    int count = driver_reap(driver, work.files[recipe->target].engine, wait_ns);

    /* Where time is virtual, waiting takes none. */
    if (work.simulated && count == 0 && wait_ns > 0)
        platform_sleep_until(driver->now_ns + wait_ns);
}

/* One thread's mean stands for both. */
static void note_drift(struct soak_driver *driver, int64_t *due_ns)
{
    if (driver->index != 0 || driver->now_ns < *due_ns)
        return;
    *due_ns = driver->now_ns + DRIFT_NS;
    if (driver->steady_count > 0)
        soak_series_add(&work.shared->drift,
                        (double) (driver->now_ns - work.shared->start_ns) / SOAK_NS,
                        driver->steady_sum / driver->steady_count);
    driver->steady_sum = driver->steady_count = 0;
}

/* --- the end --- */

static void read_back_file(struct soak_driver *driver, enum soak_target target)
{
    struct soak_file *file = &work.files[target];
    const uint32_t most = SOAK_SMALL_SIZE / SOAK_BLOCK;

    if (file->file == NULL)
        return;
    for (uint32_t block = 0; block < file->block_count && !atomic_load(&work.shared->stop);) {
        struct soak_op *op = driver_acquire(driver, SOAK_SMALL);
        uint32_t count = file->block_count - block < most ? file->block_count - block : most;

        if (op == NULL) {
            driver_reap(driver, file->engine, RETRY_NS);
            continue;
        }
        if (!driver_claim_at(op, target, block, count))
            soak_fail(SOAK_CONSERVATION, op, "a block is in use though nothing is in flight");
        driver_read(driver, op);
        block += count;
    }
    driver_drain(driver);
}

static void read_back(struct soak_driver *driver)
{
    for (unsigned i = 0; i < SOAK_TARGETS; i++)
        read_back_file(driver, (enum soak_target) i);
}

void phase_run(struct soak_driver *driver, uint32_t order)
{
    enum soak_kind kind = work.order.kind;
    struct pace pace = {.next_ns = platform_now_ns()};
    int64_t drift_ns = pace.next_ns + DRIFT_NS;

    driver->now_ns = pace.next_ns;
    driver->random = work.order.seed + driver->index;
    driver->steady_sum = driver->steady_count = 0;
    if (kind == SOAK_READ_BACK) {
        if (driver->index == 0)
            read_back(driver);
    } else {
        pace.interval_ns = recipes[kind].rate > 0 ? SOAK_NS / recipes[kind].rate : 0;
        while (atomic_load(&work.order.ended) != order) {
            if (kind == SOAK_LIFECYCLE && driver->index == 0)
                lifecycle_turn(driver);
            else
                turn(driver, &recipes[kind], &pace);
            if (kind == SOAK_STEADY && work.measuring)
                note_drift(driver, &drift_ns);
        }
    }
    driver_drain(driver);
}
