/* int8_head.c: logits of the wanted rows, and their arg-max.
 *
 * The head is the widest product and the one whose errors decide between two tokens, so it is run
 * twice: once over the whole vocabulary in 4 bits, where each thread keeps the HG_HEAD_BEST highest
 * logits of what it computed, and once in F32, with the file's own table, for the HG_HEAD_BEST
 * highest of all. The first reads half of what 8 bits would and errs by a seventh of the logits'
 * deviation, which leaves the true arg-max among the highest (of 3,336 of SmolLM2-135M's it stood
 * behind 8 others eleven times, behind 16 once, never behind 19); the second takes the error out of
 * the choice. The highest of all are among the highest of each thread, so the result does not
 * depend on who computed what. Where logits are asked for, the low plane makes them 8 bits.
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

/* A thread's list for row i of the wanted, [HG_HEAD_BEST], highest first. */
static hg_best *best_of(const hg_thread8 *thread, uint32_t i)
{
    return thread->best + (size_t)i * HG_HEAD_BEST;
}

/* The higher logit comes first, of equal ones the lower token. */
static inline bool before(hg_best a, hg_best b)
{
    return a.value > b.value || (a.value == b.value && a.token < b.token);
}

static void keep(hg_best *list, hg_best own)
{
    uint32_t at = HG_HEAD_BEST;
    for (; at > 0 && before(own, list[at - 1]); at--)
        if (at < HG_HEAD_BEST) list[at] = list[at - 1];
    if (at < HG_HEAD_BEST) list[at] = own;
}

static void clear_list(hg_best *list)
{
    for (uint32_t j = 0; j < HG_HEAD_BEST; j++) list[j] = (hg_best){-INFINITY, INT32_MAX};
}

/* Notes what n logits, the first of them token `from`'s, bring to a list of lower tokens. */
static void note_best(const hg_item *it, const float *y, uint32_t from, uint32_t n, hg_best *list)
{
    uint64_t above = it->s->ops->above(y, n, list[HG_HEAD_BEST - 1].value);
    for (; above; above &= above - 1) {
        uint32_t t = (uint32_t)__builtin_ctzll(above);
        keep(list, (hg_best){y[t], (int32_t)(from + t)});
    }
}

/* A thread's first item of the step: gathers the wanted rows, with what of them is for the low
 * plane, and empties the lists. A thread's items come in rising order. */
static void begin_head(const hg_item *it)
{
    hg_int8 *s = it->s;
    hg_thread8 *thread = it->thread;
    if (thread->noted == s->steps) return;
    thread->noted = s->steps;
    (void)hg_item_gather(it, &s->in, s->wants, &s->head);
    if (s->head_low.codes) hg_planes_split(&thread->in, &thread->rest, s->wants);
    for (uint32_t i = 0; i < s->wants; i++) clear_list(best_of(thread, i));
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

void hg_item_head_blocks(const hg_item *it)
{
    hg_int8 *s = it->s;
    begin_head(it);
    float *y = it->thread->scratch;
    uint32_t end = it->first + it->count, stride = HG_HEAD_CHUNK * HG_BLOCK;
    for (uint32_t block = it->first; block < end; block += HG_HEAD_CHUNK) {
        uint32_t blocks = end - block < HG_HEAD_CHUNK ? end - block : HG_HEAD_CHUNK;
        uint32_t from = block * HG_BLOCK, n = blocks * HG_BLOCK;
        if (from + n > s->head.rows) n = s->head.rows - from;
        hg_product p = {&s->head, block, blocks, &it->thread->in, s->wants, false, y, stride};
        s->ops->linear(&p);
        for (uint32_t i = 0; i < s->wants; i++)
            note_best(it, y + (size_t)i * stride, from, n, best_of(it->thread, i));
        if (s->logits) put_logits(it, &p, from, n);
    }
}

/* The list over all threads that had a part of the head in this step. */
static void merge(const hg_device *d, uint32_t i, hg_best *list)
{
    const hg_int8 *s = d->state;
    clear_list(list);
    for (uint32_t t = 0; t < hg_workers_threads(d->workers); t++) {
        const hg_best *own = best_of(&s->thread[t], i), *end = own + HG_HEAD_BEST;
        if (s->thread[t].noted != s->steps) continue;
        for (; own < end && before(*own, list[HG_HEAD_BEST - 1]); own++) keep(list, *own);
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
    hg_best list[HG_HEAD_BEST], best = {-INFINITY, INT32_MAX};
    merge(it->device, i, list);
    s->ops->norm(x, s->x + (size_t)s->wanted[i] * hidden, w->final_norm, hidden,
                 w->shape.rms_epsilon);
    for (uint32_t j = 0; j < HG_HEAD_BEST && list[j].token < INT32_MAX; j++) {
        hg_best own = {true_logit(it, list[j].token, x, row), list[j].token};
        if (before(own, best)) best = own;
        if (s->logits_row[i] != UINT32_MAX)
            s->result->logits[(size_t)s->logits_row[i] * s->head.rows + (size_t)own.token] =
                own.value;
    }
    return best.token < INT32_MAX ? best.token : 0; /* where no logit is a number */
}

void hg_item_settle_tokens(const hg_item *it)
{
    const hg_int8 *s = it->s;
    assert(s->scratch_floats >= 2 * s->widest);
    for (uint32_t i = it->first; i < it->first + it->count; i++)
        s->result->token[s->wanted[i]] = settle(it, i);
}
