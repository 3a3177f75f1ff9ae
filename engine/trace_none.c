/* SPDX-License-Identifier: MIT
 *
 * For a system without a tracer that we know of: nobody ever wants an event.
 */
#include "trace.h"

union trace_switches trace_switches;

#define WRITE(id, name, keyword, more, level, opcode, task)                                        \
    void trace_write_##name(const struct trace_##name *event)                                      \
    {                                                                                              \
        (void) event;                                                                              \
    }
TRACE_EVENTS(WRITE)

void trace_open(reop_engine *engine)
{
    (void) engine;
}

void trace_close(reop_engine *engine)
{
    (void) engine;
}

void trace_rundown_due(reop_engine *engine)
{
    (void) engine;
}

uint64_t reop_trace_lost(void)
{
    return 0;
}
