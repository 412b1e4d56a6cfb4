/* bleu.c: see bleu.h. Texts are cut in UTF-16 by ICU's regular expressions, which are sacrebleu's
 * (tokenizer_13a.py, tokenizer_re.py); sentences are short, so n-grams are compared one by one. */
#include "core/text/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uregex.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

/* A text and its words. */
typedef struct words {
    UChar *text; /* [length] owned */
    int32_t length;
    int32_t *start, *end; /* [count] of each word; start is owned, end lies behind it */
    int32_t count;
} words;

static void words_free(words *w)
{
    free(w->text);
    free(w->start);
}

static hg_status read_text(const char *text, words *out)
{
    UErrorCode code = U_ZERO_ERROR;
    int32_t bytes = (int32_t)strlen(text);
    *out = (words){.text = malloc(((size_t)bytes + 3) * sizeof *out->text)};
    if (!out->text) return HG_ERROR_MEMORY;
    u_strFromUTF8(out->text + 1, bytes + 1, &out->length, text, bytes, &code);
    out->text[0] = ' '; /* "13a" puts a space at each end, so that marks there have neighbours */
    out->text[out->length + 1] = ' ';
    out->length += 2;
    return U_SUCCESS(code) ? HG_OK : HG_ERROR_FORMAT;
}

/* Replaces every match in the text. */
static hg_status replace(words *w, const UChar *pattern, const UChar *by)
{
    UErrorCode code = U_ZERO_ERROR;
    int32_t room = 5 * w->length + 16, length = 0; /* the longest replacement of one unit */
    UChar *out = malloc((size_t)room * sizeof *out);
    URegularExpression *regex = uregex_open(pattern, -1, 0, NULL, &code);
    if (out) uregex_setText(regex, w->text, w->length, &code);
    if (out) length = uregex_replaceAll(regex, by, -1, out, room, &code);
    uregex_close(regex);
    if (!out || U_FAILURE(code)) {
        free(out);
        return out ? HG_ERROR_FORMAT : HG_ERROR_MEMORY;
    }
    free(w->text);
    w->text = out;
    w->length = length;
    return HG_OK;
}

/* mteval-v13a's rules. The order counts. */
static hg_status separate(words *w)
{
    static const struct {
        const UChar *pattern, *by;
    } rules[] = {
        {u"<skipped>", u""},
        {u"-\\n", u""},
        {u"&quot;", u"\""},
        {u"&amp;", u"&"},
        {u"&lt;", u"<"},
        {u"&gt;", u">"},
        {u"([\\{-\\~\\[-` -\\&\\(-\\+\\:-@/])", u" $1 "},
        {u"([^0-9])([\\.,])", u"$1 $2 "},
        {u"([\\.,])([^0-9])", u" $1 $2"},
        {u"([0-9])(-)", u"$1 $2 "},
    };
    hg_status status = HG_OK;
    for (size_t i = 0; !status && i < sizeof rules / sizeof *rules; i++)
        status = replace(w, rules[i].pattern, rules[i].by);
    return status;
}

/* Python's str.split(); or each character that is none of its spaces. */
static hg_status split(words *w, bool characters)
{
    w->start = calloc(2 * ((size_t)w->length + 1), sizeof *w->start);
    if (!w->start) return HG_ERROR_MEMORY;
    w->end = w->start + w->length + 1;
    bool inside = false;
    for (int32_t at = 0, next = 0; at < w->length; at = next) {
        UChar32 c;
        U16_NEXT(w->text, next, w->length, c);
        bool space = u_isUWhiteSpace(c) || (c >= 0x1C && c <= 0x1F);
        if (!space && (!inside || characters)) w->start[w->count++] = at;
        if (!space) w->end[w->count - 1] = next;
        inside = !space;
    }
    return HG_OK;
}

static hg_status cut(const char *text, bool characters, words *out)
{
    hg_status status = read_text(text, out);
    if (!status && !characters) status = separate(out);
    return status ? status : split(out, characters);
}

static bool same_word(const words *a, int32_t i, const words *b, int32_t j)
{
    int32_t length = a->end[i] - a->start[i];
    return length == b->end[j] - b->start[j] &&
           u_memcmp(a->text + a->start[i], b->text + b->start[j], length) == 0;
}

/* n-grams of the hypothesis that the reference has, each of its own once. */
static uint64_t count_matches(const words *h, const words *r, int32_t n, bool *used)
{
    uint64_t matches = 0;
    memset(used, 0, (size_t)r->count + 1);
    for (int32_t i = 0; i + n <= h->count; i++) {
        for (int32_t j = 0; j + n <= r->count; j++) {
            int32_t k = 0;
            while (k < n && !used[j] && same_word(h, i + k, r, j + k)) k++;
            if (k < n) continue;
            used[j] = true;
            matches++;
            break;
        }
    }
    return matches;
}

hg_status hg_bleu_add(hg_bleu *bleu, const char *hypothesis, const char *reference, bool characters)
{
    words h = {0}, r = {0};
    bool *used = NULL;
    hg_status status = cut(hypothesis, characters, &h);
    if (!status) status = cut(reference, characters, &r);
    if (!status && !(used = malloc((size_t)r.count + 1))) status = HG_ERROR_MEMORY;
    for (int32_t n = 1; !status && n <= HG_BLEU_ORDER; n++) {
        bleu->matches[n - 1] += count_matches(&h, &r, n, used);
        if (h.count >= n) bleu->total[n - 1] += (uint64_t)(h.count - n + 1);
    }
    bleu->hypothesis += (uint64_t)h.count;
    bleu->reference += (uint64_t)r.count;
    free(used);
    words_free(&h);
    words_free(&r);
    return status;
}

double hg_bleu_score(const hg_bleu *bleu)
{
    double logs = 0, smooth = 1;
    if (!bleu->matches[0]) return 0;
    for (int n = 0; n < HG_BLEU_ORDER; n++) {
        if (!bleu->total[n]) return 0;
        if (!bleu->matches[n]) smooth *= 2;
        double matches = bleu->matches[n] ? (double)bleu->matches[n] : 1 / smooth;
        logs += log(matches / (double)bleu->total[n]);
    }
    double ratio = (double)bleu->reference / (double)bleu->hypothesis;
    double brevity = ratio > 1 ? exp(1 - ratio) : 1;
    return 100 * brevity * exp(logs / HG_BLEU_ORDER);
}
