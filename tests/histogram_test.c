/* SPDX-License-Identifier: MIT
 *
 * The histogram against lists of every sample, its encodings against decoders written here from the
 * format's description, and the statistics of the latency command against counting all cases.
 */
#include "histogram.h"
#include "latency_arrivals.h"
#include "latency_statistics.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MAX 20000u
#define SEED        7u

static struct histogram histogram, other;
static struct histogram_scratch scratch;
static int64_t samples[SAMPLES_MAX];

/* Values of all magnitudes: as many between 2^k and 2^(k+1) for each k. */
static int64_t any_value(uint64_t *random)
{
    uint64_t shift = arrivals_random(random) % 42;

    return (int64_t) ((arrivals_random(random) & ((UINT64_C(1) << shift) - 1)) | UINT64_C(1)
                                                                                     << shift);
}

static int by_value(const void *a, const void *b)
{
    return (*(const int64_t *) a > *(const int64_t *) b) -
           (*(const int64_t *) a < *(const int64_t *) b);
}

static void record(unsigned count, uint64_t seed)
{
    histogram_clear(&histogram);
    for (unsigned i = 0; i < count; i++) {
        samples[i] = any_value(&seed);
        histogram_record(&histogram, samples[i]);
        if (samples[i] > HISTOGRAM_HIGHEST_NS)
            samples[i] = HISTOGRAM_HIGHEST_NS;
    }
    qsort(samples, count, sizeof *samples, by_value);
}

/* --- the histogram --- */

Test(histogram, percentiles_are_those_of_the_sorted_samples)
{
    static const double percents[] = {0, 1, 10, 50, 90, 99, 99.9, 99.99, 99.999, 100};

    for (unsigned count = 1; count <= SAMPLES_MAX; count = count * 3 + 1) {
        record(count, SEED + count);
        for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
            double exact = percents[i] / 100.0 * count;
            unsigned rank = (unsigned) exact + ((double) (unsigned) exact < exact);
            int64_t want = samples[rank > 0 ? rank - 1 : 0];
            int64_t got = histogram_percentile_ns(&histogram, percents[i]);

            cr_assert_geq(got, want, "p%g of %u samples", percents[i], count);
            cr_assert_leq(got - want, want / 1000, "p%g of %u samples", percents[i], count);
        }
        cr_assert_eq(histogram_percentile_ns(&histogram, 100), samples[count - 1]);
    }
}

Test(histogram, mean_and_deviation_are_those_of_the_samples)
{
    double sum = 0, squares = 0, mean;

    record(SAMPLES_MAX, SEED);
    for (unsigned i = 0; i < SAMPLES_MAX; i++)
        sum += (double) samples[i];
    mean = sum / SAMPLES_MAX;
    for (unsigned i = 0; i < SAMPLES_MAX; i++)
        squares += ((double) samples[i] - mean) * ((double) samples[i] - mean);
    cr_assert_float_eq(histogram_mean_ns(&histogram), mean, mean * 1e-9);
    cr_assert_float_eq(histogram_deviation_ns(&histogram), sqrt(squares / SAMPLES_MAX),
                       mean / 1000);
}

Test(histogram, out_of_range_counts_at_the_ends)
{
    histogram_clear(&histogram);
    histogram_record(&histogram, -5);
    histogram_record(&histogram, 0);
    histogram_record(&histogram, INT64_MAX);
    cr_assert_eq(histogram.total, 3);
    cr_assert_eq(histogram_percentile_ns(&histogram, 50), 1);
    cr_assert_eq(histogram.max_ns, HISTOGRAM_HIGHEST_NS);
}

Test(histogram, adding_is_recording_both)
{
    uint64_t random = SEED;

    histogram_clear(&other);
    record(5000, SEED);
    for (unsigned i = 0; i < 5000; i++) {
        int64_t value = any_value(&random);

        histogram_record(&other, value);
    }
    histogram_add(&histogram, &other); /* the same samples twice */
    for (unsigned i = 0; i < HISTOGRAM_COUNTERS; i++)
        cr_assert_eq(histogram.counts[i], 2 * other.counts[i]);
    cr_assert_eq(histogram.total, 10000);
    cr_assert_eq(histogram.max_ns, other.max_ns);
    cr_assert_eq(histogram.sum_ns, 2 * other.sum_ns);
}

Test(histogram, thin_means_fewer_than_ten_beyond)
{
    histogram_clear(&histogram);
    for (unsigned i = 1; i <= 20000; i++) {
        histogram_record(&histogram, 5);
        cr_assert_eq(histogram_percentile_is_thin(&histogram, 50), i < 20, "%u", i);
        cr_assert_eq(histogram_percentile_is_thin(&histogram, 99), i < 1000, "%u", i);
        cr_assert_eq(histogram_percentile_is_thin(&histogram, 99.9), i < 10000, "%u", i);
    }
}

/* Not in a sanitized build, where everything costs more. */
Test(histogram, recording_costs_ten_ns_at_most)
{
    struct timespec start, end;
    double best = 1e9;

#ifdef REOP_TEST_SANITIZED
    cr_skip("a sanitizer makes each step slower");
#endif
    for (unsigned i = 0; i < SAMPLES_MAX; i++)
        samples[i] = 1000 + (int64_t) (i * 7919) % 10000000;
    for (unsigned round = 0; round < 200; round++) {
        double ns;

        clock_gettime(CLOCK_MONOTONIC, &start);
        for (unsigned i = 0; i < SAMPLES_MAX; i++)
            histogram_record(&histogram, samples[i]);
        clock_gettime(CLOCK_MONOTONIC, &end);
        ns = ((double) (end.tv_sec - start.tv_sec) * 1e9 + (double) (end.tv_nsec - start.tv_nsec)) /
             SAMPLES_MAX;
        best = ns < best ? ns : best;
    }
    cr_log_info("%.2f ns a sample", best);
    cr_assert_leq(best, 10);
}

/* --- its encoding, decoded --- */

static unsigned char bytes[HISTOGRAM_BINARY_MAX];

static size_t from_base64(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    uint32_t bits = 0, have = 0;

    for (; *text != '\0' && *text != '='; text++) {
        bits = bits << 6 | (uint32_t) (strchr(digits, *text) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[size++] = (unsigned char) (bits >> have);
        }
    }
    return size;
}

static uint64_t big(const unsigned char *at, unsigned size)
{
    uint64_t value = 0;

    while (size-- > 0)
        value = value << 8 | *at++;
    return value;
}

/* The stored blocks put together, in place. */
static size_t inflate(unsigned char *stream, size_t size)
{
    unsigned char *at = stream + 2, *out = stream;
    uint32_t low = 1, high = 0;
    bool last = false;

    cr_assert_eq((stream[0] << 8 | stream[1]) % 31, 0);
    cr_assert_eq(stream[0] & 15, 8);
    while (!last) {
        unsigned length = at[1] | (unsigned) at[2] << 8;

        cr_assert_leq(at[0], 1, "a stored block");
        cr_assert_eq(length ^ (at[3] | (unsigned) at[4] << 8), 0xffff);
        last = at[0] == 1;
        memmove(out, at + 5, length);
        out += length;
        at += 5 + length;
    }
    for (unsigned char *byte = stream; byte < out; byte++) {
        low = (low + *byte) % 65521;
        high = (high + low) % 65521;
    }
    cr_assert_eq(big(at, 4), high << 16 | low);
    cr_assert_eq((size_t) (at + 4 - (out - out) - stream), size);
    return (size_t) (out - stream);
}

static int64_t take_count(const unsigned char **at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 9; i++) {
        uint64_t byte = *(*at)++;

        if (i == 8) {
            value |= byte << 56;
            break;
        }
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            break;
    }
    return (int64_t) (value >> 1) ^ -(int64_t) (value & 1);
}

/* Decodes what histogram_encode() made into other.counts. */
static void decode(const char *text)
{
    size_t size = from_base64(text), payload_size, index = 0;
    const unsigned char *at = bytes + 8 + 40, *end;
    double ratio;
    uint64_t ratio_bits;

    cr_assert_eq(big(bytes, 4), 0x1c849314);
    cr_assert_eq(big(bytes + 4, 4), size - 8);
    payload_size = inflate(bytes + 8, size - 8);
    cr_assert_eq(big(bytes + 8, 4), 0x1c849313);
    cr_assert_eq(big(bytes + 12, 4), payload_size - 40);
    cr_assert_eq(big(bytes + 16, 4), 0);
    cr_assert_eq(big(bytes + 20, 4), 3);
    cr_assert_eq(big(bytes + 24, 8), 1);
    cr_assert_eq(big(bytes + 32, 8), HISTOGRAM_HIGHEST_NS);
    ratio_bits = big(bytes + 40, 8);
    memcpy(&ratio, &ratio_bits, sizeof ratio);
    cr_assert_eq(ratio, 1.0);
    histogram_clear(&other);
    for (end = bytes + 8 + payload_size; at < end;) {
        int64_t count = take_count(&at);

        if (count < 0) {
            cr_assert_lt(count, -1, "one zero is a 0");
            index += (size_t) -count;
        } else {
            cr_assert_lt(index, HISTOGRAM_COUNTERS);
            other.counts[index++] = (uint64_t) count;
        }
    }
    cr_assert_eq(at, end);
}

static void assert_survives(const char *what)
{
    const char *text = histogram_encode(&histogram, &scratch);

    cr_assert_eq(strncmp(text, "HISTFA", 6), 0, "%s", what);
    cr_assert_eq(strlen(text) % 4, 0);
    decode(text);
    for (unsigned i = 0; i < HISTOGRAM_COUNTERS; i++)
        cr_assert_eq(other.counts[i], histogram.counts[i],
                     "%s: counter %u is %" PRIu64 ", not %" PRIu64, what, i, other.counts[i],
                     histogram.counts[i]);
}

Test(histogram, encoding_survives_decoding)
{
    histogram_clear(&histogram);
    assert_survives("empty");
    histogram_record(&histogram, 1);
    assert_survives("one");
    histogram_record(&histogram, HISTOGRAM_HIGHEST_NS);
    assert_survives("both ends");
    for (unsigned count = 1; count <= SAMPLES_MAX; count = count * 3 + 1) {
        record(count, SEED * count);
        assert_survives("samples");
    }
}

/* Counts of every length from one byte to nine, and every counter taken: more than four stored
 * blocks. */
Test(histogram, large_counts_survive_decoding)
{
    uint64_t random = SEED;
    unsigned lengths[10] = {0};

    histogram_clear(&histogram);
    for (unsigned i = 0; i < HISTOGRAM_COUNTERS; i++) {
        uint64_t count = arrivals_random(&random) >> (1 + arrivals_random(&random) % 60);
        unsigned length = 1;

        for (uint64_t rest = count << 1; rest >= 0x80 && length < 9; rest >>= 7)
            length++;
        lengths[length]++;
        histogram.counts[i] = count;
        histogram.total += count;
    }
    histogram.max_ns = HISTOGRAM_HIGHEST_NS;
    for (unsigned i = 33000; i < HISTOGRAM_COUNTERS; i++) /* beyond an hour there is nothing */
        histogram.counts[i] = 0;
    assert_survives("large counts");
    for (unsigned i = 1; i <= 9; i++)
        cr_assert_gt(lengths[i], 0, "no count took %u bytes", i);
}

Test(histogram, distribution_is_that_of_the_samples)
{
    FILE *file = tmpfile();
    char line[256];
    unsigned rows = 0, footers = 0;
    double last_level = -1;

    record(SAMPLES_MAX, SEED);
    cr_assert_not_null(file);
    histogram_distribution(file, &histogram);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        double value, level, inverse;
        uint64_t count, below = 0;

        footers += line[0] == '#';
        if (sscanf(line, "%lf %lf %" SCNu64 " %lf", &value, &level, &count, &inverse) != 4)
            continue;
        for (unsigned i = 0; i < SAMPLES_MAX; i++)
            below += (double) samples[i] / 1e3 <= value + 0.0005;
        cr_assert_eq(below, count, "%s", line);
        cr_assert_geq((double) count, level * SAMPLES_MAX * (1 - 1e-6), "%s", line);
        cr_assert_geq(level, last_level);
        last_level = level;
        rows++;
    }
    fclose(file);
    cr_assert_eq(last_level, 1.0);
    cr_assert_eq(footers, 3);
    cr_assert_gt(rows, 30); /* one in a hundred samples is beyond an hour */
}

/* --- arrivals --- */

Test(arrivals, fixed_ones_do_not_drift)
{
    static const uint64_t rates[] = {1, 3, 7, 999, 1000000, 99999999};

    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct arrivals arrivals;

        arrivals_begin(&arrivals, rates[i], false, SEED, 1000);
        for (uint64_t k = 0; k <= 100000; k++, arrivals_step(&arrivals)) {
            double exact = 1000 + (double) k * 1e9 / (double) rates[i];

            cr_assert_float_eq((double) arrivals.next_ns, exact, 1 + exact * 1e-12);
        }
        arrivals.index = rates[i] * 1000000 - 1; /* eleven days on */
        arrivals_step(&arrivals);
        cr_assert_eq(arrivals.next_ns, 1000 + INT64_C(1000000) * 1000000000);
    }
}

Test(arrivals, poisson_ones_have_the_mean_and_spread_of_poisson)
{
    struct arrivals arrivals;
    int64_t last_ns = 0;
    double squares = 0;
    const unsigned count = 200000;

    arrivals_begin(&arrivals, 1000, true, SEED, 0);
    for (unsigned i = 0; i < count; i++) {
        double gap_ms;

        arrivals_step(&arrivals);
        gap_ms = (double) (arrivals.next_ns - last_ns) / 1e6;
        squares += (gap_ms - 1) * (gap_ms - 1);
        last_ns = arrivals.next_ns;
    }
    cr_assert_float_eq((double) last_ns / 1e6 / count, 1, 0.01);
    cr_assert_float_eq(squares / count, 1, 0.03); /* an exponential gap varies by its mean */
}

/* --- statistics --- */

/* The same by trying every way to choose which values are a's. */
static double rank_test_by_hand(const double *values, unsigned a_count, unsigned b_count)
{
    unsigned count = a_count + b_count, extreme = 0, all = 0;
    double middle = (double) a_count * b_count / 2, off = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned mask = 0; mask < 1u << count; mask++) {
            double u = 0;

            if ((unsigned) __builtin_popcount(mask) != a_count)
                continue;
            for (unsigned i = 0; i < count; i++)
                for (unsigned j = 0; j < count; j++)
                    u += (mask >> i & 1) && !(mask >> j & 1)
                             ? (values[i] > values[j]) + (values[i] == values[j]) / 2.0
                             : 0;
            if (pass == 0 && mask == (1u << a_count) - 1)
                off = fabs(u - middle);
            all += pass;
            extreme += pass == 1 && fabs(u - middle) >= off;
        }
    }
    return (double) extreme / all;
}

Test(statistics, rank_test_counts_all_orders)
{
    uint64_t random = SEED;

    for (unsigned a_count = 1; a_count <= 5; a_count++) {
        for (unsigned b_count = 1; b_count <= 5; b_count++) {
            for (unsigned round = 0; round < 10; round++) {
                double values[10];

                for (unsigned i = 0; i < a_count + b_count; i++)
                    values[i] = (double) (arrivals_random(&random) >> 12);
                cr_assert_float_eq(statistics_rank_test(values, a_count, values + a_count, b_count),
                                   rank_test_by_hand(values, a_count, b_count), 1e-9, "%u and %u",
                                   a_count, b_count);
            }
        }
    }
}

Test(statistics, rank_test_with_ties_is_near_the_exact_one)
{
    static const double a[] = {1, 2, 2, 3, 3, 3, 4, 5, 6}, b[] = {3, 4, 5, 5, 6, 6, 7, 8, 9};
    static const double equal[] = {4, 4, 4};

    double values[18];

    memcpy(values, a, sizeof a);
    memcpy(values + 9, b, sizeof b);
    cr_assert_float_eq(statistics_rank_test(a, 9, b, 9), rank_test_by_hand(values, 9, 9), 0.005);
    cr_assert_eq(statistics_rank_test(equal, 3, equal, 3), 1);
}

Test(statistics, rank_test_rejects_one_in_twenty)
{
    uint64_t random = SEED;
    unsigned rejected = 0;

    for (unsigned round = 0; round < 4000; round++) {
        double values[18];

        for (unsigned i = 0; i < 18; i++)
            values[i] = (double) (arrivals_random(&random) >> 12);
        rejected += statistics_rank_test(values, 9, values + 9, 9) < 0.05;
    }
    cr_log_info("seed %u: %u of 4000 equal pairs were called different", SEED, rejected);
    cr_assert_lt(rejected, 250);
    cr_assert_gt(rejected, 100);
}

/* Runs whose level differs and whose intervals follow each other: 95 % of the intervals should hold
 * the true ratio. With nine runs the bootstrap is known to be somewhat narrow. */
Test(statistics, bootstrap_holds_the_ratio)
{
    uint64_t random = SEED;
    unsigned held = 0;

    for (unsigned round = 0; round < 200; round++) {
        static double values[18][20];
        struct statistics_run runs[18];
        struct statistics_ratio ratio;

        for (unsigned i = 0; i < 18; i++) {
            double level =
                (i < 9 ? 100 : 120) + (double) (arrivals_random(&random) % 1000) / 50 - 10;
            double noise = 0;

            for (unsigned k = 0; k < 20; k++) {
                noise = noise * 0.7 + (double) (arrivals_random(&random) % 1000) / 50 - 10;
                values[i][k] = level + noise;
            }
            runs[i] = (struct statistics_run){values[i], 20};
        }
        statistics_bootstrap(runs, 9, runs + 9, 9, &ratio);
        held += ratio.low <= 1.2 && ratio.high >= 1.2;
        cr_assert_leq(ratio.low, ratio.ratio);
        cr_assert_geq(ratio.high, ratio.ratio);
        cr_assert_lt(ratio.high - ratio.low, 0.3);
    }
    cr_log_info("seed %u: %u of 200 intervals hold the ratio", SEED, held);
    cr_assert_geq(held, 176);
    cr_assert_lt(held, 200, "an interval that always holds it is too wide");
}

Test(statistics, drift_is_seen_and_noise_is_not)
{
    uint64_t random = SEED;
    unsigned seen = 0, imagined = 0;

    for (unsigned round = 0; round < 1000; round++) {
        double steady[10], falling[10];

        for (unsigned i = 0; i < 10; i++) {
            steady[i] = 100 + (double) (arrivals_random(&random) % 100);
            falling[i] = steady[i] + 300 - 30 * (double) i;
        }
        imagined += statistics_drift(steady, 10);
        seen += statistics_drift(falling, 10);
    }
    cr_log_info("seed %u: of 1000, %u drifts seen, %u imagined", SEED, seen, imagined);
    cr_assert_gt(seen, 950);
    cr_assert_lt(imagined, 80);
    cr_assert_gt(imagined, 0);
}

/* Memory that grows, memory that does not, and one value among them that is far off. */
Test(statistics, slope_is_the_trend_and_not_its_outliers)
{
    static double x[40], flat[40], rising[40];
    uint64_t random = SEED;
    unsigned held = 0, imagined = 0, seen = 0;
    struct statistics_slope slope;

    for (unsigned round = 0; round < 400; round++) {
        for (unsigned i = 0; i < 40; i++) {
            x[i] = 10 * i;
            flat[i] = 1000 + (double) (arrivals_random(&random) % 100);
            rising[i] = flat[i] + 2 * x[i];
        }
        rising[7] += 100000;
        statistics_slope(x, flat, 40, &slope);
        imagined += slope.trend;
        statistics_slope(x, rising, 40, &slope);
        seen += slope.trend;
        held += slope.low <= 2 && slope.high >= 2;
    }
    cr_log_info("seed %u: of 400, %u held, %u seen, %u imagined", SEED, held, seen, imagined);
    cr_assert_eq(seen, 400);
    cr_assert_gt(held, 360); /* 95 % of 400 are 380 */
    cr_assert_lt(imagined, 40);
    cr_assert_gt(imagined, 0);
}

Test(statistics, slope_of_a_straight_line_is_exact)
{
    static double x[STATISTICS_POINTS_MAX], y[STATISTICS_POINTS_MAX];
    struct statistics_slope slope;

    for (unsigned i = 0; i < STATISTICS_POINTS_MAX; i++) {
        x[i] = i;
        y[i] = 5 - 0.25 * i;
    }
    statistics_slope(x, y, STATISTICS_POINTS_MAX, &slope);
    cr_assert_float_eq(slope.slope, -0.25, 1e-12);
    cr_assert_float_eq(slope.low, -0.25, 1e-12);
    cr_assert_float_eq(slope.high, -0.25, 1e-12);
    cr_assert(slope.trend);
    statistics_slope(x, y, 1, &slope);
    cr_assert_eq(slope.slope, 0);
    cr_assert(!slope.trend);
}

Test(statistics, line_has_the_slope_of_its_points)
{
    struct statistics_line line = {0};

    for (unsigned i = 0; i < 100; i++)
        statistics_line_add(&line, i, 3.0 * i + 5 + (i % 2 ? 1 : -1));
    cr_assert_float_eq(statistics_line_slope(&line), 3, 0.01);
}
