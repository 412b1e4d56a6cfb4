/* bench.c: `hydraglot bench`: how fast it is here.
 *
 * First sentences through the runtime: one warm-up and `--runs` runs of `--sentences` sentences
 * each, the measurements in turns; the median run counts. No sentence is ever sent twice: each
 * begins with a number of its own, so that no KV of an earlier one is reused and what is measured
 * is a new sentence each time.
 *
 *   one lane      sentence after sentence into the first language
 *   all lanes     sentence after sentence into all languages
 *   in parallel   the same, eight sentences in flight
 *   prefill       time from start to "all prompts computed" of one sentence for all languages, with
 *                 the source shared by all lanes and with each lane computing its own
 *
 * Then what bench.h lists. With --shape only the steps, of a model made in memory.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/version.h"
#include "core/cli/bench.h"
#include "core/cli/table.h"

#define MEASUREMENTS 5
#define RUNS_MAX     HG_BENCH_ROUNDS

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
    hg_device_info device;
    hg_bench_steps steps; /* count 0: not on this device */
    hg_bench_crowd crowd[HG_BENCH_CROWDS];
    hg_bench_drafts drafts;
    hg_bench_wire wire;
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

static void next_sentence(bench *b, char *text, size_t size)
{
    hg_bench_sentence(++b->sent, text, size);
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

/* One lane, all lanes and sentences in parallel, in turns; the first turn warms up. */
static hg_status measure_runs(bench *b, hg_error *error)
{
    static run_figures figures[3][RUNS_MAX + 1];
    run_figures *const out[] = {&b->one, &b->all, &b->parallel};
    const uint32_t targets[] = {1, b->targets.count, b->targets.count};
    const uint32_t in_flight[] = {1, 1, HG_LIMIT_SESSION_JOBS};
    int64_t runs = b->settings->runs;
    assert(runs >= 1 && runs <= RUNS_MAX);
    hg_status status = HG_OK;
    for (int64_t i = 0; i <= runs; i++)
        for (int m = 0; m < 3 && !status; m++)
            status = run_once(b, targets[m], in_flight[m], &figures[m][i], error);
    if (status) return status;
    for (int m = 0; m < 3; m++) {
        qsort(figures[m] + 1, (size_t)runs, sizeof figures[m][0], by_speed);
        *out[m] = figures[m][1 + runs / 2];
    }
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
    *median_ms = hg_spread_of(ms + 1, count).median;
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

static void print_sentences(const bench *b, const char *model)
{
    printf("%s on %s, kernel %s, %u threads; median of %" PRId64 " runs of %" PRId64
           " sentences\n\n",
           model, b->device.name, b->device.kernel, b->device.threads, b->settings->runs,
           b->settings->sentences);
    const run_figures *rows[] = {&b->one, &b->all, &b->parallel};
    const char *const names[] = {"one lane", "all lanes", "8 in flight"};
    printf("%-12s  %9s  %8s  %12s\n", "", "tokens/s", "step ms", "sentence ms");
    for (int i = 0; i < 3; i++)
        printf("%-12s  %9.0f  %8.3f  %12.2f\n", names[i], rows[i]->tokens_per_s, rows[i]->step_ms,
               rows[i]->total_ms);
    printf("\n%u lanes to one: %.2f times the tokens/s\n", b->targets.count,
           b->all.tokens_per_s / b->one.tokens_per_s);
    printf("prefill of a sentence: %.2f ms shared, %.2f ms with each lane alone; %.0f %% of the "
           "prompt tokens are shared\nready after %.0f ms\n",
           b->prefill_shared_ms, b->prefill_alone_ms, 100 * share(&b->all), b->ready_ms);
}

static void print_drafts(const bench *b)
{
    const hg_bench_drafts *d = &b->drafts;
    if (!d->pairs) return;
    printf("\nsentences grown by a word, %u of them: %.2f times as fast with drafts (median; all "
           "together %.2f)\n%" PRIu64 " output tokens, %" PRIu64 " drafted, %" PRIu64 " accepted\n",
           d->pairs, d->faster, d->faster_in_all, d->tokens, d->drafted, d->accepted);
    printf("typed word by word, %u revisions: %.2f times as fast as decoded plainly (all together "
           "%.2f)\n%" PRIu64 " tokens decoded instead of %" PRIu64 "\n",
           d->typed.revisions, d->typed.faster, d->typed.faster_in_all, d->typed.tokens,
           d->typed.plain_tokens);
}

static void drafts_json(const hg_bench_drafts *d, hg_json_out *json)
{
    hg_json_begin_object(json, "drafts");
    hg_json_put_integer(json, "sentences", d->pairs);
    hg_json_put_number(json, "faster", d->faster);
    hg_json_put_number(json, "faster_in_all", d->faster_in_all);
    hg_json_put_integer(json, "tokens", (int64_t)d->tokens);
    hg_json_put_integer(json, "drafted", (int64_t)d->drafted);
    hg_json_put_integer(json, "accepted", (int64_t)d->accepted);
    hg_json_begin_object(json, "typed");
    hg_json_put_integer(json, "revisions", d->typed.revisions);
    hg_json_put_number(json, "faster", d->typed.faster);
    hg_json_put_number(json, "faster_in_all", d->typed.faster_in_all);
    hg_json_put_integer(json, "tokens", (int64_t)d->typed.tokens);
    hg_json_put_integer(json, "plain_tokens", (int64_t)d->typed.plain_tokens);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void print_crowds(hg_json_out *json, const char *name, const hg_bench_crowd *crowd)
{
    hg_json_begin_array(json, name);
    for (int i = 0; i < HG_BENCH_CROWDS; i++) {
        hg_json_begin_object(json, NULL);
        hg_json_put_integer(json, "clients", crowd[i].clients);
        hg_json_put_integer(json, "sentences", crowd[i].sentences);
        hg_json_put_number(json, "first_ms", crowd[i].first_ms);
        hg_json_put_number(json, "p50_ms", crowd[i].p50_ms);
        hg_json_put_number(json, "p95_ms", crowd[i].p95_ms);
        hg_json_put_number(json, "p99_ms", crowd[i].p99_ms);
        hg_json_end_object(json);
    }
    hg_json_end_array(json);
}

static void print_runtime(const bench *b, hg_json_out *json)
{
    hg_json_put_text(json, "device", b->device.name);
    hg_json_put_text(json, "kernel", b->device.kernel);
    hg_json_put_integer(json, "threads", b->device.threads);
    hg_json_put_integer(json, "lanes", b->targets.count);
    hg_json_put_integer(json, "runs", b->settings->runs);
    hg_json_put_integer(json, "sentences", b->settings->sentences);
    print_run(json, "one_lane", &b->one);
    print_run(json, "all_lanes", &b->all);
    print_run(json, "parallel", &b->parallel);
    hg_json_put_number(json, "all_to_one", b->all.tokens_per_s / b->one.tokens_per_s);
    hg_json_put_number(json, "prefill_shared_ms", b->prefill_shared_ms);
    hg_json_put_number(json, "prefill_alone_ms", b->prefill_alone_ms);
    hg_json_put_number(json, "ready_ms", b->ready_ms);
    drafts_json(&b->drafts, json);
    print_crowds(json, "clients", b->crowd);
    print_crowds(json, "websocket", b->wire.crowd);
    hg_json_put_number(json, "websocket_over_steps", b->wire.over_steps);
}

static hg_status print_json(const bench *b, const char *model, hg_error *error)
{
    hg_buf out = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "version", HG_VERSION);
    hg_json_put_text(&json, "model", model);
    if (b->one.tokens_per_s > 0) print_runtime(b, &json);
    if (b->steps.count) {
        hg_json_begin_object(&json, "roofline");
        hg_bench_steps_json(&b->steps, &json);
        hg_json_end_object(&json);
    }
    hg_json_put_integer(&json, "resident_bytes", (int64_t)read_memory("VmRSS:"));
    hg_json_put_integer(&json, "resident_peak_bytes", (int64_t)read_memory("VmHWM:"));
    hg_json_end_object(&json);
    hg_status status = json.status;
    if (!status) puts(hg_buf_text(&out));
    hg_buf_free(&out);
    return status ? hg_fail(error, status, "the result could not be printed") : HG_OK;
}

static hg_status print_latency(const bench *b, hg_error *error)
{
    static const char *const titles[] = {"sentences of", ">clients", ">first ms", ">p50 ms",
                                         ">p95 ms",      ">p99 ms",  NULL};
    hg_table table;
    hg_table_start(&table, titles);
    for (int i = 0; i < 2 * HG_BENCH_CROWDS; i++) {
        bool wire = i >= HG_BENCH_CROWDS;
        const hg_bench_crowd *c = wire ? &b->wire.crowd[i - HG_BENCH_CROWDS] : &b->crowd[i];
        hg_table_cell(&table, wire ? "the websocket" : "the runtime");
        hg_table_cell(&table, "%u", c->clients);
        hg_table_cell(&table, "%.1f", c->first_ms);
        hg_table_cell(&table, "%.1f", c->p50_ms);
        hg_table_cell(&table, "%.1f", c->p95_ms);
        hg_table_cell(&table, "%.1f", c->p99_ms);
    }
    puts("");
    hg_status status = hg_table_end(&table, stdout, error);
    printf("\nover the websocket, one client: %.2f times the engine's steps\n", b->wire.over_steps);
    return status;
}

static hg_status print_text(const bench *b, const char *model, hg_error *error)
{
    hg_status status = HG_OK;
    if (b->one.tokens_per_s > 0) {
        print_sentences(b, model);
        print_drafts(b);
        status = print_latency(b, error);
        puts("");
    }
    if (b->steps.count && !status) status = hg_bench_steps_print(&b->steps, error);
    printf("\nresident memory %.0f MiB, at most %.0f MiB\n",
           (double)read_memory("VmRSS:") / (1 << 20), (double)read_memory("VmHWM:") / (1 << 20));
    return status;
}

/* ---- the command ---- */

static hg_status measure_all(bench *b, hg_error *error)
{
    hg_status status = measure_runs(b, error);
    if (!status) status = measure_prefill(b, true, &b->prefill_shared_ms, error);
    if (!status) status = measure_prefill(b, false, &b->prefill_alone_ms, error);
    hg_progress_end(&b->progress);
    if (!status)
        status = hg_bench_drafts_run(b->settings, b->runtime, &b->targets, &b->drafts, error);
    if (!status)
        status = hg_bench_clients_run(b->settings, b->runtime, &b->targets, b->crowd, error);
    if (!status && strncmp(b->device.name, "cpu", 3) == 0)
        status = hg_bench_steps_run(b->settings, &hg_runtime_model(b->runtime)->weights, &b->steps,
                                    error);
    return status;
}

static hg_status bench_model(bench *b, char *name, size_t size, hg_error *error)
{
    const hg_settings *settings = b->settings;
    hg_engine_figures figures;
    int64_t start_us = hg_clock_us();
    hg_status status = hg_cli_open_runtime(settings, true, &b->runtime, error);
    b->ready_ms = (double)(hg_clock_us() - start_us) / 1e3;
    if (!status) status = hg_targets_choose(b->runtime, NULL, settings->to, &b->targets, error);
    if (!status)
        status = hg_conversation_new(b->runtime, "bench", on_event, b, &b->conversation, error);
    if (!status) {
        hg_engine_read_figures(hg_runtime_engine(b->runtime), &figures);
        b->device = figures.device;
        snprintf(name, size, "%s", hg_runtime_model(b->runtime)->name);
        b->progress = hg_progress_start(
            "sentences", (uint64_t)(MEASUREMENTS * (settings->runs * settings->sentences) +
                                    3 * settings->sentences + 2));
        status = measure_all(b, error);
    }
    if (b->conversation) hg_conversation_free(b->conversation);
    hg_runtime_close(b->runtime);
    return status ? status : hg_bench_wire_run(settings, &b->targets, &b->wire, error);
}

static hg_status bench_shape(bench *b, char *name, size_t size, hg_error *error)
{
    hg_shaped *shaped;
    hg_status status = hg_shaped_open(b->settings->shape, &shaped, error);
    snprintf(name, size, "random, shape %s", b->settings->shape);
    if (!status)
        status = hg_bench_steps_run(b->settings, hg_shaped_weights(shaped), &b->steps, error);
    hg_shaped_close(shaped);
    return status;
}

int hg_command_bench(const hg_settings *settings)
{
    static bench b; /* large */
    hg_error error = {0};
    char model[64];
    b = (bench){.settings = settings};
    hg_status status = settings->shape ? bench_shape(&b, model, sizeof model, &error)
                                       : bench_model(&b, model, sizeof model, &error);
    if (!status)
        status = settings->json ? print_json(&b, model, &error) : print_text(&b, model, &error);
    hg_bench_steps_free(&b.steps);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
