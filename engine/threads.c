/* SPDX-License-Identifier: MIT
 *
 * The backend that works wherever there are threads: workers take ops from a queue, make the
 * blocking call, and put them on a list of those done. For containers that forbid io_uring, and for
 * other POSIX systems. Streams are refused: a read of an idle pipe would hold a worker, and could
 * not be cancelled.
 */
#include "engine.h"
#include "error.h"
#include "offload.h"

#include <sys/uio.h>
#include <unistd.h>

struct threads {
    struct offload workers;
    struct sync_mutex lock; /* guards all below */
    struct sync_cond arrived;
    struct queue done;
    uint32_t waiting; /* reapers asleep */
    bool interrupted; /* sticky: one reaper is to come back without an op */
    struct sync_thread threads[];
};

static_assert(sizeof(struct iovec) == sizeof(struct reop_piece) &&
                  offsetof(struct iovec, iov_base) == offsetof(struct reop_piece, data) &&
                  offsetof(struct iovec, iov_len) == offsetof(struct reop_piece, size),
              "pieces are an iovec");

static void pass_on(struct threads *threads, struct slot *slot)
{
    bool wake;

    sync_lock(&threads->lock);
    queue_push(&threads->done, slot);
    wake = threads->waiting > 0;
    sync_unlock(&threads->lock);
    if (wake)
        sync_signal(&threads->arrived);
}

static ssize_t call(const reop_op *op)
{
    int fd = (int) op->file->handle;
    off_t offset = (off_t) op->offset;

    switch (op->kind) {
    case REOP_KIND_READ:
        return pread(fd, op->data, op->size, offset);
    case REOP_KIND_WRITE:
        return pwrite(fd, op->data, op->size, offset);
    case REOP_KIND_READV:
        return preadv(fd, op->data, (int) op->size, offset);
    case REOP_KIND_WRITEV:
        return pwritev(fd, op->data, (int) op->size, offset);
    case REOP_KIND_SYNC:
        return fsync(fd);
    default:
        return fdatasync(fd);
    }
}

static void run(void *context, struct slot *slot)
{
    reop_op *op = &slot->op;
    ssize_t outcome;

    do /* The workers block all signals, but a debugger's stop can still interrupt. */
        outcome = call(op);
    while (outcome < 0 && errno == EINTR);
    op->os_error = outcome < 0 ? (uint32_t) errno : 0;
    op->result = outcome < 0 ? -error_from_system(op->os_error) : outcome;
    pass_on(context, slot);
}

static size_t threads_state_size(const reop_engine_config *config)
{
    return sizeof(struct threads) + config->threads * sizeof(struct sync_thread);
}

static int threads_create(reop_engine *engine, const reop_engine_config *config)
{
    struct threads *threads = engine->state;
    int error;

    sync_mutex_init(&threads->lock);
    sync_cond_init(&threads->arrived);
    error = offload_start(&threads->workers, threads->threads, config->threads, run, threads);
    if (error < 0) {
        engine_say(engine, "threads: cannot start %u workers", (unsigned) config->threads);
        sync_cond_destroy(&threads->arrived);
        sync_mutex_destroy(&threads->lock);
    }
    return error;
}

static void threads_destroy(reop_engine *engine)
{
    struct threads *threads = engine->state;

    offload_stop(&threads->workers);
    sync_cond_destroy(&threads->arrived);
    sync_mutex_destroy(&threads->lock);
}

static void threads_register_pool(reop_engine *engine, uint32_t index)
{
    (void) engine; /* pread and pwrite take any memory */
    (void) index;
}

static int threads_attach(reop_engine *engine, reop_file *file)
{
    (void) engine;
    return file->stream ? -ENOTSUP : 0;
}

static int threads_detach(reop_engine *engine, reop_file *file, bool closing)
{
    (void) engine;
    (void) file;
    (void) closing;
    return 0;
}

static reop_status threads_submit(reop_engine *engine, reop_file *file, struct slot *slot)
{
    struct threads *threads = engine->state;

    (void) file;
    offload_push(&threads->workers, slot, !(engine->flags & REOP_ENGINE_DEFER));
    return REOP_PENDING;
}

static int threads_flush(reop_engine *engine)
{
    struct threads *threads = engine->state;

    offload_kick(&threads->workers);
    return 0;
}

static int threads_collect(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    struct threads *threads = engine->state;
    int64_t deadline_ns = timeout_ns > 0 ? sync_deadline_ns(timeout_ns) : SYNC_NEVER;
    struct slot *slot;
    int count = 0;

    if (engine->flags & REOP_ENGINE_DEFER)
        offload_kick(&threads->workers);
    sync_lock(&threads->lock);
    if (timeout_ns != 0 && threads->done.head == NULL && !threads->interrupted) {
        threads->waiting++;
        sync_wait(&threads->arrived, &threads->lock, deadline_ns);
        threads->waiting--;
    }
    while ((uint32_t) count < max && (slot = queue_pop(&threads->done)) != NULL)
        ops[count++] = &slot->op;
    if (count == 0)
        threads->interrupted = false;
    sync_unlock(&threads->lock);
    return count;
}

static void threads_interrupt(reop_engine *engine)
{
    struct threads *threads = engine->state;

    sync_lock(&threads->lock);
    threads->interrupted = true;
    sync_unlock(&threads->lock);
    sync_signal(&threads->arrived);
}

static void threads_cancel(reop_engine *engine, struct slot *slot)
{
    struct threads *threads = engine->state;

    if (!offload_remove(&threads->workers, slot))
        return; /* a worker has it, and will finish */
    slot->op.result = -ECANCELED;
    slot->op.os_error = ECANCELED;
    pass_on(threads, slot);
}

const struct backend threads_backend = {
    .name = "threads",
    .id = REOP_BACKEND_THREADS,
    .kinds = 1u << REOP_KIND_READ | 1u << REOP_KIND_WRITE | 1u << REOP_KIND_READV |
             1u << REOP_KIND_WRITEV | 1u << REOP_KIND_SYNC | 1u << REOP_KIND_SYNC_DATA,
    .depth_max = UINT32_MAX,
    .state_size = threads_state_size,
    .create = threads_create,
    .destroy = threads_destroy,
    .register_pool = threads_register_pool,
    .attach = threads_attach,
    .detach = threads_detach,
    .submit = threads_submit,
    .flush = threads_flush,
    .collect = threads_collect,
    .interrupt = threads_interrupt,
    .cancel = threads_cancel,
};
