/* utf8.h: the border that text crosses. Inside, all text is valid UTF-8. */
#ifndef HG_TEXT_UTF8_H
#define HG_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest valid prefix (no overlong forms, no surrogates, at most U+10FFFF). The text
 * is valid when this is count. */
size_t hg_utf8_valid(const char *text, size_t count);

/* Code points of valid UTF-8. */
size_t hg_utf8_length(const char *text, size_t count);

/* Bytes at the end of text that begin a character but do not finish it: 0 to 3. What stands before
 * them may still be invalid. */
size_t hg_utf8_unfinished(const char *text, size_t count);

/* Bytes of the character that a first byte announces, 1 to 4; 0 for a byte that begins none. */
size_t hg_utf8_width(uint8_t first);

/* Whether byte may follow the count >= 1 bytes at begun, which begin a character and do not finish
 * it (Unicode 15, table 3-7: the first byte narrows the second). */
bool hg_utf8_may_follow(const char *begun, size_t count, uint8_t byte);

#endif
