/* SPDX-License-Identifier: MIT
 *
 * An append-only log: records of one sector, each with its number and a checksum. A record is
 * acknowledged when it is written *and synced*. The log ends before the first record whose checksum
 * is wrong.
 *
 * It knows nothing of the simulated device: it is what would run on io_uring or IOCP.
 */
#include "journal.h"

#include <errno.h>
#include <string.h>

struct record {
    uint64_t number; /* from 1 */
    uint64_t index;  /* of its place, so that a record in the wrong one is not taken for good */
    uint64_t checksum;
};

static uint64_t checksum_of(const struct record *record)
{
    return (record->number * UINT64_C(0x9e3779b97f4a7c15) ^ record->index) + 1;
}

/* Waits for an op that may have been answered already. Its result. */
static int64_t finish(struct journal *journal, reop_op *op, reop_status status)
{
    reop_op *reaped = NULL;
    int count = 0;

    while (status == REOP_PENDING && count == 0)
        count = reop_reap(journal->engine, &reaped, 1, REOP_FOREVER);
    return count < 0 ? count : op->result;
}

uint64_t journal_read(struct journal *journal, uint64_t index)
{
    reop_op *op = reop_acquire(journal->lane);
    struct record record;
    uint64_t number = 0;
    int64_t result;

    if (op == NULL)
        return 0;
    result = finish(
        journal, op,
        reop_read(op, journal->file, reop_op_buffer(op), JOURNAL_RECORD, index * JOURNAL_RECORD));
    if (result == JOURNAL_RECORD) {
        memcpy(&record, reop_op_buffer(op), sizeof record);
        if (record.index == index && record.checksum == checksum_of(&record))
            number = record.number;
    }
    reop_release(journal->lane, op);
    return number;
}

static bool sync_file(struct journal *journal)
{
    reop_op *op = reop_acquire(journal->lane);
    int64_t result;

    if (op == NULL)
        return false;
    result = finish(journal, op, reop_sync(op, journal->file, 0));
    reop_release(journal->lane, op);
    return result == 0;
}

static bool write_sector(struct journal *journal, const struct record *record, uint64_t index)
{
    reop_op *op = reop_acquire(journal->lane);
    uint8_t *buffer;
    int64_t result;

    if (op == NULL)
        return false;
    buffer = reop_op_buffer(op);
    memset(buffer, 0, JOURNAL_RECORD);
    if (record != NULL)
        memcpy(buffer, record, sizeof *record);
    result = finish(journal, op,
                    reop_write(op, journal->file, buffer, JOURNAL_RECORD, index * JOURNAL_RECORD));
    reop_release(journal->lane, op);
    return result == JOURNAL_RECORD; /* a short write is a failure: the log ends here */
}

/* What lies behind the end was never acknowledged. Were it left there, a later record could make it
 * part of the log again. Then all that was read is made to last: it may have been seen. */
static bool forget_the_rest(struct journal *journal)
{
    struct reop_file_info info;

    if (reop_file_query(journal->file, &info) != 0)
        return false;
    for (uint64_t index = journal->end; index * JOURNAL_RECORD < info.size; index++)
        if (!write_sector(journal, NULL, index))
            return false;
    return sync_file(journal);
}

int journal_open(struct journal *journal, reop_engine *engine, reop_lane *lane)
{
    bool ack_too_early = journal->ack_too_early;
    int error;

    *journal = (struct journal){.engine = engine, .lane = lane, .ack_too_early = ack_too_early};
    error = reop_file_open(engine, "journal", REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE,
                           &journal->file);
    if (error < 0)
        return error;
    while (journal_read(journal, journal->end) != 0)
        journal->end++;
    journal->failed = !forget_the_rest(journal);
    return 0;
}

int journal_close(struct journal *journal)
{
    return reop_file_close(journal->file);
}

bool journal_append(struct journal *journal, uint64_t number)
{
    struct record record = {.number = number, .index = journal->end};

    record.checksum = checksum_of(&record);
    if (journal->failed)
        return false;
    if (!write_sector(journal, &record, journal->end)) {
        journal->failed = true;
        return false;
    }
    journal->end++;
    /* The bug: a write that has come back is in a cache, not on the disk. */
    if (journal->ack_too_early && number % 3 != 0)
        return true;
    journal->failed = !sync_file(journal);
    return !journal->failed;
}
