/* SPDX-License-Identifier: MIT
 *
 * The part of Criterion that these tests use, by Criterion's own names, for where Criterion itself
 * cannot be: it does not run under the sanitizers and does not exist for MinGW. Which of the two
 * <criterion/criterion.h> means is decided by the include path alone.
 *
 * Every public macro takes "..." and nothing else, because clang calls a named parameter followed
 * by nothing an extension, in the file that uses the macro.
 */
#ifndef RUNNER_CRITERION_H
#define RUNNER_CRITERION_H

#pragma GCC system_header

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test_params {
    size_t size;
    void *params;
    size_t length;
    void (*cleanup)(struct criterion_test_params *);
};

struct criterion_test_extra_data {
    int sentinel_; /* set last, so that an empty list of options is a valid one */
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    const char *description;
    double timeout; /* seconds; 0: none */
    void *data;
};

struct runner_test {
    const char *suite;
    const char *name; /* NULL: the options of a whole suite */
    const struct criterion_test_extra_data *options;
    void (*call)(void *parameter);
    struct criterion_test_params (*parameters)(void); /* NULL: the test runs once */
    struct runner_test *next;
};

void runner_add(struct runner_test *test);

/* No format attribute: each call ends in one more "", so that a macro without a message is valid.
 */
_Noreturn void runner_abort(const char *file, int line, const char *text, const char *format, ...);
void runner_continue(const char *file, int line, const char *text, const char *format, ...);
_Noreturn void runner_skip(const char *format, ...);
void runner_log(const char *format, ...);

#define RUNNER_REGISTER_(Suite, Name, Text, Call, Parameters, ...)                                 \
    __attribute__((constructor)) static void Suite##_##Name##_register(void)                       \
    {                                                                                              \
        static const struct criterion_test_extra_data options = {__VA_ARGS__};                     \
        static struct runner_test test = {#Suite, Text, &options, Call, Parameters, NULL};         \
        runner_add(&test);                                                                         \
    }

#define Test(...) RUNNER_TEST_(__VA_ARGS__, .sentinel_ = 0)
#define RUNNER_TEST_(Suite, Name, ...)                                                             \
    static void Suite##_##Name##_impl(void);                                                       \
    static void Suite##_##Name##_call(void *unused)                                                \
    {                                                                                              \
        (void) unused;                                                                             \
        Suite##_##Name##_impl();                                                                   \
    }                                                                                              \
    RUNNER_REGISTER_(Suite, Name, #Name, Suite##_##Name##_call, NULL, __VA_ARGS__)                 \
    static void Suite##_##Name##_impl(void)

/* The assertion takes the semicolon that Criterion's macro wants. */
#define TestSuite(...) RUNNER_SUITE_(__VA_ARGS__, .sentinel_ = 0)
#define RUNNER_SUITE_(Suite, ...)                                                                  \
    RUNNER_REGISTER_(Suite, suite, NULL, NULL, NULL, __VA_ARGS__)                                  \
    _Static_assert(1, #Suite)

#define RUNNER_TRUE_(fail, text, condition, ...)                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, text, __VA_ARGS__);                                           \
    } while (0)
#define RUNNER_OP_(fail, text, op, a, b, ...) RUNNER_TRUE_(fail, text, (a) op(b), __VA_ARGS__)
#define RUNNER_STR_(fail, text, op, a, b, ...)                                                     \
    RUNNER_TRUE_(fail, text, strcmp((a), (b)) op 0, __VA_ARGS__)
#define RUNNER_ARR_(fail, text, op, a, b, size, ...)                                               \
    RUNNER_TRUE_(fail, text, memcmp((a), (b), (size)) op 0, __VA_ARGS__)
#define RUNNER_NULL_(fail, text, op, a, ...) RUNNER_TRUE_(fail, text, (a) op NULL, __VA_ARGS__)
#define RUNNER_FLOAT_(fail, text, wanted, a, b, epsilon, ...)                                      \
    RUNNER_TRUE_(fail, text, ((b) - (a) <= (epsilon) && (a) - (b) <= (epsilon)) == wanted,         \
                 __VA_ARGS__)
#define RUNNER_FALSE_(fail, text, condition, ...)                                                  \
    RUNNER_TRUE_(fail, text, !(condition), __VA_ARGS__)

#define cr_assert(...) RUNNER_TRUE_(runner_abort, "cr_assert(" #__VA_ARGS__ ")", __VA_ARGS__, "")
#define cr_assert_not(...)                                                                         \
    RUNNER_FALSE_(runner_abort, "cr_assert_not(" #__VA_ARGS__ ")", __VA_ARGS__, "")
#define cr_assert_eq(...)                                                                          \
    RUNNER_OP_(runner_abort, "cr_assert_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_assert_neq(...)                                                                         \
    RUNNER_OP_(runner_abort, "cr_assert_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_assert_lt(...)                                                                          \
    RUNNER_OP_(runner_abort, "cr_assert_lt(" #__VA_ARGS__ ")", <, __VA_ARGS__, "")
#define cr_assert_leq(...)                                                                         \
    RUNNER_OP_(runner_abort, "cr_assert_leq(" #__VA_ARGS__ ")", <=, __VA_ARGS__, "")
#define cr_assert_gt(...)                                                                          \
    RUNNER_OP_(runner_abort, "cr_assert_gt(" #__VA_ARGS__ ")", >, __VA_ARGS__, "")
#define cr_assert_geq(...)                                                                         \
    RUNNER_OP_(runner_abort, "cr_assert_geq(" #__VA_ARGS__ ")", >=, __VA_ARGS__, "")
#define cr_assert_null(...)                                                                        \
    RUNNER_NULL_(runner_abort, "cr_assert_null(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_assert_not_null(...)                                                                    \
    RUNNER_NULL_(runner_abort, "cr_assert_not_null(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_assert_str_eq(...)                                                                      \
    RUNNER_STR_(runner_abort, "cr_assert_str_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_assert_str_neq(...)                                                                     \
    RUNNER_STR_(runner_abort, "cr_assert_str_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_assert_arr_eq(...)                                                                      \
    RUNNER_ARR_(runner_abort, "cr_assert_arr_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_assert_arr_neq(...)                                                                     \
    RUNNER_ARR_(runner_abort, "cr_assert_arr_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_assert_float_eq(...)                                                                    \
    RUNNER_FLOAT_(runner_abort, "cr_assert_float_eq(" #__VA_ARGS__ ")", true, __VA_ARGS__, "")
#define cr_assert_float_neq(...)                                                                   \
    RUNNER_FLOAT_(runner_abort, "cr_assert_float_neq(" #__VA_ARGS__ ")", false, __VA_ARGS__, "")
#define cr_assert_fail(...) runner_abort(__FILE__, __LINE__, "cr_assert_fail()", "" __VA_ARGS__)

#define cr_expect(...) RUNNER_TRUE_(runner_continue, "cr_expect(" #__VA_ARGS__ ")", __VA_ARGS__, "")
#define cr_expect_not(...)                                                                         \
    RUNNER_FALSE_(runner_continue, "cr_expect_not(" #__VA_ARGS__ ")", __VA_ARGS__, "")
#define cr_expect_eq(...)                                                                          \
    RUNNER_OP_(runner_continue, "cr_expect_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_expect_neq(...)                                                                         \
    RUNNER_OP_(runner_continue, "cr_expect_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_expect_lt(...)                                                                          \
    RUNNER_OP_(runner_continue, "cr_expect_lt(" #__VA_ARGS__ ")", <, __VA_ARGS__, "")
#define cr_expect_leq(...)                                                                         \
    RUNNER_OP_(runner_continue, "cr_expect_leq(" #__VA_ARGS__ ")", <=, __VA_ARGS__, "")
#define cr_expect_gt(...)                                                                          \
    RUNNER_OP_(runner_continue, "cr_expect_gt(" #__VA_ARGS__ ")", >, __VA_ARGS__, "")
#define cr_expect_geq(...)                                                                         \
    RUNNER_OP_(runner_continue, "cr_expect_geq(" #__VA_ARGS__ ")", >=, __VA_ARGS__, "")
#define cr_expect_null(...)                                                                        \
    RUNNER_NULL_(runner_continue, "cr_expect_null(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_expect_not_null(...)                                                                    \
    RUNNER_NULL_(runner_continue, "cr_expect_not_null(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_expect_str_eq(...)                                                                      \
    RUNNER_STR_(runner_continue, "cr_expect_str_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_expect_str_neq(...)                                                                     \
    RUNNER_STR_(runner_continue, "cr_expect_str_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_expect_arr_eq(...)                                                                      \
    RUNNER_ARR_(runner_continue, "cr_expect_arr_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__, "")
#define cr_expect_arr_neq(...)                                                                     \
    RUNNER_ARR_(runner_continue, "cr_expect_arr_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__, "")
#define cr_expect_float_eq(...)                                                                    \
    RUNNER_FLOAT_(runner_continue, "cr_expect_float_eq(" #__VA_ARGS__ ")", true, __VA_ARGS__, "")
#define cr_expect_float_neq(...)                                                                   \
    RUNNER_FLOAT_(runner_continue, "cr_expect_float_neq(" #__VA_ARGS__ ")", false, __VA_ARGS__, "")
#define cr_expect_fail(...) runner_continue(__FILE__, __LINE__, "cr_expect_fail()", "" __VA_ARGS__)

#define cr_skip(...)      runner_skip("" __VA_ARGS__)
#define cr_skip_test(...) runner_skip("" __VA_ARGS__)

#endif
