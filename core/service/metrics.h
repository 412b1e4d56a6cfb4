/* metrics.h: what the service counts, and its text for Prometheus.
 *
 * Counters are plain fields that the service thread raises. The one table (metrics.c) gives each
 * its name, type, help and labels; /metrics is a walk over it.
 */
#ifndef HG_SERVICE_METRICS_H
#define HG_SERVICE_METRICS_H

#include <stdint.h>

#include "core/base/buf.h"
#include "core/translate/translate.h"

#define HG_METRIC_BUCKETS 14 /* the bounds of metrics.c and +Inf */

typedef struct hg_histogram {
    uint64_t bucket[HG_METRIC_BUCKETS]; /* not cumulative */
    double sum;                         /* seconds */
} hg_histogram;

/* Of one language's lanes that ended well. */
typedef struct hg_language_times {
    char language[HG_LIMIT_TAG]; /* of its plugin */
    hg_histogram queue, first, total;
} hg_language_times;

enum {
    HG_METRIC_CODE_NONE,
#define HG_METRIC_CODE(name, retry, meaning) HG_METRIC_CODE_##name,
    HG_CODES(HG_METRIC_CODE)
#undef HG_METRIC_CODE
        HG_METRIC_CODES, /* hg_code values, HG_CODE_NONE counted */
};

typedef enum hg_lane_end {
    HG_LANE_END_OK,
    HG_LANE_END_SUPERSEDED,
    HG_LANE_END_CANCELLED,
    HG_LANE_END_FAILED,
    HG_LANE_ENDS,
} hg_lane_end;

typedef struct hg_metrics {
    /* raised as things happen */
    uint64_t sessions_total, sessions_refused, sessions_resumed, slow_readers;
    uint64_t frames_in, frames_out, bytes_in, bytes_out, snapshots_dropped;
    uint64_t requests, http_requests, batches, tokens;
    uint64_t errors[HG_METRIC_CODES]; /* by code, error events and failed lanes */
    uint64_t lanes[HG_LANE_ENDS];
    hg_histogram first, total;
    hg_language_times language[HG_LIMIT_ADAPTER_SLOTS]; /* [language_count] as they come */
    uint32_t language_count;
    /* read when /metrics is asked for */
    uint64_t sessions, sessions_detached, ready, languages;
    uint64_t steps, step_rows, prefill_tokens, shared_tokens, decode_tokens;
    uint64_t pages, pages_free, pages_cached, lanes_running, jobs_running;
    uint64_t adapters, adapters_bytes, adapters_filled_bytes, weights_bytes, kv_bytes;
    uint64_t workspace_bytes, device_up, device_losses, device_recoveries;
    uint64_t batch_rows_dropped;
    double step_seconds;
    const char *version, *model, *device, *kernel; /* labels of build_info */
} hg_metrics;

/* Counts a DONE or BATCH event. */
void hg_metrics_count(hg_metrics *metrics, const hg_event *event);

void hg_histogram_add(hg_histogram *histogram, double seconds);

/* Appends everything in Prometheus' text format, version 0.0.4. */
hg_status hg_metrics_print(const hg_metrics *metrics, hg_buf *out) HG_CHECKED;

/* Appends the table of metrics as Markdown, for docs/OPERATIONS.md. */
hg_status hg_metrics_describe(hg_buf *out) HG_CHECKED;

#endif
