/* A one-shot plugin built outside the tree that shows what it was given: the code of every weight is its column's
 * importance, on a scale where the largest of the layer takes the highest code. */
#include <srq/plugin.h>

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)self;
    (void)err;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
}

static int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err)
{
    int64_t rows = layer->groups->out, in = layer->groups->in;
    float most = 0, top = (float)((1 << layer->scheme->bits) - 1);

    (void)h;
    (void)self;
    if (layer->importance == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, layer->name, "%s came without importance", layer->name);
    for (int64_t i = 0; i < in; i++)
        most = layer->importance[i] > most ? layer->importance[i] : most;
    for (int64_t k = 0; k < rows * in; k++)
        out->codes[k] = (uint8_t)(layer->importance[k % in] / most * top + 0.5f);
    for (int64_t g = 0; g < layer->groups->count; g++) {
        out->scale[g] = 0x1p-8f;
        out->zero[g] = (uint8_t)(1 << (layer->scheme->bits - 1));
    }
    return 0;
}

static uint32_t needs(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return SRQ_NEED_IMPORTANCE;
}

static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = quantize, .needs = needs };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "columns",
    .version = "1.0",
    .summary = "Writes the importance of columns as codes.",
    .create = create,
    .destroy = destroy,
    .oneshot = &oneshot,
};
