/* limits_wire.h: the rows of the table in limits.h that bound the service: websockets, HTTP. */
#ifndef HG_BASE_LIMITS_WIRE_H
#define HG_BASE_LIMITS_WIRE_H

#define HG_LIMITS_WIRE(X)                                                                          \
    X(SESSIONS, 2000, "websocket sessions at once")                                                \
    X(FRAME, 64 << 10, "bytes of one websocket frame from a client")                               \
    X(DEFLATE_BITS, 12, "window of a compressed websocket, a power of two: 4 KiB")                 \
    X(GZIP, 256 << 10, "bytes of an HTTP answer that is compressed: some ms of the only thread")   \
    X(FRAME_REST, 4 << 20, "bytes of an oversize frame still read, so that its close code comes")  \
    X(SENTENCES, 64, "sentence ids whose state a session keeps, least recently used leave")        \
    X(SESSION_JOBS, 8, "jobs of one session in the engine; a further translate gets `busy`")       \
    X(OUT_QUEUE, 1 << 20, "bytes waiting for one slow reader before it is closed with 4008")       \
    X(REPLAY, 1 << 20, "bytes of sent events kept for a resume: what the kernels hold, and more")  \
    X(REPLAY_S, 90, "s that they are kept: until a silent break is found, the grace and a rest")   \
    X(RESUME_MS, 30000, "ms that a session whose connection broke is kept, its lanes running")     \
    X(DETACHED, 2000, "sessions kept without a connection; the one kept longest leaves")           \
    X(DETACHED_BYTES, 256 << 20, "bytes that they hold together; the one that holds most leaves")  \
    X(HTTP_BODY, 1 << 20, "bytes of a request body")                                               \
    X(HTTP_BODIES, 64 << 20, "bytes of all request bodies at once; a further one gets 503")        \
    X(HTTP_BODY_S, 20, "s that a request body may take to come in")                                \
    X(HTTP_ANSWER_S, 30, "s that a reader may leave an answer's next piece untaken")               \
    X(HTTP_ANSWER, 16 << 20, "bytes of an answer's body")                                          \
    X(HTTP_FIELDS, 64, "fields of a form; the API has seven")                                      \
    X(HTTP_TEXTS, 1000, "texts of one translation over HTTP")                                      \
    X(HTTP_TEXT, 50000, "code points of all of them: minutes of work for the embedded model")      \
    X(CALL_LANES, 20000, "lanes of one translation over HTTP: sentences times languages")          \
    X(HTTP_CALLS, 64, "translations over HTTP at once; a further one gets 503")                    \
    X(HTTP_MS, 300000, "ms that a translation over HTTP may take")                                 \
    X(BASE_PATH, 128, "characters of --base-path")                                                 \
    X(MINTED, 4096, "living tokens that one token minted: two for each session")                   \
    X(MINTED_S, 86400, "s that a minted token may live: a day in a browser")                       \
    X(ALTERNATIVES, 8, "further translations of a text that a request may ask for")                \
    X(JSON_DEPTH, 16, "brackets inside brackets of a message; the protocol needs 4")               \
    X(DEADLINE_MS, 600000, "ms a request may give itself")                                         \
    X(TEMPERATURE, 2, "sampling temperature; above it text is noise")                              \
    X(TOKENS, 2048, "output tokens of a lane that a request may ask for")                          \
    X(EVENT, 512 << 10, "bytes of one event: the longest text, escaped, and its fields")           \
    X(SEND_BUFFER, 64 << 10, "bytes the kernel keeps for one reader; bounds what it costs")        \
    X(DESCRIPTORS, 2512, "open files: the sessions, other connections, what the program needs")    \
    X(WRITE_BURST, 64, "frames sent to one client before the others get their turn")               \
    X(PING_S, 20, "s without a sign of life before a client is pinged")                            \
    X(HANGUP_S, 30, "s without a sign of life before it is given up")                              \
    X(CLOSE_S, 5, "s that a closing client has to read what waits and the close frame")            \
    X(STOP_MS, 1000, "ms from the wish to stop to the end of the loop")                            \
    X(WEB_FILE, 8 << 20, "bytes of one file of the page")                                          \
    X(LOG_LINE, 2048, "bytes of one log line")

#endif
