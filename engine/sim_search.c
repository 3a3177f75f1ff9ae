/* SPDX-License-Identifier: MIT
 *
 * Finding a tape that makes a trial fail, making it short, and telling what happened. A tape is
 * smaller than another if it has fewer bytes, or as many and lower ones; zeroes at its end do not
 * count, as nothing but zeroes follows. Every step of the shrinking makes it smaller, so it ends.
 */
#include "sim_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHRINKS_MAX 20000u

struct search {
    reop_engine *engine;
    struct sim_disk *disk;
    reop_sim_trial *trial;
    void *context;
    uint8_t *best, *candidate;
    size_t size; /* of best */
    uint32_t shrinks;
    int error;
};

static size_t trimmed(const uint8_t *tape, size_t size)
{
    while (size > 0 && tape[size - 1] == 0)
        size--;
    return size;
}

/* True: it failed. */
static bool fails(struct search *search, const uint8_t *tape, size_t size, uint64_t seed)
{
    int error = reop_sim_reset(search->engine, tape, size, seed);

    if (error < 0) {
        search->error = error;
        return false;
    }
    return !search->trial(search->context, search->engine) ||
           search->disk->stats.buffers_changed > 0;
}

/* The candidate has this size. True: it fails too, and is the best now. */
static bool better(struct search *search, size_t size)
{
    uint8_t *worse = search->best;

    if (search->error < 0 || search->shrinks == SHRINKS_MAX)
        return false;
    search->shrinks++;
    size = trimmed(search->candidate, size);
    if (!fails(search, search->candidate, size, 0))
        return false;
    if (search->disk->tape.used < size)
        size = trimmed(search->candidate,
                       (size_t) search->disk->tape.used); /* the rest was not read */
    search->best = search->candidate;
    search->candidate = worse;
    search->size = size;
    return true;
}

static bool delete_spans(struct search *search)
{
    bool any = false;

    for (size_t length = search->size; length > 0; length /= 2)
        for (size_t at = 0; at + length <= search->size;) {
            memcpy(search->candidate, search->best, at);
            memcpy(search->candidate + at, search->best + at + length, search->size - at - length);
            if (better(search, search->size - length))
                any = true;
            else
                at += length > 1 ? length / 2 : 1;
        }
    return any;
}

static bool zero_spans(struct search *search)
{
    bool any = false;

    for (size_t length = search->size; length > 0; length /= 2)
        for (size_t at = 0; at + length <= search->size; at += length) {
            if (trimmed(search->best + at, length) == 0)
                continue;
            memcpy(search->candidate, search->best, search->size);
            memset(search->candidate + at, 0, length);
            any |= better(search, search->size);
        }
    return any;
}

static bool lower_bytes(struct search *search)
{
    bool any = false;

    for (size_t at = 0; at < search->size; at++)
        for (unsigned step = 128; step > 0; step /= 2)
            while (at < search->size && search->best[at] >= step) {
                memcpy(search->candidate, search->best, search->size);
                search->candidate[at] = (uint8_t) (search->best[at] - step);
                if (!better(search, search->size))
                    break;
                any = true;
            }
    return any;
}

static void shrink(struct search *search)
{
    bool deleted, zeroed, lowered;

    do {
        deleted = delete_spans(search);
        zeroed = zero_spans(search);
        lowered = lower_bytes(search);
    } while (deleted || zeroed || lowered);
}

/* The trial that was just run has failed. */
static void found(struct search *search, struct reop_sim_found *found_out)
{
    const struct sim_tape *tape = &search->disk->tape;

    search->size = tape->used < tape->capacity ? (size_t) tape->used : tape->capacity;
    found_out->size_found = search->size;
    memcpy(search->best, tape->bytes, search->size);
    memcpy(search->candidate, tape->bytes, search->size);
    if (better(search, search->size))
        shrink(search);
    found_out->shrinks = search->shrinks;
    /* Once more, to be looked at. */
    fails(search, search->best, search->size, 0);
    found_out->tape = search->best;
    found_out->tape_size = search->size;
}

int reop_sim_search(reop_engine *engine, reop_sim_trial *trial, void *context, uint64_t seed,
                    uint64_t trials, struct reop_sim_found *found_out)
{
    struct sim_disk *disk = sim_disk_of(engine);
    struct search search = {.engine = engine, .disk = disk, .trial = trial, .context = context};

    memset(found_out, 0, sizeof *found_out);
    if (disk == NULL || trial == NULL)
        return -EINVAL;
    search.best = disk->spare_tapes;
    search.candidate = disk->spare_tapes + disk->tape.capacity;
    while (found_out->trials < trials && search.error == 0) {
        found_out->seed = seed + found_out->trials++;
        if (fails(&search, NULL, 0, found_out->seed != 0 ? found_out->seed : UINT64_MAX)) {
            found(&search, found_out);
            return search.error < 0 ? search.error : 1;
        }
    }
    return search.error;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;

    return at != NULL ? (int) (at - digits) : -1;
}

int reop_sim_replay(reop_engine *engine, reop_sim_trial *trial, void *context, const char *tape_hex)
{
    struct sim_disk *disk = sim_disk_of(engine);
    struct search search = {.engine = engine, .disk = disk, .trial = trial, .context = context};
    size_t size = 0;
    bool failed;

    if (disk == NULL || trial == NULL || tape_hex == NULL)
        return -EINVAL;
    for (; tape_hex[2 * size] != '\0'; size++) {
        int high = hex_digit(tape_hex[2 * size]), low = hex_digit(tape_hex[2 * size + 1]);

        if (high < 0 || low < 0 || size == disk->tape.capacity)
            return -EINVAL;
        disk->spare_tapes[size] = (uint8_t) (high * 16 + low);
    }
    failed = fails(&search, disk->spare_tapes, size, 0);
    return search.error < 0 ? search.error : failed;
}

/* --- telling ----------------------------------------------------------------------------- */

static const char *const kind_names[] = {"none",   "read", "write",     "readv",
                                         "writev", "sync", "data-sync", "post"};
static const char *const fault_names[REOP_FAULT_COUNT] = {
    "none", "EIO", "short", "ENOSPC", "delay", "bit flip", "lost", "misdirected", "dropped sync"};

static const char *file_name(const struct sim_disk *disk, uint32_t node)
{
    for (uint32_t i = 0; node != 0 && i < disk->config.file_count; i++)
        if (disk->names[i].now == node || disk->names[i].durable == node)
            return disk->names[i].text;
    return "a file that is gone";
}

static void tell(const struct sim_disk *disk, const struct sim_event *event, char *text,
                 size_t size)
{
    const char *name = file_name(disk, event->node);
    const char *kind = event->detail < 8 ? kind_names[event->detail] : "";

    switch ((enum sim_event_kind) event->kind) {
    case SIM_EVENT_OPEN:
        snprintf(text, size, "open %s, %" PRId64 " bytes", name, event->amount);
        break;
    case SIM_EVENT_SUBMIT:
        snprintf(text, size, "op %" PRIu64 ": %s %s, %" PRId64 " at %" PRIu64, event->op, kind,
                 name, event->amount, event->offset);
        break;
    case SIM_EVENT_TAKEN:
        snprintf(text, size, "op %" PRIu64 ": the device has its buffer: %" PRId64, event->op,
                 event->amount);
        break;
    case SIM_EVENT_DONE:
        snprintf(text, size, "op %" PRIu64 ": %s comes back: %" PRId64, event->op, kind,
                 event->amount);
        break;
    case SIM_EVENT_FAULT:
        snprintf(text, size, "op %" PRIu64 ": fault: %s", event->op, fault_names[event->detail]);
        break;
    case SIM_EVENT_CANCEL:
        snprintf(text, size, "op %" PRIu64 ": cancel %s", event->op,
                 event->detail ? "wins" : "comes too late");
        break;
    case SIM_EVENT_CHANGED:
        snprintf(text, size, "op %" PRIu64 ": ITS BUFFER WAS CHANGED IN FLIGHT", event->op);
        break;
    case SIM_EVENT_CRASH:
        snprintf(text, size, "POWER IS CUT at event %" PRIu64, event->offset);
        break;
    case SIM_EVENT_RESTART:
        snprintf(text, size, "power is back");
        break;
    case SIM_EVENT_KEPT:
    case SIM_EVENT_LOST:
    case SIM_EVENT_GARBAGE:
        snprintf(text, size, "  %s: unsynced unit at %" PRIu64 " %s", name, event->offset,
                 event->kind == SIM_EVENT_KEPT   ? "survives"
                 : event->kind == SIM_EVENT_LOST ? "is lost"
                                                 : "is garbage");
        break;
    case SIM_EVENT_SIZE_KEPT:
    case SIM_EVENT_SIZE_LOST:
        snprintf(text, size, "  %s: unsynced size %" PRIu64 " %s (durable: %" PRId64 ")", name,
                 event->offset, event->kind == SIM_EVENT_SIZE_KEPT ? "survives" : "is lost",
                 event->amount);
        break;
    case SIM_EVENT_NAME_KEPT:
    case SIM_EVENT_NAME_LOST:
        snprintf(text, size, "  %s: unsynced name %s", name,
                 event->kind == SIM_EVENT_NAME_KEPT ? "survives" : "is lost");
        break;
    case SIM_EVENT_RENAME:
        snprintf(text, size, "rename of what is now %s", name);
        break;
    case SIM_EVENT_REMOVE:
        snprintf(text, size, "remove %s", name);
        break;
    }
}

void reop_sim_print(reop_engine *engine, void (*line)(void *context, const char *text),
                    void *context)
{
    const struct sim_disk *disk = sim_disk_of(engine);
    const struct sim_account *account;
    char text[512];
    uint64_t first;
    size_t size;

    if (disk == NULL)
        return;
    account = &disk->account;
    first = account->count > account->capacity ? account->count - account->capacity : 0;
    if (first > 0) {
        snprintf(text, sizeof text, "(%" PRIu64 " earlier events)", first);
        line(context, text);
    }
    for (uint64_t i = first; i < account->count; i++) {
        const struct sim_event *event = &account->events[i & (account->capacity - 1)];
        int length = snprintf(text, sizeof text, "%10.3f us  ", (double) event->now_ns / 1000);

        tell(disk, event, text + length, sizeof text - (size_t) length);
        line(context, text);
    }
    size = disk->tape.used < disk->tape.capacity ? (size_t) disk->tape.used : disk->tape.capacity;
    size = trimmed(disk->tape.bytes, size);
    if (size * 2 + 8 > sizeof text) {
        snprintf(text, sizeof text, "tape: %zu bytes, too long to print", size);
    } else {
        strcpy(text, "tape: ");
        for (size_t i = 0; i < size; i++)
            snprintf(text + 6 + 2 * i, 3, "%02x", disk->tape.bytes[i]);
    }
    line(context, text);
}
