/* test_cuda_goldens.c: hydra-tiny with its German adapter on the CUDA device, against what
 * transformers and PEFT gave, teacher-forced: at least 98.5 % of the tokens are the same.
 *
 * Reads build/cuda_goldens.bin, which tests/gpu/goldens.py makes: arrays one behind the other, so
 * that a machine with a card needs no library for it. On the emulator the first sentences run, with
 * HYDRAGLOT_LONG=1 and on a card all fifty.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/cuda_help.h"

#define PATH  "build/cuda_goldens.bin"
#define MAGIC 0x64676C68
#define LINE  64
#define LEAST 0.985

typedef struct golden_head {
    uint32_t magic, vocabulary, hidden, intermediate, layers, heads, kv_heads, head_dim, positions;
    uint32_t group, rank, sentences;
    float epsilon, scale; /* of the norms, of the adapter */
} golden_head;

typedef struct golden {
    const uint8_t *file, *at; /* mapped; where reading has got to */
    size_t bytes;
    golden_head head;
    hg_weights weights;
    hg_layer *layer;
    hg_lora_layer *lora_layer;
    hg_lora_weights lora;
    const int32_t *start, *prompt, *token;
    const int32_t *argmax; /* of the next sentence */
} golden;

/* The next array, of so many bytes. */
static const void *next(golden *g, size_t bytes)
{
    const void *array = g->at;
    assert_true(bytes <= g->bytes - (size_t)(g->at - g->file));
    g->at += (bytes + LINE - 1) / LINE * LINE;
    return array;
}

static void map_file(golden *g)
{
    struct stat st = {0};
    int file = open(PATH, O_RDONLY);
    if (file < 0 || fstat(file, &st)) fail_msg("%s: not there; make %s", PATH, PATH);
    g->bytes = (size_t)st.st_size;
    void *map = mmap(NULL, g->bytes, PROT_READ, MAP_PRIVATE, file, 0);
    assert_true(map != MAP_FAILED);
    close(file);
    g->file = g->at = map;
    memcpy(&g->head, next(g, sizeof g->head), sizeof g->head);
    assert_int_equal(g->head.magic, MAGIC);
}

/* One projection: codes and scales, and its adapter's A and B. */
static void next_linear(golden *g, uint32_t layer, uint32_t p)
{
    uint32_t rows, columns, rank = g->head.rank;
    random_shape_of(&g->weights.shape, p, &rows, &columns);
    size_t values = (size_t)rows * columns;
    hg_linear *w = &g->layer[layer].linear[p];
    *w = (hg_linear){.rows = rows, .columns = columns, .group = (uint16_t)g->head.group, .bits = 4};
    w->codes = next(g, values / 2);
    w->scales = next(g, values / w->group * sizeof *w->scales);
    hg_lora *pair = &g->lora_layer[layer].pair[p];
    *pair = (hg_lora){.scale = g->head.scale, .rank = rank};
    pair->a = (hg_matrix){next(g, (size_t)rank * columns * 2), rank, columns, HG_F16};
    pair->b = (hg_matrix){next(g, (size_t)rows * rank * 2), rows, rank, HG_F16};
    g->lora.bytes += (size_t)rank * (rows + columns) * 2;
}

static void golden_open(golden *g)
{
    *g = (golden){0};
    map_file(g);
    const golden_head *h = &g->head;
    g->weights.shape = (hg_shape){h->vocabulary, h->hidden,   h->intermediate, h->layers, h->heads,
                                  h->kv_heads,   h->head_dim, h->positions,    h->epsilon};
    g->layer = calloc(h->layers, sizeof *g->layer);
    g->lora_layer = calloc(h->layers, sizeof *g->lora_layer);
    assert_true(g->layer && g->lora_layer);
    g->weights.layer = g->layer;
    g->lora = (hg_lora_weights){.layer = g->lora_layer, .layers = h->layers, .rank_max = h->rank};
    g->weights.rope_frequency = next(g, h->head_dim / 2 * sizeof(float));
    size_t values = (size_t)h->vocabulary * h->hidden;
    g->weights.embedding = (hg_matrix){next(g, values * 2), h->vocabulary, h->hidden, HG_F16};
    g->weights.head = g->weights.embedding;
    g->weights.final_norm = next(g, h->hidden * sizeof(float));
    for (uint32_t i = 0; i < h->layers; i++) {
        g->layer[i].attention_norm = next(g, h->hidden * sizeof(float));
        g->layer[i].mlp_norm = next(g, h->hidden * sizeof(float));
        for (uint32_t p = 0; p < HG_PROJECTIONS; p++) next_linear(g, i, p);
    }
    g->start = next(g, (h->sentences + 1) * sizeof *g->start);
    g->prompt = next(g, h->sentences * sizeof *g->prompt);
    g->token = next(g, (size_t)g->start[h->sentences] * sizeof *g->token);
    g->argmax = next(g, 0);
}

static void golden_close(golden *g)
{
    free(g->layer);
    free(g->lora_layer);
    munmap((void *)(uintptr_t)g->file, g->bytes);
}

/* One sentence in one step, with its own tokens as history; equal arg-maxes of tokens. g->argmax
 * moves on to the next sentence. */
static uint32_t run_golden(golden *g, hg_device *device, uint32_t sentence, uint32_t *decoded)
{
    const int32_t *tokens = g->token + g->start[sentence];
    uint32_t rows = (uint32_t)(g->start[sentence + 1] - g->start[sentence]) - 1, equal = 0;
    uint32_t first = (uint32_t)g->prompt[sentence] - 1; /* the invocation ends the prompt */
    hg_row row[HARNESS_ROWS];
    int32_t token[HARNESS_ROWS];
    uint32_t page[HARNESS_LANE_PAGES] = {5, 3, 1, 0, 2, 4};
    assert_true(rows <= HARNESS_ROWS);
    for (uint32_t i = 0; i < rows; i++)
        row[i] = (hg_row){.token = tokens[i],
                          .position = i,
                          .slot = i >= first ? 0 : HG_NO_SLOT,
                          .want = i >= first};
    hg_step step = {.row = row, .page = page, .rows = rows, .lanes = 1};
    hg_result result = {.token = token};
    hg_error error;
    harness_check(hg_cuda_device()->forward(device, &step, &result, &error), &error);
    *decoded = rows - first;
    const int32_t *want = g->argmax;
    g->argmax += *decoded;
    assert_true((const uint8_t *)g->argmax <= g->file + g->bytes);
    for (uint32_t i = first; i < rows; i++) equal += token[i] == want[i - first];
    return equal;
}

static uint32_t sentences_of(const golden *g)
{
#ifdef HG_ON_CARD
    return g->head.sentences;
#else
    return getenv("HYDRAGLOT_LONG") ? g->head.sentences : 3;
#endif
}

static void test_goldens(void **state)
{
    (void)state;
    golden g;
    golden_open(&g);
    harness cuda = open_cuda(&g.weights);
    harness_put(&cuda, 0, &g.lora, HG_LIMIT_ADAPTER_PIECE);
    uint32_t equal = 0, decoded = 0;
    for (uint32_t s = 0; s < sentences_of(&g); s++) {
        uint32_t more;
        equal += run_golden(&g, cuda.device, s, &more);
        decoded += more;
    }
    print_message("hydra-tiny: %u of %u tokens equal\n", equal, decoded);
    assert_true(decoded >= 15 && equal >= LEAST * decoded);
    close_cuda(&cuda);
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
