/* SPDX-License-Identifier: MIT
 *
 * A block says on the disk who wrote it, where it belongs and the how-manieth write of its place it
 * is; beside that stands, in memory, what was written last. What is read is held against it.
 */
#ifndef REOP_SOAK_BLOCK_H
#define REOP_SOAK_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SOAK_BLOCK       4096u
#define SOAK_BLOCK_WORDS 160 /* of an explanation */

/* Sequence numbers begin so close to their end that a few writes take them past it. */
#define SOAK_SEQUENCE_FIRST (UINT32_MAX - 2)

/* acked: the last write that was acknowledged. attempted: the last that was begun; those between
 * the two were cancelled or failed, and may have got there or not. No write is under way while
 * anybody else looks: used. Where a write stopped inside the block it holds some of each. */
struct soak_block {
    _Atomic uint32_t used;
    uint32_t acked, attempted;
    bool stopped_inside;
};

enum soak_finding {
    SOAK_BLOCK_GOOD,
    SOAK_BLOCK_LOST,        /* zeroes: an acknowledged write never arrived */
    SOAK_BLOCK_TORN,        /* the checksum is wrong */
    SOAK_BLOCK_MISDIRECTED, /* it belongs elsewhere */
    SOAK_BLOCK_FOREIGN,     /* by another seed or file */
    SOAK_BLOCK_OLD,         /* an earlier write: lost since, or read from a stale cache */
    SOAK_BLOCK_EARLY        /* a write that has not been made yet */
};

/* Fills a block of a write; seed tells runs and files apart. */
void soak_block_fill(unsigned char *data, uint64_t seed, uint64_t index, uint32_t sequence,
                     uint32_t writer);
/* Looks at the first size bytes of a block: all of it, or its header only. */
enum soak_finding soak_block_judge(const unsigned char *data, uint32_t size, uint64_t seed,
                                   uint64_t index, const struct soak_block *block,
                                   uint32_t *sequence_out);
const char *soak_block_words(enum soak_finding finding);
/* What its header says, for people. */
void soak_block_describe(const unsigned char *data, char words[SOAK_BLOCK_WORDS]);
#define SOAK_BLOCK_HEADER 48u

#endif
