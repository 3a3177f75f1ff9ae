/* SPDX-License-Identifier: MIT
 *
 * Pictures. The script stays beside the data, so that it can be run where gnuplot is.
 */
#include "latency.h"

#include <errno.h>

static const char percentiles_script[] =
    "set logscale xy\n"
    "set xrange [1:*]\n"
    "set xlabel 'percentile'\n"
    "set ylabel 'microseconds'\n"
    "set xtics ('0 %%' 1, '90 %%' 10, '99 %%' 100, '99.9 %%' 1e3, '99.99 %%' 1e4, '99.999 %%' 1e5, "
    "'99.9999 %%' 1e6)\n"
    "set grid\n"
    "set key left top\n"
    "set datafile commentschars '#'\n"
    "do for [kind in 'svg png'] {\n"
    "    set terminal kind size 900,600\n"
    "    set output 'percentiles.'.kind\n"
    "    plot 'response.hgrm' skip 2 using 4:1 with lines lw 2 title 'response', \\\n"
    "         'service.hgrm' skip 2 using 4:1 with lines lw 2 title 'service', \\\n"
    "         'submit.hgrm' skip 2 using 4:1 with lines lw 2 title 'submit', \\\n"
    "         'hiccups.hgrm' skip 2 using 4:1 with lines lw 1 title 'hiccups of the machine'\n"
    "    unset output\n"
    "}\n";

static const char sweep_script[] =
    "set datafile separator ','\n"
    "set logscale y\n"
    "set xlabel 'asked rate, op/s'\n"
    "set ylabel 'response, ns'\n"
    "set grid\n"
    "set key left top\n"
    "do for [kind in 'svg png'] {\n"
    "    set terminal kind size 900,600\n"
    "    set output 'sweep.'.kind\n"
    "    plot 'sweep.csv' using 1:4 skip 1 with linespoints title 'p50', \\\n"
    "         'sweep.csv' using 1:5 skip 1 with linespoints title 'p99', \\\n"
    "         'sweep.csv' using 1:6 skip 1 with linespoints title 'p99.9'\n"
    "    unset output\n"
    "}\n";

static const char *draw(const char *folder, const char *script_name, const char *script)
{
    const char *const arguments[] = {"gnuplot", script_name, NULL};
    FILE *file = latency_create(folder, script_name);

    if (file == NULL)
        return "none: its script could not be written";
    fputs(script, file);
    if (!latency_close(file, folder, script_name))
        return "none: its script could not be written";
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

const char *latency_plot_percentiles(const char *folder)
{
    return draw(folder, "percentiles.gnuplot", percentiles_script);
}

const char *latency_plot_sweep(const char *folder)
{
    return draw(folder, "sweep.gnuplot", sweep_script);
}
