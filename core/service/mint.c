/* mint.c: POST /v1/tokens: a server's token makes a short-lived one that can do less, for one
 * session in a browser. It ends with the one that made it, which pays for what it does and a lane
 * for the minting. */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/service/fields.h"
#include "core/service/http.h"
#include "core/service/json_out.h"

#define DEFAULT_S 600

typedef struct wish {
    unsigned scopes;
    json_int_t expires_s, rate; /* rate -1: the caller's */
    const char *label;
} wish;

static bool refuse(hg_exchange *x, unsigned status, const char *message)
{
    hg_answer_error(x, status, "%s", message);
    return false;
}

/* A whole number from low to high; absent: as it is. */
static bool read_number(const json_t *fields, const char *name, json_int_t low, json_int_t high,
                        json_int_t *out)
{
    const json_t *value = json_object_get(fields, name);
    if (!value || json_is_null(value)) return true;
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= low && *out <= high;
}

static bool read_wish(hg_exchange *x, const json_t *fields, wish *out)
{
    const json_t *scopes = json_object_get(fields, "scopes");
    const json_t *label = json_object_get(fields, "label");
    hg_error error;
    *out = (wish){.scopes = HG_SCOPE_TRANSLATE, .expires_s = DEFAULT_S, .rate = -1, .label = ""};
    if (scopes && !json_is_null(scopes)) {
        if (!json_is_string(scopes))
            return refuse(x, 400, "scopes must be words with commas between");
        if (hg_scopes_parse(json_string_value(scopes), &out->scopes, &error))
            return refuse(x, 400, error.message);
    }
    if (label && !json_is_null(label) && !json_is_string(label))
        return refuse(x, 400, "label must be a string");
    if (json_is_string(label)) out->label = json_string_value(label);
    if (strlen(out->label) >= HG_LIMIT_PLUGIN_TEXT) return refuse(x, 400, "label is too long");
    if (!read_number(fields, "expires_s", 1, HG_LIMIT_MINTED_S, &out->expires_s))
        return refuse(x, 400, "expires_s must be a number of seconds, at most a day's");
    if (!read_number(fields, "rate", 0, UINT32_MAX, &out->rate))
        return refuse(x, 400, "rate must be a number of lanes a minute");
    return true;
}

/* What is minted is never more than its maker. */
static bool bound(hg_exchange *x, wish *w)
{
    const hg_caller *c = &x->caller;
    if (w->scopes & HG_SCOPE_ADMIN)
        return refuse(x, 403, "no token with the scope admin is minted");
    if (!(c->scopes & HG_SCOPE_ADMIN) && w->scopes & ~c->scopes)
        return refuse(x, 403, "a minted token has no scope that its maker lacks");
    if (w->rate < 0 || (c->rate && (!w->rate || w->rate > c->rate))) w->rate = c->rate;
    return true;
}

static void answer(hg_exchange *x, const char *token, const hg_token_record *record)
{
    char date[HG_CLOCK_TEXT_MAX];
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    hg_clock_format(record->expires_us, date);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "token", token);
    hg_json_put_text(&json, "scopes", record->scopes);
    hg_json_put_text(&json, "expires_at", date);
    hg_json_put_integer(&json, "rate", record->rate);
    hg_json_end_object(&json);
    hg_answer_printed(x, &json);
}

static void mint(hg_exchange *x, const wish *w)
{
    char token[HG_TOKEN_TEXT], actor[HG_TOKEN_ID + 8];
    hg_token_record record = {.rate = (uint32_t)w->rate};
    hg_error error;
    hg_status status = hg_token_new(token, &record, &error);
    hg_scopes_print(w->scopes, record.scopes);
    snprintf(record.label, sizeof record.label, "%s", w->label);
    memcpy(record.parent, x->caller.hash, sizeof record.parent);
    snprintf(actor, sizeof actor, "token:%.*s", HG_TOKEN_ID, x->caller.hash);
    record.expires_us = record.created_us + w->expires_s * 1000000;
    if (x->caller.expires_us && record.expires_us > x->caller.expires_us)
        record.expires_us = x->caller.expires_us;
    hg_store *store = hg_runtime_store(hg_exchange_service(x)->shared.runtime);
    if (!status) status = hg_store_add_token(store, &record, actor, &error);
    if (status == HG_ERROR_LIMIT)
        hg_answer_error(x, 429, "%s", error.message);
    else if (status)
        hg_answer_error(x, 500, "the token could not be recorded; the log says why");
    else
        answer(x, token, &record);
}

void hg_mint_token(hg_exchange *x)
{
    json_t *fields;
    hg_error error;
    wish w;
    if (x->caller.failed) {
        (void)refuse(x, 503, "the store of tokens cannot be read");
        return;
    }
    if (!*x->caller.hash) {
        (void)refuse(x, 401, "a token is minted by a token: Authorization: Bearer TOKEN");
        return;
    }
    if (*x->caller.parent) {
        (void)refuse(x, 403, "a minted token mints none");
        return;
    }
    hg_status status = hg_fields_read(x->in.length ? x->content_type : "", hg_buf_text(&x->in),
                                      x->in.length, &fields, &error);
    if (status) {
        (void)refuse(x, status == HG_ERROR_UNSUPPORTED ? 415 : 400, error.message);
        return;
    }
    if (read_wish(x, fields, &w) && bound(x, &w) && hg_exchange_pay(x, 1)) mint(x, &w);
    json_decref(fields);
}
