/* entry.c: plugin.json's fields beside the base's tokenizer and ICU, who know whether they make
 * sense. */
#include "core/translate/entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/translate/templates.h"

hg_status hg_entry_set_tags(hg_catalog_entry *entry, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    hg_status status = HG_OK;
    if (*plugin->language) status = hg_tag_parse(plugin->language, &entry->tag, error);
    entry->source = calloc(plugin->source_count + 1u, sizeof *entry->source);
    entry->source_text = calloc(plugin->source_count + 1u, sizeof *entry->source_text);
    if (!entry->source || !entry->source_text)
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for its sources");
    for (uint32_t i = 0; !status && i < plugin->source_count; i++) {
        status = hg_tag_parse(plugin->sources[i], &entry->source[i], error);
        entry->source_text[i] = entry->source[i].text;
    }
    if (status) return hg_fail_within(error, "plugin.json");
    if (*plugin->language) {
        hg_tag_english_name(&entry->tag, entry->name, sizeof entry->name);
        hg_tag_native_name(&entry->tag, entry->native, sizeof entry->native);
    }
    return HG_OK;
}

/* Adds a stop token that is not there yet. */
static hg_status add_stop(hg_catalog_entry *entry, int32_t id, hg_error *error)
{
    for (uint32_t i = 0; i < entry->stops; i++)
        if (entry->stop[i] == id) return HG_OK;
    if (entry->stops == HG_LIMIT_STOP_TOKENS)
        return hg_fail(error, HG_ERROR_LIMIT, "plugin.json: more than %d stop tokens",
                       HG_LIMIT_STOP_TOKENS);
    entry->stop[entry->stops++] = id;
    return HG_OK;
}

/* The plugin's own; without them the base's, and those of the template that it names. */
static hg_status set_stops(hg_catalog_entry *entry, const hg_model *model,
                           const hg_tokenizer *tokenizer, const hg_template *named, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    hg_status status = HG_OK;
    for (uint32_t i = 0; !status && i < plugin->stop_count; i++) {
        const char *text = plugin->stop[i];
        int32_t id = hg_tokenizer_special(tokenizer, text, strlen(text));
        if (id < 0)
            return hg_fail(error, HG_ERROR_FORMAT,
                           "plugin.json: stop \"%s\" is no special token of %s", text,
                           model->tokenizer_path);
        status = add_stop(entry, id, error);
    }
    if (plugin->stop_count) return status;
    for (uint32_t i = 0; !status && i < model->stops; i++)
        status = add_stop(entry, model->stop[i], error);
    for (uint32_t i = 0; !status && named && i < HG_TEMPLATE_STOPS && named->stop[i]; i++) {
        const char *text = named->stop[i];
        int32_t id = hg_tokenizer_special(tokenizer, text, strlen(text));
        if (id >= 0) status = add_stop(entry, id, error);
    }
    return status;
}

hg_status hg_entry_set_prompt(hg_catalog_entry *entry, const hg_model *model,
                              const hg_tokenizer *tokenizer, hg_error *error)
{
    const hg_template *named;
    hg_buf text = hg_buf_new(HG_LIMIT_TEMPLATE);
    const hg_plugin *plugin = entry->plugin;
    hg_status status =
        hg_template_resolve(plugin->template_text, plugin->language, &text, &named, error);
    if (!status) status = hg_prompt_parse(hg_buf_text(&text), tokenizer, &entry->prompt, error);
    if (!status) status = set_stops(entry, model, tokenizer, named, error);
    hg_buf_free(&text);
    return status;
}

hg_status hg_entry_set_rules(hg_catalog_entry *entry, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    if (*plugin->rules_before && hg_rules_open(plugin->rules_before, &entry->rules_before, error))
        return hg_fail_within(error, "plugin.json: rules.before");
    if (*plugin->rules_after && hg_rules_open(plugin->rules_after, &entry->rules_after, error))
        return hg_fail_within(error, "plugin.json: rules.after");
    return HG_OK;
}

void hg_entry_set_adapter(hg_catalog_entry *entry, const hg_adapter *adapter)
{
    entry->rank_max = adapter->lora.rank_max;
    entry->invocations = adapter->invocations;
    assert(adapter->invocations <= HG_INVOCATION_MAX);
    memcpy(entry->invocation, adapter->invocation, sizeof entry->invocation);
}

hg_status hg_entry_try_prompt(const hg_catalog_entry *entry, const hg_tokenizer *tokenizer,
                              hg_error *error)
{
    hg_tokens prompt = {0};
    hg_prompt_values values = {.source = "", .source_language = "", .target_language = ""};
    uint32_t index;
    hg_status status = hg_prompt_build(entry->prompt, tokenizer, &values, NULL, &prompt, error);
    if (!status)
        status =
            hg_prompt_invocation(&prompt, entry->invocation, entry->invocations, &index, error);
    hg_tokens_free(&prompt);
    return status;
}
