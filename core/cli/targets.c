/* targets.c: --from and --to become a source and a list of targets, checked before any work. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"

#define VIEWS HG_LIMIT_ADAPTER_SLOTS

typedef struct languages {
    hg_language_view view[VIEWS];
    uint32_t count;
} languages;

static bool takes(const hg_language_view *view, const hg_tag *source)
{
    hg_tag tag;
    for (uint32_t i = 0; i < view->sources; i++)
        if (!hg_tag_parse(view->source[i], &tag, NULL) && hg_tag_compare(source, &tag)) return true;
    return false;
}

/* The source language that most plugins take. */
static void common_source(const languages *all, hg_tag *out)
{
    uint32_t most = 0;
    *out = (hg_tag){"en"};
    for (uint32_t i = 0; i < all->count; i++) {
        for (uint32_t s = 0; s < all->view[i].sources; s++) {
            hg_tag tag;
            uint32_t takers = 0;
            if (hg_tag_parse(all->view[i].source[s], &tag, NULL)) continue;
            for (uint32_t j = 0; j < all->count; j++) takers += takes(&all->view[j], &tag);
            if (takers <= most) continue;
            most = takers;
            *out = tag;
        }
    }
}

/* "de, es, fr" for a message. */
static void list_tags(const languages *all, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < all->count && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", all->view[i].tag.text);
}

static bool served(const languages *all, const char *target)
{
    hg_tag tag;
    bool named = strncmp(target, "plugin:", 7) == 0;
    if (!named && hg_tag_parse(target, &tag, NULL)) return false;
    for (uint32_t i = 0; i < all->count; i++) {
        if (named ? strcmp(target + 7, all->view[i].plugin) == 0
                  : hg_tag_compare(&tag, &all->view[i].tag) != HG_TAG_DIFFERENT)
            return true;
    }
    return false;
}

static hg_status add_target(hg_targets *out, const char *tag, hg_error *error)
{
    if (out->count == HG_LIMIT_LANES)
        return hg_fail(error, HG_ERROR_ARGUMENT, "--to: more than %d languages", HG_LIMIT_LANES);
    char *copy = out->room[out->count];
    if (snprintf(copy, sizeof out->room[0], "%s", tag) >= (int)sizeof out->room[0])
        return hg_fail(error, HG_ERROR_ARGUMENT, "--to: \"%s\" is too long", tag);
    out->tag[out->count++] = copy;
    return HG_OK;
}

static hg_status choose_given(const languages *all, const char *to, hg_targets *out,
                              hg_error *error)
{
    char known[256], *rest = NULL, *list = strdup(to);
    if (!list) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    hg_status status = HG_OK;
    for (char *tag = strtok_r(list, ", ", &rest); tag && !status;
         tag = strtok_r(NULL, ", ", &rest)) {
        if (served(all, tag)) {
            status = add_target(out, tag, error);
            continue;
        }
        list_tags(all, known, sizeof known);
        status = hg_fail(error, HG_ERROR_ARGUMENT,
                         "--to: no enabled plugin serves \"%s\"; served are: %s", tag, known);
    }
    if (!status && !out->count)
        status = hg_fail(error, HG_ERROR_ARGUMENT, "--to: \"%s\" names no language", to);
    free(list);
    return status;
}

static hg_status choose_all(const languages *all, const hg_tag *source, hg_targets *out,
                            hg_error *error)
{
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < all->count && !status; i++)
        if (takes(&all->view[i], source)) status = add_target(out, all->view[i].tag.text, error);
    if (!status && !out->count)
        status = hg_fail(error, HG_ERROR_ARGUMENT,
                         "--from: no enabled plugin takes \"%s\" as its source", source->text);
    return status;
}

hg_status hg_targets_choose(hg_runtime *runtime, const char *from, const char *to, hg_targets *out,
                            hg_error *error)
{
    out->count = 0;
    hg_tag source;
    hg_status status = HG_OK;
    languages *all = calloc(1, sizeof *all);
    if (!all) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    all->count = hg_runtime_languages(runtime, all->view, VIEWS);
    if (all->count > VIEWS) all->count = VIEWS;
    if (!from || strcmp(from, "auto") == 0) {
        common_source(all, &source);
    } else if (hg_tag_parse(from, &source, error)) {
        status = hg_fail_within(error, "--from");
    }
    if (!status) {
        memcpy(out->source, source.text, sizeof out->source);
        status = to ? choose_given(all, to, out, error) : choose_all(all, &source, out, error);
    }
    free(all);
    return status;
}
