/* SPDX-License-Identifier: MIT
 *
 * The few statistics that the verdicts stand on.
 */
#ifndef REOP_LATENCY_STATISTICS_H
#define REOP_LATENCY_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATISTICS_EXACT_MAX 32u /* runs on each side, up to which the test below is exact */

/* Mann-Kendall: do the values, in this order, go up or down more than chance lets them, 5 % of the
 * time, and by more than a twentieth of their mean between the first half and the second? */
bool statistics_drift(const double *values, unsigned count);

/* Mann-Whitney: how likely two samples of one population would differ in rank as much as these do,
 * to either side. Exact for up to 32 each without ties; else by the normal approximation. */
double statistics_rank_test(const double *a, unsigned a_count, const double *b, unsigned b_count);

/* A series of interval values, by runs: intervals next to each other resemble each other, and those
 * of one run too. So whole runs are drawn, and of each of them blocks of neighbours. */
struct statistics_run {
    const double *values;
    unsigned count;
};
struct statistics_ratio {
    double a, b;             /* geometric means: one interval of a thousand times is not all */
    double ratio, low, high; /* b over a, and the 95 % interval of that */
};
void statistics_bootstrap(const struct statistics_run *a, unsigned a_count,
                          const struct statistics_run *b, unsigned b_count,
                          struct statistics_ratio *ratio_out);

/* Theil and Sen: the median of the slopes between all pairs of points, and its 95 % interval.
 * trend: Mann and Kendall's test says, at 5 %, that it goes up or down. */
#define STATISTICS_POINTS_MAX 512u
struct statistics_slope {
    double slope, low, high;
    bool trend;
};
void statistics_slope(const double *x, const double *y, unsigned count,
                      struct statistics_slope *slope_out);

/* A straight line through points that are not kept. */
struct statistics_line {
    double count, x, y, xx, xy;
};
void statistics_line_add(struct statistics_line *line, double x, double y);
double statistics_line_slope(const struct statistics_line *line);

#endif
