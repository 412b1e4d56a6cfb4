/* test_cuda_chunks.c: whole chunks of prompts on the CUDA device: what they leave in the KV pages
 * gives the logits of the CPU reference; a chunk's bits depend neither on the others of its step
 * nor on how many there are. On the emulator with its own cuBLASLt (tests/cuda_emulator) and small
 * chunks, by `make gpu-check` with the card's.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cuda_help.h"

#define TOLERANCE  3e-6 /* of logits, normalised; weights are rounded to F16 too */
#define LANES      4
#define LANE_PAGES 40
#define TOKENS     (LANE_PAGES * HG_LIMIT_PAGE_TOKENS)
#define LAST       6 /* rows whose logits are looked at */
#define ROWS       64
#define CHUNKS     4

static const hg_device_plan chunk_plan = {.pages = LANES * LANE_PAGES,
                                          .lane_pages = LANE_PAGES,
                                          .step_rows = ROWS,
                                          .step_lanes = LANES,
                                          .adapter_slots = 3,
                                          .adapter_bytes = 4 << 20,
                                          .chunks = CHUNKS};

typedef struct prompt {
    int32_t token[TOKENS];
    uint32_t tokens, done, lane;
    uint16_t slot;
    float *logits; /* [LAST, vocabulary] */
} prompt;

typedef struct machine {
    const hg_device_api *api;
    hg_device *device;
    uint32_t vocabulary, chunk_rows;
    uint32_t page[LANES * LANE_PAGES];
} machine;

static machine open_machine(const hg_device_api *api, const char *kernel, const hg_weights *weights)
{
    machine m = {.api = api, .vocabulary = weights->shape.vocabulary};
    const hg_device_options options = {.kernel = kernel, .threads = 1};
    hg_device_info info;
    hg_error error;
    harness_check(api->open(&options, &m.device, &error), &error);
    harness_check(api->load_model(m.device, weights, &chunk_plan, &error), &error);
    api->describe(m.device, &info);
    m.chunk_rows = info.chunk_rows;
    for (uint32_t i = 0; i < LANES * LANE_PAGES; i++) m.page[i] = i * 29 % (LANES * LANE_PAGES);
    return m;
}

static void put(machine *m, uint16_t slot, const hg_lora_weights *weights)
{
    harness h = {.api = m->api, .device = m->device};
    harness_put(&h, slot, weights, 1 << 20);
}

static void new_prompt(prompt *p, uint64_t seed, uint32_t tokens, uint16_t slot,
                       uint32_t vocabulary)
{
    random_source r = {seed};
    assert(tokens <= TOKENS && tokens >= LAST);
    *p = (prompt){.tokens = tokens, .slot = slot};
    for (uint32_t i = 0; i < tokens; i++) p->token[i] = (int32_t)random_below(&r, vocabulary);
    p->logits = malloc((size_t)LAST * vocabulary * sizeof *p->logits);
    assert_non_null(p->logits);
}

/* The prompt's next rows behind those that the step has. */
static uint32_t add_rows(const prompt *p, uint32_t count, bool whole, hg_row *row)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t position = p->done + i;
        row[i] = (hg_row){.token = p->token[position],
                          .position = position,
                          .lane = (uint16_t)p->lane,
                          .slot = p->slot,
                          .want_logits = position + LAST >= p->tokens,
                          .whole = whole};
    }
    return count;
}

/* One step: chunks[i] whole chunks or else rows[i] rows of each prompt. */
static void run_step(machine *m, prompt *const *prompts, uint32_t count, const uint32_t *chunks,
                     const uint32_t *rows)
{
    static hg_row row[CHUNKS * 256 + ROWS];
    int32_t token[CHUNKS * 256 + ROWS];
    uint32_t used = 0, asked = 0;
    for (uint32_t i = 0; i < count; i++)
        used += add_rows(prompts[i], chunks[i] * m->chunk_rows, true, row + used);
    for (uint32_t i = 0; i < count; i++)
        if (!chunks[i]) used += add_rows(prompts[i], rows[i], false, row + used);
    float *logits = malloc((size_t)ROWS * m->vocabulary * sizeof *logits), *from = logits;
    assert_non_null(logits);
    const hg_step step = {.row = row, .page = m->page, .rows = used, .lanes = LANES};
    hg_result result = {.token = token, .logits = logits};
    hg_error error;
    harness_check(m->api->forward(m->device, &step, &result, &error), &error);
    for (uint32_t i = 0; i < count; i++) {
        prompt *p = prompts[i];
        uint32_t end = p->done + (chunks[i] ? chunks[i] * m->chunk_rows : rows[i]);
        for (; p->done < end; p->done++) {
            if (p->done + LAST < p->tokens) continue;
            size_t place = p->done + LAST - p->tokens;
            memcpy(p->logits + place * m->vocabulary, from, m->vocabulary * sizeof *from);
            from += m->vocabulary;
            asked++;
        }
    }
    assert_true(asked <= ROWS);
    free(logits);
}

/* The rest of a prompt row by row, alone. */
static void run_rest(machine *m, prompt *p)
{
    while (p->done < p->tokens) {
        uint32_t left = p->tokens - p->done, rows = left < ROWS ? left : ROWS;
        run_step(m, &p, 1, (uint32_t[]){0}, &rows);
    }
}

/* All whole chunks of a prompt, so many a step, then the rest. */
static void run_alone(machine *m, prompt *p, uint32_t chunks)
{
    p->done = p->lane = 0;
    while (p->done + m->chunk_rows < p->tokens) {
        uint32_t left = (p->tokens - 1 - p->done) / m->chunk_rows;
        uint32_t now = left < chunks ? left : chunks;
        run_step(m, &p, 1, &now, (uint32_t[]){0});
    }
    run_rest(m, p);
}

static void assert_near(const prompt *mine, const prompt *want, uint32_t vocabulary)
{
    size_t values = (size_t)LAST * vocabulary;
    double error = normalised_error(mine->logits, want->logits, values);
    if (!(error <= TOLERANCE)) fail_msg("%u tokens: normalised error %g", mine->tokens, error);
}

static void close_machine(machine *m)
{
    m->api->close(m->device);
    assert_int_equal(card_held(), 0);
    const char *fault = card_fault();
    if (fault) fail_msg("%s", fault);
}

/* One prompt of two chunks and some rows, on both devices. */
static void check_model(const random_model *model, const random_adapter *adapter, uint64_t seed)
{
    const hg_weights *w = &model->weights;
    machine cuda = open_machine(hg_cuda_device(), NULL, w);
    machine cpu = open_machine(hg_cpu_device(), "reference", w);
    assert_true(cuda.chunk_rows > 0 && cuda.chunk_rows * 2 + LAST <= TOKENS);
    put(&cuda, 1, &adapter->weights);
    put(&cpu, 1, &adapter->weights);
    prompt mine, want;
    uint32_t tokens = cuda.chunk_rows * 2 + LAST;
    uint16_t slot = seed % 3 ? 1 : HG_NO_SLOT;
    new_prompt(&mine, seed, tokens, slot, w->shape.vocabulary);
    new_prompt(&want, seed, tokens, slot, w->shape.vocabulary);
    run_alone(&cuda, &mine, 2);
    run_rest(&cpu, &want);
    assert_near(&mine, &want, w->shape.vocabulary);
    free(mine.logits);
    free(want.logits);
    cpu.api->close(cpu.device);
    close_machine(&cuda);
}

/* Widths that are no multiple of a unit's or of a tile, every form, adapters of mixed ranks. */
static void test_forms(void **state)
{
    (void)state;
    static const random_form form[] = {
        {32, 4, RANDOM_SYMMETRIC, HG_F32}, {16, 4, RANDOM_OFFSETS, HG_F32},
        {32, 4, RANDOM_ZEROS, HG_F32},     {16, 8, RANDOM_ZEROS, HG_F32},
        {32, 8, RANDOM_SYMMETRIC, HG_F32}, {0, 0, RANDOM_SYMMETRIC, HG_BF16}};
    static const hg_dtype type[] = {HG_F32, HG_F16, HG_BF16};
    for (uint32_t i = 0; i < sizeof form / sizeof *form; i++) {
        if ((i == 2 || i == 4) && !getenv("HYDRAGLOT_LONG")) continue;
        hg_shape shape = small;
        shape.layers = i == 0 ? 2 : 1;
        shape.hidden = 160;
        shape.intermediate = i % 2 ? 288 : 544; /* a tile of 544 columns is more than a panel */
        shape.heads = 6;
        random_model *model = new_model(i + 50, &shape, form[i], HG_QUANTISED);
        random_adapter *adapter = random_adapter_new(i, &shape, i % 2 ? 0 : 37, type[i % 3]);
        check_model(model, adapter, i);
        random_adapter_free(adapter);
        random_model_free(model);
    }
}

static void assert_same(const prompt *a, const prompt *b, uint32_t vocabulary)
{
    assert_memory_equal(a->logits, b->logits, (size_t)LAST * vocabulary * sizeof *a->logits);
}

/* Four prompts together, their chunks beside each other's rows, against each alone. */
static void test_company(void **state)
{
    (void)state;
    random_model *model = new_model(7, &small, (random_form){.group = 32, .bits = 4}, HG_QUANTISED);
    random_adapter *adapter[2] = {random_adapter_new(11, &small, 0, HG_F32),
                                  random_adapter_new(12, &small, 5, HG_F16)};
    machine m = open_machine(hg_cuda_device(), NULL, &model->weights);
    put(&m, 0, &adapter[0]->weights);
    put(&m, 1, &adapter[1]->weights);
    static const uint16_t slot[LANES] = {1, HG_NO_SLOT, 0, 1};
    prompt alone[LANES], company[LANES], *all[LANES];
    for (uint32_t i = 0; i < LANES; i++) {
        uint32_t tokens = (i == 0 ? 2 : i < 3) * m.chunk_rows + LAST + 5 * i;
        new_prompt(&alone[i], i, tokens, slot[i], small.vocabulary);
        new_prompt(&company[i], i, tokens, slot[i], small.vocabulary);
        company[i].lane = LANES - 1 - i;
        all[i] = &company[i];
        run_alone(&m, &alone[i], 1);
    }
    card_set_order(3);
    run_step(&m, all, LANES, (uint32_t[]){2, 1, 1, 0}, (uint32_t[]){0, 0, 0, 9});
    run_step(&m, all, LANES, (uint32_t[]){0, 0, 0, 0}, (uint32_t[]){3, 8, 2, 4});
    for (uint32_t i = 0; i < LANES; i++) run_rest(&m, all[i]);
    card_set_order(0);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_same(&alone[i], &company[i], small.vocabulary);
        free(alone[i].logits);
        free(company[i].logits);
    }
    close_machine(&m);
    for (int i = 0; i < 2; i++) random_adapter_free(adapter[i]);
    random_model_free(model);
}

/* What is no whole chunk is refused before anything is computed. */
static void test_refused(void **state)
{
    (void)state;
    random_model *model = new_model(7, &small, (random_form){.group = 32, .bits = 4}, HG_QUANTISED);
    machine m = open_machine(hg_cuda_device(), NULL, &model->weights);
    static hg_row row[256];
    int32_t token[256];
    hg_step step = {.row = row, .page = m.page, .rows = m.chunk_rows, .lanes = 1};
    hg_result result = {.token = token};
    hg_error error;
    for (int fault = 0; fault < 6; fault++) {
        for (uint32_t i = 0; i < m.chunk_rows; i++)
            row[i] = (hg_row){.position = i + (fault == 1), .slot = HG_NO_SLOT, .whole = true};
        step.rows = fault == 5 ? 8 : m.chunk_rows - (fault == 2);
        if (fault == 3) row[9].want = true;
        if (fault == 4) row[9].lane = 1;
        if (fault == 5) row[0].whole = false;
        hg_status status = m.api->forward(m.device, &step, &result, &error);
        assert_int_equal(status, fault ? HG_ERROR_ARGUMENT : HG_OK);
        if (fault) assert_non_null(strstr(error.message, "wrong"));
    }
    close_machine(&m);
    random_model_free(model);
}

#ifndef HG_ON_CARD
/* Opens, loads and runs one whole chunk. */
static hg_status one_chunk(const random_model *model, hg_error *error)
{
    const hg_device_api *api = hg_cuda_device();
    const hg_device_options options = {0};
    static hg_row row[HG_LIMIT_CHUNK_ROWS];
    static uint32_t page[LANE_PAGES];
    int32_t token[HG_LIMIT_CHUNK_ROWS];
    hg_device *device = NULL;
    hg_device_info info = {0};
    hg_status status = api->open(&options, &device, error);
    if (!status) status = api->load_model(device, &model->weights, &chunk_plan, error);
    if (!status) api->describe(device, &info);
    uint32_t rows = info.chunk_rows ? info.chunk_rows : 9; /* whole ones where there are such */
    for (uint32_t i = 0; i < rows; i++)
        row[i] = (hg_row){.position = i, .slot = HG_NO_SLOT, .whole = info.chunk_rows > 0};
    for (uint32_t i = 0; i < LANE_PAGES; i++) page[i] = i;
    const hg_step step = {.row = row, .page = page, .rows = rows, .lanes = 1};
    hg_result result = {.token = token};
    if (!status) status = api->forward(device, &step, &result, error);
    api->close(device);
    return status;
}

/* Whichever call fails: there is a clear error, or chunks go without cuBLASLt, and nothing leaks.
 */
static void test_failures(void **state)
{
    (void)state;
    const hg_shape shape = {70, 64, 64, 1, 2, 1, 16, 512, 1e-5f};
    random_model *model = new_model(1, &shape, (random_form){.group = 32, .bits = 4}, HG_F16);
    hg_error error;
    hg_emulator_fail(-1, cudaSuccess);
    harness_check(one_chunk(model, &error), &error);
    long calls = hg_emulator_calls(), failed = 0;
    for (long n = 0; n < calls; n++) {
        hg_emulator_fail(n, cudaErrorUnknown);
        hg_status status = one_chunk(model, &error);
        assert_int_equal(hg_emulator_held(), 0);
        if (!status) continue;
        failed++;
        assert_int_equal(status, HG_ERROR_DEVICE);
        assert_int_not_equal(error.message[0], ':'); /* it begins with the call's name */
    }
    assert_true(failed > calls / 2);
    hg_emulator_fail(-1, cudaSuccess);
    random_model_free(model);
}

/* Without cuBLASLt there are no whole chunks, and everything else is as ever; what is planned by
 * sizes counts their room, whoever asks. */
static void test_no_library(void **state)
{
    (void)state;
    random_model *model = new_model(7, &small, (random_form){.group = 32, .bits = 4}, HG_QUANTISED);
    hg_emulator_set_blas(false);
    machine m = open_machine(hg_cuda_device(), NULL, &model->weights);
    assert_int_equal(m.chunk_rows, 0);
    prompt p;
    new_prompt(&p, 3, 40, HG_NO_SLOT, small.vocabulary);
    run_rest(&m, &p);
    free(p.logits);
    hg_device_memory held, without, with;
    hg_error error;
    m.api->memory(m.device, &held);
    harness_check(m.api->measure(&model->weights, &chunk_plan, &without, &error), &error);
    close_machine(&m);
    hg_emulator_set_blas(true);
    harness_check(hg_cuda_device()->measure(&model->weights, &chunk_plan, &with, &error), &error);
    assert_int_equal(without.workspace_bytes, with.workspace_bytes);
    assert_true(held.workspace_bytes < with.workspace_bytes);
    random_model_free(model);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_company),
        cmocka_unit_test(test_refused),
#ifndef HG_ON_CARD
        cmocka_unit_test(test_no_library), cmocka_unit_test(test_failures),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
