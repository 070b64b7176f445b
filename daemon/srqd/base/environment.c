/* The environment whitelist. */
#include "daemon/srqd/base/environment.h"

#include "core/base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* A trailing '*' matches any rest of the name. */
static const char *const kept[] = {
    "PATH",  "HOME",  "USER",       "LOGNAME",         "LANG",         "LC_*",          "TZ", "TMPDIR", "XDG_*",
    "SRQ_*", "OMP_*", "OPENBLAS_*", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS",
};

static bool matches(const char *pattern, const char *entry)
{
    size_t n = strlen(pattern);

    if (pattern[n - 1] == '*')
        return strncmp(entry, pattern, n - 1) == 0;
    return strncmp(entry, pattern, n) == 0 && entry[n] == '=';
}

bool environment_keeps(const char *entry)
{
    const char *preload = getenv("SRQ_KEEP_PRELOAD");

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (matches(kept[i], entry))
            return true;
    }
    return matches("LD_PRELOAD", entry) && preload != NULL && strcmp(preload, "1") == 0;
}

void environment_prune(void)
{
    size_t n = 0;

    for (char **e = environ; *e != NULL; e++) {
        if (environment_keeps(*e) || matches("NOTIFY_SOCKET", *e))
            environ[n++] = *e;
    }
    environ[n] = NULL;
}

void environment_free(char **envp)
{
    if (envp == NULL)
        return;
    for (char **e = envp; *e != NULL; e++)
        srq_free(*e);
    srq_free(envp);
}

static bool overridden(const char *entry, const char *const *extra)
{
    size_t n = strcspn(entry, "=") + 1;

    for (; extra != NULL && *extra != NULL; extra++) {
        if (strncmp(*extra, entry, n) == 0)
            return true;
    }
    return false;
}

static bool ours_only(const char *entry)
{
    return matches("HOME", entry) || matches("USER", entry) || matches("LOGNAME", entry) || matches("XDG_*", entry) ||
           matches("TMPDIR", entry);
}

static bool put(char **envp, size_t *n, char *entry)
{
    if (entry == NULL)
        return false;
    envp[(*n)++] = entry;
    return true;
}

char **environment_for(uid_t uid, const char *user, const char *home, const char *const *extra)
{
    bool other = uid != geteuid(), ok = true;
    size_t n = 0, count = 8;
    char **envp;

    for (char **e = environ; *e != NULL; e++)
        count++;
    for (const char *const *e = extra; e != NULL && *e != NULL; e++)
        count++;
    envp = srq_calloc(count, sizeof(*envp));
    if (envp == NULL)
        return NULL;
    for (char **e = environ; ok && *e != NULL; e++) {
        if (environment_keeps(*e) && !(other && ours_only(*e)) && !overridden(*e, extra))
            ok = put(envp, &n, srq_strdup(*e));
    }
    if (other)
        ok = ok && put(envp, &n, srq_asprintf("HOME=%s", home)) && put(envp, &n, srq_asprintf("USER=%s", user)) &&
             put(envp, &n, srq_asprintf("LOGNAME=%s", user));
    for (const char *const *e = extra; ok && e != NULL && *e != NULL; e++)
        ok = put(envp, &n, srq_strdup(*e));
    if (!ok) {
        environment_free(envp);
        return NULL;
    }
    return envp;
}
