/* SPDX-License-Identifier: MIT
 *
 * sync.h on slim locks and condition variables, which need no clean-up and hold no handle.
 */
#include "sync.h"

#include "check.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <windows.h>

static_assert(sizeof(SRWLOCK) <= sizeof(struct sync_mutex), "a mutex fits its storage");
static_assert(sizeof(CONDITION_VARIABLE) <= sizeof(struct sync_cond),
              "a condition fits its storage");
static_assert(sizeof(HANDLE) <= sizeof(((struct sync_thread *) 0)->storage),
              "a thread fits its storage");

#define NS_PER_SECOND    1000000000
#define NS_PER_MS        1000000
#define MILLISECONDS_MAX (INFINITE - 1)

static SRWLOCK *mutex_of(struct sync_mutex *mutex)
{
    return (SRWLOCK *) (void *) mutex->storage;
}

static CONDITION_VARIABLE *cond_of(struct sync_cond *cond)
{
    return (CONDITION_VARIABLE *) (void *) cond->storage;
}

void sync_mutex_init(struct sync_mutex *mutex)
{
    InitializeSRWLock(mutex_of(mutex));
}

void sync_mutex_destroy(struct sync_mutex *mutex)
{
    (void) mutex;
}

void sync_lock(struct sync_mutex *mutex)
{
    AcquireSRWLockExclusive(mutex_of(mutex));
}

bool sync_trylock(struct sync_mutex *mutex)
{
    return TryAcquireSRWLockExclusive(mutex_of(mutex)) != 0;
}

void sync_unlock(struct sync_mutex *mutex)
{
    ReleaseSRWLockExclusive(mutex_of(mutex));
}

void sync_cond_init(struct sync_cond *cond)
{
    InitializeConditionVariable(cond_of(cond));
}

void sync_cond_destroy(struct sync_cond *cond)
{
    (void) cond;
}

void sync_signal(struct sync_cond *cond)
{
    WakeConditionVariable(cond_of(cond));
}

void sync_broadcast(struct sync_cond *cond)
{
    WakeAllConditionVariable(cond_of(cond));
}

bool sync_wait(struct sync_cond *cond, struct sync_mutex *mutex, int64_t deadline_ns)
{
    DWORD wait_ms = INFINITE;

    if (deadline_ns != SYNC_NEVER) {
        int64_t left_ms = (deadline_ns - sync_now_ns() + NS_PER_MS - 1) / NS_PER_MS;

        wait_ms = left_ms < 0 ? 0 : left_ms > MILLISECONDS_MAX ? MILLISECONDS_MAX : (DWORD) left_ms;
    }
    if (SleepConditionVariableSRW(cond_of(cond), mutex_of(mutex), wait_ms, 0))
        return true;
    REOP_CHECK(GetLastError() == ERROR_TIMEOUT, "SleepConditionVariableSRW: error %lu",
               (unsigned long) GetLastError());
    return sync_now_ns() < deadline_ns; /* its clock is a coarse one, and may be ahead of ours */
}

static HANDLE *thread_of(struct sync_thread *thread)
{
    return (HANDLE *) (void *) thread->storage;
}

static DWORD WINAPI thread_run(void *argument)
{
    struct sync_thread *thread = argument;

    thread->run(thread->argument);
    return 0;
}

int sync_thread_start(struct sync_thread *thread, void (*run)(void *argument), void *argument)
{
    HANDLE handle;

    thread->run = run;
    thread->argument = argument;
    handle = CreateThread(NULL, 0, thread_run, thread, 0, NULL);
    if (handle == NULL)
        return -ENOMEM; /* what is missing is always memory: for its stack, or the kernel's own */
    *thread_of(thread) = handle;
    return 0;
}

void sync_thread_join(struct sync_thread *thread)
{
    HANDLE handle = *thread_of(thread);

    REOP_CHECK(WaitForSingleObject(handle, INFINITE) == WAIT_OBJECT_0,
               "WaitForSingleObject of a thread: error %lu", (unsigned long) GetLastError());
    CloseHandle(handle);
}

uintptr_t sync_thread_self(void)
{
    return GetCurrentThreadId();
}

uint32_t sync_processor_count(void)
{
    DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

    return count < 1 ? 1 : count;
}

int64_t sync_now_ns(void)
{
    static _Atomic int64_t frequency; /* constant since the system started; 0: not asked yet */
    int64_t per_second = atomic_load_explicit(&frequency, memory_order_relaxed);
    LARGE_INTEGER ticks;

    if (per_second == 0) {
        QueryPerformanceFrequency(&ticks);
        per_second = ticks.QuadPart;
        /* No partner: every thread stores the same. */
        atomic_store_explicit(&frequency, per_second, memory_order_relaxed);
    }
    QueryPerformanceCounter(&ticks);
    return ticks.QuadPart / per_second * NS_PER_SECOND +
           ticks.QuadPart % per_second * NS_PER_SECOND / per_second;
}

#ifndef SYNC_TICK_INLINE
uint64_t sync_tick(void)
{
    return (uint64_t) sync_now_ns();
}
#endif

static atomic_bool barrier_works;

/* Wine 8 exports FlushProcessWriteBuffers, and it does nothing. */
bool sync_barrier_init(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    bool works = ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") == NULL;

    atomic_store_explicit(&barrier_works, works,
                          memory_order_release); /* pairs with sync_barrier */
    return works;
}

void sync_barrier(void)
{
    if (atomic_load_explicit(&barrier_works, memory_order_acquire))
        FlushProcessWriteBuffers();
    else
        atomic_thread_fence(memory_order_seq_cst); /* the light half is one too */
}

size_t sync_page_size(void)
{
    SYSTEM_INFO information;

    GetSystemInfo(&information);
    return information.dwPageSize;
}

const char *sync_huge_pages(void *memory, size_t size)
{
    (void) memory;
    (void) size;
    return "huge pages: Windows gives them only with the memory, not behind it later";
}
