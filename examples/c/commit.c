/* commit DB FRAMES: commits the transactions of a frame dump to the log of DB.
 *
 * A frame dump is transactions one after another. All numbers are u32,
 * little-endian:
 *
 *     number of frames, then for each frame:
 *         page number
 *         database size in pages after the commit; 0 but in the last frame
 *         length, then that many bytes of page
 *
 *     cc commit.c $(pkg-config --cflags --libs epochwal) -o commit
 */
#include <epochwal.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAGE = 65536 };

/* A transaction as read: its frames, and the pages that they point into. */
typedef struct {
  ewal_frame *frames;
  unsigned char *pages;
  uint32_t room;
} transaction;

static void die(const char *what, const char *why) {
  fprintf(stderr, "commit: %s: %s\n", what, why);
  exit(1);
}

/* 1: read; 0: the end of the file. */
static int read_u32(FILE *in, uint32_t *out) {
  unsigned char b[4];
  size_t n = fread(b, 1, sizeof b, in);
  if (n == 0)
    return 0;
  if (n != sizeof b)
    die("frame dump", "ends inside a number");
  *out = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  return 1;
}

static uint32_t must_read_u32(FILE *in) {
  uint32_t value = 0;
  if (!read_u32(in, &value))
    die("frame dump", "ends inside a transaction");
  return value;
}

static void make_room(transaction *txn, uint32_t frames) {
  if (frames <= txn->room)
    return;
  txn->frames = realloc(txn->frames, frames * sizeof *txn->frames);
  txn->pages = realloc(txn->pages, (size_t)frames * MAX_PAGE);
  if (txn->frames == NULL || txn->pages == NULL)
    die("frame dump", "out of memory");
  txn->room = frames;
}

/* Reads the next transaction; the number of its frames, 0 at the end. */
static uint32_t next_transaction(FILE *in, transaction *txn) {
  uint32_t count, i;
  if (!read_u32(in, &count))
    return 0;
  for (i = 0; i < count; i++) {
    unsigned char *page;
    uint32_t len;
    /* Room grows with what was really read, not on the word of a number. */
    if (i == txn->room)
      make_room(txn, i < 8 ? 16 : i * 2);
    page = txn->pages + (size_t)i * MAX_PAGE;
    txn->frames[i].page_number = must_read_u32(in);
    txn->frames[i].db_size_if_commit = must_read_u32(in);
    len = must_read_u32(in);
    if (len > MAX_PAGE || fread(page, 1, len, in) != len)
      die("frame dump", "a page is too large or cut off");
    txn->frames[i].data.len = len;
  }
  /* Only now, since the pages may have moved while there were more to read. */
  for (i = 0; i < count; i++)
    txn->frames[i].data.data = txn->pages + (size_t)i * MAX_PAGE;
  return count;
}

int main(int argc, char **argv) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_coordinator wal;
  ewal_ticket ticket = {0, 0};
  transaction txn = {NULL, NULL, 0};
  uint64_t transactions = 0;
  uint32_t frames;
  FILE *in;

  if (argc != 3) {
    fprintf(stderr, "usage: commit DB FRAMES\n");
    return 2;
  }
  in = fopen(argv[2], "rb");
  if (in == NULL)
    die(argv[2], "can't be opened");

  /* The coordinator numbers the commits in the order of the submits. */
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  if (ewal_coordinator_open(argv[1], &options, &wal, &error) != EWAL_OK)
    die("open", error.message);

  while ((frames = next_transaction(in, &txn)) != 0) {
    ewal_batch batch = EWAL_BATCH_INIT;
    batch.txn_id = ++transactions;
    batch.frames = txn.frames;
    batch.frame_count = frames;
    /* Durable when it returns. A program with other work to do would submit
     * here, and wait for ticket.epoch before it tells anyone. */
    if (ewal_commit(wal, &batch, -1, &ticket, &error) != EWAL_OK)
      die("commit", error.message);
  }

  if (ewal_coordinator_close(wal, -1, &error) != EWAL_OK)
    die("close", error.message);
  printf("%llu transactions durable, the last in epoch %llu\n",
         (unsigned long long)transactions, (unsigned long long)ticket.epoch);
  fclose(in);
  free(txn.frames);
  free(txn.pages);
  return 0;
}
