/* Finding the k largest errors of a matrix exactly, in memory that does not depend on the data.
 *
 * One parallel pass notes the largest error of every strip of columns. The k-th largest of those is a lower bound of
 * the k-th largest error, so only strips that reach it are looked at again: few, when k is a thousandth of the
 * elements. Both k-th largest values are found digit by digit from the bits of the floats, whose order is that of their
 * values. */
#include "core/tape/largest_errors.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

#define BINS 2048
#define MASKED (-1.0f)

/* A float that is not negative has 31 bits that count; they are taken as three digits, highest first. */
static const struct {
    int shift, width;
} digits[] = { { 20, 11 }, { 10, 10 }, { 0, 10 } };

#define DIGITS (int)(sizeof(digits) / sizeof(digits[0]))

struct search {
    const struct srq_error_matrix *m;
    float *peaks;    /* [rows][strips] */
    int64_t strips;  /* in one row */
    uint32_t bound;  /* bits: strips below it do not matter */
    uint32_t prefix; /* digits of the number sought that are known */
    int digit;       /* the one that is being counted */
    int64_t count[BINS];
};

static uint32_t bits_of(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    return u & 0x7fffffff;
}

/* ---- the largest error of every strip ---- */

int64_t srq_error_peaks(int64_t rows, int64_t cols)
{
    return rows * ((cols + SRQ_ERROR_STRIP - 1) / SRQ_ERROR_STRIP);
}

static const void *element(const struct srq_tensor *t, int64_t i)
{
    return (const char *)t->data + (size_t)i * (t->dtype == SRQ_F32 ? 4 : 2);
}

static int64_t strip_width(const struct search *s, int64_t strip)
{
    int64_t left = s->m->cols - strip * SRQ_ERROR_STRIP;

    return left < SRQ_ERROR_STRIP ? left : SRQ_ERROR_STRIP;
}

static void peak_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct search *s = ctx;
    const struct srq_error_matrix *m = s->m;

    for (int64_t r = begin; r < end; r++) {
        for (int64_t c = 0; c < s->strips; c++) {
            int64_t at = r * m->cols + c * SRQ_ERROR_STRIP;

            s->peaks[r * s->strips + c] =
                m->mask != NULL && m->mask[r] == 0
                    ? MASKED
                    : srq_kernels()->largest_error(m->x->dtype, element(m->x, at), m->target->dtype,
                                                   element(m->target, at), strip_width(s, c));
        }
    }
}

/* ---- the k-th largest of many numbers ---- */

/* Counts a number by its present digit, if it begins with the digits that are known. */
static void tally(struct search *s, uint32_t bits)
{
    int shift = digits[s->digit].shift, width = digits[s->digit].width;

    if ((uint64_t)bits >> (shift + width) == s->prefix)
        s->count[bits >> shift & ((1u << width) - 1)]++;
}

/* Bits of the k-th largest of the numbers that `visit` tallies; *rank becomes its place among those equal to it, from 1
 * on. There must be k numbers. */
static uint32_t kth_largest(struct search *s, void (*visit)(struct search *s), int64_t k, int64_t *rank)
{
    s->prefix = 0;
    for (s->digit = 0; s->digit < DIGITS; s->digit++) {
        uint32_t bin = (1u << digits[s->digit].width) - 1;

        memset(s->count, 0, sizeof(s->count));
        visit(s);
        for (; bin > 0 && k > s->count[bin]; bin--)
            k -= s->count[bin];
        s->prefix = s->prefix << digits[s->digit].width | bin;
    }
    *rank = k;
    return s->prefix;
}

static void visit_peaks(struct search *s)
{
    int64_t n = s->m->rows * s->strips;

    for (int64_t i = 0; i < n; i++) {
        if (s->peaks[i] >= 0)
            tally(s, bits_of(s->peaks[i]));
    }
}

/* Bits of the errors of strip `c` of row `r`; returns how many. */
static int64_t strip_bits(const struct search *s, int64_t r, int64_t c, uint32_t *bits)
{
    const struct srq_error_matrix *m = s->m;
    int64_t at = r * m->cols + c * SRQ_ERROR_STRIP, n = strip_width(s, c);
    float x[SRQ_ERROR_STRIP], y[SRQ_ERROR_STRIP];

    srq_kernels()->load(m->x->dtype, element(m->x, at), x, n);
    srq_kernels()->load(m->target->dtype, element(m->target, at), y, n);
    for (int64_t i = 0; i < n; i++) {
        float d = x[i] - y[i];

        bits[i] = d == d ? bits_of(d) : 0;
    }
    return n;
}

static bool matters(const struct search *s, int64_t strip)
{
    return s->peaks[strip] >= 0 && bits_of(s->peaks[strip]) >= s->bound;
}

static void visit_errors(struct search *s)
{
    uint32_t bits[SRQ_ERROR_STRIP];

    for (int64_t i = 0; i < s->m->rows * s->strips; i++) {
        int64_t n = matters(s, i) ? strip_bits(s, i / s->strips, i % s->strips, bits) : 0;

        for (int64_t j = 0; j < n; j++)
            tally(s, bits[j]);
    }
}

/* ---- the positions ---- */

static int64_t collect(const struct search *s, uint32_t least, int64_t equals, int64_t *found)
{
    uint32_t bits[SRQ_ERROR_STRIP];
    int64_t count = 0;

    for (int64_t i = 0; i < s->m->rows * s->strips; i++) {
        int64_t row = i / s->strips, strip = i % s->strips;
        int64_t n = matters(s, i) ? strip_bits(s, row, strip, bits) : 0;

        for (int64_t j = 0; j < n; j++) {
            if (bits[j] > least || (bits[j] == least && equals-- > 0))
                found[count++] = row * s->m->cols + strip * SRQ_ERROR_STRIP + j;
        }
    }
    return count;
}

int64_t srq_largest_errors(const struct srq_error_matrix *m, int64_t k, float *peaks, int64_t *found)
{
    struct search s = { .m = m, .peaks = peaks, .strips = (m->cols + SRQ_ERROR_STRIP - 1) / SRQ_ERROR_STRIP };
    int64_t valid = 0, peak_count, rank;
    uint32_t least;

    for (int64_t r = 0; r < m->rows; r++)
        valid += m->mask == NULL || m->mask[r] != 0;
    peak_count = valid * s.strips;
    k = k < valid * m->cols ? k : valid * m->cols;
    if (k < 1)
        return 0;
    srq_parallel(m->rows, 1 + 8192 / (m->cols + 1), peak_rows, &s);
    if (k <= peak_count)
        s.bound = kth_largest(&s, visit_peaks, k, &rank);
    least = kth_largest(&s, visit_errors, k, &rank);
    return collect(&s, least, rank, found);
}
