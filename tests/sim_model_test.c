/* SPDX-License-Identifier: MIT
 *
 * The simulated device against the oracle of sim_model.c. Devices that lie are run against the
 * oracle of an honest one, and have to be caught.
 */
#include "fixture.h"
#include "sim_model.h"

/* --- devices ---------------------------------------------------------------------------------- */

static struct sim_model model;

static void print_line(void *context, const char *text)
{
    (void) context;
    printf("    %s\n", text);
}

/* As reop_sim_search() answers. unit_size and write_through: what the oracle believes. */
static int run(const char *what, struct reop_sim_config device, uint32_t open_flags,
               uint32_t unit_size, uint32_t trials, uint64_t seed, struct reop_sim_found *found)
{
    reop_pool_config pool_config = {.op_count = SIM_MODEL_WRITES + 1,
                                    .buffer_size = 3 * SIM_MODEL_UNIT_MAX};
    reop_engine_config config = {.flags = REOP_ENGINE_SINGLE_THREAD};
    reop_engine *engine = NULL;
    int answer;

    cr_assert_eq(reop_pool_create(&pool_config, &config.pool), 0);
    device.capacity = UINT64_C(1) << 18;
    device.file_count = 4;
    device.event_count = 4096;
    cr_assert_eq(reop_sim_create(&config, &device, &engine), 0, "%s", reop_engine_why(NULL));
    memset(&model, 0, sizeof model);
    model.lane = reop_pool_shared_lane(config.pool);
    model.unit_size = unit_size;
    model.open_flags = open_flags | REOP_FILE_READ | REOP_FILE_WRITE;
    model.write_through = (device.flags & REOP_SIM_WRITE_THROUGH) != 0;
    answer = reop_sim_search(engine, sim_model_trial, &model, seed, trials, found);
    printf("%s: seed %llu, %llu trials: %llu ops, %llu syncs, %llu crashes, %llu reordered; units "
           "%llu kept, %llu lost; metadata %llu kept, %llu lost\n",
           what, (unsigned long long) seed, (unsigned long long) found->trials,
           (unsigned long long) model.totals.ops, (unsigned long long) model.syncs,
           (unsigned long long) model.totals.crashes, (unsigned long long) model.totals.reordered,
           (unsigned long long) model.totals.units_kept,
           (unsigned long long) model.totals.units_lost,
           (unsigned long long) model.totals.metadata_kept,
           (unsigned long long) model.totals.metadata_lost);
    if (answer == 1) {
        printf("  failed at seed %llu; %zu bytes of tape became %zu in %u trials\n",
               (unsigned long long) found->seed, found->size_found, found->tape_size,
               found->shrinks);
        reop_sim_print(engine, print_line, NULL);
    }
    cr_assert_eq(reop_engine_destroy(engine), 0);
    cr_assert_eq(reop_pool_destroy(config.pool), 0);
    return answer;
}

static void honest(const char *what, struct reop_sim_config device, uint32_t open_flags)
{
    uint32_t unit_size = device.atomic_size > 0 ? device.atomic_size : 512;
    struct reop_sim_found found;

    cr_assert_eq(
        run(what, device, open_flags, unit_size, fixture_volume(20000), fixture_seed(), &found), 0,
        "%s: the oracle says otherwise", what);
    cr_assert_gt(model.totals.units_kept, 0);
    cr_assert_gt(model.totals.units_lost, 0);
    cr_assert_gt(model.totals.reordered, 0);
    cr_assert_gt(model.syncs, 0);
    if (!(device.flags & REOP_SIM_METADATA_SYNC)) {
        cr_assert_gt(model.totals.metadata_kept, 0, "%s", what);
        cr_assert_gt(model.totals.metadata_lost, 0, "%s", what);
    }
}

#define DEVICE .jitter_ns = 50000

Test(sim_model, small_sectors, .timeout = 120)
{
    honest("sectors of 512", (struct reop_sim_config){DEVICE}, 0);
}

Test(sim_model, atomic_units, .timeout = 120)
{
    honest("units of 4096", (struct reop_sim_config){DEVICE, .atomic_size = 4096}, 0);
}

Test(sim_model, large_sectors, .timeout = 120)
{
    honest("sectors of 4096",
           (struct reop_sim_config){DEVICE, .sector_size = 4096, .atomic_size = 4096}, 0);
}

Test(sim_model, write_through, .timeout = 120)
{
    honest("write-through", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_WRITE_THROUGH},
           REOP_FILE_DIRECT);
}

Test(sim_model, durable_file, .timeout = 120)
{
    honest("durable", (struct reop_sim_config){DEVICE}, REOP_FILE_DURABLE);
}

Test(sim_model, ordered, .timeout = 120)
{
    honest("ordered", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_ORDERED}, 0);
}

Test(sim_model, metadata_sync, .timeout = 120)
{
    honest("metadata in time", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_METADATA_SYNC},
           0);
    cr_assert_eq(model.totals.metadata_lost, 0);
}

/* --- devices that lie ------------------------------------------------------------------------- */

static void liar(const char *what, struct reop_sim_config device, uint32_t open_flags,
                 uint32_t unit_size)
{
    struct reop_sim_found found;

    cr_assert_eq(run(what, device, open_flags, unit_size, 20000, 1, &found), 1, "%s: not caught",
                 what);
    cr_assert_lt(found.tape_size, found.size_found, "%s", what);
    cr_assert_leq(found.tape_size, 96, "%s: %zu bytes", what, found.tape_size);
}

Test(sim_model, ignored_sync_is_caught, .timeout = 120)
{
    liar("syncs ignored", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_IGNORE_SYNC}, 0, 512);
}

Test(sim_model, ignored_durable_is_caught, .timeout = 120)
{
    liar("durable ignored", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_IGNORE_DURABLE},
         REOP_FILE_DURABLE, 512);
}

Test(sim_model, torn_unit_is_caught, .timeout = 120)
{
    liar("units torn", (struct reop_sim_config){DEVICE, .atomic_size = 512}, 0, 4096);
}

Test(sim_model, stale_tail_is_caught, .timeout = 120)
{
    liar("stale tails", (struct reop_sim_config){DEVICE, .flags = REOP_SIM_STALE_TAIL}, 0, 512);
}

Test(sim_model, garbage_is_caught, .timeout = 120)
{
    liar("garbage", (struct reop_sim_config){DEVICE, .garbage = 6000}, 0, 512);
}

Test(sim_model, lost_write_is_caught, .timeout = 120)
{
    liar("writes lost", (struct reop_sim_config){DEVICE, .faults.rate[REOP_FAULT_LOST] = 2000}, 0,
         512);
}

Test(sim_model, misdirected_write_is_caught, .timeout = 120)
{
    liar("writes misdirected",
         (struct reop_sim_config){DEVICE, .faults.rate[REOP_FAULT_MISDIRECTED] = 2000}, 0, 512);
}
