/* small_bases.h: shapes of bases that adapters and scales are made for in tests. */
#ifndef HG_TESTS_SMALL_BASES_H
#define HG_TESTS_SMALL_BASES_H

#include "kernels/weights.h"

/* Two layers, eight wide; v has four rows. */
static const hg_shape small_base = {.vocabulary = 16,
                                    .hidden = 8,
                                    .intermediate = 12,
                                    .layers = 2,
                                    .heads = 2,
                                    .kv_heads = 1,
                                    .head_dim = 4,
                                    .positions = 32};

/* The model of tests/golden/make_gguf_files.py. */
static const hg_shape gguf_base = {.vocabulary = 262,
                                   .hidden = 32,
                                   .intermediate = 64,
                                   .layers = 1,
                                   .heads = 2,
                                   .kv_heads = 1,
                                   .head_dim = 16,
                                   .positions = 128};

#endif
