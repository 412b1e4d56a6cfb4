/* card.c: see card.h. Of YAML only what such cards have is read: `key: value` and lists. */
#include "core/plugins/card.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/model/json.h"

/* The value of a line without quotes and white space, into out [size]; empty if it is too long. */
static void take_value(const char *text, size_t length, char *out, size_t size)
{
    while (length && strchr(" \t\r\"'", text[length - 1])) length--;
    while (length && strchr(" \t\"'", *text)) text++, length--;
    if (length < size) snprintf(out, size, "%.*s", (int)length, text);
}

static void add_language(hg_card *card, const char *text, size_t length)
{
    if (card->languages == HG_LIMIT_CARD_LANGUAGES) return;
    char *out = card->language[card->languages];
    take_value(text, length, out, HG_LIMIT_TAG);
    card->languages += *out != 0;
}

/* "[de, en]" or "de". */
static void add_languages(hg_card *card, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        size_t n = strcspn(text, ",[]\n");
        if (n > (size_t)(end - text)) n = (size_t)(end - text);
        if (n) add_language(card, text, n);
        text += n + 1;
    }
}

/* The lines between two "---" at the file's beginning. */
static void read_front(hg_card *card, const char *text)
{
    bool languages = false; /* in the list below "language:" */
    if (strncmp(text, "---\n", 4) != 0) return;
    for (const char *line = text + 4; *line && strncmp(line, "---", 3) != 0;) {
        size_t length = strcspn(line, "\n");
        size_t start = strspn(line, " ");
        if (languages && line[start] == '-') {
            add_language(card, line + start + 1, length - start - 1);
        } else {
            languages = strncmp(line, "language:", 9) == 0;
            if (languages) add_languages(card, line + 9, length - 9);
            if (strncmp(line, "license:", 8) == 0)
                take_value(line + 8, length - 8, card->licence, sizeof card->licence);
        }
        line += length + (line[length] == '\n');
    }
}

/* The whole file, or nothing. */
static hg_buf read_file(const char *folder, const char *name)
{
    char path[HG_PATH_MAX];
    hg_error ignored;
    hg_buf text = hg_buf_new(HG_LIMIT_CARD);
    if (hg_path_join(path, sizeof path, folder, name, &ignored) ||
        hg_file_read(path, &text, &ignored))
        hg_buf_clear(&text);
    return text;
}

static json_t *read_json(const char *folder, const char *name)
{
    hg_json root;
    hg_error ignored;
    hg_buf text = read_file(folder, name);
    if (hg_json_parse(hg_buf_text(&text), text.length, name, &root, &ignored)) root.object = NULL;
    hg_buf_free(&text);
    return root.object;
}

/* chat_template of tokenizer_config.json: a text, or several with names, "default" among them. */
static const char *chat_template_of(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    if (json_is_string(value)) return json_string_value(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(one, "template"));
    }
    return NULL;
}

static void read_adapter(const char *folder, hg_card *card)
{
    json_t *config = read_json(folder, "adapter_config.json");
    const char *base = json_string_value(json_object_get(config, "base_model_name_or_path"));
    if (base) take_value(base, strlen(base), card->base, sizeof card->base);
    const json_t *tokens = json_object_get(config, "alora_invocation_tokens");
    size_t count = json_array_size(tokens);
    for (size_t i = 0; i < count && count <= HG_INVOCATION_MAX; i++)
        card->invocation[card->invocations++] =
            (int32_t)json_integer_value(json_array_get(tokens, i));
    json_decref(config);
}

void hg_card_read(const char *folder, hg_card *out)
{
    *out = (hg_card){.chat_template = read_file(folder, "chat_template.jinja")};
    hg_buf readme = read_file(folder, "README.md");
    read_front(out, hg_buf_text(&readme));
    hg_buf_free(&readme);
    json_t *config = read_json(folder, "tokenizer_config.json");
    const char *chat = chat_template_of(config);
    if (chat && !out->chat_template.length && hg_buf_append_text(&out->chat_template, chat))
        hg_buf_clear(&out->chat_template);
    json_decref(config);
    read_adapter(folder, out);
}

void hg_card_free(hg_card *card)
{
    hg_buf_free(&card->chat_template);
}
