/* fuzz_plugin_json.c: any text as plugin.json; what is accepted has no NULL string. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_plugin *plugin;
    hg_error error;
    if (hg_plugin_parse((const char *)data, size, "fuzz", &plugin, &error)) return 0;
    const char *const texts[] = {plugin->name,
                                 plugin->title,
                                 plugin->language,
                                 plugin->base_name,
                                 plugin->base_fingerprint,
                                 plugin->rules_before,
                                 plugin->rules_after,
                                 plugin->licence,
                                 plugin->attribution,
                                 plugin->template_text,
                                 plugin->training};
    size_t length = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) length += strlen(texts[i]);
    for (uint32_t i = 0; i < plugin->source_count; i++) length += strlen(plugin->sources[i]);
    for (uint32_t i = 0; i < plugin->stop_count; i++) length += strlen(plugin->stop[i]);
    if (!length || strchr(plugin->name, '/')) abort();
    hg_plugin_close(plugin);
    return 0;
}
