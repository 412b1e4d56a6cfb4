/* resume.h: sessions without a connection: kept, taken over, let go. Service thread only. */
#ifndef HG_SERVICE_RESUME_H
#define HG_SERVICE_RESUME_H

#include "core/service/message.h"
#include "core/service/session.h"

/* The connection is gone: keeps the session for a while. False: it is not worth it. */
bool hg_session_detach(hg_session *session);

/* Of a new connection's session: takes over what is detached, or has a connection that nobody has
 * missed yet. True: fresh has ended, its connection is the other session's. */
bool hg_session_resume(hg_session *fresh, const hg_message *message,
                       hg_refusal *refusal) HG_CHECKED;

/* Ends what has been detached for too long, or holds the most of too much; forgets what is too old
 * to be replayed. */
void hg_sessions_age(hg_session_shared *shared, int64_t now_us);
/* Frees the conversations of what has ended (what runs is cancelled and logged), and what of it has
 * no connection. Not from inside a sink. */
void hg_sessions_reap(hg_session_shared *shared);
/* The service stops: ends sessions in which nothing runs, or that nobody listens to. When the time
 * is over, what still runs fails. Not from inside a sink. */
void hg_sessions_drain(hg_session_shared *shared, bool over);
/* Ends them all. */
void hg_sessions_end(hg_session_shared *shared, uint16_t close_code);

#endif
