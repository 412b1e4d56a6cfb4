/* gate.c: see gate.h. */
#include "core/plugins/gate.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/text/bleu.h"
#include "core/text/score.h"

typedef struct outcome {
    char *text; /* owned; NULL until it ended */
    unsigned faults;
    uint32_t tokens;
    double first_ms;
} outcome;

struct hg_gate {
    hg_runtime *runtime;
    hg_conversation *conversation;
    char target[HG_LIMIT_PLUGIN_NAME + 16], source[HG_LIMIT_TAG], language[HG_LIMIT_TAG];
    const hg_pairs *pairs;
    hg_gate_bar bar;
    outcome *outcome; /* [pairs->count] */
    uint32_t sent, ended;
    int64_t start_us, end_us;
    bool failed; /* no memory */
    /* when all have ended: */
    hg_chrf chrf;
    hg_bleu bleu;
    uint32_t faults[HG_FAULTS];
};

/* Languages whose writing has no spaces between words, where BLEU counts characters. */
static bool is_written_together(const char *language)
{
    static const char *const tags[] = {"zh", "ja", "th", "lo", "km", "my", "yue"};
    size_t length = strcspn(language, "-");
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (strlen(tags[i]) == length && memcmp(tags[i], language, length) == 0) return true;
    return false;
}

static void finish(hg_gate *gate)
{
    bool characters = is_written_together(gate->language);
    gate->end_us = hg_clock_us();
    for (uint32_t i = 0; i < gate->pairs->count; i++) {
        const outcome *o = &gate->outcome[i];
        const char *text = o->text ? o->text : "";
        gate->failed |= hg_chrf_add(&gate->chrf, text, gate->pairs->target[i]) ||
                        hg_bleu_add(&gate->bleu, text, gate->pairs->target[i], characters);
        for (unsigned f = 0; f < HG_FAULTS; f++) gate->faults[f] += o->faults >> f & 1;
    }
}

static void end_pair(hg_gate *gate, uint32_t index, const char *text, unsigned faults)
{
    outcome *o = &gate->outcome[index];
    assert(!o->text);
    o->text = strdup(text);
    o->faults = faults;
    gate->failed |= !o->text;
    if (++gate->ended == gate->pairs->count) finish(gate);
}

static void on_event(const hg_event *event, void *context)
{
    hg_gate *gate = context;
    if (event->type != HG_EVENT_DONE) return;
    uint32_t index = (uint32_t)strtoul(event->id, NULL, 10);
    assert(index < gate->pairs->count);
    outcome *o = &gate->outcome[index];
    unsigned faults = 1u << HG_FAULT_FAILED;
    if (strcmp(event->status, "ok") == 0) {
        bool ends = strcmp(event->stop, "eos") == 0 || strcmp(event->stop, "unchanged") == 0;
        faults = hg_gate_faults(gate->pairs->source[index], gate->pairs->target[index], event->text,
                                gate->language);
        if (!ends) faults |= 1u << HG_FAULT_ENDLESS;
    }
    o->tokens = event->tokens;
    o->first_ms = event->first_ms;
    end_pair(gate, index, event->text, faults);
}

hg_status hg_gate_start(hg_runtime *runtime, const hg_gate_options *options, hg_gate **out,
                        hg_error *error)
{
    hg_gate *gate = *out = calloc(1, sizeof *gate);
    if (!gate) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a check");
    *gate = (hg_gate){.runtime = runtime,
                      .pairs = options->pairs,
                      .bar = options->bar,
                      .start_us = hg_clock_us(),
                      .outcome = calloc(options->pairs->count + 1ul, sizeof *gate->outcome)};
    snprintf(gate->target, sizeof gate->target, "%s", options->target);
    snprintf(gate->source, sizeof gate->source, "%s", options->source);
    snprintf(gate->language, sizeof gate->language, "%s", options->language);
    hg_status status = gate->outcome ? HG_OK : HG_ERROR_MEMORY;
    if (status)
        hg_fail(error, status, "no memory for a check");
    else
        status = hg_conversation_new(runtime, "gate", on_event, gate, &gate->conversation, error);
    if (!status) return HG_OK;
    hg_gate_free(gate);
    *out = NULL;
    return status;
}

void hg_gate_step(hg_gate *gate)
{
    const char *target[] = {gate->target};
    while (gate->sent < gate->pairs->count && gate->sent - gate->ended < HG_LIMIT_GATE_LANES) {
        char id[16];
        hg_refusal refusal;
        uint32_t index = gate->sent;
        snprintf(id, sizeof id, "%u", index);
        const hg_translate_request request = {.id = id,
                                              .rev = 1,
                                              .text = gate->pairs->source[index],
                                              .target = target,
                                              .targets = 1,
                                              .source = gate->source,
                                              .final = true};
        gate->sent++; /* an event may come before the call returns */
        if (hg_conversation_translate(gate->conversation, &request, &refusal)) continue;
        if (refusal.code == HG_CODE_busy) { /* others' sentences wait too: later */
            gate->sent--;
            return;
        }
        end_pair(gate, index, "", 1u << HG_FAULT_FAILED);
    }
}

bool hg_gate_done(const hg_gate *gate)
{
    return gate->ended == gate->pairs->count;
}

uint32_t hg_gate_progress(const hg_gate *gate)
{
    return gate->ended;
}

void hg_gate_free(hg_gate *gate)
{
    if (!gate) return;
    hg_conversation_free(gate->conversation);
    for (uint32_t i = 0; gate->outcome && i < gate->pairs->count; i++) free(gate->outcome[i].text);
    free(gate->outcome);
    free(gate);
}

/* ---- the report ---- */

/* Why the bar is not reached, one text each. */
static json_t *reasons_of(const hg_gate *gate)
{
    uint32_t count = gate->pairs->count;
    json_t *list = json_array();
    if (count && hg_chrf_score(&gate->chrf) < gate->bar.chrf)
        json_array_append_new(list, json_sprintf("chrF is %.1f, below %u",
                                                 hg_chrf_score(&gate->chrf), gate->bar.chrf));
    for (int f = 0; f < HG_FAULTS; f++)
        if ((uint64_t)gate->faults[f] * 100 > (uint64_t)gate->bar.faults * count)
            json_array_append_new(list, json_sprintf("%s: %u of %u pairs, more than %u %%",
                                                     hg_fault_name((hg_fault)f), gate->faults[f],
                                                     count, gate->bar.faults));
    return list;
}

const char *hg_gate_verdict(const hg_gate *gate)
{
    if (!gate->pairs->count) return "unproven";
    json_t *reasons = reasons_of(gate);
    bool fine = reasons && !json_array_size(reasons) && !gate->failed;
    json_decref(reasons);
    return fine ? "ready" : "failed";
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median over the pairs; 0 without any. */
static double median_first_ms(const hg_gate *gate)
{
    uint32_t count = gate->pairs->count;
    double *all = malloc((count + 1ul) * sizeof *all);
    if (!all || !count) {
        free(all);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) all[i] = gate->outcome[i].first_ms;
    qsort(all, count, sizeof *all, by_value);
    double median = all[count / 2];
    free(all);
    return median;
}

/* The first pairs that have a fault, or just the first: something for people to read. */
static json_t *examples_of(const hg_gate *gate)
{
    json_t *list = json_array();
    for (int wanted = 1; wanted >= 0; wanted--) {
        for (uint32_t i = 0; i < gate->pairs->count; i++) {
            const outcome *o = &gate->outcome[i];
            if (json_array_size(list) == HG_LIMIT_GATE_EXAMPLES) return list;
            if ((o->faults != 0) != wanted || !o->text) continue;
            json_t *faults = json_array();
            for (unsigned f = 0; f < HG_FAULTS; f++)
                if (o->faults >> f & 1)
                    json_array_append_new(faults, json_string(hg_fault_name((hg_fault)f)));
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "source",
                                                  gate->pairs->source[i], "reference",
                                                  gate->pairs->target[i], "translation", o->text,
                                                  "faults", faults));
        }
    }
    return list;
}

/* What the target's adapter holds; 0 when nobody serves it. */
static uint64_t adapter_bytes(const hg_gate *gate)
{
    hg_language_view view[HG_LIMIT_ADAPTER_SLOTS];
    uint32_t count = hg_runtime_languages(gate->runtime, view, HG_LIMIT_ADAPTER_SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        char name[sizeof gate->target];
        snprintf(name, sizeof name, "plugin:%s", view[i].plugin);
        if (strcmp(name, gate->target) == 0 || strcmp(view[i].tag.text, gate->target) == 0)
            return view[i].bytes;
    }
    return 0;
}

hg_status hg_gate_set_replaced(json_t *report, uint32_t generation, const char *before)
{
    static const char *const scores[] = {"chrf", "bleu"};
    json_t *old = before ? json_loads(before, 0, NULL) : NULL;
    json_t *about = json_pack("{s:i}", "generation", (int)generation);
    bool failed = !about;
    for (size_t i = 0; about && i < sizeof scores / sizeof *scores; i++) {
        json_t *score = json_object_get(old, scores[i]);
        if (json_is_number(score)) failed |= json_object_set(about, scores[i], score) != 0;
    }
    failed |= json_object_set_new(report, "replaces", about) != 0;
    json_decref(old);
    return failed ? HG_ERROR_MEMORY : HG_OK;
}

json_t *hg_gate_report(const hg_gate *gate)
{
    uint64_t tokens = 0;
    json_t *faults = json_object();
    assert(hg_gate_done(gate));
    for (uint32_t i = 0; i < gate->pairs->count; i++) tokens += gate->outcome[i].tokens;
    for (int f = 0; f < HG_FAULTS; f++)
        json_object_set_new(faults, hg_fault_name((hg_fault)f), json_integer(gate->faults[f]));
    double seconds = gate->end_us ? (double)(gate->end_us - gate->start_us) / 1e6 : 0;
    return json_pack("{s:s, s:i, s:f, s:f, s:o, s:o, s:I, s:f, s:f, s:f, s:I, s:{s:i, s:i}, s:o}",
                     "verdict", hg_gate_verdict(gate), "pairs", (int)gate->pairs->count, "chrf",
                     hg_chrf_score(&gate->chrf), "bleu", hg_bleu_score(&gate->bleu), "faults",
                     faults, "reasons", reasons_of(gate), "tokens", (json_int_t)tokens,
                     "tokens_per_s", seconds > 0 ? (double)tokens / seconds : 0, "first_ms",
                     median_first_ms(gate), "seconds", seconds, "adapter_bytes",
                     (json_int_t)adapter_bytes(gate), "bar", "chrf", (int)gate->bar.chrf, "faults",
                     (int)gate->bar.faults, "examples", examples_of(gate));
}
