/* test_metrics.c: what is counted, and that /metrics is well-formed: each sample belongs to a
 * family with HELP and TYPE that was announced once, right before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/metrics.h"

static char *print(const hg_metrics *metrics)
{
    hg_buf buf = hg_buf_new(1 << 20);
    assert_int_equal(hg_metrics_print(metrics, &buf), HG_OK);
    return buf.data;
}

static void has(const hg_metrics *metrics, const char *line)
{
    char *text = print(metrics), *at = strstr(text, line);
    if (!at || (at > text && at[-1] != '\n')) fail_msg("missing: %s", line);
    free(text);
}

static void test_counts_ends(void **state)
{
    (void)state;
    hg_metrics m = {.version = "1", .model = "m", .device = "a \"b\" \\c", .kernel = "k"};
    hg_event done = {.type = HG_EVENT_DONE, .status = "ok", .tokens = 5};
    hg_metrics_count(&m, &done);
    done.status = "failed";
    done.code = HG_CODE_unknown_language;
    done.tokens = 0;
    hg_metrics_count(&m, &done);
    hg_batch_record batch = {.first_ms = 4, .total_ms = 30, .queue_ms = 2, .lanes = 3};
    batch.lane[0] = (hg_lane_record){
        .language = "de", .status = "ok", .stop = "eos", .first_ms = 4, .total_ms = 30};
    batch.lane[1] = (hg_lane_record){.language = "xx", .status = "failed", .total_ms = 1};
    batch.lane[2] = (hg_lane_record){.language = "en", .status = "ok", .stop = "unchanged"};
    hg_event end = {.type = HG_EVENT_BATCH, .batch = &batch};
    hg_metrics_count(&m, &end);
    hg_event piece = {.type = HG_EVENT_TENTATIVE};
    hg_metrics_count(&m, &piece);
    has(&m, "hydraglot_lanes_total{status=\"ok\"} 1\n");
    has(&m, "hydraglot_lanes_total{status=\"failed\"} 1\n");
    has(&m, "hydraglot_lanes_total{status=\"cancelled\"} 0\n");
    has(&m, "hydraglot_errors_total{code=\"unknown_language\"} 1\n");
    has(&m, "hydraglot_lane_tokens_total 5\n");
    has(&m, "hydraglot_batches_total 1\n");
    has(&m, "hydraglot_first_text_seconds_bucket{le=\"0.002\"} 0\n");
    has(&m, "hydraglot_first_text_seconds_bucket{le=\"0.005\"} 1\n");
    has(&m, "hydraglot_first_text_seconds_count 1\n");
    has(&m, "hydraglot_batch_seconds_sum 0.030000\n");
    has(&m, "hydraglot_lane_queue_seconds_bucket{language=\"de\",le=\"0.002\"} 1\n");
    has(&m, "hydraglot_lane_first_text_seconds_count{language=\"de\"} 1\n");
    has(&m, "hydraglot_lane_seconds_sum{language=\"de\"} 0.030000\n");
    assert_int_equal(m.language_count, 1); /* what failed or was unchanged took no lane's time */
    has(&m, "hydraglot_build_info{version=\"1\",model=\"m\",device=\"a \\\"b\\\" \\\\c\",kernel="
            "\"k\"} 1\n");
}

static void test_batch_without_text_has_no_first(void **state)
{
    (void)state;
    hg_metrics m = {0};
    hg_batch_record batch = {.total_ms = 1};
    hg_event end = {.type = HG_EVENT_BATCH, .batch = &batch};
    hg_metrics_count(&m, &end);
    has(&m, "hydraglot_first_text_seconds_count 0\n");
    has(&m, "hydraglot_batch_seconds_count 1\n");
}

static void test_histogram_is_cumulative(void **state)
{
    (void)state;
    hg_metrics m = {0};
    static const double seconds[] = {0.0005, 0.001, 0.0011, 0.3, 9, 11, 1e9};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        hg_histogram_add(&m.total, seconds[i]);
    has(&m, "hydraglot_batch_seconds_bucket{le=\"0.001\"} 2\n");
    has(&m, "hydraglot_batch_seconds_bucket{le=\"0.2\"} 3\n");
    has(&m, "hydraglot_batch_seconds_bucket{le=\"0.5\"} 4\n");
    has(&m, "hydraglot_batch_seconds_bucket{le=\"10\"} 5\n");
    has(&m, "hydraglot_batch_seconds_bucket{le=\"+Inf\"} 7\n");
    has(&m, "hydraglot_batch_seconds_count 7\n");
}

/* A sample's family: its name without labels and without a histogram's suffix. */
static bool belongs(const char *line, const char *family, bool histogram)
{
    size_t length = strlen(family);
    if (strncmp(line, family, length) != 0) return false;
    const char *rest = line + length;
    if (histogram)
        return !strncmp(rest, "_bucket{", 8) || !strncmp(rest, "_sum ", 5) ||
               !strncmp(rest, "_count ", 7);
    return *rest == ' ' || *rest == '{';
}

static void test_text_is_well_formed(void **state)
{
    (void)state;
    hg_metrics m = {.version = "1"};
    char *text = print(&m), *rest = text, *line, family[128] = "";
    bool histogram = false;
    int families = 0, samples = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t length = strcspn(line + 7, " ");
            assert_true(length < sizeof family && strlen(line + 8 + length) > 5);
            memcpy(family, line + 7, length);
            family[length] = '\0';
            char *again = strstr(rest, "# HELP ");
            while (again && !(strncmp(again + 7, family, length) == 0 && again[7 + length] == ' '))
                again = strstr(again + 1, "# HELP ");
            assert_null(again);
            families++;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, family, strlen(family));
            histogram = strstr(line, " histogram") != NULL;
        } else {
            if (!belongs(line, family, histogram)) fail_msg("%s is not of %s", line, family);
            assert_true(isdigit((unsigned char)strrchr(line, ' ')[1]));
            samples++;
        }
    }
    assert_true(families > 20 && samples > families);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_ends),
        cmocka_unit_test(test_batch_without_text_has_no_first),
        cmocka_unit_test(test_histogram_is_cumulative),
        cmocka_unit_test(test_text_is_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
