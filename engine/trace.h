/* SPDX-License-Identifier: MIT
 *
 * What the library tells whoever traces it. One table of events; the ETW provider (trace_etw.c) and
 * the USDT probes (trace_usdt.c) are made from it, and so have the same names and fields.
 *
 * A site in the engine is one line: if (REOP_UNLIKELY(trace_on(keyword))) trace_something(...);
 * which is one load and one branch that is not taken. All else is out of line, in trace.c. Nothing
 * here locks or allocates, and nothing here answers: an event cannot change what an I/O does.
 */
#ifndef REOP_TRACE_H
#define REOP_TRACE_H

#include <reop/reop.h>

#include "check.h"

#include <stdatomic.h>

#define TRACE_PROVIDER "Reop"

/* KEYWORD(name, bit): what a site tests and a session asks for. */
#define TRACE_KEYWORDS(KEYWORD)                                                                    \
    KEYWORD(io, 1)    /* the start and the stop of each op */                                      \
    KEYWORD(queue, 2) /* reaps, wakes, a pool that has run dry */                                  \
    KEYWORD(error, 4)                                                                              \
    KEYWORD(rundown, 8)

/* A keyword's switch: the first four are one word, for a reap, which has events of three. */
#define TRACE_PLACE_io      0
#define TRACE_PLACE_queue   1
#define TRACE_PLACE_rundown 2
#define TRACE_PLACE_error   4

/* For a session alone: io_stop without io_start, whose fields it repeats. */
#define TRACE_STOPS 16

#define TRACE_INFO  0 /* opcodes */
#define TRACE_START 1
#define TRACE_STOP  2

/* EVENT(id, name, keyword, more, level, opcode, task): ids are for ever. more: a session's keywords
 * beside keyword. ETW knows a start and its stop by one name, the task; elsewhere task is name.
 * Levels: 2 error, 3 warning, 4 information, 5 verbose. */
#define TRACE_EVENTS(EVENT)                                                                        \
    EVENT(1, io_start, io, 0, 5, TRACE_START, io)                                                  \
    EVENT(2, io_stop, io, TRACE_STOPS, 5, TRACE_STOP, io)                                          \
    EVENT(3, reap, queue, 0, 5, TRACE_INFO, reap)                                                  \
    EVENT(4, wake, queue, 0, 5, TRACE_INFO, wake)                                                  \
    EVENT(5, exhausted, queue, 0, 4, TRACE_INFO, exhausted)                                        \
    EVENT(6, stall, error, 0, 3, TRACE_INFO, stall)                                                \
    EVENT(7, unexpected, error, 0, 2, TRACE_INFO, unexpected)                                      \
    EVENT(8, error, error, 0, 2, TRACE_INFO, error)                                                \
    EVENT(9, engine, rundown, 0, 4, TRACE_INFO, engine)                                            \
    EVENT(10, file, rundown, 0, 4, TRACE_INFO, file)                                               \
    EVENT(11, counters, rundown, 0, 4, TRACE_INFO, counters)

/* FIELD(type, name). op, file, engine and pool are addresses. What matters most is in the first
 * six: bpftrace sees no more of a probe's arguments. */
#define TRACE_FIELDS_io_start(FIELD)                                                               \
    FIELD(hex64, op)                                                                               \
    FIELD(u64, use)                                                                                \
    FIELD(u8, kind)                                                                                \
    FIELD(hex64, file)                                                                             \
    FIELD(u64, offset)                                                                             \
    FIELD(u32, size)

/* status is 0 or the negative result; duration_ns is from just before the launch to the reap, and
 * 0 if nobody traced when it was launched. */
#define TRACE_FIELDS_io_stop(FIELD)                                                                \
    FIELD(hex64, op)                                                                               \
    FIELD(u64, use)                                                                                \
    FIELD(u8, kind)                                                                                \
    FIELD(i64, status)                                                                             \
    FIELD(u64, bytes)                                                                              \
    FIELD(u64, duration_ns)                                                                        \
    FIELD(error32, os_error)                                                                       \
    FIELD(hex64, file)                                                                             \
    FIELD(u64, offset)                                                                             \
    FIELD(u32, size)

#define TRACE_FIELDS_reap(FIELD)                                                                   \
    FIELD(hex64, engine)                                                                           \
    FIELD(u32, count)                                                                              \
    FIELD(u32, max)                                                                                \
    FIELD(u64, in_flight)

#define TRACE_FIELDS_wake(FIELD) FIELD(hex64, engine)

#define TRACE_FIELDS_exhausted(FIELD)                                                              \
    FIELD(hex64, pool)                                                                             \
    FIELD(u32, slot_count)

#define TRACE_FIELDS_stall(FIELD)                                                                  \
    FIELD(hex64, engine)                                                                           \
    FIELD(hex64, file)                                                                             \
    FIELD(u64, duration_ns)

/* state as in slot.h: 0 free, 1 held, 2 in flight. */
#define TRACE_FIELDS_unexpected(FIELD)                                                             \
    FIELD(hex64, engine)                                                                           \
    FIELD(hex64, op)                                                                               \
    FIELD(u64, use)                                                                                \
    FIELD(u8, state)

#define TRACE_FIELDS_error(FIELD)                                                                  \
    FIELD(hex64, op)                                                                               \
    FIELD(u64, use)                                                                                \
    FIELD(u8, kind)                                                                                \
    FIELD(i64, status)                                                                             \
    FIELD(error32, os_error)                                                                       \
    FIELD(hex64, file)                                                                             \
    FIELD(u64, offset)                                                                             \
    FIELD(u32, size)

#define TRACE_FIELDS_engine(FIELD)                                                                 \
    FIELD(hex64, engine)                                                                           \
    FIELD(u8, backend)                                                                             \
    FIELD(hex32, flags)                                                                            \
    FIELD(u32, depth)                                                                              \
    FIELD(u32, file_count)                                                                         \
    FIELD(u32, pool_count)

#define TRACE_FIELDS_file(FIELD)                                                                   \
    FIELD(hex64, engine)                                                                           \
    FIELD(hex64, file)                                                                             \
    FIELD(hex64, handle)                                                                           \
    FIELD(hex32, flags)                                                                            \
    FIELD(u64, submitted)                                                                          \
    FIELD(u64, completed)                                                                          \
    FIELD(u64, stalls)                                                                             \
    FIELD(u64, stall_ns)

#define TRACE_FIELDS_counters(FIELD)                                                               \
    FIELD(hex64, engine)                                                                           \
    FIELD(u64, submitted)                                                                          \
    FIELD(u64, completed)                                                                          \
    FIELD(u64, failed)                                                                             \
    FIELD(u64, unexpected)                                                                         \
    FIELD(u64, stalls)                                                                             \
    FIELD(u64, stall_ns)                                                                           \
    FIELD(u64, rejected)                                                                           \
    FIELD(u64, cancels)                                                                            \
    FIELD(u32, files)

typedef uint64_t trace_hex64;
typedef uint64_t trace_u64;
typedef int64_t trace_i64;
typedef uint32_t trace_hex32;
typedef uint32_t trace_error32;
typedef uint32_t trace_u32;
typedef uint8_t trace_u8;

/* --- what is made of it, on every system -------------------------------------------------- */

/* Our own, and said so where it is declared: else a site would load its address first. */
#if defined(__ELF__)
#define TRACE_OURS __attribute__((visibility("hidden")))
#else
#define TRACE_OURS
#endif

/* Not 0: somebody wants at least one of the keyword's events. Written by the system's tracer, at
 * any time. */
union trace_switches {
    _Atomic uint16_t each[8];
    _Atomic uint64_t in_reap;
};

TRACE_OURS extern union trace_switches trace_switches;

#define TRACE_BIT(name, bit) TRACE_KEYWORD_##name = bit,
enum { TRACE_KEYWORDS(TRACE_BIT) };
#undef TRACE_BIT

#define trace_switch(keyword) (&trace_switches.each[TRACE_PLACE_##keyword])

/* Relaxed, both, without a partner: a site may be a moment late. */
#define trace_on(keyword) (atomic_load_explicit(trace_switch(keyword), memory_order_relaxed) != 0)
#define trace_on_in_reap()                                                                         \
    (atomic_load_explicit(&trace_switches.in_reap, memory_order_relaxed) != 0)

/* struct trace_io_start and so on: an event's payload, byte by byte. */
#define TRACE_MEMBER(type, name) trace_##type name;
#define TRACE_STRUCT(id, name, keyword, more, level, opcode, task)                                 \
    struct trace_##name {                                                                          \
        TRACE_FIELDS_##name(TRACE_MEMBER)                                                          \
    };                                                                                             \
    void trace_write_##name(const struct trace_##name *event);
#pragma pack(push, 1)
TRACE_EVENTS(TRACE_STRUCT)
#pragma pack(pop)
#undef TRACE_MEMBER
#undef TRACE_STRUCT

/* From an engine's creation to its destruction. */
void trace_open(reop_engine *engine);
void trace_close(reop_engine *engine);

/* The rundown keyword is on, and this engine is being reaped. */
void trace_rundown_due(reop_engine *engine);

/* --- trace.c: the cold half of each site -------------------------------------------------- */

REOP_COLD void trace_start(const reop_op *op); /* held, and about to be launched */
REOP_COLD void trace_stop(reop_op *const ops[], uint32_t count); /* landed, and still ours */
REOP_COLD void trace_reaped(reop_engine *engine, uint32_t count, uint32_t max);
REOP_COLD void trace_woken(reop_engine *engine);
REOP_COLD void trace_exhausted_pool(const reop_pool *pool);
REOP_COLD void trace_stalled(reop_engine *engine, const reop_file *file, int64_t ns);
REOP_COLD void trace_strayed(reop_engine *engine, const reop_op *op);
REOP_COLD void trace_failed(const reop_op *op);
void trace_run_down(reop_engine *engine);

#endif
