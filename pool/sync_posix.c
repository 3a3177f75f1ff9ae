/* SPDX-License-Identifier: MIT
 *
 * sync.h on POSIX threads. What only some systems have is in sync_linux.c and sync_portable.c.
 */
#define _POSIX_C_SOURCE 200809L

#include "sync.h"

#include "check.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static_assert(sizeof(pthread_mutex_t) <= sizeof(struct sync_mutex), "a mutex fits its storage");
static_assert(sizeof(pthread_cond_t) <= sizeof(struct sync_cond), "a condition fits its storage");
static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread is told from another by one word");

#define NS_PER_SECOND 1000000000

static pthread_mutex_t *mutex_of(struct sync_mutex *mutex)
{
    return (pthread_mutex_t *) (void *) mutex->storage;
}

static pthread_cond_t *cond_of(struct sync_cond *cond)
{
    return (pthread_cond_t *) (void *) cond->storage;
}

/* For calls that fail only when they are misused. */
static void must(int error, const char *what)
{
    REOP_CHECK(error == 0, "%s: %s", what, strerror(error));
}

void sync_mutex_init(struct sync_mutex *mutex)
{
    must(pthread_mutex_init(mutex_of(mutex), NULL), "pthread_mutex_init");
}

void sync_mutex_destroy(struct sync_mutex *mutex)
{
    must(pthread_mutex_destroy(mutex_of(mutex)), "pthread_mutex_destroy");
}

void sync_lock(struct sync_mutex *mutex)
{
    must(pthread_mutex_lock(mutex_of(mutex)), "pthread_mutex_lock");
}

bool sync_trylock(struct sync_mutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void sync_unlock(struct sync_mutex *mutex)
{
    must(pthread_mutex_unlock(mutex_of(mutex)), "pthread_mutex_unlock");
}

void sync_cond_init(struct sync_cond *cond)
{
    pthread_condattr_t attributes;

    must(pthread_condattr_init(&attributes), "pthread_condattr_init");
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "pthread_condattr_setclock");
    must(pthread_cond_init(cond_of(cond), &attributes), "pthread_cond_init");
    must(pthread_condattr_destroy(&attributes), "pthread_condattr_destroy");
}

void sync_cond_destroy(struct sync_cond *cond)
{
    must(pthread_cond_destroy(cond_of(cond)), "pthread_cond_destroy");
}

void sync_signal(struct sync_cond *cond)
{
    must(pthread_cond_signal(cond_of(cond)), "pthread_cond_signal");
}

void sync_broadcast(struct sync_cond *cond)
{
    must(pthread_cond_broadcast(cond_of(cond)), "pthread_cond_broadcast");
}

bool sync_wait(struct sync_cond *cond, struct sync_mutex *mutex, int64_t deadline_ns)
{
    struct timespec deadline;
    int error;

    if (deadline_ns == SYNC_NEVER) {
        must(pthread_cond_wait(cond_of(cond), mutex_of(mutex)), "pthread_cond_wait");
        return true;
    }
    deadline.tv_sec = (time_t) (deadline_ns / NS_PER_SECOND);
    deadline.tv_nsec = (long) (deadline_ns % NS_PER_SECOND);
    error = pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &deadline);
    if (error == ETIMEDOUT)
        return false;
    must(error, "pthread_cond_timedwait");
    return true;
}

static pthread_t *thread_of(struct sync_thread *thread)
{
    return (pthread_t *) (void *) thread->storage;
}

static void *thread_run(void *argument)
{
    struct sync_thread *thread = argument;

    thread->run(thread->argument);
    return NULL;
}

int sync_thread_start(struct sync_thread *thread, void (*run)(void *argument), void *argument)
{
    sigset_t all, before;
    int error;

    thread->run = run;
    thread->argument = argument;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before), "pthread_sigmask");
    error = pthread_create(thread_of(thread), NULL, thread_run, thread);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL), "pthread_sigmask");
    return -error;
}

void sync_thread_join(struct sync_thread *thread)
{
    must(pthread_join(*thread_of(thread), NULL), "pthread_join");
}

#ifndef SYNC_THREAD_POINTER
uintptr_t sync_thread_self(void)
{
    return (uintptr_t) pthread_self();
}
#endif

uint32_t sync_processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count < 1 ? 1 : (uint32_t) count;
}

int64_t sync_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

#ifndef SYNC_TICK_INLINE
uint64_t sync_tick(void)
{
    return (uint64_t) sync_now_ns();
}
#endif

size_t sync_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}
