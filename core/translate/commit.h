/* commit.h: the tokens of one lane become text, part of it for good.
 *
 * A *commit* is what was committed of one language of one sentence in its present epoch: its text,
 * the tokens that made it (the forced prefix of later revisions) and how much of the source it
 * rests on. A *stream* is one lane of one revision: it starts from the commit, takes the lane's
 * tokens, and moves what can no longer change from tentative to committed.
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
#include "core/text/rules.h"
#include "core/text/tokenizer.h"

typedef struct hg_commit {
    uint32_t epoch;
    hg_tokens token;     /* that text rests on */
    hg_buf text;         /* all committed pieces joined */
    size_t frozen;       /* bytes of text that the rules see no more */
    hg_buf raw;          /* the tokens' own text of what follows the frozen bytes */
    size_t source_bytes; /* of the source that it rests on */
    bool source_whole;   /* they were the whole sentence, its last word included */
} hg_commit;

void hg_commit_start(hg_commit *commit, uint32_t epoch);
void hg_commit_free(hg_commit *commit);
/* The person changed what the commit rests on: the next epoch begins, empty. */
void hg_commit_restart(hg_commit *commit);

/* Where a token's text ends. */
typedef struct hg_stream_mark {
    size_t raw_bytes; /* of the stream's raw text, up to and with this token */
    bool whole;       /* no unfinished character hangs on */
} hg_stream_mark;

typedef struct hg_stream {
    const hg_tokenizer *tokenizer;
    hg_rules *rules;   /* NULL: none */
    hg_commit *commit; /* of the sentence, which outlives the stream */
    hg_decoder decoder;
    hg_tokens token;      /* of this lane, all */
    hg_stream_mark *mark; /* [token.count] */
    uint32_t mark_capacity;
    uint32_t settled; /* tokens of this lane that are committed */
    hg_buf raw;       /* text of the tokens before rules, from commit->frozen on */
    hg_buf text;      /* committed and tentative together, as a reader sees it */
    hg_buf scratch;
} hg_stream;

hg_status hg_stream_open(hg_stream *stream, const hg_tokenizer *tokenizer, hg_rules *rules,
                         hg_commit *commit) HG_CHECKED;
void hg_stream_close(hg_stream *stream);

/* Takes the lane's next tokens and renews text. */
hg_status hg_stream_push(hg_stream *stream, const int32_t *token, uint32_t count) HG_CHECKED;

/* Commits what is complete of the first raw_bytes of raw (SIZE_MAX: of all): whole words that end
 * where a token ends and that the rules cannot change any more. The new piece is text from the
 * return's *from (bytes) to the commit's length; nothing new: *from is the length. source_bytes is
 * what the commit rests on now. */
hg_status hg_stream_settle(hg_stream *stream, size_t raw_bytes, size_t source_bytes,
                           size_t *from) HG_CHECKED;

/* The lane has ended: an unfinished character becomes U+FFFD, the rules see finished text. */
hg_status hg_stream_finish(hg_stream *stream) HG_CHECKED;

/* After finish: the whole text is committed, on the whole source. *from as in hg_stream_settle. */
hg_status hg_stream_settle_all(hg_stream *stream, size_t source_bytes, size_t *from) HG_CHECKED;

/* A text that no lane made (a target that is the source) is committed: text [bytes] begins with
 * what was committed before. *from as in hg_stream_settle. */
hg_status hg_commit_whole(hg_commit *commit, const char *text, size_t bytes, size_t source_bytes,
                          size_t *from) HG_CHECKED;

/* What may follow the committed text. Valid until the next call. */
const char *hg_stream_tentative(const hg_stream *stream);

#endif
