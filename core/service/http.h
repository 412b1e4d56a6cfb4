/* http.h: HTTP requests: what the files that receive, decide and answer share. Private to
 * core/service; service thread only.
 *
 *   http.c         libwebsockets' callbacks: heads, bodies, the decision on upgrades
 *   http_answer.c  status, headers and body, sent as the socket takes them
 *   routes.c       the table of paths; what is answered at once
 *   libre.c        LibreTranslate's API
 *   chat.c         the front for OpenAI's clients
 *   mint.c         short-lived tokens
 *   openapi.c      the table of paths for others to read
 */
#ifndef HG_SERVICE_HTTP_H
#define HG_SERVICE_HTTP_H

#include <jansson.h>

#include "core/service/exchange.h"
#include "core/service/json_out.h"

/* The service of an exchange. */
hg_service *hg_exchange_service(const hg_exchange *x);

/* ---- http_answer.c: each decides the answer and asks for the socket's turn ---- */

/* Takes over body. */
void hg_answer(hg_exchange *x, unsigned status, const char *content_type, hg_buf *body);
void hg_answer_json(hg_exchange *x, unsigned status, const char *json);
/* What was printed into its buffer, which is taken over; a failure of printing is told instead. */
void hg_answer_printed(hg_exchange *x, hg_json_out *json);
/* Begins an answer whose body is what is appended to x->out, from now on and later: hg_answer_more
 * says that there is more, hg_answer_end that there will be no more. */
void hg_answer_stream(hg_exchange *x, const char *content_type);
void hg_answer_more(hg_exchange *x);
void hg_answer_end(hg_exchange *x);
/* {"error":"..."}, the shape that LibreTranslate's clients know. */
void hg_answer_error(hg_exchange *x, unsigned status, const char *format, ...) HG_PRINTF(3, 4);
/* The same for a status that a limit or a lack of memory brought. */
void hg_answer_status(hg_exchange *x, hg_status status);
/* The same for what a call or a conversation refused or failed with; message may be "". */
void hg_answer_code(hg_exchange *x, hg_code code, const char *message);
/* The socket takes more. What libwebsockets' callback returns: 0, or -1 to hang up. */
int hg_answer_send(hg_exchange *x);
/* An answer before any exchange: a refused upgrade. 0: it was written. */
int hg_answer_refusal(struct lws *wsi, unsigned status, const char *message);

/* ---- routes.c ---- */

/* NULL: no route has this path. *allow names the methods of the path where only the method is
 * another, else it is NULL. */
const hg_route *hg_route_find(const char *path, hg_method method, const char **allow);
/* The routes in order; NULL behind the last. */
const hg_route *hg_route_at(size_t index);
/* openapi.c */
void hg_serve_openapi(hg_exchange *x);
/* GET of anything else. */
void hg_serve_file(hg_exchange *x);

/* ---- mint.c ---- */
void hg_mint_token(hg_exchange *x);

/* ---- libre.c ---- */
void hg_libre_translate(hg_exchange *x);
void hg_libre_detect(hg_exchange *x);
void hg_libre_languages(hg_exchange *x);
void hg_libre_settings(hg_exchange *x);

/* ---- chat.c ---- */
void hg_chat_complete(hg_exchange *x);
void hg_chat_models(hg_exchange *x);

/* Gives back the request's body and the room that it had. */
void hg_exchange_drop_body(hg_exchange *x);

/* ---- access ---- */

/* Whether the caller may what scope stands for. */
bool hg_exchange_may(const hg_exchange *x, unsigned scope);
/* The same with the token of a body's api_key, which may be NULL. False: answered. */
bool hg_exchange_admit(hg_exchange *x, unsigned scope, const char *key);
/* The fields of a body, for whoever may translate; the caller frees them. False: answered. */
bool hg_exchange_read(hg_exchange *x, json_t **fields);
/* Takes lanes from the rate of the caller's token. False: answered, 429. */
bool hg_exchange_pay(hg_exchange *x, uint64_t lanes);

/* ---- work ---- */

/* Takes over work; its call runs from now on. */
void hg_exchange_work(hg_exchange *x, hg_work *work);
/* Moves the calls of all exchanges on. After hg_translator_poll, and at every tick. */
void hg_exchanges_pump(hg_service *service);
/* Ends the work of whose token expired or, when the store has changed, was revoked: 401. */
void hg_exchanges_watch_tokens(hg_service *service, bool changed);
/* Ends all work of a service that stops: each answers 503. */
void hg_exchanges_stop(hg_service *service);

#endif
