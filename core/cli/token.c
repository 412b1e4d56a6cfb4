/* token.c: `hydraglot token add | list | revoke`: access tokens, also beside a running service. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/cli/cli.h"
#include "core/cli/table.h"
#include "core/service/access.h"
#include "core/service/json_out.h"

#define DAY_US (INT64_C(86400) * 1000000)

static void date_of(int64_t us, char text[HG_CLOCK_TEXT_MAX])
{
    if (us)
        hg_clock_format(us, text);
    else
        snprintf(text, HG_CLOCK_TEXT_MAX, "never");
}

/* {"id","scopes",...} of a record; token NULL: it is not known any more. */
static hg_status print_json(const hg_token_record *r, const char *token)
{
    char date[HG_CLOCK_TEXT_MAX];
    hg_buf out = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&out);
    hg_json_begin_object(&json, NULL);
    snprintf(date, sizeof date, "%.*s", HG_TOKEN_ID, r->hash);
    hg_json_put_text(&json, "id", date);
    if (token) hg_json_put_text(&json, "token", token);
    hg_json_put_text(&json, "scopes", r->scopes);
    hg_json_put_text(&json, "label", r->label);
    date_of(r->created_us, date);
    hg_json_put_text(&json, "created_at", date);
    date_of(r->expires_us, date);
    hg_json_put_text(&json, "expires_at", date);
    hg_json_put_integer(&json, "rate", r->rate);
    hg_json_put_bool(&json, "minted", *r->parent);
    hg_json_end_object(&json);
    if (!json.status) printf("%s\n", hg_buf_text(&out));
    hg_buf_free(&out);
    return json.status;
}

int hg_command_token_add(const hg_settings *settings)
{
    hg_error error = {0};
    hg_store *store = NULL;
    unsigned scopes;
    char token[HG_TOKEN_TEXT];
    hg_token_record record = {.rate = (uint32_t)settings->rate};
    const char *label = settings->label ? settings->label : "";
    hg_status status = hg_scopes_parse(settings->scope, &scopes, &error);
    if (status) {
        hg_fail_within(&error, "--scope");
        return hg_cli_fail(&error);
    }
    hg_scopes_print(scopes, record.scopes);
    snprintf(record.label, sizeof record.label, "%s", label);
    status = hg_token_new(token, &record, &error);
    if (settings->expires) record.expires_us = record.created_us + settings->expires * DAY_US;
    if (!status) status = hg_cli_open_store(settings->data, &store, &error);
    if (!status) status = hg_store_add_token(store, &record, "command line", &error);
    hg_store_close(store);
    if (status) return hg_cli_fail(&error);
    if (settings->json) return print_json(&record, token) ? HG_EXIT_FAILURE : HG_EXIT_OK;
    printf("%s\n", token);
    fputs("This is shown once: only the token's digest is kept.\n", stderr);
    return HG_EXIT_OK;
}

static int print_json_row(const hg_token_record *record, void *context)
{
    (void)context;
    return print_json(record, NULL) != HG_OK;
}

static int print_row(const hg_token_record *r, void *context)
{
    hg_table *table = context;
    char created[HG_CLOCK_TEXT_MAX], expires[HG_CLOCK_TEXT_MAX];
    date_of(r->created_us, created);
    date_of(r->expires_us, expires);
    hg_table_cell(table, "%.*s", HG_TOKEN_ID, r->hash);
    hg_table_cell(table, "%s", r->scopes);
    hg_table_cell(table, "%s", created);
    hg_table_cell(table, "%s", expires);
    hg_table_cell(table, "%" PRIu32, r->rate);
    hg_table_cell(table, "%.*s", *r->parent ? HG_TOKEN_ID : 0, r->parent);
    hg_table_cell(table, "%s", r->label);
    return 0;
}

int hg_command_token_list(const hg_settings *settings)
{
    static const char *const titles[] = {"id",    "scopes",    "created", "expires",
                                         ">rate", "minted by", "label",   NULL};
    hg_error error = {0};
    hg_store *store = NULL;
    hg_table table;
    hg_status status = hg_store_open_read(settings->data, &store, &error);
    if (!status && settings->json) {
        status = hg_store_each_token(store, print_json_row, NULL, &error);
    } else if (!status) {
        hg_table_start(&table, titles);
        status = hg_store_each_token(store, print_row, &table, &error);
        hg_status printed = hg_table_end(&table, stdout, status ? NULL : &error);
        if (!status) status = printed;
    }
    hg_store_close(store);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}

int hg_command_token_revoke(const hg_settings *settings)
{
    hg_error error = {0};
    hg_store *store = NULL;
    const char *id = settings->words ? settings->word[0] : "";
    hg_status status = HG_OK;
    if (strlen(id) < 4)
        status = hg_fail(&error, HG_ERROR_ARGUMENT,
                         "which token? give four or more characters of its id; `token list` shows "
                         "them");
    if (!status) status = hg_cli_open_store(settings->data, &store, &error);
    if (!status) status = hg_store_revoke_token(store, id, "command line", &error);
    hg_store_close(store);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
