/* Well-formed UTF-8, for the parts of core/proto. */
#ifndef SRQ_PROTO_UTF8_H
#define SRQ_PROTO_UTF8_H

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: no overlong forms, surrogates, or beyond U+10FFFF), or 0.
 * p < end. */
int srq_utf8_length(const unsigned char *p, const unsigned char *end);

/* Replaces every byte that is in no well-formed sequence by '?'. */
void srq_utf8_mend(char *text);

#endif
