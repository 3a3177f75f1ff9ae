/* SPDX-License-Identifier: MIT
 *
 * Runs the pool's own freelist.h and lane.h in every interleaving of their shared accesses. Each
 * thread is a coroutine that gives way before each access; a depth-first search walks through all
 * schedules. The orders of weaker machines are not seen here: every freelist atomic is seq_cst.
 *
 * A script is a thread's calls: a and r acquire and release (the oldest) on its own lane, A and R
 * on the lane that all share. Checked after each: no op has two owners, none is lost, and NULL came
 * only if at some instant inside the call as many were held as the slab promises.
 *
 * freelist_ileave SLOTS CAPACITY BITS_SHIFT MORE SWITCHES SCRIPT...   MORE is added to the promise:
 * 0 is the truth, 1 must fail. SWITCHES limits how often a thread that could go on is left: what
 * breaks needs few, and longer scripts have too many schedules to try all.
 */
#include <stdint.h>

static void give_way(void);

#define FREELIST_YIELD() give_way()
#ifndef FREELIST_LINE_WORDS
#define FREELIST_LINE_WORDS 7u
#endif
#ifndef FREELIST_SPAN_SHIFT
#define FREELIST_SPAN_SHIFT 6u
#endif
#include "lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define THREADS_MAX  3u
#define SLOTS_MAX    16u
#define CAPACITY_MAX 8u
#define STACK_SIZE   65536u
#define DEPTH_MAX    4096u

#define NOBODY UINT32_MAX

struct thread {
    const char *script;
    struct reop_lane *lane;
    jmp_buf here;
    ucontext_t first;
    bool leaving; /* the script is over: what is still held comes home in one step */
    bool done;
    uint32_t held_max; /* since its acquire began */
};

static struct thread threads[THREADS_MAX];
static uint32_t thread_count, current;
static jmp_buf scheduler;

static struct slot slots[SLOTS_MAX];
static uint32_t owner[SLOTS_MAX];  /* who got it, or NOBODY */
static bool on_its_way[SLOTS_MAX]; /* in a release that may be overtaken */
static struct freelist_line lines[SLOTS_MAX];
static _Atomic uint64_t dry[SLOTS_MAX];
static struct freelist freelist;
static struct reop_lane *lanes[THREADS_MAX + 1]; /* the last is shared */

static uint32_t slot_count, capacity, bits_shift, promise, switches_max;
static uint32_t held, switches;
static const char *wrong;
static uint64_t executions, empty_count, refill_count, spill_count;

/* The schedule: at each step which of the threads that can go on does. */
static uint8_t choice[DEPTH_MAX], choices[DEPTH_MAX];
static uint32_t depth, fixed_depth;

/* --- coroutines -------------------------------------------------------------------------- */

static void give_way(void)
{
    if (threads[current].leaving)
        return;
    if (_setjmp(threads[current].here) == 0)
        _longjmp(scheduler, 1);
}

static _Noreturn void stop(const char *what)
{
    wrong = what;
    _longjmp(scheduler, 1);
}

void check_failed(const char *format, ...)
{
    (void) format;
    stop("the library's own check failed");
}

/* --- the calls --------------------------------------------------------------------------- */

static void held_changes(uint32_t by)
{
    held += by;
    for (uint32_t i = 0; i < thread_count; i++)
        if (held > threads[i].held_max)
            threads[i].held_max = held;
}

static reop_op *acquire(struct reop_lane *lane)
{
    struct thread *self = &threads[current];
    bool refills = lane_count(lane) == 0;
    reop_op *op;
    uint32_t index;

    self->held_max = held;
    op = lane_acquire(lane);
    if (op == NULL) {
        empty_count++;
        if (self->held_max < promise)
            stop("NULL while fewer ops were held than promised");
        return NULL;
    }
    refill_count += refills;
    index = lane_index_of(lane, op);
    if (owner[index] != NOBODY && !on_its_way[index])
        stop("an op was given to two owners");
    if (owner[index] == NOBODY)
        held_changes(1);
    owner[index] = current;
    on_its_way[index] = false;
    return op;
}

/* Through the shared lane an op may be taken again before its release returns. */
static void release(struct reop_lane *lane, reop_op *op)
{
    uint32_t index = lane_index_of(lane, op);

    if (owner[index] != current)
        stop("an op was taken from its owner");
    spill_count += lane_count(lane) == lane->capacity;
    on_its_way[index] = lane->capacity == 0;
    lane_release(lane, op);
    if (owner[index] == current && (on_its_way[index] || lane->capacity != 0)) {
        owner[index] = NOBODY;
        on_its_way[index] = false;
        held_changes(UINT32_MAX);
    }
}

static void run_script(struct thread *self)
{
    struct reop_lane *shared = lanes[THREADS_MAX];
    reop_op *mine[SLOTS_MAX];
    uint32_t first = 0, end = 0;

    for (const char *call = self->script; *call; call++) {
        bool own = *call == 'a' || *call == 'r';
        struct reop_lane *lane = own ? self->lane : shared;

        if (*call == 'a' || *call == 'A') {
            reop_op *op = acquire(lane);

            if (op != NULL)
                mine[end++] = op;
        } else if (first < end) {
            release(lane, mine[first++]);
        }
    }
    give_way();
    self->leaving = true;
    while (first < end)
        release(self->lane, mine[first++]);
    self->leaving = false;
}

static void thread_main(void)
{
    for (;;) {
        run_script(&threads[current]);
        threads[current].done = true;
        give_way();
    }
}

/* --- the search -------------------------------------------------------------------------- */

static void reset(void)
{
    uint32_t word_count = freelist_word_count(slot_count, bits_shift);

    memset(lines, 0, sizeof lines);
    freelist_init(&freelist, lines, dry, slot_count, bits_shift);
    for (uint32_t i = 0; i <= THREADS_MAX; i++)
        lane_init(lanes[i], NULL, slots, &freelist, i < THREADS_MAX ? capacity : 0, i % word_count);
    for (uint32_t i = 0; i < slot_count; i++) {
        owner[i] = NOBODY;
        on_its_way[i] = false;
    }
    for (uint32_t i = 0; i < thread_count; i++)
        threads[i].done = false;
    held = 0;
    switches = 0;
}

/* Going on with the thread that ran last is the first option, and no switch. */
static uint32_t pick(uint32_t last)
{
    uint32_t options[THREADS_MAX], count = 0;
    bool leaves = !threads[last].done;

    for (uint32_t i = 0; i < thread_count; i++) {
        uint32_t thread = (last + i) % thread_count;

        if (!threads[thread].done && (thread == last || !leaves || switches < switches_max))
            options[count++] = thread;
    }
    if (count <= 1)
        return count ? options[0] : NOBODY;
    if (depth == DEPTH_MAX) {
        wrong = "an execution is too long";
        return NOBODY;
    }
    if (depth >= fixed_depth)
        choice[depth] = 0;
    choices[depth] = (uint8_t) count;
    switches += leaves && choice[depth] != 0;
    return options[choice[depth++]];
}

static void every_op_must_be_home(void)
{
    uint32_t count = freelist_free_count(&freelist);

    for (uint32_t i = 0; i < thread_count; i++)
        count += lane_count(threads[i].lane);
    if (count != slot_count)
        wrong = "an op was lost";
}

static void execute(void)
{
    volatile uint32_t last = 0;

    reset();
    depth = 0;
    for (;;) {
        uint32_t next = pick(last);

        if (next == NOBODY)
            break;
        current = last = next;
        if (_setjmp(scheduler) == 0)
            _longjmp(threads[current].here, 1);
        if (wrong)
            return;
    }
    if (!wrong)
        every_op_must_be_home();
}

/* The next schedule. False: that was the last. */
static bool advance(void)
{
    while (depth > 0 && choice[depth - 1] + 1 == choices[depth - 1])
        depth--;
    if (depth == 0)
        return false;
    choice[depth - 1]++;
    fixed_depth = depth;
    return true;
}

/* Each coroutine is entered once, on its own stack, and comes back at once. */
static void enter(void)
{
    give_way();
    thread_main();
}

static void threads_init(char **scripts)
{
    for (uint32_t i = 0; i <= THREADS_MAX; i++)
        lanes[i] = malloc(sizeof *lanes[i] + CAPACITY_MAX * sizeof(reop_op *));
    for (current = 0; current < thread_count; current++) {
        struct thread *thread = &threads[current];

        thread->script = scripts[current];
        thread->lane = lanes[current];
        getcontext(&thread->first);
        thread->first.uc_stack.ss_sp = malloc(STACK_SIZE);
        thread->first.uc_stack.ss_size = STACK_SIZE;
        makecontext(&thread->first, enter, 0);
        if (_setjmp(scheduler) == 0)
            setcontext(&thread->first);
    }
}

static int report(void)
{
    if (wrong) {
        printf("FAIL after %llu executions: %s; schedule ", (unsigned long long) executions, wrong);
        for (uint32_t i = 0; i < depth; i++)
            printf("%u", choice[i]);
        printf("\n");
        return 1;
    }
    printf("PASS %llu executions; empty %llu, refill %llu, spill %llu\n",
           (unsigned long long) executions, (unsigned long long) empty_count,
           (unsigned long long) refill_count, (unsigned long long) spill_count);
    return empty_count == 0 || refill_count == 0 || spill_count == 0 ? 3 : 0;
}

int main(int argc, char **argv)
{
    uint32_t more, lanes_with_stack;

    if (argc < 7 || argc > 6 + (int) THREADS_MAX) {
        fprintf(stderr, "usage: %s SLOTS CAPACITY BITS_SHIFT MORE SWITCHES SCRIPT...\n", argv[0]);
        return 2;
    }
    slot_count = (uint32_t) atoi(argv[1]);
    capacity = (uint32_t) atoi(argv[2]);
    bits_shift = (uint32_t) atoi(argv[3]);
    more = (uint32_t) atoi(argv[4]);
    switches_max = (uint32_t) atoi(argv[5]);
    thread_count = (uint32_t) argc - 6;
    lanes_with_stack = capacity * thread_count;
    if (slot_count > SLOTS_MAX || capacity > CAPACITY_MAX || slot_count <= lanes_with_stack ||
        (capacity && 1u << bits_shift > capacity)) {
        fprintf(stderr, "%s: no such slab\n", argv[0]);
        return 2;
    }
    promise = slot_count - lanes_with_stack + more;
    threads_init(argv + 6);
    do {
        executions++;
        execute();
    } while (!wrong && advance());
    return report();
}
