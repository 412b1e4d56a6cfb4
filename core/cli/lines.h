/* lines.h: one line after the other from a text, a file or standard input, without waiting for a
 * person who still types. */
#ifndef HG_CLI_LINES_H
#define HG_CLI_LINES_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/error.h"

typedef struct hg_lines {
    int fd;           /* -1: everything is in the buffer already */
    bool own;         /* close fd at the end */
    bool end;         /* nothing more to read */
    bool skipping;    /* the rest of a line that was too long is thrown away */
    const char *name; /* for messages */
    hg_buf buf;       /* what was read and not taken yet */
} hg_lines;

typedef enum hg_line {
    HG_LINE_GOT,
    HG_LINE_LATER, /* none is there yet; only without wait */
    HG_LINE_END,
    HG_LINE_TOO_LONG, /* over HG_LIMIT_FRAME bytes; skipped as a whole */
    HG_LINE_FAILED,   /* *error says why */
} hg_line;

/* Exactly one is used: text, else path, else standard input. */
hg_status hg_lines_open(hg_lines *lines, const char *text, const char *path,
                        hg_error *error) HG_CHECKED;
void hg_lines_close(hg_lines *lines);

/* Puts the next line, without its end, into out. With wait it blocks until there is one. */
hg_line hg_lines_next(hg_lines *lines, bool wait, hg_buf *out, hg_error *error) HG_CHECKED;

#endif
