/* unpack.h: a folder's or an archive's files into the stage, by the rules of incoming.h. */
#ifndef HG_PLUGINS_UNPACK_H
#define HG_PLUGINS_UNPACK_H

#include "core/plugins/incoming.h"

/* What is wrong with the archive is noted, all of it unless the rest cannot be read; an error is
 * ours (disk, memory). libarchive reads tar (plain, gzip, zstd, xz) and zip, and only those. */
hg_status hg_unpack_archive(const char *path, hg_incoming *in, hg_error *error) HG_CHECKED;

/* Links to files are followed: who names a folder reads it as himself. */
hg_status hg_unpack_folder(const char *path, hg_incoming *in, hg_error *error) HG_CHECKED;

#endif
