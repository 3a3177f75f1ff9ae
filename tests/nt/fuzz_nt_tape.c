/* SPDX-License-Identifier: MIT
 *
 * libFuzzer: the input is the tape of the fake NT's decisions, and of who runs and what is done.
 * Its first byte says whether ops may end as cancelled unasked. After the end of the tape every
 * choice is the simplest.
 */
#include "chance.h"
#include "scenario.h"

#include <signal.h>

/* A failed check leaves by abort(): libFuzzer has to see it, or it keeps no input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    signal(SIGABRT, SIG_DFL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    chance_replay(data + 1, size - 1);
    scenario_run(data[0] & 1);
    return 0;
}
