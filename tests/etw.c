/* SPDX-License-Identifier: MIT */
#include "etw.h"

#include "check.h"
#include "sync.h"

#include <string.h>

#define NO_SYSTEM_RESOURCES 8u
#define CAPTURED_STATE      2u

struct etw_counts etw_counts;

/* Written under the lock, but for the session's wishes, which writers look at without it. */
static struct sync_mutex lock;
static GUID provider;
static PENABLECALLBACK callback;
static void *context;
static _Atomic uint64_t registered; /* 0: nobody */
static uint64_t handles;
static unsigned char traits[64];
static _Atomic uint32_t traits_size; /* 0: SetTraits was not called */
static bool traits_refused;
static bool state_asked;

static _Atomic(etw_handler *) handler; /* NULL: no session */
static _Atomic uint32_t level;
static _Atomic uint64_t any, all;
static _Atomic uint32_t fail_interval;

static void take_lock(void)
{
    static _Atomic uint32_t state;
    uint32_t never = 0;

    if (atomic_compare_exchange_strong(&state, &never, 1)) {
        sync_mutex_init(&lock);
        atomic_store(&state, 2);
    }
    while (atomic_load(&state) != 2) {
    }
    sync_lock(&lock);
}

/* --- decoding, from the layout ---------------------------------------------------------------- */

struct reader {
    const unsigned char *at, *end;
};

static uint64_t take(struct reader *reader, uint32_t size)
{
    uint64_t value = 0;

    REOP_CHECK(size <= (size_t) (reader->end - reader->at), "etw: an event ends in its middle");
    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t) reader->at[i] << 8 * i;
    reader->at += size;
    return value;
}

static void take_name(struct reader *reader, char name[32])
{
    size_t room = (size_t) (reader->end - reader->at);
    const unsigned char *end = memchr(reader->at, 0, room);

    REOP_CHECK(end != NULL, "etw: a name without an end");
    REOP_CHECK(end > reader->at && end - reader->at < 32, "etw: a name of %d bytes",
               (int) (end - reader->at));
    memcpy(name, reader->at, (size_t) (end - reader->at) + 1);
    reader->at = end + 1;
}

/* Its first two bytes say how long it is. */
static struct reader open_metadata(const void *metadata, uint32_t size)
{
    struct reader reader = {metadata, (const unsigned char *) metadata + size};

    REOP_CHECK(take(&reader, 2) == size, "etw: metadata of another size than it says");
    return reader;
}

void etw_decode_metadata(const void *metadata, uint32_t size, struct etw_event *event)
{
    struct reader reader = open_metadata(metadata, size);

    while (take(&reader, 1) & 0x80) { /* the tag's bytes, but for the last */
    }
    take_name(&reader, event->name);
    event->field_count = 0;
    while (reader.at < reader.end) {
        struct etw_field *field = &event->fields[event->field_count++];

        REOP_CHECK(event->field_count <= ETW_FIELDS_MAX, "etw: %s has too many fields",
                   event->name);
        take_name(&reader, field->name);
        field->in = (uint8_t) take(&reader, 1);
        field->out = field->in & 0x80 ? (uint8_t) take(&reader, 1) : 0;
        field->in &= 0x7f;
        REOP_CHECK(field->out < 0x80, "etw: %s has a tag, which nobody writes", field->name);
    }
}

/* In: 3 i8, 4 u8, 5 i16, 6 u16, 7 i32, 8 u32, 9 i64, 10 u64, 20 hex32, 21 hex64. */
static void take_value(struct reader *reader, struct etw_field *field)
{
    static const uint8_t sizes[] = {[3] = 1, [4] = 1, [5] = 2,  [6] = 2,  [7] = 4,
                                    [8] = 4, [9] = 8, [10] = 8, [20] = 4, [21] = 8};
    uint32_t size = field->in < sizeof sizes ? sizes[field->in] : 0;

    REOP_CHECK(size != 0, "etw: %s is of type %u, which is not one of ours", field->name,
               (unsigned) field->in);
    field->value = take(reader, size);
    if (field->in < 10 && field->in % 2 == 1 && size < 8) /* signed */
        field->value =
            (field->value ^ (UINT64_C(1) << (8 * size - 1))) - (UINT64_C(1) << (8 * size - 1));
}

static const void *bytes_of(const EVENT_DATA_DESCRIPTOR *data)
{
    return (const void *) (uintptr_t) data->Ptr;
}

static void decode(const EVENT_DATA_DESCRIPTOR *data, ULONG count, struct etw_event *event)
{
    struct reader name, payload;

    REOP_CHECK(count == 3 && data[0].Reserved == 2 && data[1].Reserved == 1 &&
                   data[2].Reserved == 0,
               "etw: not a provider, an event and a payload");
    REOP_CHECK(data[0].Size == traits_size && memcmp(bytes_of(&data[0]), traits, traits_size) == 0,
               "etw: not the provider of SetTraits");
    name = open_metadata(bytes_of(&data[0]), data[0].Size);
    take_name(&name, event->provider);
    etw_decode_metadata(bytes_of(&data[1]), data[1].Size, event);
    payload.at = bytes_of(&data[2]);
    payload.end = payload.at + data[2].Size;
    for (uint32_t i = 0; i < event->field_count; i++)
        take_value(&payload, &event->fields[i]);
    REOP_CHECK(payload.at == payload.end, "etw: %s has bytes behind the last field", event->name);
}

uint64_t etw_value(const struct etw_event *event, const char *name)
{
    uint32_t i = 0;

    while (i < event->field_count && strcmp(event->fields[i].name, name) != 0)
        i++;
    REOP_CHECK(i < event->field_count, "etw: %s has no field %s", event->name, name);
    return event->fields[i].value;
}

/* --- the calls -------------------------------------------------------------------------------- */

/* The lock is held. */
static void tell(ULONG control)
{
    callback(&provider, control, (UCHAR) level, any, all, NULL, context);
}

ULONG EVNTAPI EventRegister(LPCGUID guid, PENABLECALLBACK new_callback, PVOID new_context,
                            PREGHANDLE handle_out)
{
    take_lock();
    REOP_CHECK(registered == 0, "etw: registered twice");
    provider = *guid;
    callback = new_callback;
    context = new_context;
    traits_size = 0;
    if (handler != NULL)
        tell(1);
    if (state_asked)
        tell(CAPTURED_STATE);
    state_asked = false;
    *handle_out = ++handles;
    registered = handles;
    etw_counts.registered++;
    sync_unlock(&lock);
    return 0;
}

ULONG EVNTAPI EventUnregister(REGHANDLE handle)
{
    take_lock();
    REOP_CHECK(handle == registered, "etw: unregisters what is not registered");
    if (handler != NULL) { /* a session may come, and ask, until the last moment */
        tell(1);
        tell(CAPTURED_STATE);
    }
    registered = 0;
    etw_counts.unregistered++;
    sync_unlock(&lock);
    return 0;
}

ULONG EVNTAPI EventSetInformation(REGHANDLE handle, EVENT_INFO_CLASS class, PVOID information,
                                  ULONG size)
{
    REOP_CHECK(handle == registered && class == 2 && size <= sizeof traits,
               "etw: information of class %d and %u bytes", (int) class, (unsigned) size);
    if (traits_refused)
        return 87;
    memcpy(traits, information, size);
    traits_size = size;
    return 0;
}

static bool is_wanted(PCEVENT_DESCRIPTOR event)
{
    uint64_t keyword = event->Keyword;

    return handler != NULL && (level == 0 || event->Level <= level) &&
           (keyword == 0 || ((keyword & any) != 0 && (keyword & all) == all));
}

static bool fails_now(void)
{
    static _Atomic uint64_t count;
    uint32_t interval = fail_interval;

    return interval != 0 && ++count % interval == 0;
}

ULONG EVNTAPI EventWriteTransfer(REGHANDLE handle, PCEVENT_DESCRIPTOR descriptor, LPCGUID activity,
                                 LPCGUID related, ULONG count, PEVENT_DATA_DESCRIPTOR data)
{
    struct etw_event event = {.descriptor = *descriptor, .has_activity = activity != NULL};
    etw_handler *to = handler;

    if (handle == 0 || handle != registered) {
        etw_counts.stale++;
        return 6;
    }
    if (!is_wanted(descriptor) || to == NULL) {
        etw_counts.unwanted++;
        return 0;
    }
    if (fails_now()) {
        etw_counts.failed++;
        return NO_SYSTEM_RESOURCES;
    }
    REOP_CHECK(related == NULL && descriptor->Channel == 11 && descriptor->Level >= 1 &&
                   descriptor->Level <= 5 && descriptor->Keyword != 0,
               "etw: a descriptor that is not one of ours");
    if (activity != NULL)
        event.activity = *activity;
    event.described = traits_size != 0;
    if (event.described)
        decode(data, count, &event);
    etw_counts.written++;
    to(&event);
    return 0;
}

/* --- the session ------------------------------------------------------------------------------ */

void etw_start(uint8_t new_level, uint64_t new_any, uint64_t new_all, etw_handler *new_handler)
{
    take_lock();
    level = new_level;
    any = new_any;
    all = new_all;
    handler = new_handler;
    if (registered != 0)
        tell(1);
    sync_unlock(&lock);
}

void etw_stop(void)
{
    take_lock();
    if (registered != 0)
        tell(0);
    atomic_store(&handler, (etw_handler *) NULL);
    sync_unlock(&lock);
}

void etw_capture_state(void)
{
    take_lock();
    if (registered != 0)
        tell(CAPTURED_STATE);
    else
        state_asked = true;
    sync_unlock(&lock);
}

void etw_fail_every(uint32_t interval)
{
    fail_interval = interval;
}

void etw_refuse_traits(bool refuse)
{
    traits_refused = refuse;
}

GUID etw_provider(void)
{
    return provider;
}

uint32_t etw_traits(unsigned char copy[64])
{
    memcpy(copy, traits, traits_size);
    return traits_size;
}
