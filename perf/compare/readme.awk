# SPDX-License-Identifier: MIT
#
# compare.json, then README.md in; README.md out, with all between its two markers written anew. A
# table whose workloads are not in the JSON is left out. No markers: an error.

function text(name,    part) {
    if (!match($0, "\"" name "\":\"[^\"]*\""))
        return ""
    part = substr($0, RSTART, RLENGTH)
    sub(/^"[^"]*":"/, "", part)
    sub(/"$/, "", part)
    return part
}

function number(name,    part) {
    if (!match($0, "\"" name "\":[-0-9.]+"))
        return ""
    part = substr($0, RSTART, RLENGTH)
    sub(/^[^:]*:/, "", part)
    return part + 0
}

FNR == NR && /"machine"/ {
    machine = text("machine")
    commit = text("commit")
    rounds = number("rounds")
}

FNR == NR && /"workload"/ {
    workload = text("workload")
    contender = text("contender")
    if (!(workload in seen)) {
        seen[workload] = 1
        workloads[++count] = workload
    }
    members[workload] = members[workload] (members[workload] == "" ? "" : "|") contender
    n = split("ratio ns p99_ns instructions bytes_per_op create_ms first_touch_ms create_huge_pages_ms idle_wakeups_per_s code_bytes", names, " ")
    for (i = 1; i <= n; i++)
        if (number(names[i]) != "")
            value[workload, contender, names[i]] = number(names[i])
}

FNR == NR { next }

/<!-- compare: / { print; write_all(); inside = marked = 1; next }
/<!-- end of compare -->/ { inside = 0 }
!inside { print }

END {
    if (!marked) {
        print "readme.awk: README.md has no markers" >"/dev/stderr"
        exit 1
    }
}

function cell(workload, contender, name, format) {
    return (workload, contender, name) in value ? sprintf(format, value[workload, contender, name]) : ""
}

# Instructions above the first contender's.
function above(workload, base, contender) {
    if (!((workload, contender, "instructions") in value))
        return ""
    return sprintf("%+.0f", value[workload, contender, "instructions"] - value[workload, base, "instructions"])
}

function has(pattern,    i) {
    for (i = 1; i <= count; i++)
        if (workloads[i] ~ pattern)
            return 1
    return 0
}

function write_all() {
    print ""
    printf "%s, commit %s. Medians of %d interleaved rounds: operations per second against the loop\n", machine, commit, rounds
    print "written by hand with liburing (1.00). A/A is that loop against itself, and says how far the ratios"
    print "can be trusted. Instructions are user instructions per op above the loop's (callgrind). The loop is"
    print "what Debian's liburing 2.3 makes it; reop, like liburing from 2.6 on, asks for a ring without the array"
    print "of indices that the kernel else reads for each op, and the loop has a column with such a ring too."
    print ""
    write_ratios()
    write_threads()
    write_iocp()
    write_pool()
    write_facts()
    write_scale()
}

function write_ratios(    i, w, loop, reop) {
    print "| workload | A/A | reop | acquire and release too | reop, ns per op | instructions | the loop without an index array | fio | Boost.Asio | libuv |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        if (w !~ /^(4 KiB|no-op|buffered|O_DIRECT|two threads)/)
            continue
        loop = w ~ /^no-op/ ? "loop_nop" : "loop"
        reop = w ~ /^no-op/ ? "reop_nop" : "reop"
        printf "| %s | %s | **%s** | %s | %s | %s | %s | %s | %s | %s |\n", w, cell(w, loop "_again", "ratio", "%.2f"),
               cell(w, reop, "ratio", "%.2f"), cell(w, "reop_recycled", "ratio", "%.2f"), cell(w, reop, "ns", "%.0f"),
               above(w, loop, reop), cell(w, "noarray", "ratio", "%.2f"), cell(w, "fio", "ratio", "%.2f"), cell(w, "asio", "ratio", "%.2f"),
               cell(w, "libuv", "ratio", "%.2f")
    }
    print ""
}

function write_threads(    one, w, i) {
    one = "one engine, 1 thread, depth 32"
    if (!has("^one engine"))
        return
    print "| one engine for all threads | ns per op | against one thread | a mutex round a ring, ns per op | the same, held while there is anything to do |"
    print "|---|---|---|---|---|"
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        if (w ~ /^one engine/)
            printf "| %s | %s | %.2f | %s | %s |\n", substr(w, 13), cell(w, "reop_shared", "ns", "%.0f"),
                   value[one, "reop_shared", "ns"] / value[w, "reop_shared", "ns"],
                   cell(w, "mutex", "ns", "%.0f"), cell(w, "mutex_held", "ns", "%.0f")
        else if (w ~ /^completion thread/)
            printf "| one submits, the other reaps | %s | | %s (a ring divided, no lock) | |\n",
                   cell(w, "reop_split", "ns", "%.0f"), cell(w, "split", "ns", "%.0f")
    }
    print ""
}

function write_iocp(    i, w, line) {
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        if (w ~ /^iocp/ && above(w, "iocp_loop", "reop_iocp") != "")
            line = line (line == "" ? "" : ", ") above(w, "iocp_loop", "reop_iocp") " at " substr(w, index(w, "depth"))
    }
    if (line == "")
        return
    print "`iocp`, on a kernel that answers at once: instructions per op above a GetQueuedCompletionStatusEx loop"
    printf "written by hand: %s.\n\n", line
}

function write_pool(    i, w, n, what) {
    if (!has("^pool: "))
        return
    what["i"] = "one thread, the same op"
    what["ii"] = "32 out, first in first out"
    what["iii"] = "two threads"
    what["rnd"] = "512 out, random"
    what["iv"] = "one thread acquires, another releases"
    what["biv"] = "the same in batches of 32"
    print "Acquire, touch and release through `reop.h`, private lanes, checks included, nanoseconds; the floor makes"
    print "the same calls and the same check, and has no pool:"
    print ""
    print "| pattern | reop | Debian's mimalloc | glibc malloc | Treiber stack | ck_stack | boost::lockfree | floor | mimalloc / reop | A/A |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        if (w !~ /^pool: /)
            continue
        n = substr(w, 7)
        printf "| %s: %s | **%s** | %s | %s | %s | %s | %s | %s | %.2f | %s |\n", n, what[n], cell(w, "reop", "ns", "%.2f"),
               cell(w, "mimalloc", "ns", "%.2f"), cell(w, "malloc", "ns", "%.1f"), cell(w, "treiber", "ns", "%.1f"),
               cell(w, "ck", "ns", "%.1f"), cell(w, "boost", "ns", "%.1f"), cell(w, "floor", "ns", "%.2f"),
               value[w, "mimalloc", "ns"] / value[w, "reop", "ns"], cell(w, "reop_again", "ratio", "%.2f")
    }
    print ""
}

function write_facts(    w) {
    w = "a pool of 1,000,000 ops"
    if (!has(w))
        return
    printf "A pool of 1,000,000 ops takes %s bytes per op, beside contexts and buffers, and %s ms to create", cell(w, "reop", "bytes_per_op", "%.0f"),
           cell(w, "reop", "create_ms", "%.0f")
    printf " (first touch\nof as many bytes: %s ms; with huge pages: %s ms). An idle engine wakes %s times a second.", cell(w, "reop", "first_touch_ms", "%.0f"),
           cell(w, "reop", "create_huge_pages_ms", "%.0f"), cell(w, "reop", "idle_wakeups_per_s", "%.0f")
    printf " The\nlibrary is %.0f KiB of code.\n\n", value[w, "reop", "code_bytes"] / 1024
}

# Cost against the first of each series.
function write_scale(    i, j, w, n, list, line) {
    if (!has("^scale: "))
        return
    print "| what grows | cost per op against the first |"
    print "|---|---|"
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        if (w !~ /^scale: /)
            continue
        n = split(members[w], list, "|")
        line = ""
        for (j = 1; j <= n; j++) {
            sub(/^[a-z]+ /, "", list[j])
            line = line (j == 1 ? "" : ", ") list[j] ": " sprintf("%.2f", 1 / value[w, word_of(w) " " list[j], "ratio"])
        }
        printf "| %s | %s |\n", substr(w, 8), line
    }
    print ""
}

function word_of(workload,    part) {
    part = substr(workload, 8)
    return part ~ /^depth/ ? "depth" : part ~ /^ops/ ? "pool" : part ~ /^files/ ? "files" : "engines"
}
