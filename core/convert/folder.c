/* folder.c: see folder.h. */
#include "core/convert/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "core/base/limits.h"
#include "core/model/json.h"

static hg_status fail_errno(hg_error *error, const char *did, const char *path)
{
    return hg_fail(error, HG_ERROR_IO, "%s: cannot %s: %s", path, did, strerror(errno));
}

/* The file by which a folder in work is known as ours. */
#define MARK ".hydraglot-in-work"

/* Clears what an interrupted run left; a folder of that name without the mark is somebody's. */
static hg_status clear_partial(const char *partial, hg_error *error)
{
    char mark[HG_PATH_MAX];
    hg_status status = hg_path_join(mark, sizeof mark, partial, MARK, error);
    if (!status && hg_file_exists(partial) && !hg_file_exists(mark))
        status = hg_fail(error, HG_ERROR_STATE,
                         "--out: %s is there, where the new model would be made, and not left by "
                         "an interrupted run; move it away or name another folder",
                         partial);
    if (status) return status;
    hg_folder_remove(partial);
    status = hg_folder_make(partial, error);
    return status ? status : hg_file_write(mark, "", 0, error);
}

hg_status hg_folder_begin(const char *out, hg_folder *folder, hg_error *error)
{
    size_t length = strlen(out);
    *folder->partial = 0;
    while (length > 1 && out[length - 1] == '/') length--;
    if (length + sizeof ".partial" > sizeof folder->partial)
        return hg_fail(error, HG_ERROR_LIMIT, "--out: %s: path too long", out);
    snprintf(folder->path, sizeof folder->path, "%.*s", (int)length, out);
    if (hg_file_exists(folder->path))
        return hg_fail(error, HG_ERROR_STATE,
                       "--out: %s is there already; name a folder that is not", folder->path);
    snprintf(folder->partial, sizeof folder->partial, "%.*s.partial", (int)length, out);
    hg_status status = clear_partial(folder->partial, error);
    if (status) *folder->partial = 0;
    return status;
}

hg_status hg_file_copy_into(const char *from, const char *to, const char *name, hg_error *error)
{
    char path[HG_PATH_MAX], target[HG_PATH_MAX];
    hg_mapping file;
    hg_status status = hg_path_join(path, sizeof path, from, name, error);
    if (!status) status = hg_path_join(target, sizeof target, to, name, error);
    if (status || !hg_file_exists(path)) return status;
    status = hg_file_map(path, &file, error);
    if (status) return status;
    status = hg_file_write(target, file.data, file.size, error);
    hg_file_unmap(&file);
    return status;
}

hg_status hg_folder_copy(const hg_folder *folder, const char *from, hg_error *error)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "added_tokens.json",
                                        "special_tokens_map.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "generation_config.json",
                                        "NOTICE",
                                        "LICENSE",
                                        "LICENSE.txt",
                                        "LICENSE.md",
                                        "USE_POLICY.md"};
    hg_status status = HG_OK;
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++)
        status = hg_file_copy_into(from, folder->partial, names[i], error);
    return status;
}

/* quantization_config as compressed-tensors writes it. */
static json_t *quantization(uint8_t bits, uint16_t group)
{
    json_t *weights =
        json_pack("{s:i,s:s,s:b,s:s,s:i,s:n,s:b,s:n,s:s,s:{}}", "num_bits", bits, "type", "int",
                  "symmetric", 1, "strategy", "group", "group_size", group, "block_structure",
                  "dynamic", 0, "actorder", "observer", "minmax", "observer_kwargs");
    return json_pack("{s:s,s:s,s:s,s:n,s:[s],s:n,s:{s:{s:[s],s:n,s:n,s:o}}}", "quant_method",
                     "compressed-tensors", "format", "pack-quantized", "quantization_status",
                     "compressed", "global_compression_ratio", "ignore", "lm_head",
                     "kv_cache_scheme", "config_groups", "group_0", "targets", "Linear",
                     "input_activations", "output_activations", "weights", weights);
}

hg_status hg_folder_config(const hg_folder *folder, const char *from, uint8_t bits, uint16_t group,
                           hg_error *error)
{
    char path[HG_PATH_MAX], target[HG_PATH_MAX];
    struct stat st;
    hg_json root;
    if (stat(from, &st) || !S_ISDIR(st.st_mode))
        return hg_fail(
            error, HG_ERROR_UNSUPPORTED,
            "--model: %s: is no folder in Hugging Face layout; a GGUF file is served as "
            "it is, and what is converted is the folder that it was made from, with "
            "config.json and tokenizer (transformers' from_pretrained(..., gguf_file=...) "
            "and save_pretrained make one out of a GGUF file)",
            from);
    hg_status status = hg_path_join(path, sizeof path, from, "config.json", error);
    if (!status)
        status = hg_path_join(target, sizeof target, folder->partial, "config.json", error);
    if (!status) status = hg_json_read(path, &root, error);
    if (status) return status;
    /* Scales are F16, so a quantised model's other tensors are computed with as F16 too. */
    const char *type = bits ? "float16" : "bfloat16";
    const char *field = json_object_get(root.object, "dtype") ? "dtype" : "torch_dtype";
    bool failed = json_object_set_new(root.object, field, json_string(type));
    json_object_del(root.object, "quantization_config");
    if (bits)
        failed |=
            json_object_set_new(root.object, "quantization_config", quantization(bits, group));
    char *text = failed ? NULL : json_dumps(root.object, JSON_INDENT(1));
    status = text ? hg_file_write(target, text, strlen(text), error)
                  : hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", target);
    free(text);
    json_decref(root.object);
    return status;
}

hg_status hg_folder_commit(const hg_folder *folder, hg_error *error)
{
    char copy[HG_PATH_MAX];
    hg_status status = hg_path_join(copy, sizeof copy, folder->partial, MARK, error);
    if (!status && unlink(copy)) status = fail_errno(error, "remove", copy);
    if (!status) status = hg_folder_sync(folder->partial, error);
    if (!status && rename(folder->partial, folder->path))
        status = fail_errno(error, "rename to", folder->path);
    if (status) return status;
    snprintf(copy, sizeof copy, "%s", folder->path);
    return hg_folder_sync(dirname(copy), error);
}

void hg_folder_abandon(const hg_folder *folder)
{
    if (*folder->partial) hg_folder_remove(folder->partial);
}
