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

/* What a number means as an address. */
static bool parse_number(const char *host, bool *v6, bool *loopback)
{
    struct in_addr four;
    struct in6_addr six;
    *v6 = inet_pton(AF_INET6, host, &six) == 1;
    if (*v6) *loopback = IN6_IS_ADDR_LOOPBACK(&six);
    if (*v6) return true;
    if (inet_pton(AF_INET, host, &four) != 1) return false;
    *loopback = ntohl(four.s_addr) >> 24 == 127;
    return true;
}

hg_status hg_address_parse(const char *text, hg_address *out, hg_error *error)
{
    int port;
    char host[HG_HOST_MAX];
    *out = (hg_address){0};
    if (!split(text, host, &port) || port < 0)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--listen %s: expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                       text);
    if (strcasecmp(host, "localhost") == 0) memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
    if (!parse_number(host, &out->v6, &out->loopback) || strlen(host) >= sizeof out->host)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--listen %s: not an address; expected a number such as 127.0.0.1, 0.0.0.0 "
                       "or [::], or localhost",
                       text);
    out->port = (uint16_t)port;
    memcpy(out->host, host, strlen(host) + 1);
    return HG_OK;
}

void hg_address_url(const hg_address *address, char *out, int size)
{
    const char *format = address->v6 ? "%s://[%s]:%u/" : "%s://%s:%u/";
    const char *scheme = address->tls ? "https" : "http";
    snprintf(out, (size_t)size, format, scheme, address->host, address->port);
}

/* ---- origins ---- */

/* Where the host of "http://host" begins; NULL for another scheme. */
static const char *host_of(const char *origin)
{
    if (strncasecmp(origin, "http://", 7) == 0) return origin + 7;
    if (strncasecmp(origin, "https://", 8) == 0) return origin + 8;
    return NULL;
}

/* Copies the entry of the list at *at into out and moves *at behind it; false at the end. */
static bool next_origin(const char **at, char *out, size_t size)
{
    if (!*at || !**at) return false;
    *at += strspn(*at, " ");
    size_t count = strcspn(*at, ", ");
    snprintf(out, size, "%.*s", (int)(count < size ? count : size - 1), *at);
    *at += count;
    *at += strspn(*at, ", ");
    return true;
}

hg_status hg_origins_check(const char *allowed, hg_error *error)
{
    char one[HG_HOST_MAX + 16], host[HG_HOST_MAX];
    int port;
    while (next_origin(&allowed, one, sizeof one)) {
        const char *start = host_of(one);
        bool good = start && split(start, host, &port) && port != -2 && !strpbrk(start, "/?#@*");
        if (!good)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "--allow-origin: \"%s\" is not an origin such as "
                           "https://chat.example.org",
                           one);
    }
    return HG_OK;
}

bool hg_origin_listed(const char *allowed, const char *origin)
{
    char one[HG_HOST_MAX + 16];
    while (next_origin(&allowed, one, sizeof one))
        if (strcasecmp(one, origin) == 0) return true;
    return false;
}

/* ---- who is called, who calls ---- */

static bool is_listed_host(const char *allowed, const char *host)
{
    char one[HG_HOST_MAX + 16];
    while (next_origin(&allowed, one, sizeof one))
        if (strcasecmp(host_of(one), host) == 0) return true;
    return false;
}

/* A number or localhost, with our port. */
static bool is_own_host(const hg_address *address, const char *host)
{
    char name[HG_HOST_MAX];
    int found;
    bool v6, loopback = false;
    if (!split(host, name, &found) || found == -2) return false;
    if (found == -1) found = address->tls ? 443 : 80;
    if (found != address->port) return false;
    if (strcasecmp(name, "localhost") == 0) return true;
    return parse_number(name, &v6, &loopback) && (loopback || !address->loopback);
}

bool hg_host_allowed(const hg_address *address, const char *allowed, const char *host)
{
    return is_own_host(address, host) || is_listed_host(allowed, host);
}

bool hg_origin_allowed(const hg_address *address, const char *allowed, const char *host,
                       const char *origin)
{
    const char *from = host_of(origin);
    if (!from) return false;
    if (hg_origin_listed(allowed, origin) || strcasecmp(from, host) == 0) return true;
    bool https = strncasecmp(origin, "https://", 8) == 0;
    return address->loopback && https == address->tls && is_own_host(address, from);
}
