/* SPDX-License-Identifier: MIT
 *
 * The contract of what is moved: which bytes, how many, where to; the bounds of offsets and sizes;
 * the end of a file; pieces; sync.
 */
#include "fixture.h"

#include <stdlib.h>

/* Reads back through the engine into memory that is not the pool's. */
static bool reads_back(struct fixture *fixture, reop_file *file, const void *data, uint32_t size,
                       uint64_t offset)
{
    uint8_t *found = malloc(size + 1u);
    reop_op *op = fixture_acquire(fixture);
    bool same;

    fixture_finish(fixture, op, reop_read(op, file, found, size, offset));
    same = op->result == (int64_t) size && memcmp(found, data, size) == 0;
    reop_release(fixture->lane, op);
    free(found);
    return same;
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* Promise: "op->result is >= 0 (bytes moved)", for the sizes at which things go wrong, from the
 * op's own buffer and from foreign memory alike. */
BACKEND_TEST(contract_transfer, sizes_around_zero_sectors_and_pages, ON_EVERY_BACKEND)
{
    static const uint32_t sizes[] = {0, 1, 511, 512, 513, 4095, 4096, 4097, FIXTURE_BUFFER};
    struct fixture fixture;
    uint8_t foreign[FIXTURE_BUFFER], found[FIXTURE_BUFFER + 1];
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 18; i++) {
        uint32_t size = sizes[i / 2];
        uint8_t *data = i % 2 ? foreign : reop_op_buffer(op);

        file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 0);
        for (uint32_t j = 0; j < size; j++)
            data[j] = fixture_byte(j + 100 * i);
        fixture_finish(&fixture, op, reop_write(op, file, data, size, 0));
        cr_assert_eq(op->result, size, "%s: wrote %lld of %u", backend->name,
                     (long long) op->result, size);
        cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, sizeof found), size, "%s",
                     backend->name);
        cr_assert(fixture_matches(found, size, 100 * i), "%s: %u", backend->name, size);
        memset(data, 0xee, FIXTURE_BUFFER);
        fixture_finish(&fixture, op, reop_read(op, file, data, size, 0));
        cr_assert_eq(op->result, size, "%s: read %lld of %u", backend->name, (long long) op->result,
                     size);
        cr_assert(fixture_matches(data, size, 100 * i), "%s: %u", backend->name, size);
        for (uint32_t j = size; j < FIXTURE_BUFFER; j++)
            cr_assert_eq(data[j], 0xee, "%s: wrote past the end at %u", backend->name, j);
        fixture_close_file(file);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: the same of a pool that has no buffers to register, when there is nothing to move and so
 * no memory to move it from. */
BACKEND_TEST(contract_transfer, nothing_to_move_needs_no_memory, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 4},
                      (reop_engine_config){0});
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 100);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_finish(&fixture, op, reop_write(op, file, NULL, 0, 7));
        cr_assert_eq(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
        fixture_finish(&fixture, op, reop_read(op, file, NULL, 0, 7));
        cr_assert_eq(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "Its buffers are registered with the system", which changes nothing but the speed: any
 * part of an op's own buffer, another op's buffer, memory that begins in the pool, and foreign
 * memory give the same bytes. */
BACKEND_TEST(contract_transfer, any_memory_gives_the_same_bytes, ON_EVERY_BACKEND)
{
    enum { OPS = FIXTURE_OPS - 1 }; /* one is left to read back with */
    struct fixture fixture;
    uint8_t foreign[4096];
    reop_op *ops[OPS];
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 65536);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, OPS), OPS);
    for (uint32_t i = 0; i < OPS; i++) {
        uint8_t *own = reop_op_buffer(ops[i]);
        uint8_t *places[] = {own, own + 1, own + FIXTURE_BUFFER - 4096, foreign,
                             reop_op_buffer(ops[(i + 7) % OPS])};

        for (uint32_t j = 0; j < 5; j++) {
            uint64_t offset = (i * 331 + j * 97) % 60000;

            memset(places[j], 0, 4096);
            fixture_finish(&fixture, ops[i], reop_read(ops[i], file, places[j], 4096, offset));
            cr_assert_eq(ops[i]->result, 4096, "%s", backend->name);
            cr_assert(fixture_matches(places[j], 4096, offset), "%s: read into place %u",
                      backend->name, j);
            fixture_finish(&fixture, ops[i], reop_write(ops[i], file, places[j], 4096, offset));
            cr_assert_eq(ops[i]->result, 4096, "%s", backend->name);
            cr_assert(reads_back(&fixture, file, places[j], 4096, offset), "%s: place %u",
                      backend->name, j);
        }
        reop_release(fixture.lane, ops[i]);
        ops[i] = fixture_acquire(&fixture);
    }
    reop_release_many(fixture.lane, ops, OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* The rest of what op was submitted with, from its public fields alone. */
static reop_status resume(reop_op *op)
{
    uint32_t moved = (uint32_t) op->result;

    return reop_write(op, op->file, (const char *) op->data + moved, op->size - moved,
                      op->offset + moved);
}

/* Promise: "A transfer may be short"; the op holds "enough to resume after a short transfer". At
 * 2 GiB the system moves less than asked, and no size or count may turn negative on the way. */
BACKEND_TEST(contract_transfer, two_gibibytes_are_short_and_resumed, ON_HOST_FILES)
{
    static const uint32_t sizes[] = {UINT32_C(1) << 31, UINT32_MAX};
    uint32_t count = fixture_sanitized() ? 1 : 2; /* it looks at the shadow of every byte */
    struct fixture fixture;
    reop_file *file = NULL;
    reop_op *op;

    if (fixture_null_path() == NULL)
        cr_skip_test("no device here takes writes of 2 GiB and more");
    if (fixture_thread_sanitized())
        cr_skip_test(
            "ThreadSanitizer notes an access to each byte, and no race needs more than one page");
    fixture_open(&fixture, backend);
    cr_assert_eq(reop_file_open(fixture.engine, fixture_null_path(), REOP_FILE_WRITE, &file), 0);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < count; i++) {
        char *data = malloc(sizes[i]); /* never touched: the null device does not look at it */
        uint64_t moved = 0;
        reop_status status = reop_write(op, file, data, sizes[i], 0);

        cr_assert_not_null(data);
        for (;;) {
            int64_t result = fixture_finish(&fixture, op, status);

            cr_assert(result > 0 && result <= sizes[i], "%s: %lld", backend->name,
                      (long long) result);
            moved += (uint64_t) result;
            if (moved >= sizes[i])
                break;
            status = resume(op);
        }
        cr_assert_eq(moved, sizes[i], "%s", backend->name);
        free(data);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- offsets ---------------------------------------------------------------------------------- */

/* Promise: an op's offset is 64 bits wide: around 4 GiB and at 8 TiB nothing is cut off or wraps.
 */
BACKEND_TEST(contract_transfer, offsets_beyond_32_bits, ON_EVERY_BACKEND)
{
    static const uint64_t offsets[] = {(UINT64_C(1) << 31) - 1, (UINT64_C(1) << 32) - 1,
                                       UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
                                       UINT64_C(1) << 43};
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    reop_op *op;
    uint8_t start[64];

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 64); /* the rest is a hole */
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t data[5] = {'r', 'e', 'o', 'p', (uint8_t) i};
        int64_t result = fixture_finish(&fixture, op, reop_write(op, file, data, 5, offsets[i]));

        cr_assert_eq(result, 5, "%s: at %llu: %lld", backend->name, (unsigned long long) offsets[i],
                     (long long) result);
        cr_assert_eq(op->offset, offsets[i], "%s", backend->name);
        cr_assert_eq(reop_file_query(file, &info), 0);
        cr_assert_eq(info.size, offsets[i] + 5, "%s: at %llu the size is %llu", backend->name,
                     (unsigned long long) offsets[i], (unsigned long long) info.size);
        cr_assert(reads_back(&fixture, file, data, 5, offsets[i]), "%s", backend->name);
    }
    cr_assert_eq(fixture_load(fixture_path(&fixture, 0), start, 64), 64);
    cr_assert(fixture_matches(start, 64, 0), "%s: an offset wrapped", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "offset + size stay below INT64_MAX"; "Rejected with -EINVAL: ... a range out of
 * bounds". UINT64_MAX is a command to some systems (append, or the file's position) and must not
 * get there.
 */
BACKEND_TEST(contract_transfer, range_out_of_bounds_is_rejected, ON_EVERY_BACKEND)
{
    static const uint64_t offsets[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, INT64_MAX,
                                       INT64_MAX - 16};
    struct fixture fixture;
    struct reop_piece pieces[2];
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 64);
    op = fixture_acquire(&fixture);
    pieces[0] = (struct reop_piece){reop_op_buffer(op), 8};
    pieces[1] = pieces[0];
    for (uint32_t i = 0; i < 5; i++) {
        void *data = pieces[0].data;
        uint64_t offset = offsets[i];

        fixture_expect_rejected(op, reop_read(op, file, data, 16, offset), 1, EINVAL);
        fixture_expect_rejected(op, reop_write(op, file, data, 16, offset), 1, EINVAL);
        fixture_expect_rejected(op, reop_readv(op, file, pieces, 2, offset), 1, EINVAL);
        fixture_expect_rejected(op, reop_writev(op, file, pieces, 2, offset), 1, EINVAL);
    }
    fixture_finish(&fixture, op, reop_read(op, file, pieces[0].data, 16, INT64_MAX - 17));
    cr_assert_leq(op->result, 0, "%s: the system was asked", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- the end of a file ------------------------------------------------------------------------ */

/* Promise: "End of file ... result 0". A read across it is short, and then resumed gives 0. */
BACKEND_TEST(contract_transfer, end_of_file_is_zero, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_piece pieces[2];
    reop_status status;
    reop_file *file;
    reop_op *op;
    uint8_t *buffer;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 1000);
    op = fixture_acquire(&fixture);
    buffer = reop_op_buffer(op);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, buffer, 500, 1000)), 0, "%s",
                 backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, buffer, 500, 5000)), 0, "%s",
                 backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, buffer, 500, 999)), 1, "%s",
                 backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, buffer, 500, 700)), 300, "%s",
                 backend->name);
    cr_assert(fixture_matches(buffer, 300, 700), "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op,
                                reop_read(op, op->file, buffer + op->result,
                                          op->size - (uint32_t) op->result,
                                          op->offset + (uint64_t) op->result)),
                 0, "%s", backend->name);
    pieces[0] = (struct reop_piece){buffer, 100};
    pieces[1] = (struct reop_piece){buffer + 100, 100};
    status = reop_readv(op, file, pieces, 2, 850);
    if (!fixture_no_pieces(op, status)) {
        fixture_finish(&fixture, op, status);
        cr_assert(op->result == 150 || op->result == 100, "%s: %lld", backend->name,
                  (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "A transfer may be short": of a file that shrinks while it is open, and grows again. */
BACKEND_TEST(contract_transfer, file_that_shrinks, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file, *second = NULL;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE,
                        FIXTURE_BUFFER);
    op = fixture_acquire(&fixture);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), FIXTURE_BUFFER, 0));
    cr_assert_eq(op->result, FIXTURE_BUFFER, "%s", backend->name);
    cr_assert_eq(reop_file_open(fixture.engine, fixture_path(&fixture, 0),
                                REOP_FILE_WRITE | REOP_FILE_TRUNCATE | REOP_FILE_SHARE_READ |
                                    REOP_FILE_SHARE_WRITE,
                                &second),
                 0, "%s", backend->name);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), FIXTURE_BUFFER, 0));
    cr_assert_eq(op->result, 0, "%s: %lld", backend->name, (long long) op->result);
    fixture_finish(&fixture, op, reop_write(op, second, reop_op_buffer(op), 100, 0));
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), FIXTURE_BUFFER, 0));
    cr_assert_eq(op->result, 100, "%s: %lld", backend->name, (long long) op->result);
    cr_assert(fixture_matches(reop_op_buffer(op), 100, 0), "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close_file(second);
    fixture_close(&fixture);
}

/* --- pieces ----------------------------------------------------------------------------------- */

/* Fills pieces with memory of op's buffer, in order: 1, 2, 3 ... 7, 0, 1, 2 ... bytes. */
static size_t cut_pieces(struct reop_piece *pieces, uint32_t count, uint8_t *buffer)
{
    size_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        pieces[i] = (struct reop_piece){buffer + at, (i + 1) % 8};
        at += (i + 1) % 8;
    }
    return at;
}

/* Promise: "1 to REOP_PIECES_MAX pieces", some of them empty, into one range of the file. */
BACKEND_TEST(contract_transfer, pieces_are_gathered_and_scattered, ON_EVERY_BACKEND)
{
    static const uint32_t counts[] = {1, 2, 8, 100, REOP_PIECES_MAX};
    static struct reop_piece pieces[REOP_PIECES_MAX];
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    uint8_t *buffer, found[FIXTURE_BUFFER];

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 3);
    op = fixture_acquire(&fixture);
    buffer = reop_op_buffer(op);
    for (uint32_t i = 0; i < 5; i++) {
        size_t size = cut_pieces(pieces, counts[i], buffer);
        reop_status status;

        for (uint32_t j = 0; j < size; j++)
            buffer[j] = fixture_byte(3 + j);
        status = reop_writev(op, file, pieces, counts[i], 3);
        if (fixture_no_pieces(op, status)) {
            reop_release(fixture.lane, op);
            fixture_close_file(file);
            fixture_close(&fixture);
            cr_skip_test("this system has no vectored I/O on plain files");
        }
        cr_assert_eq(fixture_finish(&fixture, op, status), (int64_t) size, "%s: %u pieces: %lld",
                     backend->name, counts[i], (long long) op->result);
        cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, 3 + size), 3 + size, "%s",
                     backend->name);
        cr_assert(fixture_matches(found, 3 + size, 0), "%s: %u pieces", backend->name, counts[i]);
        memset(buffer, 0, size);
        status = reop_readv(op, file, pieces, counts[i], 3);
        cr_assert_eq(fixture_finish(&fixture, op, status), (int64_t) size, "%s", backend->name);
        cr_assert(fixture_matches(buffer, size, 3), "%s: %u pieces", backend->name, counts[i]);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "1 to REOP_PIECES_MAX pieces, less than 2 GiB in all." */
BACKEND_TEST(contract_transfer, too_few_too_many_or_too_large_pieces_are_rejected, ON_EVERY_BACKEND)
{
    static struct reop_piece pieces[REOP_PIECES_MAX + 1];
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 64);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i <= REOP_PIECES_MAX; i++)
        pieces[i] = (struct reop_piece){reop_op_buffer(op), 1};
    fixture_expect_rejected(op, reop_readv(op, file, pieces, 0, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_writev(op, file, pieces, 0, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_readv(op, file, pieces, REOP_PIECES_MAX + 1, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_writev(op, file, pieces, REOP_PIECES_MAX + 1, 0), 1, EINVAL);
    pieces[0].size = UINT32_C(1) << 30;
    pieces[1].size = UINT32_C(1) << 30;
    fixture_expect_rejected(op, reop_writev(op, file, pieces, 2, 0), 1, EINVAL);
    pieces[0].size = SIZE_MAX;
    pieces[1].size = 2;
    fixture_expect_rejected(op, reop_writev(op, file, pieces, 2, 0), 1, EINVAL);
    fixture_expect_rejected(op, reop_readv(op, file, pieces, 1, 0), 1, EINVAL);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- sync ------------------------------------------------------------------------------------- */

/* Promise: "flags: 0 or REOP_SYNC_DATA". Power cannot be cut here: that a sync is reaped like any
 * other op, and counted, can be seen. */
BACKEND_TEST(contract_transfer, sync_comes_back_like_any_other_op, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 0);
    op = fixture_acquire(&fixture);
    fixture_expect_rejected(op, reop_sync(op, file, 2), 1, EINVAL);
    fixture_expect_rejected(op, reop_sync(op, file, UINT32_MAX), 1, EINVAL);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, "x", 1, i)), 1);
        cr_assert_eq(fixture_finish(&fixture, op, reop_sync(op, file, i % 2 ? REOP_SYNC_DATA : 0)),
                     0, "%s: %lld", backend->name, (long long) op->result);
    }
    cr_assert_eq(reop_file_query(file, &info), 0);
    cr_assert_eq(info.completed, 8, "%s", backend->name);
    cr_assert_eq(info.sync_error, 0, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}
