/* SPDX-License-Identifier: MIT
 *
 * Misuse ends the process, so it is done in another one.
 */
#ifndef MISUSE_H
#define MISUSE_H

/* Calls misuse(argument) in a child process and asserts that it ends by abort() after writing the
 * given words to standard error. The child is a copy of the process on POSIX; on Windows it is the
 * same test, started again, and everything before this call is done once more there. */
void misuse_expect_abort(void (*misuse)(void *argument), void *argument, const char *words);

#endif
