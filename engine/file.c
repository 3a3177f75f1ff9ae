/* SPDX-License-Identifier: MIT
 *
 * The engine's table of files. A place in it is never freed before the engine is, so a stale
 * pointer reads valid memory; and a file closes only when nobody is inside a submit on it and
 * nothing of it is in flight.
 */
#include "engine.h"
#include "error.h"

#include <string.h>

#define OPEN_FLAGS                                                                                 \
    (REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE | REOP_FILE_EXCLUSIVE |                   \
     REOP_FILE_TRUNCATE | REOP_FILE_DIRECT | REOP_FILE_DURABLE | REOP_FILE_PACKETS |               \
     REOP_FILE_SHARE_READ | REOP_FILE_SHARE_WRITE | REOP_FILE_SHARE_DELETE)
#define ATTACH_FLAGS (REOP_FILE_DIRECT | REOP_FILE_DURABLE | REOP_FILE_PACKETS)

void file_table_init(reop_engine *engine)
{
    for (uint32_t i = engine->file_count; i-- > 0;) {
        engine->files[i].engine = engine;
        engine->files[i].next_free = engine->free_files;
        engine->free_files = &engine->files[i];
    }
}

/* --- whose files they are ---------------------------------------------------------------- */

static int open_handle(reop_engine *engine, const char *path_utf8, uint32_t flags,
                       reop_handle *handle_out)
{
    const struct backend_files *files = engine->backend->files;

    return files != NULL ? files->open(engine, path_utf8, flags, handle_out)
                         : file_open_handle(path_utf8, flags, handle_out);
}

static int close_handle(reop_engine *engine, reop_handle handle)
{
    const struct backend_files *files = engine->backend->files;

    return files != NULL ? files->close(engine, handle) : file_close_handle(handle);
}

static int inspect(reop_file *file, uint32_t flags)
{
    const struct backend_files *files = file->engine->backend->files;

    return files != NULL ? files->inspect(file, flags) : file_inspect(file, flags);
}

static int size_of(const reop_file *file, uint64_t *size_out)
{
    const struct backend_files *files = file->engine->backend->files;

    return files != NULL ? files->size(file, size_out) : file_size(file, size_out);
}

static int zero_fill(reop_file *file, uint64_t from, uint64_t to)
{
    const struct backend_files *files = file->engine->backend->files;

    return files != NULL ? files->zero_fill(file, from, to) : file_zero_fill(file, from, to);
}

static uint32_t physical_sector(const reop_file *file)
{
    const struct backend_files *files = file->engine->backend->files;

    return files != NULL ? files->physical_sector(file) : file_physical_sector(file);
}

/* --- the table --------------------------------------------------------------------------- */

static void give_place(reop_file *file)
{
    reop_engine *engine = file->engine;

    sync_lock(&engine->lock);
    file->next_free = engine->free_files;
    engine->free_files = file;
    engine->files_open--;
    sync_unlock(&engine->lock);
}

static reop_file *take_place(reop_engine *engine)
{
    reop_file *file;

    sync_lock(&engine->lock);
    file = engine->free_files;
    if (file != NULL) {
        uint32_t used = (uint32_t) (file - engine->files) + 1;

        engine->free_files = file->next_free;
        engine->files_open++;
        if (used > atomic_load(&engine->files_used))
            atomic_store(&engine->files_used, used);
    }
    sync_unlock(&engine->lock);
    return file;
}

/* Where threads share the engine its backend knows the file from the start. */
static void set_plain_end(reop_file *file, enum file_gate open)
{
    bool known = open == FILE_KNOWN || !file->engine->single;

    atomic_store(&file->plain_end, known && !file->masked ? FILE_PLAIN_END : 0);
}

int reop_file_attach(reop_engine *engine, reop_handle handle, uint32_t flags, reop_file **file_out)
{
    reop_file *file;
    int error;

    if (engine == NULL || file_out == NULL || (flags & ~ATTACH_FLAGS) != 0)
        return -EINVAL;
    file = take_place(engine);
    if (file == NULL)
        return -EMFILE;
    file->handle = handle;
    file->offset_mask = 0;
    file->size_mask = 0;
    file->memory_mask = 0;
    file->flags = 0;
    file->stream = false;
    file->regular = false;
    file->submitted_before = file_submitted(file);
    file->stalls = 0;
    file->stall_ns = 0;
    file->sync_error = 0;
    error = inspect(file, flags);
    file->masked = file->offset_mask != 0 || file->size_mask != 0 || file->memory_mask != 0;
    if (error == 0)
        error = engine->backend->attach(engine, file);
    if (error < 0) {
        give_place(file);
        return error;
    }
    set_plain_end(file, FILE_OPEN);
    atomic_store(&file->open, FILE_OPEN); /* pairs with enter in submit.c */
    *file_out = file;
    return 0;
}

int reop_file_open(reop_engine *engine, const char *path_utf8, uint32_t flags, reop_file **file_out)
{
    reop_handle handle;
    int error;

    if (engine == NULL || path_utf8 == NULL || file_out == NULL || (flags & ~OPEN_FLAGS) != 0 ||
        (flags & (REOP_FILE_READ | REOP_FILE_WRITE)) == 0 ||
        ((flags & REOP_FILE_EXCLUSIVE) && !(flags & REOP_FILE_CREATE)) ||
        ((flags & REOP_FILE_TRUNCATE) && !(flags & REOP_FILE_WRITE)))
        return -EINVAL;
    error = open_handle(engine, path_utf8, flags, &handle);
    if (error < 0)
        return error;
    error = reop_file_attach(engine, handle, flags & ATTACH_FLAGS, file_out);
    if (error < 0)
        close_handle(engine, handle);
    return error;
}

static bool file_busy(reop_file *file)
{
    uint64_t submitted = file_submitted(file);

    return atomic_load(&file->completed) != submitted || atomic_load(&file->inside) != 0;
}

/* Shuts the gate, unless something is under way. */
static int file_shut(reop_file *file)
{
    reop_engine *engine = file->engine;
    uint32_t open;
    int error = 0;

    sync_lock(&engine->lock);
    open = atomic_exchange(&file->open, FILE_SHUT);
    if (open == FILE_SHUT) {
        error = -EINVAL;
        goto unlock;
    }
    atomic_store(&file->plain_end, 0);
    /* Now either a submit sees the gate shut, or we see its count. A single-threaded engine's owner
     * counts without a fence. */
    if (!engine->counts_shared && !engine_owned(engine))
        sync_barrier();
    if (engine->parts)
        engine->backend->settle(engine);
    if (file_busy(file)) {
        set_plain_end(file, (enum file_gate) open);
        atomic_store(&file->open, open);
        error = -EBUSY;
    }
unlock:
    sync_unlock(&engine->lock);
    return error;
}

int reop_file_close(reop_file *file)
{
    int error;

    if (file == NULL)
        return -EINVAL;
    error = file_shut(file);
    if (error < 0)
        return error;
    file->engine->backend->detach(file->engine, file, true);
    error = close_handle(file->engine, file->handle);
    give_place(file);
    return error;
}

int reop_file_detach(reop_file *file, reop_handle *handle_out)
{
    int error;

    if (file == NULL || handle_out == NULL)
        return -EINVAL;
    error = file_shut(file);
    if (error < 0)
        return error;
    error = file->engine->backend->detach(file->engine, file, false);
    if (error < 0) {
        set_plain_end(file, FILE_OPEN);
        atomic_store(&file->open, FILE_OPEN);
        return error;
    }
    *handle_out = file->handle;
    give_place(file);
    return 0;
}

int reop_file_preallocate(reop_file *file, uint64_t size)
{
    uint64_t size_now;
    int error;

    if (file == NULL || size > INT64_MAX || atomic_load(&file->open) == FILE_SHUT || !file->regular)
        return -EINVAL;
    if (file_busy(file))
        return -EBUSY;
    error = size_of(file, &size_now);
    if (error < 0 || size_now >= size)
        return error;
    return zero_fill(file, size_now, size);
}

int reop_file_query(const reop_file *file, struct reop_file_info *info_out)
{
    if (file == NULL || info_out == NULL ||
        atomic_load(&((reop_file *) (uintptr_t) file)->open) == FILE_SHUT)
        return -EINVAL;
    memset(info_out, 0, sizeof *info_out);
    info_out->offset_align = file->size_mask + 1;
    info_out->memory_align = file->memory_mask + 1;
    info_out->physical_sector = physical_sector(file);
    info_out->flags = file->flags;
    info_out->submitted = file_submitted(file) - file->submitted_before;
    info_out->completed = file->completed - file->submitted_before;
    info_out->submit_stalls = file->stalls;
    info_out->submit_stall_ns = file->stall_ns;
    info_out->sync_error = -(int) (file->sync_error >> 32);
    info_out->handle = file->handle;
    return file->stream ? 0 : size_of(file, &info_out->size);
}
