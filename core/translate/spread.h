/* spread.h: where in a translation belongs what the sentence has between its words. Any thread. */
#ifndef HG_TRANSLATE_SPREAD_H
#define HG_TRANSLATE_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A tag, or a stretch that goes through the translation as it is. */
typedef struct hg_spot {
    size_t at, content; /* where it stands in the sentence, how many bytes of that are its own */
    size_t to, own;     /* where it stands in the translation, how many bytes of that are its own */
    bool opens, closes; /* a stretch of words: it stands right before, right behind them */
    bool fixed;         /* to is known; else it is filled, and own is 0 */
} hg_spot;

typedef struct hg_spread {
    const char *text, *translation; /* [bytes] [translated], valid UTF-8 */
    size_t bytes, translated;
    size_t from;   /* nothing goes before this byte of the translation */
    hg_spot *spot; /* [spots] in the sentence's order, `at` rising */
    uint32_t spots;
} hg_spread;

/* A pair goes round the same words where they come again in the translation, everything else to the
 * border of words that is as far between what is fixed round it as it was in the sentence. What is
 * not fixed keeps its order, and stands inside of nothing fixed. */
void hg_spread_out(hg_spread *spread);

/* Where words [count] stand in text [bytes] as whole words, if they stand there once; else NULL. */
const char *hg_find_once(const char *text, size_t bytes, const char *words, size_t count);

#endif
