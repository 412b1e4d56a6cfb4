/* emulated_tiles.h: the tiles of AMX-INT8 for immintrin.h, eight for each thread. What the
 * processor would refuse (shapes that do not go together, no configuration) ends the program.
 */
#ifndef HG_TESTS_EMULATED_TILES_H
#define HG_TESTS_EMULATED_TILES_H

#include <stdlib.h>

typedef struct emulated_tile {
    uint32_t rows, bytes; /* 0: not configured */
    uint8_t byte[16][64];
} emulated_tile;

static _Thread_local emulated_tile emulated_tiles[8];

EMULATED void emulated_tile_must(int holds)
{
    if (!holds) abort();
}

EMULATED emulated_tile *emulated_tile_of(int tile)
{
    emulated_tile_must(tile >= 0 && tile < 8 && emulated_tiles[tile].rows > 0);
    return &emulated_tiles[tile];
}

EMULATED void emulated_tile_release(void)
{
    memset(emulated_tiles, 0, sizeof emulated_tiles);
}

/* Byte 0: palette; 1: where an interrupted load goes on; from 16 on: bytes of a row, as 16-bit
 * words; from 48 on: rows. */
EMULATED void emulated_tile_shapes(const void *from)
{
    uint8_t shapes[64];
    memcpy(shapes, from, sizeof shapes);
    emulated_tile_must(shapes[0] == 1 && shapes[1] == 0);
    for (int i = 2; i < 16; i++) emulated_tile_must(shapes[i] == 0);
    emulated_tile_release();
    for (int i = 0; i < 16; i++) {
        uint32_t bytes = shapes[16 + 2 * i] | (uint32_t)shapes[17 + 2 * i] << 8;
        uint32_t rows = shapes[48 + i];
        emulated_tile_must(rows <= 16 && bytes <= 64 && !rows == !bytes && (i < 8 || !rows));
        if (i >= 8) continue;
        emulated_tiles[i].rows = rows;
        emulated_tiles[i].bytes = bytes;
    }
}

EMULATED void emulated_tile_zero(int tile)
{
    memset(emulated_tile_of(tile)->byte, 0, sizeof emulated_tiles[tile].byte);
}

EMULATED void emulated_tile_load(int tile, const void *from, size_t stride)
{
    emulated_tile *t = emulated_tile_of(tile);
    emulated_tile_zero(tile);
    for (uint32_t r = 0; r < t->rows; r++)
        memcpy(t->byte[r], (const uint8_t *)from + r * stride, t->bytes);
}

EMULATED void emulated_tile_store(int tile, void *to, size_t stride)
{
    emulated_tile *t = emulated_tile_of(tile);
    for (uint32_t r = 0; r < t->rows; r++) memcpy((uint8_t *)to + r * stride, t->byte[r], t->bytes);
}

/* sum[m][n] += a[m][4 k + i] * b[k][4 n + i] over k and i: bytes of a signed, of b unsigned. */
EMULATED void emulated_tile_dpbsud(int sum, int a, int b)
{
    emulated_tile *s = emulated_tile_of(sum), *x = emulated_tile_of(a), *y = emulated_tile_of(b);
    emulated_tile_must(s != x && s != y && x != y && x->bytes % 4 == 0 && s->bytes % 4 == 0);
    emulated_tile_must(s->rows == x->rows && s->bytes == y->bytes && x->bytes / 4 == y->rows);
    for (uint32_t m = 0; m < s->rows; m++) {
        for (uint32_t n = 0; n < s->bytes / 4; n++) {
            int32_t total;
            memcpy(&total, &s->byte[m][4 * n], sizeof total);
            for (uint32_t k = 0; k < x->bytes; k++)
                total += (int8_t)x->byte[m][k] * y->byte[k / 4][4 * n + k % 4];
            memcpy(&s->byte[m][4 * n], &total, sizeof total);
        }
    }
}

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbsud
#define _tile_loadconfig emulated_tile_shapes
#define _tile_release    emulated_tile_release
#define _tile_zero       emulated_tile_zero
#define _tile_loadd      emulated_tile_load
#define _tile_stored     emulated_tile_store
#define _tile_dpbsud     emulated_tile_dpbsud
#define _xgetbv(which)   ~0ull
#define syscall(...)     0 /* tiles are allowed */

#endif
