/* fingerprint.h: the digest of a model's weights, computed while they are already in use.
 *
 * "sha256:" and the SHA-256 of the model's file; of shards, that of the lines which `sha256sum
 * *.safetensors` prints for them, sorted by name. Gigabytes take seconds, so a thread of its own
 * reads the mapped files, and only who asks for the result waits. Of a large model it is kept by
 * the model's identity (identity.h), and the next start finds it there.
 */
#ifndef HG_MODEL_FINGERPRINT_H
#define HG_MODEL_FINGERPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/file.h"

#define HG_FINGERPRINT_TEXT (sizeof "sha256:" - 1 + HG_SHA256_HEX)

typedef struct hg_fingerprint hg_fingerprint;

typedef struct hg_fingerprint_file {
    const hg_mapping *mapping;
    const char *name; /* without a folder */
} hg_fingerprint_file;

typedef struct hg_fingerprint_want {
    const hg_fingerprint_file *file; /* [files], sorted by name; mappings and names must stay until
                                      * hg_fingerprint_stop */
    uint32_t files;
    const char *cache;    /* folder in which that of a large model is kept; NULL: none */
    const char *identity; /* "": it has none, and nothing is kept */
} hg_fingerprint_want;

hg_status hg_fingerprint_start(const hg_fingerprint_want *want, hg_fingerprint **out,
                               hg_error *error) HG_CHECKED;

/* Waits for it, from any thread; the text lives until stop. "" when it could not be computed, which
 * the log explains. */
const char *hg_fingerprint_wait(hg_fingerprint *fingerprint);

/* Ends the work at once, if it is still going on. Nobody may be waiting. NULL is allowed. */
void hg_fingerprint_stop(hg_fingerprint *fingerprint);

/* text [HG_FINGERPRINT_TEXT]: what was kept in folder for this identity; false when there is
 * nothing. folder NULL or identity "": nothing. */
bool hg_fingerprint_recall(const char *folder, const char *identity, char *text);
/* Keeps it; when that fails it is computed again next time. */
void hg_fingerprint_keep(const char *folder, const char *identity, const char *text);

#endif
