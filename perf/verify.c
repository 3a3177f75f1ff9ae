/* SPDX-License-Identifier: MIT
 *
 * Blocks come back in any order and are judged in the order of the file: a queue of ops, linked by
 * op->user, whose head is the lowest block not yet judged.
 */
#include "verify.h"

#include <errno.h>
#include <string.h>

struct verify {
    struct copy *copy;
    reop_op *oldest, *newest;
    uint64_t submitted_bytes;
    uint64_t judged_bytes;
    XXH3_state_t checksum;
    enum report_answer answer;
    bool over; /* nothing more is submitted or judged, what is in flight is awaited */
};

static struct block *block_of(reop_op *op)
{
    return reop_op_context(op);
}

static void conclude(struct verify *verify, enum report_answer answer)
{
    verify->answer = answer;
    verify->over = true;
}

/* A direct read is a multiple of the alignment, and stops at the end of the file by itself. */
static void launch(struct verify *verify, reop_op *op)
{
    struct copy *copy = verify->copy;
    struct block *block = block_of(op);
    uint32_t align = copy->info.offset_align;
    uint32_t size = block->size - block->done;

    size = (size + align - 1) / align * align;
    if (reop_read(op, copy->file, (unsigned char *) reop_op_buffer(op) + block->done, size,
                  block->offset + block->done) == REOP_REJECTED)
        block->back = true;
    else
        copy->in_flight++;
}

static void submit_next(struct verify *verify, reop_op *op)
{
    struct copy *copy = verify->copy;
    struct block *block = block_of(op);
    uint64_t left = copy->bytes - verify->submitted_bytes;

    memset(block, 0, sizeof *block);
    block->offset = verify->submitted_bytes;
    block->size = left < copy->options->block_size ? (uint32_t) left : copy->options->block_size;
    verify->submitted_bytes += block->size;
    op->user = NULL;
    if (verify->oldest == NULL)
        verify->oldest = op;
    else
        verify->newest->user = op;
    verify->newest = op;
    launch(verify, op);
}

static void landed(struct verify *verify, reop_op *op)
{
    struct block *block = block_of(op);
    uint32_t want = block->size - block->done;

    verify->copy->in_flight--;
    if (op->result > 0)
        block->done += op->result < want ? (uint32_t) op->result : want;
    /* A direct read that ends inside a sector has met the end of the file. */
    if (op->result <= 0 || block->done == block->size ||
        block->done % verify->copy->info.offset_align != 0)
        block->back = true;
    else
        launch(verify, op);
}

/* The same bytes of the inputs, into the scratch buffer. False, and explained: there are fewer. */
static bool read_inputs(struct verify *verify, uint32_t size)
{
    struct input *input = verify->copy->input;
    unsigned char *data = reop_op_buffer(verify->copy->scratch);

    for (uint32_t done = 0; done < size;) {
        int64_t count = input_read(input, data + done, size - done, COPY_PATIENCE_NS);

        if (count == -EAGAIN)
            continue; /* a file that is read again is never late for long */
        if (count > 0) {
            done += (uint32_t) count;
            continue;
        }
        if (count < 0)
            report_problem(input_name(input), "reading it again to verify: %s.%s",
                           platform_words(count, 0), report_advice(count));
        else
            report_problem(verify->copy->options->output,
                           "cannot be verified: the inputs have become shorter than the %llu bytes "
                           "that were written. Write again from inputs that stay as they are.",
                           (unsigned long long) verify->copy->bytes);
        conclude(verify, REPORT_UNKNOWN);
        return false;
    }
    return true;
}

static bool bytes_equal(struct verify *verify, const struct block *block, const unsigned char *data)
{
    const unsigned char *expected = reop_op_buffer(verify->copy->scratch);
    uint32_t at = 0;

    if (!verify->copy->input->rereadable) {
        XXH3_64bits_update(&verify->checksum, data, block->size);
        return true;
    }
    if (!read_inputs(verify, block->size))
        return false;
    if (memcmp(data, expected, block->size) == 0)
        return true;
    while (data[at] == expected[at])
        at++;
    report_problem(verify->copy->options->output,
                   "the byte at offset %llu is 0x%02x, and the inputs have 0x%02x there. Write it "
                   "again; if the inputs did not change meanwhile, suspect the device.",
                   (unsigned long long) (block->offset + at), data[at], expected[at]);
    conclude(verify, REPORT_NO);
    return false;
}

static void judge(struct verify *verify, reop_op *op)
{
    struct block *block = block_of(op);
    const char *output = verify->copy->options->output;
    unsigned long long end = block->offset + block->done;

    if (block->done == block->size) {
        if (bytes_equal(verify, block, reop_op_buffer(op)))
            verify->judged_bytes += block->size;
        return;
    }
    if (op->result < 0) {
        report_problem(output, "reading it back at offset %llu: %s.%s", end,
                       platform_words(op->result, op->os_error), report_advice(op->result));
        conclude(verify, REPORT_UNKNOWN);
        return;
    }
    report_problem(output,
                   "differs from the input at offset %llu: it ends there. Somebody else "
                   "has cut it short; write it again.",
                   end);
    conclude(verify, REPORT_NO);
}

static void judge_oldest(struct verify *verify)
{
    while (verify->oldest != NULL && block_of(verify->oldest)->back) {
        reop_op *op = verify->oldest;

        verify->oldest = op->user;
        if (!verify->over)
            judge(verify, op);
        reop_release(verify->copy->lane, op);
    }
}

static bool reopen(struct copy *copy)
{
    const struct options *options = copy->options;
    uint32_t flags = REOP_FILE_READ | REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE;
    int error = reop_file_open(copy->engine, options->output,
                               flags | (options->direct ? REOP_FILE_DIRECT : 0), &copy->file);

    if (error == 0)
        error = reop_file_query(copy->file, &copy->info);
    if (error < 0)
        report_problem(options->output, "opening it again to verify: %s.%s",
                       platform_words(error, 0), report_advice(error));
    return error == 0;
}

static void read_back(struct verify *verify)
{
    struct copy *copy = verify->copy;
    reop_op *ops[COPY_REAP_MAX], *op;

    for (;;) {
        int count = 0;

        if (platform_stop_signal() != 0 && !verify->over)
            conclude(verify, REPORT_UNKNOWN);
        while (!verify->over && verify->submitted_bytes < copy->bytes &&
               (op = reop_acquire(copy->lane)) != NULL)
            submit_next(verify, op);
        if (copy->in_flight > 0)
            count = copy_reap(copy, ops, COPY_PATIENCE_NS);
        for (int i = 0; i < count; i++)
            landed(verify, ops[i]);
        if (copy->stuck) {
            conclude(verify, REPORT_UNKNOWN);
            return;
        }
        judge_oldest(verify);
        report_progress(verify->judged_bytes, platform_now_ns());
        if (verify->oldest == NULL && (verify->over || verify->submitted_bytes == copy->bytes))
            return;
    }
}

enum report_answer verify_output(struct copy *copy)
{
    static struct verify verify;
    const char *output = copy->options->output;

    verify.copy = copy;
    verify.answer = REPORT_YES;
    XXH3_64bits_reset(&verify.checksum);
    if (copy->input->rereadable)
        input_rewind(copy->input);
    if (!reopen(copy))
        return REPORT_UNKNOWN;
    if (copy->regular && copy->info.size > copy->bytes) {
        report_problem(output,
                       "differs from the input at offset %llu: it goes on, to %llu bytes. "
                       "Somebody else has written to it; write it again.",
                       (unsigned long long) copy->bytes, (unsigned long long) copy->info.size);
        conclude(&verify, REPORT_NO);
    }
    read_back(&verify);
    input_close(copy->input);
    if (verify.answer == REPORT_YES && !copy->input->rereadable &&
        XXH3_64bits_digest(&verify.checksum) != XXH3_64bits_digest(&copy->checksum)) {
        report_problem(output,
                       "differs from the input between offset 0 and %llu: its checksum is "
                       "%016llx, that of the input %016llx. Write it again.",
                       (unsigned long long) copy->bytes,
                       (unsigned long long) XXH3_64bits_digest(&verify.checksum),
                       (unsigned long long) XXH3_64bits_digest(&copy->checksum));
        conclude(&verify, REPORT_NO);
    }
    return verify.answer;
}
