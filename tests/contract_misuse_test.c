/* SPDX-License-Identifier: MIT
 *
 * The contract for bugs. Promise: "Misuse - submitting an op you do not hold, releasing one twice -
 * is not an error to handle but a bug: whenever the op's state shows it, the program aborts with a
 * message, in every build." Each case runs in a process of its own, which ends by abort().
 */
#include "fixture.h"
#include "misuse.h"

#include <pthread.h>

/* Everything a case needs, made in the process that is going to abort. */
struct scene {
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
};

static void set_scene(struct scene *scene, void *backend)
{
    fixture_worked_before = true;
    fixture_open(&scene->fixture, backend);
    scene->file = fixture_file(&scene->fixture, REOP_FILE_READ | REOP_FILE_WRITE, 512);
    scene->op = fixture_acquire(&scene->fixture);
    fixture_remove(scene->fixture.paths[0]); /* this process does not reach the end of the test */
}

/* A case where the backend does not work must be skipped before it is started. */
static void expect_abort(struct fixture_backend *backend, void (*misuse)(void *), const char *words)
{
    struct fixture fixture;

    fixture_open(&fixture, backend);
    fixture_close(&fixture);
    misuse_expect_abort(misuse, backend, words);
}

static void submit_in_flight(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_post(scene.op, scene.fixture.engine, 0);
    reop_read(scene.op, scene.file, reop_op_buffer(scene.op), 16, 0);
}

BACKEND_TEST(contract_misuse, submit_of_an_op_in_flight_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, submit_in_flight, "in flight");
}

static void sync_in_flight(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_post(scene.op, scene.fixture.engine, 0);
    reop_sync(scene.op, scene.file, 0);
}

BACKEND_TEST(contract_misuse, sync_with_an_op_in_flight_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, sync_in_flight, "in flight");
}

static void post_in_flight(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_post(scene.op, scene.fixture.engine, 0);
    reop_post(scene.op, scene.fixture.engine, 0);
}

BACKEND_TEST(contract_misuse, post_of_an_op_in_flight_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, post_in_flight, "in flight");
}

static void release_in_flight(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_post(scene.op, scene.fixture.engine, 0);
    reop_release(scene.fixture.lane, scene.op);
}

BACKEND_TEST(contract_misuse, release_of_an_op_in_flight_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, release_in_flight, "in flight");
}

static void submit_released(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_release(scene.fixture.lane, scene.op);
    reop_write(scene.op, scene.file, reop_op_buffer(scene.op), 16, 0);
}

BACKEND_TEST(contract_misuse, submit_of_a_released_op_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, submit_released, "free");
}

static void release_twice(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_release(scene.fixture.lane, scene.op);
    reop_release(scene.fixture.lane, scene.op);
}

BACKEND_TEST(contract_misuse, release_twice_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, release_twice, "free");
}

static void run_without_on_done(void *backend)
{
    struct scene scene;

    set_scene(&scene, backend);
    reop_post(scene.op, scene.fixture.engine, 0);
    reop_run(scene.fixture.engine, 1, FIXTURE_PATIENCE_NS);
}

/* Promise: "called by reop_run() only, which needs it set". */
BACKEND_TEST(contract_misuse, run_of_an_op_without_on_done_aborts, ON_EVERY_BACKEND)
{
    expect_abort(backend, run_without_on_done, "on_done");
}

/* --- the owner of a single-threaded engine ---------------------------------------------------- */

static void own(struct scene *scene, void *backend)
{
    set_scene(scene, backend);
    reop_reap(scene->fixture.engine, &scene->op, 1, 0);
}

static void on_another_thread(void *(*run)(void *), struct scene *scene)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, scene) == 0)
        pthread_join(thread, NULL);
}

static void *submit_there(void *argument)
{
    struct scene *scene = argument;

    reop_read(scene->op, scene->file, reop_op_buffer(scene->op), 16, 0);
    return NULL;
}

static void *reap_there(void *argument)
{
    struct scene *scene = argument;
    reop_op *op;

    reop_reap(scene->fixture.engine, &op, 1, 0);
    return NULL;
}

static void *run_there(void *argument)
{
    struct scene *scene = argument;

    reop_run(scene->fixture.engine, 1, 0);
    return NULL;
}

static void *flush_there(void *argument)
{
    struct scene *scene = argument;

    reop_flush(scene->fixture.engine);
    return NULL;
}

static void *look_for_stuck_there(void *argument)
{
    struct scene *scene = argument;
    struct reop_stuck_op stuck;

    reop_stuck(scene->fixture.engine, &stuck, 1);
    return NULL;
}

static void foreign_submit(void *backend)
{
    struct scene scene;

    own(&scene, backend);
    on_another_thread(submit_there, &scene);
}

static void foreign_reap(void *backend)
{
    struct scene scene;

    own(&scene, backend);
    on_another_thread(reap_there, &scene);
}

static void foreign_run(void *backend)
{
    struct scene scene;

    own(&scene, backend);
    on_another_thread(run_there, &scene);
}

static void foreign_flush(void *backend)
{
    struct scene scene;

    own(&scene, backend);
    on_another_thread(flush_there, &scene);
}

static void foreign_stuck(void *backend)
{
    struct scene scene;

    own(&scene, backend);
    on_another_thread(look_for_stuck_there, &scene);
}

/* Promise: "One thread, the owner, submits, flushes, reaps and runs: the first that does. Another
 * aborts." */
BACKEND_TEST(contract_misuse, submit_by_another_than_the_owner_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, foreign_submit, "owner");
}

BACKEND_TEST(contract_misuse, reap_by_another_than_the_owner_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, foreign_reap, "owner");
}

BACKEND_TEST(contract_misuse, run_by_another_than_the_owner_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, foreign_run, "owner");
}

BACKEND_TEST(contract_misuse, flush_by_another_than_the_owner_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, foreign_flush, "owner");
}

/* Promise, of reop_stuck(): "A single-threaded engine: owner only." */
BACKEND_TEST(contract_misuse, stuck_by_another_than_the_owner_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, foreign_stuck, "owner");
}

static reop_engine *engine_in_run;

static void reap_again(reop_op *op)
{
    reop_flush(engine_in_run); /* after which everything looks as it did before the run */
    reop_reap(engine_in_run, &op, 1, 0);
}

static void reap_within_run(void *backend)
{
    struct scene scene;
    reop_op *op;

    set_scene(&scene, backend);
    engine_in_run = scene.fixture.engine;
    scene.op->on_done = reap_again;
    for (int i = 0; i < 4; i++) { /* until a reap has nothing to look at but the system */
        if (reop_write(scene.op, scene.file, reop_op_buffer(scene.op), 16, 0) == REOP_DONE)
            reop_post(scene.op, engine_in_run, 0);
        if (i < 3)
            reop_reap(engine_in_run, &op, 1, REOP_FOREVER);
    }
    reop_run(engine_in_run, 1, REOP_FOREVER);
}

/* Promise, of reop_reap(): "Not from within on_done." */
BACKEND_TEST(contract_misuse, reap_from_within_on_done_aborts, ON_SINGLE_THREAD)
{
    expect_abort(backend, reap_within_run, "within on_done");
}
