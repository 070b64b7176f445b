/* Where the cache is. */
#include "core/base/cache_dir.h"

#include "core/base/alloc.h"

#include <stdlib.h>

char *srq_cache_dir(const char *kind)
{
    const char *own = getenv("SRQ_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (own != NULL)
        return own[0] == '/' ? srq_strdup(own) : NULL;
    if (xdg != NULL && xdg[0] == '/')
        return srq_asprintf("%s/srq/%s", xdg, kind);
    return home != NULL && home[0] == '/' ? srq_asprintf("%s/.cache/srq/%s", home, kind) : NULL;
}
