/* markup.c: a tokeniser for the HTML that chat programs and editors write, and the decisions what
 * is a border, what is inline and what nobody may touch. */
#include "core/text/markup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#define NAME_MAX_BYTES 16   /* of a tag's name; longer ones are unknown, so inline */
#define TAG_MAX        4096 /* bytes; more is text: looking for an end must not take for ever */
#define CONTENT_MAX    64   /* bytes of a kept element that a sentence still runs through */

typedef struct reader {
    const char *source;
    size_t bytes, at;
    hg_run run;
    bool words;
    hg_status (*take)(const hg_run *run, void *context);
    void *context;
} reader;

typedef struct tag {
    char name[NAME_MAX_BYTES]; /* lower case */
    size_t start, end;         /* bytes of the source; end: behind '>' */
    bool closes, empty;        /* empty: "<x/>" */
    bool kept;                 /* nothing inside is translated */
} tag;

static bool is_among(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

static const char *const block_tags[] = {
    "address",    "article", "aside",   "blockquote", "body",   "br",    "button", "caption",
    "center",     "dd",      "details", "dialog",     "div",    "dl",    "dt",     "fieldset",
    "figcaption", "figure",  "footer",  "form",       "h1",     "h2",    "h3",     "h4",
    "h5",         "h6",      "head",    "header",     "hr",     "html",  "iframe", "legend",
    "li",         "main",    "menu",    "nav",        "object", "ol",    "option", "p",
    "section",    "select",  "summary", "table",      "tbody",  "td",    "tfoot",  "th",
    "thead",      "title",   "tr",      "ul",         "video",  "audio", NULL};
static const char *const kept_tags[] = {"code", "kbd",   "samp",     "var",      "pre", "script",
                                        "math", "style", "textarea", "noscript", "svg", NULL};
static const char *const void_tags[] = {"area", "base", "br",    "col",   "embed",  "hr",  "img",
                                        "link", "meta", "input", "param", "source", "wbr", NULL};

/* ---- the run ---- */

static hg_status add_byte(hg_run *run, char c, size_t from, size_t to)
{
    if (run->bytes == run->room) {
        uint32_t room = run->room ? run->room * 2 : 256;
        char *text = realloc(run->text, room);
        if (text) run->text = text;
        uint32_t *starts = realloc(run->from, room * sizeof *starts);
        if (starts) run->from = starts;
        uint32_t *ends = realloc(run->to, room * sizeof *ends);
        if (ends) run->to = ends;
        if (!text || !starts || !ends) return HG_ERROR_MEMORY;
        run->room = room;
    }
    run->text[run->bytes] = c;
    run->from[run->bytes] = (uint32_t)from;
    run->to[run->bytes++] = (uint32_t)to;
    return HG_OK;
}

static hg_status add_mark(hg_run *run, const hg_mark *mark)
{
    if (run->marks == run->marks_room) {
        uint32_t room = run->marks_room ? run->marks_room * 2 : 16;
        hg_mark *grown = realloc(run->mark, room * sizeof *grown);
        if (!grown) return HG_ERROR_MEMORY;
        run->mark = grown;
        run->marks_room = room;
    }
    run->mark[run->marks++] = *mark;
    return HG_OK;
}

/* A character that source [from, to) stands for. */
static hg_status add_character(reader *r, UChar32 c, size_t from, size_t to)
{
    char bytes[U8_MAX_LENGTH];
    int count = 0;
    hg_run *run = &r->run;
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
        if (!run->bytes || run->text[run->bytes - 1] == ' ') return HG_OK;
        return add_byte(run, ' ', from, to);
    }
    r->words |= u_isalnum(c);
    U8_APPEND_UNSAFE(bytes, count, c);
    hg_status status = HG_OK;
    for (int i = 0; i < count && !status; i++) status = add_byte(run, bytes[i], from, to);
    return status;
}

static hg_status end_run(reader *r)
{
    hg_status status = r->words ? r->take(&r->run, r->context) : HG_OK;
    r->run.bytes = r->run.marks = 0;
    r->words = false;
    return status;
}

/* ---- text ---- */

static const struct {
    const char *name;
    UChar32 c;
} entities[] = {{"amp", '&'},      {"lt", '<'},       {"gt", '>'},        {"quot", '"'},
                {"apos", '\''},    {"nbsp", 0xA0},    {"hellip", 0x2026}, {"ndash", 0x2013},
                {"mdash", 0x2014}, {"laquo", 0xAB},   {"raquo", 0xBB},    {"copy", 0xA9},
                {"euro", 0x20AC},  {"rsquo", 0x2019}, {"lsquo", 0x2018},  {"ldquo", 0x201C},
                {"rdquo", 0x201D}, {"deg", 0xB0},     {"middot", 0xB7},   {"reg", 0xAE}};

/* The character of "&name;" at text [count], or -1; *length is of all of it. */
static UChar32 entity_at(const char *text, size_t count, size_t *length)
{
    size_t end = 1;
    while (end < count && end < 12 && (isalnum((unsigned char)text[end]) || text[end] == '#'))
        end++;
    if (end >= count || text[end] != ';' || end < 2) return -1;
    *length = end + 1;
    if (text[1] == '#') {
        bool hex = text[2] == 'x' || text[2] == 'X';
        char *rest;
        long c = strtol(text + 2 + hex, &rest, hex ? 16 : 10);
        bool good = rest == text + end && c > 0 && c <= 0x10FFFF && !U_IS_SURROGATE(c);
        return good ? (UChar32)c : -1;
    }
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (strlen(entities[i].name) == end - 1 && !memcmp(entities[i].name, text + 1, end - 1))
            return entities[i].c;
    return -1;
}

/* What stays byte for byte at source [start, end) and reads as content [count]. */
static hg_status add_kept(reader *r, size_t start, size_t end, const char *content, size_t count)
{
    hg_mark mark = {start, end - start, r->run.bytes, (uint32_t)count, false};
    hg_status status = add_mark(&r->run, &mark);
    for (size_t i = 0; i < count && !status; i++)
        status = add_byte(&r->run, content[i], start, end);
    return status;
}

/* Bytes of a named entity that nobody here knows; 0: it is none. */
static size_t unknown_entity(const char *text, size_t count)
{
    size_t end = 1;
    while (end < count && end < 32 && isalnum((unsigned char)text[end])) end++;
    return end > 1 && end < count && text[end] == ';' ? end + 1 : 0;
}

static hg_status read_character(reader *r)
{
    size_t start = r->at, length = 0;
    const char *text = r->source + start;
    UChar32 c = *text == '&' ? entity_at(text, r->bytes - start, &length) : -1;
    if (c < 0 && *text == '&') {
        length = unknown_entity(text, r->bytes - start);
        r->at += length;
        if (length) return add_kept(r, start, r->at, text, length);
    }
    if (c >= 0)
        r->at += length;
    else
        U8_NEXT_UNSAFE(r->source, r->at, c);
    return add_character(r, c, start, r->at);
}

/* ---- tags ---- */

typedef struct attribute {
    const char *name, *value; /* in the tag's text; no value is an empty one */
    size_t name_bytes, value_bytes;
} attribute;

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at)) at++;
    return at;
}

/* From *at on, which moves behind it; false: there is none any more. */
static bool next_attribute(const char **at, const char *end, attribute *out)
{
    const char *p = *at;
    while (p < end && (isspace((unsigned char)*p) || *p == '/' || *p == '=')) p++;
    out->name = p;
    while (p < end && !isspace((unsigned char)*p) && *p != '=' && *p != '/' && *p != '>') p++;
    out->name_bytes = (size_t)(p - out->name);
    out->value = *at = p;
    out->value_bytes = 0;
    if (!out->name_bytes) return false;
    p = skip_space(p, end);
    if (p == end || *p != '=') return true;
    p = skip_space(p + 1, end);
    const char quote = p < end && (*p == '"' || *p == '\'') ? *p++ : '\0';
    out->value = p;
    while (p < end && (quote ? *p != quote : !isspace((unsigned char)*p) && *p != '>')) p++;
    out->value_bytes = (size_t)(p - out->value);
    *at = p + (quote && p < end);
    return true;
}

static bool has_word(const char *text, size_t count, const char *word)
{
    const char *end = text + count;
    for (const char *at = text; (at = skip_space(at, end)) < end;) {
        const char *start = at;
        while (at < end && !isspace((unsigned char)*at)) at++;
        if ((size_t)(at - start) == strlen(word) && !memcmp(start, word, strlen(word))) return true;
    }
    return false;
}

/* Whether the tag's text says class="... notranslate ..." or translate="no". */
static bool says_keep(const char *text, size_t count)
{
    attribute a;
    for (const char *at = text + 1; next_attribute(&at, text + count, &a);) {
        if (a.name_bytes == 5 && !strncasecmp(a.name, "class", 5) &&
            has_word(a.value, a.value_bytes, "notranslate"))
            return true;
        if (a.name_bytes == 9 && !strncasecmp(a.name, "translate", 9) && a.value_bytes == 2 &&
            !strncasecmp(a.value, "no", 2))
            return true;
    }
    return false;
}

/* Behind the '>' that ends the tag at start; quoted values may have one. 0: none does. */
static size_t tag_end(const reader *r, size_t start)
{
    char quote = 0;
    size_t most = r->bytes - start < TAG_MAX ? r->bytes : start + TAG_MAX;
    for (size_t at = start + 1; at < most; at++) {
        char c = r->source[at];
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            return at + 1;
        }
    }
    return 0;
}

/* The tag at r->at, which is '<'; false: it is none, but text. Comments and <!...> have no name. */
static bool read_tag(const reader *r, tag *out)
{
    const char *text = r->source + r->at;
    *out = (tag){.start = r->at};
    size_t left = r->bytes - r->at, at = 1;
    if (left > 3 && memcmp(text, "<!--", 4) == 0) {
        const char *end = memmem(text + 4, left - 4, "-->", 3);
        out->end = end ? (size_t)(end - r->source) + 3 : r->bytes;
        return true;
    }
    out->closes = left > 1 && text[1] == '/';
    at += out->closes;
    bool named = at < left && isalpha((unsigned char)text[at]);
    if (!named && !(left > 1 && (text[1] == '!' || text[1] == '?'))) return false;
    for (size_t n = 0; at < left && isalnum((unsigned char)text[at]); at++, n++)
        if (n < sizeof out->name - 1) out->name[n] = (char)tolower((unsigned char)text[at]);
    out->end = tag_end(r, r->at);
    if (!out->end) return false;
    out->empty = r->source[out->end - 2] == '/' || is_among(out->name, void_tags);
    out->kept = !out->closes && !out->empty &&
                (is_among(out->name, kept_tags) || says_keep(text, out->end - out->start));
    return true;
}

/* Behind the end tag of the element that open begins; elements of its name nest. */
static size_t element_end(const reader *r, const tag *open)
{
    reader inner = {.source = r->source, .bytes = r->bytes, .at = open->end};
    tag t;
    int depth = 1;
    while (inner.at < inner.bytes) {
        const char *next = memchr(r->source + inner.at, '<', r->bytes - inner.at);
        if (!next) break;
        inner.at = (size_t)(next - r->source);
        bool is_tag = read_tag(&inner, &t);
        inner.at = is_tag ? t.end : inner.at + 1;
        if (!is_tag || strcmp(t.name, open->name) != 0 || t.empty) continue;
        depth += t.closes ? -1 : 1;
        if (!depth) return inner.at;
    }
    return r->bytes;
}

/* The text of source [from, to) without its tags, as it would read, into out; its bytes, or
 * CONTENT_MAX + 1 for more than fit. */
static size_t plain_content(const reader *r, size_t from, size_t to, char out[CONTENT_MAX + 8])
{
    reader inner = {.source = r->source, .bytes = to, .at = from};
    tag t;
    int count = 0;
    while (inner.at < to && count <= CONTENT_MAX) {
        size_t length;
        const char *text = r->source + inner.at;
        if (*text == '<' && read_tag(&inner, &t)) {
            inner.at = t.end;
            continue;
        }
        UChar32 c = *text == '&' ? entity_at(text, to - inner.at, &length) : -1;
        if (c >= 0)
            inner.at += length;
        else
            U8_NEXT_UNSAFE(r->source, inner.at, c);
        U8_APPEND_UNSAFE(out, count, c);
    }
    return (size_t)count;
}

/* An element that stays byte for byte: a word of the sentence when it is short, else a border. */
static hg_status read_kept(reader *r, const tag *open)
{
    char content[CONTENT_MAX + 8];
    size_t end = element_end(r, open);
    size_t from = open->end, to = end;
    while (to > from && r->source[to - 1] != '<') to--; /* before its end tag */
    if (to > from) to--;
    size_t count = plain_content(r, from, to, content);
    r->at = end;
    if (count > CONTENT_MAX || memchr(content, '\n', count)) return end_run(r);
    return add_kept(r, open->start, end, content, count);
}

static hg_status read_markup(reader *r)
{
    tag t;
    if (!read_tag(r, &t)) return read_character(r);
    if (t.kept) return read_kept(r, &t);
    r->at = t.end;
    if (is_among(t.name, block_tags)) return end_run(r);
    hg_mark mark = {t.start, t.end - t.start, r->run.bytes, 0, t.closes};
    return add_mark(&r->run, &mark);
}

hg_status hg_markup_read(const char *source, size_t bytes,
                         hg_status (*take)(const hg_run *run, void *context), void *context)
{
    reader r = {.source = source, .bytes = bytes, .take = take, .context = context};
    hg_status status = bytes < UINT32_MAX ? HG_OK : HG_ERROR_LIMIT;
    while (r.at < bytes && !status)
        status = source[r.at] == '<' ? read_markup(&r) : read_character(&r);
    if (!status) status = end_run(&r);
    free(r.run.text);
    free(r.run.from);
    free(r.run.to);
    free(r.run.mark);
    return status;
}
