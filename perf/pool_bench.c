/* SPDX-License-Identifier: MIT
 *
 * The pool through reop.h against mimalloc, the C library's malloc and a floor, in the patterns of
 * peers/pool_patterns.h. Every round times every peer once, so that what disturbs the machine
 * disturbs all of them; reop is timed twice a round, and the ratio of the two (A/A) says how far
 * the other ratios can be trusted. Every sample is a process of its own: what a pattern costs an
 * allocator depends on the heap that the patterns before it left behind. (Pattern ii does: its 32
 * objects are what a fresh mimalloc page is extended to, and it costs twice what 33 would.)
 */
#define _GNU_SOURCE

#include "peers/pool_floor.h"
#include "peers/pool_patterns.h"

#include <reop/reop.h>

#include <mimalloc.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 1000u

/* From MALLOC on each is a program of its own, pool_<name>, beside this one. Those from TREIBER on
 * are built by perf/run compare only, and left out where they are not. */
enum contender { REOP, REOP_AGAIN, MIMALLOC, FLOOR, MALLOC, TREIBER, CK, BOOST };
#define CONTENDERS 8

static const char *const contender_names[CONTENDERS] = {
    "reop", "reop_again", "mimalloc", "floor", "malloc", "treiber", "ck", "boost"};
static const double targets[PATTERN_COUNT] = {3, 3, 3, 1.7, 4, 6}; /* mimalloc over reop */

/* --- reop -------------------------------------------------------------------------------- */

PATTERN_INLINE void *reop_peer_take(void *door)
{
    return reop_acquire(door);
}

PATTERN_INLINE void reop_peer_give(void *door, void *object)
{
    reop_release(door, object);
}

PATTERN_INLINE void reop_peer_take_batch(void *door, void *objects[PATTERN_BATCH])
{
    uint32_t count = 0;

    while (count < PATTERN_BATCH) /* NULL only when as many as the pool has are out */
        count +=
            reop_acquire_many(door, (reop_op **) (void *) objects + count, PATTERN_BATCH - count);
}

PATTERN_INLINE void reop_peer_give_batch(void *door, void *objects[PATTERN_BATCH])
{
    reop_release_many(door, (reop_op *const *) (void *) objects, PATTERN_BATCH);
}

static const struct peer reop_peer = {reop_peer_take, reop_peer_give, reop_peer_take_batch,
                                      reop_peer_give_batch};

static void *reop_second(void *run)
{
    pattern_thread(&reop_peer, run, 1);
    return NULL;
}

static double time_reop(enum pattern pattern)
{
    reop_pool_config config = {
        .op_count = PATTERN_OBJECTS, .lane_count = 2, .context_size = PATTERN_OBJECT_SIZE - 128};
    reop_pool *pool;
    double ns;

    if (reop_pool_create(&config, &pool) != 0)
        return -1;
    ns = pattern_time(&reop_peer, pattern,
                      (void *[2]){reop_pool_lane(pool, 0), reop_pool_lane(pool, 1)}, reop_second);
    return reop_pool_destroy(pool) == 0 ? ns : -1;
}

/* --- mimalloc ---------------------------------------------------------------------------- */

PATTERN_INLINE void *mimalloc_take(void *door)
{
    (void) door;
    return mi_malloc(PATTERN_OBJECT_SIZE);
}

PATTERN_INLINE void mimalloc_give(void *door, void *object)
{
    (void) door;
    mi_free(object);
}

PATTERN_INLINE void mimalloc_take_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        objects[i] = mimalloc_take(door);
}

PATTERN_INLINE void mimalloc_give_batch(void *door, void *objects[PATTERN_BATCH])
{
    for (uint32_t i = 0; i < PATTERN_BATCH; i++)
        mimalloc_give(door, objects[i]);
}

static const struct peer mimalloc_peer = {mimalloc_take, mimalloc_give, mimalloc_take_batch,
                                          mimalloc_give_batch};

static void *mimalloc_second(void *run)
{
    pattern_thread(&mimalloc_peer, run, 1);
    return NULL;
}

static double time_mimalloc(enum pattern pattern)
{
    return pattern_time(&mimalloc_peer, pattern, (void *[2]){NULL, NULL}, mimalloc_second);
}

/* --- floor ------------------------------------------------------------------------------- */

PATTERN_INLINE void *floor_peer_take(void *door)
{
    return floor_take(door);
}

PATTERN_INLINE void floor_peer_give(void *door, void *object)
{
    floor_give(door, object);
}

PATTERN_INLINE void floor_peer_take_batch(void *door, void *objects[PATTERN_BATCH])
{
    floor_take_many(door, objects, PATTERN_BATCH);
}

PATTERN_INLINE void floor_peer_give_batch(void *door, void *objects[PATTERN_BATCH])
{
    floor_give_many(door, objects, PATTERN_BATCH);
}

static const struct peer floor_peer = {floor_peer_take, floor_peer_give, floor_peer_take_batch,
                                       floor_peer_give_batch};

static void *floor_second(void *run)
{
    pattern_thread(&floor_peer, run, 1);
    return NULL;
}

static double time_floor(enum pattern pattern)
{
    struct floor *first = floor_create();
    struct floor *second = first ? floor_second_door(first) : NULL;

    return second ? pattern_time(&floor_peer, pattern, (void *[2]){first, second}, floor_second)
                  : -1;
}

/* --- samples ----------------------------------------------------------------------------- */

static void program_of(enum contender contender, const char *folder, char program[4096])
{
    snprintf(program, 4096, "%.4000spool_%s", folder, contender_names[contender]);
}

static bool present(enum contender contender, const char *folder)
{
    char program[4096];

    program_of(contender, folder, program);
    return contender < TREIBER || access(program, X_OK) == 0;
}

static _Noreturn void child(enum contender contender, enum pattern pattern, const char *folder)
{
    char program[4096];
    double ns = -1;

    program_of(contender, folder, program);
    switch (contender) {
    case REOP:
    case REOP_AGAIN:
        ns = time_reop(pattern);
        break;
    case MIMALLOC:
        ns = time_mimalloc(pattern);
        break;
    case FLOOR:
        ns = time_floor(pattern);
        break;
    case MALLOC:
    case TREIBER:
    case CK:
    case BOOST:
        execl(program, program, pattern_names[pattern], (char *) NULL);
        perror(program);
        break;
    }
    printf("%.3f\n", ns);
    fflush(stdout);
    _exit(ns < 0);
}

/* Ends the program when a peer cannot be timed. */
static double sample(enum contender contender, enum pattern pattern, const char *folder)
{
    int ends[2], status = -1;
    double ns = -1;
    FILE *output;
    pid_t pid;

    fflush(stdout); /* or the child would print it too */
    if (pipe(ends) != 0 || (pid = fork()) < 0) {
        perror("pool_bench");
        exit(1);
    }
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        child(contender, pattern, folder);
    }
    close(ends[1]);
    output = fdopen(ends[0], "r");
    if (output == NULL || fscanf(output, "%lf", &ns) != 1)
        ns = -1;
    waitpid(pid, &status, 0);
    if (output)
        fclose(output);
    if (status != 0 || ns < 0) {
        fprintf(stderr, "pool_bench: %s could not be timed\n", contender_names[contender]);
        exit(1);
    }
    return ns;
}

/* --- rounds ------------------------------------------------------------------------------ */

static double samples[PATTERN_COUNT][CONTENDERS][ROUNDS_MAX];

static int by_value(const void *left, const void *right)
{
    double a = *(const double *) left, b = *(const double *) right;

    return (a > b) - (a < b);
}

static double quantile(enum pattern pattern, enum contender contender, uint32_t rounds, double q)
{
    return samples[pattern][contender][(uint32_t) (q * (rounds - 1) + 0.5)];
}

static double median(enum pattern pattern, enum contender contender, uint32_t rounds)
{
    return quantile(pattern, contender, rounds, 0.5);
}

static void time_round(uint32_t round, const char *folder, const char *only)
{
    static const enum contender order[CONTENDERS] = {REOP,   MIMALLOC, FLOOR, REOP_AGAIN,
                                                     MALLOC, TREIBER,  CK,    BOOST};

    for (uint32_t pattern = 0; pattern < PATTERN_COUNT; pattern++)
        for (uint32_t i = 0; i < CONTENDERS; i++)
            if (present(order[i], folder) && (!only || strcmp(only, pattern_names[pattern]) == 0))
                samples[pattern][order[i]][round] = sample(order[i], pattern, folder);
}

static void sort_samples(uint32_t rounds)
{
    for (uint32_t pattern = 0; pattern < PATTERN_COUNT; pattern++)
        for (uint32_t contender = 0; contender < CONTENDERS; contender++)
            qsort(samples[pattern][contender], rounds, sizeof(double), by_value);
}

/* --- report ------------------------------------------------------------------------------ */

static double ratio(enum pattern pattern, enum contender over, uint32_t rounds)
{
    return median(pattern, over, rounds) / median(pattern, REOP, rounds);
}

static void print_table(uint32_t rounds)
{
    printf("ns per acquire, touch, release; median [p10 p90] of %u interleaved rounds\n\n", rounds);
    printf("%-4s %-19s %-19s %-19s %-19s %9s %6s %6s %8s %8s %8s\n", "", "reop", "mimalloc",
           "malloc", "floor", "mi/reop", "target", "A/A", "treiber", "ck", "boost");
    for (uint32_t pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        static const enum contender columns[] = {REOP, MIMALLOC, MALLOC, FLOOR};

        printf("%-4s", pattern_names[pattern]);
        for (uint32_t i = 0; i < sizeof columns / sizeof *columns; i++)
            printf(" %6.2f [%5.1f %5.1f]", median(pattern, columns[i], rounds),
                   quantile(pattern, columns[i], rounds, 0.1),
                   quantile(pattern, columns[i], rounds, 0.9));
        printf(" %9.2f %6.1f %6.2f", ratio(pattern, MIMALLOC, rounds), targets[pattern],
               ratio(pattern, REOP_AGAIN, rounds));
        for (uint32_t i = TREIBER; i < CONTENDERS; i++) /* 0: not built */
            printf(" %8.2f", median(pattern, i, rounds));
        printf("\n");
    }
}

/* A line per sample, as perf/compare/table.awk reads them: workload, contender, metric, round,
 * value.
 */
static void print_samples(uint32_t rounds)
{
    for (uint32_t pattern = 0; pattern < PATTERN_COUNT; pattern++)
        for (uint32_t contender = 0; contender < CONTENDERS; contender++)
            for (uint32_t round = 0; round < rounds && samples[pattern][contender][round] > 0;
                 round++)
                printf("pool: %s\t%s\tns\t%u\t%.3f\n", pattern_names[pattern],
                       contender_names[contender], (unsigned) round + 1,
                       samples[pattern][contender][round]);
}

int main(int argc, char **argv)
{
    char folder[4000];
    uint32_t rounds = 21;
    const char *only = NULL; /* the others then stay at 0 */
    bool as_samples = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--samples") == 0) {
            as_samples = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = (uint32_t) strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            rounds = 0;
            break;
        }
    }
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: %s [--samples] [--rounds 1..%u] [--only PATTERN]\n", argv[0],
                ROUNDS_MAX);
        return 2;
    }
    snprintf(folder, sizeof folder, "%.*s",
             strrchr(argv[0], '/') ? (int) (strrchr(argv[0], '/') + 1 - argv[0]) : 0, argv[0]);
    for (uint32_t round = 0; round < rounds; round++)
        time_round(round, folder, only);
    if (as_samples) {
        print_samples(rounds);
        return 0;
    }
    sort_samples(rounds);
    print_table(rounds);
    return 0;
}
