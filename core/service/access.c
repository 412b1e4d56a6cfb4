/* access.c: see access.h. */
#include "core/service/access.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"

/* ---- scopes ---- */

static const struct {
    const char *name;
    unsigned bit;
} scopes_table[] = {
    {"translate", HG_SCOPE_TRANSLATE},
    {"admin", HG_SCOPE_ADMIN},
    {"metrics", HG_SCOPE_METRICS},
};

#define SCOPES (sizeof scopes_table / sizeof *scopes_table)

hg_status hg_scopes_parse(const char *text, unsigned *out, hg_error *error)
{
    *out = 0;
    while (*text) {
        size_t count = strcspn(text, ","), i = 0;
        while (i < SCOPES && (strlen(scopes_table[i].name) != count ||
                              memcmp(scopes_table[i].name, text, count) != 0))
            i++;
        if (i == SCOPES)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "\"%.*s\" is no scope; expected translate, admin or metrics",
                           (int)(count < 64 ? count : 64), text);
        *out |= scopes_table[i].bit;
        text += count + (text[count] == ',');
    }
    return *out ? HG_OK : hg_fail(error, HG_ERROR_ARGUMENT, "no scope is given");
}

void hg_scopes_print(unsigned scopes, char *out)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < SCOPES; i++) {
        if (!(scopes & scopes_table[i].bit)) continue;
        used += (size_t)snprintf(out + used, HG_TOKEN_SCOPES - used, "%s%s", used ? "," : "",
                                 scopes_table[i].name);
    }
    assert(used < HG_TOKEN_SCOPES);
}

/* ---- tokens ---- */

hg_status hg_token_new(char *text, hg_token_record *record, hg_error *error)
{
    unsigned char random[32];
    unsigned char base64[48]; /* 44 characters, the last one is padding */
    if (RAND_bytes(random, sizeof random) != 1)
        return hg_fail(error, HG_ERROR_STATE, "no random bytes for a token");
    EVP_EncodeBlock(base64, random, sizeof random);
    for (int i = 0; i < HG_TOKEN_TEXT - 1; i++)
        text[i] = (char)(base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i]);
    text[HG_TOKEN_TEXT - 1] = '\0';
    record->created_us = hg_clock_wall_us();
    return hg_sha256(text, HG_TOKEN_TEXT - 1, record->hash, error);
}

/* HG_ERROR_NOT_FOUND, also of what expired, is usual; anything else is told. */
static hg_status look_up(hg_token_reader *reader, const char *hash, hg_token_record *record)
{
    hg_error error;
    hg_status status = hg_token_find(reader, hash, record, &error);
    if (status && status != HG_ERROR_NOT_FOUND)
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
    bool expired = !status && record->expires_us && record->expires_us <= hg_clock_wall_us();
    return expired ? HG_ERROR_NOT_FOUND : status;
}

hg_caller hg_caller_find(hg_token_reader *reader, const char *token, size_t count)
{
    hg_caller caller = {0};
    hg_token_record record, parent = {0};
    hg_error error;
    char hash[HG_SHA256_HEX];
    if (!reader || count != HG_TOKEN_TEXT - 1 || hg_sha256(token, count, hash, &error))
        return caller;
    hg_status status = look_up(reader, hash, &record);
    if (!status && *record.parent) status = look_up(reader, record.parent, &parent);
    caller.failed = status && status != HG_ERROR_NOT_FOUND;
    if (status) return caller;
    if (hg_scopes_parse(record.scopes, &caller.scopes, &error)) {
        hg_log(HG_LOG_ERROR, "service", "token %.*s: %s", HG_TOKEN_ID, hash, error.message);
        return (hg_caller){0};
    }
    memcpy(caller.hash, record.hash, sizeof caller.hash);
    caller.expires_us = record.expires_us;
    caller.rate = record.rate;
    memcpy(caller.parent, record.parent, sizeof caller.parent);
    caller.parent_rate = parent.rate;
    return caller;
}

bool hg_caller_ended(hg_token_reader *reader, const hg_caller *caller, bool changed, bool *unsure)
{
    hg_token_record record;
    if (!*caller->hash) return false;
    if (caller->expires_us && caller->expires_us <= hg_clock_wall_us()) return true;
    hg_status status = changed ? look_up(reader, caller->hash, &record) : HG_OK;
    *unsure |= status && status != HG_ERROR_NOT_FOUND;
    return status == HG_ERROR_NOT_FOUND;
}

/* ---- rates ---- */

/* The token's place; a new one has its whole minute. */
static uint32_t place_of(hg_rates *rates, const char *hash, uint32_t rate, int64_t now_us)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < rates->count; i++) {
        if (strcmp(rates->of[i].hash, hash) == 0) return i;
        if (rates->of[i].at_us < rates->of[oldest].at_us) oldest = i;
    }
    uint32_t at = rates->count < HG_RATES ? rates->count++ : oldest;
    memcpy(rates->of[at].hash, hash, HG_TOKEN_HASH);
    rates->of[at].lanes = rate;
    rates->of[at].at_us = now_us;
    return at;
}

/* Brings the token's minute up to now; the ms until it has room for lanes. */
static uint32_t wait_for(hg_rates *rates, const char *hash, uint32_t rate, uint64_t lanes,
                         int64_t now_us)
{
    if (!*hash || !rate) return 0;
    uint32_t at = place_of(rates, hash, rate, now_us);
    double whole = rate, per_us = whole / 60e6;
    double left = rates->of[at].lanes + (double)(now_us - rates->of[at].at_us) * per_us;
    if (left > whole) left = whole;
    rates->of[at].lanes = left;
    rates->of[at].at_us = now_us;
    double wanted = (double)lanes < whole ? (double)lanes : whole;
    return left >= wanted ? 0 : (uint32_t)((wanted - left) / per_us / 1000) + 1;
}

uint32_t hg_rate_wait(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us)
{
    uint32_t own_ms = wait_for(rates, caller->hash, caller->rate, lanes, now_us);
    uint32_t parent_ms = wait_for(rates, caller->parent, caller->parent_rate, lanes, now_us);
    return own_ms > parent_ms ? own_ms : parent_ms;
}

static void draw(hg_rates *rates, const char *hash, uint32_t rate, uint64_t lanes, int64_t now_us)
{
    if (*hash && rate) rates->of[place_of(rates, hash, rate, now_us)].lanes -= (double)lanes;
}

void hg_rate_pay(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us)
{
    draw(rates, caller->hash, caller->rate, lanes, now_us);
    draw(rates, caller->parent, caller->parent_rate, lanes, now_us);
}

uint32_t hg_rate_take(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us)
{
    uint32_t wait_ms = hg_rate_wait(rates, caller, lanes, now_us);
    if (!wait_ms) hg_rate_pay(rates, caller, lanes, now_us);
    return wait_ms;
}
