/* SPDX-License-Identifier: MIT
 *
 * Ops of every sort between two marks on standard error, for a trace of the process's heap to be
 * read beside them: nothing may be allocated there, by ntdll itself neither. After the second mark
 * one block is, so that the trace is seen to show it.
 */
#include <reop/reop.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define OPS     16u
#define WARM_UP 64u

struct scene {
    reop_engine *engine;
    reop_lane *lane;
    reop_file *file, *pipe;
    HANDLE writer;
    unsigned long long succeeded, failed, cancelled;
};

/* With the number of this process: others may trace into the same file. */
static void mark(const char *text)
{
    char line[64];
    DWORD written;

    snprintf(line, sizeof line, "mark: %04lx %s\n", (unsigned long) GetCurrentProcessId(), text);
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), line, (DWORD) strlen(line), &written, NULL);
}

static void must(int error, const char *what)
{
    if (error >= 0)
        return;
    fprintf(stderr, "%s: %d\n", what, error);
    exit(1);
}

static void come_back(struct scene *scene, reop_op *op)
{
    scene->succeeded += op->result >= 0;
    scene->cancelled += op->result == -ECANCELED;
    scene->failed += op->result < 0 && op->result != -ECANCELED;
    reop_release(scene->lane, op);
}

static reop_status submit(struct scene *scene, reop_op *op, unsigned sort)
{
    uint64_t use = reop_op_use(op);
    void *buffer = reop_op_buffer(op);
    reop_status status;
    DWORD written;

    switch (sort % 8) {
    case 0:
        return reop_write(op, scene->file, buffer, 4096, sort % 64 * 4096);
    case 1:
        return reop_read(op, scene->file, buffer, 4096, sort % 64 * 4096);
    case 2:
        return reop_read(op, scene->file, buffer, 4096, UINT64_C(1) << 40); /* end of file */
    case 3:
        return reop_sync(op, scene->file, 0);
    case 4:
        WriteFile(scene->writer, "x", 1, &written, NULL);
        return reop_read(op, scene->pipe, buffer, 1, 0); /* answered at once */
    case 5:
        status = reop_read(op, scene->pipe, buffer, 1, 0); /* hangs */
        reop_cancel(op, use);
        return status;
    case 6:
        return reop_write(op, scene->pipe, buffer, 1, 0); /* fails: it is the reading end */
    default:
        return reop_post(op, scene->engine, 0);
    }
}

static void run(struct scene *scene, unsigned count)
{
    reop_op *ops[OPS];
    unsigned in_flight = 0;

    for (unsigned i = 0; i < count || in_flight > 0;) {
        reop_op *op = i < count ? reop_acquire(scene->lane) : NULL;
        int reaped;

        if (op != NULL) {
            if (submit(scene, op, i++) == REOP_PENDING)
                in_flight++;
            else
                come_back(scene, op);
            if (i % 4 != 0)
                continue;
        }
        reaped = reop_reap(scene->engine, ops, OPS, i % 50 == 0 ? 1000000 : REOP_FOREVER);
        for (int j = 0; j < reaped; j++)
            come_back(scene, ops[j]);
        in_flight -= reaped > 0 ? (unsigned) reaped : 0;
    }
}

static void open_pipe(struct scene *scene)
{
    static const char name[] = "\\\\.\\pipe\\reop-heap";
    HANDLE reader = CreateNamedPipeA(name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED,
                                     PIPE_TYPE_BYTE, 1, 4096, 4096, 0, NULL);

    scene->writer = CreateFileA(name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    must(reop_file_attach(scene->engine, (reop_handle) reader, 0, &scene->pipe), "attach");
}

int main(int argc, char *argv[])
{
    reop_pool_config pool_config = {.op_count = OPS, .buffer_size = 4096};
    reop_engine_config config = {0};
    struct scene scene = {0};
    reop_pool *pool;
    void *volatile block;

    if (argc != 3) {
        fprintf(stderr, "usage: %s PATH OPS\n", argv[0]);
        return 2;
    }
    must(reop_pool_create(&pool_config, &pool), "pool");
    config.pool = pool;
    must(reop_engine_create(&config, &scene.engine), "engine");
    scene.lane = reop_pool_shared_lane(pool);
    must(reop_file_open(scene.engine, argv[1],
                        REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_TRUNCATE,
                        &scene.file),
         argv[1]);
    open_pipe(&scene);
    run(&scene, WARM_UP);

    mark("steady");
    run(&scene, (unsigned) atoi(argv[2]));
    mark("control");
    block = malloc(12345);
    mark("end");
    free(block);

    printf("%s: %llu succeeded, %llu failed, %llu cancelled\n", reop_engine_backend(scene.engine),
           scene.succeeded, scene.failed, scene.cancelled);
    must(reop_file_close(scene.file), "close");
    must(reop_file_close(scene.pipe), "close");
    must(reop_engine_destroy(scene.engine), "engine");
    must(reop_pool_destroy(pool), "pool");
    CloseHandle(scene.writer);
    return scene.succeeded > 0 && scene.failed > 0 && scene.cancelled > 0 ? 0 : 1;
}
