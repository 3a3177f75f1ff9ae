/* SPDX-License-Identifier: MIT
 *
 * What this process holds, from /proc, by system calls: fopen() and opendir() would allocate.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK 8192

struct entry { /* what getdents64() stores */
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* The first bytes of a file of /proc, as text; "" when it cannot be read. */
static void head_of(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? 0 : read(fd, text, size - 1);

    text[count > 0 ? count : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static int64_t count_lines(const char *path)
{
    static char text[CHUNK];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int64_t lines = 0;
    ssize_t count;

    if (fd < 0)
        return -1;
    while ((count = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < count; i++)
            lines += text[i] == '\n';
    }
    close(fd);
    return count < 0 ? -1 : lines;
}

static bool any(const char *name)
{
    (void) name;
    return true;
}

/* The kernel's workers of a ring come and go, and look like threads of ours. */
static bool is_ours(const char *name)
{
    char path[64], text[64];

    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", name);
    head_of(path, text, sizeof text);
    return strncmp(text, "iou-", 4) != 0;
}

static int64_t count_entries(const char *path, bool (*counts)(const char *name))
{
    static _Alignas(8) char entries[CHUNK];
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t total = 0;
    long count;

    if (fd < 0)
        return -1;
    while ((count = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        for (long at = 0; at < count;) {
            const struct entry *entry = (const void *) (entries + at);

            total += entry->name[0] != '.' && counts(entry->name);
            at += entry->size;
        }
    }
    close(fd);
    return count < 0 ? -1 : total;
}

void process_usage(struct process_usage *usage_out)
{
    char text[128];
    const char *resident;

    head_of("/proc/self/statm", text, sizeof text);
    resident = strchr(text, ' ');
    usage_out->resident_kib =
        resident == NULL ? -1 : strtoll(resident, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
    usage_out->descriptors = count_entries("/proc/self/fd", any);
    usage_out->threads = count_entries("/proc/self/task", is_ours);
    usage_out->mappings = count_lines("/proc/self/maps");
}
