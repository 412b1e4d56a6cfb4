/* message_table.h: the rows of the tables of messages and events. Parsing (message.c), printing
 * (event.c) and the description for others (asyncapi.c) are walks over them. Private to
 * core/service; constant data, any thread.
 */
#ifndef HG_SERVICE_MESSAGE_TABLE_H
#define HG_SERVICE_MESSAGE_TABLE_H

#include "core/service/message.h"

/* ---- what clients send ---- */

typedef enum hg_field_kind {
    HG_FIELD_STRING,   /* bounds are code points */
    HG_FIELD_INTEGER,  /* of type int64_t */
    HG_FIELD_NUMBER,   /* of type double */
    HG_FIELD_BOOL,     /* of type bool */
    HG_FIELD_TARGETS,  /* array of strings; bounds are those of its length */
    HG_FIELD_ANY,      /* any value, kept as it is */
    HG_FIELD_OBJECT,   /* its fields are a table of their own, filling the same message */
    HG_FIELD_UNSERVED, /* in the protocol but not served yet: refused rather than ignored */
} hg_field_kind;

typedef struct hg_field {
    const char *name;
    hg_field_kind kind;
    bool required;
    size_t offset; /* in hg_message */
    double low, high;
    hg_code over;                 /* code for more than high; none: bad_field */
    const struct hg_field *inner; /* of an object; ends with a row without name */
    const char *what;             /* or NULL: the name says it */
} hg_field;

/* Longest target: "plugin:" and a name. */
#define HG_TARGET_MAX (HG_LIMIT_PLUGIN_NAME + 7)

/* One message or event. */
typedef struct hg_message_row {
    const char *type, *what;
    const hg_field *fields;                 /* of a message; ends with a row without name */
    const struct hg_member *members, *more; /* of an event; more: a second base's, or NULL */
    bool unnumbered;                        /* an event without seq */
} hg_message_row;

/* NULL behind the last. */
const hg_message_row *hg_message_row_at(size_t index);

/* ---- what the service sends ---- */

typedef enum hg_member_kind {
    HG_MEMBER_TEXT,     /* const char *; NULL is "" */
    HG_MEMBER_WORD,     /* a text that is left out when it is NULL or empty */
    HG_MEMBER_ARRAY,    /* const char *: an array of objects, printed; inner describes them */
    HG_MEMBER_JSON,     /* const char *: any value, printed; left out when it is NULL */
    HG_MEMBER_PLACE,    /* char []: a text that stands in the struct itself */
    HG_MEMBER_CODE,     /* hg_code, left out when there is none */
    HG_MEMBER_LONG,     /* int64_t */
    HG_MEMBER_LONG_IF,  /* left out when it is negative */
    HG_MEMBER_COUNT,    /* uint32_t */
    HG_MEMBER_COUNT_IF, /* left out when it is 0 */
    HG_MEMBER_PERCENT,  /* int32_t, left out when it is negative */
    HG_MEMBER_NUMBER,   /* double */
    HG_MEMBER_BOOL,
    HG_MEMBER_TAGS,   /* const char *const *, and a uint32_t at `count` */
    HG_MEMBER_OBJECT, /* its members are a table of their own, of the same base */
    HG_MEMBER_FIXED,  /* the integer `value` */
} hg_member_kind;

typedef struct hg_member {
    const char *name;
    hg_member_kind kind;
    size_t offset, count;          /* in the base */
    int64_t value;                 /* of a fixed one */
    const struct hg_member *inner; /* ends with a row without name */
    const char *choices;           /* "ok|failed": all that a text may be; NULL: anything */
    const char *what;              /* or NULL: the name says it */
} hg_member;

/* NULL behind the last. */
const hg_message_row *hg_event_row_at(size_t index);

#endif
