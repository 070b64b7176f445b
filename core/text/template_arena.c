/* Memory that is given back as a whole. The last text of a chunk can grow in place, so that texts put together piece by
 * piece are not copied each time. */
#include "core/text/template_parts.h"

#include "core/base/alloc.h"

#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)

struct tpl_chunk {
    struct tpl_chunk *before;
    size_t len, cap;
    char data[];
};

static bool add_chunk(struct tpl_arena *a, size_t size)
{
    size_t cap = a->total < CHUNK_BYTES ? CHUNK_BYTES / 16 : CHUNK_BYTES;
    struct tpl_chunk *c;

    cap = cap > size ? cap : size;
    if (size > a->max || a->total > a->max - size) {
        a->full = true;
        return false;
    }
    if (cap > a->max - a->total)
        cap = size;
    c = srq_malloc(sizeof(*c) + cap);
    if (c == NULL)
        return false;
    c->before = a->chunk;
    c->len = 0;
    c->cap = cap;
    a->chunk = c;
    a->total += cap;
    return true;
}

static char *take(struct tpl_arena *a, size_t size)
{
    char *p = a->chunk->data + a->chunk->len;

    a->chunk->len += size;
    return p;
}

void *tpl_arena_get(struct tpl_arena *a, size_t size)
{
    size_t align = _Alignof(max_align_t), pad;

    if (a->chunk != NULL) {
        pad = (size_t)(-(uintptr_t)(a->chunk->data + a->chunk->len)) & (align - 1);
        if (size <= a->chunk->cap - a->chunk->len && pad <= a->chunk->cap - a->chunk->len - size) {
            a->chunk->len += pad;
            return take(a, size);
        }
    }
    if (size > SIZE_MAX - align || !add_chunk(a, size + align))
        return NULL;
    a->chunk->len = (size_t)(-(uintptr_t)a->chunk->data) & (align - 1);
    return take(a, size);
}

char *tpl_arena_extend(struct tpl_arena *a, const char *end, size_t size)
{
    if (a->chunk == NULL || end != a->chunk->data + a->chunk->len || size > a->chunk->cap - a->chunk->len)
        return NULL;
    return take(a, size);
}

char *tpl_arena_text(struct tpl_arena *a, size_t size, size_t room)
{
    if (a->chunk == NULL || size > a->chunk->cap - a->chunk->len) {
        if (size > a->max || room > a->max - size)
            room = 0;
        if (!add_chunk(a, size + room) && !(a->full && room > 0 && add_chunk(a, size)))
            return NULL;
        a->full = false;
    }
    return take(a, size);
}

void tpl_arena_fini(struct tpl_arena *a)
{
    while (a->chunk != NULL) {
        struct tpl_chunk *c = a->chunk;

        a->chunk = c->before;
        srq_free(c);
    }
    a->total = 0;
}
