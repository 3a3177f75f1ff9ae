/* SPDX-License-Identifier: MIT
 *
 * Coroutines and virtual time: sync.h and world.h on one thread.
 */
#define _GNU_SOURCE

#include "chance.h"
#include "coro.h"
#include "kernel.h"
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define CORO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#endif
#ifdef CORO_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define CORO_MAX   8
#define STACK_SIZE ((size_t) 256 << 10)
#define STEPS_MAX  200000u /* a run that takes more goes round in circles */
#define MUTEX_MARK UINT64_C(0x6d75746578)

enum state { UNUSED, READY, ASLEEP, ENDED };

struct coro {
    ucontext_t context;
    enum state state;
    const void *waits_for; /* a mutex, a condition or a coroutine */
    const char *what;      /* the same in words */
    int64_t deadline_ns;
    bool timed_out;
    uint32_t last_error;
    void (*run)(void *argument);
    void *argument;
    void *fake_stack; /* AddressSanitizer's */
};

static struct {
    struct coro coros[CORO_MAX];
    struct coro *current;
    struct coro *forced; /* runs next, without a decision */
    ucontext_t host;
    void *host_fake_stack;
    const void *host_stack;
    size_t host_stack_size;
    int64_t now_ns;
    uint32_t steps;
    uint64_t switches;
    bool at_locks;
    bool orderly;
} world;

static _Alignas(64) unsigned char stacks[CORO_MAX][STACK_SIZE];

const bool world_has_device_thread = false;

/* --- failing ---------------------------------------------------------------------------------- */

static void print_coros(void)
{
    static const char *const names[] = {"", "ready", "asleep", "ended"};

    for (int i = 0; i < CORO_MAX; i++)
        if (world.coros[i].state != UNUSED)
            fprintf(stderr, "  thread %d is %s%s%s\n", i, names[world.coros[i].state],
                    world.coros[i].state == ASLEEP ? " in " : "",
                    world.coros[i].state == ASLEEP ? world.coros[i].what : "");
}

void world_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("fake NT: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    print_coros();
    abort(); /* the test's handler prints the tape */
}

/* --- switching -------------------------------------------------------------------------------- */

static void leave(void **fake_stack, const void *stack, size_t size)
{
#ifdef CORO_ASAN
    __sanitizer_start_switch_fiber(fake_stack, stack, size);
#else
    (void) fake_stack;
    (void) stack;
    (void) size;
#endif
}

static void arrive(void *fake_stack)
{
#ifdef CORO_ASAN
    const void *stack;
    size_t size;

    __sanitizer_finish_switch_fiber(fake_stack, &stack, &size);
    if (world.host_stack == NULL) { /* the first arrival comes from the host */
        world.host_stack = stack;
        world.host_stack_size = size;
    }
#else
    (void) fake_stack;
#endif
}

static int index_of(const struct coro *coro)
{
    return (int) (coro - world.coros);
}

static bool time_passes(void)
{
    int64_t earliest_ns = SYNC_NEVER;

    for (int i = 0; i < CORO_MAX; i++)
        if (world.coros[i].state == ASLEEP && world.coros[i].deadline_ns < earliest_ns)
            earliest_ns = world.coros[i].deadline_ns;
    if (earliest_ns == SYNC_NEVER)
        return false;
    if (earliest_ns > world.now_ns)
        world.now_ns = earliest_ns;
    for (int i = 0; i < CORO_MAX; i++) {
        if (world.coros[i].state == ASLEEP && world.coros[i].deadline_ns <= world.now_ns) {
            world.coros[i].timed_out = true;
            world.coros[i].state = READY;
        }
    }
    return true;
}

static bool somebody_counts_the_time(void)
{
    for (int i = 0; i < CORO_MAX; i++)
        if (world.coros[i].state == ASLEEP && world.coros[i].deadline_ns != SYNC_NEVER)
            return true;
    return false;
}

static uint32_t pick(uint32_t count)
{
    return world.orderly ? 0 : chance_pick(count);
}

/* Whoever runs next; the first choice is whoever ran last. */
static struct coro *choose(void)
{
    for (;;) {
        struct coro *ready[CORO_MAX], *forced = world.forced;
        uint32_t count = 0;

        if (++world.steps > STEPS_MAX)
            world_fail("%u steps and no end: it goes round in circles", STEPS_MAX);
        world.forced = NULL;
        if (forced != NULL && forced->state == READY)
            return forced;
        if (world.current != NULL && world.current->state == READY)
            ready[count++] = world.current;
        for (int i = 0; i < CORO_MAX; i++)
            if (world.coros[i].state == READY && &world.coros[i] != world.current)
                ready[count++] = &world.coros[i];
        if (count > 0)
            return ready[pick(count)];
        if (kernel_idle(somebody_counts_the_time()) || time_passes())
            continue;
        world_fail("everybody sleeps and nothing will wake them");
    }
}

static void switch_to(struct coro *next)
{
    struct coro *self = world.current;

    if (next == self)
        return;
    world.switches += self->state == READY;
    world.current = next;
    leave(self->state == ENDED ? NULL : &self->fake_stack, stacks[index_of(next)], STACK_SIZE);
    swapcontext(&self->context, &next->context);
    arrive(self->fake_stack);
}

static void sleep_for(const void *waits_for, const char *what, int64_t deadline_ns)
{
    struct coro *self = world.current;

    self->waits_for = waits_for;
    self->what = what;
    self->deadline_ns = deadline_ns;
    self->timed_out = false;
    self->state = ASLEEP;
    switch_to(choose());
}

static uint32_t wake(const void *waits_for, bool all)
{
    struct coro *sleepers[CORO_MAX];
    uint32_t count = 0;

    for (int i = 0; i < CORO_MAX; i++)
        if (world.coros[i].state == ASLEEP && world.coros[i].waits_for == waits_for)
            sleepers[count++] = &world.coros[i];
    if (count == 0)
        return 0;
    if (!all)
        sleepers[pick(count)]->state = READY;
    for (uint32_t i = 0; all && i < count; i++)
        sleepers[i]->state = READY;
    return count;
}

static void body(void)
{
    struct coro *self = world.current;

    arrive(NULL);
    self->run(self->argument);
    self->state = ENDED;
    wake(self, true);
    for (int i = 0; i < CORO_MAX; i++)
        if (world.coros[i].state == READY || world.coros[i].state == ASLEEP)
            switch_to(choose()); /* and never comes back */
    leave(NULL, world.host_stack, world.host_stack_size);
    setcontext(&world.host);
}

static void prepare(struct coro *coro)
{
    getcontext(&coro->context);
    coro->context.uc_stack.ss_sp = stacks[index_of(coro)];
    coro->context.uc_stack.ss_size = STACK_SIZE;
    coro->context.uc_link = NULL;
    makecontext(&coro->context, body, 0);
}

static struct coro *start(void (*run)(void *), void *argument)
{
    for (int i = 0; i < CORO_MAX; i++) {
        struct coro *coro = &world.coros[i];

        if (coro->state != UNUSED)
            continue;
        coro->run = run;
        coro->argument = argument;
        coro->last_error = 0;
        coro->state = READY;
        prepare(coro);
        return coro;
    }
    return NULL;
}

void coro_run(void (*first)(void *), void *argument)
{
    memset(world.coros, 0, sizeof world.coros);
    world.now_ns = 1000000000;
    world.steps = 0;
    world.forced = NULL;
    world.at_locks = false;
    world.orderly = false;
    world.current = start(first, argument);
    leave(&world.host_fake_stack, stacks[0], STACK_SIZE);
    swapcontext(&world.host, &world.current->context);
#ifdef CORO_ASAN
    __sanitizer_finish_switch_fiber(world.host_fake_stack, NULL, NULL);
#endif
    world.current = NULL;
    world.host_stack = NULL;
}

void coro_start(struct sync_thread *thread, void (*run)(void *), void *argument)
{
    struct coro *coro = start(run, argument);

    if (coro == NULL)
        world_fail("more than %d threads", CORO_MAX);
    thread->storage[0] = (uint64_t) index_of(coro);
}

void coro_switch_at_locks(bool wanted)
{
    world.at_locks = wanted;
}

void coro_be_orderly(bool wanted)
{
    world.orderly = wanted;
}

uint64_t coro_switches(void)
{
    return world.switches;
}

/* --- world.h ---------------------------------------------------------------------------------- */

uint32_t *world_last_error(void)
{
    static uint32_t outside;

    return world.current != NULL ? &world.current->last_error : &outside;
}

void world_boundary(void)
{
    world.now_ns += 100;
    if (world.current != NULL)
        switch_to(choose());
}

void world_sleep(int64_t ns)
{
    sleep_for(NULL, "a call that blocks", world.now_ns + ns);
}

/* --- sync.h ----------------------------------------------------------------------------------- */

static void expect_mutex(const struct sync_mutex *mutex)
{
    if (mutex->storage[1] != MUTEX_MARK)
        world_fail("a mutex is used that is none");
}

void sync_mutex_init(struct sync_mutex *mutex)
{
    mutex->storage[0] = 0;
    mutex->storage[1] = MUTEX_MARK;
}

void sync_mutex_destroy(struct sync_mutex *mutex)
{
    expect_mutex(mutex);
    if (mutex->storage[0] != 0)
        world_fail("a locked mutex is destroyed");
    mutex->storage[1] = 0;
}

void sync_lock(struct sync_mutex *mutex)
{
    expect_mutex(mutex);
    if (world.current == NULL)
        return;
    if (world.at_locks)
        world_boundary();
    while (mutex->storage[0] != 0)
        sleep_for(mutex, "sync_lock", SYNC_NEVER);
    mutex->storage[0] = (uint64_t) index_of(world.current) + 1;
}

void sync_unlock(struct sync_mutex *mutex)
{
    expect_mutex(mutex);
    if (world.current == NULL)
        return;
    if (mutex->storage[0] != (uint64_t) index_of(world.current) + 1)
        world_fail("a mutex is unlocked by a thread that has not locked it");
    mutex->storage[0] = 0;
    wake(mutex, true);
}

void sync_cond_init(struct sync_cond *cond)
{
    cond->storage[0] = MUTEX_MARK;
}

void sync_cond_destroy(struct sync_cond *cond)
{
    if (wake(cond, true) > 0)
        world_fail("a condition is destroyed while somebody waits for it");
    cond->storage[0] = 0;
}

void sync_signal(struct sync_cond *cond)
{
    wake(cond, false);
}

void sync_broadcast(struct sync_cond *cond)
{
    wake(cond, true);
}

bool sync_wait(struct sync_cond *cond, struct sync_mutex *mutex, int64_t deadline_ns)
{
    bool in_time;

    if (cond->storage[0] != MUTEX_MARK)
        world_fail("a condition is used that is none");
    sync_unlock(mutex);
    sleep_for(cond, "sync_wait", deadline_ns);
    in_time = !world.current->timed_out;
    sync_lock(mutex);
    return in_time;
}

int sync_thread_start(struct sync_thread *thread, void (*run)(void *), void *argument)
{
    struct coro *coro = start(run, argument);

    if (coro == NULL)
        return -EAGAIN;
    thread->storage[0] = (uint64_t) index_of(coro);
    world.forced = world.current; /* once it sleeps */
    switch_to(coro);
    return 0;
}

void sync_thread_join(struct sync_thread *thread)
{
    struct coro *coro = &world.coros[thread->storage[0]];

    while (coro->state != ENDED)
        sleep_for(coro, "sync_thread_join", SYNC_NEVER);
    coro->state = UNUSED;
}

uintptr_t sync_thread_self(void)
{
    return world.current != NULL ? (uintptr_t) index_of(world.current) + 1 : CORO_MAX + 1;
}

uint32_t sync_processor_count(void)
{
    return 2;
}

int64_t sync_now_ns(void)
{
    return world.now_ns;
}

uint64_t sync_tick(void)
{
    return (uint64_t) world.now_ns;
}

bool sync_barrier_init(void)
{
    return true; /* there is one thread: everybody sees everything */
}

void sync_barrier(void)
{
}

size_t sync_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

const char *sync_huge_pages(void *memory, size_t size)
{
    (void) memory;
    (void) size;
    return "";
}
