/* SPDX-License-Identifier: MIT */
#include "latency.h"
#include "report.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
    "Usage: reop latency [options] FILE\n"
    "       reop latency compare DIR_A DIR_B\n"
    "\n"
    "Reads or writes FILE, one block at a time at random places, and measures how long each "
    "takes.\n"
    "In the open loop, the default, ops arrive --rate times a second whatever the system does, "
    "and\n"
    "the time counts from when an op was meant to start: a stall of the system shows in "
    "everything\n"
    "it delayed. Three series: response (from the intended start), service (from the submit) and\n"
    "submit (inside the submit call); beside them hiccups, how late the machine woke a sleeper.\n"
    "\n"
    "FILE is a regular file, a block device, or a device that keeps nothing. Its blocks are\n"
    "OVERWRITTEN by --write and --mix; its size stays. A FILE that is missing or empty is filled\n"
    "with 64 MiB of zeroes first, if it is to be written.\n"
    "\n"
    "  --rate N|max      arrivals a second; max is a closed loop without pauses\n"
    "  --arrival KIND    fixed (evenly spaced) or poisson (as independent users come) (fixed)\n"
    "  --closed          closed loop: the next op waits for one to come back. Hides stalls, and\n"
    "                    says so\n"
    "  --read --write --mix P   what the ops do; P percent read, the others write (--read)\n"
    "  --block SIZE      bytes per op: 4K, 64K, 512 (4K)\n"
    "  --depth N         ops in flight at most (32); arrivals above that wait, their clock runs\n"
    "  --duration TIME   measured: 10, 10s, 500ms, 5m (10s)\n"
    "  --warmup TIME     before it, at least; ends when service times no longer drift (1s)\n"
    "  --direct          bypass the system's cache; --block must fit the device's sectors\n"
    "  --durable         a write counts when it would survive a power cut\n"
    "  --backend NAME    auto, uring or threads (auto: the best that works here)\n"
    "  --seed N          of places and arrivals (1)\n"
    "  --fault-rate P    a share P of the ops, like 0.001, goes wrong, by the seed: errors, no "
    "space,\n"
    "                    short transfers and delays of 10 ms, a quarter each. The run goes on\n"
    "  --out DIR         make DIR and store there: summary.txt, result.json, latency.hlog,\n"
    "                    *.hgrm, intervals.csv, env.json, percentiles.svg and .png\n"
    "  --json            print the result as JSON\n"
    "  --sweep           many runs of --duration, at rates up to what the system can do (or to\n"
    "                    --rate): latency against rate, and the knee\n"
    "  -h, --help        print this\n"
    "\n"
    "A percentile marked ~ has fewer than ten samples beyond it.\n"
    "\n"
    "compare judges DIR_B against DIR_A. Each is one result folder or a folder of them: at least "
    "9\n"
    "runs each, taken in turns (A B B A A B ...), all of one load. For p50, p99 and p99.9 of the\n"
    "response it prints the ratio B/A, its 95 % interval (blocks of intervals, resampled) and the\n"
    "Mann-Whitney test on the runs.\n"
    "\n"
    "Exit status: 0 done; compare: B is faster, or no different. 1 the system said no, or the "
    "rate\n"
    "was not sustained: what was measured is kept and says so. 2 the command line cannot be "
    "right.\n"
    "3 compare: B is slower. 4 compare: inconclusive. 130 or 143 after SIGINT or SIGTERM: results\n"
    "are kept and marked partial.\n"
    "\n"
    "  reop latency --write --durable --rate 2000 --out before journal\n"
    "  reop latency --closed --depth 1 --direct --block 4K /dev/nvme0n1\n"
    "  mkdir a b; i=0; for x in a b b a a b b a a b b a a b b a a b; do i=$((i + 1))\n"
    "      ./reop-$x latency --write --rate 5000 --out $x/$i file; done\n"
    "  reop latency compare a b\n";

enum {
    RATE = 256,
    ARRIVAL,
    CLOSED,
    READ,
    WRITE,
    MIX,
    BLOCK,
    DEPTH,
    DURATION,
    WARMUP,
    DIRECT,
    DURABLE,
    BACKEND,
    SEED,
    FAULT_RATE,
    OUT,
    JSON,
    SWEEP
};

static const struct option long_options[] = {
    {"rate", required_argument, NULL, RATE},
    {"arrival", required_argument, NULL, ARRIVAL},
    {"closed", no_argument, NULL, CLOSED},
    {"read", no_argument, NULL, READ},
    {"write", no_argument, NULL, WRITE},
    {"mix", required_argument, NULL, MIX},
    {"block", required_argument, NULL, BLOCK},
    {"depth", required_argument, NULL, DEPTH},
    {"duration", required_argument, NULL, DURATION},
    {"warmup", required_argument, NULL, WARMUP},
    {"direct", no_argument, NULL, DIRECT},
    {"durable", no_argument, NULL, DURABLE},
    {"backend", required_argument, NULL, BACKEND},
    {"seed", required_argument, NULL, SEED},
    {"fault-rate", required_argument, NULL, FAULT_RATE},
    {"out", required_argument, NULL, OUT},
    {"json", no_argument, NULL, JSON},
    {"sweep", no_argument, NULL, SWEEP},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What has been said about the ops, so that it is said once. */
struct said {
    bool kind, rate;
};

static bool read_rate(const char *text, struct latency_options *options, struct said *said)
{
    said->rate = true;
    if (strcmp(text, "max") == 0) {
        options->rate = 0;
        return true;
    }
    return options_number("--rate", text, 1, LATENCY_RATE_MAX, &options->rate);
}

static bool read_arrival(const char *text, struct latency_options *options)
{
    options->poisson = strcmp(text, "poisson") == 0;
    if (options->poisson || strcmp(text, "fixed") == 0)
        return true;
    report_problem("--arrival", "'%s' is no kind of arrival. Give fixed or poisson.", text);
    return false;
}

static bool read_kind(uint32_t read_percent, struct latency_options *options, struct said *said)
{
    if (said->kind && options->read_percent != read_percent) {
        report_problem("--read, --write, --mix", "give one of them.");
        return false;
    }
    said->kind = true;
    options->read_percent = read_percent;
    return true;
}

static bool read_mix(const char *text, struct latency_options *options, struct said *said)
{
    uint64_t percent;

    return options_number("--mix", text, 0, 100, &percent) &&
           read_kind((uint32_t) percent, options, said);
}

static bool read_one(int answer, char *const *argv, struct latency_options *options,
                     struct said *said)
{
    switch (answer) {
    case RATE:
        return read_rate(optarg, options, said);
    case ARRIVAL:
        return read_arrival(optarg, options);
    case CLOSED:
        return options->closed = true;
    case READ:
        return read_kind(100, options, said);
    case WRITE:
        return read_kind(0, options, said);
    case MIX:
        return read_mix(optarg, options, said);
    case BLOCK:
        return options_block(optarg, &options->block_size);
    case DEPTH:
        return options_depth(optarg, &options->depth);
    case DURATION:
        return options_time("--duration", optarg, 100000000, &options->duration_ns);
    case WARMUP:
        return options_time("--warmup", optarg, 0, &options->warmup_ns);
    case DIRECT:
        return options->direct = true;
    case DURABLE:
        return options->durable = true;
    case BACKEND:
        return options_backend(optarg, &options->backend);
    case SEED:
        return options_number("--seed", optarg, 0, OPTIONS_SEED_MAX, &options->seed);
    case FAULT_RATE:
        return options_fault_rate(optarg, &options->fault_share);
    case OUT:
        options->out = optarg;
        return true;
    case JSON:
        return options->json = true;
    case SWEEP:
        return options->sweep = true;
    default:
        options_explain(answer, argv);
        return false;
    }
}

/* What does not go together. */
static bool fits(int argc, char *const *argv, const struct latency_options *options,
                 const struct said *said)
{
    if (argc - optind != 1 || argv[optind][0] == '\0') {
        report_problem("FILE", "%s. Usage: reop latency [options] FILE",
                       optind < argc ? "give one" : "missing");
        return false;
    }
    if (!said->rate && !options->closed && !options->sweep) {
        report_problem("--rate", "missing: in an open loop ops arrive at a rate of yours. Give "
                                 "--rate N, or --sweep to look for one, or --closed.");
        return false;
    }
    if (options->sweep && options->closed) {
        report_problem("--sweep", "raises the rate of an open loop. Leave out --closed.");
        return false;
    }
    if (options->poisson && (options->closed || (said->rate && options->rate == 0))) {
        report_problem("--arrival",
                       "in a closed loop nothing arrives. Leave out --arrival, or --closed.");
        return false;
    }
    if (options->durable && options->read_percent == 100) {
        report_problem("--durable", "reads make nothing durable. Give --write or --mix, or leave "
                                    "out --durable.");
        return false;
    }
    if (options->out != NULL && options->out[0] == '\0') {
        report_problem("--out", "names no folder.");
        return false;
    }
    return options_buffers_fit(options->block_size, options->depth);
}

enum options_verdict latency_options_read(int argc, char *argv[], struct latency_options *options)
{
    struct said said = {false, false};
    int answer;

    *options = (struct latency_options){.read_percent = 100,
                                        .block_size = 4096,
                                        .depth = 32,
                                        .duration_ns = INT64_C(10000000000),
                                        .warmup_ns = INT64_C(1000000000),
                                        .seed = 1,
                                        .argc = argc,
                                        .argv = argv};
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        if (answer == 'h') {
            fputs(help, stdout);
            return OPTIONS_HELPED;
        }
        if (!read_one(answer, argv, options, &said))
            return OPTIONS_REFUSED;
    }
    if (!fits(argc, argv, options, &said))
        return OPTIONS_REFUSED;
    options->file = argv[optind];
    if (options->rate == 0 && !options->sweep)
        options->closed = true;
    return OPTIONS_RUN;
}
