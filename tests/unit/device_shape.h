/* device_shape.h: a small shape that every kernel family runs; no width is a multiple of 128. */
#ifndef HG_TESTS_DEVICE_SHAPE_H
#define HG_TESTS_DEVICE_SHAPE_H

#include "kernels/weights.h"

static const hg_shape shape = {.vocabulary = 203,
                               .hidden = 96,
                               .intermediate = 160,
                               .layers = 2,
                               .heads = 6,
                               .kv_heads = 2,
                               .head_dim = 32,
                               .positions = 128,
                               .rms_epsilon = 1e-5f};

#endif
