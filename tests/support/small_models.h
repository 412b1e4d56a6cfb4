/* small_models.h: the archives of tests/golden/small_models.py, unpacked into a temporary folder,
 * and a device that runs one of their models. For tests only: what goes wrong fails the test.
 */
#ifndef HG_TESTS_SMALL_MODELS_H
#define HG_TESTS_SMALL_MODELS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdbool.h>

#include "core/base/file.h"
#include "core/model/model.h"
#include "core/model/safetensors.h"
#include "kernels/cpu/cpu.h"

typedef struct small_goldens {
    char folder[64];
    json_t *root; /* goldens.json */
    hg_safetensors file;
    const float *logits; /* [kept positions of all cases, strided] */
    uint64_t rows, strided;
} small_goldens;

void small_open(const char *path, small_goldens *out);
void small_close(small_goldens *goldens); /* and removes the folder */

/* The model that a case's field names: a folder or a file of the archive. The caller closes it. */
hg_model *small_model(const small_goldens *goldens, const json_t *entry, const char *field);

/* Integers of the list object[field] into out [max]; returns how many. */
uint32_t small_integers(const json_t *object, const char *field, int32_t *out, uint32_t max);
const char *small_text(const json_t *object, const char *field);

/* A device with room for lanes of up to SMALL_ROWS positions. NULL when the family has no kernel
 * for this shape: message then says why. */
#define SMALL_ROWS  512
#define SMALL_LANES 32
hg_device *small_device(const char *kernel, const hg_weights *weights, char *message, size_t bytes);
typedef struct small_options {
    const char *kernel;
    uint8_t dense_bits; /* as in hg_device_plan */
} small_options;
hg_device *small_device_with(const small_options *options, const hg_weights *weights, char *message,
                             size_t bytes);
void small_put(hg_device *device, uint16_t slot, const hg_lora_weights *weights);

/* One lane of a step. */
typedef struct small_lane {
    const int32_t *token; /* [rows] */
    uint32_t rows;
    uint32_t invocation; /* rows before it run on the base alone */
    uint16_t slot;
    int32_t *best; /* [rows] out */
    float *logits; /* [rows, vocabulary] out */
} small_lane;

/* Runs all lanes together, chunk rows of each a step; at most SMALL_ROWS rows a step. */
void small_run(hg_device *device, uint32_t vocabulary, small_lane *lane, uint32_t lanes,
               uint32_t chunk);

#endif
