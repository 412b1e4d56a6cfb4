/* licence.c: Meta's community licences ask whoever serves their models to display "Built with ..."
 * and to pass a sentence about the licence on; other licences' wishes come from a file NOTICE,
 * which whoever packs a model puts into its folder. */
#include "core/model/licence.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/text/utf8.h"

/* What is read of a licence to learn which it is: its title stands at the front. */
#define LICENCE_HEAD 4096

/* The version that the name in text has ("3", "3.1"), or "". Names look like "llama3.1", "Llama 3.1
 * Community License", "META LLAMA 3 COMMUNITY LICENSE", "Llama 3.2 Acceptable Use Policy". */
static void llama_version(const char *text, char version[4])
{
    static const char *const after[] = {" community license", " acceptable use policy"};
    version[0] = '\0';
    for (const char *at = text; (at = strcasestr(at, "llama")); at++) {
        const char *end = at + strlen("llama");
        bool whole = at == text;
        end += *end == ' ' || *end == '-';
        if (*end != '3') continue;
        size_t length = end[1] == '.' && end[2] >= '1' && end[2] <= '3' ? 3 : 1;
        whole = whole && !end[length];
        for (int i = 0; i < 2; i++)
            whole = whole || strncasecmp(end + length, after[i], strlen(after[i])) == 0;
        if (!whole) continue;
        snprintf(version, 4, "%.*s", (int)length, end);
        return;
    }
}

/* The words to display, which Llama 3's licence puts otherwise than its successors'. */
static const char *built_with(const char *version)
{
    return strcmp(version, "3") == 0 ? "Built with Meta Llama 3" : "Built with Llama";
}

bool hg_notice_of_licence(const char *id_or_text, char *out, size_t room)
{
    char version[4];
    llama_version(id_or_text, version);
    out[0] = '\0';
    if (!version[0]) return false;
    const char *meta = strcmp(version, "3") == 0 ? "Meta " : "";
    snprintf(out, room,
             "%s. %sLlama %s is licensed under the %sLlama %s Community License, Copyright © Meta "
             "Platforms, Inc. All Rights Reserved.",
             built_with(version), meta, version, meta, version);
    return true;
}

/* The first bytes of a file, "" when it cannot be read. */
static void read_head(const char *path, char head[LICENCE_HEAD])
{
    FILE *file = fopen(path, "rbe");
    size_t count = file ? fread(head, 1, LICENCE_HEAD - 1, file) : 0;
    if (file) fclose(file);
    head[count] = '\0';
}

/* The text on one line: control characters become spaces, those at the end leave. */
static void flatten(char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ') text[i] = ' ';
    }
    while (length && text[length - 1] == ' ') text[--length] = '\0';
}

/* The NOTICE file as it stands, after the words to display if it is Meta's and lacks them. One that
 * holds a whole licence is too long to show: the licence's own sentence stands for it. */
static hg_status read_notice(const char *path, char *out, size_t room, hg_error *error)
{
    char head[LICENCE_HEAD], version[4];
    read_head(path, head);
    llama_version(head, version);
    hg_buf text = hg_buf_new(room - 1);
    hg_status status = hg_file_read(path, &text, error);
    if (status == HG_ERROR_LIMIT && hg_notice_of_licence(head, out, room))
        status = HG_OK;
    else if (!status && hg_utf8_valid(hg_buf_text(&text), text.length) != text.length)
        status = hg_fail(error, HG_ERROR_FORMAT, "%s: not valid UTF-8", path);
    else if (!status && version[0] && !strcasestr(hg_buf_text(&text), "built with"))
        snprintf(out, room, "%s. %s", built_with(version), hg_buf_text(&text));
    else if (!status)
        snprintf(out, room, "%s", hg_buf_text(&text));
    flatten(out);
    hg_buf_free(&text);
    return status;
}

hg_status hg_notice_of_folder(const char *folder, char *out, size_t room, hg_error *error)
{
    static const char *const licences[] = {"LICENSE", "LICENSE.txt", "LICENSE.md", "USE_POLICY.md"};
    char path[HG_PATH_MAX], head[LICENCE_HEAD];
    out[0] = '\0';
    hg_status status = hg_path_join(path, sizeof path, folder, "NOTICE", error);
    if (status) return status;
    if (hg_file_exists(path)) return read_notice(path, out, room, error);
    for (size_t i = 0; i < sizeof licences / sizeof *licences; i++) {
        status = hg_path_join(path, sizeof path, folder, licences[i], error);
        if (status) return status;
        read_head(path, head);
        if (hg_notice_of_licence(head, out, room)) break;
    }
    return HG_OK;
}
