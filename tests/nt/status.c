/* SPDX-License-Identifier: MIT */
#include "status.h"

#include "kernel.h"
#include "objects.h"

#include <errno.h>
#include <windows.h>

/* The Win32 codes are those that RtlNtStatusToDosError gives on Windows. */
const struct kernel_error kernel_errors[KERNEL_ERRORS] = {
    {ERROR_NO_SYSTEM_RESOURCES, 0xc000009a, ENOMEM},
    {ERROR_WORKING_SET_QUOTA, 0xc00000a1, ENOMEM},
    {ERROR_NOT_ENOUGH_QUOTA, 0xc0000044, ENOMEM},
    {ERROR_NOT_ENOUGH_MEMORY, 0xc0000017, ENOMEM},
    {ERROR_HANDLE_EOF, STATUS_END_OF_FILE, 0},
    {ERROR_BROKEN_PIPE, STATUS_PIPE_BROKEN, 0},
    {ERROR_INVALID_PARAMETER, 0xc000000d, EINVAL},
    {ERROR_ACCESS_DENIED, 0xc0000022, EACCES},
    {ERROR_INVALID_HANDLE, 0xc0000008, EBADF},
    {ERROR_NOACCESS, 0xc0000005, EFAULT},
    {ERROR_DISK_FULL, STATUS_DISK_FULL, ENOSPC},
    {ERROR_IO_DEVICE, 0xc0000185, EIO},
    {ERROR_CRC, 0xc000003f, EIO},
    {ERROR_FILE_CORRUPT, 0xc0000102, EIO},
    {ERROR_WRITE_PROTECT, 0xc00000a2, EROFS},
    {ERROR_NOT_READY, 0xc00000a3, ENODEV},
    {ERROR_NO_DATA, 0xc00000b1, EPIPE},
    {ERROR_NETNAME_DELETED, 0xc00000c9, ECONNRESET},
    {ERROR_OPERATION_ABORTED, STATUS_CANCELLED, ECANCELED},
    {ERROR_SEM_TIMEOUT, 0xc00000b5, ETIMEDOUT},
    {ERROR_DEV_NOT_EXIST, 0xc00000c0, ENODEV},
    {ERROR_DEVICE_NOT_CONNECTED, 0xc000009d, ENODEV},
    {ERROR_NOT_SUPPORTED, 0xc00000bb, ENOTSUP},
    {ERROR_MR_MID_NOT_FOUND, 0xc0de0bad, EIO}, /* a status nobody has a name for */
};

uint32_t status_to_error(uint32_t status)
{
    if (status == STATUS_SUCCESS)
        return ERROR_SUCCESS;
    if (status == STATUS_PENDING)
        return ERROR_IO_PENDING;
    if (status == STATUS_NOTIFY_ENUM_DIR)
        return ERROR_NOTIFY_ENUM_DIR;
    if (status == STATUS_BUFFER_OVERFLOW)
        return ERROR_MORE_DATA;
    if (status == STATUS_INVALID_DEVICE_REQUEST)
        return ERROR_INVALID_FUNCTION;
    for (uint32_t i = 0; i < KERNEL_ERRORS; i++)
        if (kernel_errors[i].status == status)
            return kernel_errors[i].error;
    return ERROR_MR_MID_NOT_FOUND;
}

uint32_t status_of_errno(int error)
{
    for (uint32_t i = 6; i < KERNEL_ERRORS; i++) /* past the two ends of a stream */
        if (kernel_errors[i].name == error)
            return kernel_errors[i].status;
    return 0xc0000185; /* STATUS_IO_DEVICE_ERROR */
}

ULONG NTAPI RtlNtStatusToDosError(LONG status)
{
    return status_to_error((uint32_t) status);
}

int64_t kernel_promised(const struct kernel_verdict *verdict, bool reads)
{
    if (verdict->error == ERROR_SUCCESS || verdict->error == ERROR_MORE_DATA ||
        verdict->error == ERROR_NOTIFY_ENUM_DIR)
        return verdict->bytes;
    if (verdict->error == ERROR_PIPE_CONNECTED)
        return 0;
    if (verdict->error == ERROR_BROKEN_PIPE && !reads)
        return -EPIPE;
    for (uint32_t i = 0; i < KERNEL_ERRORS; i++)
        if (kernel_errors[i].error == verdict->error && (kernel_errors[i].name != 0 || reads))
            return -kernel_errors[i].name;
    return -EIO;
}
