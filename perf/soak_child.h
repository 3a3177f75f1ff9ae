/* SPDX-License-Identifier: MIT
 *
 * Inside the child of reop soak. Everything is taken before the warm-up ends: pools, engines, files
 * and threads, and all of the books are static.
 */
#ifndef REOP_SOAK_CHILD_H
#define REOP_SOAK_CHILD_H

#include "latency_arrivals.h"
#include "report.h"
#include "soak.h"
#include "soak_block.h"

#define SOAK_EDGE       4096u /* of a buffer, before and behind what is transferred */
#define SOAK_GUARD      64u   /* bytes of it that are looked at each time */
#define SOAK_SMALL_OPS  256u
#define SOAK_SMALL_SIZE (16u * SOAK_BLOCK)
#define SOAK_HUGE_OPS   8u
#define SOAK_HUGE_SIZE  (256u * SOAK_BLOCK)
#define SOAK_REAP_MAX   64u

enum soak_pool { SOAK_SMALL, SOAK_LARGE };
enum soak_engine { SOAK_SOUND, SOAK_FAULTY };
enum soak_target { SOAK_CACHED, SOAK_DIRECT, SOAK_FAILING, SOAK_STORM, SOAK_TARGETS };

struct soak_file {
    const char *name; /* in DIR */
    enum soak_engine engine;
    uint32_t flags;
    uint32_t block_count;
    struct soak_block *blocks;
    reop_file *file;
    char path[4096];
};

struct soak_driver {
    unsigned index;
    uint64_t random;
    int64_t now_ns; /* of the last look at the clock */
    reop_lane *lanes[SOAK_POOLS];
    struct soak_tally *tally;
    struct platform_thread thread;
    _Atomic bool ready;
    _Atomic uint32_t in_flight; /* that it submitted, whoever reaps them */
    _Atomic uint32_t arrived;   /* the last order that it has carried out */
    double steady_sum, steady_count;
};

/* What the drivers are to do. */
struct soak_order {
    _Atomic uint32_t number; /* raised when the rest is set */
    _Atomic uint32_t ended;  /* the number of the order that is over: let come back what is out */
    enum soak_kind kind;
    uint64_t seed;
    bool over; /* no more orders */
};

struct soak_work {
    const struct soak_options *options;
    struct soak_shared *shared;
    reop_pool *pools[SOAK_POOLS];
    reop_engine *engines[SOAK_ENGINES];
    struct soak_file files[SOAK_TARGETS];
    struct soak_driver drivers[SOAK_THREADS]; /* the last is the conductor, who submits nothing */
    unsigned driver_count;
    bool simulated;
    struct soak_order order;
    _Atomic uint32_t in_flight[SOAK_ENGINES];
    int64_t base_allocations;
    bool counts_allocations, measuring, auditing;
    uint64_t aged;               /* launches before the books were opened */
    _Atomic uint64_t defect_ops; /* what the seeded defects count by */
    _Atomic bool defect_done;
};
extern struct soak_work work;

#define SOAK_CONDUCTOR (&work.drivers[SOAK_DRIVERS])

/* --- soak_child.c --- */

/* Writes the failure down and ends the process. op may be NULL. Of several threads the first. */
REPORT_PRINTF(3, 4)
_Noreturn void soak_fail(enum soak_check check, const struct soak_op *op, const char *format, ...);
void soak_note(struct soak_driver *driver, enum soak_step step, struct soak_op *op, int64_t detail);
void soak_beat(struct soak_driver *driver);
/* 0 or -errno. */
int soak_open(struct soak_file *file, uint32_t flags);

static inline void soak_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed); /* one writer; read for reports only */
}

/* --- soak_driver.c --- */

/* NULL: back-pressure. */
struct soak_op *driver_acquire(struct soak_driver *driver, enum soak_pool pool);
void driver_release(struct soak_driver *driver, struct soak_op *op);
/* Claims a run of blocks nobody else uses. False: not this time. */
bool driver_claim(struct soak_driver *driver, struct soak_op *op, enum soak_target target,
                  uint32_t block_count);
bool driver_claim_at(struct soak_op *op, enum soak_target target, uint32_t block,
                     uint32_t block_count);
unsigned char *driver_data(const struct soak_op *op);
/* Each submits an op that was acquired, and what comes of it is seen to by driver_reap(). */
void driver_read(struct soak_driver *driver, struct soak_op *op);
void driver_write(struct soak_driver *driver, struct soak_op *op);
void driver_sync(struct soak_driver *driver, struct soak_op *op, enum soak_target target);
void driver_post(struct soak_driver *driver, struct soak_op *op, enum soak_engine engine);
/* Asks for one of the ops that are in flight, or for an earlier launch of it. */
void driver_cancel_any(struct soak_driver *driver);
/* How many came back. */
int driver_reap(struct soak_driver *driver, enum soak_engine engine, int64_t timeout_ns);
void driver_drain(struct soak_driver *driver);

static inline uint32_t driver_draw(struct soak_driver *driver, uint32_t limit)
{
    return (uint32_t) ((arrivals_random(&driver->random) >> 32) * limit >> 32);
}

/* --- soak_phase.c --- */

void phase_run(struct soak_driver *driver, uint32_t order);

/* --- soak_lifecycle.c --- */

/* One turn of it: opens, closes, creates, destroys. */
void lifecycle_turn(struct soak_driver *driver);
int soak_create_engine(const reop_engine_config *config, bool faulty, uint64_t capacity,
                       reop_engine **engine_out);

/* --- soak_audit.c --- */

void audit_begin(void); /* what it is now is what it has to stay */
void audit(void);       /* nothing is in flight */
void audit_sample(void);
void soak_series_add(struct soak_series *series, double x, double y);

#endif
