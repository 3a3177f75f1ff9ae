/* SPDX-License-Identifier: MIT
 *
 * What a file descriptor is, and what set-up does with it before and after the I/O.
 */
#include "engine.h"
#include "error.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef O_PATH /* Linux and FreeBSD */
#define O_PATH 0
#endif

#define ZEROES_SIZE  (64u * 1024)
#define ZEROES_COUNT 16

static int answer(int outcome)
{
    return outcome < 0 ? -error_from_system((uint32_t) errno) : 0;
}

int file_open_handle(const char *path_utf8, uint32_t flags, reop_handle *handle_out)
{
    int open_flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK; /* a FIFO must not block the open */
    struct stat status;
    int fd;

    if ((flags & REOP_FILE_READ) && (flags & REOP_FILE_WRITE))
        open_flags |= O_RDWR;
    else
        open_flags |= flags & REOP_FILE_WRITE ? O_WRONLY : O_RDONLY;
    open_flags |= flags & REOP_FILE_CREATE ? O_CREAT : 0;
    open_flags |= flags & REOP_FILE_EXCLUSIVE ? O_EXCL : 0;
    open_flags |= flags & REOP_FILE_TRUNCATE ? O_TRUNC : 0;
    open_flags |= flags & REOP_FILE_DIRECT ? O_DIRECT : 0;
    open_flags |= flags & REOP_FILE_DURABLE ? O_DSYNC : 0;
    do
        fd = open(path_utf8, open_flags, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        /* Linux: EINVAL from a valid open is the file system's refusal of O_DIRECT, open(2). It
         * comes after O_CREAT has made the file. */
        if (errno == EINVAL && (flags & REOP_FILE_DIRECT))
            return -ENOTSUP;
        return answer(-1);
    }
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        return -EISDIR;
    }
    fcntl(fd, F_SETFL, open_flags & ~O_NONBLOCK);
    *handle_out = fd;
    return 0;
}

int file_close_handle(reop_handle handle)
{
    return answer(close((int) handle));
}

/* The alignments of direct I/O: statx since Linux 6.1, the logical sector of a block device, or
 * 512. */
static void direct_masks(reop_file *file, const struct stat *status)
{
    uint32_t memory_align = 0, offset_align = 0;
    int sector = 0;
#ifdef STATX_DIOALIGN
    struct statx extended;

    if (statx((int) file->handle, "", AT_EMPTY_PATH, STATX_DIOALIGN, &extended) == 0 &&
        (extended.stx_mask & STATX_DIOALIGN)) {
        memory_align = extended.stx_dio_mem_align;
        offset_align = extended.stx_dio_offset_align;
    }
#endif
    if (offset_align == 0 && S_ISBLK(status->st_mode) &&
        ioctl((int) file->handle, BLKSSZGET, &sector) == 0)
        offset_align = (uint32_t) sector;
    if (offset_align == 0)
        offset_align = 512;
    if (memory_align == 0)
        memory_align = offset_align;
    file->offset_mask = offset_align - 1;
    file->size_mask = offset_align - 1;
    file->memory_mask = memory_align - 1;
}

int file_inspect(reop_file *file, uint32_t flags)
{
    int fd = (int) file->handle;
    int open_flags = fcntl(fd, F_GETFL);
    struct stat status;

    if (fd != file->handle)
        return -EBADF;
    if (open_flags < 0 || fstat(fd, &status) < 0)
        return answer(-1);
    if (open_flags & O_PATH)
        return -ENOTSUP; /* a name: no I/O can be done on it */
    if ((open_flags & O_ACCMODE) != O_WRONLY)
        file->flags |= REOP_FILE_READ;
    if ((open_flags & O_ACCMODE) != O_RDONLY)
        file->flags |= REOP_FILE_WRITE;
    if (open_flags & O_DIRECT)
        file->flags |= REOP_FILE_DIRECT;
    if (open_flags & O_DSYNC)
        file->flags |= REOP_FILE_DURABLE;
    if (flags & ~file->flags & (REOP_FILE_DIRECT | REOP_FILE_DURABLE))
        return -ENOTSUP;
    if (S_ISREG(status.st_mode) && (open_flags & O_APPEND))
        return -ENOTSUP; /* Linux appends whatever the offset says: pwrite(2), BUGS */
    file->regular = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
    file->stream = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) ||
                   (S_ISCHR(status.st_mode) && lseek(fd, 0, SEEK_CUR) < 0);
    if (file->stream)
        file->offset_mask = UINT64_MAX;
    else if (file->flags & REOP_FILE_DIRECT)
        direct_masks(file, &status);
    return 0;
}

int file_size(const reop_file *file, uint64_t *size_out)
{
    struct stat status;
    uint64_t size;

    if (fstat((int) file->handle, &status) < 0)
        return answer(-1);
    size = (uint64_t) status.st_size;
#ifdef BLKGETSIZE64
    if (S_ISBLK(status.st_mode) && ioctl((int) file->handle, BLKGETSIZE64, &size) < 0)
        return answer(-1);
#endif
    *size_out = size;
    return 0;
}

uint32_t file_physical_sector(const reop_file *file)
{
    static const char *const forms[] = {"/sys/dev/block/%u:%u/queue/physical_block_size",
                                        "/sys/dev/block/%u:%u/../queue/physical_block_size"};
    char path[96], text[16] = "";
    struct stat status;
    unsigned sector = 0;

    if (!file->regular || fstat((int) file->handle, &status) < 0)
        return 0;
    for (int i = 0; i < 2 && sector == 0; i++) { /* a disk, or a partition of one */
        dev_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
        int fd;

        snprintf(path, sizeof path, forms[i], major(device), minor(device));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (read(fd, text, sizeof text - 1) > 0)
            sscanf(text, "%u", &sector);
        close(fd);
    }
    return sector;
}

int file_zero_fill(reop_file *file, uint64_t from, uint64_t to)
{
    static unsigned char
        zeroes[ZEROES_SIZE]; /* never written: the pages stay the shared zero page */
    int fd = (int) file->handle;
    int open_flags = fcntl(fd, F_GETFL);
    struct iovec pieces[ZEROES_COUNT];
    int error = 0;

    /* The end of the file may be where no direct write can begin. */
    if ((open_flags & O_DIRECT) && fcntl(fd, F_SETFL, open_flags & ~O_DIRECT) < 0)
        return answer(-1);
    while (from < to && error == 0) {
        uint64_t left = to - from;
        int count = 0;
        ssize_t written;

        while (count < ZEROES_COUNT && left > 0) {
            pieces[count].iov_base = zeroes;
            pieces[count].iov_len = left < ZEROES_SIZE ? (size_t) left : ZEROES_SIZE;
            left -= pieces[count++].iov_len;
        }
        written = pwritev(fd, pieces, count, (off_t) from);
        if (written > 0)
            from += (uint64_t) written;
        else if (written == 0 || errno != EINTR)
            error = written == 0 ? -ENOSPC : answer(-1);
    }
    if (error == 0)
        error = answer(fsync(fd));
    if ((open_flags & O_DIRECT) && fcntl(fd, F_SETFL, open_flags) < 0 && error == 0)
        error = answer(-1);
    return error;
}
