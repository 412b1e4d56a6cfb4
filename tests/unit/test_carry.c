/* test_carry.c: one sentence and what it carries: stand-ins when the plugin is replaced, and what a
 * push costs at most, counted in calls. The linker hands the counted functions to those here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/translate/stream.h"

/* Of what a push may do. Halving 2,000 bytes takes 11 steps. */
#define RESTORES_A_PUSH 2
#define PLACES_A_PUSH   16

static uint32_t restores, looks, openings;

hg_status __real_hg_carry_restore(const hg_carry *carry, uint64_t placed, const char *text,
                                  size_t bytes, hg_restoring *restoring);
hg_status __wrap_hg_carry_restore(const hg_carry *carry, uint64_t placed, const char *text,
                                  size_t bytes, hg_restoring *restoring);
size_t __real_hg_carry_outside(const hg_carry *carry, const char *text, size_t bytes, size_t at);
size_t __wrap_hg_carry_outside(const hg_carry *carry, const char *text, size_t bytes, size_t at);
hg_status __real_hg_rules_apply_open(hg_rules *rules, const char *text, size_t count, hg_buf *out,
                                     bool *settled);
hg_status __wrap_hg_rules_apply_open(hg_rules *rules, const char *text, size_t count, hg_buf *out,
                                     bool *settled);

hg_status __wrap_hg_carry_restore(const hg_carry *carry, uint64_t placed, const char *text,
                                  size_t bytes, hg_restoring *restoring)
{
    restores++;
    return __real_hg_carry_restore(carry, placed, text, bytes, restoring);
}

size_t __wrap_hg_carry_outside(const hg_carry *carry, const char *text, size_t bytes, size_t at)
{
    looks++;
    return __real_hg_carry_outside(carry, text, bytes, at);
}

hg_status __wrap_hg_rules_apply_open(hg_rules *rules, const char *text, size_t count, hg_buf *out,
                                     bool *settled)
{
    openings++;
    return __real_hg_rules_apply_open(rules, text, count, out, settled);
}

static const hg_plugin standing = {
    .name_in = {{"Tom", {"Tom", "Toms"}, 2}, {"Anna", {"Anna", "Annas"}, 2}, {"Ben", {"Ben"}, 1}},
    .name_ins = 3,
    .number_in = {{"20", {"20", "zwanzig"}, 2}},
    .number_ins = 1,
};
static const hg_plugin bare; /* whose spans stand for themselves */

static hg_carry *carry_of(const char *text, const hg_plugin *plugin, uint64_t generation,
                          const hg_carried_past *past)
{
    hg_protected_list kept = {0};
    hg_carry *carry;
    assert_int_equal(hg_protected_find(text, strlen(text), NULL, &kept), HG_OK);
    const hg_carry_of of = {.text = text,
                            .end = strlen(text),
                            .kept = &kept,
                            .plugin = plugin,
                            .generation = generation,
                            .past = past};
    assert_int_equal(hg_carry_new(&of, &carry), HG_OK);
    hg_protected_free(&kept);
    return carry;
}

/* The new plugin lies where the old one was, and has fewer stand-ins. */
static void test_replaced_plugin(void **state)
{
    (void)state;
    static const char text[] = "I met @maria and @jo.";
    hg_plugin plugin = standing;
    hg_carried_past past = {0};
    hg_carry *carry = carry_of(text, &plugin, 1, &past);
    assert_string_equal(hg_buf_text(&carry->source), "I met Tom and Anna.");
    hg_carry_remember(carry, &past);
    assert_true(hg_carry_retry(carry, 1, &past));
    hg_carry_free(carry);
    carry = carry_of(text, &plugin, 1, &past);
    assert_string_equal(hg_buf_text(&carry->source), "I met Ben and Anna.");
    hg_carry_remember(carry, &past);
    hg_carry_free(carry);

    plugin = (hg_plugin){.name_in = {{"Kim", {"Kim"}, 1}}, .name_ins = 1};
    carry = carry_of(text, &plugin, 2, &past);
    assert_string_equal(hg_buf_text(&carry->source), "I met Kim and.");
    assert_int_equal(carry->span[1].is.stand_in, HG_LEFT_OUT);
    hg_carry_remember(carry, &past);
    hg_carry_free(carry);

    plugin = bare;
    carry = carry_of(text, &plugin, 3, &past);
    assert_string_equal(hg_buf_text(&carry->source), text);
    hg_carry_free(carry);
}

/* Pushes a translation token by token, settles after each, and counts. */
static void count_pushes(const hg_carry *carry, const char *rule, const char *translation,
                         size_t *committed)
{
    hg_error error = {0};
    hg_tokenizer *tokenizer;
    hg_rules *rules = NULL;
    hg_tokens tokens = {0};
    hg_commit commit;
    hg_stream stream;
    assert_int_equal(hg_tokenizer_open("models/hydra-tiny/tokenizer.json", &tokenizer, &error),
                     HG_OK);
    if (rule) assert_int_equal(hg_rules_open(rule, &rules, &error), HG_OK);
    assert_int_equal(
        hg_tokenizer_encode(tokenizer, translation, strlen(translation), &tokens, &error), HG_OK);
    hg_commit_start(&commit, 0);
    restores = looks = openings = 0;
    const hg_stream_setting setting = {
        .tokenizer = tokenizer, .rules = rules, .carry = carry, .gap = ""};
    assert_int_equal(hg_stream_open(&stream, &commit, &setting), HG_OK);
    for (uint32_t i = 0; i < tokens.count; i++) {
        assert_int_equal(hg_stream_push(&stream, tokens.id + i, 1), HG_OK);
        assert_int_equal(hg_stream_settle(&stream, SIZE_MAX, 7), HG_OK);
    }
    assert_true(tokens.count > 300);
    assert_in_range(restores, tokens.count, RESTORES_A_PUSH * tokens.count + 1);
    assert_in_range(looks, 0, PLACES_A_PUSH * tokens.count);
    assert_in_range(openings, 0, PLACES_A_PUSH * tokens.count);
    *committed = commit.text.length;
    hg_stream_close(&stream);
    hg_commit_free(&commit);
    hg_tokens_free(&tokens);
    hg_rules_close(rules);
    hg_tokenizer_close(tokenizer);
}

/* begin, then words up to the longest sentence. */
static void fill_up(char *text, const char *begin)
{
    strcpy(text, begin);
    while (strlen(text) < HG_LIMIT_SENTENCE - 8) strcat(text, " und so");
}

/* As many spans as a sentence carries, names and numbers in turn. */
static hg_carry *full(const hg_plugin *plugin, bool mark)
{
    static const hg_carried_past none;
    static char text[HG_LIMIT_SENTENCE * 4];
    strcpy(text, "I saw @maria");
    for (int i = 1; i < HG_LIMIT_PROTECTED; i++)
        sprintf(text + strlen(text), i % 2 ? " with #tag%d" : " and %d kg", 10000 + i);
    strcat(text, mark ? " 😀 here." : " here.");
    hg_carry *carry = carry_of(text, plugin, 1, &none);
    assert_int_equal(carry->spans, HG_LIMIT_PROTECTED);
    return carry;
}

/* What is left out keeps all text tentative, and no place is looked at for that. */
static void test_left_out(void **state)
{
    (void)state;
    char text[HG_LIMIT_SENTENCE + 1];
    size_t committed;
    hg_carry *carry = full(&standing, true);
    fill_up(text, "Ich sah Tom");
    count_pushes(carry, NULL, text, &committed);
    assert_int_equal(committed, 0);
    count_pushes(carry, "' ' } [?!:;] > \\u202F;", text, &committed);
    assert_int_equal(committed, 0);
    assert_int_equal(looks + openings, 0);
    hg_carry_free(carry);
}

/* The first span came and the others never do: all behind it stays tentative. */
static void test_lost(void **state)
{
    (void)state;
    char text[HG_LIMIT_SENTENCE + 1];
    size_t committed;
    hg_carry *carry = full(&bare, false);
    fill_up(text, "Ich sah @maria");
    count_pushes(carry, NULL, text, &committed);
    assert_int_equal(committed, strlen("Ich sah @maria"));
    count_pushes(carry, "' ' } [?!:;] > \\u202F;", text, &committed);
    assert_int_equal(committed, strlen("Ich sah @maria"));
    hg_carry_free(carry);
}

/* Code of many words that a model says again: each of its words may still belong to it. */
static void test_said_again(void **state)
{
    (void)state;
    static const hg_carried_past none;
    char code[1024] = "`a", source[2048], text[4096];
    size_t committed;
    for (int i = 0; i < 230; i++) strcat(code, i % 2 ? " b" : " cd");
    strcat(code, "`");
    sprintf(source, "Run %s now.", code);
    sprintf(text, "Tut %s und %s jetzt und", code, code);
    hg_carry *carry = carry_of(source, &bare, 1, &none);
    assert_int_equal(carry->spans, 1);
    count_pushes(carry, NULL, text, &committed);
    assert_int_equal(committed, strlen(text) - strlen(" und"));
    hg_carry_free(carry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced_plugin),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
