/* The options that every job has, one table: parsing, normalisation, `--describe` and the man page come from it. */
#ifndef SRQ_JOB_OPTIONS_H
#define SRQ_JOB_OPTIONS_H

#include <srq/error.h>
#include <srq/plugin.h>
#include <srq/types.h>

#include <cjson/cJSON.h>
#include <stdint.h>

enum srq_job_option_kind {
    SRQ_JOB_INT,
    SRQ_JOB_FLOAT,
    SRQ_JOB_SIZE,   /* bytes; K, M, G, T in powers of 1024 */
    SRQ_JOB_CHOICE, /* the position in `choices` */
    SRQ_JOB_BOOL,   /* true or false: 1 or 0 */
};

struct srq_job_option {
    const char *name;
    enum srq_job_option_kind kind;
    const char *unit;    /* or NULL */
    double min, max;     /* inclusive, numbers and sizes */
    const char *choices; /* "a,b,c" */
    const char *value;   /* default as text; NULL: the option's own rule, said in help */
    const char *help;    /* one sentence */
    size_t offset;       /* in struct srq_job_options */
};

enum srq_choice_dtype { SRQ_CHOICE_AUTO, SRQ_CHOICE_F32, SRQ_CHOICE_BF16 };

/* The place of a word among the choices of an option; -1: there is none. */
int64_t srq_job_option_place(const char *name, const char *word);

/* Values. Integers, sizes, choices and truths are int64_t, floats double. */
struct srq_job_options {
    int64_t nsamples, seqlen, batch, seed, threads;
    int64_t max_memory, max_disk; /* bytes; 0: what the machine has */
    int64_t eval_windows, eval_seqlen;
    int64_t probe_every, probe_samples;
    int64_t refine;                                   /* epochs */
    int64_t resample;                                 /* tokens */
    int64_t samples, sample_steps, hp_first, hp_last; /* of diffusion models; hp_… below 0: a tenth of the steps */
    int64_t sampler;                                  /* 0 DDIM, 1 DDPM */
    int64_t hp_dtype;                                 /* 0 BF16, 1 F32 */
    double hp_sqnr;
    int64_t preview; /* looks at the student while it is trained */
    int64_t archive; /* enum srq_archive_kind */
    double checkpoint_s;
    int64_t keep_checkpoints, bind_threads;
    int64_t sampling;       /* enum srq_sampling */
    int64_t gemm;           /* position in its choices; srq_job_option_choice gives the name */
    int64_t compute, cache; /* enum srq_choice_dtype */
    uint64_t set;           /* bit i: row i was given by the user */
};

const struct srq_job_option *srq_job_option_table(int *count);
uint64_t srq_job_option_bit(const char *name); /* in struct srq_job_options.set; 0: there is no such option */
/* Defaults; eval.seqlen stays 0 until srq_job_options_finish. */
void srq_job_options_init(struct srq_job_options *o);
/* Sets one option from text. Unknown name, malformed or out of range: -SRQ_EINVAL naming option, value and what is
 * accepted. `user`: a value of the user's own, which a recipe may not replace. */
int srq_job_options_set(struct srq_job_options *o, const char *name, const char *value, bool user,
                        struct srq_error *err);
void srq_job_options_finish(struct srq_job_options *o); /* fills what depends on other options */
/* Adds every option with its value to `object`. False when out of memory. */
bool srq_job_options_json(const struct srq_job_options *o, cJSON *object);
/* The table as JSON rows {name, type, unit, min, max, choices, default, help}; NULL when out of memory. */
cJSON *srq_job_options_describe(void);
/* One row like them, of a plugin's table; its type as it is called. */
cJSON *srq_option_json(const struct srq_option *r, const char *type);
/* The word behind a choice value, e.g. ("gemm", 1) → "amx", written into out. */
const char *srq_job_option_choice(const char *name, int64_t value, char *out, size_t cap);

/* "8G", "512M", "1.5g", "4096" → bytes. */
bool srq_size_parse(const char *text, int64_t *bytes);

#endif
