/* SPDX-License-Identifier: MIT
 *
 * The native hatch of the uring backend: any submission queue entry, through an op.
 */
#ifndef REOP_URING_H
#define REOP_URING_H

#include <reop/reop.h>

struct io_uring_sqe; /* <linux/io_uring.h> */

#ifdef __cplusplus
extern "C" {
#endif

/* Copies sqe, sets its user_data to the op's and its fd to the file's, and submits it like
 * reop_read(); what sqe points to is the system's until the op comes back. The op's kind is
 * REOP_KIND_NATIVE, its data and size are 0, its offset is sqe->off, its result is the completion's
 * res. A zero-copy send comes back once, on its notification, with the send's result.
 *
 * Of sqe->flags only IOSQE_ASYNC and IOSQE_BUFFER_SELECT may be set: LINK, DRAIN and CQE_SKIP are
 * rejected with -EINVAL, and so are multishot forms (accept, poll, recv, timeout, read): one submit
 * is one completion. -ENOTSUP on another backend. */
REOP_API reop_status reop_uring_submit(reop_op *op, reop_file *file,
                                       const struct io_uring_sqe *sqe);

#ifdef __cplusplus
}
#endif

#endif /* REOP_URING_H */
