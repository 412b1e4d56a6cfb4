/* fake_device.h: a device that computes nothing but remembers everything.
 *
 * Its "KV" at a position is a hash of the token, of the adapter that acted and of the position
 * before, read back through the lane's page table; its "logits" are a hash of all positions so
 * far, read the same way. So a wrong page, slot, position, order or copy changes what comes out,
 * and fake_sum computes from the tokens alone what must come out. What a caller must never do
 * (rows out of order, a slot without adapter, a position never written) is counted in violations.
 *
 * One device at a time, in fake: a test sets the knobs before it opens an engine.
 */
#ifndef HG_TESTS_FAKE_DEVICE_H
#define HG_TESTS_FAKE_DEVICE_H

#include <stdatomic.h>

#include "core/base/limits.h"
#include "kernels/device.h"

#define FAKE_STOP       1 /* about one token in 16 is this one */
#define FAKE_VOCABULARY 97
#define FAKE_POSITIONS  512

typedef struct fake_world {
    /* knobs */
    atomic_uint fail_at;    /* the call of this number fails; 0: none */
    atomic_uint fail_every; /* so does every n-th; 0: none */
    hg_status fail_status;
    atomic_bool hold_adapters;            /* uploads make no progress while it is set */
    int32_t (*script)(uint32_t position); /* replaces the hash; NULL: not */
    void (*before_forward)(void);         /* called by the engine thread; NULL: not */
    double row_cost;                      /* what the device says; read by the engine thread */
    uint32_t chunk_rows;                  /* of whole chunks, whose rows hash otherwise; 0: none */
    /* results */
    atomic_uint calls, violations, forwards, rows, copies, most_rows, most_lanes, adapters;
    atomic_uint whole_rows, most_whole; /* rows of whole chunks; most of a step */
    char first_violation[200];
} fake_world;

extern fake_world fake;
extern const hg_device_api fake_api;
extern const hg_weights fake_weights;

/* Sets all knobs and results back. */
void fake_reset(void);

/* The sum over all positions of token [tokens] when adapter acts from invocation on. */
uint64_t fake_sum(const int32_t *token, uint32_t tokens, uint32_t invocation, uint64_t adapter);

/* What the row at position gives when the sum up to it is this: the arg-max, and all logits. */
int32_t fake_token(uint64_t sum, uint32_t position, uint32_t vocabulary);
void fake_logits(uint64_t sum, int32_t top, uint32_t vocabulary, float *logits);

#endif
