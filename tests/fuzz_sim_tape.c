/* SPDX-License-Identifier: MIT
 *
 * libFuzzer: the first byte chooses a device, the rest is the tape of the model's trial. A finding
 * is a device that breaks its word, or an oracle that is wrong.
 */
#include "sim_model.h"

#include <stdio.h>
#include <stdlib.h>

struct variant {
    struct reop_sim_config device;
    uint32_t open_flags;
    uint32_t unit_size;
};

static const struct variant variants[] = {
    {{.jitter_ns = 50000}, 0, 512},
    {{.jitter_ns = 50000, .atomic_size = 4096}, 0, 4096},
    {{.jitter_ns = 50000, .sector_size = 4096}, 0, 4096},
    {{.jitter_ns = 50000, .flags = REOP_SIM_WRITE_THROUGH}, REOP_FILE_DIRECT, 512},
    {{.jitter_ns = 50000}, REOP_FILE_DURABLE, 512},
    {{.jitter_ns = 50000, .flags = REOP_SIM_ORDERED}, 0, 512},
    {{.jitter_ns = 50000, .flags = REOP_SIM_METADATA_SYNC}, 0, 512},
    {{.jitter_ns = 50000, .flags = REOP_SIM_ORDERED, .atomic_size = 4096}, REOP_FILE_DIRECT, 4096},
};
#define VARIANTS (sizeof variants / sizeof variants[0])

static reop_engine *engines[VARIANTS];
static struct sim_model model;

static void create_all(void)
{
    reop_pool_config pool_config = {.op_count = SIM_MODEL_WRITES + 1,
                                    .buffer_size = 3 * SIM_MODEL_UNIT_MAX};
    reop_engine_config config = {.flags = REOP_ENGINE_SINGLE_THREAD};

    if (reop_pool_create(&pool_config, &config.pool) != 0)
        abort();
    model.lane = reop_pool_shared_lane(config.pool);
    for (size_t i = 0; i < VARIANTS; i++) {
        struct reop_sim_config device = variants[i].device;

        device.capacity = UINT64_C(1) << 18;
        device.file_count = 4;
        if (reop_sim_create(&config, &device, &engines[i]) != 0)
            abort();
    }
}

static void print_line(void *context, const char *text)
{
    (void) context;
    fprintf(stderr, "%s\n", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t chosen = size > 0 ? data[0] % VARIANTS : 0;

    if (engines[0] == NULL)
        create_all();
    if (size == 0 || size > 4096)
        return 0;
    model.unit_size = variants[chosen].unit_size;
    model.write_through = (variants[chosen].device.flags & REOP_SIM_WRITE_THROUGH) != 0;
    model.open_flags = variants[chosen].open_flags | REOP_FILE_READ | REOP_FILE_WRITE;
    if (reop_sim_reset(engines[chosen], data + 1, size - 1, 0) != 0)
        abort(); /* the last trial left something open or in flight */
    if (!sim_model_trial(&model, engines[chosen])) {
        fprintf(stderr, "device %zu breaks its word\n", chosen);
        reop_sim_print(engines[chosen], print_line, NULL);
        abort();
    }
    return 0;
}
