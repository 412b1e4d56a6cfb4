/* translate.c: `hydraglot translate`: lines in, translations out.
 *
 * Up to WINDOW sentences are in flight, which keeps the engine's lanes full; a ring holds them in
 * the order of the input, and the oldest is printed when it has ended. A conversation runs only
 * HG_LIMIT_SESSION_JOBS sentences at once, so there are several.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/lines.h"
#include "core/cli/progress.h"
#include "core/cli/translate.h"

#define CONVERSATIONS 4
#define WINDOW        (CONVERSATIONS * HG_LIMIT_SESSION_JOBS)
#define TYPING_MS     20 /* how long to look at the engine only, while more input may come */

typedef struct run {
    const hg_settings *settings;
    hg_runtime *runtime;
    hg_targets targets;
    hg_conversation *conversation[CONVERSATIONS];
    hg_lines lines;
    hg_printer printer;
    hg_progress progress;
    int64_t head, next; /* lines: the oldest not printed, the next to be read */
    bool input_ended;
    hg_status failure;      /* first failure in a sink */
    hg_shown shown[WINDOW]; /* line n is in n % WINDOW */
} run;

static void on_event(const hg_event *event, void *context)
{
    run *r = context;
    int64_t line = strtoll(event->id, NULL, 10);
    assert(line >= r->head && line < r->next);
    hg_shown *shown = &r->shown[line % WINDOW];
    hg_status status = hg_printer_event(&r->printer, shown, event);
    if (status && !r->failure) r->failure = status;
}

/* false: the engine is full; try again after the next poll. */
static bool submit(run *r, hg_shown *shown)
{
    char id[24];
    hg_refusal refusal = {0};
    snprintf(id, sizeof id, "%lld", (long long)shown->line);
    hg_translate_request request = {
        .id = id,
        .rev = 1,
        .text = hg_buf_text(&shown->source),
        .target = r->targets.tag,
        .targets = r->targets.count,
        .source = r->targets.source,
        .final = true,
        .stream = r->printer.live,
        .max_tokens = (uint32_t)r->settings->max_tokens,
        .top_p = 1,
    };
    int which = (int)(shown->line % WINDOW) / HG_LIMIT_SESSION_JOBS;
    shown->waiting = false;
    if (hg_conversation_translate(r->conversation[which], &request, &refusal)) return true;
    if (refusal.code == HG_CODE_busy) {
        shown->waiting = true;
        return false;
    }
    hg_printer_refused(&r->printer, shown, &refusal);
    return true;
}

static hg_shown *new_line(run *r)
{
    hg_shown *shown = &r->shown[r->next % WINDOW];
    shown->line = r->next++;
    shown->ended = shown->changed = shown->waiting = false;
    shown->refusal[0] = '\0';
    for (uint32_t i = 0; i < r->targets.count; i++) {
        hg_buf_clear(&shown->lane[i].committed);
        hg_buf_clear(&shown->lane[i].text);
        shown->lane[i].failure[0] = '\0';
        shown->lane[i].done = false;
    }
    return shown;
}

/* Reads and submits as long as there is room; waits for input only when nothing runs. */
static hg_status fill_window(run *r, hg_error *error)
{
    for (int64_t line = r->head; line < r->next; line++) {
        hg_shown *shown = &r->shown[line % WINDOW];
        if (shown->waiting && !submit(r, shown)) return HG_OK;
    }
    while (!r->input_ended && r->next - r->head < WINDOW) {
        hg_buf *source = &r->shown[r->next % WINDOW].source;
        hg_line got = hg_lines_next(&r->lines, r->next == r->head, source, error);
        if (got == HG_LINE_FAILED) return error->status;
        if (got == HG_LINE_LATER) return HG_OK;
        r->input_ended = got == HG_LINE_END;
        if (got == HG_LINE_END) return HG_OK;
        hg_shown *shown = new_line(r);
        if (got == HG_LINE_TOO_LONG) {
            hg_refusal refusal = {.code = HG_CODE_text_too_long};
            snprintf(refusal.message, sizeof refusal.message, "more than %d bytes", HG_LIMIT_FRAME);
            hg_printer_refused(&r->printer, shown, &refusal);
        } else if (memchr(hg_buf_text(source), '\0', source->length)) {
            hg_refusal refusal = {.code = HG_CODE_bad_field, .message = "the line has a NUL byte"};
            hg_printer_refused(&r->printer, shown, &refusal);
        } else if (!submit(r, shown)) {
            return HG_OK;
        }
    }
    return HG_OK;
}

static void print_ended(run *r)
{
    int64_t before = r->head;
    while (r->head < r->next && r->shown[r->head % WINDOW].ended)
        hg_printer_finish(&r->printer, &r->shown[r->head++ % WINDOW]);
    if (r->head < r->next) hg_printer_grow(&r->printer, &r->shown[r->head % WINDOW]);
    if (r->head == before) return;
    fflush(stdout);
    hg_progress_set(&r->progress, (uint64_t)r->head);
}

static hg_status translate_all(run *r, hg_error *error)
{
    hg_status status = fill_window(r, error);
    while (!status && r->head < r->next) {
        print_ended(r);
        if (r->head == r->next && r->input_ended) break;
        bool more = !r->input_ended && r->next - r->head < WINDOW;
        if (r->head < r->next) hg_translator_poll(r->runtime, more ? TYPING_MS : 1000);
        print_ended(r);
        if (r->failure)
            return hg_fail(error, r->failure, "a translation could not be printed: %s",
                           hg_status_name(r->failure));
        if (ferror(stdout))
            return hg_fail(error, HG_ERROR_IO, "standard output could not be written");
        status = fill_window(r, error);
    }
    return status;
}

/* ---- set up, tear down ---- */

/* Lines of a file, for the progress bar; 0 when they cannot be counted. */
static uint64_t count_lines(const char *path)
{
    hg_mapping file;
    hg_error error;
    uint64_t lines = 0;
    if (!path || hg_file_map(path, &file, &error)) return 0;
    for (size_t i = 0; i < file.size; i++) lines += file.data[i] == '\n' || i + 1 == file.size;
    hg_file_unmap(&file);
    return lines;
}

static hg_status start(run *r, hg_error *error)
{
    const hg_settings *s = r->settings;
    if (s->file && s->words)
        return hg_fail(error, HG_ERROR_ARGUMENT, "--file: TEXT is given too; choose one");
    for (int i = 0; i < WINDOW; i++) {
        r->shown[i].source = hg_buf_new(HG_LIMIT_FRAME);
        for (int l = 0; l < HG_LIMIT_LANES; l++) {
            r->shown[i].lane[l].committed = hg_buf_new(HG_LIMIT_LANE_TEXT);
            r->shown[i].lane[l].text = hg_buf_new(2 * HG_LIMIT_LANE_TEXT);
        }
    }
    hg_status status = hg_lines_open(&r->lines, s->words ? s->word[0] : NULL, s->file, error);
    if (!status) status = hg_cli_open_runtime(s, true, &r->runtime, error);
    if (!status) status = hg_targets_choose(r->runtime, s->from, s->to, &r->targets, error);
    if (status) return status;
    hg_printer_start(&r->printer, &r->targets, s->json);
    for (int i = 0; i < CONVERSATIONS && !status; i++)
        status = hg_conversation_new(r->runtime, "cli", on_event, r, &r->conversation[i], error);
    r->progress = hg_progress_start("sentences", count_lines(s->file));
    r->progress.shown = r->progress.shown && s->file && !r->printer.live;
    return status;
}

static void finish(run *r)
{
    hg_progress_end(&r->progress);
    for (int i = 0; i < CONVERSATIONS; i++)
        if (r->conversation[i]) hg_conversation_free(r->conversation[i]);
    hg_runtime_close(r->runtime);
    hg_printer_end(&r->printer);
    hg_lines_close(&r->lines);
    for (int i = 0; i < WINDOW; i++) {
        hg_buf_free(&r->shown[i].source);
        for (int l = 0; l < HG_LIMIT_LANES; l++) {
            hg_buf_free(&r->shown[i].lane[l].committed);
            hg_buf_free(&r->shown[i].lane[l].text);
        }
    }
}

int hg_command_translate(const hg_settings *settings)
{
    hg_error error = {0};
    run *r = calloc(1, sizeof *r);
    if (!r) {
        hg_fail(&error, HG_ERROR_MEMORY, "out of memory");
        return hg_cli_fail(&error);
    }
    r->settings = settings;
    hg_status status = start(r, &error);
    if (!status) status = translate_all(r, &error);
    int code = r->printer.failures ? HG_EXIT_FAILURE : HG_EXIT_OK;
    finish(r);
    free(r);
    return status ? hg_cli_fail(&error) : code;
}
