/* SPDX-License-Identifier: MIT
 *
 * Counter b * 1024 + s counts the values v with v >> b == s. For b = 0 the grain is 1 ns and s runs
 * from 0 to 2047; each further b doubles the grain and needs only the upper half, 1024 to 2047.
 */
#include "histogram.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define SUB_BITS 11 /* 2^11 is the first power of two above 2 * 10^3: three digits */
#define HALF     (1u << (SUB_BITS - 1))
#define BUCKETS  32
#define DIGITS   3

_Static_assert((UINT64_C(2048) << 31) > (uint64_t) HISTOGRAM_HIGHEST_NS, "32 buckets reach 1 h");
_Static_assert(HISTOGRAM_COUNTERS == (32 + 1) * HALF, "a half bucket each, and one more for b = 0");

static uint32_t index_of(uint64_t value_ns)
{
    uint32_t bits = 64 - (uint32_t) __builtin_clzll(value_ns | (2 * HALF - 1));
    uint32_t shift = bits - SUB_BITS;

    return shift * HALF + (uint32_t) (value_ns >> shift);
}

/* The largest value that counter index counts. */
static int64_t highest_at(uint32_t index)
{
    uint32_t shift = index < 2 * HALF ? 0 : index / HALF - 1;
    uint64_t sub = index - shift * HALF;

    return (int64_t) (((sub + 1) << shift) - 1);
}

void histogram_record(struct histogram *histogram, int64_t value_ns)
{
    if (value_ns < 1)
        value_ns = 1;
    if (value_ns > HISTOGRAM_HIGHEST_NS)
        value_ns = HISTOGRAM_HIGHEST_NS;
    histogram->counts[index_of((uint64_t) value_ns)]++;
    histogram->total++;
    histogram->sum_ns += (uint64_t) value_ns;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

int64_t histogram_percentile_ns(const struct histogram *histogram, double percent)
{
    double exact = percent / 100.0 * (double) histogram->total;
    uint64_t wanted = (uint64_t) exact;
    uint64_t seen = 0;

    if ((double) wanted < exact || wanted == 0)
        wanted++;
    for (uint32_t index = 0; index < HISTOGRAM_COUNTERS; index++) {
        seen += histogram->counts[index];
        if (seen >= wanted)
            return highest_at(index) < histogram->max_ns ? highest_at(index) : histogram->max_ns;
    }
    return histogram->max_ns;
}

double histogram_mean_ns(const struct histogram *histogram)
{
    return histogram->total == 0 ? 0 : (double) histogram->sum_ns / (double) histogram->total;
}

/* The middle of what counter index counts. */
static double middle_at(uint32_t index)
{
    uint32_t shift = index < 2 * HALF ? 0 : index / HALF - 1;

    return (double) highest_at(index) - (double) ((UINT64_C(1) << shift) - 1) / 2;
}

double histogram_deviation_ns(const struct histogram *histogram)
{
    double mean = histogram_mean_ns(histogram), squares = 0;

    if (histogram->total == 0)
        return 0;
    for (uint32_t index = 0; index < HISTOGRAM_COUNTERS; index++) {
        double off = middle_at(index) - mean;

        squares += off * off * (double) histogram->counts[index];
    }
    return sqrt(squares / (double) histogram->total);
}

bool histogram_percentile_is_thin(const struct histogram *histogram, double percent)
{
    return (double) histogram->total * (100.0 - percent) < 10 * 100.0 * (1 - 1e-9);
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    if (from->total == 0)
        return;
    for (uint32_t index = 0; index < HISTOGRAM_COUNTERS; index++)
        to->counts[index] += from->counts[index];
    to->total += from->total;
    to->sum_ns += from->sum_ns;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

/* --- HdrHistogram's own formats --- */

#define COOKIE_V2            UINT32_C(0x1c849313)
#define COOKIE_V2_COMPRESSED UINT32_C(0x1c849314)
#define HEADER_SIZE          40
#define OUTER_SIZE           8
#define STORED_MAX           65535u /* bytes in one block of a zlib stream */

_Static_assert(OUTER_SIZE + 2 + (HISTOGRAM_BINARY_MAX / STORED_MAX + 1) * 5 + HEADER_SIZE + 4 <
                   1024,
               "all headers and trailers");

static unsigned char *put_big(unsigned char *at, uint64_t value, unsigned size)
{
    while (size-- > 0)
        *at++ = (unsigned char) (value >> (8 * size));
    return at;
}

/* ZigZag LEB128; the ninth byte, if there is one, holds 8 bits and says nothing of a next. */
static unsigned char *put_count(unsigned char *at, int64_t value)
{
    uint64_t rest = ((uint64_t) value << 1) ^ (value < 0 ? UINT64_MAX : 0);

    for (unsigned i = 0; i < 8; i++) {
        if (rest < 0x80) {
            *at++ = (unsigned char) rest;
            return at;
        }
        *at++ = (unsigned char) (rest | 0x80);
        rest >>= 7;
    }
    *at++ = (unsigned char) rest;
    return at;
}

/* Up to the largest sample; n zeroes in a row, where n is more than one, are -n. */
static unsigned char *put_counts(unsigned char *at, const struct histogram *histogram)
{
    uint32_t end = histogram->total == 0 ? 0 : index_of((uint64_t) histogram->max_ns) + 1;

    for (uint32_t index = 0; index < end;) {
        uint32_t zeroes = 0;

        while (index + zeroes < end && histogram->counts[index + zeroes] == 0)
            zeroes++;
        if (zeroes > 1)
            at = put_count(at, -(int64_t) zeroes);
        else
            at = put_count(at, (int64_t) histogram->counts[index]);
        index += zeroes > 1 ? zeroes : 1;
    }
    return at;
}

static unsigned char *put_payload(unsigned char *at, const struct histogram *histogram)
{
    static const double ratio = 1.0;
    unsigned char *counts = at + HEADER_SIZE, *end = put_counts(counts, histogram);
    uint64_t ratio_bits;

    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    at = put_big(at, COOKIE_V2, 4);
    at = put_big(at, (uint64_t) (end - counts), 4);
    at = put_big(at, 0, 4); /* normalizing index offset */
    at = put_big(at, DIGITS, 4);
    at = put_big(at, 1, 8);
    at = put_big(at, (uint64_t) HISTOGRAM_HIGHEST_NS, 8);
    put_big(at, ratio_bits, 8);
    return end;
}

static uint32_t adler32(const unsigned char *data, size_t size)
{
    uint32_t low = 1, high = 0;

    for (size_t i = 0; i < size; i++) {
        low = (low + data[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

/* The payload was made at the end of its room, so that its blocks can move to the front one by one,
 * each behind its own five bytes. */
static unsigned char *put_stored(unsigned char *at, const unsigned char *payload, size_t size)
{
    uint32_t check = adler32(payload, size);

    *at++ = 0x78; /* deflate, 32 KiB window */
    *at++ = 0x01; /* no dictionary, fastest; makes the pair a multiple of 31 */
    do {
        uint32_t part = size < STORED_MAX ? (uint32_t) size : STORED_MAX;

        *at++ = part == size; /* the last one */
        *at++ = (unsigned char) part;
        *at++ = (unsigned char) (part >> 8);
        *at++ = (unsigned char) ~part;
        *at++ = (unsigned char) (~part >> 8);
        memmove(at, payload, part);
        at += part;
        payload += part;
        size -= part;
    } while (size > 0);
    return put_big(at, check, 4);
}

static void put_base64(char *text, const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        uint32_t second = i + 1 < size ? data[i + 1] : 0, third = i + 2 < size ? data[i + 2] : 0;
        uint32_t bits = (uint32_t) data[i] << 16 | second << 8 | third;

        *text++ = digits[bits >> 18];
        *text++ = digits[bits >> 12 & 63];
        *text++ = i + 1 < size ? digits[bits >> 6 & 63] : '=';
        *text++ = i + 2 < size ? digits[bits & 63] : '=';
    }
    *text = '\0';
}

const char *histogram_encode(const struct histogram *histogram, struct histogram_scratch *scratch)
{
    unsigned char *start = scratch->binary, *payload = start + 1024 - HEADER_SIZE;
    unsigned char *payload_end = put_payload(payload, histogram);
    unsigned char *stream = start + OUTER_SIZE;
    unsigned char *end = put_stored(stream, payload, (size_t) (payload_end - payload));

    put_big(start, COOKIE_V2_COMPRESSED, 4);
    put_big(start + 4, (uint64_t) (end - stream), 4);
    put_base64(scratch->text, start, (size_t) (end - start));
    return scratch->text;
}

void histogram_log_begin(FILE *log, const char *writer, int64_t wall_ns)
{
    time_t seconds = (time_t) (wall_ns / 1000000000);
    const struct tm *utc = gmtime(&seconds);
    char date[64];

    strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", utc);
    fprintf(log, "#[Logged with %.80s]\n#[Histogram log format version 1.3]\n", writer);
    fprintf(log, "#[StartTime: %.3f (seconds since epoch), %s]\n", (double) wall_ns / 1e9, date);
    fputs("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
          "\"Interval_Compressed_Histogram\"\n",
          log);
}

void histogram_log_row(FILE *log, const char *tag, int64_t start_ns, int64_t length_ns,
                       const struct histogram *histogram, struct histogram_scratch *scratch)
{
    if (tag != NULL)
        fprintf(log, "Tag=%s,", tag);
    fprintf(log, "%.3f,%.3f,%.3f,", (double) start_ns / 1e9, (double) length_ns / 1e9,
            (double) histogram->max_ns / 1e6);
    fputs(histogram_encode(histogram, scratch), log);
    fputc('\n', log);
}

/* The next level: five steps to each half of what is left to 100. */
static double next_level(double level)
{
    double halvings = floor(log2(100.0 / (100.0 - level))) + 1;

    return level + 100.0 / (5 * exp2(halvings));
}

void histogram_distribution(FILE *stream, const struct histogram *histogram)
{
    uint64_t seen = 0;
    double level = 0;

    fprintf(stream, "%12s %12s %12s %12s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    for (uint32_t index = 0; index < HISTOGRAM_COUNTERS && seen < histogram->total; index++) {
        double value_us = (double) highest_at(index) / 1e3, reached;

        if (histogram->counts[index] == 0)
            continue;
        seen += histogram->counts[index];
        reached = 100.0 * (double) seen / (double) histogram->total;
        while (level <= reached) {
            fprintf(stream, "%12.3f %12.6f %12" PRIu64 " %12.2f\n", value_us, level / 100, seen,
                    100 / (100 - level));
            level = next_level(level);
            if (seen == histogram->total)
                break;
        }
        if (seen == histogram->total)
            fprintf(stream, "%12.3f %12.6f %12" PRIu64 " %12.2f\n", value_us, 1.0, seen, INFINITY);
    }
    fprintf(stream, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
            histogram_mean_ns(histogram) / 1e3, histogram_deviation_ns(histogram) / 1e3);
    fprintf(stream, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
            (double) histogram->max_ns / 1e3, histogram->total);
    fprintf(stream, "#[Buckets = %12d, SubBuckets     = %12u]\n", BUCKETS, 2 * HALF);
}
