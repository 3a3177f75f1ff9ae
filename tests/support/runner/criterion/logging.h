/* SPDX-License-Identifier: MIT */
#ifndef RUNNER_LOGGING_H
#define RUNNER_LOGGING_H

#pragma GCC system_header

#include <criterion/criterion.h>

#define cr_log_info(...)  runner_log("" __VA_ARGS__)
#define cr_log_warn(...)  runner_log("warning: " __VA_ARGS__)
#define cr_log_error(...) runner_log("error: " __VA_ARGS__)

#endif
