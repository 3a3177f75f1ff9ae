/* SPDX-License-Identifier: MIT
 *
 * One test, one process: the half of the small runner that depends on the system.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <criterion/criterion.h>

/* How a test's process tells the runner what a test cannot say for itself. */
#define RUNNER_FAILED  100
#define RUNNER_SKIPPED 101

struct runner_end {
    bool timed_out;
    int signal;
    int exit_code;
};

/* Runs one test in a process of its own and waits for its end. number is the test's place in the
 * list, by which a second process can name it. */
struct runner_end runner_process(const struct runner_test *test, size_t number, size_t parameter,
                                 double timeout);

/* In the process of the test: runs it and exits. */
_Noreturn void runner_child(const struct runner_test *test, size_t parameter);

double runner_now(void); /* seconds */

/* Called once in a test's process before the test. */
void runner_quiet(void);

/* Ends the process at once: no handlers, no search for leaks, whatever thread calls it. */
_Noreturn void runner_quit(int exit_code);

#endif
