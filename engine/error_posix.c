/* SPDX-License-Identifier: MIT */
#include "error.h"

int error_from_system(uint32_t os_error)
{
    switch ((int) os_error) {
#define ERROR_CASE(name)                                                                           \
    case name:                                                                                     \
        return name;
        ERROR_NAMES(ERROR_CASE)
    case EDQUOT:
        return ENOSPC;
    default:
        return EIO;
    }
}
