#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "report.h"
#include "terminal.h"

#define SECONDS_BETWEEN 0.1
/* An operation that takes less shows nothing; a log is read later, if at all. */
#define QUIET_SECONDS_OF_BAR   1.0
#define QUIET_SECONDS_OF_LINES 10.0

enum { BAR_WIDTH = 20, MIN_BAR_WIDTH = 4, TEXT_SIZE = 160 };
enum { AUTO, BAR };

const char *const cli_progress_forms[] = {"auto", "bar", "lines", NULL};

static bool bar_stands; /* on the line where the cursor is */

bool cli_progress_wants_bar(const cli_progress_options *options)
{
    return options->verbose == 1 &&
           (options->form == BAR || (options->form == AUTO && cli_is_terminal(stderr)));
}

/* "850ns", "1us", "12ms", "3s", "2:05", "1:02:05" */
static void format_time(char *text, size_t size, double seconds)
{
    const long long whole = (long long)seconds;
    if (seconds < 1e-6) {
        snprintf(text, size, "%.0fns", seconds * 1e9);
    } else if (seconds < 1e-3) {
        snprintf(text, size, "%.*fus", seconds < 1e-5, seconds * 1e6);
    } else if (seconds < 1) {
        snprintf(text, size, "%.0fms", seconds * 1e3);
    } else if (whole < 60) {
        snprintf(text, size, "%llds", whole);
    } else if (whole < 3600) {
        snprintf(text, size, "%lld:%02lld", whole / 60, whole % 60);
    } else {
        snprintf(text, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    }
}

static void print_measures(const char *prefix, ls_loss loss, const ls_metrics *metrics)
{
    cli_measure list[CLI_MAX_MEASURES];
    const int n = cli_list_measures(loss, list);
    for (int i = 0; i < n; i++)
        fprintf(stderr, " - %s%s: %.4f", prefix, list[i].name, ls_metrics_value(metrics, list[i].name));
}

static void print_line(const ls_train_progress *p, const char *total, const char *step)
{
    fprintf(stderr, "Epoch %lld/%lld - %lld steps - %s - %s/step", (long long)p->epoch + 1,
            (long long)p->n_epochs, (long long)p->n_steps, total, step);
    print_measures("", p->loss, &p->metrics);
    if (p->validation.n_samples > 0) print_measures("val_", p->loss, &p->validation);
    fputc('\n', stderr);
}

/* What there is room for on a line of 80 columns. */
static void format_measures(char *text, size_t size, const ls_train_progress *p)
{
    cli_measure list[CLI_MAX_MEASURES];
    const bool validates = p->validation.n_samples > 0;
    const int all = cli_list_measures(p->loss, list), n = validates && all > 2 ? 2 : all;
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < (validates ? 2 * n : n) && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s%s %.4f", i > 0 ? " " : "",
                                 i < n ? "" : "val_", list[i % n].short_name,
                                 ls_metrics_value(i < n ? &p->metrics : &p->validation, list[i % n].name));
}

/* A bar that is full at done == total, as wide as the terminal allows beside other_length columns. */
static void format_bar(char bar[4 * BAR_WIDTH + 1], int other_length, int64_t done, int64_t total)
{
    int width = cli_columns(stderr) - 1 - other_length;
    if (width > BAR_WIDTH) width = BAR_WIDTH;
    if (width < MIN_BAR_WIDTH) width = 0;
    const int filled = (int)((double)done / (double)total * width);
    bar[0] = 0;
    for (int i = 0; i < width; i++)
        strcat(bar, i < filled ? (cli_utf8() ? "━" : "=") : (cli_utf8() ? "─" : "."));
}

/* A line that is rewritten: a bar between two texts, which are cut at a blank where even they are too long.
 */
static void print_bar(const char *head, const char *tail, int64_t done, int64_t total)
{
    char bar[4 * BAR_WIDTH + 1], line[2 * TEXT_SIZE + sizeof bar];
    const int length = (int)(strlen(head) + strlen(tail)), columns = cli_columns(stderr) - 1;
    format_bar(bar, length, done, total);
    snprintf(line, sizeof line, "%s%s%s", head, bar, tail);
    if (length > columns) {
        int end = columns;
        while (end > 0 && line[end] != ' ') end--;
        line[end > 0 ? end : columns] = 0;
    }
    /* \033[K clears what a longer line before left. */
    fprintf(stderr, "\r%s\033[K%s", line, done == total ? "\n" : "");
    fflush(stderr);
    bar_stands = done < total;
}

/* The line under the title of the epoch. The bar gives way to the measures when the terminal is narrow. */
static void print_epoch(const ls_train_progress *p, const char *total, const char *step)
{
    char head[TEXT_SIZE], tail[TEXT_SIZE], measures[TEXT_SIZE / 2];
    format_measures(measures, sizeof measures, p);
    snprintf(head, sizeof head, "%*lld/%lld ", snprintf(NULL, 0, "%lld", (long long)p->n_steps),
             (long long)p->step, (long long)p->n_steps);
    snprintf(tail, sizeof tail, " %s %s/step %s", total, step, measures);
    print_bar(head, tail, p->step, p->n_steps);
}

void cli_progress_break(void)
{
    if (bar_stands) fputc('\n', stderr);
    bar_stands = false;
}

void cli_progress_epoch(const cli_progress_options *options, const ls_train_progress *p)
{
    static int64_t titled = -1; /* epoch whose title has been printed */
    char total[32], step[32];
    if (options->verbose == 0) return;
    format_time(step, sizeof step, p->seconds / (double)p->step);
    format_time(total, sizeof total,
                p->step == p->n_steps ? p->seconds
                                      : p->seconds / (double)p->step * (double)(p->n_steps - p->step));
    if (cli_progress_wants_bar(options)) {
        if (titled != p->epoch)
            fprintf(stderr, "Epoch %lld/%lld\n", (long long)p->epoch + 1, (long long)p->n_epochs);
        titled = p->epoch;
        print_epoch(p, total, step);
    } else if (p->step == p->n_steps) {
        print_line(p, total, step);
    }
}

/* "950", "98.7k", "1.2M", "2.1G" */
static void format_rate(char *text, size_t size, double rate)
{
    static const char units[] = "kMGT";
    int unit = -1;
    while (rate >= 999.5 && unit < 3) {
        rate /= 1000;
        unit++;
    }
    snprintf(text, size, "%.*f%.*s", unit >= 0 && rate < 99.95, rate, unit >= 0,
             unit >= 0 ? units + unit : "");
}

/* How many of the samples are done, how fast, and the time left or, at the end, taken. */
static void print_samples(const cli_operation *operation, bool bar, int64_t n_done, int64_t n_samples,
                          double seconds)
{
    char head[TEXT_SIZE], tail[TEXT_SIZE], time[32], rate[32];
    const bool ends = n_done == n_samples;
    const double per_second = seconds > 0 ? (double)n_done / seconds : 0;
    format_rate(rate, sizeof rate, per_second);
    format_time(time, sizeof time,
                ends || per_second == 0 ? seconds : (double)(n_samples - n_done) / per_second);
    if (!bar) {
        fprintf(stderr, "%s: %lld/%lld samples - %s %s - %s samples/s\n", operation->title, (long long)n_done,
                (long long)n_samples, time, ends ? "in all" : "left", rate);
        return;
    }
    snprintf(head, sizeof head, "%s %*lld/%lld ", operation->title,
             snprintf(NULL, 0, "%lld", (long long)n_samples), (long long)n_done, (long long)n_samples);
    snprintf(tail, sizeof tail, " %s %s samples/s", time, rate);
    print_bar(head, tail, n_done, n_samples);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void report(void *context, int64_t n_done, int64_t n_samples)
{
    cli_operation *operation = context;
    const double now = seconds_now(), seconds = now - operation->begun;
    const bool bar = cli_progress_wants_bar(operation->options), ends = n_done == n_samples;
    if (operation->options->form == AUTO && operation->shown == 0 &&
        seconds < (bar ? QUIET_SECONDS_OF_BAR : QUIET_SECONDS_OF_LINES))
        return;
    if (bar && !ends && now - operation->shown < SECONDS_BETWEEN) return;
    const int64_t tenths = (int64_t)(10.0 * ((double)n_done / (double)n_samples));
    if (!bar && !ends && tenths == operation->tenths) return;
    print_samples(operation, bar, n_done, n_samples, seconds);
    operation->shown = now;
    operation->tenths = tenths;
}

const ls_progress *cli_progress_begin(cli_operation *operation, const cli_progress_options *options,
                                      const char *title)
{
    *operation = (cli_operation){.options = options, .title = title, .begun = seconds_now()};
    operation->progress = (ls_progress){operation, report};
    return options->verbose == 0 ? NULL : &operation->progress;
}
