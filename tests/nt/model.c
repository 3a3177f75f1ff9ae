/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "chance.h"
#include "coro.h"
#include "world.h"

#include <alloc_count.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USES 64u /* no op is launched more often in a run, or its old asks are forgotten */

/* In the op's context: what is expected of it, and what it last said. */
struct stamp {
    uint64_t use;      /* of its last launch */
    int8_t asks[USES]; /* cancels of a use that asked the system, or may have */
    uint64_t hash;     /* of the public op, while nobody has it */
    int64_t result;
    uint32_t os_error;
    uint32_t kind;
    uint32_t in_flight;
    uint32_t offset;
};

static struct stamp *stamp_of(const reop_op *op)
{
    return reop_op_context((reop_op *) (uintptr_t) op);
}

/* --- failing ---------------------------------------------------------------------------------- */

void model_failed(const char *file, int line, const char *text, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: %s", file, line, text);
    if (format != NULL) {
        fputs(": ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
    abort();
}

static void print_tape(int signal_number)
{
    signal(signal_number, SIG_DFL);
    chance_print();
    raise(signal_number);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

__attribute__((constructor)) static void print_tapes(void)
{
    signal(SIGABRT, print_tape);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(chance_print);
    else
        signal(SIGSEGV, print_tape);
}

/* --- ops -------------------------------------------------------------------------------------- */

static uint64_t hash_op(const reop_op *op)
{
    const unsigned char *bytes = (const unsigned char *) op;
    uint64_t hash = 0;

    for (size_t i = 0; i < sizeof *op; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The op is ours, every field of it. Whoever still reads or writes it from its last launch does so
 * at his own risk. */
void model_lay_down(reop_op *op)
{
    memset(op, 0xe7, sizeof *op);
    stamp_of(op)->hash = hash_op(op);
}

static void expect_untouched(const reop_op *op)
{
    MODEL_CHECK(hash_op(op) == stamp_of(op)->hash, "op %p was touched while its caller held it",
                (const void *) op);
}

/* Was it this launch that a cancel was for? */
static bool was_asked(const struct stamp *stamp)
{
    return stamp->asks[stamp->use % USES] > 0;
}

static void expect_bytes(const reop_op *op, uint32_t offset)
{
    const unsigned char *bytes = op->data;

    for (int64_t i = 0; i < op->result; i++)
        MODEL_CHECK(bytes[i] == kernel_byte(offset + (uint64_t) i), "byte %lld is wrong",
                    (long long) i);
}

static void expect_verdict(struct model *model, const reop_op *op, const struct stamp *stamp)
{
    bool syncs = stamp->kind == REOP_KIND_SYNC;
    struct kernel_verdict verdict = {0, 0};

    if (stamp->kind == REOP_KIND_POST)
        return;
    if (syncs && model->sync_error != 0) {
        MODEL_CHECK(op->result == model->sync_error, "a sync after a failed one: %lld",
                    (long long) op->result);
        return;
    }
    MODEL_CHECK(kernel_last_verdict(syncs ? model->handle : op, &verdict) ||
                    (syncs && op->result == -ECANCELED),
                "the kernel was never asked");
    if (syncs && op->result == -ECANCELED && was_asked(stamp))
        return; /* it was still in the queue of the flushers */
    MODEL_CHECK(op->result == kernel_promised(&verdict, stamp->kind == REOP_KIND_READ),
                "result %lld, but the kernel said error %u, %u bytes", (long long) op->result,
                (unsigned) verdict.error, (unsigned) verdict.bytes);
    MODEL_CHECK(op->os_error == verdict.error, "os_error %u, but the kernel said %u",
                (unsigned) op->os_error, (unsigned) verdict.error);
    if (syncs && op->result < 0 && op->result != -ECANCELED)
        model->sync_error = op->result;
    if (stamp->kind == REOP_KIND_READ)
        expect_bytes(op, stamp->offset);
}

/* An op has come back, whichever way. */
static void take_back(struct model *model, reop_op *op)
{
    struct stamp *stamp = stamp_of(op);

    MODEL_CHECK(stamp->in_flight == 1, "op %p came back twice", (void *) op);
    stamp->in_flight = 2; /* neither here nor there: what follows may let others run */
    MODEL_CHECK(reop_op_use(op) == stamp->use + 1, "use %llu came back as %llu",
                (unsigned long long) stamp->use, (unsigned long long) reop_op_use(op) - 1);
    MODEL_CHECK(op->user == model && op->kind == stamp->kind, "an op's own fields have changed");
    expect_verdict(model, op, stamp);
    MODEL_CHECK(was_asked(stamp) || op->os_error != ERROR_OPERATION_ABORTED ||
                    stamp->kind == REOP_KIND_POST ||
                    model->profile->errors & (UINT32_C(1) << KERNEL_ERROR_ABORTED),
                "cancelled, which nobody has asked for");
    stamp->result = op->result;
    stamp->os_error = op->os_error;
    model->came_back++;
    model->syncs -= stamp->kind == REOP_KIND_SYNC;
    model->failed += op->result < 0;
    stamp->in_flight = 0;
    model_lay_down(op);
}

static reop_status submit_native(struct model *model, reop_op *op, void *data, uint32_t offset)
{
    DWORD bytes = 0;
    reop_call call;
    reop_status status = reop_call_begin(&call, op, model->file, offset);
    BOOL done;

    if (status != REOP_PENDING)
        return status;
    done = ReadFile(model->handle, data, MODEL_SIZE, &bytes, call.overlapped);
    return reop_call_commit(&call, done ? ERROR_SUCCESS : GetLastError(), bytes);
}

static reop_status submit(struct model *model, reop_op *op, enum reop_kind kind, uint32_t offset)
{
    unsigned char *data = reop_op_buffer(op);

    switch (kind) {
    case REOP_KIND_READ:
        return reop_read(op, model->file, data, MODEL_SIZE, offset);
    case REOP_KIND_WRITE: /* what is there already */
        for (uint32_t i = 0; i < MODEL_SIZE; i++)
            data[i] = kernel_byte(offset + i);
        return reop_write(op, model->file, data, MODEL_SIZE, offset);
    case REOP_KIND_SYNC:
        return reop_sync(op, model->file, 0);
    case REOP_KIND_POST:
        return reop_post(op, model->engine, offset);
    default:
        model->native = true;
        return submit_native(model, op, data, offset);
    }
}

reop_status model_submit(struct model *model, reop_op *op, enum reop_kind kind)
{
    struct stamp *stamp = stamp_of(op);
    reop_status status;

    MODEL_CHECK(stamp->in_flight == 0);
    expect_untouched(op);
    op->user = model;
    stamp->use = reop_op_use(op);
    stamp->kind = kind;
    stamp->offset = 128 * (uint32_t) (stamp->use % 16);
    stamp->in_flight = 1;
    model->syncs += kind == REOP_KIND_SYNC;
    status = submit(model, op, kind, stamp->offset);
    if (status == REOP_PENDING) {
        model->accepted++;
    } else if (status == REOP_DONE) {
        MODEL_CHECK(model->flags & REOP_ENGINE_INLINE, "DONE, but not inline");
        model->accepted++;
        take_back(model, op);
    } else {
        MODEL_CHECK(model->stopped && op->result == -ECANCELED, "rejected: %lld",
                    (long long) op->result);
        model->rejected++;
        stamp->in_flight = 0;
        model->syncs -= kind == REOP_KIND_SYNC;
        model_lay_down(op);
    }
    return status;
}

int model_reap(struct model *model, int64_t timeout_ns)
{
    reop_op *ops[MODEL_OPS];
    int count = reop_reap(model->engine, ops, MODEL_OPS, timeout_ns);

    for (int i = 0; i < count; i++)
        take_back(model, ops[i]);
    return count;
}

void model_finish(struct model *model, reop_op *op, reop_status status)
{
    while (status == REOP_PENDING && stamp_of(op)->in_flight)
        MODEL_CHECK(model_reap(model, REOP_FOREVER) >= 0);
}

void model_reap_until(struct model *model, uint64_t came_back)
{
    while (model->came_back < came_back)
        MODEL_CHECK(model_reap(model, REOP_FOREVER) >= 0);
}

int model_cancel(struct model *model, reop_op *op, uint64_t use)
{
    int8_t *asks = &stamp_of(op)->asks[use % USES];
    int answer;

    ++*asks; /* it may come back before the call returns */
    answer = reop_cancel(op, use);
    if (answer == 0) {
        model->cancels++;
        return 0;
    }
    --*asks;
    MODEL_CHECK(answer == -ENOENT ||
                    (answer == -EAGAIN && model->flags & REOP_ENGINE_SINGLE_THREAD),
                "cancel: %d", answer);
    return answer;
}

bool model_is_held(const reop_op *op)
{
    return stamp_of(op)->in_flight == 0;
}

void model_stop(struct model *model)
{
    model->stopped = true;
    reop_stop(model->engine);
}

int64_t model_result(const reop_op *op)
{
    return stamp_of(op)->result;
}

uint32_t model_os_error(const reop_op *op)
{
    return stamp_of(op)->os_error;
}

/* --- a run ------------------------------------------------------------------------------------ */

static void open_model(struct model *model)
{
    reop_pool_config pool = {.op_count = MODEL_OPS,
                             .lane_cache = REOP_LANE_EXACT,
                             .context_size = sizeof(struct stamp),
                             .buffer_size = MODEL_SIZE,
                             .buffer_align = 64};
    reop_engine_config engine = {.file_count = 4, .flags = model->flags};

    MODEL_CHECK(reop_pool_create(&pool, &model->pool) == 0);
    model->lane = reop_pool_shared_lane(model->pool);
    engine.pool = model->pool;
    engine.sync_threads = model->flags & REOP_ENGINE_SINGLE_THREAD ? 1 : 2;
    MODEL_CHECK(reop_engine_create(&engine, &model->engine) == 0, "%s", reop_engine_why(NULL));
    model->handle = kernel_open_memory(MODEL_FILE_SIZE);
    MODEL_CHECK(reop_file_attach(model->engine, (reop_handle) model->handle, model->file_flags,
                                 &model->file) == 0);
    MODEL_CHECK(reop_acquire_many(model->lane, model->ops, MODEL_OPS) == MODEL_OPS);
    for (uint32_t i = 0; i < MODEL_OPS; i++)
        model_lay_down(model->ops[i]);
}

static void check_model(struct model *model)
{
    struct reop_engine_stats stats;
    struct reop_stuck_op stuck;

    for (uint32_t i = 0; i < MODEL_OPS; i++) {
        MODEL_CHECK(stamp_of(model->ops[i])->in_flight == 0, "op %u never came back", (unsigned) i);
        expect_untouched(model->ops[i]);
    }
    if (model->stopped)
        MODEL_CHECK(model_reap(model, REOP_FOREVER) == -ECANCELED, "stopped, and reap goes on");
    else
        MODEL_CHECK(model_reap(model, 0) == 0, "something was left to be reaped");
    MODEL_CHECK(kernel_owned() == 0, "the kernel still owns %u ops", (unsigned) kernel_owned());
    MODEL_CHECK(reop_stuck(model->engine, &stuck, 1) == 0);
    reop_engine_query(model->engine, &stats);
    MODEL_CHECK(stats.submitted == model->accepted && stats.completed == model->came_back,
                "%llu submitted and %llu completed, but %llu and %llu were seen",
                (unsigned long long) stats.submitted, (unsigned long long) stats.completed,
                (unsigned long long) model->accepted, (unsigned long long) model->came_back);
    MODEL_CHECK(model->accepted == model->came_back);
    MODEL_CHECK(stats.failed == model->failed);
    MODEL_CHECK(stats.rejected == model->rejected);
    MODEL_CHECK(stats.cancels == model->cancels);
    MODEL_CHECK(stats.unexpected == 0, "a packet that nobody expected");
    /* Nobody times a native call. */
    MODEL_CHECK(stats.submit_stalls == kernel_stalls() ||
                    (model->native && stats.submit_stalls < kernel_stalls()),
                "%llu stalls counted, %llu made", (unsigned long long) stats.submit_stalls,
                (unsigned long long) kernel_stalls());
}

static void close_model(struct model *model)
{
    MODEL_CHECK(reop_file_close(model->file) == 0);
    MODEL_CHECK(reop_engine_destroy(model->engine) == 0);
    reop_release_many(model->lane, model->ops, MODEL_OPS);
    MODEL_CHECK(reop_pool_destroy(model->pool) == 0);
}

static void first_thread(void *argument)
{
    struct model *model = argument;
    uint64_t allocations;

    coro_be_orderly(true);
    open_model(model);
    coro_be_orderly(false);
    allocations = alloc_count_now();
    model->scenario(model);
    coro_be_orderly(true);
    check_model(model);
    MODEL_CHECK(alloc_count_now() == allocations, "something allocates");
    close_model(model);
}

void model_run(const struct kernel_profile *profile, uint32_t engine_flags, uint32_t file_flags,
               void (*scenario)(struct model *))
{
    struct model model = {
        .flags = engine_flags, .file_flags = file_flags, .profile = profile, .scenario = scenario};

    kernel_reset(profile);
    coro_run(first_thread, &model);
}

uint64_t model_run_all(const struct kernel_profile *profile, uint32_t engine_flags,
                       void (*scenario)(struct model *), uint64_t limit)
{
    uint64_t runs = 0;

    chance_first();
    do {
        model_run(profile, engine_flags, 0, scenario);
        MODEL_CHECK(++runs <= limit, "more than %llu runs", (unsigned long long) limit);
    } while (chance_next());
    return runs;
}
