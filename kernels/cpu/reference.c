/* reference.c: the oracle. A Llama step with LoRA in plain C and F32, to be read beside the paper.
 *
 * Weights are taken from the caller's views, one row at a time, as the formula of weights.h says;
 * activations, KV and sums are F32; the head keeps the file's type. Every other kernel is checked
 * against this one, and this one against transformers + PEFT. It is written for reading: its only
 * concessions to speed are that output rows are shared out over the workers, that a weight is
 * decoded once for all rows of a step, and that dot() keeps sixteen partial sums.
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/reference.h"

#define PAGE HG_LIMIT_PAGE_TOKENS

static float dot(const float *a, const float *b, uint32_t n)
{
    float part[16] = {0};
    uint32_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (uint32_t j = 0; j < 16; j++) part[j] += a[i + j] * b[i + j];
    float sum = 0;
    for (; i < n; i++) sum += a[i] * b[i];
    for (uint32_t j = 0; j < 16; j++) sum += part[j];
    return sum;
}

/* y = x / rms(x) * weight */
static void rms_norm(float *y, const float *x, const float *weight, uint32_t n, float epsilon)
{
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + epsilon);
    for (uint32_t i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

/* Turns each pair (i, i + head_dim / 2) of one head by position * frequency[i]. */
static void rope(float *head, const float *frequency, uint32_t position, uint32_t head_dim)
{
    uint32_t half = head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        float angle = (float)position * frequency[i], c = cosf(angle), s = sinf(angle);
        float a = head[i], b = head[i + half];
        head[i] = a * c - b * s;
        head[i + half] = b * c + a * s;
    }
}

static void softmax(float *x, uint32_t n)
{
    float max = x[0], sum = 0;
    for (uint32_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (uint32_t i = 0; i < n; i++) x[i] /= sum;
}

/* K (which 0) or V (which 1) of one position of a lane, [kv_heads * head_dim]. */
static float *kv_entry(const hg_device *d, const hg_step *step, uint32_t lane, uint32_t layer,
                       uint32_t which, uint32_t position)
{
    size_t width = (size_t)d->weights.shape.kv_heads * d->weights.shape.head_dim;
    uint32_t page = step->page[(size_t)lane * d->plan.lane_pages + position / PAGE];
    size_t at = ((size_t)layer * 2 + which) * PAGE + position % PAGE;
    return (float *)(void *)hg_page(d, page) + at * width;
}

/* ---- linear layers: y = W x + scale * B (A x) ---- */

/* One matrix product for all rows of a step, as work for the workers. */
typedef struct product {
    hg_device *device;
    const hg_linear *linear; /* or NULL: the head */
    uint32_t layer, projection;
    const float *x; /* [rows, columns] */
    float *y;       /* [rows, matrix rows] */
} product;

/* The row's adapter pair for this product, or NULL. */
static const hg_reference_pair *row_pair(const product *p, const hg_row *row)
{
    if (!p->linear || row->slot == HG_NO_SLOT) return NULL;
    const hg_reference_pair *all = p->device->slot[row->slot].pair;
    const hg_reference_pair *own = &all[p->layer * HG_PROJECTIONS + p->projection];
    return own->rank ? own : NULL;
}

/* Output rows [first, first + count) of W, for all rows of the step. */
static void multiply(const product *p, uint32_t first, uint32_t count, uint32_t worker)
{
    const hg_device *d = p->device;
    const hg_reference *ref = d->state;
    const hg_matrix *head = &d->weights.head;
    uint32_t out_rows = p->linear ? p->linear->rows : head->rows;
    uint32_t columns = p->linear ? p->linear->columns : head->columns;
    float *w = ref->weight_row + (size_t)worker * ref->widest;
    for (uint32_t o = first; o < first + count; o++) {
        if (p->linear)
            hg_linear_read(p->linear, o, 0, columns, w);
        else
            hg_matrix_read(head, o, 0, columns, w);
        for (uint32_t r = 0; r < ref->step->rows; r++) {
            const hg_row *row = &ref->step->row[r];
            if (!p->linear && !row->want && !row->want_logits) continue;
            float *y = &p->y[(size_t)r * out_rows + o];
            *y = dot(w, p->x + (size_t)r * columns, columns);
            const hg_reference_pair *own = row_pair(p, row);
            if (own)
                *y += own->scale * dot(own->b + (size_t)o * own->rank,
                                       ref->h + (size_t)r * HG_LIMIT_ADAPTER_RANK, own->rank);
        }
    }
}

/* h = A x of one row. */
static void shrink(const product *p, uint32_t r)
{
    const hg_reference *ref = p->device->state;
    const hg_reference_pair *own = row_pair(p, &ref->step->row[r]);
    if (!own) return;
    uint32_t columns = p->linear->columns;
    for (uint32_t i = 0; i < own->rank; i++)
        ref->h[(size_t)r * HG_LIMIT_ADAPTER_RANK + i] =
            dot(own->a + (size_t)i * columns, p->x + (size_t)r * columns, columns);
}

static uint32_t product_items(void *context, uint32_t stage)
{
    const product *p = context;
    const hg_reference *ref = p->device->state;
    if (stage == 0) return p->linear ? ref->step->rows : 0;
    uint32_t rows = p->linear ? p->linear->rows : p->device->weights.head.rows;
    uint32_t items = 8 * hg_workers_threads(p->device->workers);
    return rows < items ? rows : items;
}

static void product_run(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    const product *p = context;
    if (stage == 0) {
        shrink(p, item);
        return;
    }
    uint32_t rows = p->linear ? p->linear->rows : p->device->weights.head.rows, first, count;
    hg_workers_share(rows, product_items(context, 1), item, &first, &count);
    multiply(p, first, count, worker);
}

static void run_product(product *p)
{
    hg_work work = {2, product_items, product_run, p};
    hg_workers_run(p->device->workers, &work);
}

static void linear(hg_device *d, uint32_t layer, uint32_t projection, const float *x, float *y)
{
    product p = {d, &d->weights.layer[layer].linear[projection], layer, projection, x, y};
    run_product(&p);
}

/* ---- attention ---- */

typedef struct attention_job {
    hg_device *device;
    uint32_t layer;
} attention_job;

/* One head of one row over the lane's positions 0 .. its own. */
static void attend(const attention_job *job, uint32_t r, uint32_t head, float *score)
{
    const hg_device *d = job->device;
    const hg_shape *s = &d->weights.shape;
    const hg_reference *ref = d->state;
    const hg_row *row = &ref->step->row[r];
    size_t at = (size_t)r * s->heads * s->head_dim + (size_t)head * s->head_dim;
    size_t kv = (size_t)(head / (s->heads / s->kv_heads)) * s->head_dim;
    uint32_t n = row->position + 1;
    for (uint32_t t = 0; t < n; t++) {
        const float *k = kv_entry(d, ref->step, row->lane, job->layer, 0, t) + kv;
        score[t] = dot(ref->q + at, k, s->head_dim) / sqrtf((float)s->head_dim);
    }
    softmax(score, n);
    float *out = ref->attention + at;
    memset(out, 0, s->head_dim * sizeof *out);
    for (uint32_t t = 0; t < n; t++) {
        const float *v = kv_entry(d, ref->step, row->lane, job->layer, 1, t) + kv;
        for (uint32_t i = 0; i < s->head_dim; i++) out[i] += score[t] * v[i];
    }
}

static uint32_t attention_items(void *context, uint32_t stage)
{
    (void)stage;
    const attention_job *job = context;
    return ((const hg_reference *)job->device->state)->step->rows;
}

static void attention_run(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    (void)stage;
    const attention_job *job = context;
    const hg_device *d = job->device;
    float *score =
        ((const hg_reference *)d->state)->score + (size_t)worker * d->plan.lane_pages * PAGE;
    for (uint32_t head = 0; head < d->weights.shape.heads; head++) attend(job, item, head, score);
}

/* Turns q and k of all rows, and puts K and V into the rows' pages. */
static void store_kv(hg_device *d, uint32_t layer)
{
    const hg_shape *s = &d->weights.shape;
    const hg_reference *ref = d->state;
    const float *frequency = d->weights.rope_frequency;
    size_t q_dim = (size_t)s->heads * s->head_dim, kv_dim = (size_t)s->kv_heads * s->head_dim;
    for (uint32_t r = 0; r < ref->step->rows; r++) {
        const hg_row *row = &ref->step->row[r];
        for (uint32_t h = 0; h < s->heads; h++)
            rope(ref->q + r * q_dim + h * s->head_dim, frequency, row->position, s->head_dim);
        for (uint32_t h = 0; h < s->kv_heads; h++)
            rope(ref->k + r * kv_dim + h * s->head_dim, frequency, row->position, s->head_dim);
        memcpy(kv_entry(d, ref->step, row->lane, layer, 0, row->position), ref->k + r * kv_dim,
               kv_dim * sizeof(float));
        memcpy(kv_entry(d, ref->step, row->lane, layer, 1, row->position), ref->v + r * kv_dim,
               kv_dim * sizeof(float));
    }
}

/* ---- the transformer ---- */

static void norm_all(hg_device *d, const float *weight)
{
    const hg_shape *s = &d->weights.shape;
    const hg_reference *ref = d->state;
    for (uint32_t r = 0; r < ref->step->rows; r++)
        rms_norm(ref->normed + (size_t)r * s->hidden, ref->x + (size_t)r * s->hidden, weight,
                 s->hidden, s->rms_epsilon);
}

/* x += normed, which holds a block's output by then. */
static void add_residual(hg_device *d)
{
    const hg_reference *ref = d->state;
    size_t n = (size_t)ref->step->rows * d->weights.shape.hidden;
    for (size_t i = 0; i < n; i++) ref->x[i] += ref->normed[i];
}

static void run_layer(hg_device *d, uint32_t layer)
{
    const hg_shape *s = &d->weights.shape;
    const hg_reference *ref = d->state;
    norm_all(d, d->weights.layer[layer].attention_norm);
    linear(d, layer, HG_Q, ref->normed, ref->q);
    linear(d, layer, HG_K, ref->normed, ref->k);
    linear(d, layer, HG_V, ref->normed, ref->v);
    store_kv(d, layer);
    attention_job job = {d, layer};
    hg_work work = {1, attention_items, attention_run, &job};
    hg_workers_run(d->workers, &work);
    linear(d, layer, HG_O, ref->attention, ref->normed);
    add_residual(d);

    norm_all(d, d->weights.layer[layer].mlp_norm);
    linear(d, layer, HG_GATE, ref->normed, ref->gate);
    linear(d, layer, HG_UP, ref->normed, ref->up);
    size_t n = (size_t)ref->step->rows * s->intermediate;
    for (size_t i = 0; i < n; i++) {
        float g = ref->gate[i];
        ref->gate[i] = g / (1.0f + expf(-g)) * ref->up[i]; /* SwiGLU: silu(gate) * up */
    }
    linear(d, layer, HG_DOWN, ref->gate, ref->normed);
    add_residual(d);
}

static int32_t arg_max(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

void hg_reference_forward(hg_device *d, const hg_step *step, const hg_result *result)
{
    const hg_weights *w = &d->weights;
    uint32_t hidden = w->shape.hidden, vocabulary = w->shape.vocabulary;
    hg_reference *ref = d->state;
    ref->step = step;
    for (uint32_t r = 0; r < step->rows; r++)
        hg_matrix_read(&w->embedding, (size_t)step->row[r].token, 0, hidden,
                       ref->x + (size_t)r * hidden);
    for (uint32_t layer = 0; layer < w->shape.layers; layer++) run_layer(d, layer);
    norm_all(d, w->final_norm);
    product head = {d, NULL, 0, 0, ref->normed, ref->logits};
    run_product(&head);

    size_t logit_rows = 0;
    for (uint32_t r = 0; r < step->rows; r++) {
        const hg_row *row = &step->row[r];
        const float *logits = ref->logits + (size_t)r * vocabulary;
        if (row->want || row->want_logits) result->token[r] = arg_max(logits, vocabulary);
        if (row->want_logits)
            memcpy(result->logits + logit_rows++ * vocabulary, logits, vocabulary * sizeof(float));
    }
}
