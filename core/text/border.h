/* border.h: where a piece of growing text may end for good.
 *
 * In scripts with spaces a piece ends right before white space: then the word before it is
 * complete ("Bahn" may still become "Bahnhof", "3" may become "3.5"). In scripts without spaces
 * (Han, Kana, Thai, Lao, Khmer, Myanmar) it ends between two character clusters that both are
 * there. Runs of other scripts inside such text are kept whole.
 */
#ifndef HG_TEXT_BORDER_H
#define HG_TEXT_BORDER_H

#include <stddef.h>
#include <stdint.h>

/* The last border of text [count bytes, valid UTF-8] that is at most below: 0 when there is none.
 * The end of the text is never a border: more may come. Call again with the result minus 1 for the
 * border before. */
size_t hg_border_before(const char *text, size_t count, size_t below);

/* The first border of text above from; count when there is none. */
size_t hg_border_after(const char *text, size_t count, size_t from);

/* The words of text (character clusters in scripts without spaces). */
uint32_t hg_border_words(const char *text, size_t count);

/* Those of them that begin with white space, and the first one before such a word. */
uint32_t hg_border_spaced_words(const char *text, size_t count);

/* The bytes of text before the final punctuation that it ends with, and the quotes and brackets
 * that close after it; count when it ends otherwise, white space at the end left aside. */
size_t hg_border_before_end_mark(const char *text, size_t count);

/* The bytes of source text that translations committed now rest on: all but the last, unfinished
 * word (all of it when text ends in white space or final punctuation). */
size_t hg_border_settled_source(const char *text, size_t count);

#endif
