/* bench.c: `hydraglot bench`: how fast it is here.
 *
 * Every measurement is one warm-up and `--runs` runs of `--sentences` sentences each; the median
 * run counts. No sentence is ever sent twice: each begins with a number of its own, so that no KV
 * of an earlier one is reused and what is measured is a new sentence each time.
 *
 *   one lane      sentence after sentence into the first language
 *   all lanes     sentence after sentence into all languages
 *   in parallel   the same, eight sentences in flight
 *   prefill       time from start to "all prompts computed" of one sentence for all languages, with
 *                 the source shared by all lanes and with each lane computing its own
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/version.h"
#include "core/cli/cli.h"
#include "core/cli/progress.h"
#include "core/service/json_out.h"

#define MEASUREMENTS 5
#define RUNS_MAX     100

/* Everyday sentences of different lengths. */
static const char *const sentences[] = {
    "Where is the train station?",
    "I would like a cup of coffee, please.",
    "The meeting was moved to next Thursday because two colleagues are still on holiday.",
    "Can you help me carry this box?",
    "She has been learning to play the piano since she was six years old.",
    "It is raining.",
    "We missed the last bus and had to walk home in the dark.",
    "How much does a ticket to the city centre cost?",
    "The doctor said that I should drink more water and sleep longer.",
    "Please close the window, it is getting cold in here.",
    "My brother works in a small bakery near the harbour.",
    "Do you know what time the museum opens on Sundays?",
};

typedef struct run_figures {
    double tokens_per_s, step_ms, total_ms; /* total_ms: mean of a sentence */
    uint64_t prefill_tokens, shared_tokens;
} run_figures;

typedef struct bench {
    const hg_settings *settings;
    hg_runtime *runtime;
    hg_conversation *conversation;
    hg_targets targets;
    hg_progress progress;
    uint64_t sent; /* numbers the sentences; also the progress */
    /* of the run that goes on */
    uint64_t tokens, prefill_tokens, shared_tokens;
    double busy_ms, total_ms;
    uint32_t failed;
    /* results */
    double ready_ms;
    run_figures one, all, parallel;
    double prefill_shared_ms, prefill_alone_ms;
} bench;

static void on_event(const hg_event *event, void *context)
{
    bench *b = context;
    if (event->type == HG_EVENT_DONE) b->failed += strcmp(event->status, "ok") != 0;
    if (event->type != HG_EVENT_BATCH) return;
    const hg_batch_record *r = event->batch;
    b->tokens += r->decode_tokens;
    b->prefill_tokens += r->prefill_tokens;
    b->shared_tokens += r->shared_tokens;
    b->busy_ms += r->total_ms - r->queue_ms;
    b->total_ms += r->total_ms;
}

/* The next sentence, which no other has as a prefix, into text [size]. */
static void next_sentence(bench *b, char *text, size_t size)
{
    const char *sentence = sentences[b->sent % (sizeof sentences / sizeof *sentences)];
    snprintf(text, size, "%" PRIu64 ". %s", ++b->sent, sentence);
    hg_progress_set(&b->progress, b->sent);
}

static hg_status send(bench *b, uint32_t targets, hg_error *error)
{
    char id[24], text[256];
    hg_refusal refusal = {0};
    next_sentence(b, text, sizeof text);
    snprintf(id, sizeof id, "%" PRIu64, b->sent);
    hg_translate_request request = {
        .id = id,
        .rev = 1,
        .text = text,
        .target = b->targets.tag,
        .targets = targets,
        .source = b->targets.source,
        .final = true,
        .top_p = 1,
    };
    if (hg_conversation_translate(b->conversation, &request, &refusal)) return HG_OK;
    return hg_fail(error, HG_ERROR_STATE, "a sentence was refused: %s", refusal.message);
}

static void wait_until_running(bench *b, uint32_t most)
{
    while (hg_conversation_running(b->conversation) > most) hg_translator_poll(b->runtime, 1000);
}

/* One run: `--sentences` sentences for the first targets languages, some of them in flight. */
static hg_status run_once(bench *b, uint32_t targets, uint32_t in_flight, run_figures *out,
                          hg_error *error)
{
    hg_engine_figures before, after;
    hg_status status = HG_OK;
    b->tokens = b->prefill_tokens = b->shared_tokens = 0;
    b->busy_ms = b->total_ms = 0;
    hg_engine_read_figures(hg_runtime_engine(b->runtime), &before);
    int64_t start_us = hg_clock_us();
    for (int64_t i = 0; i < b->settings->sentences && !status; i++) {
        status = send(b, targets, error);
        wait_until_running(b, in_flight - 1);
    }
    wait_until_running(b, 0);
    double wall_ms = (double)(hg_clock_us() - start_us) / 1e3;
    hg_engine_read_figures(hg_runtime_engine(b->runtime), &after);
    if (status) return status;
    if (b->failed)
        return hg_fail(error, HG_ERROR_DEVICE, "%u lanes failed; the log has more", b->failed);
    double steps = (double)(after.steps - before.steps);
    double ms = in_flight == 1 ? b->busy_ms : wall_ms;
    *out = (run_figures){
        .tokens_per_s = ms > 0 ? (double)b->tokens / ms * 1e3 : 0,
        .step_ms = steps > 0 ? (double)(after.step_us - before.step_us) / steps / 1e3 : 0,
        .total_ms = b->total_ms / (double)b->settings->sentences,
        .prefill_tokens = b->prefill_tokens,
        .shared_tokens = b->shared_tokens,
    };
    return HG_OK;
}

static int by_speed(const void *a, const void *b)
{
    double x = ((const run_figures *)a)->tokens_per_s, y = ((const run_figures *)b)->tokens_per_s;
    return (x > y) - (x < y);
}

static hg_status measure(bench *b, uint32_t targets, uint32_t in_flight, run_figures *out,
                         hg_error *error)
{
    run_figures figures[RUNS_MAX + 1];
    int64_t runs = b->settings->runs;
    assert(runs >= 1 && runs <= RUNS_MAX);
    hg_status status = HG_OK;
    for (int64_t i = 0; i <= runs && !status; i++) /* the first one warms up and is not counted */
        status = run_once(b, targets, in_flight, &figures[i], error);
    if (status) return status;
    qsort(figures + 1, (size_t)runs, sizeof figures[0], by_speed);
    *out = figures[1 + runs / 2];
    return HG_OK;
}

/* ---- prefill, straight on the engine ---- */

static void wait_for_job(hg_engine *engine, hg_job *job, hg_job_state *state)
{
    hg_job_read(job, state);
    while (!state->ended) {
        hg_job *news = hg_engine_next_news(engine, 1000);
        if (news) hg_job_release(news);
        hg_job_read(job, state);
    }
}

/* The prompt of a new sentence for each of lanes adapters, one output token each. The last token
 * stands for the template's own, from which an aLoRA adapter acts on. */
static hg_status prefill_once(bench *b, const hg_language_view *view, uint32_t lanes, bool shared,
                              double *ms, hg_error *error)
{
    const hg_model *model = hg_runtime_model(b->runtime);
    hg_engine *engine = hg_runtime_engine(b->runtime);
    hg_lane_request lane[HG_LIMIT_LANES] = {0};
    hg_tokens prompt = {0};
    hg_job *job = NULL;
    char text[256];
    next_sentence(b, text, sizeof text);
    hg_status status = HG_OK;
    if (model->bos >= 0) status = hg_tokens_append(&prompt, model->bos);
    if (!status)
        status = hg_tokenizer_encode(hg_runtime_tokenizer(b->runtime), text, strlen(text), &prompt,
                                     error);
    if (!status) status = hg_tokens_append(&prompt, model->stops ? model->stop[0] : 0);
    for (uint32_t i = 0; i < lanes; i++) {
        lane[i] = (hg_lane_request){.adapter = view[i].adapter_key,
                                    .prompt = prompt.id,
                                    .prompt_tokens = prompt.count,
                                    .invocation = shared ? prompt.count - 1 : 0,
                                    .max_tokens = 1,
                                    .top_p = 1};
    }
    const hg_job_request request = {.lane = lane, .lanes = lanes};
    if (!status) status = hg_engine_submit(engine, &request, &job, error);
    if (!status) {
        hg_job_state state;
        wait_for_job(engine, job, &state);
        *ms = (double)(state.prefill_us - state.start_us) / 1e3;
        hg_job_release(job);
    }
    hg_tokens_free(&prompt);
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static hg_status measure_prefill(bench *b, bool shared, double *median_ms, hg_error *error)
{
    hg_language_view view[HG_LIMIT_ADAPTER_SLOTS];
    uint32_t lanes = hg_runtime_languages(b->runtime, view, HG_LIMIT_ADAPTER_SLOTS);
    if (lanes > b->targets.count) lanes = b->targets.count;
    size_t count = (size_t)(b->settings->sentences * b->settings->runs);
    double *ms = calloc(count + 1, sizeof *ms);
    if (!ms) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    hg_status status = HG_OK;
    for (size_t i = 0; i <= count && !status; i++)
        status = prefill_once(b, view, lanes, shared, &ms[i], error);
    qsort(ms + 1, count, sizeof *ms, by_value);
    *median_ms = ms[1 + count / 2];
    free(ms);
    return status;
}

/* ---- the report ---- */

/* "VmRSS:   12345 kB" of /proc/self/status, in bytes; 0 when it is not there. */
static uint64_t read_memory(const char *field)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, field, strlen(field)) == 0)
            kilobytes = strtoull(line + strlen(field), NULL, 10);
    }
    fclose(file);
    return kilobytes * 1024;
}

static double share(const run_figures *f)
{
    double all = (double)(f->prefill_tokens + f->shared_tokens);
    return all > 0 ? (double)f->shared_tokens / all : 0;
}

static void print_run(hg_json_out *json, const char *name, const run_figures *f)
{
    hg_json_begin_object(json, name);
    hg_json_put_number(json, "tokens_per_s", f->tokens_per_s);
    hg_json_put_number(json, "step_ms", f->step_ms);
    hg_json_put_number(json, "sentence_ms", f->total_ms);
    hg_json_put_integer(json, "prefill_tokens", (int64_t)f->prefill_tokens);
    hg_json_put_integer(json, "shared_tokens", (int64_t)f->shared_tokens);
    hg_json_end_object(json);
}

static hg_status print_json(const bench *b, const hg_device_info *device, hg_error *error)
{
    hg_buf out = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "version", HG_VERSION);
    hg_json_put_text(&json, "model", hg_runtime_model(b->runtime)->name);
    hg_json_put_text(&json, "device", device->name);
    hg_json_put_text(&json, "kernel", device->kernel);
    hg_json_put_integer(&json, "threads", device->threads);
    hg_json_put_integer(&json, "lanes", b->targets.count);
    hg_json_put_integer(&json, "runs", b->settings->runs);
    hg_json_put_integer(&json, "sentences", b->settings->sentences);
    print_run(&json, "one_lane", &b->one);
    print_run(&json, "all_lanes", &b->all);
    print_run(&json, "parallel", &b->parallel);
    hg_json_put_number(&json, "all_to_one", b->all.tokens_per_s / b->one.tokens_per_s);
    hg_json_put_number(&json, "prefill_shared_ms", b->prefill_shared_ms);
    hg_json_put_number(&json, "prefill_alone_ms", b->prefill_alone_ms);
    hg_json_put_number(&json, "ready_ms", b->ready_ms);
    hg_json_put_integer(&json, "resident_bytes", (int64_t)read_memory("VmRSS:"));
    hg_json_put_integer(&json, "resident_peak_bytes", (int64_t)read_memory("VmHWM:"));
    hg_json_end_object(&json);
    hg_status status = json.status;
    if (!status) puts(hg_buf_text(&out));
    hg_buf_free(&out);
    return status ? hg_fail(error, status, "the result could not be printed") : HG_OK;
}

static void print_text(const bench *b, const hg_device_info *device)
{
    printf("%s on %s, kernel %s, %u threads; median of %" PRId64 " runs of %" PRId64
           " sentences\n\n",
           hg_runtime_model(b->runtime)->name, device->name, device->kernel, device->threads,
           b->settings->runs, b->settings->sentences);
    const run_figures *rows[] = {&b->one, &b->all, &b->parallel};
    const char *const names[] = {"one lane", "all lanes", "8 in flight"};
    printf("%-12s  %9s  %8s  %12s\n", "", "tokens/s", "step ms", "sentence ms");
    for (int i = 0; i < 3; i++)
        printf("%-12s  %9.0f  %8.3f  %12.2f\n", names[i], rows[i]->tokens_per_s, rows[i]->step_ms,
               rows[i]->total_ms);
    printf("\n%u lanes to one: %.2f times the tokens/s\n", b->targets.count,
           b->all.tokens_per_s / b->one.tokens_per_s);
    printf("prefill of a sentence: %.2f ms shared, %.2f ms with each lane alone; %.0f %% of the "
           "prompt tokens are shared\n",
           b->prefill_shared_ms, b->prefill_alone_ms, 100 * share(&b->all));
    printf("ready after %.0f ms; resident memory %.0f MiB, at most %.0f MiB\n", b->ready_ms,
           (double)read_memory("VmRSS:") / (1 << 20), (double)read_memory("VmHWM:") / (1 << 20));
}

static hg_status measure_all(bench *b, hg_error *error)
{
    uint32_t lanes = b->targets.count;
    hg_status status = measure(b, 1, 1, &b->one, error);
    if (!status) status = measure(b, lanes, 1, &b->all, error);
    if (!status) status = measure(b, lanes, HG_LIMIT_SESSION_JOBS, &b->parallel, error);
    if (!status) status = measure_prefill(b, true, &b->prefill_shared_ms, error);
    if (!status) status = measure_prefill(b, false, &b->prefill_alone_ms, error);
    return status;
}

int hg_command_bench(const hg_settings *settings)
{
    bench b = {.settings = settings};
    hg_error error = {0};
    hg_engine_figures figures;
    int64_t start_us = hg_clock_us();
    hg_status status = hg_cli_open_runtime(settings, true, &b.runtime, &error);
    b.ready_ms = (double)(hg_clock_us() - start_us) / 1e3;
    if (!status) status = hg_targets_choose(b.runtime, NULL, settings->to, &b.targets, &error);
    if (!status)
        status = hg_conversation_new(b.runtime, "bench", on_event, &b, &b.conversation, &error);
    b.progress = hg_progress_start(
        "sentences", (uint64_t)(MEASUREMENTS * (settings->runs * settings->sentences) +
                                3 * settings->sentences + 2));
    if (!status) status = measure_all(&b, &error);
    hg_progress_end(&b.progress);
    if (!status) {
        hg_engine_read_figures(hg_runtime_engine(b.runtime), &figures);
        if (settings->json)
            status = print_json(&b, &figures.device, &error);
        else
            print_text(&b, &figures.device);
    }
    if (b.conversation) hg_conversation_free(b.conversation);
    hg_runtime_close(b.runtime);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
