/* SPDX-License-Identifier: MIT
 *
 * The fake kernel itself: that it catches what it is there to catch, that an enumeration sees
 * everything once, and that a tape repeats a run. Whatever ends a program is done in a child.
 */
#include "chance.h"
#include "coro.h"
#include "model.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What run() says to standard error before it ends, and it must not end well. */
static void run_child(void (*run)(void), char text[], size_t size)
{
    size_t length = 0;
    int ends[2], status = 0;
    ssize_t count;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(ends[1]);
    while (length < size - 1 && (count = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t) count;
    text[length] = 0;
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0, "it was not caught");
}

/* --- what it catches -------------------------------------------------------------------------- */

static struct kernel_profile pending_kernel(void)
{
    struct kernel_profile profile = kernel_awkward;

    profile.weights[IO_TRUE] = 0;
    profile.weights[IO_EARLY] = 0;
    profile.weights[CALL_BLOCKS] = 0;
    return profile;
}

static void (*misdeed)(struct model *model, reop_op *op);

static void submit_and_misbehave(struct model *model)
{
    kernel_hold(true);
    model_submit(model, model->ops[0], REOP_KIND_READ);
    model_submit(model, model->ops[1], REOP_KIND_WRITE);
    misdeed(model, model->ops[0]);
    kernel_hold(false);
    model_reap_until(model, 2);
}

static void run_misdeed(void)
{
    struct kernel_profile profile = pending_kernel();

    model_run(&profile, 0, 0, submit_and_misbehave);
}

static void expect_caught(void (*deed)(struct model *model, reop_op *op), const char *words)
{
    char text[8192];

    misdeed = deed;
    run_child(run_misdeed, text, sizeof text);
    /* AddressSanitizer sees some of it before the kernel looks. */
    cr_assert(strstr(text, words) != NULL || strstr(text, "use-after-poison") != NULL,
              "wanted '%s' in: %s", words, text);
}

static void touch_op(struct model *model, reop_op *op)
{
    (void) model;
    op->os_error++;
}

static void touch_overlapped(struct model *model, reop_op *op)
{
    (void) model;
    op->overlapped.offset++;
}

static void touch_what_is_read(struct model *model, reop_op *op)
{
    (void) model;
    ++*(unsigned char *) reop_op_buffer(op);
}

static void touch_what_is_written(struct model *model, reop_op *op)
{
    (void) op;
    ++*(unsigned char *) reop_op_buffer(model->ops[1]);
}

static void call_again(struct model *model, reop_op *op)
{
    op->overlapped.event = NULL;
    ReadFile(model->handle, reop_op_buffer(model->ops[2]), MODEL_SIZE, NULL,
             (OVERLAPPED *) (void *) op);
}

static void close_handle(struct model *model, reop_op *op)
{
    (void) op;
    CloseHandle(model->handle);
}

static void sleep_for_ever(struct model *model, reop_op *op)
{
    (void) op;
    model_reap(model, REOP_FOREVER);
}

Test(nt_kernel, whoever_touches_what_it_owns_is_caught)
{
    expect_caught(touch_op, "an op was touched");
    expect_caught(touch_overlapped, "an OVERLAPPED was touched");
    expect_caught(touch_what_is_read, "the data of a read was touched");
    expect_caught(touch_what_is_written, "the data of a write was touched");
}

Test(nt_kernel, calls_that_windows_would_not_survive_are_caught)
{
    expect_caught(call_again, "that the kernel still owns");
    expect_caught(close_handle, "while the kernel owns");
}

Test(nt_kernel, sleeping_beside_nothing_is_a_deadlock)
{
    expect_caught(sleep_for_ever, "everybody sleeps");
}

/* --- chance ----------------------------------------------------------------------------------- */

/* Two, and after the second of them three: 1 + 3 ways, in order. */
Test(nt_kernel, enumeration_sees_everything_once)
{
    static const uint32_t expected[] = {0, 10, 11, 12};
    uint32_t runs = 0;

    chance_first();
    do {
        uint32_t way = chance_pick(2);

        if (way == 1)
            way = 10 + chance_pick(3);
        chance_pick(1); /* is no decision */
        cr_assert_lt(runs, 4);
        cr_assert_eq(way, expected[runs]);
        runs++;
    } while (chance_next());
    cr_assert_eq(runs, 4);
}

Test(nt_kernel, seed_and_stream_decide)
{
    uint32_t drawn[3][64], same[2] = {0};
    static const uint64_t streams[3] = {5, 5, 6};

    for (int i = 0; i < 3; i++) {
        chance_seed(9, streams[i]);
        for (int j = 0; j < 64; j++)
            drawn[i][j] = chance_pick(100);
    }
    for (int j = 0; j < 64; j++) {
        same[0] += drawn[0][j] == drawn[1][j];
        same[1] += drawn[0][j] == drawn[2][j];
    }
    cr_assert_eq(same[0], 64);
    cr_assert_lt(same[1], 16);
}

/* --- repeating a run -------------------------------------------------------------------------- */

static void cancel_first(void *argument)
{
    struct model *model = argument;

    model_cancel(model, model->ops[0], reop_op_use(model->ops[0]) - 1);
}

/* "Fails" when the first op ended as cancelled and the second with 1450, which takes some luck. */
static void look_for_something_rare(struct model *model)
{
    struct sync_thread thread;

    model_submit(model, model->ops[0], REOP_KIND_READ);
    coro_start(&thread, cancel_first, model);
    model_submit(model, model->ops[1], REOP_KIND_WRITE);
    model_reap_until(model, 2);
    sync_thread_join(&thread);
    MODEL_CHECK(model_os_error(model->ops[0]) != ERROR_OPERATION_ABORTED ||
                    model_os_error(model->ops[1]) != ERROR_NO_SYSTEM_RESOURCES,
                "found it");
}

static void search(void)
{
    for (uint64_t seed = 1; seed < 1000000; seed++) {
        chance_seed(seed, 0);
        model_run(&kernel_hostile, 0, 0, look_for_something_rare);
    }
}

static void run_once(void)
{
    const char *seed = getenv("REOP_TEST_SEED");

    chance_seed(seed != NULL ? strtoull(seed, NULL, 0) : 0, 0);
    model_run(&kernel_hostile, 0, 0, look_for_something_rare);
}

/* The value of a variable in what was printed. */
static void copy_value(const char *text, const char *variable, char value[], size_t size)
{
    const char *at = strstr(text, variable);
    size_t length;

    cr_assert_not_null(at, "no %s in: %s", variable, text);
    at += strlen(variable) + 1;
    length = strcspn(at, " \n");
    cr_assert_lt(length, size);
    memcpy(value, at, length);
    value[length] = 0;
}

Test(nt_kernel, printed_seed_and_printed_tape_repeat_a_failure)
{
    char found[8192], again[8192], seed[64], tape[4096], tape_again[4096];

    run_child(search, found, sizeof found);
    cr_assert_not_null(strstr(found, "found it"), "%s", found);
    copy_value(found, "REOP_TEST_SEED", seed, sizeof seed);
    copy_value(found, "REOP_NT_TAPE", tape, sizeof tape);

    setenv("REOP_TEST_SEED", seed, 1);
    run_child(run_once, again, sizeof again);
    copy_value(again, "REOP_NT_TAPE", tape_again, sizeof tape_again);
    cr_assert_str_eq(tape_again, tape);

    unsetenv("REOP_TEST_SEED");
    setenv("REOP_NT_TAPE", tape, 1);
    run_child(run_once, again, sizeof again);
    copy_value(again, "REOP_NT_TAPE", tape_again, sizeof tape_again);
    cr_assert_str_eq(tape_again, tape);
    cr_assert_not_null(strstr(again, "found it"), "%s", again);
}
