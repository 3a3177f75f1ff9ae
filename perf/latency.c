/* SPDX-License-Identifier: MIT */
#include "latency.h"
#include "commands.h"
#include "report.h"

#include <string.h>

static struct latency_run run; /* megabytes: too much for a stack */

static void explain_end(void)
{
    const char *file = run.options->file;

    switch (run.end) {
    case LATENCY_COMPLETE:
        break;
    case LATENCY_STOPPED:
        report_problem(file, "stopped by %s. The results are partial.",
                       platform_signal_name(platform_stop_signal()));
        break;
    case LATENCY_FAILED:
        report_problem(file, "%s %lu bytes at offset %llu: %s.%s The results are partial.",
                       run.failed_kind == REOP_KIND_READ ? "reading" : "writing",
                       (unsigned long) run.options->block_size,
                       (unsigned long long) run.failed_offset,
                       platform_words(run.failed_result, run.failed_os_error),
                       report_advice(run.failed_result));
        break;
    case LATENCY_STUCK:
        report_problem(file, "ops in flight did not come back. The results are partial.");
        break;
    }
    if (run.end == LATENCY_COMPLETE && latency_faults(&run) & LATENCY_NOT_SUSTAINED)
        report_problem("--rate",
                       "%llu op/s were not sustained, %.0f were. Give a lower rate, or a larger "
                       "--depth; --sweep looks for what can be reached.",
                       (unsigned long long) run.options->rate, latency_achieved(&run));
}

static int run_once(const struct latency_options *options)
{
    bool good = latency_load(&run, options, options->out);

    if (run.measured_ns > 0 || run.end != LATENCY_COMPLETE) {
        explain_end();
        if (options->out != NULL)
            good = latency_store(&run, options->out) && good;
        if (options->json)
            latency_json(stdout, &run);
        else
            latency_text(stdout, &run);
        good = report_flush() && good;
    }
    if (run.end == LATENCY_STOPPED)
        return EXIT_SIGNAL + platform_stop_signal();
    return good && !(latency_faults(&run) & (LATENCY_NOT_SUSTAINED | LATENCY_PARTIAL)) ? EXIT_DONE
                                                                                       : EXIT_FOUND;
}

int latency_main(int argc, char *argv[])
{
    struct latency_options options;

    report_command("latency");
    if (argc > 1 && strcmp(argv[1], "compare") == 0 &&
        !(argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))) {
        if (argc == 4)
            return latency_compare(argv[2], argv[3]);
        report_problem("compare", "takes two folders. Usage: reop latency compare DIR_A DIR_B");
        return EXIT_REFUSED;
    }
    switch (latency_options_read(argc, argv, &options)) {
    case OPTIONS_REFUSED:
        return EXIT_REFUSED;
    case OPTIONS_HELPED:
        return report_flush() ? EXIT_DONE : EXIT_FOUND;
    case OPTIONS_RUN:
        break;
    }
    return options.sweep ? latency_sweep(&options) : run_once(&options);
}
