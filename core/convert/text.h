/* text.h: text for calibration and comparison, as sequences of tokens. */
#ifndef HG_CONVERT_TEXT_H
#define HG_CONVERT_TEXT_H

#include "core/model/model.h"
#include "core/text/tokenizer.h"

/* Half of the plugins' validation pairs calibrate and the other half compare, so that nothing is
 * measured on text that it was fitted to. */
typedef enum hg_text_half { HG_TEXT_CALIBRATE, HG_TEXT_COMPARE } hg_text_half;

typedef struct hg_text_want {
    const char *file;    /* UTF-8, or NULL: the plugins' validation pairs */
    const char *plugins; /* folder of the plugin folders */
    hg_text_half half;   /* of the pairs; a file is taken whole */
    uint32_t most;       /* tokens; of a longer text, sequences spread over it */
} hg_text_want;

/* Tokens of a sequence; each begins with the model's bos, if it has one. */
#define HG_TEXT_SPAN 256

/* out: sequences of HG_TEXT_SPAN tokens, the last may be shorter. HG_ERROR_ARGUMENT when the text
 * is too short to say anything. */
hg_status hg_text_tokens(const hg_model *model, const hg_text_want *want, hg_tokens *out,
                         hg_error *error) HG_CHECKED;

#endif
