/* store.h: everything that outlives the process: plugins, batches, lanes, tokens, audit, settings.
 *
 * SQLite in WAL mode with foreign keys; the schema is db/schema.sql plus numbered migrations
 * (`user_version`). One connection writes: synchronous calls (plugins, audit) and the writer thread
 * share it under a lock. Batch rows go through a bounded queue to the writer thread and are
 * committed within 250 ms; a full queue drops and counts them, so logging never slows a sentence.
 * Any thread may call. Readers get read-only connections.
 */
#ifndef HG_DB_STORE_H
#define HG_DB_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/limits.h"

typedef struct hg_store hg_store;

/* Creates or migrates folder/hydraglot.db and keeps the folder for this process. HG_ERROR_DATABASE,
 * naming the file, when it is newer than this program, damaged or not ours; HG_ERROR_STATE, naming
 * the other's process, when another hydraglot has the folder. */
hg_status hg_store_open(const char *folder, hg_store **out, hg_error *error) HG_CHECKED;
/* Opens for reading only (the command line beside a running service). */
hg_status hg_store_open_read(const char *folder, hg_store **out, hg_error *error) HG_CHECKED;
/* Opens for writing tokens and audit rows beside a running service, whose folder it is: no lock, no
 * migration, no batches. */
hg_status hg_store_open_beside(const char *folder, hg_store **out, hg_error *error) HG_CHECKED;
/* Commits what waits. NULL is allowed. */
void hg_store_close(hg_store *store);

/* ---- plugins ---- */
typedef struct hg_plugin_record {
    int64_t plugin_id, generation_key; /* row ids */
    uint32_t generation;               /* 1, 2, ... within the plugin */
    uint32_t rank_max;
    uint64_t bytes;
    const char *name, *kind, *language, *digest, *sources /* JSON array */, *licence, *state,
        *report /* JSON */, *folder;
    const char *title; /* for people; NULL: none */
    bool is_default, enabled, pinned;
    bool own; /* content of the data folder's, see db/plugins.h */
} hg_plugin_record;

/* Records a plugin of the plugins folder. Content that no generation of the plugin has yet becomes
 * the next one; it serves from now on when the plugin is new, or what serves came from that folder
 * too, else it is "ready". Fills ids, generation, is_default and enabled (this content serves) of
 * *record from what is stored then. One transaction, on the disk when it returns. What else changes
 * plugins stands in db/plugins.h. */
hg_status hg_store_put_plugin(hg_store *store, hg_plugin_record *record,
                              hg_error *error) HG_CHECKED;

/* Calls row for each plugin's enabled (else newest) generation that is not removed, by name;
 * strings live for the call only. A non-zero return ends it. */
hg_status hg_store_each_plugin(hg_store *store,
                               int (*row)(const hg_plugin_record *record, void *context),
                               void *context, hg_error *error) HG_CHECKED;

/* ---- batches ---- */
typedef struct hg_lane_record {
    char language[HG_LIMIT_TAG];
    char status[16], stop[16]; /* as in PROTOCOL.md; another status is not recorded */
    int64_t plugin_id;         /* 0: none (unknown language, unchanged) */
    uint32_t generation, tokens, drafted, accepted;
    double first_ms, total_ms;
} hg_lane_record;

typedef struct hg_batch_record {
    int64_t id, started_us; /* id from hg_store_next_batch; wall clock */
    char session[HG_LIMIT_ID + 1], mode[32], source_language[HG_LIMIT_TAG];
    char device[64], model[64];
    uint32_t source_chars, lanes, prefill_tokens, shared_tokens, decode_tokens;
    uint32_t drafted, accepted; /* sums of the lanes' */
    double queue_ms, prefill_ms, first_ms, total_ms, tokens_per_s;
    hg_lane_record lane[HG_LIMIT_LANES]; /* [lanes] */
} hg_batch_record;

/* A fresh batch id, unique for the life of the database. */
int64_t hg_store_next_batch(hg_store *store);
/* Copies the record into the queue; never waits for the disk. */
void hg_store_log_batch(hg_store *store, const hg_batch_record *batch);
/* Batches that were not recorded: the queue was full, or the database failed. */
uint64_t hg_store_dropped_batches(hg_store *store);

/* The newest count batches, newest first. Their lanes come along. */
hg_status hg_store_each_batch(hg_store *store, uint32_t count,
                              int (*row)(const hg_batch_record *batch, void *context),
                              void *context, hg_error *error) HG_CHECKED;

/* ---- audit ---- */
hg_status hg_store_audit(hg_store *store, const char *actor, const char *action, const char *object,
                         const char *detail, hg_error *error) HG_CHECKED;

#endif
