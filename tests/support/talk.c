/* talk.c: see talk.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/support/talk.h"

hg_runtime *talk_runtime(hg_drafts drafts, hg_policy policy)
{
    hg_error error = {0};
    hg_runtime *runtime = NULL;
    hg_runtime_options options = {.model_path = "models/hydra-tiny",
                                  .plugins_path = "plugins",
                                  .device = "cpu",
                                  .drafts = drafts,
                                  .policy = policy};
    if (!hg_runtime_open(&options, &runtime, &error) && !hg_runtime_wait_ready(runtime, &error))
        return runtime;
    print_error("%s\n", error.message);
    hg_runtime_close(runtime);
    return NULL;
}

talk talk_new(hg_runtime *runtime)
{
    hg_error error = {0};
    talk t = {.runtime = runtime, .book = ledger_new()};
    assert_int_equal(
        hg_conversation_new(runtime, "test", ledger_take, t.book, &t.conversation, &error), HG_OK);
    return t;
}

void talk_end(talk *t)
{
    hg_conversation_free(t->conversation);
    ledger_free(t->book);
}

const char *const talk_nine[9] = {"de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"};

void talk_say(talk *t, const char *id, int64_t rev, const char *text, bool final)
{
    hg_refusal refusal;
    hg_translate_request request = {.id = id,
                                    .rev = rev,
                                    .text = text,
                                    .target = talk_nine,
                                    .targets = 9,
                                    .source = "en",
                                    .final = final,
                                    .stream = true};
    if (!hg_conversation_translate(t->conversation, &request, &refusal))
        fail_msg("refused: %s", refusal.message);
    ledger_accept(t->book, &request, talk_nine, 9);
}

void talk_drain(talk *t)
{
    while (hg_conversation_running(t->conversation)) hg_translator_poll(t->runtime, 100);
    assert_int_equal(t->book->batches, t->book->requests);
    for (uint32_t i = 0; i < t->book->entries; i++) assert_int_equal(t->book->entry[i].done, 1);
}
