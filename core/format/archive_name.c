/* Names of an archive's entries, checked one component after the other. */
#include "core/format/archive_name.h"

#include <string.h>

#define COMPONENT_MAX 255

static bool has_odd_characters(const char *name)
{
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f || *p == '\\')
            return true;
    return false;
}

/* One component of `len` bytes. */
static const char *bad_component(const char *at, size_t len)
{
    if (len == 0 || (len == 1 && at[0] == '.'))
        return "has an empty component";
    if (len == 2 && at[0] == '.' && at[1] == '.')
        return "leads out of the folder (\"..\")";
    return len > COMPONENT_MAX ? "has a component of more than 255 bytes" : NULL;
}

bool srq_archive_name(const char *name, char out[SRQ_ARCHIVE_NAME_MAX + 1], const char **why)
{
    size_t len, depth = 0;

    *why = name[0] == '/' ? "is absolute" : has_odd_characters(name) ? "has a backslash or a control character" : NULL;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    len = strlen(name);
    if (len > 0 && name[len - 1] == '/')
        len--;
    if (len == 1 && name[0] == '.')
        len = 0;
    if (*why == NULL && len > SRQ_ARCHIVE_NAME_MAX)
        *why = "is longer than 1024 bytes";
    for (size_t at = 0; *why == NULL && len > 0 && at <= len; depth++) {
        const char *slash = memchr(name + at, '/', len - at);
        size_t end = slash != NULL ? (size_t)(slash - name) : len;

        *why = depth > SRQ_ARCHIVE_DEPTH_MAX ? "is deeper than 16 folders" : bad_component(name + at, end - at);
        at = end + 1;
    }
    if (*why != NULL)
        return false;
    memcpy(out, name, len);
    out[len] = '\0';
    return true;
}

bool srq_archive_name_is_junk(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;

    return strncmp(name, "__MACOSX", 8) == 0 || strncmp(base, "._", 2) == 0 || strcmp(base, ".DS_Store") == 0;
}
