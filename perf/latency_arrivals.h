/* SPDX-License-Identifier: MIT
 *
 * When ops are meant to start: a sequence that depends on nothing but rate, kind and seed. So the
 * arrivals that wait for an op need no memory, however many they are: they lie between two cursors
 * on the same sequence, one at the next to be submitted and one at the next to come.
 */
#ifndef REOP_LATENCY_ARRIVALS_H
#define REOP_LATENCY_ARRIVALS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct arrivals {
    uint64_t rate;
    bool poisson;
    uint64_t random;
    int64_t base_ns;
    double elapsed_ns; /* poisson only */
    uint64_t index;    /* of the arrival that next_ns is the time of */
    int64_t next_ns;
};

/* SplitMix64. */
static inline uint64_t arrivals_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline void arrivals_step(struct arrivals *arrivals)
{
    const int64_t second_ns = 1000000000;

    arrivals->index++;
    if (arrivals->poisson) {
        /* 53 bits, and never 0, of which there is no logarithm. */
        double uniform = ((double) (arrivals_random(&arrivals->random) >> 11) + 1) / 0x1p53;

        arrivals->elapsed_ns -= log(uniform) * (double) second_ns / (double) arrivals->rate;
        arrivals->next_ns = arrivals->base_ns + (int64_t) arrivals->elapsed_ns;
    } else {
        /* From the index and not from the time before, so that no rounding adds up. */
        uint64_t seconds = arrivals->index / arrivals->rate;
        uint64_t rest = arrivals->index % arrivals->rate;

        arrivals->next_ns = arrivals->base_ns + (int64_t) seconds * second_ns +
                            (int64_t) (rest * (uint64_t) second_ns / arrivals->rate);
    }
}

static inline void arrivals_begin(struct arrivals *arrivals, uint64_t rate, bool poisson,
                                  uint64_t seed, int64_t base_ns)
{
    *arrivals = (struct arrivals){
        .rate = rate, .poisson = poisson, .random = seed, .base_ns = base_ns, .next_ns = base_ns};
}

#endif
