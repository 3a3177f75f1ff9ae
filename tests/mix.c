/* SPDX-License-Identifier: MIT */
#include "mix.h"

#define FILE_SIZE 65536u
#define SLOW_SIZE 2048u

void mix_open(struct mix *mix, const struct fixture_backend *backend, uint64_t seed)
{
    struct fixture *fixture = &mix->fixture;

    memset(mix, 0, sizeof *mix);
    mix->random = seed;
    /* Fewer in flight than there are ops, so that depth is reached too. */
    fixture_open_with(fixture, backend,
                      (reop_pool_config){.op_count = MIX_OPS,
                                         .lane_count = 1,
                                         .lane_cache = REOP_LANE_EXACT,
                                         .context_size = 64,
                                         .buffer_size = 4096},
                      (reop_engine_config){.threads = 1, .depth = MIX_OPS - 4});
    mix->lane = reop_pool_lane(fixture->pool, 0);
    mix->readable = fixture_file(fixture, REOP_FILE_READ, FILE_SIZE);
    fixture_fill(fixture_path(fixture, 1), FILE_SIZE);
    cr_assert_eq(reop_file_open(fixture->engine, fixture_path(fixture, 1),
                                REOP_FILE_WRITE | FIXTURE_SHARED, &mix->writable),
                 0);
    if (backend->traits & FIXTURE_STREAMS)
        fixture_pipe_open(fixture, &mix->pipe);
    else
        cr_assert_eq(
            reop_file_open(fixture->engine, fixture_slow_path(), REOP_FILE_READ, &mix->slow), 0);
}

static void come_back(struct mix *mix, reop_op *op)
{
    struct mix_counts *counts = &mix->counts;

    counts->ops++;
    counts->succeeded += op->result >= 0;
    counts->cancelled += op->result == -ECANCELED;
    counts->failed += op->result < 0 && op->result != -ECANCELED;
    if (op->kind == REOP_KIND_READ && op->file == mix->readable && op->result >= 0)
        counts->wrong +=
            op->result != (int64_t) op->size || !fixture_matches(op->data, 16, op->offset);
    reop_release(mix->lane, op);
}

static void reap(struct mix *mix, int64_t timeout_ns)
{
    reop_op *ops[MIX_OPS];
    int count = reop_reap(mix->fixture.engine, ops, MIX_OPS, timeout_ns);

    mix->counts.wrong += count < 0;
    mix->counts.reaps_over += count == 0 && timeout_ns > 0 && timeout_ns < FIXTURE_MS;
    for (int i = 0; i < count; i++) {
        come_back(mix, ops[i]);
        mix->in_flight--;
    }
}

/* A read that waits: for a byte that never comes, or behind others. The cancel finds it. */
static reop_status submit_and_cancel(struct mix *mix, reop_op *op)
{
    uint64_t use = reop_op_use(op);
    reop_status status;
    int answer;

    if (mix->slow == NULL) {
        status = reop_read(op, mix->pipe.reader, reop_op_buffer(op), 64, 0);
    } else {
        reop_op *plug = reop_acquire(mix->lane);

        if (plug != NULL) {
            status = reop_read(plug, mix->slow, reop_op_buffer(plug), SLOW_SIZE, 0);
            if (status == REOP_PENDING)
                mix->in_flight++;
            else
                reop_release(mix->lane, plug); /* too deep */
        }
        status = reop_sync(op, mix->writable, REOP_SYNC_DATA);
    }
    if (status != REOP_PENDING)
        return status;
    answer = reop_cancel(op, use);
    mix->counts.wrong += answer != 0;
    mix->counts.wrong += reop_cancel(op, use + 1) != -ENOENT;
    return status;
}

static reop_status submit_pieces(struct mix *mix, reop_op *op, bool write, uint64_t offset)
{
    struct reop_piece *pieces = reop_op_context(op);
    char *buffer = reop_op_buffer(op);

    pieces[0] = (struct reop_piece){buffer, 1000};
    pieces[1] = (struct reop_piece){buffer + 1000, 500};
    return write ? reop_writev(op, mix->writable, pieces, 2, offset)
                 : reop_readv(op, mix->readable, pieces, 2, offset);
}

static reop_status submit_any(struct mix *mix, reop_op *op, uint64_t dice)
{
    static uint8_t foreign[4096];
    void *data = dice >> 8 & 1 ? (void *) foreign : reop_op_buffer(op);
    uint32_t size = 16 + (uint32_t) (dice >> 16) % 2048;
    uint64_t offset = (dice >> 32) % (FILE_SIZE - 4096);

    switch (dice % 16) {
    default:
        return reop_read(op, mix->readable, reop_op_buffer(op), size, offset);
    case 5:
    case 6:
    case 7:
        return reop_write(op, mix->writable, data, size, offset);
    case 8:
        return reop_write(op, mix->readable, data, size, offset); /* fails */
    case 9:
        return reop_read(op, mix->writable, data, size, offset); /* fails */
    case 10:
        return reop_read(op, mix->readable, data, size, UINT64_MAX); /* rejected */
    case 11:
        return reop_post(op, mix->fixture.engine, (int64_t) size);
    case 12:
        return submit_pieces(mix, op, dice >> 9 & 1, offset);
    case 13:
        return submit_and_cancel(mix, op);
    }
}

static void settle(struct mix *mix, reop_op *op, reop_status status)
{
    if (status == REOP_PENDING) {
        mix->in_flight++;
    } else if (status == REOP_DONE) {
        come_back(mix, op);
    } else {
        mix->counts.rejected += op->result == -EINVAL;
        mix->counts.too_deep += op->result == -EAGAIN;
        mix->counts.unsupported += op->result == -ENOTSUP;
        mix->counts.wrong +=
            op->result != -EINVAL && op->result != -EAGAIN && op->result != -ENOTSUP;
        reop_release(mix->lane, op);
    }
}

/* Opens, detaches where the system can, attaches and closes. */
static bool reopen(struct fixture *fixture)
{
    reop_file *file = NULL;
    reop_handle handle = 0;
    int error;

    if (reop_file_open(fixture->engine, fixture->paths[0], REOP_FILE_READ | FIXTURE_SHARED,
                       &file) != 0)
        return false;
    error = reop_file_detach(file, &handle);
    if (error == 0)
        error = reop_file_attach(fixture->engine, handle, 0, &file);
    return (error == 0 || error == -ENOTSUP) && reop_file_close(file) == 0;
}

/* What a program does now and then. */
static void do_rare_things(struct mix *mix)
{
    struct fixture *fixture = &mix->fixture;
    struct reop_engine_stats stats;
    struct reop_file_info info;
    struct reop_stuck_op stuck[4];
    reop_op *op = reop_acquire(mix->lane);
    reop_file *file = NULL;

    if (op != NULL)
        settle(mix, op, reop_sync(op, mix->writable, 0));
    if (reopen(fixture))
        mix->counts.reopened++;
    else
        mix->counts.wrong++;
    mix->counts.wrong +=
        reop_file_open(fixture->engine, "/nowhere/at/all", REOP_FILE_READ, &file) == 0;
    reop_engine_query(fixture->engine, &stats);
    reop_file_query(mix->readable, &info);
    reop_stuck(fixture->engine, stuck, 4);
    reop_wake(fixture->engine);
    mix->counts.wrong += reop_flush(fixture->engine) != 0;
    reop_pool_interrupt(fixture->pool);
}

/* Every op is out: none to be had, at once or by waiting. */
static void exhaust(struct mix *mix)
{
    reop_op *ops[MIX_OPS + 1];
    uint32_t count = reop_acquire_many(mix->lane, ops, MIX_OPS + 1);

    mix->counts.exhausted += reop_acquire(mix->lane) == NULL;
    mix->counts.waits_over += reop_acquire_wait(mix->lane, 1000) == NULL;
    reop_release_many(mix->lane, ops, count);
}

void mix_run(struct mix *mix, uint64_t ops)
{
    while (mix->counts.ops < ops) {
        uint64_t dice = fixture_random(&mix->random);
        uint32_t burst = (uint32_t) (dice >> 8) % (2 * MIX_OPS);

        for (uint32_t i = 0; i < burst; i++) {
            reop_op *op = reop_acquire(mix->lane);

            if (op == NULL) {
                mix->counts.exhausted++;
                break;
            }
            settle(mix, op, submit_any(mix, op, fixture_random(&mix->random)));
        }
        if (dice % 64 == 0)
            exhaust(mix);
        if (dice % 256 == 1)
            do_rare_things(mix);
        while (mix->in_flight > dice % 4)
            reap(mix, FIXTURE_PATIENCE_NS);
        if (dice % 128 == 2 && mix->in_flight == 0)
            reap(mix, 1000);
    }
    while (mix->in_flight > 0)
        reap(mix, FIXTURE_PATIENCE_NS);
    reap(mix, 1000); /* whatever was drawn, one that runs out */
}

void mix_expect_all(const struct mix *mix)
{
    const struct mix_counts *counts = &mix->counts;

    cr_assert_eq(counts->wrong, 0, "%llu wrong", (unsigned long long) counts->wrong);
    cr_assert_gt(counts->succeeded, 0);
    cr_assert_gt(counts->failed, 0);
    cr_assert_gt(counts->cancelled, 0);
    cr_assert_gt(counts->rejected, 0);
    cr_assert_gt(counts->too_deep, 0);
    cr_assert_gt(counts->exhausted, 0);
    cr_assert_gt(counts->waits_over, 0);
    cr_assert_gt(counts->reaps_over, 0);
    cr_assert_gt(counts->reopened, 0);
}

void mix_print(const struct mix *mix)
{
    const struct mix_counts *counts = &mix->counts;

    printf("%s: %llu ops: %llu succeeded, %llu failed, %llu cancelled; %llu rejected, %llu too "
           "deep; %llu times no op; %llu and %llu time-outs; %llu files reopened\n",
           mix->fixture.backend->name, (unsigned long long) counts->ops,
           (unsigned long long) counts->succeeded, (unsigned long long) counts->failed,
           (unsigned long long) counts->cancelled, (unsigned long long) counts->rejected,
           (unsigned long long) counts->too_deep, (unsigned long long) counts->exhausted,
           (unsigned long long) counts->waits_over, (unsigned long long) counts->reaps_over,
           (unsigned long long) counts->reopened);
}

void mix_close(struct mix *mix)
{
    fixture_close_file(mix->readable);
    fixture_close_file(mix->writable);
    if (mix->slow != NULL)
        fixture_close_file(mix->slow);
    else
        fixture_pipe_close(&mix->pipe);
    fixture_close(&mix->fixture);
}
