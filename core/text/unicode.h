/* The three character classes that tokenizers ask for, from the Unicode data of utf8proc. */
#ifndef SRQ_TEXT_UNICODE_H
#define SRQ_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

bool srq_unicode_space(uint32_t code);   /* White_Space */
bool srq_unicode_numeric(uint32_t code); /* Nd, Nl, No */
bool srq_unicode_word(uint32_t code);    /* \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control */

#endif
