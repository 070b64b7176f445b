/* What this machine offers. */
#include "tui/srqctl/machine.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static FILE *open_at(const char *root, const char *path)
{
    char full[PATH_MAX];
    int n = snprintf(full, sizeof(full), "%s%s", root, path);

    return n > 0 && (size_t)n < sizeof(full) ? fopen(full, "re") : NULL;
}

static void read_memory(const char *root, struct ctl_machine *m)
{
    FILE *f = open_at(root, "/proc/meminfo");
    char line[256];
    unsigned long long kib;

    m->memory_available = (double)NAN;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            m->memory_available = (double)kib * 1024;
    if (f != NULL)
        fclose(f);
}

static void tighten(double *limit, double value)
{
    if (value > 0 && (*limit == 0 || value < *limit))
        *limit = value;
}

static void read_group(const char *root, const char *group, struct ctl_machine *m)
{
    char path[PATH_MAX];
    double quota, period;
    FILE *f;

    snprintf(path, sizeof(path), CGROUP_ROOT "%.3000s/memory.max", group);
    f = open_at(root, path);
    if (f != NULL) {
        if (fscanf(f, "%lf", &quota) == 1) /* "max" is no number */
            tighten(&m->memory_limit, quota);
        fclose(f);
    }
    snprintf(path, sizeof(path), CGROUP_ROOT "%.3000s/cpu.max", group);
    f = open_at(root, path);
    if (f != NULL) {
        if (fscanf(f, "%lf %lf", &quota, &period) == 2 && period > 0)
            tighten(&m->cpu_quota, quota / period);
        fclose(f);
    }
}

/* A limit of any group above ours holds for us too. */
static void read_groups(const char *root, struct ctl_machine *m)
{
    FILE *f = open_at(root, "/proc/self/cgroup");
    char line[PATH_MAX], *slash;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "0::/", 4) != 0) /* version 2 only */
            continue;
        line[strcspn(line, "\n")] = '\0';
        for (char *group = line + 3; (slash = strrchr(group, '/')) != NULL;) {
            read_group(root, strcmp(group, "/") == 0 ? "" : group, m);
            if (slash == group) {
                if (group[1] != '\0')
                    read_group(root, "", m);
                break;
            }
            *slash = '\0';
        }
    }
    if (f != NULL)
        fclose(f);
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (;;) {
        size_t n;

        words += strspn(words, " \t\n");
        n = strcspn(words, " \t\n");
        if (n == 0)
            return false;
        if (n == len && strncmp(words, word, n) == 0)
            return true;
        words += n;
    }
}

static void read_instructions(const char *root, struct ctl_machine *m)
{
    static const char *const wanted[] = { "avx2",     "fma",      "f16c",  "avx512f", "avx512_bf16", "avx512_fp16",
                                          "amx_bf16", "amx_int8", "asimd", "sve",     "bf16" };
    FILE *f = open_at(root, "/proc/cpuinfo");
    char *line = NULL;
    size_t cap = 0;

    while (f != NULL && getline(&line, &cap, f) > 0) {
        const char *words = strchr(line, ':');

        if (words == NULL || (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0))
            continue;
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            if (has_word(words + 1, wanted[i])) {
                size_t n = strlen(m->instructions);

                snprintf(m->instructions + n, sizeof(m->instructions) - n, "%s%s", n > 0 ? " " : "", wanted[i]);
            }
        break;
    }
    free(line);
    if (f != NULL)
        fclose(f);
    if (m->instructions[0] == '\0')
        snprintf(m->instructions, sizeof(m->instructions), "no vector instructions known to srq");
}

void ctl_machine_read(const char *root, struct ctl_machine *out)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    memset(out, 0, sizeof(*out));
    out->processors = n > 0 ? (int)n : 1;
    read_memory(root, out);
    read_groups(root, out);
    read_instructions(root, out);
}
