/* vfs.h: many SQLite databases, one group commit.
 *
 * A VFS for SQLite, registered as "epochwal". The `-wal` of each database lives
 * in memory, and the sync that ends a commit hands the transaction's pages to
 * one epochwal log which all databases of a folder share: whoever commits at
 * the same time pays for one sync together. See README.md for what it asks of
 * a host and where it helps.
 */
#ifndef EPOCHWAL_SQLITE_VFS_H
#define EPOCHWAL_SQLITE_VFS_H

#include <epochwal.h>

#define EPOCHWAL_VFS "epochwal"

/* The longest file name of a database, within its folder. */
enum { NAME_BYTES = 256 };

/* What a batch of the log is: its txn_epoch. Its metadata is the file name of
 * the database it belongs to, which page numbers alone don't tell. */
enum {
  BATCH_PAGES = 0, /* the pages of one transaction */
  BATCH_CLOSED = 1 /* the database file holds all that came before */
};

/* What recovery has done. */
typedef struct {
  uint64_t databases;    /* written to */
  uint64_t transactions; /* applied */
  uint64_t pages;        /* written */
} recovered;

/* Takes the folder's log, brings its databases up to date with it, and
 * registers the VFS. One folder per process, and one process per folder. */
ewal_status epochwal_vfs_start(const char *folder, recovered *out,
                               ewal_error *error);

/* After the last connection is closed. */
ewal_status epochwal_vfs_stop(ewal_error *error);

/* Writes what the log holds into the databases of the folder, and syncs them.
 * The caller holds the log; nothing is written if any of it is damaged. */
ewal_status recover_databases(const char *folder, const char *log,
                              recovered *out, ewal_error *error);

#endif
