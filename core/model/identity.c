/* identity.c: see identity.h. */
#include "core/model/identity.h"

#include <inttypes.h>

#include "core/base/clock.h"
#include "core/base/limits.h"

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
