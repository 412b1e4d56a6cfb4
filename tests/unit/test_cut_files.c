/* test_cut_files.c: models whose files end too early: each safetensors file, alone or as a shard,
 * cut before, at and after the border of every tensor, and each JSON file cut after every byte. It
 * is always an error that names the file, and never a model with some of its weights. */
#include "tests/unit/model_fixture.h"

#include "core/model/model.h"

#define SHARDED "tests/golden/models/int8-asymmetric"

static const char *const files[] = {"config.json",
                                    "tokenizer.json",
                                    "model.safetensors",
                                    "model.safetensors.index.json",
                                    "model-00001-of-00002.safetensors",
                                    "model-00002-of-00002.safetensors"};

/* A copy of the model in a folder of its own. */
static void copy_model(const char *from, char *folder)
{
    folder_new(folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", from, files[i]);
        if (access(path, R_OK) == 0) copy_file(from, folder, files[i]);
    }
}

static void expect_error(const char *folder, const char *file)
{
    hg_model *model;
    hg_error error = {0};
    hg_status status = hg_model_open(folder, &model, &error);
    if (status != HG_ERROR_FORMAT) fail_msg("%s: status %d, %s", file, status, error.message);
    assert_null(model);
    EXPECT_MESSAGE(&error, folder, file);
}

/* Cuts the file at each place where a tensor ends or begins; returns how many there are. */
static size_t cut_tensors(const char *folder, const char *file)
{
    size_t size, borders = 0;
    uint64_t length;
    const char *name;
    json_t *entry;
    uint8_t *bytes = read_bytes(folder, file, &size);
    memcpy(&length, bytes, sizeof length);
    json_t *header = json_loadb((char *)bytes + 8, length, 0, NULL);
    assert_non_null(header);
    json_object_foreach(header, name, entry)
    {
        const json_t *at = json_object_get(entry, "data_offsets");
        if (!at) continue;
        size_t border = 8 + length + (size_t)json_integer_value(json_array_get(at, 0));
        borders++;
        for (size_t cut = border - 1; cut <= border + 1; cut++) {
            write_bytes(folder, file, bytes, cut);
            expect_error(folder, file);
        }
    }
    write_bytes(folder, file, bytes, size - 1);
    expect_error(folder, file);
    write_bytes(folder, file, bytes, size);
    json_decref(header);
    free(bytes);
    return borders;
}

static void expect_whole(const char *folder)
{
    hg_model *model;
    hg_error error = {0};
    if (hg_model_open(folder, &model, &error)) fail_msg("%s", error.message);
    hg_model_close(model);
}

static void test_one_file(void **state)
{
    (void)state;
    char folder[64];
    copy_model(TINY, folder);
    assert_int_equal(cut_tensors(folder, "model.safetensors"), 25);
    expect_whole(folder);
    folder_remove(folder);
}

static void test_shards(void **state)
{
    (void)state;
    char folder[64];
    copy_model(SHARDED, folder);
    size_t tensors = cut_tensors(folder, "model-00001-of-00002.safetensors") +
                     cut_tensors(folder, "model-00002-of-00002.safetensors");
    assert_int_equal(tensors, 33);
    expect_whole(folder);
    folder_remove(folder);
}

/* The last byte may be a newline, without which the text is whole. */
static void test_json_files(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors.index.json"};
    char folder[64];
    copy_model(SHARDED, folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size;
        uint8_t *bytes = read_bytes(folder, names[i], &size);
        while (bytes[size - 1] != '}') size--;
        for (size_t cut = 0; cut < size; cut++) {
            write_bytes(folder, names[i], bytes, cut);
            expect_error(folder, names[i]);
        }
        write_bytes(folder, names[i], bytes, size);
        free(bytes);
    }
    expect_whole(folder);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_file),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_json_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
