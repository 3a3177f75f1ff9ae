/* SPDX-License-Identifier: MIT
 *
 * The one place that knows which backends there are, and the one that asks for the platform.
 */
#include "backend.h"

extern const struct backend sim_backend; /* refuses to be the automatic choice */

#if defined(__linux__)
extern const struct backend uring_backend;
extern const struct backend threads_backend;
const struct backend *const backends[] = {&uring_backend, &threads_backend, &sim_backend, NULL};
#elif defined(_WIN32)
extern const struct backend iocp_backend;
const struct backend *const backends[] = {&iocp_backend, &sim_backend, NULL};
#else
extern const struct backend threads_backend;
const struct backend *const backends[] = {&threads_backend, &sim_backend, NULL};
#endif
