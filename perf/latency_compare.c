/* SPDX-License-Identifier: MIT
 *
 * Two folders of runs, and a verdict. Runs are the independent things here, so the test is on runs,
 * one value each; what the difference amounts to comes from the intervals inside them. Both have to
 * agree before anything is called faster or slower.
 */
#include "commands.h"
#include "latency.h"
#include "latency_statistics.h"
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_NEEDED    9u
#define RUNS_MAX       1000u
#define INTERVALS_MAX  100000u
#define RESULT_MAX     65536
#define JUDGED         3u
#define LIKELIHOOD     (0.05 / JUDGED) /* three percentiles are three chances to be wrong */
#define NO_DIFFERENCE  0.05            /* to either side, of the whole interval */
#define COLUMN_COUNT   7u /* of intervals.csv: response_count, then mean, p50, p99... */
#define EXIT_SLOWER    3
#define EXIT_UNDECIDED 4

static const struct {
    const char *key, *label;
    double percent;
    unsigned column; /* of intervals.csv, from 0 */
} judged[JUDGED] = {{"p50", "p50", 50, COLUMN_COUNT + 2},
                    {"p99", "p99", 99, COLUMN_COUNT + 3},
                    {"p99_9", "p99.9", 99.9, COLUMN_COUNT + 4}};

/* What has to be equal within a folder; the first LOAD_KEYS between the two as well. */
static const char *const keys[] = {"loop",       "arrival", "rate_asked", "read_percent",
                                   "block_size", "depth",   "direct",     "durable",
                                   "file_size",  "backend", "version"};
#define KEYS      (sizeof keys / sizeof *keys)
#define LOAD_KEYS 6u

struct result {
    char name[LATENCY_PATH_MAX];
    char setting[KEYS][64];
    double started_s; /* since 1970 */
    double value[JUDGED];
    bool thin[JUDGED], sustained;
    double *intervals[JUDGED];
    unsigned interval_count[JUDGED];
};

struct results {
    const char *folder;
    struct result *list;
    unsigned count;
    bool bad;
};

enum verdict { VERDICT_SAME, VERDICT_FASTER, VERDICT_SLOWER, VERDICT_UNDECIDED, VERDICT_THIN };

/* --- reading --- */

/* The text of a value, without quotes. Our own JSON: one space behind each colon, no escapes in
 * what is looked for. */
static bool field(const char *json, const char *key, char value[64])
{
    char pattern[64];
    const char *at;
    size_t length;

    snprintf(pattern, sizeof pattern, "\"%s\": ", key);
    at = strstr(json, pattern);
    if (at == NULL)
        return false;
    at += strlen(pattern);
    if (*at == '"')
        at++;
    length = strcspn(at, "\",}\n");
    if (length == 0 || length > 63)
        return false;
    memcpy(value, at, length);
    value[length] = '\0';
    return true;
}

static char *read_text(const char *path)
{
    char *text = calloc(1, RESULT_MAX);
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL || text == NULL) {
        report_problem(path, "reading it: %s.", platform_words(-errno, 0));
        free(text);
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    size = fread(text, 1, RESULT_MAX - 1, file);
    if (ferror(file) || size == RESULT_MAX - 1) {
        report_problem(path, "reading it: %s.", platform_words(-EIO, 0));
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

static bool read_values(struct result *result, const char *text)
{
    const char *series = strstr(text, "\"response_ns\": {"), *thin, *end;
    char value[64];

    thin = series == NULL ? NULL : strstr(series, "\"thin\": [");
    end = thin == NULL ? NULL : strchr(thin, ']');
    if (end == NULL)
        return false;
    for (unsigned i = 0; i < JUDGED; i++) {
        char quoted[16];
        const char *found;

        if (!field(series, judged[i].key, value))
            return false;
        result->value[i] = strtod(value, NULL);
        snprintf(quoted, sizeof quoted, "\"%s\"", judged[i].key);
        found = strstr(thin, quoted);
        result->thin[i] = result->value[i] <= 0 || (found != NULL && found < end);
    }
    return true;
}

static bool parse_result(struct result *result, const char *path, const char *text)
{
    char value[64];
    size_t length = strlen(text);
    bool good = field(text, "reop_latency", value) && strcmp(value, "1") == 0 && length > 3 &&
                strcmp(text + length - 3, "\n}\n") == 0 && read_values(result, text);

    for (unsigned i = 0; good && i < KEYS; i++)
        good = field(text, keys[i], result->setting[i]);
    good = good && field(text, "started_unix_s", value);
    result->started_s = good ? strtod(value, NULL) : 0;
    if (!good || !field(text, "partial", value)) {
        report_problem(path, "is no result of reop latency, or not a whole one.");
        return false;
    }
    if (strcmp(value, "false") != 0) {
        report_problem(path, "is the result of a partial run. Take it out, and run again.");
        return false;
    }
    result->sustained = strstr(text, "\"rate_not_sustained\"") == NULL;
    return true;
}

static bool add_row(struct result *result, const char *line)
{
    double columns[COLUMN_COUNT + 5];
    char *end;

    for (unsigned i = 0; i < COLUMN_COUNT + 5; i++) {
        columns[i] = strtod(line, &end);
        if (end == line || *end != ',')
            return false;
        line = end + 1;
    }
    /* An interval with not one sample beyond the percentile says nothing of it. */
    for (unsigned i = 0; i < JUDGED; i++) {
        if (columns[COLUMN_COUNT] * (100 - judged[i].percent) >= 100 &&
            result->interval_count[i] < INTERVALS_MAX)
            result->intervals[i][result->interval_count[i]++] = columns[judged[i].column];
    }
    return true;
}

static bool read_intervals(struct result *result, const char *path)
{
    char line[4096];
    FILE *file = fopen(path, "r");
    bool good;

    if (file == NULL) {
        report_problem(path, "reading it: %s.", platform_words(-errno, 0));
        return false;
    }
    good = fgets(line, sizeof line, file) != NULL &&
           strstr(line, ",in_flight,response_count,response_mean_ns,response_p50_ns,") != NULL;
    while (good && fgets(line, sizeof line, file) != NULL)
        good = add_row(result, line);
    good = good && !ferror(file);
    fclose(file);
    if (!good)
        report_problem(path, "is no table of intervals by reop latency, or is damaged.");
    return good;
}

static bool read_run(struct results *results, const char *folder)
{
    struct result *result = &results->list[results->count];
    char path[LATENCY_PATH_MAX];
    char *text;
    bool good;

    if (!latency_path(path, folder, "result.json"))
        return false;
    snprintf(result->name, sizeof result->name, "%s", folder);
    for (unsigned i = 0; i < JUDGED; i++) {
        result->intervals[i] = calloc(INTERVALS_MAX, sizeof(double));
        if (result->intervals[i] == NULL)
            return false;
    }
    results->count++;
    text = read_text(path);
    if (text == NULL)
        return false;
    good = parse_result(result, path, text);
    free(text);
    return good && latency_path(path, folder, "intervals.csv") && read_intervals(result, path);
}

static bool same_settings(const struct result *a, const struct result *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(a->setting[i], b->setting[i]) != 0) {
            report_problem(b->name, "its %s is %s, and %s in %s: these cannot be compared.",
                           keys[i], b->setting[i], a->setting[i], a->name);
            return false;
        }
    }
    return true;
}

static bool has_result(const char *folder)
{
    char path[LATENCY_PATH_MAX];
    struct platform_place place;

    return latency_path(path, folder, "result.json") && platform_look(path, &place) == 0 &&
           place.kind != PLATFORM_MISSING;
}

static void found(void *context, const char *name)
{
    struct results *results = context;
    char path[LATENCY_PATH_MAX];
    struct platform_place place;

    if (results->bad || results->count == RUNS_MAX)
        return;
    if (!latency_path(path, results->folder, name)) {
        results->bad = true;
        return;
    }
    if (platform_look(path, &place) == 0 && place.kind == PLATFORM_FOLDER)
        results->bad = !read_run(results, path);
}

static bool read_folder(struct results *results, const char *folder)
{
    int error = 0;

    results->folder = folder;
    results->list = calloc(RUNS_MAX + 1, sizeof *results->list);
    if (results->list == NULL)
        return false;
    if (has_result(folder))
        return read_run(results, folder);
    error = platform_list_folder(folder, found, results);
    if (error < 0)
        report_problem(folder, "reading the folder: %s.%s", platform_words(error, 0),
                       report_advice(error));
    if (error < 0 || results->bad)
        return false;
    if (results->count == 0)
        report_problem(folder, "holds no result of reop latency.");
    for (unsigned i = 1; i < results->count; i++) {
        if (!same_settings(&results->list[0], &results->list[i], KEYS))
            return false;
    }
    return results->count > 0;
}

static void let_go(struct results *results)
{
    for (unsigned i = 0; results->list != NULL && i <= RUNS_MAX; i++) {
        for (unsigned k = 0; k < JUDGED; k++)
            free(results->list[i].intervals[k]);
    }
    free(results->list);
}

/* --- judging --- */

struct judgement {
    enum verdict verdict;
    double likelihood;
    struct statistics_ratio ratio;
};

static bool thin(const struct results *results, unsigned which)
{
    for (unsigned i = 0; i < results->count; i++) {
        if (results->list[i].thin[which])
            return true;
    }
    return false;
}

static void gather(const struct results *results, unsigned which, double *values,
                   struct statistics_run *runs)
{
    for (unsigned i = 0; i < results->count; i++) {
        struct result *result = &results->list[i];

        values[i] = result->value[which];
        /* Intervals too short for this percentile: then the run's own value is all there is. */
        runs[i] =
            result->interval_count[which] > 0
                ? (struct statistics_run){result->intervals[which], result->interval_count[which]}
                : (struct statistics_run){&result->value[which], 1};
    }
}

static struct judgement judge(const struct results *a, const struct results *b, unsigned which)
{
    static double a_values[RUNS_MAX], b_values[RUNS_MAX];
    static struct statistics_run a_runs[RUNS_MAX], b_runs[RUNS_MAX];
    struct judgement judgement = {.verdict = VERDICT_THIN};
    bool enough = a->count >= RUNS_NEEDED && b->count >= RUNS_NEEDED, unlikely;

    if (thin(a, which) || thin(b, which))
        return judgement;
    gather(a, which, a_values, a_runs);
    gather(b, which, b_values, b_runs);
    judgement.likelihood = statistics_rank_test(a_values, a->count, b_values, b->count);
    statistics_bootstrap(a_runs, a->count, b_runs, b->count, &judgement.ratio);
    unlikely = judgement.likelihood < LIKELIHOOD;
    judgement.verdict = VERDICT_UNDECIDED;
    if (enough && unlikely && judgement.ratio.high < 1)
        judgement.verdict = VERDICT_FASTER;
    else if (enough && unlikely && judgement.ratio.low > 1)
        judgement.verdict = VERDICT_SLOWER;
    else if (enough && judgement.ratio.low > 1 - NO_DIFFERENCE &&
             judgement.ratio.high < 1 + NO_DIFFERENCE)
        judgement.verdict = VERDICT_SAME;
    return judgement;
}

struct start {
    double s;
    bool b;
};

static int by_start(const void *left, const void *right)
{
    const struct start *a = left, *b = right;

    return (a->s > b->s) - (a->s < b->s);
}

/* A B B A A B ... changes sides about every second run, and all of A before all of B once: then
 * whatever the machine did meanwhile looks like a difference. */
static bool taken_in_turns(const struct results *a, const struct results *b)
{
    static struct start starts[2 * RUNS_MAX];
    unsigned fewer = a->count < b->count ? a->count : b->count, count = a->count + b->count;
    unsigned changes = 0;

    for (unsigned i = 0; i < count; i++) {
        bool of_b = i >= a->count;

        starts[i] =
            (struct start){of_b ? b->list[i - a->count].started_s : a->list[i].started_s, of_b};
    }
    qsort(starts, count, sizeof *starts, by_start);
    for (unsigned i = 1; i < count; i++)
        changes += starts[i].b != starts[i - 1].b;
    return changes >= fewer / 2;
}

/* Slower anywhere is slower; what could not be judged keeps "no difference" from being said. */
static enum verdict overall(const struct judgement judgements[JUDGED])
{
    bool seen[VERDICT_THIN + 1] = {false};

    for (unsigned i = 0; i < JUDGED; i++)
        seen[judgements[i].verdict] = true;
    if (seen[VERDICT_SLOWER])
        return VERDICT_SLOWER;
    if (seen[VERDICT_FASTER])
        return VERDICT_FASTER;
    return seen[VERDICT_UNDECIDED] || !seen[VERDICT_SAME] ? VERDICT_UNDECIDED : VERDICT_SAME;
}

static void print_results(const char *name, const struct results *results)
{
    const struct result *first = &results->list[0];
    unsigned queues = 0;

    printf("%s  %s: %u runs", name, results->folder, results->count);
    for (unsigned i = 0; i < KEYS; i++)
        printf(", %s %s", keys[i], first->setting[i]);
    putchar('\n');
    for (unsigned i = 0; i < results->count; i++)
        queues += !results->list[i].sustained;
    if (queues > 0)
        printf("   in %u of them the rate was not sustained: their percentiles describe a growing "
               "queue\n",
               queues);
}

static void print_judgements(const struct results *a, const struct results *b,
                             const struct judgement judgements[JUDGED])
{
    static const char *const words[] = {"no difference", "faster", "slower", "inconclusive",
                                        "too few samples"};
    static const char *const verdicts[] = {"no difference", "B is faster", "B is slower",
                                           "inconclusive"};
    char a_time[REPORT_TIME_MAX], b_time[REPORT_TIME_MAX];

    printf("%-9s %12s %12s %7s %17s %9s\n", "response", "A", "B", "B/A", "95 % interval", "p");
    for (unsigned i = 0; i < JUDGED; i++) {
        const struct judgement *judgement = &judgements[i];

        if (judgement->verdict == VERDICT_THIN)
            printf("%-9s %12s %12s %7s %17s %9s", judged[i].label, "-", "-", "-", "-", "-");
        else
            printf("%-9s %12s %12s %7.3f %8.3f %8.3f %9.6f", judged[i].label,
                   report_time((int64_t) judgement->ratio.a, a_time),
                   report_time((int64_t) judgement->ratio.b, b_time), judgement->ratio.ratio,
                   judgement->ratio.low, judgement->ratio.high, judgement->likelihood);
        printf("  %s\n", words[judgement->verdict]);
    }
    printf("A, B: geometric means over the runs' intervals; p: Mann-Whitney, on the runs\n");
    printf("verdict: %s\n", verdicts[overall(judgements)]);
    if (a->count < RUNS_NEEDED || b->count < RUNS_NEEDED)
        printf("a verdict needs at least %u runs of each, taken in turns (A B B A A B ...)\n",
               RUNS_NEEDED);
    else if (!taken_in_turns(a, b))
        printf("NOT TAKEN IN TURNS: what the machine did between the two looks like a difference "
               "of them. Run A B B A A B ...\n");
}

int latency_compare(const char *folder_a, const char *folder_b)
{
    static const int statuses[] = {EXIT_DONE, EXIT_DONE, EXIT_SLOWER, EXIT_UNDECIDED};
    struct results a = {0}, b = {0};
    struct judgement judgements[JUDGED];
    int status = EXIT_FOUND;

    if (read_folder(&a, folder_a) && read_folder(&b, folder_b) &&
        same_settings(&a.list[0], &b.list[0], LOAD_KEYS)) {
        for (unsigned i = 0; i < JUDGED; i++)
            judgements[i] = judge(&a, &b, i);
        print_results("A", &a);
        print_results("B", &b);
        print_judgements(&a, &b, judgements);
        status = report_flush() ? statuses[overall(judgements)] : EXIT_FOUND;
    }
    let_go(&a);
    let_go(&b);
    return status;
}
