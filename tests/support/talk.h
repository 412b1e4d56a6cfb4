/* talk.h: a conversation with the real runtime on hydra-tiny, and the ledger that books it. For the
 * tests of core/translate.
 */
#ifndef HG_TESTS_TALK_H
#define HG_TESTS_TALK_H

#include "tests/support/ledger.h"

typedef struct talk {
    hg_runtime *runtime; /* the caller's */
    hg_conversation *conversation;
    ledger *book;
} talk;

/* What serve does when nothing else is asked for; nothing committed or held back before the end. */
#define TALK_POLICY                                                                                \
    ((hg_policy){                                                                                  \
        .agreement = 3, .least_words = 2, .ahead = 1, .hold_back = 1, .likely = 2, .patience = 2})
#define TALK_AT_ONCE ((hg_policy){0})

/* The runtime with all bundled plugins ready; NULL, with a message printed, when that fails. */
hg_runtime *talk_runtime(hg_drafts drafts, hg_policy policy);

talk talk_new(hg_runtime *runtime);
void talk_end(talk *t);

/* The languages of all bundled plugins but English's. */
extern const char *const talk_nine[9];

/* Has the English text translated into all nine, streamed, and books that; refused fails the test.
 */
void talk_say(talk *t, const char *id, int64_t rev, const char *text, bool final);

/* Until nothing of the conversation runs: then every request has had its batch, every language of
 * each its one end. */
void talk_drain(talk *t);

#endif
