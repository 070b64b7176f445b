/* A layer as a plugin sees it, and what a quantizer gives back for it. */
#ifndef SRQ_LAYER_H
#define SRQ_LAYER_H

#include <srq/types.h>

/* What a part asks for. Statistics are of the layer's inputs x. */
enum {
    SRQ_NEED_IMPORTANCE = 1u << 0, /* layer->importance */
    SRQ_NEED_HESSIAN = 1u << 1,    /* layer->hessian */
    SRQ_NEED_RANGES = 1u << 2,     /* layer->in_max and in_mean */
    SRQ_NEED_SEQUENTIAL = 1u << 3, /* one-shot quantizers: the statistics of a layer come through the layers before it
                                      as they were quantized, those of its own block included (true-sequential); without
                                      it only the blocks before are. */
    SRQ_NEED_FEEDBACK = 1u << 4,   /* one-shot quantizers: memory to round with column_feedback (three squares of the
                                      layer's inputs and its weights, F32) is planned beside its second moment */
};

/* One layer while it is being quantized. Everything is the host's; a plugin may keep its own pointer in `user`. */
struct srq_layer {
    uint32_t size;
    float tensor_scale;              /* nvfp4: gs = 448*6 / largest magnitude of the weight and of those tied to it
                                        (spec signround 9.2); 1 for other grids */
    const char *name;                /* checkpoint tensor without ".weight": "model.layers.3.mlp.down_proj" */
    int block, index;                /* which block; position inside it */
    const struct srq_tensor *weight; /* original [out, in], F32, F16 or BF16, read-only; of a convolution in is its
                                        channels times the square of its kernel, and inputs are its patches */
    const struct srq_scheme *scheme;
    const struct srq_groups *groups;
    float **param; /* tunable quantizers: param[k] is the array declared as k-th, `count` floats */
    void *user;
    /* Of the layer's inputs x, where asked for (SRQ_NEED_…), else NULL. */
    const float *importance;       /* [in] sum over calibration tokens of x²; not given beside the others */
    const float *in_max, *in_mean; /* [in] largest and mean |x| */
    const float *hessian;          /* [in, in] mean of x xᵀ, symmetric, both halves filled */
    int64_t tokens;                /* that in_max, in_mean and hessian were taken over */
};

/* What a quantizer gives back; the arrays are the host's, already of the right size. */
struct srq_result {
    uint32_t size;
    uint8_t *codes; /* [out, in] unsigned stored codes: sym q + 2^(bits-1), asym q in 0 … 2^bits-1; mxfp4, nvfp4: the
                       four bits of E2M1 (sign highest); mxfp8, fp8: the byte of E4M3 */
    float *scale;   /* [count] of srq_groups. Integers: exactly representable in F16, sign included; mx: a power of two
                       of E8M0; nvfp4: a value of E4M3, not yet divided by tensor_scale; fp8: any positive F32;
                       k-quants: what codes are multiplied by, a whole multiple of the first number of `super` */
    uint8_t *zero;  /* [count] stored zero-points: 2^(bits-1) for sym; 0 for floating-point grids; k-quants with minima:
                       how often a group's minimum has the second number of `super` */
    float *super; /* [out, in/256, 2] k-quants, since minor version 4: what scales, and minima, are whole multiples of,
                     exactly representable in F16 (no minima: the second is 0); NULL for other grids */
};

#endif
