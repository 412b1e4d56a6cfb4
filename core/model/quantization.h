/* quantization.h: quantization_config of config.json: in which form the linear layers come.
 *
 * quant_method decides, and each method's file reads its own fields; without a quantization_config
 * the layers are dense. A single layer that a method leaves alone is dense too, whatever the
 * config says (its .weight is there and its codes are not).
 */
#ifndef HG_MODEL_QUANTIZATION_H
#define HG_MODEL_QUANTIZATION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/limits.h"
#include "core/model/json.h"

typedef enum hg_form { HG_FORM_DENSE, HG_FORM_PACKED, HG_FORM_AWQ, HG_FORM_GPTQ } hg_form;

typedef struct hg_quantization {
    hg_form form;
    uint8_t bits;        /* 4 or 8; 0: dense */
    uint8_t zero_plus;   /* what is added to stored zero points: 1 in GPTQ's first format */
    uint32_t file_group; /* inputs that share a scale in the file; 0: all of a layer */
    bool symmetric;      /* all zero points are the middle; compressed-tensors then stores none */
} hg_quantization;

/* Reads quantization_config; other methods and options are refused by name. */
hg_status hg_quantization_parse(const hg_json *config, hg_quantization *out) HG_CHECKED;

/* Of a layer with that many inputs: the columns of a device form group, 16 to 128, or 0 where none
 * fits. A larger group of the file is several groups with one scale. */
uint16_t hg_quantization_group(const hg_quantization *quantization, uint32_t columns);

/* "AutoAWQ INT4 group 128" into text [size]. */
void hg_quantization_name(const hg_quantization *quantization, char *text, size_t size);

/* For the methods' parsers. An option that would change the result must be off. */
hg_status hg_quantization_off(const hg_json *at, const char *field, const char *what) HG_CHECKED;
/* An option of which we know one value; absent, where it may be, it means that value. */
hg_status hg_quantization_word(const hg_json *at, const char *field, hg_json_need need,
                               const char *expected) HG_CHECKED;
/* Bits, which must be a (or b), and the group: 16, 32, 64, 128 or a multiple of 128; -1 for all. */
hg_status hg_quantization_sizes(const hg_json *at, const char *bits_field, const char *group_field,
                                hg_quantization *out) HG_CHECKED;

/* The methods: packed.c, awq.c, gptq.c. at: the quantization_config. */
hg_status hg_packed_parse(const hg_json *at, hg_quantization *out) HG_CHECKED;
hg_status hg_awq_parse(const hg_json *at, hg_quantization *out) HG_CHECKED;
hg_status hg_gptq_parse(const hg_json *at, hg_quantization *out) HG_CHECKED;

#endif
