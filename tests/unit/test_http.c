/* test_http.c: who may call, where we listen, which files of the page can be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/service/address.h"
#include "core/service/static.h"

static void listens(const char *text, const char *url)
{
    hg_address address;
    hg_error error;
    char found[128];
    if (hg_address_parse(text, &address, &error)) fail_msg("%s", error.message);
    hg_address_url(&address, found, sizeof found);
    assert_string_equal(found, url);
}

static void refuses(const char *text, const char *why)
{
    hg_address address;
    hg_error error;
    assert_int_equal(hg_address_parse(text, &address, &error), HG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "--listen"));
    if (!strstr(error.message, why)) fail_msg("%s: %s", text, error.message);
}

static void test_listens(void **state)
{
    (void)state;
    listens("127.0.0.1:8080", "http://127.0.0.1:8080/");
    listens("127.8.0.9:0", "http://127.8.0.9:0/");
    listens("localhost:65535", "http://127.0.0.1:65535/");
    listens("[::1]:80", "http://[::1]:80/");
    listens("0.0.0.0:8080", "http://0.0.0.0:8080/");
    listens("[::]:8080", "http://[::]:8080/");
    refuses("example.com:8080", "not an address");
    refuses("127.1:8080", "not an address");
    refuses("127.0.0.1", "HOST:PORT");
    refuses("127.0.0.1:", "HOST:PORT");
    refuses(":8080", "HOST:PORT");
    refuses("127.0.0.1:65536", "HOST:PORT");
    refuses("127.0.0.1:80x", "HOST:PORT");
    refuses("[::1:80", "HOST:PORT");
    refuses("", "HOST:PORT");
}

static hg_address address_of(const char *text)
{
    hg_address address;
    hg_error error;
    if (hg_address_parse(text, &address, &error)) fail_msg("%s", error.message);
    return address;
}

static void test_host(void **state)
{
    (void)state;
    const hg_address own = address_of("127.0.0.1:8080"), plain = address_of("127.0.0.1:80");
    assert_true(hg_host_allowed(&own, NULL, "127.0.0.1:8080"));
    assert_true(hg_host_allowed(&own, NULL, "LocalHost:8080"));
    assert_true(hg_host_allowed(&own, NULL, "[::1]:8080"));
    assert_true(hg_host_allowed(&plain, NULL, "localhost"));
    assert_false(hg_host_allowed(&own, NULL, "localhost"));
    assert_false(hg_host_allowed(&own, NULL, "localhost:8081"));
    assert_false(hg_host_allowed(&own, NULL, "localhost.evil.com:8080"));
    assert_false(hg_host_allowed(&own, NULL, "evil.com:8080"));
    assert_false(hg_host_allowed(&own, NULL, "127.0.0.1.evil.com:8080"));
    assert_false(hg_host_allowed(&own, NULL, "10.0.0.1:8080"));
    assert_false(hg_host_allowed(&own, NULL, "localhost:8080:8080"));
    assert_false(hg_host_allowed(&plain, NULL, "localhost:"));
    assert_false(hg_host_allowed(&own, NULL, ""));
}

static void test_host_beyond_loopback(void **state)
{
    (void)state;
    const hg_address own = address_of("0.0.0.0:8080");
    static const char allowed[] = "https://tr.example.org, http://chat.example:3000";
    assert_true(hg_host_allowed(&own, NULL, "10.0.0.1:8080"));
    assert_true(hg_host_allowed(&own, NULL, "[fe80::1]:8080"));
    assert_false(hg_host_allowed(&own, NULL, "10.0.0.1"));
    assert_false(hg_host_allowed(&own, NULL, "tr.example.org"));
    assert_true(hg_host_allowed(&own, allowed, "TR.example.org"));
    assert_true(hg_host_allowed(&own, allowed, "chat.example:3000"));
    assert_false(hg_host_allowed(&own, allowed, "chat.example"));
    assert_false(hg_host_allowed(&own, allowed, "example.org"));
}

static void test_origin(void **state)
{
    (void)state;
    const hg_address own = address_of("127.0.0.1:8080"), wide = address_of("0.0.0.0:8080");
    static const char host[] = "127.0.0.1:8080", allowed[] = "https://chat.example.org";
    assert_true(hg_origin_allowed(&own, NULL, host, "http://localhost:8080"));
    assert_true(hg_origin_allowed(&own, NULL, host, "http://127.0.0.1:8080"));
    assert_false(hg_origin_allowed(&own, NULL, host, "http://localhost:3000"));
    assert_false(hg_origin_allowed(&own, NULL, host, "https://evil.com"));
    assert_false(hg_origin_allowed(&own, NULL, host, "http://evil.com:8080"));
    assert_false(hg_origin_allowed(&own, NULL, host, "null"));
    assert_false(hg_origin_allowed(&own, NULL, host, "file://"));
    assert_false(hg_origin_allowed(&own, NULL, host, "http://localhost:8080@evil.com"));
    assert_true(hg_origin_allowed(&own, allowed, host, "https://chat.example.org"));
    assert_false(hg_origin_allowed(&own, allowed, host, "http://chat.example.org"));
    assert_true(hg_origin_allowed(&wide, NULL, "10.0.0.1:8080", "http://10.0.0.1:8080"));
    assert_false(hg_origin_allowed(&wide, NULL, "10.0.0.1:8080", "http://10.0.0.2:8080"));
    assert_false(hg_origin_allowed(&wide, NULL, "10.0.0.1:8080", "http://localhost:8080"));
}

static void test_tls(void **state)
{
    (void)state;
    hg_address own = address_of("127.0.0.1:443");
    assert_false(hg_origin_allowed(&own, NULL, "127.0.0.1:443", "https://localhost:443"));
    own.tls = true;
    assert_true(hg_origin_allowed(&own, NULL, "127.0.0.1:443", "https://localhost:443"));
    assert_true(hg_origin_allowed(&own, NULL, "127.0.0.1", "https://localhost"));
    assert_false(hg_origin_allowed(&own, NULL, "127.0.0.1:443", "http://localhost:443"));
    assert_true(hg_host_allowed(&own, NULL, "localhost"));
    assert_false(hg_host_allowed(&own, NULL, "localhost:80"));
}

static void test_list_of_origins(void **state)
{
    (void)state;
    hg_error error;
    assert_int_equal(hg_origins_check(NULL, &error), HG_OK);
    assert_int_equal(hg_origins_check("https://a.example,http://b:3000", &error), HG_OK);
    static const char *const bad[] = {"a.example",   "https://",         "https://a/",
                                      "*",           "ftp://a",          "https://a,b",
                                      "https://a:x", "https://*.example"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hg_origins_check(bad[i], &error), HG_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "--allow-origin"));
    }
}

/* A folder with a page, a hidden file, and links that stay inside and that lead out. */
static char root[64];

static void write_text(const char *name, const char *text)
{
    char path[PATH_MAX];
    hg_error error;
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (hg_file_write(path, text, strlen(text), &error)) fail_msg("%s", error.message);
}

static int make_root(void **state)
{
    (void)state;
    char path[PATH_MAX];
    strcpy(root, "/tmp/hydraglot_test_http.XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/web", root);
    assert_int_equal(mkdir(path, 0700), 0);
    write_text("secret.txt", "secret");
    write_text("web/index.html", "<p>page</p>");
    write_text("web/app.js", "x");
    write_text("web/.env", "hidden");
    snprintf(path, sizeof path, "%s/web/out.txt", root);
    assert_int_equal(symlink("../secret.txt", path), 0);
    snprintf(path, sizeof path, "%s/web/in.js", root);
    assert_int_equal(symlink("app.js", path), 0);
    memcpy(root + strlen(root), "/web", sizeof "/web");
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    static const char *const names[] = {"index.html", "app.js", ".env", "out.txt", "in.js"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        unlink(path);
    }
    rmdir(root);
    *strrchr(root, '/') = '\0';
    snprintf(path, sizeof path, "%s/secret.txt", root);
    unlink(path);
    return rmdir(root);
}

static void found(const char *path, const char *content, const char *type)
{
    hg_static_file file;
    hg_error error;
    if (hg_static_read(root, path, &file, &error)) fail_msg("%s: %s", path, error.message);
    assert_string_equal(hg_buf_text(&file.content), content);
    assert_non_null(strstr(file.content_type, type));
    hg_buf_free(&file.content);
}

static void test_files(void **state)
{
    (void)state;
    found("/", "<p>page</p>", "text/html");
    found("/index.html", "<p>page</p>", "text/html");
    found("/app.js", "x", "text/javascript");
    found("/in.js", "x", "text/javascript");
}

static void test_no_way_out(void **state)
{
    (void)state;
    static const char *const paths[] = {"/../secret.txt",
                                        "/./index.html",
                                        "//index.html",
                                        "/.env",
                                        "/out.txt",
                                        "/nothing",
                                        "/app.js/",
                                        "index.html",
                                        "/..",
                                        "/a/../../secret.txt",
                                        "/..\\secret.txt",
                                        "/\n",
                                        ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        hg_static_file file;
        hg_error error;
        if (hg_static_read(root, paths[i], &file, &error) != HG_ERROR_NOT_FOUND)
            fail_msg("reached: %s", paths[i]);
        hg_buf_free(&file.content);
    }
}

static void test_etag_follows_content(void **state)
{
    (void)state;
    hg_static_file one, two;
    hg_error error;
    assert_int_equal(hg_static_read(root, "/app.js", &one, &error), HG_OK);
    assert_int_equal(hg_static_read(root, "/index.html", &two, &error), HG_OK);
    assert_string_not_equal(one.etag, two.etag);
    assert_string_equal(one.etag, "\"2d711642b726b044\""); /* sha256sum of "x" */
    hg_buf_free(&one.content);
    hg_buf_free(&two.content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listens),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_host_beyond_loopback),
        cmocka_unit_test(test_list_of_origins),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_way_out),
        cmocka_unit_test(test_etag_follows_content),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
