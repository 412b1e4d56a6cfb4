/* bench_clients.c: latency of sentences while some clients each wait for their own.
 *
 * A client sends its next sentence when the one before has ended, so the load follows the speed.
 * No sentence is ever sent twice: each begins with a number of its own, so that no KV of an earlier
 * one is reused.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/bench.h"

#define CLIENTS_MAX 16
#define FIRST       1000000 /* sentences below it were sent by others to this runtime */

const uint32_t hg_bench_crowds[HG_BENCH_CROWDS] = {1, 4, CLIENTS_MAX};

/* Everyday sentences of different lengths. */
static const char *const sentences[HG_BENCH_SENTENCES] = {
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

void hg_bench_sentence(uint64_t number, char *text, size_t size)
{
    const char *sentence = sentences[number % HG_BENCH_SENTENCES];
    snprintf(text, size, "%" PRIu64 ". %s", number, sentence);
}

typedef struct crowd {
    hg_runtime *runtime;
    const hg_targets *targets;
    hg_conversation *conversation[CLIENTS_MAX];
    uint64_t number;             /* of the last sentence */
    double *total_ms, *first_ms; /* [room] of the sentences that ended */
    size_t ended, room;
    uint32_t failed; /* lanes */
} crowd;

static void on_event(const hg_event *event, void *context)
{
    crowd *c = context;
    if (event->type == HG_EVENT_DONE) c->failed += strcmp(event->status, "ok") != 0;
    if (event->type != HG_EVENT_BATCH || c->ended == c->room) return;
    c->first_ms[c->ended] = event->batch->first_ms;
    c->total_ms[c->ended++] = event->batch->total_ms;
}

static hg_status send(crowd *c, uint32_t client, hg_error *error)
{
    char id[24], text[256];
    hg_refusal refusal = {0};
    hg_bench_sentence(++c->number, text, sizeof text);
    snprintf(id, sizeof id, "c%" PRIu64, c->number);
    const hg_translate_request request = {
        .id = id,
        .rev = 1,
        .text = text,
        .target = c->targets->tag,
        .targets = c->targets->count,
        .source = c->targets->source,
        .final = true,
        .stream = true,
        .top_p = 1,
    };
    if (hg_conversation_translate(c->conversation[client], &request, &refusal)) return HG_OK;
    return hg_fail(error, HG_ERROR_STATE, "a sentence was refused: %s", refusal.message);
}

/* Until `count` sentences of so many clients have ended. */
static hg_status run_crowd(crowd *c, uint32_t clients, size_t count, hg_error *error)
{
    c->ended = 0;
    c->room = count;
    size_t sent = 0;
    hg_status status = HG_OK;
    while (c->ended < count && !status) {
        for (uint32_t i = 0; i < clients && sent < count && !status; i++) {
            if (hg_conversation_running(c->conversation[i])) continue;
            status = send(c, i, error);
            sent++;
        }
        if (!status) hg_translator_poll(c->runtime, 1000);
    }
    if (!status && c->failed)
        status = hg_fail(error, HG_ERROR_DEVICE, "%u lanes failed; the log has more", c->failed);
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double hg_percentile(const double *value, size_t count, double share)
{
    size_t at = (size_t)(share * (double)count);
    return count ? value[at < count ? at : count - 1] : 0;
}

hg_spread hg_spread_of(double *value, size_t count)
{
    qsort(value, count, sizeof *value, by_value);
    if (!count) return (hg_spread){0};
    return (hg_spread){hg_percentile(value, count, 0.5), value[0], value[count - 1]};
}

void hg_bench_crowd_settle(hg_bench_crowd *out, double *total_ms, double *first_ms, size_t count)
{
    hg_spread_of(total_ms, count);
    out->first_ms = hg_spread_of(first_ms, count).median;
    out->sentences = (uint32_t)count;
    out->p50_ms = hg_percentile(total_ms, count, 0.50);
    out->p95_ms = hg_percentile(total_ms, count, 0.95);
    out->p99_ms = hg_percentile(total_ms, count, 0.99);
}

size_t hg_bench_crowd_sentences(const hg_settings *settings)
{
    size_t count = (size_t)settings->sentences * (settings->full ? 24 : 3);
    return count < CLIENTS_MAX ? CLIENTS_MAX : count;
}

hg_status hg_bench_clients_run(const hg_settings *settings, hg_runtime *runtime,
                               const hg_targets *targets, hg_bench_crowd *out, hg_error *error)
{
    size_t count = hg_bench_crowd_sentences(settings);
    crowd c = {.runtime = runtime, .targets = targets, .number = FIRST};
    hg_status status = HG_OK;
    c.total_ms = calloc(count, sizeof *c.total_ms);
    c.first_ms = calloc(count, sizeof *c.first_ms);
    if (!c.total_ms || !c.first_ms) status = hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    for (uint32_t i = 0; i < CLIENTS_MAX && !status; i++)
        status = hg_conversation_new(runtime, "bench", on_event, &c, &c.conversation[i], error);
    if (!status) status = run_crowd(&c, 1, 1, error); /* warms up */
    for (uint32_t i = 0; i < HG_BENCH_CROWDS && !status; i++) {
        out[i].clients = hg_bench_crowds[i];
        status = run_crowd(&c, out[i].clients, count, error);
        if (!status) hg_bench_crowd_settle(&out[i], c.total_ms, c.first_ms, count);
    }
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        if (c.conversation[i]) hg_conversation_free(c.conversation[i]);
    free(c.total_ms);
    free(c.first_ms);
    return status;
}
