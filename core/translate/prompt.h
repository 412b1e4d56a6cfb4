/* prompt.h: a plugin's prompt template, read once, and the prompts made from it.
 *
 * A template is special tokens of the base, literal text, the placeholders {source},
 * {source_language}, {target_language} and {context}, and sections: what stands between {?context}
 * and {/context} (or another placeholder's name) is left out when that placeholder stands for
 * nothing. Sections do not nest, and {source} stands outside. Everything between two special
 * tokens, literal and substituted alike, is tokenised as one string, as the adapter saw it in
 * training; only the template's own literals become special tokens, never what a user wrote.
 *
 * A template is immutable after hg_prompt_parse; any thread may build from it.
 */
#ifndef HG_TRANSLATE_PROMPT_H
#define HG_TRANSLATE_PROMPT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/text/tokenizer.h"

typedef struct hg_prompt hg_prompt;

/* What the placeholders stand for. Strings are valid UTF-8; NULL stands for "". */
typedef struct hg_prompt_values {
    const char *source; /* the sentence */
    size_t source_bytes;
    const char *source_language, *target_language; /* English names */
    const char *context;                           /* what was said before */
} hg_prompt_values;

/* The string that was tokenised last and its tokens: the lanes of one sentence mostly share the
 * run that holds the source, so it is tokenised once. Zero-initialise, free when done. */
typedef struct hg_prompt_memo {
    hg_buf text;
    hg_tokens token;
} hg_prompt_memo;

void hg_prompt_memo_free(hg_prompt_memo *memo);

/* HG_ERROR_FORMAT, quoting the place, for an unknown placeholder, a missing {source}, a section
 * that does not end or something that looks like a special token and is none of this tokenizer's.
 */
hg_status hg_prompt_parse(const char *text, const hg_tokenizer *tokenizer, hg_prompt **out,
                          hg_error *error) HG_CHECKED;
void hg_prompt_free(hg_prompt *prompt);

/* Appends the prompt's tokens to out. memo may be NULL. */
hg_status hg_prompt_build(const hg_prompt *prompt, const hg_tokenizer *tokenizer,
                          const hg_prompt_values *values, hg_prompt_memo *memo, hg_tokens *out,
                          hg_error *error) HG_CHECKED;

/* Index in prompt of the last occurrence of invocation [count]: there an aLoRA adapter begins to
 * act. 0 when count is 0 (LoRA: everywhere); HG_ERROR_FORMAT when it does not occur. */
hg_status hg_prompt_invocation(const hg_tokens *prompt, const int32_t *invocation, uint32_t count,
                               uint32_t *index, hg_error *error) HG_CHECKED;

#endif
