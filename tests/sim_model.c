/* SPDX-License-Identifier: MIT */
#include "sim_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void must(bool condition)
{
    if (!condition)
        abort(); /* the test is wrong, not what it tests */
}

/* An op in flight: what to note when it comes back. */
struct note {
    reop_op *op; /* NULL: none */
    uint32_t offset, size;
    uint32_t reaped[SIM_MODEL_UNITS]; /* a sync's: what it has to make durable */
    uint32_t size_reaped;
};

struct life {
    struct sim_model *model;
    reop_engine *engine;
    reop_file *file;
    struct note notes[SIM_MODEL_WRITES + 1]; /* the last one is for a sync */
    bool wrong;
};

static void drop_versions(struct sim_unit *unit, uint32_t first)
{
    memmove(unit->versions[0], unit->versions[first],
            (size_t) (unit->count - first) * SIM_MODEL_UNIT_MAX);
    unit->count -= first;
    unit->reaped = unit->reaped > first ? unit->reaped - first : 0;
}

static void drop_sizes(struct sim_model *model, uint32_t least)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < model->size_count; i++)
        if (model->sizes[i] >= least)
            model->sizes[kept++] = model->sizes[i];
    model->size_count = kept;
}

/* What the file may end at once this write is taken: later ones may be taken before. */
static void add_size(struct sim_model *model, uint32_t size)
{
    if (size <= model->size_reaped)
        return; /* the file is larger already */
    must(model->size_count < SIM_MODEL_SIZES_MAX);
    model->sizes[model->size_count++] = size;
}

/* Every unit of the range has one version more. */
static void add_versions(struct sim_model *model, uint32_t offset, uint32_t size,
                         const uint8_t *data)
{
    for (uint32_t at = offset; at < offset + size;) {
        uint32_t in_unit = at % model->unit_size, part = model->unit_size - in_unit;
        struct sim_unit *unit = &model->units[at / model->unit_size];

        if (part > offset + size - at)
            part = offset + size - at;
        memcpy(unit->versions[unit->count], unit->versions[unit->count - 1], model->unit_size);
        memcpy(unit->versions[unit->count] + in_unit, data + (at - offset), part);
        unit->count++;
        unit->in_flight = true;
        at += part;
    }
}

static bool free_for_write(const struct sim_model *model, uint32_t offset, uint32_t size)
{
    for (uint32_t i = offset / model->unit_size; i <= (offset + size - 1) / model->unit_size; i++)
        if (model->units[i].in_flight || model->units[i].count == SIM_MODEL_VERSIONS_MAX)
            return false;
    return true;
}

static void write_has_come_back(struct sim_model *model, const struct note *note)
{
    bool durable = (model->open_flags & REOP_FILE_DURABLE) != 0;
    bool through = model->write_through && (model->open_flags & REOP_FILE_DIRECT);
    bool good = note->op->result == (int64_t) note->size;

    for (uint32_t i = note->offset / model->unit_size;
         i <= (note->offset + note->size - 1) / model->unit_size; i++) {
        struct sim_unit *unit = &model->units[i];

        unit->in_flight = false;
        if (good)
            unit->reaped = unit->count - 1;
        if (good && (durable || through))
            drop_versions(unit, unit->reaped);
    }
    if (good && note->offset + note->size > model->size_reaped)
        model->size_reaped = note->offset + note->size;
    if (good && durable)
        drop_sizes(model, note->offset + note->size);
}

static void sync_has_come_back(struct sim_model *model, const struct note *note)
{
    if (note->op->result != 0)
        return;
    model->syncs++;
    for (uint32_t i = 0; i < SIM_MODEL_UNITS; i++)
        if (note->reaped[i] > 0)
            drop_versions(&model->units[i], note->reaped[i]);
    drop_sizes(model, note->size_reaped);
}

/* The op is back. A sync that is in flight meanwhile names versions by number. */
static void come_back(struct life *life, reop_op *op)
{
    struct sim_model *model = life->model;
    struct note *sync = &life->notes[SIM_MODEL_WRITES];

    for (uint32_t i = 0; i <= SIM_MODEL_WRITES; i++) {
        struct note *note = &life->notes[i];
        uint32_t before[SIM_MODEL_UNITS];

        if (note->op != op)
            continue;
        for (uint32_t j = 0; j < SIM_MODEL_UNITS; j++)
            before[j] = model->units[j].count;
        if (note == sync)
            sync_has_come_back(model, note);
        else
            write_has_come_back(model, note);
        for (uint32_t j = 0; j < SIM_MODEL_UNITS && note != sync; j++) {
            uint32_t dropped = before[j] - model->units[j].count;

            sync->reaped[j] -= sync->reaped[j] < dropped ? sync->reaped[j] : dropped;
        }
        note->op = NULL;
        life->wrong |= op->result < 0 && op->result != -ENODEV;
        reop_release(model->lane, op);
        return;
    }
    life->wrong = true;
}

static void reap(struct life *life, int64_t timeout_ns)
{
    reop_op *ops[SIM_MODEL_WRITES + 1];
    int count = reop_reap(life->engine, ops, SIM_MODEL_WRITES + 1, timeout_ns);

    for (int i = 0; i < count; i++)
        come_back(life, ops[i]);
}

static bool any_in_flight(const struct life *life)
{
    for (uint32_t i = 0; i <= SIM_MODEL_WRITES; i++)
        if (life->notes[i].op != NULL)
            return true;
    return false;
}

static void start_write(struct life *life)
{
    struct sim_model *model = life->model;
    bool whole = model->unit_size > 512 || (model->open_flags & REOP_FILE_DIRECT);
    uint32_t grain = whole ? model->unit_size : 1, file_max = SIM_MODEL_UNITS * model->unit_size;
    uint32_t offset = grain * reop_sim_choose(life->engine, file_max / grain);
    uint32_t size = grain * (1 + reop_sim_choose(life->engine, 3 * model->unit_size / grain));
    uint8_t fill = (uint8_t) reop_sim_choose(life->engine, 256), *data;
    struct note *note = life->notes;

    while (note < life->notes + SIM_MODEL_WRITES && note->op != NULL)
        note++;
    if (offset + size > file_max)
        size = file_max - offset;
    if (note == life->notes + SIM_MODEL_WRITES || !free_for_write(model, offset, size))
        return;
    note->op = reop_acquire(model->lane);
    note->offset = offset;
    note->size = size;
    data = reop_op_buffer(note->op);
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t) (fill + i / 7 + 1);
    add_versions(model, offset, size, data);
    add_size(model, offset + size);
    must(reop_write(note->op, life->file, data, size, offset) == REOP_PENDING);
}

static void start_sync(struct life *life)
{
    struct note *note = &life->notes[SIM_MODEL_WRITES];

    if (note->op != NULL)
        return;
    note->op = reop_acquire(life->model->lane);
    for (uint32_t i = 0; i < SIM_MODEL_UNITS; i++)
        note->reaped[i] = life->model->units[i].reaped;
    note->size_reaped = life->model->size_reaped;
    must(reop_sync(note->op, life->file, reop_sim_choose(life->engine, 2) ? REOP_SYNC_DATA : 0) ==
         REOP_PENDING);
}

static bool in_sizes(const struct sim_model *model, uint32_t size)
{
    for (uint32_t i = 0; i < model->size_count; i++)
        if (model->sizes[i] == size)
            return true;
    return false;
}

/* What is there is what may be; it is durable from now on. */
static bool check(struct sim_model *model, const uint8_t *found, uint32_t size)
{
    if (!in_sizes(model, size))
        return false;
    for (uint32_t i = 0; i < SIM_MODEL_UNITS; i++) {
        struct sim_unit *unit = &model->units[i];
        uint32_t start = i * model->unit_size, seen = start < size ? size - start : 0;
        bool good = seen == 0;

        if (seen > model->unit_size)
            seen = model->unit_size;
        for (uint32_t j = 0; j < unit->count && !good; j++)
            good = memcmp(unit->versions[j], found + start, seen) == 0;
        if (!good)
            return false;
        memset(unit->versions[0], 0, SIM_MODEL_UNIT_MAX);
        memcpy(unit->versions[0], found + start, seen);
        unit->count = 1;
        unit->reaped = 0;
        unit->in_flight = false;
    }
    model->sizes[0] = size;
    model->size_count = 1;
    model->size_reaped = size;
    model->checks++;
    return true;
}

static void add_up(struct reop_sim_stats *totals, const struct reop_sim_stats *stats)
{
    totals->ops += stats->ops;
    totals->crashes += stats->crashes;
    totals->units_kept += stats->units_kept;
    totals->units_lost += stats->units_lost;
    totals->metadata_kept += stats->metadata_kept;
    totals->metadata_lost += stats->metadata_lost;
    totals->reordered += stats->reordered;
}

/* One life: until the power is cut, and a look at what is left. */
static bool live(struct sim_model *model, reop_engine *engine)
{
    static uint8_t found[SIM_MODEL_UNITS * SIM_MODEL_UNIT_MAX + 1];
    struct life life = {.model = model, .engine = engine};
    int64_t size;

    if (reop_file_open(engine, "model", model->open_flags, &life.file) != 0)
        return false;
    reop_sim_crash_after(engine, 1 + reop_sim_choose(engine, 120));
    while (!reop_sim_crashed(engine) && reop_sim_choose(engine, 24) > 0)
        switch (reop_sim_choose(engine, 6)) {
        case 0:
        case 1:
        case 2:
            start_write(&life);
            break;
        case 3:
            start_sync(&life);
            break;
        default:
            reap(&life, any_in_flight(&life) ? REOP_FOREVER : 0);
        }
    reop_sim_crash(engine);
    while (any_in_flight(&life))
        reap(&life, REOP_FOREVER);
    if (reop_file_close(life.file) != 0 || life.wrong)
        return false;
    reop_sim_restart(engine);
    memset(found, 0, sizeof found);
    size = reop_sim_load(engine, "model", found, sizeof found);
    return size >= 0 && size <= (int64_t) sizeof found && check(model, found, (uint32_t) size);
}

bool sim_model_trial(void *context, reop_engine *engine)
{
    struct sim_model *model = context;
    struct reop_sim_stats stats;
    bool good = true;

    for (uint32_t i = 0; i < SIM_MODEL_UNITS; i++) {
        memset(model->units[i].versions[0], 0, SIM_MODEL_UNIT_MAX);
        model->units[i].count = 1;
        model->units[i].reaped = 0;
        model->units[i].in_flight = false;
    }
    model->sizes[0] = 0;
    model->size_count = 1;
    model->size_reaped = 0;
    must(reop_sim_store(engine, "model", NULL, 0) == 0);
    for (uint32_t i = 0; i < SIM_MODEL_LIVES && good; i++)
        good = live(model, engine);
    reop_sim_query(engine, &stats);
    add_up(&model->totals, &stats);
    if (stats.tape_used > model->longest)
        model->longest = stats.tape_used;
    return good;
}
