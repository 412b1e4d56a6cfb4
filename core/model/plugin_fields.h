/* plugin_fields.h: plugin.json's fields: one table, by which a file is checked and the JSON Schema
 * (docs/plugin.schema.json) printed. */
#ifndef HG_MODEL_PLUGIN_FIELDS_H
#define HG_MODEL_PLUGIN_FIELDS_H

#include "core/base/buf.h"
#include "core/model/json.h"

/* Gives sink each field that is not as it must be, in the table's order. */
void hg_plugin_fields_check(const hg_json *at, hg_problem_sink sink, void *context);

/* Appends the JSON Schema (draft 2020-12). */
hg_status hg_plugin_schema_print(hg_buf *out) HG_CHECKED;

#endif
