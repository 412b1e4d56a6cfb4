/* random_model.c: see random_model.h. */
#include "tests/support/random_model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t random_bits(random_source *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint32_t random_below(random_source *r, uint32_t n)
{
    return (uint32_t)(random_bits(r) % n);
}

float random_unit(random_source *r)
{
    return (float)(int32_t)(random_bits(r) >> 40) / 8388608.0f - 1.0f;
}

uint16_t f16_of(float f)
{
    uint32_t bits, sign;
    memcpy(&bits, &f, sizeof bits);
    sign = bits >> 16 & 0x8000;
    float a = fabsf(f);
    if (a < 0x1p-14f) return (uint16_t)(sign | (uint32_t)lrintf(a * 0x1p24f));
    bits = (bits & 0x7FFFFFFF) + 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112u << 10)));
}

void *random_take(random_owner *o, size_t bytes)
{
    assert(o->blocks < sizeof o->block / sizeof o->block[0]);
    void *p = malloc(bytes);
    assert(p);
    return o->block[o->blocks++] = p;
}

void random_free(random_owner *o)
{
    while (o->blocks) free(o->block[--o->blocks]);
}

hg_matrix random_matrix(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                        hg_dtype type, float spread)
{
    size_t n = (size_t)rows * columns;
    uint16_t *half = random_take(o, n * (type == HG_F32 ? 4 : 2) + 4);
    float *full = (float *)(void *)half;
    for (size_t i = 0; i < n; i++) {
        float v = random_unit(r) * spread;
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        if (type == HG_F32)
            full[i] = v;
        else
            half[i] = type == HG_F16 ? f16_of(v) : (uint16_t)(bits >> 16);
    }
    return (hg_matrix){half, rows, columns, type};
}

hg_linear random_linear(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                        random_form form)
{
    if (!form.bits) {
        hg_matrix m =
            random_matrix(o, r, rows, columns, form.dense_type, 1.7f / sqrtf((float)columns));
        return (hg_linear){.rows = rows, .columns = columns, .dense = m.data, .dense_type = m.type};
    }
    assert(columns % form.group == 0);
    size_t codes = (size_t)rows * columns * form.bits / 8, groups = codes * 8 / form.bits;
    groups /= form.group;
    uint8_t *code = random_take(o, codes);
    uint16_t *scale = random_take(o, groups * 2), *offset = random_take(o, groups * 2);
    uint8_t *zeros = random_take(o, groups);
    for (size_t i = 0; i < codes; i++) code[i] = (uint8_t)random_bits(r);
    float zero = form.bits == 8 ? 128.0f : 8.0f, spread = 1.7f / zero / sqrtf((float)columns);
    for (size_t i = 0; i < groups; i++) {
        float s = spread * (1.0f + 0.5f * random_unit(r));
        scale[i] = f16_of(s);
        offset[i] = f16_of(-s * zero * (1.0f + 0.2f * random_unit(r)));
        zeros[i] = (uint8_t)(zero * (1.0f + 0.5f * random_unit(r)));
    }
    return (hg_linear){.codes = code,
                       .scales = scale,
                       .offsets = form.zero == RANDOM_OFFSETS ? offset : NULL,
                       .zeros = form.zero == RANDOM_ZEROS ? zeros : NULL,
                       .rows = rows,
                       .columns = columns,
                       .group = form.group,
                       .bits = form.bits};
}

hg_matrix random_table(random_owner *o, random_source *r, uint32_t rows, uint32_t columns,
                       random_form form)
{
    hg_linear *linear = random_take(o, sizeof *linear);
    *linear = random_linear(o, r, rows, columns, form);
    return hg_linear_matrix(linear);
}

static float *random_norm(random_owner *o, random_source *r, uint32_t n)
{
    float *w = random_take(o, n * sizeof *w);
    for (uint32_t i = 0; i < n; i++) w[i] = 1.0f + 0.3f * random_unit(r);
    return w;
}

void random_shape_of(const hg_shape *s, uint32_t p, uint32_t *rows, uint32_t *columns)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    uint32_t out[HG_PROJECTIONS] = {q,        kv, kv, s->hidden, s->intermediate, s->intermediate,
                                    s->hidden};
    *rows = out[p];
    *columns = p == HG_O ? q : p == HG_DOWN ? s->intermediate : s->hidden;
}

random_model *random_model_new(uint64_t seed, const hg_shape *shape, const random_form *form,
                               hg_dtype head)
{
    random_source r = {seed};
    random_model *m = calloc(1, sizeof *m);
    assert(m);
    random_owner *o = &m->owner;
    hg_layer *layer = random_take(o, shape->layers * sizeof *layer);
    for (uint32_t l = 0; l < shape->layers; l++) {
        layer[l].attention_norm = random_norm(o, &r, shape->hidden);
        layer[l].mlp_norm = random_norm(o, &r, shape->hidden);
        for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
            uint32_t rows, columns;
            random_shape_of(shape, p, &rows, &columns);
            layer[l].linear[p] = random_linear(o, &r, rows, columns, form[p]);
        }
    }
    float *frequency = random_take(o, shape->head_dim / 2 * sizeof *frequency);
    for (uint32_t i = 0; i < shape->head_dim / 2; i++)
        frequency[i] = powf(10000.0f, -2.0f * (float)i / (float)shape->head_dim);
    m->weights = (hg_weights){
        .shape = *shape,
        .rope_frequency = frequency,
        .embedding = random_matrix(o, &r, shape->vocabulary, shape->hidden, head, 1.7f),
        .head = random_matrix(o, &r, shape->vocabulary, shape->hidden, head, 0.2f),
        .final_norm = random_norm(o, &r, shape->hidden),
        .layer = layer,
    };
    return m;
}

void random_model_free(random_model *m)
{
    random_free(&m->owner);
    free(m);
}

random_adapter *random_adapter_new(uint64_t seed, const hg_shape *shape, uint32_t rank,
                                   hg_dtype type)
{
    random_source r = {seed};
    random_adapter *a = calloc(1, sizeof *a);
    assert(a);
    hg_lora_layer *layer = random_take(&a->owner, shape->layers * sizeof *layer);
    memset(layer, 0, shape->layers * sizeof *layer);
    for (uint32_t i = 0; i < shape->layers * HG_PROJECTIONS; i++) {
        uint32_t p = i % HG_PROJECTIONS, rows, columns, n = rank ? rank : random_below(&r, 65);
        if (!n) continue;
        random_shape_of(shape, p, &rows, &columns);
        layer[i / HG_PROJECTIONS].pair[p] = (hg_lora){
            .a = random_matrix(&a->owner, &r, n, columns, type, 1.7f / sqrtf((float)columns)),
            .b = random_matrix(&a->owner, &r, rows, n, type, 1.7f / sqrtf((float)n)),
            .scale = 0.3f,
            .rank = n};
        a->weights.bytes += (size_t)n * (rows + columns) * (type == HG_F32 ? 4 : 2);
        if (n > a->weights.rank_max) a->weights.rank_max = n;
    }
    a->weights.layer = layer;
    a->weights.layers = shape->layers;
    return a;
}

void random_adapter_free(random_adapter *a)
{
    random_free(&a->owner);
    free(a);
}
