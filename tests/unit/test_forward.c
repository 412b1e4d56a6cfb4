/* test_forward.c: the product of core/convert against a plain one, and its forward pass against the
 * reference device, over the ways in which Llama models differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/forward.h"
#include "core/model/config.h"
#include "kernels/cpu/convert.h"
#include "tests/support/device_harness.h"

/* ---- the product ---- */

static float *random_floats(random_owner *o, random_source *r, size_t n)
{
    float *out = random_take(o, n * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = random_unit(r);
    return out;
}

/* Largest difference from sums in double, over the size that such a sum has. */
static double product_error(hg_pool *pool, const hg_linear *w, const float *x, uint32_t count,
                            float *y)
{
    const hg_rows rows = hg_rows_of_linear(w);
    double worst = 0;
    float *row = malloc(w->columns * sizeof *row);
    assert_non_null(row);
    hg_multiply(pool, &rows, x, count, y);
    for (uint32_t o = 0; o < w->rows; o++) {
        hg_linear_read(w, o, 0, w->columns, row);
        for (uint32_t i = 0; i < count; i++) {
            double sum = 0, size = 0;
            for (uint32_t c = 0; c < w->columns; c++) {
                const double term = (double)row[c] * (double)x[(size_t)i * w->columns + c];
                sum += term;
                size += fabs(term);
            }
            worst = fmax(worst, fabs(sum - (double)y[(size_t)i * w->rows + o]) / size);
        }
    }
    free(row);
    return worst;
}

static void check_product(uint32_t rows, uint32_t columns, uint32_t count, random_form form)
{
    random_owner owner = {0};
    random_source r = {rows + columns + count};
    const hg_linear w = random_linear(&owner, &r, rows, columns, form);
    const float *x = random_floats(&owner, &r, (size_t)count * columns);
    const size_t size = (size_t)count * rows;
    float *first = random_floats(&owner, &r, size), *other = random_floats(&owner, &r, size);
    for (uint32_t threads = 1; threads <= 3; threads += 2) {
        hg_pool pool;
        hg_error error;
        harness_check(hg_pool_open(threads, HG_MULTIPLY_SCRATCH, &pool, &error), &error);
        double worst = product_error(&pool, &w, x, count, threads == 1 ? first : other);
        if (!(worst < 1e-6)) fail_msg("%u x %u, %u rows: error %g", rows, columns, count, worst);
        hg_pool_close(&pool);
    }
    assert_memory_equal(first, other, size * sizeof *first);
    random_free(&owner);
}

/* Sizes around those of tiles, of rows taken at once and of the parts that threads get. */
static void test_products(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 15, 16, 17, 50}, columns[] = {1, 7, 256, 257, 530};
    static const uint32_t counts[] = {1, 2, 5, 6, 7, 13};
    const random_form dense = {.dense_type = HG_F32};
    for (int r = 0; r < 5; r++)
        for (int c = 0; c < 5; c++)
            for (int n = 0; n < 6; n++) check_product(rows[r], columns[c], counts[n], dense);
    check_product(37, 19, HG_TILE_ROWS + 3, dense);
    check_product(33, 288, 49, (random_form){16, 4, RANDOM_ZEROS});
    check_product(20, 384, 11, (random_form){64, 8, RANDOM_OFFSETS});
    check_product(20, 300, 11, (random_form){.dense_type = HG_BF16});
}

enum { LONG_INPUTS = 2 * HG_TILE_INPUTS + 9, LONG_COUNT = 8 };

static void check_long_tile(void (*multiply)(const hg_tile *), const float *x, const float *tile)
{
    float y[LONG_COUNT][HG_TILE_OUTPUTS];
    for (int i = 0; i < LONG_COUNT; i++)
        for (int o = 0; o < HG_TILE_OUTPUTS; o++) y[i][o] = 1;
    multiply(&(hg_tile){.tile = tile,
                        .x = x,
                        .y = y[0],
                        .inputs = LONG_INPUTS,
                        .count = LONG_COUNT,
                        .x_stride = LONG_INPUTS,
                        .y_stride = HG_TILE_OUTPUTS});
    for (int i = 0; i < LONG_COUNT; i++) {
        for (int o = 0; o < HG_TILE_OUTPUTS; o++) {
            double sum = 1;
            for (int k = 0; k < LONG_INPUTS; k++)
                sum += (double)x[i * LONG_INPUTS + k] * (double)tile[k * HG_TILE_OUTPUTS + o];
            assert_float_equal(y[i][o], sum, 1e-4);
        }
    }
}

/* Tiles that are longer than the blocks in which they are multiplied; with and without AVX2. */
static void test_long_tiles(void **state)
{
    (void)state;
    random_owner owner = {0};
    random_source r = {9};
    const float *tile = random_floats(&owner, &r, (size_t)LONG_INPUTS * HG_TILE_OUTPUTS);
    const float *x = random_floats(&owner, &r, (size_t)LONG_COUNT * LONG_INPUTS);
    check_long_tile(hg_tile_multiply, x, tile);
    check_long_tile(hg_tile_multiply_plain, x, tile);
    random_free(&owner);
}

/* ---- the forward pass ---- */

#define SPAN   40 /* tokens of the first sequence */
#define SECOND 27 /* of the second */

typedef struct forward_case {
    const char *name;
    hg_shape shape;
    hg_rope rope;
    random_form form;
    bool tied;
    hg_dtype table;
} forward_case;

/* The logits of all rows, [SPAN + SECOND, vocabulary]; free() it. */
static float *convert_logits(const hg_weights *w, const int32_t *token, uint32_t threads)
{
    hg_pool pool;
    hg_forward forward;
    hg_error error;
    const uint32_t rows = SPAN + SECOND;
    float *logits = malloc(sizeof *logits * rows * w->shape.vocabulary);
    assert_non_null(logits);
    harness_check(hg_pool_open(threads, hg_forward_scratch(&w->shape, SPAN), &pool, &error),
                  &error);
    harness_check(hg_forward_open(w, &pool, (hg_sequences){token, rows, SPAN}, &forward, &error),
                  &error);
    for (uint32_t l = 0; l < w->shape.layers; l++) hg_forward_layer(&forward, l, NULL, NULL);
    const uint32_t half = rows / 2; /* in two parts */
    hg_forward_logits(&forward, 0, half, logits);
    hg_forward_logits(&forward, half, rows - half, logits + (size_t)half * w->shape.vocabulary);
    hg_forward_close(&forward);
    hg_pool_close(&pool);
    return logits;
}

/* The forward's mean loss is that of the reference's logits. */
static void check_loss(const hg_weights *w, const int32_t *token, const float *logits)
{
    hg_pool pool;
    hg_forward forward;
    hg_error error;
    double nats, sum = 0;
    uint32_t scored;
    const uint32_t rows = SPAN + SECOND, vocabulary = w->shape.vocabulary;
    harness_check(hg_pool_open(2, hg_forward_scratch(&w->shape, SPAN), &pool, &error), &error);
    harness_check(hg_forward_open(w, &pool, (hg_sequences){token, rows, SPAN}, &forward, &error),
                  &error);
    for (uint32_t l = 0; l < w->shape.layers; l++) hg_forward_layer(&forward, l, NULL, NULL);
    harness_check(hg_forward_loss(&forward, &nats, &scored, &error), &error);
    for (uint32_t r = 0; r + 1 < rows; r++) {
        const float *row = logits + (size_t)r * vocabulary;
        double total = 0;
        if (r == SPAN - 1) continue;
        for (uint32_t i = 0; i < vocabulary; i++) total += exp((double)row[i]);
        sum += log(total) - (double)row[token[r + 1]];
    }
    assert_int_equal(scored, rows - 2);
    assert_float_equal(nats, sum / scored, 1e-4);
    hg_forward_close(&forward);
    hg_pool_close(&pool);
}

static void check_forward(const forward_case *c)
{
    random_form form[HG_PROJECTIONS];
    float frequency[64];
    int32_t token[SPAN + SECOND];
    harness_lane lane[2];
    random_source r = {17};
    for (int p = 0; p < HG_PROJECTIONS; p++) form[p] = c->form;
    random_model *model = random_model_new(23, &c->shape, form, c->table);
    hg_weights *w = &model->weights;
    hg_rope_frequencies(&c->rope, c->shape.head_dim, frequency);
    w->rope_frequency = frequency;
    if (c->tied) w->head = w->embedding;
    harness h = harness_open(w, "reference", 1);
    harness_lane_new(&lane[0], &r, SPAN, HG_NO_SLOT, c->shape.vocabulary);
    harness_lane_new(&lane[1], &r, SECOND, HG_NO_SLOT, c->shape.vocabulary);
    harness_run(&h, lane, 2, 16);
    memcpy(token, lane[0].token, sizeof *token * SPAN);
    memcpy(token + SPAN, lane[1].token, sizeof *token * SECOND);
    float *first = convert_logits(w, token, 1), *other = convert_logits(w, token, 3);
    const size_t n = (size_t)SPAN * c->shape.vocabulary, m = (size_t)SECOND * c->shape.vocabulary;
    double error = fmax(normalised_error(first, lane[0].logits, n),
                        normalised_error(first + n, lane[1].logits, m));
    print_message("%s: error %.2g\n", c->name, error);
    assert_true(error <= 1e-9);
    assert_memory_equal(first, other, (n + m) * sizeof *first);
    memcpy(first, lane[0].logits, n * sizeof *first);
    memcpy(first + n, lane[1].logits, m * sizeof *first);
    check_loss(w, token, first);
    free(first);
    free(other);
    for (int i = 0; i < 2; i++) harness_lane_free(&lane[i]);
    harness_close(&h);
    random_model_free(model);
}

static hg_shape shape_of(uint32_t hidden, uint32_t heads, uint32_t kv_heads, uint32_t head_dim)
{
    return (hg_shape){.vocabulary = 75,
                      .hidden = hidden,
                      .intermediate = 176,
                      .layers = 3,
                      .heads = heads,
                      .kv_heads = kv_heads,
                      .head_dim = head_dim,
                      .positions = 96,
                      .rms_epsilon = 1e-5f};
}

static void test_forward_is_the_references(void **state)
{
    (void)state;
    const random_form int4 = {16, 4, RANDOM_SYMMETRIC}, int8 = {16, 8, RANDOM_ZEROS};
    const random_form offsets = {16, 4, RANDOM_OFFSETS}, dense = {.dense_type = HG_BF16};
    const hg_rope plain = {.kind = HG_ROPE_DEFAULT, .theta = 10000, .factor = 1};
    const hg_rope linear = {.kind = HG_ROPE_LINEAR, .theta = 500000, .factor = 4};
    const hg_rope llama3 = {.kind = HG_ROPE_LLAMA3,
                            .theta = 10000,
                            .factor = 8,
                            .low_freq_factor = 1,
                            .high_freq_factor = 4,
                            .original_max_position_embeddings = 32};
    const forward_case cases[] = {
        {"a KV head a head", shape_of(96, 6, 6, 16), plain, int4, false, HG_F16},
        {"three heads a KV head", shape_of(96, 6, 2, 16), plain, int8, true, HG_BF16},
        {"one KV head", shape_of(96, 6, 1, 16), linear, offsets, false, HG_F32},
        {"attention wider than hidden", shape_of(80, 4, 2, 32), llama3, int4, true, HG_F16},
        {"attention narrower than hidden", shape_of(112, 4, 4, 16), llama3, dense, true, HG_BF16},
        {"dense, linear RoPE", shape_of(96, 8, 4, 12), linear, dense, false, HG_F32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_forward(&cases[i]);
}

/* Order and sizes of what the taps show. */
typedef struct seen {
    hg_tap order[16];
    uint32_t columns[16], count;
} seen;

static void see(void *context, hg_tap tap, const float *x, uint32_t rows, uint32_t columns)
{
    seen *s = context;
    assert_int_equal(rows, SPAN);
    assert_true(s->count < 16 && isfinite(x[(size_t)rows * columns - 1]));
    s->columns[s->count] = columns;
    s->order[s->count++] = tap;
}

static void test_taps(void **state)
{
    (void)state;
    random_form form[HG_PROJECTIONS];
    int32_t token[SPAN] = {0};
    hg_pool pool;
    hg_forward forward;
    hg_error error;
    seen s = {.count = 0};
    const hg_shape shape = shape_of(80, 4, 2, 32);
    for (int p = 0; p < HG_PROJECTIONS; p++) form[p] = (random_form){16, 4, RANDOM_SYMMETRIC};
    random_model *model = random_model_new(5, &shape, form, HG_F16);
    harness_check(hg_pool_open(1, hg_forward_scratch(&shape, SPAN), &pool, &error), &error);
    harness_check(hg_forward_open(&model->weights, &pool, (hg_sequences){token, SPAN, SPAN},
                                  &forward, &error),
                  &error);
    for (uint32_t l = 0; l < shape.layers; l++) hg_forward_layer(&forward, l, see, &s);
    assert_int_equal(s.count, HG_TAPS * shape.layers);
    static const uint32_t columns[HG_TAPS] = {80, 128, 80, 176};
    for (uint32_t i = 0; i < s.count; i++) {
        assert_int_equal(s.order[i], i % HG_TAPS);
        assert_int_equal(s.columns[i], columns[i % HG_TAPS]);
    }
    hg_forward_close(&forward);
    hg_pool_close(&pool);
    random_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_long_tiles),
        cmocka_unit_test(test_forward_is_the_references),
        cmocka_unit_test(test_taps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
