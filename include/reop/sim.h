/* SPDX-License-Identifier: MIT
 *
 * A simulated device for testing code that stores things, and faults for real ones.
 *
 * The device of REOP_BACKEND_SIM is memory that fails on command. Time is virtual: a reap that
 * waits moves the clock on and never sleeps. Every choice the device makes - how long an op takes,
 * when its buffer is read, what fails, what of the unsynced survives a crash - is read from a
 * *tape* of bytes, and from a seeded generator once the tape has ended. 0 is the simplest choice:
 * in order, no fault, least latency, lost at a crash. So a run is repeated by its tape, and a
 * failing one is made short by deleting and lowering bytes: reop_sim_search().
 *
 * What a write may leave behind. It is in the cache from some instant between its submit and its
 * completion, whole or, where it is short, in part. Until a sync makes it durable each *atomic
 * unit* of it survives a crash or does not, on its own. A unit that was written again meanwhile may
 * keep the earlier write. A file's size and its name are lost separately: a reop_sync() of the file
 * makes both durable, one with REOP_SYNC_DATA the size. Where the size is lost and data is not, the
 * file ends at the old size, and reads zeroes there when it grows again.
 *
 * A path is a name of up to 255 bytes in one flat folder; "." and what ends in '/' is a folder.
 */
#ifndef REOP_SIM_H
#define REOP_SIM_H

#include <reop/reop.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- faults ------------------------------------------------------------------------------ */

enum reop_fault {
    REOP_FAULT_NONE,
    REOP_FAULT_EIO,   /* a read's sectors stay bad until they are rewritten; a write or sync does
                       * nothing */
    REOP_FAULT_SHORT, /* a transfer moves less than asked */
    REOP_FAULT_ENOSPC,
    REOP_FAULT_DELAY, /* completes delay_ns later */
    /* The device alone: */
    REOP_FAULT_BIT_FLIP,     /* a read finds one bit flipped, and so does every later read */
    REOP_FAULT_LOST,         /* a write is acknowledged and never reaches the medium */
    REOP_FAULT_MISDIRECTED,  /* a write lands in other sectors of the file */
    REOP_FAULT_DROPPED_SYNC, /* a sync fails and marks the pages clean: no later one writes them */
    REOP_FAULT_COUNT
};

/* How often each happens: times in 65536 ops that it can happen to. Their sum is at most 65536. */
struct reop_faults {
    uint32_t
        rate[REOP_FAULT_COUNT]; /* by enum reop_fault; rate[REOP_FAULT_NONE] is not looked at */
    uint64_t delay_ns;          /* of REOP_FAULT_DELAY; 0: 10 ms */
    uint64_t seed;              /* of reop_engine_faults() */
};

/* Faults over a real backend: EIO, ENOSPC, short transfers, delays. An op that fails so never
 * reaches the system. A short transfer moved everything and reports less; direct files' by whole
 * alignment units; readv, writev and streams are never short. Which op is hit depends on the seed
 * and the order of submits. Call it before the first submit, once. -ENOTSUP: a rate of the device
 * alone, or an engine on the sim, which has its own. Free when it was not called. */
REOP_API int reop_engine_faults(reop_engine *engine, const struct reop_faults *faults);

/* --- the device -------------------------------------------------------------------------- */

#define REOP_SIM_WRITE_THROUGH                                                                     \
    1u                             /* no volatile cache: a direct write is durable when it is done \
                                    */
#define REOP_SIM_IGNORE_SYNC    2u /* syncs succeed and do nothing */
#define REOP_SIM_IGNORE_DURABLE 4u /* REOP_FILE_DURABLE is granted and does nothing */
#define REOP_SIM_ORDERED        8u /* writes become durable in order: a crash cuts the tail */
#define REOP_SIM_METADATA_SYNC  16u /* sizes and names are durable at once */
#define REOP_SIM_STALE_TAIL     32u /* a file that grows again shows what was there, not zeroes */

/* At every op that is submitted, counted from 0 since the last reset. */
struct reop_sim_script {
    uint64_t op;
    uint32_t fault; /* enum reop_fault; it happens if it can happen to such an op */
};

/* A zeroed config is a valid one. What it points to has to outlive the engine. */
struct reop_sim_config {
    uint64_t capacity;    /* bytes that all files together can hold, 0: 4 MiB */
    uint32_t sector_size; /* 512 or 4096, 0: 512; also the alignment of direct files */
    uint32_t atomic_size; /* bytes, aligned to itself, that a crash never tears; 0: a sector; a
                           * power of two up to 64 KiB */
    uint32_t file_count;  /* names, 0: 64; up to 65536 */
    uint32_t flags;       /* REOP_SIM_... */
    uint64_t latency_ns;  /* least, 0: 10 us */
    uint64_t jitter_ns;   /* most on top of it: reorders; 0: none */
    struct reop_faults faults;
    uint32_t
        garbage; /* times in 65536 that a unit which a crash would tear is neither old nor new */
    const struct reop_sim_script *script; /* in order of op */
    uint32_t script_count;
    uint32_t tape_size;   /* bytes of tape a run can have, 0: 16 KiB */
    uint32_t event_count; /* events kept for reop_sim_print(), the last ones; 0: 256 */
};

/* reop_engine_create() with this device. config->backend is AUTO or SIM, and its flags need
 * REOP_ENGINE_SINGLE_THREAD: -ENOTSUP. reop_engine_create() itself takes a zeroed reop_sim_config.
 * Without a tape or a seed every choice is 0. All memory is taken here: about twice the capacity.
 */
REOP_API int reop_sim_create(const reop_engine_config *config, const struct reop_sim_config *device,
                             reop_engine **engine_out);

/* An empty device at time 0, and the choices that it will make. The tape is copied; seed 0: only 0
 * once it has ended. -EBUSY while a file is open or an op in flight; -EINVAL: a tape longer than
 * tape_size. */
REOP_API int reop_sim_reset(reop_engine *engine, const uint8_t *tape, size_t tape_size,
                            uint64_t seed);

/* A choice of your own from the same tape: 0 to limit - 1, and 0 is the simplest. */
REOP_API uint32_t reop_sim_choose(reop_engine *engine, uint32_t limit);

REOP_API int64_t reop_sim_now_ns(reop_engine *engine);
/* Lets the device work on while nobody reaps. */
REOP_API void reop_sim_advance(reop_engine *engine, uint64_t ns);

/* Power is cut: now, or when so many more events have happened (0: never). An event is an op
 * accepted, its buffer taken, or its completion. From then on whatever is in flight comes back with
 * -ENODEV, as does all that is submitted, and nothing can be opened. */
REOP_API void reop_sim_crash(reop_engine *engine);
REOP_API void reop_sim_crash_after(reop_engine *engine, uint64_t events);
REOP_API bool reop_sim_crashed(reop_engine *engine);
/* Power is back. Files opened before have to be closed and opened again: they answer -ENODEV. */
REOP_API void reop_sim_restart(reop_engine *engine);

/* Beside the engine's files, at once, and without a choice or a fault. -ENOENT, -ENOSPC. */
REOP_API int reop_sim_rename(reop_engine *engine, const char *from, const char *to);
REOP_API int reop_sim_remove(reop_engine *engine, const char *name);
REOP_API int reop_sim_store(reop_engine *engine, const char *name, const void *data, size_t size);
/* Bytes copied, at most size. */
REOP_API int64_t reop_sim_load(reop_engine *engine, const char *name, void *data, size_t size);

/* Counts since the last reset. */
struct reop_sim_stats {
    uint64_t events;
    uint64_t ops;
    uint64_t crashes;
    uint64_t units_kept; /* at crashes, of those not durable */
    uint64_t units_lost;
    uint64_t units_garbage;
    uint64_t metadata_kept; /* sizes and names, likewise */
    uint64_t metadata_lost;
    uint64_t faults[REOP_FAULT_COUNT];
    uint64_t cancelled;       /* ops that came back with -ECANCELED */
    uint64_t cancel_lost;     /* ops that a cancel did not stop */
    uint64_t reordered;       /* ops that completed before one submitted earlier */
    uint64_t buffers_changed; /* ops whose buffer was not left alone while they were in flight */
    uint64_t tape_used;       /* bytes of choices */
};
REOP_API void reop_sim_query(reop_engine *engine, struct reop_sim_stats *stats_out);

/* What happened since the last reset, a line at a time, and the tape that makes it happen again. */
REOP_API void reop_sim_print(reop_engine *engine, void (*line)(void *context, const char *text),
                             void *context);

/* --- searching --------------------------------------------------------------------------- */

/* One life of your code on an empty device: opens, writes, crashes, restarts, reads what survived.
 * True: all was as it should be. It has to leave no file open and no op in flight, and to make
 * every choice by reop_sim_choose(). A buffer that was changed in flight fails the trial too. */
typedef bool reop_sim_trial(void *context, reop_engine *engine);

struct reop_sim_found {
    uint64_t seed;       /* of the trial that failed */
    uint64_t trials;     /* until it did, or all of them */
    uint32_t shrinks;    /* trials that the shrinking took */
    size_t size_found;   /* bytes of its tape */
    const uint8_t *tape; /* what is left of them; good until the next reset */
    size_t tape_size;
};

/* Tries the seeds seed, seed + 1 ... 1: one failed, was shrunk and has just been run again, so that
 * reop_sim_print() shows it; 0: none did; -EBUSY: a trial left something open or in flight. A trial
 * that fails only sometimes, or by a tape longer than tape_size, is reported as it was found. */
REOP_API int reop_sim_search(reop_engine *engine, reop_sim_trial *trial, void *context,
                             uint64_t seed, uint64_t trials, struct reop_sim_found *found_out);

/* One trial by a tape in hexadecimal, as reop_sim_print() shows it. 1: it failed; 0; -EINVAL. */
REOP_API int reop_sim_replay(reop_engine *engine, reop_sim_trial *trial, void *context,
                             const char *tape_hex);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* REOP_SIM_H */
