/* serve.c: `hydraglot serve`. Opens the service, says where to look, runs until it is told to stop.
 *
 * SIGINT and SIGTERM ask the service to end; a second one, or one that comes while the model is
 * still being loaded, ends the process at once. SIGHUP asks it to read its certificate anew.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

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
}

int hg_command_serve(const hg_settings *settings)
{
    hg_error error = {0};
    hg_service *service = NULL;
    hg_service_options options = {
        .listen = settings->listen,
        .web_path = settings->web,
        .allow_origin = settings->allow_origin,
        .base_path = settings->base_path,
        .trust_proxy = settings->trust_proxy,
        .tls_cert = settings->tls_cert,
        .tls_key = settings->tls_key,
        .runtime = hg_cli_runtime_options(settings, true),
        .loaded = on_loaded,
    };
    catch_reload();
    hg_status status = hg_service_open(&options, &service, &error);
    if (status) goto out;
    status = hg_service_run(service, &error);
out:
    atomic_store(&running, NULL);
    hg_service_close(service);
    return status ? hg_cli_fail(&error) : HG_EXIT_OK;
}
