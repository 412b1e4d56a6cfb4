/* batch.c: the figures of one request, as `batch.done` carries them and the database keeps them.
 *
 * first_ms and total_ms count from the frame, queue_ms from the engine's taking the job to its
 * start, prefill_ms from there until all prompts were computed. tokens_per_s is output tokens over
 * (total_ms - queue_ms): waiting for others is not the engine's speed.
 *
 * Modes, after the three ways to batch many adapters: "one-adapter" (one lane),
 * "one-prompt-many-adapters" (one sentence for several languages), "none" when no lane was needed.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/text/utf8.h"
#include "core/translate/request.h"

static double ms_between(int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (double)(to_us - from_us) / 1e3 : 0;
}

static void record_lane(const hg_request *request, const hg_request_lane *lane,
                        hg_lane_record *record)
{
    const hg_catalog_entry *entry = lane->entry;
    const char *language = entry && *entry->tag.text ? entry->tag.text : lane->language;
    snprintf(record->language, sizeof record->language, "%.*s", HG_LIMIT_TAG - 1, language);
    snprintf(record->status, sizeof record->status, "%s", lane->status ? lane->status : "");
    snprintf(record->stop, sizeof record->stop, "%s", lane->stop ? lane->stop : "");
    if (entry && lane->outcome != HG_OUTCOME_UNCHANGED) {
        record->plugin_id = entry->plugin_id;
        record->generation = entry->generation;
    }
    record->tokens = lane->tokens;
    record->drafted = lane->drafted;
    record->accepted = lane->accepted;
    record->first_ms = lane->first_us ? ms_between(request->received_us, lane->first_us) : 0;
    record->total_ms = ms_between(request->received_us, lane->end_us);
}

/* What the engine's jobs say. */
static void record_job(const hg_request *request, hg_batch_record *record)
{
    const hg_job_state *job = &request->figures;
    record->prefill_tokens = job->prefill_tokens;
    record->shared_tokens = job->shared_tokens;
    record->decode_tokens = job->decode_tokens;
    int64_t end_us = job->end_us ? job->end_us : hg_clock_us();
    int64_t start_us = job->start_us ? job->start_us : end_us;
    record->queue_ms = ms_between(job->submit_us, start_us);
    record->prefill_ms = ms_between(start_us, job->prefill_us ? job->prefill_us : end_us);
}

void hg_request_record(const hg_request *request, hg_batch_record *record)
{
    *record = (hg_batch_record){.started_us = request->started_wall_us, .lanes = request->lanes};
    assert(request->lanes > 0 && request->lanes <= HG_LIMIT_LANES);
    const hg_runtime *runtime = request->runtime;
    snprintf(record->session, sizeof record->session, "%s", request->session);
    snprintf(record->source_language, sizeof record->source_language, "%s", request->source.text);
    snprintf(record->device, sizeof record->device, "%s", request->device);
    snprintf(record->model, sizeof record->model, "%s", runtime->model->name);
    record->source_chars =
        (uint32_t)hg_utf8_length(hg_buf_text(&request->text), request->text.length);
    uint32_t job_lanes = 0;
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_lane_record *lane = &record->lane[i];
        record_lane(request, &request->lane[i], lane);
        record->drafted += lane->drafted;
        record->accepted += lane->accepted;
        job_lanes += request->lane[i].outcome == HG_OUTCOME_NONE;
        if (lane->total_ms > record->total_ms) record->total_ms = lane->total_ms;
        if (request->lane[i].first_us && (!record->first_ms || lane->first_ms < record->first_ms))
            record->first_ms = lane->first_ms;
    }
    snprintf(record->mode, sizeof record->mode, "%s",
             job_lanes > 1   ? "one-prompt-many-adapters"
             : job_lanes > 0 ? "one-adapter"
                             : "none");
    if (request->figures.submit_us) record_job(request, record);
    double busy_ms = record->total_ms - record->queue_ms;
    if (busy_ms > 0) record->tokens_per_s = record->decode_tokens / busy_ms * 1e3;
}
