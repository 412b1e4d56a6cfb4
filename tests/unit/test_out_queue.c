/* test_out_queue.c: order, replacement of snapshots, the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/out_queue.h"

static hg_status push(hg_out_queue *queue, const char *text, const char *key)
{
    return hg_out_queue_push(queue, text, strlen(text), 0, key);
}

/* Pops one message and compares it. */
static void expect(hg_out_queue *queue, const char *text)
{
    hg_out_message *message = hg_out_queue_first(queue);
    assert_non_null(message);
    assert_int_equal(message->count, strlen(text));
    assert_memory_equal(message->bytes + HG_OUT_HEADROOM, text, strlen(text));
    hg_out_queue_pop(queue, 1);
}

static void test_keeps_order(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 0);
    assert_null(hg_out_queue_first(&queue));
    assert_int_equal(push(&queue, "one", NULL), HG_OK);
    assert_int_equal(push(&queue, "two", "k"), HG_OK);
    assert_int_equal(push(&queue, "three", NULL), HG_OK);
    expect(&queue, "one");
    expect(&queue, "two");
    expect(&queue, "three");
    assert_null(hg_out_queue_first(&queue));
    assert_int_equal(queue.bytes, 0);
    assert_int_equal(queue.dropped, 0);
}

static void test_newer_snapshot_replaces(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 0);
    assert_int_equal(push(&queue, "de 1", "m1\nde"), HG_OK);
    assert_int_equal(push(&queue, "fr 1", "m1\nfr"), HG_OK);
    assert_int_equal(push(&queue, "committed", NULL), HG_OK);
    assert_int_equal(push(&queue, "de 2", "m1\nde"), HG_OK);
    expect(&queue, "fr 1");
    expect(&queue, "committed");
    expect(&queue, "de 2"); /* at the end: its seq is the highest */
    assert_int_equal(queue.dropped, 1);
    hg_out_queue_clear(&queue);
}

static void test_sent_snapshot_is_not_replaced(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 0);
    assert_int_equal(push(&queue, "de 1", "m1\nde"), HG_OK);
    expect(&queue, "de 1");
    assert_int_equal(push(&queue, "de 2", "m1\nde"), HG_OK);
    expect(&queue, "de 2");
    assert_int_equal(queue.dropped, 0);
}

/* Messages that must not be dropped push all snapshots out before one is refused. */
static void test_bound_drops_snapshots_first(void **state)
{
    (void)state;
    char text[201], key[16];
    memset(text, 'x', 200);
    text[200] = '\0';
    hg_out_queue queue;
    hg_out_queue_init(&queue, 2048, 0);
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "m%d\nde", i);
        assert_int_equal(push(&queue, text, key), HG_OK);
    }
    int kept = 0;
    while (push(&queue, text, NULL) == HG_OK) kept++;
    assert_in_range(kept, 2048 / (200 + 128), 2048 / 200);
    assert_int_equal(queue.dropped, 4);
    assert_true(queue.bytes <= queue.maximum);
    for (int i = 0; i < kept; i++) expect(&queue, text);
    hg_out_queue_clear(&queue);
    assert_int_equal(queue.bytes, 0);
}

/* A snapshot that does not fit is no reason to give a client up. */
static void test_snapshot_over_bound_is_dropped(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'x', sizeof text);
    hg_out_queue queue;
    hg_out_queue_init(&queue, 256, 0);
    assert_int_equal(hg_out_queue_push(&queue, text, sizeof text, 0, "k"), HG_OK);
    assert_null(hg_out_queue_first(&queue));
    assert_int_equal(queue.dropped, 1);
    assert_int_equal(hg_out_queue_push(&queue, text, sizeof text, 0, NULL), HG_ERROR_LIMIT);
}

/* Against a plain model: random pushes and pops; what must not be dropped comes out in order. */
static void test_random_against_model(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 8192, 0);
    unsigned seed = 7, next = 0, seen = 0;
    for (int i = 0; i < 20000; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        char text[64], key[16];
        snprintf(key, sizeof key, "m%u", r / 16 % 5);
        snprintf(text, sizeof text, "%c%u", r % 4 ? 's' : 'c', next);
        if (r % 16 < 9) {
            hg_status status = push(&queue, text, r % 4 ? key : NULL);
            assert_true(status == HG_OK || (status == HG_ERROR_LIMIT && r % 4 == 0));
            next += status == HG_OK && r % 4 == 0;
        } else if (hg_out_queue_first(&queue)) {
            hg_out_message *message = hg_out_queue_first(&queue);
            snprintf(text, sizeof text, "%.*s", (int)message->count,
                     message->bytes + HG_OUT_HEADROOM);
            if (text[0] == 'c') assert_int_equal(strtoul(text + 1, NULL, 10), seen++);
            hg_out_queue_pop(&queue, 1);
        }
        assert_true(queue.bytes <= queue.maximum);
    }
    assert_true(seen > 1000);
    hg_out_queue_clear(&queue);
}

static void push_seq(hg_out_queue *queue, uint64_t seq, const char *key)
{
    char text[24];
    snprintf(text, sizeof text, "%d", (int)seq);
    assert_int_equal(hg_out_queue_push(queue, text, strlen(text), seq, key), HG_OK);
}

static void send_all(hg_out_queue *queue)
{
    while (hg_out_queue_first(queue)) hg_out_queue_pop(queue, 1);
}

/* What was sent comes again, in order, before what waits; snapshots and what has no seq do not. */
static void test_replay(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 4096);
    for (uint64_t seq = 1; seq <= 4; seq++) push_seq(&queue, seq, seq == 3 ? "k" : NULL);
    send_all(&queue);
    push_seq(&queue, 5, NULL);
    assert_int_equal(push(&queue, "pong", NULL), HG_OK);
    assert_true(hg_out_queue_replay(&queue, 1));
    assert_int_equal(hg_out_queue_push_first(&queue, "resumed", 7), HG_OK);
    expect(&queue, "resumed");
    expect(&queue, "2");
    expect(&queue, "4");
    assert_true(hg_out_queue_replay(&queue, 2)); /* in the middle of a replay */
    expect(&queue, "4");
    expect(&queue, "5");
    assert_null(hg_out_queue_first(&queue));
    assert_true(hg_out_queue_replay(&queue, 5));
    assert_null(hg_out_queue_first(&queue));
    hg_out_queue_clear(&queue);
}

/* What is kept of the sent has a bound; a gap is never replayed over. */
static void test_replay_bound(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 512);
    for (uint64_t seq = 1; seq <= 50; seq++) push_seq(&queue, seq, NULL);
    assert_int_equal(queue.sent_bytes, 0);
    send_all(&queue);
    assert_in_range(queue.sent_bytes, 1, 512);
    assert_in_range(queue.lost_seq, 1, 49);
    assert_false(hg_out_queue_replay(&queue, queue.lost_seq - 1));
    assert_null(hg_out_queue_first(&queue));
    assert_true(hg_out_queue_replay(&queue, queue.lost_seq));
    assert_non_null(hg_out_queue_first(&queue));
    assert_int_equal(hg_out_queue_first(&queue)->seq, queue.lost_seq + 1);
    hg_out_queue_clear(&queue);
}

static uint32_t fill(hg_out_queue *queue)
{
    uint32_t count = 0;
    while (!hg_out_queue_push(queue, "12345678", 8, 1000 + count, NULL)) count++;
    return count;
}

/* A queue that nobody reads finds room once, and again when it was read. */
static void test_stretch(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 2048, 512);
    assert_true(fill(&queue) > 8);
    hg_out_queue_stretch(&queue);
    assert_in_range(fill(&queue), 1, 512 / 8);
    hg_out_queue_stretch(&queue);
    assert_int_equal(fill(&queue), 0);
    assert_in_range(queue.bytes, 2048, 2048 + 512);
    send_all(&queue);
    assert_int_equal(queue.maximum, 2048);
    hg_out_queue_stretch(&queue);
    assert_int_equal(queue.maximum, 2048 + 512);
    hg_out_queue_clear(&queue);
}

/* However often somebody resumes and reads nothing, what the queue holds stays bounded. */
static void test_resumes_without_reading(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 2048, 512);
    for (int round = 0; round < 50; round++) {
        if (round % 3 == 0)
            for (int i = 0; i < 20 && hg_out_queue_first(&queue); i++) hg_out_queue_pop(&queue, 1);
        fill(&queue);
        hg_out_queue_stretch(&queue);
        fill(&queue);
        hg_out_queue_replay(&queue, queue.lost_seq);
        assert_true(queue.bytes + queue.sent_bytes <= 2 * (2048 + 512) + 512);
    }
    hg_out_queue_clear(&queue);
}

/* What is old is forgotten, and not replayed over. */
static void test_forgets(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096, 4096);
    for (uint64_t seq = 1; seq <= 3; seq++) push_seq(&queue, seq, NULL);
    hg_out_queue_pop(&queue, 10);
    hg_out_queue_pop(&queue, 20);
    hg_out_queue_forget(&queue, 10);
    assert_int_equal(queue.lost_seq, 0);
    hg_out_queue_forget(&queue, 20);
    assert_int_equal(queue.lost_seq, 1);
    assert_false(hg_out_queue_replay(&queue, 0));
    assert_true(hg_out_queue_replay(&queue, 1));
    expect(&queue, "2");
    expect(&queue, "3");
    hg_out_queue_clear(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_order),
        cmocka_unit_test(test_newer_snapshot_replaces),
        cmocka_unit_test(test_sent_snapshot_is_not_replaced),
        cmocka_unit_test(test_bound_drops_snapshots_first),
        cmocka_unit_test(test_snapshot_over_bound_is_dropped),
        cmocka_unit_test(test_random_against_model),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replay_bound),
        cmocka_unit_test(test_stretch),
        cmocka_unit_test(test_resumes_without_reading),
        cmocka_unit_test(test_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
