/* test_convert.c: quantised rows and files of tensors, against the readers and plain arithmetic. */
#include <math.h>

#include "core/convert/quantise.h"
#include "core/convert/tensor_writer.h"
#include "core/model/tensors.h"
#include "kernels/cpu/convert.h"
#include "tests/support/random_model.h"
#include "tests/unit/model_fixture.h"

/* Round-to-nearest by the largest magnitude, as the plainest quantiser does it. */
static double plain_error(const float *w, uint32_t group, int most)
{
    float peak = 0;
    double error = 0;
    for (uint32_t i = 0; i < group; i++) peak = fabsf(w[i]) > peak ? fabsf(w[i]) : peak;
    float scale = hg_f32_of_f16(hg_f16_nearest(peak / (float)most));
    for (uint32_t i = 0; i < group && scale > 0; i++) {
        float q = rintf(w[i] / scale);
        q = q > (float)most ? (float)most : q;
        double d = (double)w[i] - (double)q * (double)scale;
        error += d * d;
    }
    return error;
}

/* What the codes mean is what back says, and each group is at least as good as the plain way. */
static void check_row(uint32_t columns, uint16_t group, uint8_t bits, float spread)
{
    float row[512], back[512], read[512];
    uint8_t codes[512];
    uint16_t scales[32];
    random_source r = {columns + group};
    for (uint32_t i = 0; i < columns; i++) row[i] = random_unit(&r) * spread;
    const hg_quantise_job job = {.columns = columns, .group = group, .bits = bits};
    hg_quantise_row(&job, row, codes, scales, back);
    const hg_linear linear = {.codes = codes,
                              .scales = scales,
                              .rows = 1,
                              .columns = columns,
                              .group = group,
                              .bits = bits};
    hg_linear_read(&linear, 0, 0, columns, read);
    for (uint32_t g = 0; g < columns / group; g++) {
        double error = 0;
        for (uint32_t i = g * group; i < (g + 1u) * group; i++) {
            assert_float_equal(read[i], back[i], 0);
            error += ((double)row[i] - (double)back[i]) * ((double)row[i] - (double)back[i]);
        }
        double plain = plain_error(row + (size_t)g * group, group, bits == 4 ? 7 : 127);
        if (error > plain * 1.0001) fail_msg("group %u: %g above %g", g, error, plain);
    }
}

static void test_error_is_at_most_round_to_nearests(void **state)
{
    (void)state;
    for (uint32_t bits = 4; bits <= 8; bits += 4) {
        check_row(384, 128, (uint8_t)bits, 0.1f);
        check_row(96, 32, (uint8_t)bits, 3);
        check_row(320, 64, (uint8_t)bits, 0.02f);
        check_row(16, 16, (uint8_t)bits, 1);
    }
}

static void test_zeros_stay_zeros(void **state)
{
    (void)state;
    const float row[32] = {0};
    float back[32];
    uint8_t codes[16];
    uint16_t scale;
    const hg_quantise_job job = {.columns = 32, .group = 32, .bits = 4};
    hg_quantise_row(&job, row, codes, &scale, back);
    for (int i = 0; i < 32; i++) assert_true(back[i] == 0);
    for (int i = 0; i < 16; i++) assert_int_equal(codes[i], 0x88);
}

static void write_three(const char *folder, uint64_t shard_bytes)
{
    const hg_planned_tensor tensor[] = {
        {.name = "a", .type = HG_TENSOR_F32, .dimensions = 2, .shape = {2, 3}},
        {.name = "b", .type = HG_TENSOR_I64, .dimensions = 1, .shape = {2}},
        {.name = "c", .type = HG_TENSOR_F16, .dimensions = 1, .shape = {5}}};
    const char bytes[24] = "abcdefghijklmnopqrstuvw";
    hg_tensor_writer *writer;
    hg_error error = {0};
    assert_int_equal(hg_tensor_writer_open((hg_writer_place){folder, "model", shard_bytes}, tensor,
                                           3, &writer, &error),
                     HG_OK);
    assert_int_equal(hg_tensor_writer_put(writer, bytes, 10, &error), HG_OK);
    assert_int_equal(hg_tensor_writer_put(writer, bytes + 10, 14, &error), HG_OK);
    assert_int_equal(hg_tensor_writer_put(writer, bytes, 16, &error), HG_OK);
    assert_int_equal(hg_tensor_writer_put(writer, bytes, 10, &error), HG_OK);
    assert_int_equal(hg_tensor_writer_finish(writer, &error), HG_OK);
    hg_tensor_writer_close(writer);
}

static void test_files_are_read_back(void **state)
{
    (void)state;
    for (uint64_t shard = 0; shard <= 30; shard += 30) {
        char folder[64];
        hg_tensors set;
        hg_tensor got;
        hg_error error = {0};
        folder_new(folder);
        write_three(folder, shard);
        assert_int_equal(hg_tensors_open_model(folder, &set, &error), HG_OK);
        assert_int_equal(set.files, shard ? 2 : 1);
        const hg_tensor_want want = {.name = "a",
                                     .types = HG_TENSOR_BIT(F32),
                                     .dimensions = 2,
                                     .shape = {2, 3},
                                     .because = "the test"};
        assert_int_equal(hg_tensors_take(&set, &want, &got, &error), HG_OK);
        assert_memory_equal(got.data, "abcdefghijklmnopqrstuvw", 24);
        hg_tensors_close(&set);
        folder_remove(folder);
    }
}

static void test_an_unfinished_file_goes(void **state)
{
    (void)state;
    char folder[64];
    const hg_planned_tensor tensor = {
        .name = "a", .type = HG_TENSOR_F32, .dimensions = 1, .shape = {4}};
    hg_tensor_writer *writer;
    hg_error error = {0};
    folder_new(folder);
    assert_int_equal(
        hg_tensor_writer_open((hg_writer_place){folder, "model", 0}, &tensor, 1, &writer, &error),
        HG_OK);
    hg_tensor_writer_close(writer);
    assert_int_equal(rmdir(folder), 0); /* empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_at_most_round_to_nearests),
        cmocka_unit_test(test_zeros_stay_zeros),
        cmocka_unit_test(test_files_are_read_back),
        cmocka_unit_test(test_an_unfinished_file_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
