/* int8_head.c: logits of the wanted rows, and their arg-max.
 *
 * The head is the widest product and the one whose errors decide between two tokens, so it is run
 * twice: once over the whole vocabulary in 4 bits, where each item keeps the HG_HEAD_BEST highest
 * logits of its own tokens, and once in F32, with the file's own table, for the HG_HEAD_BEST
 * highest of all. The first reads half of what 8 bits would and errs by a seventh of the logits'
 * deviation, which leaves the true arg-max among the highest (of 3,336 of SmolLM2-135M's it stood
 * behind 8 others eleven times, behind 16 once, never behind 19); the second takes the error out of
 * the choice. The highest of all are among the highest of each item, so the result does not depend
 * on how the vocabulary was cut. Where logits are asked for, the low plane makes them 8 bits.
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

/* Notes what n logits, the first of them token `from`'s, bring to a list. */
static void note_best(const hg_item *it, const float *y, uint32_t from, uint32_t n, hg_best *list)
{
    uint64_t above = it->s->ops->above(y, n, list[HG_HEAD_BEST - 1].value);
    for (; above; above &= above - 1) {
        uint32_t t = (uint32_t)__builtin_ctzll(above);
        keep(list, y[t], (int32_t)(from + t));
    }
}

/* The wanted rows, gathered once a thread, and what of them is for the low plane. */
static const hg_tiles *gather_wanted(const hg_item *it)
{
    hg_int8 *s = it->s;
    uint64_t before = it->thread->gathered;
    const hg_tiles *x = hg_item_gather(it, &s->in, s->wants, &s->head);
    if (it->thread->gathered != before && s->head_low.codes)
        hg_planes_split(&it->thread->in, &it->thread->rest, s->wants);
    return x;
}

/* Logits that were asked for: the chunk's product, and the low plane's added. */
static void put_logits(const hg_item *it, hg_product *p, uint32_t from, uint32_t n)
{
    hg_int8 *s = it->s;
    p->w = &s->head_low;
    p->x = &it->thread->rest;
    p->add = true;
    if (s->head_low.codes) s->ops->linear(p);
    for (uint32_t i = 0; i < s->wants; i++) {
        if (s->logits_row[i] == UINT32_MAX) continue;
        float *to = s->result->logits + (size_t)s->logits_row[i] * s->head.rows + from;
        memcpy(to, p->y + i * p->y_stride, n * sizeof *to);
    }
}

void hg_item_head_blocks(const hg_item *it, uint32_t index)
{
    hg_int8 *s = it->s;
    for (uint32_t i = 0; i < s->wants; i++)
        for (uint32_t j = 0; j < HG_HEAD_BEST; j++)
            best_of(it->device, index, i)[j] = (hg_best){-INFINITY, -1};
    const hg_tiles *x = gather_wanted(it);
    float *y = it->thread->scratch;
    uint32_t end = it->first + it->count, stride = HG_HEAD_CHUNK * HG_BLOCK;
    for (uint32_t block = it->first; block < end; block += HG_HEAD_CHUNK) {
        uint32_t blocks = end - block < HG_HEAD_CHUNK ? end - block : HG_HEAD_CHUNK;
        uint32_t from = block * HG_BLOCK, n = blocks * HG_BLOCK;
        if (from + n > s->head.rows) n = s->head.rows - from;
        hg_product p = {&s->head, block, blocks, x, s->wants, false, y, stride};
        s->ops->linear(&p);
        for (uint32_t i = 0; i < s->wants; i++)
            note_best(it, y + (size_t)i * stride, from, n, best_of(it->device, index, i));
        if (s->logits) put_logits(it, &p, from, n);
    }
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

/* A logit in F32, with the head as it is in the file; row: [hidden] scratch. */
static float true_logit(const hg_item *it, int32_t token, const float *x, float *row)
{
    const hg_matrix *m = &it->device->weights.head;
    size_t at = (size_t)token * m->columns;
    if (m->type == HG_F16)
        return it->s->ops->dot_half(x, (const uint16_t *)m->data + at, m->columns);
    hg_matrix_read(m, (size_t)token, 0, m->columns, row);
    return it->s->ops->dot(x, row, m->columns);
}

/* The arg-max of row i of the wanted, its best logits computed again without rounding. */
static int32_t settle(const hg_item *it, uint32_t i)
{
    const hg_int8 *s = it->s;
    const hg_weights *w = &it->device->weights;
    uint32_t hidden = w->shape.hidden;
    float *x = it->thread->scratch, *row = x + s->widest; /* [hidden] each */
    hg_best list[HG_HEAD_BEST], best = {-INFINITY, 0};
    merge(it->device, i, list);
    s->ops->norm(x, s->x + (size_t)s->wanted[i] * hidden, w->final_norm, hidden,
                 w->shape.rms_epsilon);
    for (uint32_t j = 0; j < HG_HEAD_BEST && list[j].token >= 0; j++) {
        hg_best own = {true_logit(it, list[j].token, x, row), list[j].token};
        if (own.value > best.value || (own.value == best.value && own.token < best.token))
            best = own;
        if (s->logits_row[i] != UINT32_MAX)
            s->result->logits[(size_t)s->logits_row[i] * s->head.rows + (size_t)own.token] =
                own.value;
    }
    return best.token;
}

void hg_item_settle_tokens(const hg_item *it)
{
    const hg_int8 *s = it->s;
    assert(s->scratch_floats >= 2 * s->widest);
    for (uint32_t i = it->first; i < it->first + it->count; i++)
        s->result->token[s->wanted[i]] = settle(it, i);
}
