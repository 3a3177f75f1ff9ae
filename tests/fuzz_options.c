/* SPDX-License-Identifier: MIT
 *
 * libFuzzer: the tool's command line. The first byte chooses the subcommand, the lines behind it
 * are its arguments. What is accepted has to be within the limits that options.h states.
 */
#include "latency.h"
#include "options.h"
#include "soak.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 16
#define TEXT_MAX      512

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void must_be_share(double share)
{
    must(share == 0 || (share >= OPTIONS_FAULTS_MIN && share <= 1));
}

static void check_write(int count, char *arguments[])
{
    struct options options = {0};

    if (options_read(count, arguments, &options) != OPTIONS_RUN)
        return;
    must(options.output != NULL && options.input_count >= 0 && options.input_count < count);
    must(options.block_size > 0 && options.block_size <= OPTIONS_BLOCK_MAX);
    must(options.depth > 0 && options.depth <= OPTIONS_DEPTH_MAX);
    must((uint64_t) options.block_size * options.depth <= OPTIONS_BUFFERS_MAX);
    must_be_share(options.fault_share);
}

static void check_latency(int count, char *arguments[])
{
    struct latency_options load = {0};

    if (latency_options_read(count, arguments, &load) != OPTIONS_RUN)
        return;
    must(load.block_size > 0 && load.block_size <= OPTIONS_BLOCK_MAX);
    must(load.depth > 0 && load.depth <= OPTIONS_DEPTH_MAX);
    must(load.rate <= LATENCY_RATE_MAX && load.read_percent <= 100 && load.duration_ns > 0);
    must_be_share(load.fault_share);
}

static void check_soak(int count, char *arguments[])
{
    struct soak_options soak = {0};

    if (soak_options_read(count, arguments, &soak) != OPTIONS_RUN)
        return;
    must(soak.folder != NULL && soak.folder[0] != '\0');
    must(soak.duration_ns >= 5 * SOAK_NS && soak.limit_ns >= SOAK_NS);
    must(soak.read_percent <= 100 && soak.defect < SOAK_DEFECTS);
    must_be_share(soak.fault_share);
}

static struct {
    char name[8];
    void (*check)(int count, char *arguments[]);
} commands[] = {{"write", check_write}, {"latency", check_latency}, {"soak", check_soak}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_MAX + 1];
    unsigned command = size == 0 ? 0 : data[0] == 'l' ? 1 : data[0] == 's' ? 2 : 0;
    char *arguments[ARGUMENTS_MAX + 2] = {commands[command].name};
    int count = 1;

    if (size == 0 || size > TEXT_MAX)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    for (char *line = text; count <= ARGUMENTS_MAX; count++) {
        char *end = strchr(line, '\n');

        arguments[count] = line;
        if (end == NULL) {
            count++;
            break;
        }
        *end = '\0';
        line = end + 1;
    }
    optind = 0; /* glibc: begin anew */
    commands[command].check(count, arguments);
    return 0;
}
