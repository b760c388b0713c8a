/* extension.c: the VFS as an extension, for SQLite's own shell and any program
 * that loads extensions.
 *
 *     EPOCHWAL_FOLDER=data sqlite3
 *     sqlite> .load ./epochwal_vfs
 *     sqlite> .open file:data/app.db?vfs=epochwal
 *     sqlite> PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;
 *
 * `make sqlite-shell` builds it, of this file, vfs.c, wal.c and recover.c, all with
 * extension.h before anything else, which leads their calls of SQLite into the
 * program.
 */
#include "vfs.h"

#include <stdio.h>
#include <stdlib.h>

SQLITE_EXTENSION_INIT1

static void stop(void) {
  ewal_error error = EWAL_ERROR_INIT;
  if (epochwal_vfs_stop(&error) != EWAL_OK)
    fprintf(stderr, "epochwal: %s\n", error.message);
}

/* SQLite finds it by the name of the library. */
int sqlite3_epochwalvfs_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
  const char *folder = getenv("EPOCHWAL_FOLDER");
  ewal_error error = EWAL_ERROR_INIT;
  recovered found;
  (void)db;
  SQLITE_EXTENSION_INIT2(api);
  if (folder == NULL) {
    *message = sqlite3_mprintf("set EPOCHWAL_FOLDER to the folder of the databases");
    return SQLITE_ERROR;
  }
  if (epochwal_vfs_start(folder, &found, &error) != EWAL_OK) {
    *message = sqlite3_mprintf("%s", error.message);
    return SQLITE_ERROR;
  }
  atexit(stop);
  return SQLITE_OK_LOAD_PERMANENTLY;
}
