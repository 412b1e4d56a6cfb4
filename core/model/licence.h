/* licence.h: what a base model's licence wants shown where the model is used. */
#ifndef HG_MODEL_LICENCE_H
#define HG_MODEL_LICENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

/* The notice that a licence asks for, given its short name ("llama3.1", as GGUF's general.license
 * and model cards have it), its text or a part of it that names it; false, and out = "", when none
 * is known. Known are Meta's community licences for Llama 3, 3.1, 3.2 and 3.3 (section 1.b of
 * each). */
bool hg_notice_of_licence(const char *id_or_text, char *out, size_t room);

/* The notice of a model in a folder: its NOTICE file on one line, or what the licence beside it
 * asks for; out = "" when there is neither. A NOTICE that is too long or no UTF-8 is an error. */
hg_status hg_notice_of_folder(const char *folder, char *out, size_t room,
                              hg_error *error) HG_CHECKED;

#endif
