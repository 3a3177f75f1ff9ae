/* SPDX-License-Identifier: MIT
 *
 * Threads against the pool's own freelist.h and lane.h. Every op is stamped with its owner when it
 * is taken, and carries plain bytes that only its owner touches, so that two owners are seen here
 * and a missing order is seen by TSan. Each thread uses its own lane and, now and then, the shared
 * one.
 *
 * freelist_stress quota|greedy THREADS SLOTS CAPACITY BITS_SHIFT MORE MILLISECONDS SEED
 *
 * quota: all threads together hold less than the slab promises, at any instant, so one NULL is one
 * too many. MORE is added to the promise: 0 is the truth, and much must fail. greedy: they take
 * what they get, and NULL must have been seen.
 */
#include "lane.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX   8u
#define SLOTS_MAX     65536u
#define PAYLOAD_WORDS 8u

struct stamp {
    _Atomic uint32_t owner; /* 0: nobody */
    uint32_t payload[PAYLOAD_WORDS];
};

struct thread {
    alignas(128) uint32_t id; /* from 1 */
    uint64_t random;
    uint32_t quota;
    struct reop_lane *lane;
    uint32_t *mine;
    uint32_t count;
    uint64_t calls, empty_count, refill_count, spill_count;
    pthread_t thread;
};

static struct slot slots[SLOTS_MAX];
static struct stamp stamps[SLOTS_MAX];
static struct freelist freelist;
static struct reop_lane *shared;
static struct thread threads[THREADS_MAX];
static uint32_t slot_count, capacity, bits_shift;
static atomic_bool stop, stamp_wrong;
static bool greedy;

static bool double_expected;
static jmp_buf double_seen;

void check_failed(const char *format, ...)
{
    if (double_expected)
        longjmp(double_seen, 1);
    printf("FAIL the library's own check: %s\n", format);
    exit(1);
}

static uint32_t draw(struct thread *self, uint32_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (uint32_t) (self->random >> 20) % below;
}

static bool stamp(uint32_t index, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&stamps[index].owner, &from, to,
                                                   memory_order_relaxed, memory_order_relaxed);
}

static void take(struct thread *self, struct reop_lane *lane)
{
    bool refills = lane_count(lane) == 0;
    reop_op *op = lane_acquire(lane);
    uint32_t index;

    if (op == NULL) {
        self->empty_count++;
        return;
    }
    self->refill_count += refills;
    index = lane_index_of(lane, op);
    if (!stamp(index, 0, self->id))
        stamp_wrong = true;
    for (uint32_t i = 0; i < PAYLOAD_WORDS; i++)
        stamps[index].payload[i] = self->id + i;
    self->mine[self->count++] = index;
}

static void give(struct thread *self, struct reop_lane *lane, uint32_t at)
{
    uint32_t index = self->mine[at];

    self->mine[at] = self->mine[--self->count];
    for (uint32_t i = 0; i < PAYLOAD_WORDS; i++)
        if (stamps[index].payload[i] != self->id + i)
            stamp_wrong = true;
    if (!stamp(index, self->id, 0))
        stamp_wrong = true;
    self->spill_count += lane_count(lane) == lane->capacity;
    lane_release(lane, &slots[index].op);
}

static void *run(void *argument)
{
    struct thread *self = argument;
    bool filling = true;

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct reop_lane *lane = draw(self, 10) == 0 ? shared : self->lane;

        self->calls++;
        if (draw(self, 64) == 0)
            filling = !filling;
        if (self->count < self->quota && (self->count == 0 || draw(self, 4) != filling * 3u))
            take(self, lane);
        else if (self->count != 0)
            give(self, lane, draw(self, self->count));
    }
    while (self->count != 0)
        give(self, self->lane, 0);
    return NULL;
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = aligned_alloc(128, (count * size + 127) / 128 * 128);

    if (memory == NULL)
        exit(2);
    return memset(memory, 0, (count * size + 127) / 128 * 128);
}

static struct reop_lane *lane_create(uint32_t lane_capacity, uint32_t home)
{
    struct reop_lane *lane =
        zeroed(1, sizeof(struct reop_lane) + lane_capacity * sizeof(reop_op *));

    lane_init(lane, NULL, slots, &freelist, lane_capacity, home);
    return lane;
}

static void slab_create(uint32_t thread_count, uint32_t promise, uint64_t seed)
{
    uint32_t word_count = freelist_word_count(slot_count, bits_shift);

    freelist_init(&freelist, zeroed(freelist_line_count(word_count), sizeof(struct freelist_line)),
                  zeroed(freelist_dry_count(word_count) + 1, sizeof(uint64_t)), slot_count,
                  bits_shift);
    shared = lane_create(0, 0);
    for (uint32_t i = 0; i < thread_count; i++) {
        threads[i].id = i + 1;
        threads[i].random = seed + i * UINT64_C(0x9E3779B97F4A7C15);
        threads[i].quota = greedy ? slot_count : promise / thread_count;
        threads[i].lane = lane_create(capacity, i * word_count / thread_count);
        threads[i].mine = zeroed(slot_count + 1, sizeof(uint32_t));
    }
}

/* One free op is given once more: the freelist must notice. */
static bool double_release_is_seen(void)
{
    struct slot *slot = lane_acquire(shared);

    lane_release(shared, slot);
    double_expected = true;
    if (setjmp(double_seen) != 0)
        return true;
    lane_release(shared, slot);
    return false;
}

static int judge(uint32_t thread_count)
{
    uint64_t calls = 0, empty_count = 0, refill_count = 0, spill_count = 0;
    uint32_t home = freelist_free_count(&freelist);
    bool noticed;

    for (uint32_t i = 0; i < thread_count; i++) {
        home += lane_count(threads[i].lane);
        calls += threads[i].calls;
        empty_count += threads[i].empty_count;
        refill_count += threads[i].refill_count;
        spill_count += threads[i].spill_count;
    }
    noticed = double_release_is_seen();
    printf("calls %llu; empty %llu, refill %llu, spill %llu, double %d: ",
           (unsigned long long) calls, (unsigned long long) empty_count,
           (unsigned long long) refill_count, (unsigned long long) spill_count, noticed);
    if (stamp_wrong)
        printf("FAIL an op had two owners\n");
    else if (home != slot_count)
        printf("FAIL %u ops of %u came home\n", home, slot_count);
    else if (!greedy && empty_count != 0)
        printf("FAIL NULL while fewer ops were held than promised\n");
    else if (!noticed)
        printf("FAIL a double release was not noticed\n");
    else if ((greedy && empty_count == 0) || refill_count == 0 || spill_count == 0)
        printf("FAIL an outcome never occurred\n");
    else
        return printf("PASS\n"), 0;
    return 1;
}

int main(int argc, char **argv)
{
    uint32_t thread_count, promise;
    struct timespec duration;
    uint64_t seed;

    if (argc != 9) {
        fprintf(stderr,
                "usage: %s quota|greedy THREADS SLOTS CAPACITY BITS_SHIFT MORE MILLISECONDS SEED\n",
                argv[0]);
        return 2;
    }
    greedy = strcmp(argv[1], "greedy") == 0;
    thread_count = (uint32_t) atoi(argv[2]);
    slot_count = (uint32_t) atoi(argv[3]);
    capacity = (uint32_t) atoi(argv[4]);
    bits_shift = (uint32_t) atoi(argv[5]);
    promise = slot_count - thread_count * capacity + (uint32_t) atoi(argv[6]);
    duration.tv_sec = atoi(argv[7]) / 1000;
    duration.tv_nsec = atoi(argv[7]) % 1000 * 1000000L;
    seed = strtoull(argv[8], NULL, 10);
    if (thread_count > THREADS_MAX || slot_count > SLOTS_MAX || promise < thread_count ||
        (capacity && 1u << bits_shift > capacity) || seed == 0) {
        fprintf(stderr, "%s: no such slab\n", argv[0]);
        return 2;
    }
    slab_create(thread_count, promise, seed);
    for (uint32_t i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i].thread, NULL, run, &threads[i]) != 0)
            return 2;
    nanosleep(&duration, NULL);
    stop = true;
    for (uint32_t i = 0; i < thread_count; i++)
        pthread_join(threads[i].thread, NULL);
    return judge(thread_count);
}
