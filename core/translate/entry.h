/* entry.h: what a plugin's plugin.json says, made ready for a base: tags, prompt, stop tokens,
 * rules.
 *
 * Each call fills its part of a catalog entry that has its plugin, and stands by itself, so that
 * who checks a plugin can name what is wrong with each part.
 */
#ifndef HG_TRANSLATE_ENTRY_H
#define HG_TRANSLATE_ENTRY_H

#include "core/model/model.h"
#include "core/text/tokenizer.h"
#include "core/translate/catalog.h"

/* Language and sources as canonical tags, with the language's names. */
hg_status hg_entry_set_tags(hg_catalog_entry *entry, hg_error *error) HG_CHECKED;

/* Template and stop tokens: the plugin's own; without them the base's, and those of the template
 * that it names. */
hg_status hg_entry_set_prompt(hg_catalog_entry *entry, const hg_model *model,
                              const hg_tokenizer *tokenizer, hg_error *error) HG_CHECKED;

hg_status hg_entry_set_rules(hg_catalog_entry *entry, hg_error *error) HG_CHECKED;

/* Takes what the adapter says of itself: its rank and its invocation. */
void hg_entry_set_adapter(hg_catalog_entry *entry, const hg_adapter *adapter);

/* A template without the adapter's invocation could never run: found here, not at a request. After
 * the prompt and the adapter. */
hg_status hg_entry_try_prompt(const hg_catalog_entry *entry, const hg_tokenizer *tokenizer,
                              hg_error *error) HG_CHECKED;

#endif
