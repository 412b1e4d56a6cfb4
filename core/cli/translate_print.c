/* translate_print.c: what `hydraglot translate` shows.
 *
 * Plain: one target gives the bare text, several give "tag TAB text" and an empty line between
 * sentences. On a terminal the oldest sentence grows in place: its block of rows, each cut to the
 * width of the screen, is drawn over until the whole text replaces it. JSON: one object an end.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/cli/table.h"
#include "core/cli/translate.h"
#include "core/service/json_out.h"

void hg_printer_start(hg_printer *printer, const hg_targets *targets, bool json)
{
    *printer = (hg_printer){.targets = targets,
                            .json = json,
                            .live = !json && isatty(STDOUT_FILENO),
                            .out = hg_buf_new(HG_LIMIT_EVENT)};
    for (uint32_t i = 0; i < targets->count; i++) {
        size_t columns = hg_text_columns(targets->tag[i]);
        if (columns > printer->tag_columns) printer->tag_columns = columns;
    }
}

void hg_printer_end(hg_printer *printer)
{
    hg_buf_free(&printer->out);
}

/* ---- JSON ---- */

static hg_status print_lane_json(hg_printer *printer, const hg_shown *shown, const hg_event *event)
{
    hg_buf_clear(&printer->out);
    hg_json_out json = hg_json_out_new(&printer->out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_integer(&json, "line", shown->line);
    hg_json_put_text(&json, "language", event->language);
    hg_json_put_text(&json, "text", event->text);
    hg_json_put_text(&json, "status", event->status);
    if (event->code) hg_json_put_text(&json, "code", hg_code_name(event->code));
    hg_json_put_integer(&json, "tokens", event->tokens);
    hg_json_put_number(&json, "first_ms", event->first_ms);
    hg_json_put_number(&json, "total_ms", event->total_ms);
    hg_json_end_object(&json);
    if (!json.status) puts(hg_buf_text(&printer->out));
    return json.status;
}

static void print_refusal_json(hg_printer *printer, const hg_shown *shown,
                               const hg_refusal *refusal)
{
    hg_buf_clear(&printer->out);
    hg_json_out json = hg_json_out_new(&printer->out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_integer(&json, "line", shown->line);
    hg_json_begin_object(&json, "error");
    hg_json_put_text(&json, "code", hg_code_name(refusal->code));
    hg_json_put_text(&json, "message", refusal->message);
    hg_json_end_object(&json);
    hg_json_end_object(&json);
    if (!json.status) puts(hg_buf_text(&printer->out));
}

/* ---- events ---- */

static hg_shown_lane *find_lane(const hg_printer *printer, hg_shown *shown, const char *language)
{
    for (uint32_t i = 0; i < printer->targets->count; i++)
        if (strcmp(printer->targets->tag[i], language) == 0) return &shown->lane[i];
    assert(!"an event has a language that was asked for");
    return NULL;
}

static hg_status set_text(hg_buf *buf, const char *first, const char *second)
{
    hg_buf_clear(buf);
    hg_status status = hg_buf_append_text(buf, first);
    return status ? status : hg_buf_append_text(buf, second);
}

static hg_status note_done(hg_printer *printer, hg_shown *shown, hg_shown_lane *lane,
                           const hg_event *event)
{
    lane->done = true;
    if (strcmp(event->status, "ok") != 0) {
        printer->failures++;
        snprintf(lane->failure, sizeof lane->failure, "%s%s%s", event->status,
                 event->code ? ": " : "", hg_code_name(event->code));
    }
    if (printer->json) return print_lane_json(printer, shown, event);
    return set_text(&lane->text, event->text, "");
}

hg_status hg_printer_event(hg_printer *printer, hg_shown *shown, const hg_event *event)
{
    shown->changed = true;
    if (event->type == HG_EVENT_BATCH) {
        shown->ended = true;
        if (!printer->json) return HG_OK;
        hg_buf_clear(&printer->out);
        hg_status status = hg_batch_line_json(shown->line, event, &printer->out);
        if (!status) puts(hg_buf_text(&printer->out));
        return status;
    }
    hg_shown_lane *lane = find_lane(printer, shown, event->language);
    if (event->type == HG_EVENT_DONE) return note_done(printer, shown, lane, event);
    if (event->type == HG_EVENT_TENTATIVE)
        return set_text(&lane->text, hg_buf_text(&lane->committed), event->text);
    hg_status status = hg_buf_append_text(&lane->committed, event->text);
    return status ? status : set_text(&lane->text, hg_buf_text(&lane->committed), "");
}

void hg_printer_refused(hg_printer *printer, hg_shown *shown, const hg_refusal *refusal)
{
    snprintf(shown->refusal, sizeof shown->refusal, "%s", refusal->message);
    shown->ended = true;
    printer->failures++;
    if (printer->json) print_refusal_json(printer, shown, refusal);
}

/* ---- text ---- */

/* A sentence stays one row, whatever white space a model may have put into it. */
static void print_row_text(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) putchar(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
}

static void wipe_block(hg_printer *printer)
{
    if (printer->drawn) printf("\033[%uA\r\033[J", printer->drawn);
    printer->drawn = 0;
}

static void print_tag(const hg_printer *printer, uint32_t lane)
{
    const char *tag = printer->targets->tag[lane];
    if (printer->targets->count == 1) return;
    if (!printer->live)
        printf("%s\t", tag);
    else
        printf("%s%*s", tag, (int)(printer->tag_columns - hg_text_columns(tag)) + 2, "");
}

void hg_printer_grow(hg_printer *printer, hg_shown *shown)
{
    if (!printer->live || !shown->changed || shown->ended) return;
    struct winsize size = {0};
    size_t columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) columns = size.ws_col;
    /* A block that is higher than the screen could not be drawn over. */
    if (size.ws_row && printer->targets->count >= size.ws_row) return;
    size_t used = printer->targets->count > 1 ? printer->tag_columns + 2 : 0;
    wipe_block(printer);
    for (uint32_t i = 0; i < printer->targets->count; i++) {
        const char *text = hg_buf_text(&shown->lane[i].text);
        print_tag(printer, i);
        print_row_text(text, hg_text_fit(text, columns > used ? columns - used : 0));
        putchar('\n');
        printer->drawn++;
    }
    shown->changed = false;
    fflush(stdout);
}

void hg_printer_finish(hg_printer *printer, hg_shown *shown)
{
    bool several = printer->targets->count > 1;
    if (shown->refusal[0])
        fprintf(stderr, "hydraglot: line %lld: %s\n", (long long)shown->line + 1, shown->refusal);
    if (!printer->json) {
        wipe_block(printer);
        if (several && printer->printed) putchar('\n');
    }
    for (uint32_t i = 0; i < printer->targets->count; i++) {
        hg_shown_lane *lane = &shown->lane[i];
        if (lane->failure[0])
            fprintf(stderr, "hydraglot: line %lld, %s: %s\n", (long long)shown->line + 1,
                    printer->targets->tag[i], lane->failure);
        if (printer->json || !(lane->done || shown->refusal[0])) continue;
        print_tag(printer, i);
        print_row_text(hg_buf_text(&lane->text), lane->text.length);
        putchar('\n');
    }
    printer->printed++;
}
