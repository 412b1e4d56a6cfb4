/* test_cuda_kernels.c: the CUDA device against the CPU reference: on the emulator
 * (tests/cuda_emulator), and by `make gpu-check` on a card.
 *
 * The same sources run on both, kernels and host files. What differs from the
 * reference is that activations, K and V are F16 and that a dense head becomes INT8, and the
 * tolerances say by how much. A row's bits do not depend on its company, nor on the card's size or
 * the order of its blocks.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cuda_help.h"

#define TOLERANCE 2e-6 /* of logits, normalised */
#define TOLERANCE_INT8                                                                             \
    3e-5 /* where a dense head was rounded: (1 / 127)^2 / 4 of uniform values                      \
          */

/* Two runs of the same lane on two devices. */
static void assert_near(const harness_lane *a, const harness_lane *b, const hg_weights *weights)
{
    uint32_t vocabulary = weights->shape.vocabulary;
    double most = weights->head.type == HG_QUANTISED ? TOLERANCE : TOLERANCE_INT8;
    assert_int_equal(a->tokens, b->tokens);
    for (uint32_t i = 0; i < a->tokens; i++) {
        const float *mine = a->logits + (size_t)i * vocabulary;
        const float *want = b->logits + (size_t)i * vocabulary;
        double error = normalised_error(mine, want, vocabulary);
        if (!(error <= most)) fail_msg("position %u: normalised error %g", i, error);
        if (a->best[i] == b->best[i]) continue;
        float margin = want[b->best[i]] - want[a->best[i]];
        if (margin > 0.05f) fail_msg("position %u: other token, margin %g", i, (double)margin);
    }
}

/* Every width, group and head type, with offsets, with zero points, with neither; dense layers; and
 * tables that are quantised themselves. */
static void test_forms(void **state)
{
    (void)state;
    static const uint16_t group[] = {16, 32, 64, 128};
    static const hg_dtype head[] = {HG_F32, HG_F16, HG_BF16};
    for (uint32_t i = 0; i < 27; i++) {
        random_form form = {group[i % 4], i & 4 ? 8 : 4, (random_zero)(i / 8)};
        if (i >= 24) form = (random_form){.dense_type = head[i - 24]};
        random_model *model = new_model(i, &small, form, head[i % 3]);
        random_source t = {i};
        if (i % 5 == 4 && form.bits)
            model->weights.head =
                random_table(&model->owner, &t, small.vocabulary, small.hidden, form);
        if (i % 10 == 4) model->weights.embedding = model->weights.head;
        harness cuda = open_cuda(&model->weights);
        harness cpu = harness_open(&model->weights, "reference", 1);
        harness_lane a, b;
        random_source r = {i};
        harness_lane_new(&a, &r, 5, HG_NO_SLOT, small.vocabulary);
        r.state = i;
        harness_lane_new(&b, &r, 5, HG_NO_SLOT, small.vocabulary);
        harness_run(&cuda, &a, 1, 4);
        harness_run(&cpu, &b, 1, 5);
        assert_near(&a, &b, &model->weights);
        harness_lane_free(&a);
        harness_lane_free(&b);
        harness_close(&cpu);
        close_cuda(&cuda);
        random_model_free(model);
    }
}

/* Lanes of different lengths and adapters: mixed ranks in F32, rank 5 in F16, 64 in BF16. */
#define COMPANY 5
static void new_company(harness_lane *lane)
{
    static const uint32_t tokens[COMPANY] = {19, 16, 1, 34, 11};
    static const uint16_t slot[COMPANY] = {0, 1, HG_NO_SLOT, 2, 0};
    random_source r = {3};
    for (int i = 0; i < COMPANY; i++)
        harness_lane_new(&lane[i], &r, tokens[i], slot[i], small.vocabulary);
    lane[3].invocation = 20;
}

static void assert_same_bits(const harness_lane *a, const harness_lane *b)
{
    for (int i = 0; i < COMPANY; i++) {
        size_t bytes = a[i].tokens * small.vocabulary * sizeof(float);
        assert_memory_equal(a[i].logits, b[i].logits, bytes);
        assert_memory_equal(a[i].best, b[i].best, a[i].tokens * sizeof(int32_t));
    }
}

static void test_company(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_lane want[COMPANY], alone[COMPANY], together[COMPANY];
    new_company(want);
    new_company(alone);
    new_company(together);
    harness_run(&f.cpu, want, COMPANY, 16);
    for (int i = 0; i < COMPANY; i++) {
        harness_run(&f.cuda, &alone[i], 1, 1);
        assert_near(&alone[i], &want[i], &f.model->weights);
    }
    static const uint32_t chunk[] = {1, 7, 33};
    for (uint32_t c = 0; c < 3; c++) {
        card_set_order(c * 5); /* of the card's blocks */
        harness_run(&f.cuda, together, COMPANY, chunk[c]);
        assert_same_bits(alone, together);
    }
    harness_close(&f.cuda);
    card_set_processors(23);
    f.cuda = open_cuda(&f.model->weights);
    for (uint16_t i = 0; i < 3; i++) harness_put(&f.cuda, i, &f.adapter[i]->weights, 100000);
    harness_run(&f.cuda, together, COMPANY, 9);
    assert_same_bits(alone, together);
    card_set_processors(0);
    card_set_order(0);
    free_lanes(want, COMPANY);
    free_lanes(alone, COMPANY);
    free_lanes(together, COMPANY);
    close_fixture(&f);
}

/* Sizes of no multiple, a form for each layer, sums of up to three chunks, up to 64 rows of lanes
 * with adapters of ranks up to 128. */
static random_model *random_odd_model(random_source *r, hg_shape *shape)
{
    static const uint32_t head_dim[] = {16, 48, 64, 80};
    random_form form[HG_PROJECTIONS];
    *shape = (hg_shape){.vocabulary = 65 + random_below(r, 100),
                        .hidden = 16 * (1 + random_below(r, 20)),
                        .intermediate = 16 * (1 + random_below(r, random_below(r, 4) ? 30 : 140)),
                        .layers = 1,
                        .kv_heads = 1 + random_below(r, 3),
                        .head_dim = head_dim[random_below(r, 4)],
                        .positions = 512,
                        .rms_epsilon = 1e-5f};
    shape->heads = shape->kv_heads * (1 + random_below(r, 6));
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t rows, columns, group = 16u << random_below(r, 4);
        random_shape_of(shape, p, &rows, &columns);
        while (columns % group) group /= 2;
        form[p] = (random_form){.group = (uint16_t)group,
                                .bits = (uint8_t)(4 * random_below(r, 3)),
                                .zero = (random_zero)random_below(r, 3),
                                .dense_type = (hg_dtype)random_below(r, 3)};
    }
    if (random_below(r, 2)) form[HG_UP] = form[HG_GATE];
    random_model *m = random_model_new(random_bits(r), shape, form, HG_F16);
    m->weights.head = random_table(&m->owner, r, shape->vocabulary, shape->hidden,
                                   (random_form){.group = 16, .bits = 4, .zero = RANDOM_ZEROS});
    return m;
}

#define ODD_LANES 4
static void test_odd_shapes(void **state)
{
    (void)state;
    uint32_t models = getenv("HYDRAGLOT_LONG") ? 200 : 6;
    for (uint32_t seed = 0; seed < models; seed++) {
        random_source r = {seed + 77};
        hg_shape shape;
        random_model *model = random_odd_model(&r, &shape);
        random_adapter *adapter[2];
        harness cuda = open_cuda(&model->weights);
        harness cpu = harness_open(&model->weights, "reference", 1);
        for (uint16_t i = 0; i < 2; i++) {
            adapter[i] = random_adapter_new(seed * 2 + i, &shape, 1 + random_below(&r, 128),
                                            (hg_dtype)random_below(&r, 3));
            harness_put(&cuda, i, &adapter[i]->weights, 1 << 20);
            harness_put(&cpu, i, &adapter[i]->weights, 1 << 20);
        }
        harness_lane lane[2][ODD_LANES];
        for (uint32_t i = 0; i < ODD_LANES; i++) {
            uint32_t tokens = 1 + random_below(&r, 16);
            uint16_t slot = i < 2 ? (uint16_t)i : i == 2 ? 0 : HG_NO_SLOT;
            random_source same = r;
            harness_lane_new(&lane[0][i], &r, tokens, slot, shape.vocabulary);
            harness_lane_new(&lane[1][i], &same, tokens, slot, shape.vocabulary);
        }
        harness_run(&cuda, lane[0], ODD_LANES, 1 + random_below(&r, 16));
        harness_run(&cpu, lane[1], ODD_LANES, 16);
        for (uint32_t i = 0; i < ODD_LANES; i++)
            assert_near(&lane[0][i], &lane[1][i], &model->weights);
        free_lanes(lane[0], ODD_LANES);
        free_lanes(lane[1], ODD_LANES);
        harness_close(&cpu);
        close_cuda(&cuda);
        for (int i = 0; i < 2; i++) random_adapter_free(adapter[i]);
        random_model_free(model);
    }
}

/* Positions beyond the first tile of attention, in pages of no order. */
#define LONG 150
static void run_long(const hg_device_api *api, const hg_weights *weights, const char *kernel,
                     float *logits)
{
    hg_device_plan plan = {10, 10, LONG, 1, 0};
    hg_device_options options = {.kernel = kernel, .threads = 1};
    uint32_t page[10];
    hg_row row[LONG];
    int32_t token[LONG];
    hg_device *device;
    hg_error error;
    random_source r = {1};
    for (uint32_t i = 0; i < 10; i++) page[i] = i * 7 % 10;
    for (uint32_t i = 0; i < LONG; i++)
        row[i] = (hg_row){.token = (int32_t)random_below(&r, weights->shape.vocabulary),
                          .position = i,
                          .slot = HG_NO_SLOT,
                          .want_logits = i >= LONG - 40};
    harness_check(api->open(&options, &device, &error), &error);
    harness_check(api->load_model(device, weights, &plan, &error), &error);
    hg_step step = {.row = row, .page = page, .rows = LONG, .lanes = 1};
    hg_result result = {.token = token, .logits = logits};
    harness_check(api->forward(device, &step, &result, &error), &error);
    api->close(device);
}

static void test_long_lane(void **state)
{
    (void)state;
    static const uint32_t head_dim[] = {32, 160};
    for (int i = 0; i < 2; i++) {
        hg_shape shape = small;
        shape.layers = 1;
        shape.heads = 2;
        shape.kv_heads = 1;
        shape.head_dim = head_dim[i];
        shape.hidden = 64;
        shape.intermediate = 64;
        random_model *model =
            new_model(5, &shape, (random_form){16, 8, RANDOM_OFFSETS}, HG_QUANTISED);
        size_t values = (size_t)40 * shape.vocabulary;
        float *mine = malloc(values * sizeof *mine), *want = malloc(values * sizeof *want);
        assert_true(mine && want);
        run_long(hg_cuda_device(), &model->weights, NULL, mine);
        run_long(hg_cpu_device(), &model->weights, "reference", want);
        assert_true(normalised_error(mine, want, values) <= TOLERANCE);
        free(mine);
        free(want);
        random_model_free(model);
    }
    assert_null(card_fault());
}

/* Every tenth token has the same logits: the lowest of the best ones wins, within a thread of the
 * arg-max (128 tokens apart: 640 is a common multiple) and between threads. */
static void test_ties(void **state)
{
    (void)state;
    hg_shape shape = small;
    shape.layers = 1;
    shape.vocabulary = 1300;
    random_model *model = new_model(3, &shape, (random_form){32, 4, RANDOM_SYMMETRIC}, HG_F32);
    float *head = (float *)(uintptr_t)model->weights.head.data;
    for (uint32_t i = 10; i < shape.vocabulary; i++)
        memcpy(head + (size_t)i * shape.hidden, head + (size_t)(i % 10) * shape.hidden,
               shape.hidden * sizeof *head);
    harness cuda = open_cuda(&model->weights);
    harness_lane lane;
    random_source r = {4};
    harness_lane_new(&lane, &r, 12, HG_NO_SLOT, shape.vocabulary);
    harness_run(&cuda, &lane, 1, 12);
    for (int i = 0; i < 12; i++) assert_in_range(lane.best[i], 0, 9);
    harness_lane_free(&lane);
    close_cuda(&cuda);
    random_model_free(model);
}

static void test_stops(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_stops(&f.cuda);
    close_fixture(&f);
}

/* A lane goes on from a page copied in part from another's; slots are dropped and put again. */
static void test_pages_and_slots(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_lane lane[2];
    hg_error error;
    for (int i = 0; i < 2; i++) {
        random_source r = {9};
        harness_lane_new(&lane[i], &r, 25, 1, small.vocabulary);
    }
    harness_run(&f.cuda, &lane[0], 1, 9);
    uint32_t *own = f.cuda.page + HARNESS_LANE_PAGES, keep = own[0];
    own[0] = f.cuda.page[0];
    f.cuda.api->drop_adapter(f.cuda.device, 0);
    harness_put(&f.cuda, 0, &f.adapter[1]->weights, 1);
    harness_check(f.cuda.api->copy_page(f.cuda.device, f.cuda.page[1], own[1], 5, &error), &error);
    lane[0].done = 24;
    lane[1].done = 21;
    lane[1].slot = 0; /* the same adapter by another slot */
    harness_step(&f.cuda, lane, 2, (uint32_t[]){1, 4});
    size_t from = (size_t)21 * small.vocabulary, bytes = 4 * small.vocabulary * sizeof(float);
    assert_memory_equal(lane[0].logits + from, lane[1].logits + from, bytes);
    own[0] = keep;
    assert_int_equal(f.cuda.api->copy_page(f.cuda.device, 0, HARNESS_PAGES, 5, &error),
                     HG_ERROR_ARGUMENT);
    free_lanes(lane, 2);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_long_lane),
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_pages_and_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
