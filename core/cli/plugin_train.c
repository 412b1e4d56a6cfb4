/* plugin_train.c: `hydraglot plugin train`: an adapter out of sentence pairs.
 *
 * The trainer is a Python program of its own (plugins/train/train.py), run with the interpreter
 * that `make train-deps` makes: PEFT makes PEFT's files. Here is what the trainer must be told and
 * cannot know: the template, the base's fingerprint, names of languages. */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "core/cli/cli.h"
#include "core/model/model.h"
#include "core/text/language.h"
#include "core/translate/templates.h"

extern char **environ;

#define WORDS_MAX 64

/* The trainer's command line. Words point into settings, literals, or room. */
typedef struct command_line {
    const char *word[WORDS_MAX + 1]; /* NULL behind the last */
    int words;
    char title[HG_LIMIT_PLUGIN_TEXT], source_title[HG_LIMIT_PLUGIN_TEXT];
    char rank[16], minutes[16], epochs[16];
    hg_buf template; /* owned */
} command_line;

/* A flag with its value; one without a value is left out. */
static void add(command_line *c, const char *flag, const char *value)
{
    if (!value || !*value || c->words + 2 > WORDS_MAX) return;
    c->word[c->words++] = flag;
    c->word[c->words++] = value;
}

static hg_status need(const char *value, const char *flag, const char *what, hg_error *error)
{
    if (value && *value) return HG_OK;
    return hg_fail(error, HG_ERROR_ARGUMENT, "%s: is missing; it names %s", flag, what);
}

static hg_status check(const hg_settings *s, hg_error *error)
{
    hg_status status =
        need(s->pairs, "--pairs", "a file of pairs: source, a tab, translation", error);
    if (!status) status = need(s->out, "--out", "the folder of the new plugin", error);
    if (!status) status = need(s->name, "--name", "the plugin", error);
    if (!status) status = need(s->language, "--language", "the language, as a BCP-47 tag", error);
    if (!status)
        status = need(s->template, "--template",
                      "the prompt to train with: a name of `doctor --templates`, or a text", error);
    if (!status && !hg_file_exists(s->python))
        status = hg_fail(error, HG_ERROR_NOT_FOUND,
                         "%s: no such program; `make train-deps` installs what training needs, or "
                         "name a Python that has it with --python",
                         s->python);
    return status;
}

static hg_status english_name(const char *flag, const char *text, char *out, size_t size,
                              hg_error *error)
{
    hg_tag tag;
    if (hg_tag_parse(text, &tag, NULL))
        return hg_fail(error, HG_ERROR_ARGUMENT, "%s: \"%s\" is no BCP-47 tag", flag, text);
    hg_tag_english_name(&tag, out, size);
    return HG_OK;
}

static hg_status add_template(command_line *c, const hg_settings *s, hg_error *error)
{
    const hg_template *named;
    c->template = hg_buf_new(HG_LIMIT_TEMPLATE);
    hg_status status = hg_template_resolve(s->template, s->language, &c->template, &named, error);
    if (status) return status;
    add(c, "--template", hg_buf_text(&c->template));
    for (int i = 0; named && i < HG_TEMPLATE_STOPS && named->stop[i]; i++)
        add(c, "--stop", named->stop[i]);
    return HG_OK;
}

static hg_status build(command_line *c, const hg_settings *s, const char *fingerprint,
                       hg_error *error)
{
    hg_status status = english_name("--language", s->language, c->title, sizeof c->title, error);
    if (!status)
        status = english_name("--from", s->from, c->source_title, sizeof c->source_title, error);
    if (status) return status;
    snprintf(c->rank, sizeof c->rank, "%d", (int)s->rank);
    snprintf(c->epochs, sizeof c->epochs, "%d", (int)s->epochs);
    snprintf(c->minutes, sizeof c->minutes, "%d", (int)s->minutes);
    c->word[c->words++] = s->python;
    c->word[c->words++] = s->trainer;
    add(c, "--model", s->model);
    add(c, "--pairs", s->pairs);
    add(c, "--out", s->out);
    add(c, "--name", s->name);
    add(c, "--language", s->language);
    add(c, "--title", s->title && *s->title ? s->title : c->title);
    add(c, "--source", s->from);
    add(c, "--source-title", c->source_title);
    add(c, "--fingerprint", fingerprint);
    add(c, "--licence", s->licence);
    add(c, "--attribution", s->attribution);
    add(c, "--rank", c->rank);
    add(c, "--epochs", c->epochs);
    add(c, "--minutes", c->minutes);
    return add_template(c, s, error);
}

/* Runs it to its end, with this process's standard streams. */
static hg_status run(const command_line *c, hg_error *error)
{
    pid_t child;
    int state;
    char **words = (char **)(uintptr_t)c->word; /* posix_spawn changes none */
    int failed = posix_spawn(&child, c->word[0], NULL, NULL, words, environ);
    if (failed)
        return hg_fail(error, HG_ERROR_IO, "%s: cannot be run: %s", c->word[0], strerror(failed));
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR) return hg_fail(error, HG_ERROR_IO, "waitpid: %s", strerror(errno));
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return HG_OK;
    return hg_fail(error, HG_ERROR_IO,
                   "%s: the trainer ended without a plugin; what it said stands "
                   "above",
                   c->word[1]);
}

/* The gate. The plugin's own words count now, not the flags that it was made with. */
static int judge(const hg_settings *settings)
{
    const char *const word[] = {settings->out};
    hg_settings own = *settings;
    own.word = word;
    own.words = 1;
    own.name = own.language = own.template = own.sources = NULL;
    own.gate = true;
    return hg_command_plugin_verify(&own);
}

int hg_command_plugin_train(const hg_settings *settings)
{
    hg_error error = {0};
    hg_model *model = NULL;
    command_line c = {.words = 0};
    hg_status status = check(settings, &error);
    if (!status) status = hg_model_open(settings->model, &model, &error);
    if (!status) status = build(&c, settings, hg_model_fingerprint(model), &error);
    hg_model_close(model);
    if (!status) status = run(&c, &error);
    hg_buf_free(&c.template);
    return status ? hg_cli_fail(&error) : judge(settings);
}
