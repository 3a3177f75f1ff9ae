/* SPDX-License-Identifier: MIT
 *
 * Small scenarios, all of them: each sequence of answers that a profile allows, times each way that
 * the threads can be interleaved where the kernel's calls begin and end, times each order in which
 * the device can complete. Nothing here is drawn: the tape counts up until all were seen.
 */
#include "chance.h"
#include "coro.h"
#include "model.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Kinds of answer a scenario is about; where one is missing the kernel has one plain answer. */
#define CALLS    0x01u /* TRUE, an error, pending */
#define WARNINGS 0x02u /* and warnings and short transfers, of calls and of completions */
#define ENDS     0x04u /* success and an error */
#define MODES    0x08u
#define CANCELS  0x10u
#define POSTS    0x20u /* two in a row may fail */
#define BATCHES  0x40u
#define BLOCKS   0x80u

static struct kernel_profile profile_of(uint32_t what)
{
    struct kernel_profile profile = {
        .weights = {[CALL_PROMPT] = 1,
                    [END_OK] = 1,
                    [STATUS_GARBAGE] = 1,
                    [CANCEL_WINS] = 1,
                    [CANCEL_LATE] = 1,
                    [GET_ALL] = 1,
                    [EMPTY_COUNT] = 1,
                    [POST_TAKEN] = 1,
                    [FLUSH_OK] = 1,
                    [SYSTEM_OLD] = 1,
                    [UNBINDS] = 1,
                    [MODES_SET] = 1,
                    [IO_PENDING] = 1},
        .errors = 1,
        .failed_posts_max = 2,
    };
    uint32_t *weights = profile.weights;

    if (what & CALLS)
        weights[IO_TRUE] = weights[IO_ERROR] = 1;
    if (what & WARNINGS)
        weights[IO_WARNING] = weights[IO_SHORT] = weights[END_WARNING] = weights[END_SHORT] =
            weights[END_NOTICE] = 1;
    if (what & ENDS)
        weights[END_ERROR] = 1;
    if (what & MODES)
        weights[MODES_REFUSED] = 1;
    if (what & CANCELS)
        weights[CANCEL_LOSES] = weights[CANCEL_NOT_FOUND] = weights[CANCEL_BLUFF] = 1;
    if (what & POSTS)
        weights[POST_FAILED] = 1;
    if (what & BATCHES)
        weights[GET_FEWER] = 1;
    if (what & BLOCKS)
        weights[CALL_BLOCKS] = 1;
    return profile;
}

static void run_all(const char *name, uint32_t what, uint32_t flags,
                    void (*scenario)(struct model *))
{
    struct kernel_profile profile = profile_of(what);
    uint64_t switches = coro_switches();
    uint64_t runs = model_run_all(&profile, flags, scenario, UINT64_C(20000000));

    fflush(stdout);
    printf("%s, engine flags %u: %llu runs, %llu switches\n", name, (unsigned) flags,
           (unsigned long long) runs, (unsigned long long) (coro_switches() - switches));
    cr_assert_gt(runs, 1);
}

/* Takes minutes, and is for runs that have them. So are the tests' time-outs: who goes round in
 * circles or sleeps for ever is found by the coroutines. */
static void run_all_if_long(const char *name, uint32_t what, uint32_t flags,
                            void (*scenario)(struct model *))
{
    if (getenv("REOP_NT_LONG") == NULL)
        printf("%s, engine flags %u: left to a long run\n", name, (unsigned) flags);
    else
        run_all(name, what, flags, scenario);
}

/* Two threads, and what they do. */
struct duet {
    struct model *model;
    void (*second)(struct duet *duet);
    uint32_t ops;
    uint64_t use;
};

static void run_second(void *argument)
{
    struct duet *duet = argument;

    duet->second(duet);
}

static void play(struct duet *duet, void (*first)(struct duet *duet))
{
    struct sync_thread thread;

    coro_start(&thread, run_second, duet);
    first(duet);
    sync_thread_join(&thread);
}

/* --- one submits, the other reaps ------------------------------------------------------------- */

static uint32_t op_count;
static enum reop_kind kinds[3];

static void submit_all(struct duet *duet)
{
    for (uint32_t i = 0; i < duet->ops; i++)
        model_submit(duet->model, duet->model->ops[i], kinds[i]);
}

static void reap_all(struct duet *duet)
{
    while (duet->model->came_back < duet->ops) {
        int count = model_reap(duet->model, REOP_FOREVER);

        MODEL_CHECK(count >= 0);
    }
}

/* On an inline engine the last op may be answered at once, and nobody would wake the reaper. */
static void submit_all_and_wake(struct duet *duet)
{
    submit_all(duet);
    reop_wake(duet->model->engine);
}

static void submit_and_reap(struct model *model)
{
    struct duet duet = {.model = model, .second = reap_all, .ops = op_count};

    play(&duet, model->flags & REOP_ENGINE_INLINE ? submit_all_and_wake : submit_all);
}

static void play_ops(const char *name, uint32_t count, const enum reop_kind of[3], uint32_t what,
                     uint32_t flags)
{
    op_count = count;
    for (uint32_t i = 0; i < 3; i++)
        kinds[i] = of[i];
    run_all(name, what, flags, submit_and_reap);
}

static void play_ops_if_long(const char *name, uint32_t count, const enum reop_kind of[3],
                             uint32_t what, uint32_t flags)
{
    if (getenv("REOP_NT_LONG") == NULL)
        printf("%s, engine flags %u: left to a long run\n", name, (unsigned) flags);
    else
        play_ops(name, count, of, what, flags);
}

static const enum reop_kind reads[3] = {REOP_KIND_READ, REOP_KIND_READ, REOP_KIND_READ};
static const enum reop_kind mixed[3] = {REOP_KIND_WRITE, REOP_KIND_NATIVE, REOP_KIND_POST};
static const enum reop_kind syncs[3] = {REOP_KIND_SYNC, REOP_KIND_READ, REOP_KIND_POST};

Test(nt_exhaustive, one_op_submitted_here_and_reaped_there, .timeout = 7200)
{
    static const enum reop_kind native[3] = {REOP_KIND_NATIVE};
    const uint32_t what = CALLS | WARNINGS | ENDS | MODES | BLOCKS;

    play_ops("a read", 1, reads, what | POSTS, 0);
    play_ops("a read", 1, reads, what, REOP_ENGINE_INLINE);
    play_ops("a write", 1, mixed, what | POSTS, 0);
    play_ops("a native read", 1, native, what | POSTS, 0);
    play_ops("a native read", 1, native, what, REOP_ENGINE_INLINE);
    play_ops("a sync", 1, syncs, 0, 0);
    play_ops("a sync", 1, syncs, 0, REOP_ENGINE_INLINE);
}

Test(nt_exhaustive, two_ops_submitted_here_and_reaped_there, .timeout = 7200)
{
    play_ops("two reads", 2, reads, CALLS | ENDS | MODES | BATCHES, 0);
    play_ops("two reads", 2, reads, CALLS | ENDS | MODES | BATCHES, REOP_ENGINE_INLINE);
    play_ops("a write and a native read", 2, mixed, CALLS | MODES, 0);
    play_ops("a sync and a read", 2, syncs, 0, 0);
    play_ops_if_long("a sync and a read", 2, syncs, CALLS | MODES, 0);
    play_ops_if_long("two reads", 2, reads, CALLS | WARNINGS | ENDS | MODES | BATCHES, 0);
}

Test(nt_exhaustive, three_ops_submitted_here_and_reaped_there, .timeout = 7200)
{
    play_ops("three reads", 3, reads, BATCHES, 0);
    play_ops("a write and two reads", 3,
             (const enum reop_kind[]){REOP_KIND_WRITE, REOP_KIND_READ, REOP_KIND_READ}, MODES, 0);
    play_ops_if_long("three reads", 3, reads, CALLS, 0);
    play_ops_if_long("three reads", 3, reads, CALLS, REOP_ENGINE_INLINE);
    play_ops_if_long("three reads", 3, reads, CALLS | ENDS | BATCHES, 0);
    play_ops("a write, a native read and a post", 3, mixed, CALLS, 0);
}

/* --- one submits and reaps, the other cancels ------------------------------------------------- */

static void submit_reap_and_submit_again(struct duet *duet)
{
    struct model *model = duet->model;

    for (uint32_t launch = 0; launch < 2; launch++)
        for (uint32_t i = 0; i < duet->ops; i++)
            model_finish(model, model->ops[i], model_submit(model, model->ops[i], kinds[i]));
}

static void cancel_first_use(struct duet *duet)
{
    model_cancel(duet->model, duet->model->ops[0], duet->use);
}

static void relaunch_and_cancel(struct model *model)
{
    struct duet duet = {.model = model,
                        .second = cancel_first_use,
                        .ops = op_count,
                        .use = reop_op_use(model->ops[0])};

    play(&duet, submit_reap_and_submit_again);
}

Test(nt_exhaustive, cancel_reaches_the_launch_it_was_meant_for_or_none, .timeout = 7200)
{
    static const enum reop_kind sync_only[3] = {REOP_KIND_SYNC};

    op_count = 1;
    kinds[0] = REOP_KIND_READ;
    run_all("a read, cancelled", CALLS | CANCELS | MODES, 0, relaunch_and_cancel);
    run_all("a read, cancelled", CALLS | CANCELS | MODES, REOP_ENGINE_INLINE, relaunch_and_cancel);
    run_all("a read, cancelled", CALLS | CANCELS | MODES, REOP_ENGINE_SINGLE_THREAD,
            relaunch_and_cancel);
    run_all("a read that fails, cancelled", ENDS | CANCELS, 0, relaunch_and_cancel);
    kinds[0] = sync_only[0];
    run_all("a sync, cancelled", 0, 0, relaunch_and_cancel);
    run_all_if_long("a sync, cancelled", 0, REOP_ENGINE_SINGLE_THREAD, relaunch_and_cancel);
    kinds[0] = REOP_KIND_POST;
    run_all("a post, cancelled", POSTS, 0, relaunch_and_cancel);
}

/* Two ops, one of them cancelled while the other comes back in the same batch. */
static void submit_two_and_reap(struct duet *duet)
{
    submit_all(duet);
    reap_all(duet);
}

static void two_and_a_cancel(struct model *model)
{
    struct duet duet = {
        .model = model, .second = cancel_first_use, .ops = 2, .use = reop_op_use(model->ops[0])};

    play(&duet, submit_two_and_reap);
}

Test(nt_exhaustive, cancel_of_one_of_two, .timeout = 7200)
{
    kinds[0] = kinds[1] = REOP_KIND_READ;
    run_all("two reads, one cancelled", CANCELS, 0, two_and_a_cancel);
    run_all("two reads, one cancelled", CANCELS, REOP_ENGINE_SINGLE_THREAD, two_and_a_cancel);
}

/* --- one sleeps, the other wakes -------------------------------------------------------------- */

static void sleep_until_woken(struct duet *duet)
{
    MODEL_CHECK(model_reap(duet->model, REOP_FOREVER) == 0);
}

static void wake(struct duet *duet)
{
    reop_wake(duet->model->engine);
}

static void one_wake(struct model *model)
{
    struct duet duet = {.model = model, .second = wake};

    play(&duet, sleep_until_woken);
}

static void sleep_until_posted(struct duet *duet)
{
    model_reap_until(duet->model, 2);
}

static void post_two(struct duet *duet)
{
    model_submit(duet->model, duet->model->ops[0], REOP_KIND_POST);
    model_submit(duet->model, duet->model->ops[1], REOP_KIND_POST);
}

static void two_posts(struct model *model)
{
    struct duet duet = {.model = model, .second = post_two};

    play(&duet, sleep_until_posted);
}

Test(nt_exhaustive, wakes_and_posts_reach_a_sleeper, .timeout = 7200)
{
    run_all("a wake", POSTS, 0, one_wake);
    run_all("a wake", POSTS, REOP_ENGINE_SINGLE_THREAD, one_wake);
    run_all("two posts", POSTS, 0, two_posts);
    run_all("two posts", POSTS, REOP_ENGINE_SINGLE_THREAD, two_posts);
}

/* --- one reaps until the end, the other stops ------------------------------------------------- */

static void submit_and_reap_until_stopped(struct duet *duet)
{
    struct model *model = duet->model;
    int count;

    model_submit(model, model->ops[0], REOP_KIND_READ);
    do
        count = model_reap(model, REOP_FOREVER);
    while (count >= 0);
    MODEL_CHECK(count == -ECANCELED);
}

static void stop(struct duet *duet)
{
    model_stop(duet->model);
}

static void reap_and_stop(struct model *model)
{
    struct duet duet = {.model = model, .second = stop};

    play(&duet, submit_and_reap_until_stopped);
}

/* Two that reap until the end, of one engine. */
static void reap_until_stopped(struct duet *duet)
{
    int count;

    do
        count = model_reap(duet->model, REOP_FOREVER);
    while (count >= 0);
    MODEL_CHECK(count == -ECANCELED);
}

static void submit_and_stop(struct duet *duet)
{
    model_submit(duet->model, duet->model->ops[0], REOP_KIND_READ);
    model_stop(duet->model);
    reap_until_stopped(duet);
}

static void two_reap_until_stopped(struct model *model)
{
    struct duet duet = {.model = model, .second = reap_until_stopped};

    play(&duet, submit_and_stop);
}

Test(nt_exhaustive, stop_ends_every_reap, .timeout = 7200)
{
    run_all("a read and a stop", CALLS | POSTS, 0, reap_and_stop);
    run_all("a read and a stop", CALLS | POSTS, REOP_ENGINE_SINGLE_THREAD, reap_and_stop);
    run_all("two reapers and a stop", CALLS, 0, two_reap_until_stopped);
    run_all_if_long("two reapers and a stop", CALLS | POSTS, 0, two_reap_until_stopped);
}
