/* print_logits.c: logits of the reference kernels for check_quantised.py.
 *
 *     print_logits MODEL TOKEN...
 *
 * Writes F32 [tokens, vocabulary] of one prompt to standard output, as the machine stores it. No
 * test of its own: what it writes is compared there with what transformers computes.
 */
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/model/model.h"

static void run(const hg_model *model, const int32_t *token, uint32_t tokens)
{
    char message[HG_ERROR_MESSAGE_MAX] = "";
    const uint32_t vocabulary = model->weights.shape.vocabulary;
    int32_t best[SMALL_ROWS];
    float *logits = malloc((size_t)tokens * vocabulary * sizeof *logits);
    assert_non_null(logits);
    small_lane lane = {
        .token = token, .rows = tokens, .slot = HG_NO_SLOT, .best = best, .logits = logits};
    hg_device *device = small_device("reference", &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    small_run(device, vocabulary, &lane, 1, tokens);
    assert_int_equal(fwrite(logits, vocabulary * sizeof *logits, tokens, stdout), tokens);
    hg_cpu_device()->close(device);
    free(logits);
}

int main(int count, char **argument)
{
    int32_t token[SMALL_ROWS];
    hg_model *model;
    hg_error error = {0};
    if (count < 3 || count - 2 > SMALL_ROWS) {
        fprintf(stderr, "usage: print_logits MODEL TOKEN... (up to %d)\n", SMALL_ROWS);
        return 2;
    }
    if (hg_model_open(argument[1], &model, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (int i = 2; i < count; i++) token[i - 2] = (int32_t)strtol(argument[i], NULL, 10);
    run(model, token, (uint32_t)count - 2);
    hg_model_close(model);
    return 0;
}
