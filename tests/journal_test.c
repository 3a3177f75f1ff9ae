/* SPDX-License-Identifier: MIT
 *
 * The worked example as part of the suite: the log with the bug is caught within a second, the
 * mended one survives a million crashes.
 */
#include "fixture.h"

#include "journal_check.h"

Test(journal, bug_is_found_and_shrunk_within_a_second)
{
    struct journal_example example;

    cr_assert(journal_example_open(&example));
    cr_assert(journal_find_the_bug(&example));
    journal_example_close(&example);
}

Test(journal, mended_log_survives_a_million_crashes, .timeout = 120)
{
    struct journal_example example;

    cr_assert(journal_example_open(&example));
    cr_assert(journal_run_the_mended(&example, fixture_volume(1000000)));
    journal_example_close(&example);
}
