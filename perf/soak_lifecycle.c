/* SPDX-License-Identifier: MIT
 *
 * Opening and closing while ops are in flight; whole engines that are created, used, stopped and
 * destroyed; a device that is full.
 *
 * Create and destroy calls may allocate, and so may the threads that they start, which can be late.
 * So what is allocated during the whole life of such an engine is counted apart.
 */
#include "alloc_count.h"
#include "setup.h"
#include "soak_child.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STORM_OPS     6u
#define CYCLE_OPS     8u
#define CYCLE_SIZE    4096u
#define FULL_CAPACITY (CYCLE_OPS * CYCLE_SIZE) /* of a simulated device */
#define PAUSE_NS      (SOAK_NS / 400)

static void must(bool good, const char *what)
{
    if (!good)
        soak_fail(SOAK_LIFECYCLES, NULL, "%s", what);
}

/* --- engines of any kind --- */

int soak_create_engine(const reop_engine_config *config, bool faulty, uint64_t capacity,
                       reop_engine **engine_out)
{
    struct reop_sim_config device = {.capacity = capacity, .jitter_ns = 50000, .tape_size = 64};
    struct reop_faults faults = setup_faults(work.options->fault_share, work.options->seed);
    reop_engine_config complete = *config;
    int error;

    if (work.simulated) {
        complete.backend = REOP_BACKEND_SIM;
        complete.flags = REOP_ENGINE_SINGLE_THREAD | (config->flags & REOP_ENGINE_DEFER);
        if (faulty)
            device.faults = faults;
        error = reop_sim_create(&complete, &device, engine_out);
        return error < 0 ? error : reop_sim_reset(*engine_out, NULL, 0, work.options->seed + 1);
    }
    error = reop_engine_create(&complete, engine_out);
    return error < 0 || !faulty ? error : reop_engine_faults(*engine_out, &faults);
}

/* --- a storm of opens and closes, on the engine that everybody uses --- */

static void submit_storm(struct soak_driver *driver)
{
    for (unsigned i = 0; i < STORM_OPS; i++) {
        struct soak_op *op = driver_acquire(driver, SOAK_SMALL);

        if (op == NULL)
            return;
        if (!driver_claim(driver, op, SOAK_STORM, 1 + driver_draw(driver, 4)))
            driver_release(driver, op);
        else if (driver_draw(driver, 2) == 0)
            driver_read(driver, op);
        else
            driver_write(driver, op);
    }
}

static void storm(struct soak_driver *driver)
{
    struct soak_file *file = &work.files[SOAK_STORM];
    int error = soak_open(file, file->flags);

    if (error < 0)
        soak_fail(SOAK_LIFECYCLES, NULL, "opening %s again: %s", file->path,
                  platform_words(error, 0));
    soak_count(&driver->tally->opened, 1);
    soak_note(driver, SOAK_STEP_OPEN, NULL, 0);
    submit_storm(driver);
    if (driver_draw(driver, 2) == 0)
        driver_cancel_any(driver);
    while ((error = reop_file_close(file->file)) == -EBUSY) {
        soak_count(&driver->tally->closes_refused, 1);
        driver_reap(driver, SOAK_SOUND, SOAK_NS / 1000);
    }
    if (error < 0)
        soak_fail(SOAK_LIFECYCLES, NULL, "closing %s: %s", file->path, platform_words(error, 0));
    file->file = NULL;
}

/* --- the whole life of an engine --- */

struct cycle {
    struct soak_driver *driver;
    reop_pool *pool;
    reop_engine *engine;
    reop_file *file;
    uint64_t allocations; /* when it was begun */
    uint32_t in_flight;
    int64_t results[CYCLE_OPS * 2];
    uint32_t result_count;
};

static void create(struct cycle *cycle)
{
    static const uint32_t flags[] = {0, REOP_ENGINE_SINGLE_THREAD,
                                     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER,
                                     REOP_ENGINE_INLINE};
    reop_pool_config pool_config = {.op_count = CYCLE_OPS, .buffer_size = CYCLE_SIZE};
    reop_engine_config config = {.backend = work.options->backend, .file_count = 2, .threads = 2};
    int error;

    cycle->allocations = alloc_count_now();
    error = reop_pool_create(&pool_config, &cycle->pool);
    config.pool = cycle->pool;
    config.flags = flags[driver_draw(cycle->driver, 4)];
    if (error == 0)
        error = soak_create_engine(&config, false, FULL_CAPACITY, &cycle->engine);
    if (error < 0)
        soak_fail(SOAK_LIFECYCLES, NULL, "creating an engine once more: %s. %s",
                  platform_words(error, 0), reop_engine_why(NULL));
    soak_note(cycle->driver, SOAK_STEP_CREATE, NULL, config.flags);
}

static void came_back(struct cycle *cycle, reop_op *op)
{
    cycle->results[cycle->result_count++] = op->result;
    reop_release(reop_pool_shared_lane(cycle->pool), op);
}

/* Until nothing is in flight, or the engine says that it is stopped. */
static void await(struct cycle *cycle)
{
    int64_t give_up_ns = platform_now_ns() + work.options->limit_ns;

    while (cycle->in_flight > 0) {
        reop_op *ops[CYCLE_OPS];
        int count = reop_reap(cycle->engine, ops, CYCLE_OPS, SOAK_NS / 100);

        for (int i = 0; i < count; i++)
            came_back(cycle, ops[i]);
        cycle->in_flight -= count > 0 ? (uint32_t) count : 0;
        soak_beat(cycle->driver);
        if (platform_now_ns() > give_up_ns)
            soak_fail(SOAK_LOST, NULL,
                      "on an engine of the lifecycle phase, %" PRIu32 " ops did not come back",
                      cycle->in_flight);
    }
}

/* One op for each of some blocks. */
static void transfer(struct cycle *cycle, bool write, uint32_t first, uint32_t count)
{
    cycle->result_count = 0;
    for (uint32_t i = first; i < first + count; i++) {
        reop_op *op = reop_acquire(reop_pool_shared_lane(cycle->pool));
        uint64_t offset = (uint64_t) i * CYCLE_SIZE;
        reop_status status;

        must(op != NULL, "a pool whose ops are all free gave none");
        if (write)
            memset(reop_op_buffer(op), (int) i + 1, CYCLE_SIZE);
        status = write ? reop_write(op, cycle->file, reop_op_buffer(op), CYCLE_SIZE, offset)
                       : reop_read(op, cycle->file, reop_op_buffer(op), CYCLE_SIZE, offset);
        must(status != REOP_REJECTED, "a fresh engine refused a submit");
        if (status == REOP_DONE)
            came_back(cycle, op);
        else
            cycle->in_flight++;
        if (cycle->in_flight == CYCLE_OPS)
            await(cycle);
    }
}

static void expect_results(const struct cycle *cycle, int64_t result, const char *what)
{
    for (uint32_t i = 0; i < cycle->result_count; i++) {
        if (cycle->results[i] != result)
            soak_fail(SOAK_LIFECYCLES, NULL, "%s: a result of %" PRId64 " instead of %" PRId64,
                      what, cycle->results[i], result);
    }
}

static void expect_stopped(struct cycle *cycle)
{
    reop_op *op = reop_acquire(reop_pool_shared_lane(cycle->pool)), *none;

    must(reop_read(op, cycle->file, reop_op_buffer(op), CYCLE_SIZE, 0) == REOP_REJECTED &&
             op->result == -ECANCELED,
         "a stopped engine took a submit");
    reop_release(reop_pool_shared_lane(cycle->pool), op);
    must(reop_reap(cycle->engine, &none, 1, 0) == -ECANCELED,
         "a stopped engine with nothing in flight did not say so");
}

static void destroy(struct cycle *cycle)
{
    int error = reop_engine_destroy(cycle->engine);

    if (error == 0)
        error = reop_pool_destroy(cycle->pool);
    atomic_fetch_add(&work.shared->excused, alloc_count_now() - cycle->allocations);
    if (error < 0)
        soak_fail(SOAK_LIFECYCLES, NULL, "destroying an engine with nothing in flight: %s",
                  platform_words(error, 0));
    soak_note(cycle->driver, SOAK_STEP_DESTROY, NULL, 0);
}

/* A device that has no room: Linux has one that is always so, a simulated one fills up. */
static void fill_up(struct cycle *cycle)
{
    int error =
        reop_file_open(cycle->engine, work.simulated ? "filler" : "/dev/full",
                       REOP_FILE_WRITE | (work.simulated ? REOP_FILE_CREATE : 0), &cycle->file);

    if (error < 0)
        return; /* no such device here; filled_up stays 0, and the report says so */
    if (work.simulated) {
        transfer(cycle, true, 0, CYCLE_OPS); /* all of its capacity */
        await(cycle);
    }
    transfer(cycle, true, CYCLE_OPS, 1);
    await(cycle);
    expect_results(cycle, -ENOSPC, "writing to a full device");
    soak_count(&cycle->driver->tally->filled_up, 1);
    must(reop_file_close(cycle->file) == 0, "a file on a full device cannot be closed");
}

static void live(struct soak_driver *driver)
{
    static char path[sizeof work.files[0].path + 8];
    struct cycle cycle = {.driver = driver};

    create(&cycle);
    /* From here on what is allocated is excused: by a thread's first snprintf(), on Windows. */
    snprintf(path, sizeof path, "%s.cycle", work.files[SOAK_STORM].path);
    must(reop_file_open(cycle.engine, path,
                        REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_SHARE_READ |
                            REOP_FILE_SHARE_WRITE,
                        &cycle.file) == 0,
         "a fresh engine cannot open a file");
    transfer(&cycle, true, 0, CYCLE_OPS);
    must(reop_engine_destroy(cycle.engine) == -EBUSY, "an engine with a file open was destroyed");
    await(&cycle);
    expect_results(&cycle, CYCLE_SIZE, "writing on a fresh engine");
    transfer(&cycle, false, 0, CYCLE_OPS);
    reop_stop(cycle.engine);
    await(&cycle);
    expect_results(&cycle, CYCLE_SIZE, "reading on an engine that is being stopped");
    expect_stopped(&cycle);
    must(reop_file_close(cycle.file) == 0, "a file of a stopped engine cannot be closed");
    destroy(&cycle);
    platform_remove(path);
    soak_count(&driver->tally->engines, 1);
}

static void live_on_a_full_device(struct soak_driver *driver)
{
    struct cycle cycle = {.driver = driver};

    create(&cycle);
    for (unsigned i = 0; i < 2; i++)
        fill_up(&cycle);
    destroy(&cycle);
    soak_count(&driver->tally->engines, 1);
}

void lifecycle_turn(struct soak_driver *driver)
{
    switch (driver_draw(driver, 8)) {
    case 0:
        live(driver);
        break;
    case 1:
        live_on_a_full_device(driver);
        break;
    default:
        storm(driver);
    }
    driver_reap(driver, SOAK_SOUND, 0);
    platform_sleep_until(driver->now_ns + PAUSE_NS);
}
