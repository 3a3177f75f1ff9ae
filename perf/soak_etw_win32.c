/* SPDX-License-Identifier: MIT
 *
 * An ETW session of our own with the library's provider: started before the child, asked all the
 * time whether it has lost anything, stopped at the end. Its log is a ring of 64 MiB in DIR.
 *
 * Under Wine all of these calls succeed and none does anything, so nothing is asked there: "no
 * events lost" would be a claim about nothing.
 */
#include "soak.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <evntrace.h>

#define SESSION    L"reop soak"
#define NAME_MAX   1024
#define BUFFER_KIB 1024
#define BUFFERS    64
#define LOG_MIB    64
#define ALL_LEVELS 255
#define POLL_NS    SOAK_NS
#define CIRCULAR   0x2     /* EVENT_TRACE_FILE_MODE_CIRCULAR */
#define WITH_GUID  0x20000 /* WNODE_FLAG_TRACED_GUID */
#define ENABLE     1       /* EVENT_CONTROL_CODE_ENABLE_PROVIDER */
#define CLOCK_QPC  1

/* Made from the name "Reop", as the rule for TraceLogging providers has it. */
static const GUID provider = {
    0x431c61a3, 0xa031, 0x5b19, {0x7e, 0x6d, 0x0e, 0xb7, 0x89, 0x5b, 0x07, 0x50}};

typedef ULONG(WINAPI start_trace)(uint64_t *session, const wchar_t *name, void *properties);
typedef ULONG(WINAPI enable_trace)(uint64_t session, const GUID *provider, ULONG code, UCHAR level,
                                   ULONGLONG any, ULONGLONG all, ULONG timeout, void *parameters);
typedef ULONG(WINAPI control_trace)(uint64_t session, const wchar_t *name, void *properties,
                                    ULONG code);
typedef void procedure(void);

/* What StartTraceW() wants behind its structure: the two names. */
struct properties {
    EVENT_TRACE_PROPERTIES head;
    wchar_t session[NAME_MAX], file[NAME_MAX];
};

static struct {
    control_trace *control;
    uint64_t session;
    bool running;
    int64_t poll_ns;
    unsigned long events, buffers, real_time; /* lost, the most that was ever said */
    char words[200];
} etw;

static procedure *look_up(HMODULE module, const char *name)
{
    return module == NULL ? NULL : (procedure *) GetProcAddress(module, name);
}

static void fill(struct properties *properties)
{
    memset(properties, 0, sizeof *properties);
    properties->head.Wnode.BufferSize = sizeof *properties;
    properties->head.Wnode.Flags = WITH_GUID;
    properties->head.Wnode.ClientContext = CLOCK_QPC;
    properties->head.BufferSize = BUFFER_KIB;
    properties->head.MinimumBuffers = BUFFERS;
    properties->head.MaximumBuffers = BUFFERS * 2;
    properties->head.MaximumFileSize = LOG_MIB;
    properties->head.LogFileMode = CIRCULAR;
    properties->head.LoggerNameOffset = offsetof(struct properties, session);
    properties->head.LogFileNameOffset = offsetof(struct properties, file);
}

static ULONG control(ULONG code, struct properties *properties)
{
    fill(properties);
    return etw.control(etw.session, NULL, properties, code);
}

void soak_etw_begin(const struct soak_options *options)
{
    static struct properties properties;
    HMODULE advapi = LoadLibraryA("advapi32.dll");
    start_trace *start = (start_trace *) look_up(advapi, "StartTraceW");
    enable_trace *enable = (enable_trace *) look_up(advapi, "EnableTraceEx2");
    ULONG error;

    etw.control = (control_trace *) look_up(advapi, "ControlTraceW");
    if (look_up(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL) {
        snprintf(etw.words, sizeof etw.words,
                 "ETW not available: this is Wine, whose ETW does "
                 "nothing and says that it worked");
        return;
    }
    if (start == NULL || enable == NULL || etw.control == NULL) {
        snprintf(etw.words, sizeof etw.words, "ETW not available: this Windows has not all of it");
        return;
    }
    fill(&properties);
    swprintf(properties.file, NAME_MAX, L"%hs\\reop_soak.etl", options->folder);
    error = start(&etw.session, SESSION, &properties);
    if (error == ERROR_SUCCESS)
        error = enable(etw.session, &provider, ENABLE, ALL_LEVELS, 0, 0, 0, NULL);
    etw.running = error == ERROR_SUCCESS;
    if (!etw.running)
        snprintf(etw.words, sizeof etw.words,
                 "ETW not available: the session was refused with error %lu%s",
                 (unsigned long) error,
                 error == ERROR_ACCESS_DENIED ? ", since only an administrator may start one" : "");
}

static void look(ULONG code)
{
    static struct properties properties;

    if (control(code, &properties) != ERROR_SUCCESS)
        return;
    if (properties.head.EventsLost > etw.events)
        etw.events = properties.head.EventsLost;
    if (properties.head.LogBuffersLost > etw.buffers)
        etw.buffers = properties.head.LogBuffersLost;
    if (properties.head.RealTimeBuffersLost > etw.real_time)
        etw.real_time = properties.head.RealTimeBuffersLost;
}

void soak_etw_poll(void)
{
    if (!etw.running || platform_now_ns() < etw.poll_ns)
        return;
    etw.poll_ns = platform_now_ns() + POLL_NS;
    look(EVENT_TRACE_CONTROL_QUERY);
}

struct soak_judgement soak_etw_end(void)
{
    struct soak_judgement judgement = {SOAK_UNJUDGED, ""};

    if (!etw.running) {
        memcpy(judgement.words, etw.words, sizeof etw.words);
        return judgement;
    }
    look(EVENT_TRACE_CONTROL_STOP);
    etw.running = false;
    judgement.verdict = etw.events + etw.buffers + etw.real_time == 0 ? SOAK_PASS : SOAK_FAIL;
    snprintf(judgement.words, sizeof judgement.words,
             "%lu events, %lu log buffers and %lu real-time buffers lost; the trace is "
             "reop_soak.etl in DIR",
             etw.events, etw.buffers, etw.real_time);
    return judgement;
}
