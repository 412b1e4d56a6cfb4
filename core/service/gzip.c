/* gzip.c: see gzip.h. */
#include "core/service/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "core/base/limits.h"

#define LEAST_BYTES 512 /* below it the packets are as many */
#define LEVEL       6
#define GZIP_FORM   16 /* added to deflateInit2's window bits */

/* Whether a quality, as in ";q=0.5", is above zero; none is one. */
static bool has_quality(const char *parameters)
{
    const char *q = strcasestr(parameters, "q=");
    return !q || strtod(q + 2, NULL) > 0;
}

bool hg_gzip_accepted(const char *accepted)
{
    char text[256], *rest = text, *coding;
    bool any = false;
    if (strlen(accepted) >= sizeof text) return false;
    memcpy(text, accepted, strlen(accepted) + 1);
    while ((coding = strsep(&rest, ","))) {
        coding += strspn(coding, " \t");
        size_t count = strcspn(coding, " \t;");
        bool good = has_quality(coding + count);
        if (count == 4 && strncasecmp(coding, "gzip", 4) == 0) return good;
        if (count == 1 && *coding == '*') any = good;
    }
    return any;
}

bool hg_gzip_worth(const char *content_type, size_t bytes)
{
    static const char *const types[] = {"text/", "application/json", "application/manifest+json",
                                        "image/svg+xml"};
    if (bytes < LEAST_BYTES || bytes > HG_LIMIT_GZIP) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(content_type, types[i], strlen(types[i])) == 0) return true;
    return false;
}

hg_status hg_gzip(hg_buf *body)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_FORM, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return HG_ERROR_MEMORY;
    size_t room = deflateBound(&stream, body->length);
    unsigned char *bytes = malloc(room);
    hg_buf packed = hg_buf_new(body->maximum);
    stream.next_in = (unsigned char *)body->data;
    stream.avail_in = (uInt)body->length;
    stream.next_out = bytes;
    stream.avail_out = (uInt)room;
    bool good = bytes && deflate(&stream, Z_FINISH) == Z_STREAM_END &&
                !hg_buf_append(&packed, bytes, stream.total_out);
    deflateEnd(&stream);
    free(bytes);
    hg_buf_free(good ? body : &packed);
    if (good) *body = packed;
    return good ? HG_OK : HG_ERROR_MEMORY;
}
