/* ledger.h: a sink that books every event of a conversation and checks, as they come, the promises
 * of docs/PROTOCOL.md: one end per language, then one batch; committed pieces that join to the
 * beginning of every text of their epoch; epochs that never fall. For the tests of core/translate.
 *
 * One ledger belongs to one conversation. */
#ifndef HG_TESTS_LEDGER_H
#define HG_TESTS_LEDGER_H

#include <stdbool.h>

#include "core/translate/translate.h"

#define LEDGER_TEXT    16384
#define LEDGER_ENTRIES 4096

/* One language of one revision. */
typedef struct ledger_entry {
    char id[HG_LIMIT_ID + 1], language[80];
    int64_t rev;
    bool final, stream;
    uint32_t done, committed, tentative; /* events */
    uint32_t epoch, tokens, generation;
    char status[16], stop[16], plugin[80], source[64];
    hg_code code;
    double first_ms, total_ms;
    char *text; /* of DONE, owned */
} ledger_entry;

/* What a client has of one language of one sentence. */
typedef struct ledger_text {
    char id[HG_LIMIT_ID + 1], language[80];
    uint32_t epoch;
    char joined[LEDGER_TEXT];
} ledger_text;

typedef struct ledger {
    ledger_entry entry[LEDGER_ENTRIES];
    uint32_t entries;
    ledger_text *text[1024];
    uint32_t texts;
    uint32_t requests, batches;
    hg_batch_record batch; /* the last one */
} ledger;

ledger *ledger_new(void);
void ledger_free(ledger *book);

/* Books an accepted request: what is to come. language [count] is merged already. */
void ledger_accept(ledger *book, const hg_translate_request *request, const char *const *language,
                   uint32_t count);

/* The sink. */
void ledger_take(const hg_event *event, void *context);

/* The entry of (id, rev, language), or NULL. */
ledger_entry *ledger_find(ledger *book, const char *id, int64_t rev, const char *language);

/* What a client has of a language of a sentence; made empty when there is nothing yet. */
ledger_text *ledger_text_of(ledger *book, const char *id, const char *language);

#endif
