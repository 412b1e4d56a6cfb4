/* table.c: see table.h. Widths are those of Unicode's East Asian Width property (UAX #11). */
#include "core/cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

static size_t width_of(UChar32 c)
{
    if (c < 0) return 1; /* a broken byte shows as one mark */
    int8_t type = u_charType(c);
    if (type == U_NON_SPACING_MARK || type == U_ENCLOSING_MARK || type == U_FORMAT_CHAR ||
        type == U_CONTROL_CHAR)
        return 0;
    int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
    return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

size_t hg_text_fit(const char *text, size_t columns)
{
    int32_t i = 0, end = (int32_t)strlen(text);
    size_t used = 0;
    while (i < end) {
        int32_t next = i;
        UChar32 c;
        U8_NEXT((const uint8_t *)text, next, end, c);
        used += width_of(c);
        if (used > columns) break;
        i = next;
    }
    return (size_t)i;
}

size_t hg_text_columns(const char *text)
{
    int32_t i = 0, end = (int32_t)strlen(text);
    size_t used = 0;
    while (i < end) {
        UChar32 c;
        U8_NEXT((const uint8_t *)text, i, end, c);
        used += width_of(c);
    }
    return used;
}

void hg_table_start(hg_table *table, const char *const *titles)
{
    *table = (hg_table){0};
    while (titles[table->columns]) {
        assert(table->columns < HG_TABLE_COLUMNS);
        table->title[table->columns] = titles[table->columns];
        table->columns++;
    }
}

static bool make_room(hg_table *table)
{
    if (table->cells < table->room) return true;
    size_t room = table->room ? 2 * table->room : 64;
    char **cell = realloc(table->cell, room * sizeof *cell);
    if (!cell) return false;
    table->cell = cell;
    table->room = room;
    return true;
}

void hg_table_cell(hg_table *table, const char *format, ...)
{
    char *text = NULL;
    if (table->failed) return;
    va_list args;
    va_start(args, format);
    if (!make_room(table) || vasprintf(&text, format, args) < 0)
        table->failed = true;
    else
        table->cell[table->cells++] = text;
    va_end(args);
}

static void print_padded(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t used = hg_text_columns(text);
    int pad = (int)(width > used ? width - used : 0);
    if (right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

hg_status hg_table_end(hg_table *table, FILE *out, hg_error *error)
{
    size_t width[HG_TABLE_COLUMNS] = {0};
    int columns = table->columns;
    assert(columns > 0 && (table->failed || table->cells % (size_t)columns == 0));
    for (int c = 0; c < columns; c++)
        width[c] = hg_text_columns(table->title[c]) - (table->title[c][0] == '>');
    for (size_t i = 0; i < table->cells; i++) {
        size_t w = hg_text_columns(table->cell[i]);
        if (w > width[i % (size_t)columns]) width[i % (size_t)columns] = w;
    }
    for (int c = 0; c < columns; c++) {
        bool right = table->title[c][0] == '>';
        print_padded(out, table->title[c] + right, width[c], right, c == columns - 1);
    }
    for (size_t i = 0; i < table->cells; i++) {
        int c = (int)(i % (size_t)columns);
        print_padded(out, table->cell[i], width[c], table->title[c][0] == '>', c == columns - 1);
        free(table->cell[i]);
    }
    free(table->cell);
    bool failed = table->failed;
    *table = (hg_table){0};
    return failed ? hg_fail(error, HG_ERROR_MEMORY, "out of memory") : HG_OK;
}
