/* SPDX-License-Identifier: MIT
 *
 * Promise: "Nothing allocates after the create calls", on success, failure, cancel, exhaustion and
 * time-out alike. Every call of the malloc family in the whole process is counted, and the steady
 * state of a million mixed ops makes exactly none.
 */
#include "mix.h"

#include <alloc_count.h>

#define OPS 1000000u

/* The control: what is meant to be counted is. */
Test(alloc, the_counter_counts)
{
    uint64_t before = alloc_count_now();

    if (!alloc_count_supported())
        cr_skip_test("allocations cannot be counted in this build");
    alloc_count_control();
    cr_assert_geq(alloc_count_now(), before + 1);
}

BACKEND_TEST(alloc, the_steady_state_allocates_nothing, ON_EVERY_BACKEND)
{
    static struct mix mix;
    uint64_t seed = fixture_seed(), before, after;

    if (!alloc_count_supported())
        cr_skip_test("allocations cannot be counted in this build");
    mix_open(&mix, backend, seed);
    if (fixture_sanitized())
        mix_run(&mix, 1000); /* a sanitizer allocates in each thread that begins to run */
    before = alloc_count_now();
    mix_run(&mix, fixture_volume(OPS));
    after = alloc_count_now();
    alloc_count_control();
    printf("seed %llu, %llu allocations, ", (unsigned long long) seed,
           (unsigned long long) (after - before));
    mix_print(&mix);
    cr_assert_eq(after - before, 0, "%s: %llu allocations", backend->name,
                 (unsigned long long) (after - before));
    cr_assert_geq(alloc_count_now(), after + 1, "the counter does not count");
    mix_expect_all(&mix);
    mix_close(&mix);
}
