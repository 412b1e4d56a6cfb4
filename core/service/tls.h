/* tls.h: certificate and key of the service's own TLS, checked before they are used.
 *
 * Files are PEM: the certificate with its chain behind it, the key without a password.
 * libwebsockets makes the context and speaks TLS. Files that are read anew are a context of their
 * own, whose certificate and key each further handshake takes: open connections keep what they
 * began with, and nothing of the old ones stays, as it would in one context for another kind of
 * key.
 *
 * Service thread only, but for hg_tls_check.
 */
#ifndef HG_SERVICE_TLS_H
#define HG_SERVICE_TLS_H

#include <openssl/ssl.h>

#include "core/base/error.h"

/* Whether these can be served: HG_ERROR_ARGUMENT when one is missing, else the error names the
 * flag, the file and what is wrong: not there, not readable, not PEM, of another key, expired, not
 * valid yet. Logs a warning when they expire soon. Both NULL: no TLS, which is well. Any thread. */
hg_status hg_tls_check(const char *cert_path, const char *key_path, hg_error *error) HG_CHECKED;

/* Checks them and serves new connections of tls with them; after an error with those it had. *fresh
 * holds them: NULL at first, then what the last call left there; the caller frees it after tls. */
hg_status hg_tls_use(SSL_CTX *tls, SSL_CTX **fresh, const char *cert_path, const char *key_path,
                     hg_error *error) HG_CHECKED;

/* Settles what libwebsockets leaves open in its new context: TLS 1.2 at least. */
void hg_tls_settle(SSL_CTX *tls);

#endif
