/* SPDX-License-Identifier: MIT
 *
 * From the system's error codes to the names that reop.h promises. One implementation per system.
 */
#ifndef REOP_ERROR_H
#define REOP_ERROR_H

#include <errno.h>
#include <stdint.h>

/* The names of reop.h, in its order. Their numbers are this platform's. */
#define ERROR_NAMES(X)                                                                             \
    X(EACCES)                                                                                      \
    X(EAGAIN)                                                                                      \
    X(EBADF)                                                                                       \
    X(EBUSY)                                                                                       \
    X(ECANCELED)                                                                                   \
    X(ECONNRESET)                                                                                  \
    X(EEXIST)                                                                                      \
    X(EFAULT)                                                                                      \
    X(EFBIG)                                                                                       \
    X(EINTR)                                                                                       \
    X(EINVAL)                                                                                      \
    X(EIO)                                                                                         \
    X(EISDIR) X(ELOOP) X(EMFILE) X(ENAMETOOLONG) X(ENFILE) X(ENODEV) X(ENOENT) X(ENOMEM) X(ENOSPC) \
        X(ENOSYS) X(ENOTDIR) X(ENOTSUP) X(ENXIO) X(EOVERFLOW) X(EPERM) X(EPIPE) X(EROFS) X(ESPIPE) \
            X(ETIMEDOUT) X(ETXTBSY)

/* The system's code (errno, GetLastError) as a positive errno of the table; EIO when it has no
 * name. */
int error_from_system(uint32_t os_error);

#endif
