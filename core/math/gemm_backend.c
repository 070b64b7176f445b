/* Chooses who computes a product. */
#include "core/math/gemm_backend.h"

#include "core/base/log.h"
#include "core/base/simd.h"
#include "core/math/int8.h"
#include "core/math/kernels.h"
#include "core/math/panels.h"
#include "core/math/team.h"
#include "core/tensor/dtype.h"

#include <stdlib.h>

static const struct srq_gemm_engine *const engines[] = {
#ifdef SRQ_PANEL_KERNELS
    &srq_gemm_amx,         &srq_gemm_avx512_bf16,
#endif
#ifdef SRQ_FP16_KERNEL
    &srq_gemm_avx512_fp16,
#endif
#ifdef SRQ_X86_KERNELS
    &srq_gemm_avx512,      &srq_gemm_avx2,
#endif
#ifdef HAVE_DNNL
    &srq_gemm_onednn,
#endif
    &srq_gemm_openblas,    &srq_gemm_panels,      &srq_gemm_plain,
};
#define ENGINES ((int)(sizeof(engines) / sizeof(engines[0])))

/* Who computes F32 and BF16; plain where nothing was started. */
static const struct srq_gemm_engine *for_f32 = &srq_gemm_plain, *for_bf16 = &srq_gemm_plain;
static bool has_bf16; /* instructions that multiply BF16, used or not */
static bool timed;
static char description[512] = "not started";

/* ---- products ---- */

/* A sum of nothing. */
static void clear(const struct srq_product *p)
{
    size_t size = srq_dtype_size(p->c.dtype);

    for (int64_t i = 0; i < p->m && !p->add; i++)
        memset((char *)p->c.data + (size_t)(i * p->c.ld) * size, 0, (size_t)p->n * size);
}

struct taking {
    const struct srq_product *p;
    int64_t row;
};

static void take_share(void *ctx, int64_t begin, int64_t end)
{
    const struct taking *t = ctx;
    const struct srq_row_taker *taker = t->p->taker;

    taker->take(taker->ctx, t->row + begin, end - begin, (float *)t->p->c.data + begin * t->p->n);
}

/* By way of C's room: some rows are made by all, then given by all. */
static void give_rows(const struct srq_product *p)
{
    const struct srq_row_taker *taker = p->taker;
    struct taking t = { .p = p };

    for (t.row = 0; t.row < p->m; t.row += taker->room) {
        struct srq_product part = *p;
        int64_t at = p->a.trans ? t.row : t.row * p->a.ld;

        part.taker = NULL;
        part.m = p->m - t.row < taker->room ? p->m - t.row : taker->room;
        part.a.data = (const char *)p->a.data + (size_t)at * srq_dtype_size(p->a.dtype);
        srq_gemm(&part);
        srq_parallel(part.m, 1, take_share, &t);
    }
}

void srq_gemm(const struct srq_product *p)
{
    const struct srq_gemm_engine *e = srq_gemm_engine_for(p->a.dtype);

    if (p->m <= 0 || p->n <= 0)
        return;
    if (p->taker != NULL) {
        if (p->k <= 0 || !e->takers || !e->run(p))
            give_rows(p);
    } else if (p->k <= 0)
        clear(p);
    else if (!e->run(p))
        (void)srq_gemm_plain.run(p);
}

/* ---- start ---- */

/* Starts the engine and proves it for the dtypes it takes; false: it is not to be used. */
static bool usable(const struct srq_gemm_engine *e, struct srq_error *err)
{
    static const enum srq_dtype dtypes[] = { SRQ_F32, SRQ_BF16 };

    if (e->start(err) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        if (e->takes(dtypes[i]) && srq_gemm_check(e, dtypes[i], err) != 0)
            return false;
    if (e->forget != NULL)
        e->forget(); /* shapes of the test are not those of the work */
    return true;
}

/* `quiet`: one that this processor cannot run is passed over without a word. */
static const struct srq_gemm_engine *find_usable(const char *name, bool quiet)
{
    struct srq_error err = { 0 };

    for (int i = 0; i < ENGINES; i++) {
        if (strcmp(engines[i]->name, name) != 0)
            continue;
        if (usable(engines[i], &err))
            return engines[i];
        if (!quiet || err.code != SRQ_EUNSUPPORTED)
            srq_log(SRQ_LOG_WARN, "GEMM backend %s is not used: %s", name, err.text);
    }
    return NULL;
}

static void describe(void)
{
    char f32[160], bf16[160];

    for_f32->describe(f32, sizeof(f32));
    for_bf16->describe(bf16, sizeof(bf16));
    if (for_f32 == for_bf16)
        snprintf(description, sizeof(description), "%s; kernels %s, loops %s", f32, srq_kernels()->name,
                 srq_simd_name());
    else
        snprintf(description, sizeof(description), "%s (f32), %s (bf16); kernels %s, loops %s", f32, bf16,
                 srq_kernels()->name, srq_simd_name());
}

static bool known(const char *name)
{
    for (int i = 0; i < ENGINES; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return true;
    return false;
}

/* Kernels of our own, the fastest first. Plain panels are for whoever asks for them. */
static const char *const own_bf16[] = { "amx", "avx512_fp16", "avx512_bf16", "panels", NULL };
static const char *const own_f32[] = { "avx512", "avx2", NULL };

/* The one of these that was asked for. */
static const struct srq_gemm_engine *find_named(const char *const *names, const char *backend)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], backend) == 0)
            return find_usable(backend, false);
    return NULL;
}

/* No vectors wider than those of the other kernels, which somebody may have limited (SRQ_KERNELS). */
static bool within_kernels(const char *name)
{
    const char *kernels = srq_kernels()->name;

    return strcmp(name, "panels") != 0 &&
           (strcmp(kernels, "avx512") == 0 || (strcmp(kernels, "avx2") == 0 && strcmp(name, "avx2") == 0));
}

/* The first of these that runs here. */
static const struct srq_gemm_engine *find_first(const char *const *names)
{
    const struct srq_gemm_engine *e = NULL;

    for (int i = 0; e == NULL && names[i] != NULL; i++)
        if (within_kernels(names[i]))
            e = find_usable(names[i], true);
    return e;
}

/* Who computes what, of those of our own: what was asked for computes its dtype, and the other one is free. */
static void find_own(const char *backend, bool automatic, const struct srq_gemm_engine **bf16,
                     const struct srq_gemm_engine **f32)
{
    *bf16 = automatic ? find_first(own_bf16) : find_named(own_bf16, backend);
    *f32 = automatic || *bf16 != NULL ? find_first(own_f32) : find_named(own_f32, backend);
}

/* Whether BF16 is multiplied faster by the F32 engine. */
static bool is_slow(const struct srq_gemm_engine *bf16, const struct srq_gemm_engine *f32)
{
#ifdef SRQ_PANEL_KERNELS
    timed = bf16 == &srq_gemm_avx512_bf16 && f32 == &srq_gemm_avx512;
    return timed && srq_panels_avx512_slow();
#else
    (void)bf16;
    (void)f32;
    return false;
#endif
}

/* "amx, avx512_bf16, avx512, avx2, onednn, openblas, panels, plain": those of this build. */
static const char *choices(char *out, size_t cap)
{
    size_t used = 0;

    for (int i = 0; i < ENGINES && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s%s", i > 0 ? ", " : "", engines[i]->name);
    return out;
}

int srq_gemm_start(const char *backend, struct srq_error *err)
{
    const struct srq_gemm_engine *plain, *panels, *f32, *blas = NULL, *dnnl = NULL;
    struct srq_error why = { 0 };
    char list[128];
    bool automatic;

    if (backend == NULL || backend[0] == '\0' || strcmp(backend, "auto") == 0)
        backend = getenv("SRQ_GEMM");
    if (backend == NULL || backend[0] == '\0')
        backend = "auto";
    automatic = strcmp(backend, "auto") == 0;
    if (!automatic && !known(backend))
        return srq_fail_field(err, -SRQ_EINVAL, "gemm", "GEMM backend \"%s\" is not one of auto, %s", backend,
                              choices(list, sizeof(list)));
    if (!usable(&srq_gemm_plain, &why)) /* the last resort: nothing to fall back to */
        return srq_fail_field(err, -(why.code != 0 ? why.code : SRQ_ENUMERIC), "gemm", "GEMM backend plain: %s",
                              why.text);
    plain = &srq_gemm_plain;
    find_own(backend, automatic, &panels, &f32);
    if ((f32 == NULL && (automatic || panels != NULL)) || strcmp(backend, "openblas") == 0)
        blas = find_usable("openblas", false);
    if ((automatic && panels == NULL && known("onednn")) || strcmp(backend, "onednn") == 0)
        dnnl = find_usable("onednn", automatic);
    if (!automatic && panels == NULL && f32 == NULL && blas == NULL && dnnl == NULL && strcmp(backend, "plain") != 0)
        return srq_fail_field(err, -SRQ_ENUMERIC, "gemm", "GEMM backend %s was asked for and cannot be used here",
                              backend);
    for_f32 = f32 != NULL ? f32 : blas != NULL ? blas : dnnl != NULL ? dnnl : plain;
    has_bf16 = panels != NULL;
    timed = false;
    if (automatic && is_slow(panels, f32))
        panels = NULL;
    for_bf16 = panels != NULL                           ? panels
               : dnnl != NULL && dnnl->native(SRQ_BF16) ? dnnl
               : f32 != NULL && f32->takes(SRQ_BF16)    ? f32
                                                        : plain;
    describe();
    return srq_int8_start(NULL, err);
}

void srq_gemm_stop(void)
{
    srq_int8_stop();
    srq_gemm_forget();
    for (int i = 0; i < ENGINES; i++)
        engines[i]->stop();
    for_f32 = for_bf16 = &srq_gemm_plain;
    has_bf16 = false;
    snprintf(description, sizeof(description), "not started");
}

const struct srq_gemm_engine *srq_gemm_engine_for(enum srq_dtype dtype)
{
    return dtype == SRQ_BF16 ? for_bf16 : for_f32;
}

const char *srq_gemm_backend(enum srq_dtype dtype)
{
    return dtype == SRQ_BF16 ? for_bf16->name : for_f32->name;
}

const struct srq_panel_kernel *srq_panels(enum srq_dtype dtype)
{
    const struct srq_gemm_engine *e = srq_gemm_engine_for(dtype);
    const struct srq_panel_kernel *k = e->panels != NULL ? e->panels(dtype) : NULL;

    return k != NULL && k->packed == SRQ_F16 ? k->in_f32 : k;
}

bool srq_gemm_timed(void)
{
    return timed;
}

const char *srq_gemm_describe(void)
{
    return description;
}

enum srq_dtype srq_gemm_preferred(void)
{
    return has_bf16 || for_bf16->native(SRQ_BF16) ? SRQ_BF16 : SRQ_F32;
}
