/* matrix.h: reads every byte of a matrix of floats, as an upload does. */
#ifndef HG_TESTS_FUZZ_MATRIX_H
#define HG_TESTS_FUZZ_MATRIX_H

#include "kernels/weights.h"

static inline unsigned fuzz_sum(const hg_matrix *matrix)
{
    unsigned sum = 0;
    const uint8_t *bytes = matrix->data;
    const size_t count = (size_t)matrix->rows * matrix->columns * (matrix->type == HG_F32 ? 4 : 2);
    for (size_t i = 0; i < count; i++) sum += bytes[i];
    return sum;
}

#endif
