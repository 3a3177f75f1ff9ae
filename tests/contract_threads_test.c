/* SPDX-License-Identifier: MIT
 *
 * The contract of an engine used by several threads: who sleeps, who is woken, what stays free on a
 * single-threaded engine, and that every op still comes back exactly once. Only the test's own
 * thread asserts; the others report what they saw.
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

static void join(pthread_t thread)
{
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* Spins politely until *value reaches wanted. False: it never did. */
static bool reaches(_Atomic uint32_t *value, uint32_t wanted)
{
    int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;

    while (atomic_load(value) < wanted) {
        if (fixture_now_ns() > deadline_ns)
            return false;
        fixture_sleep_ms(1);
    }
    return true;
}

/* --- a reaper that sleeps for ever ------------------------------------------------------------ */

struct reaper {
    reop_engine *engine;
    reop_lane *lane;
    _Atomic uint32_t asleep; /* about to be, that is */
    _Atomic uint32_t ops;
    _Atomic uint32_t empty; /* reaps that answered 0 */
    _Atomic uint32_t stopped;
    int64_t result_sum;
    int other; /* an answer that fits none of these */
};

/* Until the engine is stopped. */
static void *reap_for_ever(void *argument)
{
    struct reaper *reaper = argument;
    reop_op *ops[4];
    int count;

    for (;;) {
        atomic_fetch_add(&reaper->asleep, 1);
        count = reop_reap(reaper->engine, ops, 4, REOP_FOREVER);
        if (count < 0)
            break;
        for (int i = 0; i < count; i++) {
            reaper->result_sum += ops[i]->result;
            reop_release(reaper->lane, ops[i]);
        }
        atomic_fetch_add(&reaper->ops, (uint32_t) count);
        atomic_fetch_add(&reaper->empty, count == 0);
    }
    if (count != -ECANCELED)
        reaper->other = count;
    atomic_store(&reaper->stopped, 1);
    return NULL;
}

static void init_reaper(struct reaper *reaper, const struct fixture *fixture)
{
    memset(reaper, 0, sizeof *reaper);
    reaper->engine = fixture->engine;
    reaper->lane = fixture->lane;
}

/* Promise: "ends the current ... reap of one thread", from another thread, while the reaper sleeps
 * for ever; on a single-threaded engine too. */
BACKEND_TEST(contract_threads, wake_ends_a_reap_that_sleeps_for_ever, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reaper reaper;
    pthread_t thread;

    fixture_open(&fixture, backend);
    init_reaper(&reaper, &fixture);
    thread = start(reap_for_ever, &reaper);
    for (uint32_t i = 1; i <= 20; i++) {
        cr_assert(reaches(&reaper.asleep, i), "%s", backend->name);
        if (i % 2)
            fixture_sleep_ms(2); /* surely asleep; else perhaps not yet */
        reop_wake(fixture.engine);
        cr_assert(reaches(&reaper.empty, i), "%s: wake %u was lost", backend->name, i);
    }
    reop_stop(fixture.engine);
    cr_assert(reaches(&reaper.stopped, 1), "%s", backend->name);
    join(thread);
    cr_assert_eq(reaper.other, 0, "%s: reap answered %d", backend->name, reaper.other);
    fixture_close(&fixture);
}

/* The same promise where it is hardest to keep: each wake comes at the moment when the reaper, just
 * woken, goes back to sleep. */
BACKEND_TEST(contract_threads, no_wake_is_lost_on_the_way_to_sleep, ON_HOST_FILES)
{
    struct fixture fixture;
    struct reaper reaper;
    uint64_t random = fixture_seed();
    uint32_t wakes = fixture_volume(5000);
    pthread_t thread;

    fixture_open(&fixture, backend);
    init_reaper(&reaper, &fixture);
    thread = start(reap_for_ever, &reaper);
    for (uint32_t i = 1; i <= wakes; i++) {
        for (uint64_t spins = fixture_random(&random) % 4096; spins > 0; spins--)
            atomic_signal_fence(memory_order_seq_cst); /* keeps the loop */
        reop_wake(fixture.engine);
        for (uint32_t yields = 0; yields < 1000 && atomic_load(&reaper.empty) < i; yields++)
            sched_yield();
        cr_assert(reaches(&reaper.empty, i), "%s: wake %u was lost", backend->name, i);
    }
    reop_stop(fixture.engine);
    join(thread);
    cr_assert_eq(reaper.other, 0, "%s", backend->name);
    fixture_close(&fixture);
}

/* Promise, of reop_post(): "From any thread, on a single-threaded engine too", while the reaper
 * sleeps for ever. */
BACKEND_TEST(contract_threads, post_reaches_a_reaper_that_sleeps_for_ever, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reaper reaper;
    pthread_t thread;

    fixture_open(&fixture, backend);
    init_reaper(&reaper, &fixture);
    thread = start(reap_for_ever, &reaper);
    for (uint32_t i = 1; i <= 200; i++) {
        if (i % 10 == 0)
            fixture_sleep_ms(2);
        cr_assert_eq(reop_post(fixture_acquire(&fixture), fixture.engine, i), REOP_PENDING, "%s",
                     backend->name);
        if (i % 3 == 0)
            cr_assert(reaches(&reaper.ops, i), "%s: post %u was lost", backend->name, i);
    }
    cr_assert(reaches(&reaper.ops, 200), "%s: %u of 200", backend->name, reaper.ops);
    reop_stop(fixture.engine);
    join(thread);
    cr_assert_eq(reaper.result_sum, 200 * 201 / 2, "%s", backend->name);
    cr_assert_eq(reaper.other, 0, "%s", backend->name);
    fixture_close(&fixture);
}

/* Promise: "ends the current or next reap of one thread": one of two that sleep. */
BACKEND_TEST(contract_threads, wake_ends_the_reap_of_one_thread, ON_SHARED_ENGINES)
{
    struct fixture fixture;
    struct reaper reapers[2];
    pthread_t threads[2];

    fixture_open(&fixture, backend);
    for (uint32_t i = 0; i < 2; i++) {
        init_reaper(&reapers[i], &fixture);
        threads[i] = start(reap_for_ever, &reapers[i]);
        cr_assert(reaches(&reapers[i].asleep, 1));
    }
    for (uint32_t wakes = 1; wakes <= 10; wakes++) {
        fixture_sleep_ms(5);
        reop_wake(fixture.engine);
        for (uint32_t i = 0; i < 2000 && reapers[0].empty + reapers[1].empty < wakes; i++)
            fixture_sleep_ms(1);
        fixture_sleep_ms(5);
        cr_assert_eq(reapers[0].empty + reapers[1].empty, wakes, "%s: %u wakes ended %u reaps",
                     backend->name, wakes, reapers[0].empty + reapers[1].empty);
    }
    reop_stop(fixture.engine);
    for (uint32_t i = 0; i < 2; i++)
        join(threads[i]);
    fixture_close(&fixture);
}

/* Promise: "-ECANCELED once the engine is stopped and nothing is in flight (every reap then says
 * so)": to all that sleep, though only one of them takes the last op. */
BACKEND_TEST(contract_threads, stop_ends_every_reap_once_nothing_is_in_flight, ON_SHARED_ENGINES)
{
    enum { REAPERS = 4 };
    struct fixture fixture;
    struct reaper reapers[REAPERS];
    pthread_t threads[REAPERS];

    for (uint32_t round = 0; round < 10; round++) {
        fixture_open(&fixture, backend);
        for (uint32_t i = 0; i < REAPERS; i++) {
            init_reaper(&reapers[i], &fixture);
            threads[i] = start(reap_for_ever, &reapers[i]);
        }
        if (round % 2)
            for (uint32_t i = 0; i < REAPERS; i++)
                cr_assert(reaches(&reapers[i].asleep, 1));
        for (uint32_t i = 0; i < round; i++)
            cr_assert_eq(reop_post(fixture_acquire(&fixture), fixture.engine, 1), REOP_PENDING);
        reop_stop(fixture.engine);
        for (uint32_t i = 0; i < REAPERS; i++) {
            cr_assert(reaches(&reapers[i].stopped, 1), "%s: a reaper sleeps on", backend->name);
            join(threads[i]);
            cr_assert_eq(reapers[i].other, 0, "%s: %d", backend->name, reapers[i].other);
        }
        fixture_close(&fixture);
    }
}

/* Promise: "-EBUSY while ... a thread is in reap". */
BACKEND_TEST(contract_threads, destroy_is_ebusy_while_a_thread_is_in_reap, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reaper reaper;
    pthread_t thread;

    fixture_open(&fixture, backend);
    init_reaper(&reaper, &fixture);
    thread = start(reap_for_ever, &reaper);
    cr_assert(reaches(&reaper.asleep, 1));
    fixture_sleep_ms(20);
    cr_assert_eq(reop_engine_destroy(fixture.engine), -EBUSY, "%s", backend->name);
    reop_stop(fixture.engine);
    join(thread);
    fixture_close(&fixture);
}

/* Promise: without REOP_ENGINE_DEFER "the system has an op ... when submit returns": a producer and
 * a sleeping reaper never wait for each other. With it, the same holds after each reop_flush(). */
BACKEND_TEST(contract_threads, producer_and_sleeping_reaper_do_not_wait_for_each_other,
             ON_SHARED_ENGINES)
{
    struct fixture fixture;
    struct reaper reaper;
    reop_file *file;
    pthread_t thread;
    uint32_t inline_count = 0;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    init_reaper(&reaper, &fixture);
    thread = start(reap_for_ever, &reaper);
    for (uint32_t i = 1; i <= 300; i++) {
        reop_op *op = fixture_acquire(&fixture);
        reop_status status;

        if (i % 10 == 0)
            fixture_sleep_ms(2); /* the reaper is surely asleep */
        status = reop_read(op, file, reop_op_buffer(op), 64, i);
        cr_assert_neq(status, REOP_REJECTED, "%s", backend->name);
        if (backend->traits & REOP_ENGINE_DEFER)
            cr_assert_eq(reop_flush(fixture.engine), 0, "%s", backend->name);
        if (status == REOP_DONE) {
            inline_count++;
            reop_release(fixture.lane, op);
        }
        cr_assert(reaches(&reaper.ops, i - inline_count), "%s: op %u", backend->name, i);
    }
    reop_stop(fixture.engine);
    join(thread);
    cr_assert_eq(reaper.result_sum, (300 - (int64_t) inline_count) * 64, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- single-threaded engines ------------------------------------------------------------------ */

struct owner {
    struct fixture *fixture;
    reop_file *file;
    uint32_t wrong;
};

static void *use_as_owner(void *argument)
{
    struct owner *owner = argument;
    struct fixture *fixture = owner->fixture;
    reop_op *op = reop_acquire(fixture->lane);

    for (uint64_t i = 0; i < 100; i++) {
        reop_op *reaped = op;
        reop_status status = reop_read(op, owner->file, reop_op_buffer(op), 64, i);

        if (status == REOP_PENDING)
            owner->wrong += reop_reap(fixture->engine, &reaped, 1, FIXTURE_PATIENCE_NS) != 1;
        owner->wrong += status == REOP_REJECTED || reaped != op || op->result != 64 ||
                        !fixture_matches(reop_op_buffer(op), 64, i);
    }
    reop_release(fixture->lane, op);
    return NULL;
}

/* Promise: "One thread, the owner, submits, flushes, reaps and runs: the first that does." Creating
 * the engine and opening its files does not make an owner; closing and destroying stay possible. */
BACKEND_TEST(contract_threads, engine_is_created_by_one_thread_and_used_by_another,
             ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct owner owner = {.fixture = &fixture};

    fixture_open(&fixture, backend);
    owner.file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    join(start(use_as_owner, &owner));
    cr_assert_eq(owner.wrong, 0, "%s", backend->name);
    fixture_close_file(owner.file);
    fixture_close(&fixture);
}

struct guest {
    struct fixture *fixture;
    reop_op *op; /* a post of it is the last sign */
    uint32_t rounds;
    uint32_t wrong;
    reop_file *opened;
    _Atomic uint32_t done;
};

/* What another thread than the owner may do, while the owner is at work. */
static void *be_a_guest(void *argument)
{
    struct guest *guest = argument;
    struct fixture *fixture = guest->fixture;
    reop_engine *engine = fixture->engine;

    for (uint32_t i = 0; i < guest->rounds; i++) {
        struct reop_engine_stats stats;
        reop_file *file = NULL;
        reop_op *op = reop_acquire_wait(fixture->lane, FIXTURE_PATIENCE_NS);

        guest->wrong +=
            reop_file_open(engine, fixture->paths[0], REOP_FILE_READ | FIXTURE_SHARED, &file) != 0;
        op->user = guest;
        guest->wrong += reop_post(op, engine, 77) != REOP_PENDING;
        reop_wake(engine);
        reop_engine_query(engine, &stats);
        guest->wrong += stats.files < 2;
        if (i + 1 < guest->rounds)
            guest->wrong += reop_file_close(file) != 0;
        else
            guest->opened = file;
    }
    atomic_store(&guest->done, 1);
    reop_stop(engine);
    return NULL;
}

/* Promise: "Open, attach, close, cancel, post, stop and wake stay free." */
BACKEND_TEST(contract_threads, another_thread_may_open_close_post_wake_and_stop, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct guest guest = {.fixture = &fixture, .rounds = fixture_volume(200)};
    reop_file *file;
    reop_op *own, *op = NULL;
    pthread_t thread;
    uint32_t posts = 0, reads = 0;
    bool pending;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    own = fixture_acquire(&fixture);
    pending = reop_read(own, file, reop_op_buffer(own), 64, 0) == REOP_PENDING;
    thread = start(be_a_guest, &guest);
    for (;;) {
        int count = reop_reap(fixture.engine, &op, 1, REOP_FOREVER);

        if (count == -ECANCELED)
            break;
        cr_assert_geq(count, 0, "%s: %d", backend->name, count);
        if (count == 1 && op == own) {
            pending = false;
            cr_assert_eq(op->result, 64, "%s", backend->name);
        } else if (count == 1) {
            cr_assert_eq(op->user, &guest, "%s", backend->name);
            cr_assert_eq(op->result, 77, "%s", backend->name);
            reop_release(fixture.lane, op);
            posts++;
        }
        while (!pending && !atomic_load(&guest.done) && reads < 1000000) {
            reop_status status = reop_read(own, file, reop_op_buffer(own), 64, 0);

            pending = status == REOP_PENDING;
            reads++;
            if (status == REOP_REJECTED)
                cr_assert_eq(own->result, -ECANCELED, "%s", backend->name);
        }
    }
    join(thread);
    cr_assert_eq(guest.wrong, 0, "%s", backend->name);
    cr_assert_eq(posts, guest.rounds, "%s", backend->name);
    fixture_close_file(guest.opened); /* that the owner never used */
    reop_release(fixture.lane, own);
    fixture_close_file(file);
    fixture_close(&fixture);
}

struct canceller {
    reop_op **ops;
    uint32_t count;
    uint32_t tries;
    uint32_t asked, not_in_flight, full, other;
};

static void *cancel_all(void *argument)
{
    struct canceller *canceller = argument;

    for (uint32_t i = 0; i < canceller->tries; i++) {
        int answer = reop_cancel(canceller->ops[i % canceller->count], 1);

        canceller->asked += answer == 0;
        canceller->not_in_flight += answer == -ENOENT;
        canceller->full += answer == -EAGAIN;
        canceller->other += answer != 0 && answer != -ENOENT && answer != -EAGAIN;
    }
    return NULL;
}

/* Promise: "-EAGAIN: a single-threaded engine has more cancels from other threads waiting than it
 * can hold (as many as its depth, 1024 at most); nothing was asked." */
BACKEND_TEST(contract_threads, cancels_of_another_thread_wait_up_to_the_depth, ON_SINGLE_THREAD)
{
    struct fixture fixture;
    reop_op *ops[4], *reaped = NULL;
    struct canceller canceller = {.ops = ops, .count = 4, .tries = 10};
    struct reop_engine_stats stats;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 4},
                      (reop_engine_config){.depth = 4});
    cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 0); /* now this thread owns it */
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 4), 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(reop_post(ops[i], fixture.engine, 1), REOP_PENDING);
    join(start(cancel_all, &canceller));
    cr_assert_eq(canceller.asked, 4, "%s: %u", backend->name, canceller.asked);
    cr_assert_eq(canceller.full, 6, "%s: %u", backend->name, canceller.full);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.cancels, 4, "%s", backend->name);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(fixture_reap(&fixture)->result, 1, "%s", backend->name);
    join(start(cancel_all, &canceller));
    cr_assert_eq(canceller.not_in_flight, 10, "%s", backend->name);
    cr_assert_eq(canceller.other, 0, "%s", backend->name);
    reop_release_many(fixture.lane, ops, 4);
    fixture_close(&fixture);
}

/* --- closing a file that others use ----------------------------------------------------------- */

struct writer {
    struct fixture *fixture;
    reop_file *file;
    uint32_t wrong;
    _Atomic uint32_t accepted;
    uint32_t rejected;
};

static void *write_until_closed(void *argument)
{
    struct writer *writer = argument;
    struct fixture *fixture = writer->fixture;
    reop_op *op = reop_acquire(fixture->lane), *reaped = NULL;

    for (;;) {
        reop_status status = reop_write(op, writer->file, reop_op_buffer(op), 64, 0);

        if (status == REOP_REJECTED) {
            writer->wrong += op->result != -EINVAL;
            writer->rejected = 1;
            break;
        }
        if (status == REOP_PENDING && writer->accepted % 8 == 3)
            fixture_sleep_ms(1); /* a close now is refused */
        while (status == REOP_PENDING &&
               reop_reap(fixture->engine, &reaped, 1, FIXTURE_PATIENCE_NS) == 0) {
        }
        writer->wrong += op->result != 64;
        if (atomic_fetch_add(&writer->accepted, 1) % 8 == 7)
            fixture_sleep_ms(1); /* a close now can succeed */
    }
    reop_release(fixture->lane, op);
    return NULL;
}

/* Promise: "-EBUSY while one of its ops is in flight or a thread is inside a submit on it"; after
 * that, "a closed file" is rejected with -EINVAL. */
BACKEND_TEST(contract_threads, close_waits_for_nobody_and_never_pulls_a_file_away, ON_EVERY_BACKEND)
{
    bool answers_at_once = (backend->traits & REOP_ENGINE_INLINE) != 0;
    struct fixture fixture;
    struct writer writer;
    uint32_t refused = 0;

    /* On a busy machine the two may take turns for long. */
    for (uint32_t round = 0; round < 10 || (round < 1000 && refused == 0 && !answers_at_once);
         round++) {
        int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;
        pthread_t thread;
        int answer;

        fixture_open(&fixture, backend);
        memset(&writer, 0, sizeof writer);
        writer.fixture = &fixture;
        writer.file = fixture_file(&fixture, REOP_FILE_WRITE, 64);
        thread = start(write_until_closed, &writer);
        cr_assert(reaches(&writer.accepted, 3), "%s", backend->name);
        do {
            answer = reop_file_close(writer.file);
            refused += answer == -EBUSY;
        } while (answer == -EBUSY && fixture_now_ns() < deadline_ns);
        cr_assert_eq(answer, 0, "%s: %d", backend->name, answer);
        join(thread);
        cr_assert_eq(writer.wrong, 0, "%s", backend->name);
        cr_assert_eq(writer.rejected, 1, "%s", backend->name);
        fixture_close(&fixture);
    }
    printf("%s: close was refused %u times\n", backend->name, refused);
    if (!answers_at_once)
        cr_assert_gt(refused, 0, "%s: close never met an op in flight", backend->name);
}

/* --- everybody at once ------------------------------------------------------------------------ */

#define CREW        4u
#define REGION_SIZE 65536u

struct stamp { /* in the op's context */
    uint32_t owner;
    uint32_t in_flight;
    uint64_t use;
    int64_t expected; /* -1: any */
    uint64_t position;
};

struct crew {
    struct fixture *fixture;
    reop_file *file;
    uint32_t submits; /* of each member */
    _Atomic uint32_t came_back;
    _Atomic uint32_t wrong;
    _Atomic uint32_t cancelled;
    _Atomic uint32_t passed_on; /* reaped by another thread than the one that submitted */
};

struct member {
    struct crew *crew;
    reop_lane *lane;
    uint32_t number;
    uint64_t random;
};

static void take_back(struct member *member, reop_op *op)
{
    struct crew *crew = member->crew;
    struct stamp *stamp = reop_op_context(op);
    bool good = stamp->in_flight == 1 && reop_op_use(op) == stamp->use + 1;

    stamp->in_flight = 0;
    if (op->result == -ECANCELED)
        atomic_fetch_add(&crew->cancelled, 1);
    else
        good = good && op->result == stamp->expected;
    if (op->kind == REOP_KIND_READ && op->result > 0)
        good = good && fixture_matches(op->data, (size_t) op->result, stamp->position);
    atomic_fetch_add(&crew->wrong, !good);
    atomic_fetch_add(&crew->passed_on, stamp->owner != member->number);
    atomic_fetch_add(&crew->came_back, 1);
    reop_release(member->lane, op);
}

static void launch_one(struct member *member, reop_op *op)
{
    struct crew *crew = member->crew;
    struct stamp *stamp = reop_op_context(op);
    uint64_t dice = fixture_random(&member->random);
    uint64_t use = reop_op_use(op);
    uint32_t size = 1 + (uint32_t) (dice >> 8) % 2048;
    uint64_t position = (dice >> 24) % (REGION_SIZE - size);
    reop_status status;

    *stamp = (struct stamp){member->number, 1, use, size, position};
    if (dice % 8 == 0) {
        stamp->expected = (int64_t) (dice >> 1);
        status = reop_post(op, crew->fixture->engine, stamp->expected);
    } else if (dice % 8 < 4) { /* everybody writes what is there already */
        uint8_t *bytes = reop_op_buffer(op);

        for (uint32_t i = 0; i < size; i++)
            bytes[i] = fixture_byte(position + i);
        status = reop_write(op, crew->file, bytes, size, position);
    } else {
        status = reop_read(op, crew->file, reop_op_buffer(op), size, position);
    }
    if (status == REOP_DONE)
        take_back(member, op);
    else if (status == REOP_REJECTED)
        atomic_fetch_add(&crew->wrong, 1);
    else if (dice % 16 == 5)
        reop_cancel(op, use); /* whatever it answers: the op may be another's already */
}

static void *work(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    reop_op *ops[8];
    uint32_t launched = 0;

    while (atomic_load(&crew->came_back) < CREW * crew->submits) {
        reop_op *op = launched < crew->submits ? reop_acquire(member->lane) : NULL;
        int count;

        if (op != NULL) {
            launch_one(member, op);
            launched++;
            if (fixture_random(&member->random) % 4 != 0)
                continue;
        }
        count = reop_reap(crew->fixture->engine, ops, 8, FIXTURE_MS);
        for (int i = 0; i < count; i++)
            take_back(member, ops[i]);
        if (count < 0)
            atomic_fetch_add(&crew->wrong, 1);
    }
    return NULL;
}

/* Promise: "every function may be called from any thread unless it says otherwise"; and every op
 * "comes back through reop_reap(), once". Several threads submit, cancel and reap on one engine;
 * each op carries the stamp of its launch. */
BACKEND_TEST(contract_threads, several_threads_share_an_engine, ON_SHARED_ENGINES)
{
    struct fixture fixture;
    struct crew crew = {.fixture = &fixture, .submits = fixture_volume(10000)};
    struct member members[CREW];
    pthread_t threads[CREW];
    uint64_t seed = fixture_seed();

    fixture_open_with(&fixture, backend,
                      (reop_pool_config){.op_count = 48,
                                         .lane_count = CREW,
                                         .context_size = sizeof(struct stamp),
                                         .buffer_size = 2048},
                      (reop_engine_config){0});
    crew.file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, REGION_SIZE);
    for (uint32_t i = 0; i < CREW; i++) {
        members[i] = (struct member){&crew, reop_pool_lane(fixture.pool, i), i, seed + i};
        threads[i] = start(work, &members[i]);
    }
    for (uint32_t i = 0; i < CREW; i++)
        join(threads[i]);
    printf("%s: seed %llu, %u came back, %u by another thread, %u cancelled\n", backend->name,
           (unsigned long long) seed, crew.came_back, crew.passed_on, crew.cancelled);
    cr_assert_eq(crew.wrong, 0, "%s: %u wrong", backend->name, crew.wrong);
    cr_assert_eq(crew.came_back, CREW * crew.submits, "%s", backend->name);
    cr_assert_gt(crew.passed_on, 0, "%s", backend->name);
    fixture_close_file(crew.file);
    fixture_close(&fixture);
}
