/* wal.h: the `-wal` of one database, in memory.
 *
 * SQLite writes it by offset: a transaction that outgrows the page cache spills
 * frames early, overwrites them in place, gives some up (ROLLBACK, ROLLBACK TO)
 * and writes others there. So what was written says nothing by itself. Only at
 * a sync are the frames final, and of those only what SQLite's own recovery
 * would accept counts: the salts of the header, an unbroken chain of checksums,
 * a frame with a commit mark at the end.
 * https://www.sqlite.org/fileformat2.html#walformat
 */
#ifndef EPOCHWAL_SQLITE_WAL_H
#define EPOCHWAL_SQLITE_WAL_H

#include <epochwal.h>

enum { WAL_HEADER = 32, WAL_FRAME_HEADER = 24 };

typedef struct {
  unsigned char *bytes;
  size_t len;
  size_t room;
  uint32_t page_size;
  size_t handed_over; /* offset behind the last frame that was handed over */
  uint32_t chain[2];  /* checksum of everything up to there */
  size_t marked;      /* offset of the last frame written with a commit mark */
  ewal_frame *frames; /* of the transaction that wal_next found */
  size_t frames_room;
} wal_file;

/* 0: no memory. */
int wal_write(wal_file *wal, const void *from, size_t n, size_t at);

/* The bytes that were there; the rest of `to` is zeroed. */
size_t wal_read(const wal_file *wal, void *to, size_t n, size_t at);

void wal_truncate(wal_file *wal, size_t len);
void wal_free(wal_file *wal);

/* The next committed transaction not yet handed over: the number of its
 * frames, in wal->frames, which point into the file; 0 where there is none.
 * *end and chain are for wal_done. -1: no memory. */
typedef struct {
  size_t end;
  uint32_t chain[2];
} wal_mark;
long wal_next(wal_file *wal, wal_mark *mark);
void wal_done(wal_file *wal, const wal_mark *mark);

/* Whether a commit mark was written that has not been handed over. */
int wal_mark_is_left(const wal_file *wal);

#endif
