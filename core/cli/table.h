/* table.h: aligned columns on a terminal. Wide (East Asian) characters count as two. */
#ifndef HG_CLI_TABLE_H
#define HG_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/error.h"

#define HG_TABLE_COLUMNS 16

typedef struct hg_table {
    const char *title[HG_TABLE_COLUMNS]; /* [columns]; a title that starts with '>' is of a column
                                          * of numbers, which stand to the right */
    int columns;
    char **cell; /* [cells] owned, row after row */
    size_t cells, room;
    bool failed; /* no memory: told at the end */
} hg_table;

/* titles end with NULL; at most HG_TABLE_COLUMNS. */
void hg_table_start(hg_table *table, const char *const *titles);
/* Adds the next cell of the row. */
void hg_table_cell(hg_table *table, const char *format, ...) HG_PRINTF(2, 3);
/* Prints everything and frees it; HG_ERROR_MEMORY when a cell got lost. */
hg_status hg_table_end(hg_table *table, FILE *out, hg_error *error) HG_CHECKED;

/* Columns that text (UTF-8) takes on a terminal. */
size_t hg_text_columns(const char *text);
/* Bytes of the longest start of text that fits into columns. */
size_t hg_text_fit(const char *text, size_t columns);

#endif
