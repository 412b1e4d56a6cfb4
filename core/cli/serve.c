/* serve.c: `hydraglot serve`. Opens the service, says where to look, runs until it is told to stop.
 *
 * SIGINT and SIGTERM ask the service to end; a second one, or one that comes while the model is
 * still being loaded, ends the process at once. SIGHUP reads the settings anew.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/cli/cli.h"
#include "core/service/service.h"

static _Atomic(hg_service *) running; /* what a signal stops; NULL outside of run */

static void on_signal(int number)
{
    hg_service *service = atomic_load(&running);
    if (service && number == SIGHUP)
        hg_service_reload(service);
    else if (service)
        hg_service_stop(service);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) || sigaction(SIGTERM, &action, NULL))
        hg_log(HG_LOG_WARN, "serve", "SIGINT and SIGTERM cannot be caught: they end at once");
}

/* From the start on: what comes before there is anything to reload is for nothing. */
static void catch_reload(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGHUP, &action, NULL))
        hg_log(HG_LOG_WARN, "serve", "SIGHUP cannot be caught: it ends the service");
}

/* What its holder needs to make further ones. */
static void print_first_token(hg_service *service)
{
    char token[64];
    hg_error error;
    if (hg_service_first_token(service, token, &error))
        hg_log(HG_LOG_ERROR, "serve", "%s", error.message);
    else if (*token)
        printf("the first start's admin token, shown this once: %s\n", token);
}

static void on_loaded(hg_service *service)
{
    atomic_store(&running, service);
    catch_signals();
    printf("hydraglot is ready: open %s\n", hg_service_url(service));
    print_first_token(service);
    fflush(stdout); /* somebody may wait for this line through a pipe */
    hg_cli_notify("READY=1");
}

/* ---- settings ---- */

/* Those that the service began with, and those that it has now: the same, or of the last reload. */
static const hg_settings *first;
static hg_settings *latest; /* owned; NULL: the first ones */

static void on_reload(hg_service *service);

static hg_service_options options_of(const hg_settings *settings)
{
    return (hg_service_options){
        .listen = settings->listen,
        .web_path = settings->web,
        .allow_origin = settings->allow_origin,
        .base_path = settings->base_path,
        .trust_proxy = settings->trust_proxy,
        .tls_cert = settings->tls_cert,
        .tls_key = settings->tls_key,
        .runtime = hg_cli_runtime_options(settings, true),
        .loaded = on_loaded,
        .reload = on_reload,
    };
}

static void keep(hg_settings *fresh)
{
    if (latest) hg_settings_free(latest);
    free(latest);
    latest = fresh;
}

/* Makes the service's settings those of fresh as far as that goes, and logs how far. */
static hg_status change(hg_service *service, const hg_settings *fresh, hg_error *error)
{
    char live[512], others[1024];
    const hg_service_options options = options_of(fresh);
    hg_status status = hg_service_change(service, &options, error);
    if (status) return status;
    hg_cli_set_log_level(fresh, HG_COMMAND_SERVE);
    hg_settings_changed(latest ? latest : first, fresh, HG_COMMAND_SERVE, true, live, sizeof live);
    hg_settings_changed(first, fresh, HG_COMMAND_SERVE, false, others, sizeof others);
    hg_log(HG_LOG_INFO, "serve", "reloaded: %s", *live ? live : "nothing else than before");
    if (*others) hg_log(HG_LOG_WARN, "serve", "only a restart changes %s", others);
    return HG_OK;
}

/* What is wrong anywhere changes nothing. */
static void reload(hg_service *service)
{
    hg_error error;
    hg_settings *fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        hg_log(HG_LOG_ERROR, "serve", "not reloaded: no memory for the settings");
        return;
    }
    hg_status status =
        hg_settings_parse(fresh, HG_COMMAND_SERVE, first->arguments, first->argument, &error);
    if (!status) status = change(service, fresh, &error);
    if (!status) {
        keep(fresh);
        return;
    }
    hg_log(HG_LOG_ERROR, "serve", "not reloaded: %s", error.message);
    hg_settings_free(fresh);
    free(fresh);
}

static void on_reload(hg_service *service)
{
    hg_cli_notify("RELOADING=1");
    reload(service);
    hg_cli_notify("READY=1");
}

int hg_command_serve(const hg_settings *settings)
{
    hg_error error = {0};
    hg_service *service = NULL;
    const hg_service_options options = options_of(settings);
    first = settings;
    catch_reload();
    hg_status status = hg_service_open(&options, &service, &error);
    if (status) goto out;
    status = hg_service_run(service, &error);
    hg_cli_notify("STOPPING=1");
out:
    atomic_store(&running, NULL);
    hg_service_close(service);
    keep(NULL);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
