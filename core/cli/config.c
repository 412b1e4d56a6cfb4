/* config.c: the file of settings that --config names. Lines are `name = value`, a name being a flag
 * without its dashes; # begins a comment where a line begins. */
#include <stdio.h>
#include <string.h>

#include "core/cli/settings.h"

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t count = strlen(text);
    while (count && strchr(" \t\r", text[count - 1])) count--;
    text[count] = '\0';
    return text;
}

hg_status hg_config_each(const char *path, hg_buf *text, hg_config_take *take, void *context,
                         hg_error *error)
{
    char place[HG_PATH_MAX + 16];
    hg_status status = hg_file_read(path, text, error);
    if (status) return status;
    if (text->length && memchr(text->data, '\0', text->length))
        return hg_fail(error, HG_ERROR_ARGUMENT, "--config %s: not a text file", path);
    char *rest = text->data, *line;
    for (int number = 1; (line = strsep(&rest, "\n")); number++) {
        line = trim(line);
        if (!*line || *line == '#') continue;
        snprintf(place, sizeof place, "%s:%d", path, number);
        char *value = strchr(line, '=');
        if (!value) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: expected `name = value`", place);
        *value++ = '\0';
        status = take(context, place, trim(line), trim(value), error);
        if (status) return status;
    }
    return HG_OK;
}
