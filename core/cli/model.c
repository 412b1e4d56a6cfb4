/* model.c: `hydraglot model info`. */
#include <inttypes.h>

#include "core/cli/cli.h"
#include "core/service/json_out.h"

static void print_json(const hg_model *m, hg_json_out *json)
{
    const hg_shape *s = &m->weights.shape;
    hg_json_begin_object(json, NULL);
    hg_json_put_text(json, "name", m->name);
    hg_json_put_text(json, "path", m->path);
    hg_json_put_text(json, "weights", m->weights_form);
    hg_json_put_text(json, "fingerprint", hg_model_fingerprint(m));
    hg_json_put_integer(json, "parameters", (int64_t)m->parameters);
    hg_json_put_integer(json, "bytes", (int64_t)m->file_bytes);
    hg_json_put_integer(json, "vocabulary", s->vocabulary);
    hg_json_put_integer(json, "hidden", s->hidden);
    hg_json_put_integer(json, "intermediate", s->intermediate);
    hg_json_put_integer(json, "layers", s->layers);
    hg_json_put_integer(json, "heads", s->heads);
    hg_json_put_integer(json, "kv_heads", s->kv_heads);
    hg_json_put_integer(json, "head_dim", s->head_dim);
    hg_json_put_integer(json, "positions", s->positions);
    hg_json_put_integer(json, "bos", m->bos);
    hg_json_begin_array(json, "stop");
    for (uint32_t i = 0; i < m->stops; i++) hg_json_put_integer(json, NULL, m->stop[i]);
    hg_json_end_array(json);
    hg_json_end_object(json);
}

static void print_text(const hg_model *m)
{
    const hg_shape *s = &m->weights.shape;
    printf("name         %s\n", m->name);
    printf("path         %s\n", m->path);
    printf("weights      %s\n", m->weights_form);
    printf("fingerprint  %s\n", hg_model_fingerprint(m));
    printf("parameters   %.1f M\n", (double)m->parameters / 1e6);
    printf("file         %.1f MiB\n", (double)m->file_bytes / (1 << 20));
    printf("shape        %u layers, hidden %u, intermediate %u\n", s->layers, s->hidden,
           s->intermediate);
    printf("attention    %u heads of %u, %u KV heads, %u positions\n", s->heads, s->head_dim,
           s->kv_heads, s->positions);
    printf("vocabulary   %u tokens, begin %d, stop", s->vocabulary, m->bos);
    for (uint32_t i = 0; i < m->stops; i++) printf(" %d", m->stop[i]);
    fputs("\n", stdout);
}

int hg_command_model_info(const hg_settings *settings)
{
    hg_error error = {0};
    hg_model *model = NULL;
    hg_buf line = hg_buf_new(HG_LIMIT_EVENT);
    hg_status status = hg_model_open(settings->model, &model, &error);
    if (!status && settings->json) {
        hg_json_out json = hg_json_out_new(&line);
        print_json(model, &json);
        if (json.status) status = hg_fail(&error, json.status, "the description is too long");
        if (!status) printf("%s\n", hg_buf_text(&line));
    } else if (!status) {
        print_text(model);
    }
    hg_model_close(model);
    hg_buf_free(&line);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
