/* error.h: how a call says that it failed.
 *
 * Every fallible function returns an hg_status, which must be checked, and fills an hg_error that
 * the caller owns (usually on its stack). The message is one sentence for the person who can mend
 * the cause: it names the file, the field or the flag, what was found, what was expected and what
 * to do. Nothing below core/cli ends the process.
 *
 *     hg_status hg_thing_open(const char *path, hg_thing **out, hg_error *error)
 *     {
 *         if (...) return hg_fail(error, HG_ERROR_FORMAT, "%s: header says ..., expected ...",
 * path);
 *     }
 */
#ifndef HG_BASE_ERROR_H
#define HG_BASE_ERROR_H

#include <stdarg.h>

typedef enum hg_status {
    HG_OK = 0,
    HG_ERROR_MEMORY,      /* an allocation failed */
    HG_ERROR_IO,          /* the operating system refused: open, read, write, socket, thread */
    HG_ERROR_FORMAT,      /* a file or message is not what its format demands */
    HG_ERROR_UNSUPPORTED, /* well-formed, but we cannot honour it; the message names it */
    HG_ERROR_LIMIT,       /* over a limit of limits.h; the message gives the limit */
    HG_ERROR_ARGUMENT,    /* a flag, field or parameter has a wrong value */
    HG_ERROR_NOT_FOUND,   /* no such file, plugin, language, row */
    HG_ERROR_STATE,       /* right call, wrong time: closed, full, busy, already there */
    HG_ERROR_DEVICE,      /* the compute device failed */
    HG_ERROR_DATABASE,    /* SQLite failed */
    HG_ERROR_CONFLICT,    /* somebody else changed it since the caller looked */
} hg_status;

#define HG_ERROR_MESSAGE_MAX 512

typedef struct hg_error {
    hg_status status;
    char message[HG_ERROR_MESSAGE_MAX]; /* UTF-8, no newline, always terminated */
} hg_error;

#define HG_CHECKED           __attribute__((warn_unused_result))
#define HG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fills *error (which may be NULL) and returns status, so that a failing function ends in one
 * line. A message that is too long is cut at a whole character. */
hg_status hg_fail(hg_error *error, hg_status status, const char *format, ...) HG_PRINTF(3, 4);

/* Puts "context: " before the message that *error already holds, and returns its status. */
hg_status hg_fail_within(hg_error *error, const char *format, ...) HG_PRINTF(2, 3);

/* For calls that go on after a failure and name every one: takes one problem; the error lives for
 * the call only. */
typedef void (*hg_problem_sink)(void *context, const hg_error *problem);

/* A short stable name for logs and JSON: "format", "limit", ... */
const char *hg_status_name(hg_status status);

#endif
