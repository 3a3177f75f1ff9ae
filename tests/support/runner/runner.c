/* SPDX-License-Identifier: MIT
 *
 * A small test runner: the tests register themselves in a list before main(), and each one runs in
 * a process of its own, so that it may crash, abort, hang or fork without hurting the others.
 */
#include "runner.h"

#include <signal.h>
#include <stdarg.h>

static struct runner_test *tests;
static struct runner_test **tests_end = &tests;
static bool verbose;

/* In a test's process. */
static const struct runner_test *current;
static const struct runner_test *current_suite;
static _Thread_local bool in_test; /* only the test's own thread cleans up behind it */
static volatile sig_atomic_t failed;

static const struct criterion_test_extra_data no_options;

void runner_add(struct runner_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

static const struct runner_test *suite_of(const struct runner_test *test)
{
    static const struct runner_test no_suite = {.options = &no_options};

    for (const struct runner_test *suite = tests; suite != NULL; suite = suite->next) {
        if (suite->name == NULL && strcmp(suite->suite, test->suite) == 0)
            return suite;
    }
    return &no_suite;
}

/* --- what a test calls --- */

static void clean_up(void)
{
    if (!in_test)
        return;
    in_test = false; /* a clean-up that fails must not be run again by its failure */
    if (current->options->fini != NULL)
        current->options->fini();
    if (current_suite->options->fini != NULL)
        current_suite->options->fini();
}

/* One write, so that lines of several threads do not mix. */
static void say(const char *prefix, const char *format, va_list arguments)
{
    char line[1024];

    vsnprintf(line, sizeof line, format, arguments);
    fprintf(stderr, "%s%s\n", prefix, line);
}

static void say_failure(const char *file, int line, const char *text, const char *format,
                        va_list arguments)
{
    fprintf(stderr, "[----] %s:%d: %s\n", file, line, text);
    if (format[0] != '\0')
        say("[----]   ", format, arguments);
    failed = 1;
}

void runner_abort(const char *file, int line, const char *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_failure(file, line, text, format, arguments);
    va_end(arguments);
    clean_up();
    runner_quit(RUNNER_FAILED);
}

void runner_continue(const char *file, int line, const char *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_failure(file, line, text, format, arguments);
    va_end(arguments);
}

void runner_skip(const char *format, ...)
{
    char prefix[256];
    va_list arguments;

    if (failed) {
        clean_up();
        runner_quit(RUNNER_FAILED);
    }
    snprintf(prefix, sizeof prefix, "[SKIP] %s::%s: ", current->suite, current->name);
    va_start(arguments, format);
    say(prefix, format, arguments);
    va_end(arguments);
    clean_up();
    runner_quit(RUNNER_SKIPPED);
}

void runner_log(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say("[----] ", format, arguments);
    va_end(arguments);
}

void runner_child(const struct runner_test *test, size_t parameter)
{
    struct criterion_test_params params = {0};
    void *argument = NULL;

    current = test;
    current_suite = suite_of(test);
    in_test = true;
    runner_quiet();
    if (test->parameters != NULL) {
        params = test->parameters();
        argument = (char *) params.params + parameter * params.size;
    }
    if (current_suite->options->init != NULL)
        current_suite->options->init();
    if (test->options->init != NULL)
        test->options->init();
    test->call(argument);
    clean_up();
    if (failed)
        runner_quit(RUNNER_FAILED);
    exit(0); /* not runner_quit(): leaks are searched for at exit */
}

/* --- the runner --- */

/* A pattern of '*', '?' and characters, matched against "suite/name". */
static bool matches(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return matches(pattern + 1, text) || (*text != '\0' && matches(pattern, text + 1));
    if (*pattern == '\0' || *text == '\0')
        return *pattern == *text;
    return (*pattern == '?' || *pattern == *text) && matches(pattern + 1, text + 1);
}

static bool chosen(const struct runner_test *test, const char *filter)
{
    char name[256];

    if (test->name == NULL)
        return false;
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    return filter == NULL || matches(filter, name);
}

enum verdict { PASSED, FAILED, SKIPPED, VERDICTS };

static enum verdict judge(const struct runner_test *test, struct runner_end end, int signal,
                          char *reason, size_t size)
{
    if (end.timed_out)
        snprintf(reason, size, "timed out");
    else if (end.signal != 0 && end.signal != signal)
        snprintf(reason, size, "ended by signal %d", end.signal);
    else if (end.signal == 0 && end.exit_code == RUNNER_SKIPPED)
        return SKIPPED;
    else if (end.signal == 0 && end.exit_code == RUNNER_FAILED)
        snprintf(reason, size, "failed");
    else if (end.signal == 0 && signal != 0)
        snprintf(reason, size, "signal %d was expected and did not come", signal);
    else if (end.signal == 0 && end.exit_code != test->options->exit_code)
        snprintf(reason, size, "exit code %d", end.exit_code);
    else
        return PASSED;
    return FAILED;
}

static enum verdict run_one(const struct runner_test *test, size_t number, size_t parameter)
{
    const struct criterion_test_extra_data *suite = suite_of(test)->options;
    double timeout = test->options->timeout > 0 ? test->options->timeout : suite->timeout;
    int signal = test->options->signal != 0 ? test->options->signal : suite->signal;
    double start = runner_now();
    char reason[128] = "", place[64] = "";
    enum verdict verdict;

    if (test->options->disabled || suite->disabled) {
        fprintf(stderr, "[SKIP] %s::%s: disabled\n", test->suite, test->name);
        return SKIPPED;
    }
    if (verbose)
        fprintf(stderr, "[RUN ] %s::%s\n", test->suite, test->name);
    verdict = judge(test, runner_process(test, number, parameter, timeout), signal, reason,
                    sizeof reason);
    if (test->parameters != NULL)
        snprintf(place, sizeof place, " parameter %zu,", parameter);
    if (verdict == FAILED)
        fprintf(stderr, "[FAIL] %s::%s:%s %s (%.2fs)\n", test->suite, test->name, place, reason,
                runner_now() - start);
    if (verdict == PASSED && verbose)
        fprintf(stderr, "[PASS] %s::%s: (%.2fs)\n", test->suite, test->name, runner_now() - start);
    return verdict;
}

static size_t parameter_count(const struct runner_test *test)
{
    return test->parameters != NULL ? test->parameters().length : 1;
}

static int list(const char *filter)
{
    for (const struct runner_test *test = tests; test != NULL; test = test->next) {
        if (chosen(test, filter))
            printf("%s::%s %zu\n", test->suite, test->name, parameter_count(test));
    }
    return 0;
}

static int run_all(const char *filter)
{
    unsigned counts[VERDICTS] = {0};
    size_t number = 0;

    for (const struct runner_test *test = tests; test != NULL; test = test->next, number++) {
        if (!chosen(test, filter))
            continue;
        for (size_t parameter = 0; parameter < parameter_count(test); parameter++)
            counts[run_one(test, number, parameter)]++;
    }
    fprintf(stderr, "%u passed, %u failed, %u skipped\n", counts[PASSED], counts[FAILED],
            counts[SKIPPED]);
    if (counts[PASSED] + counts[FAILED] + counts[SKIPPED] == 0)
        fprintf(stderr, "no test was chosen\n");
    return counts[FAILED] == 0 && counts[PASSED] + counts[SKIPPED] > 0 ? 0 : 1;
}

static int run_numbered(const char *number, const char *parameter)
{
    const struct runner_test *test = tests;

    for (unsigned long left = strtoul(number, NULL, 10); left > 0 && test != NULL; left--)
        test = test->next;
    if (test == NULL || test->name == NULL)
        return 2;
    runner_child(test, strtoul(parameter, NULL, 10));
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    bool listing = false;

    if (argc == 4 && strcmp(argv[1], "--child") == 0)
        return run_numbered(argv[2], argv[3]);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            listing = true;
        } else if (strncmp(argv[i], "--filter=", 9) == 0) {
            filter = argv[i] + 9;
        } else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            filter = argv[++i];
        } else {
            fprintf(stderr, "usage: %s [--list] [--verbose] [--filter 'suite/name']\n", argv[0]);
            return 2;
        }
    }
    return listing ? list(filter) : run_all(filter);
}
