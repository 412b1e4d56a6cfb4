/* produce.h: a whole new model folder from a model: quantised, or with an adapter folded in.
 *
 * A merged model is served without adapters: beside its weights stands plugins/NAME/plugin.json, a
 * copy of the plugin's that says "adapter": null, so that `serve --model OUT --plugins OUT/plugins`
 * translates on the base alone. */
#ifndef HG_CONVERT_PRODUCE_H
#define HG_CONVERT_PRODUCE_H

#include "core/convert/convert.h"
#include "core/text/tokenizer.h"

typedef struct hg_produce {
    const char *model, *out; /* folders */
    uint8_t bits;            /* 4, 8; 0: BF16 */
    uint16_t group;          /* 0: the largest that fits */
    uint32_t threads;
    bool awq;                /* scale by activations */
    const char *calibration; /* text for it, or NULL: pairs of the plugins */
    const char *plugins;     /* folder of the plugin folders */
    const char *merge;       /* plugin to fold in, by name or folder, or NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;

    double change, size; /* results, as in hg_convert */
    uint64_t bytes;      /* of the new weights */
    uint32_t tokens;     /* of calibration */
} hg_produce;

/* On failure nothing is left under the name out. */
hg_status hg_produce_model(hg_produce *produce, hg_error *error) HG_CHECKED;

#endif
