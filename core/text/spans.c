/* spans.c: one reader for each kind of span; the first that knows what stands at a place has it.
 * The order is that of `readers`. See spans.h. */
#include "core/text/spans.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#define SPAN_MAX 1024   /* bytes in which an end is looked for, so that no text costs its square */
#define CLOSERS  8      /* Markdown signs that are open at once */
#define UNSPACED 0x0E00 /* Thai; Han and Kana come later: no spaces between words from here on */

typedef struct scan {
    const char *text;
    size_t bytes, at;
    const hg_terms *terms;
    hg_protected found;           /* by a reader: count, kind, term */
    hg_protected closer[CLOSERS]; /* [closers] Markdown signs to come */
    uint32_t closers;
} scan;

void hg_protected_free(hg_protected_list *list)
{
    free(list->span);
    *list = (hg_protected_list){0};
}

static hg_status append(hg_protected_list *list, const hg_protected *span)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 8;
        hg_protected *grown = realloc(list->span, capacity * sizeof *grown);
        if (!grown) return HG_ERROR_MEMORY;
        list->span = grown;
        list->capacity = capacity;
    }
    list->span[list->count++] = *span;
    return HG_OK;
}

const hg_protected *hg_protected_at(const hg_protected_list *list, size_t at)
{
    uint32_t low = 0, high = list->count; /* the first that ends behind at */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (list->span[middle].start + list->span[middle].count > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low < list->count && list->span[low].start <= at ? &list->span[low] : NULL;
}

/* ---- characters ---- */

static UChar32 char_at(const scan *s, size_t at)
{
    UChar32 c = 0;
    if (at < s->bytes) U8_NEXT_UNSAFE(s->text, at, c);
    return c;
}

static UChar32 char_before(const scan *s, size_t at)
{
    UChar32 c = 0;
    if (at) U8_PREV_UNSAFE(s->text, at, c);
    return c;
}

/* Of a word in a script with spaces. */
static bool is_word(UChar32 c)
{
    return c == '_' || (c < UNSPACED && u_isalnum(c));
}

static bool is_space(UChar32 c)
{
    return !c || u_isUWhiteSpace(c);
}

bool hg_text_in_word(const char *text, size_t at, size_t bytes)
{
    UChar32 before, after;
    size_t left = at, right = at;
    if (!at || at >= bytes) return false;
    U8_PREV_UNSAFE(text, left, before);
    U8_NEXT_UNSAFE(text, right, after);
    if (u_isdigit(before) && u_isdigit(after)) return true;
    return is_word(before) && is_word(after);
}

size_t hg_text_begins(const char *text, size_t bytes, const char *word)
{
    const size_t length = strlen(word);
    size_t at = 0, i = 0;
    while (i < length) {
        UChar32 a, b;
        if (at >= bytes) return 0;
        U8_NEXT_UNSAFE(text, at, a);
        U8_NEXT_UNSAFE(word, i, b);
        if (u_foldCase(a, U_FOLD_CASE_DEFAULT) != u_foldCase(b, U_FOLD_CASE_DEFAULT)) return 0;
    }
    return at;
}

/* Bytes from `at` on that are ASCII letters, digits or one of more; at most SPAN_MAX. */
static size_t ascii_run(const scan *s, size_t at, const char *more)
{
    size_t n = 0;
    while (at + n < s->bytes && n < SPAN_MAX) {
        unsigned char c = (unsigned char)s->text[at + n];
        if (c >= 0x80 || (!isalnum(c) && (!c || !strchr(more, c)))) break;
        n++;
    }
    return n;
}

/* Where needle [1 byte] stands next on the line behind `at`; 0: nowhere near. */
static size_t on_line(const scan *s, size_t at, char needle)
{
    for (size_t end = at + SPAN_MAX; at < s->bytes && at < end && s->text[at] != '\n'; at++)
        if (s->text[at] == needle) return at;
    return 0;
}

static bool take(scan *s, hg_protected_kind kind, size_t count)
{
    if (!count) return false;
    s->found = (hg_protected){.start = s->at, .count = count, .kind = kind};
    return true;
}

/* ---- code, tags, placeholders ---- */

/* How often c stands there; at most SPAN_MAX times. */
static size_t run_of(const scan *s, size_t at, char c)
{
    size_t n = 0;
    while (at + n < s->bytes && n < SPAN_MAX && s->text[at + n] == c) n++;
    return n;
}

/* Backticks to as many backticks; three of them may hold lines. */
static bool read_code(scan *s)
{
    const size_t ticks = run_of(s, s->at, '`'), from = s->at + ticks;
    if (!ticks) return false;
    for (size_t at = from, n; at < s->bytes && at < from + SPAN_MAX; at += n) {
        n = run_of(s, at, '`');
        if (n == ticks && at > from) return take(s, HG_PROTECTED_NAME, at + n - s->at);
        if (ticks < 3 && s->text[at] == '\n') return false;
        n += !n;
    }
    return false;
}

static bool read_tag(scan *s)
{
    const char *text = s->text + s->at;
    const size_t left = s->bytes - s->at;
    if (*text != '<' || left < 3) return false;
    if (left >= 7 && memcmp(text, "<!--", 4) == 0) {
        const char *end = memmem(text + 4, left - 4 < SPAN_MAX ? left - 4 : SPAN_MAX, "-->", 3);
        return end && take(s, HG_PROTECTED_ALONE, (size_t)(end - text) + 3);
    }
    const bool closes = text[1] == '/';
    if (!isalpha((unsigned char)text[1 + closes])) return false;
    const size_t name = ascii_run(s, s->at + 1 + closes, "-:"), next = 1 + closes + name;
    if (next >= left || !strchr(" \t/>", text[next])) return false;
    const size_t end = on_line(s, s->at + next, '>');
    if (!end || memchr(text + 1, '<', end - s->at - 1)) return false;
    const bool empty = s->text[end - 1] == '/' || (name == 2 && !strncasecmp(text + 1, "br", 2)) ||
                       (name == 3 && !strncasecmp(text + 1, "img", 3));
    return take(s,
                closes  ? HG_PROTECTED_CLOSES
                : empty ? HG_PROTECTED_ALONE
                        : HG_PROTECTED_OPENS,
                end + 1 - s->at);
}

/* Whether a placeholder's name says that it stands for a number. */
static bool names_number(const char *name, size_t count)
{
    static const char *const words[] = {"count", "n", "num", "number", "total", "amount"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == count && strncasecmp(name, words[i], count) == 0) return true;
    return false;
}

/* {name}, {{name}}, ${name}: a short name without spaces (but beside it in double braces). */
static size_t braced(const scan *s, bool *number)
{
    size_t at = s->at + (s->text[s->at] == '$');
    const size_t braces = run_of(s, at, '{');
    if (braces < 1 || braces > 2) return 0;
    at += braces;
    while (braces == 2 && at < s->bytes && s->text[at] == ' ') at++;
    const size_t name = ascii_run(s, at, "_.-:[]#,|!?");
    *number = names_number(s->text + at, name);
    at += name;
    while (braces == 2 && at < s->bytes && s->text[at] == ' ') at++;
    return name && name <= 64 && run_of(s, at, '}') >= braces ? at + braces - s->at : 0;
}

/* %s, %d, %1$s, %.2f, %(name)s, %@ */
static size_t percent(const scan *s, bool *number)
{
    size_t at = s->at + 1;
    if (s->text[s->at] != '%' || at >= s->bytes) return 0;
    if (s->text[at] == '(') {
        const size_t name = ascii_run(s, at + 1, "_");
        if (!name || char_at(s, at + 1 + name) != ')') return 0;
        *number = names_number(s->text + at + 1, name);
        at += name + 2;
    }
    while (at < s->bytes && (isdigit((unsigned char)s->text[at]) || strchr("$.", s->text[at])))
        at++;
    if (at >= s->bytes || !strchr("sdiuf@", s->text[at]) || is_word(char_at(s, at + 1))) return 0;
    *number |= strchr("diuf", s->text[at]) != NULL;
    return at + 1 - s->at;
}

static bool read_placeholder(scan *s)
{
    bool number = false;
    size_t count = braced(s, &number);
    if (!count) count = percent(s, &number);
    return take(s, number ? HG_PROTECTED_NUMBER : HG_PROTECTED_NAME, count);
}

/* ---- addresses ---- */

/* Bytes of a URL's rest from `at` on, without the marks that end a sentence. */
static size_t url_rest(const scan *s, size_t at)
{
    const size_t from = at;
    size_t open = 0, closed = 0, next = at;
    while (at < s->bytes) {
        UChar32 c;
        U8_NEXT_UNSAFE(s->text, next, c);
        if (c >= 0x80 ? !is_word(c) : c <= ' ' || c == 0x7F || strchr("<>\"{}|\\^`", (int)c)) break;
        open += c == '(';
        closed += c == ')';
        at = next;
    }
    for (; at > from; at--) {
        const char last = s->text[at - 1];
        if (last == ')' && closed <= open) break;
        if (!last || !strchr(".,;:!?'*_~)]", last)) break;
        closed -= last == ')';
    }
    return at - from;
}

/* Bytes of a host with a top-level domain at `at`: known ones only unless any is true, for
 * "end.Next" is none. */
static size_t host(const scan *s, size_t at, bool any)
{
    static const char *const tops[] = {"com",  "org", "net", "edu", "gov", "io", "dev", "app",
                                       "info", "eu",  "uk",  "de",  "fr",  "es", "nl",  "ru",
                                       "se",   "tr",  "jp",  "cn",  "us",  "ch", "at",  NULL};
    size_t count = ascii_run(s, at, ".-");
    while (count && strchr(".-", s->text[at + count - 1])) count--;
    size_t top = count;
    while (top && s->text[at + top - 1] != '.') top--;
    if (top < 2 || is_word(char_at(s, at + count)) || memmem(s->text + at, count, "..", 2))
        return 0;
    for (size_t i = top; i < count; i++)
        if (!isalpha((unsigned char)s->text[at + i])) return 0;
    for (const char *const *t = tops; *t && !any; t++)
        if (strlen(*t) == count - top && memcmp(*t, s->text + at + top, count - top) == 0)
            any = true;
    return any && count - top >= 2 ? count : 0;
}

static bool read_url(scan *s)
{
    const size_t left = s->bytes - s->at;
    const char *text = s->text + s->at;
    size_t scheme = isalpha((unsigned char)*text) ? ascii_run(s, s->at, "+.-") : 0;
    size_t from = 0;
    if (scheme && scheme < 16 && left > scheme + 3 && memcmp(text + scheme, "://", 3) == 0)
        from = scheme + 3;
    else if (left > 7 && strncasecmp(text, "mailto:", 7) == 0)
        from = 7;
    else if (left > 4 && strncasecmp(text, "www.", 4) == 0)
        from = 4;
    if (from) {
        const size_t rest = url_rest(s, s->at + from);
        return rest && take(s, HG_PROTECTED_NAME, from + rest);
    }
    const size_t name = host(s, s->at, false);
    if (!name) return false;
    const char next = name < left ? text[name] : ' ';
    return take(s, HG_PROTECTED_NAME,
                strchr("/:?#", next) ? name + url_rest(s, s->at + name) : name);
}

static bool read_email(scan *s)
{
    const size_t local = ascii_run(s, s->at, "._%+-");
    if (!local || char_at(s, s->at + local) != '@') return false;
    const size_t domain = host(s, s->at + local + 1, true);
    return domain && take(s, HG_PROTECTED_NAME, local + 1 + domain);
}

/* @name, @name@host, #tag */
static bool read_handle(scan *s)
{
    const char sign = s->text[s->at];
    size_t at = s->at + 1, end = at;
    if (sign != '@' && sign != '#') return false;
    while (at < s->bytes && at < s->at + SPAN_MAX) {
        UChar32 c;
        U8_NEXT_UNSAFE(s->text, at, c);
        if (!u_isalnum(c) && c != '_' && !(sign == '@' && (c == '.' || c == '-' || c == '@')))
            break;
        if (u_isalnum(c) || c == '_') end = at;
        if (c >= UNSPACED && sign == '@') break;
    }
    return end > s->at + 1 && take(s, HG_PROTECTED_NAME, end - s->at);
}

/* ---- numbers and words with digits ---- */

static size_t digits(const scan *s, size_t at)
{
    const size_t from = at;
    for (size_t next = at; at < s->bytes; at = next) {
        UChar32 c;
        U8_NEXT_UNSAFE(s->text, next, c);
        if (!u_isdigit(c)) break;
    }
    return at - from;
}

/* A unit at `at`, with the space before it; 0: none. */
static size_t unit(const scan *s, size_t at)
{
    static const char *const units[] = {
        "km/h", "km²", "kWh",  "mph",  "GHz", "MHz", "kHz", "rpm", "USD", "EUR", "GBP",
        "JPY",  "CHF", "a.m.", "p.m.", "km",  "cm²", "cm",  "mm",  "nm",  "m²",  "m³",
        "kg",   "mg",  "ml",   "dl",   "cl",  "GB",  "MB",  "KB",  "kB",  "TB",  "kW",
        "MW",   "Hz",  "px",   "pt",   "am",  "pm",  "AM",  "PM",  "ft",  "lb",  "oz",
        "°C",   "°F",  "ms",   "h",    "m",   "g",   "l",   "s",   "W",   "V",   "%",
        "‰",    "°",   "€",    "$",    "£",   "¥",   "₺",   "₽", "kr",  "円",  NULL};
    const size_t from = at;
    const UChar32 space = char_at(s, at);
    if (space == ' ' || space == 0xA0 || space == 0x202F) at += U8_LENGTH(space);
    for (const char *const *u = units; *u; u++) {
        const size_t n = strlen(*u);
        if (n > s->bytes - at || memcmp(s->text + at, *u, n) != 0) continue;
        if (!hg_text_in_word(s->text, at + n, s->bytes)) return at + n - from;
    }
    return 0;
}

/* "+25", "1,250.50", "10:45", "2026-11-25", "$5", "25 m²" */
static bool read_number(scan *s)
{
    static const UChar32 inner[] = {'.', ',', ':', '/', '-', '\'', 0x2019, 0xA0, 0x202F, 0x2013, 0};
    size_t at = s->at;
    UChar32 c = char_at(s, at);
    if (strchr("+-", (int)(c < 0x80 ? c : 0x7F)) || c == 0x2212 || c == 0xB1) at += U8_LENGTH(c);
    c = char_at(s, at);
    if (u_charType(c) == U_CURRENCY_SYMBOL) at += U8_LENGTH(c);
    size_t n = digits(s, at);
    if (!n) return false;
    for (at += n; n;) {
        c = char_at(s, at);
        size_t i = 0;
        while (inner[i] && inner[i] != c) i++;
        n = inner[i] ? digits(s, at + U8_LENGTH(c)) : 0;
        if (n) at += U8_LENGTH(c) + n;
    }
    at += unit(s, at);
    if (is_word(char_before(s, at)) && is_word(char_at(s, at))) return false;
    return take(s, HG_PROTECTED_NUMBER, at - s->at);
}

/* A word that begins with a letter and has a digit: "A380", "COVID-19", "v1.2". */
static bool read_identifier(scan *s)
{
    size_t count = isalpha((unsigned char)s->text[s->at]) ? ascii_run(s, s->at, "-._") : 0;
    while (count && strchr("-._", s->text[s->at + count - 1])) count--;
    if (!count || is_word(char_at(s, s->at + count))) return false;
    bool digit = false;
    for (size_t i = 0; i < count; i++) digit |= isdigit((unsigned char)s->text[s->at + i]) != 0;
    return digit && take(s, HG_PROTECTED_NAME, count);
}

/* ---- emoji ---- */

/* "1", "#" or "*", U+FE0F, U+20E3 */
static bool is_keycap(const scan *s, size_t at)
{
    const unsigned char c = (unsigned char)s->text[at];
    return s->bytes - at >= 7 && (isdigit(c) || c == '#' || c == '*') &&
           memcmp(s->text + at + 1, "\xEF\xB8\x8F\xE2\x83\xA3", 6) == 0;
}

/* Bytes of one emoji at `at` (UTS #51, without looking for which sequences fonts know). */
static size_t emoji(const scan *s, size_t at)
{
    const size_t from = at;
    UChar32 c = char_at(s, at), next;
    if (at >= s->bytes) return 0;
    if (u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR)) {
        at += U8_LENGTH(c);
        if (u_hasBinaryProperty(char_at(s, at), UCHAR_REGIONAL_INDICATOR)) at += U8_LENGTH(c);
        return at - from;
    }
    if (c < 0x80) return is_keycap(s, at) ? 7 : 0;
    for (;;) {
        if (c < 0x2190 || !u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC)) return at - from;
        at += U8_LENGTH(c);
        for (next = char_at(s, at);
             next == 0xFE0F || u_hasBinaryProperty(next, UCHAR_EMOJI_MODIFIER) ||
             (next >= 0xE0020 && next <= 0xE007F);
             next = char_at(s, at))
            at += U8_LENGTH(next);
        if (next != 0x200D) return at - from;
        c = char_at(s, at + U8_LENGTH(next));
        if (c >= 0x2190 && u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC)) at += 3;
    }
}

/* Emoji that follow each other are one mark. */
static bool read_emoji(scan *s)
{
    size_t count = 0;
    for (size_t n; (n = emoji(s, s->at + count)) > 0;) count += n;
    return take(s, HG_PROTECTED_ALONE, count);
}

/* :smile: */
static bool read_shortcode(scan *s)
{
    if (s->text[s->at] != ':') return false;
    const size_t name = ascii_run(s, s->at + 1, "_+-");
    const bool whole = name > 1 && char_at(s, s->at + 1 + name) == ':' &&
                       !is_word(char_at(s, s->at + 2 + name)) &&
                       isalpha((unsigned char)s->text[s->at + 1]);
    return whole && take(s, HG_PROTECTED_ALONE, name + 2);
}

/* ---- Markdown ---- */

/* The sign at the reader's place opens; what closes it comes at `at`. */
static bool open_markdown(scan *s, size_t count, size_t at, size_t closer)
{
    if (s->closers == CLOSERS) return false;
    s->closer[s->closers++] =
        (hg_protected){.start = at, .count = closer, .kind = HG_PROTECTED_CLOSES};
    return take(s, HG_PROTECTED_OPENS, count);
}

/* *words*, **words**, _words_, __words__, ~~words~~ */
static bool read_emphasis(scan *s)
{
    const char sign = s->text[s->at];
    if (!sign || !strchr("*_~", sign)) return false;
    const size_t n = run_of(s, s->at, sign), from = s->at + n;
    if (n > 3 || (sign == '~' && n != 2) || is_space(char_at(s, from))) return false;
    for (size_t at = from; (at = on_line(s, at, sign)) > 0;) {
        const size_t m = run_of(s, at, sign);
        if (m == n && !is_space(char_before(s, at)) && !is_word(char_at(s, at + n)))
            return open_markdown(s, n, at, n);
        at += m;
    }
    return false;
}

/* [words](address), ![words](address) */
static bool read_link(scan *s)
{
    const size_t sign = s->text[s->at] == '!';
    if (s->at + sign >= s->bytes || s->text[s->at + sign] != '[') return false;
    const size_t middle = on_line(s, s->at + sign + 1, ']');
    if (!middle || char_at(s, middle + 1) != '(') return false;
    const size_t end = on_line(s, middle + 2, ')');
    return end && open_markdown(s, sign + 1, middle, end + 1 - middle);
}

/* The signs that begin a line: "# ", "> ", "- ". */
static bool read_line_sign(scan *s)
{
    if (s->at && s->text[s->at - 1] != '\n') return false;
    const char sign = s->text[s->at];
    if (!sign || !strchr("#>-*+", sign)) return false;
    const size_t n = run_of(s, s->at, sign);
    return n <= (sign == '#' ? 6 : 1) && char_at(s, s->at + n) == ' ' &&
           take(s, HG_PROTECTED_ALONE, n);
}

/* What stands inside of another span closes nothing. */
static void drop_passed(scan *s)
{
    for (uint32_t i = s->closers; i-- > 0;)
        if (s->closer[i].start < s->at) s->closer[i] = s->closer[--s->closers];
}

static bool read_closer(scan *s)
{
    for (uint32_t i = 0; i < s->closers; i++) {
        if (s->closer[i].start != s->at) continue;
        s->found = s->closer[i];
        s->closer[i] = s->closer[--s->closers];
        return true;
    }
    return false;
}

/* ---- the whole ---- */

static bool read_term(scan *s)
{
    size_t longest = 0;
    uint32_t which = 0;
    for (uint32_t i = 0; s->terms && i < s->terms->count; i++) {
        const size_t n = hg_text_begins(s->text + s->at, s->bytes - s->at, s->terms->word[i]);
        if (n <= longest || hg_text_in_word(s->text, s->at + n, s->bytes)) continue;
        longest = n;
        which = i;
    }
    const bool found = take(s, HG_PROTECTED_TERM, longest);
    if (found) s->found.term = which;
    return found;
}

/* Those that a word before the place rules out, and those that it does not. */
static bool (*const at_word[])(scan *) = {read_term,       read_placeholder, read_email,
                                          read_url,        read_handle,      read_number,
                                          read_identifier, read_shortcode,   read_emphasis};
static bool (*const anywhere[])(scan *) = {read_closer, read_code,      read_tag,
                                           read_emoji,  read_line_sign, read_link};

static bool read_one(scan *s)
{
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (anywhere[i](s)) return true;
    const UChar32 before = char_before(s, s->at);
    if (is_word(before) && before != '_') return false;
    for (size_t i = 0; i < sizeof at_word / sizeof *at_word; i++)
        if (at_word[i](s)) return true;
    return false;
}

hg_status hg_protected_find(const char *text, size_t bytes, const hg_terms *terms,
                            hg_protected_list *out)
{
    scan s = {.text = text, .bytes = bytes, .terms = terms};
    while (s.at < bytes) {
        if (!read_one(&s)) {
            U8_FWD_1_UNSAFE(text, s.at);
            continue;
        }
        assert(s.found.count && s.found.count <= bytes - s.at);
        hg_status status = append(out, &s.found);
        if (status) return status;
        s.at += s.found.count;
        drop_passed(&s);
    }
    return HG_OK;
}
