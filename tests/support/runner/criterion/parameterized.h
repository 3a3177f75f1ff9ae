/* SPDX-License-Identifier: MIT
 *
 * Parameterized tests, by Criterion's names. A parameter is a flat structure: Criterion copies it
 * into another process, where pointers into the heap mean nothing.
 */
#ifndef RUNNER_PARAMETERIZED_H
#define RUNNER_PARAMETERIZED_H

#pragma GCC system_header

#include <criterion/criterion.h>

#define ParameterizedTestParameters(Suite, Name)                                                   \
    static struct criterion_test_params Suite##_##Name##_param(void)

#define cr_make_param_array(...) RUNNER_ARRAY_(__VA_ARGS__, NULL)
#define RUNNER_ARRAY_(Type, Array, Length, ...)                                                    \
    ((struct criterion_test_params){                                                               \
        .size = sizeof(Type), .params = (void *) (Array), .length = (Length)})

#define ParameterizedTest(...) RUNNER_PARAMETERIZED_(__VA_ARGS__, .sentinel_ = 0)
#define RUNNER_PARAMETERIZED_(Parameter, Suite, Name, ...)                                         \
    static void Suite##_##Name##_impl(Parameter);                                                  \
    static void Suite##_##Name##_call(void *parameter)                                             \
    {                                                                                              \
        Suite##_##Name##_impl(parameter);                                                          \
    }                                                                                              \
    RUNNER_REGISTER_(Suite, Name, #Name, Suite##_##Name##_call, Suite##_##Name##_param,            \
                     __VA_ARGS__)                                                                  \
    static void Suite##_##Name##_impl(Parameter)

#endif
