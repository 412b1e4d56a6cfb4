/* test_packed_cache.c: packed models in files: the second open maps what the first one packed, to
 * the bit; files that are damaged, cut or another's are refused; the folder stays within its bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "kernels/cpu/cache.h"
#include "tests/support/device_harness.h"
#include "tests/unit/device_shape.h"

#define KEY   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static random_model *model;
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++)
        form[i] = (random_form){.group = 32, .bits = i % 2 ? 8 : 4, .zero = (random_zero)(i % 3)};
    form[HG_DOWN] = (random_form){.dense_type = HG_F16};
    model = random_model_new(7, &shape, form, HG_F16);
    snprintf(folder, sizeof folder, "/tmp/hg-cache-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static uint32_t each_file(void (*each)(const char *path))
{
    uint32_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512];
        if (*e->d_name == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (each) each(path);
        count++;
    }
    closedir(dir);
    return count;
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static int tear_down(void **state)
{
    (void)state;
    random_model_free(model);
    each_file(remove_file);
    return rmdir(folder);
}

static int empty_folder(void **state)
{
    (void)state;
    each_file(remove_file);
    return 0;
}

/* What was asked, and what came: whether from the cache, and the logits of a lane. */
typedef struct start {
    const char *kernel, *key;
    size_t bytes, least_bytes;
    uint8_t dense_bits;
    bool cached;
    float *logits; /* [TOKENS, vocabulary] */
} start;
#define TOKENS 20

static start begin(const char *kernel)
{
    return (start){
        .kernel = kernel, .key = KEY, .bytes = 1 << 30, .least_bytes = 1, .dense_bits = 8};
}

static void run(start *s)
{
    const hg_device_api *api = hg_cpu_device();
    hg_error error = {0};
    hg_device_info info;
    random_source r = {5};
    harness_lane lane;
    harness h = {.api = api, .vocabulary = shape.vocabulary};
    hg_device_options options = {
        .kernel = s->kernel, .threads = 2, .cache = {folder, s->key, s->bytes, s->least_bytes}};
    hg_device_plan plan = harness_plan;
    plan.dense_bits = s->dense_bits;
    harness_check(api->open(&options, &h.device, &error), &error);
    harness_check(api->load_model(h.device, &model->weights, &plan, &error), &error);
    for (uint32_t i = 0; i < HARNESS_PAGES; i++) h.page[i] = i;
    api->describe(h.device, &info);
    s->cached = info.cached;
    harness_lane_new(&lane, &r, TOKENS, HG_NO_SLOT, shape.vocabulary);
    harness_run(&h, &lane, 1, 8);
    s->logits = lane.logits;
    lane.logits = NULL;
    harness_lane_free(&lane);
    harness_close(&h);
}

/* Runs a start that must (or must not) be served from the cache, and gives what want gave. */
static void expect(start s, bool cached, const float *want)
{
    run(&s);
    assert_int_equal(s.cached, cached);
    if (want) assert_memory_equal(s.logits, want, sizeof(float) * TOKENS * shape.vocabulary);
    free(s.logits);
}

static bool is_fast(const char *kernel)
{
    return strcmp(kernel, "reference") != 0;
}

static void second_start_gives_the_same_bits(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) {
        start none = begin(*kernel), s = begin(*kernel);
        none.key = "";
        run(&none);
        assert_false(none.cached);
        for (int i = 0; i < 3; i++) expect(s, is_fast(*kernel) && i > 0, none.logits);
        free(none.logits);
    }
}

/* Another model with the same beginning of its key, another rounding, a bound that is too high. */
static void others_have_their_own(void **state)
{
    (void)state;
    const char *kernel = hg_cpu_kernels()[0];
    if (!is_fast(kernel)) skip();
    start s = begin(kernel), other = begin(kernel), four = begin(kernel), large = begin(kernel);
    other.key = OTHER;
    four.dense_bits = 4;
    large.least_bytes = 1 << 30;
    expect(s, false, NULL);
    expect(s, true, NULL);
    expect(large, false, NULL);
    expect(four, false, NULL);
    expect(four, true, NULL);
    expect(s, true, NULL);
    expect(other, false, NULL); /* the same name: it takes the file's place */
    expect(other, true, NULL);
    expect(s, false, NULL);
}

static off_t flip_at;

static void flip(const char *path)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, flip_at) == 1);
    byte ^= 0x10;
    assert_true(pwrite(fd, &byte, 1, flip_at) == 1);
    close(fd);
}

static off_t cut_to;

static void cut(const char *path)
{
    assert_int_equal(truncate(path, cut_to), 0);
}

static off_t file_size;

static void measure(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    file_size = st.st_size;
}

/* Every byte of the head that means something, and some of the arena; every kind of cut. */
static void damage_is_found(void **state)
{
    (void)state;
    const char *kernel = hg_cpu_kernels()[0];
    if (!is_fast(kernel)) skip();
    start s = begin(kernel);
    run(&s);
    each_file(measure);
    assert_true(file_size > HG_CACHE_HEAD);
    for (off_t at = 0; at < 152 + 24; at += at < 152 ? 5 : 1) {
        flip_at = at < 152 ? at : HG_CACHE_HEAD + (at - 152) * (file_size - HG_CACHE_HEAD - 1) / 23;
        each_file(flip);
        expect(begin(kernel), false, s.logits); /* packed anew, and written anew */
        expect(begin(kernel), true, s.logits);
        assert_int_equal(each_file(NULL), 1);
    }
    const off_t ends[] = {0, 1, 100, HG_CACHE_HEAD, file_size - 1, file_size + 1};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        cut_to = ends[i];
        each_file(cut);
        expect(begin(kernel), false, s.logits);
        expect(begin(kernel), true, s.logits);
    }
    free(s.logits);
}

/* The folder holds two files: the one used the longest ago leaves for a third. */
static void the_bound_holds(void **state)
{
    (void)state;
    const char *kernel = hg_cpu_kernels()[0];
    if (!is_fast(kernel)) skip();
    static const char *const key[] = {"1111111111111111", "2222222222222222", "3333333333333333"};
    start s[3];
    for (int i = 0; i < 3; i++) s[i] = begin(kernel), s[i].key = key[i];
    expect(s[0], false, NULL);
    each_file(measure);
    for (int i = 0; i < 3; i++) s[i].bytes = 2 * (size_t)file_size + 1;
    expect(s[1], false, NULL);
    usleep(50000); /* more than a tick of the file system's clock */
    expect(s[0], true, NULL);
    expect(s[2], false, NULL); /* 1 leaves */
    assert_int_equal(each_file(NULL), 2);
    expect(s[0], true, NULL);
    expect(s[2], true, NULL);
    expect(s[1], false, NULL);
    s[1].bytes = (size_t)file_size - 1; /* it can never fit: nothing leaves for it */
    s[1].key = "4444444444444444";
    expect(s[1], false, NULL);
    assert_int_equal(each_file(NULL), 2);
}

/* What a writer left that died; what one writes that lives is not touched. */
static void leftovers_are_swept(void **state)
{
    (void)state;
    const char *kernel = hg_cpu_kernels()[0];
    if (!is_fast(kernel)) skip();
    char path[128];
    snprintf(path, sizeof path, "%s/x.packed.1.writing", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    expect(begin(kernel), false, NULL);
    assert_int_equal(each_file(NULL), 1);
}

static void *start_beside(void *logits)
{
    start s = begin(hg_cpu_kernels()[0]);
    run(&s);
    assert_memory_equal(s.logits, logits, sizeof(float) * TOKENS * shape.vocabulary);
    free(s.logits);
    return NULL;
}

/* Programs that start at once, on nothing and on a damaged file. */
static void starts_at_once(void **state)
{
    (void)state;
    const char *kernel = hg_cpu_kernels()[0];
    if (!is_fast(kernel)) skip();
    start s = begin(kernel);
    s.key = "";
    run(&s);
    for (int round = 0; round < 6; round++) {
        pthread_t thread[4];
        flip_at = HG_CACHE_HEAD + 777;
        if (round % 2)
            each_file(remove_file);
        else
            each_file(flip);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, start_beside, s.logits), 0);
        for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
        assert_int_equal(each_file(NULL), 1);
        expect(begin(kernel), true, s.logits);
    }
    free(s.logits);
}

/* A folder that cannot be written to costs nothing but the cache. */
static void without_a_folder(void **state)
{
    (void)state;
    char kept[sizeof folder];
    memcpy(kept, folder, sizeof folder);
    snprintf(folder, sizeof folder, "/dev/null/none");
    expect(begin(hg_cpu_kernels()[0]), false, NULL);
    memcpy(folder, kept, sizeof folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, empty_folder)
    const struct CMUnitTest tests[] = {
        TEST(second_start_gives_the_same_bits),
        TEST(others_have_their_own),
        TEST(damage_is_found),
        TEST(the_bound_holds),
        TEST(leftovers_are_swept),
        TEST(starts_at_once),
        TEST(without_a_folder),
    };
#undef TEST
    return cmocka_run_group_tests_name("packed cache", tests, set_up, tear_down);
}
