/* test_licence.c: which notice a licence's name, its text and the files of a folder lead to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/model/licence.h"

#define META3                                                                                      \
    "Meta Llama 3 is licensed under the Meta Llama 3 Community License, Copyright © Meta "        \
    "Platforms, Inc. All Rights Reserved."
#define META32                                                                                     \
    "Llama 3.2 is licensed under the Llama 3.2 Community License, Copyright © Meta Platforms, "   \
    "Inc. All Rights Reserved."

static void test_names_and_texts(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"llama3", "Built with Meta Llama 3. " META3},
        {"META LLAMA 3 COMMUNITY LICENSE AGREEMENT\nMeta Llama 3 Version Release Date: April",
         "Built with Meta Llama 3. " META3},
        {"llama3.2", "Built with Llama. " META32},
        {"Llama-3.2", "Built with Llama. " META32},
        {"\n  LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n", "Built with Llama. " META32},
        {"# Llama 3.2 Acceptable Use Policy\nMeta is", "Built with Llama. " META32},
        {"", ""},
        {"apache-2.0", ""},
        {"llama2", ""},
        {"llama3.9", ""},
        {"llama4", ""},
        {"LLAMA 2 COMMUNITY LICENSE AGREEMENT", ""},
        {"This is not Llama 3. Its licence is MIT.", ""},
        {"llama", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[512];
        assert_int_equal(hg_notice_of_licence(rows[i][0], out, sizeof out), *rows[i][1] != '\0');
        assert_string_equal(out, rows[i][1]);
    }
}

/* A folder of its own with one or two files. */
static char folder[] = "/tmp/hydraglot-licence-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void put(const char *name, const char *text)
{
    char path[HG_PATH_MAX];
    hg_error error;
    assert_int_equal(hg_path_join(path, sizeof path, folder, name, &error), HG_OK);
    if (text)
        assert_int_equal(hg_file_write(path, text, strlen(text), &error), HG_OK);
    else
        assert_int_equal(unlink(path), 0);
}

/* Writes the two files, compares the notice, removes them. */
static void check_folder(const char *notice, const char *name, const char *licence,
                         const char *expected)
{
    char out[512];
    hg_error error = {0};
    if (notice) put("NOTICE", notice);
    if (name) put(name, licence);
    if (hg_notice_of_folder(folder, out, sizeof out, &error)) fail_msg("%s", error.message);
    assert_string_equal(out, expected);
    if (notice) put("NOTICE", NULL);
    if (name) put(name, NULL);
}

static void test_folders(void **state)
{
    (void)state;
    static const char licence[] = "LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n";
    check_folder(NULL, NULL, NULL, "");
    check_folder(NULL, "LICENSE", "MIT License", "");
    check_folder(NULL, "LICENSE", licence, "Built with Llama. " META32);
    check_folder(NULL, "LICENSE.txt", licence, "Built with Llama. " META32);
    check_folder(NULL, "USE_POLICY.md", "# Llama 3.2 Acceptable Use Policy",
                 "Built with Llama. " META32);
    check_folder("Made of\nsentences.\n", "LICENSE", licence, "Made of sentences.");
    check_folder(META32 "\n", NULL, NULL, "Built with Llama. " META32);
    check_folder("BUILT WITH LLAMA by us. " META32, NULL, NULL, "BUILT WITH LLAMA by us. " META32);
}

/* A NOTICE too long to show is refused, unless it is a whole licence that we know. */
static void test_long_notices(void **state)
{
    (void)state;
    char text[2000], out[512];
    hg_error error = {0};
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    put("NOTICE", text);
    assert_int_equal(hg_notice_of_folder(folder, out, sizeof out, &error), HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "/NOTICE"));
    memcpy(text, META3, strlen(META3));
    check_folder(text, NULL, NULL, "Built with Meta Llama 3. " META3);
    put("NOTICE", "\xFF\xFE");
    assert_int_equal(hg_notice_of_folder(folder, out, sizeof out, &error), HG_ERROR_FORMAT);
    put("NOTICE", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_texts),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_long_notices),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
