/* tokens.h: access tokens in the store: only their SHA-256 is there.
 *
 * Any thread, but for a reader, which has one.
 */
#ifndef HG_DB_TOKENS_H
#define HG_DB_TOKENS_H

#include "db/store.h"

#define HG_TOKEN_HASH   65 /* 64 hex digits and the NUL */
#define HG_TOKEN_SCOPES 64
#define HG_TOKEN_ID     12 /* hex digits of its hash by which people name a token */

typedef struct hg_token_record {
    char hash[HG_TOKEN_HASH], parent[HG_TOKEN_HASH]; /* parent: the token that minted it, or "" */
    char scopes[HG_TOKEN_SCOPES];                    /* words with commas between */
    char label[HG_LIMIT_PLUGIN_TEXT];
    int64_t created_us, expires_us; /* wall clock; expires_us 0: never */
    uint32_t rate;                  /* lanes a minute; 0: no bound */
} hg_token_record;

/* Records a token and an audit row that actor made it; expired ones leave. On the disk when it
 * returns, unless it was minted: then it survives the process, not a power cut. HG_ERROR_LIMIT
 * when its parent has minted as many that live as may. */
hg_status hg_store_add_token(hg_store *store, const hg_token_record *token, const char *actor,
                             hg_error *error) HG_CHECKED;

/* Deletes the one token whose hash begins with id, and what it minted. HG_ERROR_NOT_FOUND;
 * HG_ERROR_ARGUMENT when there are several. */
hg_status hg_store_revoke_token(hg_store *store, const char *id, const char *actor,
                                hg_error *error) HG_CHECKED;

/* Calls row for each token, oldest first. A non-zero return ends it. */
hg_status hg_store_each_token(hg_store *store,
                              int (*row)(const hg_token_record *token, void *context),
                              void *context, hg_error *error) HG_CHECKED;

/* Makes first the database's first token, once in its life: *made is false when there was one
 * before, even if it is gone. */
hg_status hg_store_first_token(hg_store *store, const hg_token_record *first, bool *made,
                               hg_error *error) HG_CHECKED;

/* Looks tokens up over a connection of its own. One thread. */
typedef struct hg_token_reader hg_token_reader;
hg_status hg_token_reader_open(hg_store *store, hg_token_reader **out, hg_error *error) HG_CHECKED;
void hg_token_reader_close(hg_token_reader *reader); /* NULL is allowed */
/* HG_ERROR_NOT_FOUND: nobody has this hash. */
hg_status hg_token_find(hg_token_reader *reader, const char *hash, hg_token_record *out,
                        hg_error *error) HG_CHECKED;
/* Whether the database may have changed since the last call. */
bool hg_token_reader_changed(hg_token_reader *reader);

#endif
