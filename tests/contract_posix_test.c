/* SPDX-License-Identifier: MIT
 *
 * The contract where only a POSIX system shows it: descriptors that come and go, errors by name,
 * devices that fail on purpose, direct I/O refused, a sync that failed, signals, fork.
 */
#include "fixture.h"
#include "misuse.h"

#include <reop/sim.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int open_scratch(struct fixture *fixture, int flags)
{
    int fd;

    fixture_fill(fixture_path(fixture, 0), 4096);
    fd = open(fixture_path(fixture, 0), flags);
    cr_assert_geq(fd, 0, "%s", strerror(errno));
    return fd;
}

/* --- attach ----------------------------------------------------------------------------------- */

/* Promise: "The handle becomes the file's until close or detach." */
BACKEND_TEST(contract_posix, attached_handle_is_closed_with_the_file, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    reop_handle handle = -1;
    reop_op *op;
    int fd;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    fd = open_scratch(&fixture, O_RDWR);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, 0, &file), 0, "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, "by reop", 7, 0)), 7);
    cr_assert_eq(reop_file_detach(file, &handle), 0, "%s", backend->name);
    cr_assert_eq(handle, fd, "%s", backend->name);
    cr_assert_eq(pread(fd, reop_op_buffer(op), 7, 0), 7, "%s: it is ours again", backend->name);
    cr_assert_arr_eq(reop_op_buffer(op), "by reop", 7);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, 0, &file), 0, "%s", backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 7, 0)), 7);
    fixture_close_file(file);
    cr_assert(!is_open(fd), "%s: close left the handle open", backend->name);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "flags may hold REOP_FILE_DIRECT and REOP_FILE_DURABLE, which the handle then must have
 * (-ENOTSUP)"; "When it fails the handle is still yours." */
BACKEND_TEST(contract_posix, attach_refuses_and_leaves_the_handle, ON_HOST_FILES)
{
    struct fixture fixture;
    struct reop_engine_stats stats;
    struct reop_file_info info;
    reop_file *file = NULL;
    int fd;

    fixture_open(&fixture, backend);
    fd = open_scratch(&fixture, O_RDWR);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, REOP_FILE_DIRECT, &file), -ENOTSUP, "%s",
                 backend->name);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, REOP_FILE_DURABLE, &file), -ENOTSUP, "%s",
                 backend->name);
    cr_assert(is_open(fd), "%s", backend->name);
    cr_assert_eq(reop_file_attach(fixture.engine, -1, 0, &file), -EBADF, "%s", backend->name);
    /* The low half of it is a descriptor that is open: standard input. */
    cr_assert_eq(reop_file_attach(fixture.engine, (reop_handle) 1 << 32, 0, &file), -EBADF, "%s",
                 backend->name);
    close(fd);
    fd = open_scratch(&fixture, O_PATH); /* a name, which no I/O can be done on */
    cr_assert_eq(reop_file_attach(fixture.engine, fd, 0, &file), -ENOTSUP, "%s", backend->name);
    cr_assert(is_open(fd), "%s", backend->name);
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.files, 0, "%s", backend->name);
    close(fd);

    fd = open_scratch(&fixture, O_WRONLY | O_DSYNC);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, REOP_FILE_DURABLE, &file), 0, "%s",
                 backend->name);
    cr_assert_eq(reop_file_query(file, &info), 0);
    cr_assert_eq(info.flags, REOP_FILE_WRITE | REOP_FILE_DURABLE, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "A directory may be attached, for reop_sync() and native calls." */
BACKEND_TEST(contract_posix, attached_directory_can_be_synced, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_file_attach(fixture.engine, open("/tmp", O_RDONLY), 0, &file), 0, "%s",
                 backend->name);
    cr_assert_eq(fixture_finish(&fixture, op, reop_sync(op, file, 0)), 0, "%s: %lld", backend->name,
                 (long long) op->result);
    fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 64, 0));
    cr_assert_eq(op->result, -EISDIR, "%s: %lld", backend->name, (long long) op->result);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "A handle the backend cannot serve is refused with -ENOTSUP: ... anywhere a file opened
 * to append", since the system would ignore an op's offset. */
BACKEND_TEST(contract_posix, appending_handle_is_refused, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    int fd;

    fixture_open(&fixture, backend);
    fd = open_scratch(&fixture, O_WRONLY | O_APPEND);
    cr_assert_eq(reop_file_attach(fixture.engine, fd, 0, &file), -ENOTSUP, "%s", backend->name);
    cr_assert(is_open(fd), "%s", backend->name);
    close(fd);
    fixture_close(&fixture);
}

/* Promise: refused "with -ENOTSUP: ... on threads a FIFO or a socket"; "When it fails the handle is
 * still yours." Opening a FIFO by its path does not block either. */
BACKEND_TEST(contract_posix, streams_are_refused_where_they_cannot_be_served, ON_HOST_BLOCKING)
{
    struct fixture fixture;
    reop_file *file = NULL;
    int ends[2], pair[2];

    fixture_open(&fixture, backend);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(reop_file_attach(fixture.engine, ends[i], 0, &file), -ENOTSUP, "%s",
                     backend->name);
        cr_assert_eq(reop_file_attach(fixture.engine, pair[i], 0, &file), -ENOTSUP, "%s",
                     backend->name);
        cr_assert(is_open(ends[i]) && is_open(pair[i]), "%s", backend->name);
        close(pair[i]);
    }
    cr_assert_eq(write(ends[1], "still", 5), 5, "%s", backend->name);
    close(ends[0]);
    close(ends[1]);
    cr_assert_eq(mkfifo(fixture_path(&fixture, 0), 0600), 0);
    cr_assert_eq(reop_file_open(fixture.engine, fixture_path(&fixture, 0), REOP_FILE_READ, &file),
                 -ENOTSUP, "%s", backend->name);
    fixture_close(&fixture);
}

/* Promise: the same handles, where they are served. A FIFO opened by its path reads like a pipe. */
BACKEND_TEST(contract_posix, fifo_is_opened_without_blocking_and_read, ON_STREAMS)
{
    struct fixture fixture;
    reop_file *reader = NULL, *writer = NULL;
    reop_status status;
    reop_op *ops[2];

    fixture_open(&fixture, backend);
    cr_assert_eq(mkfifo(fixture_path(&fixture, 0), 0600), 0);
    cr_assert_eq(reop_file_open(fixture.engine, fixture_path(&fixture, 0), REOP_FILE_READ, &reader),
                 0, "%s", backend->name);
    cr_assert_eq(
        reop_file_open(fixture.engine, fixture_path(&fixture, 0), REOP_FILE_WRITE, &writer), 0,
        "%s", backend->name);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 2), 2);
    cr_assert_eq(reop_read(ops[0], reader, reop_op_buffer(ops[0]), 64, 0), REOP_PENDING, "%s",
                 backend->name);
    status = reop_write(ops[1], writer, "through", 7, 0);
    cr_assert_neq(status, REOP_REJECTED, "%s", backend->name);
    if (status == REOP_PENDING)
        fixture_reap(&fixture);
    fixture_reap(&fixture);
    cr_assert_eq(ops[0]->result, 7, "%s", backend->name);
    cr_assert_eq(ops[1]->result, 7, "%s", backend->name);
    cr_assert_arr_eq(reop_op_buffer(ops[0]), "through", 7, "%s", backend->name);
    reop_release_many(fixture.lane, ops, 2);
    fixture_close_file(reader);
    fixture_close_file(writer);
    fixture_close(&fixture);
}

/* --- errors by name --------------------------------------------------------------------------- */

/* Promise: a "negative errno from the table": what open finds wrong with a path. */
BACKEND_TEST(contract_posix, open_errors_by_name, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    char path[FIXTURE_PATH_SIZE + 400];

    fixture_open(&fixture, backend);
    fixture_fill(fixture_path(&fixture, 0), 1);
    snprintf(path, sizeof path, "%s/below", fixture_path(&fixture, 0));
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_READ, &file), -ENOTDIR, "%s",
                 backend->name);
    snprintf(path, sizeof path, "%s-missing/below", fixture_path(&fixture, 0));
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_WRITE | REOP_FILE_CREATE, &file),
                 -ENOENT, "%s", backend->name);
    snprintf(path, sizeof path, "/tmp/%0300d", 0);
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_READ, &file), -ENAMETOOLONG, "%s",
                 backend->name);
    cr_assert_eq(symlink(fixture_path(&fixture, 1), fixture_path(&fixture, 1)), 0);
    cr_assert_eq(reop_file_open(fixture.engine, fixture_path(&fixture, 1), REOP_FILE_READ, &file),
                 -ELOOP, "%s", backend->name);
    cr_assert_eq(reop_file_open(fixture.engine, "/proc/self/exe", REOP_FILE_WRITE, &file), -ETXTBSY,
                 "%s", backend->name);
    cr_assert_eq(reop_file_open(fixture.engine, "", REOP_FILE_READ, &file), -ENOENT, "%s",
                 backend->name);
    fixture_close(&fixture);
}

/* Promise: "A new file has mode 0666 less the umask." */
BACKEND_TEST(contract_posix, new_file_has_mode_0666_less_the_umask, ON_HOST_FILES)
{
    static const mode_t masks[] = {0, 022, 077};
    struct fixture fixture;

    fixture_open(&fixture, backend);
    for (uint32_t i = 0; i < 3; i++) {
        mode_t before = umask(masks[i]);
        struct stat status;
        reop_file *file = NULL;

        cr_assert_eq(reop_file_open(fixture.engine, fixture_path(&fixture, 0),
                                    REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_EXCLUSIVE,
                                    &file),
                     0, "%s", backend->name);
        umask(before);
        cr_assert_eq(stat(fixture_path(&fixture, 0), &status), 0);
        cr_assert_eq(status.st_mode & 0777, 0666 & ~masks[i], "%s: %o", backend->name,
                     (unsigned) status.st_mode);
        fixture_close_file(file);
        cr_assert_eq(unlink(fixture_path(&fixture, 0)), 0);
    }
    fixture_close(&fixture);
}

static void expect_failure(struct fixture *fixture, reop_op *op, reop_status status, int error)
{
    int64_t result = fixture_finish(fixture, op, status);

    cr_assert_eq(result, -error, "%s: %lld, not %d", fixture->backend->name, (long long) result,
                 -error);
    cr_assert_eq(op->os_error, (uint32_t) error, "%s: %u", fixture->backend->name, op->os_error);
}

/* Promise: "a negative errno by name"; "op->os_error is the system's own code": what the system
 * finds wrong with an I/O. */
BACKEND_TEST(contract_posix, io_errors_by_name, ON_HOST_FILES)
{
    struct fixture fixture;
    struct rlimit limit;
    reop_file *full = NULL, *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    cr_assert_eq(
        reop_file_open(fixture.engine, "/dev/full", REOP_FILE_READ | REOP_FILE_WRITE, &full), 0);
    expect_failure(&fixture, op, reop_write(op, full, reop_op_buffer(op), 512, 0), ENOSPC);
    expect_failure(&fixture, op, reop_write(op, full, "foreign", 7, 0), ENOSPC);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, full, reop_op_buffer(op), 512, 0)),
                 512);
    fixture_close_file(full);

    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 4096);
    expect_failure(&fixture, op, reop_read(op, file, (void *) (uintptr_t) 64, 512, 0), EFAULT);
    expect_failure(&fixture, op, reop_write(op, file, (void *) (uintptr_t) 64, 512, 0), EFAULT);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 8192;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_failure(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 8192), EFBIG);
    cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 7936)),
                 256, "%s: short", backend->name);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fixture_close_file(file);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "A system code with no name here is EIO ..., and os_error says which it was": what /proc
 * says of a process that has ended is ESRCH. */
BACKEND_TEST(contract_posix, io_error_without_a_name_is_eio, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    char path[64];
    reop_op *op;
    pid_t pid;

    fixture_open(&fixture, backend);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
    cr_assert_eq(reop_file_open(fixture.engine, path, REOP_FILE_READ, &file), 0, "%s",
                 backend->name);
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    op = fixture_acquire(&fixture);
    cr_assert_eq(fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), 512, 0)),
                 -EIO, "%s: %lld", backend->name, (long long) op->result);
    cr_assert_eq(op->os_error, ESRCH, "%s: %u", backend->name, op->os_error);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- direct and durable ----------------------------------------------------------------------- */

/* Promise: "granted or the call fails with -ENOTSUP: never silently downgraded". The full device
 * has no direct I/O. */
BACKEND_TEST(contract_posix, direct_is_refused_by_a_device_without_it, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;

    fixture_open(&fixture, backend);
    cr_assert_eq(
        reop_file_open(fixture.engine, "/dev/full", REOP_FILE_WRITE | REOP_FILE_DIRECT, &file),
        -ENOTSUP, "%s", backend->name);
    fixture_close(&fixture);
}

/* The same promise, of a file system that refuses: ramfs. */
BACKEND_TEST(contract_posix, direct_is_refused_by_a_file_system_without_it, ON_HOST_FILES)
{
    static const char *const folder = "/mnt";
    struct fixture fixture;
    reop_file *file = NULL;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "ramfs", 0, NULL) != 0)
        cr_skip_test("a ramfs can be mounted by root only: %s", strerror(errno));
    fixture_open(&fixture, backend);
    fixture_fill("/mnt/file", 512);
    cr_assert_eq(
        reop_file_open(fixture.engine, "/mnt/file", REOP_FILE_READ | REOP_FILE_DIRECT, &file),
        -ENOTSUP, "%s", backend->name);
    cr_assert_eq(reop_file_open(fixture.engine, "/mnt/file", REOP_FILE_READ, &file), 0, "%s",
                 backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "granted", so that the handle itself has it, whoever writes through it. */
BACKEND_TEST(contract_posix, granted_flags_are_on_the_handle, ON_HOST_FILES)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file;
    int flags;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE | REOP_FILE_DURABLE, 512);
    cr_assert_eq(reop_file_query(file, &info), 0);
    flags = fcntl((int) info.handle, F_GETFL);
    cr_assert((flags & O_DSYNC) == O_DSYNC, "%s: 0%o", backend->name, (unsigned) flags);
    cr_assert(!(flags & O_NONBLOCK), "%s: 0%o", backend->name, (unsigned) flags);
    cr_assert(fcntl((int) info.handle, F_GETFD) & FD_CLOEXEC, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "A journal written into space that was only reserved ... is slower": preallocated space
 * has blocks and was written, it is no hole. */
BACKEND_TEST(contract_posix, preallocated_space_is_no_hole, ON_HOST_FILES)
{
    struct fixture fixture;
    struct stat status;
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 0);
    cr_assert_eq(reop_file_preallocate(file, 3000000), 0, "%s", backend->name);
    cr_assert_eq(stat(fixture_path(&fixture, 0), &status), 0);
    cr_assert_eq(status.st_size, 3000000, "%s", backend->name);
    cr_assert_geq(status.st_blocks * 512, 3000000, "%s", backend->name);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- a sync that failed ----------------------------------------------------------------------- */

/* Promise: "After a failed sync or durable write ... every later sync on that file fails with the
 * same error". The full device fails every write, and durable ones too. */
BACKEND_TEST(contract_posix, failed_durable_write_fails_every_later_sync, ON_HOST_FILES)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *durable = NULL, *plain = NULL;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    cr_assert_eq(
        reop_file_open(fixture.engine, "/dev/full", REOP_FILE_WRITE | REOP_FILE_DURABLE, &durable),
        0, "%s", backend->name);
    cr_assert_eq(reop_file_open(fixture.engine, "/dev/full", REOP_FILE_WRITE, &plain), 0);
    expect_failure(&fixture, op, reop_write(op, durable, reop_op_buffer(op), 512, 0), ENOSPC);
    expect_failure(&fixture, op, reop_write(op, plain, reop_op_buffer(op), 512, 0), ENOSPC);
    for (uint32_t i = 0; i < 4; i++) {
        expect_failure(&fixture, op, reop_sync(op, durable, i % 2 ? REOP_SYNC_DATA : 0), ENOSPC);
        cr_assert_eq(reop_file_query(durable, &info), 0);
        cr_assert_eq(info.sync_error, -ENOSPC, "%s: %d", backend->name, info.sync_error);
    }
    cr_assert_eq(reop_file_query(plain, &info), 0);
    cr_assert_eq(info.sync_error, 0, "%s: that write promised nothing", backend->name);
    fixture_close_file(plain);
    fixture_close_file(durable); /* last, so that its place in the table is the next */
    cr_assert_eq(
        reop_file_open(fixture.engine, "/dev/full", REOP_FILE_WRITE | REOP_FILE_DURABLE, &durable),
        0);
    cr_assert_eq(reop_file_query(durable, &info), 0);
    cr_assert_eq(info.sync_error, 0, "%s: another open knows nothing of it", backend->name);
    fixture_close_file(durable);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* The same promise after a failed sync: the null device cannot be synced, EINVAL. Reads and writes
 * go on, and the file's other figures too. */
BACKEND_TEST(contract_posix, failed_sync_fails_every_later_sync, ON_HOST_FILES)
{
    struct fixture fixture;
    struct reop_file_info info;
    reop_file *file = NULL;
    reop_op *op;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_file_open(fixture.engine, "/dev/null", REOP_FILE_WRITE, &file), 0);
    for (uint32_t i = 0; i < 4; i++) {
        expect_failure(&fixture, op, reop_sync(op, file, i % 2 ? 0 : REOP_SYNC_DATA), EINVAL);
        cr_assert_eq(reop_file_query(file, &info), 0);
        cr_assert_eq(info.sync_error, -EINVAL, "%s: %d", backend->name, info.sync_error);
        cr_assert_eq(info.completed, 2 * i + 1, "%s", backend->name);
        cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, "x", 1, 0)), 1, "%s",
                     backend->name);
    }
    fixture_close_file(file);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "REOP_DONE ... Still HELD, op->result is final, never reaped. Only an engine created
 * with REOP_ENGINE_INLINE answers DONE", shown on what every backend knows at once: the answer to a
 * sync after one that failed. */
BACKEND_TEST(contract_posix, answer_known_at_once_is_done_only_with_inline, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file = NULL;
    reop_op *op, *again = NULL;
    reop_status expected = backend->traits & REOP_ENGINE_INLINE ? REOP_DONE : REOP_PENDING;

    fixture_open(&fixture, backend);
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_file_open(fixture.engine, "/dev/null", REOP_FILE_WRITE, &file), 0);
    expect_failure(&fixture, op, reop_sync(op, file, 0), EINVAL);
    for (uint64_t use = 2; use < 20; use++) {
        reop_status status = reop_sync(op, file, 0);

        cr_assert_eq(status, expected, "%s: %d", backend->name, (int) status);
        if (status == REOP_PENDING)
            cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, -EINVAL, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(reop_reap(fixture.engine, &again, 1, 0), 0, "%s", backend->name);
        cr_assert_eq(reop_op_use(op), use + 1, "%s: DONE consumes a use too", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "(one that was not merely cancelled)": a sync is cancelled where it waits for a worker,
 * and leaves no error. */
BACKEND_TEST(contract_posix, cancelled_sync_leaves_no_error, ON_QUEUES)
{
    struct fixture fixture;
    struct fixture_plug plug;
    struct reop_file_info info;
    reop_file *file;
    reop_op *ops[2];

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = 2},
                      (reop_engine_config){.threads = 1});
    fixture_plug_open(&fixture, &plug);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 512);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, 2), 2);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(fixture_plug_insert(&plug, ops[0]), REOP_PENDING);
        cr_assert_eq(reop_sync(ops[1], file, 0), REOP_PENDING);
        cr_assert_eq(reop_flush(fixture.engine), 0);
        cr_assert_eq(reop_cancel(ops[1], reop_op_use(ops[1]) - 1), 0, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), ops[1], "%s", backend->name);
        cr_assert_eq(ops[1]->result, -ECANCELED, "%s", backend->name);
        cr_assert_eq(reop_file_query(file, &info), 0);
        cr_assert_eq(info.sync_error, 0, "%s", backend->name);
        fixture_plug_pull(&plug);
        cr_assert_eq(fixture_reap(&fixture), ops[0], "%s", backend->name);
        cr_assert_eq(ops[0]->result, FIXTURE_PLUG_SIZE, "%s", backend->name);
    }
    cr_assert_eq(fixture_finish(&fixture, ops[1], reop_sync(ops[1], file, 0)), 0, "%s",
                 backend->name);
    reop_release_many(fixture.lane, ops, 2);
    fixture_plug_close(&plug);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- what else a process goes through --------------------------------------------------------- */

/* Promise: "A transfer may be short": a file cut off by someone else. */
BACKEND_TEST(contract_posix, file_cut_off_by_someone_else, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, FIXTURE_BUFFER);
    op = fixture_acquire(&fixture);
    for (off_t size = FIXTURE_BUFFER; size >= 0; size -= 1024) {
        cr_assert_eq(truncate(fixture_path(&fixture, 0), size), 0);
        fixture_finish(&fixture, op, reop_read(op, file, reop_op_buffer(op), FIXTURE_BUFFER, 0));
        cr_assert_eq(op->result, (int64_t) size, "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal_number)
{
    (void) signal_number;
    alarms++;
}

static void set_timer(int64_t period_us)
{
    struct itimerval timer = {{0, period_us}, {0, period_us}};

    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void *post_later(void *argument)
{
    struct fixture *fixture = argument;

    fixture_sleep_ms(50);
    reop_post(reop_acquire(fixture->lane), fixture->engine, 42);
    return NULL;
}

/* Promise: "0 on time-out, signal or wake": signals lose no op and make no error. */
BACKEND_TEST(contract_posix, signals_lose_nothing, ON_HOST_FILES)
{
    struct sigaction action = {.sa_handler = count_alarm};
    struct fixture fixture;
    reop_op *op = NULL, *own;
    reop_file *file;
    pthread_t thread;
    sigset_t alarm_only;
    int count;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 4096);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, post_later, &fixture), 0);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    set_timer(500);
    do
        count = reop_reap(fixture.engine, &op, 1, REOP_FOREVER);
    while (count == 0);
    cr_assert_eq(count, 1, "%s: %d", backend->name, count);
    cr_assert_eq(op->result, 42, "%s", backend->name);
    own = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 2000; i++) {
        cr_assert_eq(
            fixture_finish(&fixture, own, reop_read(own, file, reop_op_buffer(own), 64, i)), 64,
            "%s: %lld", backend->name, (long long) own->result);
        cr_assert(fixture_matches(reop_op_buffer(own), 64, i), "%s", backend->name);
    }
    set_timer(0);
    pthread_join(thread, NULL);
    cr_assert_gt(alarms, 0, "no signal came");
    reop_release(fixture.lane, op);
    reop_release(fixture.lane, own);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "After fork() the child may only exec or _exit", and if it does the parent goes on. */
BACKEND_TEST(contract_posix, fork_and_exit_leave_the_parent_alone, ON_HOST_FILES)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 5; i++) {
        reop_status status = reop_read(op, file, reop_op_buffer(op), 64, i);
        pid_t pid = fork();
        int ended = -1;

        if (pid == 0)
            _exit(0);
        cr_assert_gt(pid, 0);
        cr_assert_eq(waitpid(pid, &ended, 0), pid);
        cr_assert_eq(fixture_finish(&fixture, op, status), 64, "%s", backend->name);
        cr_assert(fixture_matches(reop_op_buffer(op), 64, i), "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- one instruction at a time ---------------------------------------------------------------- */

#define ON_SHARED_INLINE   REOP_ENGINE_INLINE, REOP_ENGINE_SINGLE_THREAD
#define ON_SHARED_DEFERRED REOP_ENGINE_DEFER, REOP_ENGINE_SINGLE_THREAD

/* A submit that is answered at once, by a fault, or is not. */
struct stepped {
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    reop_status status;
    uint32_t instructions, stop_at;
    reop_op *other;
    _Atomic uint32_t turn; /* the other thread's, to submit */
    _Atomic uint32_t rejected;
    _Atomic uint32_t reaped;
    _Atomic uint32_t ended;
};

static void open_stepped(struct stepped *stepped, const struct fixture_backend *backend, bool fails)
{
    struct reop_faults faults = {.seed = 1};

    memset(stepped, 0, sizeof *stepped);
    fixture_open_with(&stepped->fixture, backend,
                      (reop_pool_config){.op_count = 2, .buffer_size = 64},
                      (reop_engine_config){.depth = 2});
    faults.rate[REOP_FAULT_EIO] = 65536;
    if (fails)
        cr_assert_eq(reop_engine_faults(stepped->fixture.engine, &faults), 0);
    stepped->file = fixture_file(&stepped->fixture, REOP_FILE_READ, 64);
    stepped->op = fixture_acquire(&stepped->fixture);
    stepped->other = fixture_acquire(&stepped->fixture);
}

static void close_stepped(struct stepped *stepped)
{
    reop_release(stepped->fixture.lane, stepped->op);
    reop_release(stepped->fixture.lane, stepped->other);
    fixture_close(&stepped->fixture);
}

static reop_status read_answered_at_once(struct stepped *stepped, reop_op *op)
{
    return reop_read(op, stepped->file, reop_op_buffer(op), 64, 0);
}

static void run_submit(void *argument)
{
    struct stepped *stepped = argument;

    stepped->status = read_answered_at_once(stepped, stepped->op);
}

static void *submit_in_turn(void *argument)
{
    struct stepped *stepped = argument;

    while (!stepped->ended) {
        if (!stepped->turn)
            continue;
        for (uint32_t i = 0; i < 6; i++)
            stepped->rejected += read_answered_at_once(stepped, stepped->other) == REOP_REJECTED;
        stepped->turn = 0;
    }
    return NULL;
}

static void let_the_other_submit(void *argument)
{
    struct stepped *stepped = argument;

    stepped->turn = 1;
    while (stepped->turn)
        sched_yield();
}

/* Promise: "-EAGAIN (depth reached; never when depth covers every op)". Between any two
 * instructions of a submit others submit, and are answered, more often than the depth. */
BACKEND_TEST(contract_posix, depth_that_covers_every_op_is_never_reached, ON_SHARED_INLINE)
{
    struct stepped stepped;
    pthread_t thread;

    open_stepped(&stepped, backend, true);
    cr_assert_eq(pthread_create(&thread, NULL, submit_in_turn, &stepped), 0);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_step(run_submit, let_the_other_submit, &stepped);
        cr_assert_eq(stepped.status, REOP_DONE, "%s: %lld", backend->name,
                     (long long) stepped.op->result);
    }
    stepped.ended = 1;
    pthread_join(thread, NULL);
    cr_assert_eq(stepped.rejected, 0, "%s", backend->name);
    fixture_close_file(stepped.file);
    close_stepped(&stepped);
}

static void *reap_until_stopped(void *argument)
{
    struct stepped *stepped = argument;
    reop_op *op;
    int count;

    while ((count = reop_reap(stepped->fixture.engine, &op, 1, REOP_FOREVER)) != -ECANCELED)
        stepped->reaped += count == 1; /* that has to be the last word */
    stepped->ended = 1;
    return NULL;
}

static void stop_once(void *argument)
{
    struct stepped *stepped = argument;

    if (stepped->instructions++ != stepped->stop_at)
        return;
    reop_stop(stepped->fixture.engine);
    fixture_sleep_ms(2); /* the reaper looks, and goes back to sleep */
}

/* Answers whether the submit has an instruction of this number, before which it was stopped. */
static bool stop_during_a_submit(const struct fixture_backend *backend, uint32_t instruction,
                                 bool closed, bool fails)
{
    struct stepped stepped;
    pthread_t thread;

    open_stepped(&stepped, backend, fails);
    stepped.stop_at = instruction;
    if (closed)
        fixture_close_file(stepped.file);
    cr_assert_eq(pthread_create(&thread, NULL, reap_until_stopped, &stepped), 0);
    fixture_step(run_submit, stop_once, &stepped);
    if (stepped.instructions <= instruction)
        reop_stop(stepped.fixture.engine); /* it has fewer */
    if (stepped.status == REOP_PENDING)    /* and deferred; a reaper that sleeps does not see it */
        cr_assert_eq(reop_flush(stepped.fixture.engine), 0);
    for (uint32_t i = 0; i < 5000 && !stepped.ended; i++)
        fixture_sleep_ms(1);
    cr_assert(stepped.ended, "%s: stopped before instruction %u, and a reaper sleeps on",
              backend->name, instruction);
    pthread_join(thread, NULL);
    cr_assert_eq(stepped.reaped, stepped.status == REOP_PENDING,
                 "%s: stopped before instruction %u, and the last word was spoken too early",
                 backend->name, instruction);
    if (!closed)
        fixture_close_file(stepped.file);
    close_stepped(&stepped);
    return stepped.instructions > instruction;
}

/* Promise: "-ECANCELED once the engine is stopped and nothing is in flight (every reap then says
 * so)": to a reaper that is asleep while the last submit is answered DONE, or rejected. */
BACKEND_TEST(contract_posix, stop_during_a_submit_ends_the_reap, ON_SHARED_INLINE)
{
    uint32_t done = 0, rejected = 0;

    while (stop_during_a_submit(backend, done, false, true))
        done++;
    while (stop_during_a_submit(backend, rejected, true, true))
        rejected++;
    printf("%s: %u instructions when done, %u when rejected\n", backend->name, done, rejected);
    cr_assert_gt(done, 20);
    cr_assert_gt(rejected, 20);
}

/* The same promise: a submit that has looked and got in is in flight, before and after it is
 * counted. */
BACKEND_TEST(contract_posix, stop_waits_for_the_submit_that_got_in, ON_SHARED_DEFERRED)
{
    uint32_t instructions = 0;

    while (stop_during_a_submit(backend, instructions, false, false))
        instructions++;
    printf("%s: %u instructions\n", backend->name, instructions);
    cr_assert_gt(instructions, 20);
}

/* An engine that goes as soon as it may, while another thread cancels its op. */
struct departure {
    const struct fixture_backend *backend;
    struct fixture fixture;
    reop_op *op;
    uint64_t use;
    uint32_t instructions, leave_at;
    int answer;
    _Atomic uint32_t launched, may_go, gone;
    _Atomic uint32_t wrong;
};

/* The owner. */
static void *depart(void *argument)
{
    struct departure *departure = argument;
    reop_engine *engine = departure->fixture.engine;
    reop_op *reaped = departure->op;
    reop_file *file = NULL;
    reop_status status;

    departure->wrong += reop_file_open(engine, "/dev/zero", REOP_FILE_READ, &file) != 0;
    status = reop_read(departure->op, file, reop_op_buffer(departure->op), 64, 0);
    departure->wrong += status == REOP_REJECTED;
    departure->launched = 1;
    while (!departure->may_go)
        sched_yield();
    if (status == REOP_PENDING)
        departure->wrong += reop_reap(engine, &reaped, 1, FIXTURE_PATIENCE_NS) != 1;
    departure->wrong += departure->op->result != 64 && departure->op->result != -ECANCELED;
    departure->wrong += reop_file_close(file) != 0;
    departure->wrong += reop_engine_destroy(engine) != 0;
    departure->gone = 1;
    return NULL;
}

static void run_cancel(void *argument)
{
    struct departure *departure = argument;

    departure->answer = reop_cancel(departure->op, departure->use);
}

static void let_it_go(void *argument)
{
    struct departure *departure = argument;

    if (departure->instructions++ != departure->leave_at)
        return;
    departure->may_go = 1;
    for (uint32_t i = 0; i < 3 && !departure->gone; i++)
        fixture_sleep_ms(1); /* it may be waiting for this very cancel */
}

/* Answers whether the cancel has an instruction of this number, before which its engine left. */
static bool depart_during_a_cancel(struct departure *departure, uint32_t instruction)
{
    pthread_t thread;

    departure->instructions = 0;
    departure->leave_at = instruction;
    departure->launched = 0;
    departure->may_go = 0;
    departure->gone = 0;
    departure->use = reop_op_use(departure->op);
    departure->fixture.engine =
        fixture_engine(departure->backend, departure->fixture.pool, (reop_engine_config){0});
    cr_assert_eq(pthread_create(&thread, NULL, depart, departure), 0);
    while (!departure->launched)
        sched_yield();
    fixture_step(run_cancel, let_it_go, departure);
    departure->may_go = 1;
    pthread_join(thread, NULL);
    cr_assert(departure->answer == 0 || departure->answer == -ENOENT, "%s: %d",
              departure->backend->name, departure->answer);
    cr_assert_eq(departure->wrong, 0, "%s: instruction %u", departure->backend->name, instruction);
    return departure->instructions > instruction;
}

/* Promise, of reop_engine_destroy(): "No other call on the engine may be under way, reop_cancel()
 * excepted." */
BACKEND_TEST(contract_posix, engine_is_destroyed_during_a_cancel, ON_HOST_FILES)
{
    static struct departure departure;
    reop_engine *first;
    uint32_t instruction = 0;

    departure.backend = backend;
    fixture_open(&departure.fixture, backend);
    first = departure.fixture.engine;
    departure.op = fixture_acquire(&departure.fixture);
    while (depart_during_a_cancel(&departure, instruction))
        instruction += 8; /* to save time: what it must not fall into is longer */
    printf("%s: %u instructions\n", backend->name, instruction);
    cr_assert_gt(instruction, 10); /* an INLINE engine's op may be back before */
    reop_release(departure.fixture.lane, departure.op);
    departure.fixture.engine = first;
    fixture_close(&departure.fixture);
}

/* --- misuse ------------------------------------------------------------------------------------
 */

struct released {
    reop_lane *lane;
    reop_op *op;
};

static void release_again(void *argument)
{
    const struct released *released = argument;

    reop_release(released->lane, released->op);
}

/* Promise: "the program aborts with a message, in every build": which op it is, too. */
Test(contract_posix, misuse_names_the_op, .timeout = 60)
{
    reop_pool_config config = {.op_count = 4, .lane_count = 1};
    reop_pool *pool = NULL;
    struct released released;
    char words[80];

    cr_assert_eq(reop_pool_create(&config, &pool), 0);
    released.lane = reop_pool_lane(pool, 0);
    released.op = reop_acquire(released.lane);
    reop_release(released.lane, released.op);
    snprintf(words, sizeof words, "release of op %p (use 0), which is free, not held",
             (void *) released.op);
    misuse_expect_abort(release_again, &released, words);
    cr_assert_eq(reop_pool_destroy(pool), 0);
}
