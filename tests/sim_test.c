/* SPDX-License-Identifier: MIT
 *
 * The simulated device, promise by promise of <reop/sim.h>. What survives a crash is held against
 * an oracle in sim_model_test.c.
 */
#include "fixture.h"

#include <reop/sim.h>

#include <time.h>

#define OPS         8u
#define BUFFER_SIZE 8192u

struct device {
    reop_pool *pool;
    reop_lane *lane;
    reop_engine *engine;
    reop_file *file;
    reop_op *ops[OPS];
};

static void device_open(struct device *device, struct reop_sim_config config, uint32_t flags)
{
    reop_pool_config pool_config = {.op_count = OPS, .buffer_size = BUFFER_SIZE};
    reop_engine_config engine_config = {.flags = REOP_ENGINE_SINGLE_THREAD};

    cr_assert_eq(reop_pool_create(&pool_config, &device->pool), 0);
    device->lane = reop_pool_shared_lane(device->pool);
    engine_config.pool = device->pool;
    cr_assert_eq(reop_sim_create(&engine_config, &config, &device->engine), 0, "%s",
                 reop_engine_why(NULL));
    cr_assert_eq(reop_acquire_many(device->lane, device->ops, OPS), OPS);
    cr_assert_eq(reop_file_open(device->engine, "file",
                                flags | REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE,
                                &device->file),
                 0);
}

static void device_close(struct device *device)
{
    cr_assert_eq(reop_file_close(device->file), 0);
    reop_release_many(device->lane, device->ops, OPS);
    cr_assert_eq(reop_engine_destroy(device->engine), 0);
    cr_assert_eq(reop_pool_destroy(device->pool), 0);
}

static int64_t finish(struct device *device, reop_op *op, reop_status status)
{
    reop_op *reaped = NULL;

    cr_assert_eq(status, REOP_PENDING);
    cr_assert_eq(reop_reap(device->engine, &reaped, 1, REOP_FOREVER), 1);
    cr_assert_eq(reaped, op);
    return op->result;
}

static int64_t write_at(struct device *device, uint8_t fill, uint32_t size, uint64_t offset)
{
    reop_op *op = device->ops[0];

    memset(reop_op_buffer(op), fill, size);
    return finish(device, op, reop_write(op, device->file, reop_op_buffer(op), size, offset));
}

/* The result; the bytes are in ops[1]'s buffer. */
static int64_t read_at(struct device *device, uint32_t size, uint64_t offset)
{
    reop_op *op = device->ops[1];

    return finish(device, op, reop_read(op, device->file, reop_op_buffer(op), size, offset));
}

static uint8_t byte_read(struct device *device, uint32_t at)
{
    const uint8_t *bytes = reop_op_buffer(device->ops[1]);

    return bytes[at];
}

static int64_t sync_now(struct device *device)
{
    return finish(device, device->ops[2], reop_sync(device->ops[2], device->file, 0));
}

static void reopen(struct device *device)
{
    cr_assert_eq(reop_file_close(device->file), 0);
    reop_sim_restart(device->engine);
    cr_assert_eq(
        reop_file_open(device->engine, "file", REOP_FILE_READ | REOP_FILE_WRITE, &device->file), 0);
}

static struct reop_sim_stats stats_of(struct device *device)
{
    struct reop_sim_stats stats;

    reop_sim_query(device->engine, &stats);
    return stats;
}

/* --- create ----------------------------------------------------------------------------------- */

/* Promise: "its flags need REOP_ENGINE_SINGLE_THREAD: -ENOTSUP". */
Test(sim, needs_a_single_threaded_engine_and_says_so)
{
    reop_pool_config pool_config = {.op_count = 1};
    reop_engine_config config = {.backend = REOP_BACKEND_SIM};
    struct reop_sim_config device = {.sector_size = 1000};
    reop_engine *engine = NULL;

    cr_assert_eq(reop_pool_create(&pool_config, &config.pool), 0);
    cr_assert_eq(reop_engine_create(&config, &engine), -ENOTSUP);
    cr_assert_not_null(strstr(reop_engine_why(NULL), "SINGLE_THREAD"), "%s", reop_engine_why(NULL));
    config.flags = REOP_ENGINE_SINGLE_THREAD;
    cr_assert_eq(reop_sim_create(&config, &device, &engine), -EINVAL);
    cr_assert_not_null(strstr(reop_engine_why(NULL), "sector_size"), "%s", reop_engine_why(NULL));
    cr_assert_eq(reop_engine_create(&config, &engine), 0, "%s", reop_engine_why(NULL));
    cr_assert_str_eq(reop_engine_backend(engine), "sim");
    cr_assert_eq(reop_engine_destroy(engine), 0);
    cr_assert_eq(reop_pool_destroy(config.pool), 0);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Promise: "Time is virtual: a reap that waits moves the clock on and never sleeps." */
Test(sim, an_hour_passes_at_once)
{
    struct device device;
    reop_op *op = NULL;
    time_t start = time(NULL);

    device_open(&device, (struct reop_sim_config){0}, 0);
    cr_assert_eq(reop_reap(device.engine, &op, 1, INT64_C(3600000000000)), 0);
    cr_assert_eq(reop_sim_now_ns(device.engine), INT64_C(3600000000000));
    cr_assert_lt(time(NULL) - start, 60);
    cr_assert_eq(write_at(&device, 1, 512, 0), 512);
    cr_assert_eq(reop_sim_now_ns(device.engine), INT64_C(3600000010000), "10 us of latency");
    device_close(&device);
}

/* Promise: "0 is the simplest choice: in order, no fault, least latency"; and with jitter and a
 * seed ops overtake each other. */
Test(sim, in_order_without_a_seed_and_reordered_with_one)
{
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct device device;
        reop_op *reaped[OPS];
        uint32_t out_of_order = 0;

        device_open(&device, (struct reop_sim_config){.jitter_ns = 1000000}, 0);
        cr_assert_eq(reop_file_close(device.file), 0);
        cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
        cr_assert_eq(
            reop_file_open(device.engine, "file", REOP_FILE_WRITE | REOP_FILE_CREATE, &device.file),
            0);
        for (uint32_t i = 0; i < OPS; i++)
            cr_assert_eq(reop_write(device.ops[i], device.file, reop_op_buffer(device.ops[i]), 512,
                                    i * UINT64_C(512)),
                         REOP_PENDING);
        for (uint32_t i = 0; i < OPS; i++) {
            cr_assert_eq(reop_reap(device.engine, &reaped[i], 1, REOP_FOREVER), 1);
            out_of_order += reaped[i] != device.ops[i];
        }
        cr_assert_eq(out_of_order > 0, seed > 0, "%u", out_of_order);
        cr_assert_eq(stats_of(&device).reordered > 0, seed > 0);
        device_close(&device);
    }
}

/* --- faults ----------------------------------------------------------------------------------- */

/* A device on which op number 1 (op 0 fills the file) and on demand another has a fault. */
static void open_scripted(struct device *device, struct reop_sim_script *script, uint64_t op,
                          uint32_t fault, uint32_t flags)
{
    *script = (struct reop_sim_script){op, fault};
    device_open(device, (struct reop_sim_config){.script = script, .script_count = 1}, flags);
    cr_assert_eq(write_at(device, 'a', 4096, 0), 4096);
}

/* Promise: "a read's sectors stay bad until they are rewritten". */
Test(sim, bad_sector_stays_bad_until_rewritten)
{
    struct reop_sim_script script;
    struct device device;

    open_scripted(&device, &script, 1, REOP_FAULT_EIO, 0);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(read_at(&device, 512, 0), -EIO, "read %u", i);
    cr_assert_eq(device.ops[1]->os_error, EIO);
    cr_assert_eq(read_at(&device, 512, 512), 512, "its neighbour is good");
    cr_assert_eq(write_at(&device, 'b', 100, 0), 100);
    cr_assert_eq(read_at(&device, 512, 0), -EIO, "not all of it was rewritten");
    cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(byte_read(&device, 0), 'b');
    device_close(&device);
}

/* Promise: "a read finds one bit flipped, and so does every later read". */
Test(sim, flipped_bit_is_not_healed_by_reading_again)
{
    struct reop_sim_script script;
    struct device device;

    open_scripted(&device, &script, 1, REOP_FAULT_BIT_FLIP, 0);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(read_at(&device, 512, 0), 512);
        cr_assert_eq(byte_read(&device, 0), 'a' ^ 1, "read %u", i);
        cr_assert_eq(byte_read(&device, 1), 'a');
    }
    cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(byte_read(&device, 0), 'b');
    device_close(&device);
}

/* Promise: "a write is acknowledged and never reaches the medium". The page cache hides it until a
 * crash; a direct file does not. */
Test(sim, lost_write_is_acknowledged)
{
    for (uint32_t direct = 0; direct < 2; direct++) {
        struct reop_sim_script script;
        struct device device;

        open_scripted(&device, &script, 2, REOP_FAULT_LOST, direct ? REOP_FILE_DIRECT : 0);
        cr_assert_eq(sync_now(&device), 0);
        cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
        cr_assert_eq(sync_now(&device), 0);
        cr_assert_eq(read_at(&device, 512, 0), 512);
        cr_assert_eq(byte_read(&device, 0), direct ? 'a' : 'b');
        reop_sim_crash(device.engine);
        reopen(&device);
        cr_assert_eq(read_at(&device, 512, 0), 512);
        cr_assert_eq(byte_read(&device, 0), 'a');
        device_close(&device);
    }
}

/* Promise: "a write lands in other sectors of the file". */
Test(sim, misdirected_write_lands_elsewhere)
{
    struct reop_sim_script script;
    struct device device;

    open_scripted(&device, &script, 1, REOP_FAULT_MISDIRECTED, 0);
    cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
    cr_assert_eq(read_at(&device, 4096, 0), 4096);
    cr_assert_eq(byte_read(&device, 0), 'a', "where it was meant to go");
    cr_assert_eq(byte_read(&device, 512), 'b', "where it went");
    device_close(&device);
}

/* Promise: "a sync fails and marks the pages clean: no later one writes them". */
Test(sim, dropped_sync_marks_pages_clean)
{
    struct reop_sim_script script;
    struct device device;

    open_scripted(&device, &script, 3, REOP_FAULT_DROPPED_SYNC, 0);
    cr_assert_eq(sync_now(&device), 0);
    cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
    cr_assert_eq(sync_now(&device), -EIO);
    cr_assert_eq(reop_file_close(device.file), 0);
    cr_assert_eq(
        reop_file_open(device.engine, "file", REOP_FILE_READ | REOP_FILE_WRITE, &device.file), 0);
    cr_assert_eq(sync_now(&device), 0, "the new open knows nothing of it");
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(byte_read(&device, 0), 'b', "the page cache does not tell the truth");
    reop_sim_crash(device.engine);
    reopen(&device);
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(byte_read(&device, 0), 'a');
    device_close(&device);
}

/* Promise: "a transfer moves less than asked"; a direct one by whole sectors. */
Test(sim, short_transfer_moves_less)
{
    for (uint32_t direct = 0; direct < 2; direct++) {
        struct reop_sim_script script;
        struct device device;
        int64_t result;

        open_scripted(&device, &script, 1, REOP_FAULT_SHORT, direct ? REOP_FILE_DIRECT : 0);
        result = write_at(&device, 'b', 2048, 0);
        cr_assert_eq(result, direct ? 1536 : 2047, "%lld", (long long) result);
        cr_assert_eq(read_at(&device, 4096, 0), 4096);
        cr_assert_eq(byte_read(&device, (uint32_t) result - 1), 'b');
        cr_assert_eq(byte_read(&device, (uint32_t) result), 'a');
        device_close(&device);
    }
}

/* Promise: "bytes that all files together can hold"; a write that finds room for a part is short.
 */
Test(sim, full_device_is_enospc)
{
    struct reop_sim_script script;
    struct device device;

    device_open(&device, (struct reop_sim_config){.capacity = 6144}, 0);
    cr_assert_eq(write_at(&device, 'a', 4096, 0), 4096);
    cr_assert_eq(write_at(&device, 'a', 4096, 4096), 2048);
    cr_assert_eq(write_at(&device, 'a', 512, 8192), -ENOSPC);
    cr_assert_eq(write_at(&device, 'b', 4096, 0), 4096, "what is there can be rewritten");
    device_close(&device);

    open_scripted(&device, &script, 1, REOP_FAULT_ENOSPC, 0);
    cr_assert_eq(write_at(&device, 'b', 512, 0), -ENOSPC);
    cr_assert_eq(write_at(&device, 'b', 512, 0), 512);
    device_close(&device);
}

/* Promise: "completes delay_ns later". */
Test(sim, delayed_op_comes_later)
{
    struct reop_sim_script script;
    struct device device;
    int64_t before_ns;

    open_scripted(&device, &script, 1, REOP_FAULT_DELAY, 0);
    before_ns = reop_sim_now_ns(device.engine);
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(reop_sim_now_ns(device.engine) - before_ns, 10000 + 10000000);
    device_close(&device);
}

/* Every fault of a rate happens, and none without one. */
Test(sim, rates_are_kept)
{
    struct reop_sim_config config = {.jitter_ns = 1000};
    uint32_t rounds = fixture_volume(200000);
    struct reop_sim_stats stats;
    struct device device;

    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++)
        config.faults.rate[i] = 1000;
    device_open(&device, config, 0);
    cr_assert_eq(reop_file_close(device.file), 0);
    cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, 1), 0);
    cr_assert_eq(reop_file_open(device.engine, "file",
                                REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE, &device.file),
                 0);
    for (uint32_t i = 0; i < rounds; i++) {
        if (i % 64 == 0) { /* a new open has not seen the sync that failed */
            cr_assert_eq(reop_file_close(device.file), 0);
            cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_READ | REOP_FILE_WRITE,
                                        &device.file),
                         0);
        }
        write_at(&device, (uint8_t) i, 4096, 4096 * (i % 16));
        read_at(&device, 512, 512 * (i % 128));
        sync_now(&device);
    }
    stats = stats_of(&device);
    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++) {
        printf("fault %u: %llu times in %llu ops\n", i, (unsigned long long) stats.faults[i],
               (unsigned long long) stats.ops);
        cr_assert_gt(stats.faults[i], rounds / 1000, "fault %u", i);
        cr_assert_lt(stats.faults[i], rounds / 10, "fault %u", i);
    }
    device_close(&device);
}

/* --- buffers and cancels ---------------------------------------------------------------------- */

/* Promise: "buffers_changed: ops whose buffer was not left alone while they were in flight". */
Test(sim, buffer_reused_in_flight_is_caught)
{
    struct device device;
    reop_op *op;
    uint8_t *buffer;
    reop_status status;

    device_open(&device, (struct reop_sim_config){0}, 0);
    op = device.ops[3];
    buffer = reop_op_buffer(op);
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t before = stats_of(&device).buffers_changed;

        memset(buffer, (int) round, 600);
        status = round % 2 == 0 ? reop_write(op, device.file, buffer, 600, 0)
                                : reop_read(op, device.file, buffer, 600, 0);
        if (round >= 2)
            buffer[599] ^= 1;
        cr_assert_eq(finish(&device, op, status), 600);
        cr_assert_eq(stats_of(&device).buffers_changed - before, round >= 2, "round %u",
                     (unsigned) round);
    }
    device_close(&device);
}

/* A cancel wins or loses, before and after the buffer was taken, and the op comes back once. */
Test(sim, cancel_races)
{
    enum { ROUNDS = 400 };
    uint32_t outcomes[2][2] = {{0}}; /* cancelled, and the file has it */
    struct device device;
    reop_op *op, *reaped = NULL;

    device_open(&device, (struct reop_sim_config){.jitter_ns = 100000}, 0);
    cr_assert_eq(reop_file_close(device.file), 0);
    cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, 7), 0);
    cr_assert_eq(reop_file_open(device.engine, "file",
                                REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE, &device.file),
                 0);
    op = device.ops[3];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t seen = 0;

        cr_assert_eq(write_at(&device, 'a', 1, 0), 1);
        memset(reop_op_buffer(op), 'b', 1);
        cr_assert_eq(reop_write(op, device.file, reop_op_buffer(op), 1, 0), REOP_PENDING);
        reop_sim_advance(device.engine, reop_sim_choose(device.engine, 9000));
        cr_assert_eq(reop_cancel(op, reop_op_use(op) - 1), 0);
        cr_assert_eq(reop_reap(device.engine, &reaped, 1, REOP_FOREVER), 1);
        cr_assert_eq(reop_reap(device.engine, &reaped, 1, 1000000), 0, "it comes back once");
        cr_assert(op->result == 1 || op->result == -ECANCELED);
        cr_assert_eq(reop_sim_load(device.engine, "file", &seen, 1), 1);
        outcomes[op->result == -ECANCELED][seen == 'b']++;
    }
    printf("%u not cancelled, %u cancelled in time, %u cancelled and done all the same\n",
           outcomes[0][1], outcomes[1][0], outcomes[1][1]);
    cr_assert_eq(outcomes[0][0], 0, "a write that succeeded did nothing");
    cr_assert(outcomes[0][1] > 0 && outcomes[1][0] > 0 && outcomes[1][1] > 0);
    device_close(&device);
}

/* --- crash ------------------------------------------------------------------------------------ */

/* Promise: "whatever is in flight comes back with -ENODEV, as does all that is submitted, and
 * nothing can be opened"; "Files opened before have to be closed and opened again". */
Test(sim, power_cut_and_back)
{
    struct device device;
    reop_file *other = NULL;
    reop_op *op;
    reop_status status;

    device_open(&device, (struct reop_sim_config){0}, 0);
    cr_assert_eq(write_at(&device, 'a', 512, 0), 512);
    cr_assert_eq(sync_now(&device), 0);
    op = device.ops[3];
    status = reop_read(op, device.file, reop_op_buffer(op), 512, 0);
    reop_sim_crash(device.engine);
    cr_assert(reop_sim_crashed(device.engine));
    cr_assert_eq(finish(&device, op, status), -ENODEV);
    cr_assert_eq(read_at(&device, 512, 0), -ENODEV);
    cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_READ, &other), -ENODEV);
    reop_sim_restart(device.engine);
    cr_assert_eq(read_at(&device, 512, 0), -ENODEV, "a file of before the crash");
    reopen(&device);
    cr_assert_eq(read_at(&device, 512, 0), 512);
    cr_assert_eq(byte_read(&device, 0), 'a');
    device_close(&device);
}

/* Promise: "when so many more events have happened": at each of them, exactly there. */
Test(sim, crash_at_every_event)
{
    for (uint64_t at = 1; at < 100; at++) {
        struct device device;
        uint64_t done = 0;

        device_open(&device, (struct reop_sim_config){0}, 0);
        reop_sim_crash_after(device.engine, at);
        while (!reop_sim_crashed(device.engine))
            done += write_at(&device, 'a', 512, 0) == 512;
        cr_assert_eq(stats_of(&device).events, at);
        cr_assert_eq(done, (at - 1) / 3, "a write is three events");
        device_close(&device);
    }
}

/* Promise: "A file's size and its name are lost separately". A rename over a file leaves the one or
 * the other, and after a sync the new one. */
Test(sim, rename_is_all_or_nothing_and_durable_after_sync)
{
    uint32_t old_seen = 0, new_seen = 0, both = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        bool synced = seed % 2 == 0;
        struct device device;
        uint8_t seen[2] = {0, 0};
        int64_t size, left;

        device_open(&device, (struct reop_sim_config){0}, 0);
        cr_assert_eq(reop_file_close(device.file), 0);
        cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
        cr_assert_eq(reop_sim_store(device.engine, "target", "o", 1), 0);
        cr_assert_eq(reop_sim_store(device.engine, "file", "nn", 2), 0);
        cr_assert_eq(reop_sim_rename(device.engine, "file", "target"), 0);
        cr_assert_eq(reop_sim_load(device.engine, "target", seen, 2), 2,
                     "at once, while all is up");
        cr_assert_eq(reop_file_open(device.engine, "target", REOP_FILE_WRITE, &device.file), 0);
        if (synced)
            cr_assert_eq(sync_now(&device), 0);
        reop_sim_crash(device.engine);
        reop_sim_restart(device.engine);
        size = reop_sim_load(device.engine, "target", seen, 2);
        left = reop_sim_load(device.engine, "file", seen, 2);
        cr_assert(size == 1 || size == 2, "the target is gone");
        cr_assert_eq(left >= 0, size == 1, "both names, or none, lead to the new file");
        cr_assert(!synced || size == 2, "a synced rename was lost");
        old_seen += size == 1;
        new_seen += size == 2 && !synced;
        both += synced;
        device_close(&device);
    }
    printf("rename lost %u times, kept %u times, synced %u times\n", old_seen, new_seen, both);
    cr_assert(old_seen > 0 && new_seen > 0);
}

/* A truncation is lost or kept with all that was written after it. */
Test(sim, truncation_is_lost_or_kept_whole)
{
    uint32_t lost = 0, kept = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct device device;
        uint8_t seen[1025];
        int64_t size;

        device_open(&device, (struct reop_sim_config){0}, 0);
        cr_assert_eq(reop_file_close(device.file), 0);
        cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
        memset(seen, 'o', 1024);
        cr_assert_eq(reop_sim_store(device.engine, "file", seen, 1024), 0);
        cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_WRITE | REOP_FILE_TRUNCATE,
                                    &device.file),
                     0);
        cr_assert_eq(write_at(&device, 'n', 512, 0), 512);
        reop_sim_crash(device.engine);
        reop_sim_restart(device.engine);
        size = reop_sim_load(device.engine, "file", seen, sizeof seen);
        cr_assert(size == 1024 || size == 512 || size == 0, "%lld", (long long) size);
        cr_assert(size != 1024 || (seen[0] == 'o' && seen[1023] == 'o'), "mixed");
        cr_assert(size != 512 || seen[0] == 'n' || seen[0] == 0, "what was truncated is back");
        lost += size == 1024;
        kept += size < 1024;
        device_close(&device);
    }
    cr_assert(lost > 0 && kept > 0, "%u %u", lost, kept);
}

/* A file that grew twice may end where it did in between. */
Test(sim, each_size_on_the_way_may_survive)
{
    uint32_t seen[3] = {0};

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct device device;
        uint8_t bytes[1025];
        int64_t size;

        device_open(&device, (struct reop_sim_config){0}, 0);
        cr_assert_eq(reop_file_close(device.file), 0);
        cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
        cr_assert_eq(reop_sim_store(device.engine, "file", NULL, 0), 0);
        cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_WRITE, &device.file), 0);
        cr_assert_eq(write_at(&device, 'n', 512, 0), 512);
        cr_assert_eq(write_at(&device, 'n', 512, 512), 512);
        reop_sim_crash(device.engine);
        reop_sim_restart(device.engine);
        size = reop_sim_load(device.engine, "file", bytes, sizeof bytes);
        cr_assert(size == 0 || size == 512 || size == 1024, "%lld", (long long) size);
        seen[size / 512]++;
        device_close(&device);
    }
    cr_assert(seen[0] > 0 && seen[1] > 0 && seen[2] > 0, "%u %u %u", seen[0], seen[1], seen[2]);
}

/* Promise: "writes become durable in order: a crash cuts the tail". Without the flag it does not.
 */
Test(sim, ordered_device_cuts_the_tail)
{
    enum { WRITTEN = 8 };

    for (uint32_t ordered = 0; ordered < 2; ordered++) {
        uint32_t holes = 0, lengths = 0;

        for (uint64_t seed = 1; seed <= 200; seed++) {
            struct device device;
            uint8_t seen[WRITTEN * 512];
            uint32_t length = 0;

            device_open(&device, (struct reop_sim_config){.flags = ordered ? REOP_SIM_ORDERED : 0},
                        0);
            cr_assert_eq(reop_file_close(device.file), 0);
            cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
            memset(seen, 'o', sizeof seen);
            cr_assert_eq(reop_sim_store(device.engine, "file", seen, sizeof seen), 0);
            cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_WRITE, &device.file), 0);
            for (uint32_t i = 0; i < WRITTEN; i++)
                cr_assert_eq(write_at(&device, 'n', 512, (i * 5) % WRITTEN * 512), 512);
            reop_sim_crash(device.engine);
            reop_sim_restart(device.engine);
            cr_assert_eq(reop_sim_load(device.engine, "file", seen, sizeof seen), sizeof seen);
            while (length < WRITTEN && seen[length * 5 % WRITTEN * 512] == 'n')
                length++;
            lengths |= 1u << length;
            for (uint32_t i = length; i < WRITTEN; i++)
                holes += seen[i * 5 % WRITTEN * 512] == 'n';
            device_close(&device);
        }
        cr_assert_eq(holes > 0, !ordered, "%u holes", holes);
        cr_assert(!ordered || lengths == (1u << (WRITTEN + 1)) - 1, "lengths 0x%x", lengths);
    }
}

/* A sync makes durable what was reaped before it; of what was in flight it may miss some. */
Test(sim, sync_may_miss_what_is_in_flight)
{
    uint32_t missed = 0, caught = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct device device;
        uint8_t seen = 0;
        reop_op *op, *reaped[2];
        int count = 0;

        device_open(&device, (struct reop_sim_config){.flags = REOP_SIM_METADATA_SYNC}, 0);
        cr_assert_eq(reop_file_close(device.file), 0);
        cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, seed), 0);
        cr_assert_eq(reop_sim_store(device.engine, "file", "o", 1), 0);
        cr_assert_eq(reop_file_open(device.engine, "file", REOP_FILE_WRITE, &device.file), 0);
        op = device.ops[3];
        memset(reop_op_buffer(op), 'n', 1);
        cr_assert_eq(reop_write(op, device.file, reop_op_buffer(op), 1, 0), REOP_PENDING);
        reop_sim_advance(device.engine, 9970); /* its buffer was taken; it completes after 10,000 */
        cr_assert_eq(stats_of(&device).events, 2);
        cr_assert_eq(reop_sync(device.ops[4], device.file, 0), REOP_PENDING);
        while (count < 2)
            count += reop_reap(device.engine, reaped, 2, REOP_FOREVER);
        cr_assert_eq(device.ops[4]->result, 0);
        reop_sim_crash(device.engine);
        reop_sim_restart(device.engine);
        cr_assert_eq(reop_sim_load(device.engine, "file", &seen, 1), 1);
        missed += seen == 'o';
        caught += seen == 'n';
        device_close(&device);
    }
    cr_assert(missed > 0 && caught > 0, "%u missed, %u caught", missed, caught);
}

/* --- the tape --------------------------------------------------------------------------------- */

struct told {
    char text[20000];
    size_t size;
};

static void note_line(void *context, const char *text)
{
    struct told *told = context;

    told->size +=
        (size_t) snprintf(told->text + told->size, sizeof told->text - told->size, "%s\n", text);
}

/* Fails when two writes were overtaken and a fault happened: an arbitrary thing to look for. */
static bool arbitrary_trial(void *context, reop_engine *engine)
{
    struct device *device = context;
    struct reop_sim_stats stats;
    uint32_t pending = 0;
    reop_op *reaped;

    cr_assert_eq(reop_file_open(engine, "file", REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE,
                                &device->file),
                 0);
    for (uint32_t i = 0; i < 40; i++) {
        if (pending < OPS && reop_sim_choose(engine, 2) > 0) {
            reop_op *op = reop_acquire(device->lane);

            cr_assert_eq(reop_write(op, device->file, reop_op_buffer(op), 512,
                                    512 * reop_sim_choose(engine, 20)),
                         REOP_PENDING);
            pending++;
        } else if (pending > 0) {
            cr_assert_eq(reop_reap(engine, &reaped, 1, REOP_FOREVER), 1);
            reop_release(device->lane, reaped);
            pending--;
        }
    }
    for (; pending > 0; pending--) {
        cr_assert_eq(reop_reap(engine, &reaped, 1, REOP_FOREVER), 1);
        reop_release(device->lane, reaped);
    }
    cr_assert_eq(reop_file_close(device->file), 0);
    reop_sim_query(engine, &stats);
    return stats.reordered < 2 || stats.faults[REOP_FAULT_SHORT] == 0;
}

/* Promise: "So a run is repeated by its tape, and a failing one is made short". */
Test(sim, search_finds_shrinks_and_replays)
{
    static struct told first, second;
    struct device device;
    struct reop_sim_found found, none;
    char hex[2 * 1024 + 1] = "";

    device_open(
        &device,
        (struct reop_sim_config){.jitter_ns = 100000, .faults.rate[REOP_FAULT_SHORT] = 3000}, 0);
    cr_assert_eq(reop_file_close(device.file), 0);
    reop_release_many(device.lane, device.ops, OPS);
    cr_assert_eq(reop_sim_search(device.engine, arbitrary_trial, &device, 1, 10000, &found), 1);
    reop_sim_print(device.engine, note_line, &first);
    printf("%zu bytes became %zu in %u trials:\n%s", found.size_found, found.tape_size,
           found.shrinks, first.text);
    cr_assert(found.tape_size > 0 && found.tape_size <= 30, "%zu", found.tape_size);
    cr_assert_lt(found.tape_size, found.size_found / 2);
    for (size_t i = 0; i < found.tape_size; i++)
        snprintf(hex + 2 * i, 3, "%02x", found.tape[i]);
    cr_assert_eq(reop_sim_replay(device.engine, arbitrary_trial, &device, hex), 1);
    reop_sim_print(device.engine, note_line, &second);
    cr_assert_str_eq(first.text, second.text, "the same tape, another story");
    cr_assert_not_null(strstr(first.text, hex), "the tape is told");
    cr_assert_eq(reop_sim_replay(device.engine, arbitrary_trial, &device, ""), 0);
    cr_assert_eq(reop_sim_replay(device.engine, arbitrary_trial, &device, "0g"), -EINVAL);
    cr_assert_eq(reop_sim_replay(device.engine, arbitrary_trial, &device, "000"), -EINVAL);
    cr_assert_eq(reop_sim_search(device.engine, arbitrary_trial, &device, found.seed, 1, &none), 1,
                 "a seed repeats its trial");
    cr_assert_eq(reop_acquire_many(device.lane, device.ops, OPS), OPS);
    cr_assert_eq(
        reop_file_open(device.engine, "file", REOP_FILE_WRITE | REOP_FILE_CREATE, &device.file), 0);
    cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, 0), -EBUSY, "a file is open");
    device_close(&device);
}

/* --- speed ------------------------------------------------------------------------------------ */

/* At least 500,000 ops a second of one core: 4 KiB reads, writes and syncs with jitter. */
Test(sim, half_a_million_ops_a_second)
{
    enum { TOTAL = 400000 };
    struct device device;
    reop_op *idle[OPS];
    uint32_t idle_count = OPS, submitted = 0, done = 0;
    clock_t start;
    double rate;

    if (fixture_sanitized())
        cr_skip_test("a sanitizer is no measure of speed");
    if (!fixture_clock_is_honest)
        cr_skip_test("clock() is the time of day here");
    device_open(&device, (struct reop_sim_config){.sector_size = 4096, .jitter_ns = 100000}, 0);
    cr_assert_eq(reop_file_close(device.file), 0);
    cr_assert_eq(reop_sim_reset(device.engine, NULL, 0, 1), 0);
    cr_assert_eq(reop_file_open(device.engine, "file",
                                REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE, &device.file),
                 0);
    memcpy(idle, device.ops, sizeof idle);
    start = clock();
    while (done < TOTAL) {
        int count;

        while (idle_count > 0) {
            reop_op *op = idle[--idle_count];
            uint64_t offset = 4096 * (uint64_t) (submitted * 7 % 512);

            if (submitted % 16 == 0)
                reop_sync(op, device.file, REOP_SYNC_DATA);
            else if (submitted % 4 == 0)
                reop_read(op, device.file, reop_op_buffer(op), 4096, offset);
            else
                reop_write(op, device.file, reop_op_buffer(op), 4096, offset);
            submitted++;
        }
        count = reop_reap(device.engine, idle, OPS, REOP_FOREVER);
        cr_assert_gt(count, 0);
        idle_count = (uint32_t) count;
        done += (uint32_t) count;
    }
    rate = done / ((double) (clock() - start) / CLOCKS_PER_SEC);
    while (done < submitted)
        done += (uint32_t) reop_reap(device.engine, idle, OPS, REOP_FOREVER);
    printf("%.0f ops a second of one core: depth 8, 4 KiB, 1 run\n", rate);
    cr_assert_geq(rate, 500000);
    device_close(&device);
}
