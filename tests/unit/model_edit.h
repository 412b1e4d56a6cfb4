/* model_edit.h: a JSON file of a model with one field changed. */
#ifndef HG_TESTS_MODEL_EDIT_H
#define HG_TESTS_MODEL_EDIT_H

#include "tests/unit/model_fixture.h"

/* Copies folder from's JSON file name with the field at path ("a.b") set to the JSON text value;
 * value NULL deletes it. */
static inline void copy_json(const char *from, const char *to, const char *name, const char *field,
                             const char *value)
{
    size_t size;
    char *bytes = (char *)read_bytes(from, name, &size), copy[256], *part = copy, *dot;
    json_t *root = json_loadb(bytes, size, 0, NULL), *at = root;
    assert_non_null(root);
    snprintf(copy, sizeof copy, "%s", field);
    for (; (dot = strchr(part, '.')); part = dot + 1) {
        *dot = 0;
        at = json_object_get(at, part);
        assert_non_null(at);
    }
    if (value)
        json_object_set_new(at, part, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(at, part);
    char *text = json_dumps(root, 0);
    write_text(to, name, text);
    free(text);
    free(bytes);
    json_decref(root);
}

#endif
