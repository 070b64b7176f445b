/* The families that srq knows. */
#include "core/model/internal.h"

static const struct srq_family *const families[] = {
    &srq_family_llama,  &srq_family_mistral,          &srq_family_qwen2, &srq_family_qwen3, &srq_family_gemma,
    &srq_family_unet2d, &srq_family_unet2d_condition,
};

static const struct srq_family *brought;

void srq_family_bring(const struct srq_family *f)
{
    brought = f;
}

const struct srq_family *srq_family_find(const char *model_type)
{
    if (brought != NULL && strcmp(brought->model_type, model_type) == 0)
        return brought;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i]->model_type, model_type) == 0)
            return families[i];
    }
    return NULL;
}

char *srq_family_names(char *out, size_t cap)
{
    size_t len = 0;

    if (cap > 0)
        out[0] = '\0';
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%s", i > 0 ? ", " : "", families[i]->model_type);
    return out;
}
