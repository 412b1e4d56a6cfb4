/* test_identity.c: a model's identity changes with all that could change its weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/model/identity.h"

static char folder[64], path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hg-identity-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/text", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#define BYTES (128 << 10)
static uint8_t bytes[BYTES];

static hg_mapping old_file(void)
{
    return (hg_mapping){bytes, BYTES, {.device = 1, .inode = 2, .modified_ns = 3, .changed_ns = 4}};
}

static void identity_of(const hg_mapping *file, uint32_t files, char *hex)
{
    hg_error error;
    hg_identity identity;
    hg_identity_start(&identity);
    for (uint32_t i = 0; i < files; i++)
        assert_int_equal(hg_identity_add(&identity, &file[i], &error), HG_OK);
    assert_int_equal(hg_identity_finish(&identity, hex, &error), HG_OK);
    hg_identity_free(&identity);
}

static void whatever_changes(void **state)
{
    (void)state;
    char known[12][HG_SHA256_HEX], again[HG_SHA256_HEX];
    hg_mapping file[2] = {old_file(), old_file()};
    uint32_t count = 0;
    identity_of(file, 1, known[count++]);
    identity_of(file, 1, again);
    assert_string_equal(known[0], again);
    identity_of(file, 2, known[count++]);
    for (int field = 0; field < 6; field++) {
        hg_mapping other = old_file();
        if (field == 0) other.size--;
        if (field == 1) other.id.device++;
        if (field == 2) other.id.inode++;
        if (field == 3) other.id.modified_ns++;
        if (field == 4) other.id.changed_ns++;
        if (field == 5) bytes[99] ^= 1; /* of the header */
        identity_of(&other, 1, known[count++]);
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++) assert_string_not_equal(known[i], known[j]);
}

/* What has changed just now may change again within the same tick: it has no identity yet. */
static void what_is_fresh(void **state)
{
    (void)state;
    char hex[HG_SHA256_HEX];
    hg_mapping file[2] = {old_file(), old_file()};
    file[1].id.changed_ns = hg_clock_wall_us() * 1000;
    identity_of(file, 2, hex);
    assert_string_equal(hex, "");
    file[1].id.changed_ns -= (HG_IDENTITY_QUIET_S + 1) * INT64_C(1000000000);
    identity_of(file, 2, hex);
    assert_int_equal(strlen(hex), HG_SHA256_HEX - 1);
}

/* A mapping tells which file it is. */
static void a_mapping_knows_its_file(void **state)
{
    (void)state;
    hg_error error;
    hg_mapping mapping;
    struct stat st;
    assert_int_equal(hg_file_write(path, "text", 4, &error), HG_OK);
    assert_int_equal(hg_file_map(path, &mapping, &error), HG_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(mapping.id.device == st.st_dev && mapping.id.inode == st.st_ino);
    assert_true(mapping.id.modified_ns / 1000000000 == st.st_mtim.tv_sec);
    assert_true(mapping.id.changed_ns % 1000000000 == st.st_ctim.tv_nsec);
    hg_file_unmap(&mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_changes),
        cmocka_unit_test(what_is_fresh),
        cmocka_unit_test(a_mapping_knows_its_file),
    };
    return cmocka_run_group_tests_name("identity", tests, set_up, tear_down);
}
