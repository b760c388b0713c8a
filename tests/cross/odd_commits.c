/* Writes commits through the SQLite host's VFS as SQLite does, and such as its own
 * recovery would not take:
 *
 *     odd_commits FOLDER {good|bad|sync}...
 *
 * Each sync is answered by what it gave. */
#include "vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 512, HEADER = 32, FRAME = 24 + PAGE };

static uint32_t chain[2];

static void put(unsigned char *to, uint32_t value) {
  int i;
  for (i = 0; i < 4; i++)
    to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t get(const unsigned char *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void sum(const unsigned char *b, size_t n) {
  size_t i;
  for (i = 0; i < n; i += 8) {
    chain[0] += get(b + i) + chain[1];
    chain[1] += get(b + i + 4) + chain[0];
  }
}

static void need(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "%s\n", what);
    exit(1);
  }
}

static sqlite3_file *open_file(sqlite3_vfs *vfs, const char *path, int kind) {
  sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
  int flags = kind | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  need(file != NULL && vfs->xOpen(vfs, path, file, flags, &flags) == SQLITE_OK, path);
  return file;
}

static void write_header(sqlite3_file *wal) {
  unsigned char header[HEADER] = {0};
  put(header, 0x377f0683);
  put(header + 4, 3007000);
  put(header + 8, PAGE);
  memcpy(header + 16, "saltSALT", 8);
  sum(header, 24);
  put(header + 24, chain[0]);
  put(header + 28, chain[1]);
  need(wal->pMethods->xWrite(wal, header, HEADER, 0) == SQLITE_OK, "header");
}

/* A transaction of one page. */
static void commit(sqlite3_file *wal, uint32_t number, int bad) {
  unsigned char frame[FRAME];
  sqlite3_int64 at = HEADER + (sqlite3_int64)(number - 1) * FRAME;
  memset(frame, (int)number, sizeof frame);
  put(frame, number);
  put(frame + 4, number);
  memcpy(frame + 8, "saltSALT", 8);
  sum(frame, 8);
  sum(frame + 24, PAGE);
  put(frame + 16, chain[0] ^ (uint32_t)bad);
  put(frame + 20, chain[1]);
  need(wal->pMethods->xWrite(wal, frame, 24, at) == SQLITE_OK, "frame");
  need(wal->pMethods->xWrite(wal, frame + 24, PAGE, at + 24) == SQLITE_OK, "page");
}

int main(int argc, char **argv) {
  char path[512], wal_path[600];
  ewal_error error = EWAL_ERROR_INIT;
  recovered found;
  sqlite3_vfs *vfs;
  sqlite3_file *wal;
  uint32_t number = 0;
  int i;
  need(argc > 1, "usage: odd_commits FOLDER {good|bad|sync}...");
  sqlite3_initialize();
  need(epochwal_vfs_start(argv[1], &found, &error) == EWAL_OK, error.message);
  vfs = sqlite3_vfs_find(EPOCHWAL_VFS);
  /* With the second NUL that ends SQLite's names of files. */
  memset(path, 0, sizeof path);
  snprintf(path, sizeof path - 8, "%s/0.db", argv[1]);
  snprintf(wal_path, sizeof wal_path, "%s-wal", path);
  open_file(vfs, path, SQLITE_OPEN_MAIN_DB);
  wal = open_file(vfs, wal_path, SQLITE_OPEN_WAL);
  write_header(wal);
  for (i = 2; i < argc; i++)
    if (strcmp(argv[i], "sync") == 0)
      printf("%d\n", wal->pMethods->xSync(wal, SQLITE_SYNC_FULL));
    else
      commit(wal, ++number, strcmp(argv[i], "bad") == 0);
  return 0;
}
