/* A plugin with one defect, chosen when it is compiled: each is refused by the host with a sentence of its own. */
#include <srq/plugin.h>

#ifdef OLD /* a head of ABI 1.0 with parts that are newer */
#define MINOR 0
#define SIZE offsetof(struct srq_plugin, scorer)
#endif
#ifndef MAGIC
#define MAGIC SRQ_PLUGIN_MAGIC
#endif
#ifndef MAJOR
#define MAJOR SRQ_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR SRQ_ABI_MINOR
#endif
#ifndef SIZE
#define SIZE sizeof(struct srq_plugin)
#endif
#ifndef NAME
#define NAME "broken"
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef ONESHOT
#define ONESHOT &oneshot
#endif
#ifndef QUANTIZE
#define QUANTIZE quantize
#endif
#ifndef TUNABLE
#define TUNABLE NULL
#endif
#ifndef DEFAULT
#define DEFAULT "3"
#endif
#ifndef RECIPE_KEY
#define RECIPE_KEY "number"
#endif

extern SRQ_PLUGIN_EXPORT const char another_symbol[];
const char another_symbol[] = "not a plugin";

#ifndef NO_SYMBOL
static inline int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)self;
    return srq_fail(err, -SRQ_ESTATE, "a broken plugin was started");
}

static void destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
}

static inline int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                           struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)layer;
    (void)out;
    return srq_fail(err, -SRQ_ESTATE, "a broken plugin was used");
}

static inline const struct srq_oneshot *part(void);
static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = QUANTIZE };
static const struct srq_tunable tunable = { .size = sizeof(tunable) };
static inline const struct srq_oneshot *part(void)
{
    return tunable.size > 0 ? &oneshot : NULL;
}

static const struct srq_option options[] = {
    { "number", SRQ_OPT_INT, NULL, 0, 10, NULL, DEFAULT, "A number." },
    { "recipe", SRQ_OPT_CHOICE, NULL, 0, 0, "plain", "plain", "A recipe." },
    { NULL, SRQ_OPT_BOOL, NULL, 0, 0, NULL, NULL, NULL },
};
static const struct srq_recipe_row recipes[] = { { "plain", RECIPE_KEY, "4" }, { NULL, NULL, NULL } };

const struct srq_plugin srq_plugin = {
    .magic = MAGIC,
    .abi_major = MAJOR,
    .abi_minor = MINOR,
    .size = SIZE,
    .name = NAME,
    .version = "1.0",
    .summary = "A plugin with a defect.",
    .options = options,
    .recipes = recipes,
    .create = CREATE,
    .destroy = destroy,
    .oneshot = ONESHOT,
    .tunable = TUNABLE,
};
#endif
