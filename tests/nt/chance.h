/* SPDX-License-Identifier: MIT
 *
 * Where every decision of the fake kernel and of the scheduler comes from: first a recorded tape,
 * one byte a decision, and after its end either a seeded generator or zeroes. All that was decided
 * is recorded, so a run can be repeated from its tape, and all runs of a bounded scenario can be
 * enumerated by counting the tape up like a number.
 *
 * Nothing here locks: the kernel's own lock, or being the only thread, does.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANCE_TAPE_MAX 65536u

/* A new run: REOP_NT_TAPE if it is set, then the generator. Each stream of a seed is its own. */
void chance_seed(uint64_t seed, uint64_t stream);

/* A new enumeration: REOP_NT_TAPE if it is set, and nothing after it; else all zeroes. */
void chance_first(void);
/* The next run of it. False: all were seen. */
bool chance_next(void);

/* One run by this tape, and the simplest choices after it. */
void chance_replay(const uint8_t *tape, size_t size);

/* Below count. A decision between one thing is none, and is not recorded. */
uint32_t chance_pick(uint32_t count);
/* An index; the generator draws it in proportion to its weight, and weight 0 never. */
uint32_t chance_weighted(const uint32_t weights[], uint32_t count);
/* True once in so many times, where the generator decides; 0: never. Not on the tape: for what
 * changes only the timing of real threads. */
bool chance_one_in(uint32_t times);

/* How to see this run again, to standard error. */
void chance_print(void);

uint32_t chance_length(void); /* decisions in this run */

#endif
