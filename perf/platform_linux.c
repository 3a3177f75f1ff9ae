/* SPDX-License-Identifier: MIT
 *
 * What a measurement on Linux may depend on, from /proc and /sys. What cannot be read is "unknown":
 * a guess would be worse.
 */
#include "platform.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#define VALUE_MAX 512

void platform_be_punctual(void)
{
    prctl(PR_SET_TIMERSLACK, 1UL); /* of this thread: 50 us otherwise */
}

static const char *first_line(const char *path, char value[VALUE_MAX])
{
    FILE *file = fopen(path, "r");

    if (file == NULL || fgets(value, VALUE_MAX, file) == NULL)
        snprintf(value, VALUE_MAX, "unknown");
    if (file != NULL)
        fclose(file);
    value[strcspn(value, "\n")] = '\0';
    return value;
}

/* The value of the first "name : value" in a file like /proc/cpuinfo. */
static const char *line_of(const char *path, const char *name, char value[VALUE_MAX])
{
    FILE *file = fopen(path, "r");
    char line[4096];

    snprintf(value, VALUE_MAX, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');

        if (colon == NULL || strncmp(line, name, strlen(name)) != 0)
            continue;
        snprintf(value, VALUE_MAX, "%.500s", colon + 1 + strspn(colon + 1, " \t"));
        value[strcspn(value, "\n")] = '\0';
        break;
    }
    if (file != NULL)
        fclose(file);
    return value;
}

static void tell(const struct platform_facts *facts, const char *name, const char *value)
{
    facts->fact(facts->context, name, value);
}

static void tell_machine(const struct platform_facts *facts)
{
    static const char governor_path[] = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    static const char clock_path[] =
        "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char value[VALUE_MAX], flags[VALUE_MAX * 4] = "", words[3 * 65 + 3];
    struct utsname name;
    FILE *cpuinfo = fopen("/proc/cpuinfo", "r");
    double load = 0;
    bool virtual = false;

    if (uname(&name) == 0) {
        snprintf(words, sizeof words, "%s %s %s", name.sysname, name.release, name.version);
        tell(facts, "kernel", words);
    }
    tell(facts, "cpu", line_of("/proc/cpuinfo", "model name", value));
    while (cpuinfo != NULL && !virtual && fgets(flags, sizeof flags, cpuinfo) != NULL)
        virtual = strncmp(flags, "flags", 5) == 0 && strstr(flags, " hypervisor") != NULL;
    if (cpuinfo != NULL)
        fclose(cpuinfo);
    tell(facts, "processors_online", first_line("/sys/devices/system/cpu/online", value));
    tell(facts, "virtualised", virtual ? "yes" : "no hypervisor seen");
    if (virtual)
        facts->warning(facts->context, "the machine is virtual: its host can stop it unseen.");
    tell(facts, "governor", first_line(governor_path, value));
    if (strcmp(value, "unknown") != 0 && strcmp(value, "performance") != 0)
        facts->warning(
            facts->context,
            "the frequency governor is not \"performance\": latencies hold clock ramps.");
    tell(facts, "clock_source", first_line(clock_path, value));
    if (strcmp(value, "unknown") != 0 && strcmp(value, "tsc") != 0 &&
        strcmp(value, "arch_sys_counter") != 0 && strcmp(value, "kvm-clock") != 0)
        facts->warning(facts->context, "reading this clock source takes a system call.");
    tell(facts, "load_average", first_line("/proc/loadavg", value));
    if (sscanf(value, "%lf", &load) == 1 && load > 1)
        facts->warning(facts->context, "the machine was busy with other things at the start "
                                       "(load average above 1).");
}

/* The nearest CPU limit of our control group and those around it: "none", or microseconds in a
 * period. */
static void tell_quota(const struct platform_facts *facts)
{
    char group[VALUE_MAX], path[VALUE_MAX + 64], value[VALUE_MAX], *slash;

    line_of("/proc/self/cgroup", "0:", group); /* "0::/path" */
    slash = strchr(group, '/');
    while (slash != NULL) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", slash);
        first_line(path, value);
        if (strcmp(value, "unknown") != 0 && strncmp(value, "max", 3) != 0) {
            tell(facts, "cpu_quota", value);
            facts->warning(facts->context, "the control group has a CPU quota: once it is used up, "
                                           "everything stops till the next period.");
            return;
        }
        if (*slash == '\0')
            break;
        *strrchr(slash, '/') = '\0';
    }
    tell(facts, "cpu_quota", slash == NULL ? "unknown" : "none");
}

/* The mount that path is on: the last line of mountinfo with its device number. */
static void tell_file_system(const struct platform_facts *facts, dev_t device)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "r");
    char line[4096], options[VALUE_MAX] = "unknown", type[128] = "unknown", source[256] = "unknown";

    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
        unsigned high, low;
        const char *dash = strstr(line, " - ");

        if (dash == NULL || sscanf(line, "%*d %*d %u:%u", &high, &low) != 2 ||
            high != major(device) || low != minor(device))
            continue;
        sscanf(line, "%*d %*d %*s %*s %*s %511s", options);
        sscanf(dash + 3, "%127s %255s", type, source);
    }
    if (mounts != NULL)
        fclose(mounts);
    tell(facts, "file_system", type);
    tell(facts, "mount_options", options);
    tell(facts, "device", source);
    if (strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0)
        facts->warning(facts->context, "the file is in memory (tmpfs): no device is measured.");
    if (strcmp(type, "overlay") == 0)
        facts->warning(facts->context, "the file is on an overlay: the first write to it copies.");
}

/* A partition has no queue of its own: its disk has, one folder up. */
static void tell_device(const struct platform_facts *facts, dev_t device)
{
    static const struct {
        const char *name, *file;
    } queue[] = {{"scheduler", "scheduler"},
                 {"write_cache", "write_cache"},
                 {"fua", "fua"},
                 {"logical_sector", "logical_block_size"},
                 {"physical_sector", "physical_block_size"},
                 {"rotational", "rotational"}};
    char path[128], value[VALUE_MAX];

    for (unsigned i = 0; i < sizeof queue / sizeof *queue; i++) {
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/%s", major(device), minor(device),
                 queue[i].file);
        if (strcmp(first_line(path, value), "unknown") == 0) {
            snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../queue/%s", major(device),
                     minor(device), queue[i].file);
            first_line(path, value);
        }
        tell(facts, queue[i].name, value);
    }
}

void platform_tell_facts(const char *path, const struct platform_facts *facts)
{
    struct stat status;

    tell_machine(facts);
    tell_quota(facts);
    if (stat(path, &status) < 0)
        return;
    if (S_ISBLK(status.st_mode)) {
        tell(facts, "device", path);
        tell_device(facts, status.st_rdev);
        return;
    }
    tell_file_system(facts, status.st_dev);
    tell_device(facts, status.st_dev);
}
