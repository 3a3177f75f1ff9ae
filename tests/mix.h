/* SPDX-License-Identifier: MIT
 *
 * Ops of every sort, mixed by chance: what succeeds, what fails, what is cancelled, rejected,
 * exhausted and timed out. Asserts nothing and allocates nothing while it runs, so that it can be
 * run where allocating is counted or forbidden.
 */
#ifndef MIX_H
#define MIX_H

#include "fixture.h"

#define MIX_OPS 24u

/* How often each thing happened. */
struct mix_counts {
    uint64_t ops; /* accepted, and come back */
    uint64_t succeeded;
    uint64_t failed; /* not counting cancelled */
    uint64_t cancelled;
    uint64_t rejected;    /* -EINVAL */
    uint64_t too_deep;    /* -EAGAIN */
    uint64_t exhausted;   /* no op to be had */
    uint64_t waits_over;  /* reop_acquire_wait() timed out */
    uint64_t reaps_over;  /* reop_reap() timed out */
    uint64_t unsupported; /* -ENOTSUP: pieces, on some systems */
    uint64_t reopened;    /* files opened and closed */
    uint64_t wrong;
};

struct mix {
    struct fixture fixture;
    reop_lane *lane; /* a private one */
    reop_file *readable, *writable, *slow;
    struct fixture_pipe pipe;
    uint64_t random;
    uint64_t in_flight;
    struct mix_counts counts;
};

void mix_open(struct mix *mix, const struct fixture_backend *backend, uint64_t seed);
/* Until this many ops have come back. */
void mix_run(struct mix *mix, uint64_t ops);
/* Every sort of outcome was reached, and nothing was wrong. */
void mix_expect_all(const struct mix *mix);
void mix_print(const struct mix *mix);
void mix_close(struct mix *mix);

#endif
