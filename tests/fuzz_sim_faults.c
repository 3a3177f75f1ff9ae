/* SPDX-License-Identifier: MIT
 *
 * libFuzzer: the tape of a program that does everything at once - pieces, cancels, renames, crashes
 * - on a device with every fault there is. A finding is an op that does not come back once, a count
 * that does not add up, or what the sanitizers see.
 */
#include <reop/sim.h>

#include <errno.h>
#include <stdlib.h>

#define OPS   6u
#define FILES 3u

static reop_engine *engine;
static reop_lane *lane;

struct chaos {
    reop_file *files[FILES];
    reop_op *ops[OPS];
    bool in_flight[OPS];
    struct reop_piece pieces[OPS][2];
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void create(void)
{
    static const struct reop_sim_script script[] = {{3, REOP_FAULT_SHORT}, {9, REOP_FAULT_LOST}};
    reop_pool_config pool_config = {.op_count = OPS, .buffer_size = 16384};
    reop_engine_config config = {.flags = REOP_ENGINE_SINGLE_THREAD | REOP_ENGINE_INLINE};
    struct reop_sim_config device = {.capacity = 65536,
                                     .atomic_size = 2048,
                                     .file_count = 4,
                                     .jitter_ns = 20000,
                                     .garbage = 8000,
                                     .script = script,
                                     .script_count = 2};

    for (uint32_t i = 1; i < REOP_FAULT_COUNT; i++)
        device.faults.rate[i] = 4000;
    must(reop_pool_create(&pool_config, &config.pool) == 0);
    must(reop_sim_create(&config, &device, &engine) == 0);
    lane = reop_pool_shared_lane(config.pool);
}

static uint32_t choose(uint32_t limit)
{
    return reop_sim_choose(engine, limit);
}

static void open_file(struct chaos *chaos, uint32_t index)
{
    static const char *const names[FILES] = {"one", "two", "three"};
    static const uint32_t flags[] = {0, REOP_FILE_DIRECT, REOP_FILE_DURABLE, REOP_FILE_TRUNCATE};

    if (chaos->files[index] != NULL && reop_file_close(chaos->files[index]) == -EBUSY)
        return;
    chaos->files[index] = NULL;
    reop_file_open(engine, names[index],
                   REOP_FILE_READ | REOP_FILE_WRITE | REOP_FILE_CREATE | flags[choose(4)],
                   &chaos->files[index]);
}

static void submit(struct chaos *chaos, uint32_t index)
{
    reop_op *op = chaos->ops[index];
    reop_file *file = chaos->files[choose(FILES)];
    uint8_t *buffer = reop_op_buffer(op);
    uint32_t size = 512 * choose(33);
    uint64_t offset = 512 * choose(128);
    struct reop_piece *pieces = chaos->pieces[index];
    reop_status status;

    if (chaos->in_flight[index] || file == NULL)
        return;
    pieces[0] = (struct reop_piece){buffer, size / 1024 * 512};
    pieces[1] = (struct reop_piece){buffer + pieces[0].size, size - pieces[0].size};
    switch (choose(6)) {
    case 0:
        status = reop_write(op, file, buffer, size, offset);
        break;
    case 1:
        status = reop_sync(op, file, choose(2));
        break;
    case 2:
        status = reop_read(op, file, buffer, size, offset);
        break;
    case 3:
        status = reop_writev(op, file, pieces, 2, offset);
        break;
    case 4:
        status = reop_readv(op, file, pieces, 2, offset);
        break;
    default:
        status = reop_write(op, file, buffer, choose(600), choose(60000)); /* not a direct one's */
    }
    chaos->in_flight[index] = status == REOP_PENDING;
    must(status != REOP_REJECTED || op->result == -EINVAL);
}

static void reap(struct chaos *chaos, int64_t timeout_ns)
{
    reop_op *ops[OPS];
    int count = reop_reap(engine, ops, OPS, timeout_ns);

    must(count >= 0);
    for (int i = 0; i < count; i++) {
        uint32_t index = 0;

        while (index < OPS && chaos->ops[index] != ops[i])
            index++;
        must(index < OPS && chaos->in_flight[index]);
        chaos->in_flight[index] = false;
    }
}

static void step(struct chaos *chaos)
{
    uint32_t index = choose(OPS);

    switch (choose(8)) {
    default:
        submit(chaos, index);
        break;
    case 1:
        reap(chaos, choose(2) * 10000);
        break;
    case 2:
        must(reop_cancel(chaos->ops[index], reop_op_use(chaos->ops[index]) - 1) ==
             (chaos->in_flight[index] ? 0 : -ENOENT));
        break;
    case 3:
        open_file(chaos, index % FILES);
        break;
    case 4:
        if (choose(2))
            reop_sim_rename(engine, "one", "two");
        else
            reop_sim_remove(engine, "three");
        break;
    case 5:
        if (choose(2))
            reop_sim_crash_after(engine, choose(20));
        else
            reop_sim_restart(engine);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chaos chaos = {{NULL}, {NULL}, {false}, {{{NULL, 0}}}};
    struct reop_engine_stats before, after;

    if (engine == NULL)
        create();
    if (size > 4096)
        return 0;
    must(reop_sim_reset(engine, data, size, 0) == 0);
    must(reop_acquire_many(lane, chaos.ops, OPS) == OPS);
    reop_engine_query(engine, &before);
    for (uint32_t i = 0; i < FILES; i++)
        open_file(&chaos, i);
    for (uint32_t steps = 8 + (uint32_t) size / 8; steps > 0; steps--)
        step(&chaos);
    for (uint32_t i = 0; i < OPS; i++)
        while (chaos.in_flight[i])
            reap(&chaos, REOP_FOREVER);
    reop_engine_query(engine, &after);
    must(after.submitted == after.completed && after.unexpected == 0);
    for (uint32_t i = 0; i < FILES; i++)
        must(chaos.files[i] == NULL || reop_file_close(chaos.files[i]) == 0);
    reop_release_many(lane, chaos.ops, OPS);
    return 0;
}
