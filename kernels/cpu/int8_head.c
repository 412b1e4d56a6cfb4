/* int8_head.c: logits of the wanted rows, and their arg-max.
 *
 * The head is the widest product and the one whose errors decide between two tokens, so it is run
 * twice: once over the whole vocabulary in INT8, where each item keeps the HG_HEAD_BEST highest
 * logits of its own tokens, and once in F32, with the file's own table, for the HG_HEAD_BEST
 * highest of all. The second costs as much as HG_HEAD_BEST tokens of a vocabulary and takes the
 * error of the head out of the choice. The highest of all are among the highest of each item, so
 * the result does not depend on how the vocabulary was cut.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/int8_item.h"

void hg_item_norm_wanted(const hg_item *it)
{
    hg_int8 *s = it->s;
    const hg_weights *w = &it->device->weights;
    for (uint32_t i = it->first; i < it->first + it->count; i++)
        hg_item_norm_row(it, s->x + (size_t)s->wanted[i] * w->shape.hidden, w->final_norm,
                         s->head.group, i);
}

/* The list of item `index` for row i of the wanted, [HG_HEAD_BEST], highest first. */
static hg_best *best_of(const hg_device *d, uint32_t index, uint32_t i)
{
    const hg_int8 *s = d->state;
    return s->best + ((size_t)index * d->plan.step_rows + i) * HG_HEAD_BEST;
}

/* Puts a logit into a list. Tokens come in rising order and an equal one goes behind, so the lower
 * token stays. */
static void keep(hg_best *list, float value, int32_t token)
{
    uint32_t at = HG_HEAD_BEST;
    for (; at > 0 && value > list[at - 1].value; at--)
        if (at < HG_HEAD_BEST) list[at] = list[at - 1];
    if (at < HG_HEAD_BEST) list[at] = (hg_best){value, token};
}

/* Takes down n logits of the row i of the wanted; the first is token `from`'s. */
static void take_logits(const hg_item *it, uint32_t i, const float *y, uint32_t from, uint32_t n,
                        hg_best *list)
{
    hg_int8 *s = it->s;
    if (s->ops->max(y, n) > list[HG_HEAD_BEST - 1].value)
        for (uint32_t t = 0; t < n; t++) keep(list, y[t], (int32_t)(from + t));
    if (s->logits_row[i] == UINT32_MAX) return;
    memcpy(s->result->logits + (size_t)s->logits_row[i] * s->head.rows + from, y, n * sizeof *y);
}

void hg_item_head_blocks(const hg_item *it, uint32_t index)
{
    hg_int8 *s = it->s;
    for (uint32_t i = 0; i < s->wants; i++)
        for (uint32_t j = 0; j < HG_HEAD_BEST; j++)
            best_of(it->device, index, i)[j] = (hg_best){-INFINITY, -1};
    const hg_tiles *x = hg_item_gather(it, &s->in, s->wants, &s->head);
    size_t stride = HG_HEAD_CHUNK * HG_BLOCK;
    uint32_t end = it->first + it->count;
    for (uint32_t block = it->first; block < end; block += HG_HEAD_CHUNK) {
        uint32_t blocks = end - block < HG_HEAD_CHUNK ? end - block : HG_HEAD_CHUNK;
        uint32_t from = block * HG_BLOCK, n = blocks * HG_BLOCK;
        if (from + n > s->head.rows) n = s->head.rows - from;
        hg_product p = {&s->head, block, blocks, x, s->wants, false, it->thread->scratch, stride};
        s->ops->linear(&p);
        for (uint32_t i = 0; i < s->wants; i++)
            take_logits(it, i, it->thread->scratch + i * stride, from, n,
                        best_of(it->device, index, i));
    }
}

/* Sixteen partial sums, added in a fixed order. */
static float dot(const float *a, const float *b, uint32_t n)
{
    float part[16] = {0}, sum = 0;
    for (uint32_t i = 0; i < n; i += 16)
        for (uint32_t j = 0; j < 16; j++) part[j] += a[i + j] * b[i + j];
    for (uint32_t j = 0; j < 16; j++) sum += part[j];
    return sum;
}

/* The list over all items. They hold rising tokens, so keep may take them one after another. */
static void merge(const hg_device *d, uint32_t i, hg_best *list)
{
    for (uint32_t j = 0; j < HG_HEAD_BEST; j++) list[j] = (hg_best){-INFINITY, -1};
    for (uint32_t item = 0; item < hg_int8_head_items(d); item++) {
        const hg_best *own = best_of(d, item, i);
        for (uint32_t j = 0; j < HG_HEAD_BEST; j++)
            if (own[j].token >= 0) keep(list, own[j].value, own[j].token);
    }
}

/* The arg-max of row i of the wanted, its best logits computed again without rounding. */
static int32_t settle(const hg_device *d, uint32_t i)
{
    const hg_int8 *s = d->state;
    const hg_weights *w = &d->weights;
    uint32_t hidden = w->shape.hidden;
    float *x = s->thread[0].scratch, *table = x + s->widest; /* [hidden] each */
    hg_best list[HG_HEAD_BEST], best = {-INFINITY, 0};
    merge(d, i, list);
    s->ops->norm(x, s->x + (size_t)s->wanted[i] * hidden, w->final_norm, hidden,
                 w->shape.rms_epsilon);
    for (uint32_t j = 0; j < HG_HEAD_BEST && list[j].token >= 0; j++) {
        hg_matrix_read(&w->head, (size_t)list[j].token, 0, hidden, table);
        hg_best own = {dot(x, table, hidden), list[j].token};
        if (own.value > best.value || (own.value == best.value && own.token < best.token))
            best = own;
        if (s->logits_row[i] != UINT32_MAX)
            s->result->logits[(size_t)s->logits_row[i] * s->head.rows + (size_t)own.token] =
                own.value;
    }
    return best.token;
}

void hg_int8_settle_tokens(hg_device *d)
{
    const hg_int8 *s = d->state;
    assert(s->scratch_floats >= 2 * s->widest);
    for (uint32_t i = 0; i < s->wants; i++) s->result->token[s->wanted[i]] = settle(d, i);
}
