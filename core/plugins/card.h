/* card.h: what an adapter's other files say of it: PEFT's configuration, the model card (README.md
 * with YAML in front, as Hugging Face's hub reads it), the tokenizer's chat template. */
#ifndef HG_PLUGINS_CARD_H
#define HG_PLUGINS_CARD_H

#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/model/adapter.h"

typedef struct hg_card {
    char licence[HG_LIMIT_TAG];
    char language[HG_LIMIT_CARD_LANGUAGES][HG_LIMIT_TAG]; /* [languages] as written */
    uint32_t languages;
    char base[256];                        /* base_model_name_or_path; "" when it is not said */
    int32_t invocation[HG_INVOCATION_MAX]; /* of an aLoRA; [invocations] */
    uint32_t invocations;
    hg_buf chat_template; /* Jinja; empty when there is none */
} hg_card;

/* What is missing or cannot be read stays empty: these are hints. hg_card_free when done. */
void hg_card_read(const char *folder, hg_card *out);
void hg_card_free(hg_card *card);

#endif
