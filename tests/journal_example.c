/* SPDX-License-Identifier: MIT
 *
 *     journal_example                    finds the bug, then runs the mended log
 *     journal_example --trials N         so many crashes of the mended log
 *     journal_example --replay TAPE      runs the log with the bug by a tape, and tells what
 * happens
 */
#include "journal_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *replay = argc == 3 && strcmp(argv[1], "--replay") == 0 ? argv[2] : NULL;
    uint64_t trials =
        argc == 3 && strcmp(argv[1], "--trials") == 0 ? strtoull(argv[2], NULL, 10) : 1000000;
    struct journal_example example;
    bool good;

    if (!journal_example_open(&example)) {
        printf("%s\n", reop_engine_why(NULL));
        return EXIT_FAILURE;
    }
    if (replay != NULL) {
        example.with_bug = true;
        good = reop_sim_replay(example.engine, journal_trial, &example, replay) == 0;
        reop_sim_print(example.engine, journal_print_line, NULL);
        printf("%s\n", good ? "all is well" : "it failed");
    } else {
        good = journal_find_the_bug(&example);
        good = journal_run_the_mended(&example, trials) && good;
    }
    journal_example_close(&example);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
