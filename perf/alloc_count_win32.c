/* SPDX-License-Identifier: MIT
 *
 * Every heap of a Windows process ends in three functions of ntdll, malloc and HeapAlloc too. Their
 * addresses stand in the import table of each module that calls them, and are replaced there by
 * ours. What ntdll allocates for itself is not seen.
 */
#include "alloc_count.h"

#include <windows.h>

#include <psapi.h>

#define MODULES_MAX 256u

typedef void *(WINAPI allocate)(HANDLE heap, ULONG flags, SIZE_T size);
typedef void *(WINAPI reallocate)(HANDLE heap, ULONG flags, void *block, SIZE_T size);
typedef BOOLEAN(WINAPI release)(HANDLE heap, ULONG flags, void *block);
typedef void procedure(void);

static allocate *real_allocate;
static reallocate *real_reallocate;
static release *real_release;
static unsigned patched;

static void *WINAPI counted_allocate(HANDLE heap, ULONG flags, SIZE_T size)
{
    alloc_count_add();
    return real_allocate(heap, flags, size);
}

static void *WINAPI counted_reallocate(HANDLE heap, ULONG flags, void *block, SIZE_T size)
{
    alloc_count_add();
    return real_reallocate(heap, flags, block, size);
}

static BOOLEAN WINAPI counted_release(HANDLE heap, ULONG flags, void *block)
{
    if (block != NULL)
        alloc_count_add_free();
    return real_release(heap, flags, block);
}

static procedure *counted(procedure *real)
{
    if (real == (procedure *) real_allocate)
        return (procedure *) counted_allocate;
    if (real == (procedure *) real_reallocate)
        return (procedure *) counted_reallocate;
    return real == (procedure *) real_release ? (procedure *) counted_release : NULL;
}

static void patch_entry(procedure **entry)
{
    procedure *replacement = counted(*entry);
    DWORD protection;

    if (replacement == NULL || !VirtualProtect(entry, sizeof *entry, PAGE_READWRITE, &protection))
        return;
    *entry = replacement;
    VirtualProtect(entry, sizeof *entry, protection, &protection);
    patched++;
}

static void patch_module(unsigned char *base)
{
    const IMAGE_DOS_HEADER *dos = (const void *) base;
    const IMAGE_NT_HEADERS *headers = (const void *) (base + dos->e_lfanew);
    const IMAGE_DATA_DIRECTORY *imports =
        &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    const IMAGE_IMPORT_DESCRIPTOR *library = (const void *) (base + imports->VirtualAddress);

    if (imports->Size == 0)
        return;
    for (; library->Name != 0; library++) {
        procedure **entry = (procedure **) (void *) (base + library->FirstThunk);

        for (; *entry != NULL; entry++)
            patch_entry(entry);
    }
}

/* A module that is loaded later is not seen: load all there are to be before. */
__attribute__((constructor)) static void patch_all(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll"), modules[MODULES_MAX];
    DWORD size = 0;

    real_allocate = (allocate *) (procedure *) GetProcAddress(ntdll, "RtlAllocateHeap");
    real_reallocate = (reallocate *) (procedure *) GetProcAddress(ntdll, "RtlReAllocateHeap");
    real_release = (release *) (procedure *) GetProcAddress(ntdll, "RtlFreeHeap");
    if (real_allocate == NULL || real_reallocate == NULL || real_release == NULL ||
        !K32EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &size) ||
        size > sizeof modules)
        return;
    for (DWORD i = 0; i < size / sizeof modules[0]; i++)
        if (modules[i] != ntdll)
            patch_module((unsigned char *) modules[i]);
}

bool alloc_count_supported(void)
{
    return patched > 0;
}
