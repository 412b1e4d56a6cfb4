/* batches.c: `hydraglot batches`: the newest rows of the log, also beside a running service. */
#include <inttypes.h>

#include "core/base/clock.h"
#include "core/cli/cli.h"
#include "core/cli/table.h"

static int print_json(const hg_batch_record *batch, void *context)
{
    hg_buf *out = context;
    hg_buf_clear(out);
    if (hg_batch_row_json(batch, out)) return 1;
    printf("%s\n", hg_buf_text(out));
    return 0;
}

static int print_row(const hg_batch_record *batch, void *context)
{
    hg_table *table = context;
    char date[HG_CLOCK_TEXT_MAX];
    hg_clock_format(batch->started_us, date);
    hg_table_cell(table, "%" PRId64, batch->id);
    hg_table_cell(table, "%s", date);
    hg_table_cell(table, "%s", batch->source_language);
    hg_table_cell(table, "%u", batch->source_chars);
    hg_table_cell(table, "%u", batch->lanes);
    hg_table_cell(table, "%u", batch->decode_tokens);
    hg_table_cell(table, "%.1f", batch->queue_ms);
    hg_table_cell(table, "%.1f", batch->prefill_ms);
    hg_table_cell(table, "%.1f", batch->first_ms);
    hg_table_cell(table, "%.1f", batch->total_ms);
    hg_table_cell(table, "%.0f", batch->tokens_per_s);
    hg_table_cell(table, "%s", batch->device);
    return 0;
}

static hg_status print_table(hg_store *store, uint32_t count, hg_error *error)
{
    static const char *const titles[] = {
        ">batch",      "started",   "from",      ">chars",    ">lanes", ">tokens", ">queue ms",
        ">prefill ms", ">first ms", ">total ms", ">tokens/s", "device", NULL};
    hg_table table;
    hg_table_start(&table, titles);
    hg_status status = hg_store_each_batch(store, count, print_row, &table, error);
    hg_status printed = hg_table_end(&table, stdout, status ? NULL : error);
    return status ? status : printed;
}

int hg_command_batches(const hg_settings *settings)
{
    hg_error error = {0};
    hg_store *store = NULL;
    hg_buf line = hg_buf_new(HG_LIMIT_EVENT);
    uint32_t count = (uint32_t)settings->count;
    hg_status status = hg_store_open_read(settings->data, &store, &error);
    if (!status && settings->json)
        status = hg_store_each_batch(store, count, print_json, &line, &error);
    else if (!status)
        status = print_table(store, count, &error);
    hg_store_close(store);
    hg_buf_free(&line);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
