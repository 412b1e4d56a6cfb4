/* test_spans.c: what is protected in a text, and where its sentences end because of that. Expected
 * strings have the spans in the brackets of their kind: names [], numbers {}, terms ^^, marks <>
 * or, where they open and close, (( and )).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/text/sentences.h"

static const char *const brackets[][2] = {
    [HG_PROTECTED_NAME] = {"[", "]"},   [HG_PROTECTED_NUMBER] = {"{", "}"},
    [HG_PROTECTED_TERM] = {"^", "^"},   [HG_PROTECTED_ALONE] = {"<", ">"},
    [HG_PROTECTED_OPENS] = {"((", "("}, [HG_PROTECTED_CLOSES] = {")", "))"},
};

static void finds_terms(const char *text, const hg_terms *terms, const char *expected)
{
    hg_protected_list list = {0};
    hg_buf out = hg_buf_new(1 << 16);
    size_t at = 0;
    assert_int_equal(hg_protected_find(text, strlen(text), terms, &list), HG_OK);
    for (uint32_t i = 0; i < list.count; i++) {
        const hg_protected *span = &list.span[i];
        assert_true(span->start >= at && span->count);
        assert_int_equal(hg_buf_append(&out, text + at, span->start - at), HG_OK);
        assert_int_equal(hg_buf_printf(&out, "%s%.*s%s", brackets[span->kind][0], (int)span->count,
                                       text + span->start, brackets[span->kind][1]),
                         HG_OK);
        assert_ptr_equal(hg_protected_at(&list, span->start + span->count - 1), span);
        at = span->start + span->count;
    }
    assert_int_equal(hg_buf_append_text(&out, text + at), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    hg_buf_free(&out);
    hg_protected_free(&list);
}

static void finds(const char *text, const char *expected)
{
    finds_terms(text, NULL, expected);
}

static void test_addresses(void **state)
{
    (void)state;
    finds("See https://example.com/a?b=c.", "See [https://example.com/a?b=c].");
    finds("(see http://a.org/x_(y)).", "(see [http://a.org/x_(y)]).");
    finds("www.example.com, example.org/x! HTTPS://A.B", "[www.example.com], [example.org/x]! "
                                                         "[HTTPS://A.B]");
    finds("Stop.Next e.g. this", "Stop.Next e.g. this");
    finds("https://example.comを見て", "[https://example.com]を見て");
    finds("Write to a.b+c@mail.example.org.", "Write to [a.b+c@mail.example.org].");
    finds("mailto:me@x.nl now", "[mailto:me@x.nl] now");
    finds("hi @maria_9, @a@b.social: #tag #Ärger #日本", "hi [@maria_9], [@a@b.social]: [#tag] "
                                                         "[#Ärger] [#日本]");
    finds("a@ b# @ # C#", "a@ b# @ # C#");
}

static void test_numbers(void **state)
{
    (void)state;
    finds("25 m² or 25m², 5 books", "{25 m²} or {25m²}, {5} books");
    finds("$1,200.50 and 3,50 € and -5°C", "{$1,200.50} and {3,50 €} and {-5°C}");
    finds("At 10:45 on 2026-11-25.", "At {10:45} on {2026-11-25}.");
    finds("50% of 1.000.000", "{50%} of {1.000.000}");
    finds("the 3rd, 1990s, 3D", "the 3rd, {1990s}, 3D");
    finds("私は25歳です", "私は{25}歳です");
    finds("5 minutes, 5 m, 5 msec", "{5} minutes, {5 m}, {5} msec");
    finds("A380, COVID-19 and v1.2.", "[A380], [COVID-19] and [v1.2].");
    finds("Who? 7!", "Who? {7}!");
}

static void test_placeholders(void **state)
{
    (void)state;
    finds("Hello {name}, {{ user.id }} ${x}", "Hello [{name}], [{{ user.id }}] [${x}]");
    finds("{count} of %d, %s %1$s %(who)s 5 % up", "{{count}} of {%d}, [%s] [%1$s] [%(who)s] {5 %} "
                                                   "up");
    finds("{ not one } {}", "{ not one } {}");
    finds("Run `make check` or ``a ` b``; `open", "Run [`make check`] or [``a ` b``]; `open");
    finds("```\nint a;\n``` b", "[```\nint a;\n```] b");
}

static void test_marks(void **state)
{
    (void)state;
    finds("so 😀 and 👩‍👩‍👧👍🏽 🇩🇪 1️⃣ ❤️ ™",
          "so <😀> and <👩‍👩‍👧👍🏽> <🇩🇪> <1️⃣> <❤️> ™");
    finds("nice :smile: 10:30:45 a:b:c", "nice <:smile:> {10:30:45} a:b:c");
    finds("is <b class=\"x\">very</b> good<br>", "is ((<b class=\"x\">(very)</b>)) good<<br>>");
    finds("a < b and c > d <3", "a < b and c > d <{3}");
    finds("**bold** *it* __x__ ~~y~~ 2 * 3 * 4 a_b_c",
          "((**(bold)**)) ((*(it)*)) ((__(x)__)) ((~~(y)~~)) {2} * {3} * {4} a_b_c");
    finds("[the page](https://x.org) ![i](y)", "(([(the page)](https://x.org))) ((![(i)](y)))");
    finds("# Title\n- one\n> two", "<#> Title\n<-> one\n<>> two");
}

static void test_terms(void **state)
{
    (void)state;
    const char *const word[] = {"cart", "shopping cart", "C++"};
    const hg_terms terms = {.word = word, .count = 3};
    finds_terms("Cart, a shopping cart, carts, C++", &terms,
                "^Cart^, a ^shopping cart^, carts, "
                "^C++^");
}

/* Sentences of text in brackets. */
static void cuts(const char *text, const char *expected)
{
    hg_protected_list kept = {0};
    hg_spans spans = {0};
    hg_buf out = hg_buf_new(1 << 16);
    size_t at = 0;
    assert_int_equal(hg_protected_find(text, strlen(text), NULL, &kept), HG_OK);
    assert_int_equal(hg_sentences_find(text, strlen(text), "en", &kept, &spans), HG_OK);
    for (uint32_t i = 0; i < spans.count; i++) {
        const hg_span *span = &spans.span[i];
        assert_int_equal(hg_buf_append(&out, text + at, span->start - at), HG_OK);
        assert_int_equal(hg_buf_printf(&out, "[%.*s]", (int)span->count, text + span->start),
                         HG_OK);
        at = span->start + span->count;
    }
    assert_int_equal(hg_buf_append_text(&out, text + at), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    hg_buf_free(&out);
    hg_spans_free(&spans);
    hg_protected_free(&kept);
}

static void test_sentences(void **state)
{
    (void)state;
    cuts("See http://a.org/?Bc=1 now. Go!", "[See http://a.org/?Bc=1 now.] [Go!]");
    cuts("Run `a. B` now.", "[Run `a. B` now.]");
    cuts("😀 Hi there 😀", "😀 [Hi there] 😀");
    cuts("<p>Hi. <b>You</b></p>", "<p>[Hi.] <b>[You]</b></p>");
    cuts("https://example.com #tag", "https://example.com #tag");
    cuts("Look: https://example.com", "[Look:] https://example.com");
    cuts("Hello, @maria", "[Hello,] @maria");
    cuts("Hello, @maria is here", "[Hello, @maria is here]");
    cuts("I like #tea", "[I like #tea]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_placeholders), cmocka_unit_test(test_marks),
        cmocka_unit_test(test_terms),        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
