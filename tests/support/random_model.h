/* random_model.h: small random Llama models and adapters for the tests of devices.
 *
 * Shapes are the caller's; values come from a seed, with the spreads of a trained model, so that
 * activations stay near one through all layers. Everything hangs on one list and is freed at once.
 */
#ifndef HG_TESTS_RANDOM_MODEL_H
#define HG_TESTS_RANDOM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/weights.h"

typedef struct random_source {
    uint64_t state;
} random_source;

/* splitmix64 */
uint64_t random_bits(random_source *r);

uint32_t random_below(random_source *r, uint32_t n);

/* Uniform in [-1, 1). */
float random_unit(random_source *r);

/* To the nearest F16, of a value that F16 can hold. */
uint16_t f16_of(float f);

typedef struct random_owner {
    void *block[16384];
    size_t blocks;
} random_owner;

void *random_take(random_owner *o, size_t bytes);

void random_free(random_owner *o);

hg_matrix random_matrix(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                        hg_dtype type, float spread);

typedef enum random_zero { RANDOM_SYMMETRIC, RANDOM_OFFSETS, RANDOM_ZEROS } random_zero;

typedef struct random_form {
    uint16_t group;
    uint8_t bits; /* 0: dense, of the type below; columns then need no group */
    random_zero zero;
    hg_dtype dense_type;
} random_form;

hg_linear random_linear(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                        random_form form);

typedef struct random_model {
    random_owner owner;
    hg_weights weights;
} random_model;

void random_shape_of(const hg_shape *s, uint32_t p, uint32_t *rows, uint32_t *columns);

/* A table in HG_QUANTISED form. */
hg_matrix random_table(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                       random_form form);

/* form[HG_PROJECTIONS] */
random_model *random_model_new(uint64_t seed, const hg_shape *shape, const random_form *form,
                               hg_dtype head);

void random_model_free(random_model *m);

typedef struct random_adapter {
    random_owner owner;
    hg_lora_weights weights;
} random_adapter;

/* rank 0: each pair has a rank of its own, some of them none. */
random_adapter *random_adapter_new(uint64_t seed, const hg_shape *shape, uint32_t rank,
                                   hg_dtype type);

void random_adapter_free(random_adapter *a);

#endif
