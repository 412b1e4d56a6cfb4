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

/* HG_ERROR_NOT_FOUND is usual; anything else is told. */
static bool look_up(hg_token_reader *reader, const char *hash, hg_token_record *record)
{
    hg_error error;
    hg_status status = hg_token_find(reader, hash, record, &error);
    if (status && status != HG_ERROR_NOT_FOUND)
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
    return !status && (!record->expires_us || record->expires_us > hg_clock_wall_us());
}

hg_caller hg_caller_find(hg_token_reader *reader, const char *token, size_t count)
{
    hg_caller caller = {0};
    hg_token_record record;
    hg_error error;
    char hash[HG_SHA256_HEX];
    if (!reader || count != HG_TOKEN_TEXT - 1 || hg_sha256(token, count, hash, &error) ||
        !look_up(reader, hash, &record))
        return caller;
    if (hg_scopes_parse(record.scopes, &caller.scopes, &error)) {
        hg_log(HG_LOG_ERROR, "service", "token %.*s: %s", HG_TOKEN_ID, hash, error.message);
        return (hg_caller){0};
    }
    memcpy(caller.hash, record.hash, sizeof caller.hash);
    caller.expires_us = record.expires_us;
    caller.rate = record.rate;
    caller.minted = *record.parent;
    return caller;
}

bool hg_caller_stays(hg_token_reader *reader, const hg_caller *caller)
{
    hg_token_record record;
    return look_up(reader, caller->hash, &record);
}

/* ---- rates ---- */

/* The caller's place; a new one has its whole minute. */
static uint32_t place_of(hg_rates *rates, const hg_caller *caller, int64_t now_us)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < rates->count; i++) {
        if (strcmp(rates->of[i].hash, caller->hash) == 0) return i;
        if (rates->of[i].at_us < rates->of[oldest].at_us) oldest = i;
    }
    uint32_t at = rates->count < HG_RATES ? rates->count++ : oldest;
    memcpy(rates->of[at].hash, caller->hash, sizeof caller->hash);
    rates->of[at].lanes = caller->rate;
    rates->of[at].at_us = now_us;
    return at;
}

uint32_t hg_rate_take(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us)
{
    if (!*caller->hash || !caller->rate) return 0;
    uint32_t at = place_of(rates, caller, now_us);
    double whole = caller->rate, per_us = whole / 60e6;
    double left = rates->of[at].lanes + (double)(now_us - rates->of[at].at_us) * per_us;
    if (left > whole) left = whole;
    rates->of[at].at_us = now_us;
    double wanted = (double)lanes < whole ? (double)lanes : whole;
    rates->of[at].lanes = left >= wanted ? left - (double)lanes : left;
    return left >= wanted ? 0 : (uint32_t)((wanted - left) / per_us / 1000) + 1;
}
