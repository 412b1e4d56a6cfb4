/* access.h: who asks, and what they may.
 *
 * A token is 32 random bytes as 43 characters of base64url; the store has its SHA-256. It comes in
 * `Authorization: Bearer`, in a browser's websocket as a subprotocol entry, from LibreTranslate's
 * clients as `api_key`. On loopback, and not through a proxy, translation and metrics need none; a
 * token that nobody knows is then as good as none.
 *
 * Service thread only, but for the functions on scopes and on new tokens, which are pure.
 */
#ifndef HG_SERVICE_ACCESS_H
#define HG_SERVICE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "db/tokens.h"

enum {
    HG_SCOPE_TRANSLATE = 1 << 0,
    HG_SCOPE_ADMIN = 1 << 1, /* all others too */
    HG_SCOPE_METRICS = 1 << 2,
};

#define HG_TOKEN_TEXT 44 /* 43 characters and the NUL */

/* Who asks. */
typedef struct hg_caller {
    char hash[HG_TOKEN_HASH];   /* of the token; "": none */
    char parent[HG_TOKEN_HASH]; /* that minted it, so it mints none itself; "": none did */
    unsigned scopes;
    int64_t expires_us;         /* wall clock; 0: never */
    uint32_t rate, parent_rate; /* lanes a minute; 0: no bound */
    bool failed;                /* the store could not be asked */
} hg_caller;

/* "translate,metrics" to bits; HG_ERROR_ARGUMENT names the word that is no scope. */
hg_status hg_scopes_parse(const char *text, unsigned *out, hg_error *error) HG_CHECKED;
/* And back, into out [HG_TOKEN_SCOPES]. */
void hg_scopes_print(unsigned scopes, char *out);

/* A fresh token into text [HG_TOKEN_TEXT] and its hash into record, whose created_us is now. */
hg_status hg_token_new(char *text, hg_token_record *record, hg_error *error) HG_CHECKED;

/* The caller who shows a token of count characters; none that is unknown, expired or malformed
 * counts. reader NULL: nobody is known. */
hg_caller hg_caller_find(hg_token_reader *reader, const char *token, size_t count);
/* Whether the caller had a token and it expired or, when the store has changed, was revoked. A
 * store that cannot be asked revokes nothing: *unsure becomes true, to ask again. */
bool hg_caller_ended(hg_token_reader *reader, const hg_caller *caller, bool changed, bool *unsure);

/* ---- rates: lanes a minute of each token; a minted one's count for its maker too ---- */
#define HG_RATES 1024 /* tokens at once; the one used the longest ago is forgotten, full */

typedef struct hg_rates {
    struct {
        char hash[HG_TOKEN_HASH];
        double lanes; /* left; below 0 after a request larger than the rate */
        int64_t at_us;
    } of[HG_RATES]; /* [count] */
    uint32_t count;
} hg_rates;

/* The ms until the caller's minute has room for lanes; 0: now. A request above the whole rate is
 * let through when nothing of the minute is used, and paid later. */
uint32_t hg_rate_wait(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us);
/* Takes lanes from the caller's minute. */
void hg_rate_pay(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us);
/* Both: 0 when they were taken, else the ms to wait. */
uint32_t hg_rate_take(hg_rates *rates, const hg_caller *caller, uint64_t lanes, int64_t now_us);

#endif
