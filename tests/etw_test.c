/* SPDX-License-Identifier: MIT
 *
 * What the library tells whoever traces it, as a reader of ETW traces sees it: events by name and
 * field, decoded from their own description. The same table makes the USDT probes.
 */
#include "fixture.h"

#include "engine.h"
#include "etw.h"
#include "trace_etw.h"

#define EVERYTHING UINT64_MAX
#define IO         1u
#define QUEUE      2u
#define ERRORS     4u
#define RUNDOWN    8u
#define STOPS      16u

enum {
    ID_IO_START = 1,
    ID_IO_STOP,
    ID_REAP,
    ID_WAKE,
    ID_EXHAUSTED,
    ID_STALL,
    ID_UNEXPECTED,
    ID_ERROR,
    ID_ENGINE,
    ID_FILE,
    ID_COUNTERS,
    IDS
};

/* --- the provider ----------------------------------------------------------------------------- */

static uint32_t rotate(uint32_t value, uint32_t by)
{
    return value << by | value >> (32 - by);
}

/* SHA-1 of less than 56 bytes. */
static void sha_1(const unsigned char *data, size_t size, unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], w[80] = {0};

    for (size_t i = 0; i < size; i++)
        w[i / 4] |= (uint32_t) data[i] << (24 - 8 * (i % 4));
    w[size / 4] |= UINT32_C(0x80) << (24 - 8 * (size % 4));
    w[15] = (uint32_t) size * 8;
    for (uint32_t i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (uint32_t i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + w[i];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    for (uint32_t i = 0; i < 20; i++)
        digest[i] = (unsigned char) (h[i / 4] >> (24 - 8 * (i % 4)));
}

/* A provider's GUID is made of its name: SHA-1 of a constant and of the name in upper case, as
 * UTF-16 with the high byte first; and then as version 5, read with the low byte first. */
static GUID guid_of(const char *name)
{
    unsigned char text[56] = {0x48, 0x2c, 0x2d, 0xb2, 0xc3, 0x90, 0x47, 0xc8,
                              0x87, 0xf8, 0x1a, 0x15, 0xbf, 0xc1, 0x30, 0xfb};
    unsigned char digest[20];
    size_t size = 16;
    GUID guid;

    for (; *name != '\0'; name++) {
        text[size++] = 0;
        text[size++] = (unsigned char) (*name >= 'a' && *name <= 'z' ? *name - 32 : *name);
    }
    sha_1(text, size, digest);
    digest[7] = (unsigned char) ((digest[7] & 0x0f) | 0x50);
    memcpy(&guid, digest, sizeof guid);
    return guid;
}

/* What Microsoft's tools say of a name that they use as an example. */
Test(etw, a_guid_is_made_of_its_name)
{
    static const GUID published = {
        0xb3864c38, 0x4273, 0x58c5, {0x54, 0x5b, 0x8b, 0x36, 0x08, 0x34, 0x34, 0x71}};
    GUID guid = guid_of("MyProvider");

    cr_assert_arr_eq(&guid, &published, sizeof guid);
}

#define ACME_FIELDS(FIELD)                                                                         \
    FIELD(hex64, op)                                                                               \
    FIELD(u64, seq)                                                                                \
    FIELD(u8, kind)                                                                                \
    FIELD(hex32, file)                                                                             \
    FIELD(u64, off)                                                                                \
    FIELD(u32, len)

ETW_METADATA(acme, ETW_PROVIDER("Acme.IoEngine"));
ETW_METADATA(acme_io, ETW_EVENT("Io", ACME_FIELDS));

static void expect_bytes(const unsigned char *found, const char *wanted)
{
    for (uint32_t i = 0; wanted[2 * i] != '\0'; i++) {
        char digits[3];

        snprintf(digits, sizeof digits, "%02x", found[i]);
        cr_assert(memcmp(digits, wanted + 2 * i, 2) == 0, "byte %u is %s", (unsigned) i, digits);
    }
    cr_assert_eq(2u * (found[0] | (uint32_t) found[1] << 8), strlen(wanted));
}

/* The vectors are what TraceLoggingDynamic.h, Microsoft's own, makes of the same names. */
Test(etw, metadata_is_byte_for_byte_microsofts)
{
    expect_bytes(acme.size, "100041636d652e496f456e67696e6500");
    expect_bytes(acme_io.size, "250000496f006f700015736571000a6b696e64000466696c6500146f6666000a6c"
                               "656e0008");
}

static void ignore(const struct etw_event *event)
{
    (void) event;
}

/* One registration serves all engines of the process, from the first to the last. */
BACKEND_TEST(etw, registered_while_there_is_an_engine, ON_EVERY_BACKEND)
{
    struct fixture first, second;
    GUID wanted = guid_of(TRACE_PROVIDER), found;
    unsigned char traits[64];

    for (uint32_t round = 1; round <= 2; round++) {
        etw_start(0, EVERYTHING, 0, ignore);
        fixture_open(&first, backend);
        cr_assert_eq(etw_counts.registered, round);
        found = etw_provider();
        cr_assert_arr_eq(&found, &wanted, sizeof found, "not the GUID of %s", TRACE_PROVIDER);
        cr_assert_eq(etw_traits(traits), 7);
        cr_assert_arr_eq(traits, "\7\0Reop", 7);
        fixture_open(&second, backend);
        cr_assert(trace_on(io), "the session that was there before is not seen");
        fixture_close(&first);
        cr_assert_eq(etw_counts.unregistered, round - 1);
        cr_assert(trace_on(io));
        fixture_close(&second);
        cr_assert_eq(etw_counts.registered, round);
        cr_assert_eq(etw_counts.unregistered, round);
        cr_assert(!trace_on(io) && !trace_on(queue) && !trace_on(error) && !trace_on(rundown),
                  "still on, with nobody to write to");
        etw_stop();
    }
    cr_assert_eq(etw_counts.stale, 0, "%llu writes with a handle that is gone",
                 (unsigned long long) etw_counts.stale);
}

/* --- each event ------------------------------------------------------------------------------- */

static struct etw_event last[IDS];
static uint32_t seen[IDS];

static void keep(const struct etw_event *event)
{
    cr_assert(event->descriptor.Id > 0 && event->descriptor.Id < IDS);
    last[event->descriptor.Id] = *event;
    seen[event->descriptor.Id]++;
}

static uint64_t last_value(uint32_t id, const char *name)
{
    return etw_value(&last[id], name);
}

/* Brings forth each event, and answers with an op that is still held. */
static reop_op *provoke(struct fixture *fixture, reop_file *file)
{
    reop_op *ops[FIXTURE_OPS], *op = fixture_acquire(fixture);
    uint32_t count = 0;

    cr_assert_eq(reop_post(op, fixture->engine, 0),
                 REOP_PENDING); /* never answered without a reap */
    cr_assert_eq(fixture_reap(fixture), op);
    fixture_finish(fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 1024));
    cr_assert_eq(op->result, 512);
    reop_wake(fixture->engine);
    cr_assert_eq(reop_reap(fixture->engine, ops, 1, 0), 0);
    while ((ops[count] = reop_acquire(fixture->lane)) != NULL)
        count++;
    cr_assert_eq(count, FIXTURE_OPS - 1);
    reop_release_many(fixture->lane, ops, count);
    engine_stalled(fixture->engine, file, UINT64_C(1) << 40); /* ticks: long, however they go */
    if (trace_on(error))
        trace_strayed(fixture->engine, op);
    return op;
}

/* And one that fails: a read of what may only be written. */
static void provoke_error(struct fixture *fixture, reop_op *op, reop_file *file)
{
    fixture_finish(fixture, op, reop_read(op, file, reop_op_buffer(op), 256, 0));
    cr_assert_lt(op->result, 0);
}

/* What a reader of traces relies on. "Ids are for ever", and so are names and types. */
static void expect_described(void)
{
    static const struct {
        const char *name, *fields;
        uint32_t level, opcode, keyword;
    } wanted[IDS] = {
        [ID_IO_START] = {"io", "op:21 use:10 kind:4 file:21 offset:10 size:8", 5, 1, IO},
        [ID_IO_STOP] =
            {"io",
             "op:21 use:10 kind:4 status:9 bytes:10 duration_ns:10 os_error:8/13 file:21 "
             "offset:10 size:8",
             5, 2, IO | STOPS},
        [ID_REAP] = {"reap", "engine:21 count:8 max:8 in_flight:10", 5, 0, QUEUE},
        [ID_WAKE] = {"wake", "engine:21", 5, 0, QUEUE},
        [ID_EXHAUSTED] = {"exhausted", "pool:21 slot_count:8", 4, 0, QUEUE},
        [ID_STALL] = {"stall", "engine:21 file:21 duration_ns:10", 3, 0, ERRORS},
        [ID_UNEXPECTED] = {"unexpected", "engine:21 op:21 use:10 state:4", 2, 0, ERRORS},
        [ID_ERROR] = {"error",
                      "op:21 use:10 kind:4 status:9 os_error:8/13 file:21 offset:10 size:8", 2, 0,
                      ERRORS},
        [ID_ENGINE] = {"engine", "engine:21 backend:4 flags:20 depth:8 file_count:8 pool_count:8",
                       4, 0, RUNDOWN},
        [ID_FILE] = {"file",
                     "engine:21 file:21 handle:21 flags:20 submitted:10 completed:10 stalls:10 "
                     "stall_ns:10",
                     4, 0, RUNDOWN},
        [ID_COUNTERS] = {"counters",
                         "engine:21 submitted:10 completed:10 failed:10 unexpected:10 stalls:10 "
                         "stall_ns:10 rejected:10 cancels:10 files:8",
                         4, 0, RUNDOWN},
    };

    for (uint32_t id = 1; id < IDS; id++) {
        const struct etw_event *event = &last[id];
        char fields[512] = "";
        size_t length = 0;

        cr_assert_gt(seen[id], 0, "event %u was not brought forth", (unsigned) id);
        cr_assert(event->described);
        cr_assert_str_eq(event->provider, "Reop");
        cr_assert_str_eq(event->name, wanted[id].name);
        for (uint32_t i = 0; i < event->field_count; i++) {
            const struct etw_field *field = &event->fields[i];

            length += (size_t) snprintf(fields + length, sizeof fields - length, "%s%s:%u",
                                        i == 0 ? "" : " ", field->name, (unsigned) field->in);
            if (field->out != 0)
                length += (size_t) snprintf(fields + length, sizeof fields - length, "/%u",
                                            (unsigned) field->out);
        }
        cr_assert_str_eq(fields, wanted[id].fields);
        cr_assert_eq(event->descriptor.Level, wanted[id].level, "%s", event->name);
        cr_assert_eq(event->descriptor.Opcode, wanted[id].opcode, "%s", event->name);
        cr_assert_eq(event->descriptor.Keyword, wanted[id].keyword, "%s", event->name);
        cr_assert_eq(event->has_activity, wanted[id].opcode != 0, "%s", event->name);
    }
}

static void expect_rundown(struct fixture *fixture, reop_file *file)
{
    struct reop_engine_stats stats;
    struct reop_file_info info;

    reop_engine_query(fixture->engine, &stats);
    cr_assert_eq(reop_file_query(file, &info), 0);
    cr_assert_eq(last_value(ID_ENGINE, "engine"), (uintptr_t) fixture->engine);
    cr_assert_eq(last_value(ID_ENGINE, "backend"), fixture->engine->backend->id);
    cr_assert_eq(last_value(ID_ENGINE, "flags"), fixture->backend->traits & 0xffffu);
    cr_assert_eq(last_value(ID_ENGINE, "depth"), fixture->engine->depth);
    cr_assert_eq(last_value(ID_ENGINE, "pool_count"), 1);
    cr_assert_eq(last_value(ID_FILE, "file"), (uintptr_t) file);
    cr_assert_eq(last_value(ID_FILE, "handle"), (uint64_t) info.handle);
    cr_assert_eq(last_value(ID_FILE, "flags"), info.flags);
    cr_assert_eq(last_value(ID_FILE, "submitted"), info.submitted);
    cr_assert_eq(last_value(ID_FILE, "completed"), info.completed);
    cr_assert_eq(last_value(ID_FILE, "stalls"), info.submit_stalls);
    cr_assert_eq(last_value(ID_COUNTERS, "submitted"), stats.submitted);
    cr_assert_eq(last_value(ID_COUNTERS, "completed"), stats.completed);
    cr_assert_eq(last_value(ID_COUNTERS, "failed"), stats.failed);
    cr_assert_eq(last_value(ID_COUNTERS, "stalls"), stats.submit_stalls);
    cr_assert_eq(last_value(ID_COUNTERS, "stall_ns"), stats.submit_stall_ns);
    cr_assert_eq(last_value(ID_COUNTERS, "files"), 1);
}

/* A decoder that knows the layout and nothing else reads each event, and each says what was. */
BACKEND_TEST(etw, each_event_describes_itself_and_is_true, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;
    int64_t start_ns, end_ns;
    uint64_t use;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    etw_start(0, EVERYTHING, 0, keep);
    start_ns = fixture_now_ns();
    op = provoke(&fixture, file);
    end_ns = fixture_now_ns();
    use = reop_op_use(op) - 1;
    cr_assert_eq(last_value(ID_IO_START, "op"), (uintptr_t) op);
    cr_assert_eq(last_value(ID_IO_START, "use"), use);
    cr_assert_eq(last_value(ID_IO_START, "kind"), REOP_KIND_WRITE);
    cr_assert_eq(last_value(ID_IO_START, "file"), (uintptr_t) file);
    cr_assert_eq(last_value(ID_IO_START, "offset"), 1024);
    cr_assert_eq(last_value(ID_IO_START, "size"), 512);
    cr_assert_eq(last_value(ID_IO_STOP, "op"), (uintptr_t) op);
    cr_assert_eq(last_value(ID_IO_STOP, "use"), use);
    cr_assert_eq(last_value(ID_IO_STOP, "kind"), REOP_KIND_WRITE);
    cr_assert_eq(last_value(ID_IO_STOP, "status"), 0);
    cr_assert_eq(last_value(ID_IO_STOP, "bytes"), 512);
    cr_assert_eq(last_value(ID_IO_STOP, "os_error"), op->os_error);
    cr_assert_eq(last_value(ID_IO_STOP, "file"), (uintptr_t) file);
    cr_assert_eq(last_value(ID_IO_STOP, "offset"), 1024);
    cr_assert_eq(last_value(ID_IO_STOP, "size"), 512);
    if (!(backend->traits & FIXTURE_SIM)) /* whose time is not this clock's */
        cr_assert_leq(last_value(ID_IO_STOP, "duration_ns"), (uint64_t) (end_ns - start_ns));
    cr_assert_eq(memcmp(&last[ID_IO_START].activity, &last[ID_IO_STOP].activity, sizeof(GUID)), 0);
    cr_assert_eq(last_value(ID_WAKE, "engine"), (uintptr_t) fixture.engine);
    cr_assert_eq(last_value(ID_EXHAUSTED, "pool"), (uintptr_t) fixture.pool);
    cr_assert_geq(last_value(ID_STALL, "duration_ns"), 1000 * FIXTURE_MS);
    cr_assert_eq(last_value(ID_STALL, "file"), (uintptr_t) file);
    cr_assert_eq(last_value(ID_UNEXPECTED, "op"), (uintptr_t) op);
    cr_assert_eq(last_value(ID_UNEXPECTED, "state"), 1);
    cr_assert_eq(seen[ID_ERROR], 0);
    provoke_error(&fixture, op, file);
    cr_assert_eq((int64_t) last_value(ID_IO_STOP, "status"), op->result);
    cr_assert_eq(last_value(ID_IO_STOP, "bytes"), 0);
    cr_assert_eq((int64_t) last_value(ID_ERROR, "status"), op->result);
    cr_assert_eq(last_value(ID_ERROR, "os_error"), op->os_error);
    cr_assert_eq(last_value(ID_ERROR, "use"), use + 1);
    cr_assert_eq(reop_post(op, fixture.engine, -5), REOP_PENDING);
    cr_assert_eq(fixture_reap(&fixture), op);
    cr_assert_eq(last_value(ID_IO_STOP, "kind"), REOP_KIND_POST);
    cr_assert_eq((int64_t) last_value(ID_IO_STOP, "status"), -5);
    cr_assert_eq(seen[ID_ERROR], 1, "a post's result is the caller's own");
    cr_assert_eq(last_value(ID_REAP, "count"), 1);
    cr_assert_eq(last_value(ID_REAP, "in_flight"), 0);
    cr_assert_eq(seen[ID_ENGINE], 0, "a rundown that nobody asked for");
    etw_capture_state();
    expect_rundown(&fixture, file);
    expect_described();
    cr_assert_eq(seen[ID_IO_START], 4);
    cr_assert_eq(seen[ID_IO_STOP], 4);
    cr_assert_eq(etw_counts.unwanted, 0);
    etw_stop();
    fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 0));
    cr_assert_eq(seen[ID_IO_STOP], 4, "written to a session that is over");
    cr_assert_eq(etw_counts.unwanted, 0, "written to a session that is over");
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* A duration is measured or it is 0: never from the start of an earlier launch. */
BACKEND_TEST(etw, a_launch_before_the_session_has_no_duration, ON_HOST_BLOCKING)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    op = fixture_acquire(&fixture);
    etw_start(0, STOPS, 0, keep);
    fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 0));
    cr_assert_eq(seen[ID_IO_START], 0);
    cr_assert_gt(last_value(ID_IO_STOP, "duration_ns"), 0, "not even with the stops alone");
    etw_stop();
    cr_assert_eq(reop_post(op, fixture.engine, 0), REOP_PENDING);
    fixture_sleep_ms(2);
    etw_start(0, STOPS, 0, keep);
    cr_assert_eq(fixture_reap(&fixture), op);
    cr_assert_eq(seen[ID_IO_STOP], 2);
    cr_assert_eq(last_value(ID_IO_STOP, "duration_ns"), 0);
    etw_stop();
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- sessions --------------------------------------------------------------------------------- */

#define BIT(id) (1u << (id))
#define ALL_BITS                                                                                   \
    (BIT(ID_IO_START) | BIT(ID_IO_STOP) | BIT(ID_REAP) | BIT(ID_WAKE) | BIT(ID_EXHAUSTED) |        \
     BIT(ID_STALL) | BIT(ID_UNEXPECTED) | BIT(ID_ERROR) | BIT(ID_ENGINE) | BIT(ID_FILE) |          \
     BIT(ID_COUNTERS))
#define RUNDOWN_BITS (BIT(ID_ENGINE) | BIT(ID_FILE) | BIT(ID_COUNTERS))

/* A session gets what its level and keywords ask for, and nothing else is even written. */
BACKEND_TEST(etw, level_and_keywords_choose, ON_EVERY_BACKEND)
{
    static const struct {
        uint8_t level;
        uint64_t any, all;
        uint32_t events;
    } sessions[] = {
        {0, EVERYTHING, 0, ALL_BITS},
        {5, EVERYTHING, 0, ALL_BITS},
        {4, EVERYTHING, 0,
         BIT(ID_EXHAUSTED) | BIT(ID_STALL) | BIT(ID_UNEXPECTED) | BIT(ID_ERROR) | RUNDOWN_BITS},
        {3, EVERYTHING, 0, BIT(ID_STALL) | BIT(ID_UNEXPECTED) | BIT(ID_ERROR)},
        {2, EVERYTHING, 0, BIT(ID_UNEXPECTED) | BIT(ID_ERROR)},
        {1, EVERYTHING, 0, 0},
        {5, IO, 0, BIT(ID_IO_START) | BIT(ID_IO_STOP)},
        {5, STOPS, 0, BIT(ID_IO_STOP)},
        {5, IO, IO | STOPS, BIT(ID_IO_STOP)},
        {5, QUEUE, 0, BIT(ID_REAP) | BIT(ID_WAKE) | BIT(ID_EXHAUSTED)},
        {5, ERRORS | RUNDOWN, 0, BIT(ID_STALL) | BIT(ID_UNEXPECTED) | BIT(ID_ERROR) | RUNDOWN_BITS},
        {5, EVERYTHING, IO | QUEUE, 0},
        {5, 0, 0, 0},
    };
    struct fixture fixture;
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    for (size_t i = 0; i < sizeof sessions / sizeof sessions[0]; i++) {
        uint32_t events = 0;
        reop_op *op;

        memset(seen, 0, sizeof seen);
        etw_start(sessions[i].level, sessions[i].any, sessions[i].all, keep);
        op = provoke(&fixture, file);
        provoke_error(&fixture, op, file);
        etw_capture_state();
        etw_stop();
        for (uint32_t id = 1; id < IDS; id++)
            events |= seen[id] > 0 ? BIT(id) : 0;
        cr_assert_eq(events, sessions[i].events, "session %zu: events %#x", i, (unsigned) events);
        cr_assert_eq(etw_counts.unwanted, 0, "session %zu", i);
        reop_release(fixture.lane, op);
    }
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* A session may ask for the state while the provider is still being registered. */
BACKEND_TEST(etw, a_rundown_asked_for_inside_the_registration_comes_after_it, ON_EVERY_BACKEND)
{
    struct fixture fixture;

    etw_start(0, RUNDOWN, 0, keep);
    etw_capture_state();
    fixture_open(&fixture, backend);
    cr_assert_eq(seen[ID_ENGINE], 1);
    cr_assert_eq(seen[ID_COUNTERS], 1);
    cr_assert(last[ID_ENGINE].described, "written before the traits were set");
    cr_assert_eq(last_value(ID_ENGINE, "engine"), (uintptr_t) fixture.engine);
    cr_assert_eq(etw_counts.stale, 0);
    etw_stop();
    fixture_close(&fixture);
}

/* Promise, of reop_trace_lost(): "Events for a tracer that it had no room for"; "A lost event
 * changes no I/O". */
BACKEND_TEST(etw, a_lost_event_is_counted_and_changes_no_io, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    op = fixture_acquire(&fixture);
    cr_assert_eq(reop_trace_lost(), 0);
    etw_start(0, EVERYTHING, 0, keep);
    for (uint32_t interval = 1; interval <= 3; interval++) {
        etw_fail_every(interval);
        for (uint32_t i = 0; i < 100; i++) {
            cr_assert_eq(
                fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 0)),
                512);
            cr_assert_eq(op->os_error, 0);
        }
    }
    cr_assert_gt(etw_counts.failed, 300);
    cr_assert_eq(reop_trace_lost(), etw_counts.failed);
    etw_fail_every(0);
    etw_stop();
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* An older system refuses the traits: its events are bytes to a reader, and all else is the same.
 */
BACKEND_TEST(etw, a_system_without_traits_is_no_reason_to_fail, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    reop_file *file;
    reop_op *op;

    etw_refuse_traits(true);
    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    op = fixture_acquire(&fixture);
    etw_start(0, IO, 0, keep);
    cr_assert_eq(fixture_finish(&fixture, op, reop_write(op, file, reop_op_buffer(op), 512, 0)),
                 512);
    cr_assert_eq(seen[ID_IO_STOP], 1);
    cr_assert(!last[ID_IO_STOP].described);
    cr_assert_eq(reop_trace_lost(), 0);
    etw_stop();
    reop_release(fixture.lane, op);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* --- many ops --------------------------------------------------------------------------------- */

#define OPS 100000u /* on each row of the table: more than a million in all */

/* Of each op, by its index: the use whose start was seen and whose stop was not. */
static _Atomic uint64_t open_uses[2 * FIXTURE_OPS];
static const struct slab *slab;
static _Atomic uint64_t starts, stops;

static void pair(const struct etw_event *event)
{
    uint64_t op = etw_value(event, "op"), use = etw_value(event, "use"), open;
    uint64_t index = (op - (uintptr_t) slab->slots) / sizeof(struct slot);
    uint64_t activity[2];

    cr_assert_lt(index, sizeof open_uses / sizeof open_uses[0]);
    cr_assert(event->has_activity);
    memcpy(activity, &event->activity, sizeof activity);
    cr_assert(activity[0] == op && activity[1] == use);
    if (event->descriptor.Opcode == 1) {
        open = atomic_exchange(&open_uses[index], use);
        cr_assert_eq(open, 0, "use %llu starts before use %llu has stopped",
                     (unsigned long long) use, (unsigned long long) open);
        starts++;
    } else {
        open = atomic_exchange(&open_uses[index], 0);
        cr_assert_eq(open, use, "a stop of use %llu, and the start was of %llu",
                     (unsigned long long) use, (unsigned long long) open);
        stops++;
    }
}

/* Keeps a few ops in flight until so many have come back; *result_out is 0 if each moved size. */
static void run_ops(struct fixture *fixture, reop_file *file, uint32_t count, uint64_t *wrong_out)
{
    uint32_t launched = 0, back = 0;
    reop_op *ops[16];

    while (back < count) {
        int reaped;

        while (launched < count && launched - back < 16) {
            reop_op *op = fixture_acquire(fixture);
            reop_status status = reop_write(op, file, reop_op_buffer(op), 64, launched % 16 * 64);

            launched++;
            cr_assert_neq(status, REOP_REJECTED);
            if (status == REOP_DONE) {
                *wrong_out += op->result != 64;
                back++;
                reop_release(fixture->lane, op);
            }
        }
        if (launched == back)
            continue;
        reaped = reop_reap(fixture->engine, ops, 16, FIXTURE_PATIENCE_NS);
        cr_assert_geq(reaped, 0);
        for (int i = 0; i < reaped; i++) {
            *wrong_out += ops[i]->result != 64;
            back++;
            reop_release(fixture->lane, ops[i]);
        }
    }
}

BACKEND_TEST(etw, each_start_has_its_stop, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    uint32_t count = fixture_volume(OPS);
    uint64_t wrong = 0;
    reop_file *file;

    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    slab = pool_slab(fixture.pool);
    etw_start(0, IO, 0, pair);
    run_ops(&fixture, file, count, &wrong);
    etw_stop();
    cr_assert_eq(wrong, 0);
    cr_assert_eq(starts, count);
    cr_assert_eq(stops, count);
    cr_assert_eq(etw_counts.unwanted, 0);
    cr_assert_eq(reop_trace_lost(), 0);
    printf("%s: %llu starts, %llu stops\n", backend->name, (unsigned long long) starts,
           (unsigned long long) stops);
    fixture_close_file(file);
    fixture_close(&fixture);
}

static _Atomic bool quit;
static _Atomic uint64_t sessions_begun;

/* Sessions of every sort come and go. The last one is over when this returns. */
static void come_and_go(void *argument)
{
    uint64_t random = *(const uint64_t *) argument;

    while (!quit) {
        etw_start((uint8_t) (fixture_random(&random) % 6), fixture_random(&random) % 32, 0, ignore);
        if (fixture_random(&random) % 4 == 0)
            etw_capture_state();
        etw_fail_every((uint32_t) (fixture_random(&random) % 4));
        if (fixture_random(&random) % 2)
            etw_stop();
        sessions_begun++;
    }
    etw_stop();
}

/* Whoever listens, and whenever: every op comes back as it would have. */
BACKEND_TEST(etw, sessions_come_and_go_while_ops_run, ON_EVERY_BACKEND)
{
    uint64_t seed = fixture_seed(), wrong = 0;
    struct sync_thread thread;
    struct fixture fixture;
    reop_file *file;

    printf("seed %llu\n", (unsigned long long) seed);
    fixture_open(&fixture, backend);
    file = fixture_file(&fixture, REOP_FILE_WRITE, 4096);
    cr_assert_eq(sync_thread_start(&thread, come_and_go, &seed), 0);
    do
        run_ops(&fixture, file, fixture_volume(OPS), &wrong);
    while (sessions_begun < 20);
    quit = true;
    sync_thread_join(&thread);
    cr_assert_eq(wrong, 0, "%llu ops went wrong", (unsigned long long) wrong);
    cr_assert_gt(etw_counts.written, 0);
    cr_assert_eq(etw_counts.stale, 0);
    cr_assert_eq(reop_trace_lost(), etw_counts.failed);
    printf("%s: %llu sessions, %llu events, %llu lost\n", backend->name,
           (unsigned long long) sessions_begun, (unsigned long long) etw_counts.written,
           (unsigned long long) etw_counts.failed);
    fixture_close_file(file);
    fixture_close(&fixture);
}

/* Engines come and go too: the provider with them, while its sessions ask for the state. */
BACKEND_TEST(etw, engines_come_and_go_under_sessions, ON_EVERY_BACKEND)
{
    uint64_t seed = fixture_seed();
    struct sync_thread thread;

    printf("seed %llu\n", (unsigned long long) seed);
    cr_assert_eq(sync_thread_start(&thread, come_and_go, &seed), 0);
    for (uint32_t i = 0; i < fixture_volume(100) || sessions_begun < 20; i++) {
        struct fixture first, second;

        fixture_open(&first, backend);
        if (i % 2)
            fixture_open(&second, backend);
        fixture_close(&first);
        if (i % 2)
            fixture_close(&second);
    }
    quit = true;
    sync_thread_join(&thread);
    cr_assert_eq(etw_counts.registered, etw_counts.unregistered);
}
