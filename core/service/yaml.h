/* yaml.h: JSON as YAML in block style, for files that people read.
 *
 * Members keep their order. A text stands bare where YAML cannot take it for anything else, else in
 * double quotes with JSON's escapes, which YAML 1.2 shares. Any thread.
 */
#ifndef HG_SERVICE_YAML_H
#define HG_SERVICE_YAML_H

#include <jansson.h>

#include "core/base/buf.h"

/* value is an object or an array. */
hg_status hg_yaml_print(const json_t *value, hg_buf *out) HG_CHECKED;

#endif
