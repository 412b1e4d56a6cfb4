/* test_document.c: texts and HTML cut into sentences and put together again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/text/utf8.h"
#include "core/translate/document.h"

typedef struct expectation {
    const char *const *piece; /* NULL-terminated */
} expectation;

static const char *bracketed(uint32_t piece, void *context)
{
    static char room[64];
    snprintf(room, sizeof room, "<%s>", ((const expectation *)context)->piece[piece]);
    return room;
}

/* text has these pieces, and prints as expected when each is put into angle brackets. */
static void cuts(const char *text, const char *language, const char *const *piece,
                 const char *printed)
{
    hg_document *document;
    hg_error error;
    hg_buf out = hg_buf_new(1 << 20);
    expectation context = {piece};
    assert_int_equal(
        hg_document_open(text, strlen(text), HG_FORMAT_TEXT, language, &document, &error), HG_OK);
    uint32_t count = 0;
    for (; piece[count]; count++) {
        size_t bytes;
        assert_true(count < hg_document_pieces(document));
        const char *found = hg_document_piece(document, count, &bytes);
        if (strlen(piece[count]) != bytes || memcmp(found, piece[count], bytes) != 0)
            fail_msg("piece %u: %.*s", count, (int)bytes, found);
    }
    assert_int_equal(count, hg_document_pieces(document));
    assert_int_equal(hg_document_print(document, bracketed, &context, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), printed);
    hg_buf_free(&out);
    hg_document_close(document);
}

#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_sentences(void **state)
{
    (void)state;
    cuts("One. Two!  Three?", "en", PIECES("One.", "Two!", "Three?"), "<One.> <Two!>  <Three?>");
    cuts("Mr. Smith came.", "en", PIECES("Mr. Smith came."), "<Mr. Smith came.>");
    cuts("\n a\r\nb \n\n", "en", PIECES("a", "b"), "\n <a>\r\n<b> \n\n");
    cuts("你好。再见。", "zh", PIECES("你好。", "再见。"), "<你好。><再见。>");
    cuts("It costs 3.5 kg", "en", PIECES("It costs 3.5 kg"), "<It costs 3.5 kg>");
    cuts("--- !? 🙂", "en", (const char *const[]){NULL}, "--- !? 🙂");
    cuts("", "en", (const char *const[]){NULL}, "");
    cuts("So?", "not a tag", PIECES("So?"), "<So?>");
}

static void test_long_sentence_is_cut(void **state)
{
    (void)state;
    hg_document *document;
    hg_error error;
    static char text[5 * HG_LIMIT_SENTENCE + 1];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = i % 5 == 4 ? ' ' : 'a';
    assert_int_equal(
        hg_document_open(text, sizeof text - 1, HG_FORMAT_TEXT, "en", &document, &error), HG_OK);
    assert_int_equal(hg_document_pieces(document), 5);
    for (uint32_t i = 0; i < 5; i++) {
        size_t bytes;
        const char *piece = hg_document_piece(document, i, &bytes);
        assert_true(bytes < HG_LIMIT_SENTENCE && piece[0] == 'a' && piece[bytes - 1] == 'a');
    }
    hg_document_close(document);
}

/* ---- HTML ---- */

/* What the pretended translator knows. */
typedef struct entry {
    const char *source, *translation;
} entry;

typedef struct lexicon {
    const hg_document *document;
    const entry *of; /* NULL-terminated; a piece that is not there comes back as it is */
    char room[256];
} lexicon;

static const char *look_up(uint32_t piece, void *context)
{
    lexicon *l = context;
    size_t bytes;
    const char *text = hg_document_piece(l->document, piece, &bytes);
    for (const entry *e = l->of; e->source; e++)
        if (strlen(e->source) == bytes && memcmp(e->source, text, bytes) == 0)
            return e->translation;
    assert_true(bytes < sizeof l->room);
    memcpy(l->room, text, bytes);
    l->room[bytes] = '\0';
    return l->room;
}

static void becomes(const char *html, const entry *of, const char *expected)
{
    hg_document *document;
    hg_error error;
    hg_buf out = hg_buf_new(1 << 20);
    if (hg_document_open(html, strlen(html), HG_FORMAT_HTML, "en", &document, &error))
        fail_msg("%s", error.message);
    lexicon l = {.document = document, .of = of};
    assert_int_equal(hg_document_print(document, look_up, &l, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    hg_buf_free(&out);
    hg_document_close(document);
}

#define LEXICON(...) ((const entry[]){__VA_ARGS__, {NULL, NULL}})

static void test_blocks_and_entities(void **state)
{
    (void)state;
    const entry *de = LEXICON({"Good morning.", "Guten Morgen."}, {"Tom & Mary", "Tom & Maria"},
                              {"One < two", "Eins < zwei"});
    becomes("<p>Good morning.</p>\n<ul><li>Tom &amp; Mary</li><li>1</li></ul>", de,
            "<p>Guten Morgen.</p>\n<ul><li>Tom &amp; Maria</li><li>1</li></ul>");
    becomes("Good morning.<br/>Good\n  morning. <hr>", de, "Guten Morgen.<br/>Guten Morgen. <hr>");
    becomes("<p title=\"a > b\">One &lt; two</p>", de, "<p title=\"a > b\">Eins &lt; zwei</p>");
    becomes("One < two", de, "Eins &lt; zwei");
    becomes("<!-- Good morning. --><P>Good morning.", de, "<!-- Good morning. --><P>Guten Morgen.");
    becomes("<p></p><img src=x><!doctype html>", de, "<p></p><img src=x><!doctype html>");
    becomes("", de, "");
}

static void test_inline_tags(void **state)
{
    (void)state;
    const entry *de =
        LEXICON({"I saw Tom yesterday.", "Ich habe gestern Tom gesehen."},
                {"Where is the big station?", "Wo ist der große Bahnhof?"}, {"Hi!", "Hallo!"});
    becomes("I saw <b>Tom</b> yesterday.", de, "Ich habe gestern <b>Tom</b> gesehen.");
    becomes("<b>I saw Tom yesterday.</b>", de, "<b>Ich habe gestern Tom gesehen.</b>");
    becomes("<a href=\"?a&b\"><i>Hi!</i></a>", de, "<a href=\"?a&b\"><i>Hallo!</i></a>");
    becomes("Where is the <em>big</em> station?", de, "Wo ist der <em>große</em> Bahnhof?");
    becomes("Hi! <b>Hi! Hi!</b>", de, "Hallo! <b>Hallo! Hallo!</b>");
}

static void test_what_stays(void **state)
{
    (void)state;
    const entry *de = LEXICON({"I saw Bob yesterday.", "Ich habe gestern Bob gesehen."},
                              {"I saw Ann yesterday.", "Ich habe gestern Anna gesehen."},
                              {"I saw", "Ich sah"}, {"yesterday.", "gestern."}, {"Hi!", "Hallo!"});
    becomes("I saw <i class=\"notranslate\">Bob</i> yesterday.", de,
            "Ich habe gestern <i class=\"notranslate\">Bob</i> gesehen.");
    becomes("I saw <span translate=\"no\">Ann</span> yesterday.", de,
            "Ich sah <span translate=\"no\">Ann</span> gestern.");
    becomes("<i class='a notranslate'>Hi! <b>Hi!</b></i> Hi!", de,
            "<i class='a notranslate'>Hi! <b>Hi!</b></i> Hallo!");
    becomes("Hi! <i class=\"notranslate\">a<i>b</i>c</i>", de,
            "Hallo! <i class=\"notranslate\">a<i>b</i>c</i>");
    becomes("<pre>Hi!</pre><p>Hi!</p><script>\"<p>Hi!</p>\"</script><style>Hi!</style>", de,
            "<pre>Hi!</pre><p>Hallo!</p><script>\"<p>Hi!</p>\"</script><style>Hi!</style>");
    becomes("I saw &eacute;t yesterday.", de, "I saw &eacute;t yesterday.");
    becomes("<i class=\"notranslated\">Hi!</i>", de, "<i class=\"notranslated\">Hallo!</i>");
    static const char *const kept[] = {"<i\ntranslate=\"no\">Hi!</i>", "<i Translate = NO>Hi!</i>",
                                       "<i id=x translate='No'/ >Hi!</i>",
                                       "<i\tCLASS='a\nnotranslate'>Hi!</i>",
                                       "<i class=notranslate>Hi!</i>"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) becomes(kept[i], de, kept[i]);
    becomes("<i title=\"notranslate\">Hi!</i>", de, "<i title=\"notranslate\">Hallo!</i>");
    becomes("<i title=\" translate=no\">Hi!</i>", de, "<i title=\" translate=no\">Hallo!</i>");
    becomes("<i data-translate=no>Hi!</i>", de, "<i data-translate=no>Hallo!</i>");
    becomes("<i translate=\"nope\">Hi!</i>", de, "<i translate=\"nope\">Hallo!</i>");
}

static const char *empty(uint32_t piece, void *context)
{
    (void)piece;
    (void)context;
    return "";
}

/* A sentence without white space is cut before an element that stays, not in it. */
static void test_no_cut_in_what_stays(void **state)
{
    (void)state;
    static char html[3 * HG_LIMIT_SENTENCE];
    for (size_t before = HG_LIMIT_SENTENCE - 25; before <= HG_LIMIT_SENTENCE + 1; before++) {
        hg_document *document;
        hg_error error;
        hg_buf out = hg_buf_new(1 << 20);
        memset(html, 'a', before);
        int tail = snprintf(html + before, 64, "<code>twentylettersofcode</code>");
        memset(html + before + tail, 'b', HG_LIMIT_SENTENCE);
        size_t bytes = before + (size_t)tail + HG_LIMIT_SENTENCE, piece_bytes;
        assert_int_equal(hg_document_open(html, bytes, HG_FORMAT_HTML, "en", &document, &error),
                         HG_OK);
        for (uint32_t i = 0; i < hg_document_pieces(document); i++) {
            (void)hg_document_piece(document, i, &piece_bytes);
            assert_in_range(piece_bytes, 1, HG_LIMIT_SENTENCE);
        }
        assert_int_equal(hg_document_print(document, empty, NULL, &out), HG_OK);
        assert_non_null(strstr(hg_buf_text(&out), "<code>twentylettersofcode</code>"));
        hg_buf_free(&out);
        hg_document_close(document);
    }
}

/* Every tag of html must come out again, in order, whatever the translation is like. */
static void test_tags_survive_any_translation(void **state)
{
    (void)state;
    static const char html[] = "<p>One <a href='x'>two <b>three</b></a> four "
                               "<i class=\"notranslate\">five</i> <em>six</em>, <img src=y> seven."
                               " <u>Eight nine.</u></p>";
    static const char *const tags[] = {
        "<p>",  "<a href='x'>", "<b>",         "</b>", "</a>", "<i class=\"notranslate\">five</i>",
        "<em>", "</em>",        "<img src=y>", "<u>",  "</u>", "</p>"};
    static const char *const words[] = {
        "",          "x", "five", "seven five three two", "一二三四五六七", "one five five",
        "two three", "  "};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        hg_document *document;
        hg_error error;
        hg_buf out = hg_buf_new(1 << 20);
        entry all[16] = {{NULL, NULL}};
        assert_int_equal(
            hg_document_open(html, strlen(html), HG_FORMAT_HTML, "en", &document, &error), HG_OK);
        char copy[16][128];
        for (uint32_t i = 0; i < hg_document_pieces(document); i++) {
            size_t bytes;
            const char *text = hg_document_piece(document, i, &bytes);
            snprintf(copy[i], sizeof copy[i], "%.*s", (int)bytes, text);
            all[i] = (entry){copy[i], words[w]};
        }
        lexicon l = {.document = document, .of = all};
        assert_int_equal(hg_document_print(document, look_up, &l, &out), HG_OK);
        const char *at = hg_buf_text(&out);
        for (size_t t = 0; t < sizeof tags / sizeof *tags; t++) {
            const char *found = strstr(at, tags[t]);
            if (!found) {
                fail_msg("\"%s\": no %s in %s", words[w], tags[t], hg_buf_text(&out));
                return;
            }
            at = found + strlen(tags[t]);
        }
        assert_int_equal(hg_utf8_valid(out.data, out.length), out.length);
        hg_buf_free(&out);
        hg_document_close(document);
    }
}

static void test_broken_html(void **state)
{
    (void)state;
    const entry *none = LEXICON({"unused", "unused"});
    static const char *const same[] = {
        "<",
        "<a",
        "a &lt",
        "</",
        "<!--",
        "<i class=\"notranslate\">a",
        "</i></b>",
        "<a b=",
        "<1>",
        "&#0;",
        "&#x110000; a",
        "& &a b",
        "<b><i></b></i>",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        hg_document *document;
        hg_error error;
        hg_buf out = hg_buf_new(1 << 20);
        assert_int_equal(
            hg_document_open(same[i], strlen(same[i]), HG_FORMAT_HTML, "en", &document, &error),
            HG_OK);
        lexicon l = {.document = document, .of = none};
        assert_int_equal(hg_document_print(document, look_up, &l, &out), HG_OK);
        assert_true(out.length >= strlen(same[i]));
        hg_buf_free(&out);
        hg_document_close(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_long_sentence_is_cut),
        cmocka_unit_test(test_blocks_and_entities),
        cmocka_unit_test(test_inline_tags),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_no_cut_in_what_stays),
        cmocka_unit_test(test_tags_survive_any_translation),
        cmocka_unit_test(test_broken_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
