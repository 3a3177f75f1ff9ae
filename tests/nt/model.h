/* SPDX-License-Identifier: MIT
 *
 * One run of the library on the fake NT, on coroutines, with all that must hold checked on the way:
 * each accepted submit comes back exactly once and says what the kernel said; nobody touches an op
 * while it is held by another; the counters add up; nothing allocates; nothing is left over.
 */
#ifndef MODEL_H
#define MODEL_H

#include "kernel.h"

#include <reop/reop.h>
#include <reop/win32.h>

#define MODEL_OPS       4u
#define MODEL_FILE_SIZE 4096u
#define MODEL_SIZE      64u /* of each read and write */

struct model {
    reop_engine *engine;
    reop_pool *pool;
    reop_lane *lane;
    reop_file *file;
    void *handle;
    reop_op *ops[MODEL_OPS];
    uint32_t flags; /* the engine's */
    uint32_t file_flags;
    const struct kernel_profile *profile;
    void (*scenario)(struct model *model);

    /* What the engine's own counters have to say at the end. */
    uint64_t accepted;
    uint64_t came_back;
    uint64_t failed;
    uint64_t rejected;
    uint64_t cancels;
    int64_t sync_error; /* what every later sync has to answer */
    uint32_t syncs;     /* in flight. One at a time, or it cannot be told which of them failed */
    bool stopped;
    bool native; /* a native call was made */
};

/* Opens an engine with these flags, one file of it with these, and MODEL_OPS ops; runs the scenario
 * as the first thread; checks, and closes it all. */
void model_run(const struct kernel_profile *profile, uint32_t engine_flags, uint32_t file_flags,
               void (*scenario)(struct model *model));

/* The kinds that model_submit() knows: READ, WRITE, SYNC, POST and NATIVE, which is a read. */
reop_status model_submit(struct model *model, reop_op *op, enum reop_kind kind);

/* Reaps once; checks and counts what came. The number, or the error. */
int model_reap(struct model *model, int64_t timeout_ns);
/* Until the op is held again. */
void model_finish(struct model *model, reop_op *op, reop_status status);
/* Until so many have come back since the start. */
void model_reap_until(struct model *model, uint64_t came_back);
int model_cancel(struct model *model, reop_op *op, uint64_t use);
void model_stop(struct model *model);
bool model_is_held(const reop_op *op);

/* How the last launch of a held op ended: what it said before it was scribbled over. */
int64_t model_result(const reop_op *op);
uint32_t model_os_error(const reop_op *op);

/* For a test that has submitted op itself: it is held, and nobody may touch it any more. */
void model_lay_down(reop_op *op);

/* MODEL_CHECK(condition) or MODEL_CHECK(condition, format, ...). Aborts; the tape that leads there
 * is printed. */
#define MODEL_CHECK(...) MODEL_CHECK_(__VA_ARGS__, NULL)
#define MODEL_CHECK_(condition, ...)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            model_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                             \
    } while (0)
_Noreturn void model_failed(const char *file, int line, const char *text, const char *format, ...);

/* Every run of a scenario, on every choice the profile allows; how many there were. limit: more is
 * a failure. */
uint64_t model_run_all(const struct kernel_profile *profile, uint32_t engine_flags,
                       void (*scenario)(struct model *model), uint64_t limit);

#endif
