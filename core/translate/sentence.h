/* sentence.h: what a conversation remembers of each id: the last revision, its text, and what was
 * committed of each language and what its last translation had beyond that.
 *
 * A text may be of several sentences: see core/translate/segments.h. Translations of those that
 * were closed are remembered by their source: when an edit before them takes them back, they come
 * again without the engine.
 *
 * A conversation keeps HG_LIMIT_SENTENCES of them; the least recently used one that does not run
 * leaves when a new one comes. All of this belongs to the thread of the conversation.
 */
#ifndef HG_TRANSLATE_SENTENCE_H
#define HG_TRANSLATE_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text/language.h"
#include "core/text/sentences.h"
#include "core/translate/carry.h"
#include "core/translate/commit.h"
#include "core/translate/policy.h"

#define HG_TARGET_MAX (HG_LIMIT_PLUGIN_NAME + 8) /* "plugin:" and a name, or a tag */

/* A sentence that was closed, and its translation. */
typedef struct hg_known {
    char *source, *text; /* owned */
} hg_known;

/* One language of a sentence, known by its canonical tag or "plugin:NAME". */
typedef struct hg_sentence_language {
    char key[HG_TARGET_MAX];
    hg_commit commit;
    hg_carried_past carried; /* of its open sentence, by the last revision */
    hg_tokens rest; /* of the last translation, behind what was committed then: the next draft */
    hg_past past;   /* what earlier revisions said behind what is committed now */
    hg_buf shown;   /* what a reader sees of it, by the last event that said so */
    uint32_t shown_epoch;           /* of that event */
    hg_known known[HG_LIMIT_KNOWN]; /* [knowns] oldest first, made by the same adapter */
    uint32_t knowns;
    uint64_t adapter_key; /* of the adapter that made rest */
    int64_t rev;          /* the last one that asked for it */
} hg_sentence_language;

typedef struct hg_sentence {
    char id[HG_LIMIT_ID * 4 + 1];
    int64_t rev;          /* the last accepted one */
    bool ended_final;     /* a final revision came to its end */
    uint32_t epoch_floor; /* where a language begins that this sentence does not know (any more) */
    hg_buf text;          /* of the last revision, without leading white space */
    hg_tag source;        /* its language */
    uint32_t edits;       /* revisions in a row that changed more than the last word */
    uint64_t used;        /* when it was last used, by the set's count */
    hg_sentence_language *language[HG_LIMIT_LANES]; /* [languages] owned */
    uint32_t languages;
    struct hg_request *running; /* the last revision, until its last language ended */
} hg_sentence;

typedef struct hg_sentence_set {
    hg_sentence *sentence[HG_LIMIT_SENTENCES]; /* [count] owned */
    uint32_t count;
    uint64_t uses;
} hg_sentence_set;

void hg_sentence_set_free(hg_sentence_set *set);
hg_sentence *hg_sentence_find(const hg_sentence_set *set, const char *id);

/* Makes a sentence that is in no set yet; NULL without memory. */
hg_sentence *hg_sentence_new(const char *id);
void hg_sentence_free(hg_sentence *sentence);
/* Puts it into the set; the least recently used one that does not run leaves if need be. False,
 * and nothing changed, when all of them run. */
bool hg_sentence_set_add(hg_sentence_set *set, hg_sentence *sentence);
void hg_sentence_use(hg_sentence_set *set, hg_sentence *sentence);

hg_sentence_language *hg_sentence_language_find(const hg_sentence *sentence, const char *key);
/* Makes a language in its first epoch that is in no sentence yet; NULL without memory. */
hg_sentence_language *hg_sentence_language_new(const hg_sentence *sentence, const char *key);
void hg_sentence_language_free(hg_sentence_language *language);
/* Remembers the tokens of a translation behind what is committed. Of one that is not whole, what
 * the last one had beyond its length stays. */
void hg_sentence_language_keep(hg_sentence_language *language, uint64_t adapter_key,
                               const int32_t *token, uint32_t tokens, bool whole);
/* What later steps of its commit rest on has changed: the next epoch begins with the first steps,
 * and with nothing to agree with. */
void hg_sentence_language_back(hg_sentence_language *language, uint32_t steps);
/* The open sentence, source [bytes], is finished; its text is what is committed from byte from on.
 * source_bytes as in hg_commit_close. source NULL, or without memory: it is not remembered. */
hg_status hg_sentence_language_close(hg_sentence_language *language, const char *source,
                                     size_t bytes, size_t from, size_t source_bytes) HG_CHECKED;
/* The translation of a sentence that was closed before; NULL: none is remembered. */
const char *hg_sentence_language_known(const hg_sentence_language *language, uint64_t adapter_key,
                                       const char *source, size_t bytes);
/* A reader sees this text [bytes] from now on; it begins with what is committed. */
hg_status hg_sentence_language_show(hg_sentence_language *language, const char *text,
                                    size_t bytes) HG_CHECKED;
/* A reader goes on seeing what is shown, as far as commits allow. */
void hg_sentence_language_stay(hg_sentence_language *language);
/* A reader has been told all that is committed: who saw something else sees only that now. */
void hg_sentence_language_told(hg_sentence_language *language);
/* What a reader sees in the present epoch. */
const char *hg_sentence_language_seen(const hg_sentence_language *language);
/* Puts it in; one that the present revision does not ask for leaves if need be. */
void hg_sentence_language_add(hg_sentence *sentence, hg_sentence_language *language);

/* How many steps of the language's commit hold for the new text [bytes] (without leading white
 * space), of these sentences, in the language source: nothing that they rest on has changed. */
uint32_t hg_sentence_kept(const hg_sentence *sentence, const hg_sentence_language *language,
                          const hg_tag *source, const hg_buf *text, const hg_spans *spans);

/* Takes a new revision and the content of text, which is empty then: where commits do not hold, the
 * next epoch begins. */
void hg_sentence_revise(hg_sentence *sentence, int64_t rev, const hg_tag *source, hg_buf *text,
                        const hg_spans *spans);

#endif
