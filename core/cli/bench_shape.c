/* bench_shape.c: random models and adapters of a given shape, for timing only: the values have the
 * spreads of trained ones, so that nothing overflows, and mean nothing.
 *
 * A model keeps one layer's codes for all its layers and one table for embedding and head, so that
 * the source of a model of 8 billion parameters takes some 400 MB beside what the device packs.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/bench_shape.h"

#define GROUP     128
#define MAX_PARTS 64

/* What a shape owns: a list of blocks, freed at once. */
typedef struct owner {
    void *part[MAX_PARTS];
    size_t parts;
    bool failed; /* no memory: told at the end */
    uint64_t random;
} owner;

struct hg_shaped {
    owner owner;
    hg_weights weights;
    hg_linear table;
};

struct hg_shaped_adapter {
    owner owner;
    hg_lora_weights weights;
};

/* Names as --shape has them. */
static const struct {
    const char *name;
    hg_shape shape;
} shapes[] = {
    {"tiny", {24576, 384, 1024, 8, 6, 2, 64, 512, 1e-5f}},
    {"135m", {49152, 576, 1536, 30, 9, 3, 64, 2048, 1e-5f}},
    {"1b", {128256, 2048, 8192, 16, 32, 8, 64, 8192, 1e-5f}},
    {"8b", {128256, 4096, 14336, 32, 32, 8, 128, 8192, 1e-5f}},
};

static void *take(owner *o, size_t bytes)
{
    void *part = o->parts < MAX_PARTS ? calloc(1, bytes) : NULL;
    if (part)
        o->part[o->parts++] = part;
    else
        o->failed = true;
    return part;
}

static void drop(owner *o)
{
    while (o->parts) free(o->part[--o->parts]);
}

/* xorshift64 */
static uint64_t random_bits(owner *o)
{
    o->random ^= o->random << 13;
    o->random ^= o->random >> 7;
    return o->random ^= o->random << 17;
}

static uint8_t *random_bytes(owner *o, size_t bytes)
{
    uint64_t *word = take(o, bytes + sizeof *word);
    for (size_t i = 0; word && i <= bytes / sizeof *word; i++) word[i] = random_bits(o);
    return (uint8_t *)word;
}

/* F16 values of magnitudes from 2^power to twice that. */
static uint16_t *random_halves(owner *o, size_t count, int power, bool negative)
{
    uint16_t *half = (uint16_t *)(void *)random_bytes(o, count * sizeof *half);
    uint16_t keep = negative ? 0x83FF : 0x03FF, exponent = (uint16_t)((15 + power) << 10);
    for (size_t i = 0; half && i < count; i++) half[i] = (uint16_t)((half[i] & keep) | exponent);
    return half;
}

/* A power of two near what keeps a sum over columns near one. */
static int spread_of(uint32_t columns)
{
    return -(int)lrint(log2((double)columns) / 2);
}

static hg_linear linear_of(uint32_t rows, uint32_t columns)
{
    uint16_t group = columns % GROUP ? 32 : GROUP;
    return (hg_linear){.rows = rows, .columns = columns, .group = group, .bits = 4};
}

static hg_linear random_linear(owner *o, uint32_t rows, uint32_t columns)
{
    hg_linear w = linear_of(rows, columns);
    size_t cells = (size_t)rows * columns;
    w.codes = random_bytes(o, cells / 2);
    w.scales = random_halves(o, cells / w.group, spread_of(columns) - 3, false);
    return w;
}

static const float *ones(owner *o, uint32_t count)
{
    float *one = take(o, count * sizeof *one);
    for (uint32_t i = 0; one && i < count; i++) one[i] = 1;
    return one;
}

static void size_of(const hg_shape *s, uint32_t projection, uint32_t *rows, uint32_t *columns)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const uint32_t out[HG_PROJECTIONS] = {
        q, kv, kv, s->hidden, s->intermediate, s->intermediate, s->hidden};
    *rows = out[projection];
    *columns = projection == HG_O ? q : projection == HG_DOWN ? s->intermediate : s->hidden;
}

static void fill_model(hg_shaped *m, const hg_shape *s)
{
    owner *o = &m->owner;
    hg_layer *layer = take(o, s->layers * sizeof *layer);
    float *frequency = take(o, s->head_dim / 2 * sizeof *frequency);
    hg_layer first = {.attention_norm = ones(o, s->hidden), .mlp_norm = ones(o, s->hidden)};
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t rows, columns;
        size_of(s, p, &rows, &columns);
        first.linear[p] = random_linear(o, rows, columns);
    }
    m->table = random_linear(o, s->vocabulary, s->hidden);
    m->weights = (hg_weights){.shape = *s,
                              .rope_frequency = frequency,
                              .embedding = hg_linear_matrix(&m->table),
                              .head = hg_linear_matrix(&m->table),
                              .final_norm = ones(o, s->hidden),
                              .layer = layer};
    if (o->failed || !layer || !frequency) return;
    for (uint32_t l = 0; l < s->layers; l++) layer[l] = first;
    for (uint32_t i = 0; i < s->head_dim / 2; i++)
        frequency[i] = powf(10000.0f, -2.0f * (float)i / (float)s->head_dim);
}

/* The table as such models have it: not quantised. */
static void fill_sizes(hg_shaped *m, const hg_shape *s)
{
    hg_layer *layer = take(&m->owner, s->layers * sizeof *layer);
    hg_matrix table = {.rows = s->vocabulary, .columns = s->hidden, .type = HG_BF16};
    m->weights = (hg_weights){.shape = *s, .embedding = table, .head = table, .layer = layer};
    for (uint32_t i = 0; layer && i < s->layers * HG_PROJECTIONS; i++) {
        uint32_t rows, columns;
        size_of(s, i % HG_PROJECTIONS, &rows, &columns);
        layer[i / HG_PROJECTIONS].linear[i % HG_PROJECTIONS] = linear_of(rows, columns);
    }
}

static hg_status open_filled(const char *name, void (*fill)(hg_shaped *, const hg_shape *),
                             hg_shaped **out, hg_error *error)
{
    *out = NULL;
    const hg_shape *shape = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) shape = &shapes[i].shape;
    if (!shape) return hg_fail(error, HG_ERROR_ARGUMENT, "--shape: no shape \"%s\"", name);
    hg_shaped *m = calloc(1, sizeof *m);
    if (!m) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    m->owner.random = 0x9E3779B97F4A7C15u;
    fill(m, shape);
    if (m->owner.failed) {
        hg_shaped_close(m);
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for a model of shape %s", name);
    }
    *out = m;
    return HG_OK;
}

hg_status hg_shaped_open(const char *name, hg_shaped **out, hg_error *error)
{
    return open_filled(name, fill_model, out, error);
}

hg_status hg_shaped_open_sizes(const char *name, hg_shaped **out, hg_error *error)
{
    return open_filled(name, fill_sizes, out, error);
}

void hg_shaped_close(hg_shaped *m)
{
    if (!m) return;
    drop(&m->owner);
    free(m);
}

const hg_weights *hg_shaped_weights(const hg_shaped *m)
{
    return &m->weights;
}

/* ---- adapters ---- */

hg_status hg_shaped_adapter_open(const hg_shape *shape, uint32_t rank, hg_shaped_adapter **out,
                                 hg_error *error)
{
    hg_shaped_adapter *a = *out = calloc(1, sizeof *a);
    if (!a) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    owner *o = &a->owner;
    o->random = 0xD1B54A32D192ED03u + rank;
    hg_lora_layer first = {0}, *layer = take(o, shape->layers * sizeof *layer);
    size_t bytes = 0;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t rows, columns;
        size_of(shape, p, &rows, &columns);
        uint16_t *up = random_halves(o, (size_t)rank * columns, spread_of(columns), true);
        uint16_t *down = random_halves(o, (size_t)rows * rank, spread_of(rank), true);
        first.pair[p] = (hg_lora){
            {up, rank, columns, HG_F16}, {down, rows, rank, HG_F16}, .scale = 0.001f, .rank = rank};
        bytes += (size_t)rank * (rows + columns) * 2;
    }
    a->weights = (hg_lora_weights){layer, shape->layers, rank, bytes * shape->layers};
    for (uint32_t l = 0; layer && l < shape->layers; l++) layer[l] = first;
    if (!o->failed) return HG_OK;
    hg_shaped_adapter_close(a);
    *out = NULL;
    return hg_fail(error, HG_ERROR_MEMORY, "no memory for an adapter of rank %u", rank);
}

void hg_shaped_adapter_close(hg_shaped_adapter *a)
{
    if (!a) return;
    drop(&a->owner);
    free(a);
}

const hg_lora_weights *hg_shaped_adapter_weights(const hg_shaped_adapter *a)
{
    return &a->weights;
}
