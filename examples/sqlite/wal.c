/* wal.c: see wal.h. */
#include "wal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t big_endian(const unsigned char *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t little_endian(const unsigned char *b) {
  return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

/* The lowest bit of the header's magic says how the checksummed words lie. */
static void checksum(const wal_file *wal, const unsigned char *b, size_t n,
                     uint32_t chain[2]) {
  size_t i;
  if (wal->bytes[3] & 1) {
    for (i = 0; i < n; i += 8) {
      chain[0] += big_endian(b + i) + chain[1];
      chain[1] += big_endian(b + i + 4) + chain[0];
    }
  } else {
    for (i = 0; i < n; i += 8) {
      chain[0] += little_endian(b + i) + chain[1];
      chain[1] += little_endian(b + i + 4) + chain[0];
    }
  }
}

static int make_room(wal_file *wal, size_t end) {
  size_t room = wal->room > 0 ? wal->room : 65536;
  unsigned char *bytes;
  if (end <= wal->room)
    return 1;
  while (room < end)
    room *= 2;
  bytes = realloc(wal->bytes, room);
  if (bytes == NULL)
    return 0;
  wal->bytes = bytes;
  wal->room = room;
  return 1;
}

/* A header starts the file anew: the frames behind it are those of the last
 * round, all of them in the database file, and none of them has its salts. */
static void begin_round(wal_file *wal) {
  wal->page_size = big_endian(wal->bytes + 8);
  wal->handed_over = WAL_HEADER;
  wal->chain[0] = big_endian(wal->bytes + 24);
  wal->chain[1] = big_endian(wal->bytes + 28);
  wal->marked = 0;
}

/* SQLite writes the header of a frame by itself, before the page. */
static void note_mark(wal_file *wal, const unsigned char *frame, size_t at) {
  if (big_endian(frame + 4) != 0)
    wal->marked = at;
  else if (at <= wal->marked)
    wal->marked = 0;
}

int wal_write(wal_file *wal, const void *from, size_t n, size_t at) {
  if (!make_room(wal, at + n))
    return 0;
  if (at > wal->len)
    memset(wal->bytes + wal->len, 0, at - wal->len);
  memcpy(wal->bytes + at, from, n);
  if (at + n > wal->len)
    wal->len = at + n;
  if (at == 0 && n >= WAL_HEADER)
    begin_round(wal);
  else if (n == WAL_FRAME_HEADER)
    note_mark(wal, from, at);
  return 1;
}

size_t wal_read(const wal_file *wal, void *to, size_t n, size_t at) {
  size_t there = at < wal->len ? wal->len - at : 0;
  if (there > n)
    there = n;
  if (there > 0)
    memcpy(to, wal->bytes + at, there);
  memset((char *)to + there, 0, n - there);
  return there;
}

void wal_truncate(wal_file *wal, size_t len) {
  if (len < wal->len)
    wal->len = len;
  if (len < WAL_HEADER)
    wal->page_size = 0;
}

void wal_free(wal_file *wal) {
  free(wal->bytes);
  free(wal->frames);
  memset(wal, 0, sizeof *wal);
}

/* Whether the frame is one that SQLite's recovery would take; goes on in the
 * chain if so. */
static int frame_is_whole(const wal_file *wal, const unsigned char *frame,
                          uint32_t chain[2]) {
  if (memcmp(frame + 8, wal->bytes + 16, 8) != 0 || big_endian(frame) == 0)
    return 0;
  checksum(wal, frame, 8, chain);
  checksum(wal, frame + WAL_FRAME_HEADER, wal->page_size, chain);
  return chain[0] == big_endian(frame + 16) && chain[1] == big_endian(frame + 20);
}

static int add_frame(wal_file *wal, size_t count, const unsigned char *frame) {
  if (count == wal->frames_room) {
    size_t room = count > 0 ? count * 2 : 16;
    ewal_frame *frames = realloc(wal->frames, room * sizeof *frames);
    if (frames == NULL)
      return 0;
    wal->frames = frames;
    wal->frames_room = room;
  }
  wal->frames[count].page_number = big_endian(frame);
  wal->frames[count].db_size_if_commit = big_endian(frame + 4);
  wal->frames[count].data.data = frame + WAL_FRAME_HEADER;
  wal->frames[count].data.len = wal->page_size;
  return 1;
}

long wal_next(wal_file *wal, wal_mark *mark) {
  size_t count = 0;
  size_t at = wal->handed_over;
  size_t step = WAL_FRAME_HEADER + (size_t)wal->page_size;
  if (wal->page_size == 0)
    return 0;
  memcpy(mark->chain, wal->chain, sizeof mark->chain);
  for (; at + step <= wal->len; at += step) {
    const unsigned char *frame = wal->bytes + at;
    if (!frame_is_whole(wal, frame, mark->chain))
      return 0;
    if (!add_frame(wal, count, frame))
      return -1;
    count++;
    if (big_endian(frame + 4) != 0) {
      mark->end = at + step;
      return (long)count;
    }
  }
  return 0;
}

int wal_mark_is_left(const wal_file *wal) {
  return wal->marked != 0 && wal->marked >= wal->handed_over;
}

void wal_done(wal_file *wal, const wal_mark *mark) {
  wal->handed_over = mark->end;
  memcpy(wal->chain, mark->chain, sizeof wal->chain);
}
