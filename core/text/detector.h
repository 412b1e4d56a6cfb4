/* detector.h: which language a text is in, of the ten that the bundled plugins speak.
 *
 * Naive Bayes over n-grams of letters (1 to 4), hashed into a table that core/text/make_detector.py
 * counts on parallel text; how good it is beside libraries stands in docs/PERFORMANCE.md. Another
 * language than its ten it takes for the one that is most like it. Any thread.
 */
#ifndef HG_TEXT_DETECTOR_H
#define HG_TEXT_DETECTOR_H

#include <stddef.h>
#include <stdint.h>

/* From here on a guess is worth more than what most people write. */
#define HG_DETECTOR_SURE 80

/* What a text has said so far; zero it first. */
typedef struct hg_detector {
    uint64_t score[10]; /* by language, in the table's steps: less is likelier */
    uint64_t grams;     /* 0: nothing to go by */
} hg_detector;

/* Counts text [bytes, valid UTF-8]. */
void hg_detector_read(hg_detector *detector, const char *text, size_t bytes);

/* The likeliest language's tag, static, and how sure that is, 0 to 100. Nothing was read: "", 0. */
const char *hg_detector_guess(const hg_detector *detector, unsigned *confidence);

#endif
