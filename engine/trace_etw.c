/* SPDX-License-Identifier: MIT
 *
 * The ETW provider "Reop". Its events describe themselves (see trace_etw.h), so there is no
 * manifest, and nothing to install. It is registered while there is an engine.
 *
 * ETW calls back whenever a session comes, changes or goes: events_on then says which events are
 * wanted, a bit each, and the keywords' switches whether a site is to look at all. ETW holds a lock
 * of its own meanwhile, and takes it in EventUnregister: so the lock that the callback needs,
 * listing, is never held in a call to ETW, and registering, which is, is not taken by the callback.
 */
#include "engine.h"
#include "trace.h"
#include "trace_etw.h"

#include <windows.h>

#include <evntprov.h>

#include <string.h>

/* Made of the name, by the rule that all such providers follow. */
static const GUID provider_guid = {
    0x431c61a3, 0xa031, 0x5b19, {0x7e, 0x6d, 0x0e, 0xb7, 0x89, 0x5b, 0x07, 0x50}};

#define SET_TRAITS  2 /* EventProviderSetTraits */
#define CHANNEL     11
#define TYPE_EVENT  1 /* of a descriptor: metadata, and of which sort */
#define TYPE_TRAITS 2

enum control { DISABLE, ENABLE, CAPTURE_STATE };

typedef ULONG(WINAPI set_information)(REGHANDLE handle, int class, void *information, ULONG size);

ETW_METADATA(provider, ETW_PROVIDER(TRACE_PROVIDER));

#define METADATA(id, name, keyword, more, level, opcode, task)                                     \
    ETW_METADATA(metadata_##name, ETW_EVENT(#task, TRACE_FIELDS_##name));
TRACE_EVENTS(METADATA)

#define INDEX(id, name, keyword, more, level, opcode, task) INDEX_##name,
enum { TRACE_EVENTS(INDEX) EVENT_COUNT };
static_assert(EVENT_COUNT <= 32, "an event is a bit");

struct event {
    EVENT_DESCRIPTOR descriptor;
    const unsigned char *metadata;
};

#define EVENT(id, name, keyword, more, level, opcode, task)                                        \
    {{id, 0, CHANNEL, level, opcode, 0, TRACE_KEYWORD_##keyword | (more)}, metadata_##name.size},
static const struct event events[] = {TRACE_EVENTS(EVENT)};

union trace_switches trace_switches;

static _Atomic uint32_t events_on;
static _Atomic uint64_t handle; /* 0: not registered */
static _Atomic uint64_t lost;
static _Atomic uint32_t rundown_asked; /* before there was a handle */

static struct sync_mutex registering;
static struct sync_mutex listing; /* guards engines, and their links */
static reop_engine *engines;

/* --- writing ------------------------------------------------------------------------------ */

static void describe(EVENT_DATA_DESCRIPTOR *data, const void *bytes, ULONG size, ULONG type)
{
    data->Ptr = (uintptr_t) bytes;
    data->Size = size;
    data->Reserved = type; /* newer headers call its lowest byte Type */
}

static ULONG size_of(const unsigned char *metadata)
{
    return metadata[0] | (ULONG) metadata[1] << 8;
}

/* All of these are relaxed: a site may be a moment late to see a session come or go, and an event
 * with a handle that is gone goes nowhere. */
static void write_event(uint32_t index, const GUID *activity, const void *payload, ULONG size)
{
    const struct event *event = &events[index];
    REGHANDLE to = atomic_load_explicit(&handle, memory_order_relaxed);
    EVENT_DATA_DESCRIPTOR data[3];

    if (to == 0 || !(atomic_load_explicit(&events_on, memory_order_relaxed) & 1u << index))
        return;
    describe(&data[0], provider.size, size_of(provider.size), TYPE_TRAITS);
    describe(&data[1], event->metadata, size_of(event->metadata), TYPE_EVENT);
    describe(&data[2], payload, size, 0);
    if (EventWriteTransfer(to, &event->descriptor, activity, NULL, 3, data) != ERROR_SUCCESS)
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

/* One launch of one op. A start's payload is how a stop's begins: first the op, then the use. */
static const GUID *activity_of(GUID *activity, const void *payload)
{
    static_assert(sizeof *activity == offsetof(struct trace_io_start, kind) &&
                      sizeof *activity == offsetof(struct trace_io_stop, kind),
                  "op and use are an activity's number");
    memcpy(activity, payload, sizeof *activity);
    return activity;
}

#define WRITE(id, name, keyword, more, level, opcode, task)                                        \
    void trace_write_##name(const struct trace_##name *event)                                      \
    {                                                                                              \
        GUID activity;                                                                             \
                                                                                                   \
        write_event(INDEX_##name, opcode == TRACE_INFO ? NULL : activity_of(&activity, event),     \
                    event, sizeof *event);                                                         \
    }
TRACE_EVENTS(WRITE)

uint64_t reop_trace_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

/* --- sessions ----------------------------------------------------------------------------- */

static bool wants(const EVENT_DESCRIPTOR *event, UCHAR level, ULONGLONG any, ULONGLONG all)
{
    return (level == 0 || event->Level <= level) &&
           (event->Keyword == 0 || ((event->Keyword & any) != 0 && (event->Keyword & all) == all));
}

static bool keyword_on(uint32_t wanted, uint32_t bit)
{
    for (uint32_t i = 0; i < EVENT_COUNT; i++)
        if ((wanted & 1u << i) && (events[i].descriptor.Keyword & bit))
            return true;
    return false;
}

static void turn_on(uint32_t wanted)
{
    atomic_store_explicit(&events_on, wanted, memory_order_relaxed);
#define SET(name, bit)                                                                             \
    atomic_store_explicit(trace_switch(name), keyword_on(wanted, bit), memory_order_relaxed);
    TRACE_KEYWORDS(SET)
}

static uint32_t events_wanted(UCHAR level, ULONGLONG any, ULONGLONG all)
{
    uint32_t wanted = 0;

    for (uint32_t i = 0; i < EVENT_COUNT; i++)
        wanted |= (uint32_t) wants(&events[i].descriptor, level, any, all) << i;
    return wanted;
}

static void run_down_all(void)
{
    if (!trace_on(rundown))
        return;
    sync_lock(&listing); /* an engine that is listed is not destroyed */
    for (reop_engine *engine = engines; engine != NULL; engine = engine->next_traced)
        trace_run_down(engine);
    sync_unlock(&listing);
}

/* It may run inside EventRegister, which has not stored the handle yet. */
static void NTAPI session_changed(const GUID *source, ULONG control, UCHAR level, ULONGLONG any,
                                  ULONGLONG all, PEVENT_FILTER_DESCRIPTOR filter, void *context)
{
    (void) source;
    (void) filter;
    (void) context;
    if (control == DISABLE)
        turn_on(0);
    else if (control == ENABLE)
        turn_on(events_wanted(level, any, all));
    else if (control == CAPTURE_STATE && atomic_load(&handle) == 0)
        atomic_store(&rundown_asked, 1); /* pairs with enlist */
    else if (control == CAPTURE_STATE)
        run_down_all();
}

/* --- registering -------------------------------------------------------------------------- */

/* Before the first use; a mutex cannot be initialised statically. */
static void init_locks(void)
{
    static _Atomic uint32_t state;
    uint32_t never = 0;

    if (atomic_compare_exchange_strong(&state, &never, 1)) {
        sync_mutex_init(&registering);
        sync_mutex_init(&listing);
        atomic_store(&state, 2);
    }
    while (atomic_load(&state) != 2) { /* another thread is at these two lines */
    }
}

/* Without the traits ETW takes all three parts of an event for its payload; but a system that has
 * no such call (Windows 7) has no other way either, so what it answers does not matter. */
static void set_traits(REGHANDLE registered)
{
    HMODULE advapi = GetModuleHandleA("advapi32.dll");
    FARPROC found = advapi == NULL ? NULL : GetProcAddress(advapi, "EventSetInformation");

    if (found != NULL)
        ((set_information *) (void (*)(void)) found)(
            registered, SET_TRAITS, (void *) (uintptr_t) provider.size, size_of(provider.size));
}

/* If it fails there is no trace, and no engine is the worse for it. */
static void enlist(void)
{
    REGHANDLE registered = 0;

    if (EventRegister(&provider_guid, session_changed, NULL, &registered) != ERROR_SUCCESS)
        return;
    set_traits(registered);
    atomic_store(&handle, registered); /* before rundown_asked: pairs with session_changed */
    if (atomic_exchange(&rundown_asked, 0))
        run_down_all();
}

static void delist(void)
{
    REGHANDLE registered;

    turn_on(0);
    registered = atomic_exchange(&handle, 0);
    if (registered != 0)
        EventUnregister(registered);
    turn_on(0); /* a session that came in between */
}

void trace_open(reop_engine *engine)
{
    bool first;

    init_locks();
    sync_lock(&registering);
    sync_lock(&listing);
    first = engines == NULL;
    engine->next_traced = engines;
    engines = engine;
    sync_unlock(&listing);
    if (first)
        enlist();
    sync_unlock(&registering);
}

void trace_close(reop_engine *engine)
{
    reop_engine **link = &engines;
    bool last;

    sync_lock(&registering);
    sync_lock(&listing);
    while (*link != engine)
        link = &(*link)->next_traced;
    *link = engine->next_traced;
    last = engines == NULL;
    sync_unlock(&listing);
    if (last)
        delist();
    sync_unlock(&registering);
}

/* A session that wants to know asks for it. */
void trace_rundown_due(reop_engine *engine)
{
    (void) engine;
}
