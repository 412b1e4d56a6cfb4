/* propose.h: plugin.json is completed: by what a person said, then by what the files say, then by
 * what the base leaves no choice about. Each value that nobody said is noted as a proposal; one
 * that cannot be known is a problem that says how to give it.
 */
#ifndef HG_PLUGINS_PROPOSE_H
#define HG_PLUGINS_PROPOSE_H

#include "core/plugins/add.h"

/* Reads and writes folder/plugin.json; what is complete stays byte for byte. called: what a person
 * calls the plugin's files. An error is ours (disk, memory); the plugin's are noted. */
hg_status hg_plugin_propose(const hg_intake_options *options, const char *called,
                            const char *folder, hg_notes *notes, hg_error *error) HG_CHECKED;

#endif
