/* static.c: see static.h. */
#include "core/service/static.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/limits.h"

static const struct {
    const char *extension, *content_type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"json", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/plain; charset=utf-8"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"webp", "image/webp"},
    {"ico", "image/x-icon"},
    {"woff2", "font/woff2"},
};

static const char *content_type(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot + 1, types[i].extension) == 0) return types[i].content_type;
    return "application/octet-stream";
}

/* Absolute, no empty or hidden component (so no "." and ".."), no backslash, no control
 * character. */
static bool well_formed(const char *path)
{
    if (path[0] != '/') return false;
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == '\\') return false;
        if (*p == '/' && (p[1] == '.' || p[1] == '/')) return false;
    }
    return true;
}

/* Where root/path really is, every link followed; false when that is not inside root. */
static bool resolve(const char *root, const char *path, char *out)
{
    char joined[PATH_MAX], real_root[PATH_MAX];
    int count = snprintf(joined, sizeof joined, "%s%s", root, path);
    if (count < 0 || (size_t)count >= sizeof joined) return false;
    if (!realpath(root, real_root) || !realpath(joined, out)) return false;
    size_t length = strlen(real_root);
    struct stat info;
    return strncmp(out, real_root, length) == 0 && out[length] == '/' && !stat(out, &info) &&
           S_ISREG(info.st_mode);
}

hg_status hg_static_read(const char *root, const char *path, hg_static_file *out, hg_error *error)
{
    char real[PATH_MAX], digest[HG_SHA256_HEX];
    *out = (hg_static_file){.content = hg_buf_new(HG_LIMIT_WEB_FILE)};
    if (strcmp(path, "/") == 0) path = "/index.html";
    if (!well_formed(path) || !resolve(root, path, real))
        return hg_fail(error, HG_ERROR_NOT_FOUND, "no such page");
    hg_status status = hg_file_read(real, &out->content, error);
    if (status) return status;
    status = hg_sha256(hg_buf_text(&out->content), out->content.length, digest, error);
    if (status) return status;
    out->content_type = content_type(real);
    int count = snprintf(out->etag, sizeof out->etag, "\"%.16s\"", digest);
    assert(count == 18);
    (void)count;
    return HG_OK;
}
