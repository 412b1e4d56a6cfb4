/* doctor_plan.c: `hydraglot doctor --plan`: how many lanes and adapters of a model fit on cards of
 * usual sizes, and on the one that is here. Sizes alone decide: nothing is loaded, and only the
 * present card is asked what it has. */
#include <stdio.h>

#include "core/cli/bench_shape.h"
#include "core/cli/cli.h"
#include "core/cli/table.h"
#include "core/engine/plan.h"
#include "core/service/json_out.h"
#include "core/translate/device.h"

#define GIB ((size_t)1 << 30)

#define CARDS 5

typedef struct report {
    const hg_settings *settings;
    const hg_device_api *api;
    const hg_weights *weights;
    struct {
        char card[16];
        hg_plan plan;
    } row[CARDS];
    int rows, unfit; /* unfit: cards without a row, which the plan does not fit */
} report;

/* ---- what is planned for ---- */

typedef struct subject {
    hg_model *model;
    hg_shaped *shaped;
    const hg_weights *weights;
} subject;

static hg_status open_subject(const hg_settings *settings, subject *out, hg_error *error)
{
    *out = (subject){0};
    hg_status status = settings->shape ? hg_shaped_open_sizes(settings->shape, &out->shaped, error)
                                       : hg_model_open(settings->model, &out->model, error);
    if (status) return status;
    out->weights = settings->shape ? hg_shaped_weights(out->shaped) : &out->model->weights;
    return HG_OK;
}

static void close_subject(subject *s)
{
    hg_shaped_close(s->shaped);
    hg_model_close(s->model);
}

/* What the card here has. An error says why there is none. */
static hg_status ask_card(const hg_device_api *api, hg_device_room *room, hg_error *error)
{
    hg_device_options options = {0};
    hg_device *device = NULL;
    hg_status status = api->open(&options, &device, error);
    if (!status) status = api->room(device, room, error);
    api->close(device);
    return status;
}

/* ---- rows ---- */

static double gib(size_t bytes)
{
    return (double)bytes / GIB;
}

static hg_status print_json(const char *card, const hg_plan *plan, hg_error *error)
{
    hg_buf out = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&out);
    const hg_device_memory *m = &plan->memory;
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "card", card);
    hg_json_put_integer(&json, "budget_bytes", (int64_t)plan->budget_bytes);
    hg_json_put_integer(&json, "lanes", plan->lanes);
    hg_json_put_integer(&json, "adapters", plan->adapters);
    hg_json_put_integer(&json, "weights_bytes", (int64_t)m->weights_bytes);
    hg_json_put_integer(&json, "kv_bytes", (int64_t)m->pages_bytes);
    hg_json_put_integer(&json, "adapters_bytes", (int64_t)m->adapters_bytes);
    hg_json_put_integer(&json, "workspace_bytes", (int64_t)m->workspace_bytes);
    hg_json_put_integer(&json, "graphs_bytes", (int64_t)m->graphs_bytes);
    hg_json_end_object(&json);
    hg_status status = json.status;
    if (status) status = hg_fail(error, status, "the plan is too long");
    if (!status) puts(hg_buf_text(&out));
    hg_buf_free(&out);
    return status;
}

static void add_row(hg_table *table, const char *card, const hg_plan *plan)
{
    const hg_device_memory *m = &plan->memory;
    hg_table_cell(table, "%s", card);
    hg_table_cell(table, "%.2f", gib(plan->budget_bytes));
    hg_table_cell(table, "%u", plan->lanes);
    hg_table_cell(table, "%u", plan->adapters);
    hg_table_cell(table, "%.2f", gib(m->weights_bytes));
    hg_table_cell(table, "%.2f", gib(m->pages_bytes));
    hg_table_cell(table, "%.2f", gib(m->adapters_bytes));
    hg_table_cell(table, "%.2f", gib(m->workspace_bytes + m->graphs_bytes));
    hg_table_cell(table, "%.2f", gib(hg_device_memory_sum(m)));
}

static hg_status print_rows(const report *r, hg_error *error)
{
    static const char *const titles[] = {"card", ">for us", ">lanes",     ">adapters", ">weights",
                                         ">KV",  ">LoRA",   ">workspace", ">sum GiB",  NULL};
    hg_status status = HG_OK;
    for (int i = 0; i < r->rows && r->settings->json && !status; i++)
        status = print_json(r->row[i].card, &r->row[i].plan, error);
    if (r->settings->json) return status;
    hg_table table;
    hg_table_start(&table, titles);
    for (int i = 0; i < r->rows; i++) add_row(&table, r->row[i].card, &r->row[i].plan);
    return hg_table_end(&table, stdout, error);
}

/* ---- cards ---- */

/* A card that the plan does not fit is told about at once. */
static hg_status plan_card(report *r, const char *card, const hg_device_room *room, hg_error *error)
{
    const hg_settings *s = r->settings;
    hg_plan_wish wish = {.lanes = (uint32_t)s->lanes,
                         .adapters = (uint32_t)s->adapters,
                         .bound_bytes = (size_t)s->device_memory_bytes};
    /* A bound above the card is no room. */
    if (wish.bound_bytes > room->whole_bytes) wish.bound_bytes = 0;
    hg_status status = hg_plan_make(r->api, r->weights, &wish, room, &r->row[r->rows].plan, error);
    if (status == HG_ERROR_LIMIT) {
        r->unfit++;
        fprintf(stderr, "%s: %s\n", card, error->message);
        return HG_OK;
    }
    if (status) return status;
    snprintf(r->row[r->rows].card, sizeof r->row->card, "%s", card);
    r->rows++;
    return HG_OK;
}

static hg_status plan_all(report *r, hg_error *error)
{
    static const unsigned sizes[] = {8, 12, 16, 24};
    hg_status status = HG_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !status; i++) {
        char card[16];
        size_t bytes = sizes[i] * GIB;
        snprintf(card, sizeof card, "%u GiB", sizes[i]);
        status = plan_card(r, card, &(hg_device_room){bytes, bytes}, error);
    }
    hg_device_room here = {0};
    hg_error why = {0};
    if (status) return status;
    if (!ask_card(r->api, &here, &why)) return plan_card(r, "this card", &here, error);
    fprintf(stderr, "this machine: %s\n", why.message);
    return HG_OK;
}

int hg_doctor_plan(const hg_settings *settings)
{
    hg_error error = {0};
    subject of = {0};
    report r = {.settings = settings};
    hg_status status = hg_device_find("cuda", &r.api, &error);
    if (!status) status = open_subject(settings, &of, &error);
    r.weights = of.weights;
    if (!status) status = plan_all(&r, &error);
    if (!status) status = print_rows(&r, &error);
    close_subject(&of);
    if (status) return hg_cli_fail(&error);
    return r.unfit ? HG_EXIT_FAILURE : HG_EXIT_OK;
}
