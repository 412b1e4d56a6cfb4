/* buf.h: a growing byte buffer with a named maximum.
 *
 * The text is always followed by a NUL that length does not count, so it can be handed to C
 * functions. Appending past the maximum fails and leaves the content as it was. Not thread-safe:
 * a buffer has one owner at a time.
 */
#ifndef HG_BASE_BUF_H
#define HG_BASE_BUF_H

#include <stddef.h>

#include "core/base/error.h"

typedef struct hg_buf {
    char *data;      /* owned; NULL until the first append */
    size_t length;   /* bytes used */
    size_t capacity; /* bytes allocated */
    size_t maximum;  /* bytes that length may never exceed */
} hg_buf;

/* An empty buffer that may grow to maximum bytes. Allocates nothing. */
hg_buf hg_buf_new(size_t maximum);
void hg_buf_free(hg_buf *buf);

/* Empties the buffer and keeps its memory. */
void hg_buf_clear(hg_buf *buf);

/* HG_ERROR_LIMIT over the maximum, HG_ERROR_MEMORY without memory. */
hg_status hg_buf_append(hg_buf *buf, const void *bytes, size_t count) HG_CHECKED;
hg_status hg_buf_append_text(hg_buf *buf, const char *text) HG_CHECKED;
hg_status hg_buf_printf(hg_buf *buf, const char *format, ...) HG_PRINTF(2, 3) HG_CHECKED;

/* Drops count bytes from the front. */
void hg_buf_consume(hg_buf *buf, size_t count);

/* The content as a C string; "" while nothing was appended. Valid until the next change. */
const char *hg_buf_text(const hg_buf *buf);

#endif
