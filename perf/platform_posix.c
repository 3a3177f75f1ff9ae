/* SPDX-License-Identifier: MIT */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_AGAIN_NS 1000000000

static volatile sig_atomic_t stop_signal;
static int64_t stop_ns;

int64_t platform_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Another signal, later, is the user's last word. Not at once: timeout(1) sends each signal to the
 * process and to its group, and a terminal may too. */
static void on_stop(int signal_number)
{
    if (stop_signal == 0) {
        stop_ns = platform_now_ns();
        stop_signal = signal_number;
    } else if (platform_now_ns() - stop_ns > STOP_AGAIN_NS) {
        signal(signal_number, SIG_DFL);
        raise(signal_number); /* delivered when this handler returns */
    }
}

void platform_start(void)
{
    static const int stops[] = {SIGINT, SIGTERM};
    struct sigaction action;

    /* A missing 0, 1 or 2 is filled with what cannot be used the way it will be: reading standard
     * input still fails as it should, and OUTPUT does not receive our messages. */
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(1);
    }
    memset(&action, 0, sizeof action);
    sigfillset(&action.sa_mask); /* one at a time */
    action.sa_handler = on_stop;
    for (int i = 0; i < 2; i++)
        sigaction(stops[i], &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL); /* then the write itself says EFBIG */
    sigaction(SIGPIPE, &action, NULL); /* and EPIPE */
}

void platform_arguments(int *argc, char ***argv)
{
    (void) argc; /* here names are bytes, and UTF-8 where people agree on it */
    (void) argv;
}

static bool same_device(const struct stat *status, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && S_ISCHR(other.st_mode) && other.st_rdev == status->st_rdev;
}

static enum platform_kind kind_of_character_device(const struct stat *status, const char *path)
{
    int fd;
    bool terminal;

    if (same_device(status, "/dev/null") || same_device(status, "/dev/full"))
        return PLATFORM_SINK;
    if (path == NULL)
        return PLATFORM_OTHER;
    /* O_NOCTTY and O_NONBLOCK: looking must neither adopt the terminal nor wait for a modem. */
    fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    terminal = fd >= 0 && isatty(fd);
    if (fd >= 0)
        close(fd);
    return terminal || same_device(status, "/dev/tty") ? PLATFORM_TERMINAL : PLATFORM_OTHER;
}

static void describe(const struct stat *status, const char *path, struct platform_place *place)
{
    place->volume = (uint64_t) status->st_dev;
    place->index = (uint64_t) status->st_ino;
    place->size = 0;
    if (S_ISREG(status->st_mode)) {
        place->kind = PLATFORM_REGULAR;
        place->size = (uint64_t) status->st_size;
    } else if (S_ISBLK(status->st_mode)) {
        /* Two nodes of one device are the same device. */
        place->kind = PLATFORM_BLOCK_DEVICE;
        place->volume = 0;
        place->index = (uint64_t) status->st_rdev;
    } else if (S_ISCHR(status->st_mode)) {
        place->kind = kind_of_character_device(status, path);
    } else if (S_ISDIR(status->st_mode)) {
        place->kind = PLATFORM_FOLDER;
    } else if (S_ISFIFO(status->st_mode)) {
        place->kind = PLATFORM_FIFO;
    } else {
        place->kind = S_ISSOCK(status->st_mode) ? PLATFORM_SOCKET : PLATFORM_OTHER;
    }
}

int platform_look(const char *path, struct platform_place *place_out)
{
    struct stat status;

    memset(place_out, 0, sizeof *place_out);
    if (stat(path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    describe(&status, path, place_out);
    return 0;
}

int platform_look_stdin(struct platform_place *place_out)
{
    struct stat status;

    memset(place_out, 0, sizeof *place_out);
    if (fstat(STDIN_FILENO, &status) < 0)
        return -errno;
    describe(&status, NULL, place_out);
    return 0;
}

int platform_open_input(const char *path, reop_handle *handle_out)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        return -EISDIR;
    }
    *handle_out = fd;
    return 0;
}

reop_handle platform_stdin(void)
{
    return STDIN_FILENO;
}

void platform_close_input(reop_handle handle)
{
    close((int) handle);
}

int64_t platform_read(reop_handle handle, bool stream, void *data, uint32_t size,
                      int64_t timeout_ns)
{
    struct pollfd poll_fd = {.fd = (int) handle, .events = POLLIN};
    ssize_t count;

    if (stream && poll(&poll_fd, 1, (int) ((timeout_ns + 999999) / 1000000)) <= 0)
        return -EAGAIN;
    count = read((int) handle, data, size);
    if (count >= 0)
        return count;
    return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

int platform_set_size(reop_handle handle, uint64_t size)
{
    return ftruncate((int) handle, (off_t) size) < 0 ? -errno : 0;
}

int platform_sync_folder_of(const char *path)
{
    char *real = realpath(path, NULL), *slash;
    int fd, error = 0;

    if (real == NULL)
        return -errno;
    slash = strrchr(real, '/');
    slash[slash == real] = '\0';
    fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    free(real);
    return error;
}

void platform_remove(const char *path)
{
    remove(path);
}

int platform_stop_signal(void)
{
    return stop_signal;
}

const char *platform_signal_name(int signal)
{
    return signal == SIGINT ? "SIGINT" : "SIGTERM";
}

bool platform_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO);
}

const char *platform_words(int64_t result, uint32_t os_error)
{
    return strerror(os_error != 0 ? (int) os_error : (int) -result);
}

/* --- what the latency command needs more --- */

int64_t platform_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

void platform_sleep_until(int64_t ns)
{
    struct timespec until = {.tv_sec = (time_t) (ns / 1000000000),
                             .tv_nsec = (long) (ns % 1000000000)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void *thread_main(void *pointer)
{
    struct platform_thread *thread = pointer;

    thread->run(thread->context);
    return NULL;
}

int platform_thread_start(struct platform_thread *thread, void (*run)(void *context), void *context)
{
    pthread_t id;
    int error;

    thread->run = run;
    thread->context = context;
    error = pthread_create(&id, NULL, thread_main, thread);
    thread->id = (uintptr_t) id;
    return -error;
}

void platform_thread_join(struct platform_thread *thread)
{
    pthread_join((pthread_t) thread->id, NULL);
}

int platform_make_folder(const char *path)
{
    return mkdir(path, 0777) < 0 ? -errno : 0;
}

extern char **environ;

/* By way of a shell, which alone can change the folder before it starts the program. */
int platform_run(const char *folder, const char *const arguments[])
{
    char *words[16] = {"sh", "-c", "cd -- \"$0\" && exec \"$@\" >/dev/null 2>&1"};
    unsigned count = 3;
    pid_t child;
    int status;

    words[count++] = (char *) (uintptr_t) folder;
    for (unsigned i = 0; arguments[i] != NULL && count < 15; i++)
        words[count++] = (char *) (uintptr_t) arguments[i];
    if (posix_spawnp(&child, "sh", NULL, NULL, words, environ) != 0)
        return -ENOENT;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    if (!WIFEXITED(status))
        return -EIO;
    return WEXITSTATUS(status) == 127 ? -ENOENT : WEXITSTATUS(status);
}

int platform_list_folder(const char *path, void (*found)(void *context, const char *name),
                         void *context)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (folder == NULL)
        return -errno;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            found(context, entry->d_name);
    }
    closedir(folder);
    return 0;
}
