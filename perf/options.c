/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "report.h"

#include <getopt.h>
#include <reop/reop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: reop write [options] OUTPUT [INPUT...]\n"
    "\n"
    "Writes the bytes of the INPUT files, one after the other, to OUTPUT, with up to --depth\n"
    "blocks in flight. Without INPUT, or where INPUT is -, standard input is read.\n"
    "\n"
    "OUTPUT is a regular file (created if missing, emptied if not), a block device, /dev/null or\n"
    "/dev/full. In the end it holds exactly the bytes of the inputs, with --direct too: bytes "
    "that\n"
    "fill no sector are written through the cache. A block device keeps what lies behind them.\n"
    "\n"
    "  --block SIZE      bytes per write: 64K, 1M, 4KiB, 512 (64K; at most 1G)\n"
    "  --depth N         blocks in flight (32; at most 32768; all blocks together at most 4G)\n"
    "  --backend NAME    auto, uring or threads (auto: the best that works here)\n"
    "  --direct          bypass the system's cache; --block must fit the device's sectors\n"
    "  --durable         a block counts as written when it would survive a power cut\n"
    "  --verify          afterwards re-open OUTPUT, read it back and compare it with the inputs;\n"
    "                    what cannot be read twice (standard input) is compared by checksum.\n"
    "                    Without --direct the system may answer from its cache\n"
    "  --fault-rate P    a share P of the ops, like 0.001, goes wrong: errors, no space, short\n"
    "                    transfers and delays of 10 ms, a quarter each. An error ends the run\n"
    "  --seed N          which ops go wrong (1)\n"
    "  --json            print the result as one JSON object\n"
    "  --quiet           print no progress, and no result unless --json is given\n"
    "  -h, --help        print this\n"
    "\n"
    "The result: backend, bytes, op/s, MB/s (10^6), latency of a block from submit to reap (a\n"
    "closed loop: a block waits for a free op before its clock starts), the heap allocations of\n"
    "the whole process in the steady state (first submit to last reap) and during set-up, where\n"
    "one is made on purpose, and the XXH3-64 checksum of the bytes.\n"
    "\n"
    "Exit status: 0 done. 1 the system said no; if bytes were written, the message ends with the\n"
    "complete prefix P: the first P bytes of OUTPUT equal the input. 2 the command line cannot be\n"
    "right. 130 or 143 after SIGINT or SIGTERM: blocks in flight were finished and reported.\n"
    "\n"
    "  reop write --direct --durable --block 1M --verify copy.img disk.img\n"
    "  tar c /etc | reop write --depth 8 etc.tar\n";

static const struct {
    const char *name;
    uint32_t id;
} backend_names[] = {
    {"auto", REOP_BACKEND_AUTO}, {"uring", REOP_BACKEND_URING}, {"threads", REOP_BACKEND_THREADS}};

enum { BLOCK = 256, DEPTH, BACKEND, DIRECT, DURABLE, VERIFY, FAULT_RATE, SEED, JSON, QUIET };

static const struct option long_options[] = {
    {"block", required_argument, NULL, BLOCK},
    {"depth", required_argument, NULL, DEPTH},
    {"backend", required_argument, NULL, BACKEND},
    {"direct", no_argument, NULL, DIRECT},
    {"durable", no_argument, NULL, DURABLE},
    {"verify", no_argument, NULL, VERIFY},
    {"fault-rate", required_argument, NULL, FAULT_RATE},
    {"seed", required_argument, NULL, SEED},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

bool options_digits(const char **text, uint64_t *value_out)
{
    const char *at = *text;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t) (*at - '0');
    }
    *value_out = value;
    if (at == *text)
        return false;
    *text = at;
    return true;
}

bool options_size(const char *text, uint64_t *size_out)
{
    static const char units[] = "KMG";
    uint64_t value;
    unsigned shift = 0;

    if (!options_digits(&text, &value))
        return false;
    for (unsigned i = 0; i < 3; i++) {
        if (*text == units[i] || *text == units[i] - 'A' + 'a')
            shift = 10 * (i + 1);
    }
    if (shift != 0) {
        text++;
        if (strcmp(text, "iB") == 0)
            text += 2;
    }
    if (*text != '\0' || value > UINT64_MAX >> shift)
        return false;
    *size_out = value << shift;
    return true;
}

bool options_number(const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *value_out)
{
    const char *end = text;

    if (options_digits(&end, value_out) && *end == '\0' && *value_out >= least &&
        *value_out <= most)
        return true;
    report_problem(option, "'%s' will not do. Give a number from %llu to %llu.", text,
                   (unsigned long long) least, (unsigned long long) most);
    return false;
}

bool options_block(const char *text, uint32_t *block_size_out)
{
    uint64_t size;

    if (!options_size(text, &size) || size == 0 || size > OPTIONS_BLOCK_MAX) {
        report_problem("--block",
                       "'%s' is no block size. Give 1 to 1G bytes, like 4096, 64K or 1MiB.", text);
        return false;
    }
    *block_size_out = (uint32_t) size;
    return true;
}

bool options_depth(const char *text, uint32_t *depth_out)
{
    uint64_t depth;

    if (!options_number("--depth", text, 1, OPTIONS_DEPTH_MAX, &depth))
        return false;
    *depth_out = (uint32_t) depth;
    return true;
}

bool options_buffers_fit(uint32_t block_size, uint32_t depth)
{
    uint64_t buffers = (uint64_t) block_size * depth;

    if (buffers <= OPTIONS_BUFFERS_MAX)
        return true;
    report_problem("--depth",
                   "%lu blocks of %lu bytes are %.1f GiB of buffers, and the limit is 4 GiB. Give "
                   "a smaller --depth or --block.",
                   (unsigned long) depth, (unsigned long) block_size, (double) buffers / (1 << 30));
    return false;
}

bool options_backend(const char *text, uint32_t *backend_out)
{
    for (unsigned i = 0; i < sizeof backend_names / sizeof *backend_names; i++) {
        if (strcmp(text, backend_names[i].name) == 0) {
            *backend_out = backend_names[i].id;
            return true;
        }
    }
    report_problem("--backend", "'%s' is no backend. Give auto, uring or threads.", text);
    return false;
}

bool options_fault_rate(const char *text, double *share_out)
{
    char *end;

    *share_out = strtod(text, &end);
    if (end != text && *end == '\0' &&
        (*share_out == 0 || (*share_out >= OPTIONS_FAULTS_MIN && *share_out <= 1)))
        return true;
    report_problem("--fault-rate",
                   "'%s' is no share of the ops. Give 0, or 0.0001 to 1, like 0.001.", text);
    return false;
}

bool options_time(const char *option, const char *text, int64_t least_ns, int64_t *time_out)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"", 1000000000},
                 {"s", 1000000000},
                 {"ms", 1000000},
                 {"m", INT64_C(60000000000)},
                 {"h", INT64_C(3600000000000)}};
    const int64_t most_ns = INT64_C(604800000000000);
    const char *end = text;
    uint64_t value;

    if (options_digits(&end, &value)) {
        for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(end, units[i].name) == 0 && value <= (uint64_t) (most_ns / units[i].ns) &&
                (int64_t) value * units[i].ns >= least_ns) {
                *time_out = (int64_t) value * units[i].ns;
                return true;
            }
        }
    }
    report_problem(option, "'%s' will not do. Give a time like 10s, 500ms or 5m, from %s to 168h.",
                   text,
                   least_ns >= 1000000000 ? "1s"
                   : least_ns > 0         ? "100ms"
                                          : "0");
    return false;
}

/* With opterr = 0 getopt_long leaves the words to us: ':' for a missing value, '?' for the rest. */
void options_explain(int answer, char *const *argv)
{
    char letter[] = {'-', (char) optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < BLOCK; /* one of several in argv, perhaps */
    const char *argument = is_letter ? letter : argv[optind - 1];

    if (answer == ':')
        report_problem(argument, "needs a value. 'reop %s --help' shows which.", argv[0]);
    else if (optopt >= BLOCK)
        report_problem(argument, "takes no value. 'reop %s --help' shows the options.", argv[0]);
    else
        report_problem(argument, "unknown option. 'reop %s --help' shows the options.", argv[0]);
}

static enum options_verdict read_options(int argc, char *argv[], struct options *options)
{
    int answer;

    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        bool good = true;

        switch (answer) {
        case BLOCK:
            good = options_block(optarg, &options->block_size);
            break;
        case DEPTH:
            good = options_depth(optarg, &options->depth);
            break;
        case BACKEND:
            good = options_backend(optarg, &options->backend);
            break;
        case DIRECT:
            options->direct = true;
            break;
        case DURABLE:
            options->durable = true;
            break;
        case VERIFY:
            options->verify = true;
            break;
        case FAULT_RATE:
            good = options_fault_rate(optarg, &options->fault_share);
            break;
        case SEED:
            good = options_number("--seed", optarg, 0, OPTIONS_SEED_MAX, &options->seed);
            break;
        case JSON:
            options->json = true;
            break;
        case QUIET:
            options->quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return OPTIONS_HELPED;
        default:
            options_explain(answer, argv);
            good = false;
        }
        if (!good)
            return OPTIONS_REFUSED;
    }
    return OPTIONS_RUN;
}

static bool operands_good(const struct options *options)
{
    int stdin_count = 0;

    if (options->output == NULL || options->output[0] == '\0') {
        report_problem("OUTPUT", "missing. Usage: reop write [options] OUTPUT [INPUT...]");
        return false;
    }
    if (strcmp(options->output, "-") == 0) {
        report_problem("-", "standard output has no offsets to write at. Name a file; one that is "
                            "called - is ./-");
        return false;
    }
    for (int i = 0; i < options->input_count; i++) {
        if (options->inputs[i][0] == '\0') {
            report_problem("INPUT", "one has no name. Name a file, or - for standard input.");
            return false;
        }
        stdin_count += strcmp(options->inputs[i], "-") == 0;
    }
    if (stdin_count > 1) {
        report_problem("-", "standard input can be read once only. Name it once.");
        return false;
    }
    return true;
}

enum options_verdict options_read(int argc, char *argv[], struct options *options_out)
{
    struct options options = {.block_size = 64 * 1024, .depth = 32, .seed = 1};
    enum options_verdict verdict = read_options(argc, argv, &options);

    if (verdict != OPTIONS_RUN)
        return verdict;
    if (optind < argc) {
        options.output = argv[optind];
        options.inputs = argv + optind + 1;
        options.input_count = argc - optind - 1;
    }
    if (!operands_good(&options) || !options_buffers_fit(options.block_size, options.depth))
        return OPTIONS_REFUSED;
    *options_out = options;
    return OPTIONS_RUN;
}
