/* test_architecture.c: shapes and RoPE of the Llama 3 family against transformers, for every kernel
 * family: tests/golden/architecture.tar.xz, made by make_architecture_goldens.py.
 *
 * - reference: normalised error of each case's logits at most 1e-6, arg-max equal everywhere.
 * - a faster family: either it says that it has no kernel for the shape (head_dim no multiple of
 *   16), or its error is at most FAST_ERROR in the mean and FAST_WORST anywhere, and its arg-max
 *   equal on FAST_AGREEMENT of all tokens.
 *   Random weights are a hard case: no direction of a layer counts more than another.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"

#define REFERENCE_ERROR 1e-6
#define FAST_ERROR      4e-3
#define FAST_WORST      5e-2
#define FAST_AGREEMENT  0.92

static small_goldens golden;

static int set_up(void **state)
{
    (void)state;
    small_open("tests/golden/architecture.tar.xz", &golden);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_close(&golden);
    return 0;
}

static uint32_t integer(const json_t *entry, const char *field)
{
    return (uint32_t)json_integer_value(json_object_get(entry, field));
}

/* What the readers made of the folder's files. */
static void test_shapes(void **state)
{
    (void)state;
    size_t i;
    json_t *entry;
    json_array_foreach(golden.root, i, entry)
    {
        hg_model *model = small_model(&golden, entry, "folder");
        const hg_weights *w = &model->weights;
        int32_t stop[HG_LIMIT_STOP_TOKENS];
        uint32_t stops = small_integers(entry, "stops", stop, HG_LIMIT_STOP_TOKENS);
        assert_int_equal(w->shape.heads, integer(entry, "heads"));
        assert_int_equal(w->shape.kv_heads, integer(entry, "kv_heads"));
        assert_int_equal(w->shape.head_dim, integer(entry, "head_dim"));
        assert_int_equal(w->head.data == w->embedding.data,
                         json_is_true(json_object_get(entry, "tied")));
        assert_int_equal(model->stops, stops);
        assert_memory_equal(model->stop, stop, stops * sizeof *stop);
        hg_model_close(model);
    }
    assert_int_equal(i, 26);
}

/* What one family did over all cases. */
typedef struct tally {
    uint32_t kept, tokens, equal, refused;
    double worst, sum; /* of the kept positions' errors */
} tally;

/* One case; kept rows of logits are golden's from t->kept on. */
static void compare(const json_t *entry, const small_lane *lane, uint32_t vocabulary, tally *t)
{
    int32_t best[SMALL_ROWS], kept[8];
    uint32_t count = small_integers(entry, "kept", kept, 8);
    assert_int_equal(small_integers(entry, "best", best, SMALL_ROWS), lane->rows);
    for (uint32_t i = 0; i < count; i++) {
        const float *want = golden.logits + (t->kept + i) * golden.strided;
        double error =
            normalised_error(lane->logits + (size_t)kept[i] * vocabulary, want, golden.strided);
        if (error > t->worst) t->worst = error;
        t->sum += error;
    }
    t->tokens += lane->rows;
    for (uint32_t i = 0; i < lane->rows; i++) t->equal += lane->best[i] == best[i];
}

static void run_case(const char *kernel, const json_t *entry, tally *t)
{
    char message[HG_ERROR_MESSAGE_MAX];
    int32_t token[SMALL_ROWS], best[SMALL_ROWS];
    hg_model *model = small_model(&golden, entry, "folder");
    uint32_t vocabulary = model->weights.shape.vocabulary;
    hg_device *device = small_device(kernel, &model->weights, message, sizeof message);
    small_lane lane = {.token = token,
                       .rows = small_integers(entry, "prompt", token, SMALL_ROWS),
                       .slot = HG_NO_SLOT,
                       .best = best,
                       .logits = malloc((size_t)SMALL_ROWS * vocabulary * sizeof(float))};
    if (device) {
        small_run(device, vocabulary, &lane, 1, SMALL_ROWS);
        compare(entry, &lane, vocabulary, t);
    } else {
        assert_true(model->weights.shape.head_dim % 16 != 0);
        assert_non_null(strstr(message, "head_dim"));
        t->refused++;
    }
    t->kept += (uint32_t)json_array_size(json_object_get(entry, "kept"));
    free(lane.logits);
    hg_cpu_device()->close(device);
    hg_model_close(model);
}

static void test_families(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) {
        size_t i;
        json_t *entry;
        tally t = {0};
        bool reference = strcmp(*kernel, "reference") == 0;
        json_array_foreach(golden.root, i, entry) run_case(*kernel, entry, &t);
        printf("%-12s %zu models, %u refused; %u tokens, equal %.2f %%; error in the mean %.2e, "
               "worst %.2e\n",
               *kernel, i, t.refused, t.tokens, 100.0 * t.equal / t.tokens, t.sum / t.kept,
               t.worst);
        assert_int_equal(t.kept, golden.rows);
        assert_true(t.sum <= FAST_ERROR * t.kept);
        assert_true(t.worst <= (reference ? REFERENCE_ERROR : FAST_WORST));
        assert_true(t.equal >= (reference ? 1 : FAST_AGREEMENT) * t.tokens);
        assert_int_equal(t.refused, reference ? 0 : 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests_name("architecture", tests, set_up, tear_down);
}
