/* test_generation_faults.c: the n-th write of a change of a plugin fails, for all n: the plugin is
 * in the state before or in the state after, with its row of the audit. The same of a process that
 * is killed at any point of changes: HYDRAGLOT_LONG=1 kills 200. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "db/plugins.h"
#include "tests/support/failing_disk.h"

static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};

static hg_status add(hg_store *store, char digit, hg_plugin_record *r, hg_error *error)
{
    *r = german(digit);
    return hg_store_add_generation(store, r, -1, "test", error);
}

static hg_status change(hg_store *store, hg_plugin_action action, uint32_t seen,
                        uint32_t generation, hg_error *error)
{
    hg_plugin_change wish = {
        .action = action, .name = "de", .seen = seen, .generation = generation, .actor = "test"};
    return hg_store_change_plugin(store, &wish, NULL, error);
}

static void change_good(hg_store *store, hg_plugin_action action, uint32_t seen,
                        uint32_t generation)
{
    hg_error error;
    if (change(store, action, seen, generation, &error)) fail_msg("%s", error.message);
}

/* Generation 1 of the plugins folder, then 2 and 3 of the data folder, checked; 2 serves. */
static hg_store *open_changed(const fixture *f)
{
    hg_error error;
    hg_plugin_record r;
    hg_store *store = open_good(f);
    put_good(store, 'a');
    for (int digit = 'b'; digit <= 'c'; digit++) {
        if (add(store, (char)digit, &r, &error)) fail_msg("%s", error.message);
        if (hg_store_judge(store, r.generation_key, "ready", "{}", "test", &error))
            fail_msg("%s", error.message);
    }
    change_good(store, HG_PLUGIN_ENABLE, 1, 2);
    return store;
}

/* All that a change may change, as one text. */
static void read_state(const fixture *f, char *out, size_t size)
{
    query_text(f,
               "SELECT (SELECT group_concat(generation || state || verdict) FROM plugin_generation)"
               " || coalesce(enabled_generation, 0) || is_default || pinned ||"
               " (SELECT count(*) FROM audit) FROM plugin",
               out, size);
}

/* What is tried; of ADD it is content that is new. */
#define ADD HG_PLUGIN_ACTIONS
static const struct {
    int action;
    uint32_t generation;
} wishes[] = {{HG_PLUGIN_ENABLE, 3},
              {HG_PLUGIN_DISABLE, 0},
              {HG_PLUGIN_ROLL_BACK, 0},
              {HG_PLUGIN_REMOVE, 0},
              {HG_PLUGIN_REMOVE, 3},
              {HG_PLUGIN_PIN, 0},
              {ADD, 0}};

static hg_status try_wish(hg_store *store, int number, hg_error *error)
{
    hg_plugin_record r;
    if (wishes[number].action == ADD) return add(store, 'd', &r, error);
    return change(store, (hg_plugin_action)wishes[number].action, 2, wishes[number].generation,
                  error);
}

static bool change_once(int number, int n, bool stays, int code)
{
    fixture f = make_folder();
    char before[512], now[512], after[512];
    hg_error error = {0};
    hg_store *store = open_changed(&f);
    read_state(&f, before, sizeof before);
    failing_disk_arm(n, stays, code, 0);
    hg_status status = try_wish(store, number, &error);
    bool hit = failing_disk_hits() > 0;
    failing_disk_arm(0, false, 0, 0);
    hg_store_close(store);
    assert_true(hit || !status);
    check_sound(&f);
    read_state(&f, now, sizeof now);
    bool as_before = strcmp(now, before) == 0;
    assert_true(status || !as_before);
    store = open_good(&f);
    if (as_before) { /* the same wish again comes to the state after */
        if (try_wish(store, number, &error)) fail_msg("%s", error.message);
    }
    hg_store_close(store);
    read_state(&f, after, sizeof after);
    assert_string_not_equal(after, before);
    if (!as_before) assert_string_equal(now, after);
    remove_folder(&f);
    return hit;
}

static void a_plugin_changes_with_its_audit_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        const int stays = i & 1; /* each of both with half of the wishes: the writes are alike */
        int n = 1;
        while (change_once((int)i, n, stays, codes[stays])) n++;
        assert_true(n > 3);
    }
}

/* ---- a killed process ---- */

#define STEPS 24

/* The step-th change of a fixed sequence; each follows from the state that those before it left. */
static void take_step(hg_store *store, int step)
{
    static const hg_plugin_action action[] = {HG_PLUGIN_ENABLE, HG_PLUGIN_ROLL_BACK,
                                              HG_PLUGIN_ENABLE, HG_PLUGIN_DISABLE,
                                              HG_PLUGIN_ENABLE, HG_PLUGIN_REMOVE};
    static const uint32_t seen[] = {1, 2, 1, 2, 0, 1}, generation[] = {2, 0, 2, 0, 1, 2};
    hg_plugin_record r;
    hg_error error;
    int round = step / 8, at = step % 8;
    /* In round n the generations 2, 3, ... of the rounds before are removed; n + 2 is the new one.
     */
    uint32_t fresh = (uint32_t)round + 2;
    if (at == 0) {
        if (add(store, (char)('b' + round), &r, &error)) fail_msg("%s", error.message);
    } else if (at == 1) {
        int64_t key = round + 2; /* rows are numbered as they are written */
        if (hg_store_judge(store, key, "ready", "{}", "test", &error))
            fail_msg("%s", error.message);
    } else {
        uint32_t was = seen[at - 2], wanted = generation[at - 2];
        change_good(store, action[at - 2], was == 2 ? fresh : was, wanted == 2 ? fresh : wanted);
    }
}

/* Takes all steps, telling before each that it begins, and waits to be killed. */
static void run_steps(const fixture *f, int out)
{
    hg_store *store = open_good(f);
    for (int step = 0; step < STEPS; step++) {
        char told = (char)step;
        if (write(out, &told, 1) != 1) _exit(2);
        take_step(store, step);
    }
    pause();
}

/* Kills a process that takes the steps; returns the last one that it began. */
static int kill_once(const fixture *f, unsigned after_us)
{
    int pipe_fd[2], how, last = -1;
    unsigned char told;
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) run_steps(f, pipe_fd[1]);
    close(pipe_fd[1]);
    if (read(pipe_fd[0], &told, 1) == 1) last = told; /* its first step begins */
    usleep(after_us);
    kill(child, SIGKILL);
    while (read(pipe_fd[0], &told, 1) == 1) last = told;
    close(pipe_fd[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    return last;
}

static void a_killed_process_leaves_the_state_before_or_after(void **state)
{
    (void)state;
    char known[STEPS + 1][512], now[512];
    unsigned seed = 20261125;
    const int kills = getenv("HYDRAGLOT_LONG") ? 200 : 12;
    fixture f = make_folder();
    hg_store *store = open_good(&f);
    put_good(store, 'a');
    int64_t begin_us = hg_clock_us();
    for (int step = 0; step < STEPS; step++) {
        read_state(&f, known[step], sizeof known[step]);
        take_step(store, step);
    }
    unsigned whole_us = (unsigned)(hg_clock_us() - begin_us);
    read_state(&f, known[STEPS], sizeof known[STEPS]);
    hg_store_close(store);
    remove_folder(&f);
    for (int i = 0; i < kills; i++) {
        f = make_folder();
        store = open_good(&f);
        put_good(store, 'a');
        hg_store_close(store);
        seed = seed * 1103515245u + 12345u;
        int last = kill_once(&f, (seed >> 8) % whole_us);
        assert_in_range(last, 0, STEPS - 1);
        check_sound(&f);
        store = open_good(&f);
        hg_store_close(store);
        read_state(&f, now, sizeof now);
        if (strcmp(now, known[last]) != 0) assert_string_equal(now, known[last + 1]);
        remove_folder(&f);
    }
}

int main(void)
{
    hg_log_set_level(HG_LOG_ERROR);
    failing_disk_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_changes_with_its_audit_or_not_at_all),
        cmocka_unit_test(a_killed_process_leaves_the_state_before_or_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
