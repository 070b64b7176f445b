/* srqctl help and version. */
#include "tui/srqctl/cmds.h"

#include <stdio.h>
#include <string.h>

static void words_json(cJSON *to, const char *name, const char *text)
{
    if (text != NULL)
        cJSON_AddStringToObject(to, name, text);
    else
        cJSON_AddNullToObject(to, name);
}

static void options_json(cJSON *list, const struct ctl_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        cJSON *row = cJSON_CreateObject();
        char letter[2] = { o->letter, '\0' };

        cJSON_AddStringToObject(row, "name", o->name);
        words_json(row, "letter", o->letter != 0 ? letter : NULL);
        words_json(row, "value", o->arg);
        cJSON_AddBoolToObject(row, "many", o->many);
        cJSON_AddStringToObject(row, "help", o->help);
        cJSON_AddItemToArray(list, row);
    }
}

/* The tables as data, for whoever wraps srqctl. */
static int help_json(const struct ctl_verb *only)
{
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "verbs");

    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        cJSON *row;

        if (only != NULL && v != only)
            continue;
        row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", v->name);
        words_json(row, "alias", ctl_alias_of(v));
        cJSON_AddStringToObject(row, "group", v->group);
        cJSON_AddStringToObject(row, "arguments", v->args);
        cJSON_AddStringToObject(row, "help", v->help);
        options_json(cJSON_AddArrayToObject(row, "options"), v->options);
        cJSON_AddItemToObject(row, "examples", cJSON_CreateStringArray(v->examples, 2));
        cJSON_AddItemToArray(list, row);
    }
    options_json(cJSON_AddArrayToObject(all, "common_options"), ctl_common_options);
    return ctl_print_json(all);
}

int ctl_cmd_help(struct ctl *ctl)
{
    const char *const *words = ctl->args.positional;
    const struct ctl_verb *v = NULL;
    int used = 0, n = ctl->args.positional_count;

    if (n > 0 && (v = ctl_find_verb(n, words, &used)) == NULL)
        return ctl_unknown_verb(ctl, words[0]);
    return ctl->json ? help_json(v) : ctl_print_help(v);
}

int ctl_cmd_version(struct ctl *ctl)
{
    cJSON *json;

    if (!ctl->json) {
        printf("srqctl %s (protocol %d.%d)\n", PACKAGE_VERSION, SRQ_PROTO_MAJOR, SRQ_PROTO_MINOR);
        return ctl_flush(ctl);
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", PACKAGE_VERSION);
    cJSON_AddNumberToObject(json, "protocol_major", SRQ_PROTO_MAJOR);
    cJSON_AddNumberToObject(json, "protocol_minor", SRQ_PROTO_MINOR);
    return ctl_print_json(json);
}
