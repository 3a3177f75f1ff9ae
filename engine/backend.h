/* SPDX-License-Identifier: MIT
 *
 * The seam. A backend moves launched ops to the system and back; everything else - states, counts,
 * the ready list, waiting with a deadline, stopping - is the engine's. One file each, and none
 * includes another.
 */
#ifndef REOP_BACKEND_H
#define REOP_BACKEND_H

#include "slot.h"

#include <stddef.h>

/* Files of a backend's own. Each does what its namesake in engine.h does for the platform's. */
struct backend_files {
    int (*open)(reop_engine *engine, const char *path_utf8, uint32_t flags,
                reop_handle *handle_out);
    int (*close)(reop_engine *engine, reop_handle handle);
    int (*inspect)(reop_file *file, uint32_t flags);
    int (*size)(const reop_file *file, uint64_t *size_out);
    int (*zero_fill)(reop_file *file, uint64_t from, uint64_t to);
    uint32_t (*physical_sector)(const reop_file *file);
};

struct backend {
    const char *name;
    uint32_t id;        /* enum reop_backend */
    uint32_t kinds;     /* bit per reop_kind it can submit */
    uint32_t depth_max; /* most ops in flight */

    /* Bytes of engine->state, zeroed, cache-line aligned. The config is valid and complete. */
    size_t (*state_size)(const reop_engine_config *config);

    /* -ENOTSUP: it does not work here, and engine_say() was told why. Unwinds after itself. */
    int (*create)(reop_engine *engine, const reop_engine_config *config);
    void (*destroy)(reop_engine *engine); /* nothing in flight, nobody inside */

    /* Registers the buffers of engine->pools[index] with the system. Best effort: engine_say(). */
    void (*register_pool)(reop_engine *engine, uint32_t index);

    /* Binds file->handle, which file_inspect() has described, to the engine; or refuses. */
    int (*attach)(reop_engine *engine, reop_file *file);
    /* Undoes attach; no op of the file is in flight. -ENOTSUP: only closing the handle can. */
    int (*detach)(reop_engine *engine, reop_file *file, bool closing);

    /* The op is launched and its fields are set. PENDING: it will be collected, and nothing touches
     * op or file any more. An outcome known at once goes through engine_answer(). */
    reop_status (*submit)(reop_engine *engine, reop_file *file, struct slot *slot);

    /* False: readv and writev of these pieces are rejected with -ENOTSUP. NULL: takes them all. */
    bool (*takes_pieces)(const reop_file *file, const struct reop_piece *pieces, uint32_t count);

    /* REOP_ENGINE_DEFER: hands over what is queued. */
    int (*flush)(reop_engine *engine);

    /* Flushes, then stores up to max ops whose outcome is known and written to the op. Waits for
     * the first up to timeout_ns (-1: for ever). 0: the time is over, or it was interrupted, or
     * woke for no reason; -EINTR: a signal, or the time of a backend with a clock of its own is
     * over; other -errno: the flush failed and nothing came back.
     */
    int (*collect)(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns);

    /* Ends the waiting of one thread in collect, now or at its next call. May be called by any
     * thread. */
    void (*interrupt)(reop_engine *engine);

    /* Asks the system to give up on a launch: pinned, or in flight on the caller's own engine. */
    void (*cancel)(reop_engine *engine, struct slot *slot);

    /* Owner's work that another thread asked for with engine_ask(ENGINE_CHORES). May be NULL. */
    void (*chores)(reop_engine *engine);

    /* engine->parts: when this returns, whoever is inside a plain submit has counted its op in, or
     * will see the gate shut; and what is queued has a date. */
    void (*settle)(reop_engine *engine);

    const struct backend_files *files; /* NULL: its files are the platform's */
};

/* Best first, ended by NULL. backend.c is the one place that knows which there are. */
extern const struct backend *const backends[];

#endif
