/* A disk that is full, and one that fails: the library's writes and syncs come
 * to the functions below, which stand in for those of the C library. */
#include "primary.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* What each write, and each sync, fails with; 0: it is done. */
static atomic_int write_fails, sync_fails;
static atomic_uint failed;

static bool fails(atomic_int *with) {
  int number = atomic_load(with);
  if (number == 0)
    return false;
  atomic_fetch_add(&failed, 1);
  errno = number;
  return true;
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
  return fails(&write_fails) ? -1 : syscall(SYS_pwrite64, fd, from, n, at);
}
int fdatasync(int fd) {
  return fails(&sync_fails) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
int fsync(int fd) {
  return fails(&sync_fails) ? -1 : (int)syscall(SYS_fsync, fd);
}

static void heal(void) {
  /* A test whose fault was never met tests nothing. */
  CHECK(atomic_exchange(&failed, 0) > 0);
  atomic_store(&write_fails, 0);
  atomic_store(&sync_fails, 0);
}

/* Nobody flushes but who waits. */
static ewal_coordinator_options by_hand(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  options.sync_style = EWAL_SYNC_STYLE_BUFFERED;
  return options;
}

static ewal_status commit(ewal_coordinator wal, uint64_t seq, ewal_ticket *ticket,
                          ewal_error *error) {
  one_page p;
  make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
  return ewal_commit(wal, &p.batch, -1, ticket, error);
}

/* How many batches come back. */
static uint64_t recovered(const char *name) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovered_batch batch;
  ewal_recovery reader;
  ewal_status status;
  uint64_t n = 0;
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch(name), NULL, &reader, &error), &error);
  while ((status = ewal_recovery_next(reader, &batch, &error)) == EWAL_OK)
    CHECK(batch.commit_seq == ++n);
  EXPECT(EWAL_END, status, &error);
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  return n;
}

static void a_full_disk_is_told_and_what_waits_is_kept(void) {
  ewal_coordinator_options options = by_hand();
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket first, second;
  ewal_coordinator wal = open_db("full", &options);
  EXPECT(EWAL_OK, commit(wal, 1, &first, &error), &error);
  atomic_store(&write_fails, ENOSPC);
  EXPECT(EWAL_E_NO_SPACE, commit(wal, 2, &second, &error), &error);
  CHECK(error.os_errno == ENOSPC);
  CHECK(second.epoch > first.epoch && error.staged_epoch == second.epoch);
  EXPECT(EWAL_E_NO_SPACE, ewal_wait(wal, second.epoch, -1, &error), &error);
  EXPECT(EWAL_OK, ewal_wait(wal, first.epoch, -1, &error), &error);
  heal();
  EXPECT(EWAL_OK, ewal_wait(wal, second.epoch, -1, &error), &error);
  EXPECT(EWAL_OK, commit(wal, 3, NULL, &error), &error);
  /* One that is full to the end closes, and says what is not durable. */
  atomic_store(&write_fails, ENOSPC);
  EXPECT(EWAL_E_NO_SPACE, commit(wal, 4, &second, &error), &error);
  EXPECT(EWAL_E_NO_SPACE, ewal_coordinator_close(wal, -1, &error), &error);
  heal();
  EXPECT(EWAL_E_CLOSED, ewal_coordinator_close(wal, -1, &error), &error);
  CHECK(recovered("full") == 3);
}

static void after_a_sync_that_failed_the_outcome_is_unknown(void) {
  ewal_coordinator_options options = by_hand();
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket first, second;
  ewal_coordinator wal = open_db("sync", &options);
  uint64_t n;
  EXPECT(EWAL_OK, commit(wal, 1, &first, &error), &error);
  atomic_store(&sync_fails, EIO);
  EXPECT(EWAL_E_OUTCOME_UNKNOWN, commit(wal, 2, &second, &error), &error);
  CHECK(error.os_errno == EIO && second.epoch > first.epoch);
  /* For good, whatever the disk says later: a second sync proves nothing. */
  heal();
  EXPECT(EWAL_E_OUTCOME_UNKNOWN, ewal_wait(wal, second.epoch, -1, &error), &error);
  EXPECT(EWAL_OK, ewal_wait(wal, first.epoch, -1, &error), &error);
  EXPECT(EWAL_E_FAILED, commit(wal, 3, NULL, &error), &error);
  CHECK(ewal_coordinator_close(wal, -1, &error) < 0);
  CHECK(error.code == EWAL_E_OUTCOME_UNKNOWN || error.code == EWAL_E_FAILED);
  EXPECT(EWAL_E_CLOSED, ewal_coordinator_close(wal, -1, &error), &error);
  n = recovered("sync");
  CHECK(n == 1 || n == 2);
  wal = open_db("sync", &options);
  EXPECT(EWAL_OK, commit(wal, n + 1, NULL, &error), &error);
  close_db(wal);
  CHECK(recovered("sync") == n + 1);
}

static ewal_spool_options spool_by_hand(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  options.flush_interval_ns = UINT64_C(3600) * 1000 * 1000 * 1000;
  options.sync_style = EWAL_SYNC_STYLE_BUFFERED;
  return options;
}

static ewal_status append_one(ewal_spool spool, uint64_t lsn, ewal_error *error) {
  ewal_record record;
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, lsn);
  record = make_record(1, lsn, text);
  return ewal_spool_append(spool, &record, 1, -1, error);
}

/* The last LSN that is read. */
static uint64_t readable(ewal_spool spool) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  size_t n;
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 99, SIZE_MAX, &records, &error), &error);
  return take(records, &n);
}

static void a_spool_on_a_full_disk_keeps_what_waits(void) {
  ewal_spool_options options = spool_by_hand();
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool = open_spool("full-spool", &options);
  ewal_status status;
  EXPECT(EWAL_OK, append_one(spool, 1, &error), &error);
  atomic_store(&write_fails, ENOSPC);
  EXPECT(EWAL_E_NO_SPACE, append_one(spool, 2, &error), &error);
  CHECK(error.os_errno == ENOSPC && error.staged_epoch > 0);
  CHECK(readable(spool) == 1);
  heal();
  /* A try of the library's own, begun before, may be told of first. */
  while ((status = ewal_spool_flush(spool, -1, &error)) == EWAL_E_NO_SPACE)
    ;
  EXPECT(EWAL_OK, status, &error);
  CHECK(readable(spool) == 2);
  EXPECT(EWAL_OK, append_one(spool, 3, &error), &error);
  close_spool(spool);
}

static void a_spool_whose_sync_failed_has_failed(void) {
  ewal_spool_options options = spool_by_hand();
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool = open_spool("sync-spool", &options);
  ewal_records records;
  ewal_cursor cursor;
  uint64_t last;
  size_t n;
  EXPECT(EWAL_OK, append_one(spool, 1, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  atomic_store(&sync_fails, EIO);
  EXPECT(EWAL_E_OUTCOME_UNKNOWN, append_one(spool, 2, &error), &error);
  CHECK(error.os_errno == EIO);
  heal();
  EXPECT(EWAL_E_FAILED, append_one(spool, 2, &error), &error);
  /* What is durable is read; nobody waits for more. */
  EXPECT(EWAL_OK, ewal_cursor_next(cursor, 9, 99, -1, &records, &error), &error);
  CHECK(take(records, &n) == 1);
  EXPECT(EWAL_E_FAILED, ewal_cursor_next(cursor, 9, 99, -1, &records, &error), &error);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  CHECK(ewal_spool_close(spool, -1, &error) < 0);
  CHECK(error.code == EWAL_E_OUTCOME_UNKNOWN || error.code == EWAL_E_FAILED);
  EXPECT(EWAL_E_CLOSED, ewal_spool_close(spool, -1, &error), &error);
  spool = open_spool("sync-spool", &options);
  last = readable(spool);
  CHECK(last == 1 || last == 2);
  EXPECT(EWAL_OK, append_one(spool, last + 1, &error), &error);
  close_spool(spool);
}

static void a_primary_whose_slots_can_not_be_saved_says_so(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary = open_primary("slots", NULL);
  ewal_registration a = join(primary, "a", NULL);
  fill(primary, 2);
  atomic_store(&write_fails, ENOSPC);
  /* In force at once, and saved later. */
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 1, &error), &error);
  /* A slot that is not on the disk is none: it may be asked for again. */
  EXPECT(EWAL_E_NO_SPACE, ewal_primary_register(primary, "b", NULL, NULL, &error), &error);
  EXPECT(EWAL_E_NO_SPACE, ewal_primary_save(primary, &error), &error);
  CHECK(error.os_errno == ENOSPC);
  heal();
  EXPECT(EWAL_OK, ewal_primary_save(primary, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_register(primary, "b", NULL, NULL, &error), &error);
  close_primary(primary);
}

static void a_primary_whose_sync_failed_acknowledges_nothing_more(void) {
  ewal_spool_options spool = spool_by_hand();
  ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary;
  options.spool = &spool;
  primary = open_primary("sync-primary", &options);
  fill(primary, 1);
  EXPECT(EWAL_OK, wait_for(primary, 1, "local", -1, NULL, &error), &error);
  atomic_store(&sync_fails, EIO);
  EXPECT(EWAL_E_OUTCOME_UNKNOWN, append_one(spool_of(primary), 2, &error), &error);
  heal();
  EXPECT(EWAL_OK, wait_for(primary, 1, "local", -1, NULL, &error), &error);
  CHECK(wait_for(primary, 2, "local", -1, NULL, &error) < 0);
  CHECK(error.code == EWAL_E_OUTCOME_UNKNOWN || error.code == EWAL_E_FAILED);
  EXPECT(EWAL_E_FAILED, append_one(spool_of(primary), 3, &error), &error);
  CHECK(ewal_primary_close(primary, -1, &error) < 0);
  EXPECT(EWAL_E_CLOSED, ewal_primary_close(primary, -1, &error), &error);
  close_primary(open_primary("sync-primary", &options));
}

/* Neither a handle nor a lock is left of an open that failed. */
static void an_open_that_fails_leaves_nothing_open(void) {
  static const struct {
    atomic_int *fails;
    int number;
    ewal_status status;
  } ways[] = {{&write_fails, ENOSPC, EWAL_E_NO_SPACE},
              {&write_fails, EIO, EWAL_E_IO},
              {&sync_fails, EIO, EWAL_E_IO}};
  ewal_error error = EWAL_ERROR_INIT;
  ewal_coordinator wal;
  ewal_spool spool;
  ewal_primary primary;
  size_t i;
  for (i = 0; i < sizeof ways / sizeof *ways; i++) {
    atomic_store(ways[i].fails, ways[i].number);
    EXPECT(ways[i].status, ewal_coordinator_open(in_scratch("open"), NULL, &wal, &error),
           &error);
    CHECK(error.os_errno == ways[i].number && wal.id == 0);
    EXPECT(ways[i].status, ewal_spool_open(in_scratch("open"), NULL, &spool, &error), &error);
    CHECK(error.os_errno == ways[i].number && spool.id == 0);
    EXPECT(ways[i].status, ewal_primary_open(in_scratch("open"), NULL, &primary, &error),
           &error);
    CHECK(error.os_errno == ways[i].number && primary.id == 0);
    heal();
  }
  close_db(open_db("open", NULL));
  close_spool(open_spool("open", NULL));
  close_primary(open_primary("open", NULL));
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(a_full_disk_is_told_and_what_waits_is_kept);
  RUN(after_a_sync_that_failed_the_outcome_is_unknown);
  RUN(a_spool_on_a_full_disk_keeps_what_waits);
  RUN(a_spool_whose_sync_failed_has_failed);
  RUN(a_primary_whose_slots_can_not_be_saved_says_so);
  RUN(a_primary_whose_sync_failed_acknowledges_nothing_more);
  RUN(an_open_that_fails_leaves_nothing_open);
  return 0;
}
