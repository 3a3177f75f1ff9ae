/* SPDX-License-Identifier: MIT
 *
 * Bugs of the caller, and of ours, end the program with one line, in every build.
 */
#ifndef REOP_CHECK_H
#define REOP_CHECK_H

#if defined(__GNUC__)
#define REOP_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define REOP_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define REOP_COLD                __attribute__((noinline, cold))
#define REOP_HOT                 __attribute__((hot))      /* the linker lays these side by side */
#define REOP_APART               __attribute__((noinline)) /* so that its caller stays short */
#define REOP_PRINTF(at, from)    __attribute__((format(printf, at, from), noreturn, cold))
#else
#define REOP_COLD
#define REOP_HOT
#define REOP_APART
#define REOP_LIKELY(condition)   (condition)
#define REOP_UNLIKELY(condition) (condition)
#define REOP_PRINTF(at, from)
#endif

/* Prints "reop: <message>" to standard error and aborts. Allocates nothing. Defined in pool.c. */
REOP_PRINTF(1, 2) void check_failed(const char *format, ...);

#define REOP_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (REOP_UNLIKELY(!(condition)))                                                           \
            check_failed(__VA_ARGS__);                                                             \
    } while (0)

#endif
