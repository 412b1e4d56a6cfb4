/* stream.h: one lane's tokens as text, whose beginning moves into its sentence's commit (commit.h).
 *
 * Tokens make raw text, raw text under the plugin's rules what is translated, and what the sentence
 * carries is put back into that (carry.h). commit.c has all of it. Belongs to the thread of the
 * conversation.
 */
#ifndef HG_TRANSLATE_STREAM_H
#define HG_TRANSLATE_STREAM_H

#include "core/text/rules.h"
#include "core/translate/carry.h"
#include "core/translate/commit.h"

/* Where a token's text ends. */
typedef struct hg_stream_mark {
    size_t raw_bytes; /* of the stream's raw text, up to and with this token */
    bool whole;       /* no unfinished character hangs on */
} hg_stream_mark;

/* What makes text of a lane's tokens. All of it outlives the stream. */
typedef struct hg_stream_setting {
    const hg_tokenizer *tokenizer;
    hg_rules *rules;       /* NULL: none */
    const hg_carry *carry; /* what the sentence carries; NULL: nothing */
    const char *gap;  /* [gap_bytes] between the closed sentences and this one; it becomes text */
    size_t gap_bytes; /* with its first words */
} hg_stream_setting;

typedef struct hg_stream {
    const hg_tokenizer *tokenizer;
    hg_rules *rules;
    const hg_carry *carry;
    hg_commit *commit; /* of the sentence, which outlives the stream */
    hg_decoder decoder;
    hg_tokens token;      /* of this lane, all */
    hg_stream_mark *mark; /* [token.count] */
    uint32_t mark_capacity;
    uint32_t settled;      /* tokens of this lane that are committed */
    hg_buf raw;            /* text of the tokens before rules, from commit->frozen on */
    hg_buf ruled;          /* the same under the rules, if there are some */
    hg_buf text;           /* committed and tentative together, as a reader sees it */
    hg_restoring restored; /* what the sentence carries in the end of text */
    hg_buf scratch, opened;
} hg_stream;

hg_status hg_stream_open(hg_stream *stream, hg_commit *commit,
                         const hg_stream_setting *setting) HG_CHECKED;
void hg_stream_close(hg_stream *stream);

/* Takes the lane's next tokens and renews text. */
hg_status hg_stream_push(hg_stream *stream, const int32_t *token, uint32_t count) HG_CHECKED;

/* Commits what is complete of the first raw_bytes of raw (SIZE_MAX: of all): whole words that end
 * where a token ends, outside of what is carried, and that neither the rules nor what is still to
 * be placed can change any more. source_bytes is what the commit rests on now. */
hg_status hg_stream_settle(hg_stream *stream, size_t raw_bytes, size_t source_bytes) HG_CHECKED;

/* The lane has ended: an unfinished character becomes U+FFFD, the rules see finished text, what it
 * should carry and did not is placed in it, and tail [bytes] follows it. */
hg_status hg_stream_finish(hg_stream *stream, const char *tail, size_t bytes) HG_CHECKED;

/* After finish: the whole text is committed, on the whole source. */
hg_status hg_stream_settle_all(hg_stream *stream, size_t source_bytes) HG_CHECKED;

/* What may follow the committed text. Valid until the next call. */
const char *hg_stream_tentative(const hg_stream *stream);

#endif
