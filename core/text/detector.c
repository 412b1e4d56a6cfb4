/* detector.c: see detector.h, and make_detector.py, which counts the same way. */
#include "core/text/detector.h"

#include <math.h>
#include <stdbool.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#define BUCKETS   (1u << 14)
#define LONGEST   4
#define STEPS     16   /* of a table's byte, in one nat */
#define SHARPNESS 0.35 /* n-grams overlap: what they say together counts for so much */

static const char *const languages[] = {"de", "en", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"};
#define LANGUAGES (sizeof languages / sizeof *languages)

/* [LANGUAGES][BUCKETS]; GNU assembler: C11 has no way to take in a file. */
__asm__(".section .rodata\n"
        ".balign 64\n"
        "hg_detector_table:\n"
        ".incbin \"core/text/detector.bin\"\n"
        ".previous\n");
extern const uint8_t hg_detector_table[LANGUAGES][BUCKETS];

/* The last characters, each with its first byte's place in bytes. */
typedef struct window {
    char bytes[LONGEST * U8_MAX_LENGTH];
    int start[LONGEST + 1]; /* [characters + 1] */
    int characters;
} window;

static void push(window *w, UChar32 c)
{
    if (w->characters == LONGEST) {
        int first = w->start[1];
        for (int i = first; i < w->start[LONGEST]; i++) w->bytes[i - first] = w->bytes[i];
        for (int i = 0; i < LONGEST; i++) w->start[i] = w->start[i + 1] - first;
        w->characters--;
    }
    int at = w->start[w->characters];
    U8_APPEND_UNSAFE(w->bytes, at, c);
    w->start[++w->characters] = at;
}

/* FNV-1a of the n-gram's UTF-8, folded. */
static uint32_t bucket(const char *bytes, int count)
{
    uint32_t x = 2166136261u;
    for (int i = 0; i < count; i++) x = (x ^ (uint8_t)bytes[i]) * 16777619u;
    return (x ^ x >> 15) % BUCKETS;
}

/* Counts every n-gram that ends with the window. */
static void count(hg_detector *d, const window *w)
{
    int end = w->start[w->characters];
    for (int n = 1; n <= w->characters; n++) {
        int start = w->start[w->characters - n];
        if (n == 1 && w->bytes[start] == ' ') continue;
        uint32_t b = bucket(w->bytes + start, end - start);
        for (size_t i = 0; i < LANGUAGES; i++) d->score[i] += hg_detector_table[i][b];
        d->grams++;
    }
}

/* Lower case; anything but letters and apostrophes is a space. */
static UChar32 letter(UChar32 c)
{
    if (c == 0x2019) c = '\'';
    c = u_tolower(c);
    return c == '\'' || u_isalpha(c) ? c : ' ';
}

void hg_detector_read(hg_detector *detector, const char *text, size_t bytes)
{
    window w = {0};
    push(&w, ' ');
    bool space = true;
    for (size_t at = 0; at < bytes;) {
        UChar32 c;
        U8_NEXT_UNSAFE(text, at, c);
        c = letter(c);
        if (c == ' ' && space) continue;
        space = c == ' ';
        push(&w, c);
        count(detector, &w);
    }
    if (space) return;
    push(&w, ' ');
    count(detector, &w);
}

const char *hg_detector_guess(const hg_detector *detector, unsigned *confidence)
{
    size_t best = 0;
    double sum = 0;
    *confidence = 0;
    if (!detector->grams) return "";
    for (size_t i = 1; i < LANGUAGES; i++)
        if (detector->score[i] < detector->score[best]) best = i;
    for (size_t i = 0; i < LANGUAGES; i++)
        sum += exp(-SHARPNESS * (double)(detector->score[i] - detector->score[best]) / STEPS);
    *confidence = (unsigned)(100 / sum + 0.5);
    return languages[best];
}
