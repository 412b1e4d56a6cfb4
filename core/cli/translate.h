/* translate.h: the two halves of `hydraglot translate`: translate.c reads lines and runs them,
 * translate_print.c shows what comes. One thread. */
#ifndef HG_CLI_TRANSLATE_H
#define HG_CLI_TRANSLATE_H

#include "core/cli/cli.h"

typedef struct hg_shown_lane {
    hg_buf committed, text; /* text: what is to be shown; both empty until something came */
    bool done;
    char failure[64]; /* status and code, "" when ok */
} hg_shown_lane;

/* One line of the input on its way; lines are shown in the order of the input. */
typedef struct hg_shown {
    int64_t line;
    bool waiting; /* could not be submitted yet; source has its text */
    bool ended, changed;
    hg_buf source;
    char refusal[HG_ERROR_MESSAGE_MAX]; /* "" unless the line was refused */
    hg_shown_lane lane[HG_LIMIT_LANES]; /* [targets] */
} hg_shown;

typedef struct hg_printer {
    const hg_targets *targets;
    bool json, live; /* live: standard output is a terminal, text is shown while it grows */
    uint32_t drawn;  /* rows of the growing block on the screen */
    size_t tag_columns;
    uint64_t printed, failures; /* lines; lanes and lines that failed */
    hg_buf out;                 /* for one JSON object */
} hg_printer;

void hg_printer_start(hg_printer *printer, const hg_targets *targets, bool json);
void hg_printer_end(hg_printer *printer);

/* Notes an event in what is shown; with JSON, ends are printed at once. */
hg_status hg_printer_event(hg_printer *printer, hg_shown *shown, const hg_event *event) HG_CHECKED;
/* A line that was refused: reported at once, shown as empty in its turn. */
void hg_printer_refused(hg_printer *printer, hg_shown *shown, const hg_refusal *refusal);
/* The oldest line while it grows; does nothing unless live. */
void hg_printer_grow(hg_printer *printer, hg_shown *shown);
/* The oldest line once it has ended. */
void hg_printer_finish(hg_printer *printer, hg_shown *shown);

#endif
