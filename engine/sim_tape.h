/* SPDX-License-Identifier: MIT
 *
 * The simulated device's decisions, and the account of what came of them. Every choice is read from
 * bytes, from a seeded generator when those have ended, and is recorded, so that any run can be
 * repeated, and shortened by editing its bytes. 0 is always the simplest choice, and a lower byte
 * is never a wilder one.
 */
#ifndef REOP_SIM_TAPE_H
#define REOP_SIM_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_tape {
    uint8_t *bytes; /* what was chosen so far, and before that what is to be chosen */
    uint32_t capacity;
    uint32_t size; /* of what is to be chosen; then the generator */
    uint64_t used; /* may go past capacity, unrecorded */
    uint64_t random;
    bool seeded;
};

static inline uint64_t sim_tape_random(uint64_t *state) /* splitmix64 */
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static inline uint32_t sim_tape_byte(struct sim_tape *tape)
{
    uint64_t at = tape->used++;
    uint8_t byte = 0;

    if (at < tape->size)
        return tape->bytes[at];
    if (tape->seeded)
        byte = (uint8_t) (sim_tape_random(&tape->random) >> 56);
    if (at < tape->capacity)
        tape->bytes[at] = byte;
    return byte;
}

/* 0 to limit - 1, growing with the bytes. Nothing is read where there is no choice. */
static inline uint32_t sim_tape_choose(struct sim_tape *tape, uint32_t limit)
{
    uint64_t drawn = 0, range = 1;

    while (range < limit) {
        drawn = drawn << 8 | sim_tape_byte(tape);
        range <<= 8;
    }
    return limit > 1 ? (uint32_t) (drawn * limit / range) : 0;
}

/* rate times in 65536; the highest draws do it. */
static inline bool sim_tape_chance(struct sim_tape *tape, uint32_t rate)
{
    return rate > 0 && sim_tape_choose(tape, 65536) + rate >= 65536;
}

/* --- the account ------------------------------------------------------------------------- */

enum sim_event_kind {
    SIM_EVENT_OPEN,
    SIM_EVENT_SUBMIT,
    SIM_EVENT_TAKEN,
    SIM_EVENT_DONE,
    SIM_EVENT_FAULT,
    SIM_EVENT_CANCEL,
    SIM_EVENT_CHANGED,
    SIM_EVENT_CRASH,
    SIM_EVENT_RESTART,
    SIM_EVENT_KEPT,
    SIM_EVENT_LOST,
    SIM_EVENT_GARBAGE,
    SIM_EVENT_SIZE_KEPT,
    SIM_EVENT_SIZE_LOST,
    SIM_EVENT_NAME_KEPT,
    SIM_EVENT_NAME_LOST,
    SIM_EVENT_RENAME,
    SIM_EVENT_REMOVE
};

struct sim_event {
    int64_t now_ns;
    uint64_t op;     /* number of the op it is about */
    uint64_t offset; /* or what a kind needs */
    int64_t amount;  /* size, result */
    uint16_t kind;   /* enum sim_event_kind */
    uint16_t detail; /* enum reop_kind, enum reop_fault */
    uint32_t node;   /* the file */
};

struct sim_account {
    struct sim_event *events; /* a ring of the last ones */
    uint32_t capacity;
    uint64_t count;
    int64_t now_ns; /* the device's clock */
};

static inline void sim_account_add(struct sim_account *account, enum sim_event_kind kind,
                                   uint32_t detail, uint32_t node, uint64_t op, uint64_t offset,
                                   int64_t amount)
{
    account->events[account->count++ & (account->capacity - 1)] = (struct sim_event){
        account->now_ns, op, offset, amount, (uint16_t) kind, (uint16_t) detail, node};
}

#endif
