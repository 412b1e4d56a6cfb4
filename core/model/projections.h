/* projections.h: the seven linear layers of a Llama block: their names in files and their sizes. */
#ifndef HG_MODEL_PROJECTIONS_H
#define HG_MODEL_PROJECTIONS_H

#include <stddef.h>

#include "kernels/weights.h"

/* "model.layers.3.self_attn.q_proj" into out [size]. */
void hg_projection_name(uint32_t layer, hg_projection projection, char *out, size_t size);

/* Outputs and inputs. */
void hg_projection_size(const hg_shape *shape, hg_projection projection, uint32_t *rows,
                        uint32_t *columns);

#endif
