/* gguf_blocks.c: a block taken apart, its scales and its codes each by the type, codes in the order
 * of the row; packing nibbles and adding up what rounding cost is common to all. */
#include "core/model/gguf_blocks.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/model/half.h"

enum { BLOCK_MOST = 256, GROUPS_MOST = 16 };

/* A block taken apart: w = (code - middle) * scale + offset, before scales are rounded. */
typedef struct block {
    uint8_t code[BLOCK_MOST];
    float scale[GROUPS_MOST], offset[GROUPS_MOST];
} block;

static const hg_gguf_type types[] = {
    {.name = "F32", .number = 0, .block = 1, .bytes = 4, .dense = true, .floats = HG_F32},
    {.name = "F16", .number = 1, .block = 1, .bytes = 2, .dense = true, .floats = HG_F16},
    {.name = "Q4_0", .number = 2, .block = 32, .bytes = 18, .bits = 4, .group = 32},
    {.name = "Q4_1",
     .number = 3,
     .block = 32,
     .bytes = 20,
     .bits = 4,
     .group = 32,
     .offsets = true},
    {.name = "Q5_0", .number = 6, .block = 32, .bytes = 22},
    {.name = "Q5_1", .number = 7, .block = 32, .bytes = 24},
    {.name = "Q8_0", .number = 8, .block = 32, .bytes = 34, .bits = 8, .group = 32},
    {.name = "Q8_1", .number = 9, .block = 32, .bytes = 36},
    {.name = "Q2_K", .number = 10, .block = 256, .bytes = 84},
    {.name = "Q3_K", .number = 11, .block = 256, .bytes = 110},
    {.name = "Q4_K",
     .number = 12,
     .block = 256,
     .bytes = 144,
     .bits = 4,
     .group = 32,
     .offsets = true,
     .rounded = true},
    {.name = "Q5_K", .number = 13, .block = 256, .bytes = 176},
    {.name = "Q6_K",
     .number = 14,
     .block = 256,
     .bytes = 210,
     .bits = 8,
     .group = 16,
     .rounded = true},
    {.name = "Q8_K", .number = 15, .block = 256, .bytes = 292},
    {.name = "IQ2_XXS", .number = 16, .block = 256, .bytes = 66},
    {.name = "IQ2_XS", .number = 17, .block = 256, .bytes = 74},
    {.name = "IQ3_XXS", .number = 18, .block = 256, .bytes = 98},
    {.name = "IQ1_S", .number = 19, .block = 256, .bytes = 50},
    {.name = "IQ4_NL", .number = 20, .block = 32, .bytes = 18},
    {.name = "IQ3_S", .number = 21, .block = 256, .bytes = 110},
    {.name = "IQ2_S", .number = 22, .block = 256, .bytes = 82},
    {.name = "IQ4_XS", .number = 23, .block = 256, .bytes = 136},
    {.name = "I8", .number = 24, .block = 1, .bytes = 1},
    {.name = "I16", .number = 25, .block = 1, .bytes = 2},
    {.name = "I32", .number = 26, .block = 1, .bytes = 4},
    {.name = "I64", .number = 27, .block = 1, .bytes = 8},
    {.name = "F64", .number = 28, .block = 1, .bytes = 8},
    {.name = "IQ1_M", .number = 29, .block = 256, .bytes = 56},
    {.name = "BF16", .number = 30, .block = 1, .bytes = 2, .dense = true, .floats = HG_BF16},
    {.name = "TQ1_0", .number = 34, .block = 256, .bytes = 54},
    {.name = "TQ2_0", .number = 35, .block = 256, .bytes = 66},
    {.name = "MXFP4", .number = 39, .block = 32, .bytes = 17},
};

const hg_gguf_type *hg_gguf_type_find(uint32_t number)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number) return &types[i];
    return NULL;
}

static float half_at(const uint8_t *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    return hg_f16_to_f32(half);
}

/* Half of the codes stand in low nibbles, the other half in the high ones. */
static void split_nibbles(const uint8_t *from, uint32_t count, uint8_t *code)
{
    for (uint32_t i = 0; i < count; i++) {
        code[i] = from[i] & 15;
        code[i + count] = from[i] >> 4;
    }
}

/* Scales of 12 bytes, eight of 6 bits, and as many offsets: four bytes hold scales 0 to 3 and four
 * offsets 0 to 3, each with two bits of its partner four further on above; the last four hold the
 * low nibbles of scales and offsets 4 to 7. */
static void take_q4_k_scales(const uint8_t *from, block *to)
{
    const float scale = half_at(from), offset = half_at(from + 2);
    const uint8_t *small = from + 4;
    for (int g = 0; g < 8; g++) {
        int s = small[g % 4] & 63, m = small[4 + g % 4] & 63;
        if (g >= 4) {
            s = (small[4 + g] & 15) | small[g - 4] >> 6 << 4;
            m = small[4 + g] >> 4 | small[g] >> 6 << 4;
        }
        to->scale[g] = scale * (float)s;
        to->offset[g] = -offset * (float)m;
    }
}

/* Scales and offsets of a block. Blocks of 32 begin with an F16 scale, Q4_1 has an F16 offset next;
 * Q4_K begins with an F16 scale of scales, one of offsets and the 12 bytes; Q6_K ends with 16
 * signed scales and an F16 scale of them. */
static void take_scales(const hg_gguf_type *type, const uint8_t *from, block *to)
{
    switch (type->number) {
    case 12: take_q4_k_scales(from, to); break;
    case 14:
        for (int g = 0; g < 16; g++)
            to->scale[g] = half_at(from + 208) * (float)(int8_t)from[192 + g];
        break;
    default:
        to->scale[0] = half_at(from);
        if (type->offsets) to->offset[0] = half_at(from + 2);
    }
}

/* 128 bytes of low nibbles, 64 bytes of high pairs. Each half of the block has 64 and 32 of the
 * bytes: its quarter q of 32 codes takes nibble q / 2 of bytes 32 * (q % 2) on, and pair q of all
 * 32. The middle of a code is 32. */
static void take_q6_k_codes(const uint8_t *from, uint8_t *code)
{
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, quarter = i / 32 % 4, at = i % 32;
        int low = from[64 * half + 32 * (quarter % 2) + at] >> 4 * (quarter / 2) & 15;
        int high = from[128 + 32 * half + at] >> 2 * quarter & 3;
        code[i] = (uint8_t)(128 - 32 + (low | high << 4));
    }
}

/* Codes of a block: of Q4_0 and Q4_1 32 nibbles, whose middle without offsets is 8, as it is the
 * device's; of Q8_0 32 signed bytes; of Q4_K 256 nibbles, the low ones of 32 bytes a group, their
 * high ones the next. */
static void take_codes(const hg_gguf_type *type, const uint8_t *from, uint8_t *code)
{
    switch (type->number) {
    case 2: split_nibbles(from + 2, 16, code); break;
    case 3: split_nibbles(from + 4, 16, code); break;
    case 8:
        for (int i = 0; i < 32; i++) code[i] = from[2 + i] ^ 0x80;
        break;
    case 12:
        for (int pair = 0; pair < 4; pair++)
            split_nibbles(from + 16 + 32 * pair, 32, code + 64 * pair);
        break;
    default: assert(type->number == 14); take_q6_k_codes(from, code);
    }
}

/* What the device will compute against what the file means. */
static void add_loss(const hg_gguf_type *type, const block *b, hg_block_row to, hg_block_loss *loss)
{
    const int middle = type->offsets ? 0 : 1 << (type->bits - 1);
    for (uint32_t g = 0; g < type->block / type->group; g++) {
        const uint8_t *code = b->code + g * type->group;
        const float scale = hg_f16_to_f32(to.scales[g]) - b->scale[g];
        const float offset = type->offsets ? hg_f16_to_f32(to.offsets[g]) - b->offset[g] : 0;
        float error = 0, norm = 0;
        for (uint32_t i = 0; i < type->group; i++) {
            const float c = (float)(code[i] - middle), w = c * b->scale[g] + b->offset[g];
            const float e = c * scale + offset;
            error += e * e;
            norm += w * w;
        }
        loss->error += (double)error;
        loss->norm += (double)norm;
    }
}

/* One block into the row; false when F16 cannot hold one of its numbers. */
static bool order_block(const hg_gguf_type *type, const block *b, hg_block_row to)
{
    bool fine = true;
    for (uint32_t g = 0; g < type->block / type->group; g++) {
        fine = hg_f16_round(b->scale[g], &to.scales[g]) && fine;
        if (type->offsets) fine = hg_f16_round(b->offset[g], &to.offsets[g]) && fine;
    }
    if (type->bits == 8)
        memcpy(to.codes, b->code, type->block);
    else
        for (uint32_t i = 0; i < type->block / 2u; i++)
            to.codes[i] = (uint8_t)(b->code[2 * i] | b->code[2 * i + 1] << 4);
    return fine;
}

bool hg_block_row_check(const hg_gguf_type *type, const uint8_t *from, uint32_t columns)
{
    block b = {0};
    bool fine = true;
    assert(type->bits && columns % type->block == 0);
    for (uint32_t at = 0; at < columns; at += type->block, from += type->bytes) {
        uint16_t half;
        take_scales(type, from, &b);
        for (uint32_t g = 0; g < type->block / type->group; g++) {
            fine = hg_f16_round(b.scale[g], &half) && fine;
            if (type->offsets) fine = hg_f16_round(b.offset[g], &half) && fine;
        }
    }
    return fine;
}

bool hg_block_row_order(const hg_gguf_type *type, const uint8_t *from, uint32_t columns,
                        hg_block_row to, hg_block_loss *loss)
{
    block b = {0};
    bool fine = true;
    assert(type->bits && columns % type->block == 0 && !type->offsets == !to.offsets);
    for (uint32_t at = 0; at < columns; at += type->block, from += type->bytes) {
        take_scales(type, from, &b);
        take_codes(type, from, b.code);
        fine = order_block(type, &b, to) && fine;
        if (loss && type->rounded && fine) add_loss(type, &b, to, loss);
        to.codes += type->block * type->bits / 8;
        to.scales += type->block / type->group;
        if (to.offsets) to.offsets += type->block / type->group;
    }
    return fine;
}
