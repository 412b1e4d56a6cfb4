/* test_tiles.c: the emulated tiles against products that were computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <immintrin.h>

/* Tile 0: sums, 2 x 3; 1: signed, 2 x 8 bytes; 2: unsigned, 2 quads of 3. */
static void set_shapes(void)
{
    uint8_t shapes[64] = {1};
    const uint8_t rows[3] = {2, 2, 2}, bytes[3] = {12, 8, 12};
    for (int i = 0; i < 3; i++) {
        shapes[16 + 2 * i] = bytes[i];
        shapes[48 + i] = rows[i];
    }
    _tile_loadconfig(shapes);
}

static const int8_t a[2][8] = {{1, 2, 3, 4, 5, 6, 7, 8}, {-128, 127, 0, -1, 1, 0, 0, -128}};
static const uint8_t b[2][12] = {{1, 0, 0, 0, 255, 255, 255, 255, 0, 1, 2, 3},
                                 {0, 0, 0, 1, 255, 255, 255, 255, 3, 2, 1, 0}};

/* Row 0: 1 + 8; 255 * 36; 2 + 6 + 12 + 15 + 12 + 7. Row 1: -128 - 128; 255 * (-2 - 127);
 * 127 - 3 + 3. */
static const int32_t product[2][3] = {{9, 9180, 54}, {-256, -32895, 127}};

static void test_product(void **state)
{
    (void)state;
    int32_t sum[2][4]; /* rows at a distance of their own */
    set_shapes();
    _tile_loadd(1, a, 8);
    _tile_loadd(2, b, 12);
    _tile_zero(0);
    for (int32_t times = 1; times <= 2; times++) {
        sum[0][3] = sum[1][3] = 77;
        _tile_dpbsud(0, 1, 2);
        _tile_stored(0, sum, sizeof sum[0]);
        for (int m = 0; m < 2; m++) {
            for (int n = 0; n < 3; n++) assert_int_equal(sum[m][n], times * product[m][n]);
            assert_int_equal(sum[m][3], 77);
        }
    }
    _tile_release();
}

static void test_loads(void **state)
{
    (void)state;
    uint8_t from[40], to[2][8] = {{0}};
    for (int i = 0; i < 40; i++) from[i] = (uint8_t)i;
    set_shapes();
    _tile_loadd(1, from, 30);
    _tile_stored(1, to, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(to[0][i], i);
        assert_int_equal(to[1][i], 30 + i);
    }
    _tile_zero(1);
    _tile_stored(1, to, 8);
    for (int i = 0; i < 16; i++) assert_int_equal(to[i / 8][i % 8], 0);
    _tile_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
