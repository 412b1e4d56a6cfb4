/* settings.h: everything that can be set on the command line or in the environment.
 *
 * One table (settings.c) has a row for each setting: flag, environment variable, type, default,
 * range, commands that take it, help. Parsing, `--help` and docs/OPERATIONS.md are walks over it. A
 * flag wins over its variable, a variable over the file of --config, that over the default. Strings
 * point into argv, the environment or the struct itself.
 */
#ifndef HG_CLI_SETTINGS_H
#define HG_CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"

/* Commands, as bits: which settings they take. */
typedef enum hg_command_bit {
    HG_COMMAND_SERVE = 1 << 0,
    HG_COMMAND_TRANSLATE = 1 << 1,
    HG_COMMAND_PLUGIN_LIST = 1 << 2,
    HG_COMMAND_BATCHES = 1 << 3,
    HG_COMMAND_DOCTOR = 1 << 4,
    HG_COMMAND_MODEL_INFO = 1 << 5,
    HG_COMMAND_BENCH = 1 << 6,
    HG_COMMAND_MODEL_QUANTIZE = 1 << 7,
    HG_COMMAND_MODEL_VERIFY = 1 << 8,
    HG_COMMAND_MODEL_MERGE = 1 << 9,
    HG_COMMAND_TOKEN_ADD = 1 << 10,
    HG_COMMAND_TOKEN_LIST = 1 << 11,
    HG_COMMAND_TOKEN_REVOKE = 1 << 12,
    HG_COMMAND_PLUGIN_ADD = 1 << 13,
    HG_COMMAND_PLUGIN_VERIFY = 1 << 14,
    HG_COMMAND_PLUGIN_TRAIN = 1 << 15,
    HG_COMMAND_PLUGIN_ENABLE = 1 << 16,
    HG_COMMAND_PLUGIN_DISABLE = 1 << 17,
    HG_COMMAND_PLUGIN_ROLLBACK = 1 << 18,
    HG_COMMAND_PLUGIN_REMOVE = 1 << 19,
    HG_COMMAND_PLUGIN_DEFAULT = 1 << 20,
} hg_command_bit;

typedef struct hg_settings {
    const char *config;
    const char *listen, *data, *model, *plugins, *web, *device, *kernel, *only, *log_level;
    const char *quantize;        /* "int8", "int4" or NULL */
    const char *drafts;          /* "auto", "always" or "never" */
    const char *on_device_error; /* "recover", "fallback" or "stop" */
    int64_t threads, device_memory_bytes, lanes, adapters, cache_bytes;
    int64_t agreement, agree_after, ahead, hold_back, likely, patience;
    const char *allow_origin, *base_path;
    const char *tls_cert, *tls_key;
    const char *scope, *label;
    int64_t expires, rate;
    const char *to, *from, *file;
    int64_t max_tokens, count, runs, sentences;
    const char *out, *method, *calibration, *against, *text, *plugin, *bits, *group;
    const char *shape;
    const char *name, *language, *template, *sources;
    const char *pairs, *title, *licence, *attribution, *python;
    int64_t rank, epochs, minutes;
    int64_t generation, seen; /* seen -1: not said */
    bool insist;
    bool log_text, trust_proxy, quantized;
    bool full, json, plan, limits, settings, metrics, codes, templates, asyncapi, plugin_schema,
        rules, gate;
    int64_t gate_chrf, gate_faults;
    bool help, version;

    bool data_given;         /* --data or HYDRAGLOT_DATA, not the default */
    const char *const *word; /* [words] what is no flag, in order; points into argv */
    int words;
    char *const *argument; /* [arguments] what was parsed, to be parsed again */
    int arguments;
    const char **word_room; /* owned: what word points to */
    hg_buf config_text;     /* owned: what the file's values point into */
    char model_default[HG_PATH_MAX], plugins_default[HG_PATH_MAX], web_default[HG_PATH_MAX],
        data_default[HG_PATH_MAX], python_default[HG_PATH_MAX], trainer[HG_PATH_MAX];
} hg_settings;

/* Reads flags and words of one command. HG_ERROR_ARGUMENT names the flag or the variable, what was
 * found and what is expected; for an unknown flag, the nearest known one. Free it either way. */
hg_status hg_settings_parse(hg_settings *out, hg_command_bit command, int count,
                            char *const *argument, hg_error *error) HG_CHECKED;
void hg_settings_free(hg_settings *settings);

/* The flags of command that differ between the two, with commas between, into out [size]. live: of
 * those that may change while the service runs; else of the others. */
void hg_settings_changed(const hg_settings *from, const hg_settings *to, hg_command_bit command,
                         bool live, char *out, size_t size);

/* The settings of one command, for --help. */
void hg_settings_print_help(FILE *out, hg_command_bit command);

/* All settings as a Markdown table. */
void hg_settings_print_markdown(FILE *out);

/* Which of the count words is most like word: fewest single-letter edits. NULL when none is near
 * enough to be meant. */
const char *hg_nearest(const char *word, const char *const *known, int count);

/* ---- config.c ---- */
/* place is "FILE:LINE", for messages. */
typedef hg_status hg_config_take(void *context, const char *place, const char *name,
                                 const char *value, hg_error *error);
/* Reads the file into text, which names and values point into, and calls take for each. */
hg_status hg_config_each(const char *path, hg_buf *text, hg_config_take *take, void *context,
                         hg_error *error) HG_CHECKED;

/* ---- paths.c ---- */
/* Where model, plugins, page and data lie when nobody says: beside the build folder that the binary
 * is in; for the data, var/ of a source tree, else $XDG_DATA_HOME/hydraglot. */
hg_status hg_paths_default(hg_settings *settings, hg_error *error) HG_CHECKED;

#endif
