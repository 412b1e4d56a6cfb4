/* codes.c: the table of codes.h as names and meanings. Constant data; any thread. */
#include "core/translate/codes.h"

#include <assert.h>
#include <stddef.h>

static const struct {
    const char *name, *meaning;
    int retry;
} code_row[] = {[HG_CODE_NONE] = {"", "", 0},
#define HG_CODE_ROW(name, retry, meaning) [HG_CODE_##name] = {#name, meaning, retry},
                HG_CODES(HG_CODE_ROW)
#undef HG_CODE_ROW
};

#define CODE_ROWS (sizeof code_row / sizeof code_row[0])

const char *hg_code_name(hg_code code)
{
    assert((size_t)code < CODE_ROWS);
    return code_row[code].name;
}

int hg_code_retry(hg_code code)
{
    assert((size_t)code < CODE_ROWS);
    return code_row[code].retry;
}

const char *hg_code_meaning(hg_code code)
{
    assert((size_t)code < CODE_ROWS);
    return code_row[code].meaning;
}
