/* Proposed schemes of layers. */
#include "tui/srqtop/edit.h"

#include "tui/srqtop/figures.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_BITS = 2, MOST_BITS = 8, WHOLE_BITS = 16 };

const char *edit_scheme(const struct top_layer *l)
{
    return l->edit[0] != '\0' ? l->edit : l->scheme;
}

static bool integer_scheme(const char *scheme)
{
    return scheme != NULL && scheme[0] == 'w' && isdigit((unsigned char)scheme[1]);
}

struct metric edit_bits_of(const char *scheme)
{
    size_t n = strlen(scheme);

    if (integer_scheme(scheme))
        return known((double)strtol(scheme + 1, NULL, 10));
    if (strcmp(scheme, "bf16") == 0 || strcmp(scheme, "f16") == 0)
        return known(WHOLE_BITS);
    if (strncmp(scheme, "mxfp", 4) == 0 || strncmp(scheme, "nvfp", 4) == 0)
        return known((double)strtol(scheme + 4, NULL, 10));
    if (strncmp(scheme, "fp8", 3) == 0)
        return known(8);
    if (n > 1 && scheme[0] == 'q' && isdigit((unsigned char)scheme[1]))
        return known((double)(scheme[1] - '0'));
    return (struct metric){ false, 0 };
}

void edit_with_bits(const char *scheme, const char *model, int bits, char *out)
{
    const char *rest = "";

    if (bits >= WHOLE_BITS) {
        snprintf(out, EDIT_SCHEME, "bf16");
        return;
    }
    if (!integer_scheme(scheme))
        scheme = model;
    if (integer_scheme(scheme))
        rest = scheme + 1 + strspn(scheme + 1, "0123456789");
    snprintf(out, EDIT_SCHEME, "w%d%.24s", bits, rest);
}

void edit_step(const char *scheme, const char *model, int up, char *out)
{
    struct metric now = edit_bits_of(scheme);
    int bits = now.known ? (int)now.v : MOST_BITS;

    if (bits >= WHOLE_BITS)
        bits = up > 0 ? WHOLE_BITS : MOST_BITS;
    else if (bits >= MOST_BITS && up > 0)
        bits = WHOLE_BITS;
    else
        bits = bits + up < LEAST_BITS ? LEAST_BITS : bits + up;
    edit_with_bits(scheme, model, bits, out);
}

bool edit_valid(const char *scheme)
{
    size_t n = strlen(scheme);

    if (n == 0 || n >= EDIT_SCHEME)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)scheme[i]) && scheme[i] != '_')
            return false;
    return true;
}

static void set_one(struct top_layer *l, const char *scheme)
{
    snprintf(l->edit, sizeof(l->edit), "%.31s", strcmp(l->scheme, scheme) != 0 ? scheme : "");
}

void edit_set(struct top_job *j, int layer, const char *scheme)
{
    const struct top_layer *l = &j->layers[layer];
    char copy[EDIT_SCHEME];

    snprintf(copy, sizeof(copy), "%.31s", scheme); /* it may be a layer's own */
    set_one(&j->layers[layer], copy);
    if (l->tie == NULL)
        return;
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == l->block && j->layers[i].tie != NULL && strcmp(j->layers[i].tie, l->tie) == 0)
            set_one(&j->layers[i], copy);
}

void edit_drop(struct top_job *j)
{
    for (int i = 0; i < j->layer_count; i++)
        j->layers[i].edit[0] = '\0';
}

int edit_count(const struct top_job *j)
{
    int n = 0;

    for (int i = 0; i < j->layer_count; i++)
        n += j->layers[i].edit[0] != '\0';
    return n;
}
