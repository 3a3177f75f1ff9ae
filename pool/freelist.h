/* SPDX-License-Identifier: MIT
 *
 * The free ops of a pool: a set bit in a 64-bit word is a free op. Ops are taken by exchanging a
 * word for 0, or by clearing one bit, and given back by setting bits. There are no links and no
 * tags, so ABA cannot be expressed; and the words lie outside the ops, so a late write of the
 * system into a free op cannot corrupt them.
 *
 * "Empty" is a verdict about one instant. Whoever sets bits then counts up the seq of their span;
 * whoever saw every word at 0 reads every seq again. If none has moved since before the span's
 * words were read, then at the instant between scan and second reading no op was free, save those
 * whose giver had not yet counted, and these are not given back yet. Every atomic here is seq_cst:
 * with acquire and release alone the verdict is wrong under the C11 memory model.
 */
#ifndef REOP_FREELIST_H
#define REOP_FREELIST_H

#include "check.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The interleaving tester makes lines and spans small, and yields before each shared access. */
#ifndef FREELIST_YIELD
#define FREELIST_YIELD()    ((void) 0)
#define FREELIST_LINE_WORDS 7u
#define FREELIST_SPAN_SHIFT 6u /* above 64 lines, spans of 64 lines: 28,672 ops */
#endif

#define FREELIST_BITS_MAX 64u

/* A cache line. seq counts the gifts to the line's words, or, in the first line of a span of many,
 * to the span's. */
struct freelist_line {
    alignas(64) _Atomic uint64_t seq;
    _Atomic uint64_t word[FREELIST_LINE_WORDS];
};

static_assert(sizeof(struct freelist_line) == 64, "a line is a cache line");

/* Constant after init. slot_count <= word_count << bits_shift. */
struct freelist {
    struct freelist_line *lines;
    _Atomic uint64_t *dry; /* per span, the seq at which it was found empty. NULL: small pool */
    uint32_t word_count;
    uint32_t span_count;
    uint32_t span_words;
    uint32_t bits_shift; /* bits used of each word: what one refill takes at most */
};

static inline uint32_t freelist_word_count(uint32_t slot_count, uint32_t bits_shift)
{
    return (uint32_t) (((uint64_t) slot_count + (UINT64_C(1) << bits_shift) - 1) >> bits_shift);
}

static inline uint32_t freelist_line_count(uint32_t word_count)
{
    return (word_count + FREELIST_LINE_WORDS - 1) / FREELIST_LINE_WORDS;
}

/* Entries of dry; 0 for a small pool. */
static inline uint32_t freelist_dry_count(uint32_t word_count)
{
    uint32_t line_count = freelist_line_count(word_count);

    return line_count <= 1u << FREELIST_SPAN_SHIFT
               ? 0
               : (line_count + (1u << FREELIST_SPAN_SHIFT) - 1) >> FREELIST_SPAN_SHIFT;
}

static inline _Atomic uint64_t *freelist_word(const struct freelist *freelist, uint32_t word)
{
    return &freelist->lines[word / FREELIST_LINE_WORDS].word[word % FREELIST_LINE_WORDS];
}

static inline uint32_t freelist_span_of(const struct freelist *freelist, uint32_t word)
{
    return word / freelist->span_words;
}

static inline _Atomic uint64_t *freelist_seq(const struct freelist *freelist, uint32_t span)
{
    return &freelist->lines[span * (freelist->span_words / FREELIST_LINE_WORDS)].seq;
}

/* All slots free. lines and dry are zeroed memory. */
static inline void freelist_init(struct freelist *freelist, struct freelist_line *lines,
                                 _Atomic uint64_t *dry, uint32_t slot_count, uint32_t bits_shift)
{
    uint32_t word_count = freelist_word_count(slot_count, bits_shift);
    uint32_t dry_count = freelist_dry_count(word_count);

    freelist->lines = lines;
    freelist->dry = dry_count ? dry : NULL;
    freelist->word_count = word_count;
    freelist->span_count = dry_count ? dry_count : freelist_line_count(word_count);
    freelist->span_words = FREELIST_LINE_WORDS << (dry_count ? FREELIST_SPAN_SHIFT : 0);
    freelist->bits_shift = bits_shift;
    for (uint32_t span = 0; dry_count && span < dry_count; span++)
        atomic_init(&dry[span], UINT64_MAX); /* a seq that is never reached */
    for (uint32_t word = 0; word < word_count; word++) {
        uint32_t left = slot_count - (word << bits_shift);
        uint32_t bits = left < 1u << bits_shift ? left : 1u << bits_shift;

        atomic_init(freelist_word(freelist, word), UINT64_MAX >> (FREELIST_BITS_MAX - bits));
    }
}

/* Takes bits of one word, all of them or one. 0: it has none. */
static inline uint64_t freelist_take_word(_Atomic uint64_t *word, bool all)
{
    uint64_t seen;

    FREELIST_YIELD();
    seen = atomic_load(word);
    if (seen == 0)
        return 0;
    if (all) {
        FREELIST_YIELD();
        return atomic_exchange(word, 0);
    }
    while (seen != 0) {
        uint64_t bit = UINT64_C(1) << __builtin_ctzll(seen);

        FREELIST_YIELD();
        seen = atomic_fetch_and(word, ~bit);
        if (seen & bit)
            return bit;
    }
    return 0;
}

static inline uint64_t freelist_take_words(const struct freelist *freelist, uint32_t word,
                                           uint32_t end, bool all, uint32_t *word_out)
{
    for (; word < end; word++) {
        uint64_t bits = freelist_take_word(freelist_word(freelist, word), all);

        if (bits != 0) {
            *word_out = word;
            return bits;
        }
    }
    return 0;
}

/* Looks through one span, from the word home on if that is in it. 0: each of its words was seen at
 * 0 after its seq was *seq_out. */
static inline uint64_t freelist_take_span(const struct freelist *freelist, uint32_t span,
                                          uint32_t home, bool all, uint64_t *seq_out,
                                          uint32_t *word_out)
{
    uint32_t first = span * freelist->span_words;
    uint32_t end = first + freelist->span_words;
    uint64_t bits;

    if (end > freelist->word_count)
        end = freelist->word_count;
    if (home < first || home >= end)
        home = first;
    FREELIST_YIELD();
    *seq_out = atomic_load(freelist_seq(freelist, span));
    if (freelist->dry) {
        FREELIST_YIELD();
        if (atomic_load(&freelist->dry[span]) == *seq_out)
            return 0; /* somebody looked since, and only a gift could have changed it */
    }
    bits = freelist_take_words(freelist, home, end, all, word_out);
    if (bits == 0)
        bits = freelist_take_words(freelist, first, home, all, word_out);
    if (bits == 0 && freelist->dry) {
        FREELIST_YIELD();
        atomic_store(&freelist->dry[span], *seq_out);
    }
    return bits;
}

/* Takes free ops, all of one word or just one, from the word home on. 0: at some instant inside the
 * call the freelist was empty. Lock-free: only a gift makes it look again. */
static inline uint64_t freelist_take(const struct freelist *freelist, uint32_t home, bool all,
                                     uint32_t *word_out)
{
    uint64_t seqs_before, seqs_after;

    do {
        uint32_t span = freelist_span_of(freelist, home);

        seqs_before = 0;
        for (uint32_t i = 0; i < freelist->span_count; i++) {
            uint64_t seq;
            uint64_t bits = freelist_take_span(freelist, span, home, all, &seq, word_out);

            if (bits != 0)
                return bits;
            seqs_before += seq;
            if (++span == freelist->span_count)
                span = 0;
        }
        seqs_after = 0; /* each only grows, so equal sums are equal terms */
        for (span = 0; span < freelist->span_count; span++) {
            FREELIST_YIELD();
            seqs_after += atomic_load(freelist_seq(freelist, span));
        }
    } while (seqs_before != seqs_after);
    return 0;
}

/* Sets bits that are clear, so adding is setting; and adding is one instruction where setting with
 * an answer is a loop. The giver counts afterwards. */
static inline void freelist_give(const struct freelist *freelist, uint32_t word, uint64_t bits)
{
    uint64_t before;

    FREELIST_YIELD();
    before = atomic_fetch_add(freelist_word(freelist, word), bits);
    REOP_CHECK((before & bits) == 0, "release of a free op (word %u, bits %llx)", (unsigned) word,
               (unsigned long long) (before & bits));
}

/* Until then what was given to the span does not count as free. */
static inline void freelist_count(const struct freelist *freelist, uint32_t span)
{
    FREELIST_YIELD();
    atomic_fetch_add(freelist_seq(freelist, span), 1);
}

/* Set bits. Nobody else may be at it. */
static inline uint32_t freelist_free_count(const struct freelist *freelist)
{
    uint32_t count = 0;

    for (uint32_t word = 0; word < freelist->word_count; word++)
        count += (uint32_t) __builtin_popcountll(atomic_load(freelist_word(freelist, word)));
    return count;
}

#endif
