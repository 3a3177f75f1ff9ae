/* SPDX-License-Identifier: MIT */
#include "latency_statistics.h"
#include "latency_arrivals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOOTSTRAP_COUNT 2000u

bool statistics_drift(const double *values, unsigned count)
{
    double n = count, score = 0, first = 0, second = 0;
    double deviation = sqrt(n * (n - 1) * (2 * n + 5) / 18);

    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++)
            score += (values[j] > values[i]) - (values[j] < values[i]);
        *(i < count / 2 ? &first : &second) += values[i];
    }
    first /= count / 2;
    second /= count - count / 2;
    return (fabs(score) - 1) / deviation > 1.96 && fabs(second - first) > (first + second) / 2 / 20;
}

/* Twice the score that a would have if every pair of the two were counted: 2 where a is larger, 1
 * where they are equal. */
static unsigned rank_score(const double *a, unsigned a_count, const double *b, unsigned b_count,
                           bool *ties_out)
{
    unsigned score = 0;

    *ties_out = false;
    for (unsigned i = 0; i < a_count; i++) {
        for (unsigned j = 0; j < b_count; j++) {
            score += a[i] > b[j] ? 2 : (a[i] == b[j]);
            *ties_out |= a[i] == b[j];
        }
    }
    return score;
}

/* The number of orders of m and n values in which exactly u pairs are inverted, for every u, as a
 * share of all orders: the largest value is one of the m (and beats all n) or one of the n. */
static double exact_tail(unsigned m, unsigned n, unsigned u_low)
{
    static double share[STATISTICS_EXACT_MAX + 1][STATISTICS_EXACT_MAX * STATISTICS_EXACT_MAX + 1];
    double tail = 0;

    memset(share, 0, sizeof share);
    for (unsigned i = 0; i <= m; i++) /* n = 0 */
        share[i][0] = 1;
    for (unsigned j = 1; j <= n; j++) {
        for (unsigned i = 1; i <= m; i++) {
            double ours = (double) i / (i + j);

            for (unsigned u = i * j + 1; u-- > 0;)
                share[i][u] = (1 - ours) * share[i][u] + (u >= j ? ours * share[i - 1][u - j] : 0);
        }
    }
    for (unsigned u = 0; u <= u_low; u++)
        tail += share[m][u];
    return tail;
}

/* The variance of the score, less what ties take from it. */
static double tied_variance(const double *a, unsigned a_count, const double *b, unsigned b_count)
{
    double m = a_count, n = b_count, total = m + n, ties = 0;

    for (unsigned i = 0; i < a_count + b_count; i++) {
        double value = i < a_count ? a[i] : b[i - a_count], equal = 0;

        for (unsigned j = 0; j < a_count + b_count; j++)
            equal += (j < a_count ? a[j] : b[j - a_count]) == value;
        ties += equal * equal - 1; /* summed over the group: its t^3 - t */
    }
    return m * n / 12 * (total + 1 - ties / (total * (total - 1)));
}

double statistics_rank_test(const double *a, unsigned a_count, const double *b, unsigned b_count)
{
    double middle = (double) a_count * b_count / 2, u, off, variance, p;
    bool ties;

    if (a_count == 0 || b_count == 0)
        return 1;
    u = rank_score(a, a_count, b, b_count, &ties) / 2.0;
    if (!ties && a_count <= STATISTICS_EXACT_MAX && b_count <= STATISTICS_EXACT_MAX) {
        p = 2 * exact_tail(a_count, b_count, (unsigned) (u < middle ? u : 2 * middle - u));
        return p < 1 ? p : 1;
    }
    variance = tied_variance(a, a_count, b, b_count);
    off = fabs(u - middle) - 0.5;
    return variance <= 0 || off <= 0 ? 1 : erfc(off / sqrt(2 * variance));
}

/* Of logarithms, so that differences are ratios. */
static double mean_of_draw(const struct statistics_run *runs, unsigned count, uint64_t *random)
{
    double sum = 0, values = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct statistics_run *run = &runs[arrivals_random(random) % count];
        unsigned block = (unsigned) ceil(cbrt(run->count));

        for (unsigned drawn = 0; drawn < run->count; drawn += block) {
            unsigned start = (unsigned) (arrivals_random(random) % run->count);

            /* Round the end, so that the values at the ends are drawn as often as the others. */
            for (unsigned k = 0; k < block && drawn + k < run->count; k++) {
                sum += log(run->values[(start + k) % run->count]);
                values++;
            }
        }
    }
    return sum / values;
}

static double mean_of_all(const struct statistics_run *runs, unsigned count)
{
    double sum = 0, values = 0;

    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < runs[i].count; k++)
            sum += log(runs[i].values[k]);
        values += runs[i].count;
    }
    return sum / values;
}

static int by_value(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

void statistics_bootstrap(const struct statistics_run *a, unsigned a_count,
                          const struct statistics_run *b, unsigned b_count,
                          struct statistics_ratio *ratio_out)
{
    static double ratios[BOOTSTRAP_COUNT];
    uint64_t random = 1; /* the same folders have the same verdict each time */

    for (unsigned i = 0; i < BOOTSTRAP_COUNT; i++) {
        double mean_a = mean_of_draw(a, a_count, &random);

        ratios[i] = exp(mean_of_draw(b, b_count, &random) - mean_a);
    }
    qsort(ratios, BOOTSTRAP_COUNT, sizeof *ratios, by_value);
    ratio_out->a = exp(mean_of_all(a, a_count));
    ratio_out->b = exp(mean_of_all(b, b_count));
    ratio_out->ratio = ratio_out->b / ratio_out->a;
    ratio_out->low = ratios[BOOTSTRAP_COUNT / 40];
    ratio_out->high = ratios[BOOTSTRAP_COUNT - 1 - BOOTSTRAP_COUNT / 40];
}

/* Ranks around the middle of the slopes, as far away as chance puts Kendall's score. */
void statistics_slope(const double *x, const double *y, unsigned count,
                      struct statistics_slope *slope_out)
{
    static double slopes[STATISTICS_POINTS_MAX * (STATISTICS_POINTS_MAX - 1) / 2];
    double n = count, deviation = sqrt(n * (n - 1) * (2 * n + 5) / 18), score = 0;
    unsigned total = 0, away;

    *slope_out = (struct statistics_slope){0, 0, 0, false};
    for (unsigned i = 0; i < count && count <= STATISTICS_POINTS_MAX; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            if (x[j] > x[i])
                slopes[total++] = (y[j] - y[i]) / (x[j] - x[i]);
            score += (y[j] > y[i]) - (y[j] < y[i]);
        }
    }
    if (total == 0)
        return;
    qsort(slopes, total, sizeof *slopes, by_value);
    away = (unsigned) (1.96 * deviation / 2) + 1;
    slope_out->slope = (slopes[(total - 1) / 2] + slopes[total / 2]) / 2;
    slope_out->low = slopes[total / 2 > away ? total / 2 - away : 0];
    slope_out->high = slopes[total / 2 + away < total ? total / 2 + away : total - 1];
    slope_out->trend = fabs(score) - 1 > 1.96 * deviation;
}

void statistics_line_add(struct statistics_line *line, double x, double y)
{
    line->count++;
    line->x += x;
    line->y += y;
    line->xx += x * x;
    line->xy += x * y;
}

double statistics_line_slope(const struct statistics_line *line)
{
    double spread = line->count * line->xx - line->x * line->x;

    return spread > 0 ? (line->count * line->xy - line->x * line->y) / spread : 0;
}
