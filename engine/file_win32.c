/* SPDX-License-Identifier: MIT
 *
 * What a handle is, and what set-up does with it before and after the I/O.
 */
#include "engine.h"
#include "error.h"

#include <string.h>
#include <windows.h>

#define PATH_SIZE   4096 /* UTF-16 units, the end included */
#define PREFIX_SIZE 8    /* room for what turns a path into one without the limit of MAX_PATH */
#define SECTOR_MAX  4096 /* what every disk's sector divides, where the system does not tell */
#define ZEROES_SIZE (64u * 1024)

#define ACCESS_CLASS       8  /* FileAccessInformation */
#define MODE_CLASS         16 /* FileModeInformation; the bits are those of NtCreateFile */
#define MODE_WRITE_THROUGH 0x02u
#define MODE_NO_BUFFERING  0x08u
#define MODE_SYNCHRONOUS   0x30u

struct io_status { /* IO_STATUS_BLOCK */
    void *status;
    ULONG_PTR information;
};

typedef void procedure(void);
typedef LONG(WINAPI query_information)(HANDLE file, struct io_status *io_status, void *information,
                                       ULONG size, int class);
typedef int(WINAPI close_socket)(ULONG_PTR socket);

static int answer(BOOL done)
{
    return done ? 0 : -error_from_system(GetLastError());
}

static procedure *find(const char *module_name, const char *name)
{
    HMODULE module = GetModuleHandleA(module_name);

    return module == NULL ? NULL : (procedure *) GetProcAddress(module, name);
}

/* --- open and close ---------------------------------------------------------------------- */

struct path {
    wchar_t plain[PATH_SIZE];
    wchar_t room[PREFIX_SIZE + PATH_SIZE];
    const wchar_t *text; /* one of the two */
};

/* A long path is made absolute and normal, which the \\?\ form, made for it, has to be. */
static int widen(struct path *path, const char *path_utf8)
{
    wchar_t *full = path->room + PREFIX_SIZE;
    DWORD length;

    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path_utf8, -1, path->plain, PATH_SIZE) ==
        0)
        return GetLastError() == ERROR_INSUFFICIENT_BUFFER ? -ENAMETOOLONG : -EINVAL;
    path->text = path->plain;
    length = GetFullPathNameW(path->plain, PATH_SIZE, full, NULL);
    if (length >= PATH_SIZE)
        return -ENAMETOOLONG;
    if (length < MAX_PATH)
        return 0; /* 0 too: opening it will say what is wrong */
    path->text = full;
    if (full[0] != L'\\') {
        path->text = full - 4;
        memcpy(full - 4, L"\\\\?\\", 4 * sizeof(wchar_t));
    } else if (full[2] != L'?' && full[2] != L'.') { /* \\server becomes \\?\UNC\server */
        path->text = full - 6;
        memcpy(full - 6, L"\\\\?\\UNC", 7 * sizeof(wchar_t));
    }
    return 0;
}

static bool is_folder(const struct path *path)
{
    DWORD attributes = GetFileAttributesW(path->text);

    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

static BOOL set_end(HANDLE handle, uint64_t size)
{
    FILE_END_OF_FILE_INFO end;

    end.EndOfFile.QuadPart = (LONGLONG) size;
    return SetFileInformationByHandle(handle, FileEndOfFileInfo, &end, sizeof end);
}

static HANDLE create(const struct path *path, uint32_t flags)
{
    DWORD access = 0, share = 0, disposition = OPEN_EXISTING, attributes = FILE_FLAG_OVERLAPPED;

    access |= flags & REOP_FILE_READ ? GENERIC_READ : 0;
    access |= flags & REOP_FILE_WRITE ? GENERIC_WRITE : 0;
    share |= flags & REOP_FILE_SHARE_READ ? FILE_SHARE_READ : 0;
    share |= flags & REOP_FILE_SHARE_WRITE ? FILE_SHARE_WRITE : 0;
    share |= flags & REOP_FILE_SHARE_DELETE ? FILE_SHARE_DELETE : 0;
    if (flags & REOP_FILE_CREATE)
        disposition = flags & REOP_FILE_EXCLUSIVE ? CREATE_NEW : OPEN_ALWAYS;
    attributes |= flags & REOP_FILE_DIRECT ? FILE_FLAG_NO_BUFFERING : 0;
    attributes |= flags & REOP_FILE_DURABLE ? FILE_FLAG_WRITE_THROUGH : 0;
    return CreateFileW(path->text, access, share, NULL, disposition, attributes, NULL);
}

int file_open_handle(const char *path_utf8, uint32_t flags, reop_handle *handle_out)
{
    struct path path;
    int error = widen(&path, path_utf8);
    HANDLE handle;

    if (error < 0)
        return error;
    handle = create(&path, flags);
    if (handle == INVALID_HANDLE_VALUE) {
        error = answer(FALSE);
        if (error == -EACCES && is_folder(&path))
            return -EISDIR;
        /* From a valid open it is the file system's refusal to go round the cache. */
        return error == -EINVAL && (flags & REOP_FILE_DIRECT) ? -ENOTSUP : error;
    }
    if ((flags & REOP_FILE_TRUNCATE) && GetFileType(handle) == FILE_TYPE_DISK &&
        !set_end(handle, 0)) {
        error = answer(FALSE);
        CloseHandle(handle);
        return error;
    }
    *handle_out = (reop_handle) handle;
    return 0;
}

/* Pipes and sockets have the same type. */
static bool is_socket(HANDLE handle)
{
    return GetFileType(handle) == FILE_TYPE_PIPE &&
           !GetNamedPipeInfo(handle, NULL, NULL, NULL, NULL);
}

int file_close_handle(reop_handle handle)
{
    /* Winsock has a half of each socket that CloseHandle knows nothing of. */
    close_socket *closesocket = (close_socket *) find("ws2_32.dll", "closesocket");

    if (closesocket != NULL && is_socket((HANDLE) handle))
        return closesocket((ULONG_PTR) handle) == 0 ? 0 : answer(FALSE);
    return answer(CloseHandle((HANDLE) handle));
}

/* --- what it is -------------------------------------------------------------------------- */

/* False, and *word_out as it was, where the system does not tell. */
static bool ask(HANDLE handle, int class, ULONG *word_out)
{
    query_information *query = (query_information *) find("ntdll.dll", "NtQueryInformationFile");
    struct io_status io_status;
    ULONG word;

    if (query == NULL || query(handle, &io_status, &word, sizeof word, class) < 0)
        return false;
    *word_out = word;
    return true;
}

/* The sector of the volume, for systems that do not know FileStorageInfo. 0: unknown. */
static uint32_t volume_sector(HANDLE handle)
{
    wchar_t path[PATH_SIZE], root[PATH_SIZE];
    DWORD length = GetFinalPathNameByHandleW(handle, path, PATH_SIZE, VOLUME_NAME_DOS);
    DWORD sector = 0, unused[3];

    if (length == 0 || length >= PATH_SIZE || !GetVolumePathNameW(path, root, PATH_SIZE) ||
        !GetDiskFreeSpaceW(root, &unused[0], &sector, &unused[1], &unused[2]))
        return 0;
    return sector;
}

/* Memory has to be aligned to the sector, says the manual, even where the device asks for less. */
static void direct_masks(reop_file *file)
{
    HANDLE handle = (HANDLE) file->handle;
    FILE_ALIGNMENT_INFO alignment = {0};
    FILE_STORAGE_INFO storage = {0};
    uint32_t sector;

    GetFileInformationByHandleEx(handle, FileStorageInfo, &storage, sizeof storage);
    GetFileInformationByHandleEx(handle, FileAlignmentInfo, &alignment, sizeof alignment);
    sector = storage.LogicalBytesPerSector;
    if (sector == 0)
        sector = volume_sector(handle);
    if (sector == 0)
        sector = SECTOR_MAX;
    file->offset_mask = sector - 1;
    file->size_mask = sector - 1;
    file->memory_mask = (sector - 1) | alignment.AlignmentRequirement;
}

int file_inspect(reop_file *file, uint32_t flags)
{
    HANDLE handle = (HANDLE) file->handle;
    ULONG mode = 0, access = FILE_READ_DATA | FILE_WRITE_DATA;
    FILE_STANDARD_INFO standard;
    DWORD type = GetFileType(handle);

    if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR)
        return answer(FALSE);
    ask(handle, MODE_CLASS, &mode);
    if (mode & MODE_SYNCHRONOUS)
        return -ENOTSUP;
    ask(handle, ACCESS_CLASS, &access);
    file->flags |= access & FILE_READ_DATA ? REOP_FILE_READ : 0;
    file->flags |= access & FILE_WRITE_DATA ? REOP_FILE_WRITE : 0;
    file->flags |= mode & MODE_NO_BUFFERING ? REOP_FILE_DIRECT : 0;
    file->flags |= mode & MODE_WRITE_THROUGH ? REOP_FILE_DURABLE : 0;
    if (flags & ~file->flags & (REOP_FILE_DIRECT | REOP_FILE_DURABLE))
        return -ENOTSUP;
    /* Of a datagram socket a success may be followed by a packet, whatever was granted, and of one
     * with a layered provider too. */
    if ((flags & REOP_FILE_PACKETS) || is_socket(handle))
        file->flags |= REOP_FILE_PACKETS;

    file->stream = type == FILE_TYPE_PIPE;
    if (type == FILE_TYPE_DISK &&
        GetFileInformationByHandleEx(handle, FileStandardInfo, &standard, sizeof standard))
        file->regular = !standard.Directory;
    if (file->regular && (access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == FILE_APPEND_DATA)
        return -ENOTSUP; /* such a handle appends, whatever the offset says */
    if (file->stream)
        file->offset_mask = UINT64_MAX;
    else if (file->flags & REOP_FILE_DIRECT)
        direct_masks(file);
    return 0;
}

int file_size(const reop_file *file, uint64_t *size_out)
{
    LARGE_INTEGER size = {.QuadPart = 0};
    int error = file->regular ? answer(GetFileSizeEx((HANDLE) file->handle, &size)) : 0;

    *size_out = (uint64_t) size.QuadPart;
    return error;
}

uint32_t file_physical_sector(const reop_file *file)
{
    FILE_STORAGE_INFO storage;

    if (!GetFileInformationByHandleEx((HANDLE) file->handle, FileStorageInfo, &storage,
                                      sizeof storage))
        return 0;
    return storage.PhysicalBytesPerSectorForAtomicity;
}

/* --- preallocation ----------------------------------------------------------------------- */

/* Waits for its end. The low bit of the event keeps the packet from the port. */
static int write_zeroes(HANDLE handle, HANDLE event, uint64_t offset, uint32_t size,
                        DWORD *written_out)
{
    /* Never written to. Aligned as direct files want it. */
    _Alignas(SECTOR_MAX) static unsigned char zeroes[ZEROES_SIZE];
    OVERLAPPED overlapped = {.hEvent = (HANDLE) ((ULONG_PTR) event | 1)};

    overlapped.Offset = (DWORD) offset;
    overlapped.OffsetHigh = (DWORD) (offset >> 32);
    if (!WriteFile(handle, zeroes, size, NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING)
        return answer(FALSE);
    return answer(GetOverlappedResult(handle, &overlapped, written_out, TRUE));
}

/* Whole sectors where the file is direct. What is not written - the rest of a first sector that
 * holds data - lies before the end and has never been valid, and reads as zeroes. */
int file_zero_fill(reop_file *file, uint64_t from, uint64_t to)
{
    HANDLE handle = (HANDLE) file->handle;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    uint64_t at = (from + file->size_mask) & ~(uint64_t) file->size_mask;
    uint64_t end = (to + file->size_mask) & ~(uint64_t) file->size_mask;
    int error = 0;

    if (event == NULL)
        return answer(FALSE);
    while (at < end && error == 0) {
        uint32_t size = end - at < ZEROES_SIZE ? (uint32_t) (end - at) : ZEROES_SIZE;
        DWORD written = 0;

        error = write_zeroes(handle, event, at, size, &written);
        if (error == 0 && written == 0)
            error = -ENOSPC;
        at += written;
    }
    if (error == 0)
        error = answer(set_end(handle, to));
    if (error == 0)
        error = answer(FlushFileBuffers(handle));
    CloseHandle(event);
    return error;
}
