/* xz.h: reads an xz-compressed golden whole, by libarchive. For tests only: it fails the test. */
#ifndef HG_TESTS_GOLDEN_XZ_H
#define HG_TESTS_GOLDEN_XZ_H

#include <archive.h>
#include <archive_entry.h>

#include "core/base/buf.h"

#define GOLDEN_MAX (64u << 20) /* bytes, uncompressed */

/* The content of the file; the caller frees it with hg_buf_free. */
static inline hg_buf golden_read_xz(const char *path)
{
    hg_buf buf = hg_buf_new(GOLDEN_MAX);
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    char piece[1 << 14];
    la_ssize_t got;
    assert_int_equal(archive_read_support_filter_xz(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_support_format_raw(archive), ARCHIVE_OK);
    if (archive_read_open_filename(archive, path, sizeof piece) != ARCHIVE_OK)
        fail_msg("%s: %s", path, archive_error_string(archive));
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    while ((got = archive_read_data(archive, piece, sizeof piece)) > 0)
        assert_int_equal(hg_buf_append(&buf, piece, (size_t)got), HG_OK);
    assert_int_equal(got, 0);
    archive_read_free(archive);
    return buf;
}

#endif
