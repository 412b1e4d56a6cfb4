/* test_scales.c: input_scales.safetensors: what of it is read, every way in which it can be wrong,
 * and adapters that are opened on a base that has it. */
#include "tests/unit/model_pieces.h"

#include <math.h>

#include "core/model/adapter.h"
#include "core/model/scales.h"
#include "tests/support/small_bases.h"

#define Q_INPUT  "model.layers.0.self_attn.q_proj.input_scale"
#define Q_OUTPUT "model.layers.0.self_attn.q_proj.output_scale"
#define V_OUTPUT "model.layers.1.self_attn.v_proj.output_scale"

/* begin, 2 begin, 3 begin, ... */
static piece *add_list(pieces *list, const char *name, int count, float begin)
{
    piece *p = pieces_add(list, name, "F32", 1, (long[]){count}, (size_t)count * sizeof(float));
    for (int i = 0; i < count; i++) {
        const float value = begin * (float)(i + 1);
        memcpy(p->data + (size_t)i * sizeof value, &value, sizeof value);
    }
    return p;
}

static void test_what_is_there_is_read(void **state)
{
    (void)state;
    for (int pad = 0; pad < 4; pad++) { /* wherever the data lies in the file */
        char folder[64];
        pieces list = {0};
        hg_scales *scales;
        hg_error error = {0};
        folder_new(folder);
        add_list(&list, Q_INPUT, 8, 0.5f);
        add_list(&list, V_OUTPUT, 4, 3);
        pieces_save(&list, folder, HG_SCALES_FILE, pad);
        if (hg_scales_open(folder, &small_base, &scales, &error)) fail_msg("%s", error.message);
        for (int i = 0; i < 8; i++)
            assert_true(scales->layer[0].input[HG_Q][i] == 0.5f * (float)(i + 1));
        for (int i = 0; i < 4; i++)
            assert_true(scales->layer[1].output[HG_V][i] == 3 * (float)(i + 1));
        for (int p = 0; p < HG_PROJECTIONS; p++) {
            assert_true((scales->layer[0].input[p] != NULL) == (p == HG_Q));
            assert_true((scales->layer[1].output[p] != NULL) == (p == HG_V));
            assert_null(scales->layer[1].input[p]);
            assert_null(scales->layer[0].output[p]);
        }
        hg_scales_close(scales);
        pieces_free(&list);
        folder_remove(folder);
    }
}

static void test_no_file_is_no_scales(void **state)
{
    (void)state;
    char folder[64];
    hg_error error = {0};
    hg_scales *scales = (hg_scales *)folder;
    folder_new(folder);
    assert_int_equal(hg_scales_open(folder, &small_base, &scales, &error), HG_OK);
    assert_null(scales);
    hg_scales_close(scales);
    folder_remove(folder);
}

/* What is put in the place of q's list, and what the refusal must name. */
typedef struct broken {
    const char *name, *type;
    int dimensions;
    long shape[2];
    float value; /* of element 5, or of the one that there is */
    const char *message[3];
} broken;

static void refuse(const broken *b)
{
    char folder[64];
    pieces list = {0};
    hg_scales *scales;
    hg_error error = {0};
    folder_new(folder);
    const size_t count = (size_t)(b->shape[0] * (b->dimensions == 2 ? b->shape[1] : 1));
    piece *p = add_list(&list, b->name, (int)count, 1);
    snprintf(p->type, sizeof p->type, "%s", b->type);
    p->dimensions = b->dimensions;
    memcpy(p->shape, b->shape, sizeof b->shape);
    if (strcmp(b->type, "F16") == 0) p->size = count * 2;
    memcpy(p->data + 5 * sizeof b->value, &b->value, sizeof b->value);
    pieces_save(&list, folder, HG_SCALES_FILE, 0);
    if (!hg_scales_open(folder, &small_base, &scales, &error))
        fail_msg("%s is read", b->message[0]);
    assert_null(scales);
    EXPECT_MESSAGE(&error, "input_scales.safetensors", b->name, b->message[0], b->message[1],
                   b->message[2]);
    pieces_free(&list);
    folder_remove(folder);
}

static void test_refuses_by_name(void **state)
{
    (void)state;
    static const broken bad[] = {
        {Q_INPUT, "F32", 1, {9, 0}, 1, {"[9]", "[8]", "inputs or outputs of the base's layer"}},
        {V_OUTPUT, "F32", 1, {8, 0}, 1, {"[8]", "[4]", "inputs or outputs of the base's layer"}},
        {Q_INPUT, "F32", 2, {1, 8}, 1, {"[1, 8]", "[8]", ""}},
        {Q_INPUT, "F16", 1, {8, 0}, 1, {"F16", "F32", ""}},
        {Q_INPUT, "F32", 1, {8, 0}, NAN, {"value 5 is", "nan", "a positive number"}},
        {Q_INPUT, "F32", 1, {8, 0}, INFINITY, {"value 5 is inf", "a positive number", ""}},
        {Q_INPUT, "F32", 1, {8, 0}, 0, {"value 5 is 0", "a positive number", ""}},
        {Q_OUTPUT, "F32", 1, {8, 0}, -2, {"value 5 is -2", "a positive number", ""}},
        {"model.layers.2.self_attn.q_proj.input_scale",
         "F32",
         1,
         {8, 0},
         1,
         {"the base has no such layer", "", ""}},
        {"model.layers.0.self_attn.q_proj.weight", "F32", 1, {8, 0}, 1, {"no such layer", "", ""}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuse(&bad[i]);
}

static void test_a_cut_file_is_refused(void **state)
{
    (void)state;
    char folder[64];
    hg_scales *scales;
    hg_error error = {0};
    folder_new(folder);
    write_text(folder, HG_SCALES_FILE, "cut");
    assert_int_not_equal(hg_scales_open(folder, &small_base, &scales, &error), HG_OK);
    assert_null(scales);
    EXPECT_MESSAGE(&error, folder, HG_SCALES_FILE);
    folder_remove(folder);
}

/* ---- adapters on a scaled base ---- */

/* An adapter of rank 2 on q of the first layer; A in F32, B in BF16, all of them 1. */
static void write_adapter(const char *folder)
{
    static const char *const name[] = {
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"};
    pieces list = {0};
    piece *a = pieces_add(&list, name[0], "F32", 2, (long[]){2, 8}, 64);
    piece *b = pieces_add(&list, name[1], "BF16", 2, (long[]){8, 2}, 32);
    for (int i = 0; i < 16; i++) memcpy(a->data + (size_t)i * 4, (const float[]){1}, 4);
    for (int i = 0; i < 16; i++) memcpy(b->data + (size_t)i * 2, (const uint16_t[]){0x3f80}, 2);
    pieces_save(&list, folder, "adapter_model.safetensors", 0);
    pieces_free(&list);
    write_text(folder, "adapter_config.json",
               "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":2,\"target_modules\":[\"q_proj\"],"
               "\"layers_to_transform\":[0]}");
}

/* The first layer's q pair of an adapter in folder, opened on a base in the same folder. */
static hg_status open_on(const char *folder, hg_adapter **adapter, hg_error *error)
{
    hg_model model = {.weights.shape = small_base};
    snprintf(model.path, sizeof model.path, "%s", folder);
    return hg_adapter_open_on(folder, &model, adapter, error);
}

static void test_adapter_is_scaled(void **state)
{
    (void)state;
    char folder[64];
    pieces list = {0};
    hg_adapter *adapter;
    hg_error error = {0};
    folder_new(folder);
    write_adapter(folder);
    add_list(&list, Q_INPUT, 8, 2);
    add_list(&list, Q_OUTPUT, 8, 0.25f);
    pieces_save(&list, folder, HG_SCALES_FILE, 0);
    if (open_on(folder, &adapter, &error)) fail_msg("%s", error.message);
    const hg_lora *q = &adapter->lora.layer[0].pair[HG_Q];
    assert_int_equal(q->a.type, HG_F32);
    assert_int_equal(q->b.type, HG_F32);
    const float *a = q->a.data, *b = q->b.data;
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 8; c++) {
            assert_true(a[r * 8 + c] == 2 * (float)(c + 1));
            assert_true(b[c * 2 + r] == 1 / (0.25f * (float)(c + 1)));
        }
    assert_int_equal(adapter->lora.bytes, 2 * 16 * sizeof(float));
    hg_adapter_close(adapter);
    pieces_free(&list);
    folder_remove(folder);
}

static void test_adapter_without_scales_is_as_it_is(void **state)
{
    (void)state;
    char folder[64];
    hg_adapter *adapter;
    hg_error error = {0};
    folder_new(folder);
    write_adapter(folder);
    if (open_on(folder, &adapter, &error)) fail_msg("%s", error.message);
    assert_int_equal(adapter->lora.layer[0].pair[HG_Q].b.type, HG_BF16);
    assert_int_equal(adapter->lora.bytes, 64 + 32);
    hg_adapter_close(adapter);
    folder_remove(folder);
}

static void test_no_adapter_on_broken_scales(void **state)
{
    (void)state;
    char folder[64];
    hg_adapter *adapter;
    hg_error error = {0};
    folder_new(folder);
    write_adapter(folder);
    write_text(folder, HG_SCALES_FILE, "cut");
    assert_int_not_equal(open_on(folder, &adapter, &error), HG_OK);
    assert_null(adapter);
    EXPECT_MESSAGE(&error, HG_SCALES_FILE);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_is_read),
        cmocka_unit_test(test_no_file_is_no_scales),
        cmocka_unit_test(test_refuses_by_name),
        cmocka_unit_test(test_a_cut_file_is_refused),
        cmocka_unit_test(test_adapter_is_scaled),
        cmocka_unit_test(test_adapter_without_scales_is_as_it_is),
        cmocka_unit_test(test_no_adapter_on_broken_scales),
    };
    return cmocka_run_group_tests_name("scales", tests, NULL, NULL);
}
