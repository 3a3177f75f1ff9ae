/* SPDX-License-Identifier: MIT
 *
 * Of reop soak, what can be tried without an engine: the judgement of a block, around the end of
 * its sequence numbers above all, and the plan of phases. tests/soak_test runs the command itself.
 */
#include "soak.h"
#include "soak_block.h"

#include <criterion/criterion.h>

#include <string.h>

#define FILE_SEED 77u
#define INDEX     5u

static unsigned char block[SOAK_BLOCK];

static enum soak_finding judge(uint32_t acked, uint32_t attempted)
{
    struct soak_block book = {.acked = acked, .attempted = attempted};
    uint32_t sequence;

    return soak_block_judge(block, SOAK_BLOCK, FILE_SEED, INDEX, &book, &sequence);
}

static void fill(uint32_t sequence)
{
    soak_block_fill(block, FILE_SEED, INDEX, sequence, 1);
}

Test(soak_block, between_acknowledged_and_attempted_is_good)
{
    fill(10);
    cr_assert_eq(judge(10, 10), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(8, 12), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(11, 12), SOAK_BLOCK_OLD);
    cr_assert_eq(judge(8, 9), SOAK_BLOCK_EARLY);
}

Test(soak_block, order_survives_the_end_of_the_sequence_numbers)
{
    fill(UINT32_MAX);
    cr_assert_eq(judge(UINT32_MAX, UINT32_MAX), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(UINT32_MAX - 1, 1), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(0, 1), SOAK_BLOCK_OLD);
    fill(0);
    cr_assert_eq(judge(UINT32_MAX, 0), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(1, 1), SOAK_BLOCK_OLD);
    cr_assert_eq(judge(UINT32_MAX - 1, UINT32_MAX), SOAK_BLOCK_EARLY);
}

Test(soak_block, empty_is_good_only_before_the_first_write)
{
    memset(block, 0, sizeof block);
    cr_assert_eq(judge(SOAK_SEQUENCE_FIRST, SOAK_SEQUENCE_FIRST), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(SOAK_SEQUENCE_FIRST, SOAK_SEQUENCE_FIRST + 1), SOAK_BLOCK_GOOD);
    cr_assert_eq(judge(SOAK_SEQUENCE_FIRST + 1, SOAK_SEQUENCE_FIRST + 1), SOAK_BLOCK_LOST);
}

Test(soak_block, any_bit_that_is_flipped_is_found)
{
    for (unsigned bit = 0; bit < SOAK_BLOCK * 8; bit += 7) {
        fill(10);
        block[bit / 8] ^= (unsigned char) (1u << bit % 8);
        cr_assert_eq(judge(10, 10), SOAK_BLOCK_TORN, "bit %u", bit);
    }
}

/* Of another write each: every sector has its own stamp. */
Test(soak_block, half_a_block_is_torn)
{
    static unsigned char other[SOAK_BLOCK];

    for (unsigned at = 512; at < SOAK_BLOCK; at += 512) {
        fill(10);
        memcpy(other, block, sizeof other);
        fill(11);
        memcpy(block + at, other + at, SOAK_BLOCK - at);
        cr_assert_eq(judge(10, 11), SOAK_BLOCK_TORN, "at %u", at);
    }
}

Test(soak_block, what_belongs_elsewhere_is_told_apart)
{
    soak_block_fill(block, FILE_SEED, INDEX + 1, 10, 1);
    cr_assert_eq(judge(10, 10), SOAK_BLOCK_MISDIRECTED);
    soak_block_fill(block, FILE_SEED + 1, INDEX, 10, 1);
    cr_assert_eq(judge(10, 10), SOAK_BLOCK_FOREIGN);
}

Test(soak_plan, each_round_has_each_kind_once)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        for (uint64_t round = 0; round < 20; round++) {
            unsigned seen = 0;

            for (uint64_t i = 0; i < SOAK_KINDS; i++)
                seen |= 1u << soak_plan_kind(seed, round * SOAK_KINDS + i);
            cr_assert_eq(seen, (1u << SOAK_KINDS) - 1, "seed %u, round %u", (unsigned) seed,
                         (unsigned) round);
        }
    }
}

Test(soak_plan, seeds_and_rounds_differ)
{
    unsigned same = 0;

    for (uint64_t seed = 0; seed < 100; seed++)
        same += soak_plan_kind(seed, 0) == soak_plan_kind(seed + 1, 0) &&
                soak_plan_kind(seed, 0) == soak_plan_kind(seed, SOAK_KINDS);
    cr_assert_lt(same, 10); /* one in 64 by chance */
}
