/* gate.h: how good a plugin is, by its validation pairs: they are translated as any client's
 * sentences are, and what comes out is scored and looked through for the ways in which adapters
 * fail.
 *
 * A gate is one conversation with few sentences in flight, so it takes its turn as one session
 * among others and adds rows to their steps, never steps of its own before theirs. It belongs to
 * the owner's thread of its runtime (core/translate/translate.h), who calls hg_gate_step after each
 * hg_translator_poll until hg_gate_done.
 */
#ifndef HG_PLUGINS_GATE_H
#define HG_PLUGINS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/plugins/pairs.h"
#include "core/translate/translate.h"

/* What a plugin must reach, in percent. */
typedef struct hg_gate_bar {
    uint32_t chrf;   /* at least this chrF */
    uint32_t faults; /* at most this share of the pairs with any one kind of fault */
} hg_gate_bar;

typedef enum hg_fault {
    HG_FAULT_FAILED,       /* no translation came */
    HG_FAULT_EMPTY,        /* no letter, where the reference has some */
    HG_FAULT_ENDLESS,      /* stopped by the bound or as it repeated itself */
    HG_FAULT_COPIED,       /* the source, where the reference is something else */
    HG_FAULT_LANGUAGE,     /* surely another language than the plugin's */
    HG_FAULT_ANSWERED,     /* much longer than the reference: it talks instead of translating */
    HG_FAULT_PLACEHOLDERS, /* lost a number, #tag, address or placeholder the reference keeps */
    HG_FAULTS
} hg_fault;

typedef struct hg_gate hg_gate;

/* target: "plugin:NAME" or a tag, as a client would ask. source, language: BCP-47 of the pairs' two
 * sides. pairs are borrowed until the gate is freed. */
typedef struct hg_gate_options {
    const char *target, *source, *language;
    const hg_pairs *pairs;
    hg_gate_bar bar;
} hg_gate_options;

hg_status hg_gate_start(hg_runtime *runtime, const hg_gate_options *options, hg_gate **out,
                        hg_error *error) HG_CHECKED;
/* Sends what there is room for. */
void hg_gate_step(hg_gate *gate);
bool hg_gate_done(const hg_gate *gate);
/* Pairs that have ended. */
uint32_t hg_gate_progress(const hg_gate *gate);
/* Cancels what runs. NULL is allowed. */
void hg_gate_free(hg_gate *gate);

/* When it is done: "ready" when the bar is reached, "failed", or "unproven" without pairs; static.
 */
const char *hg_gate_verdict(const hg_gate *gate);
/* Then too: {"verdict", "pairs", "chrf", "bleu", "faults": {"copied": n, ...}, "reasons": [text],
 * "tokens", "tokens_per_s", "first_ms", "seconds", "adapter_bytes", "bar": {...}, "examples":
 * [...]}; NULL without memory. The caller drops it. */
json_t *hg_gate_report(const hg_gate *gate);

/* Puts beside a report what is known of the generation that it would replace, from its report (the
 * text of a JSON object, or NULL): "replaces": {"generation", "chrf", "bleu"}, scores where that
 * report has them. */
hg_status hg_gate_set_replaced(json_t *report, uint32_t generation, const char *before) HG_CHECKED;

/* ---- faults.c ---- */

/* The faults of one translation, as bits 1 << hg_fault, but ENDLESS; FAILED only without memory. */
unsigned hg_gate_faults(const char *source, const char *reference, const char *translation,
                        const char *language);
const char *hg_fault_name(hg_fault fault);

#endif
