/* plan.c: the largest plan within a budget. What a lane and an adapter add is constant, so the
 * device is asked once, for a plan with one page and no adapter. */
#include "core/engine/plan.h"

#include <stdio.h>

#include "core/engine/pages.h"

#define GIB          ((size_t)1 << 30)
#define RESERVE_PART 8   /* of the card: for others and for CUDA's context, */
#define RESERVE      GIB /* at least */

/* What the parts of a plan take. */
typedef struct prices {
    size_t fixed_bytes; /* weights, workspace, graphs */
    size_t page_bytes;
    size_t adapter_bytes;
    uint32_t lane_pages; /* planned for a lane */
    size_t budget_bytes;
} prices;

static size_t lora_bytes(uint32_t rows, uint32_t columns)
{
    return sizeof(uint16_t) * HG_LIMIT_PLAN_RANK * ((size_t)rows + columns);
}

/* Of one adapter as they are planned. */
static size_t adapter_bytes(const hg_shape *s)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    size_t layer = 2 * lora_bytes(q, s->hidden) + 2 * lora_bytes(kv, s->hidden) +
                   3 * lora_bytes(s->intermediate, s->hidden);
    return s->layers * layer;
}

static size_t budget_of(const hg_plan_wish *wish, const hg_device_room *room)
{
    if (wish->bound_bytes) return wish->bound_bytes;
    if (!room) return SIZE_MAX;
    size_t reserve = room->whole_bytes / RESERVE_PART;
    if (reserve < RESERVE) reserve = RESERVE;
    size_t ours = room->whole_bytes > reserve ? room->whole_bytes - reserve : 0;
    return ours < room->left_bytes ? ours : room->left_bytes;
}

static size_t need(const prices *p, uint32_t lanes, uint32_t adapters)
{
    return p->fixed_bytes + lanes * p->lane_pages * p->page_bytes + adapters * p->adapter_bytes;
}

/* Grows two counts from least to most, the one that is further behind first, while they fit.
 * False: least does not. */
static bool grow(const prices *p, const uint32_t least[2], const uint32_t most[2], uint32_t out[2])
{
    out[0] = least[0];
    out[1] = least[1];
    if (need(p, out[0], out[1]) > p->budget_bytes) return false;
    for (bool more = true; more;) {
        more = false;
        int first = (uint64_t)out[0] * most[1] <= (uint64_t)out[1] * most[0] ? 0 : 1;
        for (int i = 0; i < 2 && !more; i++) {
            uint32_t next[2] = {out[0], out[1]};
            int one = i ? 1 - first : first;
            next[one]++;
            if (next[one] > most[one] || need(p, next[0], next[1]) > p->budget_bytes) continue;
            out[one] = next[one];
            more = true;
        }
    }
    return true;
}

static hg_status refuse(const prices *p, const hg_plan *plan, const hg_plan_wish *wish,
                        const hg_device_room *room, hg_error *error)
{
    const uint32_t least[2] = {1, 0}, most[2] = {plan->lanes, plan->adapters};
    uint32_t fits[2];
    char would[80] = "not even one lane fits: take a smaller model";
    if (grow(p, least, most, fits))
        snprintf(would, sizeof would, "%u lanes and %u adapters would fit", fits[0], fits[1]);
    const char *of = wish->bound_bytes                    ? "--device-memory"
                     : p->budget_bytes < room->left_bytes ? "the card less its reserve"
                                                          : "free memory of the card";
    return hg_fail(error, HG_ERROR_LIMIT,
                   "%s: %.2f GiB; %u lanes and %u adapters need %.2f GiB (of it weights %.2f): %s; "
                   "see `hydraglot doctor --plan`",
                   of, (double)p->budget_bytes / GIB, plan->lanes, plan->adapters,
                   (double)need(p, plan->lanes, plan->adapters) / GIB,
                   (double)plan->memory.weights_bytes / GIB, would);
}

/* Lowers what nobody asked for until it fits. */
static hg_status fit(const prices *p, const hg_plan_wish *wish, const hg_device_room *room,
                     hg_plan *plan, hg_error *error)
{
    if (need(p, plan->lanes, plan->adapters) <= p->budget_bytes) return HG_OK;
    const uint32_t most[2] = {plan->lanes, plan->adapters};
    const uint32_t least[2] = {wish->lanes ? plan->lanes : 1, wish->adapters ? plan->adapters : 1};
    uint32_t fits[2];
    if (wish->pages || !grow(p, least, most, fits)) return refuse(p, plan, wish, room, error);
    plan->lanes = fits[0];
    plan->adapters = fits[1];
    plan->lowered = true;
    return HG_OK;
}

/* Everything but pages and adapters. */
static hg_device_plan plain_plan(const hg_shape *shape, const hg_plan_wish *wish)
{
    uint32_t tokens =
        shape->positions < HG_LIMIT_LANE_TOKENS ? shape->positions : HG_LIMIT_LANE_TOKENS;
    return (hg_device_plan){.pages = 1,
                            .lane_pages = hg_pages_for(tokens),
                            .step_rows = HG_LIMIT_STEP_ROWS,
                            .step_lanes = HG_LIMIT_STEP_LANES,
                            .adapter_slots = HG_LIMIT_ADAPTER_SLOTS,
                            .chunks = HG_LIMIT_CHUNKS,
                            .dense_bits = wish->dense_bits};
}

/* Asks the device what one page and the rest take. */
static hg_status ask(const hg_device_api *api, const hg_weights *weights, hg_plan *plan, prices *p,
                     hg_error *error)
{
    hg_device_memory *m = &plan->memory;
    hg_status status = api->measure(weights, &plan->device, m, error);
    if (status) return status;
    p->fixed_bytes = m->weights_bytes + m->workspace_bytes + m->graphs_bytes;
    p->page_bytes = m->pages_bytes;
    p->adapter_bytes = adapter_bytes(&weights->shape);
    return HG_OK;
}

hg_status hg_plan_make(const hg_device_api *api, const hg_weights *weights,
                       const hg_plan_wish *wish, const hg_device_room *room, hg_plan *out,
                       hg_error *error)
{
    hg_device_plan *device = &out->device;
    *out = (hg_plan){.device = plain_plan(&weights->shape, wish),
                     .budget_bytes = SIZE_MAX,
                     .lanes = wish->lanes ? wish->lanes : HG_LIMIT_PLAN_LANES,
                     .adapters = wish->adapters ? wish->adapters : HG_LIMIT_PLAN_ADAPTERS};
    uint32_t usual = hg_pages_for(HG_LIMIT_PLAN_TOKENS);
    prices p = {.lane_pages = usual < device->lane_pages ? usual : device->lane_pages};
    hg_status status = HG_OK;
    if (api->measure) {
        p.budget_bytes = out->budget_bytes = budget_of(wish, room);
        status = ask(api, weights, out, &p, error);
        if (!status) status = fit(&p, wish, room, out, error);
        if (status) return status;
        device->adapter_bytes = out->adapters * p.adapter_bytes;
    }
    device->pages = wish->pages ? wish->pages : out->lanes * p.lane_pages;
    return api->measure ? api->measure(weights, device, &out->memory, error) : HG_OK;
}

void hg_plan_print(const hg_plan *plan, char *text, size_t size)
{
    const hg_device_memory *m = &plan->memory;
    char of[48] = "";
    if (plan->budget_bytes < SIZE_MAX)
        snprintf(of, sizeof of, " of %.2f", (double)plan->budget_bytes / GIB);
    snprintf(text, size,
             "%u lanes of %d tokens, %u adapters of rank %d: weights %.2f, KV %.2f, adapters %.2f, "
             "workspace %.2f, graphs %.2f: %.2f%s GiB",
             plan->lanes, HG_LIMIT_PLAN_TOKENS, plan->adapters, HG_LIMIT_PLAN_RANK,
             (double)m->weights_bytes / GIB, (double)m->pages_bytes / GIB,
             (double)m->adapters_bytes / GIB, (double)m->workspace_bytes / GIB,
             (double)m->graphs_bytes / GIB, (double)hg_device_memory_sum(m) / GIB, of);
}
