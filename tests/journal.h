/* SPDX-License-Identifier: MIT
 *
 * A worked example of testing code that stores things on the simulated device: an append-only log,
 * once with a bug, once without. Copy it. The log is in journal.c, the test of it, and how a
 * failure is found and shrunk, in journal_example.c.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <reop/reop.h>

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_RECORD 512u /* bytes on disk of a record */

struct journal {
    reop_engine *engine;
    reop_lane *lane;
    reop_file *file;
    uint64_t end;       /* where the next record goes */
    bool ack_too_early; /* the bug */
    bool failed;        /* nothing more may be written */
};

/* 0 or -errno. Keeps the good records at the start of the log, and forgets what is behind them. */
int journal_open(struct journal *journal, reop_engine *engine, reop_lane *lane);
int journal_close(struct journal *journal);

/* True: the record is in the log, and survives whatever comes. */
bool journal_append(struct journal *journal, uint64_t number);

/* The number of record index; 0: there is no such record. */
uint64_t journal_read(struct journal *journal, uint64_t index);

#endif
