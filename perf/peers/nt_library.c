/* SPDX-License-Identifier: MIT
 *
 * In place of the library's own file_win32.c and backend.c: nt_instant.c has no files to ask about.
 */
#include "engine.h"

int file_open_handle(const char *path_utf8, uint32_t flags, reop_handle *handle_out)
{
    (void) path_utf8;
    (void) flags;
    *handle_out = 1;
    return 0;
}

int file_inspect(reop_file *of, uint32_t flags)
{
    (void) flags;
    of->flags = REOP_FILE_READ | REOP_FILE_WRITE;
    return 0;
}

int file_close_handle(reop_handle handle)
{
    (void) handle;
    return 0;
}

int file_size(const reop_file *of, uint64_t *size_out)
{
    (void) of;
    *size_out = 0;
    return 0;
}

int file_zero_fill(reop_file *of, uint64_t from, uint64_t to)
{
    (void) of;
    (void) from;
    (void) to;
    return 0;
}

uint32_t file_physical_sector(const reop_file *of)
{
    (void) of;
    return 0;
}

extern const struct backend iocp_backend;
const struct backend *const backends[] = {&iocp_backend, NULL};
