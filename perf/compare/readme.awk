# SPDX-License-Identifier: MIT
#
# compare.json, then README.md in; README.md out, with the table between its two markers written
# anew. Where there are no markers nothing changes.

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
    if (workload !~ /depth (1|32)$/ || workload ~ /one engine/ || contender !~ /^(loop_again|reop|fio|asio|libuv)$/)
        next
    if (!(workload in seen)) {
        seen[workload] = 1
        workloads[++count] = workload
    }
    ratio[workload, contender] = sprintf("%.2f", number("ratio"))
    ns[workload, contender] = number("ns")
}

FNR == NR { next }

/<!-- compare: / { print; write_table(); inside = 1; next }
/<!-- end of compare -->/ { inside = 0 }
!inside { print }

function cell(workload, contender) {
    return (workload, contender) in ratio ? ratio[workload, contender] : ""
}

function write_table(    i, w) {
    printf "\nOperations per second against a loop written by hand with liburing (1.00), median of %d\n", rounds
    printf "interleaved rounds. %s, commit %s. A/A: the loop against itself.\n\n", machine, commit
    print "| workload | A/A | reop | reop, ns per op | fio | Boost.Asio | libuv |"
    print "|---|---|---|---|---|---|---|"
    for (i = 1; i <= count; i++) {
        w = workloads[i]
        printf "| %s | %s | **%s** | %.0f | %s | %s | %s |\n", w, cell(w, "loop_again"),
               cell(w, "reop"), ns[w, "reop"], cell(w, "fio"), cell(w, "asio"), cell(w, "libuv")
    }
    print ""
}
