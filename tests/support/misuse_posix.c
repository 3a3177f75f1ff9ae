/* SPDX-License-Identifier: MIT */
#include "misuse.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 20u

static _Noreturn void child(void (*misuse)(void *), void *argument, int to_parent)
{
    struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL); /* the test framework may catch it */
    signal(SIGALRM, SIG_DFL);
    alarm(LIMIT_SECONDS);
    dup2(to_parent, STDERR_FILENO);
    misuse(argument);
    _exit(0);
}

static size_t read_all(int from_child, char *text, size_t size)
{
    size_t length = 0;
    ssize_t count;

    while (length < size && (count = read(from_child, text + length, size - length)) > 0)
        length += (size_t) count;
    return length;
}

void misuse_expect_abort(void (*misuse)(void *argument), void *argument, const char *words)
{
    char text[4096] = "";
    int ends[2], status = 0;
    pid_t pid;

    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        child(misuse, argument, ends[1]);
    close(ends[1]);
    read_all(ends[0], text, sizeof text - 1);
    close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
              "not ended by abort() but with status 0x%x, saying: %s", (unsigned) status, text);
    cr_assert_not_null(strstr(text, words), "wanted '%s' in: %s", words, text);
}
