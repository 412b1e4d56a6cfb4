/* limits.h: every bound of the program, each with its reason.
 *
 * One table: X(name, value, "reason"), the service's rows in limits_wire.h. Code uses the enum
 * constants HG_LIMIT_<name>; the documentation (docs/OPERATIONS.md, `hydraglot doctor --limits`) is
 * printed from the same rows. Sizes are bytes unless the name says otherwise. */
#ifndef HG_BASE_LIMITS_H
#define HG_BASE_LIMITS_H

#include "core/base/limits_wire.h"

#define HG_LIMITS(X)                                                                               \
    /* files */                                                                                    \
    X(FILE_JSON, 64 << 20, "a JSON file (tokenizer.json of Llama-3 has 9 MB)")                     \
    X(CONFIG, 64 << 10, "the file of settings that --config names")                                \
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
    X(READING, 1000, "characters of a text that is read in Latin letters, 15 us each")             \
    X(RULES_READS, 4 << 20,                                                                        \
      "characters that rules may read of one text; a page of text needs 200,000")                  \
    X(PLUGIN_SOURCES, 64, "source languages of one plugin")                                        \
    X(PLUGIN_FILES, 64, "files of one plugin's folder; five have a meaning")                       \
    X(PLUGIN_MIB, 4096, "MiB of one plugin unpacked; rank 256 on Llama-3-8B in F32 has 2.6 GB")    \
    X(PLUGIN_NOTES, 64, "notes of the report on one plugin")                                       \
    X(PAIRS, 500, "validation pairs of a plugin: enough for a score, a minute on two cores")       \
    X(PAIRS_FILE, 4 << 20, "bytes of validation.tsv")                                              \
    X(GATE_LANES, 4, "pairs of a check in flight: a background job beside people's sentences")     \
    X(GATE_EXAMPLES, 8, "translations that the report on a plugin shows")                          \
    X(CARD, 1 << 20, "bytes of a model card, a chat template or an adapter's configuration")       \
    X(CARD_LANGUAGES, 16, "languages that a model card names")                                     \
    X(ARCHIVE_ENTRIES, 1024, "entries of an archive; a trainer's output has some dozens")          \
    X(ARCHIVE_PATH, 255, "bytes of a path in an archive")                                          \
    X(ARCHIVE_RATIO, 100, "times that an archive may unpack to its size; text has 4, zeros 1000")  \
    X(ARCHIVE_LEAST, 1 << 20, "bytes that any archive may unpack to, whatever its size")           \
    X(ARCHIVE_S, 300, "seconds for reading one archive; 4 GiB of xz take about 100")               \
    X(STAND_INS, 8, "words of one kind that stand for what is protected")                          \
    X(STAND_IN_FORMS, 16, "forms of one of them in the plugin's language; Russian has six cases")  \
    X(STAND_IN, 64, "bytes of such a word or form")                                                \
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
    X(CHUNK_ROWS, 256, "rows of a whole chunk of a prompt, on devices that have such")             \
    X(CHUNKS, 4, "whole chunks of one step; while lanes decode it has one")                        \
    X(SESSION_LANES, 48, "of these, lanes of one session's jobs: another's sentence finds room")   \
    X(DRAFT_ROWS, 8, "draft tokens of a lane in one step: more would delay the other lanes")       \
    X(DRAFT_WINDOW, 8, "tokens of a draft among which it is looked for after a mismatch")          \
    X(PAGE_TOKENS, 16, "tokens of one KV page")                                                    \
    X(ADAPTER_SLOTS, 64, "adapters resident on the device")                                        \
    X(ADAPTER_PIECE, 256 << 10, "bytes of an adapter uploaded between two steps")                  \
    X(PLAN_LANES, 32, "lanes that KV is planned for when no number is given")                      \
    X(PLAN_TOKENS, 512, "tokens of KV planned for a lane; longer ones take from the others")       \
    X(PLAN_ADAPTERS, 16, "adapters that a card makes room for when no number is given")            \
    X(PLAN_RANK, 16, "rank that they are planned with; others count by their bytes")               \
    X(DEVICE_TRIES, 5, "tries to open a lost device before the processor takes over")              \
    X(DEVICE_RETRY_MS, 250, "ms between the first two tries, doubled by each one that fails")      \
    X(DEVICE_RETRY_MOST_MS, 30000, "ms between two tries at most")                                 \
    X(PREFIXES, 256, "token sequences whose KV is kept for reuse")                                 \
    X(WORKERS, 64, "threads of the CPU device")                                                    \
    X(CACHE_LEAST, 256 << 20, "bytes of weights worth a cache file; fewer pack in a second")       \
    /* text */                                                                                     \
    X(TEXT, 8000, "code points of one text over the wire: some hundred sentences")                 \
    X(SENTENCE, 2000, "code points of one sentence; longer ones are cut between words")            \
    X(PROTECTED, 64, "stretches of a sentence that go through unchanged; the last has the rest")   \
    X(PROTECTED_TRIES, 3, "translations of a sentence that loses what it should carry")            \
    X(KNOWN, 128, "closed sentences of a text whose translation is kept, for edits before them")   \
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
    HG_LIMITS_WIRE(X)                                                                              \
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
