/* propose.c: see propose.h. */
#include "core/plugins/propose.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/model/json.h"
#include "core/plugins/card.h"
#include "core/text/language.h"
#include "core/translate/prompt.h"
#include "core/translate/templates.h"

/* What the steps share. */
typedef struct proposing {
    const hg_intake_options *options;
    const char *called;
    hg_notes *notes;
    json_t *root; /* plugin.json as it will be */
    hg_card card;
    bool failed; /* no memory */
} proposing;

static bool has(const proposing *p, const char *field)
{
    const json_t *value = json_object_get(p->root, field);
    return value && !json_is_null(value);
}

static void set(proposing *p, const char *field, json_t *value)
{
    if (!value || json_object_set_new(p->root, field, value)) p->failed = true;
}

/* A value that nobody said, and where it comes from. */
static void propose(proposing *p, const char *field, json_t *value, const char *from)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (text)
        hg_notes_add(p->notes, HG_NOTE_PROPOSAL, HG_OK, "plugin.json: field %s: %s, %s", field,
                     text, from);
    else
        p->failed = true;
    free(text);
    set(p, field, value);
}

/* A field that only a person can fill; that it is missing is found when the fields are checked. */
static void ask(proposing *p, const char *field, const char *how)
{
    hg_notes_add(p->notes, HG_NOTE_PROPOSAL, HG_OK, "plugin.json: field %s: %s", field, how);
}

/* "en,de" as a JSON list. */
static json_t *list_of(const char *text)
{
    json_t *list = json_array();
    for (const char *at = text; list && at; at = strchr(at, ',')) {
        at += strspn(at, ", ");
        size_t length = strcspn(at, ", ");
        if (length && json_array_append_new(list, json_stringn(at, length))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void set_words(proposing *p)
{
    const hg_plugin_words *words = &p->options->words;
    if (words->name) set(p, "name", json_string(words->name));
    if (words->language) set(p, "language", json_string(words->language));
    if (words->template) set(p, "template", json_string(words->template));
    if (words->sources) set(p, "sources", list_of(words->sources));
}

/* The one language of the card that is not English, if there is just one. */
static const char *card_language(const hg_card *card)
{
    const char *found = NULL;
    for (uint32_t i = 0; i < card->languages; i++) {
        if (strcmp(card->language[i], "en") == 0) continue;
        if (found) return NULL;
        found = card->language[i];
    }
    return found ? found : card->languages == 1 ? card->language[0] : NULL;
}

static void propose_language(proposing *p)
{
    const char *kind = json_string_value(json_object_get(p->root, "kind"));
    if (kind && strcmp(kind, "task") == 0) return;
    const char *language = card_language(&p->card);
    if (!has(p, "language") && language)
        propose(p, "language", json_string(language), "by the model card");
    if (!has(p, "language"))
        ask(p, "language", "no file says which it is; give it (--language TAG)");
    if (!has(p, "kind")) propose(p, "kind", json_string("language"), "as adapters mostly are");
}

/* The file's or folder's name without what marks an archive, in the letters of a plugin's name. */
static void name_of(const char *called, char *out)
{
    static const char *const ends[] = {".gz", ".zst", ".xz", ".tgz", ".tar", ".zip"};
    const char *slash = strrchr(called, '/');
    size_t used = 0;
    for (const char *at = slash ? slash + 1 : called; *at && used < HG_LIMIT_PLUGIN_NAME - 1;
         at++) {
        char c = (char)tolower((unsigned char)*at);
        bool good = isascii((unsigned char)c) && (isalnum((unsigned char)c) || strchr("-_.", c));
        if (!used && !isalnum((unsigned char)c)) continue;
        out[used++] = good ? c : '-';
    }
    out[used] = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t length = strlen(ends[i]);
        used = strlen(out);
        if (used > length && strcmp(out + used - length, ends[i]) == 0) out[used - length] = 0;
    }
}

static void propose_name(proposing *p)
{
    char name[HG_LIMIT_PLUGIN_NAME], english[64];
    hg_tag tag;
    hg_error ignored;
    const char *language = json_string_value(json_object_get(p->root, "language"));
    name_of(p->called, name);
    if (!has(p, "name") && *name) propose(p, "name", json_string(name), "as the files are called");
    if (!has(p, "name")) ask(p, "name", "what shall it be called? give it (--name NAME)");
    if (has(p, "title")) return;
    if (language && !hg_tag_parse(language, &tag, &ignored)) {
        hg_tag_english_name(&tag, english, sizeof english);
        propose(p, "title", json_string(english), "its language's English name");
    } else if (has(p, "name")) {
        set(p, "title", json_incref(json_object_get(p->root, "name")));
    }
}

static void propose_sources(proposing *p)
{
    const char *language = json_string_value(json_object_get(p->root, "language"));
    if (has(p, "sources") || !language) return;
    if (strncmp(language, "en", 2) != 0 || (language[2] && language[2] != '-'))
        propose(p, "sources", json_pack("[s]", "en"), "as nothing says from which languages");
    else
        ask(p, "sources", "from which languages does it translate? give them (--sources de,fr)");
}

/* Whether the base has all special tokens of a shipped template, and the adapter's invocation
 * stands in its prompts. */
static bool fits(const proposing *p, const hg_template *t, const char *language)
{
    const hg_template *named;
    const hg_prompt_values values = {.source = "", .source_language = "", .target_language = ""};
    const hg_card *card = &p->card;
    hg_prompt *prompt = NULL;
    hg_tokens tokens = {0};
    hg_error ignored;
    uint32_t at;
    hg_buf text = hg_buf_new(HG_LIMIT_TEMPLATE);
    bool fine = !hg_template_resolve(t->name, language, &text, &named, &ignored) &&
                !hg_prompt_parse(hg_buf_text(&text), p->options->tokenizer, &prompt, &ignored) &&
                !hg_prompt_build(prompt, p->options->tokenizer, &values, NULL, &tokens, &ignored) &&
                !hg_prompt_invocation(&tokens, card->invocation, card->invocations, &at, &ignored);
    hg_tokens_free(&tokens);
    hg_prompt_free(prompt);
    hg_buf_free(&text);
    return fine;
}

/* The archive's own chat template decides; else the base, where it has the special tokens of one
 * shipped template only. */
static void propose_template(proposing *p)
{
    const char *language = json_string_value(json_object_get(p->root, "language"));
    const char *only = NULL, *chat = hg_buf_text(&p->card.chat_template);
    char list[256] = "";
    unsigned count = 0;
    if (has(p, "template")) return;
    for (unsigned i = 0; hg_template_at(i); i++) {
        const hg_template *t = hg_template_at(i);
        if (!fits(p, t, language ? language : "")) continue;
        if (t->chat && strstr(chat, t->chat)) {
            propose(p, "template", json_string(t->name), "by the chat template that came along");
            return;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", count++ ? ", " : "", t->name);
        only = t->name;
    }
    if (count == 1)
        propose(p, "template", json_string(only), "the only one that the base has the tokens for");
    else
        hg_notes_add(p->notes, HG_NOTE_PROPOSAL, HG_OK,
                     "plugin.json: field template: with which prompt was it trained? give it "
                     "(--template NAME or a text with {source})%s%s",
                     count ? "; the base knows " : "", list);
}

static void propose_rest(proposing *p)
{
    const hg_intake_options *o = p->options;
    const char *base = *p->card.base ? p->card.base : o->model->name;
    if (!has(p, "schema")) set(p, "schema", json_string("hydraglot.plugin/1"));
    if (!has(p, "base"))
        propose(p, "base", json_pack("{s:s, s:n}", "name", base, "fingerprint"),
                *p->card.base ? "by adapter_config.json" : "the base that serves here");
    if (!has(p, "stop"))
        propose(p, "stop", json_array(), "which means those of the base and the template");
    if (!has(p, "licence") && *p->card.licence)
        propose(p, "licence", json_string(p->card.licence), "by the model card");
    if (!has(p, "licence"))
        hg_notes_add(p->notes, HG_NOTE_WARNING, HG_OK,
                     "plugin.json: field licence: nobody is told under which licence it may be "
                     "used");
}

/* plugin.json as it came, or an empty object. False: it is there and no JSON object. */
static bool read_root(proposing *p, const char *path)
{
    hg_json root;
    hg_error error;
    if (!hg_file_exists(path)) {
        p->root = json_object();
        p->failed = !p->root;
        return true;
    }
    if (hg_json_read(path, &root, &error)) {
        hg_notes_problem(p->notes, &error);
        return false;
    }
    p->root = root.object;
    return true;
}

static hg_status write_root(const proposing *p, const char *path, hg_error *error)
{
    char *text = p->failed ? NULL : json_dumps(p->root, JSON_INDENT(1));
    if (!text) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    hg_status status = hg_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

hg_status hg_plugin_propose(const hg_intake_options *options, const char *called,
                            const char *folder, hg_notes *notes, hg_error *error)
{
    char path[HG_PATH_MAX];
    proposing p = {.options = options, .called = called, .notes = notes};
    hg_status status = hg_path_join(path, sizeof path, folder, "plugin.json", error);
    if (status || !read_root(&p, path)) return status;
    json_t *before = json_deep_copy(p.root);
    hg_card_read(folder, &p.card);
    set_words(&p);
    propose_language(&p);
    propose_name(&p);
    propose_sources(&p);
    propose_template(&p);
    propose_rest(&p);
    hg_card_free(&p.card);
    if (p.failed || !json_equal(before, p.root)) status = write_root(&p, path, error);
    json_decref(before);
    json_decref(p.root);
    return status;
}
