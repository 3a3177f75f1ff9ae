/* SPDX-License-Identifier: MIT
 *
 * What a handle stands for: shared by the kernel and by the calls on files that are not I/O.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "device.h"

#include <windows.h>

struct port;

enum object_type { OBJECT_NONE, OBJECT_FILE, OBJECT_PORT, OBJECT_RESERVE, OBJECT_EVENT };

struct object {
    enum object_type type;
    struct port *port; /* itself, or what a file is bound to */
    ULONG_PTR key;
    struct device device;
    bool reads, writes;
    bool synchronous; /* not opened for overlapped I/O */
    bool direct;
    bool durable;
    bool queued;        /* a reserve object whose packet nobody has dequeued */
    UCHAR modes;        /* notification modes: they can be set and never cleared */
    uint32_t in_flight; /* ops that the kernel owns */
};

/* The kernel's lock is held for all of these. */
void objects_lock(void);
void objects_unlock(void);
HANDLE object_new(enum object_type type, struct object **object_out); /* NULL: too many */
struct object *object_find(HANDLE handle, enum object_type type);
void object_close(struct object *object);

bool objects_new_system(void); /* with all that ntdll may have */
bool objects_can_unbind(void);

ULONG NTAPI RtlNtStatusToDosError(LONG status);
LONG NTAPI NtAllocateReserveObject(HANDLE *handle_out, void *attributes, int type);
LONG NTAPI NtSetIoCompletionEx(HANDLE port, HANDLE reserve, void *key, void *overlapped,
                               LONG status, ULONG_PTR bytes);

BOOL object_answer(DWORD error); /* sets the last error; TRUE for ERROR_SUCCESS */

#endif
