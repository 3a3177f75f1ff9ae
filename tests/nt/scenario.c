/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "chance.h"
#include "coro.h"
#include "model.h"

#define ACTIONS 16u

/* A held op, if there is one. */
static reop_op *any_held(struct model *model)
{
    uint32_t first = chance_pick(MODEL_OPS);

    for (uint32_t i = 0; i < MODEL_OPS; i++) {
        reop_op *op = model->ops[(first + i) % MODEL_OPS];

        if (model_is_held(op))
            return op;
    }
    return NULL;
}

static void submit_any(struct model *model, bool owner)
{
    static const enum reop_kind kinds[] = {REOP_KIND_READ, REOP_KIND_WRITE, REOP_KIND_NATIVE,
                                           REOP_KIND_READ, REOP_KIND_SYNC,  REOP_KIND_POST};
    enum reop_kind kind = kinds[chance_pick(6)];
    reop_op *op = any_held(model);

    if (!owner)
        kind = REOP_KIND_POST;
    if (op == NULL || (kind == REOP_KIND_SYNC && model->syncs > 0))
        return;
    model_submit(model, op, kind);
}

static void cancel_any(struct model *model)
{
    reop_op *op = model->ops[chance_pick(MODEL_OPS)];
    uint64_t use = reop_op_use(op);

    model_cancel(model, op, use - chance_pick(2));
}

static void act(struct model *model, bool owner)
{
    static const int64_t timeouts_ns[] = {0, 1000, 3000000};

    switch (chance_pick(8)) {
    default:
        submit_any(model, owner);
        break;
    case 3:
    case 4:
        if (owner)
            model_reap(model, timeouts_ns[chance_pick(3)]);
        break;
    case 5:
    case 6:
        cancel_any(model);
        break;
    case 7:
        reop_wake(model->engine);
        break;
    }
}

static void work(void *argument)
{
    struct model *model = argument;

    for (uint32_t i = 0; i < ACTIONS; i++)
        act(model, !(model->flags & REOP_ENGINE_SINGLE_THREAD));
}

static void do_what_comes_to_mind(struct model *model)
{
    struct sync_thread threads[2];
    uint32_t count = chance_pick(3);

    coro_switch_at_locks(chance_pick(2) == 1);
    for (uint32_t i = 0; i < count; i++)
        coro_start(&threads[i], work, model);
    for (uint32_t i = 0; i < ACTIONS; i++) {
        if (chance_pick(16) == 0) {
            kernel_hold(true); /* for a while nothing completes */
            act(model, true);
            kernel_hold(false);
        }
        act(model, true);
    }
    if (chance_pick(4) == 0)
        model_stop(model);
    for (uint32_t i = 0; i < count; i++)
        sync_thread_join(&threads[i]);
    while (model->came_back < model->accepted)
        MODEL_CHECK(model_reap(model, REOP_FOREVER) >= 0);
}

void scenario_run(bool cancels_nobody_asked_for)
{
    static const uint32_t flags[] = {0, REOP_ENGINE_INLINE, REOP_ENGINE_SINGLE_THREAD,
                                     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_INLINE,
                                     REOP_ENGINE_DEFER};
    struct kernel_profile profile = kernel_hostile;

    if (!cancels_nobody_asked_for)
        profile.errors &= ~(UINT32_C(1) << KERNEL_ERROR_ABORTED);
    model_run(&profile, flags[chance_pick(5)], chance_pick(4) == 0 ? REOP_FILE_PACKETS : 0,
              do_what_comes_to_mind);
}
