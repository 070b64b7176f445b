/* The strict reader of srqd.conf. */
#include "daemon/srqd/base/config.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 18)
#define TERA ((int64_t)1 << 40)

#define AT(member) offsetof(struct srqd_config, member)

/* clang-format off */
static const struct config_row rows[] = {
    { "daemon", "max_clients", CONFIG_INT, AT(max_clients), 1, 100000, "256", "connections at once" },
    { "daemon", "user_max_clients", CONFIG_INT, AT(user_max_clients), 0, 100000, "64",
      "connections of one user at once in the machine's service; root has no such limit" },
    { "daemon", "admin_clients", CONFIG_INT, AT(admin_clients), 0, 100000, "16",
      "places of max_clients, at most half of them, that are kept for root and administrators" },
    { "daemon", "hello_timeout_s", CONFIG_INT, AT(hello_timeout_s), 1, 3600, "10",
      "time after which a connection that has not said hello ends" },
    { "daemon", "client_output_max", CONFIG_SIZE, AT(client_output_max), 1 << 16, TERA, "16M",
      "output waiting for a client that does not read, beyond which it is dropped" },
    { "daemon", "user_output_max", CONFIG_SIZE, AT(user_output_max), 1 << 16, TERA, "64M",
      "the same for all clients of one user, beyond which the one with the most is dropped" },
    { "daemon", "user_max_subscriptions", CONFIG_INT, AT(user_max_subscriptions), 0, 1000000, "256",
      "subscriptions of one user" },
    { "daemon", "plan_timeout_s", CONFIG_INT, AT(plan_timeout_s), 1, 3600, "20", "time that planning a job may take" },
    { "daemon", "plans_at_once", CONFIG_INT, AT(plans_at_once), 1, 64, "2",
      "jobs planned at once; others wait, users in turn, and one place is kept from each user for the others" },
    { "daemon", "user_max_plans", CONFIG_INT, AT(user_max_plans), 0, 100000, "64",
      "jobs of one user that wait to be planned in the machine's service" },
    { "daemon", "idle_exit_s", CONFIG_INT, AT(idle_exit_s), 0, 31536000, "0",
      "a per-user daemon ends after this time without clients and unfinished jobs; 0: never" },
    { "daemon", "min_free", CONFIG_SIZE, AT(min_free), 0, TERA, "64M",
      "free disk in the state folder below which no job is taken" },
    { "limits", "max_running", CONFIG_INT, AT(max_running), 0, 100000, "1", "jobs at once; 0: no limit" },
    { "limits", "max_threads", CONFIG_INT, AT(max_threads), 0, 1000000, "0", "threads of running jobs in sum" },
    { "limits", "max_memory", CONFIG_SIZE, AT(max_memory), 0, 1024 * TERA, "0",
      "memory of running jobs in sum: planned, or used where that is more" },
    { "limits", "user_max_running", CONFIG_INT, AT(user_max_running), 0, 100000, "0", "jobs of one user at once" },
    { "limits", "user_max_threads", CONFIG_INT, AT(user_max_threads), 0, 1000000, "0",
      "threads of one user's running jobs" },
    { "limits", "user_max_memory", CONFIG_SIZE, AT(user_max_memory), 0, 1024 * TERA, "0",
      "the same of one user's running jobs" },
    { "limits", "user_max_disk", CONFIG_SIZE, AT(user_max_disk), 0, 1024 * TERA, "0",
      "disk that the folders of one user's jobs take: what is there, of those that run what was planned where that is "
      "more" },
    { "limits", "user_max_queued", CONFIG_INT, AT(user_max_queued), 0, 1000000, "1000",
      "unfinished jobs that one user may have" },
    { "limits", "time_limit_s", CONFIG_INT, AT(time_limit_s), 0, 31536000, "0",
      "time that a job may run at a stretch; then it fails, its checkpoint kept" },
    { "access", "socket_group", CONFIG_NAME, AT(socket_group), 0, 0, "srq",
      "group that may use the system service; *: everybody" },
    { "access", "admin_group", CONFIG_NAME, AT(admin_group), 0, 0, "srq-admin",
      "group that may drain, reload, stop and reprioritise" },
    { "access", "look_all", CONFIG_BOOL, AT(look_all), 0, 0, "no", "whether users see each other's jobs" },
    { "restart", "pauses_s", CONFIG_PAUSES, AT(pauses_s), 0, 86400, "1 5 25",
      "pauses before a worker that died is started again" },
    { "restart", "deaths_max", CONFIG_INT, AT(deaths_max), 1, 1000, "3",
      "deaths without progress in between after which a job fails" },
    { "retention", "keep_days", CONFIG_INT, AT(keep_days), 0, 100000, "30",
      "age in days from which ended jobs are deleted; 0: any age" },
    { "retention", "keep_jobs", CONFIG_INT, AT(keep_jobs), 0, 1000000, "100",
      "newest ended jobs of each user that are kept at any age" },
    { "worker", "nice", CONFIG_INT, AT(nice), 0, 19, "0", "added to a worker's niceness" },
    { "worker", "oom_score_adj", CONFIG_INT, AT(oom_score_adj), 0, 1000, "500",
      "makes the kernel choose a worker first when memory runs out" },
    { "worker", "slice", CONFIG_NAME, AT(slice), 0, 0, "srq.slice",
      "slice in which systemd, where it runs, gives each worker a scope; nothing behind the =: no scopes" },
    { "worker", "memory_high", CONFIG_INT, AT(memory_high), 0, 10000, "150",
      "memory of a scope in percent of what was planned, 256 MiB more for mapped files, from which on the kernel takes "
      "back what it can and slows the worker down; 0: no such limit" },
    { "worker", "cancel_grace_s", CONFIG_INT, AT(cancel_grace_s), 0, 3600, "20",
      "time a canceled worker has before it is killed" },
    { "worker", "stop_grace_s", CONFIG_INT, AT(stop_grace_s), 1, 86400, "120",
      "time that daemon stop --jobs waits for checkpoints" },
};
/* clang-format on */

const struct config_row *config_rows(size_t *count)
{
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

static int wrong(const struct config_row *row, const char *value, const char *wanted, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EINVAL, row->key, "%s = %.100s: %s", row->key, value, wanted);
}

static int set_number(const struct config_row *row, char *base, const char *value, struct srq_error *err)
{
    static const char suffixes[] = "KMGT";
    int64_t v;
    char *end;

    errno = 0;
    v = strtoll(value, &end, 10);
    if (end == value || errno != 0)
        return wrong(row, value, "not a whole number", err);
    if (row->kind == CONFIG_SIZE && *end != '\0' && end[1] == '\0') {
        const char *s = strchr(suffixes, toupper((unsigned char)*end));

        if (s == NULL || __builtin_mul_overflow(v, (int64_t)1 << (10 * (s - suffixes + 1)), &v))
            return wrong(row, value, "a size is a number with K, M, G or T", err);
        end++;
    }
    if (*end != '\0')
        return wrong(row, value,
                     row->kind == CONFIG_SIZE ? "a size is a number with K, M, G or T" : "not a whole number", err);
    if (v < row->min || v > row->max)
        return srq_fail_field(err, -SRQ_EINVAL, row->key, "%s = %.100s: not between %lld and %lld", row->key, value,
                              (long long)row->min, (long long)row->max);
    *(int64_t *)(void *)(base + row->offset) = v;
    return 0;
}

static int set_pauses(const struct config_row *row, char *base, const char *value, struct srq_error *err)
{
    struct pauses p = { 0 };
    const char *at = value;

    while (*at != '\0') {
        char *end;
        double v = strtod(at, &end);

        if (end == at || !(v >= (double)row->min && v <= (double)row->max) || p.count == CONFIG_PAUSES_MAX)
            return wrong(row, value, "wants 1 to 16 numbers of seconds", err);
        p.s[p.count++] = v;
        for (at = end; *at == ' ' || *at == ','; at++)
            continue;
    }
    if (p.count == 0)
        return wrong(row, value, "wants 1 to 16 numbers of seconds", err);
    memcpy(base + row->offset, &p, sizeof(p));
    return 0;
}

static int set_value(const struct config_row *row, struct srqd_config *c, const char *value, struct srq_error *err)
{
    char *base = (char *)c;

    switch (row->kind) {
    case CONFIG_INT:
    case CONFIG_SIZE:
        return set_number(row, base, value, err);
    case CONFIG_BOOL:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return wrong(row, value, "wants yes or no", err);
        *(bool *)(void *)(base + row->offset) = value[0] == 'y';
        return 0;
    case CONFIG_NAME:
        if (strlen(value) >= 64)
            return wrong(row, value, "longer than 63 bytes", err);
        memcpy(base + row->offset, value, strlen(value) + 1);
        return 0;
    case CONFIG_PAUSES:
        return set_pauses(row, base, value, err);
    }
    return srq_fail(err, -SRQ_EUNSUPPORTED, "%s has no kind", row->key);
}

void config_defaults(struct srqd_config *c)
{
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        (void)set_value(&rows[i], c, rows[i].initial, NULL);
}

static char *trim(char *s)
{
    char *end;

    while (*s == ' ' || *s == '\t')
        s++;
    end = s + strlen(s);
    while (end > s && strchr(" \t\r", end[-1]) != NULL)
        *--end = '\0';
    return s;
}

static bool section_exists(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].section, name) == 0)
            return true;
    }
    return false;
}

struct reader {
    struct srqd_config *c;
    const char *section;
    bool seen[sizeof(rows) / sizeof(rows[0])];
};

static int parse_assignment(struct reader *r, char *line, struct srq_error *err)
{
    char *eq = strchr(line, '='), *key, *value;

    if (eq == NULL)
        return srq_fail(err, -SRQ_EINVAL, "\"%.60s\" is neither key = value nor [section]", line);
    *eq = '\0';
    key = trim(line);
    value = trim(eq + 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].key, key) != 0)
            continue;
        if (r->section == NULL || strcmp(r->section, rows[i].section) != 0)
            return srq_fail_field(err, -SRQ_EINVAL, key, "%s belongs in section [%s]", key, rows[i].section);
        if (r->seen[i])
            return srq_fail_field(err, -SRQ_EINVAL, key, "%s is set twice", key);
        r->seen[i] = true;
        return set_value(&rows[i], r->c, value, err);
    }
    return srq_fail_field(err, -SRQ_EINVAL, key, "unknown key \"%.60s\"", key);
}

static int parse_line(struct reader *r, char *line, struct srq_error *err)
{
    size_t n;

    line = trim(line);
    n = strlen(line);
    if (n == 0 || line[0] == '#' || line[0] == ';')
        return 0;
    if (line[0] != '[')
        return parse_assignment(r, line, err);
    if (line[n - 1] != ']')
        return srq_fail(err, -SRQ_EINVAL, "\"%.60s\" has no ]", line);
    line[n - 1] = '\0';
    if (!section_exists(line + 1))
        return srq_fail_field(err, -SRQ_EINVAL, line + 1, "unknown section [%.60s]", line + 1);
    r->section = line + 1;
    return 0;
}

int config_parse(struct srqd_config *c, const char *path, const char *text, size_t len, struct srq_error *err)
{
    struct srqd_config fresh;
    struct reader r = { .c = &fresh };
    struct srq_error why = { 0 };
    char *copy = srq_strndup(text, len), *line = copy, *nl;
    int rc = 0, number = 1;

    if (copy == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", path);
    config_defaults(&fresh);
    if (strlen(copy) != len)
        rc = srq_fail(&why, -SRQ_EFORMAT, "the file has a NUL byte");
    for (; rc == 0 && line != NULL; line = nl, number++) {
        nl = strchr(line, '\n');
        if (nl != NULL)
            *nl++ = '\0';
        rc = parse_line(&r, line, &why);
        if (rc != 0)
            break;
    }
    if (rc == 0)
        *c = fresh;
    else
        srq_fail_field(err, rc, why.field, "%s: line %d: %s", path, number, why.text);
    srq_free(copy);
    return rc;
}

int config_read(struct srqd_config *c, const char *path, struct srq_error *err)
{
    char *text;
    size_t len;
    int rc = srq_read_file(path, FILE_MAX, &text, &len, err);

    if (rc != 0)
        return rc;
    rc = config_parse(c, path, text, len, err);
    srq_free(text);
    return rc;
}
