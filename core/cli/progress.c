/* progress.c: see progress.h. */
#include "core/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define BAR_COLUMNS 30
#define REDRAW_US   100000

hg_progress hg_progress_start(const char *what, uint64_t total)
{
    return (hg_progress){
        .what = what, .total = total, .shown = isatty(STDERR_FILENO), .start_us = hg_clock_us()};
}

void hg_progress_line(const hg_progress *progress, uint64_t done, int64_t elapsed_us, char *out,
                      int size)
{
    double seconds = (double)elapsed_us / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    if (!progress->total) {
        snprintf(out, (size_t)size, "%" PRIu64 " %s, %.1f/s", done, progress->what, rate);
        return;
    }
    if (done > progress->total) done = progress->total;
    char bar[BAR_COLUMNS + 1];
    int full = (int)(done * BAR_COLUMNS / progress->total);
    memset(bar, '#', (size_t)full);
    memset(bar + full, '.', (size_t)(BAR_COLUMNS - full));
    bar[BAR_COLUMNS] = '\0';
    double left = rate > 0 ? (double)(progress->total - done) / rate : 0;
    snprintf(out, (size_t)size, "[%s] %3d%% %" PRIu64 "/%" PRIu64 " %s, %.1f/s, %.0f s left", bar,
             (int)(done * 100 / progress->total), done, progress->total, progress->what, rate,
             left);
}

void hg_progress_set(hg_progress *progress, uint64_t done)
{
    int64_t now_us = hg_clock_us();
    if (!progress->shown || now_us - progress->drawn_us < REDRAW_US) return;
    char line[160];
    hg_progress_line(progress, done, now_us - progress->start_us, line, sizeof line);
    fprintf(stderr, "\r%s\033[K", line);
    progress->drawn_us = now_us;
}

void hg_progress_end(hg_progress *progress)
{
    if (progress->shown && progress->drawn_us) fputs("\r\033[K", stderr);
}
