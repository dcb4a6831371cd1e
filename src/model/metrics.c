#include "lockstep/evaluate.h"

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
}

double ls_metrics_loss(const ls_metrics *metrics)
{
    return quotient(metrics->loss_sum, (double)metrics->n_samples);
}

double ls_metrics_binary_accuracy(const ls_metrics *metrics)
{
    return quotient((double)(metrics->tn + metrics->tp), (double)metrics->n_samples);
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
