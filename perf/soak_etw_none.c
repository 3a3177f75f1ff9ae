/* SPDX-License-Identifier: MIT
 *
 * ETW is Windows'.
 */
#include "soak.h"

void soak_etw_begin(const struct soak_options *options)
{
    (void) options;
}

void soak_etw_poll(void)
{
}

struct soak_judgement soak_etw_end(void)
{
    return (struct soak_judgement){SOAK_UNJUDGED, "ETW not available: this is not Windows"};
}
