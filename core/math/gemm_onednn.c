/* Products by oneDNN: f32 and, where the processor multiplies bf16, bf16 with f32 sums.
 *
 * A primitive is made once for each shape, layout and dtype and kept. Works with the second and third major versions,
 * whose C interfaces differ in how descriptors are made. */
#include "core/math/gemm_backend.h"

#ifdef HAVE_DNNL

#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <dnnl.h>
#include <pthread.h>

#ifndef DNNL_VERSION_MAJOR
#include <dnnl_version.h>
#endif

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
#define DESC_REF(d) (d)
#else
typedef dnnl_memory_desc_t desc;
#define DESC_REF(d) (&(d))
#endif

#define CACHE_SIZE 256 /* shapes; a block of a transformer has about twenty */

/* Everything that a primitive depends on; zeroed padding, so that it can be compared as bytes. */
struct key {
    int64_t m, n, k, lda, ldb, ldc;
    float alpha;
    int32_t add;
    int32_t dtype, c_dtype, trans_a, trans_b;
};

struct entry {
    struct key key;
    dnnl_primitive_t primitive; /* NULL: oneDNN does not offer this product */
    desc a, b, c;
    size_t scratch; /* bytes that it works in */
    bool used;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static struct entry *cache;
/* One piece for all primitives, as large as the most that any of them wants: they run one after the other. Left to
 * itself oneDNN keeps one for each. */
static void *scratch;
static size_t scratch_bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool bf16_native;

/* A matrix [rows, cols] as oneDNN is to see it: op() applied by strides. */
static dnnl_status_t make_desc(desc *out, int64_t rows, int64_t cols, enum srq_dtype dtype, int64_t ld, bool trans)
{
    dnnl_dims_t dims = { rows, cols }, strides = { trans ? 1 : ld, trans ? ld : 1 };
    dnnl_data_type_t type = dtype == SRQ_F32 ? dnnl_f32 : dnnl_bf16;

#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides);
#else
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides);
#endif
}

/* Operations after the product: c = alpha * ab, then += old c. */
static dnnl_primitive_attr_t make_attr(const struct key *key)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    bool ok = true;

    if (dnnl_primitive_attr_create(&attr) != dnnl_success)
        return NULL;
    if (dnnl_post_ops_create(&ops) != dnnl_success) {
        dnnl_primitive_attr_destroy(attr);
        return NULL;
    }
#if DNNL_VERSION_MAJOR >= 3
    if (key->alpha != 1.0f)
        ok = dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_linear, key->alpha, 0.0f) == dnnl_success;
    if (key->add)
        ok = ok && dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef) == dnnl_success;
#else
    if (key->alpha != 1.0f)
        ok = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_linear, key->alpha, 0.0f) == dnnl_success;
    if (key->add)
        ok = ok && dnnl_post_ops_append_sum(ops, 1.0f) == dnnl_success;
#endif
    ok = ok && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success &&
         dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;
    dnnl_post_ops_destroy(ops);
    if (!ok) {
        dnnl_primitive_attr_destroy(attr);
        return NULL;
    }
    return attr;
}

/* *bytes: of the scratch that it wants. */
static dnnl_primitive_t make_primitive(const struct entry *e, dnnl_primitive_attr_t attr, size_t *bytes)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t rc;

#if DNNL_VERSION_MAJOR >= 3
    rc = dnnl_matmul_primitive_desc_create(&pd, engine, e->a, e->b, NULL, e->c, attr);
#else
    dnnl_matmul_desc_t op;

    rc = dnnl_matmul_desc_init(&op, &e->a, &e->b, NULL, &e->c);
    if (rc == dnnl_success)
        rc = dnnl_primitive_desc_create(&pd, &op, attr, engine, NULL);
#endif
    if (rc != dnnl_success)
        return NULL;
    if (dnnl_primitive_create(&primitive, pd) != dnnl_success)
        primitive = NULL;
    *bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    dnnl_primitive_desc_destroy(pd);
    return primitive;
}

static void clear(struct entry *e)
{
    if (!e->used)
        return;
    if (e->primitive != NULL)
        dnnl_primitive_destroy(e->primitive);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(e->a);
    dnnl_memory_desc_destroy(e->b);
    dnnl_memory_desc_destroy(e->c);
#endif
    memset(e, 0, sizeof(*e));
}

static bool fill(struct entry *e, const struct key *key)
{
    enum srq_dtype dtype = (enum srq_dtype)key->dtype;
    dnnl_primitive_attr_t attr;

    memset(e, 0, sizeof(*e));
    if (make_desc(&e->a, key->m, key->k, dtype, key->lda, key->trans_a) != dnnl_success ||
        make_desc(&e->b, key->k, key->n, dtype, key->ldb, key->trans_b) != dnnl_success ||
        make_desc(&e->c, key->m, key->n, (enum srq_dtype)key->c_dtype, key->ldc, false) != dnnl_success)
        return false;
    e->used = true;
    e->key = *key;
    attr = make_attr(key);
    if (attr != NULL) {
        e->primitive = make_primitive(e, attr, &e->scratch);
        dnnl_primitive_attr_destroy(attr);
    }
    return true;
}

/* The entry for a product, made when it is not there; two places by hash, then the second one is given up. */
static const struct entry *find(const struct key *key)
{
    uint64_t at = srq_hash64(key, sizeof(*key)) % CACHE_SIZE;
    struct entry *e = &cache[at];

    if (e->used && memcmp(&e->key, key, sizeof(*key)) != 0)
        e = &cache[at ^ 1];
    if (e->used && memcmp(&e->key, key, sizeof(*key)) == 0)
        return e;
    clear(e);
    return fill(e, key) ? e : NULL;
}

static bool hold_scratch(size_t bytes)
{
    if (bytes <= scratch_bytes)
        return true;
    srq_pages_free(scratch, scratch_bytes);
    scratch = srq_pages_alloc(bytes);
    scratch_bytes = scratch != NULL ? bytes : 0;
    return scratch != NULL;
}

/* What the primitive works in, as oneDNN describes it. */
static dnnl_status_t make_scratch(const struct entry *e, dnnl_memory_t *out)
{
    const_dnnl_primitive_desc_t pd;
    dnnl_status_t rc = dnnl_primitive_get_primitive_desc(e->primitive, &pd);

    return rc != dnnl_success ? rc
                              : dnnl_memory_create(out, dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0),
                                                   engine, scratch);
}

static bool execute(const struct entry *e, const struct srq_product *p)
{
    dnnl_memory_t a = NULL, b = NULL, c = NULL, s = NULL;
    bool ok = hold_scratch(e->scratch);

    ok = ok && dnnl_memory_create(&a, DESC_REF(e->a), engine, (void *)p->a.data) == dnnl_success &&
         dnnl_memory_create(&b, DESC_REF(e->b), engine, (void *)p->b.data) == dnnl_success &&
         dnnl_memory_create(&c, DESC_REF(e->c), engine, p->c.data) == dnnl_success &&
         (e->scratch == 0 || make_scratch(e, &s) == dnnl_success);
    if (ok) {
        dnnl_exec_arg_t args[4] = {
            { DNNL_ARG_SRC, a }, { DNNL_ARG_WEIGHTS, b }, { DNNL_ARG_DST, c }, { DNNL_ARG_SCRATCHPAD, s }
        };

        ok = dnnl_primitive_execute(e->primitive, stream, s != NULL ? 4 : 3, args) == dnnl_success &&
             dnnl_stream_wait(stream) == dnnl_success;
    }
    if (a != NULL)
        dnnl_memory_destroy(a);
    if (b != NULL)
        dnnl_memory_destroy(b);
    if (c != NULL)
        dnnl_memory_destroy(c);
    if (s != NULL)
        dnnl_memory_destroy(s);
    return ok;
}

static struct key key_of(const struct srq_product *p)
{
    struct key key;

    memset(&key, 0, sizeof(key));
    key.m = p->m, key.n = p->n, key.k = p->k;
    key.lda = p->a.ld, key.ldb = p->b.ld, key.ldc = p->c.ld;
    key.alpha = srq_product_factor(p), key.add = p->add;
    key.dtype = p->a.dtype, key.c_dtype = p->c.dtype;
    key.trans_a = p->a.trans, key.trans_b = p->b.trans;
    return key;
}

static bool run(const struct srq_product *p)
{
    struct key key = key_of(p);
    const struct entry *e;
    bool ok;

    if (p->a.dtype == SRQ_BF16 && !bf16_native)
        return false;
    /* Products inside a parallel region take turns: a kept primitive may be replaced by another thread's. */
    pthread_mutex_lock(&lock);
    e = find(&key);
    ok = e != NULL && e->primitive != NULL && execute(e, p);
    pthread_mutex_unlock(&lock);
    return ok;
}

/* The primitive is made and kept as for the product itself; what it works in is touched. */
static void rehearse(const struct srq_product *p)
{
    struct key key = key_of(p);
    const struct entry *e;

    if (p->a.dtype == SRQ_BF16 && !bf16_native)
        return;
    pthread_mutex_lock(&lock);
    e = find(&key);
    if (e != NULL && e->primitive != NULL && hold_scratch(e->scratch) && e->scratch > 0)
        memset(scratch, 0, e->scratch);
    pthread_mutex_unlock(&lock);
}

static bool has_bf16(void)
{
#if defined(__x86_64__)
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();

    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") &&
           (isa & (unsigned)dnnl_cpu_isa_avx512_core_bf16) == (unsigned)dnnl_cpu_isa_avx512_core_bf16;
#else
    return false;
#endif
}

static void forget(void)
{
    if (cache != NULL)
        for (int i = 0; i < CACHE_SIZE; i++)
            clear(&cache[i]);
    srq_pages_free(scratch, scratch_bytes);
    scratch = NULL;
    scratch_bytes = 0;
}

static void stop(void)
{
    forget();
    srq_free(cache);
    cache = NULL;
    if (stream != NULL)
        dnnl_stream_destroy(stream);
    if (engine != NULL)
        dnnl_engine_destroy(engine);
    stream = NULL;
    engine = NULL;
}

static int start(struct srq_error *err)
{
    if (cache != NULL)
        return 0;
    cache = srq_calloc(CACHE_SIZE, sizeof(*cache));
    if (cache == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for oneDNN's primitives");
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) {
        stop();
        return srq_fail(err, -SRQ_EUNSUPPORTED, "oneDNN has no processor engine here");
    }
    (void)dnnl_set_primitive_cache_capacity(0); /* what is kept here is enough, and can be given back */
    bf16_native = has_bf16();
    return 0;
}

static bool native(enum srq_dtype dtype)
{
    return dtype == SRQ_F32 || (dtype == SRQ_BF16 && bf16_native);
}

static void describe(char *out, size_t cap)
{
    const dnnl_version_t *v = dnnl_version();

    snprintf(out, cap, "oneDNN %d.%d.%d isa 0x%x", v->major, v->minor, v->patch,
             (unsigned)dnnl_get_effective_cpu_isa());
}

const struct srq_gemm_engine srq_gemm_onednn = {
    .name = "onednn",
    .start = start,
    .stop = stop,
    .takes = native,
    .native = native,
    .run = run,
    .rehearse = rehearse,
    .forget = forget,
    .describe = describe,
};

#endif
