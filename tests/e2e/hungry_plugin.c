/* A one-shot plugin that takes far more memory than any plan gives it, and then does nothing: codes stay as they are
 * made, all zero. Built by tests/e2e/memory.py, to see that a worker over its plan says so. */
#include <srq/plugin.h>

#define BYTES ((size_t)128 << 20)

static char nothing;

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)err;
    *self = &nothing;
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
    char *memory = h->alloc(BYTES);
    int64_t sum = 0;

    (void)self;
    if (memory == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for %s", layer->name);
    for (size_t i = 0; i < BYTES; i += 512)
        memory[i] = (char)(i >> 12);
    for (size_t i = 0; i < BYTES; i += 512)
        sum += memory[i];
    for (int64_t g = 0; g < layer->groups->count; g++) {
        out->scale[g] = sum != 0 ? 1.0f : 0.5f;
        out->zero[g] = (uint8_t)(1 << (layer->scheme->bits - 1));
    }
    h->free(memory);
    return 0;
}

static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = quantize };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "hungry",
    .version = "1.0",
    .summary = "Takes more memory than is planned.",
    .create = create,
    .destroy = destroy,
    .oneshot = &oneshot,
};
