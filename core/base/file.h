/* file.h: files and folders, read whole or mapped, written so that a crash leaves old or new. */
#ifndef HG_BASE_FILE_H
#define HG_BASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/error.h"

/* Which file it is, and when it last changed (mtime, ctime). */
typedef struct hg_file_id {
    uint64_t device, inode;
    int64_t modified_ns, changed_ns;
} hg_file_id;

/* A read-only mapping of a whole file. The file must not be truncated while it is mapped. */
typedef struct hg_mapping {
    const uint8_t *data; /* [size]; NULL for an empty file */
    size_t size;         /* bytes */
    hg_file_id id;
} hg_mapping;

hg_status hg_file_map(const char *path, hg_mapping *out, hg_error *error) HG_CHECKED;
void hg_file_unmap(hg_mapping *mapping);

/* Lets the pages that hold data [bytes] leave this process's memory, if data is part of the
 * mapping. They come again when they are read. */
void hg_file_release(const hg_mapping *mapping, const void *data, size_t bytes);

/* Appends the file to buf; HG_ERROR_LIMIT, naming the file, when it is larger than the buffer
 * may grow. */
hg_status hg_file_read(const char *path, hg_buf *buf, hg_error *error) HG_CHECKED;

/* Writes a new file beside path, syncs it, renames it over path and syncs the folder. */
hg_status hg_file_write(const char *path, const void *bytes, size_t count,
                        hg_error *error) HG_CHECKED;

/* Creates path and its parents (mode 0700 for what is new). */
hg_status hg_folder_make(const char *path, hg_error *error) HG_CHECKED;

/* Removes path and what is in it; links are removed, not followed. No such folder is fine. */
void hg_folder_remove(const char *path);

/* Makes the names in the folder safe from a power cut. */
hg_status hg_folder_sync(const char *path, hg_error *error) HG_CHECKED;

bool hg_file_exists(const char *path);

/* "folder/name" into out [size]; HG_ERROR_LIMIT when it does not fit. */
hg_status hg_path_join(char *out, size_t size, const char *folder, const char *name,
                       hg_error *error) HG_CHECKED;

#define HG_PATH_MAX   4096
#define HG_SHA256_HEX 65 /* 64 digits and the NUL */

/* SHA-256 of a file or of bytes, as lower-case hex into hex [HG_SHA256_HEX]. */
hg_status hg_file_sha256(const char *path, char *hex, hg_error *error) HG_CHECKED;
hg_status hg_sha256(const void *bytes, size_t count, char *hex, hg_error *error) HG_CHECKED;
/* The same of a mapped file, of which never more than a few MiB stay in memory. HG_ERROR_STATE soon
 * after *stop became true; stop may be NULL. */
hg_status hg_mapping_sha256(const hg_mapping *mapping, const atomic_bool *stop, char *hex,
                            hg_error *error) HG_CHECKED;

#endif
