/* SPDX-License-Identifier: MIT
 *
 * Compiled, never run: the public op has the layout that was promised, and on Windows it begins
 * with the system's own OVERLAPPED.
 */
#include <reop/reop.h>

#include <assert.h>

static_assert(sizeof(void *) == 8, "the sizes below are those of a 64-bit system");
static_assert(sizeof(reop_op) == 96, "the public op");
static_assert(offsetof(reop_op, overlapped) == 0, "op and OVERLAPPED share an address");

#ifdef _WIN32
#include <windows.h>

#define SAME(ours, theirs)                                                                         \
    static_assert(offsetof(struct reop_overlapped, ours) == offsetof(OVERLAPPED, theirs),          \
                  #theirs);                                                                        \
    static_assert(sizeof(((struct reop_overlapped *) 0)->ours) ==                                  \
                      sizeof(((OVERLAPPED *) 0)->theirs),                                          \
                  #theirs)

SAME(internal, Internal);
SAME(internal_high, InternalHigh);
SAME(offset, Offset);
SAME(offset_high, OffsetHigh);
SAME(event, hEvent);
static_assert(sizeof(struct reop_overlapped) == sizeof(OVERLAPPED), "OVERLAPPED");
static_assert(sizeof(reop_handle) == sizeof(HANDLE), "HANDLE");
#endif

int main(void)
{
    return 0;
}
