/* SPDX-License-Identifier: MIT
 *
 * A forked child per test. The runner itself never has a second thread, which is what makes fork()
 * safe, under ThreadSanitizer too.
 */
#include "runner.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void runner_quiet(void)
{
}

double runner_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

void runner_quit(int exit_code)
{
    fflush(NULL);
    _exit(exit_code);
}

/* Looks at ever longer intervals, so that a short test costs little and a long one nothing. */
static bool wait_until(pid_t child, int *status_out, double timeout)
{
    struct timespec pause = {.tv_nsec = 100 * 1000};
    double start = runner_now();

    while (waitpid(child, status_out, WNOHANG) == 0) {
        if (timeout > 0 && runner_now() - start > timeout)
            return false;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 10 * 1000 * 1000)
            pause.tv_nsec *= 2;
    }
    return true;
}

struct runner_end runner_process(const struct runner_test *test, size_t number, size_t parameter,
                                 double timeout)
{
    struct runner_end end = {0};
    int status = 0;
    pid_t child;

    (void) number; /* the child is a copy of this process and has the test itself */
    fflush(NULL);
    child = fork();
    if (child == 0)
        runner_child(test, parameter);
    if (child < 0) {
        perror("fork");
        end.exit_code = RUNNER_FAILED;
        return end;
    }
    if (!wait_until(child, &status, timeout)) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        end.timed_out = true;
    } else if (WIFSIGNALED(status)) {
        end.signal = WTERMSIG(status);
    } else {
        end.exit_code = WEXITSTATUS(status);
    }
    return end;
}
