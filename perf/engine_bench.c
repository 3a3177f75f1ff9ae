/* SPDX-License-Identifier: MIT
 *
 * What the engine costs: 4 KiB writes to /dev/null, where the system does next to nothing, beside
 * the loop an expert writes by hand. Every round times every contender once, in turn; the loop is
 * timed twice a round, and the ratio of the two (A/A) says how far the other ratios can be trusted.
 */
#define _GNU_SOURCE

#include "peers/uring_loop.h"

#include <reop/reop.h>

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define BLOCK_SIZE 4096u
#define ROUNDS_MAX 1000u
#define DEPTH_MAX  1024u
#define PATH       "/dev/null"

struct reop_loop {
    reop_pool *pool;
    reop_lane *lane;
    reop_engine *engine;
    reop_file *file;
    uint32_t depth;
};

enum contender { LOOP, LOOP_AGAIN, REUSED, RECYCLED, CONTENDERS };

static const char *const contender_names[CONTENDERS] = {
    "hand-written loop", "the same again (A/A)", "reop, ops reused", "reop, acquire and release"};
static const double targets[CONTENDERS] = {0, 0, 0.95, 0};

static void must(int outcome, const char *what)
{
    if (outcome >= 0)
        return;
    fprintf(stderr, "engine_bench: %s: %s (%s)\n", what, strerror(-outcome), reop_engine_why(NULL));
    exit(1);
}

static struct reop_loop reop_loop_open(uint32_t depth)
{
    struct reop_loop loop = {.depth = depth};
    reop_pool_config pool = {.op_count = depth, .lane_count = 1, .buffer_size = BLOCK_SIZE};
    reop_engine_config engine = {.backend = REOP_BACKEND_URING,
                                 .depth = depth,
                                 .flags = REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER};

    must(reop_pool_create(&pool, &loop.pool), "pool");
    loop.lane = reop_pool_lane(loop.pool, 0);
    engine.pool = loop.pool;
    must(reop_engine_create(&engine, &loop.engine), "engine");
    if (reop_engine_why(loop.engine)[0] != '\0')
        fprintf(stderr, "engine_bench: %s\n", reop_engine_why(loop.engine));
    must(reop_file_open(loop.engine, PATH, REOP_FILE_WRITE, &loop.file), PATH);
    return loop;
}

static void reop_loop_close(struct reop_loop *loop)
{
    must(reop_file_close(loop->file), "close");
    must(reop_engine_destroy(loop->engine), "engine destroy");
    must(reop_pool_destroy(loop->pool), "pool destroy");
}

static inline void queue_block(struct reop_loop *loop, reop_op *op, void *buffer)
{
    reop_status status = reop_write(op, loop->file, buffer, BLOCK_SIZE, 0);

    if (status != REOP_PENDING) {
        fprintf(stderr, "engine_bench: a write was not accepted: %s\n",
                strerror((int) -op->result));
        exit(1);
    }
}

static void reop_loop_run(struct reop_loop *loop, uint64_t op_count, bool recycle)
{
    reop_op *ops[DEPTH_MAX];
    uint64_t queued = 0, done = 0;

    while (queued < loop->depth && queued < op_count) {
        reop_op *op = reop_acquire(loop->lane);

        queue_block(loop, op, reop_op_buffer(op));
        queued++;
    }
    while (done < op_count) {
        int count = reop_reap(loop->engine, ops, loop->depth, REOP_FOREVER);

        must(count, "reap");
        for (int i = 0; i < count; i++) {
            reop_op *op = ops[i];

            if (op->result != BLOCK_SIZE) {
                fprintf(stderr, "engine_bench: a write answered %lld\n", (long long) op->result);
                exit(1);
            }
            done++;
            if (queued == op_count) {
                reop_release(loop->lane, op);
                continue;
            }
            queued++;
            if (recycle) {
                reop_release(loop->lane, op);
                op = reop_acquire(loop->lane);
                queue_block(loop, op, reop_op_buffer(op));
            } else {
                queue_block(loop, op, op->data);
            }
        }
    }
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *) left, b = *(const double *) right;

    return (a > b) - (a < b);
}

static double quantile(double *values, uint32_t count, double q)
{
    qsort(values, count, sizeof *values, compare);
    return values[(uint32_t) (q * (count - 1) + 0.5)];
}

static void run_depth(uint32_t depth, uint32_t rounds, uint64_t op_count, bool json, bool first)
{
    static double ns[CONTENDERS][ROUNDS_MAX], ratio[CONTENDERS][ROUNDS_MAX];
    struct uring_loop *loops[2] = {uring_loop_open(PATH, BLOCK_SIZE, depth),
                                   uring_loop_open(PATH, BLOCK_SIZE, depth)};
    struct reop_loop reop = reop_loop_open(depth);

    if (loops[0] == NULL || loops[1] == NULL)
        exit(1);
    for (uint32_t round = 0; round <= rounds; round++) { /* the first is a warm-up */
        for (uint32_t turn = 0; turn < CONTENDERS; turn++) {
            enum contender contender = (enum contender)((turn + round) % CONTENDERS);
            double start = seconds();

            if (contender == LOOP || contender == LOOP_AGAIN)
                uring_loop_run(loops[contender], op_count);
            else
                reop_loop_run(&reop, op_count, contender == RECYCLED);
            if (round > 0)
                ns[contender][round - 1] = (seconds() - start) * 1e9 / (double) op_count;
        }
    }
    for (int contender = 0; contender < CONTENDERS; contender++)
        for (uint32_t round = 0; round < rounds; round++) /* ops per second, against the loop's */
            ratio[contender][round] = ns[LOOP][round] / ns[contender][round];
    for (int contender = 0; contender < CONTENDERS; contender++) {
        double median = quantile(ratio[contender], rounds, 0.5);
        double low = quantile(ratio[contender], rounds, 0.1);
        double high = quantile(ratio[contender], rounds, 0.9);
        double cost = quantile(ns[contender], rounds, 0.5);

        if (json)
            printf("%s{\"depth\":%u,\"contender\":\"%s\",\"ns_per_op\":%.1f,\"ratio\":%.4f,"
                   "\"ratio_p10\":%.4f,\"ratio_p90\":%.4f}",
                   first && contender == 0 ? "" : ",\n", (unsigned) depth,
                   contender_names[contender], cost, median, low, high);
        else
            printf("%6u  %-26s %8.1f   %6.3f  (%.3f to %.3f)%s\n", (unsigned) depth,
                   contender_names[contender], cost, median, low, high,
                   targets[contender] == 0        ? ""
                   : median >= targets[contender] ? "   at least 0.95: yes"
                                                  : "   at least 0.95: NO");
    }
    reop_loop_close(&reop);
    uring_loop_close(loops[0]);
    uring_loop_close(loops[1]);
}

static const char usage[] =
    "Usage: engine_bench [options]\n"
    "4 KiB writes to /dev/null on one thread: reop (uring, SINGLE_THREAD and DEFER) beside a\n"
    "hand-written liburing loop with registered file, buffers and ring. Ratios are operations per\n"
    "second against the loop of the same round: median, and 10th to 90th percentile of the "
    "rounds.\n"
    "\n"
    "  --rounds N   interleaved rounds, 1 to 1000 (60)\n"
    "  --ops N      writes per contender and round (100000)\n"
    "  --depth N    only this depth, 1 to 1024 (1, 32 and 256)\n"
    "  --json       print one JSON array\n"
    "  --help       this text\n";

static uint64_t number(const char *name, const char *text, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > max) {
        fprintf(stderr, "engine_bench: --%s %s: must be a whole number from 1 to %llu\n", name,
                text, (unsigned long long) max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'}, {"ops", required_argument, NULL, 'o'},
        {"depth", required_argument, NULL, 'd'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {0}};
    uint32_t depths[] = {1, 32, 256};
    uint32_t depth_count = 3, rounds = 60;
    uint64_t op_count = 100000;
    struct utsname system;
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            rounds = (uint32_t) number("rounds", optarg, ROUNDS_MAX);
            break;
        case 'o':
            op_count = number("ops", optarg, UINT32_MAX);
            break;
        case 'd':
            depths[0] = (uint32_t) number("depth", optarg, DEPTH_MAX);
            depth_count = 1;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return 2;
        }
    }
    uname(&system);
    if (json)
        printf("[");
    else
        printf("%s %s, %s; uring; %u rounds of %llu writes\n\n%6s  %-26s %8s   %6s\n",
               system.sysname, system.release, system.machine, (unsigned) rounds,
               (unsigned long long) op_count, "depth", "contender", "ns/op", "ratio");
    for (uint32_t i = 0; i < depth_count; i++)
        run_depth(depths[i], rounds, op_count, json, i == 0);
    if (json)
        printf("]\n");
    return 0;
}
