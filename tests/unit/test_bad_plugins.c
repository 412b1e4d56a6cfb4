/* test_bad_plugins.c: plugins that are hostile, damaged or made for something else: each is refused
 * by name, and nothing of it is left behind. */
#include "tests/unit/intake_help.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "tests/unit/model_pieces.h"

#define CONFIG  "adapter_config.json"
#define WEIGHTS "adapter_model.safetensors"

static packed_files good; /* plugins/de */
static int tried;

/* What is at path is refused with all of these words in its report, and leaves nothing. */
static void refuse_path(const char *path, const char *first, const char *second)
{
    hg_intake *intake;
    hg_error error;
    const char *words[] = {first, second};
    hg_status status = take_in(path, true, (hg_plugin_words){0}, &intake, &error);
    tried++;
    if (!status) fail_msg("case %d (%s) was taken", tried, first);
    assert_null(intake->plugin);
    for (int i = 0; i < 2 && words[i]; i++)
        if (!has_note(intake, HG_NOTE_PROBLEM, words[i]))
            fail_msg("case %d: no problem has \"%s\": %s", tried, words[i], error.message);
    hg_intake_free(intake);
    assert_int_equal(count_contents(), 0);
    hg_folder_remove(path);
}

static void refuse(const packed_files *files, const char *end, const char *first,
                   const char *second)
{
    char path[160];
    snprintf(path, sizeof path, "%s/bad%s", room, end);
    packed_write(files, "", path);
    refuse_path(path, first, second);
}

static int load_good(void **state)
{
    packed_load(&good, "plugins/de");
    return open_base(state);
}

static int drop_good(void **state)
{
    packed_free(&good);
    return close_base(state);
}

/* A copy of the good one, to be spoilt. */
static packed_files spoil(void)
{
    packed_files files = {0};
    for (int i = 0; i < good.count; i++)
        packed_add(&files, good.file[i].path, good.file[i].bytes, good.file[i].size);
    return files;
}

/* ---- archives ---- */

/* One entry beside the good files. */
static void refuse_entry(const char *path, unsigned type, const char *link, bool hard,
                         const char *words)
{
    char name[160];
    snprintf(name, sizeof name, "%s/entry.tar", room);
    struct archive *out = archive_write_new();
    archive_write_set_format_pax_restricted(out);
    assert_int_equal(archive_write_open_filename(out, name), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    if (link && hard) archive_entry_set_hardlink(entry, link);
    if (link && !hard) archive_entry_set_symlink(entry, link);
    assert_true(archive_write_header(out, entry) >= ARCHIVE_WARN);
    archive_entry_free(entry);
    archive_write_free(out);
    refuse_path(name, words, NULL);
}

static void test_entries(void **state)
{
    (void)state;
    refuse_entry(CONFIG, AE_IFLNK, "/etc/passwd", false, "a symbolic link");
    refuse_entry("x/" WEIGHTS, AE_IFLNK, "../../outside", false, "a symbolic link");
    refuse_entry("unknown", AE_IFLNK, "plugin.json", false, "unknown: a symbolic link");
    refuse_entry(CONFIG, AE_IFREG, "/etc/passwd", true, "a hard link");
    refuse_entry(CONFIG, AE_IFCHR, NULL, false, "a device");
    refuse_entry("disk", AE_IFBLK, NULL, false, "a device");
    refuse_entry("plugin.json", AE_IFIFO, NULL, false, "a pipe");
    refuse_entry("../plugin.json", AE_IFREG, NULL, false, "leads out of the plugin");
    refuse_entry("x/../../plugin.json", AE_IFREG, NULL, false, "leads out of the plugin");
    refuse_entry("x/..", AE_IFDIR, NULL, false, "leads out of the plugin");
    refuse_entry("/etc/plugin.json", AE_IFREG, NULL, false, "absolute");
    refuse_entry("./"
                 "/plugin.json",
                 AE_IFREG, NULL, false, "absolute");
    refuse_entry("C:plugin.json", AE_IFREG, NULL, false, "take for a separator");
    refuse_entry("..\\plugin.json", AE_IFREG, NULL, false, "take for a separator");
    refuse_entry("plu\ngin.json", AE_IFREG, NULL, false, "control character");
    refuse_entry("plugin\xff.json", AE_IFREG, NULL, false, "not UTF-8");
    refuse_entry("PLUGIN.json", AE_IFREG, NULL, false, "its name is plugin.json");
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[299] = 0;
    refuse_entry(longest, AE_IFREG, NULL, false, "longer than is read");
}

static void test_names(void **state)
{
    (void)state;
    packed_files files = spoil();
    packed_add_text(&files, "plugin.json", "{}");
    refuse(&files, ".tar", "two files of this name", NULL);
    packed_free(&files);
    files = spoil();
    packed_add_text(&files, "Notes", "");
    packed_add_text(&files, "notes", "");
    refuse(&files, ".tar", "differs only in case", NULL);
    packed_free(&files);
    files = spoil();
    packed_add_text(&files, "x/training.json", "{}");
    refuse(&files, ".zip", "another folder", "stand side by side");
    packed_free(&files);
    refuse(&(packed_files){0}, ".tar", "adapter_config.json", NULL);
}

/* bytes as a file of gzip. */
static void write_gzip(const char *path, const uint8_t *bytes, size_t size)
{
    struct archive *out = archive_write_new();
    archive_write_set_format_raw(out);
    archive_write_add_filter_gzip(out);
    assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "x");
    assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(out, bytes, size), size);
    archive_entry_free(entry);
    archive_write_free(out);
}

/* The sum of a tar header, once the rest of it stands. */
static void sign_header(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

/* A bomb in three forms, a stack of filters, too many entries. */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const ends[] = {".tar.gz", ".tar.xz", ".zip"};
    char path[160], twice[170];
    packed_files files = {0};
    packed_add(&files, WEIGHTS, NULL, 8 << 20);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        refuse(&files, ends[i], "too much for what it is packed", WEIGHTS);
    packed_free(&files);
    packed_add(&files, "unknown.bin", NULL, 8 << 20);
    refuse(&files, ".tar.zst", "too much for what it is packed", "unknown.bin");
    packed_free(&files);

    snprintf(path, sizeof path, "%s/once.tar.gz", room);
    packed_write(&good, "", path);
    size_t size;
    uint8_t *bytes = read_bytes(room, "once.tar.gz", &size);
    snprintf(twice, sizeof twice, "%s/twice.gz", room);
    write_gzip(twice, bytes, size);
    free(bytes);
    hg_folder_remove(path);
    refuse_path(twice, "packed more than once", NULL);

    snprintf(path, sizeof path, "%s/many.tar", room);
    struct archive *out = archive_write_new();
    archive_write_set_format_ustar(out);
    assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
    for (int i = 0; i <= HG_LIMIT_ARCHIVE_ENTRIES; i++) {
        char name[32];
        struct archive_entry *entry = archive_entry_new();
        snprintf(name, sizeof name, "file%d", i);
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, 0);
        assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
        archive_entry_free(entry);
    }
    archive_write_free(out);
    refuse_path(path, "more than 1024 entries", NULL);
}

/* A folder of GNU's incremental tar has content of its own, which is unpacked when it is skipped.
 */
static void test_a_bomb_in_a_folder(void **state)
{
    (void)state;
    char path[160], packed[160];
    uint8_t *zeros = calloc(1, 4 << 20);
    packed_files files = {0};
    assert_non_null(zeros);
    packed_add(&files, "folder", zeros, 4 << 20);
    snprintf(path, sizeof path, "%s/folder.tar", room);
    packed_write(&files, "", path);
    packed_free(&files);
    free(zeros);
    size_t size;
    uint8_t *bytes = read_bytes(room, "folder.tar", &size);
    bytes[156] = 'D';
    sign_header(bytes);
    snprintf(packed, sizeof packed, "%s/folder.tar.gz", room);
    write_gzip(packed, bytes, size);
    free(bytes);
    hg_folder_remove(path);
    refuse_path(packed, "too much for what it is packed", NULL);
}

/* Archives that end too soon, lie about sizes, or are none. */
static void test_damage(void **state)
{
    (void)state;
    static const char *const ends[] = {".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".zip"};
    char path[160], name[32];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t size;
        snprintf(name, sizeof name, "cut%s", ends[i]);
        snprintf(path, sizeof path, "%s/%s", room, name);
        packed_write(&good, "", path);
        uint8_t *bytes = read_bytes(room, name, &size);
        write_bytes(room, name, bytes, size / 2);
        free(bytes);
        refuse_path(path, WEIGHTS ": ", NULL);
    }
    snprintf(path, sizeof path, "%s/none.zip", room);
    write_text(room, "none.zip", "This is no archive at all, only a text of some length.");
    refuse_path(path, "none.zip", "Unrecognized archive format");
    write_text(room, "none.zip", "");
    refuse_path(path, "none.zip", NULL);
    packed_files files = {0}; /* a header that promises more than there is */
    packed_add_text(&files, "plugin.json", "{}");
    snprintf(path, sizeof path, "%s/lies.tar", room);
    packed_write(&files, "", path);
    packed_free(&files);
    size_t size;
    uint8_t *bytes = read_bytes(room, "lies.tar", &size);
    memset(bytes + 124, '7', 11); /* 8 GiB */
    sign_header(bytes);
    write_bytes(room, "lies.tar", bytes, size);
    free(bytes);
    refuse_path(path, "plugin.json: Truncated", NULL);
}

/* ---- files ---- */

/* One field of one JSON file is changed (value NULL: taken out). */
static void refuse_json(const char *file, const char *field, const char *value, const char *words)
{
    packed_files files = spoil();
    packed_file *f = packed_find(&files, file);
    json_t *root = json_loadb((const char *)f->bytes, f->size, 0, NULL);
    assert_non_null(root);
    json_t *new_value = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    assert_true(!value || new_value);
    if (value)
        json_object_set_new(root, field, new_value);
    else
        json_object_del(root, field);
    free(f->bytes);
    f->bytes = (uint8_t *)json_dumps(root, 0);
    f->size = strlen((char *)f->bytes);
    json_decref(root);
    refuse(&files, ".tar", words, NULL);
    packed_free(&files);
}

static void test_plugin_json(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"schema", "\"hydraglot.plugin/2\"", "field schema"},
        {"kind", "\"voice\"", "field kind"},
        {"name", "\"../../etc\"", "field name"},
        {"language", "\"d e\"", "field language"},
        {"language", "\"xxxxxxxxxxxxxx\"", "xxxxxxxxxxxxxx"},
        {"language", "7", "field language: found 7"},
        {"sources", "[]", "field sources"},
        {"sources", "[\"en\", \"?\"]", "field sources"},
        {"base", "\"hydra-tiny\"", "field base"},
        {"template", "\"{source}<|nothing|>\"", "<|nothing|>"},
        {"template", "\"no-such-template\"", "no-such-template"},
        {"template", "\"<|begin_of_text|>{source}\"", "field template"},
        {"template", "\"{source}{?context}<|de|>\"", "context"},
        {"stop", "[\"<|no_such|>\"]", "<|no_such|>"},
        {"stop", "\"<|eot_id|>\"", "field stop"},
        {"rules", "{\"after\": \"a > $b;\"}", "rules.after"},
        {"rules", "{\"before\": \"::No-Such;\"}", "rules.before"},
        {"rules", "{\"after\": [1]}", "rules.after"},
        {"rules", "{\"after\": \"no-such-rules\"}", "rules.after"},
        {"rules", "{\"after\": \"a > | aaaaaaaaaaaaaaaa;\"}", "rules.after: they take too long"},
        {"rules", "{\"before\": \"b*c > 1; b*d > 2; b*e > 3; b*f > 4;\"}", "rules.before: they"},
        {"rules", "{\"after\": \"a > bbbbbbbbbbbbbbbbbbbbbbbb;\"}", "rules.after: they take"},
        {"licence", "{\"name\": \"MIT\"}", "field licence"},
        {"adapter", "\"adapter_model.safetensors\"", "field adapter"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_json("plugin.json", bad[i][0], bad[i][1], bad[i][2]);
}

static void test_adapter_config(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"use_dora", "true", "DoRA"},
        {"bias", "\"all\"", "field bias"},
        {"modules_to_save", "[\"lm_head\"]", "modules_to_save"},
        {"lora_bias", "true", "lora_bias"},
        {"trainable_token_indices", "[1]", "trainable_token_indices"},
        {"layer_replication", "[[0, 4]]", "layer_replication"},
        {"peft_type", "\"LOHA\"", "peft_type"},
        {"task_type", "\"SEQ_CLS\"", "task_type"},
        {"init_lora_weights", "\"pissa\"", "init_lora_weights"},
        {"new_magic", "{\"on\": 1}", "new_magic"},
        {"r", "257", "field r: found 257"},
        {"r", "-1", "field r: found -1"},
        {"r", "8", "rank by adapter_config.json"},
        {"rank_pattern", "{\"q_proj\": 100000}", "rank_pattern"},
        {"target_modules", "[\"q_proj\"]", "does not target it"},
        {"target_modules", "\"(a+)+$\"", "target_modules"},
        {"target_modules", "[\"lm_head\"]", "lm_head"},
        {"alora_invocation_tokens", "[999999]", "vocabulary"},
        {"alora_invocation_tokens", "[]", "alora_invocation_tokens"},
        {"alora_invocation_tokens", "[5, 6, 7]", "field template"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_json(CONFIG, bad[i][0], bad[i][1], bad[i][2]);
}

/* A file's bytes are others. */
static void refuse_file(const char *file, const void *bytes, size_t size, const char *words)
{
    packed_files files = spoil();
    packed_drop(&files, file);
    packed_add(&files, file, bytes, size);
    refuse(&files, ".tar", file, words);
    packed_free(&files);
}

static void test_texts(void **state)
{
    (void)state;
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    refuse_file("plugin.json", "{", 1, "not JSON");
    refuse_file("plugin.json", "[]", 2, "expected a JSON object");
    refuse_file("plugin.json", deep, sizeof deep, "not JSON");
    refuse_file("plugin.json", "{\"name\":1,\"name\":2}", 19, "not JSON");
    refuse_file(CONFIG, deep, sizeof deep, "not JSON");
    refuse_file(CONFIG, "\xff\xfe{}", 4, "not JSON");
    refuse_file("training.json", deep, sizeof deep, "not JSON");
    refuse_file("training.json", "x", 1, "not JSON");
    refuse_file("validation.tsv", "a\tb\nno tab\n", 11, "line 2: expected one tab");
    refuse_file("validation.tsv", "a\t\n", 3, "line 1: an empty side");
    refuse_file("validation.tsv", "a\tb\xc3\n", 5, "line 1: not UTF-8");
    refuse_file("validation.tsv", "a\0b\tc\n", 6, "the byte 0");
    static char many[4 * (HG_LIMIT_PAIRS + 1)];
    for (size_t i = 0; i < sizeof many; i++) many[i] = "a\tb\n"[i % 4];
    refuse_file("validation.tsv", many, sizeof many, "more than 500 pairs");
}

/* The weights are spoilt by edit. */
static void refuse_weights(void (*edit)(pieces *list), const char *words)
{
    static pieces list;
    size_t size;
    pieces_load(&list, "plugins/de", WEIGHTS);
    edit(&list);
    pieces_save(&list, room, WEIGHTS, 0);
    pieces_free(&list);
    uint8_t *bytes = read_bytes(room, WEIGHTS, &size);
    char path[160];
    snprintf(path, sizeof path, "%s/" WEIGHTS, room);
    unlink(path);
    refuse_file(WEIGHTS, bytes, size, words);
    free(bytes);
}

static void make_nan(pieces *list)
{
    memset(list->piece[3].data + 64, 0xFF, 4);
}

static void make_infinite(pieces *list)
{
    const uint8_t f16[] = {0x00, 0x7C}, bf16[] = {0x80, 0x7F};
    piece *p = &list->piece[5];
    memcpy(p->data, strcmp(p->type, "F16") == 0 ? f16 : bf16, 2);
}

static void turn_shape(pieces *list)
{
    piece *p = &list->piece[0];
    long rows = p->shape[0];
    p->shape[0] = p->shape[1];
    p->shape[1] = rows;
}

static void lose_tensor(pieces *list)
{
    free(list->piece[list->count - 1].data);
    list->count--;
}

static void rename_tensor(pieces *list)
{
    snprintf(list->piece[2].name, sizeof list->piece[2].name, "base_model.model.x.lora_A.weight");
}

static void add_embedding(pieces *list)
{
    const long shape[] = {10, 384};
    pieces_add(list, "base_model.model.model.embed_tokens.weight", "F16", 2, shape, 7680);
}

static void use_integers(pieces *list)
{
    snprintf(list->piece[1].type, sizeof list->piece[1].type, "I16");
}

static void test_weights(void **state)
{
    (void)state;
    refuse_weights(make_nan, "NaN");
    refuse_weights(make_infinite, "infinity");
    refuse_weights(turn_shape, "shape");
    refuse_weights(lose_tensor, "tensor");
    refuse_weights(rename_tensor, "tensor");
    refuse_weights(add_embedding, "brings its own embedding");
    refuse_weights(use_integers, "I16");
    const packed_file *w = packed_find(&good, WEIGHTS);
    uint8_t *bytes = malloc(w->size);
    memcpy(bytes, w->bytes, w->size);
    refuse_file(WEIGHTS, bytes, w->size / 2, "");
    refuse_file(WEIGHTS, bytes, 4, "");
    memset(bytes, 0xFF, 8); /* a header of 2^64 - 1 bytes */
    refuse_file(WEIGHTS, bytes, w->size, "header");
    free(bytes);
    refuse_file(WEIGHTS, "", 0, "");
}

/* Files that are too many, too few, or somebody else's. */
static void test_sets(void **state)
{
    (void)state;
    packed_files files = spoil();
    packed_drop(&files, WEIGHTS);
    refuse(&files, ".tar", WEIGHTS, NULL);
    packed_add_text(&files, "adapter_model.bin", "a pickle");
    refuse(&files, ".tar", "pickles are not read", NULL);
    packed_free(&files);
    files = spoil();
    packed_drop(&files, CONFIG);
    refuse(&files, ".tar", CONFIG, NULL);
    packed_free(&files);
    files = spoil();
    packed_add_text(&files, "adapter.gguf", "GGUF");
    refuse(&files, ".tar", "a plugin is one adapter", NULL);
    packed_free(&files);
    files = spoil(); /* another model's tokenizer */
    size_t size;
    uint8_t *bytes = read_bytes(TINY, "tokenizer.json", &size);
    packed_add(&files, "tokenizer.json", bytes, size);
    free(bytes);
    refuse(&files, ".tar.gz", "tokenizer.json", NULL);
    packed_drop(&files, "tokenizer.json");
    json_t *root = json_load_file("models/hydra-tiny/tokenizer.json", 0, NULL);
    json_t *vocabulary = json_object_get(json_object_get(root, "model"), "vocab");
    json_t *a = json_incref(json_object_get(vocabulary, "a"));
    json_object_set(vocabulary, "a", json_object_get(vocabulary, "b"));
    json_object_set_new(vocabulary, "b", a);
    char *text = json_dumps(root, 0);
    packed_add_text(&files, "tokenizer.json", text);
    free(text);
    json_decref(root);
    refuse(&files, ".tar.gz", "tokenizer.json", "for another base model");
    packed_free(&files);
}

/* The report has all that is wrong, in all files. */
static void test_all_problems(void **state)
{
    (void)state;
    static const char *const words[] = {
        "field name", "field sources",    "field licence", "DoRA",
        "field bias", "field r: found 0", "training.json", "validation.tsv: line 1"};
    packed_files files = {0};
    char path[160];
    hg_intake *intake;
    hg_error error;
    packed_add_text(&files, "plugin.json",
                    "{\"schema\":\"hydraglot.plugin/1\",\"kind\":\"language\",\"language\":\"de\","
                    "\"name\":\"A B\",\"title\":\"x\",\"sources\":[],\"base\":{\"name\":\"x\"},"
                    "\"stop\":[],\"template\":\"hydra-tiny\",\"licence\":7}");
    packed_add_text(&files, CONFIG,
                    "{\"peft_type\":\"LORA\",\"use_dora\":true,\"bias\":\"all\",\"r\":0}");
    packed_add_text(&files, "training.json", "{");
    packed_add_text(&files, "validation.tsv", "x\n");
    snprintf(path, sizeof path, "%s/all.zip", room);
    packed_write(&files, "", path);
    packed_free(&files);
    if (!take_in(path, true, (hg_plugin_words){0}, &intake, &error)) fail_msg("it was taken");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!has_note(intake, HG_NOTE_PROBLEM, words[i])) fail_msg("no problem has %s", words[i]);
    hg_intake_free(intake);
    assert_int_equal(count_contents(), 0);
}

static void test_count(void **state)
{
    (void)state;
    assert_true(tried >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bombs),          cmocka_unit_test(test_a_bomb_in_a_folder),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_plugin_json),
        cmocka_unit_test(test_adapter_config), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_weights),        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_all_problems),   cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, load_good, drop_good);
}
