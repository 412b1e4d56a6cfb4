/* address.h: which addresses we listen on and which callers we believe to be ours.
 *
 * Until tokens exist the service listens on loopback only. That alone does not keep a web page of
 * someone else out: a browser on this machine connects from loopback too, and a name under the
 * page's control may resolve to 127.0.0.1 (DNS rebinding). So each request must name a loopback
 * host with our port in `Host`, and if it comes from a page (`Origin`), a page of ours.
 *
 * Pure functions: any thread.
 */
#ifndef HG_SERVICE_ADDRESS_H
#define HG_SERVICE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

#define HG_HOST_MAX 64

typedef struct hg_address {
    char host[HG_HOST_MAX]; /* numeric: "127.0.0.1", "::1" */
    uint16_t port;          /* 0: any free one */
    bool v6;
} hg_address;

/* Reads "HOST:PORT": 127.x.y.z, [::1] or localhost. HG_ERROR_ARGUMENT, naming --listen, for
 * anything else. */
hg_status hg_address_parse(const char *text, hg_address *out, hg_error *error) HG_CHECKED;

/* "http://127.0.0.1:8080/" into out [size]. */
void hg_address_url(const hg_address *address, char *out, int size);

/* host is the value of `Host`: a loopback name or address with this port (80 when it has none). */
bool hg_host_allowed(const char *host, uint16_t port);

/* origin is the value of `Origin`: "http://" and such a host. */
bool hg_origin_allowed(const char *origin, uint16_t port);

#endif
