/* SPDX-License-Identifier: MIT
 *
 * Pictures. The script stays beside the data, so that it can be run where gnuplot is.
 */
#include "latency.h"

#include <errno.h>
#include <inttypes.h>

static const char look[] =
    "set encoding utf8\n"
    "set border 3 lc rgb '#555555'\n"
    "set tics nomirror textcolor rgb '#222222'\n"
    "set grid lt 1 lw 0.5 lc rgb '#d8d8d8'\n"
    "set key top left reverse Left opaque\n"
    "set lmargin 11\n"
    "set rmargin 6\n"
    "set logscale y\n"
    "set ytics ('1 ns' 1, '10 ns' 10, '100 ns' 100, '1 µs' 1e3, '10 µs' 1e4, '100 µs' 1e5, \\\n"
    "           '1 ms' 1e6, '10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9, '10 s' 1e10, '100 s' 1e11)\n"
    "png = strstrt(GPVAL_TERMINALS, 'pngcairo') ? 'pngcairo' : 'png'\n";

/* A .hgrm's fourth column is 1 / (1 - percentile): one decade per nine. */
static const char percentiles_script[] =
    "set logscale x\n"
    "set xrange [1:*]\n"
    "set xlabel 'percentile'\n"
    "set xtics ('0 %%' 1, '50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1e3, '99.99 %%' 1e4, \\\n"
    "           '99.999 %%' 1e5, '99.9999 %%' 1e6, '99.99999 %%' 1e7)\n"
    "do for [kind in 'svg '.png] {\n"
    "    set terminal kind size 960,640 font 'Sans,12'\n"
    "    set output 'percentiles.'.(kind eq 'svg' ? 'svg' : 'png')\n"
    "    plot 'hiccups.hgrm' skip 2 using 4:($1*1e3) with lines lw 1.5 lc rgb '#999999' \\\n"
    "             title 'hiccups of the machine', \\\n"
    "         'submit.hgrm' skip 2 using 4:($1*1e3) with lines lw 2 lc rgb '#009e73' \\\n"
    "             title 'submit call', \\\n"
    "         'service.hgrm' skip 2 using 4:($1*1e3) with lines lw 2 lc rgb '#0072b2' \\\n"
    "             title 'service, from the submit', \\\n"
    "         'response.hgrm' skip 2 using 4:($1*1e3) with lines lw 3 lc rgb '#d55e00' \\\n"
    "             title response\n"
    "    unset output\n"
    "}\n";

/* Of sweep.csv: the asked rate, its p50, p99 and p99.9, and whether it was sustained. */
static const char sweep_script[] =
    "set datafile separator ','\n"
    "set xlabel 'asked rate, op/s'\n"
    "set ylabel 'response'\n"
    "set xrange [0:*]\n"
    "set format x '%.0f'\n"
    "if (knee > 0) {\n"
    "    set arrow from knee, graph 0 to knee, graph 1 nohead lw 1.5 dt 2 lc rgb '#555555'\n"
    "    set label 'knee' at knee, graph 0.04 right offset -0.5, 0\n"
    "}\n"
    "if (limit > 0) {\n"
    "    set arrow from limit, graph 0 to limit, graph 1 nohead lw 1.5 dt 3 lc rgb '#555555'\n"
    "    set label 'closed loop' at limit, graph 0.1 right offset -0.5, 0\n"
    "}\n"
    "do for [kind in 'svg '.png] {\n"
    "    set terminal kind size 960,640 font 'Sans,12'\n"
    "    set output 'sweep.'.(kind eq 'svg' ? 'svg' : 'png')\n"
    "    plot 'sweep.csv' skip 1 using 1:6 with linespoints lw 2 pt 7 ps 0.7 lc rgb '#d55e00' \\\n"
    "             title 'p99.9', \\\n"
    "         'sweep.csv' skip 1 using 1:5 with linespoints lw 2 pt 7 ps 0.7 lc rgb '#0072b2' \\\n"
    "             title 'p99', \\\n"
    "         'sweep.csv' skip 1 using 1:4 with linespoints lw 2 pt 7 ps 0.7 lc rgb '#009e73' \\\n"
    "             title 'p50', \\\n"
    "         'sweep.csv' skip 1 using 1:($7 == 0 ? $6 : 1/0) with points pt 2 ps 2 lw 2 \\\n"
    "             lc rgb '#222222' title 'not sustained'\n"
    "    unset output\n"
    "}\n";

/* In single quotes, where only they and what is no character of a line need care. */
static void print_quoted(FILE *script, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("''", script);
        else
            fputc((unsigned char) *text < 0x20 ? '?' : *text, script);
    }
}

/* Opens the script and its title, whose second line is the caller's. NULL, and explained. */
static FILE *begin(const struct latency_run *run, const char *folder, const char *name)
{
    const struct latency_options *options = run->options;
    FILE *script = latency_create(folder, name);

    if (script == NULL)
        return NULL;
    fputs(look, script);
    fputs("set title '", script);
    print_quoted(script, options->file);
    fputs(": ", script);
    latency_print_load(script, run);
    fputs("'.\"\\n\".'", script);
    return script;
}

static const char *draw(const char *folder, const char *name)
{
    const char *const arguments[] = {"gnuplot", name, NULL};

    switch (platform_run(folder, arguments)) {
    case 0:
        return "drawn by gnuplot, .svg and .png";
    case -ENOENT:
        return "not drawn: gnuplot is not installed (Debian: apt-get install gnuplot-nox); the "
               "script is there";
    default:
        return "not drawn: gnuplot failed on the script";
    }
}

static const char *end(FILE *script, const char *folder, const char *name)
{
    if (script == NULL || !latency_close(script, folder, name))
        return "none: its script could not be written";
    return draw(folder, name);
}

const char *latency_plot_percentiles(const struct latency_run *run, const char *folder)
{
    FILE *script = begin(run, folder, "percentiles.gnuplot");

    if (script != NULL) {
        latency_print_rate(script, run);
        fputs("; ", script);
        latency_print_verdicts(script, run);
        fprintf(script, "' noenhanced\nresponse = 'response%s'\n",
                run->options->closed ? " of a CLOSED loop" : ", from the intended start");
        fputs(percentiles_script, script);
    }
    return end(script, folder, "percentiles.gnuplot");
}

const char *latency_plot_sweep(const struct latency_run *run, const char *folder, uint64_t knee,
                               double limit)
{
    FILE *script = begin(run, folder, "sweep.gnuplot");

    if (script != NULL) {
        fprintf(script, "knee at %" PRIu64 " op/s' noenhanced\n", knee);
        fprintf(script, "knee = %" PRIu64 ".0\nlimit = %.1f\n", knee, limit);
        fputs(sweep_script, script);
    }
    return end(script, folder, "sweep.gnuplot");
}
