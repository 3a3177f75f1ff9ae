/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE

#include "peer.h"

#include "histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct job job = {.path = "/dev/null",
                         .mode = "",
                         .block_size = 4096,
                         .depth = 32,
                         .threads = 1,
                         .open_flags = O_WRONLY | O_CLOEXEC,
                         .region_size = 1 << 30,
                         .file_count = 1,
                         .engine_count = 1};
static uint64_t op_count = 100000, warm_count = UINT64_MAX;
static pthread_barrier_t barrier;

struct thread {
    pthread_t thread;
    uint32_t index;
    int64_t start_ns;
    int64_t end_ns;
    struct histogram *histogram;
};

static _Thread_local struct histogram *histogram;

void peer_fail(const char *what, long long error)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
            strerror((int) (error < 0 ? -error : error)));
    exit(1);
}

unsigned char *peer_buffers(const struct job *of)
{
    size_t size = (size_t) of->block_size * of->depth;
    void *buffers = NULL;
    int error = posix_memalign(&buffers, 4096, size);

    if (error != 0)
        peer_fail("buffers", error);
    memset(buffers, 0x5a, size);
    return buffers;
}

int peer_open_file(const struct job *of)
{
    int fd = open(of->path, of->open_flags);

    if (fd < 0)
        peer_fail(of->path, errno);
    return fd;
}

void peer_record(int64_t ns)
{
    histogram_record(histogram, ns);
}

static void *run(void *argument)
{
    struct thread *thread = argument;
    uint64_t count = op_count / job.threads;
    uint64_t warm = warm_count == UINT64_MAX ? count / 8 : warm_count;
    void *state;

    histogram = thread->histogram = calloc(1, sizeof *histogram);
    if (histogram == NULL)
        peer_fail("histogram", ENOMEM);
    state = peer_open(&job, thread->index);
    pthread_barrier_wait(&barrier);
    if (warm > 0)
        peer_run(state, warm);
    memset(histogram, 0, sizeof *histogram);
    pthread_barrier_wait(&barrier);
    thread->start_ns = peer_now_ns();
    peer_run(state, count);
    thread->end_ns = peer_now_ns();
    pthread_barrier_wait(&barrier); /* nobody tears down what another still uses */
    peer_close(state);
    return NULL;
}

static void merge(struct histogram *into, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_COUNTERS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    into->sum_ns += from->sum_ns;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
}

static void report(const struct thread *threads)
{
    static struct histogram all;
    int64_t start_ns = INT64_MAX, end_ns = 0;

    for (uint32_t i = 0; i < job.threads; i++) {
        start_ns = threads[i].start_ns < start_ns ? threads[i].start_ns : start_ns;
        end_ns = threads[i].end_ns > end_ns ? threads[i].end_ns : end_ns;
        merge(&all, threads[i].histogram);
    }
    printf("ns %.3f\n",
           (double) (end_ns - start_ns) / (double) (op_count / job.threads * job.threads));
    if (!job.timed)
        return;
    printf("p50_ns %lld\np99_ns %lld\np999_ns %lld\nmax_ns %lld\n",
           (long long) histogram_percentile_ns(&all, 50),
           (long long) histogram_percentile_ns(&all, 99),
           (long long) histogram_percentile_ns(&all, 99.9), (long long) all.max_ns);
}

static uint64_t number(const char *word, const char *text, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > max) {
        fprintf(stderr, "%s: %s %s: not a whole number up to %llu\n", program_invocation_short_name,
                word, text, (unsigned long long) max);
        exit(2);
    }
    return value;
}

static void usage(void)
{
    fprintf(stderr,
            "usage: %s [path=/dev/null] [block=4096] [depth=32] [ops=100000] [warm=ops/8]\n"
            "       [threads=1] [region=BYTES] [direct] [durable] [timed] [mode=%s]\n"
            "       scale_reop: [pool=OPS] [files=1] [engines=1]\n",
            program_invocation_short_name, peer_modes);
    exit(2);
}

static void parse_word(const char *word)
{
    const char *value = strchr(word, '=') ? strchr(word, '=') + 1 : "";
    char key[16] = "", padded[40];

    snprintf(key, sizeof key, "%.*s", (int) strcspn(word, "="), word);
    snprintf(padded, sizeof padded, " %s ", value);
    if (strcmp(key, "path") == 0)
        job.path = value;
    else if (strcmp(key, "block") == 0)
        job.block_size = (uint32_t) number(word, value, 1 << 30);
    else if (strcmp(key, "depth") == 0)
        job.depth = (uint32_t) number(word, value, PEER_DEPTH_MAX);
    else if (strcmp(key, "ops") == 0)
        op_count = number(word, value, UINT32_MAX);
    else if (strcmp(key, "warm") == 0)
        warm_count = number(word, value, UINT32_MAX);
    else if (strcmp(key, "threads") == 0)
        job.threads = (uint32_t) number(word, value, 64);
    else if (strcmp(key, "pool") == 0)
        job.pool_size = (uint32_t) number(word, value, UINT32_MAX);
    else if (strcmp(key, "files") == 0)
        job.file_count = (uint32_t) number(word, value, 65536);
    else if (strcmp(key, "engines") == 0)
        job.engine_count = (uint32_t) number(word, value, 256);
    else if (strcmp(key, "region") == 0)
        job.region_size = number(word, value, INT64_MAX);
    else if (strcmp(word, "direct") == 0)
        job.open_flags |= O_DIRECT;
    else if (strcmp(word, "durable") == 0)
        job.open_flags |= O_DSYNC;
    else if (strcmp(word, "timed") == 0)
        job.timed = true;
    else if (strcmp(key, "mode") == 0 && strstr(peer_modes, padded) != NULL)
        job.mode = value;
    else
        usage();
}

int main(int argc, char **argv)
{
    static struct thread threads[64];

    for (int i = 1; i < argc; i++)
        parse_word(argv[i]);
    if (job.depth == 0 || job.threads == 0 || job.block_size == 0 || job.file_count == 0 ||
        job.engine_count == 0)
        usage();
    pthread_barrier_init(&barrier, NULL, job.threads);
    peer_prepare(&job);
    for (uint32_t i = 0; i < job.threads; i++) {
        int error = 0;

        threads[i].index = i;
        if (i > 0 && (error = pthread_create(&threads[i].thread, NULL, run, &threads[i])) != 0)
            peer_fail("thread", error);
    }
    run(&threads[0]);
    for (uint32_t i = 1; i < job.threads; i++)
        pthread_join(threads[i].thread, NULL);
    peer_finish();
    report(threads);
    return 0;
}
