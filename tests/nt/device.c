/* SPDX-License-Identifier: MIT */
#include "device.h"

#include "status.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <windows.h>

#if defined(__SANITIZE_ADDRESS__)
#define DEVICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DEVICE_ASAN 1
#endif
#endif
#ifdef DEVICE_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define PAGE 4096u

/* --- parts of memory -------------------------------------------------------------------------- */

static uint32_t part_count(const struct transfer *transfer)
{
    return transfer->segments == NULL ? 1 : transfer->size / PAGE;
}

static struct iovec part(const struct transfer *transfer, uint32_t index)
{
    const FILE_SEGMENT_ELEMENT *segments = transfer->segments;

    if (segments == NULL)
        return (struct iovec){transfer->data, transfer->size};
    return (struct iovec){(void *) (uintptr_t) segments[index].Alignment, PAGE};
}

uint8_t device_byte(uint64_t position)
{
    return (uint8_t) ((position ^ position >> 8) * 167u + 13u);
}

uint64_t device_hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t device_hash(const struct transfer *transfer)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < part_count(transfer); i++) {
        struct iovec all = part(transfer, i);
        size_t end = all.iov_len < DEVICE_ENDS ? all.iov_len : DEVICE_ENDS;

        if (end == 0)
            continue; /* its address may be NULL, to which nothing is added */
        hash = device_hash_bytes(hash, all.iov_base, end);
        hash = device_hash_bytes(hash, (unsigned char *) all.iov_base + all.iov_len - end, end);
    }
    return hash;
}

static uint32_t end_size(const struct transfer *transfer)
{
    return transfer->size < DEVICE_ENDS ? transfer->size : DEVICE_ENDS;
}

void device_scribble(const struct transfer *transfer, struct device_ends *saved_out)
{
    uint32_t size = end_size(transfer);

    if (size == 0 || transfer->segments != NULL)
        return;
    memcpy(saved_out->bytes[0], transfer->data, size);
    memcpy(saved_out->bytes[1], transfer->data + transfer->size - size, size);
    memset(transfer->data, 0xa5, size);
    memset(transfer->data + transfer->size - size, 0x5a, size);
}

void device_unscribble(const struct transfer *transfer, const struct device_ends *saved)
{
    uint32_t size = end_size(transfer);

    if (size == 0 || transfer->segments != NULL)
        return;
    memcpy(transfer->data, saved->bytes[0], size);
    memcpy(transfer->data + transfer->size - size, saved->bytes[1], size);
}

void device_poison_bytes(const void *bytes, size_t size, bool poisoned)
{
#ifdef DEVICE_ASAN
    if (poisoned)
        ASAN_POISON_MEMORY_REGION(bytes, size);
    else
        ASAN_UNPOISON_MEMORY_REGION(bytes, size);
#else
    (void) bytes;
    (void) size;
    (void) poisoned;
#endif
}

void device_poison(const struct transfer *transfer, bool poisoned)
{
    for (uint32_t i = 0; i < part_count(transfer); i++) {
        struct iovec all = part(transfer, i);

        device_poison_bytes(all.iov_base, all.iov_len, poisoned);
    }
}

/* --- moving ----------------------------------------------------------------------------------- */

static uint32_t move_posix(const struct device *device, const struct transfer *transfer,
                           uint32_t limit, uint32_t *moved_out)
{
    *moved_out = 0;
    for (uint32_t i = 0; i < part_count(transfer) && *moved_out < limit; i++) {
        struct iovec piece = part(transfer, i);
        off_t offset = (off_t) (transfer->offset + *moved_out);
        ssize_t moved;

        if (piece.iov_len > limit - *moved_out)
            piece.iov_len = limit - *moved_out;
        moved = transfer->writes ? pwritev(device->fd, &piece, 1, offset)
                                 : preadv(device->fd, &piece, 1, offset);
        if (moved < 0)
            return status_of_errno(errno);
        *moved_out += (uint32_t) moved;
        if ((size_t) moved < piece.iov_len)
            break;
    }
    return STATUS_SUCCESS;
}

static uint32_t move_memory(struct device *device, const struct transfer *transfer, uint32_t limit,
                            uint32_t *moved_out)
{
    *moved_out = 0;
    if (transfer->offset > DEVICE_MEMORY_MAX - (uint64_t) limit && transfer->writes)
        return STATUS_DISK_FULL;
    for (uint32_t i = 0; i < part_count(transfer); i++) {
        struct iovec piece = part(transfer, i);
        unsigned char *bytes = piece.iov_base;

        for (size_t j = 0; j < piece.iov_len && *moved_out < limit; j++) {
            uint64_t at = transfer->offset + *moved_out;

            if (!transfer->writes && at >= device->size)
                return STATUS_SUCCESS;
            if (transfer->writes)
                device->bytes[at] = bytes[j];
            else
                bytes[j] = device->bytes[at];
            ++*moved_out;
        }
    }
    if (transfer->writes && transfer->offset + *moved_out > device->size)
        device->size = (size_t) transfer->offset + *moved_out;
    return STATUS_SUCCESS;
}

static uint32_t move_pipe(struct device *device, const struct transfer *transfer, uint32_t limit,
                          uint32_t *moved_out)
{
    *moved_out = 0;
    if (transfer->writes)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (device->size == 0 && device->hung_up)
        return STATUS_PIPE_BROKEN;
    if (limit > device->size)
        limit = (uint32_t) device->size;
    memcpy(transfer->data, device->bytes, limit);
    memmove(device->bytes, device->bytes + limit, device->size - limit);
    device->size -= limit;
    *moved_out = limit;
    return STATUS_SUCCESS;
}

bool device_is_ready(const struct device *device, const struct transfer *transfer)
{
    return device->type != DEVICE_PIPE || transfer->writes || device->size > 0 || device->hung_up;
}

uint32_t device_move(struct device *device, const struct transfer *transfer, uint32_t limit,
                     uint32_t *moved_out)
{
    uint32_t status;

    if (device->type == DEVICE_PIPE)
        return move_pipe(device, transfer, limit, moved_out);
    if (device->type == DEVICE_MEMORY)
        status = move_memory(device, transfer, limit, moved_out);
    else
        status = move_posix(device, transfer, limit, moved_out);
    if (status == STATUS_SUCCESS && !transfer->writes && transfer->size > 0 && *moved_out == 0)
        return STATUS_END_OF_FILE;
    return status;
}
