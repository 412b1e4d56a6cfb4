/* state.h: the CUDA device between its host files: device.c (life), memory.c (what is taken of the
 * card), model.c (plan, upload), layer.c (the operations of a layer), graph.c (of a pass), chunk.c
 * (of whole chunks of prompts), adapter.c (slots) and step.c (forward). Private to kernels/cuda.
 *
 * Everything belongs to the one thread that makes the device's calls.
 */
#ifndef HG_KERNELS_CUDA_STATE_H
#define HG_KERNELS_CUDA_STATE_H

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/project.h"

/* Activations and what passes between blocks, for HG_CUDA_ROWS rows. */
typedef struct hg_cuda_workspace {
    hg_cuda_between between;
    float *partial, *attend_partial, *best, *logits; /* as in kernels.h */
    int32_t *best_id;
    hg_cuda_choice *choice; /* [rows] */
    uint32_t *counter, *attend_counter;
    hg_cuda_pass *pass;
    uint32_t *page; /* [step_lanes, lane_pages] */
    int32_t *stop;  /* [step_lanes, HG_LIMIT_STOP_TOKENS] */
    hg_lora *lora;  /* [adapter_slots, layers, HG_PROJECTIONS] */
} hg_cuda_workspace;

/* A piece of an adapter on its way: the next but one may be written while this one is read. */
#define HG_CUDA_STAGES 2
typedef struct hg_cuda_stage {
    uint8_t *memory;  /* pinned, [HG_LIMIT_ADAPTER_PIECE] */
    cudaEvent_t sent; /* all of it has been read */
} hg_cuda_stage;

#define HG_CUDA_WIDTHS 3 /* of passes: up to 8, 16 and 32 rows */

struct hg_device {
    int card;
    char name[64];
    uint32_t processors;
    bool overlap;        /* launches may begin before the one ahead has ended */
    size_t memory_bytes; /* bound of the options, 0: none */
    hg_error lost;       /* status set: a call of CUDA's failed for good, only close may follow */
    bool loaded;
    hg_shape shape;
    hg_device_plan plan;
    hg_cuda_layer *layer; /* [layers] */
    hg_matrix embedding;
    hg_cuda_linear head;
    float *final_norm, *frequency;
    uint16_t *kv; /* [pages, layers, 2, HG_LIMIT_PAGE_TOKENS, kv_heads * head_dim] F16 */
    hg_cuda_pool weights, pages, workspace, adapters;
    uint8_t *adapter_room; /* [plan.adapter_bytes] the one block of adapters */
    size_t graphs_bytes;
    hg_cuda_workspace work;
    hg_cuda_chunks chunks;
    hg_cuda_residency residency;
    uint32_t unit_bytes;                      /* of the largest unit of a layer */
    cudaGraphExec_t graph[HG_CUDA_WIDTHS][2]; /* of a pass; with the head or without */
    hg_cuda_slot *slot;                       /* [plan.adapter_slots] */
    cudaStream_t compute, upload;
    hg_cuda_stage stage[HG_CUDA_STAGES];
    uint32_t next_stage;
    cudaEvent_t committed;  /* the adapter's line stands in the table */
    hg_cuda_pass *pass;     /* pinned, [rows / HG_CUDA_ROWS rounded up] of a step */
    hg_cuda_choice *choice; /* pinned, [rows]: results, pass by pass, until all is well */
};

/* Fills *error from a failed call of CUDA's: HG_ERROR_MEMORY when the card is full, which leaves
 * the device usable; otherwise HG_ERROR_DEVICE, and the device counts as lost. */
hg_status hg_cuda_fail(hg_device *device, cudaError_t failed, const char *call,
                       hg_error *error) HG_CHECKED;

/* HG_OK, or the error with which the device was lost. */
hg_status hg_cuda_alive(const hg_device *device, hg_error *error) HG_CHECKED;

/* status of a call: HG_OK, or hg_cuda_fail's. The call's own text is in the message. */
#define HG_CUDA_TRY(device, call, error) hg_cuda_check((device), (call), #call, (error))

static inline hg_status hg_cuda_check(hg_device *device, cudaError_t result, const char *call,
                                      hg_error *error)
{
    return result == cudaSuccess ? HG_OK : hg_cuda_fail(device, result, call, error);
}

/* A call on behalf of w, which has device, error and status: after a failure nothing more. */
#define HG_CUDA_LAUNCH(w, call)                                                                    \
    do {                                                                                           \
        if (!(w)->status) (w)->status = HG_CUDA_TRY((w)->device, call, (w)->error);                \
    } while (0)

/* A failure where no error can be returned: remembered for the next call. */
void hg_cuda_note(hg_device *device, cudaError_t result, const char *call);

/* What the graphs of a model of so many layers are expected to take, before a card has told. */
size_t hg_cuda_graphs_assumed(uint32_t layers);
/* Captures the passes' operations, once, when everything stands where it will stay. */
hg_status hg_cuda_capture(hg_device *device, hg_error *error) HG_CHECKED;

/* Functions of the table, one file each. */
hg_status hg_cuda_measure(const hg_weights *weights, const hg_device_plan *plan,
                          hg_device_memory *out, hg_error *error);
hg_status hg_cuda_load_model(hg_device *device, const hg_weights *weights,
                             const hg_device_plan *plan, hg_error *error);
void hg_cuda_unload_model(hg_device *device);
hg_status hg_cuda_put_begin(hg_device *device, uint16_t slot, const hg_lora_weights *weights,
                            hg_error *error);
hg_status hg_cuda_put_step(hg_device *device, uint16_t slot, size_t bytes, bool *done,
                           hg_error *error);
hg_status hg_cuda_put_commit(hg_device *device, uint16_t slot, hg_error *error);
void hg_cuda_drop(hg_device *device, uint16_t slot);
hg_status hg_cuda_copy_page(hg_device *device, uint32_t from, uint32_t to, uint32_t tokens,
                            hg_error *error);
hg_status hg_cuda_forward(hg_device *device, const hg_step *step, hg_result *result,
                          hg_error *error);

#endif
