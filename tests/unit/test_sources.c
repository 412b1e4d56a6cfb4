/* test_sources.c: adapters are read again from where they came, unless that has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/translate/sources.h"

static void test_reopen(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_model *model = NULL;
    hg_plugin *plugin = NULL;
    hg_sources sources;
    hg_adapter_source again = {0};
    assert_int_equal(hg_model_open("models/hydra-tiny", &model, &error), HG_OK);
    assert_int_equal(hg_plugin_open("plugins/de", &plugin, &error), HG_OK);
    hg_sources_open(&sources, model);
    assert_int_equal(hg_sources_add(&sources, 5, plugin, &error), HG_OK);
    plugin->digest[0] ^= 1; /* as if other files had been there */
    assert_int_equal(hg_sources_add(&sources, 6, plugin, &error), HG_OK);
    hg_plugin_close(plugin);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hg_sources_reopen(&sources, 5, &again, &error), HG_OK);
        assert_int_equal(again.weights->layers, model->weights.shape.layers);
        assert_int_equal(again.weights->rank_max, 16);
        again.release(again.owner);
    }
    assert_int_equal(hg_sources_reopen(&sources, 6, &again, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "changed since it was loaded"));
    assert_int_equal(hg_sources_reopen(&sources, 7, &again, &error), HG_ERROR_NOT_FOUND);
    hg_sources_close(&sources);
    hg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reopen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
