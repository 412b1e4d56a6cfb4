/* tls.c: see tls.h. */
#include "core/service/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"

#define SOON_DAYS 14

/* A key with a password is refused: nobody is there to be asked. */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)out, (void)size, (void)writing, (void)context;
    return 0;
}

/* What OpenSSL says went wrong last. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "it is damaged";
}

static hg_status check_readable(const char *flag, const char *path, hg_error *error)
{
    char first;
    FILE *file = fopen(path, "rb");
    bool good = file && fread(&first, 1, 1, file) == 1;
    int problem = errno;
    bool empty = file && !good && feof(file);
    if (file) fclose(file);
    if (good) return HG_OK;
    return hg_fail(error, HG_ERROR_IO, "%s %s: %s", flag, path,
                   empty ? "the file is empty" : strerror(problem));
}

/* The days until then; negative: past. */
static int days_until(const ASN1_TIME *then)
{
    int days = 0, seconds = 0;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, then)) return -1;
    return days ? days : seconds < 0 ? -1 : 0;
}

static hg_status check_dates(const X509 *certificate, const char *path, hg_error *error)
{
    int left = days_until(X509_get0_notAfter(certificate));
    if (left < 0)
        return hg_fail(error, HG_ERROR_STATE, "--tls-cert %s: the certificate has expired", path);
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return hg_fail(error, HG_ERROR_STATE, "--tls-cert %s: the certificate is not valid yet",
                       path);
    if (left < SOON_DAYS)
        hg_log(HG_LOG_WARN, "service", "--tls-cert %s: the certificate expires in %d days", path,
               left);
    return HG_OK;
}

/* Reads both into a context. */
static hg_status load(SSL_CTX *tls, const char *cert_path, const char *key_path, hg_error *error)
{
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(tls, no_password);
    if (SSL_CTX_use_certificate_chain_file(tls, cert_path) != 1)
        return hg_fail(error, HG_ERROR_FORMAT, "--tls-cert %s: not a PEM certificate (%s)",
                       cert_path, reason());
    int used = SSL_CTX_use_PrivateKey_file(tls, key_path, SSL_FILETYPE_PEM);
    if (used == 1 && SSL_CTX_check_private_key(tls) == 1) return HG_OK;
    int code = ERR_GET_REASON(ERR_peek_last_error());
    if (code == X509_R_KEY_VALUES_MISMATCH || code == X509_R_KEY_TYPE_MISMATCH)
        return hg_fail(error, HG_ERROR_FORMAT, "--tls-key %s: not the key of --tls-cert %s",
                       key_path, cert_path);
    return hg_fail(error, HG_ERROR_FORMAT,
                   "--tls-key %s: not a PEM private key without a password (%s)", key_path,
                   reason());
}

/* Both files, checked, as a new context. */
static hg_status open_files(const char *cert_path, const char *key_path, SSL_CTX **out,
                            hg_error *error)
{
    if (!cert_path || !key_path)
        return hg_fail(error, HG_ERROR_ARGUMENT, "%s is given without %s; TLS needs both",
                       cert_path ? "--tls-cert" : "--tls-key",
                       cert_path ? "--tls-key" : "--tls-cert");
    hg_status status = check_readable("--tls-cert", cert_path, error);
    if (!status) status = check_readable("--tls-key", key_path, error);
    if (status) return status;
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made) return hg_fail(error, HG_ERROR_MEMORY, "no memory for TLS");
    status = load(made, cert_path, key_path, error);
    if (!status) status = check_dates(SSL_CTX_get0_certificate(made), cert_path, error);
    ERR_clear_error();
    if (status)
        SSL_CTX_free(made);
    else
        *out = made;
    return status;
}

hg_status hg_tls_check(const char *cert_path, const char *key_path, hg_error *error)
{
    SSL_CTX *trial = NULL;
    if (!cert_path && !key_path) return HG_OK;
    hg_status status = open_files(cert_path, key_path, &trial, error);
    SSL_CTX_free(trial);
    return status;
}

/* In each handshake: what the connection shows is fresh's and nothing else. */
static int give(SSL *connection, void *context)
{
    SSL_CTX *fresh = context;
    STACK_OF(X509) *chain = NULL;
    SSL_certs_clear(connection);
    return SSL_CTX_get0_chain_certs(fresh, &chain) == 1 &&
           SSL_use_cert_and_key(connection, SSL_CTX_get0_certificate(fresh),
                                SSL_CTX_get0_privatekey(fresh), chain, 1) == 1;
}

hg_status hg_tls_use(SSL_CTX *tls, SSL_CTX **fresh, const char *cert_path, const char *key_path,
                     hg_error *error)
{
    SSL_CTX *next = NULL;
    hg_status status = open_files(cert_path, key_path, &next, error);
    if (status) return status;
    SSL_CTX_free(*fresh);
    *fresh = next;
    SSL_CTX_set_cert_cb(tls, give, next);
    return HG_OK;
}

void hg_tls_settle(SSL_CTX *tls)
{
    if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1)
        hg_log(HG_LOG_ERROR, "service", "the least version of TLS could not be set");
}
