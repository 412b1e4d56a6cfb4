/* plugin.c: `hydraglot plugin list`: what the database knows of plugins. */
#include <inttypes.h>

#include "core/cli/cli.h"
#include "core/cli/table.h"
#include "core/service/json_out.h"

static int print_json(const hg_plugin_record *r, void *context)
{
    hg_buf *out = context;
    hg_buf_clear(out);
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "name", r->name);
    hg_json_put_text(&json, "title", r->title);
    hg_json_put_text(&json, "kind", r->kind);
    hg_json_put_text(&json, "language", r->language);
    hg_json_put_bool(&json, "default", r->is_default);
    hg_json_put_bool(&json, "enabled", r->enabled);
    hg_json_put_integer(&json, "generation", r->generation);
    hg_json_put_text(&json, "state", r->state);
    hg_json_put_integer(&json, "rank", r->rank_max);
    hg_json_put_integer(&json, "bytes", (int64_t)r->bytes);
    hg_json_put_raw(&json, "sources", r->sources);
    hg_json_put_text(&json, "licence", r->licence);
    hg_json_put_text(&json, "digest", r->digest);
    hg_json_put_text(&json, "folder", r->folder);
    hg_json_end_object(&json);
    if (json.status) return 1;
    printf("%s\n", hg_buf_text(out));
    return 0;
}

/* The JSON array of sources as words: ["en","de"] becomes en de. */
static void plain_sources(const char *json, char *out, size_t size)
{
    size_t used = 0;
    for (const char *at = json; *at && used + 1 < size; at++) {
        if (*at == '[' || *at == ']' || *at == '"' || *at == ' ') continue;
        out[used++] = *at == ',' ? ' ' : *at;
    }
    out[used] = '\0';
}

static int print_row(const hg_plugin_record *r, void *context)
{
    hg_table *table = context;
    char sources[256];
    plain_sources(r->sources, sources, sizeof sources);
    hg_table_cell(table, "%s", r->name);
    hg_table_cell(table, "%s", r->title);
    hg_table_cell(table, "%s%s", r->language, r->is_default ? " (default)" : "");
    hg_table_cell(table, "%u", r->generation);
    hg_table_cell(table, "%s", r->state);
    hg_table_cell(table, "%u", r->rank_max);
    hg_table_cell(table, "%.1f MiB", (double)r->bytes / (1 << 20));
    hg_table_cell(table, "%s", sources);
    return 0;
}

int hg_command_plugin_list(const hg_settings *settings)
{
    static const char *const titles[] = {"name",  "title", "language", ">generation", "state",
                                         ">rank", ">size", "sources",  NULL};
    hg_error error = {0};
    hg_store *store = NULL;
    hg_buf line = hg_buf_new(HG_LIMIT_FILE_JSON);
    hg_table table;
    hg_status status = hg_store_open_read(settings->data, &store, &error);
    if (!status && settings->json) {
        status = hg_store_each_plugin(store, print_json, &line, &error);
    } else if (!status) {
        hg_table_start(&table, titles);
        status = hg_store_each_plugin(store, print_row, &table, &error);
        hg_status printed = hg_table_end(&table, stdout, status ? NULL : &error);
        if (!status) status = printed;
    }
    hg_store_close(store);
    hg_buf_free(&line);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
