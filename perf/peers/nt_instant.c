/* SPDX-License-Identifier: MIT
 *
 * An NT kernel that answers at once and does nothing: every read and write is pending when its call
 * returns, and its packet is in the port already. What is left is the callers' own cost. One port,
 * one thread.
 */
#include <windows.h>

#include <string.h>

#define PACKETS 65536u /* a power of two, more than are ever in flight */

static OVERLAPPED_ENTRY packets[PACKETS];
static ULONG first, end;
static DWORD last_error;
static char port; /* its address is every handle */

static void queue_packet(ULONG_PTR key, LPOVERLAPPED overlapped, DWORD bytes)
{
    OVERLAPPED_ENTRY *packet = &packets[end++ % PACKETS];

    packet->lpCompletionKey = key;
    packet->lpOverlapped = overlapped;
    packet->dwNumberOfBytesTransferred = bytes;
}

static BOOL transfer(DWORD size, LPOVERLAPPED overlapped)
{
    overlapped->Internal = 0; /* STATUS_SUCCESS */
    overlapped->InternalHigh = size;
    queue_packet(0, overlapped, size);
    last_error = ERROR_IO_PENDING;
    return FALSE;
}

static BOOL refuse(void)
{
    last_error = ERROR_NOT_SUPPORTED;
    return FALSE;
}

DWORD GetLastError(void)
{
    return last_error;
}

BOOL ReadFile(HANDLE handle, LPVOID data, DWORD size, LPDWORD moved, LPOVERLAPPED overlapped)
{
    (void) handle;
    (void) data;
    (void) moved;
    return transfer(size, overlapped);
}

BOOL WriteFile(HANDLE handle, LPCVOID data, DWORD size, LPDWORD moved, LPOVERLAPPED overlapped)
{
    (void) handle;
    (void) data;
    (void) moved;
    return transfer(size, overlapped);
}

BOOL GetQueuedCompletionStatusEx(HANDLE handle, LPOVERLAPPED_ENTRY entries, ULONG count,
                                 PULONG removed, DWORD timeout_ms, BOOL alertable)
{
    (void) handle;
    (void) timeout_ms;
    (void) alertable;
    for (*removed = 0; *removed < count && first != end; first++)
        entries[(*removed)++] = packets[first % PACKETS];
    last_error = WAIT_TIMEOUT;
    return *removed > 0;
}

BOOL PostQueuedCompletionStatus(HANDLE handle, DWORD bytes, ULONG_PTR key, LPOVERLAPPED overlapped)
{
    (void) handle;
    queue_packet(key, overlapped, bytes);
    return TRUE;
}

HANDLE CreateIoCompletionPort(HANDLE handle, HANDLE existing, ULONG_PTR key, DWORD threads)
{
    (void) handle;
    (void) existing;
    (void) key;
    (void) threads;
    return &port;
}

BOOL SetFileCompletionNotificationModes(HANDLE handle, UCHAR modes)
{
    (void) handle;
    (void) modes;
    return TRUE;
}

BOOL CloseHandle(HANDLE handle)
{
    (void) handle;
    return TRUE;
}

/* --- what is linked and never called --- */

BOOL ReadFileScatter(HANDLE handle, FILE_SEGMENT_ELEMENT segments[], DWORD size, LPDWORD reserved,
                     LPOVERLAPPED overlapped)
{
    (void) handle;
    (void) segments;
    (void) size;
    (void) reserved;
    (void) overlapped;
    return refuse();
}

BOOL WriteFileGather(HANDLE handle, FILE_SEGMENT_ELEMENT segments[], DWORD size, LPDWORD reserved,
                     LPOVERLAPPED overlapped)
{
    return ReadFileScatter(handle, segments, size, reserved, overlapped);
}

BOOL CancelIoEx(HANDLE handle, LPOVERLAPPED overlapped)
{
    (void) handle;
    (void) overlapped;
    return refuse();
}

BOOL FlushFileBuffers(HANDLE handle)
{
    (void) handle;
    return refuse();
}

/* --- ntdll: RtlNtStatusToDosError alone --- */

HMODULE GetModuleHandleA(LPCSTR name)
{
    (void) name;
    return (HMODULE) &port;
}

static ULONG status_to_error(LONG status)
{
    return (ULONG) status;
}

FARPROC GetProcAddress(HMODULE module, LPCSTR name)
{
    (void) module;
    return strcmp(name, "RtlNtStatusToDosError") == 0 ? (FARPROC) status_to_error : NULL;
}
