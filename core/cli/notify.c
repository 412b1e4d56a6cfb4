/* notify.c: what a service manager that asks for it is told (sd_notify(3), without its library). */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/cli/cli.h"

void hg_cli_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t count = path ? strlen(path) : 0;
    if (!count || count >= sizeof address.sun_path) return;
    memcpy(address.sun_path, path, count);
    if (*path == '@') address.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count);
    if (fd < 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, bytes) < 0)
        hg_log(HG_LOG_WARN, "serve", "the service manager at %s could not be told: %s", path,
               state);
    if (fd >= 0) close(fd);
}
