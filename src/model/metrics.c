#include "lockstep/evaluate.h"

#include <math.h>
#include <string.h>

static double quotient(double numerator, double denominator)
{
    return denominator == 0 ? 0 : numerator / denominator;
}

void ls_metrics_add(ls_metrics *total, const ls_metrics *part)
{
    total->n_samples += part->n_samples;
    total->loss_sum += part->loss_sum;
    total->tn += part->tn;
    total->fp += part->fp;
    total->fn += part->fn;
    total->tp += part->tp;
    total->n_correct += part->n_correct;
    total->cross_entropy_sum += part->cross_entropy_sum;
    total->absolute_error_sum += part->absolute_error_sum;
    total->squared_error_sum += part->squared_error_sum;
}

double ls_metrics_loss(const ls_metrics *metrics)
{
    return quotient(metrics->loss_sum, (double)metrics->n_samples);
}

double ls_metrics_binary_accuracy(const ls_metrics *metrics)
{
    const int64_t right = metrics->tn + metrics->tp;
    return quotient((double)right, (double)(right + metrics->fp + metrics->fn));
}

double ls_metrics_precision(const ls_metrics *metrics)
{
    return quotient((double)metrics->tp, (double)(metrics->tp + metrics->fp));
}

double ls_metrics_recall(const ls_metrics *metrics)
{
    return quotient((double)metrics->tp, (double)(metrics->tp + metrics->fn));
}

double ls_metrics_f1(const ls_metrics *metrics)
{
    return quotient(2 * (double)metrics->tp, (double)(2 * metrics->tp + metrics->fp + metrics->fn));
}

static double mean(const ls_metrics *metrics, double sum)
{
    return quotient(sum, (double)metrics->n_samples);
}

static double binary_crossentropy(const ls_metrics *metrics)
{
    return mean(metrics, metrics->cross_entropy_sum);
}

static double accuracy(const ls_metrics *metrics)
{
    return mean(metrics, (double)metrics->n_correct);
}

static double absolute_error(const ls_metrics *metrics)
{
    return mean(metrics, metrics->absolute_error_sum);
}

static double squared_error(const ls_metrics *metrics)
{
    return mean(metrics, metrics->squared_error_sum);
}

typedef struct measure {
    const char *name;
    double (*value)(const ls_metrics *metrics);
    bool rises; /* a greater one is better */
} measure;

static const measure of_two_classes[] = {{"binary_accuracy", ls_metrics_binary_accuracy, true},
                                         {"binary_crossentropy", binary_crossentropy},
                                         {"loss", ls_metrics_loss},
                                         {"precision", ls_metrics_precision, true},
                                         {"recall", ls_metrics_recall, true}};
static const measure of_classes[] = {{"accuracy", accuracy, true}, {"loss", ls_metrics_loss}};
static const measure of_numbers[] = {{"loss", ls_metrics_loss},
                                     {"mean_absolute_error", absolute_error},
                                     {"mean_squared_error", squared_error}};

typedef struct measures {
    const measure *list;
    int n;
} measures;

#define LIST(list)                                                                                           \
    {                                                                                                        \
        list, (int)(sizeof(list) / sizeof(list)[0])                                                          \
    }
static const measures all_measures[] = {LIST(of_two_classes), LIST(of_classes), LIST(of_numbers)};

int ls_metrics_names(ls_loss loss, const char *names[LS_MAX_MEASURES])
{
    const measures *own = &all_measures[loss == LS_BINARY_CROSSENTROPY ? 0
                                        : ls_loss_is_categorical(loss) ? 1
                                                                       : 2];
    for (int i = 0; i < own->n; i++) names[i] = own->list[i].name;
    return own->n;
}

static const measure *find(const char *name)
{
    for (size_t list = 0; list < sizeof all_measures / sizeof all_measures[0]; list++)
        for (int i = 0; i < all_measures[list].n; i++)
            if (strcmp(all_measures[list].list[i].name, name) == 0) return &all_measures[list].list[i];
    return NULL;
}

double ls_metrics_value(const ls_metrics *metrics, const char *name)
{
    const measure *known = find(name);
    return known ? known->value(metrics) : NAN;
}

bool ls_metrics_rises(const char *name)
{
    const measure *known = find(name);
    return known && known->rises;
}
