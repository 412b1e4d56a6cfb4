/* commit.h: the tokens of one lane become text, part of it for good.
 *
 * A *commit* is what was committed of one language of one text in its present epoch: its words,
 * the tokens that made those of the open sentence (the forced prefix of later revisions) and how
 * much of the source it rests on. Sentences that are finished are *closed*: their words stand,
 * their tokens are forgotten. A *stream* is one lane of one revision in the open sentence: it
 * starts from the commit, takes the lane's tokens, and moves what can no longer change from
 * tentative to committed.
 *
 * Each piece committed is a *step*, and so is each closed sentence, in the place of its pieces:
 * where a person changes the source, the commit goes back to the last step that does not rest on
 * it.
 *
 * Invariant: every text of a stream begins with its commit's text. Where the rules of a plugin
 * break their own promise (an application to longer text that does not begin with what was
 * settled), the committed text is frozen and the rules go on with what follows it.
 *
 * All of this belongs to one thread, the owner of the conversation.
 */
#ifndef HG_TRANSLATE_COMMIT_H
#define HG_TRANSLATE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/text/tokenizer.h"

typedef struct hg_commit_step {
    size_t source_bytes; /* of the source that everything up to here rests on */
    bool source_whole;   /* they were the whole text, its last word included */
    uint32_t closed;     /* sentences, all in steps of their own */
    uint32_t spans;      /* that are carried in its text: those before this index may be */
    uint64_t placed;     /* as the commit's */
    uint32_t tokens;     /* of the open sentence; what follows are bytes of the commit's */
    size_t text, raw, frozen;
} hg_commit_step;

typedef struct hg_commit {
    uint32_t epoch;
    hg_tokens token;      /* that the text of the open sentence rests on */
    hg_buf text;          /* all committed pieces joined */
    size_t told;          /* bytes of text that went out in this epoch */
    size_t frozen;        /* bytes of text that the rules see no more */
    uint64_t placed;      /* the open sentence's carried spans that stand in them */
    hg_buf gap;           /* what stands between them and the open sentence's raw text */
    hg_buf raw;           /* the tokens' own text of what follows the frozen bytes */
    hg_commit_step *step; /* [steps] owned; the last one is where the commit is */
    uint32_t steps, steps_room;
} hg_commit;

void hg_commit_start(hg_commit *commit, uint32_t epoch);
void hg_commit_free(hg_commit *commit);
/* The person changed what later steps rest on: the next epoch begins with the first steps. */
void hg_commit_back(hg_commit *commit, uint32_t steps);

/* Where the commit was after its first steps, and where it is; all 0 before the first one. */
hg_commit_step hg_commit_after(const hg_commit *commit, uint32_t steps);
hg_commit_step hg_commit_at(const hg_commit *commit);

/* The open sentence is finished, all its text committed: its steps become one, its tokens go, and
 * the next sentence begins. */
hg_status hg_commit_close(hg_commit *commit, size_t source_bytes) HG_CHECKED;
/* The next sentence is closed by a translation that is known: gap [gap_bytes] and text [bytes]. */
hg_status hg_commit_known(hg_commit *commit, const char *gap, size_t gap_bytes, const char *text,
                          size_t bytes, size_t source_bytes) HG_CHECKED;

/* A text that no lane made (a target that is the source) is committed: text [bytes] begins with
 * what was committed before. */
hg_status hg_commit_whole(hg_commit *commit, const char *text, size_t bytes,
                          size_t source_bytes) HG_CHECKED;

#endif
