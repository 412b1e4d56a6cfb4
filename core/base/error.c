/* error.c: filling an hg_error. No state, no allocation. */
#include "core/base/error.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Ends s at a whole UTF-8 character: a message cut by vsnprintf may stop inside one. */
static void trim_to_character(char *s)
{
    size_t n = strlen(s), back = 0;
    while (back < n && back < 3 && ((unsigned char)s[n - 1 - back] & 0xC0) == 0x80) back++;
    if (back == n) return;
    unsigned char lead = (unsigned char)s[n - 1 - back];
    size_t want = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead >= 0xC0 && back < want) s[n - 1 - back] = '\0';
}

hg_status hg_fail(hg_error *error, hg_status status, const char *format, ...)
{
    assert(status != HG_OK);
    if (!error) return status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    trim_to_character(error->message);
    error->status = status;
    return status;
}

hg_status hg_fail_within(hg_error *error, const char *format, ...)
{
    assert(error && error->status != HG_OK);
    char context[HG_ERROR_MESSAGE_MAX], old[HG_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    memcpy(old, error->message, sizeof old);
    size_t used = strlen(context);
    memcpy(error->message, context, used);
    int room = (int)(sizeof error->message - used); /* at least 1: context ended in its NUL */
    snprintf(error->message + used, (size_t)room, ": %.*s", room, old);
    trim_to_character(error->message);
    return error->status;
}

const char *hg_status_name(hg_status status)
{
    static const char *const names[] = {
        [HG_OK] = "ok",
        [HG_ERROR_MEMORY] = "memory",
        [HG_ERROR_IO] = "io",
        [HG_ERROR_FORMAT] = "format",
        [HG_ERROR_UNSUPPORTED] = "unsupported",
        [HG_ERROR_LIMIT] = "limit",
        [HG_ERROR_ARGUMENT] = "argument",
        [HG_ERROR_NOT_FOUND] = "not_found",
        [HG_ERROR_STATE] = "state",
        [HG_ERROR_DEVICE] = "device",
        [HG_ERROR_DATABASE] = "database",
        [HG_ERROR_CONFLICT] = "conflict",
    };
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}
