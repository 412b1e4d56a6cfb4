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

/* The runtime with all bundled plugins ready; NULL, with a message printed, when that fails. */
hg_runtime *talk_runtime(hg_drafts drafts);

talk talk_new(hg_runtime *runtime);
void talk_end(talk *t);

/* Until nothing of the conversation runs: then every request has had its batch, every language of
 * each its one end. */
void talk_drain(talk *t);

#endif
