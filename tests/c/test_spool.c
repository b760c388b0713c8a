/* The spool: append and read, cursors, prune, cut, reopen, close. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#define BEYOND_DOUBLES ((UINT64_C(1) << 53) + 1)
#define LAST_LSN (UINT64_MAX - 1)

static void expect_bounds(ewal_spool spool, uint64_t oldest, uint64_t current,
                          uint64_t pruned) {
  uint64_t got[3];
  CHECK(ewal_spool_bounds(spool, &got[0], &got[1], &got[2]) == EWAL_OK);
  CHECK(got[0] == oldest);
  CHECK(got[1] == current);
  CHECK(got[2] == pruned);
}

/* All above an LSN, `page` records at a time; gives how many. */
static size_t read_on(ewal_spool spool, uint64_t lsn, size_t page) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  size_t n, all = 0;
  do {
    uint64_t last;
    EXPECT(EWAL_OK,
           ewal_spool_read_since(spool, lsn, page, SIZE_MAX, &records, &error), &error);
    last = take(records, &n);
    CHECK(n <= page && (n == 0 || last > lsn));
    lsn = n == 0 ? lsn : last;
    all += n;
  } while (n > 0);
  return all;
}

static void what_was_appended_is_read_and_outlives_a_reopen(void) {
  ewal_spool spool = open_spool("append", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record three[3];
  ewal_spool_ticket ticket;
  ewal_records records;
  const ewal_record *got;
  size_t n;
  int reopened;
  expect_bounds(spool, 0, 0, 0);
  CHECK(read_on(spool, 0, 10) == 0);
  three[0] = make_record(1, 2, "two");
  three[1] = make_record(1, 3, "");
  three[1].payload.data = NULL;
  three[2] = make_record(7, 9, "nine");
  EXPECT(EWAL_OK, ewal_spool_submit(spool, three, 3, &ticket, &error), &error);
  CHECK(ticket.epoch != 0 && ticket.first_lsn == 2 && ticket.last_lsn == 9);
  EXPECT(EWAL_OK, ewal_spool_wait(spool, ticket, -1, &error), &error);
  for (reopened = 0; reopened < 2; reopened++) {
    uint64_t term;
    expect_bounds(spool, 2, 9, 0);
    CHECK(ewal_spool_term(spool, &term) == EWAL_OK && term == 7);
    EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 10, 100, &records, &error), &error);
    CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == 3);
    CHECK(got[0].lsn == 2 && got[0].term == 1 && got[0].payload.len == 3);
    CHECK(memcmp(got[0].payload.data, "two", 3) == 0);
    CHECK(got[0].timestamp_ms == 1700000000002);
    CHECK(got[1].lsn == 3 && got[1].payload.len == 0);
    CHECK(got[2].lsn == 9 && got[2].term == 7);
    CHECK(ewal_records_release(records) == EWAL_OK);
    close_spool(spool);
    spool = open_spool("append", NULL);
  }
  close_spool(spool);
}

static void a_time_that_is_not_given_is_now(void) {
  ewal_spool spool = open_spool("time", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(1, 1, "x");
  ewal_records records;
  const ewal_record *got;
  uint64_t before = (uint64_t)time(NULL), after;
  size_t n;
  record.timestamp_ms = 0;
  EXPECT(EWAL_OK, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  after = (uint64_t)time(NULL);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 1, 1, &records, &error), &error);
  CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == 1);
  CHECK(got[0].timestamp_ms / 1000 >= before && got[0].timestamp_ms / 1000 <= after);
  CHECK(ewal_records_release(records) == EWAL_OK);
  close_spool(spool);
}

static void lsns_beyond_what_a_double_holds(void) {
  const uint64_t lsns[] = {BEYOND_DOUBLES - 1, BEYOND_DOUBLES, LAST_LSN};
  ewal_spool spool = open_spool("large", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(UINT64_MAX, UINT64_MAX, "x");
  ewal_records records;
  size_t i, n;
  for (i = 0; i < 3; i++)
    append(spool, UINT64_MAX - 2 + i, lsns[i]);
  EXPECT(EWAL_E_INVALID, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  CHECK(strstr(error.message, "18446744073709551615") != NULL);
  close_spool(spool);
  spool = open_spool("large", NULL);
  expect_bounds(spool, lsns[0], LAST_LSN, 0);
  for (i = 0; i < 3; i++) {
    EXPECT(EWAL_OK, ewal_spool_read_since(spool, lsns[i] - 1, 1, 0, &records, &error),
           &error);
    CHECK(take(records, &n) == lsns[i] && n == 1);
  }
  EXPECT(EWAL_E_AHEAD,
         ewal_spool_read_since(spool, UINT64_MAX, 1, 0, &records, &error), &error);
  CHECK(error.lsn == LAST_LSN);
  /* Nothing may follow the last LSN there is. */
  record.lsn = LAST_LSN;
  EXPECT(EWAL_E_ORDER, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  close_spool(spool);
}

static void refusals_have_a_code_and_an_lsn_and_leave_nothing(void) {
  ewal_spool spool = open_spool("refused", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool_ticket ticket;
  ewal_records records;
  ewal_record run[2];
  uint64_t lsn;
  for (lsn = 10; lsn <= 20; lsn++)
    append(spool, 3, lsn);
#define REFUSE(status, at, change)                                           \
  do {                                                                       \
    run[0] = make_record(3, 21, "x");                                        \
    run[1] = make_record(3, 22, "x");                                        \
    change;                                                                  \
    ticket.epoch = 7;                                                        \
    EXPECT(status, ewal_spool_submit(spool, run, 2, &ticket, &error), &error); \
    CHECK(ticket.epoch == 0 && error.lsn == at && error.staged_epoch == 0);  \
    EXPECT(status, ewal_spool_append(spool, run, 2, -1, &error), &error);    \
    CHECK(error.lsn == at && error.staged_epoch == 0);                       \
  } while (0)
  REFUSE(EWAL_E_ORDER, 20, run[0].lsn = 20);
  REFUSE(EWAL_E_ORDER, 20, run[0].lsn = 1);
  REFUSE(EWAL_E_ORDER, 21, run[1].lsn = 21);
  REFUSE(EWAL_E_FENCED, 20, run[0].term = 2);
  REFUSE(EWAL_E_FENCED, 21, run[1].term = 0);
  REFUSE(EWAL_E_INVALID, 0, run[0].lsn = 0);
  REFUSE(EWAL_E_INVALID, 0, run[1].lsn = UINT64_MAX);
  REFUSE(EWAL_E_INVALID, 0, run[1].payload.data = NULL);
  CHECK(strstr(error.message, "records[1]: payload: NULL") != NULL);
  REFUSE(EWAL_E_INVALID, 0, run[0].payload.len = SIZE_MAX);
  REFUSE(EWAL_E_TOO_LARGE, 0, run[1].payload.len = (64u << 20) + 1);
#undef REFUSE
  EXPECT(EWAL_E_INVALID, ewal_spool_submit(spool, NULL, 0, &ticket, &error), &error);
  EXPECT(EWAL_E_INVALID, ewal_spool_submit(spool, NULL, 1, &ticket, &error), &error);
  EXPECT(EWAL_E_TOO_LARGE, ewal_spool_submit(spool, run, SIZE_MAX, &ticket, &error),
         &error);
  EXPECT(EWAL_E_AHEAD, ewal_spool_read_since(spool, 21, 1, 1, &records, &error),
         &error);
  CHECK(error.lsn == 20 && records.id == 0);
  CHECK(read_on(spool, 0, 3) == 11);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 14, &lsn, &error), &error);
  CHECK(lsn == 14 && error.lsn == 0);
  EXPECT(EWAL_E_WAL_REMOVED, ewal_spool_read_since(spool, 13, 1, 1, &records, &error),
         &error);
  CHECK(error.lsn == 15);
  CHECK(strstr(error.message, "15") != NULL);
  CHECK(read_on(spool, 14, 3) == 6);
  /* An error struct of before there was an LSN in it. */
  error.struct_size = offsetof(ewal_error, reserved);
  error.lsn = 77;
  EXPECT(EWAL_E_WAL_REMOVED, ewal_spool_read_since(spool, 13, 1, 1, &records, &error),
         &error);
  CHECK(error.lsn == 77 && strstr(error.message, "15") != NULL);
  close_spool(spool);
}

static void gaps_are_refused_where_that_is_asked_for(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record;
  ewal_spool spool;
  options.flags = EWAL_SPOOL_DENSE;
  spool = open_spool("dense", &options);
  append(spool, 1, 5);
  record = make_record(1, 7, "x");
  EXPECT(EWAL_E_ORDER, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  CHECK(error.lsn == 5);
  append(spool, 1, 6);
  close_spool(spool);
}

/* What stays staged can be waited for; an append tells of it in the error. */
static void records_that_stay_staged_have_their_epoch(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool_ticket ticket = {0, 0, 0};
  ewal_record record = make_record(1, 1, "1");
  ewal_spool spool;
  options.flush_interval_ns = UINT64_C(3600) * 1000000000;
  spool = open_spool("staged", &options);
  EXPECT(EWAL_TIMEOUT, ewal_spool_append(spool, &record, 1, 0, &error), &error);
  CHECK(error.staged_epoch != 0);
  expect_bounds(spool, 0, 0, 0);
  ticket.epoch = error.staged_epoch;
  EXPECT(EWAL_TIMEOUT, ewal_spool_wait(spool, ticket, 0, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_wait(spool, ticket, -1, &error), &error);
  CHECK(error.staged_epoch == 0);
  CHECK(read_on(spool, 0, 1) == 1);
  record = make_record(1, 2, "2");
  EXPECT(EWAL_OK, ewal_spool_submit(spool, &record, 1, NULL, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_flush(spool, -1, &error), &error);
  expect_bounds(spool, 1, 2, 0);
  EXPECT(EWAL_OK, ewal_spool_wait_after(spool, 1, 0, &error), &error);
  EXPECT(EWAL_TIMEOUT, ewal_spool_wait_after(spool, 2, 0, &error), &error);
  EXPECT(EWAL_TIMEOUT, ewal_spool_wait_after(spool, 2, 1000000, &error), &error);
  ticket.epoch += 1000;
  EXPECT(EWAL_E_INVALID, ewal_spool_wait(spool, ticket, 0, &error), &error);
  close_spool(spool);
}

static void a_limit_gives_one_record_at_least(void) {
  ewal_spool spool = open_spool("limits", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  uint64_t lsn;
  size_t n;
  for (lsn = 1000; lsn < 1010; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_E_INVALID, ewal_spool_read_since(spool, 0, 0, 9, &records, &error),
         &error);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, SIZE_MAX, 0, &records, &error), &error);
  CHECK(take(records, &n) == 1000 && n == 1);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, SIZE_MAX, 12, &records, &error),
         &error);
  CHECK(take(records, &n) == 1002 && n == 3);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 4, SIZE_MAX, &records, &error), &error);
  CHECK(take(records, &n) == 1003 && n == 4);
  close_spool(spool);
}

static void records_outlive_their_spool_and_are_released_once(void) {
  ewal_spool spool = open_spool("outlive", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records memory, file;
  const ewal_record *got;
  uint64_t lsn;
  size_t n;
  for (lsn = 1; lsn <= 100; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 1000, SIZE_MAX, &file, &error), &error);
  for (lsn = 101; lsn <= 200; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 100, 1000, SIZE_MAX, &memory, &error),
         &error);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 200, NULL, &error), &error);
  close_spool(spool);
  CHECK(take(file, &n) == 100 && n == 100);
  CHECK(take(memory, &n) == 200 && n == 100);
  got = &(const ewal_record){0};
  n = 7;
  CHECK(ewal_records_get(file, &got, &n) == EWAL_E_CLOSED && got == NULL && n == 0);
  CHECK(ewal_records_release(file) == EWAL_E_CLOSED);
  CHECK(ewal_records_release(memory) == EWAL_E_CLOSED);
}

/* A cursor keeps the segment that it is in. */
static void a_cursor_crosses_a_prune(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_cursor cursor, begun;
  ewal_records records;
  ewal_status status;
  uint64_t lsn, last = 0, next;
  ewal_spool spool;
  size_t n;
  options.segment_size = 32 << 10;
  options.ring_bytes = EWAL_RING_BYTES_OFF;
  spool = open_spool("prune", &options);
  for (lsn = 1; lsn <= 300; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &begun, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_next(begun, 2, SIZE_MAX, 0, &records, &error), &error);
  last = take(records, &n);
  CHECK(last == 2);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 290, &lsn, &error), &error);
  CHECK(lsn == 290);
  /* Logical at once for whoever had not begun; the other reads its segment on. */
  EXPECT(EWAL_E_WAL_REMOVED, ewal_cursor_next(cursor, 9, 9, 0, &records, &error),
         &error);
  CHECK(error.lsn == 291 && records.id == 0);
  while ((status = ewal_cursor_next(begun, 2, SIZE_MAX, 0, &records, &error)) == EWAL_OK) {
    next = last + 1;
    last = take(records, &n);
    CHECK(last == next + n - 1);
  }
  EXPECT(EWAL_E_WAL_REMOVED, status, &error);
  CHECK(last > 2 && last < 290);
  CHECK(ewal_cursor_close(begun) == EWAL_OK);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 290, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_next(cursor, 99, SIZE_MAX, 0, &records, &error), &error);
  CHECK(take(records, &n) == 300 && n == 10);
  EXPECT(EWAL_TIMEOUT, ewal_cursor_next(cursor, 99, SIZE_MAX, 0, &records, &error),
         &error);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  /* Pruned empty, and it goes on where it was. */
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, UINT64_MAX, &lsn, &error), &error);
  CHECK(lsn == 300);
  close_spool(spool);
  spool = open_spool("prune", &options);
  expect_bounds(spool, 0, 300, 300);
  append(spool, 1, 301);
  CHECK(read_on(spool, 300, 9) == 1);
  close_spool(spool);
}

static void a_tail_of_another_history_is_cut_off(void) {
  ewal_spool spool = open_spool("cut", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_record stale;
  ewal_cursor behind, beyond;
  uint64_t lsn, term;
  size_t n;
  for (lsn = 1; lsn <= 10; lsn++)
    append(spool, 4, lsn);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &behind, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &beyond, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_next(behind, 5, 99, 0, &records, &error), &error);
  CHECK(take(records, &n) == 5);
  EXPECT(EWAL_OK, ewal_cursor_next(beyond, 8, 99, 0, &records, &error), &error);
  CHECK(take(records, &n) == 8);
  EXPECT(EWAL_E_FENCED, ewal_spool_truncate_after(spool, 6, 4, &error), &error);
  EXPECT(EWAL_E_AHEAD, ewal_spool_truncate_after(spool, 11, 5, &error), &error);
  CHECK(error.lsn == 10);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 6, 5, &error), &error);
  expect_bounds(spool, 1, 6, 0);
  CHECK(ewal_spool_term(spool, &term) == EWAL_OK && term == 5);
  stale = make_record(4, 7, "x");
  EXPECT(EWAL_E_FENCED, ewal_spool_append(spool, &stale, 1, -1, &error), &error);
  append(spool, 5, 8);
  /* Who has what was cut off is told; who has not, goes on. */
  EXPECT(EWAL_E_DIVERGED, ewal_spool_check_term(spool, 8, 4, &error), &error);
  CHECK(error.lsn == 6);
  EXPECT(EWAL_OK, ewal_spool_check_term(spool, 6, 4, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_check_term(spool, 8, 5, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_check_term(spool, 0, 9, &error), &error);
  EXPECT(EWAL_E_DIVERGED, ewal_cursor_next(beyond, 9, 99, 0, &records, &error), &error);
  CHECK(error.lsn == 6 && records.id == 0);
  EXPECT(EWAL_OK, ewal_cursor_next(behind, 9, 99, 0, &records, &error), &error);
  CHECK(take(records, &n) == 8 && n == 2);
  CHECK(ewal_cursor_close(behind) == EWAL_OK && ewal_cursor_close(beyond) == EWAL_OK);
  close_spool(spool);
  spool = open_spool("cut", NULL);
  CHECK(read_on(spool, 0, 100) == 7);
  EXPECT(EWAL_E_AHEAD, ewal_spool_read_since(spool, 10, 1, 1, &records, &error), &error);
  close_spool(spool);
}

static void an_event_fd_tells_of_records_and_of_close(void) {
  ewal_spool spool = open_spool("events", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  struct pollfd watched;
  uint64_t count;
  int fd;
  EXPECT(EWAL_OK, ewal_spool_event_fd(spool, &fd, &error), &error);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK));
  watched.fd = fd;
  watched.events = POLLIN;
  CHECK(poll(&watched, 1, 0) == 0);
  append(spool, 1, 1);
  CHECK(poll(&watched, 1, 60000) == 1);
  CHECK(read(fd, &count, sizeof count) == sizeof count);
  CHECK(poll(&watched, 1, 0) == 0);
  close_spool(spool);
  CHECK(poll(&watched, 1, 60000) == 1);
  close(fd);
}

/* A reader of its own thread: what its wait comes to. */
typedef struct {
  ewal_spool spool;
  ewal_cursor cursor;
  int kind; /* 0: cursor, 1: wait_after */
  pthread_t thread;
  ewal_status status;
} waiter;

static void *wait_without_end(void *arg) {
  waiter *w = arg;
  ewal_records records;
  do
    w->status = w->kind == 0
                    ? ewal_cursor_next(w->cursor, 9, 9, -1, &records, NULL)
                    : ewal_spool_wait_after(w->spool, 1000, -1, NULL);
  while (w->status == EWAL_BUSY);
  return NULL;
}

static void whoever_waits_hears_of_the_close(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  waiter waiters[8];
  int round, i;
  for (round = 0; round < 20; round++) {
    ewal_spool spool = open_spool("waiters", NULL);
    ewal_cursor at_the_end;
    uint64_t current;
    CHECK(ewal_spool_bounds(spool, NULL, &current, NULL) == EWAL_OK);
    for (i = 0; i < 8; i++) {
      waiters[i].spool = spool;
      waiters[i].kind = i % 2;
      EXPECT(EWAL_OK, ewal_cursor_open(spool, current, &waiters[i].cursor, &error),
             &error);
      CHECK(pthread_create(&waiters[i].thread, NULL, wait_without_end, &waiters[i]) == 0);
    }
    EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &at_the_end, &error), &error);
    close_spool(spool);
    for (i = 0; i < 8; i++) {
      CHECK(pthread_join(waiters[i].thread, NULL) == 0);
      EXPECT(EWAL_E_CLOSED, waiters[i].status, &error);
      EXPECT(EWAL_E_CLOSED,
             ewal_cursor_next(waiters[i].cursor, 9, 9, 0, &records, &error), &error);
      CHECK(ewal_cursor_close(waiters[i].cursor) == EWAL_OK);
    }
    EXPECT(EWAL_E_CLOSED, ewal_cursor_next(at_the_end, 9, 9, -1, &records, &error),
           &error);
    CHECK(ewal_cursor_close(at_the_end) == EWAL_OK);
    CHECK(ewal_cursor_close(at_the_end) == EWAL_E_CLOSED);
    EXPECT(EWAL_E_CLOSED, ewal_cursor_open(spool, 0, &at_the_end, &error), &error);
  }
}

/* One thread waits with a cursor: another is told so, and may close it. */
static void a_cursor_is_for_one_thread_and_closed_by_any(void) {
  ewal_spool spool = open_spool("busy", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_status status;
  waiter w;
  w.kind = 0;
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &w.cursor, &error), &error);
  CHECK(pthread_create(&w.thread, NULL, wait_without_end, &w) == 0);
  do
    status = ewal_cursor_next(w.cursor, 9, 9, 0, &records, &error);
  while (status == EWAL_TIMEOUT);
  EXPECT(EWAL_BUSY, status, &error);
  CHECK(ewal_cursor_close(w.cursor) == EWAL_OK);
  CHECK(pthread_join(w.thread, NULL) == 0);
  EXPECT(EWAL_E_CLOSED, w.status, &error);
  append(spool, 1, 1);
  close_spool(spool);
}

static void *append_some(void *arg) {
  ewal_spool spool = *(ewal_spool *)arg;
  static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
  static uint64_t next = 1;
  int i;
  for (i = 0; i < 100; i++) {
    ewal_error error = EWAL_ERROR_INIT;
    ewal_spool_ticket ticket;
    ewal_record record;
    char text[24];
    CHECK(pthread_mutex_lock(&turn) == 0);
    snprintf(text, sizeof text, "%" PRIu64, next);
    record = make_record(1, next++, text);
    EXPECT(EWAL_OK, ewal_spool_submit(spool, &record, 1, &ticket, &error), &error);
    CHECK(pthread_mutex_unlock(&turn) == 0);
    EXPECT(EWAL_OK, ewal_spool_wait(spool, ticket, -1, &error), &error);
  }
  return NULL;
}

static void a_cursor_follows_appends_of_many_threads(void) {
  ewal_spool spool = open_spool("follow", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_cursor cursor;
  ewal_records records;
  pthread_t threads[8];
  uint64_t last = 0;
  size_t n;
  int i;
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  for (i = 0; i < 8; i++)
    CHECK(pthread_create(&threads[i], NULL, append_some, &spool) == 0);
  while (last < 800) {
    uint64_t first = last + 1;
    EXPECT(EWAL_OK, ewal_cursor_next(cursor, 50, SIZE_MAX, -1, &records, &error), &error);
    last = take(records, &n);
    CHECK(n > 0 && last == first + n - 1);
  }
  for (i = 0; i < 8; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  EXPECT(EWAL_OK, ewal_spool_stats(spool, &stats, &error), &error);
  CHECK(stats.frames == 800 && stats.batches == 800 && stats.groups <= 800);
  CHECK(stats.has_durable && stats.durable_epoch > 0);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  close_spool(spool);
}

enum { APPENDERS = 32, FOLLOWERS = 8, BEFORE_CLOSE = 1000 };

/* What its appenders share. */
static struct {
  ewal_spool spool;
  pthread_mutex_t turn;
  pthread_cond_t enough;
  uint64_t taken;
  uint64_t first;
} load = {{0}, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void *append_until_closed(void *unused) {
  ewal_error error = EWAL_ERROR_INIT;
  (void)unused;
  for (;;) {
    ewal_spool_ticket ticket;
    ewal_status status;
    ewal_record record;
    char text[24];
    CHECK(pthread_mutex_lock(&load.turn) == 0);
    snprintf(text, sizeof text, "%" PRIu64, load.taken + 1);
    record = make_record(1, load.taken + 1, text);
    status = ewal_spool_submit(load.spool, &record, 1, &ticket, &error);
    if (status == EWAL_OK && ++load.taken - load.first == (uint64_t)times(BEFORE_CLOSE))
      CHECK(pthread_cond_signal(&load.enough) == 0);
    CHECK(pthread_mutex_unlock(&load.turn) == 0);
    if (status == EWAL_OK)
      status = ewal_spool_wait(load.spool, ticket, -1, &error);
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      return NULL;
    }
  }
}

static void *follow_until_closed(void *arg) {
  ewal_cursor cursor = *(ewal_cursor *)arg;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_status status;
  uint64_t last = load.first;
  size_t n;
  while ((status = ewal_cursor_next(cursor, 99, SIZE_MAX, -1, &records, &error)) ==
         EWAL_OK) {
    uint64_t before = last;
    last = take(records, &n);
    CHECK(n > 0 && last == before + n);
  }
  EXPECT(EWAL_E_CLOSED, status, &error);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  return NULL;
}

static void closing_under_load_loses_and_hangs_nobody(void) {
  int round, i;
  for (round = 0; round < 8; round++) {
    pthread_t threads[APPENDERS + FOLLOWERS];
    ewal_cursor cursors[FOLLOWERS];
    ewal_error error = EWAL_ERROR_INIT;
    load.spool = open_spool("load", NULL);
    load.first = load.taken;
    for (i = 0; i < FOLLOWERS; i++) {
      EXPECT(EWAL_OK, ewal_cursor_open(load.spool, load.first, &cursors[i], &error),
             &error);
      CHECK(pthread_create(&threads[APPENDERS + i], NULL, follow_until_closed,
                           &cursors[i]) == 0);
    }
    for (i = 0; i < APPENDERS; i++)
      CHECK(pthread_create(&threads[i], NULL, append_until_closed, NULL) == 0);
    CHECK(pthread_mutex_lock(&load.turn) == 0);
    while (load.taken - load.first < (uint64_t)times(BEFORE_CLOSE))
      CHECK(pthread_cond_wait(&load.enough, &load.turn) == 0);
    CHECK(pthread_mutex_unlock(&load.turn) == 0);
    close_spool(load.spool);
    for (i = 0; i < APPENDERS + FOLLOWERS; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    /* All that was taken before the close, and nothing else. */
    load.spool = open_spool("load", NULL);
    expect_bounds(load.spool, 1, load.taken, 0);
    CHECK(read_on(load.spool, load.first, 1000) == load.taken - load.first);
    close_spool(load.spool);
  }
}

static void damage_fails_the_open_and_is_salvaged(void) {
  ewal_spool spool = open_spool("damage", NULL);
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_salvage_report report = EWAL_SALVAGE_REPORT_INIT;
  ewal_records records;
  ewal_error error = EWAL_ERROR_INIT;
  char path[PATH_MAX];
  uint64_t lsn, current;
  size_t n;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, 1, lsn);
  close_spool(spool);
  EXPECT(EWAL_OK, ewal_spool_salvage(in_scratch("damage"), &report, &error), &error);
  CHECK(report.files == 0 && !report.torn);
  CHECK(report.oldest_lsn == 1 && report.current_lsn == 9);
  CHECK(report.lost_after == 0 && report.lost_through == 0);
  /* A record in the middle: those before it are kept. */
  damage("damage", 4 * 4096 + 300);
  EXPECT(EWAL_E_CORRUPT, ewal_spool_open(in_scratch("damage"), NULL, &spool, &error),
         &error);
  CHECK(strstr(error.message, "damage.logical.wal-seg-") != NULL);
  EXPECT(EWAL_OK, ewal_spool_salvage(in_scratch("damage"), &report, &error), &error);
  CHECK(report.files == 1 && report.oldest_lsn == 1);
  CHECK(report.lost_after > 0 && report.lost_through == report.current_lsn);
  spool = open_spool("damage", NULL);
  EXPECT(EWAL_E_NOT_FOUND,
         ewal_spool_salvaged(spool, 0, path, sizeof path, &n, &error), &error);
  EXPECT(EWAL_E_NOT_FOUND,
         ewal_spool_torn(spool, path, sizeof path, &n, &lsn, &error), &error);
  CHECK(ewal_spool_bounds(spool, NULL, &current, NULL) == EWAL_OK && current >= 4);
  EXPECT(EWAL_E_WAL_REMOVED,
         ewal_spool_read_since(spool, report.lost_after, 9, SIZE_MAX, &records, &error),
         &error);
  CHECK(error.lsn == report.lost_through + 1);
  append(spool, 1, 100);
  close_spool(spool);
  /* The same, and on with it. */
  damage("damage", 300);
  options.flags = EWAL_OPEN_SALVAGE;
  spool = open_spool("damage", &options);
  EXPECT(EWAL_OK, ewal_spool_salvaged(spool, 0, path, sizeof path, &n, &error), &error);
  CHECK(n == strlen(path) && access(path, R_OK) == 0);
  EXPECT(EWAL_E_LOCKED, ewal_spool_salvage(in_scratch("damage"), &report, &error),
         &error);
  CHECK(report.files == 0 && report.oldest_lsn == 0);
  close_spool(spool);
  EXPECT(EWAL_E_NOT_FOUND, ewal_spool_salvage(in_scratch("nothing"), NULL, &error),
         &error);
  CHECK(access(in_scratch("nothing.logical.wal-state"), F_OK) != 0);
}

static void the_child_of_a_fork_is_told(void) {
  ewal_spool spool = open_spool("fork", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_cursor cursor;
  ewal_records records, held;
  pid_t child;
  int status;
  size_t n;
  append(spool, 1, 1);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 9, &held, &error), &error);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    ewal_record record = make_record(1, 2, "2");
    uint64_t lsn;
    const ewal_status forked = EWAL_E_FORKED;
    EXPECT(forked, ewal_spool_append(spool, &record, 1, -1, &error), &error);
    EXPECT(forked, ewal_spool_read_since(spool, 0, 9, 9, &records, &error), &error);
    EXPECT(forked, ewal_spool_bounds(spool, &lsn, NULL, NULL), &error);
    EXPECT(forked, ewal_spool_term(spool, &lsn), &error);
    EXPECT(forked, ewal_spool_wait_after(spool, 0, -1, &error), &error);
    EXPECT(forked, ewal_spool_prune_through(spool, 1, NULL, &error), &error);
    EXPECT(forked, ewal_cursor_next(cursor, 9, 9, -1, &records, &error), &error);
    EXPECT(forked, ewal_spool_close(spool, -1, &error), &error);
    CHECK(ewal_cursor_close(cursor) == EWAL_OK);
    CHECK(take(held, &n) == 1);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  append(spool, 1, 2);
  EXPECT(EWAL_OK, ewal_cursor_next(cursor, 9, 9, 0, &records, &error), &error);
  CHECK(take(records, &n) == 2 && n == 2);
  CHECK(take(held, &n) == 1);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  close_spool(spool);
}

static void a_path_that_leads_nowhere_says_so(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool = {7};
  EXPECT(EWAL_E_IO, ewal_spool_open(in_scratch("no/such/dir"), NULL, &spool, &error),
         &error);
  CHECK(spool.id == 0 && error.os_errno == ENOENT);
  EXPECT(EWAL_E_IO, ewal_spool_salvage(in_scratch("no/such/dir"), NULL, &error), &error);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(what_was_appended_is_read_and_outlives_a_reopen);
  RUN(a_time_that_is_not_given_is_now);
  RUN(lsns_beyond_what_a_double_holds);
  RUN(refusals_have_a_code_and_an_lsn_and_leave_nothing);
  RUN(gaps_are_refused_where_that_is_asked_for);
  RUN(records_that_stay_staged_have_their_epoch);
  RUN(a_limit_gives_one_record_at_least);
  RUN(records_outlive_their_spool_and_are_released_once);
  RUN(a_cursor_crosses_a_prune);
  RUN(a_tail_of_another_history_is_cut_off);
  RUN(an_event_fd_tells_of_records_and_of_close);
  RUN(whoever_waits_hears_of_the_close);
  RUN(a_cursor_is_for_one_thread_and_closed_by_any);
  RUN(a_cursor_follows_appends_of_many_threads);
  RUN(closing_under_load_loses_and_hangs_nobody);
  RUN(damage_fails_the_open_and_is_salvaged);
  RUN(the_child_of_a_fork_is_told);
  RUN(a_path_that_leads_nowhere_says_so);
  return 0;
}
