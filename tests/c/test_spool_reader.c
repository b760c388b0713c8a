/* A spool read from outside: beside its writer, after it, from a fork; and what
 * a spool knows of its past. */
#include "spool.h"

#include <pthread.h>
#include <sys/wait.h>

static ewal_spool_reader open_reader(const char *name, uint64_t since_lsn) {
  ewal_spool_reader reader;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_spool_reader_open(in_scratch(name), since_lsn, &reader, &error),
         &error);
  return reader;
}

static ewal_spool_summary summary_of(ewal_spool_reader reader) {
  ewal_spool_summary summary = EWAL_SPOOL_SUMMARY_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_spool_reader_report(reader, &summary, &error), &error);
  return summary;
}

/* Reads to the end, `page` records at a time; gives how many. */
static size_t drain(ewal_spool_reader reader, uint64_t *last, size_t page) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  size_t n, all = 0;
  ewal_status status;
  while ((status = ewal_spool_reader_next(reader, page, SIZE_MAX, &records, &error)) ==
         EWAL_OK) {
    *last = take(records, &n);
    CHECK(n > 0 && n <= page);
    all += n;
  }
  EXPECT(EWAL_END, status, &error);
  CHECK(records.id == 0);
  EXPECT(EWAL_END, ewal_spool_reader_next(reader, page, 1, &records, &error), &error);
  return all;
}

/* Reads the whole spool; gives its last LSN. */
static uint64_t read_whole(const char *name, size_t count) {
  ewal_spool_reader reader = open_reader(name, EWAL_SINCE_OLDEST);
  uint64_t last = 0;
  CHECK(drain(reader, &last, 3) == count);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  return last;
}

static void beside_its_writer_what_is_durable_is_read(void) {
  ewal_spool spool = open_spool("beside", NULL);
  ewal_record staged = make_record(2, 11, "11");
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool_ticket ticket;
  ewal_spool_reader reader;
  ewal_spool_summary summary;
  uint64_t lsn, last;
  for (lsn = 1; lsn <= 10; lsn++)
    append(spool, lsn < 6 ? 1 : 2, lsn);
  reader = open_reader("beside", 4);
  EXPECT(EWAL_OK, ewal_spool_submit(spool, &staged, 1, &ticket, &error), &error);
  CHECK(drain(reader, &last, 4) == 6 && last == 10);
  summary = summary_of(reader);
  CHECK(summary.verdict == EWAL_VERDICT_CLEAN && summary.exists && summary.writer);
  CHECK(!summary.clean && summary.records == 6 && summary.term == 2);
  CHECK(summary.payload_bytes == 7 && summary.bytes_read > 0);
  CHECK(summary.first_lsn == 5 && summary.last_lsn == 10);
  CHECK(summary.current_lsn == 10 && summary.durable_lsn == 10);
  CHECK(summary.pruned_through == 0 && summary.lost_through == 0);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  /* On behind the last record. */
  EXPECT(EWAL_OK, ewal_spool_wait(spool, ticket, -1, &error), &error);
  reader = open_reader("beside", last);
  CHECK(drain(reader, &last, 4) == 1 && last == 11);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  close_spool(spool);
  reader = open_reader("beside", 0);
  CHECK(drain(reader, &last, SIZE_MAX) == 11);
  summary = summary_of(reader);
  CHECK(summary.clean && !summary.writer);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
}

static void another_process_reads_and_hinders_nobody(void) {
  ewal_spool spool = open_spool("process", NULL);
  pid_t child;
  int status;
  uint64_t lsn;
  for (lsn = 1; lsn <= 7; lsn++)
    append(spool, 1, lsn);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(read_whole("process", 7) == 7);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  append(spool, 1, 8);
  close_spool(spool);
}

static void what_can_not_be_read_says_where_to_go_on(void) {
  ewal_spool spool = open_spool("pruned", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool_reader reader;
  ewal_records records;
  uint64_t lsn, last;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 4, NULL, &error), &error);
  reader.id = 7;
  EXPECT(EWAL_E_WAL_REMOVED,
         ewal_spool_reader_open(in_scratch("pruned"), 3, &reader, &error), &error);
  CHECK(error.lsn == 5 && reader.id == 0);
  reader = open_reader("pruned", EWAL_SINCE_OLDEST);
  CHECK(drain(reader, &last, 9) == 5 && last == 9);
  CHECK(summary_of(reader).pruned_through == 4);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  reader = open_reader("pruned", 10);
  EXPECT(EWAL_E_AHEAD, ewal_spool_reader_next(reader, 9, 9, &records, &error), &error);
  CHECK(error.lsn == 9);
  EXPECT(EWAL_END, ewal_spool_reader_next(reader, 9, 9, &records, &error), &error);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  close_spool(spool);
}

static void where_there_is_none_the_stream_is_empty(void) {
  ewal_spool_reader reader = open_reader("nothing", EWAL_SINCE_OLDEST);
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t last;
  CHECK(drain(reader, &last, 1) == 0);
  CHECK(!summary_of(reader).exists);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  CHECK(access(in_scratch("nothing.logical.wal-lock"), F_OK) != 0);
  EXPECT(EWAL_E_IO,
         ewal_spool_reader_open(in_scratch("no/such/dir"), 0, &reader, &error), &error);
}

static void a_limit_gives_one_record_at_least(void) {
  ewal_spool spool = open_spool("limits", NULL);
  ewal_spool_reader reader;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  uint64_t lsn;
  size_t n;
  for (lsn = 10; lsn <= 14; lsn++)
    append(spool, 1, lsn);
  close_spool(spool);
  reader = open_reader("limits", 0);
  EXPECT(EWAL_E_INVALID, ewal_spool_reader_next(reader, 0, 9, &records, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_reader_next(reader, 9, 0, &records, &error), &error);
  CHECK(take(records, &n) == 10 && n == 1);
  EXPECT(EWAL_OK, ewal_spool_reader_next(reader, 9, 5, &records, &error), &error);
  CHECK(take(records, &n) == 12 && n == 2);
  /* Its records outlive it. */
  EXPECT(EWAL_OK, ewal_spool_reader_next(reader, 9, 99, &records, &error), &error);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  CHECK(ewal_spool_reader_close(reader) == EWAL_E_CLOSED);
  CHECK(take(records, &n) == 14 && n == 2);
  EXPECT(EWAL_E_CLOSED, ewal_spool_reader_next(reader, 9, 9, &records, &error), &error);
}

static void damage_ends_the_stream_with_its_place(void) {
  ewal_spool spool = open_spool("damage", NULL);
  ewal_spool_reader reader;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_lost_range lost[2];
  ewal_status status;
  uint64_t lsn, last = 0;
  size_t n;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK, ewal_spool_lost(spool, NULL, 0, &n, &error), &error);
  CHECK(n == 0);
  close_spool(spool);
  damage("damage", 4 * 4096 + 300);
  reader = open_reader("damage", 0);
  while ((status = ewal_spool_reader_next(reader, 2, 99, &records, &error)) == EWAL_OK)
    last = take(records, &n);
  EXPECT(EWAL_E_CORRUPT, status, &error);
  CHECK(strstr(error.message, "damage.logical.wal-seg-") != NULL);
  CHECK(last > 0 && last < 9 && summary_of(reader).verdict == EWAL_VERDICT_CORRUPT);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  /* What the salvage could not keep is told to those who come later. */
  EXPECT(EWAL_OK, ewal_spool_salvage(in_scratch("damage"), NULL, &error), &error);
  spool = open_spool("damage", NULL);
  lost[1].after = 7;
  EXPECT(EWAL_OK, ewal_spool_lost(spool, lost, 2, &n, &error), &error);
  CHECK(n == 1 && lost[0].after == last && lost[0].through == 9 && lost[1].after == 7);
  append(spool, 1, 10);
  close_spool(spool);
  reader = open_reader("damage", last - 1);
  EXPECT(EWAL_OK, ewal_spool_reader_next(reader, 9, 99, &records, &error), &error);
  CHECK(take(records, &n) == last && n == 1);
  EXPECT(EWAL_E_WAL_REMOVED, ewal_spool_reader_next(reader, 9, 99, &records, &error),
         &error);
  CHECK(error.lsn == 10 && summary_of(reader).lost_after == last);
  CHECK(summary_of(reader).lost_through == 9);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
}

static void the_history_of_terms_is_listed(void) {
  ewal_spool spool = open_spool("terms", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_term_start starts[3];
  uint64_t lsn;
  size_t n;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, lsn < 4 ? 2 : 5, lsn);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 7, 6, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_terms(spool, NULL, 0, &n, &error), &error);
  CHECK(n == 3);
  starts[2].term = 77;
  EXPECT(EWAL_OK, ewal_spool_terms(spool, starts, 2, &n, &error), &error);
  CHECK(n == 3 && starts[2].term == 77);
  EXPECT(EWAL_OK, ewal_spool_terms(spool, starts, 3, &n, &error), &error);
  CHECK(starts[0].term == 2 && starts[0].first_lsn == 1);
  CHECK(starts[1].term == 5 && starts[1].first_lsn == 4);
  CHECK(starts[2].term == 6 && starts[2].first_lsn == 8);
  n = 7;
  EXPECT(EWAL_E_INVALID, ewal_spool_terms(spool, NULL, 1, &n, &error), &error);
  CHECK(n == 0 && strstr(error.message, "cap") != NULL);
  EXPECT(EWAL_E_INVALID, ewal_spool_lost(spool, NULL, 0, NULL, &error), &error);
  close_spool(spool);
}

static void the_child_of_a_fork_is_told(void) {
  ewal_spool spool = open_spool("fork", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool_summary summary = EWAL_SPOOL_SUMMARY_INIT;
  ewal_spool_reader reader;
  ewal_records records;
  pid_t child;
  int status;
  uint64_t last;
  size_t n;
  append(spool, 1, 1);
  append(spool, 1, 2);
  reader = open_reader("fork", 0);
  EXPECT(EWAL_OK, ewal_spool_reader_next(reader, 1, 9, &records, &error), &error);
  CHECK(take(records, &n) == 1);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    EXPECT(EWAL_E_FORKED, ewal_spool_reader_next(reader, 1, 9, &records, &error), &error);
    EXPECT(EWAL_E_FORKED, ewal_spool_reader_report(reader, &summary, &error), &error);
    EXPECT(EWAL_E_FORKED, ewal_spool_terms(spool, NULL, 0, &n, &error), &error);
    EXPECT(EWAL_E_FORKED, ewal_spool_lost(spool, NULL, 0, &n, &error), &error);
    CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
    CHECK(read_whole("fork", 2) == 2);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(drain(reader, &last, 9) == 1 && last == 2);
  CHECK(ewal_spool_reader_close(reader) == EWAL_OK);
  close_spool(spool);
}

typedef struct {
  ewal_spool_reader reader;
  uint64_t given;
} share;

/* Takes records until the end, whenever nobody else is at it. */
static void *take_some(void *user) {
  share *mine = user;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_status status;
  size_t n;
  while ((status = ewal_spool_reader_next(mine->reader, 1, 9, &records, &error)) !=
         EWAL_END) {
    if (status == EWAL_BUSY)
      continue;
    EXPECT(EWAL_OK, status, &error);
    take(records, &n);
    mine->given += n;
  }
  return NULL;
}

static void a_reader_is_for_one_thread_at_a_time(void) {
  ewal_spool spool = open_spool("threads", NULL);
  pthread_t threads[4];
  share shares[4];
  uint64_t lsn, all = 0;
  int i;
  for (lsn = 1; lsn <= 500; lsn++)
    append(spool, 1, lsn);
  close_spool(spool);
  shares[0].reader = open_reader("threads", 0);
  for (i = 0; i < 4; i++) {
    shares[i].reader = shares[0].reader;
    shares[i].given = 0;
    CHECK(pthread_create(&threads[i], NULL, take_some, &shares[i]) == 0);
  }
  for (i = 0; i < 4; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    all += shares[i].given;
  }
  CHECK(all == 500);
  CHECK(ewal_spool_reader_close(shares[0].reader) == EWAL_OK);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(beside_its_writer_what_is_durable_is_read);
  RUN(another_process_reads_and_hinders_nobody);
  RUN(what_can_not_be_read_says_where_to_go_on);
  RUN(where_there_is_none_the_stream_is_empty);
  RUN(a_limit_gives_one_record_at_least);
  RUN(damage_ends_the_stream_with_its_place);
  RUN(the_history_of_terms_is_listed);
  RUN(the_child_of_a_fork_is_told);
  RUN(a_reader_is_for_one_thread_at_a_time);
  return 0;
}
