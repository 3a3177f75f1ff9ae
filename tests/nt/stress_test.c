/* SPDX-License-Identifier: MIT
 *
 * Real threads on the kernel that does all it can: four of them submit, cancel, wake and reap on
 * one engine, and each op that comes back is held against what the kernel did. What this adds to
 * the coroutines is what happens between the calls, where a sanitizer watches.
 */
#include "chance.h"
#include "fixture.h"
#include "kernel.h"

#include <pthread.h>
#include <stdatomic.h>

#define CREW      4u
#define OPS       24u
#define SIZE      64u
#define FILE_SIZE 8192u

struct stamp { /* in the op's context */
    uint64_t use;
    uint32_t in_flight;
    uint32_t offset;
    int64_t posted;
};

struct crew {
    struct fixture fixture;
    reop_file *file;
    uint32_t submits; /* of each member */
    uint64_t seed;
    _Atomic uint64_t accepted;
    _Atomic uint64_t came_back;
    _Atomic uint32_t wrong;
    _Atomic uint32_t finished; /* members that submit no more */
};

struct member {
    struct crew *crew;
    reop_lane *lane;
    uint64_t random;
};

static bool says_what_happened(const reop_op *op, const struct stamp *stamp)
{
    struct kernel_verdict verdict;

    if (op->kind == REOP_KIND_POST)
        return op->result == stamp->posted;
    if (!kernel_last_verdict(op, &verdict) || op->os_error != verdict.error ||
        op->result != kernel_promised(&verdict, op->kind == REOP_KIND_READ))
        return false;
    for (int64_t i = 0; op->kind == REOP_KIND_READ && i < op->result; i++)
        if (((const uint8_t *) op->data)[i] != kernel_byte(stamp->offset + (uint64_t) i))
            return false;
    return true;
}

static void take_back(struct member *member, reop_op *op)
{
    struct crew *crew = member->crew;
    struct stamp *stamp = reop_op_context(op);
    bool good =
        stamp->in_flight == 1 && reop_op_use(op) == stamp->use + 1 && says_what_happened(op, stamp);

    if (!good)
        fprintf(stderr, "kind %u, use %llu: result %lld, os_error %u\n", op->kind,
                (unsigned long long) stamp->use, (long long) op->result, op->os_error);
    stamp->in_flight = 0;
    atomic_fetch_add(&crew->wrong, !good);
    atomic_fetch_add(&crew->came_back, 1);
    memset(&op->overlapped, 0xe7, sizeof op->overlapped); /* it is ours, all of it */
    op->file = NULL;
    op->data = NULL;
    reop_release(member->lane, op);
}

static void launch_one(struct member *member, reop_op *op)
{
    struct crew *crew = member->crew;
    struct stamp *stamp = reop_op_context(op);
    uint8_t *data = reop_op_buffer(op);
    uint64_t dice = fixture_random(&member->random), use = reop_op_use(op);
    uint32_t offset = (uint32_t) (dice >> 32) % (FILE_SIZE - SIZE);
    reop_status status;

    *stamp = (struct stamp){use, 1, offset, (int64_t) (dice >> 1)};
    if (dice % 8 == 0) {
        status = reop_post(op, crew->fixture.engine, stamp->posted);
    } else if (dice % 8 < 3) {
        for (uint32_t i = 0; i < SIZE; i++)
            data[i] = kernel_byte(offset + i);
        status = reop_write(op, crew->file, data, SIZE, offset);
    } else {
        status = reop_read(op, crew->file, data, SIZE, offset);
    }
    if (status == REOP_REJECTED) {
        atomic_fetch_add(&crew->wrong, 1);
        return;
    }
    atomic_fetch_add(&crew->accepted, 1);
    if (status == REOP_DONE)
        take_back(member, op);
    else if (dice >> 8 & 1)
        reop_cancel(op,
                    use - (dice >> 9 & 1)); /* whatever it answers: it may be another's already */
}

static void *work(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    uint32_t launched = 0;
    reop_op *ops[8];

    while (atomic_load(&crew->finished) < CREW ||
           atomic_load(&crew->came_back) < atomic_load(&crew->accepted)) {
        reop_op *op = launched < crew->submits ? reop_acquire(member->lane) : NULL;
        int count;

        if (op != NULL) {
            launch_one(member, op);
            if (++launched == crew->submits)
                atomic_fetch_add(&crew->finished, 1);
            if (fixture_random(&member->random) % 4 != 0)
                continue;
        }
        if (fixture_random(&member->random) % 16 == 0)
            reop_wake(crew->fixture.engine);
        count = reop_reap(crew->fixture.engine, ops, 8, FIXTURE_MS);
        for (int i = 0; i < count; i++)
            take_back(member, ops[i]);
        atomic_fetch_add(&crew->wrong, count < 0);
    }
    return NULL;
}

BACKEND_TEST(nt_stress, four_threads_on_a_hostile_kernel, ON_SHARED_ENGINES)
{
    struct crew crew = {.submits = fixture_volume(50000), .seed = fixture_seed()};
    struct member members[CREW];
    pthread_t threads[CREW];

    kernel_reset(&kernel_hostile);
    fixture_open_with(&crew.fixture, backend,
                      (reop_pool_config){.op_count = OPS,
                                         .lane_count = CREW,
                                         .context_size = sizeof(struct stamp),
                                         .buffer_size = SIZE},
                      (reop_engine_config){0});
    cr_assert_eq(reop_file_attach(crew.fixture.engine, (reop_handle) kernel_open_memory(FILE_SIZE),
                                  0, &crew.file),
                 0);
    for (uint32_t i = 0; i < CREW; i++) {
        members[i] = (struct member){&crew, reop_pool_lane(crew.fixture.pool, i), crew.seed + i};
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &members[i]), 0);
    }
    for (uint32_t i = 0; i < CREW; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    printf("%s: seed %llu, %llu came back\n", backend->name, (unsigned long long) crew.seed,
           (unsigned long long) crew.came_back);
    cr_assert_eq(crew.wrong, 0, "%s: %u wrong", backend->name, crew.wrong);
    cr_assert_eq(kernel_owned(), 0, "%s", backend->name);
    fixture_close_file(crew.file);
    fixture_close(&crew.fixture);
}
