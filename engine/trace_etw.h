/* SPDX-License-Identifier: MIT
 *
 * TraceLogging metadata, pasted together from string literals: what makes an ETW event describe
 * itself, so that no manifest has to be installed where a trace is read. Little-endian, packed:
 *
 *     provider  u16 size, itself included | name NUL
 *     event     u16 size, itself included | 0 | name NUL | fields: name NUL, u8 in [, u8 out]
 */
#ifndef REOP_TRACE_ETW_H
#define REOP_TRACE_ETW_H

#include <stdint.h>

/* In, and where bit 7 is set Out. */
#define ETW_u8      "\x04"
#define ETW_u32     "\x08"
#define ETW_i64     "\x09"
#define ETW_u64     "\x0a"
#define ETW_hex32   "\x14"
#define ETW_hex64   "\x15"
#define ETW_error32 "\x88\x0d" /* u32, shown as a Win32 error */

#define ETW_FIELD(type, name) #name "\0" ETW_##type

/* For ETW_METADATA: the text of a provider, and of an event with the fields that a macro lists. */
#define ETW_PROVIDER(name)      name "\0"
#define ETW_EVENT(name, FIELDS) "\0" name "\0" FIELDS(ETW_FIELD)

/* Defines variable. The literal's own NUL lies behind it. */
#define ETW_METADATA(variable, literal)                                                            \
    static const struct {                                                                          \
        unsigned char size[2];                                                                     \
        char text[sizeof(literal)];                                                                \
    } variable = {{(sizeof(literal) + 1) & 0xff, (sizeof(literal) + 1) >> 8}, literal}

#endif
