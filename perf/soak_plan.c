/* SPDX-License-Identifier: MIT
 *
 * The same seed has the same phases in the same order, and any one of them can be found without
 * those before it.
 */
#include "latency_arrivals.h"
#include "soak.h"

#define PHASES_MIN  20 /* in a run, unless they would be longer or shorter than this: */
#define LONGEST_NS  (10 * SOAK_NS)
#define SHORTEST_NS (SOAK_NS / 4)
#define RESERVE_NS  (4 * SOAK_NS)

const char *const soak_kind_names[SOAK_KINDS + 1] = {"steady",       "burst",     "idle",
                                                     "cancel storm", "tiny",      "huge",
                                                     "fault window", "lifecycle", "read back"};

enum soak_kind soak_plan_kind(uint64_t seed, uint64_t number)
{
    uint64_t random = seed * 31 + number / SOAK_KINDS;
    enum soak_kind order[SOAK_KINDS] = {SOAK_STEADY};

    for (unsigned i = 0; i < SOAK_KINDS; i++) {
        unsigned at = (unsigned) (arrivals_random(&random) % (i + 1));

        order[i] = order[at];
        order[at] = (enum soak_kind) i;
    }
    return order[number % SOAK_KINDS];
}

int64_t soak_plan_length_ns(const struct soak_options *options)
{
    int64_t length_ns = options->duration_ns / PHASES_MIN;

    if (length_ns > LONGEST_NS)
        return LONGEST_NS;
    return length_ns < SHORTEST_NS ? SHORTEST_NS : length_ns;
}

int64_t soak_plan_reserve_ns(const struct soak_options *options)
{
    return options->duration_ns / 10 < RESERVE_NS ? options->duration_ns / 10 : RESERVE_NS;
}
