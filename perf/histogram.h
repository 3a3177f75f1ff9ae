/* SPDX-License-Identifier: MIT
 *
 * Latencies in fixed memory: HdrHistogram's layout for 1 ns to 1 h with 3 significant digits, so
 * that a value is off by less than one part in a thousand and a sample costs a few instructions.
 */
#ifndef REOP_HISTOGRAM_H
#define REOP_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_HIGHEST_NS (INT64_C(3600) * 1000000000)
#define HISTOGRAM_COUNTERS   33792

/* The counts add up to total. All zeroes is an empty histogram. */
struct histogram {
    uint64_t counts[HISTOGRAM_COUNTERS];
    uint64_t total;
    uint64_t sum_ns;
    int64_t max_ns; /* exact, where counts are rounded */
};

/* Below 1 ns counts as 1 ns, above 1 h as 1 h. */
void histogram_record(struct histogram *histogram, int64_t value_ns);

/* The value that percent of the samples do not exceed, rounded up to the histogram's grain and
 * never above the largest sample; 0 when there is none. */
int64_t histogram_percentile_ns(const struct histogram *histogram, double percent);
double histogram_mean_ns(const struct histogram *histogram);
double histogram_deviation_ns(const struct histogram *histogram); /* standard, to the grain */

/* A percentile stands on too few samples when fewer than ten lie beyond it. */
bool histogram_percentile_is_thin(const struct histogram *histogram, double percent);

void histogram_add(struct histogram *to, const struct histogram *from);
void histogram_clear(struct histogram *histogram);

/* --- HdrHistogram's own formats --- */

/* A counter takes 9 bytes at most; 1 KiB is more than all the headers. Base64: 4 for 3. */
#define HISTOGRAM_BINARY_MAX (HISTOGRAM_COUNTERS * 9 + 1024)
#define HISTOGRAM_TEXT_MAX   ((HISTOGRAM_BINARY_MAX + 2) / 3 * 4 + 1)

/* Where an encoding takes place: the bytes, and the text they become. */
struct histogram_scratch {
    unsigned char binary[HISTOGRAM_BINARY_MAX];
    char text[HISTOGRAM_TEXT_MAX];
};

/* The V2 encoding in its compressed form, as base64: what a .hlog holds and every HdrHistogram
 * decodes. The compression is zlib's "stored" kind, which needs no zlib. Answers scratch->text. */
const char *histogram_encode(const struct histogram *histogram, struct histogram_scratch *scratch);

/* A .hlog, an interval per row. The first lines, with the time of day that row 0.000 means; then
 * rows, tagged unless tag is NULL. Of what is written, errors stay in the stream's indicator. */
void histogram_log_begin(FILE *log, const char *writer, int64_t wall_ns);
void histogram_log_row(FILE *log, const char *tag, int64_t start_ns, int64_t length_ns,
                       const struct histogram *histogram, struct histogram_scratch *scratch);

/* A .hgrm: the percentile distribution, in microseconds, five rows per halving of what is left. */
void histogram_distribution(FILE *stream, const struct histogram *histogram);

#endif
