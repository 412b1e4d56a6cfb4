/* pairs.c: see pairs.h. */
#include "core/plugins/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/utf8.h"

static void bad_line(hg_notes *notes, unsigned long line, const char *why)
{
    hg_notes_add(notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT, "validation.tsv: line %lu: %s", line,
                 why);
}

/* One line, whose end is a NUL by now. */
static void take_line(hg_pairs *pairs, char *line, unsigned long number, hg_notes *notes)
{
    size_t length = strlen(line);
    if (length && line[length - 1] == '\r') line[--length] = 0;
    char *tab = strchr(line, '\t');
    if (!length) return;
    if (hg_utf8_valid(line, length) != length) {
        bad_line(notes, number, "not UTF-8");
    } else if (!tab || strchr(tab + 1, '\t')) {
        bad_line(notes, number, "expected one tab, between source and target");
    } else if (tab == line || !tab[1]) {
        bad_line(notes, number, "an empty side");
    } else if (hg_utf8_length(line, length) > HG_LIMIT_SENTENCE) {
        bad_line(notes, number, "longer than a sentence may be");
    } else {
        *tab = 0;
        pairs->source[pairs->count] = line;
        pairs->target[pairs->count++] = tab + 1;
    }
}

static hg_status take_lines(hg_pairs *pairs, hg_notes *notes)
{
    unsigned long number = 0;
    pairs->source = calloc(2ul * HG_LIMIT_PAIRS, sizeof *pairs->source);
    if (!pairs->source) return HG_ERROR_MEMORY;
    pairs->target = pairs->source + HG_LIMIT_PAIRS;
    char *at = pairs->text.data, *end = at + pairs->text.length;
    if (memchr(at, 0, pairs->text.length)) {
        hg_notes_add(notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT,
                     "validation.tsv: has the byte 0; expected lines of text");
        return HG_OK;
    }
    while (at < end) {
        char *next = strchr(at, '\n');
        if (pairs->count == HG_LIMIT_PAIRS) {
            hg_notes_add(notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT,
                         "validation.tsv: more than %d pairs; leave some out", HG_LIMIT_PAIRS);
            return HG_OK;
        }
        if (next) *next = 0;
        take_line(pairs, at, ++number, notes);
        at = next ? next + 1 : end;
    }
    return HG_OK;
}

hg_status hg_pairs_read(const char *folder, hg_pairs *out, hg_notes *notes, hg_error *error)
{
    char path[HG_PATH_MAX];
    *out = (hg_pairs){.text = hg_buf_new(HG_LIMIT_PAIRS_FILE)};
    hg_status status = hg_path_join(path, sizeof path, folder, "validation.tsv", error);
    if (status || !hg_file_exists(path)) return status;
    status = hg_file_read(path, &out->text, error);
    if (status == HG_ERROR_LIMIT) {
        hg_notes_problem(notes, error);
        return HG_OK;
    }
    if (!status && out->text.length && take_lines(out, notes))
        status = hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    return status;
}

void hg_pairs_free(hg_pairs *pairs)
{
    free(pairs->source);
    hg_buf_free(&pairs->text);
    *pairs = (hg_pairs){0};
}
