/* Proposed schemes of layers: what the edit keys do to them. Layers tied together within a block follow each other. */
#ifndef SRQ_TUI_SRQTOP_EDIT_H
#define SRQ_TUI_SRQTOP_EDIT_H

#include "tui/srqtop/view.h"

#define EDIT_SCHEME 32 /* size of top_layer.edit */

/* The scheme a layer would have: its edit, else the plan's. */
const char *edit_scheme(const struct top_layer *l);
/* Bits that a scheme's name says ("w4g128": 4, "mxfp4": 4, "bf16": 16); unknown for what it does not know. */
struct metric edit_bits_of(const char *scheme);
/* `scheme` with other bits, writing into out[EDIT_SCHEME]: "w4g128z" with 3 gives "w3g128z". Where it is no integer
 * scheme, the group of `model` (the job's own scheme) is taken. bits: 2 … 8, or 16 for bf16. */
void edit_with_bits(const char *scheme, const char *model, int bits, char *out);
/* One step up or down the ladder 2, 3 … 8, bf16; at its ends the same again. */
void edit_step(const char *scheme, const char *model, int up, char *out);
/* Whether it can be a scheme's name at all: letters, digits, '_', not longer than fits. */
bool edit_valid(const char *scheme);
/* Proposes `scheme` for a layer and what is tied to it; the plan's own scheme takes the proposal back. */
void edit_set(struct top_job *j, int layer, const char *scheme);
void edit_drop(struct top_job *j); /* all of the job's */
int edit_count(const struct top_job *j);

#endif
