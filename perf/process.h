/* SPDX-License-Identifier: MIT
 *
 * A child process of our own that shares memory with us, so that whoever watches outlives what is
 * watched; and what a process holds of the system. Functions that return int answer 0 or a negative
 * errno.
 *
 * POSIX forks, before there is a thread or an engine. Windows starts the program again with the
 * same command line: there main() finds process_shared() and goes on as the child.
 */
#ifndef REOP_PROCESS_H
#define REOP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process {
    intptr_t id;
    unsigned long number; /* as the system's own tools name it */
    bool over;
    int status; /* once over: what it exited with, or -1 */
    int signal; /* POSIX: the signal that ended it, or 0 */
};

/* Zeroed memory that a child started later shares. NULL: there is none. */
void *process_share(size_t size);
/* What the parent of this process shares with it. NULL: this is nobody's child, or goes on in the
 * function below. */
void *process_shared(size_t size);

/* Runs child(context) in a process that no Ctrl-C reaches; what it answers is its exit status. */
int process_start(struct process *process, int (*child)(void *context), void *context);
/* Looks whether it is over. */
void process_look(struct process *process);
void process_kill(struct process *process);
/* In the child: its parent is gone. */
bool process_orphaned(void);

/* Of the calling process; -1: not known here. Allocates nothing. */
struct process_usage {
    int64_t resident_kib;
    int64_t descriptors; /* file descriptors, or handles */
    int64_t threads;     /* without those that the kernel keeps for io_uring */
    int64_t mappings;
};
void process_usage(struct process_usage *usage_out);

#endif
