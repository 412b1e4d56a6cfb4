/* test_fingerprint.c: what sha256sum says, whoever asks and whenever; kept for large files only;
 * given up at once when nobody wants it any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/model/fingerprint.h"

static char folder[64];
static hg_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hg-fingerprint-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* it is empty again */
}

static const char identity[] = "0123456789abcdef";

static hg_fingerprint *start(const hg_fingerprint_file *file, uint32_t files, const char *name)
{
    const hg_fingerprint_want want = {file, files, folder, name};
    hg_fingerprint *out;
    assert_int_equal(hg_fingerprint_start(&want, &out, &error), HG_OK);
    return out;
}

/* What `sha256sum` and, for two files, `sha256sum a b | sha256sum` print. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TWO "09c7e0b8a02d027d95ec0375a600ed4ad4d6b26a1c93f16d9150cab5fec761a6"

static void *wait_for(void *fingerprint)
{
    return (void *)(uintptr_t)hg_fingerprint_wait(fingerprint);
}

static void what_sha256sum_says(void **state)
{
    (void)state;
    const hg_mapping abc = {.data = (const uint8_t *)"abc", .size = 3}, none = {0};
    const hg_fingerprint_file file[2] = {{&abc, "a"}, {&none, "b"}};
    const char *const want[] = {"sha256:" ABC, "sha256:" TWO};
    for (uint32_t files = 1; files <= 2; files++) {
        hg_fingerprint *f = start(file, files, identity);
        pthread_t other;
        void *same = NULL;
        assert_int_equal(pthread_create(&other, NULL, wait_for, f), 0);
        assert_string_equal(hg_fingerprint_wait(f), want[files - 1]);
        assert_int_equal(pthread_join(other, &same), 0);
        assert_ptr_equal(same, hg_fingerprint_wait(f));
        hg_fingerprint_stop(f);
    }
    char text[HG_FINGERPRINT_TEXT];
    assert_false(hg_fingerprint_recall(folder, identity, text)); /* small: not kept */
    hg_fingerprint_stop(NULL);
}

/* A mapping of zeros of so many bytes, which costs no memory. */
static hg_mapping zeros(size_t bytes)
{
    void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(data != MAP_FAILED);
    return (hg_mapping){.data = data, .size = bytes};
}

/* What is known is not computed again: here it could not have been. */
static void a_large_one_is_found_again(void **state)
{
    (void)state;
    char want[HG_FINGERPRINT_TEXT], path[256];
    hg_mapping large = zeros(HG_LIMIT_CACHE_LEAST);
    const hg_fingerprint_file file = {&large, "large"};
    snprintf(want, sizeof want, "sha256:%064d", 7);
    hg_fingerprint_keep(folder, identity, want);
    hg_fingerprint *f = start(&file, 1, identity);
    assert_string_equal(hg_fingerprint_wait(f), want);
    hg_fingerprint_stop(f);
    hg_file_unmap(&large);
    snprintf(path, sizeof path, "%s/%s.fingerprint", folder, identity);
    assert_int_equal(unlink(path), 0);
}

/* 256 GB take minutes; they are not waited for. */
static void an_unwanted_one_is_given_up(void **state)
{
    (void)state;
    hg_mapping endless = zeros((size_t)256 << 30);
    const hg_fingerprint_file file = {&endless, "endless"};
    int64_t begin_us = hg_clock_us();
    hg_fingerprint_stop(start(&file, 1, identity));
    assert_true(hg_clock_us() - begin_us < 30 * INT64_C(1000000));
    hg_file_unmap(&endless);
}

static void what_is_kept_is_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "sha256:", "nonsense", "sha256:XYZ"};
    char have[HG_FINGERPRINT_TEXT], want[HG_FINGERPRINT_TEXT], file[256];
    snprintf(want, sizeof want, "sha256:%064d", 7);
    assert_false(hg_fingerprint_recall(folder, identity, have));
    hg_fingerprint_keep(folder, identity, want);
    assert_true(hg_fingerprint_recall(folder, identity, have));
    assert_string_equal(have, want);
    assert_false(hg_fingerprint_recall(folder, "", have));
    assert_false(hg_fingerprint_recall(NULL, identity, have));
    snprintf(file, sizeof file, "%s/%s.fingerprint", folder, identity);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hg_file_write(file, bad[i], strlen(bad[i]), &error), HG_OK);
        assert_false(hg_fingerprint_recall(folder, identity, have));
    }
    char longer[200];
    snprintf(longer, sizeof longer, "%s0", want);
    assert_int_equal(hg_file_write(file, longer, strlen(longer), &error), HG_OK);
    assert_false(hg_fingerprint_recall(folder, identity, have));
    assert_int_equal(unlink(file), 0);
    hg_fingerprint_keep("/dev/null/none", identity, want); /* costs only time */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_sha256sum_says),
        cmocka_unit_test(a_large_one_is_found_again),
        cmocka_unit_test(an_unwanted_one_is_given_up),
        cmocka_unit_test(what_is_kept_is_checked),
    };
    return cmocka_run_group_tests_name("fingerprint", tests, set_up, tear_down);
}
