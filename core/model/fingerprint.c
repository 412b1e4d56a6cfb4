/* fingerprint.c: see fingerprint.h. What is kept is a file of one line, named by the identity. */
#include "core/model/fingerprint.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/base/log.h"

struct hg_fingerprint {
    hg_fingerprint_file *file; /* [files] owned; their mappings and names are the caller's */
    uint32_t files;
    char cache[HG_PATH_MAX]; /* "": it is not kept */
    char identity[HG_SHA256_HEX];
    pthread_t thread;
    bool running; /* there is a thread to join; of who starts and stops */
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool ended;                     /* lock */
    char text[HG_FINGERPRINT_TEXT]; /* lock until it has ended */
};

/* ---- keeping ---- */

static bool make_path(const char *folder, const char *identity, char *path)
{
    if (!folder || !*identity) return false;
    int n = snprintf(path, HG_PATH_MAX, "%s/%s.fingerprint", folder, identity);
    return n < HG_PATH_MAX;
}

static bool is_fingerprint(const char *text, size_t length)
{
    const char *hex = text + strlen("sha256:");
    return length == HG_FINGERPRINT_TEXT - 1 && strncmp(text, "sha256:", strlen("sha256:")) == 0 &&
           strspn(hex, "0123456789abcdef") == HG_SHA256_HEX - 1;
}

bool hg_fingerprint_recall(const char *folder, const char *identity, char *text)
{
    char path[HG_PATH_MAX];
    hg_error error;
    hg_buf line = hg_buf_new(256);
    bool found = make_path(folder, identity, path) && hg_file_exists(path) &&
                 !hg_file_read(path, &line, &error) &&
                 is_fingerprint(hg_buf_text(&line), line.length);
    if (found) memcpy(text, hg_buf_text(&line), HG_FINGERPRINT_TEXT);
    hg_buf_free(&line);
    return found;
}

void hg_fingerprint_keep(const char *folder, const char *identity, const char *text)
{
    char path[HG_PATH_MAX];
    hg_error error = {0};
    if (make_path(folder, identity, path) && hg_file_write(path, text, strlen(text), &error))
        hg_log(HG_LOG_WARN, "model", "its fingerprint is not kept: %s", error.message);
}

/* ---- computing ---- */

static hg_status compute(hg_fingerprint *f, char *text, hg_error *error)
{
    char hex[HG_SHA256_HEX];
    hg_buf lines = hg_buf_new(HG_LIMIT_MODEL_SHARDS * (HG_PATH_MAX + HG_SHA256_HEX));
    hg_status status = HG_OK;
    for (uint32_t i = 0; !status && i < f->files; i++) {
        status = hg_mapping_sha256(f->file[i].mapping, &f->stop, hex, error);
        if (status || f->files == 1) continue;
        status = hg_buf_printf(&lines, "%s  %s\n", hex, f->file[i].name);
        if (status) hg_fail(error, status, "no memory for the digests of %u files", f->files);
    }
    if (!status && f->files > 1) status = hg_sha256(hg_buf_text(&lines), lines.length, hex, error);
    if (!status) snprintf(text, HG_FINGERPRINT_TEXT, "sha256:%s", hex);
    hg_buf_free(&lines);
    return status;
}

static void end(hg_fingerprint *f, const char *text)
{
    pthread_mutex_lock(&f->lock);
    memcpy(f->text, text, HG_FINGERPRINT_TEXT);
    f->ended = true;
    pthread_cond_broadcast(&f->end);
    pthread_mutex_unlock(&f->lock);
}

static void *run(void *context)
{
    hg_fingerprint *f = context;
    char text[HG_FINGERPRINT_TEXT] = {0};
    hg_error error;
    hg_status status = compute(f, text, &error);
    end(f, text);
    if (!status && *f->cache)
        hg_fingerprint_keep(f->cache, f->identity, text);
    else if (status && !f->stop)
        hg_log(HG_LOG_WARN, "model", "it has no fingerprint: %s", error.message);
    return NULL;
}

static bool is_large(const hg_fingerprint_want *want)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < want->files; i++) bytes += want->file[i].mapping->size;
    return bytes >= HG_LIMIT_CACHE_LEAST;
}

hg_status hg_fingerprint_start(const hg_fingerprint_want *want, hg_fingerprint **out,
                               hg_error *error)
{
    assert(want->files > 0);
    hg_fingerprint *f = *out = calloc(1, sizeof *f);
    if (f) f->file = calloc(want->files, sizeof *f->file);
    if (!f || !f->file) {
        free(f);
        *out = NULL;
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for a model's fingerprint");
    }
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->end, NULL);
    memcpy(f->file, want->file, want->files * sizeof *f->file);
    f->files = want->files;
    if (want->cache && is_large(want)) {
        snprintf(f->cache, sizeof f->cache, "%s", want->cache);
        snprintf(f->identity, sizeof f->identity, "%s", want->identity);
        f->ended = hg_fingerprint_recall(f->cache, f->identity, f->text);
    }
    f->running = !f->ended && pthread_create(&f->thread, NULL, run, f) == 0;
    if (f->running || f->ended) return HG_OK;
    hg_fingerprint_stop(f);
    *out = NULL;
    return hg_fail(error, HG_ERROR_IO, "no thread for a model's fingerprint");
}

const char *hg_fingerprint_wait(hg_fingerprint *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->ended) pthread_cond_wait(&f->end, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return f->text;
}

void hg_fingerprint_stop(hg_fingerprint *f)
{
    if (!f) return;
    f->stop = true;
    if (f->running) pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->end);
    pthread_mutex_destroy(&f->lock);
    free(f->file);
    free(f);
}
