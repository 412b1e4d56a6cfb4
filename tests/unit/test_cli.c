/* test_cli.c: what the commands stand on: columns, the progress line, lines of input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/cli/lines.h"
#include "core/cli/progress.h"
#include "core/cli/table.h"

static void widths_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(hg_text_columns("abc"), 3);
    assert_int_equal(hg_text_columns("日本"), 4);
    assert_int_equal(hg_text_columns("e\xCC\x81"), 1); /* e and a combining acute */
    assert_int_equal(hg_text_columns("русский"), 7);
    assert_int_equal(hg_text_fit("日本", 3), 3);
    assert_int_equal(hg_text_fit("日本", 4), 6);
    assert_int_equal(hg_text_fit("ab", 9), 2);
}

static void columns_are_aligned(void **state)
{
    (void)state;
    static const char *const titles[] = {"name", ">n", "last", NULL};
    char *text = NULL;
    size_t size = 0;
    hg_error error;
    hg_table table;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    hg_table_start(&table, titles);
    static const char *const names[] = {"日本語", "de"};
    for (int i = 0; i < 2; i++) {
        hg_table_cell(&table, "%s", names[i]);
        hg_table_cell(&table, "%d", i * 100);
        hg_table_cell(&table, "x");
    }
    assert_int_equal(hg_table_end(&table, out, &error), HG_OK);
    fclose(out);
    assert_string_equal(text, "name      n  last\n"
                              "日本語    0  x\n"
                              "de      100  x\n");
    free(text);
}

static void progress_shows_share_rate_and_rest(void **state)
{
    (void)state;
    char line[160];
    hg_progress p = {.what = "sentences", .total = 200};
    hg_progress_line(&p, 50, 5000000, line, sizeof line);
    assert_string_equal(line, "[#######.......................]  25% 50/200 sentences, 10.0/s, "
                              "15 s left");
    hg_progress_line(&p, 999, 5000000, line, sizeof line); /* a file that grew */
    assert_non_null(strstr(line, "100% 200/200"));
    p.total = 0;
    hg_progress_line(&p, 50, 5000000, line, sizeof line);
    assert_string_equal(line, "50 sentences, 10.0/s");
}

static hg_lines lines;
static hg_error error;

static void expect_line(const char *text)
{
    hg_buf out = hg_buf_new(HG_LIMIT_FRAME);
    assert_int_equal(hg_lines_next(&lines, true, &out, &error), HG_LINE_GOT);
    assert_string_equal(hg_buf_text(&out), text);
    hg_buf_free(&out);
}

static hg_line next_kind(bool wait)
{
    hg_buf out = hg_buf_new(HG_LIMIT_FRAME);
    hg_line got = hg_lines_next(&lines, wait, &out, &error);
    hg_buf_free(&out);
    return got;
}

static void a_text_is_its_lines(void **state)
{
    (void)state;
    assert_int_equal(hg_lines_open(&lines, "one\r\n\ntwo", NULL, &error), HG_OK);
    expect_line("one");
    expect_line("");
    expect_line("two");
    assert_int_equal(next_kind(true), HG_LINE_END);
    hg_lines_close(&lines);
}

static void a_pipe_is_not_waited_for(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    lines = (hg_lines){.fd = ends[0], .own = true, .name = "pipe", .buf = hg_buf_new(1 << 18)};
    assert_int_equal(next_kind(false), HG_LINE_LATER);
    assert_int_equal(write(ends[1], "half", 4), 4);
    assert_int_equal(next_kind(false), HG_LINE_LATER);
    assert_int_equal(write(ends[1], " line\nlast", 10), 10);
    expect_line("half line");
    assert_int_equal(next_kind(false), HG_LINE_LATER);
    close(ends[1]);
    expect_line("last");
    assert_int_equal(next_kind(true), HG_LINE_END);
    hg_lines_close(&lines);
}

static void a_line_that_is_too_long_is_skipped(void **state)
{
    (void)state;
    char path[] = "/tmp/hg-lines-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    for (int i = 0; i < 3 * HG_LIMIT_FRAME; i++) fputc('x', file);
    fputs("\nshort\n", file);
    fclose(file);
    assert_int_equal(hg_lines_open(&lines, NULL, path, &error), HG_OK);
    assert_int_equal(next_kind(true), HG_LINE_TOO_LONG);
    expect_line("short");
    assert_int_equal(next_kind(true), HG_LINE_END);
    hg_lines_close(&lines);
    unlink(path);
    assert_int_equal(hg_lines_open(&lines, NULL, path, &error), HG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, path));
    hg_lines_close(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_are_those_of_a_terminal),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(progress_shows_share_rate_and_rest),
        cmocka_unit_test(a_text_is_its_lines),
        cmocka_unit_test(a_pipe_is_not_waited_for),
        cmocka_unit_test(a_line_that_is_too_long_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
