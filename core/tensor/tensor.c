/* Tensor descriptors. */
#include "core/tensor/tensor.h"

#include <math.h>
#include <stdio.h>

int64_t srq_tensor_count(const struct srq_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0 || __builtin_mul_overflow(n, t->shape[i], &n))
            return -1;
    }
    return n;
}

bool srq_tensor_bytes(const struct srq_tensor *t, size_t *bytes)
{
    int64_t n = srq_tensor_count(t);

    return n >= 0 && !__builtin_mul_overflow((uint64_t)n, srq_dtype_size(t->dtype), bytes);
}

struct srq_tensor srq_tensor_make(void *data, enum srq_dtype dtype, int rank, const int64_t *shape)
{
    struct srq_tensor t = { .size = sizeof(t), .data = data, .dtype = dtype, .rank = rank };

    for (int i = 0; i < rank; i++)
        t.shape[i] = shape[i];
    return t;
}

struct srq_tensor srq_tensor_2d(void *data, enum srq_dtype dtype, int64_t rows, int64_t cols)
{
    return srq_tensor_make(data, dtype, 2, (const int64_t[]){ rows, cols });
}

char *srq_tensor_shape_text(const struct srq_tensor *t, char *out, size_t cap)
{
    size_t n = 0;

    if (cap == 0)
        return out;
    n += (size_t)snprintf(out, cap, "[");
    for (int i = 0; i < t->rank && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%lld", i > 0 ? ", " : "", (long long)t->shape[i]);
    if (n < cap)
        snprintf(out + n, cap - n, "]");
    return out;
}

/* First index whose exponent bits are all ones, looked at in blocks so that the common case vectorizes. */
static int64_t first_bad_16(const uint16_t *p, int64_t n, uint16_t mask)
{
    for (int64_t i = 0; i < n; i += 4096) {
        int64_t end = i + 4096 < n ? i + 4096 : n;
        int bad = 0;

        for (int64_t j = i; j < end; j++)
            bad |= (p[j] & mask) == mask;
        for (int64_t j = i; bad && j < end; j++) {
            if ((p[j] & mask) == mask)
                return j;
        }
    }
    return -1;
}

int64_t srq_tensor_first_nonfinite(const struct srq_tensor *t)
{
    int64_t n = srq_tensor_count(t);

    switch (t->dtype) {
    case SRQ_BF16:
        return first_bad_16(t->data, n, 0x7f80);
    case SRQ_F16:
        return first_bad_16(t->data, n, 0x7c00);
    case SRQ_F32:
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(((const float *)t->data)[i]))
                return i;
        }
        return -1;
    case SRQ_F64:
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(((const double *)t->data)[i]))
                return i;
        }
        return -1;
    default:
        return -1;
    }
}
