/* address.c: see address.h. */
#include "core/service/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decimal digits only, up to 65535; -1 otherwise. */
static int parse_port(const char *text)
{
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length > 5 || text[length]) return -1;
    long port = strtol(text, NULL, 10);
    return port <= UINT16_MAX ? (int)port : -1;
}

/* Cuts "host", "host:port", "[v6]" or "[v6]:port" in two. *port is -1 without one, -2 when it is
 * malformed. */
static bool split(const char *text, char *host, int *port)
{
    bool bracket = text[0] == '[';
    const char *start = text + bracket;
    const char *end = bracket ? strchr(start, ']') : strchrnul(start, ':');
    if (!end || end == start || end - start >= HG_HOST_MAX) return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    const char *rest = end + bracket;
    if (*rest && *rest != ':') return false;
    *port = *rest ? parse_port(rest + 1) : -1;
    if (*rest && *port < 0) *port = -2;
    return true;
}

static bool is_loopback_v4(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_loopback_v6(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, host, &address) == 1 && IN6_IS_ADDR_LOOPBACK(&address);
}

hg_status hg_address_parse(const char *text, hg_address *out, hg_error *error)
{
    int port;
    *out = (hg_address){0};
    if (!split(text, out->host, &port) || port < 0)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--listen %s: expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                       text);
    out->port = (uint16_t)port;
    if (strcasecmp(out->host, "localhost") == 0) memcpy(out->host, "127.0.0.1", sizeof "127.0.0.1");
    out->v6 = is_loopback_v6(out->host);
    if (!out->v6 && !is_loopback_v4(out->host))
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--listen %s: not a loopback address; without access tokens this service "
                       "listens on 127.0.0.0/8, [::1] or localhost only",
                       text);
    return HG_OK;
}

void hg_address_url(const hg_address *address, char *out, int size)
{
    const char *format = address->v6 ? "http://[%s]:%u/" : "http://%s:%u/";
    snprintf(out, (size_t)size, format, address->host, address->port);
}

bool hg_host_allowed(const char *host, uint16_t port)
{
    char name[HG_HOST_MAX];
    int found;
    if (!split(host, name, &found) || found == -2) return false;
    if (found == -1) found = 80;
    if (found != port) return false;
    return strcasecmp(name, "localhost") == 0 || is_loopback_v4(name) || is_loopback_v6(name);
}

bool hg_origin_allowed(const char *origin, uint16_t port)
{
    static const char scheme[] = "http://";
    if (strncasecmp(origin, scheme, sizeof scheme - 1) != 0) return false;
    return hg_host_allowed(origin + sizeof scheme - 1, port);
}
