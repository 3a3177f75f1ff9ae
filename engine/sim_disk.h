/* SPDX-License-Identifier: MIT
 *
 * What the simulated device holds: files of sectors, each as the medium has it and as the cache
 * has it, and what of the difference a crash leaves.
 *
 *     a node is a file; its extent (sectors and size) and its names exist twice: now, and durable
 *     a sector is on the medium (STORED), in the cache (CACHED), or in both
 *     DIRTY => CACHED; a sector that is neither STORED nor CACHED reads zeroes
 *
 * The list of cached sectors is in order of the writes that dirtied them. Sectors of one write in
 * one atomic unit are neighbours there: a *group*, which becomes durable or is lost as one.
 *
 * Nodes, sectors and storages are numbered from 1, and 0 is none, so that zeroed memory is an empty
 * disk.
 */
#ifndef REOP_SIM_DISK_H
#define REOP_SIM_DISK_H

#include "sim_tape.h"

#include <reop/sim.h>

#define SIM_NAME_SIZE 256u

struct sim_sector {
    uint64_t index; /* in its file */
    uint64_t write; /* number of the write that dirtied it */
    uint32_t storage;
    uint32_t next;    /* of its hash bucket, or free */
    uint32_t sibling; /* next of its storage */
    uint32_t later;   /* in the list of cached sectors */
    uint32_t earlier;
    uint32_t state; /* SIM_STORED... */
};

#define SIM_STORED 1u
#define SIM_CACHED 2u
#define SIM_DIRTY  4u
#define SIM_BAD    8u

struct sim_extent {
    uint32_t storage; /* truncating takes a new one */
    uint64_t size;
};

struct sim_node {
    struct sim_extent now, durable; /* of one storage, or of two */
    uint32_t opens;
    bool used;
    bool named; /* scratch */
};

struct sim_name {
    uint32_t now, durable; /* nodes */
    uint32_t change;       /* names of one change become durable together */
    char text[SIM_NAME_SIZE];
};

struct sim_storage {
    uint32_t first; /* sector, by sibling */
    bool used;
};

struct sim_disk {
    struct reop_sim_config config; /* complete */
    struct sim_tape tape;
    struct sim_account account;
    struct reop_sim_stats stats;
    unsigned char *spare_tapes; /* two of config.tape_size bytes, for sim_search.c */
    uint32_t sector_count, bucket_count, node_count, storage_count;
    struct sim_sector *sectors;
    uint32_t *buckets;   /* a power of two of them */
    unsigned char *data; /* of each sector: the medium's, then the cache's */
    struct sim_node *nodes;
    struct sim_name *names;
    struct sim_storage *storages;
    uint32_t free_sector;  /* a list by next */
    uint32_t fresh_sector; /* this one and above were never used since the reset */
    uint32_t cached_first, cached_last;
    uint32_t change_last;
    uint64_t write_last; /* number of the last write */
    bool adopted; /* a write took over what an earlier one had dirtied; the caller clears it */
    uint64_t sync_last; /* of the last that a sync was asked to make durable */
};

/* Lays the disk out behind at in memory, or, if that is NULL, only answers where it ends.
 * disk->config is set. */
size_t sim_disk_carve(struct sim_disk *disk, unsigned char *memory, size_t at);
void sim_disk_reset(struct sim_disk *disk);

/* 0 and the node, opened; or -errno as open(2) has it. flags: REOP_FILE_... */
int sim_disk_open(struct sim_disk *disk, const char *name, uint32_t flags, uint32_t *node_out);
void sim_disk_close(struct sim_disk *disk, uint32_t node);
uint32_t sim_disk_find(const struct sim_disk *disk, const char *name);
int sim_disk_rename(struct sim_disk *disk, const char *from, const char *to);
int sim_disk_remove(struct sim_disk *disk, const char *name);

/* Where bytes come from and go to. */
struct sim_cursor {
    const struct reop_piece *pieces;
    size_t at; /* in the first of them */
};

/* A part of a file, and the number of the write that it is about. */
struct sim_range {
    uint32_t node;
    uint64_t offset;
    uint64_t size;
    uint64_t write;
};

/* Into the cache. Answers how many bytes there was room for. */
uint64_t sim_disk_write(struct sim_disk *disk, struct sim_range range, struct sim_cursor from);
void sim_disk_extend(struct sim_disk *disk, uint32_t node, uint64_t size);
/* The range is within the file. False: a bad sector. */
bool sim_disk_read(struct sim_disk *disk, struct sim_range range, struct sim_cursor to);

/* Of what a write left dirty: called clean without being stored; given to a later write, so that a
 * sync of earlier ones misses it; made durable, the earlier ones too if the device keeps order. */
void sim_disk_forget(struct sim_disk *disk, struct sim_range range);
void sim_disk_postpone(struct sim_disk *disk, struct sim_range range, uint64_t later);
void sim_disk_store(struct sim_disk *disk, struct sim_range range);

void sim_disk_spoil(struct sim_disk *disk, struct sim_range range); /* one sector is bad from now */
void sim_disk_flip(struct sim_disk *disk, struct sim_range range);  /* one bit */

/* Makes durable what writes up to this number left dirty in a node. dropped: calls it clean. */
void sim_disk_sync(struct sim_disk *disk, uint32_t node, uint64_t write, bool dropped);
void sim_disk_sync_size(struct sim_disk *disk, uint32_t node);
void sim_disk_sync_names(struct sim_disk *disk, uint32_t node);

/* Only what is durable remains, and of the rest what the tape leaves. Nothing is open after it. */
void sim_disk_crash(struct sim_disk *disk);

/* sim.c: the disk of an engine on the sim. NULL: of no other. */
struct sim_disk *sim_disk_of(const reop_engine *engine);

#endif
