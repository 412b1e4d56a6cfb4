/* state.h: the CUDA device between its host files: device.c (life, memory), model.c (plan, upload),
 * adapter.c (slots) and step.c (forward). Private to kernels/cuda.
 *
 * Everything belongs to the one thread that makes the device's calls. The card's memory is tracked
 * in pools, so that what is reported is what is held and close frees all of it.
 */
#ifndef HG_KERNELS_CUDA_STATE_H
#define HG_KERNELS_CUDA_STATE_H

#include "kernels/cuda/kernels.h"

/* Blocks of the card's memory that live and die together. */
typedef struct hg_cuda_pool {
    void **block; /* [blocks] */
    size_t blocks, capacity;
    size_t bytes;  /* as CUDA hands them out: whole lines of HG_CUDA_LINE */
    bool counting; /* takes nothing, only counts bytes */
} hg_cuda_pool;

#define HG_CUDA_LINE 256 /* cudaMalloc's alignment */

typedef enum hg_cuda_slot_state {
    HG_CUDA_EMPTY,
    HG_CUDA_LOADING,
    HG_CUDA_READY
} hg_cuda_slot_state;

/* One adapter: a single block, each matrix in the file's type on a line of its own. */
typedef struct hg_cuda_slot {
    hg_cuda_slot_state state;
    const hg_lora_weights *weights; /* NULL once committed */
    uint8_t *block;                 /* of the card */
    size_t bytes;
    hg_lora *pair; /* [layers * HG_PROJECTIONS], host: pointers of the card; the table's line */
    uint32_t rank_max;
    uint32_t next;    /* matrix of the upload: pair * 2 + (0: A, 1: B) */
    size_t next_byte; /* in that matrix */
} hg_cuda_slot;

/* Activations and step data; [step_rows, ...] F32 each. */
typedef struct hg_cuda_workspace {
    float *x, *normed, *q, *k, *v, *attention, *gate, *up, *h;
    float *logits;    /* [HG_CUDA_HEAD_ROWS, vocabulary] */
    int32_t *token;   /* [HG_CUDA_HEAD_ROWS] */
    uint32_t *wanted; /* [step_rows] */
    hg_row *row;      /* [step_rows] */
    uint32_t *page;   /* [step_lanes, lane_pages] */
    hg_lora *lora;    /* [adapter_slots, layers, HG_PROJECTIONS] */
} hg_cuda_workspace;

struct hg_device {
    int card;
    char name[64];
    size_t memory_bytes; /* bound of the options, 0: none */
    hg_error lost;       /* status set: a call of CUDA's failed for good, only close may follow */
    bool loaded;
    hg_shape shape;
    hg_device_plan plan;
    hg_layer *layer; /* [layers], pointers of the card */
    hg_matrix embedding, head;
    float *final_norm, *frequency;
    float *kv; /* [pages, layers, 2, HG_LIMIT_PAGE_TOKENS, kv_heads * head_dim] */
    hg_cuda_pool weights, pages, workspace;
    hg_cuda_workspace work;
    hg_cuda_slot *slot; /* [plan.adapter_slots] */
    cudaStream_t compute, upload;
    cudaEvent_t uploaded; /* staging may be written again */
    uint8_t *staging;     /* pinned, [HG_LIMIT_ADAPTER_PIECE] */
    uint32_t *wanted;     /* host, [step_rows] */
    int32_t *token;       /* host, [step_rows]; results until all is well */
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

/* bytes of the card's memory into *out; of a counting pool NULL. */
hg_status hg_cuda_take(hg_device *device, hg_cuda_pool *pool, size_t bytes, void **out,
                       hg_error *error) HG_CHECKED;
void hg_cuda_pool_free(hg_device *device, hg_cuda_pool *pool);

/* A failure where no error can be returned: remembered for the next call. */
void hg_cuda_note(hg_device *device, cudaError_t result, const char *call);

/* What the device holds. */
size_t hg_cuda_held(const hg_device *device);

/* Functions of the table, one file each. */
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
