/* test_resume.c: which of the sessions without a connection leave when they hold too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/service/resume.h"

#define SESSIONS 8

static void ignore(hg_session *session)
{
    (void)session;
}

/* Number i holds i + 1 parts of 36; too much by the largest, which is number 7. Connected sessions
 * do not count, however large. */
static void test_the_largest_leaves(void **state)
{
    (void)state;
    hg_session_shared shared = {.wake = ignore};
    static hg_session session[SESSIONS + 1];
    const size_t part = HG_LIMIT_DETACHED_BYTES / 30;
    TAILQ_INIT(&shared.sessions);
    for (int i = 0; i <= SESSIONS; i++) {
        session[i] = (hg_session){.shared = &shared, .detached_us = i < SESSIONS ? 1 : 0};
        hg_out_queue_init(&session[i].queue, 1, 1);
        session[i].queue.bytes = part * (size_t)i; /* as if they were there */
        session[i].queue.sent_bytes = part;
        TAILQ_INSERT_TAIL(&shared.sessions, &session[i], link);
    }
    hg_sessions_age(&shared, 2);
    for (int i = 0; i <= SESSIONS; i++)
        assert_int_equal(session[i].close_code, i == 7 ? HG_CLOSE_GOING_AWAY : 0);
    assert_true(shared.ended);
    hg_sessions_age(&shared, 3);
    assert_int_equal(session[6].close_code, 0);
    hg_sessions_age(&shared, HG_LIMIT_RESUME_MS * INT64_C(1000) + 2); /* now their time is over */
    for (int i = 0; i <= SESSIONS; i++)
        assert_int_equal(session[i].close_code, i < SESSIONS ? HG_CLOSE_GOING_AWAY : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_largest_leaves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
