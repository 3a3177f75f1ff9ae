/* SPDX-License-Identifier: MIT
 *
 * reop soak: runs an engine for a long time and checks that nothing is lost, mixed up, leaked or
 * getting slower. A child process does the work and stops at the first thing that is wrong; its
 * parent watches it, and everything that is worth knowing lies in memory that they share, so that a
 * crash or a hang can still be told from the outside.
 *
 *   soak.c            the command: starts the child, watches it, says how it ended
 *   soak_options.c    the command line
 *   soak_plan.c       which phases come in which order, by the seed
 *   soak_report.c     what is printed and appended to the report
 *   soak_judge.c      verdicts that need statistics: memory, latency
 *   soak_child.c      in the child: sets up, conducts the phases, watches the clock of each op
 *   soak_driver.c     an op's life: acquire, submit, cancel, reap, release, each with its checks
 *   soak_phase.c      what the driving threads do in a phase
 *   soak_lifecycle.c  opening, closing, creating, destroying, filling up
 *   soak_audit.c      what has to add up when nothing is in flight
 *   soak_block.c      the blocks on the disk: what they hold and what they should
 *   soak_etw_*.c      the trace session beside it
 */
#ifndef REOP_SOAK_H
#define REOP_SOAK_H

#include "histogram.h"
#include "options.h"
#include "platform.h"
#include "process.h"

#include <stdatomic.h>
#include <stdio.h>

#define SOAK_DRIVERS 2u /* threads that submit and reap; one where the engine takes one only */
#define SOAK_THREADS (SOAK_DRIVERS + 1) /* and the conductor */
#define SOAK_POOLS   2u                 /* of small buffers and of huge ones */
#define SOAK_ENGINES 2u                 /* one that is sound, one with faults */
#define SOAK_OPS_MAX 512u
#define SOAK_TRAIL   8u   /* steps kept of each op, a power of two */
#define SOAK_EVENTS  256u /* kept of each thread, a power of two */
#define SOAK_SERIES  512u /* points of a series; when they are used up every other one goes */
#define SOAK_RAN     64u
#define SOAK_NS      INT64_C(1000000000)

enum soak_defect {
    SOAK_DEFECT_NONE,
    SOAK_DEFECT_LEAK,
    SOAK_DEFECT_LOST,
    SOAK_DEFECT_OVERWRITE,
    SOAK_DEFECT_MALLOC,
    SOAK_DEFECT_DESCRIPTOR,
    SOAK_DEFECTS
};
extern const char *const soak_defect_names[SOAK_DEFECTS];

struct soak_options {
    const char *folder;
    const char *report; /* NULL: none */
    int64_t duration_ns;
    int64_t limit_ns; /* an op that takes longer is lost */
    uint64_t seed;
    uint64_t first_phase;
    uint32_t backend; /* enum reop_backend */
    uint32_t read_percent;
    uint32_t defect;
    double fault_share;
    bool quick, json;
};

enum options_verdict soak_options_read(int argc, char *argv[], struct soak_options *options_out);

/* --- the plan --- */

enum soak_kind {
    SOAK_STEADY,
    SOAK_BURST,
    SOAK_IDLE,
    SOAK_CANCEL_STORM,
    SOAK_TINY,
    SOAK_HUGE,
    SOAK_FAULTS,
    SOAK_LIFECYCLE,
    SOAK_KINDS,
    SOAK_READ_BACK = SOAK_KINDS /* the end: every block */
};
extern const char *const soak_kind_names[SOAK_KINDS + 1];

/* Phase number, from 0: each round has every kind once, in an order of its own. */
enum soak_kind soak_plan_kind(uint64_t seed, uint64_t number);
int64_t soak_plan_length_ns(const struct soak_options *options);
/* Of the duration, what is kept for reading everything back. */
int64_t soak_plan_reserve_ns(const struct soak_options *options);

/* --- what parent and child share --- */

enum soak_step {
    SOAK_STEP_NONE,
    SOAK_STEP_ACQUIRE,
    SOAK_STEP_SUBMIT,
    SOAK_STEP_AGAIN, /* submitted once more, for the rest or for a second look */
    SOAK_STEP_CANCEL,
    SOAK_STEP_REAP,
    SOAK_STEP_RELEASE,
    SOAK_STEP_PHASE,
    SOAK_STEP_QUIET,
    SOAK_STEP_OPEN,
    SOAK_STEP_CREATE,
    SOAK_STEP_DESTROY,
    SOAK_STEPS
};
extern const char *const soak_step_names[SOAK_STEPS];

/* All of it relaxed: written by one thread, or, a trail, by two that may meet at a cancel; read by
 * the parent when the writers are dead or stopped. */
struct soak_event {
    _Atomic int64_t ns;
    _Atomic int64_t detail;
    _Atomic uint32_t
        other; /* a thread's event: the op's number, or UINT32_MAX; an op's: the thread */
    _Atomic uint32_t step;
};

enum soak_state { SOAK_FREE, SOAK_HELD, SOAK_IN_FLIGHT };

/* Our book of an op: what it should be doing. */
struct soak_op {
    reop_op *op; /* set when it was first acquired, in the child's addresses */
    _Atomic uint32_t state;
    _Atomic uint64_t use;        /* of the last launch */
    _Atomic uint64_t cancel_use; /* the newest launch that somebody asked to cancel */
    _Atomic int64_t submit_ns;

    uint32_t pool, target, driver;
    uint32_t kind; /* enum reop_kind */
    uint32_t block, block_count;
    uint32_t size, done; /* bytes */
    int64_t post;        /* what a post has to come back with */
    uint64_t checksum;   /* of what is written */
    uint32_t tries;
    bool looked_again;

    _Atomic uint32_t trail_count;
    struct soak_event trail[SOAK_TRAIL];
};

/* Counted by one thread each. */
struct soak_tally {
    _Atomic uint64_t acquired[SOAK_POOLS], released[SOAK_POOLS];
    _Atomic uint64_t submitted[SOAK_ENGINES], completed[SOAK_ENGINES];
    _Atomic uint64_t reads, writes, syncs, posts;
    _Atomic uint64_t bytes_read, bytes_written, blocks_checked;
    _Atomic uint64_t cancels, cancelled, too_late; /* asked; came back so; asked of a past launch */
    _Atomic uint64_t shorts, faults; /* transfers that were continued; injected errors */
    _Atomic uint64_t opened, closes_refused, engines, filled_up;
};
#define SOAK_TALLY_FIELDS (sizeof(struct soak_tally) / sizeof(_Atomic uint64_t))

enum soak_check {
    SOAK_CONSERVATION,
    SOAK_LOST,
    SOAK_REUSE,
    SOAK_DATA,
    SOAK_ALLOCATIONS,
    SOAK_MEMORY,
    SOAK_HANDLES,
    SOAK_DRIFT,
    SOAK_COUNTERS,
    SOAK_LIFECYCLES,
    SOAK_ETW,
    SOAK_CHECKS,
    SOAK_ENVIRONMENT = SOAK_CHECKS, /* no check: it could not be run, or not go on */
};
extern const char *const soak_check_names[SOAK_CHECKS + 1];

struct soak_series {
    uint32_t count, every, skipped; /* of every so many points the last is kept */
    double x[SOAK_SERIES], y[SOAK_SERIES];
};

enum soak_stage { SOAK_SETTING_UP, SOAK_WARMING_UP, SOAK_RUNNING, SOAK_READING_BACK, SOAK_DONE };

struct soak_shared {
    struct soak_options options; /* where a started child reads them again, only for the record */
    int64_t start_ns;

    /* From the parent. */
    _Atomic bool stop;

    /* From the child. */
    _Atomic uint32_t stage; /* enum soak_stage */
    _Atomic uint64_t beats[SOAK_THREADS];
    _Atomic uint32_t drivers;
    _Atomic uint64_t phase; /* number of the one that runs */
    _Atomic uint32_t kind;  /* its kind */
    _Atomic uint64_t phases, audits;
    _Atomic uint32_t ran[SOAK_RAN]; /* the kinds of the first phases, from 1; 0: not yet */
    _Atomic int64_t measured_ns;    /* since the warm-up ended */
    _Atomic int64_t allocations;    /* since then, without the excused; -1: not known */
    _Atomic uint64_t excused;       /* those while an engine was created and destroyed */
    _Atomic uint64_t blocks_total, blocks_wrapped;
    _Atomic uint64_t use_highest, use_started;
    _Atomic uint64_t unreadable; /* blocks that an injected fault keeps from being read back */
    char backend[16], why[512], notes[256];
    struct process_usage baseline, usage;

    _Atomic uint32_t op_count;
    struct soak_op ops[SOAK_OPS_MAX];
    struct soak_tally tallies[SOAK_THREADS];
    _Atomic uint32_t event_counts[SOAK_THREADS];
    struct soak_event events[SOAK_THREADS][SOAK_EVENTS];

    struct histogram latency[SOAK_DRIVERS]; /* of steady phases, reads and writes of the one file */
    struct soak_series memory;              /* seconds, KiB */
    struct soak_series drift;               /* seconds, mean ns of the steady phases */
    struct soak_series delay; /* seconds, ns by which the machine woke the conductor late */

    /* The first failure. */
    _Atomic bool failed;
    _Atomic bool told; /* the rest of it is complete */
    _Atomic uint32_t failed_check;
    uint32_t failed_op; /* its number, or UINT32_MAX */
    char failure[1024];
};

/* --- judging, in the parent --- */

enum soak_verdict { SOAK_PASS, SOAK_FAIL, SOAK_UNJUDGED };

struct soak_judgement {
    enum soak_verdict verdict;
    char words[256];
};
void soak_judge(const struct soak_shared *shared, struct soak_judgement judgements[SOAK_CHECKS]);
uint64_t soak_sum(const struct soak_shared *shared, size_t field_offset);
#define SOAK_SUM(shared, field) soak_sum((shared), offsetof(struct soak_tally, field))

/* --- reporting, in the parent --- */

const char *soak_op_kind(uint32_t kind); /* of enum reop_kind, what is used here */

enum soak_end {
    SOAK_ENDED,   /* it went through */
    SOAK_STOPPED, /* by a signal to the parent */
    SOAK_FAILED,  /* a check */
    SOAK_HUNG,
    SOAK_CRASHED,
    SOAK_IMPOSSIBLE /* the environment */
};

struct soak_run {
    const struct soak_options *options;
    struct soak_shared *shared;
    struct process child;
    enum soak_end end;
    char end_words[1152];
    uint64_t submitted_before; /* at the last line of the report */
    int64_t line_ns;
    int argc;
    char *const *argv;
};

/* False, and explained. */
bool soak_report_open(const struct soak_options *options);
/* A line each, with one write. False, and explained: it could not be written. */
bool soak_report_begin(const struct soak_run *run);
bool soak_report_progress(struct soak_run *run);
bool soak_report_end(struct soak_run *run, const struct soak_judgement judgements[SOAK_CHECKS]);
/* On a terminal only. */
void soak_report_live(const struct soak_run *run);
void soak_report_live_end(void);
/* To standard error: the op, its trail, the last events, how to repeat it. */
void soak_report_failure(const struct soak_run *run);
void soak_report_print(const struct soak_run *run,
                       const struct soak_judgement judgements[SOAK_CHECKS]);

/* --- the trace session, in the parent --- */

/* Starts a session with the library's provider; words say what came of it. */
void soak_etw_begin(const struct soak_options *options);
void soak_etw_poll(void);
struct soak_judgement soak_etw_end(void);

/* --- the child --- */

/* The child's main. Its exit status: 0, 1 a check failed, 4 the environment. */
int soak_child(void *shared);

#endif
