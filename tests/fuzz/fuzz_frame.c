/* fuzz_frame.c: any bytes as a websocket frame. Parsing must end, and either give a message within
 * the limits or a refusal with a code and a message that can be printed. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/message.h"
#include "core/text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const hg_message *message)
{
    assert(message->targets <= HG_LIMIT_LANES);
    if (message->type != HG_MESSAGE_TRANSLATE) return;
    assert(message->id && message->text && message->rev >= 0);
    assert(hg_utf8_length(message->text, strlen(message->text)) <= HG_LIMIT_TEXT);
    assert(message->top_p > 0 && message->top_p <= 1 && message->temperature >= 0);
}

/* What is printed must be JSON again. */
static void check_printed(hg_buf *buf)
{
    json_error_t problem;
    json_t *root = json_loadb(buf->data, buf->length, JSON_REJECT_DUPLICATES, &problem);
    if (!root) abort();
    json_decref(root);
    hg_buf_clear(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* ws.c closes for both before a message is looked at. */
    if (size > HG_LIMIT_FRAME || hg_utf8_valid((const char *)data, size) != size) return 0;
    hg_message message;
    hg_refusal refusal = {0};
    hg_buf buf = hg_buf_new(HG_LIMIT_EVENT);
    if (hg_message_parse((const char *)data, size, &message, &refusal)) {
        check_message(&message);
        if (message.type == HG_MESSAGE_PING && !hg_pong_print(message.t, &buf)) check_printed(&buf);
    } else {
        assert(refusal.code && *refusal.message);
        if (!hg_error_print(&refusal, message.id, message.rev, 1, &buf)) check_printed(&buf);
    }
    hg_message_free(&message);
    hg_buf_free(&buf);
    return 0;
}
