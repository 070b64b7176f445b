/* Grids: sets of representable values with their fake-quantization, gradients and encoding. One file per grid.
 * The operations themselves are struct srq_grid_ops of srq/plugin.h: plugins reach them through the host. */
#ifndef SRQ_GRID_GRID_H
#define SRQ_GRID_GRID_H

#include <srq/plugin.h>

#include "core/grid/plane.h"

const struct srq_grid_ops *srq_grid(enum srq_grid_kind kind); /* NULL: not in this build */

/* Group layout of a weight [out, in] (spec signround 1). */
struct srq_groups srq_groups_of(int64_t out, int64_t in, int group);

/* Scheme spelling: "w4g128" (symmetric), "w4g128z" (asymmetric), "w8" and "w8z" (one group a row), "w4gt", "w4gtz" (one
 * group a tensor), "mxfp4", "mxfp8" (groups of 32), "nvfp4" (groups of 16), "fp8" (one group a row), "fp8t" (one group
 * a tensor), "q2_k" … "q6_k" (k-quants), "bf16"; "q4_0", "q5_0" and "q8_0" are w4g32, w5g32 and w8g32; presets "W2A16"
 * … "W8A16" (symmetric, group 128), "W4A16G64", "MXFP4", "MXFP8", "NVFP4" and "FPW8A16" (weights only). Integers may be
 * followed by bits for the layer's inputs, one dynamic symmetric range a token: "w8a8", "w4g64za8". Unknown or out of
 * range: -SRQ_EINVAL naming what is accepted. Activations beside floating-point weights ("nvfp4a4") and other GGUF
 * types are understood but not in this build: -SRQ_EUNSUPPORTED. */
int srq_scheme_parse(const char *text, struct srq_scheme *out, struct srq_error *err);
char *srq_scheme_text(const struct srq_scheme *s, char *out, size_t cap); /* canonical spelling; returns out */
/* By what they say; `size` is how long a struct is and no part of it. */
bool srq_scheme_equal(const struct srq_scheme *a, const struct srq_scheme *b);
struct srq_scheme srq_scheme_none(void);                /* "bf16" */
bool srq_scheme_is_integer(const struct srq_scheme *s); /* symmetric or asymmetric integers */
/* Integers and k-quants: their codes are evenly spaced between the ends of a range, and there are several widths. */
bool srq_scheme_is_even(const struct srq_scheme *s);
/* The same with other bits, 2 … 8: false where the grid has no such width. */
bool srq_scheme_widen(const struct srq_scheme *s, int bits, struct srq_scheme *out);
bool srq_scheme_has_act(const struct srq_scheme *s);
/* Whether a layer of this shape can carry the scheme at all (dims multiples of 32 for integers, rows of whole groups
 * for mx and nv, of 256 for k-quants): NULL or the reason. */
const char *srq_scheme_refuses(const struct srq_scheme *s, int64_t out, int64_t in);
/* Stored bits of a layer: codes, scales, zero-points (spec signround 7.2; zero-points charged also for symmetric).
 * bf16: 16 an element. */
uint64_t srq_scheme_bits(const struct srq_scheme *s, int64_t out, int64_t in);

/* Codes, scales and zero-points of one layer, owned by whoever made it. */
struct srq_codes {
    struct srq_scheme scheme;
    struct srq_groups groups;
    uint8_t *codes;     /* [out, in] */
    float *scale;       /* [count] */
    uint8_t *zero;      /* [count] */
    float *super;       /* [out * in / 256, 2] k-quants; NULL for other grids */
    float tensor_scale; /* nvfp4: what scales are divided by (struct srq_layer); 1 for other grids */
};
/* tensor_scale becomes 1. */
int srq_codes_alloc(int64_t out, int64_t in, const struct srq_scheme *s, struct srq_codes *c, struct srq_error *err);
void srq_codes_fini(struct srq_codes *c);
/* Where a quantizer shall put what it gives back for the layer. */
struct srq_result srq_codes_result(const struct srq_codes *c);
/* Its planes by name, as they are laid out in memory and on disk: "codes" U8 [out, in], "scale" F32 [count], "zero" U8
 * [count] and, where the grid has one, "super" F32 [out * in / 256, 2] or "tensor_scale" F32 [1]. Of `c` only scheme
 * and groups need be set; `data` is what it has, and for tensor_scale its own member. Returns how many. */
int srq_codes_planes(const struct srq_codes *c, struct srq_plane out[SRQ_PLANES]);
/* The first so many planes lie in memory of their own. */
int srq_codes_arrays(const struct srq_codes *c);
/* Plane k of them lies at `data` from now on, of that type and as large; tensor_scale is copied from there. */
void srq_codes_set_plane(struct srq_codes *c, int k, void *data);
/* Bytes of all planes of a layer [out, in]; 0 for one that stays in 16 bits. */
uint64_t srq_codes_bytes(const struct srq_scheme *s, int64_t out, int64_t in);
/* gs of a tensor, or of tensors fused with one another, whose largest magnitude is `top` (spec signround 9.2). */
float srq_nvfp4_tensor_scale(float top);
/* Ŵ = scale * (code - zero), scale / tensor_scale * element or scale * code - minimum, into dst [out, in] F32, BF16 or
 * F16. Parallel. */
int srq_codes_decode(const struct srq_codes *c, void *dst, enum srq_dtype dtype, struct srq_error *err);
/* Rows [row, row+rows) alone, into dst [rows, in] of one of these types. One thread. */
void srq_codes_decode_rows(const struct srq_codes *c, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype);
/* Host's check of a plugin's result. Integers: scales finite, non-zero, exact in F16; codes and zero-points below
 * 2^bits. Floating-point grids: scales positive and of the kind that is stored (struct srq_result), no code that is no
 * number. k-quants: scales and minima that are multiples as they are stored. */
int srq_codes_check(const struct srq_codes *c, const char *layer, struct srq_error *err);
/* Groups of integers all of whose codes stand for zero though the weights [out, in] that they come from do not: the
 * least scale that is stored, 1e-5, is more than twice their largest magnitude. `*most`: the largest of those, not less
 * than it was. 0 for other grids. One thread. */
int64_t srq_codes_erased(const struct srq_codes *c, const struct srq_tensor *weight, float *most);
/* Share of codes at the ends of the grid's range: values that it may have cut off. */
double srq_codes_saturation(const struct srq_codes *c);

#endif
