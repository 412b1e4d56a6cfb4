/* fuzz_fields.c: any bytes as a request's body: the first line is its Content-Type. Reading must
 * end, and give an object whose names and values are text, or a message that can be printed. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/service/fields.h"
#include "core/text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char type[160] = "";
    hg_error error;
    json_t *fields, *value;
    const char *name;
    const uint8_t *end = memchr(data, '\n', size);
    if (!end || (size_t)(end - data) >= sizeof type || size > HG_LIMIT_HTTP_BODY) return 0;
    memcpy(type, data, (size_t)(end - data));
    const char *body = (const char *)end + 1;
    if (hg_fields_read(type, body, size - (size_t)(body - (const char *)data), &fields, &error)) {
        assert(!fields && *error.message);
        return 0;
    }
    assert(json_is_object(fields));
    json_object_foreach(fields, name, value)
    {
        assert(hg_utf8_valid(name, strlen(name)) == strlen(name));
        if (json_is_string(value))
            assert(strlen(json_string_value(value)) == json_string_length(value));
    }
    json_decref(fields);
    return 0;
}
