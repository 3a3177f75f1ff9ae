/* SPDX-License-Identifier: MIT */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t parent;

void *process_share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void *process_shared(size_t size)
{
    (void) size;
    return NULL;
}

int process_start(struct process *process, int (*child)(void *context), void *context)
{
    pid_t id;

    parent = getpid();
    id = fork();
    if (id < 0)
        return -errno;
    if (id == 0) {
        signal(SIGINT, SIG_IGN); /* the parent hears of them, and tells us */
        signal(SIGTERM, SIG_IGN);
        _exit(child(context));
    }
    *process = (struct process){.id = id, .number = (unsigned long) id};
    return 0;
}

void process_look(struct process *process)
{
    int status;

    if (process->over || waitpid((pid_t) process->id, &status, WNOHANG) <= 0)
        return;
    process->over = true;
    process->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void process_kill(struct process *process)
{
    int status;

    if (process->over)
        return;
    kill((pid_t) process->id, SIGKILL);
    while (waitpid((pid_t) process->id, &status, 0) < 0 && errno == EINTR) {
    }
    process->over = true;
    process->status = -1;
}

bool process_orphaned(void)
{
    return getppid() != parent;
}
