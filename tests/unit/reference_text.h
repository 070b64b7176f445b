/* Reading a reference dump of tests/reference/: words, and arrays as "name count value …"; # begins a comment. */
#ifndef TESTS_UNIT_REFERENCE_TEXT_H
#define TESTS_UNIT_REFERENCE_TEXT_H

#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <math.h>
#include <stdlib.h>

struct reference_text {
    char *text, *at;
};

/* srq_free(text) afterwards. */
static inline struct reference_text reference_open(const char *name)
{
    const char *top = getenv("top_srcdir");
    char *path = srq_asprintf("%s/tests/reference/%s", top != NULL ? top : ".", name);
    struct reference_text r = { 0 };
    struct srq_error err = { 0 };
    size_t len;

    assert_ok(srq_read_file(path, 1 << 20, &r.text, &len, &err), &err);
    r.at = r.text;
    srq_free(path);
    return r;
}

/* The next one; "" at the end. */
static inline const char *reference_word(struct reference_text *r)
{
    char *w;

    r->at += strspn(r->at, " \n");
    while (*r->at == '#') {
        r->at += strcspn(r->at, "\n");
        r->at += strspn(r->at, " \n");
    }
    w = r->at;
    r->at += strcspn(r->at, " \n");
    if (*r->at != '\0')
        *r->at++ = '\0';
    return w;
}

/* An array of this name, of at most `most` numbers. Returns how many. */
static inline int reference_array(struct reference_text *r, const char *name, float *out, int most)
{
    int n;

    assert_string_equal(reference_word(r), name);
    n = (int)strtol(reference_word(r), NULL, 10);
    assert_in_range(n, 1, most);
    for (int i = 0; i < n; i++)
        out[i] = strtof(reference_word(r), NULL);
    return n;
}

/* Each within `tolerance` of 1 + |want|. */
static inline void reference_near(const char *grid, const char *what, const float *got, const float *want, int n,
                                  double tolerance)
{
    for (int i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);

        if (!(d <= tolerance * (1 + fabs((double)want[i]))))
            fail_msg("%s: %s[%d] is %.9g, the reference has %.9g", grid, what, i, (double)got[i], (double)want[i]);
    }
}

#endif
