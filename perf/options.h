/* SPDX-License-Identifier: MIT
 *
 * The command line. What can be refused from it alone is refused here, before the system is asked.
 */
#ifndef REOP_OPTIONS_H
#define REOP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_BLOCK_MAX   (UINT32_C(1) << 30)
#define OPTIONS_DEPTH_MAX   UINT32_C(32768) /* the largest io_uring takes */
#define OPTIONS_BUFFERS_MAX (UINT64_C(4) << 30)
#define OPTIONS_SEED_MAX    (UINT64_MAX / 16)
#define OPTIONS_FAULTS_MIN  0.0001 /* faults are counted in 65536 ops: fewer would be none */

struct options {
    const char *output;
    char *const *inputs; /* none: standard input */
    int input_count;
    uint32_t block_size;
    uint32_t depth;
    uint32_t backend;   /* enum reop_backend */
    double fault_share; /* of the ops */
    uint64_t seed;
    bool direct, durable, verify, json, quiet;
};

enum options_verdict { OPTIONS_RUN, OPTIONS_HELPED, OPTIONS_REFUSED };

/* argv[0] is "write". A refusal has been explained on standard error. */
enum options_verdict options_read(int argc, char *argv[], struct options *options_out);

/* "64K", "1M", "4KiB", "512": digits, then nothing or a unit of 1024. False: anything else. */
bool options_size(const char *text, uint64_t *size_out);
/* The digits that *text begins with; *text then points behind them. False: none, or too large. */
bool options_digits(const char **text, uint64_t *value_out);

/* The value of one option each. False, and explained: none. */
bool options_number(const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *value_out);
bool options_block(const char *text, uint32_t *block_size_out);
/* "10", "10s", "500ms", "5m", "2h": up to a week. least_ns is 0, 100 ms or 1 s. */
bool options_time(const char *option, const char *text, int64_t least_ns, int64_t *time_out);
bool options_depth(const char *text, uint32_t *depth_out);
bool options_backend(const char *text, uint32_t *backend_out);
bool options_fault_rate(const char *text, double *share_out);
/* What a block and a depth come to. False, and explained: too much. */
bool options_buffers_fit(uint32_t block_size, uint32_t depth);

/* What getopt_long() means by '?' or ':' with opterr = 0, in words. */
void options_explain(int answer, char *const *argv);

#endif
