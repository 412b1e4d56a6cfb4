/* buf.c: growth by doubling, from 64 bytes, never past the maximum. */
#include "core/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hg_buf hg_buf_new(size_t maximum)
{
    assert(maximum < SIZE_MAX / 4);
    return (hg_buf){.maximum = maximum};
}

void hg_buf_free(hg_buf *buf)
{
    free(buf->data);
    *buf = hg_buf_new(buf->maximum);
}

void hg_buf_clear(hg_buf *buf)
{
    buf->length = 0;
    if (buf->data) buf->data[0] = '\0';
}

/* Makes room for count more bytes and the final NUL. */
static hg_status reserve(hg_buf *buf, size_t count)
{
    if (count > buf->maximum - buf->length) return HG_ERROR_LIMIT;
    size_t need = buf->length + count + 1;
    if (need <= buf->capacity) return HG_OK;
    size_t capacity = buf->capacity ? buf->capacity : 64;
    while (capacity < need) capacity *= 2;
    char *data = realloc(buf->data, capacity);
    if (!data) return HG_ERROR_MEMORY;
    buf->data = data;
    buf->capacity = capacity;
    return HG_OK;
}

hg_status hg_buf_append(hg_buf *buf, const void *bytes, size_t count)
{
    hg_status status = reserve(buf, count);
    if (status) return status;
    if (count) memcpy(buf->data + buf->length, bytes, count);
    buf->length += count;
    buf->data[buf->length] = '\0';
    return HG_OK;
}

hg_status hg_buf_append_text(hg_buf *buf, const char *text)
{
    return hg_buf_append(buf, text, strlen(text));
}

hg_status hg_buf_printf(hg_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    va_end(args);
    hg_status status = count < 0 ? HG_ERROR_FORMAT : reserve(buf, (size_t)count);
    if (!status) {
        vsnprintf(buf->data + buf->length, (size_t)count + 1, format, again);
        buf->length += (size_t)count;
    }
    va_end(again);
    return status;
}

void hg_buf_consume(hg_buf *buf, size_t count)
{
    assert(count <= buf->length);
    if (!count) return;
    memmove(buf->data, buf->data + count, buf->length - count + 1);
    buf->length -= count;
}

const char *hg_buf_text(const hg_buf *buf)
{
    return buf->data ? buf->data : "";
}
