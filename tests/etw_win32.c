/* SPDX-License-Identifier: MIT
 *
 * The pointers through which a program calls a DLL. The linker finds ours before those of the
 * import library: the library's calls of ETW come to the double. It looks EventSetInformation up,
 * so every look-up of the program comes here, and that one is answered by the double too.
 */
#include "etw.h"

#include <string.h>

struct text { /* ANSI_STRING */
    USHORT length, size;
    const char *characters;
};

LONG NTAPI LdrGetProcedureAddress(HMODULE module, const struct text *name, ULONG ordinal,
                                  void **address_out);

static FARPROC WINAPI look_up(HMODULE module, LPCSTR name)
{
    struct text text = {0};
    void *address = NULL;

    if ((ULONG_PTR) name <= 0xffff)
        return LdrGetProcedureAddress(module, NULL, (ULONG) (ULONG_PTR) name, &address) < 0
                   ? NULL
                   : (FARPROC) (ULONG_PTR) address;
    if (strcmp(name, "EventSetInformation") == 0)
        return (FARPROC) (void (*)(void)) EventSetInformation;
    text.characters = name;
    text.length = (USHORT) strlen(name);
    text.size = (USHORT) (text.length + 1);
    return LdrGetProcedureAddress(module, &text, 0, &address) < 0 ? NULL
                                                                  : (FARPROC) (ULONG_PTR) address;
}

#define IMPORT(name, type, ours)                                                                   \
    extern type __imp_##name;                                                                      \
    type __imp_##name = ours

typedef FARPROC(WINAPI *look_up_call)(HMODULE module, LPCSTR name);

IMPORT(GetProcAddress, look_up_call, look_up);
IMPORT(EventRegister, FARPROC, (FARPROC) (void (*)(void)) EventRegister);
IMPORT(EventUnregister, FARPROC, (FARPROC) (void (*)(void)) EventUnregister);
IMPORT(EventWriteTransfer, FARPROC, (FARPROC) (void (*)(void)) EventWriteTransfer);
