/* SPDX-License-Identifier: MIT
 *
 * NTSTATUS, Win32 error and errno: the three names of one thing.
 */
#ifndef STATUS_H
#define STATUS_H

#include <stdint.h>

#define STATUS_SUCCESS                UINT32_C(0)
#define STATUS_PENDING                UINT32_C(0x00000103)
#define STATUS_NOTIFY_ENUM_DIR        UINT32_C(0x0000010c)
#define STATUS_BUFFER_OVERFLOW        UINT32_C(0x80000005)
#define STATUS_INVALID_DEVICE_REQUEST UINT32_C(0xc0000010)
#define STATUS_END_OF_FILE            UINT32_C(0xc0000011)
#define STATUS_DISK_FULL              UINT32_C(0xc000007f)
#define STATUS_CANCELLED              UINT32_C(0xc0000120)
#define STATUS_PIPE_BROKEN            UINT32_C(0xc000014b)

/* RtlNtStatusToDosError. */
uint32_t status_to_error(uint32_t status);
/* Of the real system's calls, which stand in for a file system. */
uint32_t status_of_errno(int error);

#endif
