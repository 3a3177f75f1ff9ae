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
 * reop_read(); what its addresses point to is the system's until the op comes back. The op's kind
 * is REOP_KIND_NATIVE, its data NULL, its size and offset 0, its result the completion's res. A
 * zero-copy send comes back once, on its notification, with the send's result.
 *
 * Of sqe->flags only IOSQE_ASYNC may be set: LINK, DRAIN, CQE_SKIP and BUFFER_SELECT are rejected
 * with -EINVAL, and so are multishot forms (accept, poll, recv, timeout, read): one submit is one
 * completion. -ENOTSUP on another backend. */
REOP_API reop_status reop_uring_submit(reop_op *op, reop_file *file,
                                       const struct io_uring_sqe *sqe);

#ifdef __cplusplus
}
#endif

#endif /* REOP_URING_H */
