/* blas.c: see blas.h. cuBLASLt stores matrices column by column, so what is [outs, columns] row by
 * row here is [columns, outs] there, transposed on the way: product^T = panel x^T.
 */
#include "kernels/cuda/blas.h"

#include <assert.h>
#include <dlfcn.h>
#include <string.h>

static const char *const files[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                    "/usr/local/cuda/lib64/libcublasLt.so"};
static const char *const names[] = HG_BLAS_NAMES;
#define FILES (sizeof files / sizeof *files)
#define NAMES (sizeof names / sizeof *names)
_Static_assert(sizeof(hg_blas_api) == NAMES * sizeof(void *), "a name for each function");

static bool find_functions(hg_blas *blas)
{
    for (size_t i = 0; i < NAMES; i++) {
        void *function = dlsym(blas->library, names[i]);
        if (!function) return false;
        memcpy((char *)&blas->api + i * sizeof function, &function, sizeof function);
    }
    return true;
}

static bool make_descriptor(hg_blas *blas)
{
    const int transposed = HG_BLAS_TRANSPOSED;
    return !blas->api.create(&blas->handle) &&
           !blas->api.desc_create(&blas->desc, HG_BLAS_COMPUTE_F32, HG_BLAS_F32) &&
           !blas->api.desc_set(blas->desc, HG_BLAS_DESC_FIRST, &transposed, sizeof transposed);
}

bool hg_blas_open(hg_blas *blas)
{
    const int how = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE; /* opened again when a card was lost */
    *blas = (hg_blas){0};
    for (size_t i = 0; i < FILES && !blas->library; i++) blas->library = dlopen(files[i], how);
    if (!blas->library) return false;
    if (find_functions(blas) && make_descriptor(blas)) return true;
    hg_blas_close(blas);
    return false;
}

static void drop_shape(hg_blas *blas, hg_blas_shape *shape)
{
    void *layout[] = {shape->x, shape->panel, shape->product};
    for (int i = 0; i < 3; i++)
        if (layout[i]) blas->api.layout_destroy(layout[i]);
    *shape = (hg_blas_shape){0};
}

void hg_blas_close(hg_blas *blas)
{
    while (blas->shapes) drop_shape(blas, &blas->shape[--blas->shapes]);
    if (blas->desc) blas->api.desc_destroy(blas->desc);
    if (blas->handle) blas->api.destroy(blas->handle);
    if (blas->library) dlclose(blas->library);
    *blas = (hg_blas){0};
}

static const hg_blas_shape *find_shape(const hg_blas *blas, uint32_t columns, uint32_t outs)
{
    for (uint32_t i = 0; i < blas->shapes; i++)
        if (blas->shape[i].columns == columns && blas->shape[i].outs == outs)
            return &blas->shape[i];
    return NULL;
}

static bool choose_algorithm(hg_blas *blas, hg_blas_shape *s)
{
    const hg_blas_api *api = &blas->api;
    const uint64_t bytes = HG_BLAS_WORKSPACE_BYTES;
    const uint32_t no_split = 0;
    void *wish = NULL;
    hg_blas_found found = {0};
    int count = 0;
    bool ok = !api->preference_create(&wish) &&
              !api->preference_set(wish, HG_BLAS_WISH_WORKSPACE, &bytes, sizeof bytes) &&
              !api->preference_set(wish, HG_BLAS_WISH_REDUCTIONS, &no_split, sizeof no_split) &&
              !api->heuristic(blas->handle, blas->desc, s->panel, s->x, s->product, s->product,
                              wish, 1, &found, &count);
    if (wish) api->preference_destroy(wish);
    s->algorithm = found.algorithm;
    return ok && count == 1 && !found.state;
}

bool hg_blas_prepare(hg_blas *blas, uint32_t rows, uint32_t columns, uint32_t outs)
{
    if (find_shape(blas, columns, outs)) return true;
    if (blas->shapes == HG_BLAS_SHAPES) return false;
    hg_blas_shape s = {.columns = columns, .outs = outs};
    bool ok = !blas->api.layout_create(&s.panel, HG_BLAS_F16, columns, outs, columns) &&
              !blas->api.layout_create(&s.x, HG_BLAS_F16, columns, rows, columns) &&
              !blas->api.layout_create(&s.product, HG_BLAS_F32, outs, rows, outs) &&
              choose_algorithm(blas, &s);
    if (ok)
        blas->shape[blas->shapes++] = s;
    else
        drop_shape(blas, &s);
    return ok;
}

cudaError_t hg_blas_multiply(const hg_blas *blas, uint32_t columns, uint32_t outs,
                             const hg_blas_operands *o)
{
    const float one = 1, zero = 0;
    const hg_blas_shape *s = find_shape(blas, columns, outs);
    assert(s);
    int failed = blas->api.matmul(blas->handle, blas->desc, &one, o->panel, s->panel, o->x, s->x,
                                  &zero, o->product, s->product, o->product, s->product,
                                  &s->algorithm, o->workspace, HG_BLAS_WORKSPACE_BYTES, o->stream);
    return failed ? cudaErrorUnknown : cudaGetLastError();
}
