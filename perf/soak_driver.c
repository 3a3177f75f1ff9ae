/* SPDX-License-Identifier: MIT
 *
 * An op's life. Beside each op lies a book (struct soak_op) of what it should be doing; every step
 * compares the two first. A released op is poisoned, its buffer too, and has to come out of the
 * pool as it went in.
 */
#include "alloc_count.h"
#include "soak_child.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define GUARD_BYTE      0xa5
#define CLAIM_TRIES     4u
#define READ_BACK_TRIES 10u /* against injected faults */
#define POISONS         7u
#define LEAK_OPS        10000u /* of which one is never released */
#define MALLOC_OPS      1000u
#define DEFECT_OPS      2000u /* before the other defects show */

/* The op's context. */
struct context {
    uint32_t number; /* of its book, from 1; 0: it was never acquired */
    uint32_t unused;
    uint64_t poison[POISONS];
};

static uint32_t number_of(const struct soak_op *op)
{
    return (uint32_t) (op - work.shared->ops);
}

unsigned char *driver_data(const struct soak_op *op)
{
    return (unsigned char *) reop_op_buffer(op->op) + SOAK_EDGE;
}

static uint32_t data_size(const struct soak_op *op)
{
    return op->pool == SOAK_SMALL ? SOAK_SMALL_SIZE : SOAK_HUGE_SIZE;
}

static enum soak_engine engine_of(const struct soak_op *op)
{
    return work.files[op->target].engine;
}

/* The seeded defects: true once, when so many ops have been counted. */
static bool defect(enum soak_defect which, uint64_t ops)
{
    return work.options->defect == which && work.measuring &&
           atomic_load_explicit(&work.defect_ops, memory_order_relaxed) >= ops &&
           !atomic_exchange(&work.defect_done, true);
}

/* --- acquire and release --- */

static uint64_t poison(const struct soak_op *op, uint64_t at)
{
    uint64_t state = atomic_load(&op->use) * SOAK_OPS_MAX + number_of(op) + (at << 40);

    return arrivals_random(&state);
}

static void poison_all(const struct soak_op *op)
{
    struct context *context = reop_op_context(op->op);
    unsigned char *data = driver_data(op);
    uint64_t word = poison(op, POISONS);

    for (unsigned i = 0; i < POISONS; i++)
        context->poison[i] = poison(op, i);
    for (uint32_t at = 0; at <= data_size(op); at += SOAK_BLOCK)
        memcpy(data + at, &word, sizeof word);
}

static bool poisoned(const struct soak_op *op)
{
    const struct context *context = reop_op_context(op->op);
    const unsigned char *data = driver_data(op);
    uint64_t word = poison(op, POISONS);

    for (unsigned i = 0; i < POISONS; i++) {
        if (context->poison[i] != poison(op, i))
            return false;
    }
    for (uint32_t at = 0; at <= data_size(op); at += SOAK_BLOCK) {
        if (memcmp(data + at, &word, sizeof word) != 0)
            return false;
    }
    return true;
}

/* A slot that comes out of its pool for the first time. */
static void open_book(reop_op *op, struct context *context, enum soak_pool pool)
{
    uint32_t number = atomic_fetch_add(&work.shared->op_count, 1);
    struct soak_op *book = &work.shared->ops[number];

    if (number >= SOAK_OPS_MAX)
        soak_fail(SOAK_REUSE, NULL, "the pools gave out more than %u different ops", SOAK_OPS_MAX);
    context->number = number + 1;
    book->op = op;
    book->pool = pool;
    atomic_store(&book->use, reop_op_use(op) - 1);
    poison_all(book);
}

struct soak_op *driver_acquire(struct soak_driver *driver, enum soak_pool pool)
{
    reop_op *op = reop_acquire(driver->lanes[pool]);
    struct context *context;
    struct soak_op *book;

    if (op == NULL)
        return NULL;
    soak_count(&driver->tally->acquired[pool], 1);
    context = reop_op_context(op);
    if (context->number == 0)
        open_book(op, context, pool);
    if (context->number > SOAK_OPS_MAX)
        soak_fail(SOAK_REUSE, NULL, "an op's context was overwritten after its release");
    book = &work.shared->ops[context->number - 1];
    if (book->op != op || book->pool != pool)
        soak_fail(SOAK_REUSE, book, "an op's context was overwritten after its release");
    if (atomic_exchange(&book->state, SOAK_HELD) != SOAK_FREE)
        soak_fail(SOAK_REUSE, book, "TWO OWNERS: the pool gave out an op that was not released");
    if (reop_op_use(op) != atomic_load(&book->use) + 1)
        soak_fail(SOAK_REUSE, book,
                  "LAUNCHED WHILE FREE: its use number is %" PRIu64 " instead of %" PRIu64,
                  reop_op_use(op), atomic_load(&book->use) + 1);
    if (!poisoned(book))
        soak_fail(SOAK_REUSE, book,
                  "WRITTEN AFTER RELEASE: the poison in its context or buffer has changed");
    soak_note(driver, SOAK_STEP_ACQUIRE, book, 0);
    book->kind = REOP_KIND_NONE;
    book->block_count = book->size = book->done = 0;
    book->looked_again = false;
    book->tries = 0;
    return book;
}

void driver_release(struct soak_driver *driver, struct soak_op *op)
{
    if (atomic_exchange(&op->state, SOAK_FREE) != SOAK_HELD)
        soak_fail(SOAK_REUSE, op, "released without being held");
    soak_note(driver, SOAK_STEP_RELEASE, op, 0);
    poison_all(op);
    if (defect(SOAK_DEFECT_LEAK, LEAK_OPS))
        return;
    soak_count(&driver->tally->released[op->pool], 1);
    reop_release(driver->lanes[op->pool], op->op);
}

/* --- blocks --- */

static struct soak_block *block_of(const struct soak_op *op, uint32_t i)
{
    return &work.files[op->target].blocks[op->block + i];
}

static uint64_t seed_of(const struct soak_op *op)
{
    return work.options->seed * SOAK_TARGETS + op->target;
}

static bool claim_block(struct soak_block *block)
{
    uint32_t unused = 0;

    /* Acquire pairs with unclaim(): what the last user wrote about the block is seen. */
    return atomic_compare_exchange_strong_explicit(&block->used, &unused, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void unclaim(const struct soak_op *op, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        atomic_store_explicit(&block_of(op, i)->used, 0, memory_order_release);
}

bool driver_claim_at(struct soak_op *op, enum soak_target target, uint32_t block,
                     uint32_t block_count)
{
    uint32_t i = 0;

    op->target = target;
    op->block = block;
    while (i < block_count && claim_block(block_of(op, i)))
        i++;
    if (i < block_count)
        unclaim(op, i);
    else
        op->block_count = block_count;
    return i == block_count;
}

bool driver_claim(struct soak_driver *driver, struct soak_op *op, enum soak_target target,
                  uint32_t block_count)
{
    for (unsigned i = 0; i < CLAIM_TRIES; i++) {
        uint32_t limit = work.files[target].block_count - block_count + 1;

        if (driver_claim_at(op, target, driver_draw(driver, limit), block_count))
            return true;
    }
    return false;
}

static void set_guards(const struct soak_op *op)
{
    memset(driver_data(op) - SOAK_GUARD, GUARD_BYTE, SOAK_GUARD);
    memset(driver_data(op) + op->size, GUARD_BYTE, SOAK_GUARD);
}

static bool guards_intact(const struct soak_op *op)
{
    const unsigned char *data = driver_data(op);

    for (uint32_t i = 0; i < SOAK_GUARD; i++) {
        if (data[(ptrdiff_t) i - (ptrdiff_t) SOAK_GUARD] != GUARD_BYTE ||
            data[op->size + i] != GUARD_BYTE)
            return false;
    }
    return true;
}

/* --- submit --- */

static void seed_defects(void)
{
    uint64_t ops = atomic_fetch_add_explicit(&work.defect_ops, 1, memory_order_relaxed);
    reop_handle handle;

    if (work.options->defect == SOAK_DEFECT_MALLOC && work.measuring && ops % MALLOC_OPS == 0)
        alloc_count_control();
    if (defect(SOAK_DEFECT_DESCRIPTOR, DEFECT_OPS))
        platform_open_input(work.files[SOAK_CACHED].path, &handle);
}

static reop_status submit(const struct soak_op *op)
{
    reop_file *file = work.files[op->target].file;
    unsigned char *data = driver_data(op) + op->done;
    uint32_t size = op->size - op->done;
    uint64_t offset = (uint64_t) op->block * SOAK_BLOCK + op->done;

    switch (op->kind) {
    case REOP_KIND_READ:
        return reop_read(op->op, file, data, size, offset);
    case REOP_KIND_WRITE:
        return reop_write(op->op, file, data, size, offset);
    case REOP_KIND_POST:
        return reop_post(op->op, work.engines[engine_of(op)], op->post);
    default:
        return reop_sync(op->op, file, REOP_SYNC_DATA);
    }
}

/* Once submitted, the op may be reaped by the other thread before the submit has returned: nothing
 * of it is touched after that. */
static void launch(struct soak_driver *driver, struct soak_op *op, enum soak_step step)
{
    enum soak_engine engine = engine_of(op);
    bool overwrite = op->kind == REOP_KIND_WRITE && defect(SOAK_DEFECT_OVERWRITE, DEFECT_OPS);
    unsigned char *data = driver_data(op);
    reop_op *submitted = op->op;
    reop_status status;

    op->driver = driver->index;
    atomic_store(&op->use, reop_op_use(op->op));
    atomic_store(&op->submit_ns, driver->now_ns);
    soak_note(driver, step, op, op->kind);
    soak_count(&driver->tally->submitted[engine], 1);
    atomic_fetch_add(&driver->in_flight, 1);
    atomic_fetch_add(&work.in_flight[engine], 1);
    atomic_store(&op->state, SOAK_IN_FLIGHT);
    status = submit(op);
    if (overwrite)
        *(volatile unsigned char *) (data + SOAK_BLOCK / 2) ^= 1;
    if (status == REOP_REJECTED)
        soak_fail(SOAK_CONSERVATION, op, "REJECTED: a submit that fits was refused: %s",
                  platform_words(submitted->result, submitted->os_error));
    if (status == REOP_DONE)
        soak_fail(SOAK_CONSERVATION, op, "answered DONE, on an engine without REOP_ENGINE_INLINE");
    seed_defects();
}

void driver_read(struct soak_driver *driver, struct soak_op *op)
{
    op->kind = REOP_KIND_READ;
    if (op->size == 0)
        op->size = op->block_count * SOAK_BLOCK;
    set_guards(op);
    soak_count(&driver->tally->reads, 1);
    launch(driver, op, SOAK_STEP_SUBMIT);
}

void driver_write(struct soak_driver *driver, struct soak_op *op)
{
    op->kind = REOP_KIND_WRITE;
    op->size = op->block_count * SOAK_BLOCK;
    for (uint32_t i = 0; i < op->block_count; i++)
        soak_block_fill(driver_data(op) + i * SOAK_BLOCK, seed_of(op), op->block + i,
                        ++block_of(op, i)->attempted, number_of(op));
    op->checksum = XXH3_64bits(driver_data(op), op->size);
    set_guards(op);
    soak_count(&driver->tally->writes, 1);
    launch(driver, op, SOAK_STEP_SUBMIT);
}

void driver_sync(struct soak_driver *driver, struct soak_op *op, enum soak_target target)
{
    op->kind = REOP_KIND_SYNC_DATA;
    op->target = target;
    set_guards(op);
    soak_count(&driver->tally->syncs, 1);
    launch(driver, op, SOAK_STEP_SUBMIT);
}

void driver_post(struct soak_driver *driver, struct soak_op *op, enum soak_engine engine)
{
    op->kind = REOP_KIND_POST;
    op->target = engine == SOAK_SOUND ? SOAK_CACHED : SOAK_FAILING;
    op->post = driver_draw(driver, INT32_MAX);
    set_guards(op);
    soak_count(&driver->tally->posts, 1);
    launch(driver, op, SOAK_STEP_SUBMIT);
}

/* --- cancel --- */

/* The newest launch that was asked for stays: a slower thread may still ask for an older one. */
static void raise_cancel_use(struct soak_op *op, uint64_t use)
{
    uint64_t seen = atomic_load(&op->cancel_use);

    while (seen < use && !atomic_compare_exchange_weak(&op->cancel_use, &seen, use)) {
    }
}

void driver_cancel_any(struct soak_driver *driver)
{
    struct soak_op *op =
        &work.shared->ops[driver_draw(driver, atomic_load(&work.shared->op_count))];
    uint64_t use = atomic_load(&op->use);
    bool past = driver_draw(driver, 4) == 0;
    int answer;

    if (atomic_load(&op->state) != SOAK_IN_FLIGHT || use < 2)
        return;
    if (past)
        use--;
    else
        raise_cancel_use(op, use);
    answer = reop_cancel(op->op, use);
    soak_note(driver, SOAK_STEP_CANCEL, op, answer);
    if (past && answer != -ENOENT)
        soak_fail(SOAK_REUSE, op,
                  "PAST CANCEL: asked for its launch %" PRIu64
                  ", which is over, and was not told so but %d",
                  use, answer);
    if (answer != 0 && answer != -ENOENT && answer != -EAGAIN)
        soak_fail(SOAK_REUSE, op, "cancelling: %s", platform_words(answer, 0));
    soak_count(past ? &driver->tally->too_late : &driver->tally->cancels, 1);
}

/* --- reap --- */

static void fail_data(const struct soak_op *op, uint32_t i, const char *what)
{
    const struct soak_block *block = block_of(op, i);
    char words[SOAK_BLOCK_WORDS];

    soak_block_describe(driver_data(op) + i * SOAK_BLOCK, words);
    soak_fail(SOAK_DATA, op,
              "%s: block %" PRIu32 " of %s. Found: %s. Expected: block %" PRIu32
              ", sequence %" PRIu32 " to %" PRIu32 ", seed %" PRIu64,
              what, op->block + i, work.files[op->target].name, words, op->block + i, block->acked,
              block->attempted, seed_of(op));
}

/* A wrong block is read once more: a stale cache is one thing, a lost write another. False: that is
 * under way. */
static bool judge_read(struct soak_driver *driver, struct soak_op *op)
{
    for (uint32_t i = 0; i < op->block_count; i++) {
        struct soak_block *block = block_of(op, i);
        uint32_t sequence, size = op->size < SOAK_BLOCK ? op->size : SOAK_BLOCK;
        enum soak_finding finding = soak_block_judge(driver_data(op) + i * SOAK_BLOCK, size,
                                                     seed_of(op), op->block + i, block, &sequence);

        if (finding == SOAK_BLOCK_TORN && block->stopped_inside)
            continue;
        if (finding == SOAK_BLOCK_GOOD) {
            block->acked = block->attempted = sequence;
            continue;
        }
        if (op->looked_again)
            fail_data(op, i, soak_block_words(finding));
        op->looked_again = true;
        op->done = 0;
        launch(driver, op, SOAK_STEP_AGAIN);
        return false;
    }
    if (op->looked_again)
        fail_data(op, 0, "STALE READ: wrong at first, and right when it was read again");
    soak_count(&driver->tally->blocks_checked, op->block_count);
    soak_count(&driver->tally->bytes_read, op->size);
    return true;
}

static void finish_write(struct soak_driver *driver, struct soak_op *op)
{
    for (uint32_t i = 0; i < op->block_count; i++) {
        struct soak_block *block = block_of(op, i);

        if (block->attempted < block->acked)
            atomic_fetch_add(&work.shared->blocks_wrapped, 1);
        block->acked = block->attempted;
        block->stopped_inside = false;
    }
    soak_count(&driver->tally->bytes_written, op->size);
}

/* A write that failed did nothing, and the one before it, which was short, ended where it ended. A
 * cancelled write may have ended anywhere. */
static void leave_write(const struct soak_op *op)
{
    uint32_t i = op->done / SOAK_BLOCK;

    if (op->kind != REOP_KIND_WRITE)
        return;
    if (op->done % SOAK_BLOCK != 0)
        block_of(op, i)->stopped_inside = true;
    for (; i < op->block_count && op->op->result == -ECANCELED; i++)
        block_of(op, i)->stopped_inside = true;
}

static void finish(struct soak_driver *driver, struct soak_op *op)
{
    unclaim(op, op->block_count);
    driver_release(driver, op);
}

/* Only what was asked for may be cancelled, and only injected faults may fail. */
static void failed(struct soak_driver *driver, struct soak_op *op)
{
    int64_t result = op->op->result;
    bool injected = engine_of(op) == SOAK_FAULTY && (result == -EIO || result == -ENOSPC);

    if (result == -ECANCELED) {
        if (atomic_load(&op->cancel_use) != atomic_load(&op->use))
            soak_fail(SOAK_REUSE, op, "CANCELLED BY NOBODY: nobody asked for this launch");
        soak_count(&driver->tally->cancelled, 1);
    } else if (injected) {
        soak_count(&driver->tally->faults, 1);
        if (work.order.kind == SOAK_READ_BACK) {
            if (op->tries++ < READ_BACK_TRIES) {
                launch(driver, op, SOAK_STEP_AGAIN);
                return;
            }
            atomic_fetch_add(&work.shared->unreadable, op->block_count);
        }
    } else {
        soak_fail(result == -ENOSPC ? SOAK_ENVIRONMENT : SOAK_DATA, op, "%s of %s failed: %s",
                  soak_op_kind(op->kind), work.files[op->target].path,
                  platform_words(result, op->op->os_error));
    }
    leave_write(op);
    finish(driver, op);
}

static void moved(struct soak_driver *driver, struct soak_op *op)
{
    int64_t result = op->op->result;

    if (result == 0 || result > op->size - op->done)
        soak_fail(SOAK_DATA, op, "%s of %" PRIu32 " bytes at %" PRIu64 " moved %" PRId64,
                  soak_op_kind(op->kind), op->size - op->done,
                  (uint64_t) op->block * SOAK_BLOCK + op->done, result);
    op->done += (uint32_t) result;
    if (op->done < op->size) {
        soak_count(&driver->tally->shorts, 1);
        launch(driver, op, SOAK_STEP_AGAIN);
        return;
    }
    if (op->kind == REOP_KIND_WRITE)
        finish_write(driver, op);
    else if (!judge_read(driver, op))
        return;
    finish(driver, op);
}

static void record_latency(struct soak_driver *driver, const struct soak_op *op)
{
    int64_t ns = driver->now_ns - atomic_load(&op->submit_ns);

    if (work.order.kind != SOAK_STEADY || op->target != SOAK_CACHED || !work.measuring)
        return;
    histogram_record(&work.shared->latency[driver->index], ns);
    driver->steady_sum += (double) ns;
    driver->steady_count++;
}

static void landed(struct soak_driver *driver, reop_op *op)
{
    const struct context *context = reop_op_context(op);
    struct soak_op *book;

    if (context->number == 0 || context->number > SOAK_OPS_MAX)
        soak_fail(SOAK_REUSE, NULL, "an op came back that was never submitted");
    book = &work.shared->ops[context->number - 1];
    if (book->op != op || atomic_exchange(&book->state, SOAK_HELD) != SOAK_IN_FLIGHT)
        soak_fail(SOAK_REUSE, book, "CAME BACK TWICE: it was not in flight");
    soak_note(driver, SOAK_STEP_REAP, book, op->result);
    if (reop_op_use(op) != atomic_load(&book->use) + 1)
        soak_fail(SOAK_REUSE, book,
                  "CAME BACK AS ANOTHER LAUNCH: its use is %" PRIu64 ", and number %" PRIu64
                  " was submitted",
                  reop_op_use(op) - 1, atomic_load(&book->use));
    soak_count(&driver->tally->completed[engine_of(book)], 1);
    atomic_fetch_sub(&work.drivers[book->driver].in_flight, 1);
    atomic_fetch_sub(&work.in_flight[engine_of(book)], 1);
    if (!guards_intact(book))
        soak_fail(SOAK_REUSE, book, "BUFFER OVERRUN: bytes beside its data were changed in flight");
    if (book->kind == REOP_KIND_WRITE &&
        XXH3_64bits(driver_data(book), book->size) != book->checksum)
        soak_fail(SOAK_REUSE, book, "BUFFER OVERWRITTEN: what it writes was changed in flight");
    if (op->result < 0)
        failed(driver, book);
    else if (book->kind == REOP_KIND_READ || book->kind == REOP_KIND_WRITE) {
        record_latency(driver, book);
        moved(driver, book);
    } else {
        if (op->result != (book->kind == REOP_KIND_POST ? book->post : 0))
            soak_fail(SOAK_DATA, book, "a %s came back with %" PRId64, soak_op_kind(book->kind),
                      op->result);
        finish(driver, book);
    }
}

int driver_reap(struct soak_driver *driver, enum soak_engine engine, int64_t timeout_ns)
{
    reop_op *ops[SOAK_REAP_MAX];
    int count = reop_reap(work.engines[engine], ops, SOAK_REAP_MAX, timeout_ns);

    driver->now_ns = platform_now_ns();
    soak_beat(driver);
    for (int i = 0; i < count; i++) {
        if (!defect(SOAK_DEFECT_LOST, DEFECT_OPS))
            landed(driver, ops[i]);
    }
    /* What the system has no room for just now stays queued, and is handed over again; if that does
     * not help, the ops that wait for it are lost in the end. */
    if (count < 0 && count != -EAGAIN && count != -EBUSY && count != -ENOMEM)
        soak_fail(SOAK_CONSERVATION, NULL, "reaping: %s", platform_words(count, 0));
    return count < 0 ? 0 : count;
}

void driver_drain(struct soak_driver *driver)
{
    while (atomic_load(&work.in_flight[SOAK_SOUND]) > 0 ||
           atomic_load(&work.in_flight[SOAK_FAULTY]) > 0) {
        for (unsigned i = 0; i < SOAK_ENGINES; i++) {
            if (atomic_load(&work.in_flight[i]) > 0)
                driver_reap(driver, (enum soak_engine) i, SOAK_NS / 1000);
        }
    }
}
