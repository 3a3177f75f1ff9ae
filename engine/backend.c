/* SPDX-License-Identifier: MIT
 *
 * The one place that knows which backends there are, and the one that asks for the platform.
 */
#include "backend.h"

#if defined(__linux__)
extern const struct backend uring_backend;
extern const struct backend threads_backend;
const struct backend *const backends[] = {&uring_backend, &threads_backend, NULL};
#elif defined(_WIN32)
extern const struct backend iocp_backend;
const struct backend *const backends[] = {&iocp_backend, NULL};
#else
extern const struct backend threads_backend;
const struct backend *const backends[] = {&threads_backend, NULL};
#endif
