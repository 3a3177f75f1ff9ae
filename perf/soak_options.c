/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "soak.h"

#include <getopt.h>
#include <reop/reop.h>
#include <string.h>

#define QUICK_NS (60 * SOAK_NS)

static const char help[] =
    "Usage: reop soak [options] DIR\n"
    "\n"
    "Keeps an engine busy for --duration and checks all the time that nothing is lost, mixed up,\n"
    "leaked or getting slower. A child process works, its parent watches it. Phases follow one\n"
    "another in an order drawn from the seed: steady, burst, idle, cancel storm, tiny, huge, "
    "fault\n"
    "window, lifecycle (open and close, engines created and destroyed, a full device). After "
    "each,\n"
    "nothing is in flight, and everything has to add up. It stops at the first thing that does "
    "not,\n"
    "and shows the op, the steps it took, the last events, and the command that repeats it.\n"
    "\n"
    "In DIR it makes four files, reop_soak.*, of 25 MiB in all, and removes them at the end "
    "unless\n"
    "something is wrong with them. The simulated device keeps its files in memory.\n"
    "\n"
    "  --duration TIME   in all: 10s, 30m, 72h (10m; at least 5s)\n"
    "  --quick           60 s in all, with every kind of phase\n"
    "  --backend NAME    auto, iocp, uring, threads, or sim: a simulated device in virtual time\n"
    "                    (auto: the best that works here)\n"
    "  --seed N          of phases, places, sizes and faults (1)\n"
    "  --mix P           percent of the ops that read, the others write (50)\n"
    "  --fault-rate P    share of the ops that fail in a fault window, like 0.05 (0.05)\n"
    "  --limit TIME      an op that takes longer is lost; a child that stands still so long and 5 "
    "s\n"
    "                    more hangs (30s)\n"
    "  --phase N         begin with phase N of the plan, as a failure names it (0)\n"
    "  --report FILE     append a JSON line every 10 s; the first says what was run and where\n"
    "  --json            print the result as one JSON object\n"
    "  -h, --help        print this\n"
    "\n"
    "Checks: conservation (acquired = released + in flight; submitted = completed + in flight);\n"
    "lost completions; reuse (completed twice, written after release or in flight, overrun);\n"
    "data (each 4 KiB block says which write it is: lost, torn, misdirected and stale are told\n"
    "apart; all are read back at the end); allocations (none by anybody in the process after the\n"
    "warm-up, but while an engine is created and destroyed); memory (what is resident grows by no\n"
    "more than 64 KiB an hour); handles (descriptors, threads, mappings: as many as after the\n"
    "warm-up); latency (last quarter against first: not more than 10 % up); counters (that pass\n"
    "their end); lifecycle; etw. Latency needs 10 minutes and memory 30, after a round of all\n"
    "kinds of phases; when they had less they say so.\n"
    "\n"
    "On Windows an ETW session with the library's provider runs beside it, and a lost event fails\n"
    "the run; that needs an administrator. Where there is none, under Wine above all, the report\n"
    "says \"ETW not available\" and claims nothing. On uring some ops' use numbers start near "
    "2^16,\n"
    "which is as much of them as a ring carries; their own 52 bits cannot be brought to their "
    "end.\n"
    "\n"
    "Exit status: 0 pass. 1 a check failed. 2 the child hung. 3 the child crashed. 4 it could not "
    "be\n"
    "run or not go on: a command line that cannot be right, DIR, no space, no such backend. 130 "
    "or\n"
    "143 after SIGINT or SIGTERM, if nothing had failed by then: the result is marked partial.\n"
    "\n"
    "  reop soak --duration 72h --report soak.jsonl /mnt/journal\n"
    "  reop soak --quick --backend threads /var/tmp\n"
    "\n"
    "For testing the tool itself, --defect NAME makes it do wrong: leak (an op in 10,000), lost\n"
    "(a completion), overwrite (a buffer in flight), malloc (one per 1,000 ops), descriptor (one\n"
    "left open). Each has to end with status 1.\n";

static const struct {
    const char *name;
    uint32_t id;
} backends[] = {{"auto", REOP_BACKEND_AUTO},
                {"iocp", REOP_BACKEND_IOCP},
                {"uring", REOP_BACKEND_URING},
                {"threads", REOP_BACKEND_THREADS},
                {"sim", REOP_BACKEND_SIM}};

const char *const soak_defect_names[SOAK_DEFECTS] = {"none",      "leak",   "lost",
                                                     "overwrite", "malloc", "descriptor"};

enum { DURATION = 256, QUICK, BACKEND, SEED, MIX, FAULT_RATE, LIMIT, PHASE, REPORT, JSON, DEFECT };

static const struct option long_options[] = {
    {"duration", required_argument, NULL, DURATION},
    {"quick", no_argument, NULL, QUICK},
    {"backend", required_argument, NULL, BACKEND},
    {"seed", required_argument, NULL, SEED},
    {"mix", required_argument, NULL, MIX},
    {"fault-rate", required_argument, NULL, FAULT_RATE},
    {"limit", required_argument, NULL, LIMIT},
    {"phase", required_argument, NULL, PHASE},
    {"report", required_argument, NULL, REPORT},
    {"json", no_argument, NULL, JSON},
    {"defect", required_argument, NULL, DEFECT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool read_backend(const char *text, struct soak_options *options)
{
    for (unsigned i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (strcmp(text, backends[i].name) == 0) {
            options->backend = backends[i].id;
            return true;
        }
    }
    report_problem("--backend", "'%s' is no backend. Give auto, iocp, uring, threads or sim.",
                   text);
    return false;
}

static bool read_defect(const char *text, struct soak_options *options)
{
    for (uint32_t i = 0; i < SOAK_DEFECTS; i++) {
        if (strcmp(text, soak_defect_names[i]) == 0) {
            options->defect = i;
            return true;
        }
    }
    report_problem("--defect", "'%s' is none. 'reop soak --help' lists them.", text);
    return false;
}

static bool read_mix(const char *text, struct soak_options *options)
{
    uint64_t percent;

    if (!options_number("--mix", text, 0, 100, &percent))
        return false;
    options->read_percent = (uint32_t) percent;
    return true;
}

static bool read_one(int answer, char *const *argv, struct soak_options *options)
{
    switch (answer) {
    case DURATION:
        return options_time("--duration", optarg, SOAK_NS, &options->duration_ns);
    case QUICK:
        return options->quick = true;
    case BACKEND:
        return read_backend(optarg, options);
    case SEED:
        return options_number("--seed", optarg, 0, UINT32_MAX, &options->seed);
    case MIX:
        return read_mix(optarg, options);
    case FAULT_RATE:
        return options_fault_rate(optarg, &options->fault_share);
    case LIMIT:
        return options_time("--limit", optarg, SOAK_NS, &options->limit_ns);
    case PHASE:
        return options_number("--phase", optarg, 0, UINT32_MAX, &options->first_phase);
    case REPORT:
        options->report = optarg;
        return true;
    case JSON:
        return options->json = true;
    case DEFECT:
        return read_defect(optarg, options);
    default:
        options_explain(answer, argv);
        return false;
    }
}

static bool fits(int argc, char *const *argv, struct soak_options *options)
{
    if (argc - optind != 1 || argv[optind][0] == '\0') {
        report_problem("DIR", "%s. Usage: reop soak [options] DIR",
                       optind < argc ? "give one" : "missing");
        return false;
    }
    if (options->quick && options->duration_ns != 0) {
        report_problem("--quick", "is --duration 60s. Give one of them.");
        return false;
    }
    if (options->quick)
        options->duration_ns = QUICK_NS;
    if (options->duration_ns == 0)
        options->duration_ns = 600 * SOAK_NS;
    if (options->duration_ns < 5 * SOAK_NS) {
        report_problem("--duration", "is too short for every kind of phase. Give at least 5s.");
        return false;
    }
    options->folder = argv[optind];
    return true;
}

enum options_verdict soak_options_read(int argc, char *argv[], struct soak_options *options_out)
{
    struct soak_options options = {
        .seed = 1, .read_percent = 50, .fault_share = 0.05, .limit_ns = 30 * SOAK_NS};
    int answer;

    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        if (answer == 'h') {
            fputs(help, stdout);
            return OPTIONS_HELPED;
        }
        if (!read_one(answer, argv, &options))
            return OPTIONS_REFUSED;
    }
    if (!fits(argc, argv, &options))
        return OPTIONS_REFUSED;
    *options_out = options;
    return OPTIONS_RUN;
}
