/* SPDX-License-Identifier: MIT
 *
 * What a handle's bytes come from and go to: a file of the real system, memory, or a pipe. No
 * locks: the kernel has its own.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_MEMORY_MAX 65536u
#define DEVICE_PIPE_MAX   65536u

struct device {
    enum { DEVICE_POSIX, DEVICE_MEMORY, DEVICE_PIPE } type;
    int fd;
    unsigned char *bytes; /* of memory, or on their way through a pipe */
    size_t size;
    bool hung_up; /* a pipe without a writer */
};

/* One read or write. */
struct transfer {
    bool writes;
    unsigned char *data;
    const void *segments; /* FILE_SEGMENT_ELEMENTs of a page each, instead of data */
    uint32_t size;
    uint64_t offset;
};

/* Can it be done now, or does it have to wait for somebody? */
bool device_is_ready(const struct device *device, const struct transfer *transfer);

/* Moves at most limit bytes. The status, and how many were moved. */
uint32_t device_move(struct device *device, const struct transfer *transfer, uint32_t limit,
                     uint32_t *moved_out);

/* Of what is written, and of what is about to be read into: both ends of large ones. */
uint64_t device_hash(const struct transfer *transfer);

/* Scribbles over both ends of what is about to be read into, and takes it back: what a read does
 * not reach keeps its bytes. Not for segments. */
#define DEVICE_ENDS 2048u
struct device_ends {
    unsigned char bytes[2][DEVICE_ENDS];
};
void device_scribble(const struct transfer *transfer, struct device_ends *saved_out);
void device_unscribble(const struct transfer *transfer, const struct device_ends *saved);
/* Catches whoever touches what a read will fill. */
void device_poison(const struct transfer *transfer, bool poisoned);

uint8_t device_byte(uint64_t position);
uint64_t device_hash_bytes(uint64_t hash, const void *bytes, size_t size);
void device_poison_bytes(const void *bytes, size_t size, bool poisoned);

#endif
