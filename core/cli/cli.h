/* cli.h: what the commands share. Each command is one function in one file; it gets the settings,
 * prints, and returns the exit code. Only core/cli prints to standard output. */
#ifndef HG_CLI_CLI_H
#define HG_CLI_CLI_H

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/cli/settings.h"
#include "core/translate/translate.h"

enum { HG_EXIT_OK = 0, HG_EXIT_FAILURE = 1, HG_EXIT_USAGE = 2 };

int hg_command_serve(const hg_settings *settings);
int hg_command_translate(const hg_settings *settings);
int hg_command_plugin_list(const hg_settings *settings);
int hg_command_plugin_add(const hg_settings *settings);
int hg_command_plugin_verify(const hg_settings *settings);
int hg_command_plugin_train(const hg_settings *settings);
int hg_command_plugin_enable(const hg_settings *settings);
int hg_command_plugin_disable(const hg_settings *settings);
int hg_command_plugin_rollback(const hg_settings *settings);
int hg_command_plugin_remove(const hg_settings *settings);
int hg_command_plugin_default(const hg_settings *settings);
int hg_command_batches(const hg_settings *settings);
int hg_command_doctor(const hg_settings *settings);
int hg_command_model_info(const hg_settings *settings);
int hg_command_model_quantize(const hg_settings *settings);
int hg_command_model_verify(const hg_settings *settings);
int hg_command_model_merge(const hg_settings *settings);
int hg_command_token_add(const hg_settings *settings);
int hg_command_token_list(const hg_settings *settings);
int hg_command_token_revoke(const hg_settings *settings);
int hg_command_bench(const hg_settings *settings);

/* Dispatches argument [count] (the program's name first) and returns the exit code. */
int hg_cli_main(int count, char **argument);

/* Prints "hydraglot: message" and returns the exit code that the status deserves. */
int hg_cli_fail(const hg_error *error);

/* Sets the log's level: what the settings say, or the command's own. */
void hg_cli_set_log_level(const hg_settings *settings, hg_command_bit bit);

/* Opens the runtime that the settings describe; with wait, all plugins are usable then. */
hg_status hg_cli_open_runtime(const hg_settings *settings, bool wait, hg_runtime **out,
                              hg_error *error) HG_CHECKED;
/* The same settings as options of a runtime; data_path is NULL unless --data was given or
 * with_data is true. */
hg_runtime_options hg_cli_runtime_options(const hg_settings *settings, bool with_data);

/* The folder's database for writing: its own where nobody serves, else beside the service. */
hg_status hg_cli_open_store(const char *folder, hg_store **out, hg_error *error) HG_CHECKED;

/* ---- notify.c ---- */
/* Tells systemd, where it asks: "READY=1", "RELOADING=1", "STOPPING=1". */
void hg_cli_notify(const char *state);

/* ---- doctor_plan.c ---- */
/* `doctor --plan`; returns the exit code. */
int hg_doctor_plan(const hg_settings *settings);

/* ---- targets.c ---- */
/* Which languages to translate into. */
typedef struct hg_targets {
    char source[HG_LIMIT_TAG];
    uint32_t count;
    const char *tag[HG_LIMIT_LANES];                     /* [count] point into room */
    char room[HG_LIMIT_LANES][HG_LIMIT_PLUGIN_NAME + 8]; /* a tag, or "plugin:" and a name */
} hg_targets;

/* --from and --to against the languages served. HG_ERROR_ARGUMENT names the flag and lists what is
 * served. */
hg_status hg_targets_choose(hg_runtime *runtime, const char *from, const char *to, hg_targets *out,
                            hg_error *error) HG_CHECKED;

/* ---- batch_json.c ---- */
/* {"line":0,"batch":{...}}: the fields of batch.done. */
hg_status hg_batch_line_json(int64_t line, const hg_event *event, hg_buf *out) HG_CHECKED;
/* A row of the log with its lanes. */
hg_status hg_batch_row_json(const hg_batch_record *batch, hg_buf *out) HG_CHECKED;

#endif
