/* languages.h: the languages served, as HTTP's clients ask for them: pairs of source and target.
 *
 * A view of the catalog that the service renews whenever the catalog changes. Service thread only.
 */
#ifndef HG_SERVICE_LANGUAGES_H
#define HG_SERVICE_LANGUAGES_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/text/language.h"
#include "core/translate/runtime.h"

/* What one plugin serves. */
typedef struct hg_served {
    char plugin[HG_LIMIT_PLUGIN_NAME * 4 + 1];
    hg_tag tag;
    hg_tag *source; /* [sources] owned */
    uint32_t sources;
} hg_served;

typedef struct hg_language_set {
    hg_served served[HG_LIMIT_ADAPTER_SLOTS]; /* [count] by English name */
    uint32_t count;
    hg_buf listed; /* [{"code","name","targets"}], printed */
} hg_language_set;

hg_language_set hg_language_set_new(void);
void hg_language_set_free(hg_language_set *set);

/* Reads the catalog anew; runtime NULL: there is none yet. */
hg_status hg_language_set_read(hg_language_set *set, hg_runtime *runtime) HG_CHECKED;

/* Whether a plugin serves tag, takes it as a source, does both. A tag's equal in script counts
 * (hg_tag_compare); a pair of one language needs no plugin. */
bool hg_language_target(const hg_language_set *set, const hg_tag *tag);
bool hg_language_source(const hg_language_set *set, const hg_tag *tag);
bool hg_language_pair(const hg_language_set *set, const hg_tag *source, const hg_tag *target);

/* What the plugin of that name serves, or NULL; whether it takes sentences in source (which, where
 * it is the plugin's own language, come back as they are). */
const hg_served *hg_language_plugin(const hg_language_set *set, const char *plugin);
bool hg_served_takes(const hg_served *served, const hg_tag *source);

#endif
