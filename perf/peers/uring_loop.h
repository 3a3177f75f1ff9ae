/* SPDX-License-Identifier: MIT
 *
 * The loop an expert writes by hand with liburing, for one job: blocks of one size to one file at
 * offset 0, depth of them in flight. Registered file, buffers and ring, SINGLE_ISSUER and
 * DEFER_TASKRUN, one enter that submits and waits.
 */
#ifndef URING_LOOP_H
#define URING_LOOP_H

#include <stdint.h>

struct uring_loop;

/* NULL with a line on standard error. */
struct uring_loop *uring_loop_open(const char *path, uint32_t block_size, uint32_t depth);
void uring_loop_run(struct uring_loop *loop, uint64_t op_count); /* ends the program on an error */
void uring_loop_close(struct uring_loop *loop);

#endif
