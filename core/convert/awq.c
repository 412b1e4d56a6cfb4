/* awq.c: see awq.h. The search quantises every row for every alpha and multiplies the difference
 * with the sample, a tile of outputs at a time. */
#include "core/convert/awq.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/quantise.h"
#include "kernels/cpu/convert.h"

#define GRID 10 /* alpha = 0, 1/10, ..., 1 */

hg_tap hg_tap_of(hg_projection projection)
{
    static const hg_tap taps[HG_PROJECTIONS] = {
        [HG_Q] = HG_TAP_ATTENTION, [HG_K] = HG_TAP_ATTENTION, [HG_V] = HG_TAP_ATTENTION,
        [HG_O] = HG_TAP_O,         [HG_GATE] = HG_TAP_MLP,    [HG_UP] = HG_TAP_MLP,
        [HG_DOWN] = HG_TAP_DOWN};
    return taps[projection];
}

static uint32_t widest(const hg_shape *s)
{
    uint32_t most = s->hidden > s->intermediate ? s->hidden : s->intermediate;
    uint32_t attention = s->heads * s->head_dim;
    return attention > most ? attention : most;
}

/* Of one thread: a row and its rounded form, a tile of differences, the tile's outputs. */
size_t hg_awq_scratch(const hg_shape *shape)
{
    const size_t columns = widest(shape);
    size_t floats = columns * (2 + HG_TILE_OUTPUTS) + HG_AWQ_SAMPLE * HG_TILE_OUTPUTS;
    return floats > HG_MULTIPLY_SCRATCH ? floats : HG_MULTIPLY_SCRATCH;
}

hg_status hg_awq_open(const hg_shape *s, hg_awq *out, hg_error *error)
{
    *out = (hg_awq){.columns = {[HG_TAP_ATTENTION] = s->hidden,
                                [HG_TAP_O] = s->heads * s->head_dim,
                                [HG_TAP_MLP] = s->hidden,
                                [HG_TAP_DOWN] = s->intermediate}};
    size_t total = 0;
    for (int t = 0; t < HG_TAPS; t++) total += out->columns[t];
    float *at = out->room = calloc(total * (HG_AWQ_SAMPLE + 3), sizeof *at);
    if (!at) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a sample of activations");
    for (int t = 0; t < HG_TAPS; t++) {
        float **const part[] = {&out->mean[t], &out->importance[t], &out->scale[t]};
        for (int i = 0; i < 3; i++, at += out->columns[t]) *part[i] = at;
        out->sample[t] = at;
        at += (size_t)out->columns[t] * HG_AWQ_SAMPLE;
    }
    return HG_OK;
}

void hg_awq_close(hg_awq *awq)
{
    free(awq->room);
    *awq = (hg_awq){0};
}

void hg_awq_see(void *context, hg_tap tap, const float *x, uint32_t rows, uint32_t columns)
{
    hg_awq *awq = context;
    float *mean = awq->mean[tap], *square = awq->importance[tap];
    assert(columns == awq->columns[tap] && rows > 0);
    memset(mean, 0, columns * sizeof *mean);
    memset(square, 0, columns * sizeof *square);
    for (uint32_t r = 0; r < rows; r++) {
        const float *row = x + (size_t)r * columns;
        for (uint32_t c = 0; c < columns; c++) {
            mean[c] += fabsf(row[c]) / (float)rows;
            square[c] += row[c] * row[c] / (float)rows;
        }
    }
    awq->samples = rows < HG_AWQ_SAMPLE ? rows : HG_AWQ_SAMPLE;
    for (uint32_t i = 0; i < awq->samples; i++) {
        uint32_t r = (uint32_t)((uint64_t)rows * i / awq->samples);
        memcpy(awq->sample[tap] + (size_t)i * columns, x + (size_t)r * columns,
               columns * sizeof *x);
    }
}

/* ---- the search ---- */

typedef struct trial {
    const hg_shape *shape;
    const hg_layer *layer;
    hg_pool *pool;
    const hg_linear *linear;
    hg_quantise_job job;
    const float *scale;  /* [columns] */
    const float *sample; /* [samples, columns] */
    uint32_t samples;
    double *error; /* [tiles of 16 outputs] */
} trial;

/* The squared change of 16 outputs over the sample: x (W' / s - W)^T. */
static double try_tile(const trial *t, uint32_t first, float *scratch)
{
    const uint32_t columns = t->job.columns, left = t->linear->rows - first;
    const uint32_t outputs = left < HG_TILE_OUTPUTS ? left : HG_TILE_OUTPUTS;
    float *row = scratch, *back = row + columns, *tile = back + columns;
    float *y = tile + (size_t)columns * HG_TILE_OUTPUTS;
    memset(tile, 0, sizeof *tile * columns * HG_TILE_OUTPUTS);
    memset(y, 0, sizeof *y * t->samples * HG_TILE_OUTPUTS);
    for (uint32_t o = 0; o < outputs; o++) {
        hg_linear_read(t->linear, first + o, 0, columns, row);
        for (uint32_t c = 0; c < columns; c++) row[c] *= t->scale[c];
        hg_quantise_row(&t->job, row, NULL, NULL, back);
        for (uint32_t c = 0; c < columns; c++)
            tile[(size_t)c * HG_TILE_OUTPUTS + o] = (back[c] - row[c]) / t->scale[c];
    }
    hg_tile_multiply(&(hg_tile){.tile = tile,
                                .x = t->sample,
                                .y = y,
                                .inputs = columns,
                                .count = t->samples,
                                .x_stride = columns,
                                .y_stride = HG_TILE_OUTPUTS});
    double sum = 0;
    for (uint32_t i = 0; i < t->samples * HG_TILE_OUTPUTS; i++) sum += (double)y[i] * (double)y[i];
    return sum;
}

static void try_tiles(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const trial *t = context;
    for (uint32_t i = first; i < first + count; i++)
        t->error[i] = try_tile(t, i * HG_TILE_OUTPUTS, scratch);
}

/* s = mean^alpha, centred: sqrt(largest * smallest) becomes 1. shared: the factors of o that belong
 * to one value head are one (their means' mean). */
static void make_scale(const hg_awq *awq, hg_tap tap, float alpha, const hg_shape *s, float *out)
{
    const uint32_t n = awq->columns[tap], d = s->head_dim, share = s->heads / s->kv_heads;
    float least = INFINITY, most = 0;
    for (uint32_t c = 0; c < n; c++) {
        float mean = awq->mean[tap][c];
        if (tap == HG_TAP_O) {
            const uint32_t first = c / d / share * share;
            mean = 0;
            for (uint32_t h = first; h < first + share; h++)
                mean += awq->mean[tap][h * d + c % d] / (float)share;
        }
        out[c] = fmaxf(powf(mean, alpha), 1e-4f);
        least = fminf(least, out[c]);
        most = fmaxf(most, out[c]);
    }
    const float middle = sqrtf(least * most);
    for (uint32_t c = 0; c < n; c++) out[c] /= middle;
}

/* Error of all layers that read this tap. room [columns] for the importance of scaled inputs. */
static double try_scale(const hg_awq *awq, hg_tap tap, trial *t, float *room)
{
    double sum = 0;
    for (uint32_t c = 0; c < awq->columns[tap]; c++)
        room[c] = awq->importance[tap][c] / (t->scale[c] * t->scale[c]) + HG_AWQ_LEAST;
    t->job.importance = room;
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        if (hg_tap_of((hg_projection)p) != tap) continue;
        t->linear = &t->layer->linear[p];
        const uint32_t tiles = (t->linear->rows + HG_TILE_OUTPUTS - 1) / HG_TILE_OUTPUTS;
        hg_pool_each(t->pool, tiles, try_tiles, t);
        for (uint32_t i = 0; i < tiles; i++) sum += t->error[i];
    }
    return sum;
}

static void search_tap(hg_awq *awq, hg_tap tap, trial *t, float *room)
{
    const uint32_t n = awq->columns[tap];
    float *trying = room, *importance = room + n;
    double least = INFINITY;
    for (int i = 0; i <= GRID; i++) {
        make_scale(awq, tap, (float)i / GRID, t->shape, trying);
        t->scale = trying;
        t->sample = awq->sample[tap];
        t->job.columns = n;
        double error = try_scale(awq, tap, t, importance);
        if (!(error < least) && i > 0) continue;
        least = error;
        memcpy(awq->scale[tap], trying, n * sizeof *trying);
    }
}

hg_status hg_awq_search(hg_awq *awq, const hg_shape *shape, const hg_layer *layer, hg_awq_form form,
                        hg_pool *pool, hg_error *error)
{
    const size_t wide = widest(shape);
    float *room = malloc(2 * wide * sizeof *room);
    double *errors = malloc((wide / HG_TILE_OUTPUTS + 1) * sizeof *errors);
    trial t = {.shape = shape,
               .layer = layer,
               .pool = pool,
               .job = {.group = form.group, .bits = form.bits},
               .samples = awq->samples,
               .error = errors};
    assert(awq->samples > 0 && pool->scratch_floats >= hg_awq_scratch(shape));
    for (int tap = 0; room && errors && tap < HG_TAPS; tap++)
        search_tap(awq, (hg_tap)tap, &t, room);
    hg_status status =
        room && errors ? HG_OK : hg_fail(error, HG_ERROR_MEMORY, "no memory for the search");
    free(room);
    free(errors);
    return status;
}
