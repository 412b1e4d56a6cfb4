/* check.c: one rule for all devices. A row is looked at by itself and beside the one before it; the
 * pages of a lane with its last row, which reaches furthest.
 */
#include "kernels/check.h"

#include "core/base/limits.h"

static bool pages_exist(const hg_device_plan *plan, const hg_step *step, const hg_row *row)
{
    const uint32_t *page = step->page + (size_t)row->lane * plan->lane_pages;
    for (uint32_t i = 0; i <= row->position / HG_LIMIT_PAGE_TOKENS; i++)
        if (page[i] >= plan->pages) return false;
    return true;
}

uint32_t hg_whole_rows(const hg_step *step)
{
    uint32_t rows = 0;
    while (rows < step->rows && step->row[rows].whole) rows++;
    return rows;
}

/* Whether row i, among the first rows that are whole, stands where a chunk's row may. */
static bool fits_chunk(const hg_checked *to, const hg_step *step, uint32_t i, uint32_t rows)
{
    const hg_row *row = &step->row[i];
    if (!row->whole) return true;
    if (!to->chunk_rows || i >= rows || rows % to->chunk_rows || row->want || row->want_logits)
        return false;
    uint32_t first = i % to->chunk_rows;
    if (!first) return row->position % to->chunk_rows == 0 && rows <= to->chunk_rows * to->chunks;
    return row->lane == row[-1].lane && row->slot == row[-1].slot;
}

static const char *find_fault(const hg_checked *to, const hg_step *step, uint32_t i)
{
    const hg_device_plan *plan = to->plan;
    const hg_row *row = &step->row[i];
    if (row->token < 0 || (uint32_t)row->token >= to->vocabulary) return "token";
    if (row->lane >= step->lanes) return "lane";
    if (row->position / HG_LIMIT_PAGE_TOKENS >= plan->lane_pages) return "position";
    if (row->slot != HG_NO_SLOT &&
        (row->slot >= plan->adapter_slots || !to->ready(to->device, row->slot)))
        return "adapter slot";
    if (i && row[-1].lane == row->lane && row->position != row[-1].position + 1) return "position";
    bool last = i + 1 == step->rows || row[1].lane != row->lane;
    return last && !pages_exist(plan, step, row) ? "page" : NULL;
}

hg_status hg_check_step(const hg_checked *to, const hg_step *step, hg_error *error)
{
    const hg_device_plan *plan = to->plan;
    if (!plan) return hg_fail(error, HG_ERROR_STATE, "forward: no model is loaded");
    uint32_t whole = hg_whole_rows(step);
    if (!step->rows || step->rows - whole > plan->step_rows || step->lanes > plan->step_lanes)
        return hg_fail(error, HG_ERROR_ARGUMENT, "forward: %u rows of %u lanes, planned %u of %u",
                       step->rows - whole, step->lanes, plan->step_rows, plan->step_lanes);
    for (uint32_t i = 0; i < step->rows; i++) {
        const char *fault =
            fits_chunk(to, step, i, whole) ? find_fault(to, step, i) : "whole chunk";
        const hg_row *row = &step->row[i];
        if (fault)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "forward: row %u (token %d, position %u, lane %u, slot %u): wrong %s", i,
                           row->token, row->position, row->lane, row->slot, fault);
    }
    return HG_OK;
}

hg_status hg_check_page_copy(const hg_device_plan *plan, uint32_t from, uint32_t to,
                             uint32_t tokens, hg_error *error)
{
    if (from < plan->pages && to < plan->pages && tokens <= HG_LIMIT_PAGE_TOKENS) return HG_OK;
    return hg_fail(error, HG_ERROR_ARGUMENT,
                   "copy of %u tokens from KV page %u to %u: there are %u pages of %d", tokens,
                   from, to, plan->pages, HG_LIMIT_PAGE_TOKENS);
}
