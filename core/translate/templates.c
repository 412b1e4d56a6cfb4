/* templates.c: the table of shipped prompt templates. Each spells out every special token that its
 * bases want, the beginning of text among them: nothing is added to a prompt behind its back. */
#include "core/translate/templates.h"

#include <string.h>

#define LANGUAGE "{language}"

#define TASK                                                                                       \
    "Translate the user's text{?source_language} from {source_language}{/source_language} to "     \
    "{target_language}. Answer with the translation only.{?context}\n\nWhat was said before:\n"    \
    "{context}{/context}"

static const hg_template table[] = {
    {"hydra-tiny",
     "the embedded base: all languages share what is computed for the source",
     "<|begin_of_text|>{source}<|" LANGUAGE "|>",
     {"<|eot_id|>"},
     NULL},
    {"llama-3-instruct",
     "Llama 3, 3.1 and 3.2 Instruct: system, user and assistant turns",
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n" TASK
     "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{source}<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"},
     "<|start_header_id|>"},
    {"chatml",
     "SmolLM2 Instruct and other bases with ChatML turns",
     "<|im_start|>system\n" TASK "<|im_end|>\n<|im_start|>user\n{source}<|im_end|>\n"
     "<|im_start|>assistant\n",
     {"<|im_end|>", "<|endoftext|>"},
     "<|im_start|>"},
    {"alma",
     "adapters trained as ALMA's, on a Llama 3 base",
     "<|begin_of_text|>{?context}{context}\n{/context}Translate this from {source_language} to "
     "{target_language}:\n{source_language}: {source}\n{target_language}:",
     {"<|end_of_text|>", "<|eot_id|>"},
     NULL},
};
#define TEMPLATES (sizeof table / sizeof *table)

const hg_template *hg_template_at(unsigned index)
{
    return index < TEMPLATES ? &table[index] : NULL;
}

/* Appends the template's text with the language's subtag in it. */
static hg_status expand(const hg_template *t, const char *language, hg_buf *out, hg_error *error)
{
    const char *at = t->text, *place = strstr(at, LANGUAGE);
    if (place && !*language)
        return hg_fail(error, HG_ERROR_FORMAT, "template: \"%s\" is for plugins with a language",
                       t->name);
    hg_status status = HG_OK;
    for (; !status && place; place = strstr(at, LANGUAGE)) {
        status = hg_buf_append(out, at, (size_t)(place - at));
        if (!status) status = hg_buf_append(out, language, strcspn(language, "-"));
        at = place + strlen(LANGUAGE);
    }
    if (!status) status = hg_buf_append_text(out, at);
    return status ? hg_fail(error, status, "template: no room for \"%s\"", t->name) : HG_OK;
}

hg_status hg_template_resolve(const char *template, const char *language, hg_buf *out,
                              const hg_template **named, hg_error *error)
{
    *named = NULL;
    if (strstr(template, "{source}")) {
        hg_status status = hg_buf_append_text(out, template);
        return status ? hg_fail(error, status, "template: no room for %zu bytes", strlen(template))
                      : HG_OK;
    }
    for (size_t i = 0; i < TEMPLATES; i++) {
        if (strcmp(table[i].name, template) != 0) continue;
        hg_status status = expand(&table[i], language, out, error);
        if (!status) *named = &table[i];
        return status;
    }
    return hg_fail(error, HG_ERROR_FORMAT,
                   "template: \"%.64s\" has no {source} and is none that comes with the program "
                   "(hydraglot doctor --templates)",
                   template);
}
