/* adapter.c: adapter slots: an upload in pieces, on a stream of its own.
 *
 * begin takes a range of the block that load_model took for adapters and lays the matrices out, in
 * the file's type and at their true ranks. step copies a piece into pinned memory and queues it;
 * there are two such stages, so it waits only for the piece before the last, and the stream of the
 * steps for none. commit queues the slot's line of the card's table and lets the steps to come wait
 * for that: at most for one piece and a line. No step runs while these calls are made, so ranges
 * and lines that were given back may be written again at once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/state.h"

static uint32_t pairs_of(const hg_device *d)
{
    return d->shape.layers * HG_PROJECTIONS;
}

/* The slot, checked to be in the state that a call needs. */
static hg_status find_slot(hg_device *d, uint16_t index, hg_cuda_slot_state state,
                           hg_cuda_slot **out, hg_error *error)
{
    static const char *const word[] = {"empty", "loading", "ready"};
    hg_status status = hg_cuda_alive(d, error);
    if (status) return status;
    if (!d->loaded) return hg_fail(error, HG_ERROR_STATE, "adapter slot: no model is loaded");
    if (index >= d->plan.adapter_slots)
        return hg_fail(error, HG_ERROR_ARGUMENT, "adapter slot %u: there are %u", index,
                       d->plan.adapter_slots);
    *out = &d->slot[index];
    if ((*out)->state == state) return HG_OK;
    return hg_fail(error, HG_ERROR_STATE, "adapter slot %u is %s, not %s", index,
                   word[(*out)->state], word[state]);
}

static size_t matrix_bytes(const hg_matrix *m)
{
    return (size_t)m->rows * m->columns * (m->type == HG_F32 ? 4 : 2);
}

/* The place of a matrix behind those before it, which end at *bytes; room NULL: only counts. */
static const void *place(const uint8_t *room, const hg_matrix *m, size_t *bytes)
{
    size_t at = *bytes;
    *bytes += (matrix_bytes(m) + HG_CUDA_LINE - 1) / HG_CUDA_LINE * HG_CUDA_LINE;
    return room ? room + at : NULL;
}

/* Fills the slot's pairs and its size; with room for it, their pointers too. */
static void lay_pairs(const hg_device *d, hg_cuda_slot *slot, const uint8_t *room)
{
    slot->bytes = 0;
    for (uint32_t i = 0; i < pairs_of(d); i++) {
        hg_lora *pair = &slot->pair[i];
        *pair = slot->weights->layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS];
        if (!pair->rank) {
            *pair = (hg_lora){0};
            continue;
        }
        if (pair->rank > slot->rank_max) slot->rank_max = pair->rank;
        pair->a.data = place(room, &pair->a, &slot->bytes);
        pair->b.data = place(room, &pair->b, &slot->bytes);
    }
}

hg_status hg_cuda_put_begin(hg_device *d, uint16_t index, const hg_lora_weights *weights,
                            hg_error *error)
{
    hg_cuda_slot *slot = NULL;
    hg_status status = find_slot(d, index, HG_CUDA_EMPTY, &slot, error);
    if (status) return status;
    assert(slot && weights->layers == d->shape.layers &&
           weights->rank_max <= HG_LIMIT_ADAPTER_RANK);
    hg_cuda_slot made = {.state = HG_CUDA_LOADING, .weights = weights};
    made.pair = calloc(pairs_of(d), sizeof *made.pair);
    if (!made.pair) return hg_fail(error, HG_ERROR_MEMORY, "no memory for adapter slot %u", index);
    lay_pairs(d, &made, NULL);
    status = hg_cuda_find_range(d, made.bytes, &made.at, error);
    if (status) {
        free(made.pair);
        return status;
    }
    lay_pairs(d, &made, d->adapter_room + made.at);
    *slot = made;
    return HG_OK;
}

/* The matrix that the upload is at: on the card and in the file. NULL behind the last. */
static const hg_matrix *upload_source(const hg_device *d, const hg_cuda_slot *slot, uint8_t **to)
{
    if (slot->next == 2 * pairs_of(d)) return NULL;
    uint32_t i = slot->next / 2;
    const hg_lora *from = &slot->weights->layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS];
    const hg_lora *own = &slot->pair[i];
    const hg_matrix *target = slot->next % 2 ? &own->b : &own->a;
    *to = (uint8_t *)(uintptr_t)target->data; /* our own block: views are const */
    return slot->next % 2 ? &from->b : &from->a;
}

/* Moves on over pairs that the adapter leaves alone. */
static const hg_matrix *settle(const hg_device *d, hg_cuda_slot *slot, uint8_t **to)
{
    const hg_matrix *m = upload_source(d, slot, to);
    while (m && slot->next_byte == (*to ? matrix_bytes(m) : 0)) {
        slot->next++;
        slot->next_byte = 0;
        m = upload_source(d, slot, to);
    }
    return m;
}

/* Fills the stage from where the upload is, up to bytes, and queues its way to the card. */
static hg_status fill_stage(hg_device *d, hg_cuda_slot *slot, const hg_cuda_stage *stage,
                            size_t bytes, hg_error *error)
{
    uint8_t *to = NULL;
    const hg_matrix *m = settle(d, slot, &to);
    for (size_t used = 0; m && used < bytes;) {
        size_t piece = matrix_bytes(m) - slot->next_byte;
        if (piece > bytes - used) piece = bytes - used;
        memcpy(stage->memory + used, (const uint8_t *)m->data + slot->next_byte, piece);
        hg_status status = HG_CUDA_TRY(d,
                                       cudaMemcpyAsync(to + slot->next_byte, stage->memory + used,
                                                       piece, cudaMemcpyHostToDevice, d->upload),
                                       error);
        if (status) return status;
        slot->next_byte += piece;
        used += piece;
        m = settle(d, slot, &to);
    }
    return HG_OK;
}

/* One piece: at most bytes, and a stage's size. */
static hg_status send_piece(hg_device *d, hg_cuda_slot *slot, size_t bytes, hg_error *error)
{
    assert(bytes <= HG_LIMIT_ADAPTER_PIECE);
    const hg_cuda_stage *stage = &d->stage[d->next_stage];
    hg_status status = HG_CUDA_TRY(d, cudaEventSynchronize(stage->sent), error);
    if (!status) status = fill_stage(d, slot, stage, bytes, error);
    if (!status) status = HG_CUDA_TRY(d, cudaEventRecord(stage->sent, d->upload), error);
    d->next_stage = (d->next_stage + 1) % HG_CUDA_STAGES;
    return status;
}

hg_status hg_cuda_put_step(hg_device *d, uint16_t index, size_t bytes, bool *done, hg_error *error)
{
    hg_cuda_slot *slot = NULL;
    uint8_t *to = NULL;
    hg_status status = find_slot(d, index, HG_CUDA_LOADING, &slot, error);
    if (status) return status;
    assert(slot);
    while (bytes && settle(d, slot, &to)) {
        size_t piece = bytes < HG_LIMIT_ADAPTER_PIECE ? bytes : HG_LIMIT_ADAPTER_PIECE;
        status = send_piece(d, slot, piece, error);
        if (status) return status;
        bytes -= piece;
    }
    *done = !settle(d, slot, &to);
    return HG_OK;
}

hg_status hg_cuda_put_commit(hg_device *d, uint16_t index, hg_error *error)
{
    hg_cuda_slot *slot = NULL;
    uint8_t *to = NULL;
    hg_status status = find_slot(d, index, HG_CUDA_LOADING, &slot, error);
    if (status) return status;
    assert(slot);
    if (settle(d, slot, &to))
        return hg_fail(error, HG_ERROR_STATE, "adapter slot %u: commit before the last piece",
                       index);
    hg_lora *line = d->work.lora + (size_t)index * pairs_of(d);
    size_t bytes = pairs_of(d) * sizeof *line;
    status = HG_CUDA_TRY(
        d, cudaMemcpyAsync(line, slot->pair, bytes, cudaMemcpyHostToDevice, d->upload), error);
    if (!status) status = HG_CUDA_TRY(d, cudaEventRecord(d->committed, d->upload), error);
    if (!status) status = HG_CUDA_TRY(d, cudaStreamWaitEvent(d->compute, d->committed, 0), error);
    if (status) return status;
    slot->weights = NULL;
    slot->state = HG_CUDA_READY;
    return HG_OK;
}

void hg_cuda_drop(hg_device *d, uint16_t index)
{
    assert(index < d->plan.adapter_slots);
    hg_cuda_slot *slot = &d->slot[index];
    if (slot->state == HG_CUDA_LOADING) /* a piece may not have reached its range yet */
        hg_cuda_note(d, cudaStreamSynchronize(d->upload), "cudaStreamSynchronize");
    free(slot->pair);
    *slot = (hg_cuda_slot){0};
}
