/* SPDX-License-Identifier: MIT
 *
 * A device that is slow, or stands still once: preloaded, it delays pwrite() on regular files by
 * STALL_EACH_US microseconds each, and STALL_AFTER_MS after the first one by STALL_MS, halfway
 * through which it sends the process STALL_SIGNAL. From the first one on the time of day is
 * STALL_CLOCK_S seconds ahead, as if somebody had set it.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t first_ns;
static _Atomic int stalled;

static int64_t number(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : atoll(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int answer = (int) syscall(SYS_clock_gettime, clock, now);

    if (clock == CLOCK_REALTIME && first_ns != 0)
        now->tv_sec += number("STALL_CLOCK_S");
    return answer;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    if (ns > 0)
        nanosleep(&time, NULL);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int64_t none = 0, stall_ns = number("STALL_MS") * 1000000;

    atomic_compare_exchange_strong(&first_ns, &none, now_ns());
    sleep_ns(number("STALL_EACH_US") * 1000);
    if (stall_ns > 0 && now_ns() - first_ns > number("STALL_AFTER_MS") * 1000000 &&
        atomic_exchange(&stalled, 1) == 0) {
        sleep_ns(stall_ns / 2);
        if (number("STALL_SIGNAL") > 0)
            kill(getpid(), (int) number("STALL_SIGNAL"));
        sleep_ns(stall_ns / 2);
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}
