/* SPDX-License-Identifier: MIT
 *
 * A POSIX system whose facts nobody has looked up yet.
 */
#include "platform.h"

#include <sys/utsname.h>

void platform_be_punctual(void)
{
}

void platform_tell_facts(const char *path, const struct platform_facts *facts)
{
    struct utsname name;

    (void) path;
    if (uname(&name) == 0)
        facts->fact(facts->context, "system", name.sysname);
    facts->warning(facts->context, "little is known here about the machine and the device.");
}
