/* lines.c: see lines.h. */
#include "core/cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/base/limits.h"

#define PIECE (1 << 16) /* bytes read at once: the size of a pipe */

hg_status hg_lines_open(hg_lines *lines, const char *text, const char *path, hg_error *error)
{
    *lines = (hg_lines){.fd = -1, .name = "standard input"};
    if (text) {
        lines->end = true;
        lines->name = "TEXT";
        lines->buf = hg_buf_new(strlen(text) + 1);
        hg_status status = hg_buf_append_text(&lines->buf, text);
        return status ? hg_fail(error, status, "TEXT: out of memory") : HG_OK;
    }
    lines->buf = hg_buf_new(HG_LIMIT_FRAME + PIECE);
    lines->fd = STDIN_FILENO;
    if (!path) return HG_OK;
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    lines->own = lines->fd >= 0;
    lines->name = path;
    if (lines->fd >= 0) return HG_OK;
    return hg_fail(error, HG_ERROR_ARGUMENT, "--file: %s: %s", path, strerror(errno));
}

void hg_lines_close(hg_lines *lines)
{
    if (lines->own) close(lines->fd);
    hg_buf_free(&lines->buf);
}

/* Reads one piece. HG_LINE_GOT: something came, or the end. */
static hg_line read_piece(hg_lines *lines, bool wait, hg_error *error)
{
    char piece[PIECE];
    struct pollfd ready = {.fd = lines->fd, .events = POLLIN};
    if (!wait && poll(&ready, 1, 0) == 0) return HG_LINE_LATER;
    ssize_t got = read(lines->fd, piece, sizeof piece);
    if (got < 0 && errno == EINTR) return HG_LINE_LATER;
    if (got < 0) {
        hg_fail(error, HG_ERROR_IO, "%s: cannot read: %s", lines->name, strerror(errno));
        return HG_LINE_FAILED;
    }
    lines->end = got == 0;
    if (hg_buf_append(&lines->buf, piece, (size_t)got) == HG_OK) return HG_LINE_GOT;
    hg_fail(error, HG_ERROR_MEMORY, "%s: out of memory", lines->name);
    return HG_LINE_FAILED;
}

/* Takes count bytes and the skip bytes after them off the front. */
static hg_line take(hg_lines *lines, size_t count, size_t skip, hg_buf *out, hg_error *error)
{
    const char *data = hg_buf_text(&lines->buf);
    size_t keep = count && data[count - 1] == '\r' ? count - 1 : count;
    bool was_skipping = lines->skipping;
    lines->skipping = false;
    hg_buf_clear(out);
    hg_status status = was_skipping ? HG_OK : hg_buf_append(out, data, keep);
    hg_buf_consume(&lines->buf, count + skip);
    if (was_skipping || status == HG_ERROR_LIMIT) return HG_LINE_TOO_LONG;
    if (status == HG_OK) return HG_LINE_GOT;
    hg_fail(error, status, "%s: out of memory", lines->name);
    return HG_LINE_FAILED;
}

hg_line hg_lines_next(hg_lines *lines, bool wait, hg_buf *out, hg_error *error)
{
    for (;;) {
        const char *data = hg_buf_text(&lines->buf);
        const char *newline = memchr(data, '\n', lines->buf.length);
        if (newline) return take(lines, (size_t)(newline - data), 1, out, error);
        if (lines->end && !lines->buf.length && !lines->skipping) return HG_LINE_END;
        if (lines->end) return take(lines, lines->buf.length, 0, out, error);
        if (lines->buf.length > HG_LIMIT_FRAME) {
            lines->skipping = true;
            hg_buf_clear(&lines->buf);
        }
        hg_line got = read_piece(lines, wait, error);
        if (got != HG_LINE_GOT && !(wait && got == HG_LINE_LATER)) return got;
    }
}
