/* Patches of pictures: copies of contiguous stretches, a kernel row each. */
#include "core/tape/patches.h"

#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

/* ---- strips ---- */

static int64_t divide_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

struct srq_patches srq_patches_of(const struct srq_conv *c, int64_t channels, enum srq_dtype dtype, int64_t bytes)
{
    struct srq_patches p = { .c = *c, .channels = channels, .dtype = dtype };
    int64_t line, lines;

    p.oh = srq_conv_size(c, c->height);
    p.ow = srq_conv_size(c, c->width);
    p.in = channels * c->kernel * c->kernel;
    line = p.ow * p.in * (int64_t)sizeof(float);
    lines = bytes / line > 0 ? bytes / line : 1;
    p.whole = lines >= p.oh;
    /* As few strips as there must be, all of about one size. */
    if (p.whole) {
        int64_t strips = divide_up(c->batch, lines / p.oh);

        p.strip_lines = divide_up(c->batch, strips) * p.oh;
    } else {
        p.strip_lines = divide_up(p.oh, divide_up(p.oh, lines));
    }
    return p;
}

bool srq_next_strip(const struct srq_patches *p, struct srq_strip *s)
{
    int64_t end = p->c.batch * p->oh;

    s->first += s->lines;
    if (s->first >= end)
        return false;
    if (!p->whole) /* no strip goes on into the next picture */
        end = (s->first / p->oh + 1) * p->oh;
    s->lines = end - s->first < p->strip_lines ? end - s->first : p->strip_lines;
    return true;
}

/* ---- pictures to patches ---- */

struct unfolding {
    const struct srq_patches *p;
    const char *x;
    char *to;
    int64_t first;
};

/* Columns [*from, *to) of the kernel that lie on the picture when its left edge is at column `left`. */
static void on_picture(const struct srq_patches *p, int64_t left, int64_t *from, int64_t *to)
{
    *from = left < 0 ? -left : 0;
    *to = p->c.width - left < p->c.kernel ? p->c.width - left : p->c.kernel;
}

/* Row `ky` of the kernel for the output pixels of a line; `x` is the row of pixels under it, NULL: outside. */
static void copy_kernel_row(const struct srq_patches *p, const char *x, char *to)
{
    size_t pixel = (size_t)p->channels * srq_dtype_size(p->dtype), patch = (size_t)p->in * srq_dtype_size(p->dtype);

    for (int64_t ox = 0; ox < p->ow; ox++, to += patch) {
        int64_t left = ox * p->c.stride - p->c.pad_before, a, b;

        on_picture(p, left, &a, &b);
        if (x == NULL || a >= b) {
            memset(to, 0, pixel * (size_t)p->c.kernel);
            continue;
        }
        memset(to, 0, pixel * (size_t)a);
        memcpy(to + pixel * (size_t)a, x + pixel * (size_t)(left + a), pixel * (size_t)(b - a));
        memset(to + pixel * (size_t)b, 0, pixel * (size_t)(p->c.kernel - b));
    }
}

static void unfold_lines(void *ctx, int64_t begin, int64_t end)
{
    const struct unfolding *u = ctx;
    const struct srq_patches *p = u->p;
    size_t size = srq_dtype_size(p->dtype), kernel_row = (size_t)(p->c.kernel * p->channels) * size;

    for (int64_t i = begin; i < end; i++) {
        int64_t picture = (u->first + i) / p->oh, top = (u->first + i) % p->oh * p->c.stride - p->c.pad_before;
        char *to = u->to + (size_t)(i * p->ow * p->in) * size;

        for (int64_t ky = 0; ky < p->c.kernel; ky++) {
            int64_t iy = top + ky;
            bool inside = iy >= 0 && iy < p->c.height;
            int64_t pixel = (picture * p->c.height + iy) * p->c.width;

            copy_kernel_row(p, inside ? u->x + (size_t)(pixel * p->channels) * size : NULL,
                            to + (size_t)ky * kernel_row);
        }
    }
}

static int64_t grain(const struct srq_patches *p)
{
    return 1 + 8192 / (p->ow * p->in + 1);
}

void srq_unfold(const struct srq_patches *p, const void *x, const struct srq_strip *s, void *patches)
{
    struct unfolding u = { p, x, patches, s->first };

    srq_parallel(s->lines, grain(p), unfold_lines, &u);
}

/* ---- gradients of patches to those of pictures ---- */

struct folding {
    const struct srq_patches *p;
    const struct srq_fold *f;
    struct srq_strip s;
    int64_t picture; /* the first one that the strip has lines of */
};

/* A row of pixels for each thread; or, where a picture takes several strips, a whole picture. */
int64_t srq_fold_floats(const struct srq_patches *p)
{
    return p->c.width * p->channels * (p->whole ? srq_team_size() : p->c.height);
}

/* Adds row ky of the kernel of all patches of a line to the row of pixels under it. */
static void add_kernel_row(const struct srq_patches *p, const float *from, float *sums)
{
    const struct srq_kernels *kern = srq_kernels();

    for (int64_t ox = 0; ox < p->ow; ox++, from += p->in) {
        int64_t left = ox * p->c.stride - p->c.pad_before, a, b;
        float *to;

        on_picture(p, left, &a, &b);
        if (a >= b)
            continue;
        to = sums + (left + a) * p->channels;
        kern->add(SRQ_F32, to, from + a * p->channels, to, (b - a) * p->channels);
    }
}

static void fold_row(void *ctx, int64_t item, int thread)
{
    const struct folding *c = ctx;
    const struct srq_patches *p = c->p;
    int64_t picture = c->picture + item / p->c.height, iy = item % p->c.height, row = p->c.width * p->channels;
    int64_t k0 = picture * p->oh; /* the picture's first line */
    float *sums = c->f->sums + (p->whole ? thread : iy) * row;

    if (c->s.first <= k0)
        memset(sums, 0, (size_t)row * sizeof(float));
    for (int64_t ky = 0; ky < p->c.kernel; ky++) {
        int64_t top = iy + p->c.pad_before - ky, line = k0 + top / p->c.stride;

        if (top < 0 || top % p->c.stride != 0 || line >= k0 + p->oh)
            continue;
        if (line >= c->s.first && line < c->s.first + c->s.lines)
            add_kernel_row(p, c->f->from + (line - c->s.first) * p->ow * p->in + ky * p->c.kernel * p->channels, sums);
    }
    if (c->s.first + c->s.lines >= k0 + p->oh)
        srq_kernels()->store(p->dtype, sums, 1.0f, srq_row(&c->f->dx, picture * p->c.height + iy, row), row, c->f->add);
}

void srq_fold(const struct srq_patches *p, const struct srq_strip *s, const struct srq_fold *f)
{
    struct folding c = { p, f, *s, s->first / p->oh };
    int64_t pictures = p->whole ? s->lines / p->oh : 1;

    srq_parallel_items(pictures * p->c.height, fold_row, &c);
}

/* ---- the order of checkpoints ---- */

/* [m][n] elements at `from` become [n][m]. */
static void transpose(const void *from, void *to, int64_t m, int64_t n, size_t size)
{
    if (size == sizeof(uint16_t)) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                ((uint16_t *)to)[j * m + i] = ((const uint16_t *)from)[i * n + j];
    } else {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                ((uint32_t *)to)[j * m + i] = ((const uint32_t *)from)[i * n + j];
    }
}

void srq_patch_row_out(const struct srq_patches *p, const void *from, void *to, size_t size)
{
    transpose(from, to, (int64_t)p->c.kernel * p->c.kernel, p->channels, size);
}

void srq_patch_row_in(const struct srq_patches *p, const void *from, void *to, size_t size)
{
    transpose(from, to, p->channels, (int64_t)p->c.kernel * p->c.kernel, size);
}
