/* SPDX-License-Identifier: MIT */
#include "copy.h"
#include "report.h"
#include "setup.h"

#include <errno.h>
#include <string.h>

#define GIVE_UP_NS INT64_C(10000000000)

/* While a stream has nothing for us, what is in flight is reaped this often at least. */
#define STREAM_POLL_NS INT64_C(1000000)

static struct block *block_of(reop_op *op)
{
    return reop_op_context(op);
}

/* --- set-up --- */

bool copy_create(struct copy *copy, const struct options *options, struct input *input)
{
    struct setup setup = {.backend = options->backend,
                          .flags = REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER,
                          .depth = options->depth,
                          .op_count = options->depth + (options->verify ? 1 : 0),
                          .context_size = sizeof(struct block),
                          .block_size = options->block_size,
                          .fault_share = options->fault_share,
                          .seed = options->seed};

    memset(copy, 0, sizeof *copy);
    copy->options = options;
    copy->input = input;
    XXH3_64bits_reset(&copy->checksum);
    if (!setup_create(&setup, &copy->pool, &copy->engine))
        return false;
    copy->lane = reop_pool_shared_lane(copy->pool);
    if (options->verify)
        copy->scratch = reop_acquire(copy->lane);
    return true;
}

static void explain_open(const struct copy *copy, int error)
{
    const struct options *options = copy->options;

    if (error == -ENOTSUP && options->direct)
        report_problem(options->output,
                       "opening it with --direct: %s. This file system or device cannot bypass the "
                       "cache; leave out --direct.",
                       platform_words(error, 0));
    else
        report_problem(options->output, "opening it for writing: %s.%s", platform_words(error, 0),
                       report_advice(error));
}

/* Everything that can refuse comes before the old content is given up. */
static bool open_as_asked(struct copy *copy, bool missing)
{
    const struct options *options = copy->options;
    uint32_t flags = REOP_FILE_WRITE | REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE;
    int error;

    flags |= missing ? REOP_FILE_CREATE : 0;
    flags |= options->durable ? REOP_FILE_DURABLE : 0;
    error = reop_file_open(copy->engine, options->output,
                           flags | (options->direct ? REOP_FILE_DIRECT : 0), &copy->file);
    if (error == 0)
        error = reop_file_query(copy->file, &copy->info);
    if (error == 0 && options->direct)
        error =
            reop_file_open(copy->engine, options->output, flags & ~REOP_FILE_CREATE, &copy->tail);
    if (error < 0) {
        explain_open(copy, error);
        return false;
    }
    if (!setup_block_fits(options->output, &copy->info, options->block_size))
        return false;
    if (copy->regular)
        error = platform_set_size(copy->info.handle, 0);
    if (error == 0 && missing && options->durable)
        error = platform_sync_folder_of(options->output);
    if (error < 0)
        report_problem(options->output, "making it an empty file: %s.%s", platform_words(error, 0),
                       report_advice(error));
    return error == 0;
}

bool copy_open(struct copy *copy, const struct platform_place *output)
{
    bool missing = output->kind == PLATFORM_MISSING;
    struct platform_place place;

    copy->regular = missing || output->kind == PLATFORM_REGULAR;
    if (open_as_asked(copy, missing))
        return true;
    /* A refused --direct has created the file already. Ours, and empty: it goes. */
    if (missing && platform_look(copy->options->output, &place) == 0 &&
        place.kind == PLATFORM_REGULAR && place.size == 0)
        platform_remove(copy->options->output);
    return false;
}

/* --- writing --- */

static void note_failure(struct copy *copy, reop_op *op, int64_t result, uint32_t os_error)
{
    struct block *block = block_of(op);
    uint64_t offset = block->offset + block->done;

    if (!copy->failed || offset < copy->failed_offset) {
        copy->failed = true;
        copy->failed_offset = offset;
        copy->failed_size = block->size - block->done;
        copy->failed_result = result;
        copy->failed_os_error = os_error;
    }
    copy->ended = true;
    reop_release(copy->lane, op);
}

/* How much of size a direct file takes at this offset, from this memory. */
static uint32_t direct_size(const struct copy *copy, const unsigned char *data, uint32_t size,
                            uint64_t offset)
{
    if (offset % copy->info.offset_align != 0 || (uintptr_t) data % copy->info.memory_align != 0)
        return 0;
    return size - size % copy->info.offset_align;
}

/* Writes what is missing of the block. Bytes that a direct file cannot take go through the cache,
 * once nothing is in flight: a page of the cache and a direct write under it do not mix. */
static void launch(struct copy *copy, reop_op *op)
{
    struct block *block = block_of(op);
    unsigned char *data = (unsigned char *) reop_op_buffer(op) + block->done;
    uint32_t size = block->size - block->done;
    uint64_t offset = block->offset + block->done;
    reop_file *file = copy->file;

    if (copy->tail != NULL) {
        uint32_t aligned_size = direct_size(copy, data, size, offset);

        if (aligned_size == 0 && copy->in_flight > 0) {
            op->user = copy->waiting;
            copy->waiting = op;
            return;
        }
        file = aligned_size == 0 ? copy->tail : copy->file;
        size = aligned_size == 0 ? size : aligned_size;
    }
    if (reop_write(op, file, data, size, offset) == REOP_REJECTED)
        note_failure(copy, op, op->result, op->os_error);
    else
        copy->in_flight++;
}

static void launch_waiting(struct copy *copy)
{
    while (copy->waiting != NULL && copy->in_flight == 0) {
        reop_op *op = copy->waiting;

        copy->waiting = op->user;
        launch(copy, op);
    }
}

static void submit_filling(struct copy *copy)
{
    reop_op *op = copy->filling;
    struct block *block = block_of(op);

    copy->filling = NULL;
    if (block->size == 0 || copy->failed) { /* after a failure the prefix does not grow any more */
        reop_release(copy->lane, op);
        return;
    }
    XXH3_64bits_update(&copy->checksum, reop_op_buffer(op), block->size);
    copy->read_bytes += block->size;
    block->submit_ns = platform_now_ns();
    launch(copy, op);
}

enum fed { FED_BLOCK, FED_LATE, FED_FULL };

/* Fills one block and submits it. LATE: the input has nothing yet. FULL: no op is free, or nothing
 * more is to be read. */
static enum fed feed(struct copy *copy)
{
    struct block *block;

    if (copy->filling == NULL) {
        if (copy->ended || copy->waiting != NULL)
            return FED_FULL;
        copy->filling = reop_acquire(copy->lane);
        if (copy->filling == NULL)
            return FED_FULL;
        memset(block_of(copy->filling), 0, sizeof(struct block));
        block_of(copy->filling)->offset = copy->read_bytes;
    }
    block = block_of(copy->filling);
    while (block->size < copy->options->block_size && !copy->ended) {
        unsigned char *data = reop_op_buffer(copy->filling);
        int64_t count;

        /* To stop is to end the input here: what was read is written. */
        if (platform_stop_signal() != 0) {
            copy->ended = true;
            break;
        }
        count = input_read(copy->input, data + block->size, copy->options->block_size - block->size,
                           copy->in_flight > 0 ? 0 : COPY_PATIENCE_NS);
        if (count == -EAGAIN)
            return FED_LATE;
        if (count > 0)
            block->size += (uint32_t) count;
        else
            copy->ended = true;
        if (count < 0)
            copy->input_error = count;
    }
    submit_filling(copy);
    return FED_BLOCK;
}

static void landed(struct copy *copy, reop_op *op, int64_t now_ns)
{
    struct block *block = block_of(op);

    copy->in_flight--;
    copy->ops++;
    if (op->result <= 0) { /* a write that moves nothing would go on for ever */
        note_failure(copy, op, op->result < 0 ? op->result : -EIO, op->os_error);
        return;
    }
    block->done += (uint32_t) op->result;
    if (block->done < block->size) {
        launch(copy, op);
        return;
    }
    histogram_record(&copy->latency, now_ns - block->submit_ns);
    copy->bytes += block->size;
    reop_release(copy->lane, op);
}

int copy_reap(struct copy *copy, reop_op *ops[COPY_REAP_MAX], int64_t timeout_ns)
{
    int64_t give_up_ns = platform_now_ns() + GIVE_UP_NS;
    int count;

    do
        count = reop_reap(copy->engine, ops, COPY_REAP_MAX, timeout_ns);
    while (count < 0 && platform_now_ns() < give_up_ns);
    if (count < 0) {
        report_problem(reop_engine_backend(copy->engine),
                       "handing over what was submitted: %s. Try another --backend.",
                       platform_words(count, 0));
        copy->stuck = true;
    }
    return count < 0 ? 0 : count;
}

static void reap(struct copy *copy, enum fed fed)
{
    int64_t timeout_ns =
        fed == FED_BLOCK ? 0 : (fed == FED_LATE ? STREAM_POLL_NS : COPY_PATIENCE_NS);
    reop_op *ops[COPY_REAP_MAX];
    int count = copy_reap(copy, ops, timeout_ns);
    int64_t now_ns = platform_now_ns();

    for (int i = 0; i < count; i++)
        landed(copy, ops[i], now_ns);
    report_progress(copy->bytes, now_ns);
}

/* A reap with time-out 0 after each block hands the block over and picks up what is done, so that a
 * block's latency holds no more than one read of the input that is not its own. */
void copy_write(struct copy *copy)
{
    int64_t start_ns = platform_now_ns();

    while (!copy->stuck) {
        enum fed fed = feed(copy);

        launch_waiting(copy);
        if (copy->in_flight > 0)
            reap(copy, fed);
        else if (fed == FED_FULL && copy->waiting == NULL)
            break;
    }
    copy->elapsed_ns = platform_now_ns() - start_ns;
    input_close(copy->input);
}

uint64_t copy_prefix(const struct copy *copy)
{
    return copy->failed ? copy->failed_offset : copy->bytes;
}

/* --- the end --- */

bool copy_close(struct copy *copy)
{
    int error = 0, tail_error = 0;

    if (copy->file != NULL)
        error = reop_file_close(copy->file);
    if (copy->tail != NULL)
        tail_error = reop_file_close(copy->tail);
    copy->file = NULL;
    copy->tail = NULL;
    if (error == 0)
        error = tail_error;
    if (error < 0)
        report_problem(copy->options->output, "closing it: %s.%s", platform_words(error, 0),
                       report_advice(error));
    return error == 0;
}

void copy_destroy(struct copy *copy)
{
    if (copy->stuck) /* the system still has ops; the process ends, and they with it */
        return;
    copy_close(copy);
    if (copy->scratch != NULL)
        reop_release(copy->lane, copy->scratch);
    if (copy->engine != NULL)
        reop_engine_destroy(copy->engine);
    if (copy->pool != NULL)
        reop_pool_destroy(copy->pool);
}
