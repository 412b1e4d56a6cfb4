/* small_models.c: see small_models.h. */
#include "tests/support/small_models.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/limits.h"

#define LANE_PAGES (SMALL_ROWS / HG_LIMIT_PAGE_TOKENS)

/* Writes one file of the archive below folder; names hold at most two folders. */
static void unpack_file(struct archive *archive, const char *folder, const char *name)
{
    char path[512], piece[1 << 14];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700); /* may be there already */
        *at = '/';
    }
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("%s cannot be written", path);
    la_ssize_t got;
    while ((got = archive_read_data(archive, piece, sizeof piece)) > 0)
        assert_int_equal(fwrite(piece, 1, (size_t)got, file), got);
    assert_int_equal(got, 0);
    assert_int_equal(fclose(file), 0);
}

static void unpack(const char *path, const char *folder)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    assert_int_equal(archive_read_support_filter_xz(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    if (archive_read_open_filename(archive, path, 1 << 14) != ARCHIVE_OK)
        fail_msg("%s: %s", path, archive_error_string(archive));
    int status;
    while ((status = archive_read_next_header(archive, &entry)) == ARCHIVE_OK)
        unpack_file(archive, folder, archive_entry_pathname(entry));
    assert_int_equal(status, ARCHIVE_EOF);
    archive_read_free(archive);
}

void small_open(const char *path, small_goldens *out)
{
    char name[128];
    hg_error error = {0};
    *out = (small_goldens){.folder = "/tmp/hydraglot-golden-XXXXXX"};
    assert_non_null(mkdtemp(out->folder));
    unpack(path, out->folder);
    snprintf(name, sizeof name, "%s/goldens.json", out->folder);
    out->root = json_load_file(name, 0, NULL);
    assert_non_null(out->root);
    snprintf(name, sizeof name, "%s/logits.safetensors", out->folder);
    if (hg_safetensors_open(name, &out->file, &error)) fail_msg("%s", error.message);
    const hg_tensor *logits = hg_safetensors_find(&out->file, "logits");
    assert_true(logits && logits->type == HG_TENSOR_F32 && logits->dimensions == 2);
    out->logits = (const void *)logits->data;
    out->rows = logits->shape[0];
    out->strided = logits->shape[1];
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

void small_close(small_goldens *goldens)
{
    hg_safetensors_close(&goldens->file);
    json_decref(goldens->root);
    assert_int_equal(nftw(goldens->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

uint32_t small_integers(const json_t *object, const char *field, int32_t *out, uint32_t max)
{
    const json_t *list = json_object_get(object, field);
    uint32_t count = (uint32_t)json_array_size(list);
    if (!list || count > max) fail_msg("goldens.json: field %s", field);
    for (uint32_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return count;
}

const char *small_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    if (!text) fail_msg("goldens.json: no text %s", field);
    return text;
}

hg_device *small_device(const char *kernel, const hg_weights *weights, char *message, size_t bytes)
{
    const small_options options = {.kernel = kernel};
    return small_device_with(&options, weights, message, bytes);
}

hg_device *small_device_with(const small_options *how, const hg_weights *weights, char *message,
                             size_t bytes)
{
    const hg_device_api *api = hg_cpu_device();
    const hg_device_plan plan = {.pages = SMALL_LANES * LANE_PAGES,
                                 .lane_pages = LANE_PAGES,
                                 .step_rows = SMALL_ROWS,
                                 .step_lanes = SMALL_LANES,
                                 .adapter_slots = SMALL_LANES,
                                 .dense_bits = how->dense_bits};
    const hg_device_options options = {.kernel = how->kernel, .threads = 2};
    hg_device *device;
    hg_error error = {0};
    if (api->open(&options, &device, &error)) fail_msg("%s", error.message);
    if (api->load_model(device, weights, &plan, &error) == HG_OK) return device;
    snprintf(message, bytes, "%s", error.message);
    api->close(device);
    return NULL;
}

void small_put(hg_device *device, uint16_t slot, const hg_lora_weights *weights)
{
    const hg_device_api *api = hg_cpu_device();
    hg_error error = {0};
    bool done = false;
    hg_status status = api->put_adapter_begin(device, slot, weights, &error);
    while (!status && !done) status = api->put_adapter_step(device, slot, 4096, &done, &error);
    if (!status) status = api->put_adapter_commit(device, slot, &error);
    if (status) fail_msg("%s", error.message);
}

/* The rows of one step: of each lane those from its done on, up to chunk. */
static uint32_t fill(const small_lane *lane, uint32_t lanes, uint32_t chunk, const uint32_t *done,
                     hg_row *row)
{
    uint32_t rows = 0;
    for (uint32_t l = 0; l < lanes; l++)
        for (uint32_t p = done[l]; p < lane[l].rows && p < done[l] + chunk; p++) {
            assert(rows < SMALL_ROWS);
            row[rows++] = (hg_row){.token = lane[l].token[p],
                                   .position = p,
                                   .lane = (uint16_t)l,
                                   .slot = p < lane[l].invocation ? HG_NO_SLOT : lane[l].slot,
                                   .want = true,
                                   .want_logits = true};
        }
    return rows;
}

void small_run(hg_device *device, uint32_t vocabulary, small_lane *lane, uint32_t lanes,
               uint32_t chunk)
{
    uint32_t done[SMALL_LANES] = {0}, page[SMALL_LANES * LANE_PAGES], rows;
    int32_t token[SMALL_ROWS];
    hg_row row[SMALL_ROWS];
    hg_error error = {0};
    float *logits = malloc((size_t)SMALL_ROWS * vocabulary * sizeof *logits);
    assert(logits && lanes <= SMALL_LANES);
    /* Pages of a lane are neither in order nor together. */
    for (uint32_t i = 0; i < SMALL_LANES * LANE_PAGES; i++)
        page[i] = i * 29 % (SMALL_LANES * LANE_PAGES);
    while ((rows = fill(lane, lanes, chunk, done, row))) {
        const hg_step step = {.row = row, .page = page, .rows = rows, .lanes = lanes};
        hg_result result = {.token = token, .logits = logits};
        if (hg_cpu_device()->forward(device, &step, &result, &error)) fail_msg("%s", error.message);
        for (uint32_t i = 0; i < rows; i++) {
            const small_lane *own = &lane[row[i].lane];
            own->best[row[i].position] = token[i];
            memcpy(own->logits + (size_t)row[i].position * vocabulary,
                   logits + (size_t)i * vocabulary, vocabulary * sizeof *logits);
            done[row[i].lane] = row[i].position + 1;
        }
    }
    free(logits);
}

hg_model *small_model(const small_goldens *goldens, const json_t *entry, const char *field)
{
    char path[256];
    hg_model *model = NULL;
    hg_error error = {0};
    snprintf(path, sizeof path, "%s/%s", goldens->folder, small_text(entry, field));
    if (hg_model_open(path, &model, &error)) fail_msg("%s", error.message);
    return model;
}
