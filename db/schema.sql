-- schema.sql: the first version of hydraglot.db (user_version 1). Later versions are the numbered
-- steps of db/migrate.c; a step that was released is never edited.
--
-- Dates are INTEGER microseconds since 1970-01-01 UTC, durations REAL milliseconds. The user's text
-- has no column here. "HYGL" marks the file as ours, so that another program's database is not
-- taken for one of ours.
PRAGMA application_id = 1213810508;

-- A plugin is a name; what it is made of stands in its generations.
CREATE TABLE plugin (
    id                 INTEGER PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE CHECK (name <> ''),
    title              TEXT NOT NULL DEFAULT '',
    kind               TEXT NOT NULL CHECK (kind IN ('language', 'task')),
    language           TEXT NOT NULL DEFAULT '', -- BCP-47; '' for a task
    is_default         INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    enabled_generation INTEGER,                  -- NULL: none is enabled
    pinned             INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    created_at         INTEGER NOT NULL,
    CHECK ((kind = 'language') = (language <> '')),
    FOREIGN KEY (id, enabled_generation) REFERENCES plugin_generation (plugin_id, generation)
        DEFERRABLE INITIALLY DEFERRED
) STRICT;

-- A language has at most one default plugin.
CREATE UNIQUE INDEX plugin_default ON plugin (language) WHERE is_default = 1;

-- Immutable content. A row id is never used twice.
CREATE TABLE plugin_generation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin_id  INTEGER NOT NULL REFERENCES plugin (id),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    digest     TEXT NOT NULL CHECK (length(digest) = 64),
    rank_max   INTEGER NOT NULL CHECK (rank_max >= 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    sources    TEXT NOT NULL CHECK (json_valid(sources)), -- ["en"]
    licence    TEXT NOT NULL DEFAULT '',
    state      TEXT NOT NULL CHECK (state IN ('checking', 'ready', 'unproven', 'failed', 'enabled',
                                              'disabled', 'removed')),
    report     TEXT CHECK (report IS NULL OR json_valid(report)),
    folder     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (plugin_id, generation)
) STRICT;

-- One sentence for its languages. Ids come from hg_store_next_batch and rise with time, so the
-- primary key also serves "the newest" and "older than".
CREATE TABLE batch (
    id              INTEGER PRIMARY KEY CHECK (id > 0),
    session         TEXT NOT NULL,
    started_at      INTEGER NOT NULL,
    mode            TEXT NOT NULL,
    source_language TEXT NOT NULL,
    source_chars    INTEGER NOT NULL CHECK (source_chars >= 0),
    lanes           INTEGER NOT NULL CHECK (lanes >= 0),
    prefill_tokens  INTEGER NOT NULL CHECK (prefill_tokens >= 0),
    shared_tokens   INTEGER NOT NULL CHECK (shared_tokens >= 0),
    decode_tokens   INTEGER NOT NULL CHECK (decode_tokens >= 0),
    queue_ms        REAL NOT NULL,
    prefill_ms      REAL NOT NULL,
    first_ms        REAL NOT NULL,
    total_ms        REAL NOT NULL,
    tokens_per_s    REAL NOT NULL,
    device          TEXT NOT NULL,
    model           TEXT NOT NULL
) STRICT;

-- The languages of a batch; lane counts from 0. They leave with their batch.
CREATE TABLE lane (
    batch_id   INTEGER NOT NULL REFERENCES batch (id) ON DELETE CASCADE,
    lane       INTEGER NOT NULL CHECK (lane >= 0),
    language   TEXT NOT NULL, -- as it was asked
    plugin_id  INTEGER REFERENCES plugin (id), -- NULL: no plugin ran
    generation INTEGER,
    status     TEXT NOT NULL CHECK (status IN ('ok', 'superseded', 'cancelled', 'failed')),
    stop       TEXT NOT NULL,
    tokens     INTEGER NOT NULL CHECK (tokens >= 0),
    drafted    INTEGER NOT NULL CHECK (drafted >= 0),
    accepted   INTEGER NOT NULL CHECK (accepted BETWEEN 0 AND drafted),
    first_ms   REAL NOT NULL,
    total_ms   REAL NOT NULL,
    PRIMARY KEY (batch_id, lane)
) STRICT, WITHOUT ROWID;

-- Access tokens; only their SHA-256 is kept.
CREATE TABLE token (
    hash       TEXT PRIMARY KEY CHECK (length(hash) = 64),
    scopes     TEXT NOT NULL,
    expires_at INTEGER,          -- NULL: never
    rate       INTEGER NOT NULL CHECK (rate >= 0), -- lanes a minute; 0: no bound
    label      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Who changed what.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;

-- What the program remembers between runs; 'next_batch' is the first id that no run has used.
CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
