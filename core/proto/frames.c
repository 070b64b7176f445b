/* Frames: lines cut out of a byte stream, with a cap on each and on what waits. */
#include "core/proto/proto.h"

#include <string.h>

#define WAITING_MAX (4 * SRQ_FRAME_MAX)

void srq_frames_init(struct srq_frames *f)
{
    srq_buf_init(&f->in, WAITING_MAX);
    f->taken = 0;
    f->line = 0;
}

void srq_frames_fini(struct srq_frames *f)
{
    srq_buf_fini(&f->in);
    f->taken = 0;
    f->line = 0;
}

static int too_long(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ELIMIT, "a message is longer than %zu bytes", SRQ_FRAME_MAX);
}

int srq_frames_feed(struct srq_frames *f, const char *data, size_t len, struct srq_error *err)
{
    const char *nl;
    size_t from;

    if (f->taken > 0) {
        srq_buf_drop(&f->in, f->taken);
        f->line -= f->taken;
        f->taken = 0;
    }
    from = f->in.len;
    if (!srq_buf_add(&f->in, data, len))
        return f->in.len + len > WAITING_MAX
                   ? srq_fail(err, -SRQ_ELIMIT, "more than %zu bytes of messages wait", WAITING_MAX)
                   : srq_fail(err, -SRQ_ENOMEM, "out of memory for a message");
    while (from < f->in.len && (nl = memchr(f->in.data + from, '\n', f->in.len - from)) != NULL) {
        from = (size_t)(nl - f->in.data);
        if (from - f->line > SRQ_FRAME_MAX)
            return too_long(err);
        f->line = ++from;
    }
    return f->in.len - f->line > SRQ_FRAME_MAX ? too_long(err) : 0;
}

const char *srq_frames_next(struct srq_frames *f, size_t *len)
{
    char *begin, *nl;

    if (f->taken >= f->line)
        return NULL;
    begin = f->in.data + f->taken;
    nl = memchr(begin, '\n', f->line - f->taken);
    *nl = '\0';
    *len = (size_t)(nl - begin);
    f->taken += *len + 1;
    return begin;
}
