/* The two packers behind srq_pack; shapes and ranges have been checked by their caller. */
#ifndef SRQ_GRID_PACK_FIELDS_H
#define SRQ_GRID_PACK_FIELDS_H

struct srq_codes;
struct srq_packed;

/* `less`: what is taken from each zero-point before it is stored (1 in v1, else 0). */
void srq_pack_gptq(const struct srq_codes *c, struct srq_packed *p, int less);
void srq_pack_awq(const struct srq_codes *c, struct srq_packed *p);

#endif
