/* Scale and columns of a heatmap. */
#include "tui/srqctl/heatmap.h"

#include "core/base/alloc.h"
#include "tui/client/human.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPREAD 100 /* largest over smallest from which the scale is logarithmic */
#define BLOCKS_MAX 100000

struct ctl_heat_scale ctl_heat_scale(const cJSON *cells)
{
    struct ctl_heat_scale s = { .low = NAN, .high = NAN, .whole = true };
    const cJSON *c;

    cJSON_ArrayForEach(c, cells)
    {
        double v = ctl_num(c, "value");

        s.low = fmin(s.low, v); /* fmin and fmax pass over NaN */
        s.high = fmax(s.high, v);
        s.whole = s.whole && (isnan(v) || v == floor(v));
    }
    s.log = s.low > 0 && s.high / s.low > SPREAD;
    return s;
}

char *ctl_heat_number(const struct ctl_heat_scale *s, double v, char *out)
{
    return s->whole ? ctl_human_count(v, out) : ctl_human_number(v, out);
}

double ctl_heat_share(const struct ctl_heat_scale *s, double v)
{
    double low = s->log ? log(s->low) : s->low, high = s->log ? log(s->high) : s->high;

    return high > low ? ((s->log ? log(v) : v) - low) / (high - low) : 0.5;
}

int ctl_heat_module_at(const struct ctl_heat_modules *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->name[i], name) == 0)
            return i;
    return -1;
}

struct ctl_heat_modules ctl_heat_modules(const cJSON *cells)
{
    struct ctl_heat_modules m = { srq_calloc((size_t)cJSON_GetArraySize(cells) + 1, sizeof(*m.name)), 0 };
    const cJSON *c;

    cJSON_ArrayForEach(c, cells) if (m.name != NULL && cJSON_IsNumber(ctl_get(c, "block")) &&
                                     ctl_heat_module_at(&m, ctl_str(c, "module")) < 0) m.name[m.count++] =
        ctl_str(c, "module");
    return m;
}

void ctl_heat_modules_fini(struct ctl_heat_modules *m)
{
    srq_free(m->name);
    *m = (struct ctl_heat_modules){ NULL, 0 };
}

int ctl_heat_blocks(const cJSON *cells)
{
    double most = -1;
    const cJSON *c;

    cJSON_ArrayForEach(c, cells) most = fmax(most, ctl_num(c, "block"));
    return most < BLOCKS_MAX ? (int)most + 1 : BLOCKS_MAX;
}

const char *ctl_heat_short_name(const char *module, char *out, size_t cap)
{
    const char *dot = strrchr(module, '.');
    size_t n;

    snprintf(out, cap, "%.60s", dot != NULL ? dot + 1 : module);
    n = strlen(out);
    if (n > 5 && strcmp(out + n - 5, "_proj") == 0)
        out[n - 5] = '\0';
    return out;
}
