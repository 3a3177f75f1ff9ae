/* SPDX-License-Identifier: MIT */
#include "offload.h"

/* The links, and whose queue the op is in: NULL once it is taken. An op that is launched but not
 * pushed yet holds what its user left there, which is not the address of an offload. */
#define NEXT(op)   ((op)->overlapped.internal)
#define BEFORE(op) ((op)->overlapped.internal_high)
#define QUEUE(op)  ((op)->overlapped.event)

static void unlink_op(struct offload *offload, reop_op *op)
{
    reop_op *next = (reop_op *) NEXT(op);
    reop_op *before = (reop_op *) BEFORE(op);

    if (before != NULL)
        NEXT(before) = (uintptr_t) next;
    else
        offload->head = next;
    if (next != NULL)
        BEFORE(next) = (uintptr_t) before;
    else
        offload->tail = before;
    QUEUE(op) = NULL;
}

static void work(void *argument)
{
    struct offload *offload = argument;

    sync_lock(&offload->lock);
    for (;;) {
        reop_op *op = offload->head;

        if (op == NULL) {
            if (offload->stopping)
                break;
            offload->idle++;
            sync_wait(&offload->work, &offload->lock, SYNC_NEVER);
            offload->idle--;
            continue;
        }
        unlink_op(offload, op);
        sync_unlock(&offload->lock);
        offload->run(offload->context, slot_of(op));
        sync_lock(&offload->lock);
    }
    sync_unlock(&offload->lock);
}

int offload_start(struct offload *offload, struct sync_thread *threads, uint32_t thread_count,
                  void (*run)(void *context, struct slot *slot), void *context)
{
    offload->head = NULL;
    offload->tail = NULL;
    offload->idle = 0;
    offload->stopping = false;
    offload->run = run;
    offload->context = context;
    offload->threads = threads;
    sync_mutex_init(&offload->lock);
    sync_cond_init(&offload->work);
    for (offload->thread_count = 0; offload->thread_count < thread_count; offload->thread_count++) {
        int error = sync_thread_start(&threads[offload->thread_count], work, offload);

        if (error < 0) {
            offload_stop(offload);
            return error;
        }
    }
    return 0;
}

void offload_stop(struct offload *offload)
{
    sync_lock(&offload->lock);
    offload->stopping = true;
    sync_broadcast(&offload->work);
    sync_unlock(&offload->lock);
    for (uint32_t i = 0; i < offload->thread_count; i++)
        sync_thread_join(&offload->threads[i]);
    sync_cond_destroy(&offload->work);
    sync_mutex_destroy(&offload->lock);
}

void offload_push(struct offload *offload, struct slot *slot, bool kick)
{
    reop_op *op = &slot->op;
    bool idle;

    sync_lock(&offload->lock);
    NEXT(op) = 0;
    BEFORE(op) = (uintptr_t) offload->tail;
    QUEUE(op) = offload;
    if (offload->tail != NULL)
        NEXT(offload->tail) = (uintptr_t) op;
    else
        offload->head = op;
    offload->tail = op;
    idle = offload->idle > 0;
    sync_unlock(&offload->lock);
    if (kick && idle)
        sync_signal(&offload->work);
}

void offload_kick(struct offload *offload)
{
    bool wanted;

    sync_lock(&offload->lock);
    wanted = offload->head != NULL && offload->idle > 0;
    sync_unlock(&offload->lock);
    if (wanted)
        sync_broadcast(&offload->work);
}

bool offload_remove(struct offload *offload, struct slot *slot)
{
    bool queued;

    sync_lock(&offload->lock);
    queued = QUEUE(&slot->op) == offload;
    if (queued)
        unlink_op(offload, &slot->op);
    sync_unlock(&offload->lock);
    return queued;
}
