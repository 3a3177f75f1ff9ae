/* SPDX-License-Identifier: MIT
 *
 * Preallocated threads that run what blocks: every op of the threads backend, and FlushFileBuffers
 * on Windows. The queue is intrusive: its links lie in the op's overlapped, which is the backend's
 * scratch while nothing else needs it. Nothing allocates after the start.
 */
#ifndef REOP_OFFLOAD_H
#define REOP_OFFLOAD_H

#include "slot.h"
#include "sync.h"

struct offload {
    struct sync_mutex lock; /* guards all below */
    struct sync_cond work;
    reop_op *head; /* next to run */
    reop_op *tail;
    uint32_t idle; /* threads asleep */
    bool stopping;
    void (*run)(void *context, struct slot *slot); /* does it, stores the outcome, passes it on */
    void *context;
    struct sync_thread *threads;
    uint32_t thread_count;
};

/* threads has room for thread_count. -errno when a thread cannot be started; nothing is left then.
 */
int offload_start(struct offload *offload, struct sync_thread *threads, uint32_t thread_count,
                  void (*run)(void *context, struct slot *slot), void *context);
void offload_stop(struct offload *offload); /* the queue is empty */

/* kick: wake a thread for it now; else at the next kick. */
void offload_push(struct offload *offload, struct slot *slot, bool kick);
void offload_kick(struct offload *offload);

/* True: it was queued, is no more, and was not run. */
bool offload_remove(struct offload *offload, struct slot *slot);

#endif
