/* SPDX-License-Identifier: MIT
 *
 * The contract of an op: the three answers to a submit and who owns the op after each, its outcome,
 * its use number, cancel and post. Every test opens with the promise it holds reop.h to, in the
 * header's own words. The other contract_*_test.c files take the other parts of the header.
 */
#include "fixture.h"

/* --- the three answers ------------------------------------------------------------------------ */

/* Promise: "REOP_PENDING   It comes back through reop_reap(), once. IN_FLIGHT." */
BACKEND_TEST(contract, pending_op_comes_back_once, ON_PENDING)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op, *again = NULL;
    reop_status status;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    op = fixture_acquire(&fixture);
    status = reop_read(op, file, reop_op_buffer(op), 4096, 0);
    cr_assert_eq(status, REOP_PENDING, "%s answered %d", backend->name, (int) status);
    cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
    cr_assert_eq(op->result, 4096, "%s: result %lld", backend->name, (long long) op->result);
    cr_assert_eq(reop_reap(fixture.engine, &again, 1, 5 * FIXTURE_MS), 0, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "It comes back through reop_reap(), once", for a full depth of ops reaped a few at a
 * time; and, of reop_reap(), "takes up to max of them ... Returns how many were stored in ops,
 * which the caller now holds". */
BACKEND_TEST(contract, each_of_many_comes_back_once, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *ops[FIXTURE_OPS], *reaped[7];
    uint32_t seen[FIXTURE_OPS] = {0}, left = FIXTURE_OPS;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, FIXTURE_OPS * 64);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, FIXTURE_OPS), FIXTURE_OPS);
    for (uint32_t i = 0; i < FIXTURE_OPS; i++) {
        reop_status status;

        ops[i]->user = &seen[i];
        status = reop_read(ops[i], file, reop_op_buffer(ops[i]), 64, i * 64);
        cr_assert_neq(status, REOP_REJECTED, "%s", backend->name);
        if (status == REOP_DONE) {
            seen[i]++;
            left--;
        }
    }
    while (left > 0) {
        int count = reop_reap(fixture.engine, reaped, 7, FIXTURE_PATIENCE_NS);

        cr_assert_gt(count, 0, "%s: reap answered %d", backend->name, count);
        cr_assert_leq(count, 7, "%s", backend->name);
        for (int i = 0; i < count; i++)
            ++*(uint32_t *) reaped[i]->user;
        left -= (uint32_t) count;
    }
    cr_assert_eq(reop_reap(fixture.engine, reaped, 7, 0), 0, "%s", backend->name);
    for (uint32_t i = 0; i < FIXTURE_OPS; i++) {
        cr_assert_eq(seen[i], 1, "%s: op %u came back %u times", backend->name, i, seen[i]);
        cr_assert_eq(ops[i]->result, 64, "%s", backend->name);
        cr_assert(fixture_matches(reop_op_buffer(ops[i]), 64, i * 64), "%s", backend->name);
    }
    reop_release_many(fixture.lane, ops, FIXTURE_OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* One submit of each sort: some whose outcome the system knows at once, some that fail. */
static reop_status submit_sort(reop_op *op, reop_file *readable, reop_file *writable, uint32_t sort)
{
    void *buffer = reop_op_buffer(op);
    struct reop_piece *pieces = reop_op_context(op);

    pieces[0] = (struct reop_piece){buffer, 100};
    pieces[1] = (struct reop_piece){(char *) buffer + 100, 28};
    switch (sort % 8) {
    case 0:
        return reop_read(op, readable, buffer, 4096, 0);
    case 1:
        return reop_write(op, writable, buffer, 512, sort * UINT64_C(512));
    case 2:
        return reop_read(op, readable, buffer, 16, 1 << 20); /* end of file */
    case 3:
        return reop_read(op, readable, buffer, 0, 0);
    case 4:
        return reop_read(op, writable, buffer, 16, 0); /* fails: opened for writing only */
    case 5:
        return reop_sync(op, writable, sort & 8 ? REOP_SYNC_DATA : 0);
    case 6:
        return reop_readv(op, readable, pieces, 2, 0);
    default:
        return reop_write(op, readable, buffer, 16, 0); /* fails: opened for reading only */
    }
}

static reop_file *open_writable(struct fixture *fixture, uint32_t flags)
{
    const char *path = fixture_path(fixture, 1);
    reop_file *file = NULL;

    cr_assert_eq(reop_file_open(fixture->engine, path,
                                REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_TRUNCATE |
                                    FIXTURE_SHARED | flags,
                                &file),
                 0, "%s", fixture->backend->name);
    return file;
}

/* Promise: "Only an engine created with REOP_ENGINE_INLINE answers DONE." */
BACKEND_TEST(contract, without_inline_nothing_answers_done, ON_PENDING)
{
    struct fixture fixture;
    reop_file *readable, *writable;
    reop_op *op;

    fixture_open(&fixture, backend);
    readable = fixture_file(&fixture, REOP_FILE_READ, 8192);
    writable = open_writable(&fixture, 0);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 80; i++) {
        reop_status status = submit_sort(op, readable, writable, i);

        if (fixture_no_pieces(op, status))
            continue;
        cr_assert_eq(status, REOP_PENDING, "%s: sort %u answered %d", backend->name, i,
                     (int) status);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(readable);
    fixture_close_file(writable);
    fixture_close(&fixture);
}

/* Promise: "REOP_DONE ... Still HELD, op->result is final, never reaped." A HELD op is one that can
 * be submitted and released. */
BACKEND_TEST(contract, done_op_is_held_and_final_and_never_reaped, ON_INLINE)
{
    static const int64_t results[8] = {4096, 512, 0, 0, -1, 0, 128, -1};
    struct fixture fixture;
    reop_file *readable, *writable;
    reop_op *op, *reaped = NULL;

    fixture_open(&fixture, backend);
    readable = fixture_file(&fixture, REOP_FILE_READ, 8192);
    writable = open_writable(&fixture, 0);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 80; i++) {
        reop_status status = submit_sort(op, readable, writable, i);

        if (fixture_no_pieces(op, status))
            continue;
        cr_assert_neq(status, REOP_REJECTED, "%s", backend->name);
        if (status == REOP_PENDING)
            cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        else
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 0, "%s", backend->name);
        if (results[i % 8] < 0)
            cr_assert_lt(op->result, 0, "%s: sort %u", backend->name, i);
        else
            cr_assert_eq(op->result, results[i % 8], "%s: sort %u gave %lld", backend->name, i,
                         (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(readable);
    fixture_close_file(writable);
    fixture_close(&fixture);
}

/* Promise: "REOP_REJECTED  The system was never asked, and no use was consumed. Still HELD,
 * op->result says why". A HELD op is one that can be submitted and released. */
BACKEND_TEST(contract, rejected_op_is_held_and_no_use_is_consumed, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_engine_stats stats;
    reop_file *file;
    reop_op *op, *reaped = NULL;
    uint64_t use;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    op = fixture_acquire(&fixture);
    use = reop_op_use(op);
    fixture_expect_rejected(op, reop_read(op, file, reop_op_buffer(op), 16, UINT64_MAX), use,
                            EINVAL);
    cr_assert_eq(op->os_error, 0, "%s: the system was never asked", backend->name);
    fixture_expect_rejected(op, reop_read(op, NULL, reop_op_buffer(op), 16, 0), use, EINVAL);
    fixture_expect_rejected(op, reop_sync(op, NULL, 0), use, EINVAL);
    fixture_expect_rejected(op, reop_post(op, NULL, 0), use, EINVAL);
    cr_assert_eq(reop_cancel(op, use), -ENOENT, "%s", backend->name);
    cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 0, "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0)), 16,
                 "%s", backend->name);
    cr_assert_eq(reop_op_use(op), use + 1, "%s", backend->name);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.rejected, 1, "%s", backend->name);
    cr_assert_eq(stats.submitted, 1, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "-EAGAIN (depth reached ...)"; an op counts until it is reaped. And of reop_post():
 * "never -EAGAIN, not counted towards depth". */
BACKEND_TEST(contract, depth_reached_is_eagain, ON_PENDING)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *ops[8];
    uint64_t use;

    fixture_open_with(&fixture, backend,
                      (reop_pool_config){.op_count = 8, .buffer_size = FIXTURE_BUFFER},
                      (reop_engine_config){.depth = 2});
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 8), 8);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 2; i++)
            cr_assert_eq(reop_read(ops[i], file, reop_op_buffer(ops[i]), 16, 0), REOP_PENDING, "%s",
                         backend->name);
        use = reop_op_use(ops[2]);
        fixture_expect_rejected(ops[2], reop_read(ops[2], file, reop_op_buffer(ops[2]), 16, 0), use,
                                EAGAIN);
        for (uint32_t i = 2; i < 8; i++)
            cr_assert_eq(reop_post(ops[i], fixture.engine, 0), REOP_PENDING, "%s", backend->name);
        for (uint32_t i = 0; i < 8; i++)
            fixture_reap(&fixture);
    }
    reop_release_many(fixture.lane, ops, 8);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "-EAGAIN (depth reached; never when depth covers every op)", and of depth: "0: every op
 * of the pool". Lanes with caches mean that more than op_count ops can be out for a moment. */
BACKEND_TEST(contract, depth_that_covers_every_op_never_answers_eagain, ON_EVERY_BACKEND)
{
    enum { OPS = 40, LANES = 3, SLOTS_MAX = 4096 };
    static reop_op *ops[SLOTS_MAX];
    struct fixture fixture;
    reop_file *file;

    fixture_open_with(
        &fixture, backend,
        (reop_pool_config){
            .op_count = OPS, .lane_count = LANES, .lane_cache = 16, .buffer_size = 512},
        (reop_engine_config){0});
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t count = 0, pending = 0;

        for (uint32_t lane = 0; lane < LANES; lane++)
            count += reop_acquire_many(reop_pool_lane(fixture.pool, lane), ops + count,
                                       SLOTS_MAX - count);
        cr_assert_geq(count, OPS, "%s", backend->name);
        for (uint32_t i = 0; i < count; i++) {
            reop_status status = reop_read(ops[i], file, reop_op_buffer(ops[i]), 16, i);

            cr_assert_neq(status, REOP_REJECTED, "%s: op %u of %u: %lld", backend->name, i, count,
                          (long long) ops[i]->result);
            pending += status == REOP_PENDING;
        }
        for (; pending > 0; pending--)
            fixture_reap(&fixture);
        for (uint32_t i = 0; i < count; i++)
            reop_release(reop_pool_lane(fixture.pool, i % LANES), ops[i]);
    }
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: depth is "most ops in flight", whichever pools they are of, though it covered every op
 * until another pool was registered. */
BACKEND_TEST(contract, depth_is_for_the_ops_of_all_pools, ON_PENDING)
{
    enum { OPS = 4 };
    struct fixture fixture;
    reop_pool *second = NULL;
    reop_file *file;
    reop_op *ops[OPS], *others[OPS];
    uint64_t use;

    fixture_open_with(&fixture, backend,
                      (reop_pool_config){.op_count = OPS, .buffer_size = FIXTURE_BUFFER},
                      (reop_engine_config){.depth = OPS});
    cr_assert_eq(reop_pool_create(
                     &(reop_pool_config){.op_count = OPS, .buffer_size = FIXTURE_BUFFER}, &second),
                 0);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, OPS), OPS);
    cr_assert_eq(reop_acquire_many(reop_pool_shared_lane(second), others, OPS), OPS);
    cr_assert_eq(reop_read(ops[0], file, reop_op_buffer(ops[0]), 16, 0), REOP_PENDING);
    cr_assert_eq(reop_engine_register(fixture.engine, second), 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = round == 0; i < 2; i++)
            cr_assert_eq(reop_read(ops[i], file, reop_op_buffer(ops[i]), 16, 0), REOP_PENDING, "%s",
                         backend->name);
        for (uint32_t i = 0; i < 2; i++)
            cr_assert_eq(reop_read(others[i], file, reop_op_buffer(others[i]), 16, 0), REOP_PENDING,
                         "%s: %u", backend->name, i);
        use = reop_op_use(others[2]);
        fixture_expect_rejected(
            others[2], reop_read(others[2], file, reop_op_buffer(others[2]), 16, 0), use, EAGAIN);
        use = reop_op_use(ops[2]);
        fixture_expect_rejected(ops[2], reop_read(ops[2], file, reop_op_buffer(ops[2]), 16, 0), use,
                                EAGAIN);
        for (uint32_t i = 0; i < 4; i++)
            fixture_reap(&fixture);
    }
    reop_release_many(fixture.lane, ops, OPS);
    reop_release_many(reop_pool_shared_lane(second), others, OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
    cr_assert_eq(reop_pool_destroy(second), 0);
}

/* --- the op's fields -------------------------------------------------------------------------- */

static void ignore_done(reop_op *op)
{
    (void) op;
}

/* Promise: "Cleared by reop_acquire(), kept across submits; the library never writes them else." */
BACKEND_TEST(contract, user_and_on_done_are_kept_across_submits, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *readable, *writable;
    reop_op *op;

    fixture_open_with(&fixture, backend,
                      (reop_pool_config){.op_count = 1, .context_size = 64, .buffer_size = 4096},
                      (reop_engine_config){0});
    readable = fixture_file(&fixture, REOP_FILE_READ, 8192);
    writable = open_writable(&fixture, 0);
    for (uint32_t i = 0; i < 16; i++) {
        op = fixture_acquire(&fixture); /* the same one each time: there is no other */
        cr_assert_null(op->user, "%s", backend->name);
        cr_assert(op->on_done == NULL, "%s", backend->name);
        op->user = &fixture;
        op->on_done = ignore_done;
        for (uint32_t j = 0; j < 2; j++) {
            if (submit_sort(op, readable, writable, i + j) == REOP_PENDING)
                cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
            cr_assert_eq(op->user, &fixture, "%s", backend->name);
            cr_assert(op->on_done == ignore_done, "%s", backend->name);
        }
        reop_release(fixture.lane, op);
    }
    fixture_close_file(readable);
    fixture_close_file(writable);
    fixture_close(&fixture);
}

static void expect_fields(const struct fixture *fixture, const reop_op *op, uint32_t kind,
                          const reop_file *file, const void *data, uint32_t size, uint64_t offset)
{
    const char *name = fixture->backend->name;

    cr_assert_eq(op->kind, kind, "%s: kind %u, not %u", name, op->kind, kind);
    cr_assert_eq(op->file, file, "%s: kind %u", name, kind);
    cr_assert_eq(op->data, data, "%s: kind %u", name, kind);
    cr_assert_eq(op->size, size, "%s: kind %u", name, kind);
    cr_assert_eq(op->offset, offset, "%s: kind %u", name, kind);
}

/* Promise: "What it was submitted with: enough to resume after a short transfer. For readv and
 * writev data is the array of pieces and size their number." And "REOP_KIND_NONE, never submitted".
 */
BACKEND_TEST(contract, fields_say_what_was_submitted, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_piece pieces[2];
    reop_status status;
    reop_file *file;
    reop_op *op;
    char *buffer;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 8192);
    op = fixture_acquire(&fixture);
    buffer = reop_op_buffer(op);
    cr_assert_eq(op->kind, REOP_KIND_NONE, "%s", backend->name);
    fixture_finish(&fixture, op, reop_read(op, file, buffer + 1, 300, 77));
    expect_fields(&fixture, op, REOP_KIND_READ, file, buffer + 1, 300, 77);
    fixture_finish(&fixture, op, reop_write(op, file, buffer, 100, 5000));
    expect_fields(&fixture, op, REOP_KIND_WRITE, file, buffer, 100, 5000);
    fixture_finish(&fixture, op, reop_sync(op, file, 0));
    cr_assert_eq(op->kind, REOP_KIND_SYNC, "%s", backend->name);
    cr_assert_eq(op->file, file, "%s", backend->name);
    fixture_finish(&fixture, op, reop_sync(op, file, REOP_SYNC_DATA));
    cr_assert_eq(op->kind, REOP_KIND_SYNC_DATA, "%s", backend->name);
    fixture_finish(&fixture, op, reop_post(op, fixture.engine, 5));
    cr_assert_eq(op->kind, REOP_KIND_POST, "%s", backend->name);

    pieces[0] = (struct reop_piece){buffer, 10};
    pieces[1] = (struct reop_piece){buffer + 50, 20};
    status = reop_readv(op, file, pieces, 2, 3);
    if (!fixture_no_pieces(op, status)) {
        fixture_finish(&fixture, op, status);
        expect_fields(&fixture, op, REOP_KIND_READV, file, pieces, 2, 3);
        fixture_finish(&fixture, op, reop_writev(op, file, pieces, 2, 6000));
        expect_fields(&fixture, op, REOP_KIND_WRITEV, file, pieces, 2, 6000);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "op->result is >= 0 (bytes moved) or a negative errno by name"; "op->os_error is the
 * system's own code whenever it was not plain success". */
BACKEND_TEST(contract, os_error_is_set_exactly_when_it_was_not_plain_success, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *readable, *writable;
    reop_op *op;

    fixture_open(&fixture, backend);
    readable = fixture_file(&fixture, REOP_FILE_READ, 8192);
    writable = open_writable(&fixture, 0);
    op = fixture_acquire(&fixture);
    for (uint32_t round = 0; round < 3; round++) { /* alternating: nothing is left from before */
        int64_t result =
            fixture_finish(&fixture, op, reop_write(op, readable, reop_op_buffer(op), 16, 0));

        cr_assert(result == -EBADF || result == -EACCES, "%s: %lld", backend->name,
                  (long long) result);
        cr_assert_eq(op->os_error, fixture_os_error(result), "%s", backend->name);
        fixture_finish(&fixture, op, reop_read(op, readable, reop_op_buffer(op), 16, 0));
        cr_assert_eq(op->result, 16, "%s", backend->name);
        cr_assert_eq(op->os_error, 0, "%s: %u", backend->name, op->os_error);
        result = fixture_finish(&fixture, op, reop_read(op, writable, reop_op_buffer(op), 16, 0));
        cr_assert(result == -EBADF || result == -EACCES, "%s: %lld", backend->name,
                  (long long) result);
        cr_assert_eq(op->os_error, fixture_os_error(result), "%s", backend->name);
        fixture_finish(&fixture, op, reop_sync(op, writable, 0));
        cr_assert_eq(op->result, 0, "%s", backend->name);
        cr_assert_eq(op->os_error, 0, "%s: %u", backend->name, op->os_error);
        fixture_finish(&fixture, op, reop_write(op, writable, reop_op_buffer(op), 16, 0));
        cr_assert_eq(op->result, 16, "%s", backend->name);
        cr_assert_eq(op->os_error, 0, "%s: %u", backend->name, op->os_error);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(readable);
    fixture_close_file(writable);
    fixture_close(&fixture);
}

/* --- use and cancel --------------------------------------------------------------------------- */

/* Promise: "The number of the op's next launch, from 1." It counts on through release and acquire,
 * posts included. */
BACKEND_TEST(contract, use_counts_launches_from_one, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 1, .buffer_size = 512},
                      (reop_engine_config){0});
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    for (uint64_t use = 1; use < 20; use += 2) {
        reop_op *op = fixture_acquire(&fixture); /* the same one each time: there is no other */

        cr_assert_eq(reop_op_use(op), use, "%s", backend->name);
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0));
        cr_assert_eq(reop_op_use(op), use + 1, "%s", backend->name);
        fixture_finish(&fixture, op, reop_post(op, fixture.engine, 0));
        reop_release(fixture.lane, op);
    }
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "-ENOENT: that use is not in flight, yet or any more, and nothing was asked." */
BACKEND_TEST(contract, cancel_of_a_use_that_is_not_in_flight_is_enoent, ON_PENDING)
{
    struct fixture fixture;
    struct reop_engine_stats stats;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_cancel(op, 0), -ENOENT, "%s", backend->name);
    for (uint64_t use = reop_op_use(op); use < 50; use++) {
        cr_assert_eq(reop_cancel(op, use), -ENOENT, "%s: yet", backend->name);
        cr_assert_eq(reop_read(op, file, reop_op_buffer(op), 16, 0), REOP_PENDING, "%s",
                     backend->name);
        cr_assert_eq(reop_cancel(op, use - 1), -ENOENT, "%s: an earlier launch", backend->name);
        cr_assert_eq(reop_cancel(op, use + 1), -ENOENT, "%s: a later launch", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, 16, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(reop_cancel(op, use), -ENOENT, "%s: any more", backend->name);
    }
    reop_release(fixture.lane, op);
    cr_assert_eq(reop_cancel(op, 49), -ENOENT, "%s: released", backend->name);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.cancels, 0, "%s: nothing was asked", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "0: asked, and the op still comes back, with -ECANCELED if the request won." Until it is
 * reaped an op is in flight, whatever the system has done. */
BACKEND_TEST(contract, cancelled_op_still_comes_back_once, ON_PENDING)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op, *again = NULL;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t use = reop_op_use(op);

        cr_assert_eq(reop_read(op, file, reop_op_buffer(op), 4096, 0), REOP_PENDING, "%s",
                     backend->name);
        if (i % 10 == 9)
            fixture_sleep_ms(2); /* the system has surely answered */
        cr_assert_eq(reop_cancel(op, use), 0, "%s", backend->name);
        if (i % 2 == 1)
            cr_assert_eq(reop_cancel(op, use), 0, "%s: asking twice is harmless", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert(op->result == 4096 || op->result == -ECANCELED, "%s: %lld", backend->name,
                  (long long) op->result);
        if (op->result == -ECANCELED)
            cr_assert_neq(op->os_error, 0, "%s", backend->name);
        cr_assert_eq(reop_reap(fixture.engine, &again, 1, 0), 0, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- post ------------------------------------------------------------------------------------- */

/* Promise: "A completion without I/O: the op is reaped with this result. Never DONE". */
BACKEND_TEST(contract, post_is_reaped_with_its_result, ON_EVERY_BACKEND)
{
    static const int64_t results[] = {0, 1, 123456789012345, INT64_MAX, -EIO, -ECANCELED};
    struct fixture fixture;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(reop_post(op, fixture.engine, results[i]), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, results[i], "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "0: asked, and the op still comes back", of a post too. */
BACKEND_TEST(contract, cancelled_post_still_comes_back_once, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_op *op, *again = NULL;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 10; i++) {
        uint64_t use = reop_op_use(op);

        cr_assert_eq(reop_post(op, fixture.engine, 7), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_cancel(op, use), 0, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert(op->result == 7 || op->result == -ECANCELED, "%s: %lld", backend->name,
                  (long long) op->result);
        cr_assert_eq(reop_reap(fixture.engine, &again, 1, 0), 0, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}
