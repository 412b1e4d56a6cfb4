/* segments.h: a request's text is translated sentence by sentence.
 *
 * The sentences are those of core/text/sentences.h. All but the last one are finished: their
 * borders stay whatever follows. A lane translates the first sentence of its language that is not
 * closed yet; when it has come to its end and another one follows, it is *closed*: its translation
 * is committed as a whole and leaves the prompt. The last sentence is *open*: what is committed of
 * it is the policy's to say, or all of it when the revision is final. So a text of any length costs
 * what its last sentence costs, and the order is kept in each language.
 *
 * One engine job is one *round*: the next sentence of each language, which need not be the same
 * one. What stands between two sentences, and letterless text behind the last one (an emoji, a
 * number), comes along byte for byte.
 */
#ifndef HG_TRANSLATE_SEGMENTS_H
#define HG_TRANSLATE_SEGMENTS_H

#include "core/translate/request.h"

/* Finds them; the source language is known. HG_ERROR_MEMORY. */
hg_status hg_request_split(hg_request *request) HG_CHECKED;
/* Which steps of the language's commit hold, with which sentence it goes on, or how it ends. */
void hg_request_place(const hg_request *request, hg_request_lane *lane,
                      const hg_sentence *sentence);
/* Whether the lane is at the last sentence, which stays open. */
bool hg_request_is_open(const hg_request *request, const hg_request_lane *lane);
/* The lane's sentence [bytes]. */
const char *hg_request_segment(const hg_request *request, const hg_request_lane *lane,
                               size_t *bytes);
/* What the lane's sentence carries, in a text that begins where sentences count from. */
hg_carry_of hg_request_carry(const hg_request *request, const hg_request_lane *lane);
/* The streams of the round that begins carry what later revisions must carry alike. */
void hg_request_remember(hg_request *request);
/* The lane's stream is at its end. Whether the sentence is to be translated again, with other
 * stand-ins, in the next round: it lost something that it should carry. */
bool hg_request_retry(hg_request_lane *lane);
/* What stands before a sentence, or (segment is their count) behind the last one. */
const char *hg_request_gap(const hg_request *request, uint32_t segment, size_t *bytes);
/* The lane's stream is finished, and another sentence follows. */
hg_status hg_request_close_segment(hg_request *request, hg_request_lane *lane) HG_CHECKED;
/* prepare.c: one job with a lane for each language that has not ended. False: refused. */
bool hg_request_submit(hg_request *request, hg_refusal *refusal);
/* Reads the figures of the request's jobs. */
void hg_request_read_job(hg_request *request);
/* When the job has ended and languages have sentences left: the next job, or (waits) later. */
void hg_request_next_round(hg_request *request);

#endif
