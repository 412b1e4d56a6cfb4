/* limits.h: every bound of the program, each with its reason.
 *
 * One table: X(name, value, "reason"). Code uses the enum constants HG_LIMIT_<name>; the
 * documentation (docs/OPERATIONS.md, `hydraglot doctor --limits`) is printed from the same rows.
 * Sizes are bytes unless the name says otherwise. */
#ifndef HG_BASE_LIMITS_H
#define HG_BASE_LIMITS_H

#define HG_LIMITS(X)                                                                               \
    /* files */                                                                                    \
    X(FILE_JSON, 64 << 20, "a JSON file (tokenizer.json of Llama-3 has 9 MB)")                     \
    X(SAFETENSORS_HEADER, 100 << 20, "the reference library's own bound")                          \
    X(TENSOR_NAME, 256, "longest tensor name we look up")                                          \
    X(TENSORS, 1 << 16, "tensors of one file; Llama-3.1-405B in INT4 has 2,900")                   \
    X(TENSOR_DIMENSIONS, 8, "dimensions of a tensor; ours have two")                               \
    X(GGUF_KEYS, 1 << 14, "metadata entries of a GGUF file; Llama-3.1's have about 35")            \
    X(MODEL_SHARDS, 256, "safetensors files of one model; 405B in BF16 has 191")                   \
    X(MODEL_POSITIONS, 1 << 20, "positions of a model; Llama-3.1 has 131,072")                     \
    X(VOCABULARY, 1 << 20, "tokens of a vocabulary; Llama-3 has 128,256")                          \
    X(TOKEN_BYTES, 1024, "bytes of one token")                                                     \
    X(MERGES, 1 << 22, "merges of a vocabulary; Llama-3 has 280,147")                              \
    X(SPLITS, 8, "steps that split text into words; DeepSeek's Llamas have five")                  \
    X(MODEL_LAYERS, 256, "Llama-3.1-405B has 126")                                                 \
    X(MODEL_WIDTH, 1 << 17, "hidden, intermediate size; 405B has 53,248")                          \
    X(MODEL_HEADS, 512, "attention heads of a layer")                                              \
    X(ADAPTER_RANK, 256, "rank of a LoRA pair; larger ones cost more than they bring")             \
    X(ADAPTER_PATTERNS, 4096, "entries of one list of modules; 405B has 882 modules")              \
    X(ADAPTER_PATTERN, 1024, "bytes of one pattern of modules")                                    \
    X(ADAPTER_PATTERN_STEPS, 64, "ICU match steps of one pattern on one module: hostile ones end") \
    X(STOP_TOKENS, 16, "stop tokens of one plugin or model")                                       \
    X(PLUGIN_NAME, 64, "characters of a plugin's name")                                            \
    X(TAG, 64, "characters of a language tag (BCP-47 asks for 35)")                                \
    X(TEMPLATE, 4096, "bytes of a prompt template")                                                \
    X(RULES, 16 << 10, "bytes of one set of transliteration rules")                                \
    X(RULES_TEXT, 1 << 15, "UTF-16 units that transliteration rules may let a text grow to")       \
    X(PLUGIN_SOURCES, 64, "source languages of one plugin")                                        \
    X(PLUGIN_FILES, 64, "files of one plugin's folder; five have a meaning")                       \
    X(PLUGIN_TEXT, 1024, "bytes of a plugin's title, licence or attribution")                      \
    X(SHARD_MIB, 4096, "MiB of one safetensors file that is written; more go to another")          \
    X(CALIBRATION_TOKENS, 2048, "tokens whose activations scale a model that is quantised")        \
    X(VERIFY_TOKENS, 8192, "tokens of text that two models are compared on")                       \
    /* engine */                                                                                   \
    X(LANES, 32, "lanes of one job: the targets of one sentence")                                  \
    X(JOBS, 64, "jobs in the engine at once, waiting ones counted")                                \
    X(LANE_TOKENS, 4096, "positions of one lane, prompt and output; fewer where a model has them") \
    X(STEP_LANES, 64, "lanes that run in one step")                                                \
    X(STEP_ROWS, 256, "rows of one step: decode rows first, then drafts and prefill")              \
    X(SESSION_LANES, 48, "of these, lanes of one session's jobs: another's sentence finds room")   \
    X(DRAFT_ROWS, 8, "draft tokens of a lane in one step: more would delay the other lanes")       \
    X(DRAFT_WINDOW, 8, "tokens of a draft among which it is looked for after a mismatch")          \
    X(PAGE_TOKENS, 16, "tokens of one KV page")                                                    \
    X(ADAPTER_SLOTS, 64, "adapters resident on the device")                                        \
    X(ADAPTER_PIECE, 256 << 10, "bytes of an adapter uploaded between two steps")                  \
    X(KV_TOKENS, 16384, "tokens of the KV pool when no size is given: 32 lanes of 512")            \
    X(PREFIXES, 256, "token sequences whose KV is kept for reuse")                                 \
    X(WORKERS, 64, "threads of the CPU device")                                                    \
    X(CACHE_LEAST, 256 << 20, "bytes of weights worth a cache file; fewer pack in a second")       \
    /* text */                                                                                     \
    X(TEXT, 2000, "code points of one sentence's text over the wire")                              \
    X(TOKENIZER_TEXT, 16 << 20, "bytes encoded at once; more is not one sentence but a mistake")   \
    X(REGEX_TIME, 2000, "ICU's time units (10,000 steps) for splitting a text into words")         \
    X(TOKENS_DEFAULT, 256, "output tokens of a lane when the request names no bound")              \
    X(LANE_TEXT, 256 << 10, "bytes of one lane's text: all positions of a model, long tokens")     \
    X(AGREEMENT, 4, "successive revisions that may have to agree before text is committed")        \
    X(SHOWN_WORDS, 64, "words that may be shown beyond the committed ones, or held back")          \
    X(ID, 64, "characters of a sentence id")                                                       \
    X(REPETITION, 4, "times a phrase may follow itself before a lane is stopped")                  \
    X(REPETITION_PHRASE, 64, "tokens of the longest phrase whose repetition is looked for")        \
    X(REPETITION_SPAN, 24, "repeated tokens before a lane is stopped: a row of zeros is a number") \
    /* service */                                                                                  \
    X(SESSIONS, 2000, "websocket sessions at once")                                                \
    X(FRAME, 64 << 10, "bytes of one websocket frame from a client")                               \
    X(FRAME_REST, 4 << 20, "bytes of an oversize frame still read, so that its close code comes")  \
    X(SENTENCES, 64, "sentence ids whose state a session keeps, least recently used leave")        \
    X(SESSION_JOBS, 8, "jobs of one session in the engine; a further translate gets `busy`")       \
    X(OUT_QUEUE, 1 << 20, "bytes waiting for one slow reader before it is closed with 4008")       \
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
    X(SEND_BUFFER, 256 << 10, "bytes the kernel keeps for one reader; bounds what it costs")       \
    X(DESCRIPTORS, 2512, "open files: the sessions, other connections, what the program needs")    \
    X(WRITE_BURST, 64, "frames sent to one client before the others get their turn")               \
    X(PING_S, 20, "s without a sign of life before a client is pinged")                            \
    X(HANGUP_S, 30, "s without a sign of life before it is given up")                              \
    X(CLOSE_S, 5, "s that a closing client has to read what waits and the close frame")            \
    X(STOP_MS, 1000, "ms from the wish to stop to the end of the loop")                            \
    X(WEB_FILE, 8 << 20, "bytes of one file of the page")                                          \
    X(LOG_LINE, 2048, "bytes of one log line")                                                     \
    /* db */                                                                                       \
    X(DB_QUEUE, 4096, "batches waiting for the writer; further ones are dropped and counted")      \
    X(DB_COMMIT_MS, 100, "ms between two commits of batch rows: well below the 250 promised")      \
    X(DB_RETRY_MS, 1000, "ms until the writer tries again after the database failed")              \
    X(DB_BUSY_MS, 2000, "ms to wait for another program's lock on the database")                   \
    X(DB_BATCH_ROWS, 1000000, "batch rows kept, and audit rows of mints; older ones leave")

enum hg_limit {
#define HG_LIMIT_ENUM(name, value, why) HG_LIMIT_##name = (value),
    HG_LIMITS(HG_LIMIT_ENUM)
#undef HG_LIMIT_ENUM
};

#endif
