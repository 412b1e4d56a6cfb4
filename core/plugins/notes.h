/* notes.h: the report on a plugin: all that is wrong with it, what is doubtful, what was filled in.
 *
 * A note is one sentence that names the file, the field and what to do. One owner at a time.
 */
#ifndef HG_PLUGINS_NOTES_H
#define HG_PLUGINS_NOTES_H

#include <stdint.h>

#include <jansson.h>

#include "core/base/error.h"
#include "core/base/limits.h"

typedef enum hg_note_kind {
    HG_NOTE_PROBLEM,  /* the plugin is refused for it */
    HG_NOTE_WARNING,  /* it may be used; somebody should know */
    HG_NOTE_PROPOSAL, /* filled in because it was not said */
    HG_NOTE_KINDS
} hg_note_kind;

typedef struct hg_note {
    hg_note_kind kind;
    hg_status status; /* of a problem: what kind of one */
    char text[HG_ERROR_MESSAGE_MAX];
} hg_note;

/* Zero-initialise. */
typedef struct hg_notes {
    hg_note note[HG_LIMIT_PLUGIN_NOTES]; /* [count] in the order of finding */
    uint32_t count;
    uint32_t kinds[HG_NOTE_KINDS]; /* how many of each kind, those that found no room counted */
    const char *within;            /* borrowed: a folder whose name messages leave out, or NULL */
} hg_notes;

void hg_notes_add(hg_notes *notes, hg_note_kind kind, hg_status status, const char *format, ...)
    HG_PRINTF(4, 5);

/* A problem, as a failed call words it. context is a hg_notes. */
void hg_notes_problem(void *context, const hg_error *error);

/* HG_OK without problems; else the first one's status, and all of them, as many as fit. */
hg_status hg_notes_verdict(const hg_notes *notes, hg_error *error) HG_CHECKED;

/* {"problems": [{"kind", "text"}], "warnings": [text], "proposals": [text], "unsaid": n}; NULL
 * without memory. The caller drops it. */
json_t *hg_notes_json(const hg_notes *notes);

#endif
