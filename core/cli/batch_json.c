/* batch_json.c: batches as JSON, for `translate --json` and `batches --json`. */
#include "core/base/clock.h"
#include "core/cli/cli.h"
#include "core/service/json_out.h"

/* The fields of batch.done from "batch" on, in its order. */
static void print_figures(hg_json_out *json, const hg_batch_record *b)
{
    hg_json_put_integer(json, "batch", b->id);
    hg_json_put_integer(json, "lanes", b->lanes);
    hg_json_put_integer(json, "prefill_tokens", b->prefill_tokens);
    hg_json_put_integer(json, "shared_tokens", b->shared_tokens);
    hg_json_put_integer(json, "decode_tokens", b->decode_tokens);
    hg_json_put_integer(json, "drafted", b->drafted);
    hg_json_put_integer(json, "accepted", b->accepted);
    hg_json_put_number(json, "queue_ms", b->queue_ms);
    hg_json_put_number(json, "prefill_ms", b->prefill_ms);
    hg_json_put_number(json, "first_ms", b->first_ms);
    hg_json_put_number(json, "total_ms", b->total_ms);
    hg_json_put_number(json, "tokens_per_s", b->tokens_per_s);
}

hg_status hg_batch_line_json(int64_t line, const hg_event *event, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_integer(&json, "line", line);
    hg_json_begin_object(&json, "batch");
    hg_json_put_text(&json, "id", event->id);
    hg_json_put_integer(&json, "rev", event->rev);
    print_figures(&json, event->batch);
    hg_json_end_object(&json);
    hg_json_end_object(&json);
    return json.status;
}

static void print_lane(hg_json_out *json, const hg_lane_record *lane)
{
    hg_json_begin_object(json, NULL);
    hg_json_put_text(json, "language", lane->language);
    hg_json_put_text(json, "status", lane->status);
    hg_json_put_text(json, "stop", lane->stop);
    hg_json_put_integer(json, "generation", lane->generation);
    hg_json_put_integer(json, "tokens", lane->tokens);
    hg_json_put_integer(json, "drafted", lane->drafted);
    hg_json_put_integer(json, "accepted", lane->accepted);
    hg_json_put_number(json, "first_ms", lane->first_ms);
    hg_json_put_number(json, "total_ms", lane->total_ms);
    hg_json_end_object(json);
}

hg_status hg_batch_row_json(const hg_batch_record *batch, hg_buf *out)
{
    char date[HG_CLOCK_TEXT_MAX];
    hg_clock_format(batch->started_us, date);
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_object(&json, NULL);
    print_figures(&json, batch);
    hg_json_put_text(&json, "started_at", date);
    hg_json_put_text(&json, "session", batch->session);
    hg_json_put_text(&json, "mode", batch->mode);
    hg_json_put_text(&json, "source_language", batch->source_language);
    hg_json_put_integer(&json, "source_chars", batch->source_chars);
    hg_json_put_text(&json, "device", batch->device);
    hg_json_put_text(&json, "model", batch->model);
    hg_json_begin_array(&json, "languages");
    for (uint32_t i = 0; i < batch->lanes; i++) print_lane(&json, &batch->lane[i]);
    hg_json_end_array(&json);
    hg_json_end_object(&json);
    return json.status;
}
