/* score.c: chrF2. A text becomes its code points without white space; its suffixes, sorted by their
 * first six code points, hold the n-grams of every order in one array: equal n-grams stand side by
 * side, so one walk over both texts' arrays counts an order. No state, any thread. */
#include "core/text/score.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#define BETA_SQUARED 4.0

/* One text, ready to be counted. */
typedef struct grams {
    UChar32 *code;  /* [count] */
    int32_t *start; /* [count]: suffixes in order of their first HG_CHRF_ORDER code points */
    int32_t count;
} grams;

/* Python's str.split(): White_Space and the four separators of ASCII. */
static bool is_space(UChar32 c)
{
    return u_isUWhiteSpace(c) || (c >= 0x1C && c <= 0x1F);
}

/* Compares the first n code points of two suffixes; a suffix that ends sooner comes first. */
static int compare(const grams *a, int32_t i, const grams *b, int32_t j, int32_t n)
{
    for (int32_t k = 0; k < n; k++) {
        bool ends_a = i + k >= a->count, ends_b = j + k >= b->count;
        if (ends_a || ends_b) return (int)ends_b - (int)ends_a;
        if (a->code[i + k] != b->code[j + k]) return a->code[i + k] < b->code[j + k] ? -1 : 1;
    }
    return 0;
}

static int compare_starts(const void *a, const void *b, void *text)
{
    return compare(text, *(const int32_t *)a, text, *(const int32_t *)b, HG_CHRF_ORDER);
}

static void grams_free(grams *g)
{
    free(g->code);
    free(g->start);
}

static hg_status grams_make(const char *text, grams *out)
{
    size_t bytes = strlen(text);
    assert(bytes < INT32_MAX);
    *out = (grams){.code = malloc((bytes + 1) * sizeof *out->code),
                   .start = malloc((bytes + 1) * sizeof *out->start)};
    if (!out->code || !out->start) return HG_ERROR_MEMORY;
    for (size_t at = 0; at < bytes;) {
        UChar32 c;
        U8_NEXT_UNSAFE(text, at, c);
        if (is_space(c)) continue;
        out->start[out->count] = out->count;
        out->code[out->count++] = c;
    }
    qsort_r(out->start, (size_t)out->count, sizeof *out->start, compare_starts, out);
    return HG_OK;
}

/* Index behind the suffixes that share their first n code points with the one at index i. */
static int32_t group_end(const grams *g, int32_t i, int32_t n)
{
    int32_t end = i + 1;
    while (end < g->count && compare(g, g->start[i], g, g->start[end], n) == 0) end++;
    return end;
}

/* n-grams that both texts have, each as often as the text that has it less often. */
static uint64_t count_matches(const grams *a, const grams *b, int32_t n)
{
    uint64_t matches = 0;
    for (int32_t i = 0, j = 0; i < a->count && j < b->count;) {
        int order = compare(a, a->start[i], b, b->start[j], n);
        int32_t end_a = order <= 0 ? group_end(a, i, n) : i;
        int32_t end_b = order >= 0 ? group_end(b, j, n) : j;
        bool whole = a->start[i] + n <= a->count; /* else a suffix shorter than n: no n-gram */
        if (order == 0 && whole)
            matches += (uint64_t)(end_a - i < end_b - j ? end_a - i : end_b - j);
        i = end_a;
        j = end_b;
    }
    return matches;
}

hg_status hg_chrf_add(hg_chrf *chrf, const char *hypothesis, const char *reference)
{
    grams h = {0}, r = {0};
    hg_status status = grams_make(hypothesis, &h);
    if (!status) status = grams_make(reference, &r);
    for (int32_t n = 1; n <= HG_CHRF_ORDER && !status; n++) {
        if (r.count < n) break; /* sacrebleu counts no order that the reference does not have */
        chrf->reference[n - 1] += (uint64_t)(r.count - n + 1);
        chrf->hypothesis[n - 1] += h.count < n ? 0 : (uint64_t)(h.count - n + 1);
        chrf->matches[n - 1] += count_matches(&h, &r, n);
    }
    grams_free(&h);
    grams_free(&r);
    return status;
}

double hg_chrf_score(const hg_chrf *chrf)
{
    double precision = 0, recall = 0;
    int orders = 0; /* "effective": those that both sides have */
    for (int i = 0; i < HG_CHRF_ORDER; i++) {
        if (!chrf->hypothesis[i] || !chrf->reference[i]) continue;
        assert(chrf->matches[i] <= chrf->reference[i]);
        precision += (double)chrf->matches[i] / (double)chrf->hypothesis[i];
        recall += (double)chrf->matches[i] / (double)chrf->reference[i];
        orders++;
    }
    if (!orders || precision + recall == 0) return 0;
    precision /= orders;
    recall /= orders;
    return 100 * (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall);
}
