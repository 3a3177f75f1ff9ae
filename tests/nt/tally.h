/* SPDX-License-Identifier: MIT
 *
 * How often each answer was given, summed over the processes of a test program: the runner forks
 * one for each test, and prints the sums when it ends.
 */
#ifndef TALLY_H
#define TALLY_H

#include "kernel.h"

void tally_saw(enum kernel_answer answer);
void tally_error(uint32_t index); /* of kernel_errors, from a call that failed at once */

#endif
