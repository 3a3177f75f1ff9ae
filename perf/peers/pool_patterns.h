/* SPDX-License-Identifier: MIT
 *
 * Six ways to use a pool, timed the same way for every peer. Each step takes an object, writes to
 * its first line and gives it back; the answer is nanoseconds per step. The peer's functions are
 * constants to the compiler, so that each pattern calls them directly.
 *
 *   i    one thread, the object just given back is taken again
 *   ii   one thread, 32 out at any time, first out first back
 *   iii  two threads, each as in i
 *   rnd  one thread, 512 out at any time, a random one is replaced
 *   iv   one thread takes, another gives back, handed over one by one
 *   biv  the same in batches of 32
 */
#ifndef POOL_PATTERNS_H
#define POOL_PATTERNS_H

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATTERN_OBJECTS     1024u
#define PATTERN_OBJECT_SIZE 256u
#define PATTERN_BATCH       32u
#define PATTERN_FIFO        32u
#define PATTERN_LIVE        512u
#define PATTERN_LOOKS       200u /* before giving way */
#define PATTERN_QUEUE       256u /* hand-over: a power of two, less than PATTERN_OBJECTS */

#define PATTERN_INLINE static inline __attribute__((always_inline))

enum pattern { PATTERN_I, PATTERN_II, PATTERN_III, PATTERN_RND, PATTERN_IV, PATTERN_BIV };
#define PATTERN_COUNT 6

static const char *const pattern_names[PATTERN_COUNT] = {"i", "ii", "iii", "rnd", "iv", "biv"};
static const uint32_t pattern_steps[PATTERN_COUNT] = {2000000, 2000000, 2000000,
                                                      1000000, 1000000, 2000000};

/* door: what a thread needs to take and give; the peer's own business. */
struct peer {
    void *(*take)(void *door);
    void (*give)(void *door, void *object);
    void (*take_batch)(void *door, void *objects[PATTERN_BATCH]);
    void (*give_batch)(void *door, void *objects[PATTERN_BATCH]);
};

/* One producer, one consumer. Each side keeps what it last saw of the other, and looks again only
 * when that is used up; and whoever has to wait then waits for half a queue, since a look takes the
 * cache line away from the other side. So a line moves once per many objects, as in any good queue
 * of this kind, and what is left to see is the pool. */
struct pattern_queue {
    alignas(128) _Atomic uint32_t written;
    alignas(128) _Atomic uint32_t read;
    alignas(128) void *objects[PATTERN_QUEUE];
};

struct pattern_run {
    enum pattern pattern;
    uint32_t steps;
    void *doors[2];
    struct pattern_queue queue;
    alignas(128) atomic_uint ready;
    struct {
        alignas(128) int64_t start_ns;
        int64_t end_ns;
    } thread[2];
};

static inline int64_t pattern_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void pattern_touch(void *object, uint64_t value)
{
    /* Volatile: a compiler knows malloc and would leave out what nobody reads. */
    *(volatile uint64_t *) (void *) ((unsigned char *) object + 32) =
        value; /* where an op has user */
}

static inline void pattern_pause(void)
{
#if defined(__x86_64__)
    for (uint32_t i = 0; i < 8; i++)
        __builtin_ia32_pause();
#endif
}

/* Until the other side's count has come to least. On a busy machine the other side may not be
 * running at all, and spinning would keep it from that. */
static inline uint32_t pattern_await(_Atomic uint32_t *count, uint32_t least)
{
    uint32_t seen = atomic_load_explicit(count, memory_order_acquire);

    for (uint32_t looks = 1; (int32_t) (seen - least) < 0; looks++) {
        if (looks < PATTERN_LOOKS)
            pattern_pause();
        else
            sched_yield();
        seen = atomic_load_explicit(count, memory_order_acquire);
    }
    return seen;
}

static inline uint64_t pattern_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

PATTERN_INLINE void pattern_lifo(const struct peer *peer, void *door, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        void *object = peer->take(door);

        pattern_touch(object, i);
        peer->give(door, object);
    }
}

PATTERN_INLINE void pattern_fifo(const struct peer *peer, void *door, uint32_t steps)
{
    void *out[PATTERN_FIFO];

    for (uint32_t i = 0; i < PATTERN_FIFO; i++)
        out[i] = peer->take(door);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t at = i % PATTERN_FIFO;

        peer->give(door, out[at]);
        out[at] = peer->take(door);
        pattern_touch(out[at], i);
    }
    for (uint32_t i = 0; i < PATTERN_FIFO; i++)
        peer->give(door, out[i]);
}

PATTERN_INLINE void pattern_live(const struct peer *peer, void *door, uint32_t steps)
{
    void *out[PATTERN_LIVE];
    uint64_t random = 88172645463325252u;

    for (uint32_t i = 0; i < PATTERN_LIVE; i++)
        out[i] = peer->take(door);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t at = (uint32_t) (pattern_random(&random) % PATTERN_LIVE);

        peer->give(door, out[at]);
        out[at] = peer->take(door);
        pattern_touch(out[at], i);
    }
    for (uint32_t i = 0; i < PATTERN_LIVE; i++)
        peer->give(door, out[i]);
}

/* Both sides move `at_once` objects per look at the other side. */
PATTERN_INLINE void pattern_producer(const struct peer *peer, struct pattern_run *run,
                                     uint32_t at_once)
{
    struct pattern_queue *queue = &run->queue;
    void *objects[PATTERN_BATCH];
    uint32_t read = 0;

    for (uint32_t written = 0; written < run->steps; written += at_once) {
        if (at_once == 1)
            objects[0] = peer->take(run->doors[0]);
        else
            peer->take_batch(run->doors[0], objects);
        for (uint32_t i = 0; i < at_once; i++)
            pattern_touch(objects[i], written);
        if (written + at_once - read > PATTERN_QUEUE)
            read = pattern_await(&queue->read, written - PATTERN_QUEUE / 2);
        for (uint32_t i = 0; i < at_once; i++)
            queue->objects[(written + i) % PATTERN_QUEUE] = objects[i];
        atomic_store_explicit(&queue->written, written + at_once, memory_order_release);
    }
}

PATTERN_INLINE void pattern_consumer(const struct peer *peer, struct pattern_run *run,
                                     uint32_t at_once)
{
    struct pattern_queue *queue = &run->queue;
    void *objects[PATTERN_BATCH];
    uint32_t written = 0;

    for (uint32_t read = 0; read < run->steps; read += at_once) {
        if (written == read)
            written = pattern_await(&queue->written, read + PATTERN_QUEUE / 2 < run->steps
                                                         ? read + PATTERN_QUEUE / 2
                                                         : run->steps);
        for (uint32_t i = 0; i < at_once; i++)
            objects[i] = queue->objects[(read + i) % PATTERN_QUEUE];
        if (at_once == 1)
            peer->give(run->doors[1], objects[0]);
        else
            peer->give_batch(run->doors[1], objects);
        atomic_store_explicit(&queue->read, read + at_once, memory_order_release);
    }
}

PATTERN_INLINE void pattern_side(const struct peer *peer, struct pattern_run *run, uint32_t side)
{
    switch (run->pattern) {
    case PATTERN_I:
    case PATTERN_III:
        pattern_lifo(peer, run->doors[side], run->steps);
        break;
    case PATTERN_II:
        pattern_fifo(peer, run->doors[side], run->steps);
        break;
    case PATTERN_RND:
        pattern_live(peer, run->doors[side], run->steps);
        break;
    case PATTERN_IV:
        side == 0 ? pattern_producer(peer, run, 1) : pattern_consumer(peer, run, 1);
        break;
    case PATTERN_BIV:
        side == 0 ? pattern_producer(peer, run, PATTERN_BATCH)
                  : pattern_consumer(peer, run, PATTERN_BATCH);
        break;
    }
}

static inline void pattern_pin(uint32_t processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* best effort */
}

static inline uint32_t pattern_sides(enum pattern pattern)
{
    return pattern == PATTERN_III || pattern >= PATTERN_IV ? 2 : 1;
}

PATTERN_INLINE void pattern_thread(const struct peer *peer, struct pattern_run *run, uint32_t side)
{
    uint32_t sides = pattern_sides(run->pattern);

    pattern_pin(side);
    atomic_fetch_add(&run->ready, 1);
    while (atomic_load(&run->ready) < sides) {
        /* both start at once */
    }
    run->thread[side].start_ns = pattern_now_ns();
    pattern_side(peer, run, side);
    run->thread[side].end_ns = pattern_now_ns();
}

/* second is pattern_thread() of this peer for side 1, as a thread's function; the caller is side 0.
 */
PATTERN_INLINE double pattern_run(const struct peer *peer, enum pattern pattern, uint32_t steps,
                                  void *doors[2], void *(*second)(void *run))
{
    static struct pattern_run run;
    pthread_t thread;
    int64_t start_ns, end_ns;

    memset(&run, 0, sizeof run);
    run.pattern = pattern;
    run.steps = steps / PATTERN_BATCH * PATTERN_BATCH;
    run.doors[0] = doors[0];
    run.doors[1] = doors[1];
    if (pattern_sides(pattern) == 2 && pthread_create(&thread, NULL, second, &run) != 0) {
        perror("pthread_create");
        exit(1);
    }
    pattern_thread(peer, &run, 0);
    start_ns = run.thread[0].start_ns;
    end_ns = run.thread[0].end_ns;
    if (pattern_sides(pattern) == 2) {
        pthread_join(thread, NULL);
        if (run.thread[1].start_ns < start_ns)
            start_ns = run.thread[1].start_ns;
        if (run.thread[1].end_ns > end_ns)
            end_ns = run.thread[1].end_ns;
    }
    return (double) (end_ns - start_ns) / run.steps;
}

PATTERN_INLINE double pattern_time(const struct peer *peer, enum pattern pattern, void *doors[2],
                                   void *(*second)(void *run))
{
    pattern_run(peer, pattern, pattern_steps[pattern] / 8, doors, second); /* warms up */
    return pattern_run(peer, pattern, pattern_steps[pattern], doors, second);
}

#endif
