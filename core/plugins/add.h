/* add.h: a folder or an archive becomes a plugin's content: checked, complete, immutable, under its
 * digest in the data folder.
 *
 * What comes in is put together in a folder of its own below plugins/ of the data folder, completed
 * (propose.h) and checked against the base (check.h). If nothing is wrong it is synced and renamed
 * to plugins/<sha256>/, else removed. Every problem is in the report, not the first only. What is
 * recorded of it, and whether it is served, is for the caller; the same content comes to the same
 * folder, so adding twice is harmless.
 *
 * Any thread; the model and its tokenizer are only read. Nothing here runs code of the plugin's.
 */
#ifndef HG_PLUGINS_ADD_H
#define HG_PLUGINS_ADD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/model/model.h"
#include "core/model/plugin.h"
#include "core/plugins/notes.h"
#include "core/text/tokenizer.h"

/* What a person says beside the files; each NULL: not said. It stands above what plugin.json says.
 */
typedef struct hg_plugin_words {
    const char *name;
    const char *language; /* BCP-47 */
    const char *template; /* a text with {source}, or the name of a shipped one */
    const char *sources;  /* BCP-47 tags with commas between */
} hg_plugin_words;

typedef struct hg_intake_options {
    const char *path;      /* a folder, or an archive: tar, tar.gz, tar.zst, tar.xz, zip */
    const char *called;    /* what a person calls it, "german.zip"; NULL: as path ends */
    const char *data_path; /* the data folder, which is made if need be */
    bool keep;             /* false: check only */
    hg_plugin_words words;
    const hg_model *model;         /* the base that it must fit */
    const hg_tokenizer *tokenizer; /* the model's */
} hg_intake_options;

typedef struct hg_intake {
    hg_notes notes;
    hg_plugin *plugin; /* with digest, and the kept folder ("" without keep); NULL: refused */
    uint32_t rank_max; /* of its adapter; 0 without one */
    int lock;          /* see hg_intake_free */
} hg_intake;

/* HG_OK: checked, and kept if that was asked. Else *error has all problems, as many as fit; it was
 * the plugin's fault when out->notes.kinds[HG_NOTE_PROBLEM] is not 0, else ours (disk, memory).
 * *out is NULL only without memory; the caller frees it. */
hg_status hg_plugin_intake(const hg_intake_options *options, hg_intake **out,
                           hg_error *error) HG_CHECKED;

/* Until then a sweep leaves the data folder's plugins alone: free it when the content is recorded.
 * NULL is allowed. */
void hg_intake_free(hg_intake *intake);

/* Removes what killed intakes left, and each content that wanted (given its digest) denies; wanted
 * may be NULL: all are. Does nothing while an intake is under way, in any process: call it at
 * start. An intake begins with the former. */
hg_status hg_intake_sweep(const char *data_path, bool (*wanted)(const char *digest, void *context),
                          void *context, hg_error *error) HG_CHECKED;

#endif
