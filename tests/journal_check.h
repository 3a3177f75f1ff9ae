/* SPDX-License-Identifier: MIT
 *
 * The test of the worked example, for the program that shows it and for the suite.
 */
#ifndef JOURNAL_CHECK_H
#define JOURNAL_CHECK_H

#include <reop/sim.h>

struct journal_example {
    reop_pool *pool;
    reop_lane *lane;
    reop_engine *engine; /* on the simulated device */
    bool with_bug;
    uint64_t crashes, acknowledged, survived_unacknowledged;
};

bool journal_example_open(struct journal_example *example);
void journal_example_close(struct journal_example *example);

/* One life of the log, a crash, and a look at what it left: a reop_sim_trial. */
bool journal_trial(void *context, reop_engine *engine);

/* The log with the bug has to be caught within a second, and by few events. */
bool journal_find_the_bug(struct journal_example *example);
/* The mended one has to survive so many crashes. */
bool journal_run_the_mended(struct journal_example *example, uint64_t trials);

void journal_print_line(void *context, const char *text); /* for reop_sim_print() */

#endif
