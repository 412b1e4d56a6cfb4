/* test_deflate.c: which offers of permessage-deflate are taken, and messages through it in pieces,
 * up to the bound and beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/service/deflate.h"

static void test_offers(void **state)
{
    (void)state;
    static const struct {
        const char *offers;
        int server_bits, client_bits; /* 0: not taken */
        bool server_resets;
    } rows[] = {
        {"permessage-deflate", 12, 15, false},
        {"permessage-deflate; client_max_window_bits", 12, 12, false},
        {"x-other; a=1, permessage-deflate;client_max_window_bits=10", 12, 10, false},
        {"permessage-deflate ; server_max_window_bits = \"9\" ", 9, 15, false},
        {"permessage-deflate; server_no_context_takeover", 12, 15, true},
        {"permessage-deflate; server_no_context_takeover=1", 0, 0, false},
        {"permessage-deflate; server_max_window_bits", 0, 0, false},
        {"permessage-deflate; server_max_window_bits=8", 0, 0, false},
        {"permessage-deflate; server_max_window_bits=16", 0, 0, false},
        {"permessage-deflate; server_max_window_bits=010", 0, 0, false},
        {"permessage-deflate; client_max_window_bits=", 0, 0, false},
        {"permessage-deflate; client_max_window_bits; client_max_window_bits", 0, 0, false},
        {"permessage-deflate; unknown", 0, 0, false},
        {"permessage-deflat", 0, 0, false},
        {"", 0, 0, false},
        {";;,,;=", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_deflate found;
        bool taken = hg_deflate_agree(rows[i].offers, &found);
        if (taken != (rows[i].server_bits > 0)) fail_msg("%s", rows[i].offers);
        assert_int_equal(found.server_bits, rows[i].server_bits);
        assert_int_equal(found.client_bits, rows[i].client_bits);
        assert_int_equal(found.server_resets, rows[i].server_resets);
    }
}

/* Packs text as one side and unpacks it as the other, in pieces of `step` bytes. */
static void carry(hg_deflate *from, hg_deflate *to, const hg_buf *text, size_t step)
{
    hg_buf packed = hg_buf_new(HG_LIMIT_FRAME), found = hg_buf_new(HG_LIMIT_FRAME);
    assert_int_equal(hg_deflate_pack(from, hg_buf_text(text), text->length, &packed), HG_OK);
    for (size_t at = 0; at < packed.length; at += step) {
        size_t count = packed.length - at < step ? packed.length - at : step;
        bool last = at + count == packed.length;
        assert_int_equal(hg_deflate_unpack(to, packed.data + at, count, last, &found), HG_OK);
    }
    assert_int_equal(found.length, text->length);
    if (found.length) assert_memory_equal(found.data, text->data, found.length);
    hg_buf_free(&packed);
    hg_buf_free(&found);
}

/* Noise, runs and repeats of every length about the borders of the pieces inside. */
static void test_round_trips(void **state)
{
    (void)state;
    hg_deflate from, to;
    for (int resets = 0; resets < 2; resets++) {
        const char *offer = resets ? "permessage-deflate; server_no_context_takeover"
                                   : "permessage-deflate; client_max_window_bits=12";
        assert_true(hg_deflate_agree(offer, &from) && hg_deflate_agree(offer, &to));
        srand(7);
        for (int round = 0; round < 400; round++) {
            hg_buf text = hg_buf_new(HG_LIMIT_FRAME);
            size_t length = round < 64 ? (size_t)round : 4096u * (1 + round % 3) + round % 9 - 4;
            for (size_t i = 0; i < length; i++) {
                char c = (char)(round % 3 == 0 ? 'a' : rand() >> 4);
                assert_int_equal(hg_buf_append(&text, &c, 1), HG_OK);
            }
            carry(&from, &to, &text, 1 + (size_t)round * 7 % 5000);
            hg_buf_free(&text);
        }
        hg_deflate_free(&from);
        hg_deflate_free(&to);
    }
}

/* RFC 7692, 7.2.3.5: a message may end with a final block; an octet of padding behind it, which not
 * everybody sends, begins the next one. Whole, in single bytes, and with an empty last fragment. */
static void test_final_blocks(void **state)
{
    (void)state;
    static const char hello[] = "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"; /* and its padding */
    hg_deflate from, to;
    hg_buf text = hg_buf_new(64);
    assert_true(hg_deflate_agree("permessage-deflate", &from));
    assert_true(hg_deflate_agree("permessage-deflate", &to));
    assert_int_equal(hg_buf_append_text(&text, "Hello, Hello"), HG_OK);
    for (int round = 0; round < 12; round++) {
        size_t count = round % 2 ? 7 : 8, step = round % 3 ? 1 : 8;
        hg_buf found = hg_buf_new(64);
        for (size_t at = 0; at < count; at += step) {
            size_t piece = count - at < step ? count - at : step;
            bool last = round % 3 < 2 && at + piece == count;
            assert_int_equal(hg_deflate_unpack(&to, hello + at, piece, last, &found), HG_OK);
        }
        if (round % 3 == 2) assert_int_equal(hg_deflate_unpack(&to, "", 0, true, &found), HG_OK);
        assert_string_equal(hg_buf_text(&found), "Hello");
        hg_buf_free(&found);
        if (round % 4 < 3) continue;
        carry(&from, &to, &text, 3);
        hg_deflate_free(&from); /* its window would not be the receiver's any more */
        assert_true(hg_deflate_agree("permessage-deflate", &from));
    }
    hg_buf_free(&text);
    hg_deflate_free(&from);
    hg_deflate_free(&to);
}

static void test_bounds(void **state)
{
    (void)state;
    hg_deflate from, to;
    assert_true(hg_deflate_agree("permessage-deflate", &from));
    assert_true(hg_deflate_agree("permessage-deflate", &to));
    size_t count = 64 << 20;
    char *zeros = calloc(count, 1);
    hg_buf packed = hg_buf_new(1 << 20), found = hg_buf_new(HG_LIMIT_FRAME);
    assert_non_null(zeros);
    assert_int_equal(hg_deflate_pack(&from, zeros, count, &packed), HG_OK);
    assert_int_equal(hg_deflate_unpack(&to, packed.data, packed.length, true, &found),
                     HG_ERROR_LIMIT);
    assert_true(found.capacity <= 2 * HG_LIMIT_FRAME);
    hg_deflate_free(&to);
    assert_true(hg_deflate_agree("permessage-deflate", &to));
    hg_buf_clear(&found);
    assert_int_equal(hg_deflate_unpack(&to, "\xff\xff\xff\xff", 4, true, &found), HG_ERROR_FORMAT);
    free(zeros);
    hg_buf_free(&packed);
    hg_buf_free(&found);
    hg_deflate_free(&from);
    hg_deflate_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_final_blocks),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
