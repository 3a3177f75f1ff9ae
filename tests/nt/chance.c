/* SPDX-License-Identifier: MIT */
#include "chance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    uint8_t tape[CHANCE_TAPE_MAX];   /* what was decided */
    uint8_t counts[CHANCE_TAPE_MAX]; /* between how many */
    uint32_t given;                  /* as many of them were decided before the run */
    uint32_t length;
    bool enumerates;
    bool once; /* an enumeration of the one tape that was asked for */
    uint64_t seed;
    uint64_t state;
    uint64_t timing; /* of chance_one_in, apart so that it moves no decision */
} chance;

static uint64_t mix(uint64_t *state) /* splitmix64 */
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* Two hexadecimal digits a decision. */
static bool read_tape(void)
{
    const char *text = getenv("REOP_NT_TAPE");
    uint32_t size = 0;
    unsigned byte;

    if (text == NULL)
        return false;
    while (size < CHANCE_TAPE_MAX && sscanf(text + (size_t) 2 * size, "%2x", &byte) == 1)
        chance.tape[size++] = (uint8_t) byte;
    chance.given = size;
    return true;
}

void chance_seed(uint64_t seed, uint64_t stream)
{
    chance.given = 0;
    chance.length = 0;
    chance.enumerates = false;
    chance.seed = seed;
    chance.state = seed ^ stream << 32;
    chance.timing = ~chance.state;
    read_tape();
}

void chance_first(void)
{
    chance.given = 0;
    chance.length = 0;
    chance.enumerates = true;
    chance.once = read_tape();
}

void chance_replay(const uint8_t *tape, size_t size)
{
    chance.given = (uint32_t) (size < CHANCE_TAPE_MAX ? size : CHANCE_TAPE_MAX);
    chance.length = 0;
    chance.enumerates = true;
    chance.once = true;
    memcpy(chance.tape, tape, chance.given);
}

bool chance_next(void)
{
    uint32_t last = chance.length;

    if (chance.once)
        return false;
    while (last > 0 && chance.tape[last - 1] + 1 >= chance.counts[last - 1])
        last--;
    if (last == 0)
        return false;
    chance.tape[last - 1]++;
    chance.given = last;
    chance.length = 0;
    return true;
}

static uint32_t draw(const uint32_t weights[], uint32_t count)
{
    uint64_t total = 0, at;
    uint32_t index = 0;

    if (weights == NULL)
        return (uint32_t) (mix(&chance.state) % count);
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    at = mix(&chance.state) % total;
    while (at >= weights[index])
        at -= weights[index++];
    return index;
}

static uint32_t decide(const uint32_t weights[], uint32_t count)
{
    uint32_t index;

    if (count < 2)
        return 0;
    if (chance.length < chance.given)
        index = chance.tape[chance.length] % count;
    else
        index = chance.enumerates ? 0 : draw(weights, count);
    if (chance.length < CHANCE_TAPE_MAX) {
        chance.tape[chance.length] = (uint8_t) index;
        chance.counts[chance.length++] = (uint8_t) count;
    }
    return index;
}

uint32_t chance_pick(uint32_t count)
{
    return decide(NULL, count);
}

uint32_t chance_weighted(const uint32_t weights[], uint32_t count)
{
    return decide(weights, count);
}

bool chance_one_in(uint32_t times)
{
    return times > 0 && !chance.enumerates && mix(&chance.timing) % times == 0;
}

void chance_print(void)
{
    if (!chance.enumerates)
        fprintf(stderr, "again with REOP_TEST_SEED=%llu", (unsigned long long) chance.seed);
    if (chance.length < CHANCE_TAPE_MAX) {
        fprintf(stderr, "%sREOP_NT_TAPE=", chance.enumerates ? "again with " : " or ");
        for (uint32_t i = 0; i < chance.length; i++)
            fprintf(stderr, "%02x", chance.tape[i]);
    }
    fputc('\n', stderr);
}

uint32_t chance_length(void)
{
    return chance.length;
}
