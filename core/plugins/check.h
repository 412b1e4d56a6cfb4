/* check.h: whether complete files are a plugin for this base. Every part is looked at, whatever the
 * others are like, so that the report has all that is wrong. */
#ifndef HG_PLUGINS_CHECK_H
#define HG_PLUGINS_CHECK_H

#include "core/plugins/add.h"

/* Notes what is wrong. *out is the plugin where plugin.json and the files beside it could be read,
 * else NULL; the caller closes it. An error is ours (disk, memory). */
hg_status hg_plugin_check(const hg_intake_options *options, const char *folder, hg_notes *notes,
                          hg_plugin **out, uint32_t *rank_max, hg_error *error) HG_CHECKED;

#endif
