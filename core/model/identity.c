/* identity.c: see identity.h. A kept fingerprint is a file of one line, named by the identity. */
#include "core/model/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/log.h"

#define HEAD_BYTES (64 << 10)

void hg_identity_start(hg_identity *identity)
{
    *identity = (hg_identity){
        .lines = hg_buf_new((HG_LIMIT_MODEL_SHARDS + 1) * (size_t)(HG_SHA256_HEX + 128))};
}

void hg_identity_free(hg_identity *identity)
{
    hg_buf_free(&identity->lines);
}

hg_status hg_identity_add(hg_identity *identity, const hg_mapping *file, hg_error *error)
{
    char hex[HG_SHA256_HEX];
    const hg_file_id *id = &file->id;
    size_t head = file->size < HEAD_BYTES ? file->size : HEAD_BYTES;
    hg_status status = hg_sha256(file->data, head, hex, error);
    if (status) return status;
    int64_t quiet_ns = hg_clock_wall_us() * 1000 - HG_IDENTITY_QUIET_S * INT64_C(1000000000);
    identity->fresh |= id->changed_ns > quiet_ns || id->modified_ns > quiet_ns;
    status =
        hg_buf_printf(&identity->lines, "%" PRIu64 " %" PRIu64 " %zu %" PRId64 " %" PRId64 " %s\n",
                      id->device, id->inode, file->size, id->modified_ns, id->changed_ns, hex);
    return status ? hg_fail(error, status, "no memory for a model's identity") : HG_OK;
}

hg_status hg_identity_add_text(hg_identity *identity, const char *path, hg_error *error)
{
    char hex[HG_SHA256_HEX];
    hg_status status = hg_file_sha256(path, hex, error);
    if (status) return status;
    status = hg_buf_printf(&identity->lines, "%s\n", hex);
    return status ? hg_fail(error, status, "no memory for a model's identity") : HG_OK;
}

hg_status hg_identity_finish(const hg_identity *identity, char *hex, hg_error *error)
{
    *hex = '\0';
    if (identity->fresh) return HG_OK;
    return hg_sha256(hg_buf_text(&identity->lines), identity->lines.length, hex, error);
}

/* ---- fingerprints ---- */

static bool make_path(const char *folder, const char *identity, char *path)
{
    if (!folder || !*identity) return false;
    int n = snprintf(path, HG_PATH_MAX, "%s/%s.fingerprint", folder, identity);
    return n < HG_PATH_MAX;
}

static bool is_fingerprint(const char *text, size_t length)
{
    const char *hex = text + strlen("sha256:");
    return length == strlen("sha256:") + HG_SHA256_HEX - 1 &&
           strncmp(text, "sha256:", strlen("sha256:")) == 0 &&
           strspn(hex, "0123456789abcdef") == HG_SHA256_HEX - 1;
}

bool hg_fingerprint_recall(const char *folder, const char *identity, char *fingerprint)
{
    char path[HG_PATH_MAX];
    hg_error error;
    hg_buf text = hg_buf_new(256);
    bool found = make_path(folder, identity, path) && hg_file_exists(path) &&
                 !hg_file_read(path, &text, &error) &&
                 is_fingerprint(hg_buf_text(&text), text.length);
    if (found) memcpy(fingerprint, hg_buf_text(&text), text.length + 1);
    hg_buf_free(&text);
    return found;
}

void hg_fingerprint_keep(const char *folder, const char *identity, const char *fingerprint)
{
    char path[HG_PATH_MAX];
    hg_error error = {0};
    if (make_path(folder, identity, path) &&
        hg_file_write(path, fingerprint, strlen(fingerprint), &error))
        hg_log(HG_LOG_WARN, "model", "its fingerprint is not kept: %s", error.message);
}
