/* produce.c: see produce.h. */
#include "core/convert/produce.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/base/limits.h"
#include "core/convert/folder.h"
#include "core/convert/text.h"
#include "core/model/adapter.h"
#include "core/model/json.h"
#include "core/model/plugin.h"
#include "core/model/scales.h"
#include "core/model/tensors.h"

/* What the parts of one run share. */
typedef struct producing {
    hg_produce *p;
    hg_model *model;
    hg_plugin *plugin;   /* with merge */
    hg_adapter *adapter; /* with merge */
    hg_tokens tokens;    /* with awq */
    hg_folder folder;
    hg_error *error;
} producing;

/* ---- what is folded in ---- */

static hg_status open_plugin(producing *in)
{
    char path[HG_PATH_MAX];
    const char *folder = in->p->merge;
    hg_error *error = in->error;
    hg_status status = HG_OK;
    if (!strchr(folder, '/')) {
        status = hg_path_join(path, sizeof path, in->p->plugins, folder, error);
        folder = path;
    }
    if (!status) status = hg_plugin_open(folder, &in->plugin, error);
    if (!status && !in->plugin->adapter)
        status = hg_fail(error, HG_ERROR_UNSUPPORTED,
                         "--plugin: %s has no adapter: it is part of its base already",
                         in->plugin->name);
    if (!status) status = hg_adapter_open_on(folder, in->model, &in->adapter, error);
    if (!status && in->adapter->invocations)
        status =
            hg_fail(error, HG_ERROR_UNSUPPORTED,
                    "--plugin: %s is an activated LoRA (alora_invocation_tokens): it acts from "
                    "its invocation on only, which no single set of weights can do, so it "
                    "cannot be merged; serve it as an adapter",
                    in->plugin->name);
    return status;
}

/* ---- what stands beside the weights ---- */

/* A model that was scaled stays so: adapters made for the unscaled one still fit. */
static hg_status copy_scales(const producing *in)
{
    char from[HG_PATH_MAX];
    hg_status status = hg_path_join(from, sizeof from, in->p->model, HG_SCALES_FILE, in->error);
    if (!status && in->p->awq && hg_file_exists(from))
        return hg_fail(in->error, HG_ERROR_UNSUPPORTED,
                       "%s: the model is scaled by activations already; quantise the one that it "
                       "was made from, or use --method rtn",
                       from);
    return status ? status
                  : hg_file_copy_into(in->p->model, in->folder.partial, HG_SCALES_FILE, in->error);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The plugin's description with the new base and without an adapter. */
static hg_status write_plugin_json(const producing *in, const char *folder, const char *fingerprint)
{
    char from[HG_PATH_MAX], to[HG_PATH_MAX];
    hg_json root;
    hg_status status =
        hg_path_join(from, sizeof from, in->plugin->folder, "plugin.json", in->error);
    if (!status) status = hg_path_join(to, sizeof to, folder, "plugin.json", in->error);
    if (!status) status = hg_json_read(from, &root, in->error);
    if (status) return status;
    json_t *base =
        json_pack("{s:s,s:s}", "name", last_part(in->folder.path), "fingerprint", fingerprint);
    bool failed = json_object_set_new(root.object, "base", base) ||
                  json_object_set_new(root.object, "adapter", json_null());
    char *text = failed ? NULL : json_dumps(root.object, JSON_INDENT(1));
    status = text ? hg_file_write(to, text, strlen(text), in->error)
                  : hg_fail(in->error, HG_ERROR_MEMORY, "%s: no memory", to);
    free(text);
    json_decref(root.object);
    return status;
}

/* plugins/NAME of the new model. Its fingerprint is that of the weights just written. */
static hg_status write_plugin(const producing *in)
{
    char folder[HG_PATH_MAX], name[HG_LIMIT_PLUGIN_NAME + 16];
    hg_fingerprint *fingerprint = NULL;
    hg_tensors set;
    snprintf(name, sizeof name, "plugins/%s", in->plugin->name);
    hg_status status = hg_path_join(folder, sizeof folder, in->folder.partial, name, in->error);
    if (!status) status = hg_folder_make(folder, in->error);
    if (!status) status = hg_tensors_open_model(in->folder.partial, &set, in->error);
    if (status) return status;
    status = hg_tensors_fingerprint(&set, NULL, "", &fingerprint, in->error);
    if (!status) status = write_plugin_json(in, folder, hg_fingerprint_wait(fingerprint));
    hg_fingerprint_stop(fingerprint);
    hg_tensors_close(&set);
    return status ? status
                  : hg_file_copy_into(in->plugin->folder, folder, "validation.tsv", in->error);
}

/* ---- the run ---- */

static uint64_t count_weights(const hg_shape *s)
{
    const uint64_t attention = (uint64_t)s->head_dim * (2 * s->heads + 2 * s->kv_heads);
    return s->layers * (uint64_t)s->hidden * (attention + 3 * (uint64_t)s->intermediate);
}

static void tell(void *context, uint64_t done)
{
    const producing *in = context;
    if (in->p->progress)
        in->p->progress(in->p->context, done, count_weights(&in->model->weights.shape));
}

static hg_status write_weights(producing *in)
{
    hg_produce *p = in->p;
    hg_convert c = {.model = in->model,
                    .folder = in->folder.partial,
                    .bits = p->bits,
                    .group = p->group,
                    .shard_bytes = (uint64_t)HG_LIMIT_SHARD_MIB << 20,
                    .lora = in->adapter ? &in->adapter->lora : NULL,
                    .token = in->tokens.id,
                    .tokens = in->tokens.count,
                    .span = HG_TEXT_SPAN,
                    .threads = p->threads,
                    .progress = tell,
                    .context = in};
    hg_status status = hg_convert_run(&c, in->error);
    p->change = c.change;
    p->size = c.size;
    p->bytes = c.bytes;
    p->tokens = in->tokens.count;
    return status;
}

static hg_status prepare(producing *in)
{
    hg_produce *p = in->p;
    const hg_text_want text = {.file = p->calibration,
                               .plugins = p->plugins,
                               .half = HG_TEXT_CALIBRATE,
                               .most = HG_LIMIT_CALIBRATION_TOKENS};
    hg_status status = hg_model_open(p->model, &in->model, in->error);
    if (!status && p->bits)
        status = hg_convert_group(&in->model->weights.shape, &p->group, in->error);
    if (!status && p->merge) status = open_plugin(in);
    if (!status && p->awq) status = hg_text_tokens(in->model, &text, &in->tokens, in->error);
    return status;
}

static hg_status fill_folder(producing *in)
{
    const hg_produce *p = in->p;
    hg_status status = hg_folder_config(&in->folder, p->model, p->bits, p->group, in->error);
    if (!status) status = hg_folder_copy(&in->folder, p->model, in->error);
    if (!status) status = copy_scales(in);
    if (!status) status = write_weights(in);
    if (!status && p->merge) status = write_plugin(in);
    return status ? status : hg_folder_commit(&in->folder, in->error);
}

hg_status hg_produce_model(hg_produce *p, hg_error *error)
{
    producing in = {.p = p, .error = error};
    assert(!(p->awq && (p->merge || !p->bits)));
    hg_status status = hg_folder_begin(p->out, &in.folder, error);
    if (!status) status = prepare(&in);
    if (!status) status = fill_folder(&in);
    hg_folder_abandon(&in.folder);
    hg_tokens_free(&in.tokens);
    hg_adapter_close(in.adapter);
    hg_plugin_close(in.plugin);
    hg_model_close(in.model);
    return status;
}
