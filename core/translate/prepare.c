/* prepare.c: from an accepted request's text to one engine job: prompt, forced prefix and length
 * bound of each lane, which translates its language's next sentence.
 *
 * Bounds. A model has P positions. Half of them may go to the prompt, so that a translation as long
 * as its source has room; a longer text is refused as a whole. Output is bounded by the request's
 * max_tokens, or else by four times the prompt and 32, at most HG_LIMIT_TOKENS_DEFAULT (no language
 * pair needs more, and a lane that runs away ends soon); and by the positions left.
 *
 * A lane's draft is the language's last translation, from where its forced prefix ends.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/translate/segments.h"

#define OUTPUT_FACTOR 4
#define OUTPUT_EXTRA  32

/* The prompts of one request while it is put together. */
typedef struct preparation {
    hg_prompt_memo memo;
    hg_tokens prompt[HG_LIMIT_LANES]; /* by lane of the job */
    hg_tokens draft[HG_LIMIT_LANES];
    hg_lane_request lane[HG_LIMIT_LANES];
    uint32_t lanes;
    hg_buf before; /* the source under a plugin's rules.before */
    char source_name[64];
} preparation;

static void preparation_free(preparation *work)
{
    hg_prompt_memo_free(&work->memo);
    for (uint32_t i = 0; i < HG_LIMIT_LANES; i++) {
        hg_tokens_free(&work->prompt[i]);
        hg_tokens_free(&work->draft[i]);
    }
    hg_buf_free(&work->before);
}

/* Builds the prompt of a lane into work->prompt[work->lanes]; *invocation is the aLoRA's. */
static hg_status build_prompt(const hg_request *request, hg_request_lane *lane, preparation *work,
                              uint32_t *invocation, hg_error *error)
{
    const hg_tokenizer *tokenizer = request->runtime->tokenizer;
    const hg_catalog_entry *entry = lane->entry;
    size_t bytes;
    const char *source = hg_request_segment(request, lane, &bytes);
    hg_prompt_values values = {.source = source,
                               .source_bytes = bytes,
                               .source_language = work->source_name,
                               .target_language = entry->name};
    const hg_carry_of carried = hg_request_carry(request, lane);
    hg_carry_free(lane->carry);
    if (hg_carry_new(&carried, &lane->carry))
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for what the text carries");
    if (lane->carry) {
        values.source = hg_buf_text(&lane->carry->source);
        values.source_bytes = lane->carry->source.length;
    }
    if (entry->rules_before) {
        if (hg_rules_apply(entry->rules_before, values.source, values.source_bytes, &work->before))
            return hg_fail(error, HG_ERROR_LIMIT, "rules.before: the text grew too long");
        values.source = hg_buf_text(&work->before);
        values.source_bytes = work->before.length;
    }
    hg_tokens *prompt = &work->prompt[work->lanes];
    hg_status status =
        hg_prompt_build(entry->prompt, tokenizer, &values, &work->memo, prompt, error);
    if (status) return status;
    return hg_prompt_invocation(prompt, entry->invocation, entry->invocations, invocation, error);
}

static uint32_t output_bound(const hg_request *request, uint32_t prompt_tokens, uint32_t room)
{
    uint32_t bound = request->max_tokens;
    if (!bound) {
        bound = OUTPUT_FACTOR * prompt_tokens + OUTPUT_EXTRA;
        if (bound > HG_LIMIT_TOKENS_DEFAULT) bound = HG_LIMIT_TOKENS_DEFAULT;
    }
    return bound < room ? bound : room;
}

static hg_status append(hg_tokens *to, const hg_tokens *from)
{
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < from->count && !status; i++)
        status = hg_tokens_append(to, from->id[i]);
    return status;
}

/* What is committed of the lane's sentence and holds ends its prompt; what does not begins its
 * draft; the rest of the last translation follows. */
static hg_status use_last(const hg_request *request, const hg_request_lane *lane, hg_tokens *prompt,
                          hg_tokens *draft)
{
    const hg_sentence_language *last = lane->state;
    const hg_commit *commit = &last->commit;
    const hg_commit_step is = hg_commit_at(commit);
    hg_commit_step holds = is; /* once the revision has begun: all */
    if (!request->sentence) holds = hg_commit_after(commit, lane->kept);
    const hg_tokens forced = {.id = commit->token.id, .count = holds.tokens};
    hg_status status = append(prompt, &forced);
    if (status || holds.closed != is.closed) return status; /* the last one was another sentence */
    const hg_tokens taken_back = {.id = commit->token.id + holds.tokens,
                                  .count = commit->token.count - holds.tokens};
    if (taken_back.count) status = append(draft, &taken_back);
    if (!status && last->adapter_key == lane->entry->adapter_key)
        status = append(draft, &last->rest);
    return status;
}

static bool prepare_lane(hg_request *request, hg_request_lane *lane, preparation *work,
                         hg_refusal *refusal)
{
    hg_error error = {0};
    const hg_catalog_entry *entry = lane->entry;
    const uint32_t positions = request->runtime->model->weights.shape.positions;
    hg_tokens *prompt = &work->prompt[work->lanes], *draft = &work->draft[work->lanes];
    uint32_t invocation = 0;
    if (build_prompt(request, lane, work, &invocation, &error)) {
        hg_log(HG_LOG_ERROR, "translate", "plugin %s: %s", entry->plugin->name, error.message);
        return hg_refuse(refusal, HG_CODE_internal, 0, "plugin %s: %s", entry->plugin->name,
                         error.message);
    }
    uint32_t own = prompt->count;
    assert(invocation <= own);
    if (own > positions / 2)
        return hg_refuse(
            refusal, HG_CODE_text_too_long, 0,
            "text: a sentence of %u tokens with its prompt for %s; this model reads at "
            "most %u (and writes as many)",
            own, lane->language, positions / 2);
    if (use_last(request, lane, prompt, draft))
        return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a prompt");
    if (prompt->count >= positions) {
        lane->outcome = HG_OUTCOME_FULL;
        prompt->count = draft->count = 0; /* the next lane takes its place */
        return true;
    }
    assert(work->lanes < HG_LIMIT_LANES);
    lane->job_lane = work->lanes;
    lane->running = true;
    work->lane[work->lanes++] = (hg_lane_request){
        .adapter = entry->adapter_key,
        .prompt = prompt->id,
        .prompt_tokens = prompt->count,
        .invocation = invocation,
        .stop = entry->stop,
        .stops = entry->stops,
        .max_tokens = output_bound(request, own, positions - prompt->count),
        .temperature = request->temperature,
        .top_p = request->top_p,
        .seed = request->seed,
        .draft = draft->id,
        .draft_tokens = draft->count < positions ? draft->count : positions,
    };
    return true;
}

/* The engine's refusal in the words of the wire. */
static bool refuse_submit(hg_status status, const hg_error *error, hg_refusal *refusal)
{
    switch (status) {
    case HG_ERROR_STATE: return hg_refuse(refusal, HG_CODE_busy, 100, "%s", error->message);
    case HG_ERROR_LIMIT: return hg_refuse(refusal, HG_CODE_text_too_long, 0, "%s", error->message);
    case HG_ERROR_DEVICE: return hg_refuse(refusal, HG_CODE_device, 0, "%s", error->message);
    default: break;
    }
    hg_log(HG_LOG_ERROR, "translate", "job refused: %s", error->message);
    return hg_refuse(refusal, HG_CODE_internal, 0, "%s", error->message);
}

static bool prepare(hg_request *request, preparation *work, hg_refusal *refusal)
{
    hg_tag_english_name(&request->source, work->source_name, sizeof work->source_name);
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        lane->running = false;
        if (lane->outcome == HG_OUTCOME_NONE && !lane->done &&
            !prepare_lane(request, lane, work, refusal))
            return false;
    }
    if (!work->lanes) return true;
    hg_error error = {0};
    const hg_job_request job = {.lane = work->lane,
                                .lanes = work->lanes,
                                .session = request->conversation,
                                .user = request};
    hg_status status = hg_engine_submit(request->runtime->engine, &job, &request->job, &error);
    return status ? refuse_submit(status, &error, refusal) : true;
}

bool hg_request_submit(hg_request *request, hg_refusal *refusal)
{
    assert(!request->job);
    preparation *work = calloc(1, sizeof *work);
    if (!work) return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a request");
    work->before = hg_buf_new(HG_LIMIT_FRAME);
    bool accepted = prepare(request, work, refusal);
    for (uint32_t i = 0; i < request->lanes && !accepted; i++) request->lane[i].running = false;
    if (accepted) hg_runtime_device(request->runtime, request->device, sizeof request->device);
    preparation_free(work);
    free(work);
    return accepted;
}
