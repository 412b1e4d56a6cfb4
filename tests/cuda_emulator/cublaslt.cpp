/* cublaslt.cpp: as much of cuBLASLt as kernels/cuda/blas.c asks for, in plain loops on the CPU.
 *
 * Meanings are cuBLASLt's: matrices column by column, ld apart; the first operand transposed.
 * Whatever our side must get right is checked: types, sizes that fit together, operands inside the
 * card's blocks, an algorithm that the heuristic gave for these very layouts. Every call is counted
 * and may be made to fail, as those of the runtime.
 */
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/cublaslt.h"
#include "tests/cuda_emulator/dlfcn.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/cuda_emulator/values.h"

enum { WELL, WRONG = 7 };
static bool present = true;
static long objects;

struct layout {
    int type;
    uint64_t rows, columns;
    int64_t ld;
};
struct description {
    int compute, scale, transposed;
};
struct preference {
    uint64_t workspace;
    uint32_t reductions;
};

void hg_emulator_set_blas(bool there)
{
    present = there;
}

long emulator_blas_objects(void)
{
    return objects;
}

template <class T> static int make(void **out, T value)
{
    if (emulator_call_fails() != cudaSuccess) return WRONG;
    *out = new T(value);
    objects++;
    return WELL;
}

template <class T> static int drop(void *object)
{
    objects--;
    delete (T *)object;
    return emulator_call_fails() != cudaSuccess ? WRONG : WELL;
}

static int create(void **out)
{
    return make(out, 0);
}

static int desc_create(void **out, int compute, int scale)
{
    return make(out, description{compute, scale, 0});
}

static int desc_set(void *desc, int attribute, const void *value, size_t bytes)
{
    if (emulator_call_fails() != cudaSuccess || attribute != HG_BLAS_DESC_FIRST || bytes != 4)
        return WRONG;
    memcpy(&((description *)desc)->transposed, value, bytes);
    return WELL;
}

static int layout_create(void **out, int type, uint64_t rows, uint64_t columns, int64_t ld)
{
    if ((uint64_t)ld < rows) return WRONG;
    return make(out, layout{type, rows, columns, ld});
}

static int preference_create(void **out)
{
    return make(out, preference{0, 7});
}

static int preference_set(void *object, int attribute, const void *value, size_t bytes)
{
    preference *p = (preference *)object;
    if (emulator_call_fails() != cudaSuccess) return WRONG;
    if (attribute == HG_BLAS_WISH_WORKSPACE && bytes == sizeof p->workspace)
        memcpy(&p->workspace, value, bytes);
    else if (attribute == HG_BLAS_WISH_REDUCTIONS && bytes == sizeof p->reductions)
        memcpy(&p->reductions, value, bytes);
    else
        return WRONG;
    return WELL;
}

/* [k, m]^T [k, n] = [m, n] */
static bool fit(const description *desc, const layout *a, const layout *b, const layout *d)
{
    return desc->compute == HG_BLAS_COMPUTE_F32 && desc->scale == HG_BLAS_F32 &&
           desc->transposed == HG_BLAS_TRANSPOSED && a->type == HG_BLAS_F16 &&
           b->type == HG_BLAS_F16 && d->type == HG_BLAS_F32 && a->rows == b->rows &&
           a->columns == d->rows && b->columns == d->columns;
}

/* An algorithm that says for which layouts it is. */
static hg_blas_algorithm algorithm_of(const layout *a, const layout *b)
{
    return {{a->rows, a->columns, b->columns, 0x5EED}};
}

static int heuristic(void *, void *desc, void *a, void *b, void *c, void *d, void *object,
                     int wanted, hg_blas_found *found, int *count)
{
    const preference *p = (const preference *)object;
    bool ok = wanted == 1 && c == d && p->workspace && !p->reductions &&
              fit((description *)desc, (layout *)a, (layout *)b, (layout *)d);
    if (emulator_call_fails() != cudaSuccess || !ok) return WRONG;
    *found = {algorithm_of((layout *)a, (layout *)b), 1 << 10, 0, 1, {}};
    *count = 1;
    return WELL;
}

static size_t span(const layout *l, size_t value_bytes)
{
    return ((l->columns - 1) * (size_t)l->ld + l->rows) * value_bytes;
}

/* In each column of d one value of each column of a, times b's. sizes: of a and of d. */
static void multiply(const layout *sizes, size_t x_ld, const void *a, const void *b, void *d)
{
    const uint16_t *weights = (const uint16_t *)a, *x = (const uint16_t *)b;
    float *out = (float *)d;
    for (uint64_t n = 0; n < sizes[1].columns; n++)
        for (uint64_t m = 0; m < sizes[1].rows; m++) {
            float sum = 0;
            for (uint64_t k = 0; k < sizes[0].rows; k++)
                sum +=
                    f32_of_f16(weights[m * (size_t)sizes[0].ld + k]) * f32_of_f16(x[n * x_ld + k]);
            out[n * (size_t)sizes[1].ld + m] = sum;
        }
}

static int matmul(void *, void *desc, const void *alpha, const void *a, void *a_layout,
                  const void *b, void *b_layout, const void *beta, const void *c, void *, void *d,
                  void *d_layout, const hg_blas_algorithm *algorithm, void *workspace,
                  size_t workspace_bytes, cudaStream_t stream)
{
    const layout *la = (layout *)a_layout, *lb = (layout *)b_layout, *ld = (layout *)d_layout;
    const hg_blas_algorithm known = algorithm_of(la, lb);
    bool ok = fit((description *)desc, la, lb, ld) && *(const float *)alpha == 1 &&
              *(const float *)beta == 0 && c == d && emulator_on_card(a, span(la, 2)) &&
              emulator_on_card(b, span(lb, 2)) && emulator_on_card(d, span(ld, 4)) &&
              emulator_on_card(workspace, workspace_bytes) && workspace_bytes >= 1 << 10 &&
              !memcmp(&known, algorithm, sizeof known);
    if (emulator_call_fails() != cudaSuccess || !ok) return WRONG;
    layout sizes[2] = {*la, *ld};
    size_t x_ld = (size_t)lb->ld;
    emulator_queue(stream, [=] { multiply(sizes, x_ld, a, b, d); }); /* by value: all of it */
    return WELL;
}

void *emulator_dlopen(const char *file, int)
{
    if (!present || !strstr(file, "libcublasLt.so.12")) return NULL;
    objects++;
    return &present;
}

int emulator_dlclose(void *)
{
    objects--;
    return 0;
}

void *emulator_dlsym(void *, const char *name)
{
    static const char *const names[] = HG_BLAS_NAMES;
    static void *const functions[] = {
        (void *)create,           (void *)drop<int>,         (void *)desc_create,
        (void *)desc_set,         (void *)drop<description>, (void *)layout_create,
        (void *)drop<layout>,     (void *)preference_create, (void *)preference_set,
        (void *)drop<preference>, (void *)heuristic,         (void *)matmul};
    static_assert(sizeof names == sizeof functions, "a function for each name");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return functions[i];
    return NULL;
}
