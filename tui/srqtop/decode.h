/* Bytes of the terminal into keys, mouse and pastes: a pure machine, told the time.
 *
 * A sequence that a slow line splits is still one: after ESC the rest may take DECODE_ESC_S, inside a sequence
 * DECODE_REST_S; what is not finished then is dropped whole, so that its letters never count as keys. */
#ifndef SRQ_TUI_SRQTOP_DECODE_H
#define SRQ_TUI_SRQTOP_DECODE_H

#include "tui/srqtop/view.h"

#include <stddef.h>

#define DECODE_ESC_S 0.5
#define DECODE_REST_S 2.0
#define DECODE_PASTE_S 10.0 /* a paste without its end is over after so long a silence */
#define DECODE_HELD 64
#define DECODE_OWN 40

struct decode_own { /* a sequence of this terminal's own */
    char text[16];
    int key;
};

struct decoder {
    bool utf8;
    double esc_s;
    struct decode_own own[DECODE_OWN];
    int own_count;
    unsigned char held[DECODE_HELD]; /* the beginning of a key */
    int held_len;
    bool pasting;
    bool synchronized; /* the terminal said that it knows synchronized output (mode 2026) */
    double last_s;     /* when the last byte came */
    struct top_key ready[4];
    int ready_count;
};

void decode_init(struct decoder *d, bool utf8);
/* A sequence of terminfo; NULL, (char *)-1, single bytes and those that are too long are passed over. */
void decode_own(struct decoder *d, const char *sequence, int key);
/* Takes one byte. Call decode_next until it is false before the next one. */
void decode_byte(struct decoder *d, unsigned char byte, double now);
/* The next key, with key->pasted for text of a paste; TOP_KEY_NONE for what has no meaning here. False: none yet. */
bool decode_next(struct decoder *d, struct top_key *key, double now);
/* Seconds until decode_next should be asked again though no byte comes; negative: nothing is held. */
double decode_wait(const struct decoder *d, double now);

#endif
