/* SPDX-License-Identifier: MIT
 *
 * What the suites stand on: the table of backends that a test is run on, and an engine with a pool
 * and scratch files, opened before a test and taken down after it with nothing left over.
 *
 * fixture.c is portable. The table, pipes and paths are in fixture_posix.c and fixture_win32.c,
 * what is Linux's alone is in fixture_linux.c.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <reop/reop.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* --- which backends a test runs on ---------------------------------------------------------- */

/* It holds no pointer: Criterion copies it to a new process. */
struct fixture_backend {
    char name[32];
    uint32_t backend; /* enum reop_backend */
    uint32_t traits;  /* REOP_ENGINE_... and FIXTURE_... */
};

/* Pipes are served, and a read of an empty one stays in flight until it is cancelled. */
#define FIXTURE_STREAMS 0x10000u
/* Ops can wait in a queue of the backend, behind others, where a cancel finds them. */
#define FIXTURE_QUEUES 0x20000u

/* What runs on this system: a new backend joins every suite by its rows here. */
extern const struct fixture_backend fixture_table[];
extern const size_t fixture_table_count;
/* A simulated device: its files are not the system's, its time is not the clock's, and the scratch
 * files below are on it. */
#define FIXTURE_SIM 0x40000u

/* Copies the rows that have every trait in with and none in without; answers how many. */
#define FIXTURE_BACKENDS_MAX 32u
size_t fixture_backends(struct fixture_backend chosen[FIXTURE_BACKENDS_MAX], uint32_t with,
                        uint32_t without);

#define ON_EVERY_BACKEND  0u, 0u
#define ON_SHARED_ENGINES 0u, REOP_ENGINE_SINGLE_THREAD
#define ON_SINGLE_THREAD  REOP_ENGINE_SINGLE_THREAD, 0u
#define ON_DEFERRED       REOP_ENGINE_DEFER, 0u
#define ON_PROMPT         0u, REOP_ENGINE_DEFER
#define ON_INLINE         REOP_ENGINE_INLINE, 0u
#define ON_PENDING        0u, REOP_ENGINE_INLINE
#define ON_STREAMS        FIXTURE_STREAMS, 0u
#define ON_SHARED_STREAMS FIXTURE_STREAMS, REOP_ENGINE_SINGLE_THREAD
#define ON_QUEUES         FIXTURE_QUEUES, 0u
#define ON_NO_STREAMS     0u, FIXTURE_STREAMS
#define ON_HOST_FILES     0u, FIXTURE_SIM
#define ON_HOST_BLOCKING  0u, FIXTURE_STREAMS | FIXTURE_SIM

/* A test of one parameter, const struct fixture_backend *backend. */
#define BACKEND_TEST(suite, name, rows)                                                            \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        static struct fixture_backend chosen[FIXTURE_BACKENDS_MAX];                                \
        size_t count = fixture_backends(chosen, rows);                                             \
                                                                                                   \
        return cr_make_param_array(struct fixture_backend, chosen, count);                         \
    }                                                                                              \
    ParameterizedTest(struct fixture_backend *backend, suite, name, .timeout = 120)

/* --- an engine, a pool, files ----------------------------------------------------------------- */

#define FIXTURE_OPS       64u
#define FIXTURE_BUFFER    8192u
#define FIXTURE_PATHS     4u
#define FIXTURE_PATH_SIZE 512u

/* What every open of a scratch file asks for, as the tests look at it from outside meanwhile: on
 * Windows a file is shared on request only. */
#define FIXTURE_SHARED (REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE | REOP_FILE_SHARE_DELETE)

struct fixture {
    const struct fixture_backend *backend;
    reop_pool *pool;
    reop_lane *lane; /* the shared one */
    reop_engine *engine;
    char paths[FIXTURE_PATHS][FIXTURE_PATH_SIZE]; /* removed at the end */
};

/* FIXTURE_OPS ops with FIXTURE_BUFFER bytes each. Skips the test where the backend does not work.
 */
void fixture_open(struct fixture *fixture, const struct fixture_backend *backend);
/* engine: what differs from a zeroed config; backend, flags and pool are filled in. */
void fixture_open_with(struct fixture *fixture, const struct fixture_backend *backend,
                       reop_pool_config pool, reop_engine_config engine);
/* Asserts that everything has come back, and that both destroys answer 0. */
void fixture_close(struct fixture *fixture);

/* Set where an engine of this kind has just been created and destroyed: the kernel gives lockable
 * memory back when it pleases, and the next is to wait for that instead of skipping the test. */
extern bool fixture_worked_before;

/* Another engine for the same backend; skips like fixture_open(). */
reop_engine *fixture_engine(const struct fixture_backend *backend, reop_pool *pool,
                            reop_engine_config config);

reop_op *fixture_acquire(struct fixture *fixture);
/* The next op that comes back, within a generous time. */
reop_op *fixture_reap(struct fixture *fixture);
/* Ends a submit that was accepted: op is held again. Answers its result. */
int64_t fixture_finish(struct fixture *fixture, reop_op *op, reop_status status);
/* The submit was refused with this error, and no use was consumed. */
void fixture_expect_rejected(reop_op *op, reop_status status, uint64_t use_before, int error);

/* The system has no vectored I/O on plain files, as reop.h allows. */
bool fixture_no_pieces(const reop_op *op, reop_status status);

/* Scratch file number index: where it is, and how to look at it without reop. */
const char *fixture_path(struct fixture *fixture, uint32_t index);
void fixture_fill(const char *path, size_t size);                    /* with fixture_byte() */
size_t fixture_load(const char *path, void *data, size_t size);      /* bytes found, to size */
bool fixture_holds(const char *path, const void *data, size_t size); /* exactly these bytes */
reop_file *fixture_file(struct fixture *fixture, uint32_t flags,
                        size_t size); /* number 0, filled */
void fixture_close_file(reop_file *file);

uint8_t fixture_byte(uint64_t position);
bool fixture_matches(const void *data, size_t size, uint64_t position);

/* --- time, chance, volume --------------------------------------------------------------------- */

#define FIXTURE_PATIENCE_NS INT64_C(30000000000) /* longer than anything takes unless it hangs */
#define FIXTURE_MS          INT64_C(1000000)

int64_t fixture_now_ns(void);
void fixture_sleep_ms(int64_t ms);

/* REOP_TEST_SEED, or a new one. Print it: the variable then repeats the run. */
uint64_t fixture_seed(void);
uint64_t fixture_random(uint64_t *state);

/* clock() is the time of this process, as C says, and not the time of day, as Windows does. */
extern const bool fixture_clock_is_honest;

bool fixture_sanitized(void); /* this build */
bool fixture_thread_sanitized(void);
/* full, or less: a twentieth under a sanitizer, and REOP_TEST_SCALE percent of that. */
uint32_t fixture_volume(uint32_t full);

/* --- what depends on the system --------------------------------------------------------------- */

FILE *fixture_stream(const char *path_utf8, const char *mode);
void fixture_remove(const char *path_utf8);
const char *fixture_folder(void); /* for scratch files */

/* A pipe whose reading end belongs to an engine. */
struct fixture_pipe {
    reop_file *reader;
    reop_handle reader_handle;
    reop_handle writer_handle;
};
void fixture_pipe_open(struct fixture *fixture, struct fixture_pipe *pipe);
void fixture_pipe_write(struct fixture_pipe *pipe, const void *data, size_t size);
void fixture_pipe_drain(struct fixture_pipe *pipe, size_t size); /* past the engine */
void fixture_pipe_close_writer(struct fixture_pipe *pipe);
bool fixture_pipe_is_broken(struct fixture_pipe *pipe); /* nobody has the reading end any more */
void fixture_pipe_close(struct fixture_pipe *pipe);

/* A read that fills a worker until it is pulled out. The result is then FIXTURE_PLUG_SIZE. */
struct fixture_plug {
    reop_file *file;
    void *page;
    int fault_fd;
};
#define FIXTURE_PLUG_SIZE 4096
void fixture_plug_open(struct fixture *fixture, struct fixture_plug *plug); /* may skip the test */
reop_status fixture_plug_insert(struct fixture_plug *plug, reop_op *op);
void fixture_plug_pull(struct fixture_plug *plug);
void fixture_plug_close(struct fixture_plug *plug);

/* Runs run(argument) one instruction at a time and calls between(argument) before each of them:
 * what others do there falls between any two. Skips the test where the processor cannot. */
void fixture_step(void (*run)(void *argument), void (*between)(void *argument), void *argument);

/* A file from which a read of many bytes keeps a worker busy. NULL: none here. */
const char *fixture_slow_path(void);
/* Takes any write, of 4 GiB too, without storing it. NULL: none here. */
const char *fixture_null_path(void);
/* One that this system does not have. */
enum reop_backend fixture_foreign_backend(void);
/* The system's code for the errno that result names. */
uint32_t fixture_os_error(int64_t result);

#endif
