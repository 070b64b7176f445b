/* A plugin built against the headers of ABI 1.1 (tests/e2e/abi_1_1): it is refused, and none of its functions runs. */
#include <srq/plugin.h>

#include <stdlib.h>

_Static_assert(SRQ_ABI_MAJOR == 1, "the frozen headers are used");

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)self;
    (void)err;
    abort();
}

static void destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    abort();
}

static int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)layer;
    (void)out;
    (void)err;
    abort();
}

static const struct srq_option options[] = {
    { "strength", SRQ_OPT_FLOAT, NULL, 0, 1, NULL, "1", "Width of the offset; 0: plain rounding." },
    { NULL, SRQ_OPT_BOOL, NULL, 0, 0, NULL, NULL, NULL },
};

static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = quantize };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "old",
    .version = "1.0",
    .summary = "Of another time.",
    .options = options,
    .create = create,
    .destroy = destroy,
    .oneshot = &oneshot,
};
