/* plugin_change.c: `hydraglot plugin enable | disable | rollback | remove | default NAME`, also
 * beside a running service, which follows within a second. */
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "core/plugins/add.h"
#include "db/plugins.h"

/* What serves of a plugin now, and its newest generation. */
typedef struct standing {
    uint32_t serves, newest; /* 0: none */
} standing;

static int note(const hg_plugin_record *record, void *context)
{
    standing *s = context;
    if (!s->newest) s->newest = record->generation; /* newest first */
    if (record->enabled) s->serves = record->generation;
    return 0;
}

/* Sweeping is for who removed; what an intake beside us keeps it from, the next start removes. */
static hg_status sweep(const hg_settings *settings, hg_store *store, hg_error *error)
{
    return hg_intake_sweep(settings->data, hg_store_needs_content, store, error);
}

static hg_status change(const hg_settings *settings, hg_plugin_action action, hg_store *store,
                        uint32_t *serves, hg_error *error)
{
    standing now = {0};
    const char *name = settings->word[0];
    hg_status status = hg_store_each_generation(store, name, note, &now, error);
    if (status) return status;
    hg_plugin_change wish = {
        .action = action,
        .name = name,
        .seen = settings->seen < 0 ? now.serves : (uint32_t)settings->seen,
        .generation = (uint32_t)settings->generation,
        .insist = settings->insist,
        .actor = "command line",
    };
    if (action == HG_PLUGIN_ENABLE && !wish.generation) wish.generation = now.newest;
    status = hg_store_change_plugin(store, &wish, serves, error);
    return status || action != HG_PLUGIN_REMOVE ? status : sweep(settings, store, error);
}

static int run(const hg_settings *settings, hg_plugin_action action)
{
    hg_error error = {0};
    hg_store *store = NULL;
    uint32_t serves = 0;
    hg_status status = HG_OK;
    if (!settings->words)
        status = hg_fail(&error, HG_ERROR_ARGUMENT,
                         "which plugin? give its name; `plugin list` shows them");
    if (!status) status = hg_cli_open_store(settings->data, &store, &error);
    if (!status) status = change(settings, action, store, &serves, &error);
    hg_store_close(store);
    if (status) return hg_cli_fail(&error);
    const char *name = settings->word[0];
    if (settings->json)
        printf("{\"plugin\":\"%s\",\"generation\":%u}\n", name,
               serves); /* a name needs no escape */
    else if (serves)
        printf("%s: generation %u serves\n", name, serves);
    else
        printf("%s: none serves\n", name);
    return HG_EXIT_OK;
}

int hg_command_plugin_enable(const hg_settings *settings)
{
    return run(settings, HG_PLUGIN_ENABLE);
}

int hg_command_plugin_disable(const hg_settings *settings)
{
    return run(settings, HG_PLUGIN_DISABLE);
}

int hg_command_plugin_rollback(const hg_settings *settings)
{
    return run(settings, HG_PLUGIN_ROLL_BACK);
}

int hg_command_plugin_remove(const hg_settings *settings)
{
    return run(settings, HG_PLUGIN_REMOVE);
}

int hg_command_plugin_default(const hg_settings *settings)
{
    return run(settings, HG_PLUGIN_DEFAULT);
}
