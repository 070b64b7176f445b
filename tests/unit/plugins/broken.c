/* A plugin with one defect, chosen when it is compiled: each is refused by the host with a sentence of its own. */
#include <srq/plugin.h>

#define MAYBE __attribute__((unused)) /* left out by some defect */

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
#ifndef PART_SIZE
#define PART_SIZE sizeof(struct srq_oneshot)
#endif
#ifndef OPTIONS
#define OPTIONS options
#endif
#ifndef COUNT
#define COUNT 2
#endif
#ifndef STRIDE
#define STRIDE sizeof(struct srq_option)
#endif
#ifndef ROW_SIZE
#define ROW_SIZE sizeof(struct srq_option)
#endif
#ifndef OPTION
#define OPTION "number"
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
MAYBE static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
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

MAYBE static int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                          struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)layer;
    (void)out;
    return srq_fail(err, -SRQ_ESTATE, "a broken plugin was used");
}

MAYBE static const struct srq_oneshot oneshot = { .size = PART_SIZE, .quantize = QUANTIZE };
MAYBE static const struct srq_tunable tunable = { .size = sizeof(tunable) };

MAYBE static const struct srq_option options[] = {
    SRQ_OPTION(.name = "recipe", .type = SRQ_OPT_CHOICE, .choices = "plain", .value = "plain", .help = "A recipe."),
    { .size = ROW_SIZE, .name = OPTION, .type = SRQ_OPT_INT, .max = 10, .value = DEFAULT, .help = "A number." },
};
static const struct srq_recipe_row recipes[] = { SRQ_RECIPE("plain", RECIPE_KEY, "4") };

const struct srq_plugin srq_plugin = {
    .magic = MAGIC,
    .abi_major = MAJOR,
    .abi_minor = MINOR,
    .size = SIZE,
    .name = NAME,
    .version = "1.0",
    .summary = "A plugin with a defect.",
    .options = OPTIONS,
    .option_count = COUNT,
    .option_stride = STRIDE,
    SRQ_RECIPES(recipes),
    .create = CREATE,
    .destroy = destroy,
    .oneshot = ONESHOT,
    .tunable = TUNABLE,
};
#endif
