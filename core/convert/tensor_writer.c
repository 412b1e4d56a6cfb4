/* tensor_writer.c: plan of the shards at open, then one open file at a time. */
#include "core/convert/tensor_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/base/buf.h"

typedef struct planned {
    hg_planned_tensor tensor;
    uint64_t bytes;
    uint32_t shard;
} planned;

struct hg_tensor_writer {
    char folder[HG_PATH_MAX], name[64];
    planned *tensor; /* [tensors] owned */
    uint32_t tensors, shards;
    uint32_t at;            /* tensor in work */
    uint64_t done;          /* bytes of it */
    int fd;                 /* -1: no file in work */
    char path[HG_PATH_MAX]; /* of the file in work, under its final name */
};

static hg_status fail_errno(hg_error *error, const char *did, const char *path)
{
    return hg_fail(error, HG_ERROR_IO, "%s: cannot %s: %s", path, did, strerror(errno));
}

/* "model-00002-of-00003.safetensors" into out [96]. */
static void shard_name(const hg_tensor_writer *w, uint32_t shard, char *out)
{
    if (w->shards == 1)
        snprintf(out, 96, "%s.safetensors", w->name);
    else
        snprintf(out, 96, "%s-%05u-of-%05u.safetensors", w->name, shard + 1, w->shards);
}

/* Sizes, and which tensor goes where. */
static void plan(hg_tensor_writer *w, const hg_planned_tensor *tensor, uint64_t shard_bytes)
{
    uint64_t used = 0;
    w->shards = 1;
    for (uint32_t i = 0; i < w->tensors; i++) {
        planned *p = &w->tensor[i];
        assert(tensor[i].dimensions == 1 || tensor[i].dimensions == 2);
        p->tensor = tensor[i];
        p->bytes = tensor[i].shape[0] * (hg_tensor_type_bits(tensor[i].type) / 8);
        if (tensor[i].dimensions == 2) p->bytes *= tensor[i].shape[1];
        if (shard_bytes && used && used + p->bytes > shard_bytes) {
            w->shards++;
            used = 0;
        }
        p->shard = w->shards - 1;
        used += p->bytes;
    }
}

/* The header of a shard with its length before it, padded to 8 bytes: data is aligned then. */
static hg_status make_header(const hg_tensor_writer *w, uint32_t shard, hg_buf *out)
{
    uint64_t offset = 0, length = 0;
    hg_status status = hg_buf_append(out, &length, sizeof length);
    if (!status) status = hg_buf_append_text(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (uint32_t i = 0; !status && i < w->tensors; i++) {
        const planned *p = &w->tensor[i];
        const unsigned long long *shape = (const void *)p->tensor.shape;
        char sizes[64];
        if (p->shard != shard) continue;
        snprintf(sizes, sizeof sizes, p->tensor.dimensions == 2 ? "%llu,%llu" : "%llu", shape[0],
                 shape[1]);
        status = hg_buf_printf(
            out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}",
            p->tensor.name, hg_tensor_type_name(p->tensor.type), sizes, (unsigned long long)offset,
            (unsigned long long)offset + p->bytes);
        offset += p->bytes;
    }
    if (!status) status = hg_buf_append_text(out, "}");
    while (!status && out->length % 8) status = hg_buf_append_text(out, " ");
    if (status) return status;
    length = out->length - sizeof length;
    memcpy(out->data, &length, sizeof length);
    return HG_OK;
}

static hg_status put_all(hg_tensor_writer *w, const void *bytes, size_t count, hg_error *error)
{
    for (const char *at = bytes; count;) {
        ssize_t n = write(w->fd, at, count);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(error, "write", w->path);
        at += n;
        count -= (size_t)n;
    }
    return HG_OK;
}

static hg_status begin_file(hg_tensor_writer *w, uint32_t shard, hg_error *error)
{
    char name[96], partial[HG_PATH_MAX + 16];
    shard_name(w, shard, name);
    hg_status status = hg_path_join(w->path, sizeof w->path, w->folder, name, error);
    if (status) return status;
    hg_buf header = hg_buf_new(HG_LIMIT_SAFETENSORS_HEADER);
    if ((status = make_header(w, shard, &header)))
        return hg_fail(error, status, "%s: no room for its header", w->path);
    snprintf(partial, sizeof partial, "%s.partial", w->path);
    w->fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    status = w->fd < 0 ? fail_errno(error, "create", partial)
                       : put_all(w, header.data, header.length, error);
    hg_buf_free(&header);
    return status;
}

/* The file in work gets its name. */
static hg_status end_file(hg_tensor_writer *w, hg_error *error)
{
    char partial[HG_PATH_MAX + 16];
    snprintf(partial, sizeof partial, "%s.partial", w->path);
    assert(w->fd >= 0);
    hg_status status = fsync(w->fd) ? fail_errno(error, "sync", partial) : HG_OK;
    close(w->fd);
    w->fd = -1;
    if (!status && rename(partial, w->path)) status = fail_errno(error, "rename to", w->path);
    if (status) unlink(partial);
    return status;
}

hg_status hg_tensor_writer_open(hg_writer_place place, const hg_planned_tensor *tensor,
                                uint32_t count, hg_tensor_writer **out, hg_error *error)
{
    assert(count > 0);
    *out = NULL;
    hg_tensor_writer *w = calloc(1, sizeof *w);
    planned *room = calloc(count, sizeof *room);
    if (!w || !room) {
        free(w);
        free(room);
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", place.folder);
    }
    w->tensor = room;
    w->tensors = count;
    w->fd = -1;
    snprintf(w->folder, sizeof w->folder, "%s", place.folder);
    snprintf(w->name, sizeof w->name, "%s", place.name);
    plan(w, tensor, place.shard_bytes);
    hg_status status = begin_file(w, 0, error);
    if (status)
        hg_tensor_writer_close(w);
    else
        *out = w;
    return status;
}

hg_status hg_tensor_writer_put(hg_tensor_writer *w, const void *bytes, size_t count,
                               hg_error *error)
{
    hg_status status = put_all(w, bytes, count, error);
    if (status) return status;
    assert(w->at < w->tensors && w->done + count <= w->tensor[w->at].bytes);
    w->done += count;
    if (w->done < w->tensor[w->at].bytes) return HG_OK;
    w->done = 0;
    w->at++;
    if (w->at == w->tensors || w->tensor[w->at].shard == w->tensor[w->at - 1].shard) return HG_OK;
    status = end_file(w, error);
    return status ? status : begin_file(w, w->tensor[w->at].shard, error);
}

uint64_t hg_tensor_writer_bytes(const hg_tensor_writer *w)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < w->tensors; i++) total += w->tensor[i].bytes;
    return total;
}

/* Which tensor is in which shard, as transformers writes it. */
static hg_status write_index(const hg_tensor_writer *w, hg_error *error)
{
    char path[HG_PATH_MAX], name[96];
    snprintf(name, sizeof name, "%s.safetensors.index.json", w->name);
    hg_status status = hg_path_join(path, sizeof path, w->folder, name, error);
    if (status) return status;
    json_t *map = json_object();
    for (uint32_t i = 0; i < w->tensors; i++) {
        shard_name(w, w->tensor[i].shard, name);
        json_object_set_new(map, w->tensor[i].tensor.name, json_string(name));
    }
    json_t *root = json_pack("{s:{s:I},s:o}", "metadata", "total_size",
                             (json_int_t)hg_tensor_writer_bytes(w), "weight_map", map);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    status = text ? hg_file_write(path, text, strlen(text), error)
                  : hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    free(text);
    json_decref(root);
    return status;
}

hg_status hg_tensor_writer_finish(hg_tensor_writer *w, hg_error *error)
{
    assert(w->at == w->tensors);
    hg_status status = end_file(w, error);
    return status || w->shards == 1 ? status : write_index(w, error);
}

void hg_tensor_writer_close(hg_tensor_writer *w)
{
    char partial[HG_PATH_MAX + 16];
    if (!w) return;
    if (w->fd >= 0) {
        close(w->fd);
        snprintf(partial, sizeof partial, "%s.partial", w->path);
        unlink(partial);
    }
    free(w->tensor);
    free(w);
}
