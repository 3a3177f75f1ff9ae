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

struct options {
    const char *output;
    char *const *inputs; /* none: standard input */
    int input_count;
    uint32_t block_size;
    uint32_t depth;
    uint32_t backend; /* enum reop_backend */
    bool direct, durable, verify, json, quiet;
};

enum options_verdict { OPTIONS_RUN, OPTIONS_HELPED, OPTIONS_REFUSED };

/* argv[0] is "write". A refusal has been explained on standard error. */
enum options_verdict options_read(int argc, char *argv[], struct options *options_out);

/* "64K", "1M", "4KiB", "512": digits, then nothing or a unit of 1024. False: anything else. */
bool options_size(const char *text, uint64_t *size_out);
/* The digits that *text begins with; *text then points behind them. False: none, or too large. */
bool options_digits(const char **text, uint64_t *value_out);
/* --backend. False, and explained: no such name. */
bool options_backend(const char *text, uint32_t *backend_out);
/* --fault-rate: a share from 0 to 1. False, and explained: none. */
bool options_fault_rate(const char *text, double *share_out);
/* What getopt_long() means by '?' or ':' with opterr = 0, in words. */
void options_explain(int answer, char *const *argv);

#endif
