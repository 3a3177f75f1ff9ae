/* SPDX-License-Identifier: MIT
 *
 * As much of the loader as trace_etw.c asks for where there is no Windows, fake or real.
 */
#include "etw.h"

#include <string.h>

HMODULE WINAPI GetModuleHandleA(LPCSTR name)
{
    static char advapi;

    return strcmp(name, "advapi32.dll") == 0 ? &advapi : NULL;
}

FARPROC WINAPI GetProcAddress(HMODULE module, LPCSTR name)
{
    return module != NULL && strcmp(name, "EventSetInformation") == 0
               ? (FARPROC) EventSetInformation
               : NULL;
}
