/* SPDX-License-Identifier: MIT
 *
 * The subcommands. Each takes its own name as argv[0] and answers the exit status.
 */
#ifndef REOP_COMMANDS_H
#define REOP_COMMANDS_H

#define EXIT_DONE    0
#define EXIT_FOUND   1   /* the system was asked and said no */
#define EXIT_REFUSED 2   /* the command line cannot be right */
#define EXIT_SIGNAL  128 /* and the signal's number */

int write_main(int argc, char *argv[]);
int latency_main(int argc, char *argv[]);
int soak_main(int argc, char *argv[]);

#endif
