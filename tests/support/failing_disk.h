/* failing_disk.h: a disk below SQLite whose n-th write fails, and databases to try it on.
 *
 * A VFS that stands before SQLite's own counts writes, syncs and truncations and lets one of them
 * fail, or that one and all after it (a full disk stays full). After the manner of sqlite's own
 * ioerr tests. One at a time: its state is the program's.
 */
#ifndef HG_TESTS_FAILING_DISK_H
#define HG_TESTS_FAILING_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/store.h"

/* Before the first database is opened. */
void failing_disk_install(void);
/* The n-th call from now on fails with code, with stays those after it too; n 0: none. A failing
 * call takes slow_us to find out. */
void failing_disk_arm(int n, bool stays, int code, unsigned slow_us);
/* Calls that failed since. */
int failing_disk_hits(void);

/* A data folder. */
typedef struct fixture {
    char folder[64], file[96];
} fixture;

fixture make_folder(void);
void remove_folder(const fixture *f);
/* On a disk that is well. */
hg_store *open_good(const fixture *f);
/* The first column of the statement's first row, as another program reads it. */
int64_t query(const fixture *f, const char *sql);
/* The same of a text, into out. */
void query_text(const fixture *f, const char *sql, char *out, size_t size);
/* SQLite finds nothing wrong with the file. */
void check_sound(const fixture *f);

/* The plugin "de", its content known by a digit. */
hg_plugin_record german(char digit);
void put_good(hg_store *store, char digit);

#endif
