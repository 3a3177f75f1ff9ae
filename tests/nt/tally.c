/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNTS (KERNEL_COUNT + KERNEL_ERRORS)

static _Atomic uint64_t *counts; /* shared with every child */
static pid_t owner;

__attribute__((constructor)) static void share(void)
{
    owner = getpid();
    counts = mmap(NULL, COUNTS * sizeof counts[0], PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        abort();
}

__attribute__((destructor)) static void print(void)
{
    static const char *const words[] = {
#define TALLY_WORDS(name, words) words,
        KERNEL_ANSWERS(TALLY_WORDS) KERNEL_EVENTS(TALLY_WORDS)
#undef TALLY_WORDS
    };

    if (getpid() != owner || getenv("REOP_NT_TALLY") == NULL)
        return;
    for (int i = 0; i < KERNEL_COUNT; i++)
        fprintf(stderr, "[SEEN] %10llu  %s\n", (unsigned long long) counts[i], words[i]);
    for (uint32_t i = 0; i < KERNEL_ERRORS; i++)
        fprintf(stderr, "[SEEN] %10llu  call: FALSE, error %u\n",
                (unsigned long long) counts[KERNEL_COUNT + i], (unsigned) kernel_errors[i].error);
}

/* Relaxed: counters that order nothing. */
void tally_saw(enum kernel_answer answer)
{
    atomic_fetch_add_explicit(&counts[answer], 1, memory_order_relaxed);
}

void tally_error(uint32_t index)
{
    atomic_fetch_add_explicit(&counts[KERNEL_COUNT + index], 1, memory_order_relaxed);
}
