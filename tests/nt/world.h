/* SPDX-License-Identifier: MIT
 *
 * The world that the fake kernel and its callers live in, beyond sync.h. There are two: real
 * threads and real time (world_threads.c, with the library's own sync_posix.c), where a sanitizer
 * watches; and coroutines and virtual time (world_coro.c, which is its own sync.h), where every
 * switch is a decision and a run can be repeated exactly.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

/* True: a thread of the kernel's own completes what is pending. False: nobody does, until a caller
 * waits for it or everybody is asleep. */
extern const bool world_has_device_thread;

uint32_t *world_last_error(void); /* of the calling thread */
void world_boundary(void);        /* a call begins or ends: others may run */
void world_sleep(int64_t ns);     /* the caller is blocked inside a call */

/* A rule was broken: says so, says how to see it again, and aborts. */
__attribute__((format(printf, 1, 2), noreturn)) void world_fail(const char *format, ...);

#endif
