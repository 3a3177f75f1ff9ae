/* SPDX-License-Identifier: MIT */
#include "setup.h"
#include "platform.h"
#include "report.h"

/* As many of each kind as of the others, to one in 65536 ops. */
struct reop_faults setup_faults(double fault_share, uint64_t seed)
{
    static const enum reop_fault kinds[] = {REOP_FAULT_DELAY, REOP_FAULT_SHORT, REOP_FAULT_EIO,
                                            REOP_FAULT_ENOSPC};
    struct reop_faults faults = {.seed = seed};
    uint32_t share = (uint32_t) (fault_share * 65536 + 0.5);

    for (unsigned i = 0; i < 4; i++)
        faults.rate[kinds[i]] = (share + i) / 4;
    return faults;
}

static bool add_faults(const struct setup *setup, reop_engine *engine)
{
    struct reop_faults faults = setup_faults(setup->fault_share, setup->seed);
    int error;

    if (setup->fault_share <= 0)
        return true;
    error = reop_engine_faults(engine, &faults);
    if (error < 0)
        report_problem("--fault-rate", "%s.", platform_words(error, 0));
    return error == 0;
}

bool setup_create(const struct setup *setup, reop_pool **pool_out, reop_engine **engine_out)
{
    reop_pool_config pool_config = {.op_count = setup->op_count,
                                    .context_size = setup->context_size,
                                    .buffer_size = setup->block_size};
    reop_engine_config engine_config = {
        .backend = setup->backend, .depth = setup->depth, .flags = setup->flags};
    int error = reop_pool_create(&pool_config, pool_out);

    if (error < 0) {
        report_problem("buffers", "%llu bytes of memory: %s.%s",
                       (unsigned long long) reop_pool_footprint(&pool_config),
                       platform_words(error, 0), report_advice(error));
        return false;
    }
    engine_config.pool = *pool_out;
    error = reop_engine_create(&engine_config, engine_out);
    if (error < 0) {
        report_problem("--backend", "%s: %s.%s", platform_words(error, 0), reop_engine_why(NULL),
                       setup->backend == REOP_BACKEND_URING
                           ? " Give --backend threads, which does without io_uring, or auto."
                           : "");
        return false;
    }
    return add_faults(setup, *engine_out);
}

bool setup_block_fits(const char *file, const struct reop_file_info *info, uint32_t block_size)
{
    uint32_t align = info->offset_align;

    if (block_size % align == 0)
        return true;
    report_problem(file,
                   "--direct moves multiples of %lu bytes here, and --block %lu is none. Give "
                   "--block %lu, or leave out --direct.",
                   (unsigned long) align, (unsigned long) block_size,
                   (unsigned long) (block_size / align + 1) * align);
    return false;
}
