/* SPDX-License-Identifier: MIT
 *
 * Ports, packets, reads and writes, and their cancellation.
 *
 * An op belongs to the kernel from the moment a call decides that a packet will come until that
 * packet is dequeued. All of it is under one lock; a call lets others run before it takes the lock
 * and after it has left it, so that a packet can be dequeued before its call has returned.
 */
#include "kernel.h"

#include "chance.h"
#include "device.h"
#include "objects.h"
#include "status.h"
#include "sync.h"
#include "tally.h"
#include "world.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <windows.h>

#define OBJECTS_MAX  1024u
#define PORTS_MAX    512u
#define IOS_MAX      1024u
#define SEGMENTS_MAX 1024u
#define POSTS_MAX    4096u
#define VERDICTS     4096u
#define OP_SIZE      96u /* the public op; an OVERLAPPED is its beginning */
#define BLOCK_NS     INT64_C(2000000)
#define HANDLE_FIRST 0x40u

/* Of either sign. */
#define GARBAGE(number) ((ULONG_PTR) ((number) % 2 ? 0xdeadbeefu : 0x12345678u) << 32)

/* Anything that can be dequeued. */
struct packet {
    struct packet *next;
    ULONG_PTR key;
    OVERLAPPED *overlapped;
    uint32_t status;
    uint32_t bytes;
    struct io *io;          /* NULL: posted */
    struct object *reserve; /* whose packet it is, if any */
};

enum io_state { IO_UNUSED, IO_IN_CALL, IO_IN_DEVICE, IO_QUEUED };

struct io {
    struct packet packet;
    enum io_state state;
    _Atomic uint64_t number; /* of all calls: tells a later user of this place, and who is older */
    struct object *file;
    struct transfer transfer;
    FILE_SEGMENT_ELEMENT segments[SEGMENTS_MAX]; /* taken over inside the call */
    struct device_ends saved;
    uint64_t op_hash, data_hash;
    bool cancelled; /* CancelIoEx took it out of the device */
    bool urgent;
};

struct port {
    struct sync_cond arrived;
    struct packet *first;
    struct packet **last;
    uint32_t count;
    uint32_t waiting;
    struct object *object;
};

static struct {
    struct sync_mutex lock; /* guards all below */
    struct kernel_profile profile;
    struct object objects[OBJECTS_MAX];
    uint32_t object_end; /* none at or after it was ever in use since the reset */
    struct port ports[PORTS_MAX];
    uint32_t port_count;
    struct io ios[IOS_MAX];
    uint32_t io_end; /* no io at or after it is in use */
    uint64_t io_number;
    struct packet posts[POSTS_MAX];
    struct packet *free_posts;
    struct {
        const OVERLAPPED *overlapped;
        struct kernel_verdict verdict;
        uint64_t resets; /* it is of this run */
    } verdicts[VERDICTS];
    uint64_t resets;
    enum kernel_answer system, unbinds; /* how new it is */
    uint64_t stalls;
    uint32_t failed_posts; /* in a row */
    bool held;
    struct sync_cond device_work;
    struct sync_cond device_done;
    struct sync_thread device;
    bool device_stops;
} kernel;

static unsigned char memory[64][DEVICE_MEMORY_MAX];
static bool memory_used[64];
static unsigned char pattern[DEVICE_MEMORY_MAX];

/* --- deciding --------------------------------------------------------------------------------- */

static enum kernel_answer choose(const enum kernel_answer answers[], uint32_t count)
{
    enum kernel_answer allowed[8];
    uint32_t weights[8], allowed_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (kernel.profile.weights[answers[i]] == 0)
            continue;
        weights[allowed_count] = kernel.profile.weights[answers[i]];
        allowed[allowed_count++] = answers[i];
    }
    if (allowed_count == 0)
        world_fail("the profile allows none of %u answers", (unsigned) count);
    allowed[0] = allowed[chance_weighted(weights, allowed_count)];
    tally_saw(allowed[0]);
    return allowed[0];
}

#define CHOOSE(...)                                                                                \
    choose((const enum kernel_answer[]){__VA_ARGS__},                                              \
           sizeof((const enum kernel_answer[]){__VA_ARGS__}) / sizeof(enum kernel_answer))

static uint32_t choose_error(bool writes)
{
    uint32_t chosen[KERNEL_ERRORS], count = 0;

    for (uint32_t i = 0; i < KERNEL_ERRORS; i++)
        if (kernel.profile.errors & (1u << i) && !(writes && kernel_errors[i].name == 0))
            chosen[count++] = i;
    if (count == 0)
        world_fail("the profile allows no error");
    return chosen[chance_pick(count)];
}

/* Awkward in all that a correct program need not see. */
#define WAYS                                                                                       \
    [CALL_PROMPT] = 200, [CALL_BLOCKS] = 1, [STATUS_PLAIN] = 2, [STATUS_GARBAGE] = 2,              \
    [STATUS_LEFT] = 2, [CANCEL_WINS] = 2, [CANCEL_LOSES] = 1, [CANCEL_NOT_FOUND] = 1,              \
    [CANCEL_LATE] = 2, [CANCEL_BLUFF] = 1, [GET_ALL] = 2, [GET_FEWER] = 1, [EMPTY_PLAIN] = 1,      \
    [EMPTY_COUNT] = 1, [POST_TAKEN] = 3, [POST_FAILED] = 1, [MODES_SET] = 3, [MODES_REFUSED] = 1,  \
    [SYSTEM_NEW] = 1, [SYSTEM_OLD] = 1, [UNBINDS] = 3

const struct kernel_profile kernel_awkward = {
    .failed_posts_max = 4,
    .weights =
        {WAYS, [IO_TRUE] = 3, [IO_PENDING] = 3, [IO_EARLY] = 1, [END_OK] = 1, [FLUSH_OK] = 1},
};

const struct kernel_profile kernel_hostile = {
    .failed_posts_max = 4,
    .weights =
        {WAYS, [IO_TRUE] = 4, [IO_SHORT] = 2, [IO_WARNING] = 2, [IO_ERROR] = 2, [IO_PENDING] = 4,
         [IO_EARLY] = 2, [END_OK] = 4, [END_SHORT] = 1, [END_WARNING] = 1, [END_NOTICE] = 1,
         [END_ERROR] = 2, [FLUSH_OK] = 3, [FLUSH_ERROR] = 1, [UNBINDS_NOT] = 1},
    .errors = (UINT32_C(1) << KERNEL_ERRORS) - 1,
};

/* --- objects ---------------------------------------------------------------------------------- */

__attribute__((constructor)) static void boot(void)
{
    sync_mutex_init(&kernel.lock);
    sync_cond_init(&kernel.device_work);
    sync_cond_init(&kernel.device_done);
    for (uint32_t i = 0; i < POSTS_MAX; i++) {
        kernel.posts[i].next = kernel.free_posts;
        kernel.free_posts = &kernel.posts[i];
    }
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = device_byte(i);
    kernel_reset(&kernel_awkward);
}

/* What every run leaves behind as it found it is not touched: this is called a million times. */
void kernel_reset(const struct kernel_profile *profile)
{
    for (uint32_t i = 0; i < kernel.object_end; i++)
        if (kernel.objects[i].type != OBJECT_NONE)
            world_fail("handle %u is left open", (unsigned) i);
    kernel.profile = *profile;
    kernel.object_end = 0;
    kernel.resets++;
    kernel.stalls = 0;
    kernel.failed_posts = 0;
    kernel.held = false;
}

bool objects_new_system(void)
{
    return kernel.system == SYSTEM_NEW;
}

bool objects_can_unbind(void)
{
    return kernel.unbinds == UNBINDS;
}

void objects_lock(void)
{
    sync_lock(&kernel.lock);
}

void objects_unlock(void)
{
    sync_unlock(&kernel.lock);
}

static HANDLE handle_of(const struct object *object)
{
    return (HANDLE) (uintptr_t) (HANDLE_FIRST + 4 * (uintptr_t) (object - kernel.objects));
}

HANDLE object_new(enum object_type type, struct object **object_out)
{
    for (uint32_t i = 0; i < OBJECTS_MAX;
         i++) { /* the lowest one: handles are used again at once */
        struct object *object = &kernel.objects[i];

        if (object->type != OBJECT_NONE)
            continue;
        if (i >= kernel.object_end)
            kernel.object_end = i + 1;
        memset(object, 0, sizeof *object);
        object->type = type;
        object->device.fd = -1;
        *object_out = object;
        return handle_of(object);
    }
    return NULL;
}

struct object *object_find(HANDLE handle, enum object_type type)
{
    uintptr_t index = ((uintptr_t) handle - HANDLE_FIRST) / 4;

    if ((uintptr_t) handle % 4 != 0 || index >= OBJECTS_MAX || kernel.objects[index].type != type)
        return NULL;
    return &kernel.objects[index];
}

void object_close(struct object *object)
{
    object->type = OBJECT_NONE;
}

BOOL object_answer(DWORD error)
{
    *world_last_error() = error;
    return error == ERROR_SUCCESS;
}

DWORD WINAPI GetLastError(void)
{
    return *world_last_error();
}

void WINAPI SetLastError(DWORD error)
{
    *world_last_error() = error;
}

/* --- packets ---------------------------------------------------------------------------------- */

static void queue_packet(struct port *port, struct packet *packet)
{
    packet->next = NULL;
    *port->last = packet;
    port->last = &packet->next;
    port->count++;
    if (port->waiting > 0)
        sync_signal(&port->arrived);
}

/* A post that does not come as a file's packet would. */
static bool is_wake(const struct packet *packet)
{
    return packet->io == NULL && packet->key != 0;
}

/* The library promises that at most one is in the queue. */
static void expect_no_wake(const struct port *port)
{
    for (const struct packet *packet = port->first; packet != NULL; packet = packet->next)
        if (is_wake(packet))
            world_fail("a second wake is posted before the first was dequeued");
}

static void post_packet(struct port *port, ULONG_PTR key, OVERLAPPED *overlapped, uint32_t status,
                        uint32_t bytes, struct object *reserve)
{
    struct packet *packet = kernel.free_posts;

    if (packet == NULL)
        world_fail("%u posted packets and nobody dequeues them", POSTS_MAX);
    kernel.free_posts = packet->next;
    *packet = (struct packet){NULL, key, overlapped, status, bytes, NULL, reserve};
    if (is_wake(packet))
        expect_no_wake(port);
    queue_packet(port, packet);
}

/* They cannot all fail for ever. */
static bool post_is_taken(void)
{
    if (kernel.failed_posts < kernel.profile.failed_posts_max &&
        CHOOSE(POST_TAKEN, POST_FAILED) == POST_FAILED) {
        kernel.failed_posts++;
        return false;
    }
    kernel.failed_posts = 0;
    return true;
}

BOOL WINAPI PostQueuedCompletionStatus(HANDLE handle, DWORD bytes, ULONG_PTR key,
                                       LPOVERLAPPED overlapped)
{
    DWORD error = ERROR_SUCCESS;
    struct object *object;

    world_boundary();
    objects_lock();
    object = object_find(handle, OBJECT_PORT);
    if (object == NULL)
        world_fail("a post to a handle that is no port");
    if (post_is_taken())
        post_packet(object->port, key, overlapped, STATUS_SUCCESS, bytes, NULL);
    else
        error = ERROR_NO_SYSTEM_RESOURCES;
    objects_unlock();
    *world_last_error() = error;
    world_boundary();
    return error == ERROR_SUCCESS;
}

LONG NTAPI NtAllocateReserveObject(HANDLE *handle_out, void *attributes, int type)
{
    struct object *object;

    (void) attributes;
    if (type != 1) /* MemoryReserveIoCompletion */
        world_fail("a reserve object of type %d", type);
    objects_lock();
    *handle_out = object_new(OBJECT_RESERVE, &object);
    objects_unlock();
    return *handle_out != NULL ? 0 : (LONG) 0xc000009a;
}

LONG NTAPI NtSetIoCompletionEx(HANDLE handle, HANDLE reserve_handle, void *key, void *overlapped,
                               LONG status, ULONG_PTR bytes)
{
    struct object *object, *reserve;
    LONG answer = 0;

    world_boundary();
    objects_lock();
    object = object_find(handle, OBJECT_PORT);
    reserve = object_find(reserve_handle, OBJECT_RESERVE);
    if (object == NULL || reserve == NULL)
        world_fail("a reserved post without a port or a reserve object");
    if (reserve->queued) {
        answer = (LONG) 0xc000009a; /* its one packet is still under way */
    } else {
        reserve->queued = true;
        post_packet(object->port, (ULONG_PTR) key, overlapped, (uint32_t) status, (uint32_t) bytes,
                    reserve);
    }
    objects_unlock();
    world_boundary();
    return answer;
}

/* --- who owns an op --------------------------------------------------------------------------- */

static void poison(const struct io *io, bool poisoned)
{
    device_poison_bytes(io->packet.overlapped, sizeof(OVERLAPPED), poisoned);
    if (!io->transfer.writes)
        device_poison(&io->transfer, poisoned);
}

/* Of the public op, but for the OVERLAPPED in it: that is the kernel's to write. */
static uint64_t hash_op(const struct io *io)
{
    const unsigned char *op = (const unsigned char *) io->packet.overlapped;

    return device_hash_bytes(0, op + sizeof(OVERLAPPED), OP_SIZE - sizeof(OVERLAPPED));
}

static struct io *find_io(const OVERLAPPED *overlapped)
{
    for (uint32_t i = 0; i < kernel.io_end; i++)
        if (kernel.ios[i].state != IO_UNUSED && kernel.ios[i].packet.overlapped == overlapped)
            return &kernel.ios[i];
    return NULL;
}

static struct io *new_io(struct object *file, const struct transfer *transfer,
                         OVERLAPPED *overlapped)
{
    struct io *io = kernel.ios;

    if (find_io(overlapped) != NULL)
        world_fail("a call with an OVERLAPPED that the kernel still owns");
    while (io->state != IO_UNUSED)
        if (++io == kernel.ios + IOS_MAX)
            world_fail("more than %u ops in flight", IOS_MAX);
    if (io == kernel.ios + kernel.io_end)
        kernel.io_end++;
    io->packet = (struct packet){.key = file->key, .overlapped = overlapped, .io = io};
    io->state = IO_IN_CALL;
    io->file = file;
    io->transfer = *transfer;
    if (transfer->segments != NULL) {
        memcpy(io->segments, transfer->segments,
               transfer->size / sync_page_size() * sizeof io->segments[0]);
        io->transfer.segments = io->segments;
    }
    io->cancelled = false;
    io->urgent = false;
    /* Relaxed: the caller looks at it without the lock, so that the lock hides no race. */
    atomic_store_explicit(&io->number, ++kernel.io_number, memory_order_relaxed);
    file->in_flight++;
    return io;
}

static void end_io(struct io *io)
{
    io->file->in_flight--;
    io->state = IO_UNUSED;
    atomic_store_explicit(&io->number, 0, memory_order_relaxed);
    while (kernel.io_end > 0 && kernel.ios[kernel.io_end - 1].state == IO_UNUSED)
        kernel.io_end--;
}

/* From here on until its packet is dequeued it is the kernel's. */
static void own(struct io *io, enum io_state state)
{
    OVERLAPPED *overlapped = io->packet.overlapped;

    io->state = state;
    io->op_hash = hash_op(io);
    overlapped->Offset = 0xa5a5a5a5u;
    overlapped->OffsetHigh = 0x5a5a5a5au;
    overlapped->hEvent = (HANDLE) (uintptr_t) 0xdeadbeefu;
    if (!io->transfer.writes && state == IO_IN_DEVICE)
        device_scribble(&io->transfer, &io->saved);
    io->data_hash = device_hash(&io->transfer);
    poison(io, true);
}

static void expect_data_untouched(const struct io *io)
{
    if (device_hash(&io->transfer) != io->data_hash)
        world_fail("the data of a %s was touched while the kernel owned it",
                   io->transfer.writes ? "write" : "read");
}

static void expect_overlapped_untouched(const struct io *io)
{
    const OVERLAPPED *overlapped = io->packet.overlapped;

    if (overlapped->Offset != 0xa5a5a5a5u || overlapped->OffsetHigh != 0x5a5a5a5au ||
        overlapped->hEvent != (HANDLE) (uintptr_t) 0xdeadbeefu)
        world_fail("an OVERLAPPED was touched while the kernel owned it");
}

/* The packet is dequeued: the op is the caller's again. */
static void disown(struct io *io)
{
    poison(io, false);
    if (hash_op(io) != io->op_hash)
        world_fail("an op was touched while the kernel owned it");
    expect_overlapped_untouched(io);
    expect_data_untouched(io);
    end_io(io);
}

/* Where the verdict on this OVERLAPPED is, or goes. */
static uint32_t verdict_place(const OVERLAPPED *overlapped)
{
    uint32_t place = (uint32_t) ((uintptr_t) overlapped / 128) % VERDICTS;

    for (uint32_t i = 0; i < VERDICTS; i++, place = (place + 1) % VERDICTS)
        if (kernel.verdicts[place].overlapped == overlapped ||
            kernel.verdicts[place].resets != kernel.resets)
            return place;
    world_fail("more than %u ops", VERDICTS);
}

static void set_verdict(const OVERLAPPED *overlapped, uint32_t error, uint32_t bytes)
{
    uint32_t place = verdict_place(overlapped);

    kernel.verdicts[place].overlapped = overlapped;
    kernel.verdicts[place].verdict = (struct kernel_verdict){error, bytes};
    kernel.verdicts[place].resets = kernel.resets;
    if (error == ERROR_NO_SYSTEM_RESOURCES)
        tally_saw(SAW_1450);
    if (error == ERROR_WORKING_SET_QUOTA)
        tally_saw(SAW_1453);
}

bool kernel_last_verdict(const void *overlapped, struct kernel_verdict *verdict_out)
{
    uint32_t place;
    bool found;

    objects_lock();
    place = verdict_place(overlapped);
    found = kernel.verdicts[place].overlapped == overlapped &&
            kernel.verdicts[place].resets == kernel.resets;
    *verdict_out = kernel.verdicts[place].verdict;
    objects_unlock();
    return found;
}

/* --- the device ------------------------------------------------------------------------------- */

/* Moves what the answer lets it move. */
static void move(struct io *io, enum kernel_answer answer)
{
    uint32_t limit = io->transfer.size;

    if (answer == IO_SHORT || answer == IO_WARNING || answer == END_SHORT || answer == END_WARNING)
        limit = 1 + chance_pick(2) * (limit - 2);
    io->packet.status = device_move(&io->file->device, &io->transfer, limit, &io->packet.bytes);
    if (io->packet.status == STATUS_SUCCESS && answer == END_NOTICE)
        io->packet.status = STATUS_NOTIFY_ENUM_DIR;
    if (io->packet.status == STATUS_SUCCESS && (answer == IO_WARNING || answer == END_WARNING))
        io->packet.status = STATUS_BUFFER_OVERFLOW;
}

static bool is_plain(const struct io *io)
{
    return io->transfer.size < 3 || io->transfer.segments != NULL ||
           io->file->device.type == DEVICE_PIPE;
}

/* What was decided becomes a packet. */
static void queue_io(struct io *io)
{
    OVERLAPPED *overlapped = io->packet.overlapped;

    overlapped->Internal = io->packet.status;
    overlapped->InternalHigh = io->packet.bytes;
    if (CHOOSE(STATUS_PLAIN, STATUS_GARBAGE) == STATUS_GARBAGE)
        overlapped->Internal |= GARBAGE(io->number);
    set_verdict(overlapped, status_to_error(io->packet.status), io->packet.bytes);
    own(io, IO_QUEUED);
    queue_packet(io->file->port, &io->packet);
}

static enum kernel_answer choose_end(const struct io *io)
{
    if (is_plain(io))
        return CHOOSE(END_OK, END_ERROR);
    if (io->transfer.writes)
        return CHOOSE(END_OK, END_SHORT, END_NOTICE, END_ERROR);
    return CHOOSE(END_OK, END_SHORT, END_WARNING, END_NOTICE, END_ERROR);
}

static void complete(struct io *io)
{
    enum kernel_answer answer = END_OK;
    uint64_t op_hash = io->op_hash;

    poison(io, false);
    expect_overlapped_untouched(io);
    expect_data_untouched(io);
    if (!io->transfer.writes)
        device_unscribble(&io->transfer, &io->saved);
    if (io->cancelled) {
        tally_saw(SAW_CANCELLED);
        io->packet.status = STATUS_CANCELLED;
        io->packet.bytes = 0;
    } else {
        answer = choose_end(io);
        if (answer == END_ERROR) {
            io->packet.status = kernel_errors[choose_error(io->transfer.writes)].status;
            io->packet.bytes = 0;
        } else {
            move(io, answer);
        }
    }
    queue_io(io);
    io->op_hash = op_hash; /* since it was submitted, not since now */
}

static bool can_complete(const struct io *io)
{
    return io->state == IO_IN_DEVICE &&
           (io->cancelled || (!kernel.held && device_is_ready(&io->file->device, &io->transfer)));
}

#define CANDIDATES 64u

/* What could complete now, the oldest first; of one port or of all. */
static uint32_t list_candidates(const struct port *port, struct io *candidates[CANDIDATES])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < kernel.io_end && count < CANDIDATES; i++) {
        struct io *io = &kernel.ios[i];
        uint32_t at = count;

        if (!can_complete(io) || (port != NULL && io->file->port != port))
            continue;
        for (; at > 0 && candidates[at - 1]->number > io->number; at--)
            candidates[at] = candidates[at - 1];
        candidates[at] = io;
        count++;
    }
    return count;
}

static void complete_one_of(struct io *candidates[], uint32_t index)
{
    if (index > 0)
        tally_saw(SAW_REORDERED);
    complete(candidates[index]);
}

/* Without a device thread: what has the device done since somebody looked? */
static void catch_up(const struct port *port)
{
    struct io *candidates[CANDIDATES];

    for (;;) {
        uint32_t count = list_candidates(port, candidates);
        uint32_t index = chance_pick(count + 1);

        if (index == count)
            return;
        complete_one_of(candidates, index);
    }
}

bool kernel_idle(bool may_refuse)
{
    struct io *candidates[CANDIDATES];
    uint32_t count = list_candidates(NULL, candidates);
    uint32_t index;

    if (count == 0)
        return false;
    index = chance_pick(count + may_refuse);
    if (index == count)
        return false;
    complete_one_of(candidates, index);
    return true;
}

static void run_device(void *unused)
{
    struct io *candidates[CANDIDATES];

    (void) unused;
    objects_lock();
    while (!kernel.device_stops) {
        uint32_t count = list_candidates(NULL, candidates);
        uint32_t index = 0;

        if (count == 0) {
            sync_wait(&kernel.device_work, &kernel.lock, SYNC_NEVER);
            continue;
        }
        while (index < count && !candidates[index]->urgent)
            index++;
        if (index == count) {
            bool late = chance_one_in(3);

            index = chance_pick(count);
            if (late) { /* and choose again: more may have come */
                objects_unlock();
                world_sleep(INT64_C(20000));
                objects_lock();
                continue;
            }
        }
        complete_one_of(candidates, index);
        sync_broadcast(&kernel.device_done);
        if (chance_one_in(2)) { /* else a batch */
            objects_unlock();
            world_boundary();
            objects_lock();
        }
    }
    objects_unlock();
}

void kernel_hold(bool hold)
{
    objects_lock();
    kernel.held = hold;
    sync_signal(&kernel.device_work);
    objects_unlock();
}

uint64_t kernel_stalls(void)
{
    uint64_t stalls;

    objects_lock();
    stalls = kernel.stalls;
    objects_unlock();
    return stalls;
}

uint32_t kernel_owned(void)
{
    uint32_t count = 0;

    objects_lock();
    for (uint32_t i = 0; i < kernel.io_end; i++)
        count += kernel.ios[i].state != IO_UNUSED;
    objects_unlock();
    return count;
}

/* --- reads and writes ------------------------------------------------------------------------- */

static void check_call(const struct object *file, const struct transfer *transfer,
                       const OVERLAPPED *overlapped)
{
    if (file->synchronous || file->port == NULL || overlapped == NULL)
        world_fail("I/O on a handle that is not bound to a port");
    if (overlapped->hEvent != NULL)
        world_fail("an OVERLAPPED with an event");
    if (transfer->offset > INT64_MAX)
        world_fail("offset 0x%llx", (unsigned long long) transfer->offset);
    if (file->direct &&
        ((transfer->offset | transfer->size | (uintptr_t) transfer->data) % 512) != 0)
        world_fail("a direct file's I/O is not aligned");
    if (transfer->segments != NULL && (!file->direct || transfer->size % sync_page_size() != 0))
        world_fail("scattered I/O that Windows would not take");
}

/* The call itself knows the outcome. */
static DWORD answer_now(struct io *io, LPDWORD moved, DWORD error)
{
    OVERLAPPED *overlapped = io->packet.overlapped;
    bool packet = !(io->file->modes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
    uint32_t bytes = io->packet.bytes;

    if (error != ERROR_SUCCESS && error != ERROR_MORE_DATA) {
        set_verdict(overlapped, error, 0);
        end_io(io); /* Internal stays as it is */
        return error;
    }
    if (moved != NULL && error == ERROR_SUCCESS)
        *moved = bytes;
    if (packet) {
        tally_saw(error == ERROR_SUCCESS ? SAW_TRUE_PACKET : SAW_WARNING_PACKET);
        queue_io(io);
        return error;
    }
    tally_saw(error == ERROR_SUCCESS ? SAW_TRUE_SKIPPED : SAW_WARNING_SKIPPED);
    set_verdict(overlapped, error, bytes);
    if (moved == NULL || error != ERROR_SUCCESS ||
        CHOOSE(STATUS_PLAIN, STATUS_GARBAGE, STATUS_LEFT) != STATUS_LEFT) {
        overlapped->Internal = GARBAGE(io->number) | io->packet.status;
        overlapped->InternalHigh = bytes;
    }
    end_io(io);
    return error;
}

static DWORD leave_pending(struct io *io, bool early)
{
    uint64_t number = io->number;

    own(io, IO_IN_DEVICE);
    if (early && !world_has_device_thread)
        complete(io);
    io->urgent = early;
    sync_signal(&kernel.device_work);
    while (early && io->number == number && io->state == IO_IN_DEVICE)
        sync_wait(&kernel.device_done, &kernel.lock, SYNC_NEVER);
    return ERROR_IO_PENDING;
}

static enum kernel_answer choose_answer(const struct io *io)
{
    if (!device_is_ready(&io->file->device, &io->transfer))
        return CHOOSE(IO_PENDING);
    if (is_plain(io))
        return CHOOSE(IO_TRUE, IO_ERROR, IO_PENDING, IO_EARLY);
    if (io->transfer.writes)
        return CHOOSE(IO_TRUE, IO_SHORT, IO_ERROR, IO_PENDING, IO_EARLY);
    return CHOOSE(IO_TRUE, IO_SHORT, IO_WARNING, IO_ERROR, IO_PENDING, IO_EARLY);
}

static DWORD answer_io(struct io *io, LPDWORD moved)
{
    enum kernel_answer answer = choose_answer(io);

    if (answer == IO_PENDING || answer == IO_EARLY)
        return leave_pending(io, answer == IO_EARLY);
    if (answer == IO_ERROR) {
        uint32_t index = choose_error(io->transfer.writes);

        tally_error(index);
        return answer_now(io, moved, kernel_errors[index].error);
    }
    move(io, answer);
    return answer_now(io, moved, status_to_error(io->packet.status));
}

/* The low bit of the event: whoever asks like this waits for the event. It is set at once. */
static BOOL start_without_packet(struct object *file, const struct transfer *transfer,
                                 OVERLAPPED *overlapped)
{
    uint32_t moved = 0, status;

    status = device_move(&file->device, transfer, transfer->size, &moved);
    overlapped->Internal = status;
    overlapped->InternalHigh = moved;
    objects_unlock();
    return object_answer(ERROR_IO_PENDING);
}

BOOL WINAPI GetOverlappedResult(HANDLE file, LPOVERLAPPED overlapped, LPDWORD moved, BOOL wait)
{
    (void) file;
    (void) wait;
    if (!((uintptr_t) overlapped->hEvent & 1))
        world_fail("GetOverlappedResult of I/O that has a packet");
    *moved = (DWORD) overlapped->InternalHigh;
    return object_answer(status_to_error((uint32_t) overlapped->Internal));
}

static BOOL start_io(HANDLE handle, struct transfer transfer, LPDWORD moved,
                     LPOVERLAPPED overlapped)
{
    struct object *file;
    struct io *io;
    uint64_t number;
    DWORD error;

    world_boundary();
    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL)
        world_fail("I/O on a handle that is no file");
    transfer.offset = overlapped->Offset | (uint64_t) overlapped->OffsetHigh << 32;
    if ((uintptr_t) overlapped->hEvent & 1)
        return start_without_packet(file, &transfer, overlapped);
    check_call(file, &transfer, overlapped);
    if (moved != NULL)
        *moved = 0;
    if (!(transfer.writes ? file->writes : file->reads)) {
        objects_unlock();
        return object_answer(ERROR_ACCESS_DENIED);
    }
    io = new_io(file, &transfer, overlapped);
    number = io->number;
    overlapped->Internal = STATUS_PENDING;
    overlapped->InternalHigh = 0;
    if (CHOOSE(CALL_PROMPT, CALL_BLOCKS) == CALL_BLOCKS) {
        kernel.stalls++;
        objects_unlock();
        world_sleep(BLOCK_NS);
        objects_lock();
    }
    error = answer_io(io, moved);
    objects_unlock();
    *world_last_error() = error;
    world_boundary();
    if (error == ERROR_IO_PENDING &&
        atomic_load_explicit(&io->number, memory_order_relaxed) != number)
        tally_saw(SAW_OVERTAKEN);
    return error == ERROR_SUCCESS;
}

BOOL WINAPI ReadFile(HANDLE file, LPVOID data, DWORD size, LPDWORD moved, LPOVERLAPPED overlapped)
{
    return start_io(file, (struct transfer){.data = data, .size = size}, moved, overlapped);
}

BOOL WINAPI WriteFile(HANDLE file, LPCVOID data, DWORD size, LPDWORD moved, LPOVERLAPPED overlapped)
{
    return start_io(
        file, (struct transfer){.writes = true, .data = (void *) (uintptr_t) data, .size = size},
        moved, overlapped);
}

BOOL WINAPI ReadFileScatter(HANDLE file, FILE_SEGMENT_ELEMENT segments[], DWORD size,
                            LPDWORD reserved, LPOVERLAPPED overlapped)
{
    (void) reserved;
    return start_io(file, (struct transfer){.segments = segments, .size = size}, NULL, overlapped);
}

BOOL WINAPI WriteFileGather(HANDLE file, FILE_SEGMENT_ELEMENT segments[], DWORD size,
                            LPDWORD reserved, LPOVERLAPPED overlapped)
{
    (void) reserved;
    return start_io(file, (struct transfer){.writes = true, .segments = segments, .size = size},
                    NULL, overlapped);
}

/* Of a pipe that this kernel has, the client is there already. */
BOOL WINAPI ConnectNamedPipe(HANDLE handle, LPOVERLAPPED overlapped)
{
    struct transfer nothing = {.size = 0};
    struct object *file;
    struct io *io;

    world_boundary();
    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL || file->device.type != DEVICE_PIPE)
        world_fail("ConnectNamedPipe on a handle that is no pipe");
    check_call(file, &nothing, overlapped);
    io = new_io(file, &nothing, overlapped);
    tally_saw(SAW_CONNECTED);
    set_verdict(overlapped, ERROR_PIPE_CONNECTED, 0);
    end_io(io);
    objects_unlock();
    *world_last_error() = ERROR_PIPE_CONNECTED;
    world_boundary();
    return FALSE;
}

/* --- cancelling ------------------------------------------------------------------------------- */

static DWORD cancel(struct io *io)
{
    enum kernel_answer answer;

    if (io->state != IO_IN_DEVICE) {
        answer = CHOOSE(CANCEL_LATE, CANCEL_BLUFF);
        return answer == CANCEL_LATE ? ERROR_NOT_FOUND : ERROR_SUCCESS;
    }
    if (!can_complete(io)) /* only a cancel ends it, so that is what it does */
        answer = CHOOSE(CANCEL_WINS);
    else
        answer = CHOOSE(CANCEL_WINS, CANCEL_LOSES, CANCEL_NOT_FOUND);
    if (answer == CANCEL_NOT_FOUND)
        return ERROR_NOT_FOUND;
    if (answer == CANCEL_WINS) {
        io->cancelled = true;
        sync_signal(&kernel.device_work);
    }
    return ERROR_SUCCESS;
}

BOOL WINAPI CancelIoEx(HANDLE handle, LPOVERLAPPED overlapped)
{
    DWORD error = ERROR_NOT_FOUND;
    struct object *file;
    struct io *io;

    world_boundary();
    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL || overlapped == NULL)
        world_fail("a cancel of all, or on a handle that is no file");
    io = find_io(overlapped);
    if (io != NULL && io->file == file && io->state != IO_IN_CALL)
        error = cancel(io);
    objects_unlock();
    *world_last_error() = error;
    world_boundary();
    return error == ERROR_SUCCESS;
}

/* --- dequeueing ------------------------------------------------------------------------------- */

static void fill_entry(struct port *port, OVERLAPPED_ENTRY *entry)
{
    struct packet *packet = port->first;

    port->first = packet->next;
    if (port->first == NULL)
        port->last = &port->first;
    port->count--;
    *entry = (OVERLAPPED_ENTRY){packet->key, packet->overlapped,
                                GARBAGE(port->count) | packet->status, packet->bytes};
    if (packet->reserve != NULL)
        packet->reserve->queued = false;
    if (packet->io != NULL) {
        disown(packet->io);
    } else {
        packet->next = kernel.free_posts;
        kernel.free_posts = packet;
    }
}

static ULONG dequeue(struct port *port, OVERLAPPED_ENTRY entries[], ULONG room)
{
    ULONG count = port->count < room ? port->count : room;
    ULONG failed = 0;

    if (count > 1 && CHOOSE(GET_ALL, GET_FEWER) == GET_FEWER)
        count = 1 + chance_pick(count - 1);
    for (ULONG i = 0; i < count; i++) {
        fill_entry(port, &entries[i]);
        failed += (uint32_t) entries[i].Internal >= 0xc0000000u;
    }
    if (count > 1)
        tally_saw(SAW_BATCH);
    if (failed > 0 && failed < count)
        tally_saw(SAW_MIXED_BATCH);
    return count;
}

/* What a FALSE leaves behind: a count, and an entry of an op that is still the kernel's. */
static void leave_rubbish(OVERLAPPED_ENTRY *entry)
{
    OVERLAPPED *overlapped = (OVERLAPPED *) (uintptr_t) 0xdeadbeef;

    for (uint32_t i = 0; i < kernel.io_end; i++)
        if (kernel.ios[i].state == IO_IN_DEVICE)
            overlapped = kernel.ios[i].packet.overlapped;
    *entry = (OVERLAPPED_ENTRY){0, overlapped, 0, 1};
}

BOOL WINAPI GetQueuedCompletionStatusEx(HANDLE handle, LPOVERLAPPED_ENTRY entries, ULONG room,
                                        PULONG removed, DWORD timeout_ms, BOOL alertable)
{
    int64_t deadline_ns =
        timeout_ms == INFINITE ? SYNC_NEVER : sync_deadline_ns((int64_t) timeout_ms * 1000000);
    struct object *object;
    struct port *port;
    ULONG count = 0;
    bool in_time = timeout_ms > 0;

    world_boundary();
    objects_lock();
    object = object_find(handle, OBJECT_PORT);
    if (object == NULL || room == 0 || alertable)
        world_fail("GetQueuedCompletionStatusEx is called wrongly");
    port = object->port;
    if (!world_has_device_thread)
        catch_up(port);
    while (port->first == NULL && in_time) {
        tally_saw(SAW_WAIT);
        port->waiting++;
        in_time = sync_wait(&port->arrived, &kernel.lock, deadline_ns);
        port->waiting--;
    }
    memset(entries, 0xa5, room * sizeof entries[0]);
    count = dequeue(port, entries, room);
    *removed = count;
    if (count == 0 && CHOOSE(EMPTY_PLAIN, EMPTY_COUNT) == EMPTY_COUNT) {
        leave_rubbish(&entries[0]);
        *removed = 1;
    }
    objects_unlock();
    *world_last_error() = count > 0 ? ERROR_SUCCESS : WAIT_TIMEOUT;
    world_boundary();
    return count > 0;
}

/* --- ports and files -------------------------------------------------------------------------- */

static void choose_system(void)
{
    kernel.system = CHOOSE(SYSTEM_NEW, SYSTEM_OLD);
    kernel.unbinds = CHOOSE(UNBINDS, UNBINDS_NOT);
}

static HANDLE new_port(void)
{
    struct object *object;
    HANDLE handle = object_new(OBJECT_PORT, &object);
    struct port *port = kernel.ports;

    if (handle == NULL)
        return NULL;
    while (port->object != NULL)
        if (++port == kernel.ports + PORTS_MAX)
            world_fail("more than %u ports", PORTS_MAX);
    *port = (struct port){.object = object, .last = &port->first};
    sync_cond_init(&port->arrived);
    object->port = port;
    if (kernel.port_count == 0)
        choose_system();
    if (kernel.port_count++ == 0 && world_has_device_thread) {
        kernel.device_stops = false;
        if (sync_thread_start(&kernel.device, run_device, NULL) < 0)
            world_fail("no thread for the device");
    }
    return handle;
}

static void close_port(struct object *object)
{
    struct port *port = object->port;
    bool last = --kernel.port_count == 0;

    if (port->waiting > 0)
        world_fail("a port is closed while %u threads wait", (unsigned) port->waiting);
    while (port->first != NULL) {
        OVERLAPPED_ENTRY entry;

        if (!is_wake(port->first))
            world_fail("a port is closed with packets in it");
        fill_entry(port, &entry);
    }
    for (uint32_t i = 0; i < kernel.io_end; i++)
        if (kernel.ios[i].state != IO_UNUSED && kernel.ios[i].file->port == port)
            world_fail("a port is closed while the kernel owns ops that belong to it");
    sync_cond_destroy(&port->arrived);
    port->object = NULL;
    object_close(object);
    if (last && world_has_device_thread) {
        kernel.device_stops = true;
        sync_signal(&kernel.device_work);
        objects_unlock();
        sync_thread_join(&kernel.device);
        objects_lock();
    }
}

HANDLE WINAPI CreateIoCompletionPort(HANDLE handle, HANDLE port_handle, ULONG_PTR key,
                                     DWORD threads)
{
    DWORD error = ERROR_SUCCESS;
    struct object *file, *port;

    (void) threads;
    objects_lock();
    if (handle == INVALID_HANDLE_VALUE) {
        port_handle = new_port();
        if (port_handle == NULL)
            error = ERROR_NO_SYSTEM_RESOURCES;
    } else {
        file = object_find(handle, OBJECT_FILE);
        port = object_find(port_handle, OBJECT_PORT);
        if (file == NULL || port == NULL) {
            error = ERROR_INVALID_HANDLE;
        } else if (file->synchronous || file->port != NULL) {
            error = ERROR_INVALID_PARAMETER;
        } else {
            file->port = port->port;
            file->key = key;
        }
    }
    objects_unlock();
    object_answer(error);
    return error == ERROR_SUCCESS ? port_handle : NULL;
}

BOOL WINAPI SetFileCompletionNotificationModes(HANDLE handle, UCHAR modes)
{
    DWORD error = ERROR_SUCCESS;
    struct object *file;

    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL)
        error = ERROR_INVALID_HANDLE;
    else if (CHOOSE(MODES_SET, MODES_REFUSED) == MODES_REFUSED)
        error = ERROR_INVALID_PARAMETER;
    else
        file->modes |= modes; /* they cannot be taken back */
    objects_unlock();
    return object_answer(error);
}

BOOL WINAPI FlushFileBuffers(HANDLE handle)
{
    DWORD error = ERROR_SUCCESS;
    struct object *file;

    world_boundary();
    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL)
        world_fail("a flush of a handle that is no file");
    if (!file->writes)
        error = ERROR_ACCESS_DENIED;
    else if (CHOOSE(FLUSH_OK, FLUSH_ERROR) == FLUSH_ERROR)
        error = kernel_errors[choose_error(true)].error;
    set_verdict(handle, error, 0);
    objects_unlock();
    *world_last_error() = error;
    world_boundary();
    return error == ERROR_SUCCESS;
}

static void close_file(struct object *file)
{
    if (file->in_flight > 0)
        world_fail("a file is closed while the kernel owns %u ops of it",
                   (unsigned) file->in_flight);
    if (file->device.type == DEVICE_POSIX)
        close(file->device.fd);
    else /* memory, or a pipe */
        memory_used[(size_t) (file->device.bytes - memory[0]) / DEVICE_MEMORY_MAX] = false;
    object_close(file);
}

BOOL WINAPI CloseHandle(HANDLE handle)
{
    struct object *object;
    DWORD error = ERROR_SUCCESS;

    world_boundary();
    objects_lock();
    if ((object = object_find(handle, OBJECT_FILE)) != NULL)
        close_file(object);
    else if ((object = object_find(handle, OBJECT_PORT)) != NULL)
        close_port(object);
    else if ((object = object_find(handle, OBJECT_RESERVE)) != NULL ||
             (object = object_find(handle, OBJECT_EVENT)) != NULL)
        object_close(object);
    else
        error = ERROR_INVALID_HANDLE;
    objects_unlock();
    return object_answer(error);
}

static HANDLE open_bytes(size_t size, bool pipe)
{
    struct object *file;
    HANDLE handle;
    uint32_t place = 0;

    objects_lock();
    handle = object_new(OBJECT_FILE, &file);
    while (place < 64 && memory_used[place])
        place++;
    if (handle == NULL || place == 64 || size > DEVICE_MEMORY_MAX)
        world_fail("no room for %zu bytes of memory", size);
    memory_used[place] = true;
    file->device = (struct device){
        .type = pipe ? DEVICE_PIPE : DEVICE_MEMORY, .fd = -1, .bytes = memory[place], .size = size};
    memcpy(memory[place], pattern, size);
    file->reads = true;
    file->writes = !pipe;
    objects_unlock();
    return handle;
}

void *kernel_open_memory(size_t size)
{
    return open_bytes(size, false);
}

uint8_t kernel_byte(uint64_t position)
{
    return device_byte(position);
}

void *kernel_open_pipe(void)
{
    return open_bytes(0, true);
}

void kernel_make_synchronous(void *handle)
{
    objects_lock();
    object_find(handle, OBJECT_FILE)->synchronous = true;
    objects_unlock();
}

void kernel_make_direct(void *handle)
{
    objects_lock();
    object_find(handle, OBJECT_FILE)->direct = true;
    objects_unlock();
}

void kernel_refuse_modes(void)
{
    objects_lock();
    kernel.profile.weights[MODES_SET] = 0;
    kernel.profile.weights[MODES_REFUSED] = 1;
    objects_unlock();
}

static struct device *lock_pipe(void *handle)
{
    struct object *file;

    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    if (file == NULL || file->device.type != DEVICE_PIPE)
        world_fail("this is no pipe");
    return &file->device;
}

void kernel_pipe_write(void *handle, const void *data, size_t size)
{
    struct device *pipe = lock_pipe(handle);

    if (size > DEVICE_PIPE_MAX - pipe->size)
        world_fail("the pipe is full");
    memcpy(pipe->bytes + pipe->size, data, size);
    pipe->size += size;
    sync_signal(&kernel.device_work);
    objects_unlock();
}

void kernel_pipe_drain(void *handle, size_t size)
{
    struct device *pipe = lock_pipe(handle);

    if (size > pipe->size)
        world_fail("the pipe holds only %zu bytes", pipe->size);
    memmove(pipe->bytes, pipe->bytes + size, pipe->size - size);
    pipe->size -= size;
    objects_unlock();
}

void kernel_pipe_hang_up(void *handle)
{
    lock_pipe(handle)->hung_up = true;
    sync_signal(&kernel.device_work);
    objects_unlock();
}

bool kernel_pipe_is_open(void *handle)
{
    struct object *file;
    bool open;

    objects_lock();
    file = object_find(handle, OBJECT_FILE);
    open = file != NULL && file->device.type == DEVICE_PIPE;
    objects_unlock();
    return open;
}
