/* test_safetensors.c: the file format's rules, each broken once; cuts of a real file at every
 * border of its tensors; data that is misaligned for its type. */
#include "tests/unit/model_edit.h"
#include "tests/unit/model_fixture.h"
#include "tests/unit/model_pieces.h"

#include "core/model/half.h"
#include "core/model/safetensors.h"
#include "core/model/tensors.h"

/* Puts the header's length before it and size bytes of data behind; free() it. */
static uint8_t *image(const char *header, size_t data, size_t *size)
{
    uint64_t length = strlen(header);
    *size = 8 + length + data;
    uint8_t *bytes = calloc(1, *size);
    memcpy(bytes, &length, 8);
    for (uint64_t i = 0; i < length; i++) bytes[8 + i] = (uint8_t)header[i];
    return bytes;
}

static void test_reads_a_file(void **state)
{
    (void)state;
    hg_safetensors file;
    hg_error error;
    size_t size;
    uint8_t *bytes = image("{\"__metadata__\":{\"a\":\"b\"},"
                           "\"z\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                           "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
                           "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}  ",
                           16, &size);
    assert_int_equal(hg_safetensors_parse(bytes, size, "x", &file, &error), HG_OK);
    assert_int_equal(file.tensors, 3);
    const hg_tensor *z = hg_safetensors_find(&file, "z");
    assert_non_null(z);
    assert_int_equal(z->dimensions, 2);
    assert_int_equal(z->shape[1], 3);
    assert_ptr_equal(z->data, bytes + size - 12);
    assert_int_equal(hg_safetensors_find(&file, "a")->bytes, 4);
    assert_null(hg_safetensors_find(&file, "b"));
    hg_safetensors_close(&file);
    free(bytes);
}

#define T(dtype, shape, from, to)                                                                  \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void test_refuses_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } bad[] = {
        {"{", 0, "not JSON"},
        {"[]", 0, "expected a JSON object"},
        {"{\"t\":1}", 0, "tensor t: its entry is not an object"},
        {"{\"t\":{}}", 0, "tensor t: dtype (missing)"},
        {"{\"t\":" T("F17", "[1]", 0, 4) "}", 4, "tensor t: dtype F17"},
        {"{\"t\":" T("F32", "7", 0, 4) "}", 4, "tensor t: shape is not a list"},
        {"{\"t\":" T("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "tensor t: shape is not a list"},
        {"{\"t\":" T("F32", "[-1]", 0, 4) "}", 4, "tensor t: size 0 of its shape"},
        {"{\"t\":" T("F32", "[1,1.5]", 0, 4) "}", 4, "tensor t: size 1 of its shape"},
        {"{\"t\":" T("F32", "[4611686018427387904,4]", 0, 0) "}", 0,
         "tensor t: its shape overflow"},
        {"{\"t\":" T("F32", "[9223372036854775808]", 0, 4) "}", 4, "not JSON"},
        {"{\"t\":" T("F32", "[1]", 4, 0) "}", 4, "tensor t: data_offsets"},
        {"{\"t\":" T("F32", "[1]", -4, 0) "}", 4, "tensor t: data_offsets"},
        {"{\"t\":" T("F32", "[1]", 0, 8) "}", 4,
         "tensor t: ends at byte 8 of the data, but only 4"},
        {"{\"t\":" T("F32", "[2]", 0, 4) "}", 4, "tensor t: found 4 bytes, expected 64 bits"},
        {"{\"t\":" T("F4", "[3]", 0, 1) "}", 1, "tensor t: found 1 bytes, expected 12 bits"},
        {"{\"t\":" T("F32", "[1]", 0, 4) "}", 8,
         "the tensors end at byte 4 of the data, expected 8"},
        {"{\"a\":" T("U8", "[4]", 0, 4) ",\"b\":" T("U8", "[4]", 2, 6) "}", 6, "tensors overlap"},
        {"{\"a\":" T("U8", "[4]", 0, 4) ",\"b\":" T("U8", "[4]", 5, 9) "}", 9,
         "tensors leave a gap"},
        {"{\"a\":" T("U8", "[4]", 0, 4) ",\"b\":" T("U8", "[4]", 0, 4) "}", 4, "tensors overlap"},
        {"{\"a\":" T("U8", "[1]", 0, 1) ",\"a\":" T("U8", "[1]", 1, 2) "}", 2, "duplicate"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hg_safetensors file;
        hg_error error;
        size_t size;
        uint8_t *bytes = image(bad[i].header, bad[i].data, &size);
        assert_int_equal(hg_safetensors_parse(bytes, size, "x.safetensors", &file, &error),
                         HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, "x.safetensors", bad[i].message);
        assert_null(file.tensor);
        free(bytes);
    }
}

static void test_header_length(void **state)
{
    (void)state;
    hg_safetensors file;
    hg_error error;
    uint8_t bytes[16] = {0};
    for (size_t size = 0; size < 8; size++) {
        assert_int_equal(hg_safetensors_parse(bytes, size, "x", &file, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, "x", "too short");
    }
    bytes[0] = 9;
    assert_int_equal(hg_safetensors_parse(bytes, 16, "x", &file, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "claims 9 bytes, but only 8 follow");
    memset(bytes, 0xFF, 8);
    assert_int_equal(hg_safetensors_parse(bytes, 16, "x", &file, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "claims 18446744073709551615 bytes, more than the");
}

/* A real file, cut before, at and after every tensor's border: always refused, the file named. */
static void test_cuts(void **state)
{
    (void)state;
    hg_safetensors whole, file;
    hg_error error;
    size_t size;
    uint8_t *bytes = read_bytes(TINY, "model.safetensors", &size);
    assert_int_equal(hg_safetensors_parse(bytes, size, "x", &whole, &error), HG_OK);
    assert_true(whole.tensors > 20);
    for (uint32_t i = 0; i < whole.tensors; i++) {
        size_t border = (size_t)(whole.tensor[i].data - bytes);
        for (size_t cut = border - 1; cut <= border + 1; cut++) {
            assert_int_equal(hg_safetensors_parse(bytes, cut, "x.st", &file, &error),
                             HG_ERROR_FORMAT);
            EXPECT_MESSAGE(&error, "x.st", "cut short");
        }
    }
    hg_safetensors_close(&whole);
    free(bytes);
}

/* No byte of a header may be changed into a crash. */
static void test_header_flips(void **state)
{
    (void)state;
    hg_safetensors file;
    hg_error error;
    size_t size, refused = 0, tried = 0;
    uint8_t *bytes =
        image("{\"a\":" T("I32", "[2,2]", 0, 16) ",\"b\":" T("U8", "[4]", 16, 20) "}", 20, &size);
    for (size_t i = 0; i < size - 20; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            tried++;
            if (hg_safetensors_parse(bytes, size, "x", &file, &error))
                refused++;
            else
                hg_safetensors_close(&file);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    assert_true(refused > tried / 2 && refused < tried);
    free(bytes);
}

static void test_take_aligns(void **state)
{
    (void)state;
    char folder[64], path[128];
    pieces list = {0};
    hg_tensors set;
    hg_tensor tensor;
    hg_error error;
    folder_new(folder);
    piece *p = pieces_add(&list, "w", "F32", 2, (long[]){2, 3}, 24);
    for (int i = 0; i < 6; i++) ((float *)(void *)p->data)[i] = (float)i - 2.5f;
    for (int pad = 0; pad < 8; pad++) {
        pieces_save(&list, folder, "x.safetensors", pad);
        snprintf(path, sizeof path, "%s/x.safetensors", folder);
        assert_int_equal(hg_tensors_open(path, &set, &error), HG_OK);
        const hg_tensor_want want = {"w", HG_TENSOR_FLOATS, 2, {2, 3}, "test"};
        assert_int_equal(hg_tensors_take(&set, &want, &tensor, &error), HG_OK);
        assert_int_equal((uintptr_t)tensor.data % 4, 0);
        assert_memory_equal(tensor.data, p->data, 24);
        assert_int_equal(hg_tensors_check_all_taken(&set, "", &error), HG_OK);
        hg_tensors_close(&set);
    }
    pieces_free(&list);
    folder_remove(folder);
}

static void test_take_checks(void **state)
{
    (void)state;
    hg_tensors set;
    hg_tensor tensor;
    hg_error error;
    static const struct {
        hg_tensor_want want;
        const char *message;
    } bad[] = {
        {{"model.norm.weigh", HG_TENSOR_FLOATS, 1, {64}, "hidden"},
         "is missing, expected one of shape"},
        {{"model.norm.weight", HG_TENSOR_BIT(F16), 1, {64}, ""}, "found type F32, expected F16"},
        {{"model.norm.weight", HG_TENSOR_FLOATS, 1, {65}, "why"},
         "found shape [64], expected [65] (why)"},
        {{"model.norm.weight", HG_TENSOR_FLOATS, 2, {64, 1}, ""},
         "found shape [64], expected [64, 1]"},
    };
    assert_int_equal(hg_tensors_open(TINY "/model.safetensors", &set, &error), HG_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hg_tensors_take(&set, &bad[i].want, &tensor, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, TINY "/model.safetensors", bad[i].want.name, bad[i].message);
    }
    assert_int_equal(hg_tensors_check_all_taken(&set, "so", &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "tensor model.embed_tokens.weight", "is not expected: so");
    hg_tensors_close(&set);
}

/* Every F16 but NaN makes the way to F32 and back; the values between two of them are refused. */
static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float value = hg_f16_to_f32((uint16_t)h);
        uint16_t back = 0;
        if ((h & 0x7C00) == 0x7C00) {
            assert_false(hg_f16_from_f32(value, &back));
            continue;
        }
        assert_true(hg_f16_from_f32(value, &back));
        assert_int_equal(back, h);
        assert_false(hg_f16_from_f32(nextafterf(value, INFINITY), &back));
    }
    assert_true(hg_f16_to_f32(0x3C00) == 1.0f && hg_f16_to_f32(0x7BFF) == 65504.0f);
    assert_true(hg_f16_to_f32(0x0001) == 0x1p-24f && hg_f16_to_f32(0xC500) == -5.0f);
    assert_true(hg_bf16_to_f32(0x3FC0) == 1.5f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_file),  cmocka_unit_test(test_refuses_by_name),
        cmocka_unit_test(test_header_length), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_header_flips),  cmocka_unit_test(test_take_aligns),
        cmocka_unit_test(test_take_checks),   cmocka_unit_test(test_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
