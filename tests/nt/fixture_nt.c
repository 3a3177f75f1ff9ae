/* SPDX-License-Identifier: MIT
 *
 * The suites on the fake NT: the rows of its backend, and pipes that the fake kernel makes. The
 * fixture_backends() of fixture.c is compiled under another name, and called from here.
 */
#include "fixture.h"

#include "chance.h"
#include "kernel.h"

#include <stdlib.h>
#include <unistd.h>

size_t fixture_backends_of_table(struct fixture_backend chosen[FIXTURE_BACKENDS_MAX], uint32_t with,
                                 uint32_t without);

const struct fixture_backend fixture_table[] = {
    {"iocp", REOP_BACKEND_IOCP, FIXTURE_STREAMS},
    {"iocp defer", REOP_BACKEND_IOCP, REOP_ENGINE_DEFER | FIXTURE_STREAMS},
    {"iocp inline", REOP_BACKEND_IOCP, REOP_ENGINE_INLINE | FIXTURE_STREAMS},
    {"iocp single", REOP_BACKEND_IOCP, REOP_ENGINE_SINGLE_THREAD | FIXTURE_STREAMS},
    {"iocp single defer inline", REOP_BACKEND_IOCP,
     REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | REOP_ENGINE_INLINE | FIXTURE_STREAMS},
};
const size_t fixture_table_count = sizeof fixture_table / sizeof fixture_table[0];

/* Called in the process of each test before it begins, with an array of its own: how far it is from
 * the table tells one test from another, in each run of a program. */
size_t fixture_backends(struct fixture_backend chosen[FIXTURE_BACKENDS_MAX], uint32_t with,
                        uint32_t without)
{
    chance_seed(fixture_seed(), (uintptr_t) chosen - (uintptr_t) fixture_table);
    return fixture_backends_of_table(chosen, with, without);
}

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

void fixture_pipe_open(struct fixture *fixture, struct fixture_pipe *pair)
{
    pair->reader_handle = (reop_handle) kernel_open_pipe();
    pair->writer_handle = pair->reader_handle;
    cr_assert_eq(reop_file_attach(fixture->engine, pair->reader_handle, 0, &pair->reader), 0, "%s",
                 fixture->backend->name);
}

void fixture_pipe_write(struct fixture_pipe *pair, const void *data, size_t size)
{
    kernel_pipe_write((void *) pair->writer_handle, data, size);
}

void fixture_pipe_drain(struct fixture_pipe *pair, size_t size)
{
    kernel_pipe_drain((void *) pair->reader_handle, size);
}

void fixture_pipe_close_writer(struct fixture_pipe *pair)
{
    if (!fixture_pipe_is_broken(pair))
        kernel_pipe_hang_up((void *) pair->writer_handle);
    pair->writer_handle = -1;
}

bool fixture_pipe_is_broken(struct fixture_pipe *pair)
{
    return !kernel_pipe_is_open((void *) pair->writer_handle);
}

void fixture_pipe_close(struct fixture_pipe *pair)
{
    cr_assert_eq(reop_file_close(pair->reader), 0);
}

void fixture_plug_open(struct fixture *fixture, struct fixture_plug *plug)
{
    (void) plug;
    cr_skip_test("%s has no queue that could be plugged", fixture->backend->name);
}

reop_status fixture_plug_insert(struct fixture_plug *plug, reop_op *op)
{
    (void) plug;
    (void) op;
    return REOP_REJECTED;
}

void fixture_plug_pull(struct fixture_plug *plug)
{
    (void) plug;
}

void fixture_plug_close(struct fixture_plug *plug)
{
    (void) plug;
}

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
    return REOP_BACKEND_URING;
}

uint32_t fixture_os_error(int64_t result)
{
    for (uint32_t i = 0; i < KERNEL_ERRORS; i++)
        if (kernel_errors[i].name == -result)
            return kernel_errors[i].error;
    return 0;
}
