/* bench_live.c: the table of policies of docs/PERFORMANCE.md: dev sentences typed word by word in
 * nine languages, under each policy; the default one also with mistakes that are mended.
 *
 *     bench_live [SENTENCES] [AGREEMENT LEAST_WORDS AHEAD HOLD_BACK LIKELY PATIENCE]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/golden/xz.h"
#include "tests/support/talk.h"
#include "tests/support/typist.h"

#define SENTENCES   40
#define WORDS_LEAST 3 /* of a sentence: fewer leave nothing to agree on */

static const char *const nine[TYPIST_READERS] = {"de", "es", "fr", "ja", "nl",
                                                 "ru", "sv", "tr", "zh"};
static hg_buf file[TYPIST_READERS];
static typist_line *line[TYPIST_READERS];

static bool has_words(const char *text)
{
    int spaces = 0;
    for (; *text; text++) spaces += *text == ' ';
    return spaces >= WORDS_LEAST - 1;
}

/* Sentences of a dev file, evenly spread over it. */
static void read_lines(int i, uint32_t count)
{
    char path[64], *rest, *source;
    snprintf(path, sizeof path, "tests/golden/data/dev.en-%s.tsv.xz", nine[i]);
    file[i] = golden_read_xz(path);
    line[i] = calloc(count, sizeof *line[i]);
    typist_line *all = calloc(file[i].length, sizeof *all);
    assert_true(line[i] && all);
    uint32_t found = 0;
    for (rest = file[i].data; (source = strsep(&rest, "\n")) != NULL;) {
        char *reference = strchr(source, '\t');
        if (!reference) continue;
        *reference++ = '\0';
        if (has_words(source)) all[found++] = (typist_line){source, reference};
    }
    assert_true(found >= count);
    for (uint32_t n = 0; n < count; n++) line[i][n] = all[(uint64_t)n * found / count];
    free(all);
}

static void measure(hg_policy policy, uint32_t count, bool edits)
{
    typist_score score[TYPIST_READERS] = {0};
    char name[64];
    hg_runtime *runtime = talk_runtime(HG_DRAFTS_AUTO, policy);
    assert_non_null(runtime);
    for (int i = 0; i < TYPIST_READERS; i++) score[i].language = nine[i];
    typist_type(runtime, (const typist_line *const *)line, count, TYPIST_READERS, edits, score);
    snprintf(name, sizeof name, "%u, %u, %u, %u, %u, %u%s", policy.agreement, policy.least_words,
             policy.ahead, policy.hold_back, policy.likely, policy.patience,
             edits ? ", mistyped" : "");
    typist_print(name, score, TYPIST_READERS);
    fflush(stdout);
    hg_runtime_close(runtime);
}

int main(int count, char **argument)
{
    static const hg_policy tried[] = {{3, 2, 1, 1, 0, 0}, {3, 2, 2, 1, 0, 0}, {2, 2, 1, 1, 0, 0},
                                      {3, 2, 0, 1, 2, 2}, {3, 3, 1, 1, 2, 2}, {4, 2, 1, 1, 2, 2},
                                      {3, 2, 1, 1, 2, 0}, {3, 2, 1, 1, 2, 1}};
    uint32_t sentences = count > 1 ? (uint32_t)atoi(argument[1]) : SENTENCES;
    for (int i = 0; i < TYPIST_READERS; i++) read_lines(i, sentences);
    printf("| agreement, least words, ahead, hold back, likely, patience | language | erasure | "
           "committed before the "
           "last word | "
           "before final | lag of committed (AL) | of shown (AL) | chrF | against at once |\n"
           "|---|---|---|---|---|---|---|---|---|\n");
    if (count == 8) {
        uint32_t given[6];
        for (int i = 0; i < 6; i++) given[i] = (uint32_t)atoi(argument[2 + i]);
        const hg_policy one = {given[0], given[1], given[2], given[3], given[4], given[5]};
        measure(one, sentences, false);
        measure(one, sentences, true);
        return 0;
    }
    for (size_t i = 0; i < 2 * (sizeof tried / sizeof *tried); i++)
        measure(tried[i / 2], sentences, i % 2);
    measure(TALK_POLICY, sentences, false);
    measure(TALK_POLICY, sentences, true);
    return 0;
}
