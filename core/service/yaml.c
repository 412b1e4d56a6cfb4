/* yaml.c: see yaml.h. */
#include "core/service/yaml.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Begins with a letter and has nothing that YAML reads otherwise; its words for other types, in any
 * case, do not count as texts. */
static bool is_bare(const char *text)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};
    if (!isalpha((unsigned char)*text)) return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcasecmp(text, taken[i]) == 0) return false;
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr(" _-./()", *at)) return false;
    return text[strlen(text) - 1] != ' ';
}

static hg_status print_scalar(const json_t *value, hg_buf *out)
{
    const char *text = json_string_value(value);
    if (text && is_bare(text)) return hg_buf_append_text(out, text);
    char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    hg_status status = json ? hg_buf_append_text(out, json) : HG_ERROR_MEMORY;
    free(json);
    return status;
}

static hg_status print_block(const json_t *value, int indent, bool inside_item, hg_buf *out);

/* What stands behind "name:" or "-". */
static hg_status print_value(const json_t *value, int indent, bool item, hg_buf *out)
{
    bool nested = json_object_size(value) || json_array_size(value);
    if (!nested) {
        hg_status status = hg_buf_append_text(out, " ");
        if (!status) status = print_scalar(value, out);
        return status ? status : hg_buf_append_text(out, "\n");
    }
    hg_status status = hg_buf_append_text(out, item ? " " : "\n");
    return status ? status : print_block(value, indent + 2, item, out);
}

/* inside_item: the first line is begun, behind "- ". */
static hg_status print_block(const json_t *value, int indent, bool inside_item, hg_buf *out)
{
    hg_status status = HG_OK;
    size_t index;
    const char *name;
    json_t *member;
    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            bool begun = inside_item && !index;
            if (!status) status = hg_buf_printf(out, "%*s-", begun ? 0 : indent, "");
            if (!status) status = print_value(member, indent, true, out);
        }
        return status;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        json_t *key = json_string(name);
        if (!status) status = hg_buf_printf(out, "%*s", inside_item ? 0 : indent, "");
        if (!status) status = key ? print_scalar(key, out) : HG_ERROR_MEMORY;
        if (!status) status = hg_buf_append_text(out, ":");
        if (!status) status = print_value(member, indent, false, out);
        json_decref(key);
        inside_item = false;
    }
    return status;
}

hg_status hg_yaml_print(const json_t *value, hg_buf *out)
{
    return print_block(value, 0, false, out);
}
