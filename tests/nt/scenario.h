/* SPDX-License-Identifier: MIT
 *
 * Longer runs than can be enumerated: up to three threads do what comes to mind, on a kernel that
 * does all it can. What comes to mind is decided as everything is, by chance.h.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdbool.h>

/* One run. Unless it is said here, nothing ends as cancelled that nobody asked to cancel: only then
 * can it be seen that a cancel reached what it was not meant for. */
void scenario_run(bool cancels_nobody_asked_for);

#endif
