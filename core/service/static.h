/* static.h: the files of the page.
 *
 * A file is read whole for each request (they are small and the kernel caches them), so an edited
 * page shows at the next reload. Its ETag is the digest of its content. Nothing outside the folder
 * can be reached: the path is refused by its form first and by where it really leads second.
 *
 * Service thread only (blocking reads of small local files).
 */
#ifndef HG_SERVICE_STATIC_H
#define HG_SERVICE_STATIC_H

#include "core/base/buf.h"
#include "core/base/error.h"

typedef struct hg_static_file {
    const char *content_type;
    char etag[24]; /* quoted */
    hg_buf content;
} hg_static_file;

/* path is a decoded URL path ("/" is "/index.html"). HG_ERROR_NOT_FOUND when root has no such
 * regular file. The caller frees content, also after a failure. */
hg_status hg_static_read(const char *root, const char *path, hg_static_file *out,
                         hg_error *error) HG_CHECKED;

#endif
