/* doctor.c: `hydraglot doctor`: everything that a service needs, looked at one by one, and what to
 * do about what is wrong. Changes nothing. Also prints the program's tables for the documentation.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cli/cli.h"
#include "core/model/adapter.h"
#include "core/model/plugin.h"
#include "core/service/address.h"
#include "core/model/plugin_fields.h"
#include "core/service/asyncapi.h"
#include "core/service/json_out.h"
#include "core/service/metrics.h"
#include "core/translate/codes.h"
#include "core/text/rules.h"
#include "core/translate/templates.h"
#include "kernels/cpu/cpu.h"

typedef enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL } verdict;

typedef struct examination {
    const hg_settings *settings;
    hg_model *model; /* NULL when it could not be opened */
    int warnings, failures;
} examination;

static const char *const verdict_names[] = {"ok", "warn", "fail"};

/* ---- saying ---- */

static void say(examination *e, verdict v, const char *what, const char *format, ...)
    HG_PRINTF(4, 5);

static void say(examination *e, verdict v, const char *what, const char *format, ...)
{
    char text[HG_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    e->warnings += v == VERDICT_WARN;
    e->failures += v == VERDICT_FAIL;
    if (!e->settings->json) {
        printf("%-4s  %-12s  %s\n", verdict_names[v], what, text);
        return;
    }
    hg_buf out = hg_buf_new(HG_LIMIT_EVENT);
    hg_json_out json = hg_json_out_new(&out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "check", what);
    hg_json_put_text(&json, "verdict", verdict_names[v]);
    hg_json_put_text(&json, "message", text);
    hg_json_end_object(&json);
    puts(json.status ? "{}" : hg_buf_text(&out));
    hg_buf_free(&out);
}

/* ---- checks ---- */

static void check_processor(examination *e)
{
    char names[256] = "";
    size_t used = 0;
    bool known = !e->settings->kernel;
    for (const char *const *name = hg_cpu_kernels(); *name && used < sizeof names; name++) {
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", *name);
        known = known || strcmp(*name, e->settings->kernel) == 0;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (known)
        say(e, VERDICT_OK, "processor", "%ld cores; kernels, best first: %s", cores, names);
    else
        say(e, VERDICT_FAIL, "processor", "--kernel: \"%s\" does not run here; these do: %s",
            e->settings->kernel, names);
}

static void check_cuda(examination *e)
{
    bool wanted = strcmp(e->settings->device, "cuda") == 0;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver) {
        say(e, VERDICT_OK, "CUDA", "the driver is there");
        dlclose(driver);
    } else if (wanted) {
        say(e, VERDICT_FAIL, "CUDA",
            "there is no driver (libcuda.so.1): install NVIDIA's, or use --device cpu");
    } else {
        say(e, VERDICT_OK, "CUDA", "there is no driver: the processor computes");
    }
}

/* Layers that only some kernels run. */
static void check_dense(examination *e)
{
    const hg_weights *w = &e->model->weights;
    const char *kernel = e->settings->kernel;
    uint32_t dense = 0;
    for (uint32_t i = 0; i < w->shape.layers * HG_PROJECTIONS; i++)
        dense += !w->layer[i / HG_PROJECTIONS].linear[i % HG_PROJECTIONS].bits;
    if (!dense || e->settings->quantize || (kernel && strcmp(kernel, "reference") == 0)) return;
    say(e, VERDICT_WARN, "weights",
        "%u linear layers are not quantised: on the processor give --quantize int8 or int4, or "
        "--kernel reference",
        dense);
}

static void check_model(examination *e)
{
    hg_error error = {0};
    hg_tokenizer *tokenizer = NULL;
    if (hg_model_open(e->settings->model, &e->model, &error)) {
        e->model = NULL;
        say(e, VERDICT_FAIL, "model", "%s", error.message);
        return;
    }
    say(e, VERDICT_OK, "model", "%s: %.1f M parameters, %s", e->model->name,
        (double)e->model->parameters / 1e6, e->model->weights_form);
    check_dense(e);
    if (hg_model_tokenizer(e->model, &tokenizer, &error)) {
        say(e, VERDICT_FAIL, "tokenizer", "%s", error.message);
        return;
    }
    say(e, VERDICT_OK, "tokenizer", "%s: %u tokens", e->model->tokenizer_path,
        hg_tokenizer_vocabulary(tokenizer));
    hg_tokenizer_close(tokenizer);
}

static void check_plugin(examination *e, const char *folder, const char *name)
{
    char what[HG_LIMIT_PLUGIN_NAME + 16];
    hg_error error = {0};
    hg_plugin *plugin = NULL;
    hg_adapter *adapter = NULL;
    snprintf(what, sizeof what, "plugin %.*s", HG_LIMIT_PLUGIN_NAME, name);
    hg_status status = hg_plugin_open(folder, &plugin, &error);
    if (!status && e->model && plugin->adapter)
        status = hg_adapter_open_on(folder, e->model, &adapter, &error);
    if (status)
        say(e, VERDICT_FAIL, what, "%s", error.message);
    else if (e->model && *plugin->base_fingerprint &&
             strcmp(plugin->base_fingerprint, hg_model_fingerprint(e->model)) != 0)
        say(e, VERDICT_WARN, what, "was trained on another base (%s): quality may differ",
            plugin->base_name);
    else
        say(e, VERDICT_OK, what, "%s, rank %u, %.1f MiB", plugin->title,
            adapter ? adapter->lora.rank_max : 0, (double)plugin->bytes / (1 << 20));
    hg_adapter_close(adapter);
    hg_plugin_close(plugin);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void check_plugins(examination *e)
{
    char folder[HG_PATH_MAX], file[HG_PATH_MAX];
    struct dirent **entry;
    int found = 0, count = scandir(e->settings->plugins, &entry, is_visible, alphasort);
    if (count < 0) {
        say(e, VERDICT_FAIL, "plugins", "--plugins: %s: %s", e->settings->plugins, strerror(errno));
        return;
    }
    for (int i = 0; i < count; i++) {
        const char *name = entry[i]->d_name;
        if (!hg_path_join(folder, sizeof folder, e->settings->plugins, name, NULL) &&
            !hg_path_join(file, sizeof file, folder, "plugin.json", NULL) && hg_file_exists(file)) {
            check_plugin(e, folder, name);
            found++;
        }
        free(entry[i]);
    }
    free(entry);
    if (!found)
        say(e, VERDICT_FAIL, "plugins", "--plugins: %s has no folder with a plugin.json",
            e->settings->plugins);
}

static int count_row(const hg_plugin_record *record, void *context)
{
    (void)record;
    ++*(int *)context;
    return 0;
}

/* The nearest folder above path that exists decides whether path can be made. */
static bool can_be_made(const char *path)
{
    char copy[HG_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    while (!hg_file_exists(copy)) {
        char *slash = strrchr(copy, '/');
        if (!slash || slash == copy) return access(slash ? "/" : ".", W_OK) == 0;
        *slash = '\0';
    }
    return access(copy, W_OK) == 0;
}

static void check_database(examination *e)
{
    hg_error error = {0};
    hg_store *store = NULL;
    int plugins = 0;
    const char *folder = e->settings->data;
    hg_status status = hg_store_open_read(folder, &store, &error);
    if (!status) status = hg_store_each_plugin(store, count_row, &plugins, &error);
    if (!status)
        say(e, VERDICT_OK, "database", "%s: %d plugins are recorded", folder, plugins);
    else if (status == HG_ERROR_NOT_FOUND && can_be_made(folder))
        say(e, VERDICT_OK, "database", "%s: will be made at the first start", folder);
    else if (status == HG_ERROR_NOT_FOUND)
        say(e, VERDICT_FAIL, "database",
            "--data: %s cannot be written: change its owner, or name another folder", folder);
    else
        say(e, VERDICT_FAIL, "database", "%s", error.message);
    hg_store_close(store);
}

/* Binds the address for a moment, as the service would. */
static void check_port(examination *e)
{
    hg_error error = {0};
    hg_address address;
    if (hg_address_parse(e->settings->listen, &address, &error)) {
        say(e, VERDICT_FAIL, "address", "%s", error.message);
        return;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address.port)};
    void *host = address.v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr;
    int on = 1, fd = socket(address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && inet_pton(address.v6 ? AF_INET6 : AF_INET, address.host, host) == 1 &&
                 !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
                 !(address.v6 ? bind(fd, (struct sockaddr *)&v6, sizeof v6)
                              : bind(fd, (struct sockaddr *)&v4, sizeof v4));
    if (bound)
        say(e, VERDICT_OK, "address", "%s is free", e->settings->listen);
    else
        say(e, VERDICT_WARN, "address",
            "%s: %s; a hydraglot may be serving there, else choose another with --listen",
            e->settings->listen, strerror(errno));
    if (fd >= 0) close(fd);
}

/* ---- tables ---- */

static int print_limits(void)
{
    puts("| limit | value | why |\n|---|---|---|");
#define LIMIT_ROW(name, value, why)                                                                \
    printf("| `%s` | %lld | %s |\n", #name, (long long)(value), why);
    HG_LIMITS(LIMIT_ROW)
#undef LIMIT_ROW
    return HG_EXIT_OK;
}

static int print_codes(void)
{
    puts("| code | retry | meaning |\n|---|---|---|");
#define CODE_ROW(name, retry, meaning)                                                             \
    printf("| `%s` | %s | %s |\n", #name, (retry) ? "yes" : "no", meaning);
    HG_CODES(CODE_ROW)
#undef CODE_ROW
    return HG_EXIT_OK;
}

/* A template's text as one cell: line ends spelled out, bars escaped. */
static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", stdout);
        else if (*text == '|')
            fputs("\\|", stdout);
        else
            putchar(*text);
    }
}

static int print_templates(void)
{
    puts("| name | for | text | stops beside the base's |\n|---|---|---|---|");
    const hg_template *t;
    for (unsigned i = 0; (t = hg_template_at(i)); i++) {
        printf("| `%s` | %s | `", t->name, t->what);
        print_cell(t->text);
        fputs("` |", stdout);
        for (int s = 0; s < HG_TEMPLATE_STOPS && t->stop[s]; s++) {
            fputs(s ? ", `" : " `", stdout);
            print_cell(t->stop[s]);
            putchar('`');
        }
        puts(" |");
    }
    return HG_EXIT_OK;
}

static int print_rules(void)
{
    puts("| name | what |\n|---|---|");
    const hg_shipped_rules *r;
    for (unsigned i = 0; (r = hg_shipped_rules_at(i)); i++)
        printf("| `%s` | %s |\n", r->name, r->what);
    return HG_EXIT_OK;
}

/* Prints and frees what a table's own printer left; status is how that went. */
static int print_printed(hg_status status, hg_buf *out, hg_error *error)
{
    if (!status) fputs(hg_buf_text(out), stdout);
    hg_buf_free(out);
    return status ? hg_cli_fail(error) : HG_EXIT_OK;
}

static int print_metrics(void)
{
    hg_error error = {0};
    hg_buf out = hg_buf_new(HG_LIMIT_HTTP_BODY);
    hg_status status = hg_metrics_describe(&out);
    if (status) hg_fail(&error, status, "the table of metrics could not be printed");
    return print_printed(status, &out, &error);
}

static int print_asyncapi(void)
{
    hg_error error = {0};
    hg_buf out = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    return print_printed(hg_asyncapi_print(&out, &error), &out, &error);
}

static int print_plugin_schema(void)
{
    hg_error error = {0};
    hg_buf out = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_status status = hg_plugin_schema_print(&out);
    if (status) hg_fail(&error, status, "the schema of plugin.json could not be printed");
    return print_printed(status, &out, &error);
}

int hg_command_doctor(const hg_settings *settings)
{
    if (settings->plan) return hg_doctor_plan(settings);
    if (settings->limits) return print_limits();
    if (settings->metrics) return print_metrics();
    if (settings->codes) return print_codes();
    if (settings->templates) return print_templates();
    if (settings->asyncapi) return print_asyncapi();
    if (settings->rules) return print_rules();
    if (settings->plugin_schema) return print_plugin_schema();
    if (settings->settings) {
        hg_settings_print_markdown(stdout);
        return HG_EXIT_OK;
    }
    examination e = {.settings = settings};
    check_processor(&e);
    check_cuda(&e);
    check_model(&e);
    check_plugins(&e);
    check_database(&e);
    check_port(&e);
    hg_model_close(e.model);
    if (!settings->json) printf("%d warnings, %d failures\n", e.warnings, e.failures);
    return e.failures ? HG_EXIT_FAILURE : HG_EXIT_OK;
}
