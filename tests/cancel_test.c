/* SPDX-License-Identifier: MIT
 *
 * Cancel against completion and relaunch. One op is launched over and over while another thread
 * cancels each of its launches once, early, in time, or launches too late. Promise: "0: asked, and
 * the op still comes back, with -ECANCELED if the request won. -ENOENT: that use is not in flight,
 * yet or any more, and nothing was asked ... Safe against reuse".
 *
 * On a backend that serves streams the op reads a pipe: it hangs until a byte or the cancel comes.
 * Elsewhere it waits in the queue of the backend's only worker, which a plug fills.
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define RACES     100000u
#define LAG_MAX   4u /* launches that the canceller may be behind */
#define SPINS_MAX 10000u

enum answer { ANSWER_NONE, ANSWER_ASKED, ANSWER_STALE, ANSWER_OTHER };

struct race {
    struct fixture *fixture;
    reop_op *op;
    uint32_t races;
    _Atomic uint32_t published; /* launches that may be cancelled: use 1 to this */
    _Atomic uint32_t begun;     /* cancels that have been called */
    _Atomic uint32_t done;      /* cancels that have answered */
    uint64_t canceller_random;
    uint8_t answers[RACES + 1]; /* by use, written before done */
    bool was_cancelled[RACES + 1];

    struct fixture_pipe pipe; /* or */
    struct fixture_plug plug;
    reop_op *plug_op;
    reop_file *quick;
    uint64_t random;
    uint32_t cancelled, completed, stale, wrong;
};

/* Some microseconds, or until others have had the processor: where there are few processors, what
 * happens at once is decided by the scheduler. */
static void dawdle(uint64_t *random)
{
    uint64_t dice = fixture_random(random);

    if (dice % 2)
        sched_yield();
    for (uint64_t i = 0; i < (dice >> 8) % SPINS_MAX; i++)
        atomic_signal_fence(memory_order_seq_cst); /* keeps the loop */
}

static void wait_for(_Atomic uint32_t *value, uint32_t wanted, uint32_t yields_max)
{
    for (uint32_t i = 0; i < yields_max && atomic_load(value) < wanted; i++)
        sched_yield();
}

/* Cancels use 1, 2, 3 ... once each, as soon as it is published or some time later. */
static void *cancel_each(void *argument)
{
    struct race *race = argument;

    for (uint32_t use = 1; use <= race->races; use++) {
        uint64_t dice = fixture_random(&race->canceller_random);
        int answer;

        wait_for(&race->published, use, UINT32_MAX);
        if (dice % 4 == 0)
            wait_for(&race->published, use + 2, 50); /* the op may have been launched again */
        else
            dawdle(&race->canceller_random);
        atomic_store(&race->begun, use);
        answer = reop_cancel(race->op, use);
        race->answers[use] = answer == 0         ? ANSWER_ASKED
                             : answer == -ENOENT ? ANSWER_STALE
                                                 : ANSWER_OTHER;
        atomic_store(&race->done, use);
    }
    return NULL;
}

/* How a launch of the op goes on when nobody is in its way. */
enum manner {
    MANNER_PROMPT,  /* it can complete before it is launched */
    MANNER_RACE,    /* ... a moment after */
    MANNER_PATIENT, /* ... never, or so late that the cancel has surely been asked */
    MANNERS
};

static void record(struct race *race, uint32_t use, int64_t result, int64_t expected)
{
    if (result == -ECANCELED) {
        race->cancelled++;
        race->was_cancelled[use] = true;
        race->wrong += atomic_load(&race->begun) < use; /* nobody had asked for this one */
    } else {
        race->completed++;
        race->wrong += result != expected;
    }
}

/* --- on a pipe -------------------------------------------------------------------------------- */

static void race_on_pipe(struct race *race, uint32_t use, enum manner manner)
{
    struct fixture *fixture = race->fixture;
    reop_op *op = race->op;
    reop_status status;
    bool fed = manner == MANNER_PROMPT;

    if (fed)
        fixture_pipe_write(&race->pipe, "x", 1);
    if (manner != MANNER_PATIENT && fixture_random(&race->random) % 2)
        atomic_store(&race->published, use); /* the cancel may come before the launch */
    status = reop_read(op, race->pipe.reader, reop_op_buffer(op), 1, 0);
    atomic_store(&race->published, use);
    if (fixture->backend->traits & REOP_ENGINE_DEFER)
        reop_flush(fixture->engine);
    if (manner == MANNER_RACE) {
        dawdle(&race->random);
        fixture_pipe_write(&race->pipe, "x", 1);
        fed = true;
    } else if (manner == MANNER_PATIENT) {
        wait_for(&race->done, use, UINT32_MAX);
        race->wrong += race->answers[use] != ANSWER_ASKED;
    }
    record(race, use, fixture_finish(fixture, op, status), 1);
    if (fed && op->result == -ECANCELED)
        fixture_pipe_drain(&race->pipe, 1);
    race->wrong += manner == MANNER_PATIENT && op->result != -ECANCELED;
}

/* --- in a queue ------------------------------------------------------------------------------- */

static void race_in_queue(struct race *race, uint32_t use, enum manner manner)
{
    struct fixture *fixture = race->fixture;
    reop_op *op = race->op;
    uint32_t pending = 0;
    reop_status status;

    if (manner != MANNER_PROMPT)
        pending += fixture_plug_insert(&race->plug, race->plug_op) == REOP_PENDING;
    if (manner != MANNER_PATIENT && fixture_random(&race->random) % 2)
        atomic_store(&race->published, use);
    status = reop_read(op, race->quick, reop_op_buffer(op), 16, 0);
    atomic_store(&race->published, use);
    if (fixture->backend->traits & REOP_ENGINE_DEFER)
        reop_flush(fixture->engine);
    if (manner == MANNER_PATIENT) {
        wait_for(&race->done, use, UINT32_MAX);
        race->wrong += race->answers[use] != ANSWER_ASKED;
        race->wrong += fixture_finish(fixture, op, status) != -ECANCELED;
    } else {
        pending += status == REOP_PENDING;
        dawdle(&race->random);
    }
    if (manner != MANNER_PROMPT)
        fixture_plug_pull(&race->plug);
    for (; pending > 0; pending--)
        fixture_reap(fixture);
    record(race, use, op->result, 16);
    if (manner != MANNER_PROMPT)
        race->wrong += race->plug_op->result != FIXTURE_PLUG_SIZE; /* nobody cancels this one */
}

/* --- the test --------------------------------------------------------------------------------- */

static void run_races(struct race *race)
{
    bool on_pipe = (race->fixture->backend->traits & FIXTURE_STREAMS) != 0;
    reop_op *again = NULL;

    for (uint32_t use = 1; use <= race->races; use++) {
        enum manner manner = (enum manner)(fixture_random(&race->random) % MANNERS);

        /* A canceller that has caught up meets this launch; one that lags meets a later one. */
        if (manner != MANNER_PROMPT)
            wait_for(&race->done, use - 1, UINT32_MAX);
        else if (use > LAG_MAX)
            wait_for(&race->done, use - LAG_MAX, UINT32_MAX);
        if (on_pipe)
            race_on_pipe(race, use, manner);
        else
            race_in_queue(race, use, manner);
        race->wrong += reop_op_use(race->op) != use + 1;
        if (use % 256 == 0)
            race->wrong += reop_reap(race->fixture->engine, &again, 1, 0) != 0;
    }
}

/* "-ENOENT ... nothing was asked": such a launch was not cancelled. That a cancelled one was asked
 * for was checked when it came back. */
static void check_answers(struct race *race)
{
    for (uint32_t use = 1; use <= race->races; use++) {
        bool stale = race->answers[use] == ANSWER_STALE;

        race->stale += stale;
        race->wrong += race->answers[use] == ANSWER_OTHER;
        race->wrong += stale && race->was_cancelled[use];
    }
}

static void open_race(struct race *race, struct fixture *fixture)
{
    race->fixture = fixture;
    race->op = fixture_acquire(fixture);
    race->plug_op = fixture_acquire(fixture);
    if (fixture->backend->traits & FIXTURE_STREAMS) {
        fixture_pipe_open(fixture, &race->pipe);
        return;
    }
    race->quick = fixture_file(fixture, REOP_FILE_READ, 16);
    fixture_plug_open(fixture, &race->plug);
}

static void close_race(struct race *race)
{
    struct fixture *fixture = race->fixture;

    reop_release(fixture->lane, race->op);
    reop_release(fixture->lane, race->plug_op);
    if (race->quick == NULL) {
        fixture_pipe_close(&race->pipe);
        return;
    }
    fixture_plug_close(&race->plug);
    fixture_close_file(race->quick);
}

BACKEND_TEST(cancel, races_with_completion_and_relaunch, ON_HOST_FILES)
{
    static struct race race;
    struct fixture fixture;
    pthread_t canceller;
    uint64_t seed = fixture_seed();
    uint32_t least;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 4, .buffer_size = 4096},
                      (reop_engine_config){.threads = 1, .depth = 16});
    open_race(&race, &fixture);
    race.races = fixture_volume(RACES);
    race.random = seed;
    race.canceller_random = ~seed;
    cr_assert_eq(pthread_create(&canceller, NULL, cancel_each, &race), 0);
    run_races(&race);
    cr_assert_eq(pthread_join(canceller, NULL), 0);
    check_answers(&race);
    printf("%s: seed %llu, %u races: %u cancelled, %u completed, %u stale\n", backend->name,
           (unsigned long long) seed, race.races, race.cancelled, race.completed, race.stale);
    cr_assert_eq(race.wrong, 0, "%s: %u wrong", backend->name, race.wrong);
    cr_assert_eq(race.cancelled + race.completed, race.races, "%s", backend->name);
    least = race.races / 100;
    cr_assert_geq(race.cancelled, least, "%s: hardly ever cancelled", backend->name);
    cr_assert_geq(race.completed, least, "%s: hardly ever completed", backend->name);
    cr_assert_geq(race.stale, least, "%s: hardly ever stale", backend->name);
    close_race(&race);
    fixture_close(&fixture);
}
