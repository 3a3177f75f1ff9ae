/* SPDX-License-Identifier: MIT
 *
 * The inputs as one stream of bytes, one after the other, by plain reads.
 */
#ifndef REOP_INPUT_H
#define REOP_INPUT_H

#include "options.h"
#include "platform.h"

struct input {
    const struct options *options;
    bool rereadable; /* all are files or block devices, named: a second pass sees the same bytes */
    uint64_t size;   /* of all of them; 0 when it cannot be known */

    int index; /* of the input being read */
    bool open, stream;
    reop_handle handle;
};

/* Looks at every input before anything is written: it is there, it can be read, and it is not the
 * place of OUTPUT. False, and explained. */
bool input_check(struct input *input, const struct options *options,
                 const struct platform_place *output);

/* Bytes read, at least one; 0: the end of the last input; -EAGAIN: late, as platform_read();
 * another -errno: the input called input_name() failed. */
int64_t input_read(struct input *input, void *data, uint32_t size, int64_t timeout_ns);
const char *input_name(const struct input *input);

/* Back to the first byte of the first input. Only when rereadable. */
void input_rewind(struct input *input);
void input_close(struct input *input);

#endif
