/* SPDX-License-Identifier: MIT
 *
 * Where nothing can count every allocation.
 */
#include "alloc_count.h"

bool alloc_count_supported(void)
{
    return false;
}
