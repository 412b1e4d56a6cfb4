/* model_convert.c: `hydraglot model quantize`, `model verify` and `model merge`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "core/cli/progress.h"
#include "core/cli/table.h"
#include "core/convert/produce.h"
#include "core/convert/text.h"
#include "core/convert/verify.h"
#include "core/service/json_out.h"

static hg_status need(const char *value, const char *flag, const char *what, hg_error *error)
{
    if (value && *value) return HG_OK;
    return hg_fail(error, HG_ERROR_ARGUMENT, "%s: is missing; it names %s", flag, what);
}

/* Prints one JSON line that was built into json. */
static hg_status print_line(const hg_json_out *json, const hg_buf *line, hg_error *error)
{
    if (json->status) return hg_fail(error, json->status, "the report is too long");
    printf("%s\n", hg_buf_text(line));
    return HG_OK;
}

/* With as many digits as a comparison wants. */
static void put_figure(hg_json_out *json, const char *name, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", isfinite(value) ? value : 0);
    hg_json_put_raw(json, name, text);
}

/* ---- quantize, merge ---- */

static void show_weights(void *context, uint64_t done, uint64_t total)
{
    hg_progress *progress = context;
    progress->total = total / 1000000 + 1;
    hg_progress_set(progress, done / 1000000);
}

static hg_status print_produced(const hg_settings *settings, const hg_produce *p, hg_error *error)
{
    const double loss = p->size > 0 ? p->change / p->size : 0;
    if (!settings->json) {
        printf("%s: %.1f MiB, ", p->out, (double)p->bytes / (1 << 20));
        if (p->bits)
            printf("INT%u group %u%s", p->bits, p->group, p->awq ? " by activations" : "");
        else
            printf("BF16");
        printf(", weights changed by %.3g (|new-old|^2/|old|^2)\n", loss);
        return HG_OK;
    }
    hg_buf line = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&line);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "path", p->out);
    hg_json_put_integer(&json, "bits", p->bits ? p->bits : 16);
    hg_json_put_integer(&json, "group", p->group);
    hg_json_put_integer(&json, "bytes", (int64_t)p->bytes);
    put_figure(&json, "weight_error", loss);
    hg_json_put_integer(&json, "calibration_tokens", p->tokens);
    hg_json_end_object(&json);
    hg_status status = print_line(&json, &line, error);
    hg_buf_free(&line);
    return status;
}

static int produce(const hg_settings *settings, hg_produce *p)
{
    hg_error error = {0};
    hg_progress progress = hg_progress_start("million weights", 1);
    p->model = settings->model;
    p->out = settings->out;
    p->threads = (uint32_t)settings->threads;
    p->plugins = settings->plugins;
    p->group = settings->group ? (uint16_t)atoi(settings->group) : 0;
    p->progress = show_weights;
    p->context = &progress;
    hg_status status = need(settings->out, "--out", "the folder of the new model", &error);
    if (!status) status = hg_produce_model(p, &error);
    hg_progress_end(&progress);
    p->context = NULL;
    if (!status) status = print_produced(settings, p, &error);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}

int hg_command_model_quantize(const hg_settings *settings)
{
    hg_produce p = {.bits = (uint8_t)atoi(settings->bits),
                    .awq = strcmp(settings->method, "awq") == 0,
                    .calibration = settings->calibration};
    return produce(settings, &p);
}

int hg_command_model_merge(const hg_settings *settings)
{
    hg_error error = {0};
    hg_produce p = {.bits = settings->quantized ? (uint8_t)atoi(settings->bits) : 0,
                    .merge = settings->plugin};
    if (need(settings->plugin, "--plugin", "what to fold in", &error)) return hg_cli_fail(&error);
    return produce(settings, &p);
}

/* ---- verify ---- */

static void show_layers(void *context, uint64_t done)
{
    hg_progress_set(context, done);
}

static hg_status print_verified_json(const hg_verify *v, hg_error *error)
{
    hg_buf line = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&line);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "model", v->a->path);
    hg_json_put_text(&json, "against", v->b->path);
    hg_json_put_integer(&json, "tokens", v->scored);
    put_figure(&json, "perplexity", v->perplexity_a);
    put_figure(&json, "perplexity_against", v->perplexity_b);
    hg_json_begin_array(&json, "layers");
    for (uint32_t l = 0; l < v->a->weights.shape.layers; l++) {
        hg_json_begin_object(&json, NULL);
        put_figure(&json, "weight_error", v->layer[l].weight);
        put_figure(&json, "output_error", v->layer[l].output);
        hg_json_end_object(&json);
    }
    hg_json_end_array(&json);
    hg_json_end_object(&json);
    hg_status status = print_line(&json, &line, error);
    hg_buf_free(&line);
    return status;
}

static hg_status print_verified(const hg_verify *v, hg_error *error)
{
    static const char *const titles[] = {">layer", ">weight error", ">output error", NULL};
    hg_table table;
    hg_table_start(&table, titles);
    for (uint32_t l = 0; l < v->a->weights.shape.layers; l++) {
        hg_table_cell(&table, "%u", l);
        hg_table_cell(&table, "%.3e", v->layer[l].weight);
        hg_table_cell(&table, "%.3e", v->layer[l].output);
    }
    hg_status status = hg_table_end(&table, stdout, error);
    if (status) return status;
    printf("\nperplexity of %u tokens: %.4f (%s), %.4f (%s)\n", v->scored, v->perplexity_a,
           v->a->name, v->perplexity_b, v->b->name);
    return HG_OK;
}

static hg_status verify(const hg_settings *settings, hg_model *a, hg_model *b, hg_error *error)
{
    hg_tokens tokens = {0};
    const uint32_t layers = a->weights.shape.layers;
    hg_progress progress = hg_progress_start("layers", layers);
    hg_verify v = {.a = a,
                   .b = b,
                   .span = HG_TEXT_SPAN,
                   .threads = (uint32_t)settings->threads,
                   .progress = show_layers,
                   .context = &progress};
    const hg_text_want text = {.file = settings->text,
                               .plugins = settings->plugins,
                               .half = HG_TEXT_COMPARE,
                               .most = HG_LIMIT_VERIFY_TOKENS};
    hg_status status = hg_text_tokens(b, &text, &tokens, error);
    v.layer = calloc(layers, sizeof *v.layer);
    if (!status && !v.layer) status = hg_fail(error, HG_ERROR_MEMORY, "no memory for a report");
    v.token = tokens.id;
    v.tokens = tokens.count;
    if (!status) status = hg_verify_run(&v, error);
    hg_progress_end(&progress);
    if (!status)
        status = settings->json ? print_verified_json(&v, error) : print_verified(&v, error);
    free(v.layer);
    hg_tokens_free(&tokens);
    return status;
}

int hg_command_model_verify(const hg_settings *settings)
{
    hg_error error = {0};
    hg_model *a = NULL, *b = NULL;
    hg_status status = need(settings->against, "--against", "the model to compare with", &error);
    if (!status) status = hg_model_open(settings->model, &a, &error);
    if (!status) status = hg_model_open(settings->against, &b, &error);
    if (!status) status = verify(settings, a, b, &error);
    hg_model_close(a);
    hg_model_close(b);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
