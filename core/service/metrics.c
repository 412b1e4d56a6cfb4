/* metrics.c: the table of metrics; see metrics.h. */
#include "core/service/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef enum kind {
    KIND_COUNTER,
    KIND_GAUGE,
    KIND_SECONDS,     /* a counter that is a double */
    KIND_BY_CODE,     /* uint64_t [HG_METRIC_CODES] */
    KIND_BY_LANE_END, /* uint64_t [HG_LANE_ENDS] */
    KIND_HISTOGRAM,
    KIND_BY_LANGUAGE, /* a histogram of each hg_language_times */
    KIND_INFO,        /* always 1; the labels are the information */
} kind;

typedef struct metric {
    const char *name; /* without "hydraglot_" */
    kind kind;
    size_t offset; /* in hg_metrics */
    const char *help;
} metric;

#define AT(member)       offsetof(hg_metrics, member)
#define AT_TIMES(member) offsetof(hg_language_times, member)
static const metric metrics_table[] = {
    {"build_info", KIND_INFO, 0, "what is running"},
    {"ready", KIND_GAUGE, AT(ready), "1 when every enabled plugin is usable or has failed"},
    {"languages", KIND_GAUGE, AT(languages), "languages served"},
    {"sessions", KIND_GAUGE, AT(sessions), "websocket sessions open"},
    {"sessions_total", KIND_COUNTER, AT(sessions_total), "websocket sessions opened"},
    {"sessions_refused_total", KIND_COUNTER, AT(sessions_refused), "sessions closed with 4009"},
    {"sessions_detached", KIND_GAUGE, AT(sessions_detached), "sessions kept without a connection"},
    {"sessions_resumed_total", KIND_COUNTER, AT(sessions_resumed),
     "sessions taken over by a new connection"},
    {"slow_readers_total", KIND_COUNTER, AT(slow_readers), "connections closed with 4008"},
    {"frames_received_total", KIND_COUNTER, AT(frames_in), "websocket messages from clients"},
    {"frames_sent_total", KIND_COUNTER, AT(frames_out), "websocket messages to clients"},
    {"received_bytes_total", KIND_COUNTER, AT(bytes_in), "bytes of messages from clients"},
    {"sent_bytes_total", KIND_COUNTER, AT(bytes_out), "bytes of messages to clients"},
    {"snapshots_dropped_total", KIND_COUNTER, AT(snapshots_dropped),
     "tentative snapshots that a newer one replaced before they were sent"},
    {"http_requests_total", KIND_COUNTER, AT(http_requests), "HTTP requests, upgrades not counted"},
    {"translate_requests_total", KIND_COUNTER, AT(requests), "translate messages accepted"},
    {"errors_total", KIND_BY_CODE, AT(errors), "error events and failed lanes, by code"},
    {"batches_total", KIND_COUNTER, AT(batches), "batches ended"},
    {"lanes_total", KIND_BY_LANE_END, AT(lanes), "lanes ended, by status"},
    {"lane_tokens_total", KIND_COUNTER, AT(tokens), "output tokens of ended lanes"},
    {"first_text_seconds", KIND_HISTOGRAM, AT(first), "frame received to first text of a batch"},
    {"batch_seconds", KIND_HISTOGRAM, AT(total), "frame received to the end of a batch"},
    {"lane_queue_seconds", KIND_BY_LANGUAGE, AT_TIMES(queue),
     "a lane's wait for the engine, by language"},
    {"lane_first_text_seconds", KIND_BY_LANGUAGE, AT_TIMES(first),
     "frame received to first text of a lane, by language"},
    {"lane_seconds", KIND_BY_LANGUAGE, AT_TIMES(total),
     "frame received to the end of a lane, by language"},
    {"engine_steps_total", KIND_COUNTER, AT(steps), "forward passes"},
    {"engine_step_seconds_total", KIND_SECONDS, AT(step_seconds), "time spent in forward passes"},
    {"engine_rows_total", KIND_COUNTER, AT(step_rows), "rows computed"},
    {"engine_prefill_tokens_total", KIND_COUNTER, AT(prefill_tokens), "prompt tokens computed"},
    {"engine_shared_tokens_total", KIND_COUNTER, AT(shared_tokens),
     "prompt tokens whose KV came from elsewhere"},
    {"engine_decode_tokens_total", KIND_COUNTER, AT(decode_tokens), "output tokens computed"},
    {"engine_jobs", KIND_GAUGE, AT(jobs_running), "jobs in the engine"},
    {"engine_lanes", KIND_GAUGE, AT(lanes_running), "lanes in the engine"},
    {"kv_pages", KIND_GAUGE, AT(pages), "KV pages of the pool"},
    {"kv_pages_free", KIND_GAUGE, AT(pages_free), "KV pages free"},
    {"kv_pages_cached", KIND_GAUGE, AT(pages_cached), "KV pages held only for reuse"},
    {"device_up", KIND_GAUGE, AT(device_up), "0 while a lost device is not replaced"},
    {"device_losses_total", KIND_COUNTER, AT(device_losses), "devices that failed in service"},
    {"device_recoveries_total", KIND_COUNTER, AT(device_recoveries),
     "devices that were opened in their place"},
    {"adapters", KIND_GAUGE, AT(adapters), "adapters on the device"},
    {"adapters_bytes", KIND_GAUGE, AT(adapters_bytes), "device memory taken for adapters"},
    {"adapters_filled_bytes", KIND_GAUGE, AT(adapters_filled_bytes), "of it, what adapters have"},
    {"weights_bytes", KIND_GAUGE, AT(weights_bytes), "device memory of the base model"},
    {"kv_bytes", KIND_GAUGE, AT(kv_bytes), "device memory of the KV pool"},
    {"workspace_bytes", KIND_GAUGE, AT(workspace_bytes),
     "device memory of activations and recorded steps"},
    {"batch_rows_dropped_total", KIND_COUNTER, AT(batch_rows_dropped),
     "batch rows that the full log queue dropped"},
};
#undef AT
#undef AT_TIMES

static const char *const code_labels[HG_METRIC_CODES] = {"",
#define LABEL(name, retry, meaning) #name,
                                                         HG_CODES(LABEL)
#undef LABEL
};

static const char *const end_labels[HG_LANE_ENDS] = {
    [HG_LANE_END_OK] = "ok",
    [HG_LANE_END_SUPERSEDED] = "superseded",
    [HG_LANE_END_CANCELLED] = "cancelled",
    [HG_LANE_END_FAILED] = "failed",
};

/* Upper bounds of the latency histograms, in seconds: from a step of the small model to a long
 * sentence of a large one. */
static const double bounds[HG_METRIC_BUCKETS - 1] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                     0.2,   0.5,   1,     2,    5,    10};

void hg_histogram_add(hg_histogram *histogram, double seconds)
{
    size_t i = 0;
    while (i < HG_METRIC_BUCKETS - 1 && seconds > bounds[i]) i++;
    histogram->bucket[i]++;
    histogram->sum += seconds;
}

static void count_done(hg_metrics *metrics, const hg_event *event)
{
    for (int i = 0; i < HG_LANE_ENDS; i++)
        if (strcmp(event->status, end_labels[i]) == 0) metrics->lanes[i]++;
    assert((size_t)event->code < (size_t)HG_METRIC_CODES);
    if (event->code) metrics->errors[event->code]++;
    metrics->tokens += event->tokens;
}

/* The times of a language; NULL: there are more languages than plugins can be. */
static hg_language_times *times_of(hg_metrics *metrics, const char *language)
{
    for (uint32_t i = 0; i < metrics->language_count; i++)
        if (strcmp(metrics->language[i].language, language) == 0) return &metrics->language[i];
    if (metrics->language_count == HG_LIMIT_ADAPTER_SLOTS) return NULL;
    hg_language_times *times = &metrics->language[metrics->language_count++];
    memcpy(times->language, language, strlen(language) + 1);
    return times;
}

/* A lane that a plugin ran; the others took no time. */
static void count_lane(hg_metrics *metrics, const hg_lane_record *lane, double queue_ms)
{
    if (strcmp(lane->status, "ok") != 0 || strcmp(lane->stop, "unchanged") == 0) return;
    hg_language_times *times = times_of(metrics, lane->language);
    if (!times) return;
    hg_histogram_add(&times->queue, queue_ms / 1e3);
    if (lane->first_ms > 0) hg_histogram_add(&times->first, lane->first_ms / 1e3);
    hg_histogram_add(&times->total, lane->total_ms / 1e3);
}

void hg_metrics_count(hg_metrics *metrics, const hg_event *event)
{
    if (event->type == HG_EVENT_DONE) count_done(metrics, event);
    if (event->type != HG_EVENT_BATCH) return;
    metrics->batches++;
    /* A batch without text (all lanes failed or were replaced at once) has no first_ms. */
    if (event->batch->first_ms > 0) hg_histogram_add(&metrics->first, event->batch->first_ms / 1e3);
    hg_histogram_add(&metrics->total, event->batch->total_ms / 1e3);
    for (uint32_t i = 0; i < event->batch->lanes; i++)
        count_lane(metrics, &event->batch->lane[i], event->batch->queue_ms);
}

static hg_status print_labelled(const metric *m, const uint64_t *value, const char *label,
                                const char *const *labels, int count, hg_buf *out)
{
    hg_status status = HG_OK;
    for (int i = 0; i < count && !status; i++) {
        if (!*labels[i]) continue; /* HG_CODE_NONE */
        status = hg_buf_printf(out, "hydraglot_%s{%s=\"%s\"} %" PRIu64 "\n", m->name, label,
                               labels[i], value[i]);
    }
    return status;
}

/* label: `language="de",`, or "". */
static hg_status print_histogram(const metric *m, const hg_histogram *histogram, const char *label,
                                 hg_buf *out)
{
    uint64_t below = 0;
    hg_status status = HG_OK;
    for (int i = 0; i < HG_METRIC_BUCKETS - 1 && !status; i++) {
        below += histogram->bucket[i];
        status = hg_buf_printf(out, "hydraglot_%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", m->name,
                               label, bounds[i], below);
    }
    below += histogram->bucket[HG_METRIC_BUCKETS - 1];
    if (status) return status;
    char own[HG_LIMIT_TAG + 32] = ""; /* the same label alone */
    if (*label) snprintf(own, sizeof own, "{%.*s}", (int)strlen(label) - 1, label);
    return hg_buf_printf(out,
                         "hydraglot_%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n"
                         "hydraglot_%s_sum%s %.6f\n"
                         "hydraglot_%s_count%s %" PRIu64 "\n",
                         m->name, label, below, m->name, own, histogram->sum, m->name, own, below);
}

static hg_status print_by_language(const metric *m, const hg_metrics *metrics, hg_buf *out)
{
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < metrics->language_count && !status; i++) {
        const hg_language_times *times = &metrics->language[i];
        char label[HG_LIMIT_TAG + 16];
        snprintf(label, sizeof label, "language=\"%s\",", times->language);
        const void *at = (const char *)times + m->offset;
        status = print_histogram(m, at, label, out);
    }
    return status;
}

/* A label's value: backslash and quote escaped, as the format demands. */
static hg_status print_label(const char *name, const char *value, const char *after, hg_buf *out)
{
    hg_status status = hg_buf_printf(out, "%s=\"", name);
    for (const char *p = value ? value : ""; *p && !status; p++) {
        if (*p == '\\' || *p == '"') status = hg_buf_append(out, "\\", 1);
        if (!status) status = hg_buf_append(out, *p == '\n' ? " " : p, 1);
    }
    return status ? status : hg_buf_printf(out, "\"%s", after);
}

static hg_status print_info(const metric *m, const hg_metrics *metrics, hg_buf *out)
{
    hg_status status = hg_buf_printf(out, "hydraglot_%s{", m->name);
    if (!status) status = print_label("version", metrics->version, ",", out);
    if (!status) status = print_label("model", metrics->model, ",", out);
    if (!status) status = print_label("device", metrics->device, ",", out);
    if (!status) status = print_label("kernel", metrics->kernel, "} 1\n", out);
    return status;
}

static hg_status print_value(const metric *m, const hg_metrics *metrics, hg_buf *out)
{
    /* A histogram by language has its place inside of each language's times. */
    const void *at = (const char *)metrics + (m->kind == KIND_BY_LANGUAGE ? 0 : m->offset);
    switch (m->kind) {
    case KIND_COUNTER:
    case KIND_GAUGE:
        return hg_buf_printf(out, "hydraglot_%s %" PRIu64 "\n", m->name, *(const uint64_t *)at);
    case KIND_SECONDS:
        return hg_buf_printf(out, "hydraglot_%s %.6f\n", m->name, *(const double *)at);
    case KIND_BY_CODE: return print_labelled(m, at, "code", code_labels, HG_METRIC_CODES, out);
    case KIND_BY_LANE_END: return print_labelled(m, at, "status", end_labels, HG_LANE_ENDS, out);
    case KIND_HISTOGRAM: return print_histogram(m, at, "", out);
    case KIND_BY_LANGUAGE: return print_by_language(m, metrics, out);
    case KIND_INFO: return print_info(m, metrics, out);
    }
    assert(!"a kind without printer");
    return HG_ERROR_STATE;
}

hg_status hg_metrics_print(const hg_metrics *metrics, hg_buf *out)
{
    hg_status status = HG_OK;
    for (size_t i = 0; i < sizeof metrics_table / sizeof *metrics_table && !status; i++) {
        const metric *m = &metrics_table[i];
        bool histogram = m->kind == KIND_HISTOGRAM || m->kind == KIND_BY_LANGUAGE;
        const char *type = histogram                                       ? "histogram"
                           : m->kind == KIND_GAUGE || m->kind == KIND_INFO ? "gauge"
                                                                           : "counter";
        status = hg_buf_printf(out, "# HELP hydraglot_%s %s\n# TYPE hydraglot_%s %s\n", m->name,
                               m->help, m->name, type);
        if (!status) status = print_value(m, metrics, out);
    }
    return status;
}

hg_status hg_metrics_describe(hg_buf *out)
{
    static const char *const types[] = {
        [KIND_COUNTER] = "counter",
        [KIND_GAUGE] = "gauge",
        [KIND_SECONDS] = "counter",
        [KIND_BY_CODE] = "counter by `code`",
        [KIND_BY_LANE_END] = "counter by `status`",
        [KIND_HISTOGRAM] = "histogram",
        [KIND_BY_LANGUAGE] = "histogram by `language`",
        [KIND_INFO] = "1, labels tell",
    };
    hg_status status =
        hg_buf_append_text(out, "| metric | type | what it counts |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof metrics_table / sizeof *metrics_table && !status; i++) {
        const metric *m = &metrics_table[i];
        status =
            hg_buf_printf(out, "| `hydraglot_%s` | %s | %s |\n", m->name, types[m->kind], m->help);
    }
    return status;
}
