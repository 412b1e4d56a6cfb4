/* log.h: one line an event, to standard error.
 *
 *     2026-01-31T23:59:59.123Z info  service: listening on 127.0.0.1:8080
 *
 * Any thread may log; a line is written by one write(2), so lines never mix. User text is never
 * logged unless the operator says --log-text.
 */
#ifndef HG_BASE_LOG_H
#define HG_BASE_LOG_H

#include "core/base/error.h"

typedef enum hg_log_level { HG_LOG_ERROR, HG_LOG_WARN, HG_LOG_INFO, HG_LOG_DEBUG } hg_log_level;

/* Lines above this level are dropped. The default is HG_LOG_INFO. */
void hg_log_set_level(hg_log_level level);

/* "error", "warn", "info", "debug" to a level; HG_ERROR_ARGUMENT for another word. */
hg_status hg_log_parse_level(const char *word, hg_log_level *out) HG_CHECKED;

/* part names the room: "engine", "service", "db". */
void hg_log(hg_log_level level, const char *part, const char *format, ...) HG_PRINTF(3, 4);

#endif
