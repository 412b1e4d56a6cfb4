/* incoming.c: see incoming.h. Paths are compared without regard to case: some file systems have
 * none, and no two readers shall find different files under one name. */
#include "core/plugins/incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/text/utf8.h"

static const struct {
    const char *name;
    bool kept; /* part of the content; else it is only read */
} files[] = {
    {"plugin.json", true},
    {"adapter_config.json", true},
    {"adapter_model.safetensors", true},
    {"adapter.gguf", true},
    {"validation.tsv", true},
    {"training.json", true},
    {"README.md", true},
    {"LICENSE", true},
    {"NOTICE", true},
    {"DATA.md", true},
    {"tokenizer.json", false},
    {"tokenizer_config.json", false},
    {"chat_template.jinja", false},
    {"loss.svg", false},          /* the trainer's drawing */
    {"adapter_model.bin", false}, /* refused, with what to do, where there is nothing else */
};
#define FILES (sizeof files / sizeof *files)

hg_incoming hg_incoming_new(const hg_stage *stage, hg_notes *notes)
{
    return (hg_incoming){
        .stage = stage,
        .notes = notes,
        .bytes_most = (uint64_t)HG_LIMIT_PLUGIN_MIB << 20,
        .end_us = hg_clock_us() + (int64_t)HG_LIMIT_ARCHIVE_S * 1000000,
    };
}

void hg_incoming_free(hg_incoming *in)
{
    for (uint32_t i = 0; i < in->seen_count; i++) free(in->seen[i]);
    free(in->seen);
    in->seen = NULL;
    in->seen_count = 0;
}

/* ---- paths ---- */

/* What is wrong with a path, or NULL. */
static const char *fault_of(const char *path)
{
    if (!*path) return "it has no name";
    if (strlen(path) > HG_LIMIT_ARCHIVE_PATH) return "its path is longer than is read";
    if (hg_utf8_valid(path, strlen(path)) != strlen(path)) return "its path is not UTF-8";
    if (*path == '/') return "its path is absolute";
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F) return "its path has a control character";
    if (strchr(path, '\\') || strchr(path, ':'))
        return "its path has a character that some systems take for a separator";
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t length = strcspn(at, "/");
        if (length == 2 && memcmp(at, "..", 2) == 0) return "its path leads out of the plugin";
    }
    return NULL;
}

/* What a Mac packs along: no file of anybody's. */
static bool is_litter(const char *path)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    return strncmp(path, "__MACOSX", 8) == 0 || strncmp(name, "._", 2) == 0 ||
           strcmp(name, ".DS_Store") == 0;
}

static void leave_out(hg_incoming *in, const char *path)
{
    if (!in->left_out++) snprintf(in->first_left_out, sizeof in->first_left_out, "%s", path);
}

static hg_status remember(hg_incoming *in, const char *path)
{
    char **more = realloc(in->seen, (in->seen_count + 1u) * sizeof *more);
    if (more) in->seen = more;
    char *copy = more ? strdup(path) : NULL;
    if (!copy) return HG_ERROR_MEMORY;
    in->seen[in->seen_count++] = copy;
    return HG_OK;
}

/* The path as it was seen before in any case of letters, or NULL. */
static const char *seen_before(const hg_incoming *in, const char *path)
{
    for (uint32_t i = 0; i < in->seen_count; i++)
        if (strcasecmp(in->seen[i], path) == 0) return in->seen[i];
    return NULL;
}

static void refuse(hg_incoming *in, const char *path, const char *why)
{
    hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT, "%.200s: %s; pack it without", path,
                 why);
}

/* The name of ours that this one is, if it stands where the others do. */
static const char *name_of(hg_incoming *in, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t depth = slash ? (size_t)(slash - path) : 0, i = 0;
    while (i < FILES && strcasecmp(files[i].name, name) != 0) i++;
    if (i == FILES || is_litter(path)) return NULL;
    if (strcmp(files[i].name, name) != 0) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT, "%s: its name is %s", path,
                     files[i].name);
        return NULL;
    }
    if (memchr(path, '/', depth)) return NULL; /* deeper: a checkpoint of the training */
    if (in->placed && (strlen(in->around) != depth || memcmp(in->around, path, depth) != 0)) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT,
                     "%s: stands in another folder than the files before it (\"%s\"); one plugin's "
                     "files stand side by side",
                     path, in->around);
        return NULL;
    }
    snprintf(in->around, sizeof in->around, "%.*s", (int)depth, path);
    in->placed = true;
    return files[i].name;
}

hg_status hg_incoming_ask(hg_incoming *in, const char *path, bool folder, bool *take,
                          const char **name)
{
    *take = false;
    if (++in->entries > HG_LIMIT_ARCHIVE_ENTRIES) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT,
                     "more than %d entries: the rest is not looked at; a plugin has a few files",
                     HG_LIMIT_ARCHIVE_ENTRIES);
        return HG_ERROR_LIMIT;
    }
    while (strncmp(path, "./", 2) == 0) path += 2;
    if (folder && (!*path || strcmp(path, ".") == 0)) return HG_OK;
    const char *fault = fault_of(path);
    if (fault) {
        refuse(in, path, fault);
        return HG_OK;
    }
    if (folder) return HG_OK;
    const char *twin = seen_before(in, path);
    if (twin) {
        refuse(in, path,
               strcmp(twin, path) ? "another file's name differs only in case"
                                  : "there are two files of this name");
        return HG_OK;
    }
    if (remember(in, path)) return HG_ERROR_MEMORY;
    *name = name_of(in, path);
    *take = *name != NULL;
    if (!*take && !is_litter(path)) leave_out(in, path);
    return HG_OK;
}

hg_status hg_incoming_count(hg_incoming *in, const char *path, size_t bytes)
{
    in->bytes += bytes;
    if (in->bytes > in->bytes_most) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT,
                     "%.200s: more than %llu MiB unpacked%s: the rest is not looked at", path,
                     (unsigned long long)(in->bytes_most >> 20),
                     in->bytes_most < (uint64_t)HG_LIMIT_PLUGIN_MIB << 20
                         ? ", too much for what it is packed"
                         : "");
        return HG_ERROR_LIMIT;
    }
    if (hg_clock_us() > in->end_us) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT,
                     "%.200s: reading took more than %d s: the rest is not looked at", path,
                     HG_LIMIT_ARCHIVE_S);
        return HG_ERROR_LIMIT;
    }
    return HG_OK;
}

/* ---- files ---- */

hg_status hg_incoming_create(const hg_incoming *in, const char *name, int *fd, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_status status = hg_path_join(path, sizeof path, in->stage->folder, name, error);
    if (status) return status;
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *fd < 0 ? hg_fail(error, HG_ERROR_IO, "%s: cannot create: %s", path, strerror(errno))
                   : HG_OK;
}

hg_status hg_incoming_write(int fd, const char *name, const void *bytes, size_t count,
                            hg_error *error)
{
    const char *at = bytes;
    while (count) {
        ssize_t put = write(fd, at, count);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0)
            return hg_fail(error, HG_ERROR_IO, "%s: cannot write: %s", name, strerror(errno));
        at += put;
        count -= (size_t)put;
    }
    return HG_OK;
}

void hg_incoming_end(hg_incoming *in)
{
    if (!in->left_out) return;
    hg_notes_add(in->notes, HG_NOTE_WARNING, HG_OK, "%s%s: left out; a plugin has no use for it",
                 in->first_left_out, in->left_out > 1 ? " and others" : "");
}

hg_status hg_incoming_drop_read(const hg_stage *stage, hg_error *error)
{
    char path[HG_PATH_MAX];
    for (size_t i = 0; i < FILES; i++) {
        if (files[i].kept) continue;
        hg_status status = hg_path_join(path, sizeof path, stage->folder, files[i].name, error);
        if (status) return status;
        if (unlink(path) && errno != ENOENT)
            return hg_fail(error, HG_ERROR_IO, "%s: cannot remove: %s", path, strerror(errno));
    }
    return HG_OK;
}
