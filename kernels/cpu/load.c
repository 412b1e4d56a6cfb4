/* load.c: the CPU device's memory, and how a model comes into it: packed, or mapped from the cache
 * as an earlier start packed it. */
#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "kernels/cpu/cache.h"
#include "kernels/cpu/family.h"
#include "kernels/cpu/packed.h"

void hg_cpu_memory(const hg_device *d, hg_device_memory *out)
{
    *out = (hg_device_memory){.weights_bytes = d->model.size,
                              .pages_bytes = d->pages.size,
                              .workspace_bytes = d->workspace.size,
                              .logits_bytes = d->logits_bytes};
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++)
        out->adapters_bytes += d->slot[i].memory.size;
    out->filled_bytes = out->adapters_bytes;
}

static size_t memory_held(const hg_device *d)
{
    hg_device_memory m;
    hg_cpu_memory(d, &m);
    return m.weights_bytes + m.pages_bytes + m.adapters_bytes + m.workspace_bytes;
}

hg_status hg_cpu_check_bound(const hg_device *d, size_t more, const char *what, hg_error *error)
{
    size_t need = memory_held(d) + more;
    if (!d->memory_bytes || need <= d->memory_bytes) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT,
                   "--device-memory %zu: %s needs %zu bytes in all; allow more or use less",
                   d->memory_bytes, what, need);
}

/* ---- the packed model ---- */

static hg_cached cached_of(const hg_device *d, size_t bytes)
{
    return (hg_cached){.cache = &d->cache,
                       .family = d->family->name,
                       .version = HG_PACKED_VERSION,
                       .dense_bits = d->plan.dense_bits,
                       .bytes = bytes};
}

/* The model's arena: packed already, out of the cache, or empty. */
static hg_status map_model(hg_device *d, size_t bytes, hg_error *error)
{
    hg_cached what = cached_of(d, bytes);
    hg_error why = {0};
    if (hg_cache_wants(&what)) {
        hg_status status = hg_cache_map(&what, d->workers, &d->model, &why);
        d->cached = !status;
        if (!status) return HG_OK;
        if (status != HG_ERROR_NOT_FOUND)
            hg_log(HG_LOG_WARN, "cpu", "the model is packed anew: %s", why.message);
    }
    d->model.used = bytes;
    return hg_arena_map(&d->model, "the packed weights", error);
}

static void keep_model(hg_device *d, int64_t pack_us)
{
    hg_cached what = cached_of(d, d->model.used);
    hg_error why = {0};
    if (!hg_cache_wants(&what)) return;
    int64_t start_us = hg_clock_us();
    if (hg_cache_write(&what, d->workers, &d->model, &why))
        hg_log(HG_LOG_WARN, "cpu", "the packed model is not kept: %s", why.message);
    else
        hg_log(HG_LOG_INFO, "cpu", "the model was packed in %.1f s and kept in %s in %.1f s",
               (double)pack_us / 1e6, d->cache.folder, (double)(hg_clock_us() - start_us) / 1e6);
}

/* Packs the model unless it is; the next start finds it. */
static hg_status pack_model(hg_device *d, hg_error *error)
{
    if (d->cached) {
        hg_log(HG_LOG_INFO, "cpu", "the packed model came from %s", d->cache.folder);
        return HG_OK;
    }
    int64_t start_us = hg_clock_us();
    hg_status status = d->family->pack_model(d, error);
    if (!status) keep_model(d, hg_clock_us() - start_us);
    return status;
}

/* Counts, checks the bound, and maps the three arenas of the model. */
static hg_status map_memory(hg_device *d, hg_error *error)
{
    const hg_family *f = d->family;
    hg_arena model = {0}, workspace = {0}, pages = {0};
    d->page_bytes = f->page_bytes(&d->weights.shape);
    f->layout_model(d, &model);
    f->layout_workspace(d, &workspace);
    pages.used = d->page_bytes * d->plan.pages;
    hg_status status =
        hg_cpu_check_bound(d, model.used + workspace.used + pages.used, "the model", error);
    if (!status) status = map_model(d, model.used, error);
    if (!status) status = hg_arena_map(&workspace, "the workspace", error);
    d->workspace = workspace;
    if (!status) status = hg_arena_map(&pages, "the KV pool", error);
    d->pages = pages;
    return status;
}

/* After a failed load: the device is as it was before. */
static void unload_model(hg_device *d)
{
    hg_arena_unmap(&d->model);
    hg_arena_unmap(&d->workspace);
    hg_arena_unmap(&d->pages);
    free(d->slot);
    free(d->state);
    d->slot = NULL;
    d->state = NULL;
    d->page_bytes = 0;
    d->cached = false;
}

hg_status hg_cpu_load_model(hg_device *d, const hg_weights *weights, const hg_device_plan *plan,
                            hg_error *error)
{
    assert(plan->pages && plan->lane_pages && plan->step_rows && plan->step_lanes);
    assert(plan->adapter_slots < HG_NO_SLOT && weights->shape.heads % weights->shape.kv_heads == 0);
    if (d->loaded) return hg_fail(error, HG_ERROR_STATE, "the CPU device already holds a model");
    const hg_family *f = d->family;
    hg_status status = f->check ? f->check(weights, plan, error) : HG_OK;
    if (status) return status;
    d->weights = *weights;
    d->plan = *plan;
    d->slot = calloc(plan->adapter_slots ? plan->adapter_slots : 1, sizeof *d->slot);
    d->state = calloc(1, f->state_bytes);
    status = d->slot && d->state ? map_memory(d, error)
                                 : hg_fail(error, HG_ERROR_MEMORY, "no memory for the model");
    if (!status) {
        f->layout_model(d, &d->model);
        f->layout_workspace(d, &d->workspace);
        status = pack_model(d, error);
    }
    if (status)
        unload_model(d);
    else
        d->loaded = true;
    return status;
}
