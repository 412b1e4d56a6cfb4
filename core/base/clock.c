/* clock.c: clock_gettime with names. */
#include "core/base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    int failed = clock_gettime(id, &t);
    assert(!failed); /* both clocks exist on every Linux */
    (void)failed;
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t hg_clock_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t hg_clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

void hg_clock_format(int64_t wall_us, char *text)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    int milliseconds = (int)(wall_us / 1000 % 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    size_t used = strftime(text, HG_CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(text + used, HG_CLOCK_TEXT_MAX - used, ".%03dZ", milliseconds);
}
