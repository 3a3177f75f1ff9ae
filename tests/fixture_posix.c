/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

const bool fixture_clock_is_honest = true;

const struct fixture_backend fixture_table[] = {
    {"uring", REOP_BACKEND_URING, FIXTURE_STREAMS},
    {"uring defer", REOP_BACKEND_URING, REOP_ENGINE_DEFER | FIXTURE_STREAMS},
    {"uring inline", REOP_BACKEND_URING, REOP_ENGINE_INLINE | FIXTURE_STREAMS},
    {"uring single", REOP_BACKEND_URING, REOP_ENGINE_SINGLE_THREAD | FIXTURE_STREAMS},
    {"uring single defer", REOP_BACKEND_URING,
     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | FIXTURE_STREAMS},
    {"uring single defer inline", REOP_BACKEND_URING,
     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | REOP_ENGINE_INLINE | FIXTURE_STREAMS},
    {"threads", REOP_BACKEND_THREADS, FIXTURE_QUEUES},
    {"threads defer", REOP_BACKEND_THREADS, REOP_ENGINE_DEFER | FIXTURE_QUEUES},
    {"threads inline", REOP_BACKEND_THREADS, REOP_ENGINE_INLINE | FIXTURE_QUEUES},
    {"threads single", REOP_BACKEND_THREADS, REOP_ENGINE_SINGLE_THREAD | FIXTURE_QUEUES},
    {"threads single defer inline", REOP_BACKEND_THREADS,
     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | REOP_ENGINE_INLINE | FIXTURE_QUEUES},
    {"sim", REOP_BACKEND_SIM, REOP_ENGINE_SINGLE_THREAD | FIXTURE_SIM},
    {"sim defer", REOP_BACKEND_SIM, REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | FIXTURE_SIM},
    {"sim inline", REOP_BACKEND_SIM, REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_INLINE | FIXTURE_SIM},
};
const size_t fixture_table_count = sizeof fixture_table / sizeof fixture_table[0];

/* --- paths ------------------------------------------------------------------------------------ */

FILE *fixture_stream(const char *path, const char *mode)
{
    return fopen(path, mode);
}

void fixture_remove(const char *path)
{
    unlink(path);
}

const char *fixture_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder != NULL ? folder : "/tmp";
}

/* --- pipes ------------------------------------------------------------------------------------ */

void fixture_pipe_open(struct fixture *fixture, struct fixture_pipe *pair)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    pair->reader_handle = ends[0];
    pair->writer_handle = ends[1];
    cr_assert_eq(reop_file_attach(fixture->engine, ends[0], 0, &pair->reader), 0, "%s",
                 fixture->backend->name);
}

void fixture_pipe_write(struct fixture_pipe *pair, const void *data, size_t size)
{
    cr_assert_eq(write((int) pair->writer_handle, data, size), (ssize_t) size);
}

void fixture_pipe_drain(struct fixture_pipe *pair, size_t size)
{
    uint8_t dropped[64];

    while (size > 0) {
        ssize_t count =
            read((int) pair->reader_handle, dropped, size < sizeof dropped ? size : sizeof dropped);

        cr_assert_gt(count, 0);
        size -= (size_t) count;
    }
}

void fixture_pipe_close_writer(struct fixture_pipe *pair)
{
    close((int) pair->writer_handle);
    pair->writer_handle = -1;
}

bool fixture_pipe_is_broken(struct fixture_pipe *pair)
{
    signal(SIGPIPE, SIG_IGN);
    return write((int) pair->writer_handle, "x", 1) < 0 && errno == EPIPE;
}

void fixture_pipe_close(struct fixture_pipe *pair)
{
    cr_assert_eq(reop_file_close(pair->reader), 0);
    if (pair->writer_handle >= 0)
        fixture_pipe_close_writer(pair);
}

/* --- names ------------------------------------------------------------------------------------ */

const char *fixture_slow_path(void)
{
    return "/dev/urandom";
}

const char *fixture_null_path(void)
{
    return "/dev/null";
}

enum reop_backend fixture_foreign_backend(void)
{
    return REOP_BACKEND_IOCP;
}

uint32_t fixture_os_error(int64_t result)
{
    return (uint32_t) -result;
}
