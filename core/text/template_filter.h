/* Filters that stand beside those of the table. */
#ifndef SRQ_TEXT_TEMPLATE_FILTER_H
#define SRQ_TEXT_TEMPLATE_FILTER_H

#include "core/text/template_parts.h"

/* `*v` becomes its attribute; where that is undefined, `otherwise`, unless this is absent. */
int tpl_follow(struct tpl_run *r, const struct tpl_value *attribute, const struct tpl_value *otherwise,
               struct tpl_value *v);

int tpl_sort(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
int tpl_dictsort(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
int tpl_unique(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
int tpl_minimum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
int tpl_maximum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
int tpl_sum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);

#endif
