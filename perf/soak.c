/* SPDX-License-Identifier: MIT
 *
 * The parent. It allocates, prints and waits as it likes, since what must not do that is another
 * process; and it is there to tell when that one is not any more.
 */
#include "soak.h"
#include "commands.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define EXIT_HUNG       2
#define EXIT_CRASHED    3
#define EXIT_IMPOSSIBLE 4 /* a command line that cannot be right, too */
#define LOOK_NS         (SOAK_NS / 20)
#define LINE_NS         (10 * SOAK_NS)
#define SLACK_NS        (5 * SOAK_NS) /* beyond the limit of an op, before the child hangs */
#define SET_UP_NS       (60 * SOAK_NS)
#define CHILD_FAILED    1
#define CHILD_CANNOT    4

/* How long each thread of the child has stood still, by our own looks and not by the clock: when
 * the whole machine was asleep we were too. */
struct pulse {
    uint64_t beats[SOAK_THREADS];
    int64_t still_ns[SOAK_THREADS];
};

static bool folder_good(const char *folder)
{
    struct platform_place place;
    int error = platform_look(folder, &place);

    if (error == 0 && place.kind == PLATFORM_MISSING)
        error = -ENOENT;
    if (error < 0)
        report_problem(folder, "%s.%s", platform_words(error, 0), report_advice(error));
    else if (place.kind != PLATFORM_FOLDER)
        report_problem(folder, "is no directory. Name one, where files can be made.");
    return error == 0 && place.kind == PLATFORM_FOLDER;
}

/* Which thread has not moved for too long, or SOAK_THREADS. */
static unsigned standing_still(const struct soak_run *run, struct pulse *pulse)
{
    bool set_up = atomic_load(&run->shared->stage) == SOAK_SETTING_UP;
    int64_t most_ns = run->options->limit_ns + (set_up ? SET_UP_NS : SLACK_NS);
    unsigned still = SOAK_THREADS;

    for (unsigned i = 0; i < SOAK_THREADS; i++) {
        uint64_t beats = atomic_load(&run->shared->beats[i]);
        bool expected = i == SOAK_DRIVERS || i < atomic_load(&run->shared->drivers);

        pulse->still_ns[i] = beats == pulse->beats[i] ? pulse->still_ns[i] + LOOK_NS : 0;
        pulse->beats[i] = beats;
        if (expected && pulse->still_ns[i] > most_ns)
            still = i;
    }
    return still;
}

REPORT_PRINTF(3, 4)
static void end(struct soak_run *run, enum soak_end how, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->end_words, sizeof run->end_words, format, arguments);
    va_end(arguments);
    run->end = how;
}

static void hung(struct soak_run *run, unsigned still, const struct pulse *pulse)
{
    static const char *const thread_names[] = {"driving thread 0", "driving thread 1",
                                               "conducting thread"};

    process_kill(&run->child);
    end(run, SOAK_HUNG, "the %s of the child stood still for %.0f s, and the child was killed",
        thread_names[still], (double) pulse->still_ns[still] / SOAK_NS);
}

static void ended(struct soak_run *run)
{
    struct soak_shared *shared = run->shared;
    bool told = atomic_load(&shared->told);

    if (told && run->child.status == CHILD_FAILED)
        end(run, SOAK_FAILED, "%s: %s", soak_check_names[atomic_load(&shared->failed_check)],
            shared->failure);
    else if (told && run->child.status == CHILD_CANNOT)
        end(run, SOAK_IMPOSSIBLE, "%s", shared->failure);
    else if (run->child.signal != 0)
        end(run, SOAK_CRASHED, "the child was ended by signal %d", run->child.signal);
    else if (run->child.status != 0 || atomic_load(&shared->stage) != SOAK_DONE)
        end(run, SOAK_CRASHED, "the child ended with status %d before its time", run->child.status);
    else if (platform_stop_signal() != 0)
        end(run, SOAK_STOPPED, "stopped by %s", platform_signal_name(platform_stop_signal()));
    else
        end(run, SOAK_ENDED, "pass");
}

/* False: the report cannot be written any more. */
static bool supervise(struct soak_run *run)
{
    struct pulse pulse = {0};
    bool good = true;

    while (good) {
        unsigned still;

        platform_sleep_until(platform_now_ns() + LOOK_NS);
        process_look(&run->child);
        if (run->child.over) {
            ended(run);
            break;
        }
        still = standing_still(run, &pulse);
        if (still < SOAK_THREADS) {
            hung(run, still, &pulse);
            break;
        }
        if (platform_stop_signal() != 0)
            atomic_store(&run->shared->stop, true);
        soak_etw_poll();
        soak_report_live(run);
        if (platform_now_ns() - run->line_ns >= LINE_NS)
            good = soak_report_progress(run);
    }
    if (!good) {
        process_kill(&run->child);
        end(run, SOAK_IMPOSSIBLE, "the report could not be written");
    }
    soak_report_live_end();
    return good;
}

static int status_of(const struct soak_run *run,
                     const struct soak_judgement judgements[SOAK_CHECKS])
{
    static const int statuses[] = {
        [SOAK_ENDED] = EXIT_DONE,      [SOAK_STOPPED] = EXIT_SIGNAL,
        [SOAK_FAILED] = EXIT_FOUND,    [SOAK_HUNG] = EXIT_HUNG,
        [SOAK_CRASHED] = EXIT_CRASHED, [SOAK_IMPOSSIBLE] = EXIT_IMPOSSIBLE};

    for (unsigned i = 0; i < SOAK_CHECKS && run->end < SOAK_FAILED; i++) {
        if (judgements[i].verdict == SOAK_FAIL)
            return EXIT_FOUND;
    }
    return statuses[run->end] + (run->end == SOAK_STOPPED ? platform_stop_signal() : 0);
}

static int run_child(struct soak_run *run)
{
    struct soak_judgement judgements[SOAK_CHECKS];
    int error;

    run->shared->options = *run->options;
    run->shared->start_ns = run->line_ns = platform_now_ns();
    atomic_store(&run->shared->allocations, -1);
    run->shared->usage.resident_kib = -1;
    soak_etw_begin(run->options);
    error = process_start(&run->child, soak_child, run->shared);
    if (error < 0) {
        report_problem("starting a child", "%s.", platform_words(error, 0));
        return EXIT_IMPOSSIBLE;
    }
    if (soak_report_begin(run))
        supervise(run);
    else
        process_kill(&run->child);
    soak_judge(run->shared, judgements);
    if (run->end >= SOAK_FAILED)
        soak_report_failure(run);
    else if (run->end == SOAK_STOPPED)
        report_problem(run->options->folder, "%s. The result is partial.", run->end_words);
    if (!soak_report_end(run, judgements))
        return EXIT_IMPOSSIBLE;
    if (run->end != SOAK_IMPOSSIBLE || run->options->json)
        soak_report_print(run, judgements);
    return report_flush() ? status_of(run, judgements) : EXIT_IMPOSSIBLE;
}

int soak_main(int argc, char *argv[])
{
    struct soak_shared *shared = process_shared(sizeof *shared);
    struct soak_options options;
    struct soak_run run = {.options = &options, .argc = argc, .argv = argv};

    report_command("soak");
    switch (soak_options_read(argc, argv, &options)) {
    case OPTIONS_REFUSED:
        return EXIT_IMPOSSIBLE;
    case OPTIONS_HELPED:
        return report_flush() ? EXIT_DONE : EXIT_IMPOSSIBLE;
    case OPTIONS_RUN:
        break;
    }
    if (shared != NULL) { /* we are the child, with the parent's command line */
        shared->options = options;
        return soak_child(shared);
    }
    run.shared = process_share(sizeof *shared);
    if (run.shared == NULL) {
        report_problem("memory", "%s.", platform_words(-ENOMEM, 0));
        return EXIT_IMPOSSIBLE;
    }
    if (!folder_good(options.folder) || !soak_report_open(&options))
        return EXIT_IMPOSSIBLE;
    return run_child(&run);
}
