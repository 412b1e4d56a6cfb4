/* test_cuda_plan.c: what is planned for a card, by the CUDA device's own measure: the usual numbers
 * where they fit, fewer where not, a clear refusal where a number was asked for; and that a plan
 * that was made is one that loads. */
#include <string.h>

#include "core/engine/plan.h"
#include "tests/unit/cuda_help.h"

#define MIB ((size_t)1 << 20)

static random_model *model;

static int open_model(void **state)
{
    (void)state;
    model = new_model(3, &small, (random_form){.group = 32, .bits = 4}, HG_F16);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    random_model_free(model);
    return 0;
}

static hg_plan plan_with(const hg_plan_wish *wish, const hg_device_room *room)
{
    hg_plan plan;
    hg_error error;
    harness_check(hg_plan_make(hg_cuda_device(), &model->weights, wish, room, &plan, &error),
                  &error);
    return plan;
}

static void refused(const hg_plan_wish *wish, const hg_device_room *room, const char *words)
{
    hg_plan plan;
    hg_error error;
    assert_int_equal(hg_plan_make(hg_cuda_device(), &model->weights, wish, room, &plan, &error),
                     HG_ERROR_LIMIT);
    if (!strstr(error.message, words)) fail_msg("\"%s\" lacks \"%s\"", error.message, words);
}

/* A card of any size gets no more than the usual numbers, and never its reserve. */
static void the_usual_numbers(void **state)
{
    (void)state;
    hg_plan_wish wish = {0};
    hg_plan plan = plan_with(&wish, &(hg_device_room){80 * 1024 * MIB, 80 * 1024 * MIB});
    assert_int_equal(plan.budget_bytes, 70 * 1024 * MIB);
    assert_int_equal(plan.lanes, HG_LIMIT_PLAN_LANES);
    assert_int_equal(plan.adapters, HG_LIMIT_PLAN_ADAPTERS);
    assert_false(plan.lowered);
    size_t token = small.layers * 2 * small.kv_heads * small.head_dim * sizeof(uint16_t);
    assert_int_equal(plan.memory.pages_bytes, 32 * 512 * token); /* F16, as the device keeps it */
    plan = plan_with(&wish, &(hg_device_room){4096 * MIB, 3 * MIB + 512 * 1024});
    assert_int_equal(plan.budget_bytes, 3 * MIB + 512 * 1024);
    assert_true(plan.lowered);
}

/* From nothing to enough: each plan is within its budget, and has no room for one more. */
static void fewer_where_not(void **state)
{
    (void)state;
    hg_plan last = {0};
    hg_error error;
    int fitted = 0;
    for (size_t bytes = 0; bytes < 16 * MIB; bytes += 100000) {
        hg_plan_wish wish = {.bound_bytes = bytes + 1};
        hg_plan plan;
        hg_status status =
            hg_plan_make(hg_cuda_device(), &model->weights, &wish, NULL, &plan, &error);
        if (status) {
            assert_int_equal(status, HG_ERROR_LIMIT);
            assert_int_equal(fitted, 0);
            continue;
        }
        fitted++;
        assert_true(hg_device_memory_sum(&plan.memory) <= bytes + 1);
        assert_true(plan.lanes >= 1 && plan.adapters >= 1);
        size_t left = bytes + 1 - hg_device_memory_sum(&plan.memory);
        assert_true(plan.lanes == 32 || left < plan.memory.pages_bytes / plan.lanes);
        assert_true(plan.adapters == 16 || left < plan.memory.adapters_bytes / plan.adapters);
        assert_int_equal(plan.lowered, plan.lanes < 32 || plan.adapters < 16);
        last = plan;
    }
    assert_int_equal(last.lanes, 32);
    assert_int_equal(last.adapters, 16);
}

static void what_was_asked_for_is_kept(void **state)
{
    (void)state;
    hg_device_room room = {4096 * MIB, 4096 * MIB};
    hg_plan_wish wish = {.lanes = 100, .adapters = 40};
    hg_plan plan = plan_with(&wish, &room);
    assert_int_equal(plan.lanes, 100);
    assert_int_equal(plan.adapters, 40);
    assert_int_equal(plan.device.pages, 100 * 32);
    wish.bound_bytes = hg_device_memory_sum(&plan.memory);
    plan = plan_with(&wish, &room);
    assert_int_equal(plan.lanes, 100);
    wish.bound_bytes -= 1;
    refused(&wish, &room, "--device-memory: ");
    refused(&wish, &room, "would fit");
    wish.bound_bytes = 4096;
    refused(&wish, &room, "not even one lane fits");
    wish.bound_bytes = 0;
    refused(&wish, &(hg_device_room){512 * MIB, 512 * MIB}, "the card less its reserve");
    refused(&wish, &(hg_device_room){4096 * MIB, MIB}, "free memory of the card");
    wish = (hg_plan_wish){.lanes = 8, .adapters = 4};
    plan = plan_with(&wish, &room);
    wish = (hg_plan_wish){.lanes = 8, .bound_bytes = hg_device_memory_sum(&plan.memory)};
    plan = plan_with(&wish, &room); /* adapters give way, the lanes do not */
    assert_int_equal(plan.lanes, 8);
    assert_int_equal(plan.adapters, 4);
    assert_true(plan.lowered);
}

/* Every plan loads on a card that has just its budget, and takes no more than it says. */
static void a_plan_loads(void **state)
{
    (void)state;
    const hg_device_api *api = hg_cuda_device();
    for (size_t bytes = 4 * MIB; bytes < 12 * MIB; bytes += 4 * MIB) {
        hg_plan_wish wish = {.bound_bytes = bytes};
        hg_plan plan = plan_with(&wish, NULL);
        hg_device_options options = {.memory_bytes = bytes};
        hg_device *device;
        hg_device_memory held;
        hg_error error;
        hg_emulator_set_machine(&(hg_emulator_machine){13000, 1, 9, bytes, 3});
        harness_check(api->open(&options, &device, &error), &error);
        harness_check(api->load_model(device, &model->weights, &plan.device, &error), &error);
        api->memory(device, &held);
        assert_true(hg_device_memory_sum(&held) <= hg_device_memory_sum(&plan.memory));
        assert_int_equal(held.adapters_bytes, plan.memory.adapters_bytes);
        api->close(device);
    }
    hg_emulator_set_machine(&good_machine);
    assert_int_equal(hg_emulator_held(), 0);
}

/* The processor's memory is the host's: nothing is measured, numbers are those asked for. */
static void the_processor_plans_without(void **state)
{
    (void)state;
    hg_plan plan;
    hg_error error;
    hg_plan_wish wish = {.lanes = 3, .bound_bytes = 1};
    harness_check(hg_plan_make(hg_cpu_device(), &model->weights, &wish, NULL, &plan, &error),
                  &error);
    assert_int_equal(plan.device.pages, 3 * 32);
    assert_int_equal(plan.device.adapter_bytes, 0);
    assert_int_equal(hg_device_memory_sum(&plan.memory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_numbers),           cmocka_unit_test(fewer_where_not),
        cmocka_unit_test(what_was_asked_for_is_kept),  cmocka_unit_test(a_plan_loads),
        cmocka_unit_test(the_processor_plans_without),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
