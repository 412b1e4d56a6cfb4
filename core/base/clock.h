/* clock.h: the two clocks. Durations come from the steady one, dates from the wall. */
#ifndef HG_BASE_CLOCK_H
#define HG_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Microseconds of a clock that never goes back; only differences mean anything. */
int64_t hg_clock_us(void);

/* Microseconds since 1970-01-01 UTC. */
int64_t hg_clock_wall_us(void);

#define HG_CLOCK_TEXT_MAX 32

/* Writes wall_us as "2026-01-31T23:59:59.123Z" into text [HG_CLOCK_TEXT_MAX]. */
void hg_clock_format(int64_t wall_us, char *text);

#endif
