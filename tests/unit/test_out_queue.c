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
    return hg_out_queue_push(queue, text, strlen(text), key);
}

/* Pops one message and compares it. */
static void expect(hg_out_queue *queue, const char *text)
{
    hg_out_message *message = hg_out_queue_first(queue);
    assert_non_null(message);
    assert_int_equal(message->count, strlen(text));
    assert_memory_equal(message->bytes + HG_OUT_HEADROOM, text, strlen(text));
    hg_out_queue_pop(queue);
}

static void test_keeps_order(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 4096);
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
    hg_out_queue_init(&queue, 4096);
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
    hg_out_queue_init(&queue, 4096);
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
    hg_out_queue_init(&queue, 2048);
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
    hg_out_queue_init(&queue, 256);
    assert_int_equal(hg_out_queue_push(&queue, text, sizeof text, "k"), HG_OK);
    assert_null(hg_out_queue_first(&queue));
    assert_int_equal(queue.dropped, 1);
    assert_int_equal(hg_out_queue_push(&queue, text, sizeof text, NULL), HG_ERROR_LIMIT);
}

/* Against a plain model: random pushes and pops; what must not be dropped comes out in order. */
static void test_random_against_model(void **state)
{
    (void)state;
    hg_out_queue queue;
    hg_out_queue_init(&queue, 8192);
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
            hg_out_queue_pop(&queue);
        }
        assert_true(queue.bytes <= queue.maximum);
    }
    assert_true(seen > 1000);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
