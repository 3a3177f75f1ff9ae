/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <reop/sim.h>

#include <stdlib.h>
#include <time.h>
#include <unistd.h> /* getpid: MinGW has it too */

size_t fixture_backends(struct fixture_backend chosen[FIXTURE_BACKENDS_MAX], uint32_t with,
                        uint32_t without)
{
    size_t count = 0;

    for (size_t i = 0; i < fixture_table_count; i++) {
        const struct fixture_backend *row = &fixture_table[i];

        if ((row->traits & with) == with && (row->traits & without) == 0)
            chosen[count++] = *row;
    }
    return count;
}

/* The simulated devices of the test that runs: a scratch file is on each of them. */
static reop_engine *devices[4];
static uint32_t device_count;

static void store_on_device(reop_engine *device, const char *path, size_t size)
{
    uint8_t *data = malloc(size + 1);

    cr_assert_not_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = fixture_byte(i);
    cr_assert_eq(reop_sim_store(device, path, data, size), 0, "%s", path);
    free(data);
}

bool fixture_worked_before;

reop_engine *fixture_engine(const struct fixture_backend *backend, reop_pool *pool,
                            reop_engine_config config)
{
    reop_engine *engine = NULL;
    int error;

    config.backend = backend->backend;
    config.flags = backend->traits & 0xffffu;
    config.pool = pool;
    if (config.threads == 0)
        config.threads = 2;
    error = reop_engine_create(&config, &engine);
    for (uint32_t ms = 0; fixture_worked_before && error == -ENOTSUP && ms < 10000; ms++) {
        fixture_sleep_ms(1);
        error = reop_engine_create(&config, &engine);
    }
    if (error == -ENOTSUP)
        cr_skip_test("%s does not work here: %s", backend->name, reop_engine_why(NULL));
    cr_assert_eq(error, 0, "%s: engine: %s", backend->name, reop_engine_why(NULL));
    if ((backend->traits & FIXTURE_SIM) && device_count < sizeof devices / sizeof devices[0]) {
        devices[device_count++] = engine;
        /* Any seed: an INLINE engine then answers some at once, and not all. */
        cr_assert_eq(reop_sim_reset(engine, NULL, 0, 1), 0);
        store_on_device(engine, fixture_slow_path(), 65536);
    }
    return engine;
}

void fixture_open_with(struct fixture *fixture, const struct fixture_backend *backend,
                       reop_pool_config pool, reop_engine_config engine)
{
    memset(fixture, 0, sizeof *fixture);
    device_count = 0;
    fixture->backend = backend;
    cr_assert_eq(reop_pool_create(&pool, &fixture->pool), 0);
    fixture->lane = reop_pool_shared_lane(fixture->pool);
    fixture->engine = fixture_engine(backend, fixture->pool, engine);
}

void fixture_open(struct fixture *fixture, const struct fixture_backend *backend)
{
    fixture_open_with(fixture, backend,
                      (reop_pool_config){.op_count = FIXTURE_OPS,
                                         .context_size = 64,
                                         .buffer_size = FIXTURE_BUFFER},
                      (reop_engine_config){0});
}

void fixture_close(struct fixture *fixture)
{
    const char *name = fixture->backend->name;
    struct reop_engine_stats stats;

    device_count = 0;
    reop_engine_query(fixture->engine, &stats);
    cr_assert_eq(stats.submitted, stats.completed, "%s: not all came back", name);
    cr_assert_eq(stats.unexpected, 0, "%s: a packet for an op that was not in flight", name);
    cr_assert_eq(reop_engine_destroy(fixture->engine), 0, "%s", name);
    cr_assert_eq(reop_pool_destroy(fixture->pool), 0, "%s", name);
    for (uint32_t i = 0; i < FIXTURE_PATHS; i++)
        if (fixture->paths[i][0] != 0)
            fixture_remove(fixture->paths[i]); /* a test may have made none at this place */
}

/* --- ops -------------------------------------------------------------------------------------- */

reop_op *fixture_acquire(struct fixture *fixture)
{
    reop_op *op = reop_acquire(fixture->lane);

    cr_assert_not_null(op);
    return op;
}

reop_op *fixture_reap(struct fixture *fixture)
{
    int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;
    reop_op *op = NULL;

    while (fixture_now_ns() < deadline_ns) { /* 0 may be a signal */
        int count = reop_reap(fixture->engine, &op, 1, FIXTURE_PATIENCE_NS);

        cr_assert_geq(count, 0, "%s: reap answered %d", fixture->backend->name, count);
        if (count == 1)
            return op;
    }
    cr_assert_fail("%s: an op did not come back", fixture->backend->name);
    return NULL;
}

int64_t fixture_finish(struct fixture *fixture, reop_op *op, reop_status status)
{
    const char *name = fixture->backend->name;

    cr_assert_neq(status, REOP_REJECTED, "%s: rejected, %lld", name, (long long) op->result);
    if (status == REOP_DONE)
        cr_assert(fixture->backend->traits & REOP_ENGINE_INLINE, "%s answered DONE", name);
    else
        cr_assert_eq(fixture_reap(fixture), op, "%s: another op came back", name);
    return op->result;
}

void fixture_expect_rejected(reop_op *op, reop_status status, uint64_t use_before, int error)
{
    cr_assert_eq(status, REOP_REJECTED);
    cr_assert_eq(op->result, -error, "result %lld, not %d", (long long) op->result, -error);
    cr_assert_eq(reop_op_use(op), use_before, "a rejected submit consumed a use");
}

bool fixture_no_pieces(const reop_op *op, reop_status status)
{
    return status == REOP_REJECTED && op->result == -ENOTSUP;
}

/* --- files ------------------------------------------------------------------------------------ */

const char *fixture_path(struct fixture *fixture, uint32_t index)
{
    char *path = fixture->paths[index];

    if (path[0] != '\0')
        return path;
    /* The name is not ASCII, so that every test opens a UTF-8 path. */
    snprintf(path, FIXTURE_PATH_SIZE, "%s/reop-\xc3\xbc-%ld-%u", fixture_folder(), (long) getpid(),
             (unsigned) index);
    fixture_remove(path); /* a process of this number that crashed may have left it */
    return path;
}

/* Any two positions less than 2^40 apart differ within a few bytes. */
uint8_t fixture_byte(uint64_t position)
{
    return (
        uint8_t) ((position ^ position >> 8 ^ position >> 16 ^ position >> 24 ^ position >> 32) *
                      167u +
                  13u);
}

bool fixture_matches(const void *data, size_t size, uint64_t position)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != fixture_byte(position + i))
            return false;
    return true;
}

void fixture_fill(const char *path, size_t size)
{
    FILE *stream;

    if (device_count > 0) {
        for (uint32_t i = 0; i < device_count; i++)
            store_on_device(devices[i], path, size);
        return;
    }
    stream = fixture_stream(path, "wb");

    cr_assert_not_null(stream, "%s", path);
    for (size_t i = 0; i < size; i++)
        putc(fixture_byte(i), stream);
    cr_assert_eq(fclose(stream), 0);
}

size_t fixture_load(const char *path, void *data, size_t size)
{
    FILE *stream;
    size_t found;

    if (device_count > 0) {
        int64_t loaded = reop_sim_load(devices[0], path, data, size);

        cr_assert_geq(loaded, 0, "%s", path);
        return (size_t) loaded;
    }
    stream = fixture_stream(path, "rb");

    cr_assert_not_null(stream, "%s", path);
    found = fread(data, 1, size, stream);
    fclose(stream);
    return found;
}

bool fixture_holds(const char *path, const void *data, size_t size)
{
    uint8_t *found = malloc(size + 1);
    bool same;

    cr_assert_not_null(found);
    same = fixture_load(path, found, size + 1) == size && memcmp(found, data, size) == 0;
    free(found);
    return same;
}

reop_file *fixture_file(struct fixture *fixture, uint32_t flags, size_t size)
{
    const char *path = fixture_path(fixture, 0);
    reop_file *file = NULL;
    int error;

    fixture_fill(path, size);
    error = reop_file_open(fixture->engine, path, flags | FIXTURE_SHARED, &file);
    cr_assert_eq(error, 0, "%s: open answered %d", fixture->backend->name, error);
    return file;
}

void fixture_close_file(reop_file *file)
{
    cr_assert_eq(reop_file_close(file), 0);
}

/* --- time, chance, volume --------------------------------------------------------------------- */

int64_t fixture_now_ns(void)
{
    struct timespec now;

    if (device_count > 0)
        return reop_sim_now_ns(devices[0]);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

void fixture_sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = (time_t) (ms / 1000),
                            .tv_nsec = (long) (ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0) {
        /* A signal: sleep the rest. */
    }
    for (uint32_t i = 0; i < device_count; i++)
        reop_sim_advance(devices[i], (uint64_t) ms * 1000000);
}

uint64_t fixture_seed(void)
{
    const char *text = getenv("REOP_TEST_SEED");

    if (text != NULL)
        return strtoull(text, NULL, 0);
    return (uint64_t) fixture_now_ns() ^ (uint64_t) getpid();
}

uint64_t fixture_random(uint64_t *state) /* splitmix64 */
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

#if defined(__SANITIZE_ADDRESS__)
#define FIXTURE_ADDRESSES true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIXTURE_ADDRESSES true
#endif
#endif
#ifndef FIXTURE_ADDRESSES
#define FIXTURE_ADDRESSES false
#endif

#if defined(__SANITIZE_THREAD__)
#define FIXTURE_THREADS true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIXTURE_THREADS true
#endif
#endif
#ifndef FIXTURE_THREADS
#define FIXTURE_THREADS false
#endif

bool fixture_thread_sanitized(void)
{
    return FIXTURE_THREADS;
}

bool fixture_sanitized(void)
{
    return FIXTURE_ADDRESSES || FIXTURE_THREADS;
}

uint32_t fixture_volume(uint32_t full)
{
    const char *percent = getenv("REOP_TEST_SCALE");
    uint64_t volume = fixture_sanitized() ? full / 20 : full;

    if (percent != NULL)
        volume = volume * strtoull(percent, NULL, 10) / 100;
    return volume > 0 ? (uint32_t) volume : 1;
}
