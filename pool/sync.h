/* SPDX-License-Identifier: MIT
 *
 * Locks, threads and clocks: all that reop asks of the system beside I/O. sync_posix.c and
 * sync_win32.c implement it; nothing here allocates, except that a thread has a stack.
 */
#ifndef REOP_SYNC_H
#define REOP_SYNC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Storage for the system's own objects, so that no system header is needed here. Asserted large
 * enough where they are implemented. */
struct sync_mutex {
    uint64_t storage[8];
};
struct sync_cond {
    uint64_t storage[8];
};
struct sync_thread {
    uint64_t storage[4];
    void (*run)(void *argument);
    void *argument;
};

void sync_mutex_init(struct sync_mutex *mutex);
void sync_mutex_destroy(struct sync_mutex *mutex);
void sync_lock(struct sync_mutex *mutex);
bool sync_trylock(struct sync_mutex *mutex);
void sync_unlock(struct sync_mutex *mutex);

#define SYNC_NEVER INT64_MAX /* a deadline that does not come */

void sync_cond_init(struct sync_cond *cond);
void sync_cond_destroy(struct sync_cond *cond);
void sync_signal(struct sync_cond *cond);
void sync_broadcast(struct sync_cond *cond);
/* False once sync_now_ns() has passed deadline_ns. May wake for no reason. */
bool sync_wait(struct sync_cond *cond, struct sync_mutex *mutex, int64_t deadline_ns);

/* 0 or -errno. thread stays where it is until joined. All signals are blocked in the new thread. */
int sync_thread_start(struct sync_thread *thread, void (*run)(void *argument), void *argument);
void sync_thread_join(struct sync_thread *thread);

/* Names the calling thread; never 0. ELF systems keep a pointer to the thread in a register. */
#if defined(__ELF__) && defined(__has_builtin)
#if __has_builtin(__builtin_thread_pointer)
#define SYNC_THREAD_POINTER 1
static inline uintptr_t sync_thread_self(void)
{
    return (uintptr_t) __builtin_thread_pointer();
}
#endif
#endif
#ifndef SYNC_THREAD_POINTER
uintptr_t sync_thread_self(void);
#endif

uint32_t sync_processor_count(void);

int64_t sync_now_ns(void); /* monotonic */

/* A clock that costs next to nothing: the processor's own where it can be read, else nanoseconds.
 * Its unit is not known, but that it is no more than a nanosecond and no less than a tenth; to tell
 * how long it was, take sync_now_ns() at the same moments. SYNC_TICK_CALLED: where time is virtual,
 * the processor knows nothing of it. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(SYNC_TICK_CALLED)
#define SYNC_TICK_INLINE 1
static inline uint64_t sync_tick(void)
{
    return __builtin_ia32_rdtsc();
}
#else
uint64_t sync_tick(void);
#endif

#if defined(__SANITIZE_THREAD__)
#define SYNC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SYNC_TSAN 1
#endif
#endif

/* Adds to what no other thread writes, and others may read; release. One instruction where that is
 * possible: compilers make three of an atomic load and an atomic store. */
static inline void sync_add_alone(_Atomic uint64_t *number, uint64_t addend)
{
#if defined(__x86_64__) && defined(__GNUC__) && !defined(SYNC_TSAN)
    __asm__ volatile("addq %1, %0" : "+m"(*number) : "er"(addend) : "memory", "cc");
#else
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + addend,
                          memory_order_release);
#endif
}

/* In a loop that looks for what another processor is about to store: lets the other half of this
 * one go first. */
#if defined(__x86_64__) && defined(__GNUC__)
static inline void sync_spin(void)
{
    __builtin_ia32_pause();
}
#elif defined(__aarch64__) && defined(__GNUC__)
static inline void sync_spin(void)
{
    __asm__ volatile("yield");
}
#else
static inline void sync_spin(void)
{
    /* It has no such hint, and none is needed. */
}
#endif

/* The deadline of a timeout_ns as the public functions take it; saturates. */
static inline int64_t sync_deadline_ns(int64_t timeout_ns)
{
    int64_t now_ns;

    if (timeout_ns < 0)
        return SYNC_NEVER;
    now_ns = sync_now_ns();
    return timeout_ns > SYNC_NEVER - now_ns ? SYNC_NEVER : now_ns + timeout_ns;
}

/* The heavy half of an asymmetric barrier: after sync_barrier() every other thread of the process
 * has executed a full fence (membarrier PRIVATE_EXPEDITED, FlushProcessWriteBuffers). The light
 * half is then nothing at all. sync_barrier_init() answers false where the system has or permits no
 * such call: the light half must be a seq_cst fence, and sync_barrier() is one too. */
bool sync_barrier_init(void);
void sync_barrier(void);

size_t sync_page_size(void);

/* Asks for huge pages behind the whole ones in the range. "" or why they are not given. */
const char *sync_huge_pages(void *memory, size_t size);

#endif
