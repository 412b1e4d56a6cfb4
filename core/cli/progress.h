/* progress.h: one line on standard error that shows how far long work is. Silent when standard
 * error is no terminal. */
#ifndef HG_CLI_PROGRESS_H
#define HG_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct hg_progress {
    const char *what; /* "sentences" */
    uint64_t total;   /* 0: unknown; then only the count is shown */
    bool shown;       /* standard error is a terminal */
    int64_t start_us, drawn_us;
} hg_progress;

hg_progress hg_progress_start(const char *what, uint64_t total);
/* Redraws at most ten times a second. */
void hg_progress_set(hg_progress *progress, uint64_t done);
/* Wipes the line. */
void hg_progress_end(hg_progress *progress);

/* The line as it would be drawn after elapsed_us, into out [size]. */
void hg_progress_line(const hg_progress *progress, uint64_t done, int64_t elapsed_us, char *out,
                      int size);

#endif
