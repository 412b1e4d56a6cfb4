/* sample.h: a token from logits, at a temperature.
 *
 * The choice depends on the logits, the request and the position alone: the random number of a
 * position is a hash of (seed, position), not the next one of a stream, so a lane draws the same
 * beside any company, after any number of rejected drafts, and again after a restart.
 */
#ifndef HG_ENGINE_SAMPLE_H
#define HG_ENGINE_SAMPLE_H

#include <stdint.h>

typedef struct hg_candidate {
    double weight; /* exp((logit - largest) / temperature) */
    int32_t token;
} hg_candidate;

typedef struct hg_sampling {
    float temperature; /* above 0 */
    float top_p;       /* 0 < top_p <= 1: the smallest set of likeliest tokens that reaches it */
    uint64_t seed;
    uint32_t position; /* in the lane, of the token that is chosen */
} hg_sampling;

/* logits [vocabulary]; scratch [vocabulary]. Without a finite largest logit the answer is the
 * token with the largest one, which a greedy lane would have taken. */
int32_t hg_sample(const float *logits, uint32_t vocabulary, const hg_sampling *how,
                  hg_candidate *scratch);

/* The position's number in [0, 1): 53 bits of splitmix64 (Steele, Lea, Flood 2014). */
double hg_sample_uniform(uint64_t seed, uint32_t position);

#endif
