/* bench_tokenizer.c: how long a tokenizer takes to open and how fast it encodes.
 *
 *     bench_tokenizer [TOKENIZER [TEXT]]
 *
 * TOKENIZER is a tokenizer.json or Meta's tokenizer.model; default hydra-tiny's. TEXT has one
 * sentence a line; default the English sides of the plugins' validation pairs. All lines are
 * encoded one by one, and again as one text. Times are this thread's processor time, the least of
 * five.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/text/tokenizer.h"

#define RUNS      5
#define TEXT_MOST (64u << 20)

static void must(hg_status status, const hg_error *error)
{
    if (!status) return;
    fprintf(stderr, "bench_tokenizer: %s\n", error->message);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static hg_tokenizer *open_tokenizer(const char *path)
{
    hg_tokenizer *made = NULL;
    hg_error error;
    const char *ending = strrchr(path, '.');
    bool ranks = ending && strcmp(ending, ".model") == 0;
    double least = 1e9;
    for (int run = 0; run < RUNS; run++) {
        hg_tokenizer_close(made);
        double start = now_s();
        must(ranks ? hg_tokenizer_open_ranks(path, &made, &error)
                   : hg_tokenizer_open(path, &made, &error),
             &error);
        double took = now_s() - start;
        if (took < least) least = took;
    }
    printf("%s: %u tokens, opened in %.0f ms\n", path, hg_tokenizer_vocabulary(made), least * 1e3);
    return made;
}

/* Encodes text in pieces of one line, or in one piece, and says how fast. */
static void encode(const hg_tokenizer *tokenizer, const hg_buf *text, bool lines)
{
    hg_error error;
    double least = 1e9;
    uint32_t tokens = 0;
    for (int run = 0; run < RUNS; run++) {
        hg_tokens ids = {0};
        double start = now_s();
        for (size_t at = 0; at < text->length;) {
            const char *from = text->data + at, *end = memchr(from, '\n', text->length - at);
            size_t length = lines && end ? (size_t)(end - from) : text->length - at;
            must(hg_tokenizer_encode(tokenizer, from, length, &ids, &error), &error);
            at += length + 1;
        }
        double took = now_s() - start;
        if (took < least) least = took;
        tokens = ids.count;
        hg_tokens_free(&ids);
    }
    printf("%s: %.2f MB, %u tokens, %.1f MB/s\n", lines ? "line by line" : "as one text",
           (double)text->length / 1e6, tokens, (double)text->length / 1e6 / least);
}

/* The part of each line before its tab. */
static void read_validation(hg_buf *out)
{
    glob_t files;
    hg_error error;
    if (glob("plugins/*/validation.tsv", 0, NULL, &files)) exit(1);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        hg_buf file = hg_buf_new(TEXT_MOST);
        must(hg_file_read(files.gl_pathv[i], &file, &error), &error);
        const char *line = hg_buf_text(&file);
        for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
            hg_status status = hg_buf_append(out, line, strcspn(line, "\t\n"));
            if (!status) status = hg_buf_append(out, "\n", 1);
            if (status) must(hg_fail(&error, status, "no room for the text"), &error);
        }
        hg_buf_free(&file);
    }
    globfree(&files);
}

int main(int count, char **argument)
{
    hg_error error;
    hg_buf text = hg_buf_new(TEXT_MOST);
    hg_tokenizer *tokenizer =
        open_tokenizer(count > 1 ? argument[1] : "models/hydra-tiny/tokenizer.json");
    if (count > 2)
        must(hg_file_read(argument[2], &text, &error), &error);
    else
        read_validation(&text);
    encode(tokenizer, &text, true);
    encode(tokenizer, &text, false);
    hg_buf_free(&text);
    hg_tokenizer_close(tokenizer);
    return 0;
}
