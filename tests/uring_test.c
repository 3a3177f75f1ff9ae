/* SPDX-License-Identifier: MIT
 *
 * What is uring's alone: the native hatch of <reop/uring.h>, what the kernel refused to register,
 * the completion queue, and that the data path makes no system call beside the one it is about.
 */
#include "fixture.h"

#include <reop/uring.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ON_URING FIXTURE_STREAMS, 0u /* on Linux no other backend serves streams */

static struct io_uring_sqe sqe_of(uint8_t opcode)
{
    return (struct io_uring_sqe){.opcode = opcode, .fd = -1, .user_data = 0xdead};
}

/* Submits, then spoils the entry: it was copied. */
static reop_status submit(reop_op *op, reop_file *file, struct io_uring_sqe sqe)
{
    reop_status status = reop_uring_submit(op, file, &sqe);

    memset(&sqe, 0xff, sizeof sqe);
    __asm__ volatile("" : : "r"(&sqe) : "memory"); /* else nobody seems to read it */
    return status;
}

/* --- the native hatch ------------------------------------------------------------------------- */

/* Promise: "Copies sqe, sets its user_data to the op's and its fd to the file's ... The op's kind
 * is REOP_KIND_NATIVE, its data and size are 0, its offset is sqe->off, its result is the
 * completion's res." */
BACKEND_TEST(uring, native_read_and_nop, ON_URING)
{
    struct fixture fixture;
    struct io_uring_sqe sqe;
    uint8_t foreign[100];
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    op = fixture_acquire(&fixture);
    for (uint64_t i = 0; i < 50; i++) {
        sqe = sqe_of(IORING_OP_READ);
        sqe.addr = (uintptr_t) foreign;
        sqe.len = sizeof foreign;
        sqe.off = 7 * i;
        sqe.flags = i % 2 ? IOSQE_ASYNC : 0;
        cr_assert_eq(fixture_finish(&fixture, op, submit(op, file, sqe)), 100, "%s: %lld",
                     backend->name, (long long) op->result);
        cr_assert(fixture_matches(foreign, 100, 7 * i), "%s", backend->name);
        cr_assert_eq(op->kind, REOP_KIND_NATIVE, "%s", backend->name);
        cr_assert_null(op->data, "%s", backend->name);
        cr_assert_eq(op->size, 0, "%s", backend->name);
        cr_assert_eq(op->offset, 0, "%s", backend->name);
        cr_assert_eq(op->file, file, "%s", backend->name);
        cr_assert_eq(reop_op_use(op), 2 * i + 2, "%s", backend->name);
        cr_assert_eq(fixture_finish(&fixture, op, submit(op, file, sqe_of(IORING_OP_NOP))), 0, "%s",
                     backend->name);
    }
    sqe = sqe_of(IORING_OP_WRITE); /* the file is open for reading only */
    sqe.addr = (uintptr_t) foreign;
    sqe.len = sizeof foreign;
    cr_assert_eq(fixture_finish(&fixture, op, submit(op, file, sqe)), -EBADF, "%s", backend->name);
    cr_assert_eq(op->os_error, EBADF, "%s", backend->name);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Promise: "submits it like reop_read()": it waits, is cancelled by its use and counted the same.
 */
BACKEND_TEST(uring, native_poll_waits_and_is_cancelled, ON_URING)
{
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct io_uring_sqe sqe = sqe_of(IORING_OP_POLL_ADD);
    reop_op *op, *reaped = NULL;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    sqe.poll32_events = POLLIN;
    op = fixture_acquire(&fixture);
    for (uint64_t use = 1; use < 20; use += 2) {
        cr_assert_eq(submit(op, pipe.reader, sqe), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, FIXTURE_MS), 0, "%s", backend->name);
        cr_assert_eq(reop_file_close(pipe.reader), -EBUSY, "%s", backend->name);
        cr_assert_eq(reop_cancel(op, use), 0, "%s", backend->name);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, -ECANCELED, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(submit(op, pipe.reader, sqe), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_cancel(op, use), -ENOENT, "%s", backend->name);
        fixture_pipe_write(&pipe, "x", 1);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, POLLIN, "%s: %lld", backend->name, (long long) op->result);
        fixture_pipe_drain(&pipe, 1);
    }
    reop_release(fixture.lane, op);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

static uint32_t age_ms_of(const struct fixture *fixture, const reop_op *op)
{
    struct reop_stuck_op list[FIXTURE_OPS];
    uint32_t count = reop_stuck(fixture->engine, list, FIXTURE_OPS);

    for (uint32_t i = 0; i < count; i++)
        if (list[i].op == op)
            return list[i].age_ms;
    cr_assert_fail("the op is not in flight");
    return 0;
}

/* Promise, of age_ms: "since the system was asked for it", however long before the engine last did
 * anything. What is queued has the date of the hand-over, be it a flush, a reap or, before either,
 * a look at its age. */
BACKEND_TEST(uring, age_begins_at_the_hand_over, ON_URING)
{
    static const char *const by[] = {"a flush", "a reap that waits", "a reap that does not",
                                     "a reap that brings another", "a look"};
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct io_uring_sqe sqe = sqe_of(IORING_OP_READ);
    reop_op *op, *other, *reaped;
    char byte;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    sqe.addr = (uintptr_t) &byte;
    sqe.len = 1;
    op = fixture_acquire(&fixture);
    other = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 10; i++) { /* natives have a short way, reads of a pipe have not */
        const char *name = by[i / 2];
        uint32_t age_ms;

        for (uint32_t j = 0; j < 1100; j++) { /* until such is what a reap expects */
            cr_assert_eq(submit(op, pipe.reader, sqe_of(IORING_OP_NOP)), REOP_PENDING);
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, REOP_FOREVER), 1);
        }
        fixture_sleep_ms(300);
        cr_assert_eq(i % 2 ? reop_read(op, pipe.reader, reop_op_buffer(op), 1, 0)
                           : submit(op, pipe.reader, sqe),
                     REOP_PENDING, "%s", backend->name);
        if (backend->traits & REOP_ENGINE_DEFER)
            fixture_sleep_ms(300);
        if (i / 2 == 0) {
            cr_assert_eq(reop_flush(fixture.engine), 0, "%s", backend->name);
        } else if (i / 2 < 3) {
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, i / 2 == 1 ? FIXTURE_MS : 0), 0,
                         "%s", backend->name);
        } else if (i / 2 == 3) {
            cr_assert_eq(submit(other, pipe.reader, sqe_of(IORING_OP_NOP)), REOP_PENDING);
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, REOP_FOREVER), 1);
            cr_assert_eq(reaped, other, "%s", backend->name);
        } else { /* which dates what nobody has handed over */
            cr_assert_lt(age_ms_of(&fixture, op), 700, "%s", backend->name);
            fixture_sleep_ms(60);
            cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 0, "%s", backend->name);
            age_ms = age_ms_of(&fixture, op);
            cr_assert_geq(age_ms, 50, "%s: %u ms, younger than it was", backend->name, age_ms);
        }
        fixture_sleep_ms(60);
        age_ms = age_ms_of(&fixture, op);
        cr_assert_geq(age_ms, 50, "%s: %u ms after %s", backend->name, age_ms, name);
        if (i / 2 < 4)
            cr_assert_lt(age_ms, 290, "%s: %u ms after %s", backend->name, age_ms, name);
        fixture_pipe_write(&pipe, "x", 1);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, 1, "%s: %lld", backend->name, (long long) op->result);
    }
    reop_release(fixture.lane, op);
    reop_release(fixture.lane, other);
    fixture_pipe_close(&pipe);
    fixture_close(&fixture);
}

/* Promise: "LINK, DRAIN and CQE_SKIP are rejected with -EINVAL, and so are multishot forms (accept,
 * poll, recv, timeout, read): one submit is one completion." */
BACKEND_TEST(uring, what_is_not_one_completion_is_rejected, ON_URING)
{
    static const uint8_t flags[] = {IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_IO_DRAIN,
                                    IOSQE_CQE_SKIP_SUCCESS, IOSQE_FIXED_FILE};
    struct fixture fixture;
    struct fixture_pipe pipe;
    struct io_uring_sqe sqe;
    reop_op *op;
    reop_handle unused;

    fixture_open(&fixture, backend);
    fixture_pipe_open(&fixture, &pipe);
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 5; i++) {
        sqe = sqe_of(IORING_OP_NOP);
        sqe.flags = flags[i];
        fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    }
    sqe = sqe_of(IORING_OP_ACCEPT);
    sqe.ioprio = 1u << 0; /* IORING_ACCEPT_MULTISHOT */
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    sqe = sqe_of(IORING_OP_POLL_ADD);
    sqe.poll32_events = POLLIN;
    sqe.len = 1u << 0; /* IORING_POLL_ADD_MULTI */
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    sqe = sqe_of(IORING_OP_RECV);
    sqe.ioprio = 1u << 1; /* IORING_RECV_MULTISHOT */
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    sqe = sqe_of(IORING_OP_RECVMSG);
    sqe.ioprio = 1u << 1;
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    sqe = sqe_of(IORING_OP_TIMEOUT);
    sqe.timeout_flags = 1u << 6; /* IORING_TIMEOUT_MULTISHOT, Linux 6.4 */
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe_of(49)), 1,
                            EINVAL); /* READ_MULTISHOT */
    fixture_expect_rejected(op, reop_uring_submit(op, pipe.reader, NULL), 1, EINVAL);

    sqe = sqe_of(IORING_OP_NOP);
    reop_stop(fixture.engine);
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, ECANCELED);
    cr_assert_eq(reop_file_detach(pipe.reader, &unused), 0);
    fixture_expect_rejected(op, submit(op, pipe.reader, sqe), 1, EINVAL);
    close((int) unused);
    fixture_pipe_close_writer(&pipe);
    reop_release(fixture.lane, op);
    fixture_close(&fixture);
}

/* Promise: "-ENOTSUP on another backend." */
BACKEND_TEST(uring, native_submit_is_enotsup_elsewhere, ON_NO_STREAMS)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 16);
    op = fixture_acquire(&fixture);
    fixture_expect_rejected(op, submit(op, file, sqe_of(IORING_OP_NOP)), 1, ENOTSUP);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* A connected pair over the loopback: only a network's sends can be without a copy. */
static void connect_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_geq(listener, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *) &address, length), 0, "%s", strerror(errno));
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *) &address, &length), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(pair[0], (struct sockaddr *) &address, length), 0, "%s", strerror(errno));
    pair[1] = accept(listener, NULL, NULL);
    cr_assert_geq(pair[1], 0);
    close(listener);
}

static void receive(int fd, size_t size, uint64_t position)
{
    uint8_t bytes[4096];

    while (size > 0) {
        ssize_t count = recv(fd, bytes, size < sizeof bytes ? size : sizeof bytes, 0);

        cr_assert_gt(count, 0);
        cr_assert(fixture_matches(bytes, (size_t) count, position), "at %llu",
                  (unsigned long long) position);
        position += (uint64_t) count;
        size -= (size_t) count;
    }
}

/* Promise: "A zero-copy send comes back once, on its notification, with the send's result." So its
 * buffer may be filled anew at once. */
BACKEND_TEST(uring, zero_copy_send_comes_back_once, ON_URING)
{
    struct fixture fixture;
    reop_file *file = NULL;
    reop_op *op, *again = NULL;
    int pair[2];

    fixture_open(&fixture, backend);
    connect_pair(pair);
    cr_assert_eq(reop_file_attach(fixture.engine, pair[0], 0, &file), 0, "%s", backend->name);
    op = fixture_acquire(&fixture);
    for (uint64_t i = 0; i < 50; i++) {
        struct io_uring_sqe sqe = sqe_of(IORING_OP_SEND_ZC);
        uint8_t *buffer = reop_op_buffer(op);

        for (uint32_t j = 0; j < FIXTURE_BUFFER; j++)
            buffer[j] = fixture_byte(i * FIXTURE_BUFFER + j);
        sqe.addr = (uintptr_t) buffer;
        sqe.len = FIXTURE_BUFFER;
        cr_assert_eq(submit(op, file, sqe), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_flush(fixture.engine), 0);
        receive(pair[1], FIXTURE_BUFFER, i * FIXTURE_BUFFER);
        cr_assert_eq(fixture_reap(&fixture), op, "%s", backend->name);
        cr_assert_eq(op->result, FIXTURE_BUFFER, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(reop_reap(fixture.engine, &again, 1, 0), 0, "%s", backend->name);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    close(pair[1]);
    fixture_close(&fixture);
}

/* The same promise of a send that fails: with and without a notification it comes back once. */
BACKEND_TEST(uring, zero_copy_send_that_fails_comes_back_once, ON_URING)
{
    struct fixture fixture;
    struct io_uring_sqe sqe = sqe_of(IORING_OP_SEND_ZC);
    struct reop_engine_stats stats;
    reop_file *file = NULL;
    reop_op *op, *again[4];
    int pair[2];

    fixture_open(&fixture, backend);
    connect_pair(pair);
    cr_assert_eq(shutdown(pair[0], SHUT_WR), 0);
    cr_assert_eq(reop_file_attach(fixture.engine, pair[0], 0, &file), 0, "%s", backend->name);
    op = fixture_acquire(&fixture);
    sqe.addr = (uintptr_t) reop_op_buffer(op);
    sqe.len = 512;
    sqe.msg_flags = MSG_NOSIGNAL;
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(submit(op, file, sqe), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_flush(fixture.engine), 0);
        fixture_sleep_ms(2); /* both completions are there */
        while (reop_reap(fixture.engine, again, 4, REOP_FOREVER) != 1) {
            /* woken for no reason */
        }
        cr_assert_eq(op->result, -EPIPE, "%s: %lld", backend->name, (long long) op->result);
        cr_assert_eq(op->os_error, EPIPE, "%s", backend->name);
        cr_assert_eq(reop_reap(fixture.engine, again, 4, FIXTURE_MS), 0, "%s", backend->name);
    }
    reop_engine_query(fixture.engine, &stats);
    cr_assert_eq(stats.failed, 10, "%s: %llu", backend->name, (unsigned long long) stats.failed);
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    close(pair[1]);
    fixture_close(&fixture);
}

/* Promise, of sockets as of pipes: the backend serves streams both ways. */
BACKEND_TEST(uring, socket_is_read_and_written, ON_URING)
{
    struct fixture fixture;
    reop_file *files[2] = {NULL};
    reop_op *reader, *writer;
    reop_status status;
    int pair[2];

    fixture_open(&fixture, backend);
    connect_pair(pair);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(reop_file_attach(fixture.engine, pair[i], 0, &files[i]), 0, "%s",
                     backend->name);
    reader = fixture_acquire(&fixture);
    writer = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(reop_read(reader, files[i % 2], reop_op_buffer(reader), 512, 0), REOP_PENDING);
        memset(reop_op_buffer(writer), (int) i, 300);
        status = reop_write(writer, files[1 - i % 2], reop_op_buffer(writer), 300, 0);
        fixture_reap(&fixture);
        if (status == REOP_PENDING)
            fixture_reap(&fixture);
        cr_assert_eq(writer->result, 300, "%s: %lld", backend->name, (long long) writer->result);
        cr_assert_eq(reader->result, 300, "%s: %lld", backend->name, (long long) reader->result);
        cr_assert_arr_eq(reop_op_buffer(reader), reop_op_buffer(writer), 300, "%s", backend->name);
    }
    reop_release(fixture.lane, reader);
    reop_release(fixture.lane, writer);
    fixture_close_file(files[0]);
    fixture_close_file(files[1]);
    fixture_close(&fixture);
}

/* --- what was not granted --------------------------------------------------------------------- */

/* Runs in a process of its own, which must exit with 0: its limits are not the test's. */
static void expect_child_fine(void (*run)(struct fixture_backend *backend),
                              struct fixture_backend *backend)
{
    struct fixture fixture;
    int status = -1;
    pid_t pid;

    fixture_open(&fixture, backend); /* skips here, and not in the child */
    fixture_close(&fixture);
    fflush(NULL);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        run(backend);
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "%s: status 0x%x", backend->name, (unsigned) status);
}

#define CHILD_CHECK(condition, code)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(code);                                                                           \
    } while (0)

static reop_engine *child_engine(const struct fixture_backend *backend, reop_pool *pool,
                                 uint32_t file_count)
{
    reop_engine_config config = {.backend = backend->backend,
                                 .flags = backend->traits & 0xffffu,
                                 .file_count = file_count,
                                 .pool = pool};
    reop_engine *engine = NULL;
    int error = reop_engine_create(&config, &engine);

    /* The kernel takes lockable memory back when it pleases: the parent's ring may be there yet. */
    for (uint32_t ms = 0; error == -ENOTSUP && ms < 10000; ms++) {
        fixture_sleep_ms(1);
        error = reop_engine_create(&config, &engine);
    }
    CHILD_CHECK(error == 0, 10);
    return engine;
}

/* Writes from the op's own buffer and reads it back into the same. */
static void child_use(reop_engine *engine, reop_pool *pool, int fd)
{
    reop_op *op = reop_acquire(reop_pool_shared_lane(pool)), *reaped = NULL;
    reop_file *file = NULL;
    char *buffer = reop_op_buffer(op);

    CHILD_CHECK(reop_file_attach(engine, fd, 0, &file) == 0, 20);
    memcpy(buffer, "unregistered", 12);
    if (reop_write(op, file, buffer, 12, 0) == REOP_PENDING)
        CHILD_CHECK(reop_reap(engine, &reaped, 1, FIXTURE_PATIENCE_NS) == 1, 21);
    CHILD_CHECK(op->result == 12, 22);
    memset(buffer, 0, 12);
    if (reop_read(op, file, buffer, 12, 0) == REOP_PENDING)
        CHILD_CHECK(reop_reap(engine, &reaped, 1, FIXTURE_PATIENCE_NS) == 1, 23);
    CHILD_CHECK(op->result == 12 && memcmp(buffer, "unregistered", 12) == 0, 24);
    reop_release(reop_pool_shared_lane(pool), op);
    CHILD_CHECK(reop_file_close(file) == 0, 25);
}

static void use_without_locked_memory(struct fixture_backend *backend)
{
    reop_pool_config config = {.op_count = 16, .buffer_size = 65536};
    struct rlimit limit = {65536, 65536}; /* the ring itself counts too */
    reop_pool *pool = NULL;
    reop_engine *engine;
    const char *why;
    char path[] = "/tmp/reop-uring-XXXXXX";
    int fd = mkstemp(path);

    CHILD_CHECK(fd >= 0 && unlink(path) == 0, 1);
    CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0, 2);
    CHILD_CHECK(setresuid(65534, 65534, 65534) == 0, 3); /* CAP_IPC_LOCK goes with root */
    CHILD_CHECK(reop_pool_create(&config, &pool) == 0, 4);
    engine = child_engine(backend, pool, 0);
    why = reop_engine_why(engine);
    CHILD_CHECK(strstr(why, "buffers not registered") != NULL, 5);
    CHILD_CHECK(strstr(why, "RLIMIT_MEMLOCK") != NULL, 6);
    child_use(engine, pool, fd);
    CHILD_CHECK(reop_engine_destroy(engine) == 0, 7);
    CHILD_CHECK(reop_pool_destroy(pool) == 0, 8);
}

/* Promise: "0 also where the system did not take the buffers: reop_engine_why()", which then says
 * "what was not granted"; and all goes on without. */
BACKEND_TEST(uring, buffers_that_are_not_registered_are_told_and_work, ON_URING)
{
    if (getuid() != 0)
        cr_skip_test("only root can give its privileges up");
    expect_child_fine(use_without_locked_memory, backend);
}

static void use_with_few_descriptors(struct fixture_backend *backend)
{
    reop_pool_config config = {.op_count = 16, .buffer_size = 4096};
    struct rlimit limit = {100, 100};
    reop_pool *pool = NULL;
    reop_engine *engine;
    char path[] = "/tmp/reop-uring-XXXXXX";
    int fd = mkstemp(path);

    CHILD_CHECK(fd >= 0 && unlink(path) == 0, 1);
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0, 2);
    CHILD_CHECK(reop_pool_create(&config, &pool) == 0, 4);
    engine = child_engine(backend, pool, 1000);
    CHILD_CHECK(strstr(reop_engine_why(engine), "files not registered") != NULL, 5);
    child_use(engine, pool, fd);
    CHILD_CHECK(reop_engine_destroy(engine) == 0, 7);
    CHILD_CHECK(reop_pool_destroy(pool) == 0, 8);
}

/* The same promise of the kernel's table of files, which cannot be larger than RLIMIT_NOFILE. */
BACKEND_TEST(uring, files_that_are_not_registered_are_told_and_work, ON_URING)
{
    expect_child_fine(use_with_few_descriptors, backend);
}

/* Promise: "Its buffers are registered with the system". One registered buffer covers 1 GiB at
 * most; a buffer beyond the first of these is as good as any other. */
BACKEND_TEST(uring, pool_larger_than_one_registered_buffer, ON_URING)
{
    enum { OPS = 5 };
    const uint32_t size = UINT32_C(1) << 28;
    reop_pool_config config = {.op_count = OPS, .buffer_size = size, .buffer_align = 4096};
    struct fixture fixture;
    reop_file *file;
    reop_op *ops[OPS];

    if (sysconf(_SC_AVPHYS_PAGES) / 1024 * sysconf(_SC_PAGESIZE) < 4l * 1024 * 1024)
        cr_skip_test("less than 4 GiB of free memory");
    fixture_open_with(&fixture, backend, config, (reop_engine_config){0});
    file = fixture_file(&fixture, REOP_FILE_READ | REOP_FILE_WRITE, 65536);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, OPS), OPS);
    for (uint32_t i = 0; i < OPS; i++) {
        uint8_t *buffer = reop_op_buffer(ops[i]), *last = buffer + size - 4096;

        cr_assert_eq(fixture_finish(&fixture, ops[i], reop_read(ops[i], file, buffer, 4096, i)),
                     4096, "%s", backend->name);
        cr_assert(fixture_matches(buffer, 4096, i), "%s", backend->name);
        cr_assert_eq(fixture_finish(&fixture, ops[i], reop_read(ops[i], file, last, 4096, 99 + i)),
                     4096, "%s", backend->name);
        cr_assert(fixture_matches(last, 4096, 99 + i), "%s", backend->name);
        cr_assert_eq(fixture_finish(&fixture, ops[i], reop_write(ops[i], file, last, 4096, 99 + i)),
                     4096, "%s", backend->name);
    }
    /* All of it at once, across the border between two: memory is memory. */
    cr_assert_eq(
        fixture_finish(&fixture, ops[0],
                       reop_read(ops[0], file, (uint8_t *) reop_op_buffer(ops[0]) + 100, 65536, 0)),
        65536, "%s", backend->name);
    reop_release_many(fixture.lane, ops, OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- the completion queue --------------------------------------------------------------------- */

/* The ring's description in /proc, or NULL. */
static FILE *open_ring_info(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    FILE *info = NULL;

    cr_assert_not_null(folder);
    while (info == NULL && (entry = readdir(folder)) != NULL) {
        char path[300], target[64] = "";

        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "io_uring") != NULL) {
            snprintf(path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
            info = fopen(path, "r");
        }
    }
    closedir(folder);
    return info;
}

/* Completions that found no room and went to the kernel's overflow list; -1: the kernel does not
 * say. cq_entries_out: those that wait in the queue. */
static int count_overflow(uint32_t *cq_entries_out)
{
    FILE *info = open_ring_info();
    bool listing = false;
    char line[256];
    int count = -1;

    if (info == NULL)
        return -1;
    while (fgets(line, sizeof line, info) != NULL) {
        sscanf(line, "CQEs: %u", cq_entries_out);
        if (listing)
            count += strstr(line, "user_data") != NULL;
        if (strstr(line, "CqOverflowList") != NULL) {
            listing = true;
            count = 0;
        }
    }
    fclose(info);
    return count;
}

/* Promise: "each of accepted submits comes back": the queue has room for all that can be in flight,
 * and for wakes beside them. */
BACKEND_TEST(uring, completion_queue_has_room_for_everything, ON_URING)
{
    enum { DEPTH = 256 };
    static reop_op *ops[DEPTH];
    struct fixture fixture;
    reop_file *file;
    uint32_t waiting = 0;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = DEPTH, .buffer_size = 64},
                      (reop_engine_config){.depth = DEPTH});
    file = fixture_file(&fixture, REOP_FILE_READ, 4096);
    for (uint32_t round = 0; round < 20; round++) {
        uint32_t pending = 0;

        cr_assert_eq(reop_acquire_many(fixture.lane, ops, DEPTH), DEPTH);
        for (uint32_t i = 0; i < DEPTH; i++) {
            pending += reop_read(ops[i], file, reop_op_buffer(ops[i]), 64, i) == REOP_PENDING;
            reop_wake(fixture.engine);
            reop_cancel(ops[i], round + 1);
        }
        cr_assert_eq(reop_flush(fixture.engine), 0);
        fixture_sleep_ms(1);
        cr_assert_leq(count_overflow(&waiting), 0, "%s: it overflowed", backend->name);
        for (; pending > 0; pending--)
            fixture_reap(&fixture);
        for (uint32_t i = 0; i < DEPTH; i++)
            cr_assert(ops[i]->result == 64 || ops[i]->result == -ECANCELED, "%s: %lld",
                      backend->name, (long long) ops[i]->result);
        reop_release_many(fixture.lane, ops, DEPTH);
    }
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* The same with the only op that completes twice, the zero-copy send. The depth is just below a
 * power of two, to which the kernel rounds. */
BACKEND_TEST(uring, zero_copy_sends_at_full_depth_all_come_back, ON_URING)
{
    enum { DEPTH = 240 };
    static reop_op *ops[DEPTH];
    struct fixture fixture;
    struct io_uring_sqe sqe = sqe_of(IORING_OP_SEND_ZC);
    uint8_t *zeroes = calloc(DEPTH, 64);
    reop_file *file = NULL;
    uint32_t waiting = 0;
    struct rlimit locked;
    int pair[2];

    cr_assert_not_null(zeroes);
    cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &locked), 0);
    if (locked.rlim_cur < 1u << 20)
        cr_skip_test("RLIMIT_MEMLOCK is too small for so many zero-copy sends");
    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = DEPTH, .buffer_size = 64},
                      (reop_engine_config){.depth = DEPTH});
    connect_pair(pair);
    cr_assert_eq(reop_file_attach(fixture.engine, pair[0], 0, &file), 0);
    sqe.addr = (uintptr_t) zeroes;
    sqe.len = 64;
    for (uint32_t round = 0; round < 5; round++) {
        size_t left = DEPTH * 64;
        uint8_t sink[4096];

        cr_assert_eq(reop_acquire_many(fixture.lane, ops, DEPTH), DEPTH);
        for (uint32_t i = 0; i < DEPTH; i++)
            cr_assert_eq(submit(ops[i], file, sqe), REOP_PENDING, "%s", backend->name);
        cr_assert_eq(reop_flush(fixture.engine), 0);
        while (left > 0)
            left -= (size_t) recv(pair[1], sink, sizeof sink, 0);
        fixture_sleep_ms(5);
        cr_assert_leq(count_overflow(&waiting), 0, "%s: it overflowed", backend->name);
        for (uint32_t i = 0; i < DEPTH; i++)
            fixture_reap(&fixture);
        for (uint32_t i = 0; i < DEPTH; i++)
            cr_assert_eq(ops[i]->result, 64, "%s: %lld", backend->name, (long long) ops[i]->result);
        reop_release_many(fixture.lane, ops, DEPTH);
    }
    free(zeroes);
    fixture_close_file(file);
    close(pair[1]);
    fixture_close(&fixture);
}

#define DEPTH_MAX 32768u

static reop_op *all_ops[DEPTH_MAX];

/* Every completion that the largest queue has room for: all ops of the greatest depth are sends,
 * which complete twice. Skips the test where memory for them cannot be locked. */
static void fill_completion_queue(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct io_uring_sqe sqe = sqe_of(IORING_OP_SEND_ZC);
    static char bytes[64];
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    reop_file *file = NULL;
    struct rlimit locked;

    cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &locked), 0);
    if (locked.rlim_cur < 1u << 20)
        cr_skip_test("RLIMIT_MEMLOCK is too small for so many zero-copy sends");
    cr_assert_eq(bind(receiver, (struct sockaddr *) &address, length), 0);
    cr_assert_eq(getsockname(receiver, (struct sockaddr *) &address, &length), 0);
    cr_assert_eq(connect(sender, (struct sockaddr *) &address, length), 0);
    cr_assert_eq(reop_file_attach(fixture->engine, sender, 0, &file), 0);
    cr_assert_eq(reop_acquire_many(fixture->lane, all_ops, DEPTH_MAX), DEPTH_MAX);
    sqe.addr = (uintptr_t) bytes;
    sqe.len = sizeof bytes;
    for (uint32_t i = 0; i < DEPTH_MAX; i++) /* what the receiver has no room for is dropped */
        cr_assert_eq(submit(all_ops[i], file, sqe), REOP_PENDING);
    cr_assert_eq(reop_flush(fixture->engine), 0);
    for (bool gone = false; !gone;) { /* the notifications come when a packet is */
        gone = true;
        fixture_sleep_ms(50);
        while (recv(receiver, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            gone = false;
    }
    close(receiver);
}

/* All of them back, by reaps that do not wait. */
static void empty_completion_queue(struct fixture *fixture)
{
    int64_t end_ns = fixture_now_ns() + 5000 * FIXTURE_MS;
    uint32_t count = 0;

    while (count < DEPTH_MAX && fixture_now_ns() < end_ns) {
        int more = reop_reap(fixture->engine, all_ops + count, DEPTH_MAX, 0);

        cr_assert_geq(more, 0);
        count += (uint32_t) more;
    }
    cr_assert_eq(count, DEPTH_MAX, "%s: only %u came back", fixture->backend->name, count);
}

/* Promise: each comes back, here by a reap that does not wait, though there is a wake too: one
 * completion more than the queue has room for. */
BACKEND_TEST(uring, completion_that_overflowed_comes_back_to_a_poll, ON_URING)
{
    struct fixture fixture;

    fixture_open_with(&fixture, backend, (reop_pool_config){.op_count = DEPTH_MAX},
                      (reop_engine_config){.depth = DEPTH_MAX});
    reop_wake(fixture.engine);
    fill_completion_queue(&fixture);
    empty_completion_queue(&fixture);
    fixture_close_file(all_ops[0]->file);
    reop_release_many(fixture.lane, all_ops, DEPTH_MAX);
    fixture_close(&fixture);
}

/* --- an enter that fails ---------------------------------------------------------------------- */

/* What becomes of the enters of one thread and those it starts: another decides. */
enum enters {
    ENTERS_GO_ON,
    ENTERS_GO_ON_LATE,
    ENTERS_TAKE_NONE,
    ENTERS_TAKE_ONE,
    ENTERS_TAKE_ONE_THEN_NONE
};

static struct {
    _Atomic uint32_t enters;
    _Atomic int listener; /* -1: not yet */
    _Atomic bool ended;
    pthread_t thread;
} referee;

/* The kernel has no memory for more than so many of the entries. */
static void answer_enter(const struct seccomp_notif *call, struct seccomp_notif_resp *answer)
{
    uint32_t enters = referee.enters;

    if (enters <= ENTERS_GO_ON_LATE || call->data.args[1] == 0) {
        if (enters == ENTERS_GO_ON_LATE)
            fixture_sleep_ms(500);
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (enters == ENTERS_TAKE_NONE) {
        answer->error = -EAGAIN;
    } else {
        answer->val = syscall(SYS_io_uring_enter, call->data.args[0], 1, 0, 0, NULL, 0);
        if (enters == ENTERS_TAKE_ONE_THEN_NONE)
            referee.enters = ENTERS_TAKE_NONE;
    }
}

static void *judge(void *argument)
{
    (void) argument;
    while (referee.listener < 0)
        fixture_sleep_ms(1);
    while (!referee.ended) {
        struct pollfd event = {.fd = referee.listener, .events = POLLIN};
        struct seccomp_notif call = {0};
        struct seccomp_notif_resp answer = {0};

        if (poll(&event, 1, 10) <= 0 ||
            ioctl(referee.listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
            continue;
        answer.id = call.id;
        answer_enter(&call, &answer);
        ioctl(referee.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    return NULL;
}

/* From now on, for good: a filter stays with its thread. */
static void call_the_referee(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof code[0], code};
    int listener;

    referee.listener = -1;
    cr_assert_eq(pthread_create(&referee.thread, NULL, judge, NULL), 0);
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    listener = (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                             &filter);
    if (listener < 0)
        cr_skip_test("seccomp's listener: %s", strerror(errno));
    referee.listener = listener;
}

static void send_the_referee_home(void)
{
    referee.enters = ENTERS_GO_ON;
    fixture_sleep_ms(20); /* a thread that was just ended may still be in a call */
    referee.ended = true;
    pthread_join(referee.thread, NULL);
    close(referee.listener);
}

#define ON_SHARED_DEFERRED FIXTURE_STREAMS | REOP_ENGINE_DEFER, REOP_ENGINE_SINGLE_THREAD

/* Promise: "The system has an op after the next reop_flush()", whose answer is "0, or -errno with
 * everything still queued", when the kernel takes less than all at once. */
BACKEND_TEST(uring, flush_that_answers_zero_left_nothing_queued, ON_SHARED_DEFERRED)
{
    enum { OPS = 5 };
    struct fixture fixture;
    reop_file *file;
    reop_op *ops[OPS];

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 0);
    cr_assert_eq(reop_acquire_many(fixture.lane, ops, OPS), OPS);
    call_the_referee();
    for (uint32_t round = 0; round < 2; round++) {
        uint8_t expected[OPS];

        for (uint32_t i = 0; i < OPS; i++) {
            expected[i] = *(uint8_t *) reop_op_buffer(ops[i]) = (uint8_t) ('a' + i + OPS * round);
            cr_assert_eq(reop_write(ops[i], file, reop_op_buffer(ops[i]), 1, i), REOP_PENDING);
        }
        if (round > 0) {
            referee.enters = ENTERS_TAKE_ONE_THEN_NONE;
            cr_assert_eq(reop_flush(fixture.engine), -EAGAIN);
        }
        referee.enters = ENTERS_TAKE_ONE;
        cr_assert_eq(reop_flush(fixture.engine), 0);
        for (uint32_t i = 0; i < 2000 && !fixture_holds(fixture.paths[0], expected, OPS); i++)
            fixture_sleep_ms(1);
        cr_assert(fixture_holds(fixture.paths[0], expected, OPS), "round %u", round);
        referee.enters = ENTERS_GO_ON;
        for (uint32_t i = 0; i < OPS; i++)
            cr_assert_eq(fixture_reap(&fixture)->result, 1);
    }
    send_the_referee_home();
    reop_release_many(fixture.lane, ops, OPS);
    fixture_close_file(file);
    fixture_close(&fixture);
}

struct bystander {
    struct fixture *fixture;
    reop_file *file;
    _Atomic bool begun;
    int64_t cpu_ns;
    int answer;
};

static void *submit_and_reap(void *argument)
{
    struct bystander *self = argument;
    reop_op *op = reop_acquire(self->fixture->lane);
    struct timespec cpu;

    while (!self->begun)
        fixture_sleep_ms(1);
    fixture_sleep_ms(50); /* the other is in the kernel */
    if (reop_write(op, self->file, reop_op_buffer(op), 1, 0) != REOP_PENDING)
        return NULL;
    self->answer = reop_reap(self->fixture->engine, &op, 1, REOP_FOREVER);
    if (self->answer == 1)
        reop_release(self->fixture->lane, op);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    self->cpu_ns = cpu.tv_sec * 1000000000 + cpu.tv_nsec;
    return NULL;
}

static void *wake_beside(void *argument)
{
    struct bystander *bystander = argument;

    while (!bystander->begun)
        fixture_sleep_ms(1);
    fixture_sleep_ms(150);
    reop_wake(bystander->fixture->engine);
    return NULL;
}

/* While another thread hands over, and takes its time, who waits for it sleeps; also when there is
 * a wake that it cannot attend to yet. */
BACKEND_TEST(uring, waiting_for_a_slow_flush_takes_no_processor, ON_SHARED_DEFERRED)
{
    struct bystander bystander = {.answer = -1};
    struct fixture fixture;
    pthread_t threads[2];
    reop_op *op, *reaped;
    int64_t start_ns;

    fixture_open(&fixture, backend);
    bystander.fixture = &fixture;
    cr_assert_eq(
        reop_file_open(fixture.engine, fixture_null_path(), REOP_FILE_WRITE, &bystander.file), 0);
    cr_assert_eq(pthread_create(&threads[0], NULL, submit_and_reap, &bystander), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, wake_beside, &bystander), 0);
    call_the_referee(); /* ours only, as theirs had begun */
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_write(op, bystander.file, reop_op_buffer(op), 1, 0), REOP_PENDING);
    referee.enters = ENTERS_GO_ON_LATE;
    bystander.begun = true;
    start_ns = fixture_now_ns();
    cr_assert_eq(reop_flush(fixture.engine), 0);
    cr_assert_geq(fixture_now_ns() - start_ns, 400 * FIXTURE_MS);
    referee.enters = ENTERS_GO_ON;
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_assert_geq(bystander.answer, 0);
    cr_assert_lt(bystander.cpu_ns, 150 * FIXTURE_MS, "%lld us of a processor",
                 (long long) bystander.cpu_ns / 1000);
    for (int left = 2 - bystander.answer; left > 0;) {
        int count = reop_reap(fixture.engine, &reaped, 1, FIXTURE_PATIENCE_NS);

        cr_assert_geq(count, 0);
        if (count == 1)
            reop_release(fixture.lane, reaped);
        left -= count;
    }
    send_the_referee_home();
    cr_assert_eq(reop_file_close(bystander.file), 0);
    fixture_close(&fixture);
}

static void *reap_once(void *argument)
{
    struct fixture *fixture = argument;
    reop_op *op = NULL;

    return (void *) (intptr_t) reop_reap(fixture->engine, &op, 1, 5000 * FIXTURE_MS);
}

/* Promise: a wake "ends the current or next reap of one thread". In the kernel a poll waits for
 * wakes, which ends at one that finds the completion queue full; and it cannot be submitted again
 * while the submission queue is full and the kernel takes nothing. */
BACKEND_TEST(uring, wake_survives_full_queues, ON_SHARED_DEFERRED)
{
    struct fixture fixture;
    reop_op *op = NULL;
    reop_file *file;
    pthread_t thread;
    void *answer = NULL;
    int64_t start_ns;

    fixture_open_with(&fixture, backend,
                      (reop_pool_config){.op_count = DEPTH_MAX, .buffer_size = 1},
                      (reop_engine_config){.depth = DEPTH_MAX});
    fill_completion_queue(&fixture);
    reop_wake(fixture.engine);
    empty_completion_queue(&fixture);
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, 0), 0);
    fixture_close_file(all_ops[0]->file);

    file = fixture_file(&fixture, REOP_FILE_READ, 1);
    call_the_referee();
    referee.enters = ENTERS_TAKE_NONE;
    for (uint32_t i = 0; i < DEPTH_MAX; i++)
        cr_assert_eq(reop_read(all_ops[i], file, reop_op_buffer(all_ops[i]), 1, 0), REOP_PENDING);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(reop_reap(fixture.engine, &op, 1, 0), -EAGAIN);
    referee.enters = ENTERS_GO_ON;
    empty_completion_queue(&fixture);

    cr_assert_eq(pthread_create(&thread, NULL, reap_once, &fixture), 0);
    fixture_sleep_ms(20);
    start_ns = fixture_now_ns();
    reop_wake(fixture.engine);
    pthread_join(thread, &answer);
    cr_assert_eq((intptr_t) answer, 0);
    cr_assert_lt(fixture_now_ns() - start_ns, 4000 * FIXTURE_MS, "the wake was lost");
    send_the_referee_home();
    reop_release_many(fixture.lane, all_ops, DEPTH_MAX);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- closing against submits ------------------------------------------------------------------ */

/* Which takes 50 ms, or so, where each has a processor; and more, until one was refused. */
#define CLOSES_MAX 2000u

struct submitter {
    struct fixture *fixture;
    _Atomic(reop_file *) file; /* NULL: no more */
    _Atomic uint32_t refused;  /* files of which a submit was rejected */
    _Atomic uint64_t accepted;
    uint32_t wrong;
};

static void *submit_until_closed(void *argument)
{
    struct submitter *submitter = argument;
    struct fixture *fixture = submitter->fixture;
    reop_op *op = fixture_acquire(fixture), *reaped;
    reop_file *file, *before = NULL;

    while ((file = submitter->file) != NULL) {
        if (file == before) { /* the next is not open yet */
            sched_yield();
            continue;
        }
        while (reop_write(op, file, reop_op_buffer(op), 64, 0) == REOP_PENDING) {
            submitter->accepted++;
            while (reop_reap(fixture->engine, &reaped, 1, FIXTURE_PATIENCE_NS) == 0) {
            }
            submitter->wrong += op->result != 64;
            if (submitter->file == NULL)
                goto enough;
        }
        submitter->wrong += op->result != -EINVAL;
        before = file;
        submitter->refused++;
    }
enough:
    reop_release(fixture->lane, op);
    return NULL;
}

/* Promise: "-EBUSY while one of its ops is in flight or a thread is inside a submit on it". Closes
 * in the instants between two ops, one of which is when the next has been let in and not been
 * counted. Two files take turns, as a place is used again. */
BACKEND_TEST(uring, close_sees_who_is_inside_a_submit, ON_URING)
{
    struct submitter submitter = {.refused = 0};
    uint64_t random = fixture_seed(), busy = 0;
    int64_t end_ns = fixture_now_ns() + 2000 * FIXTURE_MS;
    struct fixture fixture;
    reop_file *files[2];
    uint32_t closed = 0;
    pthread_t thread;

    fixture_open(&fixture, backend);
    submitter.fixture = &fixture;
    cr_assert_eq(reop_file_open(fixture.engine, fixture_null_path(), REOP_FILE_WRITE, &files[0]),
                 0);
    submitter.file = files[0];
    cr_assert_eq(pthread_create(&thread, NULL, submit_until_closed, &submitter), 0);
    for (; (closed < CLOSES_MAX || busy == 0) && fixture_now_ns() < end_ns; closed++) {
        uint64_t accepted = submitter.accepted;
        int answer;

        cr_assert_eq(reop_file_open(fixture.engine, fixture_null_path(), REOP_FILE_WRITE,
                                    &files[(closed + 1) % 2]),
                     0);
        while (submitter.accepted == accepted && fixture_now_ns() < end_ns)
            sched_yield();
        for (uint64_t left = fixture_random(&random) % 2000; left > 0; left--)
            atomic_signal_fence(memory_order_seq_cst); /* keeps the loop */
        while ((answer = reop_file_close(files[closed % 2])) == -EBUSY) {
            if (++busy % 256 != 0)
                continue;
            sched_yield();
            if (fixture_now_ns() >= end_ns)
                submitter.file = NULL;
        }
        cr_assert_eq(answer, 0);
        for (int64_t deadline_ns = fixture_now_ns() + FIXTURE_PATIENCE_NS;
             submitter.file != NULL && submitter.refused == closed &&
             fixture_now_ns() < deadline_ns;)
            sched_yield();
        if (submitter.file == NULL) {
            closed++;
            break;
        }
        cr_assert_eq(submitter.refused, closed + 1, "a closed file took submits");
        submitter.file = files[(closed + 1) % 2];
    }
    submitter.file = NULL;
    cr_assert_eq(pthread_join(thread, NULL), 0);
    printf("%s: %u closed, refused %llu times, beside %llu writes\n", backend->name, closed,
           (unsigned long long) busy, (unsigned long long) submitter.accepted);
    cr_assert_eq(submitter.wrong, 0, "%u writes met a closed file", submitter.wrong);
    cr_assert_gt(busy, 0);
    cr_assert_eq(reop_file_close(files[closed % 2]), 0);
    fixture_close(&fixture);
}

/* --- a crowded ring --------------------------------------------------------------------------- */

static void interrupt_nothing(int signal_number)
{
    (void) signal_number;
}

struct crowd {
    struct fixture fixture;
    pthread_t thread;
    _Atomic pid_t id;
    _Atomic uint32_t reaps, back; /* calls that returned, ops that came back */
    _Atomic int answer;           /* the last call's */
};

static void *reap_in_a_crowd(void *argument)
{
    struct crowd *crowd = argument;
    reop_op *op;

    crowd->id = (pid_t) syscall(SYS_gettid);
    do {
        crowd->answer = reop_reap(crowd->fixture.engine, &op, 1, REOP_FOREVER);
        if (crowd->answer == 1) {
            reop_release(crowd->fixture.lane, op);
            crowd->back++;
        }
        crowd->reaps++;
    } while (crowd->answer >= 0);
    return NULL;
}

/* Sleeps outside the ring, as the kernel tells. */
static bool has_parked(const struct crowd *crowd)
{
    char path[64];
    long call = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int) crowd->id);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%ld", &call) != 1)
        call = -1;
    if (file != NULL)
        fclose(file);
    return call == SYS_ppoll;
}

/* Hands over and reaps on a hot cache until the other is tired of being woken in vain. */
static void crowd_out(struct crowd *crowd, reop_file *file)
{
    for (uint32_t i = 0; i < 20000; i++) {
        reop_op *op = reop_acquire(crowd->fixture.lane), *reaped;

        if (has_parked(crowd)) {
            reop_release(crowd->fixture.lane, op);
            return;
        }
        cr_assert_eq(reop_write(op, file, reop_op_buffer(op), 1, 0), REOP_PENDING);
        if (reop_reap(crowd->fixture.engine, &reaped, 1, FIXTURE_MS) == 1)
            reop_release(crowd->fixture.lane, reaped);
    }
    cr_skip_test("the other reaper does not park");
}

static void wait_for_count(const _Atomic uint32_t *counter, uint32_t count, const char *what)
{
    for (uint32_t i = 0; i < 4000 && *counter < count; i++)
        fixture_sleep_ms(1);
    cr_assert_geq(*counter, count, "%s", what);
}

/* Promises: "Waits until at least one op has come back", "0 on time-out, signal or wake",
 * "-ECANCELED once the engine is stopped", of a reaper that sleeps because another is quicker. */
BACKEND_TEST(uring, parked_reaper_is_told, ON_SHARED_DEFERRED)
{
    struct sigaction action = {.sa_handler = interrupt_nothing, .sa_flags = SA_RESTART};
    struct crowd crowd = {.answer = 0};
    struct fixture *fixture = &crowd.fixture;
    reop_op *ops[2], *reaped;
    reop_file *file;
    uint32_t before;
    int count;

    fixture_open(fixture, backend);
    cr_assert_eq(reop_file_open(fixture->engine, fixture_null_path(), REOP_FILE_WRITE, &file), 0);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_create(&crowd.thread, NULL, reap_in_a_crowd, &crowd), 0);

    crowd_out(&crowd, file);
    before = crowd.back;
    ops[0] = fixture_acquire(fixture);
    cr_assert_eq(reop_write(ops[0], file, reop_op_buffer(ops[0]), 1, 0), REOP_PENDING);
    cr_assert_eq(reop_flush(fixture->engine), 0);
    wait_for_count(&crowd.back, before + 1, "a flushed op did not reach the parked");

    crowd_out(&crowd, file);
    before = crowd.back;
    cr_assert_eq(reop_acquire_many(fixture->lane, ops, 2), 2);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(reop_write(ops[i], file, reop_op_buffer(ops[i]), 1, 0), REOP_PENDING);
    count = reop_reap(fixture->engine, &reaped, 1, 0);
    cr_assert_geq(count, 0);
    if (count == 1)
        reop_release(fixture->lane, reaped);
    wait_for_count(&crowd.back, before + 2 - (uint32_t) count, "what a reaper left stayed there");

    crowd_out(&crowd, file);
    before = crowd.reaps;
    reop_wake(fixture->engine);
    wait_for_count(&crowd.reaps, before + 1, "a wake did not reach the parked");
    cr_assert_eq(crowd.answer, 0);

    crowd_out(&crowd, file);
    before = crowd.reaps;
    pthread_kill(crowd.thread, SIGUSR1);
    wait_for_count(&crowd.reaps, before + 1, "a signal did not reach the parked");
    cr_assert_eq(crowd.answer, 0);

    crowd_out(&crowd, file);
    before = crowd.back;
    cr_assert_eq(reop_post(fixture_acquire(fixture), fixture->engine, 1), REOP_PENDING);
    wait_for_count(&crowd.back, before + 1, "a post did not reach the parked");

    crowd_out(&crowd, file);
    before = crowd.reaps;
    reop_stop(fixture->engine);
    wait_for_count(&crowd.reaps, before + 1, "a stop did not reach the parked");
    cr_assert_eq(crowd.answer, -ECANCELED);
    pthread_join(crowd.thread, NULL);
    fixture_close_file(file);
    fixture_close(fixture);
}

/* --- what is no op's -------------------------------------------------------------------------- */

static void *post_from_elsewhere(void *argument)
{
    struct fixture *fixture = argument;

    return (void *) (intptr_t) reop_post(reop_acquire(fixture->lane), fixture->engine, 5);
}

/* Promise: "takes up to max of them without waiting", one too, though a wake lies before it that
 * was for an op taken already. */
BACKEND_TEST(uring, op_behind_a_wake_is_found, ON_URING)
{
    struct fixture fixture;
    reop_op *op, *reaped = NULL;
    reop_file *file;
    pthread_t thread;
    void *status = NULL;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_READ, 64);
    cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 0); /* the owner's first */
    op = fixture_acquire(&fixture);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, post_from_elsewhere, &fixture), 0);
        pthread_join(thread, &status);
        cr_assert_eq((intptr_t) status, REOP_PENDING);
        cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 1, "%s", backend->name);
        reop_release(fixture.lane, reaped);
        cr_assert_eq(reop_read(op, file, reop_op_buffer(op), 64, 0), REOP_PENDING);
        cr_assert_eq(reop_flush(fixture.engine), 0);
        fixture_sleep_ms(2); /* it is there */
        cr_assert_eq(reop_reap(fixture.engine, &reaped, 1, 0), 1, "%s: %u", backend->name, i);
        cr_assert_eq(reaped, op);
    }
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void *signal_later(void *argument)
{
    fixture_sleep_ms(300);
    pthread_kill(*(pthread_t *) argument, SIGUSR1);
    return NULL;
}

struct alarm {
    reop_engine *engine;
    _Atomic bool over;
};

static void *wake_much_later(void *argument)
{
    struct alarm *alarm = argument;

    for (uint32_t i = 0; i < 500 && !alarm->over; i++)
        fixture_sleep_ms(10);
    reop_wake(alarm->engine);
    return NULL;
}

/* Promise: "0 on time-out, signal or wake", of a reap that would wait for ever. */
BACKEND_TEST(uring, signal_ends_a_reap, ON_URING)
{
    struct sigaction action = {.sa_handler = interrupt_nothing};
    struct fixture fixture;
    pthread_t self = pthread_self(), threads[2];
    int64_t start_ns = fixture_now_ns();
    struct alarm alarm = {.over = false};
    reop_op *op = NULL;

    fixture_open(&fixture, backend);
    alarm.engine = fixture.engine;
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, 0), 0); /* the owner's first */
    cr_assert_eq(pthread_create(&threads[0], NULL, signal_later, &self), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, wake_much_later, &alarm), 0);
    cr_assert_eq(reop_reap(fixture.engine, &op, 1, REOP_FOREVER), 0);
    alarm.over = true;
    cr_assert_lt(fixture_now_ns() - start_ns, 4000 * FIXTURE_MS, "%s: it slept on", backend->name);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    fixture_close(&fixture);
}

/* --- no system call beside the I/O ------------------------------------------------------------ */

/* From now on any call but io_uring_enter and leaving kills the process. */
static void forbid_all_but_enter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof code[0], code};

    CHILD_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, 30);
    CHILD_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, 31);
}

static void read_and_write_on(reop_engine *engine, reop_lane *lane, reop_file *file, uint32_t count)
{
    reop_op *ops[16];

    for (uint32_t i = 0; i < count; i += 16) {
        uint32_t pending = 0;

        CHILD_CHECK(reop_acquire_many(lane, ops, 16) == 16, 40);
        for (uint32_t j = 0; j < 16; j++) {
            void *buffer = reop_op_buffer(ops[j]);
            reop_status status = j % 2 ? reop_read(ops[j], file, buffer, 512, j * UINT64_C(512))
                                       : reop_write(ops[j], file, buffer, 512, j * UINT64_C(512));

            CHILD_CHECK(status != REOP_REJECTED, 41);
            pending += status == REOP_PENDING;
        }
        while (pending > 0) {
            reop_op *reaped[16];
            int got = reop_reap(engine, reaped, 16, REOP_FOREVER);

            CHILD_CHECK(got > 0, 42);
            for (int j = 0; j < got; j++)
                CHILD_CHECK(reaped[j]->result == 512, 43);
            pending -= (uint32_t) got;
        }
        reop_release_many(lane, ops, 16);
    }
}

static void use_with_enter_alone(struct fixture_backend *backend)
{
    reop_pool_config config = {.op_count = 16, .buffer_size = 512};
    reop_pool *pool = NULL;
    reop_engine *engine;
    reop_file *file = NULL;
    char path[] = "/tmp/reop-uring-XXXXXX";
    int fd = mkstemp(path);

    CHILD_CHECK(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 8192) == 0, 1);
    CHILD_CHECK(reop_pool_create(&config, &pool) == 0, 4);
    engine = child_engine(backend, pool, 0);
    CHILD_CHECK(reop_file_attach(engine, fd, 0, &file) == 0, 5);
    read_and_write_on(engine, reop_pool_shared_lane(pool), file, 160); /* the owner's first use */
    forbid_all_but_enter();
    read_and_write_on(engine, reop_pool_shared_lane(pool), file, 16000);
    syscall(SYS_exit_group, 0);
}

static void enter_nothing_but_getppid(struct fixture_backend *backend)
{
    (void) backend;
    forbid_all_but_enter();
    syscall(SYS_getppid);
}

/* Promise: submit, reap, acquire and release make no system call "beyond the I/O itself". */
BACKEND_TEST(uring, data_path_makes_no_call_but_enter, ON_URING)
{
    if (fixture_sanitized())
        cr_skip_test("a sanitizer makes calls of its own");
    expect_child_fine(use_with_enter_alone, backend);
}

#define ON_DEFERRED_URING FIXTURE_STREAMS | REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER, 0u
#define SLOW_OPS          2100u

/* Timers, one after the other, between two calls of getppid(). */
static void run_slow_ops(struct fixture_backend *backend)
{
    static const struct __kernel_timespec time = {.tv_nsec = 50000};
    reop_pool_config config = {.op_count = 1, .buffer_size = 512};
    struct io_uring_sqe sqe = sqe_of(IORING_OP_TIMEOUT);
    reop_pool *pool = NULL;
    reop_engine *engine;
    reop_file *file = NULL;
    reop_op *op, *reaped;

    CHILD_CHECK(reop_pool_create(&config, &pool) == 0, 4);
    engine = child_engine(backend, pool, 0);
    CHILD_CHECK(reop_file_attach(engine, open("/dev/null", O_RDWR), 0, &file) == 0, 5);
    op = reop_acquire(reop_pool_shared_lane(pool));
    CHILD_CHECK(reop_uring_submit(op, file, &(struct io_uring_sqe){.opcode = IORING_OP_NOP}) ==
                        REOP_PENDING &&
                    reop_reap(engine, &reaped, 1, REOP_FOREVER) == 1,
                6);
    sqe.addr = (uintptr_t) &time;
    sqe.len = 1;
    CHILD_CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0, 7);
    syscall(SYS_getppid);
    for (uint32_t i = 0; i < SLOW_OPS; i++) {
        CHILD_CHECK(reop_uring_submit(op, file, &sqe) == REOP_PENDING, 8);
        CHILD_CHECK(reop_reap(engine, &reaped, 1, REOP_FOREVER) == 1, 9);
        CHILD_CHECK(op->os_error == ETIME, 11);
    }
    syscall(SYS_getppid);
    syscall(SYS_exit_group, 0);
}

/* Promise: no system call "beyond the I/O itself": an op that takes a while is handed over and
 * waited for in one. Whether it does is found out by another, once in 1,024. */
BACKEND_TEST(uring, slow_op_costs_one_enter, ON_DEFERRED_URING)
{
    uint32_t enters = 0, others = 0, marks = 0;
    struct fixture fixture;
    int status = -1;
    pid_t pid;

    if (fixture_sanitized())
        cr_skip_test("a sanitizer makes calls of its own");
    fixture_open(&fixture, backend); /* skips here, and not in the child */
    fixture_close(&fixture);
    fflush(NULL);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        run_slow_ops(backend);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSTOPPED(status), "0x%x", (unsigned) status);
    cr_assert_eq(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *) PTRACE_O_TRACESYSGOOD), 0);
    while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        struct __ptrace_syscall_info call;

        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        cr_assert_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *) sizeof call, &call), 0);
        if (call.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (call.entry.nr == SYS_getppid)
            marks++;
        else if (marks == 1)
            *(call.entry.nr == SYS_io_uring_enter ? &enters : &others) += 1;
    }
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "0x%x", (unsigned) status);
    cr_assert_eq(marks, 2);
    cr_assert_eq(others, 0, "%s: %u", backend->name, others);
    cr_assert(enters >= SLOW_OPS && enters <= SLOW_OPS + 1 + SLOW_OPS / 1024, "%s: %u enters",
              backend->name, enters);
}

/* The control: another call kills. */
Test(uring, another_call_kills)
{
    int status = -1;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        signal(SIGSYS, SIG_DFL);
        enter_nothing_but_getppid(NULL);
        syscall(SYS_exit_group, 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "0x%x", (unsigned) status);
}
