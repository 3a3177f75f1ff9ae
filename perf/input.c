/* SPDX-License-Identifier: MIT */
#include "input.h"
#include "report.h"

#include <errno.h>
#include <string.h>

/* No INPUT at all reads as the one input "-". */
static int input_count(const struct input *input)
{
    return input->options->input_count == 0 ? 1 : input->options->input_count;
}

static const char *path_at(const struct input *input, int index)
{
    return input->options->input_count == 0 ? "-" : input->options->inputs[index];
}

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *name_of(const char *path)
{
    return is_stdin(path) ? "standard input" : path;
}

const char *input_name(const struct input *input)
{
    return name_of(path_at(input, input->index));
}

/* Opening a FIFO would wait for its writer, and closing it again would end that writer. */
static int try_open(const char *path, const struct platform_place *place)
{
    reop_handle handle;
    int error;

    if (is_stdin(path) || place->kind == PLATFORM_FIFO)
        return 0;
    error = platform_open_input(path, &handle);
    if (error == 0)
        platform_close_input(handle);
    return error;
}

static bool check_one(const char *path, struct platform_place *place,
                      const struct platform_place *output)
{
    int error = is_stdin(path) ? platform_look_stdin(place) : platform_look(path, place);
    bool keeps_bytes = place->kind == PLATFORM_REGULAR || place->kind == PLATFORM_BLOCK_DEVICE;

    if (error == 0 && place->kind == PLATFORM_FOLDER)
        error = -EISDIR;
    if (error == 0)
        error = try_open(path, place);
    if (error < 0) {
        report_problem(name_of(path), "cannot be read: %s.%s", platform_words(error, 0),
                       report_advice(error));
        return false;
    }
    if (keeps_bytes && place->kind == output->kind && place->volume == output->volume &&
        place->index == output->index) {
        report_problem(name_of(path), "is OUTPUT too, and writing would destroy it. It has not "
                                      "been touched; choose another OUTPUT.");
        return false;
    }
    return true;
}

bool input_check(struct input *input, const struct options *options,
                 const struct platform_place *output)
{
    bool sizes_known = true;

    memset(input, 0, sizeof *input);
    input->options = options;
    input->rereadable = true;
    for (int i = 0; i < input_count(input); i++) {
        const char *path = path_at(input, i);
        struct platform_place place;

        if (!check_one(path, &place, output))
            return false;
        if (is_stdin(path) ||
            (place.kind != PLATFORM_REGULAR && place.kind != PLATFORM_BLOCK_DEVICE))
            input->rereadable = false;
        if (place.kind != PLATFORM_REGULAR)
            sizes_known = false;
        input->size += place.size;
    }
    if (!sizes_known)
        input->size = 0;
    return true;
}

static int open_next(struct input *input)
{
    const char *path = path_at(input, input->index);
    struct platform_place place;
    int error;

    error = is_stdin(path) ? platform_look_stdin(&place) : platform_look(path, &place);
    if (error < 0)
        return error;
    if (is_stdin(path))
        input->handle = platform_stdin();
    else
        error = platform_open_input(path, &input->handle);
    if (error < 0)
        return error;
    input->stream = place.kind != PLATFORM_REGULAR && place.kind != PLATFORM_BLOCK_DEVICE;
    input->open = true;
    return 0;
}

void input_close(struct input *input)
{
    if (input->open && !is_stdin(path_at(input, input->index)))
        platform_close_input(input->handle);
    input->open = false;
}

int64_t input_read(struct input *input, void *data, uint32_t size, int64_t timeout_ns)
{
    while (input->index < input_count(input)) {
        int64_t count;

        if (!input->open) {
            int error = open_next(input);

            if (error < 0) /* interrupted while a FIFO waits for its writer is only late */
                return error == -EINTR ? -EAGAIN : error;
        }
        count = platform_read(input->handle, input->stream, data, size, timeout_ns);
        if (count != 0)
            return count;
        input_close(input);
        input->index++;
    }
    return 0;
}

void input_rewind(struct input *input)
{
    input_close(input);
    input->index = 0;
}
