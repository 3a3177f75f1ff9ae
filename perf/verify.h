/* SPDX-License-Identifier: MIT */
#ifndef REOP_VERIFY_H
#define REOP_VERIFY_H

#include "copy.h"
#include "report.h"

/* After copy_close(): re-opens OUTPUT and reads it back through the engine, with the depth and the
 * directness it was written with. The bytes are compared with the inputs, read again, or by
 * checksum when those cannot be. NO and UNKNOWN have been explained, but for UNKNOWN after a signal
 * to stop. */
enum report_answer verify_output(struct copy *copy);

#endif
