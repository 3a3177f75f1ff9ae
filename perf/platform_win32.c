/* SPDX-License-Identifier: MIT */
#include "platform.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <shellapi.h>

#define PATH_SIZE       4096
#define STOP_AGAIN_NS   1000000000
#define NS_PER_SECOND   1000000000
#define NS_PER_MS       1000000
#define LOOK_MS         1
#define HIGH_RESOLUTION 2 /* CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, newer than some headers */

static volatile LONG stop_signal;
static int64_t stop_ns;

int64_t platform_now_ns(void)
{
    LARGE_INTEGER frequency, now;

    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return now.QuadPart / frequency.QuadPart * NS_PER_SECOND +
           now.QuadPart % frequency.QuadPart * NS_PER_SECOND / frequency.QuadPart;
}

/* --- stopping ----------------------------------------------------------------------------- */

/* Runs in a thread of its own. */
static BOOL WINAPI on_stop(DWORD event)
{
    bool interrupt = event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT;

    if (stop_signal == 0) {
        stop_ns = platform_now_ns();
        InterlockedExchange(&stop_signal, interrupt ? SIGINT : SIGTERM);
    } else if (platform_now_ns() - stop_ns > STOP_AGAIN_NS) {
        return FALSE; /* the user's last word */
    }
    if (!interrupt)
        Sleep(INFINITE); /* a closed console ends the process when this returns */
    return TRUE;
}

void platform_start(void)
{
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX); /* answers, not windows */
    SetConsoleCtrlHandler(NULL, FALSE); /* a parent may have had Ctrl-C ignored: it is not here */
    SetConsoleCtrlHandler(on_stop, TRUE);
}

/* main() was given the words in the ANSI code page, where many names do not exist. */
void platform_arguments(int *argc, char ***argv)
{
    int count = 0, length = 0;
    wchar_t **words = CommandLineToArgvW(GetCommandLineW(), &count);
    char **list, *text;

    if (words == NULL)
        return;
    for (int i = 0; i < count; i++)
        length += WideCharToMultiByte(CP_UTF8, 0, words[i], -1, NULL, 0, NULL, NULL);
    list = malloc(((size_t) count + 1) * sizeof *list + (size_t) length);
    if (list == NULL)
        return;
    text = (char *) (list + count + 1);
    for (int i = 0; i < count; i++) {
        list[i] = text;
        text += WideCharToMultiByte(CP_UTF8, 0, words[i], -1, text, length, NULL, NULL);
    }
    list[count] = NULL;
    LocalFree(words);
    *argc = count;
    *argv = list;
}

int platform_stop_signal(void)
{
    return (int) stop_signal;
}

const char *platform_signal_name(int signal_number)
{
    return signal_number == SIGINT ? "Ctrl-C" : "the closing of the console";
}

/* --- errors ------------------------------------------------------------------------------- */

static int error_of(DWORD error)
{
    switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
    case ERROR_INVALID_NAME:
        return -ENOENT;
    case ERROR_ACCESS_DENIED:
        return -EACCES;
    case ERROR_ALREADY_EXISTS:
        return -EEXIST;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
        return -EBUSY;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        return -ENOSPC;
    case ERROR_WRITE_PROTECT:
        return -EROFS;
    case ERROR_INVALID_HANDLE:
        return -EBADF;
    case ERROR_INVALID_PARAMETER:
        return -EINVAL;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
        return -ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES:
        return -EMFILE;
    case ERROR_OPERATION_ABORTED: /* Ctrl-C while a console is read */
        return -EAGAIN;
    default:
        return -EIO;
    }
}

/* strerror() knows no number above 42. */
static const char *words_of(int error)
{
    switch (error) {
    case ECANCELED:
        return "Operation cancelled";
    case ECONNRESET:
        return "Connection reset";
    case ELOOP:
        return "Too many links in a path";
    case ENOTSUP:
        return "Operation not supported";
    case EOVERFLOW:
        return "Value too large";
    case ETIMEDOUT:
        return "Timed out";
    case ETXTBSY:
        return "File is being executed";
    default:
        return strerror(error);
    }
}

const char *platform_words(int64_t result, uint32_t os_error)
{
    static char text[512];
    DWORD length = 0;

    if (os_error != 0)
        length = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                                os_error, 0, text, sizeof text, NULL);
    while (length > 0 && strchr(" .\r\n", text[length - 1]) != NULL)
        text[--length] = 0;
    return length > 0 ? text : words_of((int) -result);
}

/* --- paths -------------------------------------------------------------------------------- */

/* Absolute and normal; in the form without the limit of MAX_PATH where it is needed. */
static int widen(const char *path, wchar_t wide_out[PATH_SIZE])
{
    static const wchar_t prefix[] = L"\\\\?\\";
    wchar_t plain[PATH_SIZE];
    wchar_t *full = wide_out;
    DWORD length;

    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, plain, PATH_SIZE) == 0)
        return GetLastError() == ERROR_INSUFFICIENT_BUFFER ? -ENAMETOOLONG : -EINVAL;
    length = GetFullPathNameW(plain, PATH_SIZE, full, NULL);
    if (length == 0)
        return error_of(GetLastError());
    if (length >= MAX_PATH && length + 4 < PATH_SIZE && wcsncmp(full, L"\\\\", 2) != 0) {
        memmove(full + 4, full, (length + 1) * sizeof *full);
        memcpy(full, prefix, 4 * sizeof *full);
    }
    return length < PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static bool is_pipe_name(const wchar_t *path)
{
    return _wcsnicmp(path, L"\\\\.\\pipe\\", 9) == 0;
}

static enum platform_kind kind_of(HANDLE handle, const wchar_t *path,
                                  const BY_HANDLE_FILE_INFORMATION *information)
{
    DWORD mode;

    switch (GetFileType(handle)) {
    case FILE_TYPE_DISK:
        if (information == NULL)
            return PLATFORM_BLOCK_DEVICE; /* a volume or a disk, which is no file of one */
        return information->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? PLATFORM_FOLDER
                                                                        : PLATFORM_REGULAR;
    case FILE_TYPE_PIPE:
        return PLATFORM_FIFO;
    case FILE_TYPE_CHAR:
        if (GetConsoleMode(handle, &mode))
            return PLATFORM_TERMINAL;
        return path != NULL && _wcsicmp(path, L"\\\\.\\NUL") == 0 ? PLATFORM_SINK : PLATFORM_OTHER;
    default:
        return PLATFORM_OTHER;
    }
}

static void describe(HANDLE handle, const wchar_t *path, struct platform_place *place)
{
    BY_HANDLE_FILE_INFORMATION information;
    bool known =
        GetFileType(handle) == FILE_TYPE_DISK && GetFileInformationByHandle(handle, &information);

    place->kind = kind_of(handle, path, known ? &information : NULL);
    if (!known)
        return;
    place->volume = information.dwVolumeSerialNumber;
    place->index = (uint64_t) information.nFileIndexHigh << 32 | information.nFileIndexLow;
    place->size = (uint64_t) information.nFileSizeHigh << 32 | information.nFileSizeLow;
}

/* For looking: no access, so that nobody's sharing refuses it. */
static HANDLE open_path(const wchar_t *path, DWORD access)
{
    return CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_SEQUENTIAL_SCAN, NULL);
}

int platform_look(const char *path, struct platform_place *place_out)
{
    wchar_t wide[PATH_SIZE];
    int error = widen(path, wide);
    HANDLE handle;

    memset(place_out, 0, sizeof *place_out);
    if (error < 0)
        return error;
    if (is_pipe_name(wide)) { /* opening it would already be a conversation */
        place_out->kind = PLATFORM_FIFO;
        return 0;
    }
    handle = open_path(wide, FILE_READ_ATTRIBUTES);
    if (handle == INVALID_HANDLE_VALUE) {
        error = error_of(GetLastError());
        return error == -ENOENT ? 0 : error;
    }
    describe(handle, wide, place_out);
    CloseHandle(handle);
    return 0;
}

int platform_look_stdin(struct platform_place *place_out)
{
    HANDLE handle = GetStdHandle(STD_INPUT_HANDLE);

    memset(place_out, 0, sizeof *place_out);
    if (handle == NULL || handle == INVALID_HANDLE_VALUE)
        return -EBADF;
    describe(handle, NULL, place_out);
    return 0;
}

int platform_open_input(const char *path, reop_handle *handle_out)
{
    wchar_t wide[PATH_SIZE];
    int error = widen(path, wide);
    struct platform_place place;
    HANDLE handle;

    if (error < 0)
        return error;
    handle = open_path(wide, GENERIC_READ);
    if (handle == INVALID_HANDLE_VALUE)
        return error_of(GetLastError());
    describe(handle, wide, &place);
    if (place.kind == PLATFORM_FOLDER) {
        CloseHandle(handle);
        return -EISDIR;
    }
    *handle_out = (reop_handle) handle;
    return 0;
}

reop_handle platform_stdin(void)
{
    return (reop_handle) GetStdHandle(STD_INPUT_HANDLE);
}

void platform_close_input(reop_handle handle)
{
    CloseHandle((HANDLE) handle);
}

/* --- reading ------------------------------------------------------------------------------ */

/* A pipe cannot be waited for, so it is looked at. True: a read will not block. */
static bool wait_for_pipe(HANDLE handle, int64_t timeout_ns)
{
    int64_t deadline_ns = platform_now_ns() + timeout_ns;
    DWORD available = 0;

    while (PeekNamedPipe(handle, NULL, 0, NULL, &available, NULL) && available == 0) {
        if (platform_now_ns() >= deadline_ns)
            return false;
        Sleep(LOOK_MS);
    }
    return true; /* bytes, the end, or no pipe at all */
}

static bool wait_for_stream(HANDLE handle, int64_t timeout_ns)
{
    DWORD timeout_ms = (DWORD) ((timeout_ns + NS_PER_MS - 1) / NS_PER_MS);

    if (GetFileType(handle) == FILE_TYPE_PIPE)
        return wait_for_pipe(handle, timeout_ns);
    return WaitForSingleObject(handle, timeout_ms) != WAIT_TIMEOUT;
}

int64_t platform_read(reop_handle handle, bool stream, void *data, uint32_t size,
                      int64_t timeout_ns)
{
    DWORD count = 0, error;

    if (stream && !wait_for_stream((HANDLE) handle, timeout_ns))
        return -EAGAIN;
    if (ReadFile((HANDLE) handle, data, size, &count, NULL))
        return count;
    error = GetLastError();
    return error == ERROR_BROKEN_PIPE || error == ERROR_HANDLE_EOF ? 0 : error_of(error);
}

/* --- OUTPUT ------------------------------------------------------------------------------- */

int platform_set_size(reop_handle handle, uint64_t size)
{
    FILE_END_OF_FILE_INFO end;

    end.EndOfFile.QuadPart = (LONGLONG) size;
    return SetFileInformationByHandle((HANDLE) handle, FileEndOfFileInfo, &end, sizeof end)
               ? 0
               : error_of(GetLastError());
}

/* The name is in the file system's own log, which a flush of the file writes. */
int platform_sync_folder_of(const char *path)
{
    (void) path;
    return 0;
}

void platform_remove(const char *path)
{
    wchar_t wide[PATH_SIZE];

    if (widen(path, wide) == 0 && !DeleteFileW(wide))
        RemoveDirectoryW(wide);
}

bool platform_stderr_is_terminal(void)
{
    DWORD mode;

    return GetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), &mode) != 0;
}

/* --- what the latency command needs more -------------------------------------------------- */

int64_t platform_wall_ns(void)
{
    static const uint64_t unix_epoch = UINT64_C(116444736000000000); /* in 100 ns since 1601 */
    FILETIME now;

    GetSystemTimePreciseAsFileTime(&now);
    return (int64_t) (((uint64_t) now.dwHighDateTime << 32 | now.dwLowDateTime) - unix_epoch) * 100;
}

/* A timer of its own that does not wait for the system's tick; NULL before Windows 10. */
static _Thread_local HANDLE punctual_timer;

void platform_be_punctual(void)
{
    punctual_timer = CreateWaitableTimerExW(NULL, NULL, HIGH_RESOLUTION, TIMER_ALL_ACCESS);
}

void platform_sleep_until(int64_t ns)
{
    int64_t left_ns;

    while ((left_ns = ns - platform_now_ns()) > 0) {
        LARGE_INTEGER due = {.QuadPart = -(left_ns / 100 + 1)}; /* negative: from now */

        if (punctual_timer == NULL ||
            !SetWaitableTimer(punctual_timer, &due, 0, NULL, NULL, FALSE) ||
            WaitForSingleObject(punctual_timer, INFINITE) != WAIT_OBJECT_0)
            Sleep((DWORD) (left_ns / NS_PER_MS + 1));
    }
}

static DWORD WINAPI thread_main(void *pointer)
{
    struct platform_thread *thread = pointer;

    thread->run(thread->context);
    return 0;
}

int platform_thread_start(struct platform_thread *thread, void (*run)(void *context), void *context)
{
    HANDLE handle;

    thread->run = run;
    thread->context = context;
    handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    thread->id = (uintptr_t) handle;
    return handle == NULL ? -ENOMEM : 0;
}

void platform_thread_join(struct platform_thread *thread)
{
    WaitForSingleObject((HANDLE) thread->id, INFINITE);
    CloseHandle((HANDLE) thread->id);
}

int platform_make_folder(const char *path)
{
    wchar_t wide[PATH_SIZE];
    int error = widen(path, wide);

    if (error < 0)
        return error;
    return CreateDirectoryW(wide, NULL) ? 0 : error_of(GetLastError());
}

/* One argument, as the C library of the other program takes it apart again: backslashes count
 * double before a quote. */
static char *quote(char *at, const char *argument)
{
    unsigned backslashes = 0;

    *at++ = '"';
    for (; *argument != 0; argument++) {
        backslashes = *argument == '\\' ? backslashes + 1 : 0;
        if (*argument == '"')
            *at++ = '\\';
        *at++ = *argument;
        if (argument[1] == '"' || argument[1] == 0)
            for (; backslashes > 0; backslashes--)
                *at++ = '\\';
    }
    *at++ = '"';
    *at++ = ' ';
    *at = 0;
    return at;
}

int platform_run(const char *folder, const char *const arguments[])
{
    static char line[PATH_SIZE];
    static wchar_t wide_line[PATH_SIZE], wide_folder[PATH_SIZE];
    STARTUPINFOW startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;
    char *at = line;
    DWORD code = 1;

    for (; *arguments != NULL; arguments++) {
        if (2 * strlen(*arguments) + 4 > (size_t) (line + sizeof line - at))
            return -ENAMETOOLONG;
        at = quote(at, *arguments);
    }
    if (widen(folder, wide_folder) < 0 ||
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, line, -1, wide_line, PATH_SIZE) == 0)
        return -EINVAL;
    if (!CreateProcessW(NULL, wide_line, NULL, NULL, FALSE, 0, NULL, wide_folder, &startup,
                        &process))
        return error_of(GetLastError());
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return (int) (code & INT_MAX);
}

int platform_list_folder(const char *path, void (*found)(void *context, const char *name),
                         void *context)
{
    wchar_t wide[PATH_SIZE];
    int error = widen(path, wide);
    char name[MAX_PATH * 3];
    WIN32_FIND_DATAW entry;
    HANDLE search;

    if (error < 0)
        return error;
    if (wcslen(wide) + 3 > PATH_SIZE)
        return -ENAMETOOLONG;
    wcscat(wide, L"\\*");
    search = FindFirstFileW(wide, &entry);
    if (search == INVALID_HANDLE_VALUE)
        return error_of(GetLastError());
    do {
        if (wcscmp(entry.cFileName, L".") != 0 && wcscmp(entry.cFileName, L"..") != 0 &&
            WideCharToMultiByte(CP_UTF8, 0, entry.cFileName, -1, name, sizeof name, NULL, NULL) > 0)
            found(context, name);
    } while (FindNextFileW(search, &entry));
    FindClose(search);
    return 0;
}

/* --- facts -------------------------------------------------------------------------------- */

static void tell_number(const struct platform_facts *facts, const char *name, unsigned long value)
{
    char text[32];

    snprintf(text, sizeof text, "%lu", value);
    facts->fact(facts->context, name, text);
}

/* A string out of the registry, or "unknown". */
static void tell_key(const struct platform_facts *facts, const char *name, const char *key,
                     const char *value_name, char value[256])
{
    DWORD size = 256;

    if (RegGetValueA(HKEY_LOCAL_MACHINE, key, value_name, RRF_RT_REG_SZ, NULL, value, &size) !=
        ERROR_SUCCESS)
        snprintf(value, 256, "unknown");
    facts->fact(facts->context, name, value);
}

static void tell_machine(const struct platform_facts *facts)
{
    typedef LONG(WINAPI get_version)(OSVERSIONINFOW * version);
    typedef void procedure(void);
    static const char high_performance[] = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c";
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    get_version *version_of = (get_version *) (procedure *) GetProcAddress(ntdll, "RtlGetVersion");
    OSVERSIONINFOW version = {.dwOSVersionInfoSize = sizeof version};
    LARGE_INTEGER ticks;
    char text[256] = "unknown";

    if (version_of != NULL && version_of(&version) == 0)
        snprintf(text, sizeof text, "Windows %lu.%lu.%lu", (unsigned long) version.dwMajorVersion,
                 (unsigned long) version.dwMinorVersion, (unsigned long) version.dwBuildNumber);
    facts->fact(facts->context, "kernel", text);
    if (GetProcAddress(ntdll, "wine_get_version") != NULL)
        facts->warning(facts->context, "this is Wine: its times say nothing about Windows.");
    tell_key(facts, "cpu", "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
             "ProcessorNameString", text);
    tell_number(facts, "processors_online", GetActiveProcessorCount(ALL_PROCESSOR_GROUPS));
    /* A virtual machine calls itself so there. */
    tell_key(facts, "virtualised", "HARDWARE\\DESCRIPTION\\System\\BIOS", "SystemProductName",
             text);
    tell_key(facts, "governor", "SYSTEM\\CurrentControlSet\\Control\\Power\\User\\PowerSchemes",
             "ActivePowerScheme", text);
    if (strcmp(text, "unknown") != 0 && strcmp(text, high_performance) != 0)
        facts->warning(facts->context,
                       "the power scheme is not \"high performance\": latencies hold "
                       "clock ramps.");
    QueryPerformanceFrequency(&ticks);
    snprintf(text, sizeof text, "QueryPerformanceCounter, %lld Hz", (long long) ticks.QuadPart);
    facts->fact(facts->context, "clock_source", text);
}

/* root is "C:\", the device below it "\\.\C:". Asking needs no right to read it. */
static void tell_device(const struct platform_facts *facts, const wchar_t *root)
{
    STORAGE_PROPERTY_QUERY query = {.PropertyId = StorageDeviceWriteCacheProperty,
                                    .QueryType = PropertyStandardQuery};
    STORAGE_WRITE_CACHE_PROPERTY cache;
    STORAGE_ACCESS_ALIGNMENT_DESCRIPTOR sectors;
    static const char *const caches[] = {"unknown", "disabled", "enabled"};
    static const char *const answers[] = {"unknown", "0", "1"};
    wchar_t device[PATH_SIZE];
    HANDLE handle;
    DWORD size;

    swprintf(device, PATH_SIZE, L"\\\\.\\%.2ls", root);
    handle =
        CreateFileW(device, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE)
        return;
    if (!DeviceIoControl(handle, IOCTL_STORAGE_QUERY_PROPERTY, &query, sizeof query, &cache,
                         sizeof cache, &size, NULL))
        memset(&cache, 0, sizeof cache);
    facts->fact(facts->context, "write_cache", caches[(unsigned) cache.WriteCacheEnabled % 3]);
    facts->fact(facts->context, "fua", answers[(unsigned) cache.WriteThroughSupported % 3]);
    query.PropertyId = StorageAccessAlignmentProperty;
    if (DeviceIoControl(handle, IOCTL_STORAGE_QUERY_PROPERTY, &query, sizeof query, &sectors,
                        sizeof sectors, &size, NULL))
        tell_number(facts, "physical_sector", sectors.BytesPerPhysicalSector);
    CloseHandle(handle);
}

void platform_tell_facts(const char *path, const struct platform_facts *facts)
{
    wchar_t wide[PATH_SIZE], root[PATH_SIZE], system[64];
    DWORD sector, unused[3];
    char text[256];

    tell_machine(facts);
    if (widen(path, wide) < 0 || !GetVolumePathNameW(wide, root, PATH_SIZE))
        return;
    if (GetVolumeInformationW(root, NULL, 0, NULL, NULL, NULL, system, 64) &&
        WideCharToMultiByte(CP_UTF8, 0, system, -1, text, sizeof text, NULL, NULL) > 0)
        facts->fact(facts->context, "file_system", text);
    if (WideCharToMultiByte(CP_UTF8, 0, root, -1, text, sizeof text, NULL, NULL) > 0)
        facts->fact(facts->context, "device", text);
    if (GetDiskFreeSpaceW(root, &unused[0], &sector, &unused[1], &unused[2]))
        tell_number(facts, "logical_sector", sector);
    tell_device(facts, root);
}
