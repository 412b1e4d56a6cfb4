/* notes.c: see notes.h. */
#include "core/plugins/notes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Takes "folder/" out of text, wherever it stands: who reads the report knows no such folder. */
static void leave_out(char *text, const char *folder)
{
    size_t length = folder ? strlen(folder) : 0;
    for (char *at = text; length && (at = strstr(at, folder));) {
        size_t out = length + (at[length] == '/');
        memmove(at, at + out, strlen(at + out) + 1);
    }
}

void hg_notes_add(hg_notes *notes, hg_note_kind kind, hg_status status, const char *format, ...)
{
    char text[2 * HG_ERROR_MESSAGE_MAX];
    hg_error whole;
    va_list args;
    assert(kind < HG_NOTE_KINDS);
    notes->kinds[kind]++;
    if (notes->count == HG_LIMIT_PLUGIN_NOTES) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    leave_out(text, notes->within);
    hg_fail(&whole, HG_ERROR_FORMAT, "%s", text); /* cuts it at a whole character */
    hg_note *note = &notes->note[notes->count++];
    *note = (hg_note){.kind = kind, .status = status};
    memcpy(note->text, whole.message, sizeof note->text);
}

void hg_notes_problem(void *context, const hg_error *error)
{
    hg_notes_add(context, HG_NOTE_PROBLEM, error->status, "%s", error->message);
}

hg_status hg_notes_verdict(const hg_notes *notes, hg_error *error)
{
    char all[HG_ERROR_MESSAGE_MAX];
    size_t used = 0;
    hg_status first = HG_OK;
    for (uint32_t i = 0; i < notes->count; i++) {
        const hg_note *note = &notes->note[i];
        if (note->kind != HG_NOTE_PROBLEM) continue;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", first ? "; " : "",
                                     note->text);
        if (!first) first = note->status;
    }
    return first ? hg_fail(error, first, "%s", all) : HG_OK;
}

/* One list of the report. Problems come with their kind, which a program may ask for. */
static json_t *list_of(const hg_notes *notes, hg_note_kind kind)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < notes->count; i++) {
        const hg_note *note = &notes->note[i];
        if (note->kind != kind) continue;
        json_t *item =
            kind == HG_NOTE_PROBLEM
                ? json_pack("{s:s, s:s}", "kind", hg_status_name(note->status), "text", note->text)
                : json_string(note->text);
        if (!json_array_append_new(list, item)) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

json_t *hg_notes_json(const hg_notes *notes)
{
    uint32_t said = notes->kinds[0] + notes->kinds[1] + notes->kinds[2];
    return json_pack("{s:o, s:o, s:o, s:I}", "problems", list_of(notes, HG_NOTE_PROBLEM),
                     "warnings", list_of(notes, HG_NOTE_WARNING), "proposals",
                     list_of(notes, HG_NOTE_PROPOSAL), "unsaid", (json_int_t)(said - notes->count));
}
