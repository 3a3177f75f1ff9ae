/* SPDX-License-Identifier: MIT
 *
 * Counts what the process allocates from the heap, by anyone: reop, the libraries under it, libc.
 * Where it cannot count it says so; it never answers 0 for "unknown".
 *
 * The calls of the malloc family are counted by standing in for them: by definitions of the same
 * names in a plain build, by the sanitizer's hooks in a sanitized one. mimalloc's own mi_ names
 * are out of reach of both, so those that the program's own objects call are wrapped by the linker.
 */
#ifndef REOP_ALLOC_COUNT_H
#define REOP_ALLOC_COUNT_H

#include <stdbool.h>
#include <stdint.h>

bool alloc_count_supported(void);

/* Calls since the process began: those that can allocate, and those that free. */
uint64_t alloc_count_now(void);
uint64_t alloc_count_frees(void);

/* Allocates once and frees it, so that a count of nothing else is seen to be a count. */
void alloc_count_control(void);

/* For the files beside this one. */
void alloc_count_add(void);
void alloc_count_add_free(void);

#endif
