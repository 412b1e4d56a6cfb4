/* adapter.c: adapter slots: an upload in pieces, on a stream of its own.
 *
 * begin allocates one block for the adapter and lays its matrices out, in the file's type and at
 * their true ranks. step copies a piece into the pinned staging buffer and queues it; the next
 * piece waits for the one before, which by then has long arrived, since steps ran in between.
 * commit writes the slot's line of the card's table, from when on rows may name it.
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

/* The place of a matrix behind those before it, which end at *bytes. */
static const void *place(const hg_cuda_slot *slot, const hg_matrix *m, size_t *bytes)
{
    size_t at = *bytes;
    *bytes += (matrix_bytes(m) + HG_CUDA_LINE - 1) / HG_CUDA_LINE * HG_CUDA_LINE;
    return slot->block ? slot->block + at : NULL;
}

/* Fills the slot's pairs and its size; with a block, their pointers too. */
static void lay_pairs(const hg_device *d, hg_cuda_slot *slot)
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
        pair->a.data = place(slot, &pair->a, &slot->bytes);
        pair->b.data = place(slot, &pair->b, &slot->bytes);
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
    lay_pairs(d, &made);
    size_t need = hg_cuda_held(d) + made.bytes;
    if (d->memory_bytes && need > d->memory_bytes)
        status = hg_fail(error, HG_ERROR_LIMIT,
                         "--device-memory %zu: another adapter needs %zu bytes in all; allow more "
                         "or use less",
                         d->memory_bytes, need);
    if (!status)
        status =
            HG_CUDA_TRY(d, cudaMalloc((void **)&made.block, made.bytes ? made.bytes : 1), error);
    if (status) {
        free(made.pair);
        return status;
    }
    lay_pairs(d, &made);
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

/* Queues at most the staging buffer's size from one matrix. */
static hg_status send(hg_device *d, uint8_t *to, const uint8_t *from, size_t bytes, hg_error *error)
{
    assert(bytes <= HG_LIMIT_ADAPTER_PIECE);
    hg_status status = HG_CUDA_TRY(d, cudaEventSynchronize(d->uploaded), error);
    if (status) return status;
    memcpy(d->staging, from, bytes);
    status = HG_CUDA_TRY(
        d, cudaMemcpyAsync(to, d->staging, bytes, cudaMemcpyHostToDevice, d->upload), error);
    return status ? status : HG_CUDA_TRY(d, cudaEventRecord(d->uploaded, d->upload), error);
}

hg_status hg_cuda_put_step(hg_device *d, uint16_t index, size_t bytes, bool *done, hg_error *error)
{
    hg_cuda_slot *slot = NULL;
    hg_status status = find_slot(d, index, HG_CUDA_LOADING, &slot, error);
    if (status) return status;
    assert(slot);
    uint8_t *to = NULL;
    const hg_matrix *m = settle(d, slot, &to);
    while (m && bytes) {
        size_t piece = matrix_bytes(m) - slot->next_byte;
        if (piece > bytes) piece = bytes;
        if (piece > HG_LIMIT_ADAPTER_PIECE) piece = HG_LIMIT_ADAPTER_PIECE;
        const uint8_t *from = m->data;
        status = send(d, to + slot->next_byte, from + slot->next_byte, piece, error);
        if (status) return status;
        slot->next_byte += piece;
        bytes -= piece;
        m = settle(d, slot, &to);
    }
    *done = !m;
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
    if (!status) status = HG_CUDA_TRY(d, cudaStreamSynchronize(d->upload), error);
    if (status) return status;
    slot->weights = NULL;
    slot->state = HG_CUDA_READY;
    return HG_OK;
}

void hg_cuda_drop(hg_device *d, uint16_t index)
{
    assert(index < d->plan.adapter_slots);
    hg_cuda_slot *slot = &d->slot[index];
    if (slot->block) {
        hg_cuda_note(d, cudaStreamSynchronize(d->upload), "cudaStreamSynchronize");
        hg_cuda_note(d, cudaFree(slot->block), "cudaFree");
    }
    free(slot->pair);
    *slot = (hg_cuda_slot){0};
}
