/* vfs.c: the VFS of vfs.h, over SQLite's default one.
 *
 * The order that everything rests on: a transaction's pages are durable in the
 * log before SQLite counts it as committed, and so before any of them reaches
 * the database file; and the log lets go of an epoch only when every database
 * has all of it in its file, synced.
 *
 * The methods of its files are those of version 1, without shared memory. SQLite
 * then uses a WAL only under locking_mode=EXCLUSIVE, with its index on the
 * heap: one connection per database, and every other process locked out.
 */
#include "vfs.h"
#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A database of the folder. It stays until the VFS stops, so that a -wal which
 * SQLite didn't get to delete is there when the database is opened again. Its
 * fields belong to its one connection, but for claimed and oldest_epoch. */
typedef struct database {
  struct database *next;
  char path[4096];
  const char *name; /* within path */
  int claimed;        /* it has its connection */
  sqlite3_file *file; /* the real one, while it is open */
  int has_wal;        /* SQLite has its -wal open */
  wal_file wal;
  uint64_t transactions;
  /* The log has pages of it that recovery would write. */
  int logged;
  /* All of wal up to handed_over was copied; the file's sync makes it count. */
  int copied;
  /* A commit's outcome is unknown or it was refused, and SQLite has rolled it
   * back: going on could leave both in the log. Final. */
  int failed;
  /* No epoch below it has pages that the file may lack; 0: none has. */
  uint64_t oldest_epoch;
} database;

/* Before the real file, which lies right behind it. */
typedef struct {
  sqlite3_file base;
  database *db;
} shim_file;

static struct {
  sqlite3_vfs vfs;
  sqlite3_vfs *real;
  ewal_coordinator log;
  char folder[3600];
  pthread_mutex_t lock; /* of databases and those two, and of checkpointed */
  database *databases;
  uint64_t checkpointed;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static sqlite3_file *real_of(sqlite3_file *file) {
  return (sqlite3_file *)((shim_file *)file + 1);
}

static database *db_of(sqlite3_file *file) { return ((shim_file *)file)->db; }

/* The log */

static int broken(database *db, const char *what, const ewal_error *error) {
  db->failed = 1;
  sqlite3_log(SQLITE_IOERR_FSYNC, "%s: %s: %s", db->name, what, error->message);
  return SQLITE_IOERR_FSYNC;
}

static int submit(database *db, uint32_t kind, const ewal_frame *frames,
                  size_t count, ewal_ticket *ticket) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_batch batch = EWAL_BATCH_INIT;
  uint64_t epoch;
  batch.txn_id = ++db->transactions;
  batch.txn_epoch = kind;
  batch.frames = frames;
  batch.frame_count = count;
  batch.metadata.data = db->name;
  batch.metadata.len = strlen(db->name);
  /* Before the submit: from its return on, another thread's checkpoint may find
   * the epoch durable. */
  pthread_mutex_lock(&shim.lock);
  if (db->oldest_epoch == 0 && ewal_current_epoch(shim.log, &epoch) == EWAL_OK)
    db->oldest_epoch = epoch;
  pthread_mutex_unlock(&shim.lock);
  if (ewal_submit(shim.log, &batch, ticket, &error) != EWAL_OK)
    return broken(db, "submit", &error);
  return SQLITE_OK;
}

static int wait_durable(database *db, const ewal_ticket *ticket) {
  ewal_error error = EWAL_ERROR_INIT;
  if (ewal_wait(shim.log, ticket->epoch, -1, &error) != EWAL_OK)
    return broken(db, "wait", &error);
  return SQLITE_OK;
}

/* SQLite syncs the folder when it makes a -wal, and rests on that: what it has
 * made or deleted before is on the disk from then on, the database file itself
 * and the rollback journal of its last commit without a WAL. Here no -wal is
 * made, so the VFS does it before the first pages of a round. */
static int sync_folder(database *db) {
  ewal_error error = EWAL_ERROR_INIT;
  int fd = open(shim.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && fsync(fd) == 0) {
    close(fd);
    return SQLITE_OK;
  }
  snprintf(error.message, sizeof error.message, "%s", strerror(errno));
  if (fd >= 0)
    close(fd);
  return broken(db, "folder", &error);
}

/* Hands over what was committed since the last time, and waits. One transaction
 * under synchronous=FULL; under NORMAL all since the last checkpoint. */
static int make_durable(database *db) {
  ewal_ticket ticket = {0, 0};
  wal_mark mark;
  long count;
  if (db->failed)
    return SQLITE_IOERR_FSYNC;
  while ((count = wal_next(&db->wal, &mark)) > 0) {
    int rc = db->logged ? SQLITE_OK : sync_folder(db);
    if (rc == SQLITE_OK)
      rc = submit(db, BATCH_PAGES, db->wal.frames, (size_t)count, &ticket);
    if (rc != SQLITE_OK)
      return rc;
    db->logged = 1;
    db->copied = 0;
    wal_done(&db->wal, &mark);
  }
  if (count < 0) {
    db->failed = 1;
    return SQLITE_IOERR_NOMEM;
  }
  /* SQLite 3.40 may write a commit in a way that its own recovery does not take
   * (a spilled page, ROLLBACK TO, a checksum that is left out). It would be
   * acknowledged, and gone after a crash. */
  if (wal_mark_is_left(&db->wal)) {
    db->failed = 1;
    sqlite3_log(SQLITE_IOERR_FSYNC, "%s: a commit that no recovery would find", db->name);
    return SQLITE_IOERR_FSYNC;
  }
  return ticket.epoch == 0 ? SQLITE_OK : wait_durable(db, &ticket);
}

/* The file of `db` has all that the log has of it. Lets the log go up to what
 * some other database still needs. */
static void let_go(database *db) {
  ewal_error error = EWAL_ERROR_INIT;
  const database *other;
  uint64_t through = 0;
  bool any = false;
  pthread_mutex_lock(&shim.lock);
  db->oldest_epoch = 0;
  if (ewal_durable_epoch(shim.log, &through, &any) != EWAL_OK || !any)
    through = 0;
  for (other = shim.databases; other != NULL; other = other->next)
    if (other->oldest_epoch != 0 && other->oldest_epoch <= through)
      through = other->oldest_epoch - 1;
  if (through <= shim.checkpointed)
    through = 0;
  else
    shim.checkpointed = through;
  pthread_mutex_unlock(&shim.lock);
  /* Not done is not lost: the log is longer, and the next one catches up. */
  if (through > 0 && ewal_checkpoint(shim.log, through, &error) != EWAL_OK)
    sqlite3_log(SQLITE_WARNING, "%s: checkpoint: %s", db->name, error.message);
}

/* SQLite deletes a -wal when the database file holds all of it. From then on
 * others may write the file, and recovery must not. */
static int close_round(database *db) {
  static const unsigned char none = 0;
  const ewal_frame frame = {1, 0, {&none, 1}};
  ewal_ticket ticket;
  int rc = SQLITE_OK;
  if (db->failed)
    return SQLITE_IOERR_DELETE;
  if (db->logged) {
    if (db->file == NULL)
      return SQLITE_IOERR_DELETE;
    rc = db->file->pMethods->xSync(db->file, SQLITE_SYNC_NORMAL);
    if (rc != SQLITE_OK)
      db->failed = 1; /* as in main_x_sync */
    if (rc == SQLITE_OK)
      rc = submit(db, BATCH_CLOSED, &frame, 1, &ticket);
    if (rc == SQLITE_OK)
      rc = wait_durable(db, &ticket);
    if (rc != SQLITE_OK)
      return rc;
    db->logged = 0;
    let_go(db);
  }
  wal_free(&db->wal);
  return SQLITE_OK;
}

/* The -wal */

static int wal_x_close(sqlite3_file *file) {
  db_of(file)->has_wal = 0;
  return SQLITE_OK;
}

static int wal_x_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at) {
  size_t got = wal_read(&db_of(file)->wal, to, (size_t)n, (size_t)at);
  return got == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int wal_x_write(sqlite3_file *file, const void *from, int n,
                       sqlite3_int64 at) {
  database *db = db_of(file);
  if (db->failed)
    return SQLITE_IOERR_WRITE;
  return wal_write(&db->wal, from, (size_t)n, (size_t)at) ? SQLITE_OK
                                                          : SQLITE_IOERR_NOMEM;
}

static int wal_x_truncate(sqlite3_file *file, sqlite3_int64 len) {
  wal_truncate(&db_of(file)->wal, (size_t)len);
  return SQLITE_OK;
}

static int wal_x_sync(sqlite3_file *file, int flags) {
  (void)flags;
  return make_durable(db_of(file));
}

static int wal_x_file_size(sqlite3_file *file, sqlite3_int64 *len) {
  *len = (sqlite3_int64)db_of(file)->wal.len;
  return SQLITE_OK;
}

static int no_lock(sqlite3_file *file, int level) {
  (void)file;
  (void)level;
  return SQLITE_OK;
}

static int no_reserved_lock(sqlite3_file *file, int *out) {
  (void)file;
  *out = 0;
  return SQLITE_OK;
}

static int no_control(sqlite3_file *file, int op, void *arg) {
  (void)file;
  (void)op;
  (void)arg;
  return SQLITE_NOTFOUND;
}

static int wal_x_sector_size(sqlite3_file *file) {
  (void)file;
  return 512;
}

static int wal_x_characteristics(sqlite3_file *file) {
  (void)file;
  return 0;
}

static const sqlite3_io_methods wal_methods = {
    .iVersion = 1,
    .xClose = wal_x_close,
    .xRead = wal_x_read,
    .xWrite = wal_x_write,
    .xTruncate = wal_x_truncate,
    .xSync = wal_x_sync,
    .xFileSize = wal_x_file_size,
    .xLock = no_lock,
    .xUnlock = no_lock,
    .xCheckReservedLock = no_reserved_lock,
    .xFileControl = no_control,
    .xSectorSize = wal_x_sector_size,
    .xDeviceCharacteristics = wal_x_characteristics,
};

/* The database file */

static void release(database *db) {
  pthread_mutex_lock(&shim.lock);
  db->claimed = 0;
  pthread_mutex_unlock(&shim.lock);
}

static int main_x_close(sqlite3_file *file) {
  sqlite3_file *real = real_of(file);
  database *db = db_of(file);
  int rc = real->pMethods->xClose(real);
  db->file = NULL;
  release(db);
  return rc;
}

static int main_x_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xRead(real, to, n, at);
}

/* Whether the file may be written now. Into it go pages that are durable in the
 * log, or, where SQLite uses no WAL, anything, once the log has nothing that
 * recovery would write over it. */
static int may_write(database *db) {
  if (db->failed)
    return SQLITE_IOERR_WRITE;
  if (db->wal.page_size == 0)
    return db->logged ? SQLITE_IOERR_WRITE : SQLITE_OK;
  return make_durable(db);
}

static int main_x_write(sqlite3_file *file, const void *from, int n,
                        sqlite3_int64 at) {
  sqlite3_file *real = real_of(file);
  int rc = may_write(db_of(file));
  return rc == SQLITE_OK ? real->pMethods->xWrite(real, from, n, at) : rc;
}

/* With a WAL, SQLite cuts the file in one place only: at the end of a checkpoint
 * that has copied every frame. */
static int main_x_truncate(sqlite3_file *file, sqlite3_int64 len) {
  sqlite3_file *real = real_of(file);
  database *db = db_of(file);
  int rc = may_write(db);
  if (rc == SQLITE_OK)
    rc = real->pMethods->xTruncate(real, len);
  if (rc == SQLITE_OK && db->wal.page_size != 0)
    db->copied = 1;
  return rc;
}

static int main_x_sync(sqlite3_file *file, int flags) {
  sqlite3_file *real = real_of(file);
  database *db = db_of(file);
  int rc = real->pMethods->xSync(real, flags);
  if (rc != SQLITE_OK) {
    /* The kernel may have dropped the pages: only the log has them. */
    db->failed = 1;
  } else if (db->copied && !db->failed) {
    db->copied = 0;
    let_go(db);
  }
  return rc;
}

static int main_x_file_size(sqlite3_file *file, sqlite3_int64 *len) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xFileSize(real, len);
}

static int main_x_lock(sqlite3_file *file, int level) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xLock(real, level);
}

static int main_x_unlock(sqlite3_file *file, int level) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xUnlock(real, level);
}

static int main_x_reserved_lock(sqlite3_file *file, int *out) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xCheckReservedLock(real, out);
}

static int main_x_control(sqlite3_file *file, int op, void *arg) {
  sqlite3_file *real = real_of(file);
  int rc = real->pMethods->xFileControl(real, op, arg);
  if (op == SQLITE_FCNTL_VFSNAME && rc == SQLITE_OK)
    *(char **)arg = sqlite3_mprintf(EPOCHWAL_VFS "/%z", *(char **)arg);
  return rc;
}

static int main_x_sector_size(sqlite3_file *file) {
  sqlite3_file *real = real_of(file);
  return real->pMethods->xSectorSize(real);
}

/* Where the disk may harm what lies beside an overwritten byte, SQLite repeats the
 * last page of a commit up to the next sector, and syncs within that: a commit mark
 * whose page is not all there. It looks at this file and means the -wal, which is
 * on no disk. */
static int main_x_characteristics(sqlite3_file *file) {
  sqlite3_file *real = real_of(file);
  int those = real->pMethods->xDeviceCharacteristics(real);
  return db_of(file)->has_wal ? those | SQLITE_IOCAP_POWERSAFE_OVERWRITE : those;
}

static const sqlite3_io_methods main_methods = {
    .iVersion = 1,
    .xClose = main_x_close,
    .xRead = main_x_read,
    .xWrite = main_x_write,
    .xTruncate = main_x_truncate,
    .xSync = main_x_sync,
    .xFileSize = main_x_file_size,
    .xLock = main_x_lock,
    .xUnlock = main_x_unlock,
    .xCheckReservedLock = main_x_reserved_lock,
    .xFileControl = main_x_control,
    .xSectorSize = main_x_sector_size,
    .xDeviceCharacteristics = main_x_characteristics,
};

/* The file system */

static database *find_locked(const char *path, size_t len) {
  database *db;
  for (db = shim.databases; db != NULL; db = db->next)
    if (strncmp(db->path, path, len) == 0 && db->path[len] == 0)
      return db;
  return NULL;
}

/* The database whose -wal this is, or NULL. */
static database *db_of_wal(const char *path) {
  size_t len = strlen(path);
  database *db;
  if (len < 4 || strcmp(path + len - 4, "-wal") != 0)
    return NULL;
  pthread_mutex_lock(&shim.lock);
  db = find_locked(path, len - 4);
  pthread_mutex_unlock(&shim.lock);
  return db;
}

/* NULL: outside the folder, or it has its connection, or has failed. */
static database *claim(const char *path) {
  size_t folder = strlen(shim.folder);
  const char *slash = strrchr(path, '/');
  database *db;
  if (slash == NULL || (size_t)(slash - path) != folder ||
      strncmp(path, shim.folder, folder) != 0 || strlen(slash + 1) >= NAME_BYTES)
    return NULL;
  pthread_mutex_lock(&shim.lock);
  db = find_locked(path, strlen(path));
  if (db == NULL && (db = calloc(1, sizeof *db)) != NULL) {
    memcpy(db->path, path, strlen(path) + 1);
    db->name = strrchr(db->path, '/') + 1;
    db->next = shim.databases;
    shim.databases = db;
  }
  /* What is in the -wal of a failed one SQLite would take for committed. */
  if (db != NULL && (db->claimed || db->failed))
    db = NULL;
  if (db != NULL)
    db->claimed = 1;
  pthread_mutex_unlock(&shim.lock);
  return db;
}

/* A -wal on the disk was left by SQLite without this VFS; it must read it. */
static int foreign_wal(const char *path) {
  char wal[4104];
  int there = 1;
  snprintf(wal, sizeof wal, "%s-wal", path);
  /* The default VFS says of an empty file that it is not there. */
  if (shim.real->xAccess(shim.real, wal, SQLITE_ACCESS_EXISTS, &there) != SQLITE_OK)
    return 1;
  return there;
}

static int open_main(const char *path, sqlite3_file *file, int flags, int *out) {
  shim_file *mine = (shim_file *)file;
  database *db = claim(path);
  int rc;
  if (db == NULL) {
    sqlite3_log(SQLITE_CANTOPEN,
                "%s: not in the log's folder, or open already, or has failed", path);
    return SQLITE_CANTOPEN;
  }
  if (foreign_wal(path)) {
    sqlite3_log(SQLITE_CANTOPEN, "%s: has a -wal that this VFS didn't write", path);
    rc = SQLITE_CANTOPEN;
  } else {
    rc = shim.real->xOpen(shim.real, path, real_of(file), flags, out);
  }
  if (rc != SQLITE_OK) {
    release(db);
    return rc;
  }
  mine->base.pMethods = &main_methods;
  mine->db = db;
  db->file = real_of(file);
  return SQLITE_OK;
}

static int x_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                  int *out) {
  (void)vfs;
  file->pMethods = NULL;
  if (flags & SQLITE_OPEN_MAIN_DB)
    return open_main(path, file, flags, out);
  if (flags & SQLITE_OPEN_WAL) {
    database *db = db_of_wal(path);
    if (db == NULL)
      return SQLITE_CANTOPEN;
    ((shim_file *)file)->db = db;
    db->has_wal = 1;
    file->pMethods = &wal_methods;
    if (out != NULL)
      *out = flags;
    return SQLITE_OK;
  }
  return shim.real->xOpen(shim.real, path, file, flags, out);
}

static int x_delete(sqlite3_vfs *vfs, const char *path, int sync) {
  database *db = db_of_wal(path);
  (void)vfs;
  return db != NULL ? close_round(db) : shim.real->xDelete(shim.real, path, sync);
}

static int x_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  const database *db = db_of_wal(path);
  (void)vfs;
  if (db == NULL)
    return shim.real->xAccess(shim.real, path, flags, out);
  *out = db->wal.len > 0;
  return SQLITE_OK;
}

static int x_full_pathname(sqlite3_vfs *vfs, const char *path, int n, char *out) {
  (void)vfs;
  return shim.real->xFullPathname(shim.real, path, n, out);
}

ewal_status epochwal_vfs_start(const char *folder, recovered *out,
                               ewal_error *error) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  char log[4096];
  char *resolved = realpath(folder, NULL);
  uint64_t durable = 0;
  bool any = false;
  ewal_status status;
  if (resolved == NULL || strlen(resolved) >= sizeof shim.folder) {
    free(resolved);
    error->code = EWAL_E_NOT_FOUND;
    snprintf(error->message, sizeof error->message, "%.200s: no such folder", folder);
    return EWAL_E_NOT_FOUND;
  }
  strcpy(shim.folder, resolved);
  free(resolved);
  snprintf(log, sizeof log, "%s/commits", shim.folder);
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  /* A transaction of SQLite's is one batch, however large. */
  options.max_batch_bytes = options.max_memory = (uint64_t)1 << 30;
  /* First the log's lock, so that nobody else recovers or writes. */
  status = ewal_coordinator_open(log, &options, &shim.log, error);
  if (status != EWAL_OK)
    return status;
  status = recover_databases(shim.folder, log, out, error);
  if (status == EWAL_OK)
    status = ewal_durable_epoch(shim.log, &durable, &any);
  if (status == EWAL_OK && any)
    status = ewal_checkpoint(shim.log, durable, error);
  if (status != EWAL_OK) {
    ewal_coordinator_close(shim.log, -1, NULL);
    return status;
  }
  shim.checkpointed = durable;
  shim.real = sqlite3_vfs_find(NULL);
  shim.vfs = *shim.real;
  shim.vfs.zName = EPOCHWAL_VFS;
  shim.vfs.szOsFile = (int)sizeof(shim_file) + shim.real->szOsFile;
  shim.vfs.xOpen = x_open;
  shim.vfs.xDelete = x_delete;
  shim.vfs.xAccess = x_access;
  shim.vfs.xFullPathname = x_full_pathname;
  sqlite3_vfs_register(&shim.vfs, 0);
  return EWAL_OK;
}

ewal_status epochwal_vfs_stop(ewal_error *error) {
  sqlite3_vfs_unregister(&shim.vfs);
  while (shim.databases != NULL) {
    database *db = shim.databases;
    shim.databases = db->next;
    wal_free(&db->wal);
    free(db);
  }
  return ewal_coordinator_close(shim.log, -1, error);
}
