# SPDX-License-Identifier: MIT
#
# Samples in, tables or JSON out. A line of samples is
#     workload <tab> contender <tab> metric <tab> round <tab> value
# Ratios are the loop's ns over the contender's of the same round, so above 1 is faster than the
# hand-written loop; median and 10th to 90th percentile of the rounds.

BEGIN { FS = "\t" }

{
    key = $1 SUBSEP $2 SUBSEP $3
    if (!($1 in known)) { known[$1] = 1; workloads[++workload_count] = $1 }
    if (!(($1, $2) in known)) { known[$1, $2] = 1; members[$1, ++member_count[$1]] = $2 }
    count[key]++
    value[key, $4] = $5
    rounds[key, count[key]] = $4
}

function sort(list, n,    i, j, held) {
    for (i = 2; i <= n; i++) {
        held = list[i]
        for (j = i - 1; j > 0 && list[j] > held; j--)
            list[j + 1] = list[j]
        list[j + 1] = held
    }
}

function at(list, n, q) { return list[int(q * (n - 1) + 0.5) + 1] }

# Sets median, low and high of a metric. False: there is none.
function summary(workload, contender, metric,    key, n, i, list) {
    key = workload SUBSEP contender SUBSEP metric
    n = count[key]
    for (i = 1; i <= n; i++)
        list[i] = value[key, rounds[key, i]] + 0
    sort(list, n)
    median = at(list, n, 0.5); low = at(list, n, 0.1); high = at(list, n, 0.9)
    return n > 0
}

# The same of the ratio to the loop, which is the first contender of its table.
function ratios(workload, contender,    key, base, n, m, i, list) {
    key = workload SUBSEP contender SUBSEP "ns"
    base = workload SUBSEP members[workload, 1] SUBSEP "ns"
    for (i = 1; i <= count[key]; i++)
        if ((base, rounds[key, i]) in value)
            list[++m] = value[base, rounds[key, i]] / value[key, rounds[key, i]]
    sort(list, m)
    median = at(list, m, 0.5); low = at(list, m, 0.1); high = at(list, m, 0.9)
    return m > 0
}

function table(workload,    i, contender, line) {
    printf "\n%s\n%-44s %10s %21s %7s %17s %8s %6s %9s %9s\n", workload, "", "ns/op", "(p10 to p90)",
           "ratio", "(p10 to p90)", "instr", "calls", "p50 us", "p99 us"
    for (i = 1; i <= member_count[workload]; i++) {
        contender = members[workload, i]
        line = sprintf("%-44s %10s %21s", contender, "", "")
        if (summary(workload, contender, "ns"))
            line = sprintf("%-44s %10.1f %21s", contender, median, sprintf("(%.1f to %.1f)", low, high))
        if (ratios(workload, contender))
            line = line sprintf(" %7.3f %17s", median, sprintf("(%.3f to %.3f)", low, high))
        else
            line = line sprintf(" %7s %17s", "", "")
        line = line (summary(workload, contender, "instructions") ? sprintf(" %8.1f", median) : sprintf(" %8s", ""))
        line = line (summary(workload, contender, "calls") ? sprintf(" %6.3f", median) : sprintf(" %6s", ""))
        line = line (summary(workload, contender, "p50_ns") ? sprintf(" %9.1f", median / 1000) : "")
        line = line (summary(workload, contender, "p99_ns") ? sprintf(" %9.1f", median / 1000) : "")
        sub(/ +$/, "", line)
        print line
    }
}

# A workload without ns: what its metrics are, one per line.
function list_of(workload,    i, n, names) {
    printf "\n%s\n", workload
    n = split("bytes_per_op pool_mib create_ms first_touch_ms create_huge_pages_ms create_with_4k_buffers_ms idle_wakeups_per_s code_bytes", names, " ")
    for (i = 1; i <= n; i++)
        if (summary(workload, members[workload, 1], names[i]))
            printf "  %-28s %12.2f  (%.2f to %.2f)\n", names[i], median, low, high
}

function json(workload,    i, j, contender, metrics, n, first) {
    n = split("ns p50_ns p99_ns p999_ns instructions calls bytes_per_op pool_mib create_ms first_touch_ms create_huge_pages_ms create_with_4k_buffers_ms idle_wakeups_per_s code_bytes", metrics, " ")
    for (i = 1; i <= member_count[workload]; i++) {
        contender = members[workload, i]
        printf "%s{\"workload\":\"%s\",\"contender\":\"%s\"", printed++ ? ",\n" : "", workload, contender
        for (j = 1; j <= n; j++)
            if (summary(workload, contender, metrics[j]))
                printf ",\"%s\":%.3f,\"%s_p10\":%.3f,\"%s_p90\":%.3f", metrics[j], median, metrics[j], low, metrics[j], high
        if (ratios(workload, contender))
            printf ",\"ratio\":%.4f,\"ratio_p10\":%.4f,\"ratio_p90\":%.4f", median, low, high
        printf "}"
    }
}

# The honesty of the run: the loop written by hand is faster than what is written for everybody.
function check(workload,    base, rivals, n, i) {
    if (workload !~ /dev.null/ || !summary(workload, "loop", "ns"))
        return
    base = median
    n = split("fio libuv", rivals, " ")
    for (i = 1; i <= n; i++)
        if (summary(workload, rivals[i], "ns") && median <= base)
            printf "%s beats the hand-written loop at \"%s\"; ", rivals[i], workload
}

END {
    if (as == "check") {
        for (i = 1; i <= workload_count; i++)
            check(workloads[i])
        exit
    }
    if (as == "json")
        printf "{\"machine\":\"%s\",\"commit\":\"%s\",\"rounds\":%d,\"valid\":%s,\"results\":[\n", machine, commit, round_count, invalid == "" ? "true" : "false"
    for (i = 1; i <= workload_count; i++)
        if (as == "json") json(workloads[i])
        else if (summary(workloads[i], members[workloads[i], 1], "ns") ||
                 summary(workloads[i], members[workloads[i], 1], "instructions")) table(workloads[i])
        else list_of(workloads[i])
    if (as == "json")
        print "\n]}"
}
