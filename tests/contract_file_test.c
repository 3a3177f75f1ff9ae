/* SPDX-License-Identifier: MIT
 *
 * The contract of a file: opening, what is granted or refused, closing, preallocating, and what a
 * query tells. What only POSIX systems have is in contract_posix_test.c.
 */
#include "fixture.h"

#include <stdlib.h>

static int open_file(struct fixture *fixture, const char *path, uint32_t flags, reop_file **file)
{
    return reop_file_open(fixture->engine, path, flags | FIXTURE_SHARED, file);
}

static uint32_t files_attached(struct fixture *fixture)
{
    struct reop_engine_stats stats;

    reop_engine_query(fixture->engine, &stats);
    return stats.files;
}

static uint64_t size_of(reop_file *file)
{
    struct reop_file_info info;

    cr_assert_eq(reop_file_query(file, &info), 0);
    return info.size;
}

/* --- open ------------------------------------------------------------------------------------- */

/* Promise: "create it if it is missing"; "with CREATE: -EEXIST if it is there"; "to length 0". The
 * path of every scratch file here "is UTF-8" and not ASCII. */
BACKEND_TEST(contract_file, open_creates_excludes_and_truncates, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file = NULL;
    const char *path;

    fixture_open(&fixture, backend);
    path = fixture_path(&fixture, 0);
    cr_assert_eq(open_file(&fixture, path, REOP_FILE_READ, &file), -ENOENT, "%s", backend->name);
    cr_assert_eq(open_file(&fixture, path, REOP_FILE_WRITE, &file), -ENOENT, "%s", backend->name);
    cr_assert_eq(
        open_file(&fixture, path, REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_EXCLUSIVE, &file),
        0, "%s", backend->name);
    fixture_close_file(file);
    fixture_fill(path, 300);
    cr_assert_eq(
        open_file(&fixture, path, REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_EXCLUSIVE, &file),
        -EEXIST, "%s", backend->name);
    cr_assert_eq(open_file(&fixture, path, REOP_FILE_WRITE | REOP_FILE_CREATE, &file), 0, "%s",
                 backend->name);
    cr_assert_eq(size_of(file), 300, "%s: not truncated unasked", backend->name);
    fixture_close_file(file);
    cr_assert_eq(open_file(&fixture, path, REOP_FILE_WRITE | REOP_FILE_TRUNCATE, &file), 0, "%s",
                 backend->name);
    cr_assert_eq(size_of(file), 0, "%s", backend->name);
    fixture_close_file(file);
    cr_assert_eq(files_attached(&fixture), 0, "%s: a failed open keeps nothing", backend->name);
    fixture_close(&fixture);
}

/* Promise: "to length 0; needs WRITE". */
BACKEND_TEST(contract_file, truncate_needs_write, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file = NULL;
    uint8_t found[301];

    fixture_open(&fixture, backend);
    fixture_fill(fixture_path(&fixture, 0), 300);
    cr_assert_eq(
        open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ | REOP_FILE_TRUNCATE, &file),
        -EINVAL, "%s", backend->name);
    cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, sizeof found), 300, "%s",
                 backend->name);
    fixture_close(&fixture);
}

/* Promise: "access ... explicit": what was not asked for is not there, and the query says what is.
 */
BACKEND_TEST(contract_file, access_is_what_was_asked_for, ON_EVERY_BACKEND)
{
    static const uint32_t accesses[] = {REOP_FILE_READ, REOP_FILE_WRITE,
                                        REOP_FILE_READ | REOP_FILE_WRITE};
    struct fixture fixture;

    fixture_open(&fixture, backend);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t shared = REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE | REOP_FILE_SHARE_DELETE;
        reop_file *file = fixture_file(&fixture, accesses[i] | shared, 512);
        reop_op *op = fixture_acquire(&fixture);
        struct reop_file_info info;

        cr_assert_eq(reop_file_query(file, &info), 0, "%s", backend->name);
        cr_assert_eq(info.flags, accesses[i], "%s: 0x%x", backend->name, info.flags);
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0));
        cr_assert_eq(op->result >= 0, (accesses[i] & REOP_FILE_READ) != 0, "%s", backend->name);
        fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 16, 0));
        cr_assert_eq(op->result >= 0, (accesses[i] & REOP_FILE_WRITE) != 0, "%s", backend->name);
        reop_release(fixture.lane, op);
        fixture_close_file(file);
    }
    fixture_close(&fixture);
}

/* Promise: "A directory is -EISDIR." */
BACKEND_TEST(contract_file, directory_is_eisdir, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file = NULL;

    fixture_open(&fixture, backend);
    cr_assert_eq(open_file(&fixture, ".", REOP_FILE_READ, &file), -EISDIR, "%s", backend->name);
    cr_assert_eq(open_file(&fixture, ".", REOP_FILE_READ | REOP_FILE_WRITE, &file), -EISDIR, "%s",
                 backend->name);
    cr_assert_eq(files_attached(&fixture), 0, "%s", backend->name);
    fixture_close(&fixture);
}

/* Promise: "-EMFILE: file_count files are attached"; and of file_count, "0: 64". */
BACKEND_TEST(contract_file, file_count_files_and_no_more, ON_EVERY_BACKEND)
{
    static const uint32_t counts[] = {3, 0};
    struct fixture fixture;

    for (uint32_t round = 0; round < 2; round++) {
        uint32_t limit = counts[round] > 0 ? counts[round] : 64;
        reop_file *files[65] = {NULL};

        fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 4},
                          (reop_engine_config){.file_count = counts[round]});
        files[0] = fixture_file(&fixture, REOP_FILE_READ, 16);
        for (uint32_t i = 1; i < limit; i++)
            cr_assert_eq(open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ, &files[i]),
                         0, "%s: %u", backend->name, i);
        cr_assert_eq(files_attached(&fixture), limit, "%s", backend->name);
        cr_assert_eq(open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ, &files[64]),
                     -EMFILE, "%s", backend->name);
        fixture_close_file(files[1]); /* its place "is used again by a later open" */
        cr_assert_eq(open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ, &files[1]), 0,
                     "%s", backend->name);
        for (uint32_t i = 0; i < limit; i++)
            fixture_close_file(files[i]);
        fixture_close(&fixture);
    }
}

/* --- granted or refused ----------------------------------------------------------------------- */

static uint8_t *aligned_in(void *memory, size_t align)
{
    return (uint8_t *) (((uintptr_t) memory + align - 1) / align * align);
}

/* Promise: REOP_FILE_DIRECT is "granted or the call fails with -ENOTSUP"; "offset_align ... 1
 * unless direct"; "Rejected with -EINVAL: ... a direct file's alignment". */
BACKEND_TEST(contract_file, direct_file_checks_alignment_before_the_system, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    struct reop_piece pieces[2];
    reop_file *file = NULL;
    reop_op *op;
    uint8_t *memory, *block;
    uint32_t unit;
    uint64_t use;
    int error;

    fixture_open(&fixture, backend);
    fixture_fill(fixture_path(&fixture, 0), 65536);
    error = open_file(&fixture, fixture_path(&fixture, 0),
                      REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_DIRECT, &file);
    if (error == -ENOTSUP) {
        fixture_close(&fixture);
        cr_skip_test("the file system of the scratch files refuses direct I/O");
    }
    cr_assert_eq(error, 0, "%s: %d", backend->name, error);
    cr_assert_eq(reop_file_query(file, &info), 0);
    unit = info.offset_align;
    cr_assert_eq(info.flags, REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_DIRECT, "%s",
                 backend->name);
    cr_assert(unit > 1 && unit <= 16384 && (unit & (unit - 1)) == 0, "%s: %u", backend->name, unit);
    cr_assert_gt(info.memory_align, 1, "%s", backend->name);
    memory = malloc(65536 + 16384);
    block = aligned_in(memory, 16384);
    op = fixture_acquire(&fixture);

    use = reop_op_use(op);
    fixture_expect_rejected(op, reop_read(op, file, block, unit, 1), use, EINVAL);
    fixture_expect_rejected(op, reop_read(op, file, block, unit - 1, 0), use, EINVAL);
    fixture_expect_rejected(op, reop_read(op, file, block + 1, unit, 0), use, EINVAL);
    fixture_expect_rejected(op, reop_write(op, file, block, unit, unit / 2), use, EINVAL);
    pieces[0] = (struct reop_piece){block, unit};
    pieces[1] = (struct reop_piece){block + unit, unit / 2};
    fixture_expect_rejected(op, reop_readv(op, file, pieces, 2, 0), use, EINVAL);
    pieces[1] = (struct reop_piece){block + unit + 1, unit};
    fixture_expect_rejected(op, reop_writev(op, file, pieces, 2, 0), use, EINVAL);

    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, block, 2 * unit, unit)), 2 * unit,
                 "%s: %lld", backend->name, (long long) op->result);
    cr_assert(fixture_matches(block, 2 * unit, unit), "%s", backend->name);
    memset(block, 'd', unit);
    cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, block, unit, 0)), unit, "%s",
                 backend->name);
    cr_assert_eq(fixture_load(fixture_path(&fixture, 0), block + unit, unit), unit);
    cr_assert_arr_eq(block + unit, block, unit, "%s", backend->name);
    reop_release(fixture.lane, op);
    free(memory);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: a pool's "buffer_align ... 0 for the page size" serves direct files as it is. */
BACKEND_TEST(contract_file, pool_buffers_fit_direct_files, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file = NULL;
    int error;

    fixture_open(&fixture, backend);
    fixture_fill(fixture_path(&fixture, 0), 65536);
    error =
        open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ | REOP_FILE_DIRECT, &file);
    if (error == -ENOTSUP) {
        fixture_close(&fixture);
        cr_skip_test("the file system of the scratch files refuses direct I/O");
    }
    for (uint64_t i = 0; i < 8; i++) {
        reop_op *op = fixture_acquire(&fixture);

        fixture_finish(&fixture, op,
                       reop_read(op, file, reop_op_buffer(op), FIXTURE_BUFFER, i * 8192));
        cr_assert_eq(op->result, FIXTURE_BUFFER, "%s: %lld", backend->name, (long long) op->result);
        cr_assert(fixture_matches(reop_op_buffer(op), FIXTURE_BUFFER, i * 8192), "%s",
                  backend->name);
        reop_release(fixture.lane, op);
    }
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "offset_align ... memory_align ... 1 unless direct"; "size ... bytes, now". */
BACKEND_TEST(contract_file, query_of_a_plain_file, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 1000);
    cr_assert_eq(reop_file_query(file, &info), 0, "%s", backend->name);
    cr_assert_eq(info.size, 1000, "%s", backend->name);
    cr_assert_eq(info.offset_align, 1, "%s", backend->name);
    cr_assert_eq(info.memory_align, 1, "%s", backend->name);
    cr_assert_eq(info.physical_sector & (info.physical_sector - 1), 0, "%s: %u", backend->name,
                 info.physical_sector);
    cr_assert_eq(info.submitted, 0, "%s", backend->name);
    cr_assert_eq(info.sync_error, 0, "%s", backend->name);
    op = fixture_acquire(&fixture);
    fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 100, 2000));
    cr_assert_eq(reop_file_query(file, &info), 0, "%s", backend->name);
    cr_assert_eq(info.size, 2100, "%s", backend->name);
    cr_assert_eq(info.submitted, 1, "%s", backend->name);
    cr_assert_eq(info.completed, 1, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: REOP_FILE_DURABLE, "a write completes when it is durable", is granted or refused. Power
 * cannot be cut here; that it was granted can be seen, and that it works. */
BACKEND_TEST(contract_file, durable_is_granted, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE | REOP_FILE_DURABLE, 0);
    cr_assert_eq(reop_file_query(file, &info), 0);
    cr_assert_eq(info.flags, REOP_FILE_WRITE | REOP_FILE_DURABLE, "%s", backend->name);
    op = fixture_acquire(&fixture);
    cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, "durable", 7, 0)), 7, "%s",
                 backend->name);
    cr_assert(fixture_holds(fixture_path(&fixture, 0), "durable", 7), "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_sync(op, file, 0)), 0, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- close and detach ------------------------------------------------------------------------- */

/* Promise: "-EBUSY while one of its ops is in flight", and it is in flight until it is reaped. A
 * refused close changes nothing; other files' ops do not matter. */
BACKEND_TEST(contract_file, close_and_detach_are_ebusy_while_an_op_is_in_flight, ON_PENDING)
{
    struct fixture fixture;
    reop_file *file, *other = NULL;
    reop_handle handle;
    reop_op *ops[2];

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    cr_assert_eq(open_file(&fixture, fixture_path(&fixture, 0), REOP_FILE_READ, &other), 0);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 2), 2);
    cr_assert_eq(reop_read(ops[0], file, reop_op_buffer(ops[0]), 16, 0), REOP_PENDING);
    cr_assert_eq(reop_file_close(file), -EBUSY, "%s", backend->name);
    cr_assert_eq(reop_file_detach(file, &handle), -EBUSY, "%s", backend->name);
    fixture_close_file(other);
    cr_assert_eq(reop_read(ops[1], file, reop_op_buffer(ops[1]), 16, 8), REOP_PENDING,
                 "%s: the file still works", backend->name);
    fixture_reap(&fixture);
    cr_assert_eq(reop_file_close(file), -EBUSY, "%s", backend->name);
    fixture_reap(&fixture);
    cr_assert_eq(ops[0]->result, 16, "%s", backend->name);
    cr_assert_eq(ops[1]->result, 16, "%s", backend->name);
    fixture_close_file(file);
    reop_release_many(fixture.lane, ops, 2);
    fixture_close(&fixture);
}

/* Promise: "Rejected with -EINVAL: a closed file"; and of reop_file_close(), "-EINVAL: not open".
 */
BACKEND_TEST(contract_file, closed_file_is_rejected, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    struct reop_piece piece;
    reop_file *file;
    reop_op *op;
    uint64_t use;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 512);
    op = fixture_acquire(&fixture);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 16, 0));
    fixture_close_file(file);
    piece = (struct reop_piece){reop_op_buffer(op), 16};
    use = reop_op_use(op);
    fixture_expect_rejected(op, reop_read(op, file, piece.data, 16, 0), use, EINVAL);
    fixture_expect_rejected(op, reop_write(op, file, piece.data, 16, 0), use, EINVAL);
    cr_assert_eq(reop_readv(op, file, &piece, 1, 0), REOP_REJECTED, "%s", backend->name);
    cr_assert_eq(reop_writev(op, file, &piece, 1, 0), REOP_REJECTED, "%s", backend->name);
    fixture_expect_rejected(op, reop_sync(op, file, 0), use, EINVAL);
    cr_assert_eq(reop_file_close(file), -EINVAL, "%s: closed twice", backend->name);
    cr_assert_lt(reop_file_query(file, &info), 0, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "The file's slot in the table is used again by a later open": what the later open reads
 * is its own file, each of many times. */
BACKEND_TEST(contract_file, place_in_the_table_is_used_again, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_op *op;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 1, .buffer_size = 512},
                      (reop_engine_config){.file_count = 1});
    op = fixture_acquire(&fixture);
    fixture_fill(fixture_path(&fixture, 1), 300);
    for (uint32_t i = 0; i < 50; i++) {
        reop_file *file = NULL;

        if (i % 2 == 0)
            file = fixture_file(&fixture, REOP_FILE_READ, 10);
        else
            cr_assert_eq(open_file(&fixture, fixture_path(&fixture, 1), REOP_FILE_READ, &file), 0);
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 512, 0));
        cr_assert_eq(op->result, i % 2 == 0 ? 10 : 300, "%s: round %u: %lld", backend->name, i,
                     (long long) op->result);
        fixture_close_file(file);
    }
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise, of reop_file_detach(): "As close, and the handle is yours again", and of attach: "The
 * handle becomes the file's". */
BACKEND_TEST(contract_file, detached_handle_can_be_attached_again, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    reop_handle handle = 0;
    reop_op *op;
    int error;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 512);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 5; i++) {
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, i));
        cr_assert(op->result == 64 && fixture_matches(reop_op_buffer(op), 64, i), "%s: round %u",
                  backend->name, i);
        cr_assert_eq(reop_file_query(file, &info), 0);
        error = reop_file_detach(file, &handle);
        if (error == -ENOTSUP) {
            fixture_close_file(file);
            reop_release(fixture.lane, op);
            fixture_close(&fixture);
            cr_skip_test("this system cannot take a handle from an engine");
        }
        cr_assert_eq(error, 0, "%s", backend->name);
        cr_assert_eq(handle, info.handle, "%s", backend->name);
        cr_assert_eq(files_attached(&fixture), 0, "%s", backend->name);
        fixture_expect_rejected(op, reop_read(op, file, reop_op_buffer(op), 16, 0), i + 2, EINVAL);
        cr_assert_eq(reop_file_attach(fixture.engine, handle, 0, &file), 0, "%s", backend->name);
    }
    fixture_close_file(file);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* --- preallocate ------------------------------------------------------------------------------ */

/* Promise: "Writes zeroes from the end of the file up to size, then syncs ... Never shrinks a
 * file."
 */
BACKEND_TEST(contract_file, preallocate_writes_zeroes_and_never_shrinks, ON_EVERY_BACKEND)
{
    enum { BEFORE = 1001, AFTER = 300007 };
    struct fixture fixture;
    struct reop_engine_stats stats;
    reop_file *file;
    uint8_t *found = malloc(AFTER + 1);

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, BEFORE);
    cr_assert_eq(reop_file_preallocate(file, AFTER), 0, "%s", backend->name);
    cr_assert_eq(size_of(file), AFTER, "%s", backend->name);
    cr_assert_eq(reop_file_preallocate(file, 5000), 0, "%s", backend->name);
    cr_assert_eq(reop_file_preallocate(file, 0), 0, "%s", backend->name);
    cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, AFTER + 1), AFTER, "%s",
                 backend->name);
    cr_assert(fixture_matches(found, BEFORE, 0), "%s: what was there", backend->name);
    for (uint32_t i = BEFORE; i < AFTER; i++)
        cr_assert_eq(found[i], 0, "%s: byte %u", backend->name, i);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.submitted, 0, "%s: a set-up call is no op", backend->name);
    free(found);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "Functions that return int answer 0 or a count, or a negative errno": one that may not
 * write does not. */
BACKEND_TEST(contract_file, preallocate_needs_write, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 100);
    cr_assert_lt(reop_file_preallocate(file, 200), 0, "%s", backend->name);
    cr_assert_eq(size_of(file), 100, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "Writes zeroes from the end of the file", of a direct file too, wherever that end is. */
BACKEND_TEST(contract_file, preallocate_of_a_direct_file, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    struct reop_file_info before, after;
    reop_file *file = NULL;
    uint8_t found[10001];
    int error;

    fixture_open(&fixture, backend);
    fixture_fill(fixture_path(&fixture, 0), 700);
    error = open_file(&fixture, fixture_path(&fixture, 0),
                      REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_DIRECT, &file);
    if (error == -ENOTSUP) {
        fixture_close(&fixture);
        cr_skip_test("the file system of the scratch files refuses direct I/O");
    }
    cr_assert_eq(reop_file_query(file, &before), 0);
    cr_assert_eq(reop_file_preallocate(file, 10000), 0, "%s", backend->name);
    cr_assert_eq(reop_file_query(file, &after), 0);
    cr_assert_eq(after.size, 10000, "%s", backend->name);
    cr_assert_eq(after.flags, before.flags, "%s: still direct", backend->name);
    cr_assert_eq(fixture_load(fixture_path(&fixture, 0), found, sizeof found), 10000, "%s",
                 backend->name);
    cr_assert(fixture_matches(found, 700, 0), "%s", backend->name);
    for (uint32_t i = 700; i < 10000; i++)
        cr_assert_eq(found[i], 0, "%s: byte %u", backend->name, i);
    fixture_close_file(file);
    fixture_close(&fixture);
}
