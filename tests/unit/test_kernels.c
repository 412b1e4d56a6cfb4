/* test_kernels.c: each operation of the fast families against plain C in double precision.
 *
 * Random shapes, normalised squared error |a - b|^2 / |b|^2, and sentinels round every buffer that
 * an operation writes. A last part takes whole steps of random models against the reference family.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/int8.h"
#include "tests/support/device_harness.h"

/* Arithmetic in F32 on given integers: rounding only. */
#define F32_ERROR 1e-11
/* A whole random model: INT8 activations in groups, INT8 head and F16 KV against F32. Random
 * weights leave no structure that would hide errors; hydra-tiny is ten times nearer. */
#define MODEL_ERROR 1.2e-3

#define SENTINEL 12345.678f
#define FENCE    16 /* floats before and behind a buffer */

typedef struct ops_entry {
    const char *name;
    const hg_int8_ops *ops;
} ops_entry;

static const ops_entry all_ops[] = {
#if defined(__x86_64__)
    {"avx2", &hg_ops_avx2}, {"avxvnni", &hg_ops_avxvnni}, {"avx512vnni", &hg_ops_avx512vnni},
    {"amx", &hg_ops_amx},
#elif defined(__aarch64__)
    {"neondot", &hg_ops_neondot},
    {"neoni8mm", &hg_ops_neoni8mm},
#endif
    {NULL, NULL},
};

static void each_ops(void (*test)(const hg_int8_ops *ops, random_source *r))
{
    random_source r = {41};
    for (const ops_entry *e = all_ops; e->name; e++)
        for (const char *const *name = hg_cpu_kernels(); *name; name++)
            if (strcmp(*name, e->name) == 0) test(e->ops, &r);
}

/* A buffer of n floats between two fences; the fences and the content hold sentinels. */
static float *fenced(uint32_t n)
{
    float *all = malloc((n + 2 * FENCE) * sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < n + 2 * FENCE; i++) all[i] = SENTINEL;
    return all + FENCE;
}

static void check_fences(float *p, uint32_t n)
{
    for (uint32_t i = 0; i < FENCE; i++) {
        assert_true(p[-1 - (int)i] == SENTINEL);
        assert_true(p[n + i] == SENTINEL);
    }
}

static void free_fenced(float *p, uint32_t n)
{
    check_fences(p, n);
    free(p - FENCE);
}

static float *random_floats(random_source *r, uint32_t n, float spread)
{
    float *x = fenced(n);
    for (uint32_t i = 0; i < n; i++) x[i] = spread * random_unit(r);
    return x;
}

/* ---- linear ---- */

typedef struct linear_case {
    hg_linear from;
    hg_packed w;
    hg_arena arena;
    hg_rows8 x;
    hg_tiles tiles;
    float *rows; /* [x_rows, columns] what x holds, dequantised */
    uint32_t x_rows;
} linear_case;

/* Room for rows in both forms. */
static void new_rows(hg_arena *arena, uint32_t rows, uint32_t columns, hg_rows8 *x, hg_tiles *tiles)
{
    uint32_t count = (rows + HG_TILE - 1) / HG_TILE * HG_TILE;
    *x = (hg_rows8){.columns = columns};
    x->q = hg_arena_take(arena, (size_t)rows * columns);
    x->group = hg_arena_take(arena, (size_t)rows * (columns / 16) * sizeof *x->group);
    tiles->q = hg_arena_take(arena, (size_t)count * columns);
    tiles->group = hg_arena_take(arena, (size_t)count * (columns / 16) * sizeof *tiles->group);
}

static float dequantised(const hg_rows8 *x, uint32_t row, uint32_t column, uint32_t group)
{
    return (float)x->q[(size_t)row * x->columns + column] *
           x->group[(size_t)row * (x->columns / 16) + column / group].scale;
}

static void quantise_row(const hg_int8_ops *ops, const hg_rows8 *x, uint32_t row, uint32_t group,
                         const float *from)
{
    ops->quantise(from, x->columns, group, 1, x->q + (size_t)row * x->columns,
                  x->group + (size_t)row * (x->columns / 16));
}

static void new_linear_case(linear_case *c, random_owner *o, random_source *r,
                            const hg_int8_ops *ops)
{
    static const uint16_t groups[] = {16, 32, 64, 128};
    random_form form = {groups[random_below(r, 4)], random_below(r, 2) ? 4 : 8,
                        (random_zero)random_below(r, 3)};
    uint32_t large = random_below(r, 8); /* 0, 1: more than is worked at a time anywhere */
    uint32_t columns = form.group * (1 + random_below(r, large == 0 ? 20 : 5));
    uint32_t rows = 16 * (1 + random_below(r, large == 1 ? 20 : 5));
    uint16_t group = form.group == 16 || random_below(r, 4) == 0 ? 16 : 32;
    uint8_t share = (uint8_t)(form.group / group);
    while (share > 1 && random_below(r, 4) == 0) share /= 2; /* scales are repeated then */
    *c = (linear_case){.x_rows = 1 + random_below(r, 64)};
    c->from = random_linear(o, r, rows, columns, form);
    for (int pass = 0; pass < 2; pass++) {
        c->w = (hg_packed){.rows = rows, .group = group, .share = share, .bits = form.bits};
        hg_packed_layout(&c->w, columns, form.zero != RANDOM_SYMMETRIC, &c->arena);
        new_rows(&c->arena, c->x_rows, columns, &c->x, &c->tiles);
        hg_error error;
        if (pass == 0) assert_int_equal(hg_arena_map(&c->arena, "a test", &error), HG_OK);
    }
    for (uint32_t b = 0; b < c->w.blocks; b++) hg_packed_put_linear(&c->w, &c->from, b);
    c->rows = random_take(o, (size_t)c->x_rows * columns * sizeof *c->rows);
    for (uint32_t i = 0; i < c->x_rows; i++) {
        float *x = random_floats(r, columns, 1 + random_below(r, 100));
        quantise_row(ops, &c->x, i, group, x);
        for (uint32_t k = 0; k < columns; k++)
            c->rows[(size_t)i * columns + k] = dequantised(&c->x, i, k, group);
        free_fenced(x, columns);
    }
}

/* What a packed weight must be to the last bit: of zero points the offset is rounded to F16. */
static double exact_weight(const hg_linear *w, uint32_t r, uint32_t c)
{
    size_t at = (size_t)r * w->columns + c, g = at / w->group;
    uint32_t code = w->bits == 8 ? w->codes[at] : w->codes[at / 2] >> (at % 2 * 4) & 15;
    double scale = hg_f32_of_f16(w->scales[g]);
    if (w->offsets) return code * scale + hg_f32_of_f16(w->offsets[g]);
    if (w->zeros) return code * scale + hg_f32_of_f16(f16_of((float)(-scale * w->zeros[g])));
    return ((double)code - (w->bits == 8 ? 128 : 8)) * scale;
}

static void check_product(linear_case *c, const hg_int8_ops *ops, random_source *r)
{
    uint32_t block = random_below(r, c->w.blocks),
             blocks = 1 + random_below(r, c->w.blocks - block);
    uint32_t row = random_below(r, c->x_rows), rows = 1 + random_below(r, c->x_rows - row);
    if (random_below(r, 2)) { /* all of it */
        block = row = 0;
        blocks = c->w.blocks;
        rows = c->x_rows;
    }
    uint32_t width = blocks * HG_BLOCK, stride = width + random_below(r, 9);
    float *y = fenced(rows * stride), *alone = fenced(width);
    float *exact = malloc(sizeof *exact * width * rows), *got = malloc(sizeof *got * width * rows);
    bool add = random_below(r, 2);
    for (uint32_t i = 0; add && i < rows; i++)
        for (uint32_t j = 0; j < width; j++) y[i * stride + j] = (float)(j % 7);
    hg_tiles_gather(&c->tiles, &c->x, row, rows, &c->w);
    hg_product p = {&c->w, block, blocks, &c->tiles, rows, add, y, stride};
    ops->linear(&p);
    for (uint32_t i = 0; i < rows; i++) {
        for (uint32_t j = 0; j < width; j++) {
            double sum = add ? j % 7 : 0;
            for (uint32_t k = 0; k < c->from.columns; k++)
                sum += exact_weight(&c->from, block * HG_BLOCK + j, k) *
                       (double)c->rows[(size_t)(row + i) * c->from.columns + k];
            exact[i * width + j] = (float)sum;
            got[i * width + j] = y[i * stride + j];
        }
        for (uint32_t j = width; j < stride; j++) assert_true(y[i * stride + j] == SENTINEL);
        /* The same row by itself. */
        for (uint32_t j = 0; j < width; j++) alone[j] = (float)(j % 7);
        hg_tiles_gather(&c->tiles, &c->x, row + i, 1, &c->w);
        hg_product one = {&c->w, block, blocks, &c->tiles, 1, add, alone, width};
        ops->linear(&one);
        assert_memory_equal(alone, y + i * stride, width * sizeof *y);
    }
    assert_true(normalised_error(got, exact, (size_t)width * rows) < F32_ERROR);
    free_fenced(y, rows * stride);
    free_fenced(alone, width);
    free(exact);
    free(got);
}

static void linear_is_right(const hg_int8_ops *ops, random_source *r)
{
    for (int i = 0; i < 60; i++) {
        random_owner *o = calloc(1, sizeof *o);
        linear_case c;
        new_linear_case(&c, o, r, ops);
        for (int j = 0; j < 4; j++) check_product(&c, ops, r);
        hg_arena_unmap(&c.arena);
        random_free(o);
        free(o);
    }
}

static void test_linear(void **state)
{
    (void)state;
    each_ops(linear_is_right);
}

/* ---- extremes: the largest codes meet the largest activations ---- */

static void nothing_overflows(const hg_int8_ops *ops, random_source *r)
{
    enum { COLUMNS = 64 };
    (void)r;
    for (uint32_t bits = 4; bits <= 8; bits += 4) {
        for (uint32_t code = 0; code < 2; code++) {
            uint8_t codes[16 * COLUMNS];
            uint16_t scales[16 * COLUMNS / 32];
            memset(codes, code ? 0xFF : 0, sizeof codes);
            for (size_t i = 0; i < sizeof scales / 2; i++) scales[i] = 0x3C00; /* 1 */
            hg_linear from = {.codes = codes,
                              .scales = scales,
                              .rows = 16,
                              .columns = COLUMNS,
                              .group = 32,
                              .bits = (uint8_t)bits};
            hg_arena arena = {0};
            hg_error error;
            hg_packed w = {.rows = 16, .group = 32, .share = 1, .bits = (uint8_t)bits};
            hg_rows8 x;
            hg_tiles tiles;
            for (int pass = 0; pass < 2; pass++) {
                hg_packed_layout(&w, COLUMNS, false, &arena);
                new_rows(&arena, 1, COLUMNS, &x, &tiles);
                if (!pass) assert_int_equal(hg_arena_map(&arena, "a test", &error), HG_OK);
            }
            hg_packed_put_linear(&w, &from, 0);
            float row[COLUMNS], y[16];
            for (uint32_t i = 0; i < COLUMNS; i++) row[i] = -127;
            quantise_row(ops, &x, 0, 32, row);
            hg_tiles_gather(&tiles, &x, 0, 1, &w);
            hg_product p = {&w, 0, 1, &tiles, 1, false, y, 16};
            ops->linear(&p);
            float zero = bits == 4 ? 8 : 128, most = code ? (bits == 4 ? 15 : 255) : 0;
            for (int i = 0; i < 16; i++) assert_true(y[i] == -127.0f * COLUMNS * (most - zero));
            hg_arena_unmap(&arena);
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    each_ops(nothing_overflows);
}

/* ---- the head and adapters: floats to 8 bits ---- */

/* The planes of a [20, 48] matrix in groups of 16 hold the codes and scales of w, its 8 bits. */
static void planes_are_halves(const hg_packed *w, const hg_matrix *m)
{
    hg_packed high = {.rows = 20, .group = 16, .share = 1, .bits = 4}, low;
    hg_arena arena = {0};
    hg_error error;
    float row[48];
    hg_planes_layout(&high, &low, 48, &arena);
    assert_int_equal(hg_arena_map(&arena, "a test", &error), HG_OK);
    hg_planes_layout(&high, &low, 48, &arena);
    for (uint32_t b = 0; b < 2; b++) hg_planes_put(&high, &low, m, b, row);
    for (uint32_t i = 0; i < 20 * 48; i++) {
        uint32_t n = i / 48, c = i % 48, shift = c % 8 / 4 * 4;
        size_t cell = (size_t)(n / 16) * 3 + c / 16;
        size_t at = cell * 128 + c % 16 / 8 * 64 + n % 16 * 4 + c % 4;
        int code = (high.codes[at] >> shift & 15) * 16 + (low.codes[at] >> shift & 15);
        assert_int_equal(code, w->codes[cell * 256 + c % 16 / 4 * 64 + n % 16 * 4 + c % 4]);
        assert_int_equal(high.scales[cell * 16 + n % 16], w->scales[cell * 16 + n % 16]);
    }
    hg_arena_unmap(&arena);
}

static void test_put_matrix(void **state)
{
    (void)state;
    random_source r = {6};
    random_owner *o = calloc(1, sizeof *o);
    for (int type = HG_F32; type <= HG_BF16; type++) {
        for (int i = -5; i <= 1; i++) { /* of all sizes that adapters have */
            hg_matrix m = random_matrix(o, &r, 20, 48, (hg_dtype)type, powf(10, (float)i));
            hg_packed w = {.rows = 20, .group = 16, .share = 1, .bits = 8};
            hg_arena arena = {0};
            hg_error error;
            hg_packed_layout(&w, 48, false, &arena);
            assert_int_equal(hg_arena_map(&arena, "a test", &error), HG_OK);
            hg_packed_layout(&w, 48, false, &arena);
            float row[48], got[48];
            for (uint32_t b = 0; b < 2; b++) hg_packed_put_matrix(&w, &m, 4096, b, row);
            for (uint32_t n = 0; n < 20; n++) {
                hg_matrix_read(&m, n, 0, 48, row);
                for (uint32_t c = 0; c < 48; c++) {
                    size_t cell = (size_t)(n / 16) * 3 + c / 16;
                    int code = w.codes[cell * 256 + c % 16 / 4 * 64 + n % 16 * 4 + c % 4];
                    got[c] =
                        (float)(code - 128) * hg_f32_of_f16(w.scales[cell * 16 + n % 16]) / 4096;
                }
                /* A step of 1/127 of the largest: an error of 1/sqrt(12) steps. */
                assert_true(normalised_error(got, row, 48) < 5e-5);
            }
            for (uint32_t b = 0; b < 2; b++) hg_packed_put_matrix(&w, &m, 1, b, row);
            planes_are_halves(&w, &m);
            hg_arena_unmap(&arena);
        }
    }
    random_free(o);
    free(o);
}

/* ---- rows ---- */

static void dots_are_right(const hg_int8_ops *ops, const float *x, const float *y, uint32_t n)
{
    uint16_t half[16 * 20 + 1]; /* files align nothing: at an odd address */
    uint8_t *odd = (uint8_t *)half + 1;
    double full = 0, halved = 0, size = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint16_t h = hg_f16_nearest(y[k]);
        memcpy(odd + 2 * k, &h, sizeof h);
        full += (double)x[k] * (double)y[k];
        halved += (double)x[k] * (double)hg_f32_of_f16(h);
        size += fabs((double)x[k] * (double)y[k]);
    }
    assert_true(fabs((double)ops->dot(x, y, n) - full) < 1e-6 * size);
    assert_true(fabs((double)ops->dot_half(x, odd, n) - halved) < 1e-6 * size);
}

static void rows_are_right(const hg_int8_ops *ops, random_source *r)
{
    for (int i = 0; i < 50; i++) {
        uint32_t n = 16 * (1 + random_below(r, 20));
        float *x = random_floats(r, n, 30), *w = random_floats(r, n, 2), *y = fenced(n);
        float *want = random_floats(r, n, 1);
        double squares = 0;
        for (uint32_t k = 0; k < n; k++) squares += (double)x[k] * x[k];
        for (uint32_t k = 0; k < n; k++)
            want[k] = (float)(x[k] / sqrt(squares / n + 1e-5) * (double)w[k]);
        ops->norm(y, x, w, n, 1e-5f);
        assert_true(normalised_error(y, want, n) < F32_ERROR);

        memcpy(y, x, n * sizeof *y);
        y[0] = -1000;
        y[1] = 1000;
        for (uint32_t k = 0; k < n; k++) want[k] = (float)(y[k] / (1 + exp(-(double)y[k])) * w[k]);
        ops->swiglu(y, w, n);
        assert_true(normalised_error(y, want, n) < F32_ERROR);
        assert_true(fabsf(y[0]) < 1e-30f);

        uint32_t some = 1 + random_below(r, n < 64 ? n : 64);
        uint64_t above = 0;
        for (uint32_t k = 0; k < some; k++) above |= (uint64_t)(x[k] > x[0]) << k;
        assert_true(ops->above(x, some, x[0]) == above);
        dots_are_right(ops, x, w, n);
        free_fenced(x, n);
        free_fenced(w, n);
        free_fenced(y, n);
        free_fenced(want, n);
    }
}

static void test_rows(void **state)
{
    (void)state;
    each_ops(rows_are_right);
}

static void quantise_is_right(const hg_int8_ops *ops, random_source *r)
{
    enum { COLUMNS = 96, GROUPS = 3, FENCES = 32 };
    int8_t all[COLUMNS + 2 * FENCES], *q = all + FENCES;
    hg_group group[GROUPS + 2];
    memset(all, 99, sizeof all);
    memset(group, 0x55, sizeof group);
    float x[COLUMNS];
    for (uint32_t k = 0; k < COLUMNS; k++) {
        uint32_t size = k / 32; /* each group of another size, the first zero */
        x[k] = random_unit(r) * (float)size;
    }
    x[40] = 1e-20f;
    ops->quantise(x, COLUMNS, 32, 2, q, group + 1);
    for (uint32_t k = 0; k < COLUMNS; k++) {
        float step = group[1 + k / 32].scale;
        assert_true(fabsf((float)q[k] * step - 2 * x[k]) <= 0.5001f * step);
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        int32_t sum = 0;
        for (uint32_t k = 0; k < 32; k++) sum += q[g * 32 + k];
        assert_int_equal(group[1 + g].minus8, -8 * sum);
    }
    for (int i = 0; i < FENCES; i++) assert_true(q[-1 - i] == 99 && q[COLUMNS + i] == 99);
    assert_int_equal(group[0].minus8, 0x55555555);
    assert_int_equal(group[GROUPS + 1].minus8, 0x55555555);
}

static void test_quantise(void **state)
{
    (void)state;
    each_ops(quantise_is_right);
}

/* ---- attention ---- */

static void check_attention(const hg_int8_ops *ops, random_source *r, uint32_t heads, uint32_t dim)
{
    enum { PAGES = 5, MOST = PAGES * 16 };
    uint32_t n = 1 + random_below(r, MOST), part = 16 * dim, page[PAGES] = {3, 0, 4, 1, 2};
    size_t page_bytes = (size_t)2 * part * 2;
    uint16_t *pages = malloc(PAGES * page_bytes);
    memset(pages, 0xFF, PAGES * page_bytes); /* NaN where nothing was stored */
    float *k = random_floats(r, n * dim, 2), *v = random_floats(r, n * dim, 1);
    float *q = random_floats(r, heads * dim, 2), *out = fenced(heads * dim);
    float *score = fenced(HG_HEAD_TILE * MOST), *want = random_floats(r, heads * dim, 1);
    for (uint32_t t = 0; t < n; t++) {
        uint16_t *own = pages + page[t / 16] * page_bytes / 2;
        ops->store_k(own, k + t * dim, dim, t % 16);
        ops->store_v(own + part, v + t * dim, dim, t % 16);
    }
    hg_attention job = {q, out, heads, dim, n, (uint8_t *)pages, page_bytes, page, score};
    ops->attention(&job);
    for (uint32_t h = 0; h < heads; h++) {
        double weight[MOST], sum = 0;
        for (uint32_t t = 0; t < n; t++) {
            double dot = 0;
            for (uint32_t i = 0; i < dim; i++)
                dot += (double)q[h * dim + i] * (double)hg_f32_of_f16(f16_of(k[t * dim + i]));
            sum += weight[t] = exp(dot / sqrt(dim));
        }
        for (uint32_t i = 0; i < dim; i++) {
            double mix = 0;
            for (uint32_t t = 0; t < n; t++)
                mix += weight[t] / sum * (double)hg_f32_of_f16(f16_of(v[t * dim + i]));
            want[h * dim + i] = (float)mix;
        }
    }
    assert_true(normalised_error(out, want, heads * dim) < F32_ERROR);
    free(pages);
    free_fenced(k, n * dim);
    free_fenced(v, n * dim);
    free_fenced(q, heads * dim);
    free_fenced(out, heads * dim);
    free_fenced(want, heads * dim);
    free_fenced(score, HG_HEAD_TILE * MOST);
}

static void attention_is_right(const hg_int8_ops *ops, random_source *r)
{
    static const uint32_t dims[] = {16, 32, 48, 64, 80, 128};
    for (uint32_t heads = 1; heads <= 9; heads++)
        for (int i = 0; i < 6; i++) check_attention(ops, r, heads, dims[i]);
}

static void test_attention(void **state)
{
    (void)state;
    each_ops(attention_is_right);
}

/* ---- whole steps ---- */

static void random_shape(random_source *r, hg_shape *s, random_form *form)
{
    static const uint16_t groups[] = {16, 32, 64, 128};
    static const uint32_t dims[] = {32, 64, 128};
    *s = (hg_shape){.vocabulary = 40 + random_below(r, 300), .layers = 1 + random_below(r, 3)};
    s->rms_epsilon = 1e-5f;
    s->positions = 96;
    s->head_dim = dims[random_below(r, 3)];
    s->kv_heads = 1 + random_below(r, 3);
    s->heads = s->kv_heads * (1 + random_below(r, 5));
    uint32_t unit = 16u << random_below(r, 3);
    s->hidden = unit * (2 + random_below(r, 4));
    s->intermediate = unit * (2 + random_below(r, 6));
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t rows, columns;
        random_shape_of(s, p, &rows, &columns);
        do form[p].group = groups[random_below(r, 4)];
        while (columns % form[p].group);
        form[p].bits = random_below(r, 2) ? 4 : 8;
        form[p].zero = (random_zero)random_below(r, 3);
    }
}

/* Tables in the file's type, or quantised, or tied and quantised. */
static void random_tables(random_source *r, random_model *m)
{
    const hg_shape *s = &m->weights.shape;
    random_form form = {random_below(r, 2) ? 32 : 16, random_below(r, 2) ? 4 : 8,
                        (random_zero)random_below(r, 3)};
    uint32_t kind = random_below(r, 3);
    if (!kind) return;
    m->weights.head = random_table(&m->owner, r, s->vocabulary, s->hidden, form);
    if (kind == 2) m->weights.embedding = m->weights.head;
}

/* Three lanes with adapters of all ranks, and one on the base, by a family and by the reference. */
static double compare_model(const char *kernel, uint64_t seed)
{
    random_source r = {seed};
    hg_shape shape;
    random_form form[HG_PROJECTIONS];
    random_shape(&r, &shape, form);
    random_model *model = random_model_new(seed, &shape, form, (hg_dtype)(seed % 3));
    random_tables(&r, model);
    random_adapter *adapter[3];
    harness h[2] = {harness_open(&model->weights, "reference", 2),
                    harness_open(&model->weights, kernel, 2)};
    harness_lane lane[2][4];
    for (uint16_t i = 0; i < 4; i++) {
        /* Of all sizes up to 64, and once the same up to 128 for all pairs. */
        uint32_t rank = i == 2 ? 1 + seed * 37 % HG_LIMIT_ADAPTER_RANK : 0;
        if (i < 3) adapter[i] = random_adapter_new(seed + i, &shape, rank, (hg_dtype)i);
        uint32_t tokens = 1 + random_below(&r, 40);
        for (int side = 0; side < 2; side++) {
            random_source same = r;
            if (i < 3) harness_put(&h[side], i, &adapter[i]->weights, 5000);
            harness_lane_new(&lane[side][i], &same, tokens, i < 3 ? i : HG_NO_SLOT,
                             shape.vocabulary);
        }
    }
    harness_run(&h[0], lane[0], 4, 16);
    harness_run(&h[1], lane[1], 4, 7);
    double worst = 0;
    for (int i = 0; i < 4; i++) {
        size_t n = (size_t)lane[0][i].tokens * shape.vocabulary;
        double error = normalised_error(lane[1][i].logits, lane[0][i].logits, n);
        worst = error > worst ? error : worst;
    }
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 4; i++) harness_lane_free(&lane[side][i]);
        harness_close(&h[side]);
    }
    for (int i = 0; i < 3; i++) random_adapter_free(adapter[i]);
    random_model_free(model);
    return worst;
}

static void test_models(void **state)
{
    (void)state;
    for (const char *const *name = hg_cpu_kernels(); *name; name++) {
        double worst = 0;
        for (uint64_t seed = 1; seed <= 12; seed++) {
            double error = compare_model(*name, seed);
            if (error > MODEL_ERROR) fail_msg("%s, seed %lu: error %g", *name, seed, error);
            worst = error > worst ? error : worst;
        }
        print_message("%s: worst error %.2g\n", *name, worst);
        if (strcmp(*name, "reference") == 0) assert_true(worst == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),     cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_put_matrix), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_quantise),   cmocka_unit_test(test_attention),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
