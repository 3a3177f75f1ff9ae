/* SPDX-License-Identifier: MIT */
#include "soak_block.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC  UINT64_C(0x6b616f73706f6572) /* "reopsoak" */
#define SECTOR 512u

struct header {
    uint64_t checksum; /* of all behind it */
    uint64_t magic, seed;
    uint64_t index; /* of the block in its file */
    uint32_t sequence, writer;
    uint64_t header_checksum; /* of the header between the two */
};

_Static_assert(sizeof(struct header) == SOAK_BLOCK_HEADER, "what is read of a block alone");

static uint64_t header_checksum(const struct header *header)
{
    return XXH3_64bits(&header->magic,
                       offsetof(struct header, header_checksum) - offsetof(struct header, magic));
}

/* Each sector has its own, so that a block of two writes does not look like one. */
void soak_block_fill(unsigned char *data, uint64_t seed, uint64_t index, uint32_t sequence,
                     uint32_t writer)
{
    struct header header = {
        .magic = MAGIC, .seed = seed, .index = index, .sequence = sequence, .writer = writer};

    header.header_checksum = header_checksum(&header);
    memcpy(data, &header, sizeof header);
    for (uint32_t at = SECTOR; at < SOAK_BLOCK; at += SECTOR) {
        uint64_t stamp = header.header_checksum + at;

        memcpy(data + at, &stamp, sizeof stamp);
    }
    header.checksum =
        XXH3_64bits(data + sizeof header.checksum, SOAK_BLOCK - sizeof header.checksum);
    memcpy(data, &header.checksum, sizeof header.checksum);
}

static bool all_zero(const unsigned char *data, uint32_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* By the difference: sequence numbers pass their end. */
static bool later(uint32_t a, uint32_t b)
{
    return (int32_t) (a - b) > 0;
}

enum soak_finding soak_block_judge(const unsigned char *data, uint32_t size, uint64_t seed,
                                   uint64_t index, const struct soak_block *block,
                                   uint32_t *sequence_out)
{
    struct header header;

    memcpy(&header, data, sizeof header);
    *sequence_out = SOAK_SEQUENCE_FIRST;
    if (all_zero(data, size))
        return block->acked == SOAK_SEQUENCE_FIRST ? SOAK_BLOCK_GOOD : SOAK_BLOCK_LOST;
    if (header.magic != MAGIC || header.header_checksum != header_checksum(&header))
        return SOAK_BLOCK_TORN;
    if (size == SOAK_BLOCK && header.checksum != XXH3_64bits(data + sizeof header.checksum,
                                                             SOAK_BLOCK - sizeof header.checksum))
        return SOAK_BLOCK_TORN;
    if (header.seed != seed)
        return SOAK_BLOCK_FOREIGN;
    if (header.index != index)
        return SOAK_BLOCK_MISDIRECTED;
    *sequence_out = header.sequence;
    if (later(block->acked, header.sequence))
        return SOAK_BLOCK_OLD;
    return later(header.sequence, block->attempted) ? SOAK_BLOCK_EARLY : SOAK_BLOCK_GOOD;
}

const char *soak_block_words(enum soak_finding finding)
{
    static const char *const words[] = {
        [SOAK_BLOCK_GOOD] = "is as it should be",
        [SOAK_BLOCK_LOST] = "LOST WRITE: is empty, though a write of it was acknowledged",
        [SOAK_BLOCK_TORN] = "TORN: its checksum is wrong",
        [SOAK_BLOCK_MISDIRECTED] = "MISDIRECTED: holds a block that belongs elsewhere",
        [SOAK_BLOCK_FOREIGN] = "FOREIGN: holds a block of another file or run",
        [SOAK_BLOCK_OLD] = "OLD: holds an earlier write than the last acknowledged one",
        [SOAK_BLOCK_EARLY] = "EARLY: holds a write that has not been made",
    };

    return words[finding];
}

void soak_block_describe(const unsigned char *data, char words[SOAK_BLOCK_WORDS])
{
    struct header header;

    memcpy(&header, data, sizeof header);
    if (header.magic == MAGIC)
        snprintf(words, SOAK_BLOCK_WORDS,
                 "block %" PRIu64 ", sequence %" PRIu32 ", writer %" PRIu32 ", seed %" PRIu64,
                 header.index, header.sequence, header.writer, header.seed);
    else
        snprintf(words, SOAK_BLOCK_WORDS, "no header: begins with %016" PRIx64 " %016" PRIx64,
                 header.checksum, header.magic);
}
