/* The words that messages, the journal and the files of a job share.
 *
 * Each is spelled once, in a list in the order of its enum that ends with NULL: a number is the place of its word. What
 * a scheme's name says is here too, for those who only show it; core/grid has what it means. */
#ifndef SRQ_PROTO_WORDS_H
#define SRQ_PROTO_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a job; from `done` on it has ended. */
enum srq_job_state {
    SRQ_JOB_QUEUED,
    SRQ_JOB_STARTING,
    SRQ_JOB_RUNNING,
    SRQ_JOB_PAUSED,
    SRQ_JOB_DONE,
    SRQ_JOB_FAILED,
    SRQ_JOB_CANCELED,
    SRQ_JOB_STATES
};
extern const char *const srq_job_state_words[];

/* What a job was told and has not done yet. */
enum srq_wish { SRQ_WISH_PAUSE, SRQ_WISH_CANCEL, SRQ_WISH_FINISH };
extern const char *const srq_wish_words[];

/* What a job is doing, in the order in which a job comes to it first. */
enum srq_stage {
    SRQ_STAGE_LOAD,
    SRQ_STAGE_CALIBRATE,
    SRQ_STAGE_SCORE,
    SRQ_STAGE_ALLOCATE,
    SRQ_STAGE_TRANSFORM,
    SRQ_STAGE_QUANTIZE,
    SRQ_STAGE_REFINE,
    SRQ_STAGE_EVALUATE,
    SRQ_STAGE_EXPORT,
    SRQ_STAGES
};
extern const char *const srq_stage_words[];

/* How far a block and its layers are. */
enum srq_work_state { SRQ_WORK_PENDING, SRQ_WORK_RUNNING, SRQ_WORK_FINISHED, SRQ_WORK_STALE };
extern const char *const srq_work_state_words[];

/* Who decided a layer's scheme. */
enum srq_decider { SRQ_BY_DEFAULT, SRQ_BY_ALLOCATOR, SRQ_BY_PIN };
extern const char *const srq_decider_words[];

/* What is asked of a plan; `allocate` is the job's own. */
enum srq_change_kind {
    SRQ_ASK_PIN,
    SRQ_ASK_UNPIN,
    SRQ_ASK_BUDGET,
    SRQ_ASK_RETUNE,
    SRQ_ASK_SET,
    SRQ_ASK_REVERT,
    SRQ_ASK_ALLOCATE
};
extern const char *const srq_change_words[];

/* Which model was measured: the original, the plainly rounded, the tuned one. */
enum srq_measured { SRQ_MEASURED_BEFORE, SRQ_MEASURED_RTN, SRQ_MEASURED_AFTER, SRQ_MEASUREMENTS };
extern const char *const srq_measured_words[];

/* Which of a diffusion model's makers of pictures: the full-precision model (a trainer's teacher), the quantized one
 * (its student), and both mixed over the steps. */
enum srq_sampled { SRQ_SAMPLED_FULL, SRQ_SAMPLED_QUANTIZED, SRQ_SAMPLED_MIXED, SRQ_SAMPLINGS };
extern const char *const srq_sampled_words[];

/* What a heatmap shows. */
enum srq_heat { SRQ_HEAT_SENSITIVITY, SRQ_HEAT_BITS, SRQ_HEAT_LOSS, SRQ_HEAT_GAIN, SRQ_HEAT_SATURATION, SRQ_HEATS };
extern const char *const srq_heat_words[];

/* Curves. */
enum srq_series {
    SRQ_SERIES_LOSS, /* of a block's batches */
    SRQ_SERIES_PROBE,
    SRQ_SERIES_ERROR, /* of a layer */
    SRQ_SERIES_TRANSFORM,
    SRQ_SERIES_TRANSFORM_PROBE
};
extern const char *const srq_series_words[];

/* Place of `text` in the list; -1: it is none of them, or NULL. */
int srq_word_place(const char *const *words, const char *text);
/* "queued|starting|running"; returns out. */
char *srq_words_text(const char *const *words, char *out, size_t cap);

/* What a scheme's name says. */
struct srq_scheme_look {
    int bits;  /* of a weight, scales not counted: the first number in it (w4g128, mxfp8, q4_k, bf16); 0: none */
    int group; /* of an integer scheme: weights of a row that share a scale; 0: one group a tensor, -1: one a row */
    bool integer, zero_points;
};
struct srq_scheme_look srq_scheme_look(const char *scheme);
/* Bits that a layer [out, in] takes in that scheme, scales and zero-points included, as the plan counts them; 0: a
 * scheme that is not known here. */
double srq_scheme_look_bits(const char *scheme, int64_t out, int64_t in);
/* "w4g128" and 8 make "w8g128"; false where it is no integer scheme, or does not fit. */
bool srq_scheme_with_bits(const char *scheme, int bits, char *out, size_t cap);

#endif
