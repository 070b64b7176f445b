/* Products before they are run: who plans memory names their shapes, and a rehearsal makes the libraries take for them
 * what they will take: generated code, scratch, packed copies of operands. What that is differs from one processor to
 * the next, so it is measured and not computed. */
#include "core/math/gemm_backend.h"

#include <pthread.h>

/* Distinct ones: a tuned block of a transformer has about forty with those of evaluation, a U-Net a few hundred. */
#define SHAPES_MAX 768

static const struct srq_row_taker nobody = { NULL, NULL, 1 };
static struct srq_product shapes[SHAPES_MAX];
static int shape_count, rehearsed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool same_operand(const struct srq_mat *a, const struct srq_mat *b)
{
    return a->dtype == b->dtype && a->ld == b->ld && a->trans == b->trans;
}

static bool same(const struct srq_product *p, const struct srq_product *q)
{
    return p->m == q->m && p->n == q->n && p->k == q->k && srq_product_factor(p) == srq_product_factor(q) &&
           p->add == q->add && (p->taker != NULL) == (q->taker != NULL) && same_operand(&p->a, &q->a) &&
           same_operand(&p->b, &q->b) && p->c.dtype == q->c.dtype && p->c.ld == q->c.ld;
}

void srq_gemm_expect(const struct srq_product *p)
{
    struct srq_product part = *p;
    int i = 0;

    /* Who gives no rows itself computes them by parts. */
    if (p->taker != NULL && !srq_gemm_engine_for(p->a.dtype)->takers) {
        part.taker = NULL;
        for (int64_t left = p->m; left > 0; left -= part.m) {
            part.m = left < p->taker->room ? left : p->taker->room;
            srq_gemm_expect(&part);
        }
        return;
    }
    if (p->m <= 0 || p->n <= 0 || p->k <= 0)
        return;
    pthread_mutex_lock(&lock);
    while (i < shape_count && !same(&shapes[i], p))
        i++;
    if (i == shape_count && shape_count < SHAPES_MAX) {
        shapes[i] = *p;
        shapes[i].a.data = shapes[i].b.data = shapes[i].c.data = NULL;
        shapes[i].taker = p->taker != NULL ? &nobody : NULL;
        shape_count++;
    }
    pthread_mutex_unlock(&lock);
}

void srq_gemm_rehearse(void)
{
    pthread_mutex_lock(&lock);
    for (; rehearsed < shape_count; rehearsed++) {
        const struct srq_gemm_engine *e = srq_gemm_engine_for(shapes[rehearsed].a.dtype);

        if (e->rehearse != NULL)
            e->rehearse(&shapes[rehearsed]);
    }
    pthread_mutex_unlock(&lock);
}

void srq_gemm_forget(void)
{
    pthread_mutex_lock(&lock);
    shape_count = rehearsed = 0;
    pthread_mutex_unlock(&lock);
}
