/* cli.c: the table of commands, dispatch and help. */
#include "core/cli/cli.h"

#include <assert.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/version.h"

typedef struct command {
    const char *name; /* one word or two */
    hg_command_bit bit;
    const char *words; /* what it takes besides flags, for help */
    int words_max;
    hg_log_level level; /* when --log-level does not say */
    int (*run)(const hg_settings *settings);
    const char *help;
} command;

static const command commands[] = {
    {"serve", HG_COMMAND_SERVE, "", 0, HG_LOG_INFO, hg_command_serve,
     "run the service: the page, websocket and HTTP"},
    {"translate", HG_COMMAND_TRANSLATE, "[TEXT]", 1, HG_LOG_WARN, hg_command_translate,
     "translate TEXT, a file or standard input, one sentence a line"},
    {"plugin list", HG_COMMAND_PLUGIN_LIST, "", 0, HG_LOG_WARN, hg_command_plugin_list,
     "list the plugins that the database knows"},
    {"plugin add", HG_COMMAND_PLUGIN_ADD, "PATH", 1, HG_LOG_WARN, hg_command_plugin_add,
     "check an adapter's folder or archive and record it as a plugin, not enabled yet"},
    {"plugin verify", HG_COMMAND_PLUGIN_VERIFY, "PATH", 1, HG_LOG_WARN, hg_command_plugin_verify,
     "check an adapter's folder or archive, and keep nothing"},
    {"plugin train", HG_COMMAND_PLUGIN_TRAIN, "", 0, HG_LOG_WARN, hg_command_plugin_train,
     "make a plugin out of sentence pairs, and check it"},
    {"plugin enable", HG_COMMAND_PLUGIN_ENABLE, "NAME", 1, HG_LOG_WARN, hg_command_plugin_enable,
     "let a generation serve"},
    {"plugin disable", HG_COMMAND_PLUGIN_DISABLE, "NAME", 1, HG_LOG_WARN, hg_command_plugin_disable,
     "serve none of a plugin"},
    {"plugin rollback", HG_COMMAND_PLUGIN_ROLLBACK, "NAME", 1, HG_LOG_WARN,
     hg_command_plugin_rollback, "let the generation serve again that did before"},
    {"plugin remove", HG_COMMAND_PLUGIN_REMOVE, "NAME", 1, HG_LOG_WARN, hg_command_plugin_remove,
     "remove a plugin, or one of its generations"},
    {"plugin default", HG_COMMAND_PLUGIN_DEFAULT, "NAME", 1, HG_LOG_WARN, hg_command_plugin_default,
     "make a plugin the one that its language gets"},
    {"batches", HG_COMMAND_BATCHES, "", 0, HG_LOG_WARN, hg_command_batches,
     "list the newest batches with latency and throughput"},
    {"model info", HG_COMMAND_MODEL_INFO, "", 0, HG_LOG_WARN, hg_command_model_info,
     "show shape, weights and tokens of the base model"},
    {"model quantize", HG_COMMAND_MODEL_QUANTIZE, "", 0, HG_LOG_WARN, hg_command_model_quantize,
     "write a model anew with 4- or 8-bit weights"},
    {"model verify", HG_COMMAND_MODEL_VERIFY, "", 0, HG_LOG_WARN, hg_command_model_verify,
     "compare two forms of a model: perplexity, error of each layer"},
    {"model merge", HG_COMMAND_MODEL_MERGE, "", 0, HG_LOG_WARN, hg_command_model_merge,
     "fold a plugin's LoRA into a model of its own"},
    {"token add", HG_COMMAND_TOKEN_ADD, "", 0, HG_LOG_WARN, hg_command_token_add,
     "make an access token and print it, once"},
    {"token list", HG_COMMAND_TOKEN_LIST, "", 0, HG_LOG_WARN, hg_command_token_list,
     "list the access tokens by their ids"},
    {"token revoke", HG_COMMAND_TOKEN_REVOKE, "ID", 1, HG_LOG_WARN, hg_command_token_revoke,
     "end an access token, and those that it minted"},
    {"bench", HG_COMMAND_BENCH, "", 0, HG_LOG_WARN, hg_command_bench,
     "measure tokens per second, step time, sharing, start and memory"},
    {"doctor", HG_COMMAND_DOCTOR, "", 0, HG_LOG_ERROR, hg_command_doctor,
     "check processor, model, plugins, database and port"},
};

#define COMMANDS ((int)(sizeof commands / sizeof *commands))

int hg_cli_fail(const hg_error *error)
{
    fprintf(stderr, "hydraglot: %s\n", error->message);
    return error->status == HG_ERROR_ARGUMENT ? HG_EXIT_USAGE : HG_EXIT_FAILURE;
}

static void print_usage(FILE *out)
{
    fprintf(out, "hydraglot %s: one sentence into many languages at once\n\n", HG_VERSION);
    fputs("usage: hydraglot COMMAND [FLAGS]\n\ncommands:\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-15s %s\n", commands[i].name, commands[i].help);
    fputs("\n`hydraglot COMMAND --help` lists a command's flags. `hydraglot --version` says which "
          "hydraglot this is.\nExit codes: 0 done, 1 failed, 2 wrong usage.\n",
          out);
}

static void print_command_help(FILE *out, const command *c)
{
    fprintf(out, "usage: hydraglot %s [FLAGS]%s%s\n\n%s\n\nflags:\n", c->name, *c->words ? " " : "",
            c->words, c->help);
    hg_settings_print_help(out, c->bit);
}

/* The command whose words the arguments begin with; *used is how many. */
static const command *find_command(int count, char **argument, int *used)
{
    char two[64];
    for (*used = 2; *used >= 1; --*used) {
        if (count < *used) continue;
        snprintf(two, sizeof two, "%s%s%s", argument[0], *used == 2 ? " " : "",
                 *used == 2 ? argument[1] : "");
        for (int i = 0; i < COMMANDS; i++)
            if (strcmp(two, commands[i].name) == 0) return &commands[i];
    }
    return NULL;
}

static int unknown_command(int count, char **argument)
{
    const char *known[COMMANDS];
    char two[64];
    for (int i = 0; i < COMMANDS; i++) known[i] = commands[i].name;
    snprintf(two, sizeof two, "%s%s%s", argument[0], count > 1 ? " " : "",
             count > 1 ? argument[1] : "");
    const char *nearest = hg_nearest(two, known, COMMANDS);
    if (!nearest) nearest = hg_nearest(argument[0], known, COMMANDS);
    fprintf(stderr, "hydraglot: %s: no such command", argument[0]);
    if (nearest) fprintf(stderr, "; did you mean `hydraglot %s`?", nearest);
    fputs("; `hydraglot --help` lists them\n", stderr);
    return HG_EXIT_USAGE;
}

void hg_cli_set_log_level(const hg_settings *settings, hg_command_bit bit)
{
    int i = 0;
    while (commands[i].bit != bit) i++;
    hg_log_level level = commands[i].level;
    bool good = !settings->log_level || !hg_log_parse_level(settings->log_level, &level);
    assert(good); /* the table of settings has the words */
    if (good) hg_log_set_level(level);
}

static int run_command(const command *c, int count, char **argument)
{
    hg_settings settings;
    hg_error error = {0};
    int code;
    hg_status status = hg_settings_parse(&settings, c->bit, count, argument, &error);
    if (!status && !settings.help && settings.words > c->words_max)
        status = hg_fail(&error, HG_ERROR_ARGUMENT,
                         "%s: unexpected; put a text of several words into quotes, and see "
                         "`hydraglot %s --help`",
                         settings.word[c->words_max], c->name);
    if (!status) hg_cli_set_log_level(&settings, c->bit);
    if (status) {
        code = hg_cli_fail(&error);
    } else if (settings.help) {
        print_command_help(stdout, c);
        code = HG_EXIT_OK;
    } else {
        code = c->run(&settings);
    }
    hg_settings_free(&settings);
    return code;
}

/* What was printed must have arrived: a full disk behind a pipe is a failure, not a success. */
static int finish_output(int code)
{
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (!lost || code) return code;
    fputs("hydraglot: standard output could not be written\n", stderr);
    return HG_EXIT_FAILURE;
}

int hg_cli_main(int count, char **argument)
{
    int used;
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write, reported by it */
    if (count < 2) {
        print_usage(stderr);
        return HG_EXIT_USAGE;
    }
    const char *first = argument[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        print_usage(stdout);
        return finish_output(HG_EXIT_OK);
    }
    if (strcmp(first, "--version") == 0) {
        printf("hydraglot %s\n", HG_VERSION);
        return finish_output(HG_EXIT_OK);
    }
    const command *c = find_command(count - 1, argument + 1, &used);
    if (!c) return unknown_command(count - 1, argument + 1);
    return finish_output(run_command(c, count - 1 - used, argument + 1 + used));
}

/* ---- the runtime ---- */

/* --quantize as bits; 0: not given. */
static uint8_t dense_bits(const hg_settings *settings)
{
    if (!settings->quantize) return 0;
    return strcmp(settings->quantize, "int8") == 0 ? 8 : 4;
}

static hg_drafts drafts(const hg_settings *settings)
{
    if (!settings->drafts || strcmp(settings->drafts, "auto") == 0) return HG_DRAFTS_AUTO;
    return strcmp(settings->drafts, "always") == 0 ? HG_DRAFTS_ALWAYS : HG_DRAFTS_NEVER;
}

static hg_device_policy device_policy(const hg_settings *settings)
{
    if (!settings->on_device_error || strcmp(settings->on_device_error, "recover") == 0)
        return HG_DEVICE_RECOVER;
    bool stop = strcmp(settings->on_device_error, "stop") == 0;
    return stop ? HG_DEVICE_STOP : HG_DEVICE_FALLBACK;
}

hg_runtime_options hg_cli_runtime_options(const hg_settings *settings, bool with_data)
{
    return (hg_runtime_options){
        .model_path = settings->model,
        .plugins_path = settings->plugins,
        .data_path = with_data || settings->data_given ? settings->data : NULL,
        .device = settings->device,
        .kernel = settings->kernel,
        .dense_bits = dense_bits(settings),
        .drafts = drafts(settings),
        .on_device_error = device_policy(settings),
        .threads = (uint32_t)settings->threads,
        .device_memory_bytes = (size_t)settings->device_memory_bytes,
        .lanes = (uint32_t)settings->lanes,
        .adapters = (uint32_t)settings->adapters,
        .cache_bytes = (size_t)settings->cache_bytes,
        .policy = {.agreement = (uint32_t)settings->agreement,
                   .least_words = (uint32_t)settings->agree_after,
                   .ahead = (uint32_t)settings->ahead,
                   .hold_back = (uint32_t)settings->hold_back,
                   .likely = (uint32_t)settings->likely,
                   .patience = (uint32_t)settings->patience},
        .only = settings->only,
        .log_text = settings->log_text,
    };
}

hg_status hg_cli_open_runtime(const hg_settings *settings, bool wait, hg_runtime **out,
                              hg_error *error)
{
    hg_runtime_options options = hg_cli_runtime_options(settings, false);
    hg_status status = hg_runtime_open(&options, out, error);
    if (!status && wait) status = hg_runtime_wait_ready(*out, error);
    if (status && *out) {
        hg_runtime_close(*out);
        *out = NULL;
    }
    return status;
}

hg_status hg_cli_open_store(const char *folder, hg_store **out, hg_error *error)
{
    hg_status status = hg_store_open(folder, out, error);
    return status == HG_ERROR_STATE ? hg_store_open_beside(folder, out, error) : status;
}
