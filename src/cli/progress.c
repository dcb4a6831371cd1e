#include "progress.h"

#include <stdio.h>
#include <string.h>

#include "terminal.h"

enum { BAR_WIDTH = 20, MIN_BAR_WIDTH = 4, TEXT_SIZE = 160 };

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

static void print_line(const ls_train_progress *p, const char *total, const char *step)
{
    fprintf(stderr,
            "Epoch %lld/%lld - %lld steps - %s - %s/step - loss: %.4f - binary_accuracy: %.4f - precision: "
            "%.4f - "
            "recall: %.4f\n",
            (long long)p->epoch + 1, (long long)p->n_epochs, (long long)p->n_steps, total, step,
            ls_metrics_loss(&p->metrics), ls_metrics_binary_accuracy(&p->metrics),
            ls_metrics_precision(&p->metrics), ls_metrics_recall(&p->metrics));
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

/* The line under the title of the epoch. The bar gives way to the measures when the terminal is narrow. */
static void print_bar(const ls_train_progress *p, const char *total, const char *step)
{
    char head[TEXT_SIZE], tail[TEXT_SIZE];
    const int head_length =
        snprintf(head, sizeof head, "%*lld/%lld ", snprintf(NULL, 0, "%lld", (long long)p->n_steps),
                 (long long)p->step, (long long)p->n_steps);
    const int tail_length =
        snprintf(tail, sizeof tail, " %s %s/step loss %.4f acc %.4f prec %.4f rec %.4f", total, step,
                 ls_metrics_loss(&p->metrics), ls_metrics_binary_accuracy(&p->metrics),
                 ls_metrics_precision(&p->metrics), ls_metrics_recall(&p->metrics));
    char bar[4 * BAR_WIDTH + 1];
    format_bar(bar, head_length + tail_length, p->step, p->n_steps);
    /* \033[K clears what a longer line before left. */
    fprintf(stderr, "\r%s%s%s\033[K%s", head, bar, tail, p->step == p->n_steps ? "\n" : "");
    fflush(stderr);
}

void cli_progress(cli_progress_style style, const ls_train_progress *p)
{
    static int64_t titled = -1; /* epoch whose title has been printed */
    char total[32], step[32];
    format_time(step, sizeof step, p->seconds / (double)p->step);
    format_time(total, sizeof total,
                p->step == p->n_steps ? p->seconds
                                      : p->seconds / (double)p->step * (double)(p->n_steps - p->step));
    if (style == CLI_PROGRESS_BAR) {
        if (titled != p->epoch)
            fprintf(stderr, "Epoch %lld/%lld\n", (long long)p->epoch + 1, (long long)p->n_epochs);
        titled = p->epoch;
        print_bar(p, total, step);
    } else if (style == CLI_PROGRESS_LINES && p->step == p->n_steps) {
        print_line(p, total, step);
    }
}

void cli_progress_samples(int64_t n_done, int64_t n_samples, double seconds)
{
    char head[TEXT_SIZE], tail[TEXT_SIZE], time[32], bar[4 * BAR_WIDTH + 1];
    const double rate = seconds > 0 ? (double)n_done / seconds : 0;
    format_time(time, sizeof time,
                n_done == n_samples || rate == 0 ? seconds : (double)(n_samples - n_done) / rate);
    const int head_length =
        snprintf(head, sizeof head, "%*lld/%lld ", snprintf(NULL, 0, "%lld", (long long)n_samples),
                 (long long)n_done, (long long)n_samples);
    const int tail_length = snprintf(tail, sizeof tail, " %s %.3g samples/s", time, rate);
    format_bar(bar, head_length + tail_length, n_done, n_samples);
    fprintf(stderr, "\r%s%s%s\033[K%s", head, bar, tail, n_done == n_samples ? "\n" : "");
    fflush(stderr);
}
