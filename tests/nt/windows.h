/* SPDX-License-Identifier: MIT
 *
 * As much of Windows as the library's Windows files ask for, with Windows' own names and widths, so
 * that they compile unchanged where there is no Windows. Behind it is the fake kernel.
 */
#ifndef FAKE_WINDOWS_H
#define FAKE_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#define WINAPI
#define NTAPI
#define CONST const

typedef int BOOL;
typedef unsigned char BYTE, UCHAR, BOOLEAN;
typedef char CHAR;
typedef wchar_t WCHAR;
typedef uint16_t WORD, USHORT;
typedef int32_t LONG, NTSTATUS;
typedef uint32_t DWORD, ULONG;
typedef int64_t LONGLONG;
typedef uint64_t ULONGLONG, DWORD64, ULONG64;
typedef uintptr_t ULONG_PTR, DWORD_PTR, SIZE_T;
typedef intptr_t LONG_PTR;
typedef void *PVOID, *LPVOID, *HANDLE, *HMODULE;
typedef const void *LPCVOID;
typedef DWORD *LPDWORD, *PDWORD;
typedef ULONG *PULONG;
typedef HANDLE *PHANDLE;
typedef WCHAR *LPWSTR, *PWSTR;
typedef const WCHAR *LPCWSTR;
typedef const char *LPCSTR;
typedef BOOL *LPBOOL;
typedef void (*FARPROC)(void);

typedef struct {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID;
typedef const GUID *LPCGUID;

#define TRUE                 1
#define FALSE                0
#define INFINITE             0xffffffffu
#define INVALID_HANDLE_VALUE ((HANDLE) (LONG_PTR) -1)

typedef union {
    struct {
        DWORD LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef struct {
    ULONG_PTR Internal;
    ULONG_PTR InternalHigh;
    DWORD Offset; /* Windows has these two in a union with a pointer */
    DWORD OffsetHigh;
    HANDLE hEvent;
} OVERLAPPED, *LPOVERLAPPED;

typedef struct {
    ULONG_PTR lpCompletionKey;
    LPOVERLAPPED lpOverlapped;
    ULONG_PTR Internal;
    DWORD dwNumberOfBytesTransferred;
} OVERLAPPED_ENTRY, *LPOVERLAPPED_ENTRY;

typedef union {
    PVOID Buffer;
    ULONGLONG Alignment;
} FILE_SEGMENT_ELEMENT, *PFILE_SEGMENT_ELEMENT;

typedef struct {
    DWORD nLength;
    LPVOID lpSecurityDescriptor;
    BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

/* --- completion ports and I/O --- */

#define FILE_SKIP_COMPLETION_PORT_ON_SUCCESS 1
#define FILE_SKIP_SET_EVENT_ON_HANDLE        2

HANDLE WINAPI CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL WINAPI GetQueuedCompletionStatusEx(HANDLE port, LPOVERLAPPED_ENTRY entries, ULONG count,
                                        PULONG removed, DWORD timeout_ms, BOOL alertable);
BOOL WINAPI PostQueuedCompletionStatus(HANDLE port, DWORD bytes, ULONG_PTR key,
                                       LPOVERLAPPED overlapped);
BOOL WINAPI SetFileCompletionNotificationModes(HANDLE file, UCHAR modes);
BOOL WINAPI ReadFile(HANDLE file, LPVOID data, DWORD size, LPDWORD moved, LPOVERLAPPED overlapped);
BOOL WINAPI WriteFile(HANDLE file, LPCVOID data, DWORD size, LPDWORD moved,
                      LPOVERLAPPED overlapped);
BOOL WINAPI ReadFileScatter(HANDLE file, FILE_SEGMENT_ELEMENT segments[], DWORD size,
                            LPDWORD reserved, LPOVERLAPPED overlapped);
BOOL WINAPI WriteFileGather(HANDLE file, FILE_SEGMENT_ELEMENT segments[], DWORD size,
                            LPDWORD reserved, LPOVERLAPPED overlapped);
BOOL WINAPI CancelIoEx(HANDLE file, LPOVERLAPPED overlapped);
BOOL WINAPI FlushFileBuffers(HANDLE file);
BOOL WINAPI CloseHandle(HANDLE handle);
DWORD WINAPI GetLastError(void);
void WINAPI SetLastError(DWORD error);

/* --- modules --- */

HMODULE WINAPI GetModuleHandleA(LPCSTR name);
FARPROC WINAPI GetProcAddress(HMODULE module, LPCSTR name);

/* --- files --- */

#define GENERIC_READ     0x80000000u
#define GENERIC_WRITE    0x40000000u
#define FILE_READ_DATA   0x0001u
#define FILE_WRITE_DATA  0x0002u
#define FILE_APPEND_DATA 0x0004u

#define FILE_SHARE_READ   0x1u
#define FILE_SHARE_WRITE  0x2u
#define FILE_SHARE_DELETE 0x4u

#define CREATE_NEW    1u
#define OPEN_EXISTING 3u
#define OPEN_ALWAYS   4u

#define FILE_ATTRIBUTE_DIRECTORY 0x10u
#define FILE_FLAG_OVERLAPPED     0x40000000u
#define FILE_FLAG_NO_BUFFERING   0x20000000u
#define FILE_FLAG_WRITE_THROUGH  0x80000000u
#define INVALID_FILE_ATTRIBUTES  0xffffffffu

#define FILE_TYPE_UNKNOWN 0u
#define FILE_TYPE_DISK    1u
#define FILE_TYPE_CHAR    2u
#define FILE_TYPE_PIPE    3u

#define CP_UTF8              65001u
#define MB_ERR_INVALID_CHARS 0x8u
#define MAX_PATH             260
#define VOLUME_NAME_DOS      0u

typedef enum {
    FileStandardInfo = 1,
    FileEndOfFileInfo = 6,
    FileStorageInfo = 16,
    FileAlignmentInfo = 17
} FILE_INFO_BY_HANDLE_CLASS;

typedef struct {
    LARGE_INTEGER AllocationSize;
    LARGE_INTEGER EndOfFile;
    DWORD NumberOfLinks;
    BOOLEAN DeletePending;
    BOOLEAN Directory;
} FILE_STANDARD_INFO;

typedef struct {
    LARGE_INTEGER EndOfFile;
} FILE_END_OF_FILE_INFO;

typedef struct {
    ULONG LogicalBytesPerSector;
    ULONG PhysicalBytesPerSectorForAtomicity;
    ULONG PhysicalBytesPerSectorForPerformance;
    ULONG FileSystemEffectivePhysicalBytesPerSectorForAtomicity;
    ULONG Flags;
    ULONG ByteOffsetForSectorAlignment;
    ULONG ByteOffsetForPartitionAlignment;
} FILE_STORAGE_INFO;

typedef struct {
    ULONG AlignmentRequirement;
} FILE_ALIGNMENT_INFO;

HANDLE WINAPI CreateFileW(LPCWSTR path, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security,
                          DWORD disposition, DWORD attributes, HANDLE template_file);
DWORD WINAPI GetFileAttributesW(LPCWSTR path);
DWORD WINAPI GetFullPathNameW(LPCWSTR path, DWORD size, LPWSTR full, LPWSTR *file_part);
DWORD WINAPI GetFinalPathNameByHandleW(HANDLE file, LPWSTR path, DWORD size, DWORD flags);
BOOL WINAPI GetVolumePathNameW(LPCWSTR path, LPWSTR root, DWORD size);
BOOL WINAPI GetDiskFreeSpaceW(LPCWSTR root, LPDWORD sectors_per_cluster, LPDWORD sector_size,
                              LPDWORD free_clusters, LPDWORD clusters);
BOOL WINAPI GetFileInformationByHandleEx(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class,
                                         LPVOID information, DWORD size);
BOOL WINAPI SetFileInformationByHandle(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class,
                                       LPVOID information, DWORD size);
BOOL WINAPI GetFileSizeEx(HANDLE file, PLARGE_INTEGER size_out);
DWORD WINAPI GetFileType(HANDLE file);
BOOL WINAPI GetNamedPipeInfo(HANDLE pipe, LPDWORD flags, LPDWORD out_size, LPDWORD in_size,
                             LPDWORD instances);
BOOL WINAPI ConnectNamedPipe(HANDLE pipe, LPOVERLAPPED overlapped);
int WINAPI MultiByteToWideChar(DWORD code_page, DWORD flags, LPCSTR text, int size, LPWSTR wide,
                               int wide_size);
HANDLE WINAPI CreateEventW(LPSECURITY_ATTRIBUTES security, BOOL manual, BOOL set, LPCWSTR name);
BOOL WINAPI GetOverlappedResult(HANDLE file, LPOVERLAPPED overlapped, LPDWORD moved, BOOL wait);

/* --- errors --- */

#define ERROR_SUCCESS                   0
#define NO_ERROR                        0
#define ERROR_INVALID_FUNCTION          1
#define ERROR_FILE_NOT_FOUND            2
#define ERROR_PATH_NOT_FOUND            3
#define ERROR_TOO_MANY_OPEN_FILES       4
#define ERROR_ACCESS_DENIED             5
#define ERROR_INVALID_HANDLE            6
#define ERROR_NOT_ENOUGH_MEMORY         8
#define ERROR_INVALID_DATA              13
#define ERROR_OUTOFMEMORY               14
#define ERROR_WRITE_PROTECT             19
#define ERROR_NOT_READY                 21
#define ERROR_BAD_COMMAND               22
#define ERROR_CRC                       23
#define ERROR_SEEK                      25
#define ERROR_SHARING_VIOLATION         32
#define ERROR_LOCK_VIOLATION            33
#define ERROR_SHARING_BUFFER_EXCEEDED   36
#define ERROR_HANDLE_EOF                38
#define ERROR_HANDLE_DISK_FULL          39
#define ERROR_NOT_SUPPORTED             50
#define ERROR_BAD_NETPATH               53
#define ERROR_DEV_NOT_EXIST             55
#define ERROR_NETNAME_DELETED           64
#define ERROR_BAD_NET_NAME              67
#define ERROR_FILE_EXISTS               80
#define ERROR_CANNOT_MAKE               82
#define ERROR_INVALID_PARAMETER         87
#define ERROR_BROKEN_PIPE               109
#define ERROR_BUFFER_OVERFLOW           111
#define ERROR_DISK_FULL                 112
#define ERROR_CALL_NOT_IMPLEMENTED      120
#define ERROR_SEM_TIMEOUT               121
#define ERROR_INSUFFICIENT_BUFFER       122
#define ERROR_INVALID_NAME              123
#define ERROR_NEGATIVE_SEEK             131
#define ERROR_BAD_PATHNAME              161
#define ERROR_BUSY                      170
#define ERROR_ALREADY_EXISTS            183
#define ERROR_FILENAME_EXCED_RANGE      206
#define ERROR_META_EXPANSION_TOO_LONG   208
#define ERROR_LOCKED                    212
#define ERROR_FILE_TOO_LARGE            223
#define ERROR_BAD_PIPE                  230
#define ERROR_PIPE_BUSY                 231
#define ERROR_NO_DATA                   232
#define ERROR_PIPE_NOT_CONNECTED        233
#define ERROR_MORE_DATA                 234
#define WAIT_TIMEOUT                    258
#define ERROR_DIRECTORY                 267
#define ERROR_EAS_NOT_SUPPORTED         282
#define ERROR_DELETE_PENDING            303
#define ERROR_MR_MID_NOT_FOUND          317
#define ERROR_PIPE_CONNECTED            535
#define ERROR_OPERATION_ABORTED         995
#define ERROR_IO_PENDING                997
#define ERROR_NOACCESS                  998
#define ERROR_FILE_INVALID              1006
#define ERROR_NO_MEDIA_IN_DRIVE         1112
#define ERROR_NO_UNICODE_TRANSLATION    1113
#define ERROR_NOTIFY_ENUM_DIR           1022
#define ERROR_IO_DEVICE                 1117
#define ERROR_DEVICE_NOT_CONNECTED      1167
#define ERROR_NOT_FOUND                 1168
#define ERROR_CANCELLED                 1223
#define ERROR_USER_MAPPED_FILE          1224
#define ERROR_CONNECTION_ABORTED        1236
#define ERROR_PRIVILEGE_NOT_HELD        1314
#define ERROR_FILE_CORRUPT              1392
#define ERROR_NO_SYSTEM_RESOURCES       1450
#define ERROR_NONPAGED_SYSTEM_RESOURCES 1451
#define ERROR_PAGED_SYSTEM_RESOURCES    1452
#define ERROR_WORKING_SET_QUOTA         1453
#define ERROR_PAGEFILE_QUOTA            1454
#define ERROR_COMMITMENT_LIMIT          1455
#define ERROR_TIMEOUT                   1460
#define ERROR_DEVICE_REMOVED            1617
#define ERROR_INVALID_USER_BUFFER       1784
#define ERROR_NOT_ENOUGH_QUOTA          1816
#define ERROR_CANT_RESOLVE_FILENAME     1921
#define WSAEINTR                        10004
#define WSAEBADF                        10009
#define WSAEACCES                       10013
#define WSAEFAULT                       10014
#define WSAEINVAL                       10022
#define WSAEMFILE                       10024
#define WSAEWOULDBLOCK                  10035
#define WSAENOTSOCK                     10038
#define WSAEOPNOTSUPP                   10045
#define WSAENETRESET                    10052
#define WSAECONNABORTED                 10053
#define WSAECONNRESET                   10054
#define WSAENOBUFS                      10055
#define WSAESHUTDOWN                    10058
#define WSAETIMEDOUT                    10060

#endif
