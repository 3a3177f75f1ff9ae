/* SPDX-License-Identifier: MIT
 *
 * Event tracing, as much of it as trace_etw.c asks for. Behind it is tests/etw.c.
 */
#ifndef FAKE_EVNTPROV_H
#define FAKE_EVNTPROV_H

#include <windows.h>

typedef ULONGLONG REGHANDLE, *PREGHANDLE;

typedef struct {
    USHORT Id;
    UCHAR Version;
    UCHAR Channel;
    UCHAR Level;
    UCHAR Opcode;
    USHORT Task;
    ULONGLONG Keyword;
} EVENT_DESCRIPTOR;
typedef const EVENT_DESCRIPTOR *PCEVENT_DESCRIPTOR;

typedef struct {
    ULONGLONG Ptr;
    ULONG Size;
    ULONG Reserved;
} EVENT_DATA_DESCRIPTOR, *PEVENT_DATA_DESCRIPTOR;

typedef struct {
    ULONGLONG Ptr;
    ULONG Size;
    ULONG Type;
} EVENT_FILTER_DESCRIPTOR, *PEVENT_FILTER_DESCRIPTOR;

typedef enum {
    EventProviderBinaryTrackInfo,
    EventProviderSetReserved1,
    EventProviderSetTraits
} EVENT_INFO_CLASS;

#define EVNTAPI WINAPI

typedef void(NTAPI *PENABLECALLBACK)(LPCGUID source, ULONG control, UCHAR level, ULONGLONG any,
                                     ULONGLONG all, PEVENT_FILTER_DESCRIPTOR filter, PVOID context);

ULONG EVNTAPI EventRegister(LPCGUID provider, PENABLECALLBACK callback, PVOID context,
                            PREGHANDLE handle_out);
ULONG EVNTAPI EventUnregister(REGHANDLE handle);
ULONG EVNTAPI EventSetInformation(REGHANDLE handle, EVENT_INFO_CLASS class, PVOID information,
                                  ULONG size);
ULONG EVNTAPI EventWriteTransfer(REGHANDLE handle, PCEVENT_DESCRIPTOR descriptor, LPCGUID activity,
                                 LPCGUID related, ULONG count, PEVENT_DATA_DESCRIPTOR data);

#endif
