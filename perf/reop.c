/* SPDX-License-Identifier: MIT
 *
 * The reop tool: finds the subcommand and hands over.
 */
#include "commands.h"
#include "platform.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*main)(int argc, char *argv[]);
    const char *summary;
} commands[] = {
    {"write", write_main, "write files or standard input to a file or device, and measure it"},
    {"latency", latency_main, "measure how long reads and writes of a file take, and compare"},
    {"soak", soak_main, "keep an engine busy for long and check that nothing goes wrong"},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static void print_usage(FILE *stream)
{
    fputs("reop shows what the reop library's reusable operations do with real files.\n"
          "\n"
          "Usage: reop COMMAND [options] [operands]\n"
          "\n",
          stream);
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "  reop COMMAND --help   describes a command, its options and its exit status\n"
          "  reop --version        prints the version\n",
          stream);
}

static int finish_stdout(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_DONE : EXIT_FOUND;
}

int main(int argc, char *argv[])
{
    platform_start();
    platform_arguments(&argc, &argv);
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_REFUSED;
    }
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return finish_stdout();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("reop %d.%d.%d\n", REOP_VERSION_MAJOR, REOP_VERSION_MINOR, REOP_VERSION_PATCH);
        return finish_stdout();
    }
    fprintf(stderr, "reop: %s: unknown command. 'reop --help' lists the commands.\n", argv[1]);
    return EXIT_REFUSED;
}
