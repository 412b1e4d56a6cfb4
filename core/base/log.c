/* log.c: format into a bounded line, write it once. */
#include "core/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/limits.h"

static _Atomic int max_level = HG_LOG_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void hg_log_set_level(hg_log_level level)
{
    max_level = (int)level;
}

hg_status hg_log_parse_level(const char *word, hg_log_level *out)
{
    for (int i = 0; i <= HG_LOG_DEBUG; i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *out = (hg_log_level)i;
            return HG_OK;
        }
    }
    return HG_ERROR_ARGUMENT;
}

void hg_log(hg_log_level level, const char *part, const char *format, ...)
{
    if ((int)level > max_level) return;
    char line[HG_LIMIT_LOG_LINE], date[HG_CLOCK_TEXT_MAX];
    hg_clock_format(hg_clock_wall_us(), date);
    int used = snprintf(line, sizeof line, "%s %-5s %s: ", date, level_names[level], part);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    size_t length = (size_t)used + (more > 0 ? (size_t)more : 0);
    if (length > sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* nowhere to report that the report failed */
}
