/* SPDX-License-Identifier: MIT
 *
 * Win32 and Winsock codes. A code that two errno could stand for has the one that the same mistake
 * gives on POSIX, so that a program need not ask where it runs.
 */
#include "error.h"

#include <windows.h>

/* Newer than some headers. */
#ifndef ERROR_NO_SUCH_DEVICE
#define ERROR_NO_SUCH_DEVICE 433
#endif
#ifndef ERROR_DISK_QUOTA_EXCEEDED
#define ERROR_DISK_QUOTA_EXCEEDED 1295
#endif

#define ERROR_TABLE(X)                                                                             \
    X(ERROR_ACCESS_DENIED, EACCES)                                                                 \
    X(ERROR_ALREADY_EXISTS, EEXIST)                                                                \
    X(ERROR_BAD_COMMAND, EACCES)                                                                   \
    X(ERROR_BAD_NETPATH, ENOENT)                                                                   \
    X(ERROR_BAD_NET_NAME, ENOENT)                                                                  \
    X(ERROR_BAD_PATHNAME, ENOENT)                                                                  \
    X(ERROR_BAD_PIPE, EPIPE)                                                                       \
    X(ERROR_BROKEN_PIPE, EPIPE)                                                                    \
    X(ERROR_BUFFER_OVERFLOW, ENAMETOOLONG)                                                         \
    X(ERROR_BUSY, EBUSY)                                                                           \
    X(ERROR_CALL_NOT_IMPLEMENTED, ENOSYS)                                                          \
    X(ERROR_CANCELLED, ECANCELED)                                                                  \
    X(ERROR_CANT_RESOLVE_FILENAME, ELOOP)                                                          \
    X(ERROR_CANNOT_MAKE, EACCES)                                                                   \
    X(ERROR_COMMITMENT_LIMIT, ENOMEM)                                                              \
    X(ERROR_CONNECTION_ABORTED, ECONNRESET)                                                        \
    X(ERROR_DELETE_PENDING, EACCES)                                                                \
    X(ERROR_DEVICE_NOT_CONNECTED, ENODEV)                                                          \
    X(ERROR_DEVICE_REMOVED, ENODEV)                                                                \
    X(ERROR_DEV_NOT_EXIST, ENODEV)                                                                 \
    X(ERROR_DIRECTORY, ENOTDIR)                                                                    \
    X(ERROR_DISK_FULL, ENOSPC)                                                                     \
    X(ERROR_DISK_QUOTA_EXCEEDED, ENOSPC)                                                           \
    X(ERROR_EAS_NOT_SUPPORTED, ENOTSUP)                                                            \
    X(ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG)                                                    \
    X(ERROR_FILE_EXISTS, EEXIST)                                                                   \
    X(ERROR_FILE_INVALID, ENXIO)                                                                   \
    X(ERROR_FILE_NOT_FOUND, ENOENT)                                                                \
    X(ERROR_FILE_TOO_LARGE, EFBIG)                                                                 \
    X(ERROR_HANDLE_DISK_FULL, ENOSPC)                                                              \
    X(ERROR_INSUFFICIENT_BUFFER, EINVAL)                                                           \
    X(ERROR_INVALID_FUNCTION, EINVAL)                                                              \
    X(ERROR_INVALID_HANDLE, EBADF)                                                                 \
    X(ERROR_INVALID_NAME, ENOENT)                                                                  \
    X(ERROR_INVALID_PARAMETER, EINVAL)                                                             \
    X(ERROR_INVALID_USER_BUFFER, EINVAL)                                                           \
    X(ERROR_LOCKED, EBUSY)                                                                         \
    X(ERROR_LOCK_VIOLATION, EBUSY)                                                                 \
    X(ERROR_META_EXPANSION_TOO_LONG, ENAMETOOLONG)                                                 \
    X(ERROR_NEGATIVE_SEEK, EINVAL)                                                                 \
    X(ERROR_NETNAME_DELETED, ECONNRESET)                                                           \
    X(ERROR_NOACCESS, EFAULT)                                                                      \
    X(ERROR_NONPAGED_SYSTEM_RESOURCES, ENOMEM)                                                     \
    X(ERROR_NOT_ENOUGH_MEMORY, ENOMEM)                                                             \
    X(ERROR_NOT_ENOUGH_QUOTA, ENOMEM)                                                              \
    X(ERROR_NOT_READY, ENODEV)                                                                     \
    X(ERROR_NOT_SUPPORTED, ENOTSUP)                                                                \
    X(ERROR_NO_DATA, EPIPE)                                                                        \
    X(ERROR_NO_MEDIA_IN_DRIVE, ENODEV)                                                             \
    X(ERROR_NO_SUCH_DEVICE, ENODEV)                                                                \
    X(ERROR_NO_SYSTEM_RESOURCES, ENOMEM)                                                           \
    X(ERROR_NO_UNICODE_TRANSLATION, EINVAL)                                                        \
    X(ERROR_OPERATION_ABORTED, ECANCELED)                                                          \
    X(ERROR_OUTOFMEMORY, ENOMEM)                                                                   \
    X(ERROR_PAGED_SYSTEM_RESOURCES, ENOMEM)                                                        \
    X(ERROR_PAGEFILE_QUOTA, ENOMEM)                                                                \
    X(ERROR_PATH_NOT_FOUND, ENOENT)                                                                \
    X(ERROR_PIPE_BUSY, EBUSY)                                                                      \
    X(ERROR_PIPE_NOT_CONNECTED, EPIPE)                                                             \
    X(ERROR_PRIVILEGE_NOT_HELD, EPERM)                                                             \
    X(ERROR_SEEK, ESPIPE)                                                                          \
    X(ERROR_SEM_TIMEOUT, ETIMEDOUT)                                                                \
    X(ERROR_SHARING_BUFFER_EXCEEDED, ENFILE)                                                       \
    X(ERROR_SHARING_VIOLATION, EBUSY)                                                              \
    X(ERROR_TIMEOUT, ETIMEDOUT)                                                                    \
    X(ERROR_TOO_MANY_OPEN_FILES, EMFILE)                                                           \
    X(ERROR_USER_MAPPED_FILE, ETXTBSY)                                                             \
    X(ERROR_WORKING_SET_QUOTA, ENOMEM)                                                             \
    X(ERROR_WRITE_PROTECT, EROFS)                                                                  \
    X(WAIT_TIMEOUT, ETIMEDOUT)                                                                     \
    X(WSAEACCES, EACCES)                                                                           \
    X(WSAEBADF, EBADF)                                                                             \
    X(WSAECONNABORTED, ECONNRESET)                                                                 \
    X(WSAECONNRESET, ECONNRESET)                                                                   \
    X(WSAEFAULT, EFAULT)                                                                           \
    X(WSAEINTR, EINTR)                                                                             \
    X(WSAEINVAL, EINVAL)                                                                           \
    X(WSAEMFILE, EMFILE)                                                                           \
    X(WSAENETRESET, ECONNRESET)                                                                    \
    X(WSAENOBUFS, ENOMEM)                                                                          \
    X(WSAENOTSOCK, EBADF)                                                                          \
    X(WSAEOPNOTSUPP, ENOTSUP)                                                                      \
    X(WSAESHUTDOWN, EPIPE)                                                                         \
    X(WSAETIMEDOUT, ETIMEDOUT)                                                                     \
    X(WSAEWOULDBLOCK, EAGAIN)

int error_from_system(uint32_t os_error)
{
    switch (os_error) {
#define ERROR_CASE(code, name)                                                                     \
    case (uint32_t) code:                                                                          \
        return name;
        ERROR_TABLE(ERROR_CASE)
    default:
        return EIO;
    }
}
