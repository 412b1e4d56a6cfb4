/* loader.c: the thread that keeps what is served as the store says.
 *
 * First one pass over the plugins folder, whose contents are recorded; then, at the start and
 * whenever somebody says that the store may have changed: its enabled generations are compared with
 * what was handed over last, new ones are read and uploaded, and the whole set is handed over. A
 * generation that cannot be loaded leaves the one before it, of the same plugin, in its place.
 *
 * Everything here runs on the loader's thread but start, stop, look, done and wait.
 */
#include "core/translate/loader.h"

#include <assert.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/translate/load.h"

/* A generation of the set that was handed over, or is about to be. */
typedef struct placed {
    uint64_t id;
    char name[HG_LIMIT_PLUGIN_NAME + 1];
    bool is_default;
    hg_catalog_entry *fresh; /* not handed over yet */
} placed;

struct hg_loader {
    hg_runtime *runtime; /* its immutable part and its catalog's list only */
    char path[HG_PATH_MAX];
    char *only; /* owned, or NULL */
    pthread_t thread;
    placed set[HG_LIMIT_ADAPTER_SLOTS]; /* [placed] handed over last */
    uint32_t placed;
    hg_wanted wanted[HG_LIMIT_ADAPTER_SLOTS]; /* [wants] what the store says */
    uint32_t wants;
    uint64_t refused[HG_LIMIT_ADAPTER_SLOTS]; /* [refusals] wanted, but cannot be loaded */
    uint32_t refusals;
    uint64_t ids; /* given without a store */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, look;  /* lock */
    bool done;        /* lock */
    uint32_t failed;  /* lock */
    hg_error failure; /* lock; all messages, as many as fit */
};

static void add_failure(hg_loader *loader, const char *plugin, const char *why)
{
    hg_log(HG_LOG_ERROR, "translate", "plugin %s: %s", plugin, why);
    pthread_mutex_lock(&loader->lock);
    char before[HG_ERROR_MESSAGE_MAX];
    memcpy(before, loader->failure.message, sizeof before);
    before[sizeof before - 1] = '\0';
    hg_fail(&loader->failure, HG_ERROR_FORMAT, "%s%splugin %s: %s", before,
            loader->failed ? "; " : "", plugin, why);
    loader->failed++;
    pthread_mutex_unlock(&loader->lock);
}

static bool is_stopping(hg_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    bool stop = loader->stop;
    pthread_mutex_unlock(&loader->lock);
    return stop;
}

/* ---- the plugins folder ---- */

static void place(hg_loader *loader, hg_catalog_entry *entry)
{
    placed *p = &loader->set[loader->placed++];
    *p = (placed){.id = entry->id, .is_default = entry->is_default, .fresh = entry};
    snprintf(p->name, sizeof p->name, "%s", entry->plugin->name);
}

static void load(hg_loader *loader, const char *folder_name)
{
    hg_error error = {0};
    char folder[HG_PATH_MAX];
    hg_catalog_entry *entry = NULL;
    hg_bundled bundled = {.folder = folder, .only = loader->only, .id = ++loader->ids};
    snprintf(bundled.name, sizeof bundled.name, "%.*s", HG_LIMIT_PLUGIN_NAME, folder_name);
    hg_status status = hg_path_join(folder, sizeof folder, loader->path, folder_name, &error);
    if (!status && loader->placed == HG_LIMIT_ADAPTER_SLOTS)
        status = hg_fail(&error, HG_ERROR_LIMIT, "more than %d plugins", HG_LIMIT_ADAPTER_SLOTS);
    if (!status) status = hg_load_bundled(loader->runtime, &bundled, &entry, &error);
    if (status) {
        add_failure(loader, bundled.name, error.message);
    } else if (entry && entry->is_enabled) {
        place(loader, entry);
    } else if (entry) {
        hg_log(HG_LOG_INFO, "translate", "plugin %s: another generation serves, or none",
               entry->plugin->name);
        hg_catalog_entry_release(entry);
    }
}

static int is_plugin_name(const struct dirent *item)
{
    return item->d_name[0] != '.';
}

/* A folder of the plugins path that holds a plugin.json; others (a README, the trainer) do not
 * concern us. */
static bool is_plugin_folder(const hg_loader *loader, const char *name)
{
    char folder[HG_PATH_MAX], file[HG_PATH_MAX];
    return !hg_path_join(folder, sizeof folder, loader->path, name, NULL) &&
           !hg_path_join(file, sizeof file, folder, "plugin.json", NULL) && hg_file_exists(file);
}

static void load_folder(hg_loader *loader)
{
    struct dirent **item = NULL;
    const bool one = is_plugin_folder(loader, ".");
    if (one) load(loader, ".");
    int items = one ? 0 : scandir(loader->path, &item, is_plugin_name, alphasort);
    if (items < 0) add_failure(loader, loader->path, "the folder of plugins cannot be read");
    for (int i = 0; i < items; i++) {
        if (!is_stopping(loader) && is_plugin_folder(loader, item[i]->d_name))
            load(loader, item[i]->d_name);
        free(item[i]);
    }
    free(item);
}

/* Names of --only that nobody has. */
static void report_missing(hg_loader *loader)
{
    char *names = loader->only ? strdup(loader->only) : NULL, *rest = names, *name;
    while (rest && (name = strsep(&rest, ","))) {
        name += strspn(name, " ");
        bool found = !*name;
        for (uint32_t i = 0; i < loader->placed; i++)
            found |= strcmp(loader->set[i].name, name) == 0;
        pthread_mutex_lock(&loader->lock);
        bool failed = loader->failed > 0; /* then its own message stands already */
        pthread_mutex_unlock(&loader->lock);
        if (!found && !failed) add_failure(loader, name, "there is no such plugin");
    }
    free(names);
}

/* ---- the store ---- */

/* Contents of the data folder's, and of the plugins folder as it is given now. */
static int note_wanted(const hg_plugin_record *r, void *context)
{
    hg_loader *loader = context;
    size_t length = strlen(loader->path);
    bool elsewhere =
        !r->own && (strncmp(r->folder, loader->path, length) != 0 || r->folder[length] != '/');
    if (!r->enabled || elsewhere || !hg_load_listed(loader->only, r->name)) return 0;
    if (loader->wants == HG_LIMIT_ADAPTER_SLOTS) {
        add_failure(loader, r->name, "there are more enabled plugins than the engine has slots");
        return 1;
    }
    hg_wanted *w = &loader->wanted[loader->wants++];
    *w = (hg_wanted){.id = (uint64_t)r->generation_key,
                     .plugin_id = r->plugin_id,
                     .generation = r->generation,
                     .is_default = r->is_default};
    snprintf(w->name, sizeof w->name, "%s", r->name);
    snprintf(w->digest, sizeof w->digest, "%s", r->digest);
    snprintf(w->folder, sizeof w->folder, "%s", r->folder);
    return 0;
}

static bool is_refused(const hg_loader *loader, uint64_t id)
{
    for (uint32_t i = 0; i < loader->refusals; i++)
        if (loader->refused[i] == id) return true;
    return false;
}

/* What is not wanted any more may be tried again when it is. */
static void forget_refusals(hg_loader *loader)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < loader->refusals; i++)
        for (uint32_t w = 0; w < loader->wants; w++)
            if (loader->wanted[w].id == loader->refused[i])
                loader->refused[kept++] = loader->refused[i];
    loader->refusals = kept;
}

static void refuse(hg_loader *loader, const hg_wanted *wanted, const char *why)
{
    add_failure(loader, wanted->name, why);
    assert(loader->refusals < HG_LIMIT_ADAPTER_SLOTS);
    loader->refused[loader->refusals++] = wanted->id;
}

static placed *find_id(hg_loader *loader, uint64_t id)
{
    for (uint32_t i = 0; i < loader->placed; i++)
        if (loader->set[i].id == id) return &loader->set[i];
    return NULL;
}

static placed *find_name(hg_loader *loader, const char *name)
{
    for (uint32_t i = 0; i < loader->placed; i++)
        if (strcmp(loader->set[i].name, name) == 0) return &loader->set[i];
    return NULL;
}

/* Whether the device took what was given to it. One that still loads waits for a device that was
 * lost; its lanes will wait for it. */
static bool was_taken(hg_loader *loader, const hg_catalog_entry *entry)
{
    if (!entry->plugin->adapter) return true;
    hg_adapter_state state = hg_engine_adapter_state(loader->runtime->engine, entry->adapter_key);
    return state == HG_ADAPTER_READY || state == HG_ADAPTER_LOADING;
}

static void wait_for_uploads(hg_loader *loader)
{
    hg_error error = {0};
    if (hg_engine_wait_adapters(loader->runtime->engine, &error))
        hg_log(HG_LOG_ERROR, "translate", "%s", error.message);
}

/* Loads what is wanted and not there; fresh [wants] has what was loaded. */
static void load_wanted(hg_loader *loader, hg_catalog_entry **fresh)
{
    hg_error error;
    bool any = false;
    for (uint32_t i = 0; i < loader->wants; i++) {
        const hg_wanted *w = &loader->wanted[i];
        fresh[i] = NULL;
        if (find_id(loader, w->id) || is_refused(loader, w->id) || is_stopping(loader)) continue;
        if (hg_load_stored(loader->runtime, w, &fresh[i], &error)) refuse(loader, w, error.message);
        any |= fresh[i] != NULL;
    }
    if (any) wait_for_uploads(loader);
    for (uint32_t i = 0; i < loader->wants; i++) {
        if (!fresh[i] || was_taken(loader, fresh[i])) continue;
        hg_catalog_entry_release(fresh[i]);
        fresh[i] = NULL;
        refuse(loader, &loader->wanted[i], "the device did not take its adapter");
    }
}

/* Makes the set what is wanted, as far as it is there. True: it is another one now. */
static bool arrange(hg_loader *loader, hg_catalog_entry *const *fresh)
{
    placed next[HG_LIMIT_ADAPTER_SLOTS];
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < loader->wants; i++) {
        const hg_wanted *w = &loader->wanted[i];
        placed *had = find_id(loader, w->id);
        if (!had && !fresh[i]) had = find_name(loader, w->name);
        if (!had && !fresh[i]) continue;
        placed *p = &next[count++];
        if (had)
            *p = *had;
        else
            *p = (placed){.id = w->id, .fresh = fresh[i]};
        snprintf(p->name, sizeof p->name, "%s", w->name);
        kept += had && had->is_default == w->is_default;
        p->is_default = w->is_default;
    }
    bool same = count == loader->placed && kept == count;
    for (uint32_t i = 0; i < loader->placed; i++) { /* left over where a set was not handed over */
        bool stays = false;
        for (uint32_t n = 0; n < count; n++) stays |= next[n].id == loader->set[i].id;
        if (!stays) hg_catalog_entry_release(loader->set[i].fresh);
    }
    memcpy(loader->set, next, count * sizeof *next);
    loader->placed = count;
    return !same;
}

static void hand_over(hg_loader *loader)
{
    hg_catalog_set *set = calloc(1, sizeof *set);
    if (!set) {
        hg_log(HG_LOG_ERROR, "translate", "no memory for the set of plugins");
        return; /* what is fresh is handed over with the next set */
    }
    for (uint32_t i = 0; i < loader->placed; i++) {
        placed *p = &loader->set[i];
        set->item[i].fresh = p->fresh;
        set->item[i].id = p->id;
        set->item[i].is_default = p->is_default;
        p->fresh = NULL;
    }
    set->count = loader->placed;
    hg_runtime *runtime = loader->runtime;
    hg_catalog_hand_over(&runtime->catalog, set);
    if (runtime->doorbell) runtime->doorbell(runtime->doorbell_context);
}

/* Compares with the store. True: what is to be served has changed. */
static bool follow_store(hg_loader *loader)
{
    hg_catalog_entry *fresh[HG_LIMIT_ADAPTER_SLOTS];
    hg_error error;
    loader->wants = 0;
    if (hg_store_each_plugin(loader->runtime->store, note_wanted, loader, &error)) {
        hg_log(HG_LOG_ERROR, "translate", "%s", error.message);
        return false;
    }
    forget_refusals(loader);
    load_wanted(loader, fresh);
    return arrange(loader, fresh);
}

/* ---- the thread ---- */

/* Those of the plugins folder that the device did not take leave the set. */
static void keep_taken(hg_loader *loader)
{
    uint32_t kept = 0;
    wait_for_uploads(loader);
    for (uint32_t i = 0; i < loader->placed; i++) {
        placed *p = &loader->set[i];
        if (was_taken(loader, p->fresh)) {
            loader->set[kept++] = *p;
            continue;
        }
        add_failure(loader, p->name, "the device did not take its adapter");
        loader->refused[loader->refusals++] = p->id;
        hg_catalog_entry_release(p->fresh);
    }
    loader->placed = kept;
}

static void load_first(hg_loader *loader)
{
    int64_t start_us = hg_clock_us();
    load_folder(loader);
    int64_t read_us = hg_clock_us();
    keep_taken(loader);
    if (loader->runtime->store) (void)follow_store(loader);
    report_missing(loader);
    hand_over(loader);
    hg_log(HG_LOG_INFO, "translate", "%u plugins: the folder read in %.0f ms, all ready in %.0f ms",
           loader->placed, (double)(read_us - start_us) / 1e3,
           (double)(hg_clock_us() - start_us) / 1e3);
    pthread_mutex_lock(&loader->lock);
    loader->done = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    hg_runtime *runtime = loader->runtime;
    if (runtime->doorbell) runtime->doorbell(runtime->doorbell_context);
}

/* Sleeps until the store may have changed. False: the loader stops. */
static bool wait_for_look(hg_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    while (!loader->look && !loader->stop) pthread_cond_wait(&loader->changed, &loader->lock);
    bool look = !loader->stop;
    loader->look = false;
    pthread_mutex_unlock(&loader->lock);
    return look;
}

static void *run(void *context)
{
    hg_loader *loader = context;
    load_first(loader);
    while (wait_for_look(loader))
        if (loader->runtime->store && follow_store(loader)) hand_over(loader);
    return NULL;
}

hg_status hg_loader_start(hg_runtime *runtime, const char *plugins_path, const char *only,
                          hg_loader **out, hg_error *error)
{
    *out = NULL;
    hg_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the loader");
    loader->runtime = runtime;
    size_t length = strlen(plugins_path);
    if (length >= sizeof loader->path) {
        free(loader);
        return hg_fail(error, HG_ERROR_LIMIT, "--plugins: the path has %zu bytes, at most %zu",
                       length, sizeof loader->path - 1);
    }
    memcpy(loader->path, plugins_path, length + 1);
    loader->only = only ? strdup(only) : NULL;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    if ((only && !loader->only) || pthread_create(&loader->thread, NULL, run, loader)) {
        pthread_cond_destroy(&loader->changed);
        pthread_mutex_destroy(&loader->lock);
        free(loader->only);
        free(loader);
        return hg_fail(error, HG_ERROR_IO, "the loader's thread cannot be started");
    }
    *out = loader;
    return HG_OK;
}

void hg_loader_look(hg_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->look = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

void hg_loader_stop(hg_loader *loader)
{
    if (!loader) return;
    pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    pthread_join(loader->thread, NULL);
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    free(loader->only);
    free(loader);
}

bool hg_loader_done(hg_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    bool done = loader->done;
    pthread_mutex_unlock(&loader->lock);
    return done;
}

hg_status hg_loader_wait(hg_loader *loader, hg_error *error)
{
    pthread_mutex_lock(&loader->lock);
    while (!loader->done) pthread_cond_wait(&loader->changed, &loader->lock);
    hg_status status = HG_OK;
    if (loader->failed) status = hg_fail(error, HG_ERROR_FORMAT, "%s", loader->failure.message);
    pthread_mutex_unlock(&loader->lock);
    return status;
}
