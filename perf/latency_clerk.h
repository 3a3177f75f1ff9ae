/* SPDX-License-Identifier: MIT
 *
 * Two threads beside the one that measures. The clerk takes each interval when it is over: adds it
 * to the run, writes its rows, prints the live line. The measuring thread never waits for it: while
 * the clerk still holds the interval before, the current one just grows longer. The watch sleeps
 * 1 ms at a time and sees by how much the machine oversleeps.
 */
#ifndef REOP_LATENCY_CLERK_H
#define REOP_LATENCY_CLERK_H

#include "latency.h"

#include <stdatomic.h>

struct clerk {
    struct latency_run *run;
    const char *folder; /* NULL: writes nothing */
    FILE *log, *table;
    int64_t begin_ns; /* row 0.000 of the log; measuring begins later */
    bool live;
    struct platform_thread thread, watch;
    struct latency_interval intervals[2]; /* in turns: one is filled, one is the clerk's */
    _Atomic uint32_t handed_over;         /* intervals that the clerk was given */
    _Atomic uint32_t booked;              /* of these, done with */
    _Atomic uint32_t awake;               /* of the two threads */
    _Atomic bool measuring, ended;
};

/* False, and explained. run is filled in until clerk_end(). */
bool clerk_begin(struct clerk *clerk, struct latency_run *run, const char *folder);

/* The interval to fill from now on; the one before is the clerk's. NULL: not yet, go on filling. */
struct latency_interval *clerk_next(struct clerk *clerk);

/* The interval to fill first; hiccups count from here. */
struct latency_interval *clerk_measure(struct clerk *clerk);

/* Hands over the last interval, NULL if there is none, and waits. False, and explained: not all
 * could be written. */
bool clerk_end(struct clerk *clerk, bool last);

#endif
