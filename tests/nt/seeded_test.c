/* SPDX-License-Identifier: MIT
 *
 * Many runs of scenario.c. One number repeats a run.
 */
#include "chance.h"
#include "scenario.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

Test(nt_seeded, whatever_happens_each_op_comes_back_once_and_says_what_happened, .timeout = 3600)
{
    uint64_t seed = number_of("REOP_TEST_SEED", (uint64_t) time(NULL));
    uint64_t runs = number_of("REOP_NT_RUNS", 40000);

    printf("seeds %llu to %llu\n", (unsigned long long) seed, (unsigned long long) seed + runs - 1);
    for (uint64_t run = seed; run < seed + runs; run++) {
        chance_seed(run, 0);
        scenario_run(run % 2 == 1);
        if (getenv("REOP_NT_TAPE") != NULL)
            break;
    }
}
