/* amx.c: the family for AMX-INT8, on processors that have AVX-512 VNNI too.
 *
 * Many rows go through tiles. One instruction multiplies a group of columns of 16 activation rows
 * by the same columns of 16 output rows, whose codes stand in packed order already (4 bits are
 * unpacked to bytes first), into 16 x 16 exact 32-bit sums. These are scaled and added up in F32
 * just as int8_blocks.h does it, group by group in the same order: no bit of a result shows which
 * way it went. Activations must be turned for that, from quads of a tile's rows to each row's own
 * columns, which pays from some output rows on; few rows, and few output rows, go the way of
 * avx512vnni.
 *
 * The tiles' configuration is a thread's own and is set for each product and given back after it.
 * Compiled with the instruction set's flags, run only where runs_here says so.
 */
#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/cpu/int8_avx512.h"
#include "kernels/cpu/int8_family.h"

#define LEAST_ROWS   16 /* of a product that goes through tiles */
#define LEAST_BLOCKS 4
#define TILE_ROWS    16
#define STRIP        (2 * TILE_ROWS) /* activation rows that share a load of the codes */
#define SPAN         32              /* groups that are turned and unpacked at a time */
#define GROUP_MOST   32
#define SHARE_MOST   8
#define PIECE        16 /* blocks that a turned strip serves */

/* What a thread works on, on its stack: some 90 KB, which the second cache holds. */
typedef struct strip {
    _Alignas(64) float out[PIECE][STRIP][HG_BLOCK]; /* sums over the groups so far */
    int32_t sum[SHARE_MOST][STRIP][HG_BLOCK];       /* of the groups of one scale */
    uint8_t codes[SPAN * GROUP_MOST * HG_BLOCK];    /* [groups, group / 4, 16, 4] of one block */
    int8_t q[SPAN * STRIP * GROUP_MOST];            /* [groups, STRIP, group] */
    float scale[SPAN][STRIP];
    int32_t zero[SPAN][STRIP]; /* what the codes' zero adds to a sum */
    const hg_product *product;
    uint32_t row, rows;     /* of the product */
    uint32_t block, blocks; /* of w */
    uint32_t group, groups; /* of w */
} strip;

/* What ldtilecfg reads. */
typedef struct tile_shapes {
    _Alignas(64) uint8_t palette;
    uint8_t start, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* The compiler does not know that the tiles' instructions read memory. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

/* Tiles 0, 1: sums; 2, 3: activations; 4: codes. */
static void set_shapes(uint32_t group)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 4; i++) {
        shapes.rows[i] = TILE_ROWS;
        shapes.row_bytes[i] = i < 2 ? HG_BLOCK * sizeof(int32_t) : (uint16_t)group;
    }
    shapes.rows[4] = (uint8_t)(group / 4);
    shapes.row_bytes[4] = HG_BLOCK * 4;
    WRITTEN();
    _tile_loadconfig(&shapes);
}

/* The strip's activations: each row's columns together. Rows that fill up a tile are zero. */
static void turn_rows(strip *s)
{
    const hg_packed *w = s->product->w;
    for (uint32_t r = 0; r < s->rows; r++) {
        uint32_t row = s->row + r, sub = row % HG_TILE;
        const int8_t *q = hg_tiles_q(s->product->x, row) + (size_t)s->group * w->group * HG_TILE;
        const hg_tile_group *x = hg_tiles_group(s->product->x, row) + s->group;
        for (uint32_t g = 0; g < s->groups; g++, x++) {
            int8_t *to = s->q + ((size_t)g * STRIP + r) * w->group;
            for (uint32_t c = 0; c < w->group; c += 4, q += 4 * HG_TILE) memcpy(to + c, q, 4);
            s->scale[g][r] = x->scale[sub];
            s->zero[g][r] = w->bits == 4 ? x->minus8[sub] : 16 * x->minus8[sub];
        }
    }
    uint32_t end = (s->rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    for (uint32_t g = 0; g < s->groups; g++)
        memset(s->q + ((size_t)g * STRIP + s->rows) * w->group, 0,
               (size_t)(end - s->rows) * w->group);
}

/* A block's codes of the strip's groups, a byte each. */
static const uint8_t *unpacked(strip *s, uint32_t block)
{
    const hg_packed *w = s->product->w;
    const size_t group_bytes = (size_t)w->group * 2 * w->bits;
    const uint8_t *codes = w->codes + ((size_t)block * w->groups + s->group) * group_bytes;
    if (w->bits == 8) return codes;
    const __m512i nibble = _mm512_set1_epi8(15);
    uint8_t *to = s->codes;
    for (const uint8_t *end = codes + s->groups * group_bytes; codes < end;
         codes += 64, to += 128) {
        __m512i both = _mm512_loadu_si512(codes);
        _mm512_storeu_si512(to, _mm512_and_si512(both, nibble));
        _mm512_storeu_si512(to + 64, _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble));
    }
    return s->codes;
}

/* sum[rows of the strip][16] = one group's activations times one group of a block's codes. */
static void multiply_group(const strip *s, uint32_t g, const uint8_t *codes,
                           int32_t sum[STRIP][HG_BLOCK])
{
    const uint32_t group = s->product->w->group;
    const int8_t *q = s->q + (size_t)g * STRIP * group;
    _tile_loadd(4, codes, HG_BLOCK * 4);
    _tile_zero(0);
    _tile_loadd(2, q, group);
    _tile_dpbsud(0, 2, 4);
    _tile_stored(0, sum, HG_BLOCK * 4);
    if (s->rows <= TILE_ROWS) return;
    _tile_zero(1);
    _tile_loadd(3, q + TILE_ROWS * group, group);
    _tile_dpbsud(1, 3, 4);
    _tile_stored(1, sum + TILE_ROWS, HG_BLOCK * 4);
}

/* One block over the strip's groups. */
static void multiply_span(strip *s, uint32_t block)
{
    const hg_packed *w = s->product->w;
    const size_t bytes = (size_t)w->group * HG_BLOCK;
    const uint8_t *codes = unpacked(s, block);
    size_t cell = ((size_t)block * w->groups + s->group) / w->share;
    WRITTEN();
    for (uint32_t g = 0; g < s->groups; g += w->share, cell++) {
        for (uint32_t i = 0; i < w->share; i++)
            multiply_group(s, g + i, codes + (g + i) * bytes, s->sum[i]);
        __m512 scale = v16_load_half(w->scales + cell * HG_BLOCK);
        for (uint32_t r = 0; r < s->rows; r++) {
            __m512 scaled = _mm512_setzero_ps();
            for (uint32_t i = 0; i < w->share; i++) {
                __m512i zero = _mm512_set1_epi32(s->zero[g + i][r]);
                __m512i sum = _mm512_add_epi32(_mm512_loadu_si512(s->sum[i][r]), zero);
                __m512 factor = _mm512_set1_ps(s->scale[g + i][r]);
                scaled = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, scaled);
            }
            float *out = s->out[block - s->block][r];
            _mm512_storeu_ps(out, _mm512_fmadd_ps(scaled, scale, _mm512_loadu_ps(out)));
        }
    }
}

/* The strip's sums to y, with what offsets add. */
static void put_out(const strip *s)
{
    const hg_product *p = s->product;
    const hg_packed *w = p->w;
    for (uint32_t b = s->block; b < s->block + s->blocks; b++) {
        for (uint32_t r = 0; r < s->rows; r++) {
            uint32_t row = s->row + r;
            float *y = p->y + row * p->y_stride + (size_t)(b - p->block) * HG_BLOCK;
            __m512 out = _mm512_loadu_ps(s->out[b - s->block][r]);
            if (w->offsets)
                add_offsets(w, (size_t)b * (w->groups / w->share), hg_tiles_group(p->x, row),
                            row % HG_TILE, &out, 1);
            if (p->add) out = _mm512_add_ps(_mm512_loadu_ps(y), out);
            _mm512_storeu_ps(y, out);
        }
    }
}

static void multiply_strip(strip *s)
{
    const uint32_t groups = s->product->w->groups;
    memset(s->out, 0, s->blocks * sizeof s->out[0]);
    for (s->group = 0; s->group < groups; s->group += SPAN) {
        s->groups = SPAN < groups - s->group ? SPAN : groups - s->group;
        turn_rows(s);
        for (uint32_t b = s->block; b < s->block + s->blocks; b++) multiply_span(s, b);
    }
    put_out(s);
}

static void tile_linear(const hg_product *p)
{
    if (p->rows < LEAST_ROWS || p->blocks < LEAST_BLOCKS) {
        hg_ops_avx512vnni.linear(p);
        return;
    }
    static_assert(SPAN % SHARE_MOST == 0, "no scale's groups are cut");
    assert(p->w->group <= GROUP_MOST && p->w->share <= SHARE_MOST);
    strip s;
    s.product = p;
    uint32_t end = p->block + p->blocks;
    set_shapes(p->w->group);
    for (s.block = p->block; s.block < end; s.block += PIECE) {
        s.blocks = PIECE < end - s.block ? PIECE : end - s.block;
        for (s.row = 0; s.row < p->rows; s.row += STRIP) {
            s.rows = STRIP < p->rows - s.row ? STRIP : p->rows - s.row;
            multiply_strip(&s);
        }
    }
    _tile_release();
}

/* The processor has tiles and the system keeps them for this process, which it must be asked for
 * (ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA). */
static bool runs_here(void)
{
    unsigned a = 0, b, c = 0, d = 0;
    if (!runs_avx512()) return false;
    if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c >> 27 & 1)) return false; /* OSXSAVE */
    if ((_xgetbv(0) >> 17 & 3) != 3) return false; /* XTILECFG and XTILEDATA are saved */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 24 & 3) != 3) return false;
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

HG_INT8_FAMILY(amx, tile_linear);

#endif
