/* plugin_files.h: files of a plugin in memory, packed as folders and archives by libarchive's
 * writer. */
#ifndef HG_TESTS_PLUGIN_FILES_H
#define HG_TESTS_PLUGIN_FILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct packed_file {
    char path[320];
    uint8_t *bytes; /* [size] owned */
    size_t size;
} packed_file;

typedef struct packed_files {
    packed_file file[16];
    int count;
} packed_files;

/* Adds a copy; NULL bytes: as many zeros. */
packed_file *packed_add(packed_files *files, const char *path, const void *bytes, size_t size);
packed_file *packed_add_text(packed_files *files, const char *path, const char *text);
/* Adds those of a plugin's folder that have a meaning. */
void packed_load(packed_files *files, const char *folder);
packed_file *packed_find(packed_files *files, const char *path);
void packed_drop(packed_files *files, const char *path);
void packed_free(packed_files *files);

/* Writes an archive by the ending of its path: .tar, .tar.gz, .tar.zst, .tar.xz, .zip. around: a
 * folder put around the files, "x/", or "". */
void packed_write(const packed_files *files, const char *around, const char *path);
/* Writes them as a folder, which is made. */
void packed_write_folder(const packed_files *files, const char *folder);

#endif
