/* deflate.c: see deflate.h.
 *
 * To libwebsockets this is an extension that leaves every payload as it is and sets the bit that
 * says "compressed" in the head of each message. It answers an offer with names out of a table of
 * options that the extension hands over, without values; so the table's names are the answer's
 * texts, put there when the option is met.
 */
#include "core/service/deflate.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"

#define NAME        "permessage-deflate"
#define OFFERS_MAX  256 /* what libwebsockets itself reads of them */
#define LEAST_BITS  9   /* zlib has no window of 8 */
#define WHOLE_BITS  15  /* of who says nothing */
#define LEVEL       1
#define MEMORY      4 /* zlib's memLevel: 8 KiB */
#define PIECE_BYTES 4096
#define PACKED_BIT  0x40 /* RSV1, in a frame's first byte */
#define TEXT_OPCODE 1

enum { SERVER_RESETS, CLIENT_RESETS, SERVER_WINDOW, CLIENT_WINDOW, OPTIONS };

static const char *const option_names[OPTIONS] = {
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits",
    "client_max_window_bits"};

/* What ends a flushed stream, and is not sent. */
static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};

/* ---- offers ---- */

static char *trim(char *text)
{
    text += strspn(text, " \t\"");
    size_t count = strlen(text);
    while (count && strchr(" \t\"", text[count - 1])) count--;
    text[count] = '\0';
    return text;
}

/* 8 to 15; 0: anything else. */
static int read_bits(const char *text)
{
    size_t count = strspn(text, "0123456789");
    int bits = count && count <= 2 && !text[count] && *text != '0' ? atoi(text) : 0;
    return bits >= 8 && bits <= 15 ? bits : 0;
}

static int fewer(int a, int b)
{
    return a < b ? a : b;
}

/* One parameter of an offer; false: the offer cannot be taken. */
static bool read_option(char *text, unsigned *seen, hg_deflate *out)
{
    char *value = strchr(text, '=');
    if (value) *value++ = '\0';
    text = trim(text);
    int option = 0;
    while (option < OPTIONS && strcmp(text, option_names[option]) != 0) option++;
    if (option == OPTIONS || *seen & 1u << option) return false;
    *seen |= 1u << option;
    out->server_resets |= option == SERVER_RESETS;
    if (option == SERVER_RESETS || option == CLIENT_RESETS) return !value;
    int bits = value ? read_bits(trim(value)) : option == CLIENT_WINDOW ? WHOLE_BITS : 0;
    if (option == SERVER_WINDOW)
        out->server_bits = fewer(bits, HG_LIMIT_DEFLATE_BITS);
    else
        out->client_bits = fewer(bits, HG_LIMIT_DEFLATE_BITS);
    return option == SERVER_WINDOW ? bits >= LEAST_BITS : bits > 0;
}

/* The parameters of the first permessage-deflate, in offers, which is changed; NULL: none has it.
 */
static char *find_offer(char *offers)
{
    static char nothing[] = "";
    char *offer;
    while ((offer = strsep(&offers, ","))) {
        char *parameters = strchr(offer, ';');
        if (parameters) *parameters++ = '\0';
        if (strcmp(trim(offer), NAME) == 0) return parameters ? parameters : nothing;
    }
    return NULL;
}

bool hg_deflate_agree(const char *offers, hg_deflate *out)
{
    char text[OFFERS_MAX];
    unsigned seen = 0;
    *out = (hg_deflate){0};
    if (strlen(offers) >= sizeof text) return false;
    memcpy(text, offers, strlen(offers) + 1);
    char *parameters = find_offer(text);
    hg_deflate agreed = {.server_bits = HG_LIMIT_DEFLATE_BITS, .client_bits = WHOLE_BITS};
    if (!parameters) return false;
    while (parameters && *parameters)
        if (!read_option(strsep(&parameters, ";"), &seen, &agreed)) return false;
    *out = agreed;
    return true;
}

bool hg_deflate_offered(struct lws *wsi, hg_deflate *out)
{
    char offers[OFFERS_MAX];
    *out = (hg_deflate){0};
    return lws_hdr_copy(wsi, offers, sizeof offers, WSI_TOKEN_EXTENSIONS) > 0 &&
           hg_deflate_agree(offers, out);
}

/* ---- messages ---- */

hg_status hg_deflate_pack(hg_deflate *d, const char *bytes, size_t count, hg_buf *out)
{
    unsigned char piece[PIECE_BYTES];
    z_stream *z = &d->out;
    if (!d->packing &&
        deflateInit2(z, LEVEL, Z_DEFLATED, -d->server_bits, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return HG_ERROR_MEMORY;
    d->packing = true;
    z->next_in = (unsigned char *)bytes;
    z->avail_in = (uInt)count;
    do {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        int state = deflate(z, Z_SYNC_FLUSH);
        if (state != Z_OK && state != Z_BUF_ERROR) return HG_ERROR_STATE;
        hg_status status = hg_buf_append(out, piece, sizeof piece - z->avail_out);
        if (status) return status;
    } while (!z->avail_out);
    out->length -= sizeof tail; /* which the other side adds again */
    if (d->server_resets) deflateReset(z);
    return HG_OK;
}

/* All that z's input unpacks to. */
static hg_status unpack(z_stream *z, hg_buf *out)
{
    unsigned char piece[PIECE_BYTES];
    do {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        int state = inflate(z, Z_SYNC_FLUSH);
        if (state == Z_STREAM_END) inflateReset(z); /* a final block: the next begins anew */
        if (state == Z_MEM_ERROR) return HG_ERROR_MEMORY;
        if (state != Z_OK && state != Z_BUF_ERROR && state != Z_STREAM_END) return HG_ERROR_FORMAT;
        hg_status status = hg_buf_append(out, piece, sizeof piece - z->avail_out);
        if (status) return status;
    } while (!z->avail_out || z->avail_in);
    return HG_OK;
}

hg_status hg_deflate_unpack(hg_deflate *d, const void *bytes, size_t count, bool last, hg_buf *out)
{
    z_stream *z = &d->in;
    if (!d->unpacking && inflateInit2(z, -d->client_bits) != Z_OK) return HG_ERROR_MEMORY;
    d->unpacking = true;
    z->next_in = (unsigned char *)bytes;
    z->avail_in = (uInt)count;
    hg_status status = count ? unpack(z, out) : HG_OK;
    bool ended = !z->total_in; /* a final block was the last of it: to that no tail belongs */
    if (status || !last || ended) return status;
    z->next_in = (unsigned char *)tail;
    z->avail_in = sizeof tail;
    return unpack(z, out);
}

void hg_deflate_free(hg_deflate *d)
{
    if (d->packing) deflateEnd(&d->out);
    if (d->unpacking) inflateEnd(&d->in);
    *d = (hg_deflate){0};
}

/* ---- the extension ---- */

/* Of the handshake under way: the names are its answer. */
static struct lws_ext_options options[OPTIONS + 1];
static char answers[OPTIONS][40];

/* found: where libwebsockets looks for the options. */
static int construct(struct lws *wsi, const struct lws_ext_options **found)
{
    hg_deflate agreed;
    if (!hg_deflate_offered(wsi, &agreed)) return -1;
    for (int i = 0; i < OPTIONS; i++)
        options[i] = (struct lws_ext_options){option_names[i], EXTARG_NONE};
    snprintf(answers[SERVER_WINDOW], sizeof answers[0], "%s=%d", option_names[SERVER_WINDOW],
             agreed.server_bits);
    snprintf(answers[CLIENT_WINDOW], sizeof answers[0], "%s=%d", option_names[CLIENT_WINDOW],
             agreed.client_bits);
    *found = options;
    return 0;
}

static void meet_option(int option)
{
    if (option == SERVER_WINDOW || option == CLIENT_WINDOW) options[option].name = answers[option];
}

/* frame begins with its head. */
static void mark(const struct lws_tokens *frame)
{
    if ((frame->token[0] & 0x0f) == TEXT_OPCODE) frame->token[0] |= PACKED_BIT;
}

/* NOLINTNEXTLINE(readability-function-size): the seven parameters are libwebsockets' */
static int callback(struct lws_context *context, const struct lws_extension *extension,
                    struct lws *wsi, enum lws_extension_callback_reasons reason, void *user,
                    void *in, size_t count)
{
    (void)context, (void)extension, (void)user, (void)count;
    if (reason == LWS_EXT_CB_CONSTRUCT) return construct(wsi, in);
    if (reason == LWS_EXT_CB_OPTION_SET)
        meet_option(((const struct lws_ext_option_arg *)in)->option_index);
    if (reason == LWS_EXT_CB_PACKET_TX_PRESEND) mark(in);
    return 0;
}

const struct lws_extension hg_deflate_extensions[] = {{NAME, callback, NULL}, {0}};
