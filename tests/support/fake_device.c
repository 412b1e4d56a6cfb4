/* fake_device.c: cells, hashes, and the checks of every call. */
#include "tests/support/fake_device.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/check.h"

#define FAKE_WHOLE (UINT64_C(1) << 40) /* beside an adapter: the row was of a whole chunk */

typedef struct fake_cell {
    uint64_t value;
    uint32_t position;
    bool written;
} fake_cell;

typedef struct fake_adapter {
    uint64_t identity; /* rank_max of the weights; 0: the base */
    size_t left;       /* bytes still to read */
    int stage;         /* 0 empty, 1 begun, 2 committed */
} fake_adapter;

struct hg_device {
    hg_device_plan plan;
    uint32_t vocabulary;
    pthread_t owner;
    fake_cell *cell; /* [pages, PAGE_TOKENS] */
    fake_adapter adapter[HG_LIMIT_ADAPTER_SLOTS];
};

fake_world fake;

__attribute__((format(printf, 1, 2))) static void fake_violation(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (atomic_fetch_add(&fake.violations, 1) == 0)
        vsnprintf(fake.first_violation, sizeof fake.first_violation, format, args);
    va_end(args);
}

static uint64_t fake_mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
    return x ^ (x >> 29);
}

static uint64_t fake_value(uint64_t before, int32_t token, uint64_t adapter, uint32_t position)
{
    return fake_mix(fake_mix(before, (uint64_t)token + 1), fake_mix(adapter, position));
}

int32_t fake_token(uint64_t sum, uint32_t position, uint32_t vocabulary)
{
    if (fake.script) return fake.script(position);
    return sum >> 40 & 15 ? (int32_t)(2 + sum % (vocabulary - 2)) : FAKE_STOP;
}

void fake_logits(uint64_t sum, int32_t top, uint32_t vocabulary, float *logits)
{
    for (uint32_t i = 0; i < vocabulary; i++)
        logits[i] = (float)(fake_mix(sum, i) >> 44) / (1 << 20) * 6;
    logits[top] = 7;
}

uint64_t fake_sum(const int32_t *token, uint32_t tokens, uint32_t invocation, uint64_t adapter)
{
    uint64_t value = 0, sum = 0;
    for (uint32_t i = 0; i < tokens; i++) {
        value = fake_value(value, token[i], i < invocation ? 0 : adapter, i);
        sum = fake_mix(sum, value);
    }
    return sum;
}

/* Every call is counted, made by one thread, and may be told to fail. */
static hg_status fake_call(hg_device *device, hg_error *error)
{
    unsigned call = atomic_fetch_add(&fake.calls, 1) + 1;
    if (!pthread_equal(device->owner, pthread_self())) fake_violation("called by another thread");
    unsigned every = fake.fail_every;
    if (call != fake.fail_at && (every == 0 || call % every != 0)) return HG_OK;
    return hg_fail(error, fake.fail_status, "the fake device failed in call %u", call);
}

static hg_status fake_open(const hg_device_options *options, hg_device **out, hg_error *error)
{
    (void)options;
    hg_device *device = calloc(1, sizeof *device);
    if (!device) return hg_fail(error, HG_ERROR_MEMORY, "no memory");
    device->owner = pthread_self();
    *out = device;
    return fake_call(device, error);
}

static void fake_close(hg_device *device)
{
    if (!device) return;
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        if (device->adapter[i].stage) atomic_fetch_sub(&fake.adapters, 1);
    free(device->cell);
    free(device);
}

static void fake_describe(const hg_device *device, hg_device_info *out)
{
    *out = (hg_device_info){.name = "fake", .kernel = "hash", .threads = 1, .page_bytes = 1};
    out->chunk_rows = fake.chunk_rows;
    if (fake.chunk_rows) out->chunks = device->plan.chunks;
}

static void fake_memory(const hg_device *device, hg_device_memory *out)
{
    *out = (hg_device_memory){0};
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        out->adapters_bytes += device->adapter[i].stage > 0;
}

static hg_status fake_load_model(hg_device *device, const hg_weights *weights,
                                 const hg_device_plan *plan, hg_error *error)
{
    device->plan = *plan;
    device->vocabulary = weights->shape.vocabulary;
    device->cell = calloc((size_t)plan->pages * HG_LIMIT_PAGE_TOKENS, sizeof *device->cell);
    if (!device->cell) return hg_fail(error, HG_ERROR_MEMORY, "no memory");
    return fake_call(device, error);
}

static hg_status fake_begin(hg_device *device, uint16_t slot, const hg_lora_weights *weights,
                            hg_error *error)
{
    hg_status status = fake_call(device, error);
    if (status) return status;
    fake_adapter *adapter = &device->adapter[slot];
    if (adapter->stage != 0) fake_violation("slot %u is begun twice", slot);
    *adapter = (fake_adapter){.identity = weights->rank_max, .left = weights->bytes, .stage = 1};
    atomic_fetch_add(&fake.adapters, 1);
    return HG_OK;
}

static hg_status fake_piece(hg_device *device, uint16_t slot, size_t bytes, bool *done,
                            hg_error *error)
{
    hg_status status = fake_call(device, error);
    if (status) return status;
    fake_adapter *adapter = &device->adapter[slot];
    if (adapter->stage != 1) fake_violation("slot %u gets a piece without begin", slot);
    if (!fake.hold_adapters) adapter->left -= adapter->left < bytes ? adapter->left : bytes;
    *done = adapter->left == 0;
    return HG_OK;
}

static hg_status fake_commit(hg_device *device, uint16_t slot, hg_error *error)
{
    hg_status status = fake_call(device, error);
    if (status) return status;
    if (device->adapter[slot].stage != 1 || device->adapter[slot].left)
        fake_violation("slot %u is committed too early", slot);
    device->adapter[slot].stage = 2;
    return HG_OK;
}

static void fake_drop(hg_device *device, uint16_t slot)
{
    if (device->adapter[slot].stage == 0) fake_violation("slot %u is dropped while empty", slot);
    device->adapter[slot].stage = 0;
    atomic_fetch_sub(&fake.adapters, 1);
}

static hg_status fake_copy(hg_device *device, uint32_t from, uint32_t to, uint32_t tokens,
                           hg_error *error)
{
    hg_status status = fake_call(device, error);
    if (status) return status;
    if (from >= device->plan.pages || to >= device->plan.pages || from == to)
        fake_violation("copy from page %u to %u", from, to);
    if (tokens == 0 || tokens >= HG_LIMIT_PAGE_TOKENS) fake_violation("copy of %u tokens", tokens);
    fake_cell *source = device->cell + (size_t)from * HG_LIMIT_PAGE_TOKENS;
    fake_cell *target = device->cell + (size_t)to * HG_LIMIT_PAGE_TOKENS;
    memset(target, 0, HG_LIMIT_PAGE_TOKENS * sizeof *target);
    memcpy(target, source, tokens * sizeof *target);
    atomic_fetch_add(&fake.copies, 1);
    return HG_OK;
}

static fake_cell *fake_cell_at(hg_device *device, const hg_step *step, uint16_t lane,
                               uint32_t position)
{
    const uint32_t *page = step->page + (size_t)lane * device->plan.lane_pages;
    uint32_t id = page[position / HG_LIMIT_PAGE_TOKENS];
    if (position / HG_LIMIT_PAGE_TOKENS >= device->plan.lane_pages || id >= device->plan.pages) {
        fake_violation("position %u of lane %u is in page %u", position, lane, id);
        return &device->cell[0];
    }
    return &device->cell[(size_t)id * HG_LIMIT_PAGE_TOKENS + position % HG_LIMIT_PAGE_TOKENS];
}

static uint64_t fake_row(hg_device *device, const hg_step *step, const hg_row *row)
{
    uint64_t adapter = 0, value = 0, sum = 0;
    if (row->slot != HG_NO_SLOT) {
        adapter = device->adapter[row->slot].identity;
        if (device->adapter[row->slot].stage != 2) fake_violation("slot %u is empty", row->slot);
    }
    if (row->whole) adapter += FAKE_WHOLE;
    for (uint32_t i = 0; i <= row->position; i++) {
        fake_cell *cell = fake_cell_at(device, step, row->lane, i);
        if (i == row->position)
            *cell = (fake_cell){fake_value(value, row->token, adapter, i), i, true};
        if (!cell->written || cell->position != i)
            fake_violation("position %u of lane %u was never computed", i, row->lane);
        value = cell->value;
        sum = fake_mix(sum, value);
    }
    return sum;
}

static void fake_check_order(const hg_step *step, uint32_t at)
{
    const hg_row *row = &step->row[at];
    if (row->lane >= step->lanes) fake_violation("lane %u of %u", row->lane, step->lanes);
    if (row->want_logits && !row->want) fake_violation("logits of a row that nobody wants");
    if (at > 0 && row[-1].lane == row->lane && row[-1].position + 1 != row->position)
        fake_violation("position %u follows %u", row->position, row[-1].position);
    for (uint32_t i = 0; i + 1 < at; i++)
        if (step->row[i].lane == row->lane && row[-1].lane != row->lane)
            fake_violation("the rows of lane %u do not stand together", row->lane);
}

static bool fake_ready(const hg_device *device, uint16_t slot)
{
    return device->adapter[slot].stage == 2;
}

/* What any device would refuse. */
static void fake_check_step(const hg_device *device, const hg_step *step)
{
    const hg_checked checked = {device,     &device->plan,   device->vocabulary,
                                fake_ready, fake.chunk_rows, device->plan.chunks};
    hg_error error;
    if (hg_check_step(&checked, step, &error)) fake_violation("%s", error.message);
}

static void fake_largest(atomic_uint *most, uint32_t value)
{
    if (value > *most) *most = value;
}

static hg_status fake_forward(hg_device *device, const hg_step *step, hg_result *result,
                              hg_error *error)
{
    if (fake.before_forward) fake.before_forward();
    hg_status status = fake_call(device, error);
    if (status) return status;
    float *logits = result->logits;
    fake_check_step(device, step);
    for (uint32_t i = 0; i < step->rows; i++) {
        const hg_row *row = &step->row[i];
        fake_check_order(step, i);
        uint64_t sum = fake_row(device, step, row);
        int32_t token = fake_token(sum, row->position, device->vocabulary);
        if (row->want) result->token[i] = token;
        if (row->want_logits) {
            fake_logits(sum, token, device->vocabulary, logits);
            logits += device->vocabulary;
        }
    }
    hg_note_stops(step, result);
    atomic_fetch_add(&fake.forwards, 1);
    atomic_fetch_add(&fake.rows, step->rows);
    uint32_t whole = hg_whole_rows(step);
    atomic_fetch_add(&fake.whole_rows, whole);
    fake_largest(&fake.most_whole, whole);
    fake_largest(&fake.most_rows, step->rows - whole);
    fake_largest(&fake.most_lanes, step->lanes);
    return HG_OK;
}

static double fake_row_cost(const hg_device *device)
{
    (void)device;
    return fake.row_cost;
}

const hg_device_api fake_api = {
    .version = HG_DEVICE_VERSION,
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .describe = fake_describe,
    .memory = fake_memory,
    .load_model = fake_load_model,
    .put_adapter_begin = fake_begin,
    .put_adapter_step = fake_piece,
    .put_adapter_commit = fake_commit,
    .drop_adapter = fake_drop,
    .copy_page = fake_copy,
    .forward = fake_forward,
    .row_cost = fake_row_cost,
};

const hg_weights fake_weights = {.shape = {.vocabulary = FAKE_VOCABULARY,
                                           .hidden = 1,
                                           .intermediate = 1,
                                           .layers = 1,
                                           .heads = 1,
                                           .kv_heads = 1,
                                           .head_dim = 1,
                                           .positions = FAKE_POSITIONS}};

void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
}
