/* incoming.h: one entry after another of a folder or an archive: which are taken, under which name,
 * and how much they may be.
 *
 * A plugin's files stand side by side; one folder may stand around them. What a plugin has no use
 * for is left out, what could reach beyond it is refused, each by its path. Some files are only
 * read (a tokenizer, a chat template) and are no part of the content.
 */
#ifndef HG_PLUGINS_INCOMING_H
#define HG_PLUGINS_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plugins/notes.h"
#include "core/plugins/stage.h"

typedef struct hg_incoming {
    const hg_stage *stage;
    hg_notes *notes;
    char around[HG_LIMIT_ARCHIVE_PATH + 1]; /* the folder around the files, or "" */
    bool placed;                            /* around is known */
    uint32_t entries, left_out;
    char first_left_out[HG_LIMIT_ARCHIVE_PATH + 1];
    char **seen; /* [seen_count] owned: paths, to find two of one name */
    uint32_t seen_count;
    uint64_t bytes;      /* of all entries, those that are left out too */
    uint64_t bytes_most; /* for this source */
    int64_t end_us;      /* when it has taken too long */
} hg_incoming;

hg_incoming hg_incoming_new(const hg_stage *stage, hg_notes *notes);
void hg_incoming_free(hg_incoming *in);

/* Whether the entry of this path is taken; *name is then static. HG_ERROR_LIMIT: there are too many
 * and the rest is not worth looking at; this and a refused path are noted. */
hg_status hg_incoming_ask(hg_incoming *in, const char *path, bool folder, bool *take,
                          const char **name) HG_CHECKED;

/* Counts bytes of an entry called path that come next. HG_ERROR_LIMIT, noted: size or time. */
hg_status hg_incoming_count(hg_incoming *in, const char *path, size_t bytes) HG_CHECKED;

/* Opens name in the stage for writing. */
hg_status hg_incoming_create(const hg_incoming *in, const char *name, int *fd,
                             hg_error *error) HG_CHECKED;
hg_status hg_incoming_write(int fd, const char *name, const void *bytes, size_t count,
                            hg_error *error) HG_CHECKED;

/* Notes what was left out. */
void hg_incoming_end(hg_incoming *in);

/* Removes from the stage what is not the plugin's content. */
hg_status hg_incoming_drop_read(const hg_stage *stage, hg_error *error) HG_CHECKED;

#endif
