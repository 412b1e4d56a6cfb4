/* plugin_files.c: see plugin_files.h. What fails here is the test's own fault: abort. */
#include "tests/support/plugin_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"

static void need(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "plugin_files: %s\n", what);
    abort();
}

packed_file *packed_add(packed_files *files, const char *path, const void *bytes, size_t size)
{
    need(files->count < 16, "too many files");
    packed_file *file = &files->file[files->count++];
    *file = (packed_file){.bytes = calloc(1, size + 1), .size = size};
    need(file->bytes != NULL, "no memory");
    snprintf(file->path, sizeof file->path, "%s", path);
    if (bytes && size) memcpy(file->bytes, bytes, size);
    return file;
}

packed_file *packed_add_text(packed_files *files, const char *path, const char *text)
{
    return packed_add(files, path, text, strlen(text));
}

void packed_load(packed_files *files, const char *folder)
{
    static const char *const names[] = {"plugin.json", "adapter_config.json",
                                        "adapter_model.safetensors", "validation.tsv",
                                        "training.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[HG_PATH_MAX];
        hg_error error;
        hg_buf bytes = hg_buf_new(64 << 20);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!hg_file_read(path, &bytes, &error))
            packed_add(files, names[i], bytes.data, bytes.length);
        hg_buf_free(&bytes);
    }
}

packed_file *packed_find(packed_files *files, const char *path)
{
    for (int i = 0; i < files->count; i++)
        if (strcmp(files->file[i].path, path) == 0) return &files->file[i];
    need(0, path);
    return NULL;
}

void packed_drop(packed_files *files, const char *path)
{
    packed_file *file = packed_find(files, path);
    free(file->bytes);
    *file = files->file[--files->count];
}

void packed_free(packed_files *files)
{
    for (int i = 0; i < files->count; i++) free(files->file[i].bytes);
    files->count = 0;
}

static int ends(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && strcmp(path + length - tail, end) == 0;
}

static struct archive *writer_for(const char *path)
{
    struct archive *out = archive_write_new();
    need(out != NULL, "no memory");
    if (ends(path, ".zip"))
        archive_write_set_format_zip(out);
    else
        archive_write_set_format_pax_restricted(out);
    if (ends(path, ".gz")) archive_write_add_filter_gzip(out);
    if (ends(path, ".zst")) archive_write_add_filter_zstd(out);
    if (ends(path, ".xz")) archive_write_add_filter_xz(out);
    if (ends(path, ".xz")) archive_write_set_options(out, "compression-level=0");
    need(archive_write_open_filename(out, path) == ARCHIVE_OK, path);
    return out;
}

void packed_write(const packed_files *files, const char *around, const char *path)
{
    struct archive *out = writer_for(path);
    for (int i = 0; i < files->count; i++) {
        char name[640];
        const packed_file *file = &files->file[i];
        struct archive_entry *entry = archive_entry_new();
        snprintf(name, sizeof name, "%s%s", around, file->path);
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)file->size);
        need(archive_write_header(out, entry) == ARCHIVE_OK, archive_error_string(out));
        need(archive_write_data(out, file->bytes, file->size) == (la_ssize_t)file->size, name);
        archive_entry_free(entry);
    }
    need(archive_write_close(out) == ARCHIVE_OK, path);
    archive_write_free(out);
}

void packed_write_folder(const packed_files *files, const char *folder)
{
    need(mkdir(folder, 0700) == 0, folder);
    for (int i = 0; i < files->count; i++) {
        char path[HG_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, files->file[i].path);
        FILE *to = fopen(path, "wb");
        need(to && fwrite(files->file[i].bytes, 1, files->file[i].size, to) == files->file[i].size,
             path);
        need(fclose(to) == 0, path);
    }
}
