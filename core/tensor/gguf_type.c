/* The table of GGUF's element types. */
#include "core/tensor/gguf_type.h"

#include <stddef.h>
#include <strings.h>

static const struct srq_gguf_type types[] = {
    { SRQ_GGUF_F32, "F32", 1, 4, 0 },
    { SRQ_GGUF_F16, "F16", 1, 2, 1 },
    { SRQ_GGUF_Q4_0, "Q4_0", 32, 18, 2 },
    { SRQ_GGUF_Q4_1, "Q4_1", 32, 20, 3 },
    { SRQ_GGUF_Q5_0, "Q5_0", 32, 22, 8 },
    { SRQ_GGUF_Q5_1, "Q5_1", 32, 24, 9 },
    { SRQ_GGUF_Q8_0, "Q8_0", 32, 34, 7 },
    { SRQ_GGUF_Q2_K, "Q2_K", 256, 84, 10 },
    { SRQ_GGUF_Q3_K, "Q3_K", 256, 110, 12 },
    { SRQ_GGUF_Q4_K, "Q4_K", 256, 144, 15 },
    { SRQ_GGUF_Q5_K, "Q5_K", 256, 176, 17 },
    { SRQ_GGUF_Q6_K, "Q6_K", 256, 210, 18 },
    { 24, "I8", 1, 1, -1 },
    { 25, "I16", 1, 2, -1 },
    { 26, "I32", 1, 4, -1 },
    { 27, "I64", 1, 8, -1 },
    { 28, "F64", 1, 8, -1 },
    { SRQ_GGUF_BF16, "BF16", 1, 2, 32 },
    { SRQ_GGUF_MXFP4, "MXFP4", 32, 17, 38 },
    { 40, "NVFP4", 64, 36, -1 },
};

const struct srq_gguf_type *srq_gguf_type(uint32_t id)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

const struct srq_gguf_type *srq_gguf_type_named(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool srq_gguf_row_bytes(const struct srq_gguf_type *type, int64_t cols, uint64_t *bytes)
{
    return cols >= 0 && cols % type->block == 0 &&
           !__builtin_mul_overflow((uint64_t)(cols / type->block), (uint64_t)type->bytes, bytes);
}
