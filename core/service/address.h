/* address.h: which address we listen on and which names of it we answer to.
 *
 * Listening on loopback alone does not keep a web page of someone else out: a browser on this
 * machine connects from loopback too, and a name under the page's control may resolve to 127.0.0.1
 * (DNS rebinding). So each request must name in `Host` an address of ours with our port, as a
 * number (no page's owner chooses what a number resolves to), as localhost, or as an origin that
 * the operator allows; and if it comes from a page (`Origin`), a page of that host or an allowed
 * one.
 *
 * Pure functions: any thread.
 */
#ifndef HG_SERVICE_ADDRESS_H
#define HG_SERVICE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

#define HG_HOST_MAX 256 /* with its port; a name of DNS has at most 253 characters */

typedef struct hg_address {
    char host[64]; /* numeric: "127.0.0.1", "::1" */
    uint16_t port; /* 0: any free one */
    bool v6, loopback;
    bool tls; /* set by the service: https, port 443 where none is said */
} hg_address;

/* Reads "HOST:PORT": a number ([...] round one of IPv6) or localhost. HG_ERROR_ARGUMENT, naming
 * --listen, for anything else. */
hg_status hg_address_parse(const char *text, hg_address *out, hg_error *error) HG_CHECKED;

/* "http://127.0.0.1:8080/", or https, into out [size]. */
void hg_address_url(const hg_address *address, char *out, int size);

/* allowed: origins with commas between ("https://chat.example,http://10.0.0.7:3000"), or NULL.
 * HG_ERROR_ARGUMENT, naming --allow-origin, for what is no list of origins. */
hg_status hg_origins_check(const char *allowed, hg_error *error) HG_CHECKED;

/* Whether origin is one of them. */
bool hg_origin_listed(const char *allowed, const char *origin);

/* host is the value of `Host`: a name of address with its port (80, or 443, when it has none), or
 * the host of an allowed origin. */
bool hg_host_allowed(const hg_address *address, const char *allowed, const char *host);

/* origin is the value of `Origin`, host that of `Host`, which was allowed: a page of the same host,
 * on loopback a page of another name of it, or an allowed origin. */
bool hg_origin_allowed(const hg_address *address, const char *allowed, const char *host,
                       const char *origin);

#endif
