/* identity.h: which model this is, without reading all of it.
 *
 * A model's fingerprint is the SHA-256 of its weights, which takes seconds for gigabytes. What is
 * kept from start to start (the fingerprint itself, packed weights) goes by its *identity* instead:
 * the digest of, for each file, device, inode, size, both times of change in ns and the first
 * 64 KiB (a safetensors or GGUF header: names, shapes, offsets), and of config.json. Whatever
 * writes to a file moves its status change time, which no program can set back; a copy is another
 * inode. So an equal identity means unchanged files, and an unequal one costs only time. A file
 * that has changed within the last HG_IDENTITY_QUIET_S seconds might change again in the same tick
 * of the clock: such a model has no identity yet.
 */
#ifndef HG_MODEL_IDENTITY_H
#define HG_MODEL_IDENTITY_H

#include "core/base/buf.h"
#include "core/base/file.h"

#define HG_IDENTITY_QUIET_S 2

typedef struct hg_identity {
    hg_buf lines; /* one a file */
    bool fresh;   /* some file has only just changed */
} hg_identity;

void hg_identity_start(hg_identity *identity);
void hg_identity_free(hg_identity *identity);

/* A file of weights; a small file by its content. */
hg_status hg_identity_add(hg_identity *identity, const hg_mapping *file,
                          hg_error *error) HG_CHECKED;
hg_status hg_identity_add_text(hg_identity *identity, const char *path, hg_error *error) HG_CHECKED;

/* hex [HG_SHA256_HEX]; "" while the model has none. */
hg_status hg_identity_finish(const hg_identity *identity, char *hex, hg_error *error) HG_CHECKED;

#endif
