/* test_commit.c: token streams become committed and tentative text. The streams are real sentences
 * as hydra-tiny's tokenizer cuts them, so characters are split over tokens where it splits them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/border.h"
#include "core/text/utf8.h"
#include "core/translate/stream.h"

#define SOURCE 7 /* bytes that commits rest on, where the test does not care */

static hg_tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    hg_error error;
    return hg_tokenizer_open("models/hydra-tiny/tokenizer.json", &tokenizer, &error);
}

static int close_tokenizer(void **state)
{
    (void)state;
    hg_tokenizer_close(tokenizer);
    return 0;
}

static hg_tokens encode(const char *text)
{
    hg_error error = {0};
    hg_tokens tokens = {0};
    assert_int_equal(hg_tokenizer_encode(tokenizer, text, strlen(text), &tokens, &error), HG_OK);
    return tokens;
}

static hg_rules *open_rules(const char *text)
{
    hg_error error = {0};
    hg_rules *rules;
    assert_int_equal(hg_rules_open(text, &rules, &error), HG_OK);
    return rules;
}

/* Takes tokens [from, to) one by one and settles after each; joins the pieces in joined. */
static void feed(hg_stream *stream, const hg_tokens *tokens, uint32_t from, uint32_t to,
                 hg_buf *joined)
{
    for (uint32_t i = from; i < to; i++) {
        size_t at = stream->commit->text.length;
        assert_int_equal(hg_stream_push(stream, tokens->id + i, 1), HG_OK);
        assert_int_equal(hg_stream_settle(stream, SIZE_MAX, SOURCE), HG_OK);
        const hg_buf *text = &stream->commit->text;
        assert_int_equal(hg_buf_append(joined, hg_buf_text(text) + at, text->length - at), HG_OK);
        assert_string_equal(hg_buf_text(joined), hg_buf_text(text));
        assert_int_equal(hg_utf8_valid(hg_buf_text(&stream->text), stream->text.length),
                         stream->text.length);
        assert_memory_equal(hg_buf_text(&stream->text), hg_buf_text(text), text->length);
    }
}

/* Feeds text token by token and compares what is committed after token n with committed[n]. */
static void check_growth(const char *text, hg_rules *rules, const char *const *committed,
                         const char *whole)
{
    hg_commit commit;
    hg_stream stream;
    hg_buf joined = hg_buf_new(1 << 16);
    hg_tokens tokens = encode(text);
    hg_commit_start(&commit, 3);
    assert_int_equal(
        hg_stream_open(&stream, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = rules, .gap = ""}),
        HG_OK);
    for (uint32_t i = 0; i < tokens.count; i++) {
        assert_non_null(committed[i]);
        feed(&stream, &tokens, i, i + 1, &joined);
        assert_string_equal(hg_buf_text(&commit.text), committed[i]);
    }
    assert_null(committed[tokens.count]);
    size_t from = commit.text.length;
    assert_int_equal(hg_stream_finish(&stream, "", 0), HG_OK);
    assert_int_equal(hg_stream_settle_all(&stream, SOURCE), HG_OK);
    assert_string_equal(hg_buf_text(&commit.text), whole);
    assert_string_equal(hg_stream_tentative(&stream), "");
    assert_int_equal(from, joined.length);
    assert_int_equal(commit.token.count, tokens.count);
    assert_int_equal(commit.epoch, 3);
    hg_stream_close(&stream);
    hg_commit_free(&commit);
    hg_tokens_free(&tokens);
    hg_buf_free(&joined);
}

static void test_words(void **state)
{
    (void)state;
    /* Wo| ist| der| Bahnhof|?| Ich| weiß */
    const char *const committed[] = {"",
                                     "Wo",
                                     "Wo ist",
                                     "Wo ist der",
                                     "Wo ist der",
                                     "Wo ist der Bahnhof?",
                                     "Wo ist der Bahnhof? Ich",
                                     NULL};
    check_growth("Wo ist der Bahnhof? Ich weiß", NULL, committed, "Wo ist der Bahnhof? Ich weiß");
}

static void test_split_emoji(void **state)
{
    (void)state;
    /* Ich| habe| |F0|9F|98|80| gern: the emoji is one word of four tokens */
    const char *const committed[] = {"",         "Ich",      "Ich habe",   "Ich habe", "Ich habe",
                                     "Ich habe", "Ich habe", "Ich habe 😀", NULL};
    check_growth("Ich habe 😀 gern", NULL, committed, "Ich habe 😀 gern");
}

static void test_clusters(void **state)
{
    (void)state;
    /* 我想|去|火车|站|。: borders inside a token are none */
    const char *const committed[] = {"", "我想", "我想去", "我想去火车", "我想去火车站", NULL};
    check_growth("我想去火车站。", NULL, committed, "我想去火车站。");
}

/* Every character of it is three tokens of one byte each. */
static void test_split_thai(void **state)
{
    (void)state;
    hg_commit commit;
    hg_stream stream;
    hg_buf joined = hg_buf_new(1 << 16);
    hg_tokens tokens = encode("ไปไหนมา");
    assert_int_equal(tokens.count, 21);
    hg_commit_start(&commit, 0);
    assert_int_equal(
        hg_stream_open(&stream, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = NULL, .gap = ""}),
        HG_OK);
    feed(&stream, &tokens, 0, 21, &joined);
    assert_true(commit.token.count > 0 && commit.token.count % 3 == 0);
    assert_int_equal(commit.text.length, commit.token.count);
    hg_stream_close(&stream);
    hg_commit_free(&commit);
    hg_tokens_free(&tokens);
    hg_buf_free(&joined);
}

static void test_rules_hold_text_back(void **state)
{
    (void)state;
    hg_rules *rules = open_rules("' ' } [?!:;] > \\u202F; bien > mal;");
    /* Ça| va| bien| ?: the space may still become a narrow one, "bien" be joined by more */
    const char *const committed[] = {"", "Ça", "Ça va", "Ça va mal", NULL};
    check_growth("Ça va bien ?", rules, committed, "Ça va mal\u202F?");
    hg_rules_close(rules);
}

/* A later revision goes on from what is committed, tokens, text and rules' context alike. */
static void test_next_revision(void **state)
{
    (void)state;
    hg_commit commit;
    hg_stream first, second;
    hg_buf joined = hg_buf_new(1 << 16);
    hg_rules *rules = open_rules("' ' } [?!:;] > \\u202F;");
    hg_tokens tokens = encode("Ça va bien ? Oui !");
    hg_commit_start(&commit, 0);
    assert_int_equal(
        hg_stream_open(&first, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = rules, .gap = ""}),
        HG_OK);
    feed(&first, &tokens, 0, 3, &joined);
    assert_string_equal(hg_buf_text(&commit.text), "Ça va");
    assert_string_equal(hg_stream_tentative(&first), " bien");
    assert_int_equal(hg_commit_at(&commit).source_bytes, SOURCE);
    uint32_t forced = commit.token.count;
    assert_int_equal(forced, 2);
    assert_int_equal(
        hg_stream_open(&second, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = rules, .gap = ""}),
        HG_OK);
    assert_string_equal(hg_buf_text(&second.text), "Ça va");
    feed(&second, &tokens, forced, tokens.count, &joined);
    assert_int_equal(hg_stream_finish(&second, "", 0), HG_OK);
    assert_int_equal(hg_stream_settle_all(&second, SOURCE), HG_OK);
    assert_string_equal(hg_buf_text(&commit.text), "Ça va bien\u202F? Oui\u202F!");
    assert_int_equal(commit.token.count, tokens.count);
    assert_memory_equal(commit.token.id, tokens.id, tokens.count * sizeof *tokens.id);
    hg_commit_back(&commit, 0);
    assert_int_equal(commit.epoch, 1);
    assert_int_equal(commit.token.count, 0);
    assert_string_equal(hg_buf_text(&commit.text), "");
    hg_stream_close(&first);
    hg_stream_close(&second);
    hg_rules_close(rules);
    hg_commit_free(&commit);
    hg_tokens_free(&tokens);
    hg_buf_free(&joined);
}

/* A sentence that ended inside a character is whole text; what follows starts afresh behind it. */
static void test_unfinished_end(void **state)
{
    (void)state;
    hg_commit commit;
    hg_stream first, second;
    hg_tokens tokens = encode("Ich habe 😀 gern");
    hg_commit_start(&commit, 0);
    assert_int_equal(
        hg_stream_open(&first, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = NULL, .gap = ""}),
        HG_OK);
    assert_int_equal(hg_stream_push(&first, tokens.id, 5), HG_OK);
    assert_string_equal(hg_buf_text(&first.text), "Ich habe ");
    assert_int_equal(hg_stream_finish(&first, "", 0), HG_OK);
    assert_int_equal(hg_stream_settle_all(&first, SOURCE), HG_OK);
    assert_string_equal(hg_buf_text(&commit.text), "Ich habe \uFFFD");
    assert_int_equal(
        hg_stream_open(&second, &commit,
                       &(hg_stream_setting){.tokenizer = tokenizer, .rules = NULL, .gap = ""}),
        HG_OK);
    assert_int_equal(hg_stream_push(&second, tokens.id + 7, 1), HG_OK);
    assert_string_equal(hg_buf_text(&second.text), "Ich habe \uFFFD gern");
    assert_string_equal(hg_stream_tentative(&second), " gern");
    hg_stream_close(&first);
    hg_stream_close(&second);
    hg_commit_free(&commit);
    hg_tokens_free(&tokens);
}

/* Whatever the rules, wherever revisions are cut: no text ever takes back what was committed. */
static void test_never_taken_back(void **state)
{
    (void)state;
    static const char *const rule[] = {
        NULL,
        "' ' } [?!:;] > \\u202F;",
        "::Any-Upper;",
        "::Any-Title;",
        "a } ' ' > ä; e $ > ë; $ > '.';", /* at the end of the text: breaks its promise */
        "[:L:]+ { ' ' } b > '-'; t ' ' > ;",
        "::NFD; ::[:Mn:] Remove; ::NFC;",
        "::Han-Latin;",
        "([a-z]) ' ' ([a-z]) > $2 ' ' $1;",
    };
    static const char *const text[] = {
        "Wo ist der Bahnhof? Ich weiß es nicht; fragt bitte den Beamten.",
        "Ça va bien ? Oui ! Tout est bon : la vie, l'été, le cœur.",
        "我的朋友Tom在这里。他买了3.5公斤苹果 and a pear。",
        "ไปไหนมา 👩‍👩‍👧‍👦 e\u0301t\u0301 \t\n a b t b ",
    };
    srand(20260131);
    for (size_t r = 0; r < sizeof rule / sizeof *rule; r++) {
        hg_rules *rules = rule[r] ? open_rules(rule[r]) : NULL;
        for (int round = 0; round < 40; round++) {
            hg_commit commit;
            hg_stream stream;
            hg_buf joined = hg_buf_new(1 << 16);
            hg_tokens tokens = encode(text[round % 4]);
            hg_commit_start(&commit, 0);
            uint32_t at = 0;
            while (at < tokens.count) { /* one revision after the other */
                assert_int_equal(
                    hg_stream_open(
                        &stream, &commit,
                        &(hg_stream_setting){.tokenizer = tokenizer, .rules = rules, .gap = ""}),
                    HG_OK);
                uint32_t to = at + 1 + (uint32_t)rand() % (tokens.count - at);
                feed(&stream, &tokens, at, to, &joined);
                size_t from = commit.text.length;
                if (to == tokens.count || rand() % 8 == 0) { /* this one came to its end */
                    assert_int_equal(hg_stream_finish(&stream, "", 0), HG_OK);
                    assert_int_equal(hg_stream_settle_all(&stream, SOURCE), HG_OK);
                    assert_int_equal(hg_buf_append_text(&joined, commit.text.data + from), HG_OK);
                    assert_string_equal(hg_buf_text(&joined), hg_buf_text(&stream.text));
                }
                at = commit.token.count;
                hg_stream_close(&stream);
            }
            if (!rules) assert_int_equal(commit.token.count, tokens.count);
            hg_commit_free(&commit);
            hg_tokens_free(&tokens);
            hg_buf_free(&joined);
        }
        hg_rules_close(rules);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_split_emoji),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_split_thai),
        cmocka_unit_test(test_rules_hold_text_back),
        cmocka_unit_test(test_next_revision),
        cmocka_unit_test(test_unfinished_end),
        cmocka_unit_test(test_never_taken_back),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
