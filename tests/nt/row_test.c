/* SPDX-License-Identifier: MIT
 *
 * One answer of the kernel at a time, and what the library makes of it: the table of
 * <reop/win32.h>, row by row, and after it everything that has one right answer.
 */
#include "chance.h"
#include "coro.h"
#include "model.h"
#include "world.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

/* A kernel that always gives the same answers: these, and the plainest else. */
static struct kernel_profile only(enum kernel_answer first, enum kernel_answer second)
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
                    [SYSTEM_NEW] = 1,
                    [UNBINDS] = 1,
                    [MODES_SET] = 1,
                    [IO_PENDING] = 1},
        .errors = 1,
        .failed_posts_max = 1000000,
    };
    static const enum kernel_answer groups[][6] = {
        {IO_TRUE, IO_SHORT, IO_WARNING, IO_ERROR, IO_PENDING, IO_EARLY},
        {CALL_PROMPT, CALL_BLOCKS},
        {END_OK, END_SHORT, END_WARNING, END_NOTICE, END_ERROR},
        {CANCEL_WINS, CANCEL_LOSES, CANCEL_NOT_FOUND},
        {CANCEL_LATE, CANCEL_BLUFF},
        {POST_TAKEN, POST_FAILED},
        {MODES_SET, MODES_REFUSED},
        {FLUSH_OK, FLUSH_ERROR},
        {SYSTEM_NEW, SYSTEM_OLD},
        {UNBINDS, UNBINDS_NOT},
    };
    const enum kernel_answer chosen[] = {first, second};

    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof groups / sizeof groups[0]; j++) {
            bool here = false;

            for (int k = 0; k < 6; k++)
                here = here || (groups[j][k] == chosen[i] && (k == 0 || groups[j][k] != 0));
            for (int k = 0; here && k < 6; k++)
                if (k == 0 || groups[j][k] != 0)
                    profile.weights[groups[j][k]] = 0;
        }
    profile.weights[first] = 1;
    profile.weights[second] = 1;
    return profile;
}

/* What the submit answers, and what the op says then. */
struct row {
    enum kernel_answer call, modes, end;
    reop_status status; /* of an engine with REOP_ENGINE_INLINE */
    int64_t result;
    uint32_t os_error;
};

static const struct row *row;

static void submit_row(struct model *model)
{
    reop_op *op = model->ops[0];
    reop_status status = model_submit(model, op, REOP_KIND_READ);

    if (model->flags & REOP_ENGINE_INLINE)
        MODEL_CHECK(status == row->status, "answered %d, not %d", (int) status, (int) row->status);
    else
        MODEL_CHECK(status == REOP_PENDING, "answered %d", (int) status);
    model_finish(model, op, status);
    MODEL_CHECK(model_result(op) == row->result, "result %lld, not %lld",
                (long long) model_result(op), (long long) row->result);
    MODEL_CHECK(model_os_error(op) == row->os_error, "os_error %u, not %u",
                (unsigned) model_os_error(op), (unsigned) row->os_error);
}

static void native_row(struct model *model)
{
    reop_op *op = model->ops[0];
    reop_status status = model_submit(model, op, REOP_KIND_NATIVE);

    MODEL_CHECK(status == (model->flags & REOP_ENGINE_INLINE ? row->status : REOP_PENDING));
    model_finish(model, op, status);
    MODEL_CHECK(model_result(op) == row->result && model_os_error(op) == row->os_error);
}

/* Both ways of asking, both ways of being answered. */
static void run_row(struct row wanted)
{
    struct kernel_profile profile = only(wanted.call, wanted.modes);

    if (wanted.end != END_OK) {
        profile.weights[END_OK] = 0;
        profile.weights[wanted.end] = 1;
    }
    row = &wanted;
    chance_seed(1, 0);
    model_run(&profile, 0, 0, submit_row);
    model_run(&profile, REOP_ENGINE_INLINE, 0, submit_row);
    model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, submit_row);
    model_run(&profile, REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_INLINE, 0, submit_row);
    model_run(&profile, 0, 0, native_row);
    model_run(&profile, REOP_ENGINE_INLINE, 0, native_row);
}

Test(nt_row, pending_is_pending_and_the_packet_says_how_it_ended)
{
    run_row((struct row){IO_PENDING, MODES_SET, END_OK, REOP_PENDING, 64, 0});
    run_row((struct row){IO_PENDING, MODES_REFUSED, END_OK, REOP_PENDING, 64, 0});
    run_row((struct row){IO_PENDING, MODES_SET, END_ERROR, REOP_PENDING, -ENOMEM, 1450});
}

Test(nt_row, packet_that_overtakes_the_call)
{
    run_row((struct row){IO_EARLY, MODES_SET, END_OK, REOP_PENDING, 64, 0});
    run_row((struct row){IO_EARLY, MODES_REFUSED, END_ERROR, REOP_PENDING, -ENOMEM, 1450});
}

Test(nt_row, success_without_skip_has_a_packet)
{
    run_row((struct row){IO_TRUE, MODES_REFUSED, END_OK, REOP_PENDING, 64, 0});
}

Test(nt_row, success_with_skip_is_answered_now)
{
    run_row((struct row){IO_TRUE, MODES_SET, END_OK, REOP_DONE, 64, 0});
}

Test(nt_row, success_whose_internal_was_never_written)
{
    struct kernel_profile profile = only(IO_TRUE, MODES_SET);

    profile.weights[STATUS_GARBAGE] = 0;
    profile.weights[STATUS_PLAIN] = 0;
    profile.weights[STATUS_LEFT] = 1;
    row = &(struct row){IO_TRUE, MODES_SET, END_OK, REOP_DONE, 64, 0};
    model_run(&profile, 0, 0, submit_row);
    model_run(&profile, REOP_ENGINE_INLINE, 0, submit_row);
}

/* chance_pick(2) of an enumeration is 0: one byte. */
static void run_short(enum kernel_answer call, enum kernel_answer modes, enum kernel_answer end,
                      uint32_t os_error)
{
    struct kernel_profile profile = only(call, modes);

    profile.weights[END_OK] = 0;
    profile.weights[end] = 1;
    row = &(struct row){call, modes,
                        end,  modes == MODES_SET && call != IO_PENDING ? REOP_DONE : REOP_PENDING,
                        1,    os_error};
    chance_first();
    model_run(&profile, 0, 0, submit_row);
    chance_first();
    model_run(&profile, REOP_ENGINE_INLINE, 0, submit_row);
}

Test(nt_row, short_transfer_is_what_was_moved)
{
    run_short(IO_SHORT, MODES_SET, END_OK, 0);
    run_short(IO_SHORT, MODES_REFUSED, END_OK, 0);
    run_short(IO_PENDING, MODES_SET, END_SHORT, 0);
}

Test(nt_row, warning_without_skip_has_a_packet_and_its_bytes)
{
    run_short(IO_WARNING, MODES_REFUSED, END_OK, ERROR_MORE_DATA);
    run_short(IO_PENDING, MODES_SET, END_WARNING, ERROR_MORE_DATA);
}

Test(nt_row, success_with_something_to_say_keeps_its_bytes)
{
    run_row((struct row){IO_PENDING, MODES_SET, END_NOTICE, REOP_PENDING, 64, 1022});
    run_row((struct row){IO_EARLY, MODES_REFUSED, END_NOTICE, REOP_PENDING, 64, 1022});
}

/* The call's own count is 0 then: the bytes are in InternalHigh. */
Test(nt_row, warning_with_skip_is_answered_now_with_its_bytes)
{
    run_short(IO_WARNING, MODES_SET, END_OK, ERROR_MORE_DATA);
}

/* Each of them, as the call's answer and as a packet's; wanted is the name in reop.h. */
Test(nt_row, every_error_is_reported_once_by_its_name)
{
    for (uint32_t i = 0; i < KERNEL_ERRORS; i++) {
        enum kernel_answer modes = i % 2 ? MODES_SET : MODES_REFUSED;
        struct row wanted = {
            IO_ERROR, modes, END_ERROR, REOP_DONE, -kernel_errors[i].name, kernel_errors[i].error};
        struct kernel_profile now = only(IO_ERROR, modes), later = only(IO_PENDING, modes);

        now.errors = UINT32_C(1) << i;
        later.errors = now.errors;
        later.weights[END_OK] = 0;
        later.weights[END_ERROR] = 1;
        row = &wanted;
        model_run(&now, 0, 0, submit_row);
        model_run(&now, REOP_ENGINE_INLINE, 0, submit_row);
        wanted.status = REOP_PENDING;
        model_run(&later, 0, 0, submit_row);
        model_run(&later, REOP_ENGINE_INLINE, 0, submit_row);
    }
}

/* --- the native hatch ------------------------------------------------------------------------- */

static void connect_pipe(struct model *model)
{
    void *pipe = kernel_open_pipe();
    reop_file *file = NULL;
    reop_call call;
    reop_op *op = model->ops[0];
    reop_status status;

    MODEL_CHECK(reop_file_attach(model->engine, (reop_handle) pipe, 0, &file) == 0);
    op->user = model;
    MODEL_CHECK(reop_call_begin(&call, op, file, 0) == REOP_PENDING);
    MODEL_CHECK(!ConnectNamedPipe(pipe, call.overlapped));
    status = reop_call_commit(&call, GetLastError(), 0);
    if (model->flags & REOP_ENGINE_INLINE)
        MODEL_CHECK(status == REOP_DONE);
    else
        MODEL_CHECK(status == REOP_PENDING && reop_reap(model->engine, &op, 1, REOP_FOREVER) == 1);
    MODEL_CHECK(op == model->ops[0] && op->result == 0 && op->os_error == ERROR_PIPE_CONNECTED);
    model->accepted++;
    model->came_back++;
    model_lay_down(op);
    MODEL_CHECK(reop_file_close(file) == 0);
}

Test(nt_row, pipe_that_is_connected_has_no_packet)
{
    struct kernel_profile skips = only(IO_PENDING, MODES_SET);
    struct kernel_profile packets = only(IO_PENDING, MODES_REFUSED);

    model_run(&skips, 0, 0, connect_pipe);
    model_run(&packets, 0, 0, connect_pipe);
    model_run(&skips, REOP_ENGINE_INLINE, 0, connect_pipe);
    model_run(&packets, REOP_ENGINE_INLINE, 0, connect_pipe);
}

/* --- notification modes ----------------------------------------------------------------------- */

static void submit_once(struct model *model)
{
    model_finish(model, model->ops[0], model_submit(model, model->ops[0], REOP_KIND_READ));
}

static void expect_pending(struct model *model)
{
    reop_status status = model_submit(model, model->ops[0], REOP_KIND_READ);

    MODEL_CHECK(status == REOP_PENDING, "a success of a file with packets was answered at once");
    model_finish(model, model->ops[0], status);
}

Test(nt_row, file_with_packets_is_not_granted_skip)
{
    struct kernel_profile profile = only(IO_TRUE, MODES_SET);

    model_run(&profile, REOP_ENGINE_INLINE, REOP_FILE_PACKETS, expect_pending);
}

/* Modes can be set on a handle and never cleared, so a handle may come with more than was asked. */
static void attach_again(struct model *model)
{
    static const uint32_t flags[] = {REOP_FILE_PACKETS, 0, REOP_FILE_PACKETS};

    submit_once(model);
    for (int i = 0; i < 3; i++) {
        reop_handle handle = 0;
        int error;

        MODEL_CHECK(reop_file_detach(model->file, &handle) == 0);
        error = reop_file_attach(model->engine, handle, flags[i], &model->file);
        MODEL_CHECK(error == 0 || (flags[i] != 0 && error == -ENOTSUP), "%d", error);
        if (error < 0)
            MODEL_CHECK(reop_file_attach(model->engine, handle, 0, &model->file) == 0);
        submit_once(model);
    }
}

Test(nt_row, handle_that_comes_with_skip_set_is_served_or_refused)
{
    struct kernel_profile profile = only(IO_TRUE, MODES_SET);

    model_run(&profile, 0, 0, attach_again);
    model_run(&profile, REOP_ENGINE_INLINE, 0, attach_again);
}

static void attach_with_modes(struct model *model)
{
    void *handle = kernel_open_memory(MODEL_FILE_SIZE);
    reop_file *first = model->file;

    MODEL_CHECK(SetFileCompletionNotificationModes(handle, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS));
    kernel_refuse_modes();
    MODEL_CHECK(reop_file_attach(model->engine, (reop_handle) handle, 0, &model->file) == 0);
    submit_once(model);
    MODEL_CHECK(reop_file_close(model->file) == 0);
    model->file = first;
}

Test(nt_row, skip_that_was_there_before_is_noticed_when_setting_it_fails)
{
    struct kernel_profile profile = only(IO_TRUE, MODES_SET);

    model_run(&profile, 0, 0, attach_with_modes);
}

/* --- attach ----------------------------------------------------------------------------------- */

static void attach_synchronous(struct model *model)
{
    void *handle = kernel_open_memory(MODEL_FILE_SIZE);
    reop_file *file = NULL;

    kernel_make_synchronous(handle);
    MODEL_CHECK(reop_file_attach(model->engine, (reop_handle) handle, 0, &file) == -ENOTSUP);
    MODEL_CHECK(CloseHandle(handle), "a refused handle is still the caller's");
}

Test(nt_row, handle_that_is_not_overlapped_is_refused)
{
    struct kernel_profile profile = only(IO_TRUE, MODES_SET);

    model_run(&profile, 0, 0, attach_synchronous);
}

static void detach_nowhere(struct model *model)
{
    reop_handle handle = 0;

    MODEL_CHECK(reop_file_detach(model->file, &handle) == -ENOTSUP);
    submit_once(model);
}

Test(nt_row, file_that_cannot_be_detached_goes_on)
{
    struct kernel_profile profile = only(UNBINDS_NOT, MODES_SET);

    model_run(&profile, 0, 0, detach_nowhere);
}

/* --- scatter and gather ----------------------------------------------------------------------- */

#define PAGE 4096u

static void scatter(struct model *model)
{
    static _Alignas(PAGE) unsigned char pages[2][PAGE];
    struct reop_piece pieces[2] = {{pages[0], PAGE}, {pages[1], PAGE}};
    void *handle = kernel_open_memory(3 * PAGE);
    reop_file *file = NULL;
    reop_op *op = model->ops[0];

    kernel_make_direct(handle);
    MODEL_CHECK(reop_file_attach(model->engine, (reop_handle) handle, REOP_FILE_DIRECT, &file) ==
                0);
    for (int writes = 0; writes < 2; writes++) {
        reop_status status =
            writes ? reop_writev(op, file, pieces, 2, 0) : reop_readv(op, file, pieces, 2, PAGE);

        MODEL_CHECK(status != REOP_REJECTED, "%lld", (long long) op->result);
        if (status == REOP_PENDING)
            MODEL_CHECK(reop_reap(model->engine, &op, 1, REOP_FOREVER) == 1);
        MODEL_CHECK(op->result == 2 * PAGE, "%lld", (long long) op->result);
        model->accepted++;
        model->came_back++;
        if (!writes)
            for (uint32_t i = 0; i < 2 * PAGE; i++)
                MODEL_CHECK(pages[i / PAGE][i % PAGE] == kernel_byte(PAGE + i));
        MODEL_CHECK(reop_readv(op, file, (struct reop_piece[]){{pages[0], PAGE / 2}}, 1, 0) ==
                        REOP_REJECTED &&
                    op->result == -ENOTSUP);
        model->rejected++;
    }
    model_lay_down(op);
    MODEL_CHECK(reop_file_close(file) == 0);
}

Test(nt_row, pages_of_a_direct_file_are_scattered_and_gathered)
{
    static const enum kernel_answer calls[] = {IO_TRUE, IO_PENDING, IO_EARLY};

    for (int i = 0; i < 6; i++) {
        struct kernel_profile profile = only(calls[i % 3], i < 3 ? MODES_SET : MODES_REFUSED);

        model_run(&profile, 0, 0, scatter);
        model_run(&profile, REOP_ENGINE_INLINE, 0, scatter);
        model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, scatter);
    }
}

/* --- offsets ---------------------------------------------------------------------------------- */

static void read_far_behind_the_end(struct model *model)
{
    reop_op *op = model->ops[0];
    reop_status status =
        reop_read(op, model->file, reop_op_buffer(op), MODEL_SIZE, (UINT64_C(1) << 32) + 128);

    MODEL_CHECK(status != REOP_REJECTED);
    if (status == REOP_PENDING)
        MODEL_CHECK(reop_reap(model->engine, &op, 1, REOP_FOREVER) == 1);
    MODEL_CHECK(op->result == 0 && op->os_error == ERROR_HANDLE_EOF, "%lld",
                (long long) op->result);
    model->accepted++;
    model->came_back++;
    model_lay_down(op);
}

/* At the end of a file a call fails at once, and a packet says so: both are result 0. */
Test(nt_row, offset_has_two_halves_and_the_end_is_no_error)
{
    struct kernel_profile pending = only(IO_PENDING, MODES_SET), now = only(IO_TRUE, MODES_SET);

    model_run(&pending, 0, 0, read_far_behind_the_end);
    model_run(&now, 0, 0, read_far_behind_the_end);
    model_run(&now, REOP_ENGINE_INLINE, 0, read_far_behind_the_end);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static int64_t cancelled_result;

static void submit_and_cancel(struct model *model)
{
    reop_op *op = model->ops[0];
    uint64_t use = reop_op_use(op);

    MODEL_CHECK(model_submit(model, op, REOP_KIND_READ) == REOP_PENDING);
    MODEL_CHECK(model_cancel(model, op, use) == 0);
    MODEL_CHECK(model_cancel(model, op, use + 1) == -ENOENT);
    model_finish(model, op, REOP_PENDING);
    MODEL_CHECK(model_result(op) == cancelled_result, "%lld", (long long) model_result(op));
    MODEL_CHECK(model_cancel(model, op, use) == -ENOENT);
    submit_once(model);
    MODEL_CHECK(model_result(op) == 64, "the cancel has reached a later launch");
}

Test(nt_row, cancel_is_a_wish_whatever_it_answers)
{
    static const struct {
        enum kernel_answer call, answer;
        int64_t result;
    } cases[] = {
        {IO_PENDING, CANCEL_WINS, -ECANCELED}, {IO_PENDING, CANCEL_LOSES, 64},
        {IO_PENDING, CANCEL_NOT_FOUND, 64},    {IO_EARLY, CANCEL_LATE, 64},
        {IO_EARLY, CANCEL_BLUFF, 64},
    };

    for (int i = 0; i < 5; i++) {
        struct kernel_profile profile = only(cases[i].call, cases[i].answer);

        cancelled_result = cases[i].result;
        model_run(&profile, 0, 0, submit_and_cancel);
        model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, submit_and_cancel);
    }
}

/* --- wake, and posts that fail ---------------------------------------------------------------- */

static void wake_after_a_while(void *argument)
{
    struct model *model = argument;

    world_sleep(1000000);
    reop_wake(model->engine);
}

/* One that finds a sleeper, and one that is there first. */
static void wake_twice(struct model *model)
{
    struct sync_thread thread;

    coro_start(&thread, wake_after_a_while, model);
    MODEL_CHECK(model_reap(model, REOP_FOREVER) == 0, "a wake is no op");
    sync_thread_join(&thread);
    reop_wake(model->engine);
    MODEL_CHECK(model_reap(model, REOP_FOREVER) == 0, "a wake is no op");
    submit_once(model);
}

Test(nt_row, wake_survives_posts_that_fail)
{
    struct kernel_profile profile = only(POST_FAILED, SYSTEM_OLD);

    for (uint32_t failures = 0; failures < 5; failures++) {
        profile.failed_posts_max = failures;
        profile.weights[POST_TAKEN] = 0;
        model_run(&profile, 0, 0, wake_twice);
        model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, wake_twice);
    }
}

/* A post that is made for not failing does not. */
Test(nt_row, wake_with_a_reserve_object_needs_no_post)
{
    struct kernel_profile profile = only(POST_FAILED, SYSTEM_NEW);

    profile.weights[POST_TAKEN] = 0;
    model_run(&profile, 0, 0, wake_twice);
}

/* --- time-outs -------------------------------------------------------------------------------- */

static void reap_nothing(struct model *model)
{
    kernel_hold(true);
    MODEL_CHECK(model_submit(model, model->ops[0], REOP_KIND_READ) == REOP_PENDING);
    MODEL_CHECK(model_reap(model, 0) == 0, "the count of a FALSE was believed");
    MODEL_CHECK(model_reap(model, 1) == 0);
    MODEL_CHECK(model_reap(model, 5000000) == 0);
    kernel_hold(false);
    model_finish(model, model->ops[0], REOP_PENDING);
}

Test(nt_row, count_of_a_false_is_not_believed)
{
    struct kernel_profile profile = only(IO_PENDING, MODES_SET);

    model_run(&profile, 0, 0, reap_nothing);
    model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, reap_nothing);
}

/* --- stalls ----------------------------------------------------------------------------------- */

static void stall(struct model *model)
{
    struct reop_file_info info;

    submit_once(model);
    submit_once(model);
    MODEL_CHECK(reop_file_query(model->file, &info) == 0);
    MODEL_CHECK(info.submit_stalls == 2 && info.submit_stall_ns >= 4000000, "%llu stalls, %llu ns",
                (unsigned long long) info.submit_stalls, (unsigned long long) info.submit_stall_ns);
}

Test(nt_row, submit_that_blocks_is_counted)
{
    struct kernel_profile pending = only(IO_PENDING, CALL_BLOCKS), now = only(IO_TRUE, CALL_BLOCKS);

    model_run(&pending, 0, 0, stall);
    model_run(&now, REOP_ENGINE_INLINE, 0, stall);
}

/* --- sync ------------------------------------------------------------------------------------- */

static void sync_twice(struct model *model)
{
    for (int i = 0; i < 2; i++) {
        model_finish(model, model->ops[i], model_submit(model, model->ops[i], REOP_KIND_SYNC));
        MODEL_CHECK(model_result(model->ops[i]) ==
                    (model->profile->weights[FLUSH_OK] ? 0 : -ENOMEM));
    }
}

Test(nt_row, sync_is_reaped_and_a_failed_one_is_for_ever)
{
    struct kernel_profile good = only(FLUSH_OK, IO_PENDING), bad = only(FLUSH_ERROR, IO_PENDING);

    model_run(&good, 0, 0, sync_twice);
    model_run(&bad, 0, 0, sync_twice);
    model_run(&good, REOP_ENGINE_SINGLE_THREAD, 0, sync_twice);
    model_run(&bad, REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_INLINE, 0, sync_twice);
}

/* --- stopping --------------------------------------------------------------------------------- */

static void stop_with_a_stuck_op(struct model *model)
{
    struct reop_stuck_op stuck[2];
    reop_op *op = model->ops[0];
    uint64_t use = reop_op_use(op);

    kernel_hold(true);
    MODEL_CHECK(model_submit(model, op, REOP_KIND_READ) == REOP_PENDING);
    model_stop(model);
    MODEL_CHECK(model_submit(model, model->ops[1], REOP_KIND_READ) == REOP_REJECTED);
    MODEL_CHECK(model_reap(model, 3000000) == 0, "an op is in flight: it is not over");
    MODEL_CHECK(reop_stuck(model->engine, stuck, 2) == 1 && stuck[0].op == op &&
                    stuck[0].use == use && stuck[0].size == MODEL_SIZE,
                "the stuck op is not named");
    MODEL_CHECK(reop_engine_destroy(model->engine) == -EBUSY);
    MODEL_CHECK(model_cancel(model, op, use) == 0);
    model_finish(model, op, REOP_PENDING);
    MODEL_CHECK(model_result(op) == -ECANCELED);
    kernel_hold(false);
}

Test(nt_row, stop_names_what_is_stuck)
{
    struct kernel_profile profile = only(IO_PENDING, CANCEL_WINS);

    model_run(&profile, 0, 0, stop_with_a_stuck_op);
    model_run(&profile, REOP_ENGINE_SINGLE_THREAD, 0, stop_with_a_stuck_op);
}
