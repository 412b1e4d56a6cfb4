/* fuzz_archive.c: any bytes as an uploaded archive: what comes out are files of a plugin's names,
 * side by side, within the bounds, and they go without a trace. */
#include "tests/fuzz/folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include "core/plugins/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Counts the stage's files and their bytes; each is a regular one. */
static uint64_t look(const hg_stage *stage, unsigned *files)
{
    uint64_t bytes = 0;
    struct stat st;
    DIR *list = opendir(stage->folder);
    if (!list) abort();
    for (const struct dirent *item; (item = readdir(list));) {
        char path[HG_PATH_MAX + 260];
        snprintf(path, sizeof path, "%s/%s", stage->folder, item->d_name);
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) continue;
        if (lstat(path, &st) || !S_ISREG(st.st_mode)) abort();
        bytes += (uint64_t)st.st_size;
        ++*files;
    }
    closedir(list);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hg_notes notes;
    hg_stage stage;
    hg_error error;
    char archive[128];
    unsigned files = 0;
    fuzz_make_folder();
    fuzz_write("archive", data, size);
    snprintf(archive, sizeof archive, "%s/archive", fuzz_folder);
    notes = (hg_notes){0};
    if (hg_stage_open(fuzz_folder, &stage, &error)) abort();
    hg_incoming in = hg_incoming_new(&stage, &notes);
    if (hg_unpack_archive(archive, &in, &error)) abort();
    hg_incoming_end(&in);
    if (look(&stage, &files) > in.bytes_most || files > 16 || notes.count > HG_LIMIT_PLUGIN_NOTES)
        abort();
    hg_incoming_free(&in);
    char folder[HG_PATH_MAX];
    memcpy(folder, stage.folder, sizeof folder);
    hg_stage_close(&stage);
    if (hg_file_exists(folder)) abort();
    hg_stage_unlock(stage.lock);
    return 0;
}
