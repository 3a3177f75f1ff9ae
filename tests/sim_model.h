/* SPDX-License-Identifier: MIT
 *
 * An oracle of the simulated device that is exact to the byte. Random programs write, sync, crash
 * and go on; the oracle knows for each atomic unit which contents may be there after a crash, and
 * that the last one made durable, or a later one, must.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <reop/sim.h>

#define SIM_MODEL_UNITS        12u
#define SIM_MODEL_VERSIONS_MAX 64u
#define SIM_MODEL_SIZES_MAX    128u
#define SIM_MODEL_WRITES       4u /* in flight at once */
#define SIM_MODEL_UNIT_MAX     4096u
#define SIM_MODEL_LIVES        3u

/* What a unit may hold: any of these, the first being durable. */
struct sim_unit {
    uint32_t count;
    uint32_t reaped; /* the last version whose write has come back */
    bool in_flight;
    uint8_t versions[SIM_MODEL_VERSIONS_MAX][SIM_MODEL_UNIT_MAX];
};

struct sim_model {
    reop_lane *lane;
    uint32_t unit_size;
    uint32_t open_flags;
    bool write_through;
    struct sim_unit units[SIM_MODEL_UNITS];
    uint32_t sizes[SIM_MODEL_SIZES_MAX]; /* what it may end at */
    uint32_t size_count;
    uint32_t size_reaped; /* the largest end of a write that has come back */
    struct reop_sim_stats totals;
    uint64_t syncs, checks, longest;
};

/* context is a struct sim_model of which the fields up to write_through are set: what the oracle
 * believes. A reop_sim_trial. */
bool sim_model_trial(void *context, reop_engine *engine);

#endif
