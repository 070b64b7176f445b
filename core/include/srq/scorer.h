/* Scorers: how much a layer suffers from a scheme. */
#ifndef SRQ_SCORER_H
#define SRQ_SCORER_H

#include <srq/error.h>
#include <srq/layer.h>

struct srq_host;

/* The data on which scores are taken. */
struct srq_score_data {
    uint32_t size;
    int64_t nsamples, seqlen, batch; /* 0: the job's own */
};

/* Some rows of one layer at the quantized point: every layer of the model carries the candidate scheme, integers with 4
 * bits at least, rounded plainly, and `grad` is the gradient of the model's mean next-token cross-entropy over one
 * batch, taken there. `fake` has the candidate's own bits. All [rows, in], F32. */
struct srq_score_rows {
    uint32_t size;
    const struct srq_layer *layer; /* layer->scheme is the candidate */
    int64_t row, rows;
    const float *weight, *fake, *grad; /* W, Ŵ, dL/dW */
};

/* The host runs the model forward and backward, a block at a time, once for every candidate and batch, and adds up, in
 * a fixed order, what rows() returns. "bf16" scores 0 by definition. */
struct srq_scorer {
    uint32_t size;
    int (*data)(const struct srq_host *h, void *self, struct srq_score_data *out, struct srq_error *err);
    /* What these rows add to the layer's score. Called from several threads, for different rows. */
    double (*rows)(const struct srq_host *h, void *self, const struct srq_score_rows *r);
};

#endif
