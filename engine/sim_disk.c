/* SPDX-License-Identifier: MIT */
#include "sim_disk.h"

#include <errno.h>
#include <string.h>

/* --- memory ------------------------------------------------------------------------------ */

static void *carve(unsigned char *memory, size_t *at, size_t size)
{
    size_t start = (*at + 63) & ~(size_t) 63;

    *at = start + size;
    return memory != NULL ? memory + start : NULL;
}

size_t sim_disk_carve(struct sim_disk *disk, unsigned char *memory, size_t at)
{
    const struct reop_sim_config *config = &disk->config;

    disk->sector_count = (uint32_t) (config->capacity / config->sector_size);
    disk->bucket_count = 64;
    while (disk->bucket_count < disk->sector_count)
        disk->bucket_count *= 2;
    disk->node_count = config->file_count * 2; /* a removed one lives as long as it is durable */
    disk->storage_count = disk->node_count * 2;
    disk->sectors = carve(memory, &at, (disk->sector_count + 1) * sizeof *disk->sectors);
    disk->buckets = carve(memory, &at, disk->bucket_count * sizeof *disk->buckets);
    disk->nodes = carve(memory, &at, (disk->node_count + 1) * sizeof *disk->nodes);
    disk->names = carve(memory, &at, config->file_count * sizeof *disk->names);
    disk->storages = carve(memory, &at, (disk->storage_count + 1) * sizeof *disk->storages);
    disk->tape.capacity = config->tape_size;
    disk->tape.bytes = carve(memory, &at, config->tape_size);
    disk->spare_tapes = carve(memory, &at, (size_t) config->tape_size * 2);
    disk->account.capacity = config->event_count;
    disk->account.events = carve(memory, &at, config->event_count * sizeof *disk->account.events);
    disk->data = carve(memory, &at, (size_t) disk->sector_count * 2 * config->sector_size);
    disk->fresh_sector = 1;
    return at;
}

static void trace(struct sim_disk *disk, enum sim_event_kind kind, uint32_t node, uint64_t op,
                  uint64_t offset, uint64_t amount)
{
    sim_account_add(&disk->account, kind, 0, node, op, offset, (int64_t) amount);
}

static uint32_t *bucket_of(struct sim_disk *disk, uint32_t storage, uint64_t index)
{
    /* Neighbours in a file are neighbours here. */
    uint64_t hash = storage * UINT64_C(0x9e3779b97f4a7c15) + index;

    return &disk->buckets[hash & (disk->bucket_count - 1)];
}

void sim_disk_reset(struct sim_disk *disk)
{
    for (uint32_t i = 1; i < disk->fresh_sector; i++)
        *bucket_of(disk, disk->sectors[i].storage, disk->sectors[i].index) = 0;
    memset(disk->nodes, 0, (disk->node_count + 1) * sizeof *disk->nodes);
    memset(disk->names, 0, disk->config.file_count * sizeof *disk->names);
    memset(disk->storages, 0, (disk->storage_count + 1) * sizeof *disk->storages);
    memset(&disk->stats, 0, sizeof disk->stats);
    disk->free_sector = 0;
    disk->fresh_sector = 1;
    disk->cached_first = disk->cached_last = 0;
    disk->change_last = 0;
    disk->write_last = 0;
    disk->sync_last = 0;
    disk->account.count = 0;
    disk->account.now_ns = 0;
}

/* --- sectors ----------------------------------------------------------------------------- */

static unsigned char *medium_of(struct sim_disk *disk, uint32_t sector)
{
    return disk->data + (size_t) (sector - 1) * 2 * disk->config.sector_size;
}

static unsigned char *cache_of(struct sim_disk *disk, uint32_t sector)
{
    return medium_of(disk, sector) + disk->config.sector_size;
}

/* What a read finds. NULL: zeroes. */
static unsigned char *content_of(struct sim_disk *disk, uint32_t sector)
{
    uint32_t state = sector != 0 ? disk->sectors[sector].state : 0;

    if (state & SIM_CACHED)
        return cache_of(disk, sector);
    return state & SIM_STORED ? medium_of(disk, sector) : NULL;
}

static uint32_t sector_find(struct sim_disk *disk, uint32_t storage, uint64_t index)
{
    uint32_t sector = *bucket_of(disk, storage, index);

    while (sector != 0 &&
           (disk->sectors[sector].index != index || disk->sectors[sector].storage != storage))
        sector = disk->sectors[sector].next;
    return sector;
}

static uint32_t sector_new(struct sim_disk *disk, uint32_t storage, uint64_t index)
{
    uint32_t *bucket = bucket_of(disk, storage, index);
    uint32_t sector = disk->free_sector;

    if (sector != 0)
        disk->free_sector = disk->sectors[sector].next;
    else if (disk->fresh_sector <= disk->sector_count)
        sector = disk->fresh_sector++;
    else
        return 0;
    disk->sectors[sector] = (struct sim_sector){.index = index,
                                                .storage = storage,
                                                .next = *bucket,
                                                .sibling = disk->storages[storage].first};
    *bucket = sector;
    disk->storages[storage].first = sector;
    return sector;
}

static void cached_append(struct sim_disk *disk, uint32_t sector)
{
    disk->sectors[sector].earlier = disk->cached_last;
    disk->sectors[sector].later = 0;
    if (disk->cached_last != 0)
        disk->sectors[disk->cached_last].later = sector;
    else
        disk->cached_first = sector;
    disk->cached_last = sector;
}

static void cached_remove(struct sim_disk *disk, uint32_t sector)
{
    uint32_t earlier = disk->sectors[sector].earlier, later = disk->sectors[sector].later;

    if (earlier != 0)
        disk->sectors[earlier].later = later;
    else
        disk->cached_first = later;
    if (later != 0)
        disk->sectors[later].earlier = earlier;
    else
        disk->cached_last = earlier;
}

static void uncache(struct sim_disk *disk, uint32_t sector)
{
    if (disk->sectors[sector].state & SIM_CACHED)
        cached_remove(disk, sector);
    disk->sectors[sector].state &= ~(SIM_CACHED | SIM_DIRTY);
}

/* Not out of the list of its storage: the caller walks that. */
static void sector_drop(struct sim_disk *disk, uint32_t sector)
{
    uint32_t *link = bucket_of(disk, disk->sectors[sector].storage, disk->sectors[sector].index);

    uncache(disk, sector);
    while (*link != sector)
        link = &disk->sectors[*link].next;
    *link = disk->sectors[sector].next;
    disk->sectors[sector].next = disk->free_sector;
    disk->free_sector = sector;
}

static void sector_store(struct sim_disk *disk, uint32_t sector)
{
    memcpy(medium_of(disk, sector), cache_of(disk, sector), disk->config.sector_size);
    uncache(disk, sector);
    disk->sectors[sector].state |= SIM_STORED;
}

static uint32_t storage_new(struct sim_disk *disk)
{
    uint32_t storage = 1;

    while (disk->storages[storage].used) /* there are two per node */
        storage++;
    disk->storages[storage] = (struct sim_storage){.used = true};
    return storage;
}

static void storage_drop(struct sim_disk *disk, uint32_t storage)
{
    uint32_t sibling;

    for (uint32_t sector = disk->storages[storage].first; sector != 0; sector = sibling) {
        sibling = disk->sectors[sector].sibling;
        sector_drop(disk, sector);
    }
    disk->storages[storage] = (struct sim_storage){0};
}

/* The file ends here now, and reads zeroes beyond when it grows again. */
static void storage_cut(struct sim_disk *disk, uint32_t storage, uint64_t size)
{
    uint32_t sector_size = disk->config.sector_size;
    uint32_t *link = &disk->storages[storage].first;

    while (*link != 0) {
        uint32_t sector = *link;
        uint64_t start = disk->sectors[sector].index * sector_size;
        unsigned char *content = content_of(disk, sector);

        if (start >= size) {
            *link = disk->sectors[sector].sibling;
            sector_drop(disk, sector);
            continue;
        }
        if (size - start < sector_size && content != NULL)
            memset(content + (size - start), 0, sector_size - (size - start));
        link = &disk->sectors[sector].sibling;
    }
}

/* --- writing and reading ----------------------------------------------------------------- */

static void cursor_copy(struct sim_cursor *cursor, unsigned char *bytes, size_t size, bool out)
{
    while (size > 0) {
        size_t left = cursor->pieces->size - cursor->at;
        size_t part = left < size ? left : size;
        unsigned char *data = (unsigned char *) cursor->pieces->data + cursor->at;

        if (part > 0)
            memcpy(out ? data : bytes, out ? bytes : data, part);
        bytes += part;
        size -= part;
        cursor->at += part;
        if (part == left) {
            cursor->pieces++;
            cursor->at = 0;
        }
    }
}

static uint64_t sectors_per_unit(const struct sim_disk *disk)
{
    return disk->config.atomic_size / disk->config.sector_size;
}

/* All of a group: the sectors of a unit that one write dirtied. */
static void group_each(struct sim_disk *disk, uint32_t storage, uint64_t index, uint64_t write,
                       void (*call)(struct sim_disk *, uint32_t, uint64_t), uint64_t argument)
{
    uint64_t first = index - index % sectors_per_unit(disk);

    for (uint64_t i = first; i < first + sectors_per_unit(disk); i++) {
        uint32_t sector = sector_find(disk, storage, i);

        if (sector != 0 && (disk->sectors[sector].state & SIM_DIRTY) &&
            disk->sectors[sector].write == write)
            call(disk, sector, argument);
    }
}

static void store_one(struct sim_disk *disk, uint32_t sector, uint64_t argument)
{
    (void) argument;
    sector_store(disk, sector);
}

static void adopt_one(struct sim_disk *disk, uint32_t sector, uint64_t write)
{
    disk->sectors[sector].write = write;
    cached_remove(disk, sector);
    cached_append(disk, sector);
}

static void store_up_to(struct sim_disk *disk, uint64_t write)
{
    uint32_t later;

    for (uint32_t sector = disk->cached_first; sector != 0; sector = later) {
        later = disk->sectors[sector].later;
        if ((disk->sectors[sector].state & SIM_DIRTY) && disk->sectors[sector].write <= write)
            sector_store(disk, sector);
    }
}

/* A dirty sector is written again. What the cache held may have gone to the medium just before, and
 * has if a sync that is under way counts on it; else the rest of its group shares the fate of the
 * new write, as only the mix is left to store. */
static void supersede(struct sim_disk *disk, uint32_t sector, uint64_t write)
{
    struct sim_sector old = disk->sectors[sector];

    if (old.write == write)
        return;
    if (disk->config.flags & REOP_SIM_ORDERED) {
        store_up_to(disk, old.write);
    } else if (old.write <= disk->sync_last || sim_tape_choose(&disk->tape, 2) == 1) {
        group_each(disk, old.storage, old.index, old.write, store_one, 0);
    } else {
        group_each(disk, old.storage, old.index, old.write, adopt_one, write);
        disk->adopted = true;
    }
}

static void dirty(struct sim_disk *disk, uint32_t sector, uint64_t write)
{
    uncache(disk, sector);
    disk->sectors[sector].state |= SIM_CACHED | SIM_DIRTY;
    disk->sectors[sector].write = write;
    cached_append(disk, sector);
}

static bool write_sector(struct sim_disk *disk, uint32_t storage, uint64_t index, uint64_t write,
                         size_t from_byte, size_t size, struct sim_cursor *from)
{
    uint32_t sector_size = disk->config.sector_size;
    uint32_t sector = sector_find(disk, storage, index);
    const unsigned char *content;

    if (sector == 0)
        sector = sector_new(disk, storage, index);
    if (sector == 0)
        return false;
    if (disk->sectors[sector].state & SIM_DIRTY)
        supersede(disk, sector, write);
    content = content_of(disk, sector);
    if (size == sector_size)
        disk->sectors[sector].state &= ~SIM_BAD;
    else if (content == NULL)
        memset(cache_of(disk, sector), 0, sector_size);
    else if (content != cache_of(disk, sector))
        memcpy(cache_of(disk, sector), content, sector_size);
    cursor_copy(from, cache_of(disk, sector) + from_byte, size, false);
    dirty(disk, sector, write);
    return true;
}

void sim_disk_extend(struct sim_disk *disk, uint32_t node, uint64_t size)
{
    struct sim_node *file = &disk->nodes[node];

    if (size <= file->now.size)
        return;
    /* The size that it had may have become durable at any time. */
    if ((file->now.size != file->durable.size || file->now.storage != file->durable.storage) &&
        sim_tape_choose(&disk->tape, 2) == 1)
        sim_disk_sync_size(disk, node);
    file->now.size = size;
    if (disk->config.flags & REOP_SIM_METADATA_SYNC)
        sim_disk_sync_size(disk, node);
}

uint64_t sim_disk_write(struct sim_disk *disk, struct sim_range range, struct sim_cursor from)
{
    uint32_t sector_size = disk->config.sector_size;
    uint32_t storage = disk->nodes[range.node].now.storage;
    uint64_t done = 0;

    while (done < range.size) {
        uint64_t at = range.offset + done;
        size_t from_byte = (size_t) (at % sector_size), size = sector_size - from_byte;

        if (size > range.size - done)
            size = (size_t) (range.size - done);
        if (!write_sector(disk, storage, at / sector_size, range.write, from_byte, size, &from))
            break;
        done += size;
    }
    if (done > 0)
        sim_disk_extend(disk, range.node, range.offset + done);
    return done;
}

/* The sectors of a range, in order, whether there are any or not. */
struct walk {
    uint64_t index, end;
    uint32_t storage;
};

static struct walk walk_of(const struct sim_disk *disk, struct sim_range range)
{
    uint32_t sector_size = disk->config.sector_size;

    return (struct walk){range.offset / sector_size,
                         (range.offset + range.size + sector_size - 1) / sector_size,
                         disk->nodes[range.node].now.storage};
}

bool sim_disk_read(struct sim_disk *disk, struct sim_range range, struct sim_cursor to)
{
    static unsigned char zeroes[4096]; /* never written */
    uint32_t sector_size = disk->config.sector_size;
    struct walk walk = walk_of(disk, range);
    uint64_t done = 0;

    for (; walk.index < walk.end; walk.index++) {
        uint32_t sector = sector_find(disk, walk.storage, walk.index);
        size_t from_byte = (size_t) ((range.offset + done) % sector_size);
        size_t size = sector_size - from_byte;
        unsigned char *content = content_of(disk, sector);

        if (sector != 0 && (disk->sectors[sector].state & SIM_BAD))
            return false;
        if (size > range.size - done)
            size = (size_t) (range.size - done);
        cursor_copy(&to, (content != NULL ? content : zeroes) + from_byte, size, true);
        done += size;
    }
    return true;
}

/* A sector of the range that its write left dirty; 0: no more. */
static uint32_t next_dirty(struct sim_disk *disk, struct walk *walk, uint64_t write)
{
    while (walk->index < walk->end) {
        uint32_t sector = sector_find(disk, walk->storage, walk->index++);

        if (sector != 0 && (disk->sectors[sector].state & SIM_DIRTY) &&
            disk->sectors[sector].write == write)
            return sector;
    }
    return 0;
}

/* Sectors that a write adopted lie in the units that it touched. */
static struct walk walk_units(const struct sim_disk *disk, struct sim_range range)
{
    uint64_t before = range.offset % disk->config.atomic_size;

    range.offset -= before;
    range.size = (range.size + before + disk->config.atomic_size - 1) / disk->config.atomic_size *
                 disk->config.atomic_size;
    return walk_of(disk, range);
}

void sim_disk_forget(struct sim_disk *disk, struct sim_range range)
{
    struct walk walk = walk_units(disk, range);
    uint32_t sector;

    while ((sector = next_dirty(disk, &walk, range.write)) != 0)
        disk->sectors[sector].state &= ~SIM_DIRTY;
}

void sim_disk_postpone(struct sim_disk *disk, struct sim_range range, uint64_t later)
{
    struct walk walk = walk_units(disk, range);
    uint32_t sector;

    while ((sector = next_dirty(disk, &walk, range.write)) != 0)
        adopt_one(disk, sector, later);
}

void sim_disk_store(struct sim_disk *disk, struct sim_range range)
{
    struct walk walk = walk_units(disk, range);
    uint32_t sector;

    if (disk->config.flags & REOP_SIM_ORDERED)
        store_up_to(disk, range.write);
    while ((sector = next_dirty(disk, &walk, range.write)) != 0)
        sector_store(disk, sector);
}

void sim_disk_spoil(struct sim_disk *disk, struct sim_range range)
{
    struct walk walk = walk_of(disk, range);
    uint32_t sector;

    walk.index += sim_tape_choose(&disk->tape, (uint32_t) (walk.end - walk.index));
    sector = sector_find(disk, walk.storage, walk.index);
    if (sector == 0)
        sector = sector_new(disk, walk.storage, walk.index);
    if (sector != 0)
        disk->sectors[sector].state |= SIM_BAD;
}

void sim_disk_flip(struct sim_disk *disk, struct sim_range range)
{
    uint64_t byte = range.offset + sim_tape_choose(&disk->tape, (uint32_t) range.size);
    uint32_t sector =
        sector_find(disk, disk->nodes[range.node].now.storage, byte / disk->config.sector_size);
    unsigned char *content = content_of(disk, sector);

    if (content != NULL)
        content[byte % disk->config.sector_size] ^=
            (unsigned char) (1u << sim_tape_choose(&disk->tape, 8));
}

/* --- becoming durable -------------------------------------------------------------------- */

void sim_disk_sync(struct sim_disk *disk, uint32_t node, uint64_t write, bool dropped)
{
    uint32_t storage = disk->nodes[node].now.storage, later;

    if ((disk->config.flags & REOP_SIM_ORDERED) && !dropped) {
        store_up_to(disk, write);
        return;
    }
    for (uint32_t sector = disk->cached_first; sector != 0; sector = later) {
        struct sim_sector *entry = &disk->sectors[sector];

        later = entry->later;
        if (entry->storage != storage || !(entry->state & SIM_DIRTY) || entry->write > write)
            continue;
        if (dropped)
            entry->state &= ~SIM_DIRTY;
        else
            sector_store(disk, sector);
    }
}

void sim_disk_sync_size(struct sim_disk *disk, uint32_t node)
{
    struct sim_node *file = &disk->nodes[node];

    if (file->durable.storage != file->now.storage && file->durable.storage != 0)
        storage_drop(disk, file->durable.storage);
    file->durable = file->now;
}

/* Nodes that nothing leads to any more. */
static void collect_nodes(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->config.file_count; i++) {
        disk->nodes[disk->names[i].now].named = true;
        disk->nodes[disk->names[i].durable].named = true;
    }
    for (uint32_t i = 1; i <= disk->node_count; i++) {
        struct sim_node *node = &disk->nodes[i];

        if (node->used && !node->named && node->opens == 0) {
            if (node->durable.storage != node->now.storage && node->durable.storage != 0)
                storage_drop(disk, node->durable.storage);
            storage_drop(disk, node->now.storage);
            node->used = false;
        }
        node->named = false;
    }
}

static void keep_change(struct sim_disk *disk, uint32_t change)
{
    for (uint32_t i = 0; i < disk->config.file_count; i++)
        if (disk->names[i].change == change)
            disk->names[i].durable = disk->names[i].now;
}

void sim_disk_sync_names(struct sim_disk *disk, uint32_t node)
{
    bool any = false;

    for (uint32_t i = 0; i < disk->config.file_count; i++) {
        struct sim_name *name = &disk->names[i];

        if (name->now != name->durable && (name->now == node || name->durable == node)) {
            keep_change(disk, name->change);
            any = true;
        }
    }
    if (any)
        collect_nodes(disk);
}

/* --- names ------------------------------------------------------------------------------- */

static struct sim_name *name_find(const struct sim_disk *disk, const char *text)
{
    for (uint32_t i = 0; i < disk->config.file_count; i++)
        if ((disk->names[i].now != 0 || disk->names[i].durable != 0) &&
            strcmp(disk->names[i].text, text) == 0)
            return &disk->names[i];
    return NULL;
}

/* The place of a name that there is, or was, or shall be. */
static struct sim_name *name_place(struct sim_disk *disk, const char *text)
{
    struct sim_name *name = name_find(disk, text);

    for (uint32_t i = 0; i < disk->config.file_count && name == NULL; i++)
        if (disk->names[i].now == 0 && disk->names[i].durable == 0) {
            name = &disk->names[i];
            strcpy(name->text, text);
        }
    return name;
}

static void name_set(struct sim_disk *disk, struct sim_name *name, uint32_t node, uint32_t change)
{
    uint32_t before = name->change;

    /* A change that is not durable yet becomes part of this one. */
    for (uint32_t i = 0; i < disk->config.file_count && name->now != name->durable; i++)
        if (disk->names[i].change == before && disk->names[i].now != disk->names[i].durable)
            disk->names[i].change = change;
    name->now = node;
    name->change = change;
}

static int name_wrong(const char *text)
{
    size_t length = strlen(text);

    if (length == 0)
        return -ENOENT;
    if (length >= SIM_NAME_SIZE)
        return -ENAMETOOLONG;
    if (text[length - 1] == '/' || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return -EISDIR;
    return 0;
}

uint32_t sim_disk_find(const struct sim_disk *disk, const char *text)
{
    const struct sim_name *name = name_find(disk, text);

    return name != NULL ? name->now : 0;
}

static int create_node(struct sim_disk *disk, const char *text, uint32_t *node_out)
{
    struct sim_name *name = name_place(disk, text);
    uint32_t node = 1;

    while (node <= disk->node_count && disk->nodes[node].used)
        node++;
    if (name == NULL || node > disk->node_count)
        return -ENOSPC;
    disk->nodes[node] = (struct sim_node){.used = true, .now.storage = storage_new(disk)};
    disk->nodes[node].durable = disk->nodes[node].now;
    name_set(disk, name, node, ++disk->change_last);
    *node_out = node;
    return 0;
}

static void truncate_node(struct sim_disk *disk, uint32_t node)
{
    struct sim_node *file = &disk->nodes[node];

    if (file->now.size == 0)
        return;
    if (file->now.storage != file->durable.storage)
        storage_drop(disk, file->now.storage);
    file->now = (struct sim_extent){.storage = storage_new(disk)};
    if (disk->config.flags & REOP_SIM_METADATA_SYNC)
        sim_disk_sync_size(disk, node);
}

int sim_disk_open(struct sim_disk *disk, const char *text, uint32_t flags, uint32_t *node_out)
{
    int error = name_wrong(text);
    uint32_t node;

    if (error < 0)
        return error;
    node = sim_disk_find(disk, text);
    if (node != 0 && (flags & REOP_FILE_EXCLUSIVE))
        return -EEXIST;
    if (node == 0 && !(flags & REOP_FILE_CREATE))
        return -ENOENT;
    if (node == 0)
        error = create_node(disk, text, &node);
    else if (flags & REOP_FILE_TRUNCATE)
        truncate_node(disk, node);
    if (error < 0)
        return error;
    disk->nodes[node].opens++;
    if (disk->config.flags & REOP_SIM_METADATA_SYNC)
        sim_disk_sync_names(disk, node);
    *node_out = node;
    return 0;
}

void sim_disk_close(struct sim_disk *disk, uint32_t node)
{
    if (--disk->nodes[node].opens == 0)
        collect_nodes(disk);
}

int sim_disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    uint32_t node = sim_disk_find(disk, from), change;
    struct sim_name *place;
    int error = name_wrong(to);

    if (error < 0 || node == 0)
        return error < 0 ? error : -ENOENT;
    if (strcmp(from, to) == 0)
        return 0;
    place = name_place(disk, to);
    if (place == NULL)
        return -ENOSPC;
    change = ++disk->change_last;
    trace(disk, SIM_EVENT_RENAME, node, 0, 0, 0);
    name_set(disk, place, node, change);
    name_set(disk, name_find(disk, from), 0, change);
    if (disk->config.flags & REOP_SIM_METADATA_SYNC)
        sim_disk_sync_names(disk, node);
    collect_nodes(disk);
    return 0;
}

int sim_disk_remove(struct sim_disk *disk, const char *text)
{
    uint32_t node = sim_disk_find(disk, text);

    if (node == 0)
        return -ENOENT;
    trace(disk, SIM_EVENT_REMOVE, node, 0, 0, 0);
    name_set(disk, name_find(disk, text), 0, ++disk->change_last);
    if (disk->config.flags & REOP_SIM_METADATA_SYNC)
        sim_disk_sync_names(disk, node);
    collect_nodes(disk);
    return 0;
}

/* --- crash ------------------------------------------------------------------------------- */

static bool same_group(const struct sim_disk *disk, uint32_t one, uint32_t other)
{
    const struct sim_sector *a = &disk->sectors[one], *b = &disk->sectors[other];

    return other != 0 && a->write == b->write && a->storage == b->storage &&
           (b->state & SIM_DIRTY) &&
           a->index / sectors_per_unit(disk) == b->index / sectors_per_unit(disk);
}

/* The node whose current sectors these are; 0: a truncated one's. */
static uint32_t node_of(const struct sim_disk *disk, uint32_t storage)
{
    for (uint32_t i = 1; i <= disk->node_count; i++)
        if (disk->nodes[i].used && disk->nodes[i].now.storage == storage)
            return i;
    return 0;
}

static uint32_t count_groups(const struct sim_disk *disk)
{
    uint32_t count = 0;

    for (uint32_t i = disk->cached_first; i != 0; i = disk->sectors[i].later)
        count +=
            (disk->sectors[i].state & SIM_DIRTY) && !same_group(disk, i, disk->sectors[i].later);
    return count;
}

static enum sim_event_kind fate(struct sim_disk *disk, uint32_t *kept_left)
{
    bool kept;

    if (disk->config.flags & REOP_SIM_ORDERED) {
        kept = *kept_left > 0;
        *kept_left -= kept;
        return kept ? SIM_EVENT_KEPT : SIM_EVENT_LOST;
    }
    if (sim_tape_chance(&disk->tape, disk->config.garbage))
        return SIM_EVENT_GARBAGE;
    return sim_tape_choose(&disk->tape, 2) == 1 ? SIM_EVENT_KEPT : SIM_EVENT_LOST;
}

static void settle(struct sim_disk *disk, uint32_t sector, enum sim_event_kind kind)
{
    uint64_t random = disk->sectors[sector].write ^ disk->sectors[sector].index << 32;
    unsigned char *cache = cache_of(disk, sector);

    for (uint32_t i = 0; kind == SIM_EVENT_GARBAGE && i < disk->config.sector_size; i++)
        cache[i] = (unsigned char) sim_tape_random(&random);
    if (kind == SIM_EVENT_LOST)
        uncache(disk, sector);
    else
        sector_store(disk, sector);
}

static void settle_sectors(struct sim_disk *disk)
{
    uint32_t kept_left = disk->config.flags & REOP_SIM_ORDERED
                             ? sim_tape_choose(&disk->tape, count_groups(disk) + 1)
                             : 0;
    enum sim_event_kind kind = SIM_EVENT_LOST;
    bool begins = true;

    while (disk->cached_first != 0) {
        uint32_t sector = disk->cached_first;
        uint64_t index = disk->sectors[sector].index;

        if (!(disk->sectors[sector].state & SIM_DIRTY)) { /* called clean, and never stored */
            uncache(disk, sector);
            begins = true;
            continue;
        }
        if (begins) {
            kind = fate(disk, &kept_left);
            disk->stats.units_kept += kind == SIM_EVENT_KEPT;
            disk->stats.units_lost += kind == SIM_EVENT_LOST;
            disk->stats.units_garbage += kind == SIM_EVENT_GARBAGE;
            trace(disk, kind, node_of(disk, disk->sectors[sector].storage), 0,
                  index * disk->config.sector_size, disk->config.sector_size);
        }
        begins = !same_group(disk, sector, disk->sectors[sector].later);
        settle(disk, sector, kind);
    }
}

static void settle_size(struct sim_disk *disk, uint32_t node)
{
    struct sim_node *file = &disk->nodes[node];
    bool kept;

    if (file->now.storage == file->durable.storage && file->now.size == file->durable.size)
        return;
    kept = sim_tape_choose(&disk->tape, 2) == 1;
    disk->stats.metadata_kept += kept;
    disk->stats.metadata_lost += !kept;
    trace(disk, kept ? SIM_EVENT_SIZE_KEPT : SIM_EVENT_SIZE_LOST, node, 0, file->now.size,
          file->durable.size);
    if (kept) {
        sim_disk_sync_size(disk, node);
        return;
    }
    if (file->now.storage != file->durable.storage)
        storage_drop(disk, file->now.storage);
    file->now = file->durable;
    if (!(disk->config.flags & REOP_SIM_STALE_TAIL))
        storage_cut(disk, file->now.storage, file->now.size);
}

static void settle_names(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->config.file_count; i++) {
        struct sim_name *name = &disk->names[i];
        uint32_t change = name->change;
        bool kept;

        if (name->now == name->durable)
            continue;
        kept = sim_tape_choose(&disk->tape, 2) == 1;
        disk->stats.metadata_kept += kept;
        disk->stats.metadata_lost += !kept;
        trace(disk, kept ? SIM_EVENT_NAME_KEPT : SIM_EVENT_NAME_LOST,
              name->now != 0 ? name->now : name->durable, 0, 0, 0);
        if (kept)
            keep_change(disk, change);
        for (uint32_t j = i; j < disk->config.file_count; j++)
            if (disk->names[j].change == change)
                disk->names[j].now = disk->names[j].durable;
    }
}

void sim_disk_crash(struct sim_disk *disk)
{
    settle_sectors(disk);
    for (uint32_t i = 1; i <= disk->node_count; i++) {
        if (disk->nodes[i].used)
            settle_size(disk, i);
        disk->nodes[i].opens = 0;
    }
    settle_names(disk);
    collect_nodes(disk);
}
