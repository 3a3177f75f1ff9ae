/* SPDX-License-Identifier: MIT
 *
 * A strict double of ETW, with one session, in place of the system's: Wine's answers success to
 * everything and drops it. It is stricter than Windows where Windows is silent: what it cannot
 * decode, by the layout of TraceLogging and by nothing of the library's, ends the program.
 *
 * While it calls back it holds the lock that EventRegister and EventUnregister take, as Windows
 * does, so that a provider that would deadlock there does so here; and inside both it calls back.
 */
#ifndef ETW_H
#define ETW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

#define _EVNT_SOURCE_ /* these calls are ours, not a DLL's */
#include <evntprov.h>

#define ETW_FIELDS_MAX 16u

struct etw_field {
    char name[32];
    uint8_t in;
    uint8_t out;    /* 0: none */
    uint64_t value; /* sign-extended where in is signed */
};

struct etw_event {
    EVENT_DESCRIPTOR descriptor;
    bool has_activity;
    GUID activity;
    bool described; /* false: written without traits, so it is bytes to a reader */
    char provider[32];
    char name[32];
    uint32_t field_count;
    struct etw_field fields[ETW_FIELDS_MAX];
};

/* Called for each event that the session gets, by the thread that wrote it. */
typedef void etw_handler(const struct etw_event *event);

struct etw_counts {
    _Atomic uint32_t registered;
    _Atomic uint32_t unregistered;
    _Atomic uint64_t written;  /* to the session */
    _Atomic uint64_t failed;   /* answered with 8 */
    _Atomic uint64_t unwanted; /* the session did not ask for it */
    _Atomic uint64_t stale;    /* with a handle that was not registered, or not any more */
};
extern struct etw_counts etw_counts;

/* One session. Each is as the system does it: a provider that is not registered yet is told when
 * it is, inside EventRegister; one that is registered is told now. */
void etw_start(uint8_t level, uint64_t any, uint64_t all, etw_handler *handler);
void etw_stop(void);
void etw_capture_state(void);

void etw_fail_every(uint32_t interval);        /* 0: none */
void etw_refuse_traits(bool refuse);           /* as a system that is too old */
GUID etw_provider(void);                       /* that was registered last */
uint32_t etw_traits(unsigned char traits[64]); /* of it; answers their size */

/* The metadata alone, for which any event may be asked. */
void etw_decode_metadata(const void *metadata, uint32_t size, struct etw_event *event_out);

/* There has to be such a field. */
uint64_t etw_value(const struct etw_event *event, const char *name);

#endif
