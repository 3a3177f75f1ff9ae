/* SPDX-License-Identifier: MIT
 *
 * Threads as coroutines of one thread, in virtual time. They switch where a call of the fake kernel
 * begins or ends and where they would sleep, and which of those that can run goes on is a decision.
 * When nobody can run the device completes something, or time passes, or it is a deadlock, which is
 * how a lost wake-up shows.
 */
#ifndef CORO_H
#define CORO_H

#include "sync.h"

/* Runs first(argument) as the first coroutine, until it and all that it started have ended. */
void coro_run(void (*first)(void *argument), void *argument);

/* Like sync_thread_start(), but the new one takes its chance with the others; those of
 * sync_thread_start() run until they sleep before anyone else does. */
void coro_start(struct sync_thread *thread, void (*run)(void *argument), void *argument);

/* Switches at locks, too, from now on. */
void coro_switch_at_locks(bool wanted);

/* Nothing is decided about who runs: for what comes before and after what a test is about. */
void coro_be_orderly(bool wanted);

/* How often one was stopped in favour of another that could run. */
uint64_t coro_switches(void);

#endif
