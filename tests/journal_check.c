/* SPDX-License-Identifier: MIT
 *
 * How to test the log of journal.c: one trial is one life of it on a simulated device, with a crash
 * somewhere. The promise that is tested: every record that was acknowledged is there after the
 * crash, in order, and nothing that was never appended is.
 */
#include "journal_check.h"

#include "journal.h"

#include <stdio.h>
#include <time.h>

#define RECORDS_MAX 8u

static bool check(struct journal_example *example, struct journal *journal, uint64_t acknowledged,
                  uint64_t appended)
{
    for (uint64_t i = 0; i < journal->end; i++)
        if (journal_read(journal, i) != i + 1)
            return false;
    example->acknowledged += acknowledged;
    example->survived_unacknowledged += journal->end > acknowledged;
    return journal->end >= acknowledged && journal->end <= appended;
}

/* Appends until the power is cut. Answers how many were acknowledged. */
static uint64_t live(struct journal *journal, reop_engine *engine, uint64_t *appended)
{
    uint32_t count = 1 + reop_sim_choose(engine, RECORDS_MAX);
    uint64_t acknowledged = journal->end;

    *appended = journal->end;
    while (count-- > 0 && !reop_sim_crashed(engine)) {
        ++*appended;
        if (!journal_append(journal, *appended))
            break;
        acknowledged = *appended;
    }
    return acknowledged;
}

/* A life, a crash, and another life that checks what the first has left. */
bool journal_trial(void *context, reop_engine *engine)
{
    struct journal_example *example = context;
    struct journal journal = {.ack_too_early = example->with_bug};
    uint64_t acknowledged, appended;
    bool good;

    if (journal_open(&journal, engine, example->lane) != 0)
        return false;
    reop_sim_crash_after(engine, 1 + reop_sim_choose(engine, 64));
    acknowledged = live(&journal, engine, &appended);
    reop_sim_crash(engine); /* if it has not come yet */
    journal_close(&journal);
    reop_sim_restart(engine);
    example->crashes++;

    if (journal_open(&journal, engine, example->lane) != 0)
        return acknowledged == 0; /* cannot be: opening creates it */
    good = check(example, &journal, acknowledged, appended);
    journal_close(&journal);
    return good;
}

static double seconds(void)
{
    return (double) clock() / CLOCKS_PER_SEC;
}

void journal_print_line(void *context, const char *text)
{
    (void) context;
    printf("    %s\n", text);
}

/* The log with the bug has to be caught, soon, and by few events. */
bool journal_find_the_bug(struct journal_example *example)
{
    struct reop_sim_found found;
    double start = seconds();
    int answer;

    example->with_bug = true;
    answer = reop_sim_search(example->engine, journal_trial, example, 1, 100000, &found);
    printf("with the bug: trial %llu of seed %llu failed; %zu bytes of tape became %zu in %u "
           "trials; %.3f s\n",
           (unsigned long long) found.trials, (unsigned long long) found.seed, found.size_found,
           found.tape_size, found.shrinks, seconds() - start);
    reop_sim_print(example->engine, journal_print_line, NULL);
    printf("    to see it again: journal_example --replay ");
    for (size_t i = 0; i < found.tape_size; i++)
        printf("%02x", found.tape[i]);
    printf("\n");
    return answer == 1 && found.tape_size <= 16 && seconds() - start < 1;
}

bool journal_run_the_mended(struct journal_example *example, uint64_t trials)
{
    struct reop_sim_found found;
    double start = seconds();
    int answer;

    example->with_bug = false;
    example->crashes = example->acknowledged = example->survived_unacknowledged = 0;
    answer = reop_sim_search(example->engine, journal_trial, example, 1, trials, &found);
    printf("mended: %llu crashes, %llu records acknowledged, %llu times more survived than that; "
           "%.1f s\n",
           (unsigned long long) example->crashes, (unsigned long long) example->acknowledged,
           (unsigned long long) example->survived_unacknowledged, seconds() - start);
    if (answer != 0)
        reop_sim_print(example->engine, journal_print_line, NULL);
    return answer == 0 && example->survived_unacknowledged > 0 && example->acknowledged > 0;
}

bool journal_example_open(struct journal_example *example)
{
    reop_pool_config pool_config = {.op_count = 4, .buffer_size = 4096};
    reop_engine_config config = {.flags = REOP_ENGINE_SINGLE_THREAD};
    struct reop_sim_config device = {
        .capacity = 65536, .file_count = 4, .jitter_ns = 100000, .garbage = 8192};

    *example = (struct journal_example){0};
    if (reop_pool_create(&pool_config, &example->pool) != 0)
        return false;
    config.pool = example->pool;
    example->lane = reop_pool_shared_lane(example->pool);
    return reop_sim_create(&config, &device, &example->engine) == 0;
}

void journal_example_close(struct journal_example *example)
{
    reop_engine_destroy(example->engine);
    reop_pool_destroy(example->pool);
}
