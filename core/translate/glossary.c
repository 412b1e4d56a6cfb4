/* glossary.c: see glossary.h. A list of words, each with a list of languages: there are few. */
#include "core/translate/glossary.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct translation {
    hg_tag language;
    char *text; /* owned */
} translation;

typedef struct entry {
    translation *in; /* [languages] owned */
    uint32_t languages;
} entry;

struct hg_glossary {
    uint32_t references;
    char **word;  /* [terms.count] owned, and so are they */
    entry *entry; /* [terms.count] owned */
    hg_terms terms;
};

hg_glossary *hg_glossary_new(void)
{
    hg_glossary *glossary = calloc(1, sizeof *glossary);
    if (glossary) glossary->references = 1;
    return glossary;
}

hg_glossary *hg_glossary_hold(hg_glossary *glossary)
{
    if (glossary) glossary->references++;
    return glossary;
}

void hg_glossary_release(hg_glossary *glossary)
{
    if (!glossary || --glossary->references) return;
    for (uint32_t i = 0; i < glossary->terms.count; i++) {
        for (uint32_t k = 0; k < glossary->entry[i].languages; k++)
            free(glossary->entry[i].in[k].text);
        free(glossary->entry[i].in);
        free(glossary->word[i]);
    }
    free(glossary->entry);
    free(glossary->word);
    free(glossary);
}

/* The word's entry, made if need be; NULL without memory. */
static entry *entry_of(hg_glossary *g, const char *word)
{
    uint32_t at = 0;
    while (at < g->terms.count && strcmp(g->word[at], word) != 0) at++;
    if (at < g->terms.count) return &g->entry[at];
    char **words = realloc(g->word, (at + 1) * sizeof *words);
    if (words) g->word = words;
    entry *entries = realloc(g->entry, (at + 1) * sizeof *entries);
    if (entries) g->entry = entries;
    char *copy = strdup(word);
    if (!words || !entries || !copy) {
        free(copy);
        return NULL;
    }
    g->word[at] = copy;
    g->entry[at] = (entry){0};
    g->terms = (hg_terms){.word = (const char *const *)g->word, .count = at + 1};
    return &g->entry[at];
}

hg_status hg_glossary_add(hg_glossary *glossary, const char *word, const hg_tag *language,
                          const char *text)
{
    entry *e = entry_of(glossary, word);
    char *copy = e ? strdup(text) : NULL;
    if (!copy) return HG_ERROR_MEMORY;
    for (uint32_t i = 0; i < e->languages; i++) {
        if (strcmp(e->in[i].language.text, language->text) != 0) continue;
        free(e->in[i].text);
        e->in[i].text = copy;
        return HG_OK;
    }
    translation *in = realloc(e->in, (e->languages + 1) * sizeof *in);
    if (in) {
        e->in = in;
        e->in[e->languages++] = (translation){*language, copy};
        return HG_OK;
    }
    free(copy);
    return HG_ERROR_MEMORY;
}

const hg_terms *hg_glossary_terms(const hg_glossary *glossary)
{
    return glossary && glossary->terms.count ? &glossary->terms : NULL;
}

const char *hg_glossary_find(const hg_glossary *glossary, uint32_t term, const hg_tag *language)
{
    const char *like = NULL;
    if (!glossary) return NULL;
    assert(term < glossary->terms.count);
    const entry *e = &glossary->entry[term];
    for (uint32_t i = 0; i < e->languages; i++) {
        if (strcmp(e->in[i].language.text, language->text) == 0) return e->in[i].text;
        if (hg_tag_compare(language, &e->in[i].language) != HG_TAG_DIFFERENT) like = e->in[i].text;
    }
    return like;
}
