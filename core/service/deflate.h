/* deflate.h: permessage-deflate (RFC 7692), within bounds.
 *
 * Ours, because libwebsockets' own (4.1 to 5.0) ends the process when a short message inflates to a
 * long one, keeps 300 KiB for a connection, and takes one side's options for the other's. It
 * carries the frames; messages are packed and unpacked here. Windows are at most
 * HG_LIMIT_DEFLATE_BITS where the client lets its own be bounded: a connection then costs some 45
 * KiB, else 75.
 *
 * A hg_deflate belongs to one connection; service thread only. hg_deflate_agree is a pure function.
 */
#ifndef HG_SERVICE_DEFLATE_H
#define HG_SERVICE_DEFLATE_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <zlib.h>

#include "core/base/buf.h"

/* Zeroed: not agreed on. Streams are made when they are first used. */
typedef struct hg_deflate {
    int server_bits, client_bits; /* windows, as powers of two: ours, the client's; 0: none */
    bool server_resets;           /* each message of ours stands alone */
    bool packing, unpacking;      /* the streams are there */
    z_stream out, in;
} hg_deflate;

/* offers: the value of Sec-WebSocket-Extensions, of which the first permessage-deflate counts.
 * False, and *out zeroed: nothing there that can be taken. */
bool hg_deflate_agree(const char *offers, hg_deflate *out);

/* The same for the upgrade that wsi asks for. */
bool hg_deflate_offered(struct lws *wsi, hg_deflate *out);

/* Appends the packed form of one message to out. */
hg_status hg_deflate_pack(hg_deflate *d, const char *bytes, size_t count, hg_buf *out) HG_CHECKED;

/* Appends what the next bytes of a message unpack to; last: they are its last. HG_ERROR_LIMIT over
 * the buffer's maximum, with nothing unpacked beyond it; HG_ERROR_FORMAT for what is no deflate. */
hg_status hg_deflate_unpack(hg_deflate *d, const void *bytes, size_t count, bool last,
                            hg_buf *out) HG_CHECKED;

void hg_deflate_free(hg_deflate *d);

/* For a vhost; ends with an empty entry. Marks what is sent on a connection that agreed as packed.
 */
extern const struct lws_extension hg_deflate_extensions[];

#endif
