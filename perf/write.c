/* SPDX-License-Identifier: MIT
 *
 * reop write: checks in the order of what they cost the user (command line, inputs, OUTPUT), then
 * writes, verifies, reports.
 */
#include "alloc_count.h"
#include "commands.h"
#include "verify.h"

/* 264 KiB of histogram are too much for a stack. */
static struct copy copy;

/* The one allocation on purpose: a counter that does not notice it does not count. */
static bool counter_counts(void)
{
    uint64_t before = alloc_count_now();

    alloc_count_control();
    return alloc_count_supported() && alloc_count_now() > before;
}

static bool output_check(const struct options *options, struct platform_place *output)
{
    static const char *const kinds[] = {
        [PLATFORM_FOLDER] = "a directory",
        [PLATFORM_FIFO] = "a FIFO",
        [PLATFORM_SOCKET] = "a socket",
        [PLATFORM_TERMINAL] = "a terminal",
        [PLATFORM_OTHER] = "a device without offsets",
    };
    int error = platform_look(options->output, output);

    if (error < 0) {
        report_problem(options->output, "looking at it: %s.%s", platform_words(error, 0),
                       report_advice(error));
        return false;
    }
    if (output->kind >= PLATFORM_FOLDER) {
        report_problem(options->output,
                       "is %s and cannot be written at offsets. Name a regular file, a block "
                       "device, /dev/null or /dev/full.",
                       kinds[output->kind]);
        return false;
    }
    if (output->kind == PLATFORM_SINK && options->verify) {
        report_problem(options->output,
                       "keeps nothing that could be verified. Leave out --verify.");
        return false;
    }
    return true;
}

/* False when something failed; what of OUTPUT is good is said in any case. */
static bool explain_end(const struct input *input)
{
    const char *output = copy.options->output;
    unsigned long long prefix = copy_prefix(&copy);
    int stop = platform_stop_signal();

    if (copy.stuck) {
        report_problem(output, "complete prefix: unknown, blocks are still in flight.");
        return false;
    }
    if (copy.failed)
        report_problem(output, "writing %lu bytes at offset %llu: %s.%s",
                       (unsigned long) copy.failed_size, prefix,
                       platform_words(copy.failed_result, copy.failed_os_error),
                       report_advice(copy.failed_result));
    if (copy.input_error < 0)
        report_problem(input_name(input), "reading it: %s.%s", platform_words(copy.input_error, 0),
                       report_advice(copy.input_error));
    if (!copy.failed && copy.input_error == 0 && stop == 0)
        return true;
    if (!copy.failed && copy.input_error == 0)
        report_problem(output, "stopped by %s.", platform_signal_name(stop));
    report_problem(output,
                   "complete prefix: %llu bytes equal the input; OUTPUT was not truncated to them.",
                   prefix);
    return !copy.failed && copy.input_error == 0;
}

static enum report_answer verify(const struct options *options)
{
    enum report_answer answer;

    if (!options->verify || platform_stop_signal() != 0)
        return REPORT_UNKNOWN;
    if (!options->quiet)
        report_progress_begin("verified", copy.bytes);
    answer = verify_output(&copy);
    if (platform_stop_signal() != 0)
        report_problem(options->output, "all of it was written, verifying it was stopped by %s.",
                       platform_signal_name(platform_stop_signal()));
    return answer;
}

/* OUTPUT is open. From before the first submit to after the last reap nothing may allocate. */
static int run(const struct options *options, struct input *input, bool counts,
               uint64_t allocations_at_start)
{
    struct report report = {.options = options, .latency = &copy.latency};
    uint64_t allocations_before = alloc_count_now(), allocations_after;
    bool good;

    if (!options->quiet)
        report_progress_begin("written", input->size);
    copy_write(&copy);
    report_progress_end();
    good = explain_end(input) && copy_close(&copy);
    if (!good)
        return EXIT_FOUND;
    report.verified = verify(options);
    report_progress_end();
    allocations_after = alloc_count_now();
    report.backend = reop_engine_backend(copy.engine);
    report.why = reop_engine_why(copy.engine);
    report.bytes = copy.bytes;
    report.ops = copy.ops;
    report.elapsed_ns = copy.elapsed_ns;
    report.heap_allocations = counts ? (int64_t) (allocations_after - allocations_before) : -1;
    report.heap_allocations_setup =
        counts ? (int64_t) (allocations_before - allocations_at_start) : -1;
    report.checksum = XXH3_64bits_digest(&copy.checksum);
    good = report_print(&report);
    if (platform_stop_signal() != 0)
        return EXIT_SIGNAL + platform_stop_signal();
    return good && report.verified == (options->verify ? REPORT_YES : REPORT_UNKNOWN) ? EXIT_DONE
                                                                                      : EXIT_FOUND;
}

int write_main(int argc, char *argv[])
{
    uint64_t allocations_at_start = alloc_count_now();
    bool counts = counter_counts();
    struct platform_place output;
    struct options options;
    struct input input;
    int status = EXIT_FOUND;

    switch (options_read(argc, argv, &options)) {
    case OPTIONS_REFUSED:
        return EXIT_REFUSED;
    case OPTIONS_HELPED:
        return report_flush() ? EXIT_DONE : EXIT_FOUND;
    case OPTIONS_RUN:
        break;
    }
    if (!output_check(&options, &output) || !input_check(&input, &options, &output))
        return EXIT_FOUND;
    if (copy_create(&copy, &options, &input) && copy_open(&copy, &output))
        status = run(&options, &input, counts, allocations_at_start);
    copy_destroy(&copy);
    return status;
}
