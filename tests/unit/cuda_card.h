/* cuda_card.h: where the CUDA device's tests run: on the emulator, or with HG_ON_CARD on a card
 * (tests/gpu), which can be asked for less.
 *
 * The emulator watches each access and counts what is held. On a card that is compute-sanitizer's
 * work, or that of the guards around each block (tests/gpu/guard.h) where the program has them.
 */
#ifndef HG_TESTS_CUDA_CARD_H
#define HG_TESTS_CUDA_CARD_H

#include <stddef.h>

#include "tests/gpu/guard.h"

#ifdef HG_ON_CARD
static inline void card_set_order(unsigned seed)
{
    (void)seed; /* the card's own business */
}
static inline void card_set_processors(int processors)
{
    (void)processors;
}
static inline long card_held(void)
{
    return 0;
}
static inline const char *card_fault(void)
{
    return hg_guard_fault ? hg_guard_fault() : NULL;
}
#else
#include "tests/cuda_emulator/cuda_runtime_api.h"

static const hg_emulator_machine good_machine = {13000, 1, 9, (size_t)1 << 30, 3};

/* The order in which a launch's blocks run. */
static inline void card_set_order(unsigned seed)
{
    hg_emulator_set_order(seed);
}

/* Of the cards that are opened from now on; 0: as at the beginning. */
static inline void card_set_processors(int processors)
{
    hg_emulator_machine machine = good_machine;
    if (processors) machine.processors = processors;
    hg_emulator_set_machine(&machine);
}

/* Blocks, streams and events that were not given back. */
static inline long card_held(void)
{
    return hg_emulator_held();
}

/* The first thing that a kernel did wrong, or NULL; and forgets it. */
static inline const char *card_fault(void)
{
    const char *fault = hg_emulator_fault();
    return fault || !hg_guard_fault ? fault : hg_guard_fault();
}
#endif

#endif
