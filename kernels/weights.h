/* weights.h: the device form of a model and of an adapter, as core/model hands it to a device.
 *
 * Everything here is a view: pointers into mapped files or into memory that the giver owns. All
 * shapes, offsets and sizes were checked where the files were read, so a device may trust them.
 * Matrices are row-major: row = output, column = input.
 */
#ifndef HG_KERNELS_WEIGHTS_H
#define HG_KERNELS_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef enum hg_dtype { HG_F32, HG_F16, HG_BF16, HG_QUANTISED } hg_dtype;

typedef struct hg_matrix {
    const void *data; /* [rows, columns]; of HG_QUANTISED a const hg_linear of that size */
    uint32_t rows, columns;
    hg_dtype type;
} hg_matrix;

/* A linear layer: w[r][c] = (code[r][c] - zero) * scale[r][c / group], where zero is 8 for 4 bits
 * and 128 for 8 bits, or zeros[r][c / group] where there are zeros; w = code * scale + offset where
 * there are offsets; never both. With bits 0 it is not quantised: w = dense. */
typedef struct hg_linear {
    const uint8_t *codes;    /* [rows, columns * bits / 8]; of two nibbles the low one is first */
    const uint16_t *scales;  /* [rows, columns / group] F16 */
    const uint16_t *offsets; /* [rows, columns / group] F16, or NULL: symmetric */
    uint32_t rows, columns;  /* columns is a multiple of group */
    uint16_t group;          /* 16, 32, 64 or 128 columns share a scale */
    uint8_t bits;            /* 4, 8, or 0: dense */
    const uint8_t *zeros;    /* [rows, columns / group] or NULL */
    const void *dense;       /* [rows, columns] of dense_type, only with bits 0 */
    hg_dtype dense_type;
} hg_linear;

/* The layer as a matrix: dense, or HG_QUANTISED with a pointer to w. */
static inline hg_matrix hg_linear_matrix(const hg_linear *w)
{
    hg_matrix m = {w->dense, w->rows, w->columns, w->dense_type};
    if (w->bits) m.data = w, m.type = HG_QUANTISED;
    return m;
}

typedef enum hg_projection {
    HG_Q,
    HG_K,
    HG_V,
    HG_O,
    HG_GATE,
    HG_UP,
    HG_DOWN,
    HG_PROJECTIONS
} hg_projection;

typedef struct hg_layer {
    const float *attention_norm; /* [hidden] */
    const float *mlp_norm;       /* [hidden] */
    /* Q [heads * head_dim, hidden], K and V [kv_heads * head_dim, hidden], O [hidden, heads *
     * head_dim], GATE and UP [intermediate, hidden], DOWN [hidden, intermediate] */
    hg_linear linear[HG_PROJECTIONS];
} hg_layer;

typedef struct hg_shape { /* names as in Hugging Face's config.json */
    uint32_t vocabulary, hidden, intermediate, layers, heads, kv_heads, head_dim, positions;
    float rms_epsilon;
} hg_shape;

/* Layers that exist only while a device holds them, as their codes are put in order then. Norms,
 * tables and sizes are always there, and so is whether a layer has offsets or zeros. */
typedef struct hg_layer_source {
    hg_status (*hold)(void *context, uint32_t layer, hg_error *error) HG_CHECKED;
    void (*release)(void *context, uint32_t layer); /* that of layers: the head */
    /* Of a matrix, read and not needed soon: pages of a file leave memory. From any thread. */
    void (*pass)(void *context, const void *data, size_t bytes);
    void *context;
} hg_layer_source;

typedef struct hg_weights {
    hg_shape shape;
    const float *rope_frequency; /* [head_dim / 2] radians per position, scaling already applied;
                                  * the rotated pair is (i, i + head_dim / 2) */
    hg_matrix embedding;         /* [vocabulary, hidden] */
    hg_matrix head;              /* [vocabulary, hidden]; the embedding itself when tied */
    const float *final_norm;     /* [hidden] */
    const hg_layer *layer;       /* [layers] */
    hg_layer_source source;      /* hold NULL: all layers are there */
} hg_weights;

static inline hg_status hg_hold_layer(const hg_weights *w, uint32_t layer, hg_error *error)
{
    return w->source.hold ? w->source.hold(w->source.context, layer, error) : HG_OK;
}

static inline void hg_release_layer(const hg_weights *w, uint32_t layer)
{
    if (w->source.hold) w->source.release(w->source.context, layer);
}

/* One LoRA pair: y += scale * B (A x). rank 0: the adapter leaves this projection alone. */
typedef struct hg_lora {
    hg_matrix a; /* [rank, columns of the projection] */
    hg_matrix b; /* [rows of the projection, rank] */
    float scale; /* alpha / rank, or alpha / sqrt(rank) (rsLoRA) */
    uint32_t rank;
} hg_lora;

typedef struct hg_lora_layer {
    hg_lora pair[HG_PROJECTIONS];
} hg_lora_layer;

typedef struct hg_lora_weights {
    const hg_lora_layer *layer; /* [layers] */
    uint32_t layers;            /* the base's */
    uint32_t rank_max;
    size_t bytes; /* of all pairs in the file's type: what an upload has to read */
} hg_lora_weights;

#endif
