/* sample.c: softmax at a temperature, the nucleus (Holtzman et al. 2019), one draw.
 *
 * Sums run in token order, or in order of falling weight with ties by token id, so that they have
 * the same bits each time. A full vocabulary is not sorted: with n tokens, one whose share is
 * below (1 - top_p) / n cannot be in the nucleus, because all such tokens together stay outside.
 */
#include "core/engine/sample.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static uint64_t splitmix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

double hg_sample_uniform(uint64_t seed, uint32_t position)
{
    uint64_t bits = splitmix64(splitmix64(seed) + position);
    return (double)(bits >> 11) * 0x1p-53;
}

static int32_t largest(const float *logits, uint32_t vocabulary)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocabulary; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* By falling weight, then rising token. */
static int compare(const void *left, const void *right)
{
    const hg_candidate *a = left, *b = right;
    if (a->weight != b->weight) return a->weight < b->weight ? 1 : -1;
    return a->token < b->token ? -1 : a->token > b->token;
}

/* Fills scratch with all tokens and returns the sum of their weights. */
static double weigh(const float *logits, uint32_t vocabulary, float top, float temperature,
                    hg_candidate *scratch)
{
    double sum = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        double weight = exp(((double)logits[i] - top) / temperature);
        if (!(weight >= 0)) weight = 0; /* a logit that is not a number is never chosen */
        scratch[i] = (hg_candidate){.weight = weight, .token = (int32_t)i};
        sum += weight;
    }
    return sum;
}

/* Keeps the nucleus in scratch: returns its size and puts its weight into *sum. */
static uint32_t nucleus(hg_candidate *scratch, uint32_t count, float top_p, double *sum)
{
    double floor = (1.0 - top_p) / count * *sum, goal = top_p * *sum, total = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (scratch[i].weight >= floor) scratch[kept++] = scratch[i];
    qsort(scratch, kept, sizeof *scratch, compare);
    uint32_t used = 0;
    while (used < kept && (used == 0 || total < goal)) total += scratch[used++].weight;
    *sum = total;
    return used;
}

int32_t hg_sample(const float *logits, uint32_t vocabulary, const hg_sampling *how,
                  hg_candidate *scratch)
{
    assert(vocabulary > 0 && how->temperature > 0 && how->top_p > 0 && how->top_p <= 1);
    int32_t best = largest(logits, vocabulary);
    if (!isfinite(logits[best])) return best;
    double sum = weigh(logits, vocabulary, logits[best], how->temperature, scratch);
    uint32_t count = vocabulary;
    if (how->top_p < 1) count = nucleus(scratch, count, how->top_p, &sum);

    double left = hg_sample_uniform(how->seed, how->position) * sum;
    for (uint32_t i = 0; i < count; i++) {
        left -= scratch[i].weight;
        if (left < 0) return scratch[i].token;
    }
    return best; /* rounding ate the last weight */
}
