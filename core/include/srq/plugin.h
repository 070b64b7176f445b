/* The plugin interface: how an algorithm joins srq.
 *
 * A plugin is one shared object that exports one symbol, `const struct srq_plugin srq_plugin`. It includes only the
 * headers of this folder and links against nothing of srq: every service comes through `struct srq_host`.
 *
 * The host owns data order, loops, schedules, best-iterate choice, memory, checkpoints and events; a plugin owns its
 * mathematics. Calls into one plugin instance never overlap, except where a comment says "called from several threads".
 *
 * Host and plugin are built at different times, and either may know longer structs than the other:
 *  - Every struct begins with its size, which whoever makes it fills in. Only the head of struct srq_plugin differs: it
 *    is the same in all versions.
 *  - Members are appended, with a new minor version; whoever reads a struct looks at its size before a member that came
 *    later than the struct, and takes one that is not there as zero. No struct ends in padding, so that each new member
 *    makes it larger.
 *  - No struct lies inside another: they point. Several of a kind are an array of pointers, or a table with the bytes
 *    from one row to the next.
 *  - A struct that one side makes and the other fills in (`out`) is as long as the side that made it knows: assign its
 *    members, or srq_copy_known(out, &own), never `*out = own`.
 * A plugin of another major version is refused, and so is one of a newer minor version than the host's. */
#ifndef SRQ_PLUGIN_H
#define SRQ_PLUGIN_H

#include <srq/allocator.h> /* which layer gets how many bits */
#include <srq/error.h>     /* codes and sentences */
#include <srq/grid.h>      /* operations of a grid */
#include <srq/host.h>      /* services of the host */
#include <srq/layer.h>     /* a layer, what is known of its inputs, and its codes */
#include <srq/quantizer.h> /* one-shot and tunable quantizers */
#include <srq/scorer.h>    /* how much a layer suffers from a scheme */
#include <srq/step.h>      /* where a loop of the host is */
#include <srq/trainer.h>   /* training of whole models */
#include <srq/transform.h> /* scales between layers */
#include <srq/types.h>     /* element types, tensors, schemes, groups */

#if defined(__GNUC__)
#define SRQ_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define SRQ_PLUGIN_EXPORT
#endif

#define SRQ_PLUGIN_MAGIC 0x53525121u /* "SRQ!" */
#define SRQ_ABI_MAJOR 2
#define SRQ_ABI_MINOR 4 /* 1: trainers; 2: their kd_layers; 3: their split_skip; 4: k-quants */

/* ---- options ----------------------------------------------------------------------------------------------------- */

enum srq_option_type { SRQ_OPT_BOOL, SRQ_OPT_INT, SRQ_OPT_FLOAT, SRQ_OPT_STRING, SRQ_OPT_CHOICE };

/* One row of a plugin's option table. It parses job specs and makes `srqctl plugin info`, forms and man pages. */
struct srq_option {
    uint32_t size;
    enum srq_option_type type;
    const char *name;    /* without the plugin's name: "iters" is set by `--set signround.iters=…` */
    const char *unit;    /* "iterations", "s", … or NULL */
    double min, max;     /* inclusive; numbers only; both 0: unbounded */
    const char *choices; /* SRQ_OPT_CHOICE: "a,b,c" */
    const char *value;   /* default, as text; NULL: unset (the getters say so) */
    const char *help;    /* one sentence */
};

/* A row of a named set of defaults, chosen by the option named "recipe". A value that the user set wins over it. */
struct srq_recipe_row {
    uint32_t size;
    const char *recipe;
    const char *key; /* "iters", or a job option (nsamples, seqlen, batch …) prefixed by "job.": "job.nsamples" */
    const char *value;
};

/* Rows: SRQ_OPTION(.name = "iters", .type = SRQ_OPT_INT, …), SRQ_RECIPE("light", "iters", "50"). */
#define SRQ_OPTION(...)                                \
    {                                                  \
        .size = sizeof(struct srq_option), __VA_ARGS__ \
    }
#define SRQ_RECIPE(of, of_key, to)                                                            \
    {                                                                                         \
        .size = sizeof(struct srq_recipe_row), .recipe = (of), .key = (of_key), .value = (to) \
    }

/* ---- the plugin itself ------------------------------------------------------------------------------------------- */

struct srq_plugin {
    uint32_t magic; /* SRQ_PLUGIN_MAGIC */
    uint16_t abi_major, abi_minor;
    uint32_t size;       /* sizeof(struct srq_plugin) */
    const char *name;    /* [a-z][a-z0-9-]*, the word used in --method */
    const char *version; /* of the algorithm; part of the resume fingerprint */
    const char *summary; /* one sentence */

    /* Tables: rows, and bytes from one row to the next. No rows: NULL. */
    const struct srq_option *options;
    uint32_t option_count, option_stride;
    const struct srq_recipe_row *recipes;
    uint32_t recipe_count, recipe_stride;

    /* One instance per job. `*self` may stay NULL. Both functions are needed. */
    int (*create)(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err);
    void (*destroy)(const struct srq_host *h, void *self);
    /* Whether this scheme can be handled for this shape; called at planning time. NULL: every scheme whose grid
     * exists. */
    int (*accepts)(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err);

    /* The parts that it has; NULL: not this one. */
    const struct srq_oneshot *oneshot;
    const struct srq_tunable *tunable;
    const struct srq_scorer *scorer;
    const struct srq_allocator *allocator;
    const struct srq_transform *transform;
    const struct srq_trainer *trainer;
};

/* What every plugin begins with, and its tables. */
#define SRQ_PLUGIN_HEAD \
    .magic = SRQ_PLUGIN_MAGIC, .abi_major = SRQ_ABI_MAJOR, .abi_minor = SRQ_ABI_MINOR, .size = sizeof(struct srq_plugin)
#define SRQ_OPTIONS(table) \
    .options = (table), .option_count = sizeof(table) / sizeof(*(table)), .option_stride = sizeof(*(table))
#define SRQ_RECIPES(table) \
    .recipes = (table), .recipe_count = sizeof(table) / sizeof(*(table)), .recipe_stride = sizeof(*(table))

/* The one symbol that a plugin exports. */
extern SRQ_PLUGIN_EXPORT const struct srq_plugin srq_plugin;

#endif
