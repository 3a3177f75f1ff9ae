/* SPDX-License-Identifier: MIT
 *
 * The calls on files that are not I/O, on files of the real system.
 */
#define _GNU_SOURCE

#include "objects.h"
#include "world.h"

#include <evntprov.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define SECTOR     512u

/* --- paths ------------------------------------------------------------------------------------ */

/* UTF-8 to one character a unit, as this system's wchar_t is wide enough for. 0: it is no UTF-8. */
static size_t decode(const unsigned char *text, uint32_t *unit_out)
{
    static const unsigned char firsts[] = {0x00, 0xc0, 0xe0, 0xf0}; /* of 1, 2, 3, 4 bytes */
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                                     : 4;

    if (length == 0 || text[0] > 0xf4)
        return 0;
    *unit_out = text[0] - firsts[length - 1];
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *unit_out = *unit_out << 6 | (text[i] & 0x3f);
    }
    if ((length == 3 && *unit_out < 0x800) || (length == 4 && *unit_out < 0x10000) ||
        (*unit_out >= 0xd800 && *unit_out < 0xe000) || *unit_out > 0x10ffff)
        return 0;
    return length;
}

int WINAPI MultiByteToWideChar(DWORD code_page, DWORD flags, LPCSTR text, int size, LPWSTR wide,
                               int wide_size)
{
    const unsigned char *at = (const unsigned char *) text;
    int count = 0;
    uint32_t unit;

    if (code_page != CP_UTF8 || flags != MB_ERR_INVALID_CHARS || size != -1)
        world_fail("MultiByteToWideChar is called in a way that is not made here");
    do {
        size_t length = decode(at, &unit);

        if (length == 0) {
            object_answer(ERROR_NO_UNICODE_TRANSLATION);
            return 0;
        }
        if (count == wide_size) {
            object_answer(ERROR_INSUFFICIENT_BUFFER);
            return 0;
        }
        wide[count++] = (WCHAR) unit;
        at += length;
    } while (unit != 0);
    return count;
}

static void encode(const WCHAR *wide, char path[PATH_BYTES])
{
    size_t at = 0;

    if (wcsncmp(wide, L"\\\\?\\", 4) == 0)
        wide += 4;
    for (; *wide != 0 && at + 5 < PATH_BYTES; wide++) {
        uint32_t unit = (uint32_t) *wide;

        if (unit < 0x80) {
            path[at++] = (char) unit;
            continue;
        }
        if (unit >= 0x10000)
            path[at++] = (char) (0xf0 | unit >> 18);
        if (unit >= 0x800)
            path[at++] = (char) (unit >= 0x10000 ? 0x80 | (unit >> 12 & 0x3f) : 0xe0 | unit >> 12);
        path[at++] = (char) (unit >= 0x800 ? 0x80 | (unit >> 6 & 0x3f) : 0xc0 | unit >> 6);
        path[at++] = (char) (0x80 | (unit & 0x3f));
    }
    path[at] = 0;
}

DWORD WINAPI GetFullPathNameW(LPCWSTR path, DWORD size, LPWSTR full, LPWSTR *file_part)
{
    size_t length = wcslen(path);

    (void) file_part;
    if (length >= size)
        return (DWORD) length + 1;
    wmemcpy(full, path, length + 1);
    return (DWORD) length;
}

/* The errors of opening: of a name, which I/O does not have. */
static DWORD open_error(int error)
{
    switch (error) {
    case ENOENT:
        return ERROR_FILE_NOT_FOUND;
    case ENOTDIR:
        return ERROR_PATH_NOT_FOUND;
    case EEXIST:
        return ERROR_FILE_EXISTS;
    case ENAMETOOLONG:
        return ERROR_FILENAME_EXCED_RANGE;
    case EMFILE:
    case ENFILE:
        return ERROR_TOO_MANY_OPEN_FILES;
    case ELOOP:
        return ERROR_CANT_RESOLVE_FILENAME;
    case EROFS:
        return ERROR_WRITE_PROTECT;
    default: /* a directory, too */
        return ERROR_ACCESS_DENIED;
    }
}

DWORD WINAPI GetFileAttributesW(LPCWSTR wide)
{
    char path[PATH_BYTES];
    struct stat status;

    encode(wide, path);
    if (stat(path, &status) != 0) {
        object_answer(open_error(errno));
        return INVALID_FILE_ATTRIBUTES;
    }
    return S_ISDIR(status.st_mode) ? FILE_ATTRIBUTE_DIRECTORY : 0x80u;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_flags(DWORD access, DWORD disposition)
{
    int flags = O_CLOEXEC | O_NONBLOCK;

    flags |= (access & GENERIC_WRITE) == 0 ? O_RDONLY : access & GENERIC_READ ? O_RDWR : O_WRONLY;
    flags |= disposition == CREATE_NEW ? O_CREAT | O_EXCL : 0;
    flags |= disposition == OPEN_ALWAYS ? O_CREAT : 0;
    return flags;
}

HANDLE WINAPI CreateFileW(LPCWSTR wide, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security,
                          DWORD disposition, DWORD attributes, HANDLE template_file)
{
    char path[PATH_BYTES];
    struct object *file;
    struct stat status;
    HANDLE handle;
    int fd;

    (void) share;
    (void) security;
    (void) template_file;
    encode(wide, path);
    fd = open(path, open_flags(access, disposition), 0666);
    if (fd < 0) {
        object_answer(open_error(errno));
        return INVALID_HANDLE_VALUE;
    }
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        object_answer(ERROR_ACCESS_DENIED);
        return INVALID_HANDLE_VALUE;
    }
    objects_lock();
    handle = object_new(OBJECT_FILE, &file);
    if (handle == NULL)
        world_fail("too many handles");
    file->device = (struct device){.type = DEVICE_POSIX, .fd = fd};
    file->reads = (access & GENERIC_READ) != 0;
    file->writes = (access & GENERIC_WRITE) != 0;
    file->synchronous = !(attributes & FILE_FLAG_OVERLAPPED);
    file->direct = (attributes & FILE_FLAG_NO_BUFFERING) != 0;
    file->durable = (attributes & FILE_FLAG_WRITE_THROUGH) != 0;
    objects_unlock();
    object_answer(ERROR_SUCCESS);
    return handle;
}

HANDLE WINAPI CreateEventW(LPSECURITY_ATTRIBUTES security, BOOL manual, BOOL set, LPCWSTR name)
{
    struct object *event;
    HANDLE handle;

    (void) security;
    (void) manual;
    (void) set;
    (void) name;
    objects_lock();
    handle = object_new(OBJECT_EVENT, &event);
    objects_unlock();
    return handle;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* A copy, since nobody changes the rest while its file is asked about. */
static bool look(HANDLE handle, struct object *copy)
{
    struct object *file;

    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file != NULL)
        *copy = *file;
    objects_unlock();
    return object_answer(file != NULL ? ERROR_SUCCESS : ERROR_INVALID_HANDLE);
}

static bool size_of(const struct object *file, LONGLONG *size_out)
{
    struct stat status;

    if (file->device.type != DEVICE_POSIX) {
        *size_out = (LONGLONG) file->device.size;
        return true;
    }
    if (fstat(file->device.fd, &status) != 0)
        return object_answer(ERROR_INVALID_HANDLE);
    *size_out = status.st_size;
    return true;
}

BOOL WINAPI GetFileSizeEx(HANDLE handle, PLARGE_INTEGER size_out)
{
    struct object file;

    return look(handle, &file) && size_of(&file, &size_out->QuadPart);
}

DWORD WINAPI GetFileType(HANDLE handle)
{
    struct object file;
    struct stat status;

    if (!look(handle, &file))
        return FILE_TYPE_UNKNOWN;
    if (file.device.type == DEVICE_PIPE)
        return FILE_TYPE_PIPE;
    if (file.device.type == DEVICE_POSIX && fstat(file.device.fd, &status) == 0 &&
        S_ISCHR(status.st_mode))
        return FILE_TYPE_CHAR;
    return FILE_TYPE_DISK;
}

BOOL WINAPI GetNamedPipeInfo(HANDLE handle, LPDWORD flags, LPDWORD out_size, LPDWORD in_size,
                             LPDWORD instances)
{
    (void) flags;
    (void) out_size;
    (void) in_size;
    (void) instances;
    return GetFileType(handle) == FILE_TYPE_PIPE;
}

BOOL WINAPI GetFileInformationByHandleEx(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class,
                                         LPVOID information, DWORD size)
{
    struct object file;

    if (!look(handle, &file))
        return FALSE;
    memset(information, 0, size);
    if (class == FileStandardInfo) {
        FILE_STANDARD_INFO *standard = information;

        return size_of(&file, &standard->EndOfFile.QuadPart);
    }
    if (class == FileStorageInfo && objects_new_system()) {
        FILE_STORAGE_INFO *storage = information;

        storage->LogicalBytesPerSector = SECTOR;
        storage->PhysicalBytesPerSectorForAtomicity = 4096;
        return TRUE;
    }
    if (class == FileAlignmentInfo && objects_new_system())
        return TRUE;
    return object_answer(ERROR_INVALID_PARAMETER);
}

DWORD WINAPI GetFinalPathNameByHandleW(HANDLE handle, LPWSTR path, DWORD size, DWORD flags)
{
    static const WCHAR name[] = L"\\\\?\\C:\\file";
    struct object file;

    if (!look(handle, &file) || flags != VOLUME_NAME_DOS || size < sizeof name / sizeof name[0])
        return 0;
    memcpy(path, name, sizeof name);
    return sizeof name / sizeof name[0] - 1;
}

BOOL WINAPI GetVolumePathNameW(LPCWSTR path, LPWSTR root, DWORD size)
{
    static const WCHAR name[] = L"\\\\?\\C:\\";

    (void) path;
    if (size < sizeof name / sizeof name[0])
        return object_answer(ERROR_FILENAME_EXCED_RANGE);
    memcpy(root, name, sizeof name);
    return TRUE;
}

BOOL WINAPI GetDiskFreeSpaceW(LPCWSTR root, LPDWORD sectors_per_cluster, LPDWORD sector_size,
                              LPDWORD free_clusters, LPDWORD clusters)
{
    (void) root;
    *sectors_per_cluster = 8;
    *sector_size = SECTOR;
    *free_clusters = 1000;
    *clusters = 2000;
    return TRUE;
}

BOOL WINAPI SetFileInformationByHandle(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS class,
                                       LPVOID information, DWORD size)
{
    FILE_END_OF_FILE_INFO end;
    struct object file;

    if (class != FileEndOfFileInfo || size != sizeof end)
        world_fail("SetFileInformationByHandle is called in a way that is not made here");
    memcpy(&end, information, sizeof end);
    if (!look(handle, &file))
        return FALSE;
    if (!file.writes || file.device.type != DEVICE_POSIX)
        return object_answer(ERROR_ACCESS_DENIED);
    return object_answer(ftruncate(file.device.fd, end.EndOfFile.QuadPart) == 0 ? ERROR_SUCCESS
                                                                                : ERROR_DISK_FULL);
}

/* --- ntdll ------------------------------------------------------------------------------------ */

struct io_status { /* IO_STATUS_BLOCK */
    void *status;
    ULONG_PTR information;
};

#define ACCESS_CLASS       8
#define MODE_CLASS         16
#define NOTIFICATION_CLASS 41
#define COMPLETION_CLASS   61

static LONG NTAPI query_information(HANDLE handle, struct io_status *io_status, void *information,
                                    ULONG size, int class)
{
    struct object file;
    ULONG word = 0;

    (void) io_status;
    if (!look(handle, &file))
        return (LONG) 0xc0000008;
    if (size != sizeof word)
        return (LONG) 0xc0000004;
    if (class == ACCESS_CLASS)
        word = (file.reads ? FILE_READ_DATA : 0) | (file.writes ? FILE_WRITE_DATA : 0);
    else if (class == MODE_CLASS)
        word =
            (file.durable ? 0x02u : 0) | (file.direct ? 0x08u : 0) | (file.synchronous ? 0x20u : 0);
    else if (class == NOTIFICATION_CLASS)
        word = file.modes;
    else
        return (LONG) 0xc0000003;
    memcpy(information, &word, sizeof word);
    return 0;
}

static LONG NTAPI set_information(HANDLE handle, struct io_status *io_status, void *information,
                                  ULONG size, int class)
{
    struct {
        HANDLE port;
        void *key;
    } completion;
    struct object *file;
    LONG status = 0;

    (void) io_status;
    if (class != COMPLETION_CLASS || size != sizeof completion || !objects_can_unbind())
        return (LONG) 0xc0000003;
    memcpy(&completion, information, sizeof completion);
    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL)
        status = (LONG) 0xc0000008;
    else if (completion.port != NULL || file->in_flight > 0)
        world_fail("a file is bound elsewhere, or unbound with ops in flight");
    else
        file->port = NULL;
    objects_unlock();
    return status;
}

HMODULE WINAPI GetModuleHandleA(LPCSTR name)
{
    static char ntdll, advapi;

    return strcmp(name, "ntdll.dll") == 0      ? &ntdll
           : strcmp(name, "advapi32.dll") == 0 ? &advapi
                                               : NULL;
}

FARPROC WINAPI GetProcAddress(HMODULE module, LPCSTR name)
{
    static const struct {
        const char *name;
        FARPROC procedure;
        bool everywhere;
    } exports[] = {
        {"RtlNtStatusToDosError", (FARPROC) RtlNtStatusToDosError, true},
        {"NtQueryInformationFile", (FARPROC) query_information, true},
        {"NtSetInformationFile", (FARPROC) set_information, true},
        {"NtAllocateReserveObject", (FARPROC) NtAllocateReserveObject, false},
        {"NtSetIoCompletionEx", (FARPROC) NtSetIoCompletionEx, false},
        {"EventSetInformation", (FARPROC) EventSetInformation, true},
    };

    (void) module;
    for (size_t i = 0; i < sizeof exports / sizeof exports[0]; i++)
        if (strcmp(name, exports[i].name) == 0 && (exports[i].everywhere || objects_new_system()))
            return exports[i].procedure;
    return NULL;
}
