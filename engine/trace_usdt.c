/* SPDX-License-Identifier: MIT
 *
 * USDT probes: reop:io_start and so on, with the fields of trace.h as arguments. A probe is a nop
 * and a note in the ELF file; bpftrace, perf and SystemTap find the note, put a breakpoint on the
 * nop, and count up the semaphore that the note names. One semaphore serves a keyword's events:
 * whoever wants io_stop alone needs what io_start does too, the look at the clock.
 */
#define _SDT_HAS_SEMAPHORES 1
#define SDT_USE_VARIADIC

#include "engine.h"
#include "trace.h"

#include <sys/sdt.h>

/* sdt.h's macros leave the dots of a variadic macro empty. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#define RUNDOWN_NS INT64_C(1000000000)

__attribute__((section(".probes"), used)) union trace_switches trace_switches;

/* By the names that sdt.h asks for. C has no second name for a part of a variable. */
#define ALIAS(name, place)                                                                         \
    __asm__(".globl reop_" #name "_semaphore\n"                                                    \
            ".hidden reop_" #name "_semaphore\n"                                                   \
            ".set reop_" #name "_semaphore, trace_switches + 2 * " #place);
#define ALIAS_OF(name, place) ALIAS(name, place)
#define SEMAPHORE(id, name, keyword, more, level, opcode, task)                                    \
    TRACE_OURS extern _Atomic uint16_t reop_##name##_semaphore;                                    \
    ALIAS_OF(name, TRACE_PLACE_##keyword)
TRACE_EVENTS(SEMAPHORE)

#define PROBE(...)           STAP_PROBEV(__VA_ARGS__)
#define ARGUMENT(type, name) , event->name
#define WRITE(id, name, keyword, more, level, opcode, task)                                        \
    void trace_write_##name(const struct trace_##name *event)                                      \
    {                                                                                              \
        PROBE(reop, name TRACE_FIELDS_##name(ARGUMENT));                                           \
    }
TRACE_EVENTS(WRITE)

void trace_open(reop_engine *engine)
{
    (void) engine; /* the probes are there from the start */
}

void trace_close(reop_engine *engine)
{
    (void) engine;
}

/* Nobody tells us that a tracer has come, and it needs to know what it will see: so as long as it
 * listens it is told once a second. */
void trace_rundown_due(reop_engine *engine)
{
    int64_t now_ns = sync_now_ns();
    int64_t last_ns = atomic_load_explicit(&engine->rundown_ns, memory_order_relaxed);

    /* Relaxed: it only chooses one of several reapers. */
    if (now_ns - last_ns >= RUNDOWN_NS &&
        atomic_compare_exchange_strong_explicit(&engine->rundown_ns, &last_ns, now_ns,
                                                memory_order_relaxed, memory_order_relaxed))
        trace_run_down(engine);
}

uint64_t reop_trace_lost(void)
{
    return 0; /* a probe cannot fail, and the tracer counts what it drops */
}
