/* settings.c: the table of settings and the walks over it. See settings.h. */
#include "core/cli/settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum type {
    TYPE_TEXT,
    TYPE_CHOICE, /* one of the words in choices */
    TYPE_NUMBER, /* from low to high */
    TYPE_BYTES,  /* a number with K, M, G or T for powers of 1024 */
    TYPE_SWITCH, /* takes no value; in the environment 1 or 0 */
} type;

typedef struct setting {
    const char *flag;     /* with its two dashes */
    const char *variable; /* NULL: only a flag */
    type type;
    unsigned offset;   /* in hg_settings */
    const char *value; /* what --help shows for the value */
    const char
        *preset; /* default as it would be written; NULL: none, or what hg_paths_default says */
    int64_t low, high;
    const char *choices; /* "auto|cpu|cuda" */
    uint64_t commands;   /* hg_command_bit */
    const char *help;
    bool live; /* SIGHUP changes it in a service that runs */
} setting;

#define SERVE     HG_COMMAND_SERVE
#define TRANSLATE HG_COMMAND_TRANSLATE
#define PLUGINS   HG_COMMAND_PLUGIN_LIST
#define BATCHES   HG_COMMAND_BATCHES
#define DOCTOR    HG_COMMAND_DOCTOR
#define MODEL     HG_COMMAND_MODEL_INFO
#define BENCH     HG_COMMAND_BENCH
#define QUANTIZE  HG_COMMAND_MODEL_QUANTIZE
#define VERIFY    HG_COMMAND_MODEL_VERIFY
#define MERGE     HG_COMMAND_MODEL_MERGE
#define ADD       HG_COMMAND_TOKEN_ADD
#define TRAIN     HG_COMMAND_PLUGIN_TRAIN
#define CHOOSE    (HG_COMMAND_PLUGIN_ENABLE | HG_COMMAND_PLUGIN_ROLLBACK | HG_COMMAND_PLUGIN_REMOVE)
#define CHANGE    (CHOOSE | HG_COMMAND_PLUGIN_DISABLE | HG_COMMAND_PLUGIN_DEFAULT)
#define INTAKE    (HG_COMMAND_PLUGIN_ADD | HG_COMMAND_PLUGIN_VERIFY)
#define GATE      (INTAKE | TRAIN)
#define TOKENS    (ADD | HG_COMMAND_TOKEN_LIST | HG_COMMAND_TOKEN_REVOKE)
#define CONVERT   (QUANTIZE | VERIFY | MERGE)
#define RUNTIME   (SERVE | TRANSLATE | BENCH | DOCTOR)
#define ALL       (RUNTIME | PLUGINS | INTAKE | CHANGE | TRAIN | BATCHES | MODEL | CONVERT | TOKENS)
#define AT(name)  (unsigned)offsetof(hg_settings, name)

/* clang-format off */
static const setting table[] = {
    {"--config", "HYDRAGLOT_CONFIG", TYPE_TEXT, AT(config), "FILE", NULL, 0, 0, NULL, ALL,
     "read settings from FILE, one `name = value` a line; flags and variables win (default: none)"},
    {"--listen", "HYDRAGLOT_LISTEN", TYPE_TEXT, AT(listen), "HOST:PORT", "127.0.0.1:8080", 0, 0,
     NULL, SERVE | DOCTOR,
     "address to serve, port 0 takes a free one; beyond loopback everybody needs a token"},
    {"--allow-origin", "HYDRAGLOT_ALLOW_ORIGIN", TYPE_TEXT, AT(allow_origin), "ORIGINS", NULL, 0,
     0, NULL, SERVE,
     "pages of others that may use this service, as https://chat.example.org, with commas "
     "between; their hosts are names of ours too (default: none)",
     true},
    {"--base-path", "HYDRAGLOT_BASE_PATH", TYPE_TEXT, AT(base_path), "PATH", "/", 0, 0, NULL,
     SERVE, "serve everything below PATH, as a proxy hands it on"},
    {"--trust-proxy", "HYDRAGLOT_TRUST_PROXY", TYPE_SWITCH, AT(trust_proxy), NULL, NULL, 0, 0,
     NULL, SERVE,
     "believe X-Forwarded-Host: only where every request comes through a proxy that sets it",
     true},
    {"--tls-cert", "HYDRAGLOT_TLS_CERT", TYPE_TEXT, AT(tls_cert), "FILE", NULL, 0, 0, NULL, SERVE,
     "serve TLS with this certificate and the chain behind it, in PEM (default: no TLS)", true},
    {"--tls-key", "HYDRAGLOT_TLS_KEY", TYPE_TEXT, AT(tls_key), "FILE", NULL, 0, 0, NULL, SERVE,
     "private key of --tls-cert, in PEM without a password", true},
    {"--data", "HYDRAGLOT_DATA", TYPE_TEXT, AT(data), "DIR", NULL, 0, 0, NULL,
     RUNTIME | PLUGINS | INTAKE | CHANGE | BATCHES | TOKENS,
     "folder of the database; without it translate and bench store nothing (default: var/ of a "
     "source tree, else $XDG_DATA_HOME/hydraglot)"},
    {"--model", "HYDRAGLOT_MODEL", TYPE_TEXT, AT(model), "PATH", NULL, 0, 0, NULL,
     RUNTIME | INTAKE | TRAIN | MODEL | CONVERT,
     "folder of the base model (default: models/hydra-tiny beside the build folder)"},
    {"--plugins", "HYDRAGLOT_PLUGINS", TYPE_TEXT, AT(plugins), "DIR", NULL, 0, 0, NULL,
     RUNTIME | CONVERT,
     "folder of the plugin folders (default: plugins beside the build folder)"},
    {"--only", "HYDRAGLOT_ONLY", TYPE_TEXT, AT(only), "NAMES", NULL, 0, 0, NULL,
     SERVE | TRANSLATE | BENCH, "load only these plugins, with commas between (default: all)"},
    {"--web", "HYDRAGLOT_WEB", TYPE_TEXT, AT(web), "DIR", NULL, 0, 0, NULL, SERVE,
     "folder of the page (default: web beside the build folder)", true},
    {"--device", "HYDRAGLOT_DEVICE", TYPE_CHOICE, AT(device), "NAME", "auto", 0, 0,
     "auto|cpu|cuda", RUNTIME | GATE, "what computes: auto, cpu or cuda"},
    {"--kernel", "HYDRAGLOT_KERNEL", TYPE_TEXT, AT(kernel), "NAME", NULL, 0, 0, NULL,
     RUNTIME | GATE,
     "kernel family of the device, as `doctor` lists them (default: the best one here)"},
    {"--quantize", "HYDRAGLOT_QUANTIZE", TYPE_CHOICE, AT(quantize), "BITS", NULL, 0, 0,
     "int8|int4", RUNTIME | GATE,
     "round layers that are not quantised to int8 or int4 at load (default: the vector kernels "
     "refuse them)"},
    {"--threads", "HYDRAGLOT_THREADS", TYPE_NUMBER, AT(threads), "N", "0", 0, HG_LIMIT_WORKERS,
     NULL, RUNTIME | CONVERT | GATE, "CPU threads; 0: one for each core this process may run on"},
    {"--device-memory", "HYDRAGLOT_DEVICE_MEMORY", TYPE_BYTES, AT(device_memory_bytes), "BYTES",
     "0", 0, INT64_MAX, NULL, RUNTIME | GATE,
     "most device memory to take, as 512M or 8G; 0: on a card what the plan needs, less a reserve "
     "for others; on the processor no bound"},
    {"--lanes", "HYDRAGLOT_LANES", TYPE_NUMBER, AT(lanes), "N", "0", 0, 4096, NULL, RUNTIME,
     "lanes to make room for, each 512 tokens of KV; 0: 32, or what a card has room for"},
    {"--adapters", "HYDRAGLOT_ADAPTERS", TYPE_NUMBER, AT(adapters), "N", "0", 0, 4096, NULL,
     RUNTIME,
     "adapters of rank 16 to make room for on a card at start, others by their bytes; 0: 16, or "
     "what it has room for"},
    {"--on-device-error", "HYDRAGLOT_ON_DEVICE_ERROR", TYPE_CHOICE, AT(on_device_error), "WHAT",
     "recover", 0, 0, "recover|fallback|stop", SERVE,
     "when a card fails in service: recover opens it anew, and after some tries the processor "
     "takes over; fallback lets it take over at once; stop ends the service with exit code 1"},
    {"--cache", "HYDRAGLOT_CACHE", TYPE_BYTES, AT(cache_bytes), "BYTES", "16G", 0, INT64_MAX, NULL,
     RUNTIME, "most that cache/ of the data folder may hold of packed models; 0: keep none"},
    {"--drafts", "HYDRAGLOT_DRAFTS", TYPE_CHOICE, AT(drafts), "WHEN", "auto", 0, 0,
     "auto|always|never", SERVE | TRANSLATE | BENCH,
     "check a grown sentence's last translation several tokens a step: auto where that is likely "
     "to save time, always, or never"},
    {"--agreement", "HYDRAGLOT_AGREEMENT", TYPE_NUMBER, AT(agreement), "N", "3", 0,
     HG_LIMIT_AGREEMENT, NULL, SERVE,
     "while a sentence is typed, commit the words that the last N revisions agree on; 0: commit "
     "nothing before the final one"},
    {"--agree-after", "HYDRAGLOT_AGREE_AFTER", TYPE_NUMBER, AT(agree_after), "N", "2", 0,
     HG_LIMIT_SHOWN_WORDS, NULL, SERVE,
     "whole words of the sentence that a revision must have to count for --agreement"},
    {"--ahead", "HYDRAGLOT_AHEAD", TYPE_NUMBER, AT(ahead), "N", "1", 0, HG_LIMIT_SHOWN_WORDS, NULL,
     SERVE, "words shown beyond the committed ones while a sentence is typed"},
    {"--hold-back", "HYDRAGLOT_HOLD_BACK", TYPE_NUMBER, AT(hold_back), "N", "1", 0,
     HG_LIMIT_SHOWN_WORDS, NULL, SERVE,
     "last words of the translation that are not shown while a sentence is typed"},
    {"--likely", "HYDRAGLOT_LIKELY", TYPE_NUMBER, AT(likely), "N", "2", 0, HG_LIMIT_AGREEMENT, NULL,
     SERVE, "show beyond --ahead the words that the last N revisions agree on; 0: none"},
    {"--patience", "HYDRAGLOT_PATIENCE", TYPE_NUMBER, AT(patience), "N", "2", 0,
     HG_LIMIT_SHOWN_WORDS, NULL, SERVE,
     "revisions in a row that change more than the last word during which what is shown stays"},
    {"--log-level", "HYDRAGLOT_LOG_LEVEL", TYPE_CHOICE, AT(log_level), "LEVEL", NULL, 0, 0,
     "error|warn|info|debug", ALL,
     "error, warn, info or debug (default: info for serve, warn for the others)", true},
    {"--log-text", "HYDRAGLOT_LOG_TEXT", TYPE_SWITCH, AT(log_text), NULL, NULL, 0, 0, NULL, SERVE,
     "allow people's text in the log"},
    {"--to", NULL, TYPE_TEXT, AT(to), "TAGS", NULL, 0, 0, NULL, TRANSLATE | BENCH,
     "languages to translate into, with commas between (default: all that take the source)"},
    {"--from", NULL, TYPE_TEXT, AT(from), "TAG", "auto", 0, 0, NULL, TRANSLATE,
     "language of the text; auto: the one that most plugins take"},
    {"--from", NULL, TYPE_TEXT, AT(from), "TAG", "en", 0, 0, NULL, TRAIN,
     "language of the pairs' first sides"},
    {"--file", NULL, TYPE_TEXT, AT(file), "PATH", NULL, 0, 0, NULL, TRANSLATE,
     "read sentences from PATH, one a line"},
    {"--max-tokens", NULL, TYPE_NUMBER, AT(max_tokens), "N", "0", 0, HG_LIMIT_TOKENS, NULL,
     TRANSLATE, "most output tokens of one language; 0: the usual bound"},
    {"--scope", NULL, TYPE_TEXT, AT(scope), "SCOPES", "translate", 0, 0, NULL, ADD,
     "what the token is for: translate, metrics, admin (all of them), with commas between"},
    {"--label", NULL, TYPE_TEXT, AT(label), "TEXT", NULL, 0, 0, NULL, ADD,
     "whose the token is, for `token list` (default: nothing)"},
    {"--expires", NULL, TYPE_NUMBER, AT(expires), "DAYS", "0", 0, 36500, NULL, ADD,
     "days until the token ends; 0: never"},
    {"--rate", NULL, TYPE_NUMBER, AT(rate), "N", "0", 0, INT32_MAX, NULL, ADD,
     "lanes a minute that the token is good for; 0: no bound"},
    {"--generation", NULL, TYPE_NUMBER, AT(generation), "N", "0", 0, INT32_MAX, NULL, CHOOSE,
     "which generation; 0: the newest to enable, the earlier one that served last to go back to, "
     "all to remove"},
    {"--seen", NULL, TYPE_NUMBER, AT(seen), "N", "-1", -1, INT32_MAX, NULL, CHANGE,
     "do it only if this generation serves, 0: none; -1: whichever does"},
    {"--insist", NULL, TYPE_SWITCH, AT(insist), NULL, NULL, 0, 0, NULL, HG_COMMAND_PLUGIN_ENABLE,
     "enable it although its check failed, or there was nothing to check it with"},
    {"--count", NULL, TYPE_NUMBER, AT(count), "N", "20", 1, HG_LIMIT_DB_BATCH_ROWS, NULL, BATCHES,
     "how many of the newest batches to show"},
    {"--runs", NULL, TYPE_NUMBER, AT(runs), "N", "5", 1, 100, NULL, BENCH,
     "runs of each measurement; the median counts"},
    {"--sentences", NULL, TYPE_NUMBER, AT(sentences), "N", "16", 1, 1000, NULL, BENCH,
     "sentences of one run"},
    {"--out", NULL, TYPE_TEXT, AT(out), "DIR", NULL, 0, 0, NULL, QUANTIZE | MERGE,
     "folder that the new model gets; it must not be there yet"},
    {"--out", NULL, TYPE_TEXT, AT(out), "DIR", NULL, 0, 0, NULL, TRAIN,
     "folder that the new plugin gets; it must not be there yet"},
    {"--bits", NULL, TYPE_CHOICE, AT(bits), "N", "4", 0, 0, "4|8", QUANTIZE | MERGE,
     "bits of a quantised weight: 4 or 8"},
    {"--group", NULL, TYPE_CHOICE, AT(group), "N", NULL, 0, 0, "32|64|128", QUANTIZE | MERGE,
     "inputs that share a scale: 32, 64 or 128 (default: the largest that divides the layers)"},
    {"--method", NULL, TYPE_CHOICE, AT(method), "NAME", "rtn", 0, 0, "rtn|awq", QUANTIZE,
     "rtn rounds each weight by itself; awq scales inputs by their activations first, slowly"},
    {"--calibration", NULL, TYPE_TEXT, AT(calibration), "FILE", NULL, 0, 0, NULL, QUANTIZE,
     "text for awq (default: every second validation pair of the plugins)"},
    {"--against", NULL, TYPE_TEXT, AT(against), "PATH", NULL, 0, 0, NULL, VERIFY,
     "folder of the model to compare with: the one that counts as right"},
    {"--text", NULL, TYPE_TEXT, AT(text), "FILE", NULL, 0, 0, NULL, VERIFY,
     "text to compare on (default: the validation pairs that calibration leaves out)"},
    {"--plugin", NULL, TYPE_TEXT, AT(plugin), "NAME", NULL, 0, 0, NULL, MERGE,
     "plugin to fold in: its name among --plugins, or its folder"},
    {"--quantize", NULL, TYPE_SWITCH, AT(quantized), NULL, NULL, 0, 0, NULL, MERGE,
     "write the merged model quantised instead of as BF16"},
    {"--name", NULL, TYPE_TEXT, AT(name), "NAME", NULL, 0, 0, NULL, INTAKE | TRAIN,
     "what the plugin is called (default: what plugin.json says, or how the files are called)"},
    {"--language", NULL, TYPE_TEXT, AT(language), "TAG", NULL, 0, 0, NULL, INTAKE | TRAIN,
     "language that it translates into (default: what plugin.json or the model card says)"},
    {"--template", NULL, TYPE_TEXT, AT(template), "TEMPLATE", NULL, 0, 0, NULL, INTAKE | TRAIN,
     "prompt that it was trained with: a text with {source}, or a name that `doctor --templates` "
     "lists (default: what its files say, or the only one that fits the base)"},
    {"--sources", NULL, TYPE_TEXT, AT(sources), "TAGS", NULL, 0, 0, NULL, INTAKE,
     "languages that it translates from, with commas between (default: what plugin.json says, or "
     "en)"},
    {"--pairs", NULL, TYPE_TEXT, AT(pairs), "FILE", NULL, 0, 0, NULL, TRAIN,
     "what to learn from: a sentence, a tab and its translation a line"},
    {"--title", NULL, TYPE_TEXT, AT(title), "TEXT", NULL, 0, 0, NULL, TRAIN,
     "the language for people (default: its English name)"},
    {"--licence", NULL, TYPE_TEXT, AT(licence), "TEXT", NULL, 0, 0, NULL, TRAIN,
     "licence of the pairs, which the adapter inherits (default: not stated)"},
    {"--attribution", NULL, TYPE_TEXT, AT(attribution), "TEXT", NULL, 0, 0, NULL, TRAIN,
     "whom that licence wants named (default: nobody)"},
    {"--rank", NULL, TYPE_NUMBER, AT(rank), "N", "16", 1, HG_LIMIT_ADAPTER_RANK, NULL, TRAIN,
     "rank of the adapter"},
    {"--epochs", NULL, TYPE_NUMBER, AT(epochs), "N", "3", 1, 1000, NULL, TRAIN,
     "times that each pair is read, at most"},
    {"--minutes", NULL, TYPE_NUMBER, AT(minutes), "N", "12", 1, 100000, NULL, TRAIN,
     "most time to train for"},
    {"--python", "HYDRAGLOT_PYTHON", TYPE_TEXT, AT(python), "PATH", NULL, 0, 0, NULL, TRAIN,
     "a Python that has torch and PEFT (default: the one that `make train-deps` makes)"},
    {"--gate", NULL, TYPE_SWITCH, AT(gate), NULL, NULL, 0, 0, NULL, INTAKE,
     "translate its validation pairs too and say how good it is"},
    {"--gate-chrf", "HYDRAGLOT_GATE_CHRF", TYPE_NUMBER, AT(gate_chrf), "N", "20", 0, 100, NULL,
     GATE, "chrF that a plugin must reach on its validation pairs to be ready"},
    {"--gate-faults", "HYDRAGLOT_GATE_FAULTS", TYPE_NUMBER, AT(gate_faults), "PERCENT", "10", 0,
     100, NULL, GATE,
     "share of the pairs that may be copied, empty, endless, answered, in a wrong language or lose "
     "placeholders, each kind by itself"},
    {"--shape", NULL, TYPE_CHOICE, AT(shape), "NAME", NULL, 0, 0, "tiny|135m|1b|8b", BENCH,
     "steps of a random model of this shape instead, made in memory: tiny (hydra-tiny's), 135m "
     "(SmolLM2), 1b, 8b (Llama 3; takes some 6 GB)"},
    {"--shape", NULL, TYPE_CHOICE, AT(shape), "NAME", NULL, 0, 0, "tiny|135m|1b|8b", DOCTOR,
     "with --plan: an INT4 model of this shape instead of --model"},
    {"--full", NULL, TYPE_SWITCH, AT(full), NULL, NULL, 0, 0, NULL, BENCH,
     "every rank at every number of lanes, and more sentences"},
    {"--json", NULL, TYPE_SWITCH, AT(json), NULL, NULL, 0, 0, NULL, ALL & ~SERVE,
     "print JSON, one object a line"},
    {"--plan", NULL, TYPE_SWITCH, AT(plan), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print what of --model fits on cards of 8 to 24 GB, and on the one here, loading nothing"},
    {"--limits", NULL, TYPE_SWITCH, AT(limits), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of limits instead, as Markdown"},
    {"--settings", NULL, TYPE_SWITCH, AT(settings), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of settings instead, as Markdown"},
    {"--metrics", NULL, TYPE_SWITCH, AT(metrics), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of metrics instead, as Markdown"},
    {"--codes", NULL, TYPE_SWITCH, AT(codes), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of error codes instead, as Markdown"},
    {"--templates", NULL, TYPE_SWITCH, AT(templates), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of prompt templates instead, as Markdown"},
    {"--asyncapi", NULL, TYPE_SWITCH, AT(asyncapi), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the websocket's messages instead, as AsyncAPI 3.0"},
    {"--rules", NULL, TYPE_SWITCH, AT(rules), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the table of text rules instead, as Markdown"},
    {"--plugin-schema", NULL, TYPE_SWITCH, AT(plugin_schema), NULL, NULL, 0, 0, NULL, DOCTOR,
     "print the form of plugin.json instead, as JSON Schema"},
    {"--help", NULL, TYPE_SWITCH, AT(help), NULL, NULL, 0, 0, NULL, ALL, "print this"},
};
/* clang-format on */

#define ROWS ((int)(sizeof table / sizeof *table))

/* ---- values ---- */

/* Where a value came from, for messages: "--threads" or "HYDRAGLOT_THREADS". */
typedef struct source {
    const setting *row;
    const char *name;
} source;

static hg_status bad_value(source from, const char *text, const char *expected, hg_error *error)
{
    return hg_fail(error, HG_ERROR_ARGUMENT, "%s: \"%s\" is not %s", from.name, text, expected);
}

static hg_status parse_number(source from, const char *text, int64_t *out, hg_error *error)
{
    char *end, expected[96];
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < from.row->low || value > from.row->high) {
        snprintf(expected, sizeof expected, "a number from %" PRId64 " to %" PRId64, from.row->low,
                 from.row->high);
        return bad_value(from, text, expected, error);
    }
    *out = value;
    return HG_OK;
}

/* "8G", "512M", "1000": powers of 1024. */
static hg_status parse_bytes(source from, const char *text, int64_t *out, hg_error *error)
{
    static const char units[] = "KMGT";
    static const char expected[] = "a size such as 1000000, 512M or 8G";
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || value < 0) return bad_value(from, text, expected, error);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    if (*end && (!unit || end[1])) return bad_value(from, text, expected, error);
    for (int i = 0; unit && i <= unit - units; i++) {
        if (value > INT64_MAX / 1024) return bad_value(from, text, expected, error);
        value *= 1024;
    }
    *out = value;
    return HG_OK;
}

static bool is_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        if (*at == '|') at++;
        if (strncmp(at, word, length) == 0 && (at[length] == '|' || !at[length])) return length > 0;
    }
    return false;
}

static hg_status parse_switch(source from, const char *text, bool *out, hg_error *error)
{
    *out = strcmp(text, "1") == 0;
    if (*out || strcmp(text, "0") == 0) return HG_OK;
    return bad_value(from, text, "1 or 0", error);
}

static hg_status set(hg_settings *out, source from, const char *text, hg_error *error)
{
    void *at = (char *)out + from.row->offset;
    switch (from.row->type) {
    case TYPE_NUMBER: return parse_number(from, text, at, error);
    case TYPE_BYTES: return parse_bytes(from, text, at, error);
    case TYPE_SWITCH: return parse_switch(from, text, at, error);
    case TYPE_CHOICE:
        if (!is_choice(from.row->choices, text))
            return bad_value(from, text, from.row->choices, error);
        break;
    case TYPE_TEXT:
        if (!text[0]) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: the value is empty", from.name);
        break;
    }
    *(const char **)at = text;
    if (from.row->offset == AT(data)) out->data_given = true;
    return HG_OK;
}

static hg_status set_presets(hg_settings *out, hg_error *error)
{
    hg_status status = hg_paths_default(out, error);
    for (int i = 0; i < ROWS && !status; i++) {
        const setting *row = &table[i];
        if (row->preset) status = set(out, (source){row, row->flag}, row->preset, error);
        assert(!status); /* the table's own values are good */
    }
    return status;
}

static hg_status set_variables(hg_settings *out, unsigned command, hg_error *error)
{
    hg_status status = HG_OK;
    for (int i = 0; i < ROWS && !status; i++) {
        const setting *row = &table[i];
        const char *text = row->variable && row->commands & command ? getenv(row->variable) : NULL;
        if (text && *text) status = set(out, (source){row, row->variable}, text, error);
    }
    return status;
}

/* Where the file's lines go. */
typedef struct config_reader {
    hg_settings *out;
    unsigned command;
    char name[HG_PATH_MAX + 64]; /* of the line, for messages */
} config_reader;

/* One line of the file. What has a variable may stand there; what the command does not take is left
 * alone, so that one file serves them all. */
static hg_status set_line(void *context, const char *place, const char *name, const char *value,
                          hg_error *error)
{
    const char *known[ROWS];
    int count = 0;
    config_reader *reader = context;
    for (int i = 0; i < ROWS; i++) {
        const setting *row = &table[i];
        if (!row->variable || row->offset == AT(config)) continue;
        known[count++] = row->flag + 2;
        if (strcmp(row->flag + 2, name) != 0) continue;
        if (!(row->commands & reader->command)) return HG_OK;
        snprintf(reader->name, sizeof reader->name, "%s: %s", place, name);
        return set(reader->out, (source){row, reader->name}, value, error);
    }
    const char *nearest = hg_nearest(name, known, count);
    if (!nearest) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: no setting \"%s\"", place, name);
    return hg_fail(error, HG_ERROR_ARGUMENT, "%s: no setting \"%s\"; did you mean %s?", place, name,
                   nearest);
}

/* ---- flags ---- */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance of two short words, one row of the matrix at a time. */
static int edits(const char *a, const char *b)
{
    int row[33], length = (int)strlen(b);
    if (length > 32 || strlen(a) > 32) return 33;
    for (int j = 0; j <= length; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= length; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(change, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

const char *hg_nearest(const char *word, const char *const *known, int count)
{
    const char *best = NULL;
    int fewest = (int)strlen(word) / 2 + 1; /* more edits than this, and it is another word */
    for (int i = 0; i < count; i++) {
        int distance = edits(word, known[i]);
        if (distance < fewest) {
            fewest = distance;
            best = known[i];
        }
    }
    return best;
}

static hg_status unknown_flag(unsigned command, const char *flag, hg_error *error)
{
    const char *known[ROWS];
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        if (table[i].commands & command) known[count++] = table[i].flag;
        if (strcmp(table[i].flag, flag) == 0)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "%s: this command does not take it; see --help", flag);
    }
    const char *nearest = hg_nearest(flag, known, count);
    if (!nearest) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: no such flag; see --help", flag);
    return hg_fail(error, HG_ERROR_ARGUMENT, "%s: no such flag; did you mean %s?", flag, nearest);
}

static const setting *find_flag(unsigned command, const char *flag)
{
    for (int i = 0; i < ROWS; i++)
        if (table[i].commands & command && strcmp(table[i].flag, flag) == 0) return &table[i];
    return NULL;
}

/* One flag, "--name value" or "--name=value"; *at moves over a value that stands apart. */
static hg_status parse_flag(hg_settings *out, unsigned command, int count, char *const *argument,
                            int *at, hg_error *error)
{
    char flag[64];
    const char *text = argument[*at], *equals = strchr(text, '=');
    if (strcmp(text, "-h") == 0) text = "--help";
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(flag, sizeof flag, "%.*s", (int)(length < 63 ? length : 63), text);
    const setting *row = find_flag(command, flag);
    if (!row) return unknown_flag(command, flag, error);
    source from = {row, row->flag};
    if (row->type == TYPE_SWITCH) {
        if (equals) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: takes no value", flag);
        return set(out, from, "1", error);
    }
    if (equals) return set(out, from, equals + 1, error);
    if (*at + 1 >= count)
        return hg_fail(error, HG_ERROR_ARGUMENT, "%s: the value %s is missing", flag, row->value);
    return set(out, from, argument[++*at], error);
}

/* Variables, then flags and words. */
static hg_status set_given(hg_settings *out, hg_command_bit command, int count,
                           char *const *argument, hg_error *error)
{
    bool flags = true;
    out->words = 0;
    hg_status status = set_variables(out, command, error);
    for (int i = 0; i < count && !status; i++) {
        const char *text = argument[i];
        if (flags && strcmp(text, "--") == 0)
            flags = false;
        else if (flags && text[0] == '-' && text[1])
            status = parse_flag(out, command, count, argument, &i, error);
        else
            out->word_room[out->words++] = text;
    }
    return status;
}

/* What is given says which file to read; what the file says is set below what is given. */
hg_status hg_settings_parse(hg_settings *out, hg_command_bit command, int count,
                            char *const *argument, hg_error *error)
{
    memset(out, 0, sizeof *out);
    out->config_text = hg_buf_new(HG_LIMIT_CONFIG);
    out->argument = argument;
    out->arguments = count;
    out->word_room = calloc((size_t)count + 1, sizeof *out->word_room);
    if (!out->word_room) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    out->word = out->word_room;
    hg_status status = set_presets(out, error);
    if (!status) status = set_given(out, command, count, argument, error);
    if (status || !out->config) return status;
    config_reader reader = {.out = out, .command = command};
    status = hg_config_each(out->config, &out->config_text, set_line, &reader, error);
    return status ? status : set_given(out, command, count, argument, error);
}

/* Whether a setting has the same value in both. */
static bool same(const setting *row, const hg_settings *a, const hg_settings *b)
{
    const void *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
    if (row->type == TYPE_SWITCH) return *(const bool *)x == *(const bool *)y;
    if (row->type == TYPE_NUMBER || row->type == TYPE_BYTES)
        return *(const int64_t *)x == *(const int64_t *)y;
    const char *left = *(const char *const *)x, *right = *(const char *const *)y;
    return left == right || (left && right && strcmp(left, right) == 0);
}

void hg_settings_changed(const hg_settings *from, const hg_settings *to, hg_command_bit command,
                         bool live, char *out, size_t size)
{
    size_t used = 0;
    *out = '\0';
    for (int i = 0; i < ROWS; i++) {
        const setting *row = &table[i];
        if (!(row->commands & command) || row->live != live || same(row, from, to)) continue;
        if (used >= size) return;
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", row->flag);
    }
}

void hg_settings_free(hg_settings *settings)
{
    hg_buf_free(&settings->config_text);
    free(settings->word_room);
    settings->word_room = NULL;
}

/* ---- printing ---- */

void hg_settings_print_help(FILE *out, hg_command_bit command)
{
    for (int i = 0; i < ROWS; i++) {
        const setting *row = &table[i];
        if (!(row->commands & (unsigned)command)) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", row->flag, row->value ? " " : "",
                 row->value ? row->value : "");
        fprintf(out, "  %-24s %s", left, row->help);
        if (row->preset) fprintf(out, " (default: %s)", row->preset);
        fputc('\n', out);
    }
}

static void print_default(FILE *out, const setting *row)
{
    if (row->preset)
        fprintf(out, "`%s`", row->preset);
    else
        fputs(row->type == TYPE_SWITCH ? "off" : "see help", out);
}

void hg_settings_print_markdown(FILE *out)
{
    fputs("| flag | environment | default | on SIGHUP | what it sets |\n|---|---|---|---|---|\n",
          out);
    for (int i = 0; i < ROWS; i++) {
        const setting *row = &table[i];
        fprintf(out, "| `%s%s%s` | ", row->flag, row->value ? " " : "",
                row->value ? row->value : "");
        if (row->variable) fprintf(out, "`%s`", row->variable);
        fputs(" | ", out);
        print_default(out, row);
        fprintf(out, " | %s | %s |\n", row->live ? "yes" : "", row->help);
    }
}
