/* gzip.h: answers of HTTP compressed for who asks for it. Pure functions; any thread. */
#ifndef HG_SERVICE_GZIP_H
#define HG_SERVICE_GZIP_H

#include <stdbool.h>

#include "core/base/buf.h"

/* accepted: the value of Accept-Encoding. */
bool hg_gzip_accepted(const char *accepted);

/* Whether a body of this type and size is worth it: text, neither tiny nor so large that the
 * service thread would be held up. */
bool hg_gzip_worth(const char *content_type, size_t bytes);

/* Replaces body by its gzip form. After an error body is what it was. */
hg_status hg_gzip(hg_buf *body) HG_CHECKED;

#endif
