/* Figures of a row: means over seeds, intervals over windows of the text. */
#include "tui/srqctl/compare.h"

#include "core/base/alloc.h"

#include <math.h>

/* The 97.5 % point of Student's t, by its expansion around the normal one; exact to 1 % from 3 degrees on. */
static double student(int degrees)
{
    static const double few[] = { 12.706, 4.303, 3.182, 2.776, 2.571 };
    double z = 1.959964, v = degrees;

    if (degrees <= 5)
        return few[degrees - 1];
    return z + (pow(z, 3) + z) / (4 * v) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * v * v);
}

double ctl_interval(const double *x, int n, double *mean)
{
    double sum = 0, square = 0;

    for (int i = 0; i < n; i++)
        sum += x[i];
    sum = n > 0 ? sum / n : (double)NAN;
    if (mean != NULL)
        *mean = sum;
    for (int i = 0; i < n; i++)
        square += (x[i] - sum) * (x[i] - sum);
    return n < 2 ? (double)NAN : student(n - 1) * sqrt(square / (n - 1) / n);
}

static double mean_of(const struct ctl_compare_row *row, const char *path)
{
    double sum = 0;
    int n = 0;

    for (int i = 0; i < row->count; i++) {
        if (row->runs[i].report == NULL)
            continue;
        sum += ctl_num(row->runs[i].report, path);
        n++;
    }
    return n > 0 ? sum / n : (double)NAN;
}

static double deviation_of(const struct ctl_compare_row *row, const char *path, double mean)
{
    double square = 0;
    int n = 0;

    for (int i = 0; i < row->count; i++) {
        if (row->runs[i].report == NULL)
            continue;
        square += pow(ctl_num(row->runs[i].report, path) - mean, 2);
        n++;
    }
    return n > 1 ? sqrt(square / (n - 1)) : (double)NAN;
}

/* Losses of windows, means over the runs; `minus`: the same of another measurement is taken away. Free with
 * srq_free. */
static double *windows_of(const struct ctl_compare_row *row, const char *of, const char *minus, int *count)
{
    const cJSON *first = NULL;
    double *out;
    int runs = 0;

    for (int i = 0; i < row->count && first == NULL; i++)
        first = row->runs[i].report != NULL ? ctl_get(row->runs[i].report, of) : NULL;
    *count = cJSON_GetArraySize(first);
    out = srq_calloc((size_t)*count + 1, sizeof(*out));
    for (int i = 0; out != NULL && i < row->count; i++) {
        const cJSON *a = row->runs[i].report != NULL ? ctl_get(row->runs[i].report, of) : NULL;
        const cJSON *b = row->runs[i].report != NULL && minus != NULL ? ctl_get(row->runs[i].report, minus) : NULL;

        if (a == NULL || cJSON_GetArraySize(a) != *count || (minus != NULL && cJSON_GetArraySize(b) != *count))
            continue;
        runs++;
        for (int k = 0; k < *count; k++) {
            const cJSON *x = cJSON_GetArrayItem(a, k), *y = b != NULL ? cJSON_GetArrayItem(b, k) : NULL;

            out[k] += cJSON_IsNumber(x) ? x->valuedouble - (cJSON_IsNumber(y) ? y->valuedouble : 0) : (double)NAN;
        }
    }
    for (int k = 0; out != NULL && k < *count; k++)
        out[k] /= runs;
    if (runs == 0)
        *count = 0;
    return out;
}

void ctl_compare_figures(const struct ctl_compare_row *row, struct ctl_compare_figures *out)
{
    double *x, half, mean;
    int n;

    *out = (struct ctl_compare_figures){ 0 };
    for (int i = 0; i < row->count; i++)
        out->done += row->runs[i].report != NULL;
    out->perplexity = mean_of(row, "eval.after.perplexity");
    out->deviation = deviation_of(row, "eval.after.perplexity", out->perplexity);
    out->kl = mean_of(row, "eval.after.kl");
    out->top1 = mean_of(row, "eval.after.top1");
    out->bits = mean_of(row, "size.average_bits");
    out->bytes = mean_of(row, "size.scheme_bytes"); /* models are kept as dequantized weights, if at all */
    if (isnan(out->bytes))
        out->bytes = mean_of(row, "size.after_bytes");
    out->seconds = mean_of(row, "timing.total_s") - mean_of(row, "timing.eval_s");
    out->memory = mean_of(row, "memory.peak_rss_bytes");
    x = windows_of(row, "eval.after.windows", NULL, &n);
    half = ctl_interval(x, x != NULL ? n : 0, &mean);
    out->low = exp(mean - half);
    out->high = exp(mean + half);
    srq_free(x);
    x = windows_of(row, "eval.after.windows", "eval.rtn.windows", &n);
    half = ctl_interval(x, x != NULL ? n : 0, &out->against_rtn);
    out->rtn_low = out->against_rtn - half;
    out->rtn_high = out->against_rtn + half;
    srq_free(x);
}

const char *ctl_compare_verdict(const struct ctl_compare_figures *f)
{
    return isnan(f->rtn_low) ? "" : f->rtn_high < 0 ? "better" : f->rtn_low > 0 ? "worse" : "same";
}
