/* SPDX-License-Identifier: MIT
 *
 * Creating, waiting, reaping, stopping. One loop waits for all backends: gather().
 *
 * Nobody sleeps beside work: whoever makes work sets a bit in engine->attention and then interrupts
 * the backend; whoever reaps looks at the bits and then waits; and a reaper that leaves while bits
 * are set interrupts the next one.
 */
#include "engine.h"
#include "error.h"

#include <mimalloc.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RUN_BATCH 64u

static _Thread_local char create_why[sizeof(((reop_engine *) 0)->why)];

void engine_say(reop_engine *engine, const char *format, ...)
{
    size_t length = strlen(engine->why);
    va_list arguments;

    if (length > 0 && length + 2 < sizeof engine->why) {
        memcpy(engine->why + length, "; ", 3);
        length += 2;
    }
    va_start(arguments, format);
    vsnprintf(engine->why + length, sizeof engine->why - length, format, arguments);
    va_end(arguments);
}

/* --- create and destroy ------------------------------------------------------------------ */

static const char *config_wrong(const reop_engine_config *config)
{
    if (config == NULL)
        return "config is NULL";
    if (config->pool == NULL)
        return "config.pool is NULL";
    if (config->backend > REOP_BACKEND_SIM)
        return "config.backend is not one of enum reop_backend";
    if (config->flags & ~(REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_DEFER | REOP_ENGINE_INLINE))
        return "config.flags has unknown bits";
    if (config->file_count > REOP_FILES_MAX)
        return "config.file_count is more than REOP_FILES_MAX";
    if (config->threads > 1024 || config->sync_threads > 1024)
        return "config.threads or config.sync_threads is more than 1024";
    return NULL;
}

static size_t round_up(size_t size)
{
    return (size + 63) & ~(size_t) 63;
}

static int engine_new(const struct backend *backend, const reop_engine_config *config,
                      const char *why, reop_engine **engine_out)
{
    uint32_t cancel_count = config->depth < ENGINE_CANCELS_MAX ? config->depth : ENGINE_CANCELS_MAX;
    size_t files_at = round_up(sizeof(reop_engine));
    size_t cancels_at = files_at + round_up(config->file_count * sizeof(reop_file));
    size_t state_at = cancels_at + round_up(cancel_count * sizeof(struct engine_cancel));
    unsigned char *block = mi_zalloc_aligned(state_at + backend->state_size(config), 64);
    reop_engine *engine = (reop_engine *) block;
    int error;

    if (block == NULL)
        return -ENOMEM;
    engine->backend = backend;
    engine->submit = backend->submit;
    engine->read = read_the_long_way;
    engine->write = write_the_long_way;
    engine->reap = reap_the_long_way;
    engine->state = block + state_at;
    engine->flags = config->flags;
    engine->depth = config->depth;
    engine->single = (config->flags & REOP_ENGINE_SINGLE_THREAD) != 0;
    engine->counts_shared = !sync_barrier_init() || !engine->single;
    engine->cancels = (struct engine_cancel *) (void *) (block + cancels_at);
    engine->cancel_count = cancel_count;
    engine->files = (reop_file *) (void *) (block + files_at);
    engine->file_count = config->file_count;
    engine->metered = config->depth < pool_slab(config->pool)->slot_count;
    engine->born_tick = sync_tick();
    engine->born_ns = sync_now_ns();
    strcpy(engine->why, why);
    sync_mutex_init(&engine->lock);
    file_table_init(engine);

    error = backend->create(engine, config);
    if (error < 0)
        goto create_failed;
    error = reop_engine_register(engine, config->pool);
    if (error < 0)
        goto register_failed;
    if (engine->parts && !engine->metered)
        atomic_store(&engine->plain_owner, 1); /* nobody knows the engine yet */
    pool_on_exhausted(trace_exhausted_pool);
    trace_open(engine);
    *engine_out = engine;
    return 0;

register_failed:
    backend->destroy(engine);
create_failed:
    strcpy(create_why, engine->why);
    sync_mutex_destroy(&engine->lock);
    mi_free(engine);
    return error;
}

int reop_engine_create(const reop_engine_config *config, reop_engine **engine_out)
{
    const char *wrong = engine_out == NULL ? "engine_out is NULL" : config_wrong(config);
    reop_engine_config complete;
    int error = -ENOTSUP;

    create_why[0] = '\0';
    if (wrong != NULL) {
        snprintf(create_why, sizeof create_why, "%s", wrong);
        return -EINVAL;
    }
    for (size_t i = 0; backends[i] != NULL; i++) {
        const struct backend *backend = backends[i];
        char why[sizeof create_why];

        if (config->backend != REOP_BACKEND_AUTO && config->backend != backend->id)
            continue;
        if (config->depth > backend->depth_max) {
            snprintf(create_why, sizeof create_why, "config.depth %u is more than %s can do: %u",
                     (unsigned) config->depth, backend->name, (unsigned) backend->depth_max);
            return -EINVAL;
        }
        complete = *config;
        if (complete.depth == 0)
            complete.depth = pool_slab(config->pool)->slot_count;
        if (complete.depth > backend->depth_max)
            complete.depth = backend->depth_max;
        if (complete.file_count == 0)
            complete.file_count = 64;
        if (complete.threads == 0)
            complete.threads = sync_processor_count();
        if (complete.sync_threads == 0)
            complete.sync_threads = 1;
        memcpy(why, create_why, sizeof why);
        error = engine_new(backend, &complete, why, engine_out);
        if (error == 0)
            create_why[0] = '\0'; /* what the engine fell back from is in its own why */
        if (error != -ENOTSUP || config->backend != REOP_BACKEND_AUTO)
            return error;
    }
    if (create_why[0] == '\0')
        snprintf(create_why, sizeof create_why, "this build of reop has no such backend");
    return error;
}

static uint64_t sum_of(reop_engine *engine, size_t counter)
{
    uint32_t used = atomic_load(&engine->files_used);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < used; i++)
        sum += atomic_load((_Atomic uint64_t *) (void *) ((char *) &engine->files[i] + counter));
    return sum;
}

uint64_t engine_submitted(reop_engine *engine)
{
    return sum_of(engine, offsetof(struct reop_file, submitted)) +
           sum_of(engine, offsetof(struct reop_file, queued));
}

uint64_t engine_in_flight(reop_engine *engine)
{
    uint64_t completed = sum_of(engine, offsetof(struct reop_file, completed));

    return engine_submitted(engine) - completed; /* which was looked at later: never below 0 */
}

/* What comes back and is submitted again between the two sums would count twice. */
bool engine_overfull(reop_engine *engine)
{
    uint64_t completed, submitted;

    do {
        completed = sum_of(engine, offsetof(struct reop_file, completed));
        submitted = engine_submitted(engine);
        if (submitted - completed <= engine->depth)
            return false;
    } while (sum_of(engine, offsetof(struct reop_file, completed)) != completed);
    return true;
}

static bool nothing_in_flight(reop_engine *engine)
{
    uint64_t submitted = engine_submitted(engine); /* these first: what they count comes back */
    uint64_t posted = atomic_load(&engine->posted);

    return sum_of(engine, offsetof(struct reop_file, completed)) == submitted &&
           atomic_load(&engine->unposted) == posted;
}

bool engine_finished(reop_engine *engine)
{
    if (!(atomic_load(&engine->attention) & ENGINE_STOP))
        return false;
    atomic_store(&engine->plain_owner, 0); /* reop_stop() may not have come to it yet */
    if (engine->parts)
        engine->backend->settle(engine);
    return nothing_in_flight(engine);
}

int reop_engine_destroy(reop_engine *engine)
{
    bool files_open;

    if (engine == NULL)
        return 0;
    sync_lock(&engine->lock);
    files_open = engine->files_open > 0;
    sync_unlock(&engine->lock);
    if (files_open || !nothing_in_flight(engine) || atomic_load(&engine->reapers) > 0 ||
        atomic_load(&engine->owner_reaps) > 0)
        return -EBUSY;
    trace_close(engine);
    /* A late canceller holds the pool's lock while it looks at an engine: once unheld, none can. */
    for (uint32_t i = 0; i < engine->pool_count; i++)
        pool_unhold(engine->pools[i].pool, slot_holder(engine->pools[i].launch_bits));
    engine->backend->destroy(engine);
    sync_mutex_destroy(&engine->lock);
    mi_free(engine);
    return 0;
}

int reop_engine_register(reop_engine *engine, reop_pool *pool)
{
    struct engine_pool *entry;
    uint32_t count, holder;
    int error;

    if (engine == NULL || pool == NULL)
        return -EINVAL;
    error =
        pool_hold(pool, engine, &holder); /* not under our lock: cancel takes them the other way */
    if (error < 0)
        return error;
    sync_lock(&engine->lock);
    count = atomic_load_explicit(&engine->pool_count, memory_order_relaxed); /* guarded by lock */
    if (engine_find_pool(engine, pool) != NULL)
        error = -EEXIST;
    else if (count == REOP_ENGINE_POOLS)
        error = -EMFILE;
    if (error < 0) {
        sync_unlock(&engine->lock);
        pool_unhold(pool, holder);
        return error;
    }
    entry = &engine->pools[count];
    entry->pool = pool;
    entry->slab = pool_slab(pool);
    entry->launch_bits = slot_launch_bits(holder);
    entry->land_bits = slot_land_bits(entry->launch_bits);
    entry->fixed_base = 1; /* above fixed_end: not even what has no length is in there */
    if (reop_pool_why(pool)[0] != '\0')
        engine_say(engine, "%s", reop_pool_why(pool));
    if (entry->slab->buffer_stride > 0)
        engine->backend->register_pool(engine, count);
    engine->slot_count += entry->slab->slot_count;
    if (!engine->single && !engine->metered && engine->depth < engine->slot_count) {
        atomic_store(&engine->summed, true);
        atomic_store(&engine->plain_owner, 0); /* looked at under the backend's lock */
        if (engine->parts)
            engine->backend->settle(engine);
    }
    /* Release publishes the entry: pairs with engine_find_pool. */
    atomic_store_explicit(&engine->pool_count, count + 1, memory_order_release);
    sync_unlock(&engine->lock);
    return 0;
}

const struct engine_pool *engine_find_pool(const reop_engine *engine, const reop_pool *pool)
{
    uint32_t count = atomic_load_explicit(&engine->pool_count, memory_order_acquire);

    for (uint32_t i = 0; i < count; i++)
        if (engine->pools[i].pool == pool)
            return &engine->pools[i];
    return NULL;
}

/* By what both clocks did since the engine was created. */
static double ns_per_tick(const reop_engine *engine)
{
    uint64_t ticks = sync_tick() - engine->born_tick;

    return ticks > 0 ? (double) (sync_now_ns() - engine->born_ns) / (double) ticks : 1;
}

bool engine_pin(reop_engine *engine, struct slot *slot, uint64_t use)
{
    bool pinned;

    if (engine->pin_lock != NULL)
        sync_lock(engine->pin_lock);
    pinned = slot_pin(slot, use);
    if (engine->pin_lock != NULL)
        sync_unlock(engine->pin_lock);
    return pinned;
}

void engine_unpin(reop_engine *engine, struct slot *slot)
{
    bool landed;

    if (engine->pin_lock != NULL)
        sync_lock(engine->pin_lock);
    landed = slot_unpin(slot);
    if (engine->pin_lock != NULL)
        sync_unlock(engine->pin_lock);
    if (landed)
        engine_ready(engine, slot);
}

/* --- looking ----------------------------------------------------------------------------- */

const char *reop_engine_backend(const reop_engine *engine)
{
    return engine->backend->name;
}

const char *reop_engine_why(const reop_engine *engine)
{
    return engine != NULL ? engine->why : create_why;
}

void reop_engine_query(const reop_engine *engine, struct reop_engine_stats *stats_out)
{
    reop_engine *self = (reop_engine *) (uintptr_t) engine; /* the file count is behind the lock */
    struct reop_engine_stats stats = {0};

    stats.completed =
        sum_of(self, offsetof(struct reop_file, completed)) + atomic_load(&self->unposted);
    stats.submitted = engine_submitted(self) + atomic_load(&self->posted);
    stats.failed = atomic_load(&self->failed);
    stats.rejected = atomic_load(&self->rejected);
    stats.cancels = atomic_load(&self->cancelled);
    stats.submit_stalls = atomic_load(&self->stalls);
    stats.submit_stall_ns = atomic_load(&self->stall_ns);
    stats.unexpected = atomic_load(&self->unexpected);
    sync_lock(&self->lock);
    stats.files = self->files_open;
    sync_unlock(&self->lock);
    *stats_out = stats;
}

static void stuck_copy(const reop_engine *engine, struct reop_stuck_op *copy, struct slot *slot,
                       uint64_t use)
{
    uint64_t date = engine_date_of(slot);
    int64_t age_ns = 0;

    if (date & DATE_EXACT)
        age_ns = sync_now_ns() - (int64_t) (date & ~DATE_EXACT);
    else if (date == 0) /* nobody has handed it over: it ages from here on */
        engine_date(slot, sync_tick());
    else
        age_ns = (int64_t) ((double) (int64_t) (sync_tick() - date) * ns_per_tick(engine));
    copy->op = &slot->op;
    copy->use = use;
    copy->offset = slot->op.offset;
    copy->kind = slot->op.kind;
    copy->size = slot->op.size;
    copy->age_ms = age_ns > 0 ? (uint32_t) (age_ns / 1000000) : 0;
}

uint32_t reop_stuck(reop_engine *engine, struct reop_stuck_op *list, uint32_t max)
{
    uint32_t count = 0;

    engine_own(engine);
    if (engine->single && engine->backend->chores != NULL)
        engine->backend->chores(engine); /* which date what is queued */
    for (uint32_t i = 0; i < atomic_load(&engine->pool_count); i++) {
        const struct engine_pool *pool = &engine->pools[i];

        sync_lock(pool_holders_lock(pool->pool));
        for (uint32_t j = 0; j < pool->slab->slot_count && count < max; j++) {
            struct slot *slot = &pool->slab->slots[j];
            uint64_t word = slot_word(slot);

            if ((word & SLOT_STATE) != SLOT_IN_FLIGHT ||
                slot_holder(word) != slot_holder(pool->launch_bits))
                continue;
            if (engine->single) {
                stuck_copy(engine, &list[count++], slot, slot_use(word));
                continue;
            }
            if (engine->parts)
                engine->backend->settle(engine); /* now it has a date, if it is queued */
            /* Pinned, so that its fields hold still while they are copied. */
            if (!engine_pin(engine, slot, slot_use(word)))
                continue;
            stuck_copy(engine, &list[count++], slot, slot_use(word));
            engine_unpin(engine, slot);
        }
        sync_unlock(pool_holders_lock(pool->pool));
    }
    return count;
}

/* --- asking for attention ---------------------------------------------------------------- */

void engine_ask(reop_engine *engine, uint32_t attention)
{
    atomic_fetch_or(&engine->attention, attention); /* pairs with gather and engine_judge */
    atomic_store(&engine->plain_reaper, 0);
    engine->backend->interrupt(engine);
}

void engine_ready(reop_engine *engine, struct slot *slot)
{
    sync_lock(&engine->lock);
    queue_push(&engine->ready, slot);
    atomic_fetch_or(&engine->attention, ENGINE_READY);
    atomic_store(&engine->plain_reaper, 0); /* as in engine_ask */
    sync_unlock(&engine->lock);
    /* With nobody in reap the bit is enough: reap counts itself in before it looks at the bits. A
     * single-threaded engine's owner does so without a fence, so there we cannot know. */
    if (!engine->counts_shared || atomic_load(&engine->reapers) > 0)
        engine->backend->interrupt(engine);
}

void reop_wake(reop_engine *engine)
{
    if (REOP_UNLIKELY(trace_on(queue)))
        trace_woken(engine);
    engine_ask(engine, ENGINE_WAKE);
}

void reop_stop(reop_engine *engine)
{
    engine_ask(engine, ENGINE_STOP);
    atomic_store(&engine->plain_owner, 0); /* pairs with engine_judge */
}

void engine_own_first(reop_engine *engine)
{
    uintptr_t owner = 0;

    REOP_CHECK(atomic_compare_exchange_strong(&engine->owner, &owner, sync_thread_self()),
               "a single-threaded engine is used by a thread that is not its owner");
    engine_judge(engine);
}

/* Of what other threads ask for meanwhile, we see it after our stores or they make theirs after
 * ours. */
void engine_judge(reop_engine *engine)
{
    bool plain = !engine->counts_shared && !engine->metered && !trace_on(io);
    uintptr_t self = plain ? sync_thread_self() : 0;
    uintptr_t owner = engine->write == write_the_long_way ? 0 : self;
    uintptr_t reaper = engine->own.head != NULL ? 0 : self;
    uint32_t attention;

    /* No partner: as it was, or another thread has changed it for good. */
    if (atomic_load_explicit(&engine->plain_owner, memory_order_relaxed) == owner &&
        atomic_load_explicit(&engine->plain_reaper, memory_order_relaxed) == reaper)
        return;
    atomic_store(&engine->plain_owner, owner);
    atomic_store(&engine->plain_reaper, reaper);
    attention = atomic_load(&engine->attention); /* pairs with reop_stop and engine_ask */
    if (attention & (ENGINE_STOP | ENGINE_UNARMED))
        atomic_store(&engine->plain_owner, 0);
    if (attention != 0)
        atomic_store(&engine->plain_reaper, 0);
}

/* Until now every op was of the one pool that depth covers. */
void engine_meter(reop_engine *engine)
{
    engine->metered = true;
    atomic_store(&engine->in_flight, engine_in_flight(engine));
    engine_judge(engine);
}

void engine_stalled(reop_engine *engine, reop_file *file, uint64_t ticks)
{
    int64_t ns = (int64_t) ((double) ticks * ns_per_tick(engine));

    if (ns < 1000000)
        return;
    atomic_fetch_add(&engine->stalls, 1);
    atomic_fetch_add(&engine->stall_ns, (uint64_t) ns);
    if (file != NULL) {
        atomic_fetch_add(&file->stalls, 1);
        atomic_fetch_add(&file->stall_ns, (uint64_t) ns);
    }
    if (trace_on(error))
        trace_stalled(engine, file, ns);
}

struct landed engine_land_rare(reop_engine *engine, const reop_op *op, struct landed landed)
{
    uint64_t none = 0;

    if (op->result < 0)
        atomic_fetch_add_explicit(&engine->failed, 1, memory_order_relaxed);
    if (op->kind == REOP_KIND_POST) {
        atomic_fetch_add(&engine->unposted, 1);
        return landed;
    }
    if (op->result < 0 && trace_on(error))
        trace_failed(op);
    if (op->result < 0 && op->result != -ECANCELED &&
        (op->kind == REOP_KIND_SYNC || op->kind == REOP_KIND_SYNC_DATA ||
         ((op->kind == REOP_KIND_WRITE || op->kind == REOP_KIND_WRITEV) &&
          (op->file->flags & REOP_FILE_DURABLE))))
        atomic_compare_exchange_strong(&op->file->sync_error, &none,
                                       (uint64_t) -op->result << 32 | op->os_error);
    if (op->file != landed.file) {
        engine_count_landed(engine, landed);
        landed = (struct landed){op->file, 0};
    }
    landed.count++;
    return landed;
}

/* --- reaping ----------------------------------------------------------------------------- */

static uint32_t take_ready(reop_engine *engine, reop_op *ops[], uint32_t max)
{
    uint32_t count = 0;
    struct slot *slot;

    while (engine->single && count < max && (slot = queue_pop(&engine->own)) != NULL)
        ops[count++] = &slot->op;
    if (!(atomic_load(&engine->attention) & ENGINE_READY) || count == max)
        return count;
    sync_lock(&engine->lock);
    while (count < max && (slot = queue_pop(&engine->ready)) != NULL)
        ops[count++] = &slot->op;
    if (engine->ready.head == NULL)
        atomic_fetch_and(&engine->attention, ~ENGINE_READY);
    sync_unlock(&engine->lock);
    return count;
}

/* What other threads asked the owner to do. */
static void attend(reop_engine *engine, uint32_t attention)
{
    if (attention & ENGINE_CHORES) {
        atomic_fetch_and(&engine->attention, ~ENGINE_CHORES);
        engine->backend->chores(engine);
    }
    while (attention & ENGINE_CANCELS) {
        struct engine_cancel cancel = {0};

        sync_lock(&engine->lock);
        if (engine->cancel_head == engine->cancel_tail) {
            atomic_fetch_and(&engine->attention, ~ENGINE_CANCELS);
            attention &= ~ENGINE_CANCELS;
        } else {
            cancel = engine->cancels[engine->cancel_head++ % engine->cancel_count];
        }
        sync_unlock(&engine->lock);
        /* It may have come back, or have been launched again, since it was asked for. */
        if (cancel.slot != NULL && (slot_word(cancel.slot) & SLOT_STATE) == SLOT_IN_FLIGHT &&
            slot_use(slot_word(cancel.slot)) == cancel.use &&
            cancel.slot->op.kind != REOP_KIND_POST)
            engine->backend->cancel(engine, cancel.slot);
    }
}

/* Waits for at least one op and stores up to max, not landed yet. Returns as reop_reap() does. */
static int gather(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    int64_t deadline_ns = timeout_ns > 0 ? sync_deadline_ns(timeout_ns) : SYNC_NEVER;

    for (;;) {
        /* Seq_cst: after counting ourselves in, before waiting. Pairs with engine_ready. */
        uint32_t attention = atomic_load(&engine->attention);
        bool look = attention != 0 || engine->own.head != NULL;
        int64_t wait_ns = timeout_ns;
        uint32_t count = 0;
        int collected;

        if (REOP_UNLIKELY(look)) {
            attend(engine, attention);
            /* Half a turn each, so that neither the ready list nor the system starves the other. */
            count = take_ready(engine, ops, (max + (atomic_fetch_xor(&engine->turn, 1) & 1)) / 2);
            if (engine_finished(engine))
                return count > 0 ? (int) count : -ECANCELED;
            if (count > 0 || engine->own.head != NULL || (attention & (ENGINE_WAKE | ENGINE_READY)))
                wait_ns = 0;
        }
        collected = engine->backend->collect(engine, ops + count, max - count, wait_ns);
        if (collected > 0)
            count += (uint32_t) collected;
        if (REOP_UNLIKELY(look) && count < max)
            count += take_ready(engine, ops + count, max - count);
        if (REOP_LIKELY(count > 0))
            return (int) count;

        if ((attention & ENGINE_WAKE) &&
            (atomic_fetch_and(&engine->attention, ~ENGINE_WAKE) & ENGINE_WAKE))
            return 0;
        if (collected < 0)
            return collected == -EINTR ? 0 : collected;
        if (timeout_ns > 0) {
            timeout_ns = deadline_ns - sync_now_ns();
            if (timeout_ns < 0)
                timeout_ns = 0;
        }
        if (timeout_ns == 0 && !(atomic_load(&engine->attention) & (ENGINE_WAKE | ENGINE_READY)))
            return engine_finished(engine) ? -ECANCELED : 0;
    }
}

static void reap_enter(reop_engine *engine)
{
    uint32_t before;

    engine_own(engine);
    if (engine->counts_shared) {
        before = atomic_fetch_add(&engine->reapers, 1);
    } else {
        before = atomic_load_explicit(&engine->owner_reaps, memory_order_relaxed);
        atomic_store_explicit(&engine->owner_reaps, 1, memory_order_relaxed);
    }
    REOP_CHECK(!engine->single || before == 0, "reap from within on_done");
}

static void reap_leave(reop_engine *engine)
{
    if (!engine->counts_shared) {
        engine_judge(engine);
        atomic_store_explicit(&engine->owner_reaps, 0,
                              memory_order_release); /* pairs with destroy */
        return;
    }
    engine_reaped(engine);
}

/* Keeps those that landed, and says how many. */
static uint32_t land(reop_engine *engine, reop_op *ops[], int count)
{
    struct landed landed = engine_landed_none(engine);
    uint32_t kept = 0;

    for (int i = 0; i < count; i++) {
        reop_op *op = ops[i];

        ops[kept] = op;
        kept += engine_land(engine, slot_of(op), &landed);
    }
    engine_count_landed(engine, landed);
    return kept;
}

/* The ops have landed, and are ours until reap returns. */
static inline void tell_tracer(reop_engine *engine, reop_op *const ops[], uint32_t count,
                               uint32_t max)
{
    if (REOP_UNLIKELY(trace_on(io)))
        trace_stop(ops, count);
    if (REOP_UNLIKELY(trace_on(queue)))
        trace_reaped(engine, count, max);
    if (REOP_UNLIKELY(trace_on(rundown)))
        trace_rundown_due(engine);
}

REOP_APART int reap_the_long_way(reop_engine *engine, reop_op *ops[], uint32_t max,
                                 int64_t timeout_ns)
{
    if (ops == NULL || max == 0 || max > INT32_MAX)
        return -EINVAL;
    reap_enter(engine);
    return reap_inside(engine, ops, max, timeout_ns);
}

int reap_inside(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    uint32_t landed = 0;
    int count;

    do {
        count = gather(engine, ops, max, timeout_ns);
        landed = land(engine, ops, count);
        /* All of them pinned: they come through the ready list, which does not take long. */
    } while (REOP_UNLIKELY(count > 0 && landed == 0));
    tell_tracer(engine, ops, landed, max);
    reap_leave(engine);
    return count > 0 ? (int) landed : count;
}

REOP_HOT int reop_reap(reop_engine *engine, reop_op *ops[], uint32_t max, int64_t timeout_ns)
{
    return engine->reap(engine, ops, max, timeout_ns);
}

int reop_run(reop_engine *engine, uint32_t max, int64_t timeout_ns)
{
    reop_op *ops[RUN_BATCH];
    uint32_t total = 0;
    int count;

    if (max == 0 || max > INT32_MAX)
        return -EINVAL;
    reap_enter(engine);
    if (!engine->counts_shared) /* a reap from within on_done must be seen to be one */
        atomic_store(&engine->plain_reaper, 0);
    do {
        uint32_t room = max - total < RUN_BATCH ? max - total : RUN_BATCH;

        count = gather(engine, ops, room, total > 0 ? 0 : timeout_ns);
        for (int i = 0; i < count; i++) {
            struct landed landed = engine_landed_none(engine);

            if (!engine_land(engine, slot_of(ops[i]), &landed))
                continue;
            engine_count_landed(engine, landed);
            tell_tracer(engine, &ops[i], 1, 1);
            REOP_CHECK(ops[i]->on_done != NULL, "reop_run of op %p without on_done",
                       (void *) ops[i]);
            total++;
            ops[i]->on_done(ops[i]);
        }
    } while (count > 0 && total < max && (count == RUN_BATCH || total == 0));
    reap_leave(engine);
    return total > 0 ? (int) total : count;
}

int reop_flush(reop_engine *engine)
{
    engine_own(engine);
    if (!engine->counts_shared) {
        if (atomic_load_explicit(&engine->owner_reaps, memory_order_relaxed) ==
            0) /* not in reop_run */
            engine_judge(engine);
    }
    return engine->backend->flush(engine);
}
