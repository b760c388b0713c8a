/* Misuse of the spool: whatever a caller hands in, it gets a status. */
#include "spool.h"

#include <pthread.h>
#include <sys/mman.h>

static const ewal_spool_ticket no_ticket;

/* NULL over living handles: these are not what is refused. */
static void null_is_refused_over_living_handles_too(void) {
  ewal_spool spool = open_spool("null", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_cursor cursor;
  const ewal_record *at;
  size_t n;
  const ewal_status bad = EWAL_E_INVALID;
  EXPECT(bad, ewal_spool_submit(spool, NULL, 1, NULL, &error), &error);
  CHECK(strstr(error.message, "records: NULL") != NULL);
  EXPECT(bad, ewal_spool_append(spool, NULL, 0, 0, &error), &error);
  EXPECT(bad, ewal_spool_wait(spool, no_ticket, 0, &error), &error);
  CHECK(ewal_spool_bounds(spool, NULL, NULL, NULL) == EWAL_OK);
  CHECK(ewal_spool_term(spool, NULL) == bad);
  EXPECT(bad, ewal_spool_event_fd(spool, NULL, &error), &error);
  EXPECT(bad, ewal_spool_read_since(spool, 0, 1, 1, NULL, &error), &error);
  EXPECT(bad, ewal_cursor_open(spool, 0, NULL, &error), &error);
  EXPECT(bad, ewal_spool_salvaged(spool, 0, NULL, 1, NULL, &error), &error);
  EXPECT(bad, ewal_spool_torn(spool, NULL, 1, NULL, NULL, &error), &error);
  EXPECT(bad, ewal_spool_stats(spool, NULL, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(bad, ewal_cursor_next(cursor, 1, 1, 0, NULL, &error), &error);
  EXPECT(bad, ewal_cursor_next(cursor, 0, 1, 0, &records, &error), &error);
  CHECK(strstr(error.message, "max_records") != NULL);
  /* Empty is no error: a handle of nothing, to be released all the same. */
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 1, 1, &records, &error), &error);
  CHECK(ewal_records_get(records, NULL, &n) == bad);
  CHECK(ewal_records_get(records, &at, NULL) == bad);
  CHECK(ewal_records_get(records, &at, &n) == EWAL_OK && at == NULL && n == 0);
  CHECK(ewal_records_release(records) == EWAL_OK);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  close_spool(spool);
}

static void out_parameters_are_zeroed_on_failure(void) {
  ewal_spool spool = {7};
  ewal_records records = {7};
  ewal_cursor cursor = {7};
  ewal_spool_ticket ticket = {7, 7, 7};
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_salvage_report report = EWAL_SALVAGE_REPORT_INIT;
  const ewal_record record = make_record(1, 1, "x"), *at = &record;
  uint64_t a = 7, b = 7, c = 7;
  size_t n = 7;
  int fd = 7;
  char text[4] = "old";
  ewal_spool_open(NULL, NULL, &spool, NULL);
  CHECK(spool.id == 0);
  ewal_spool_submit(spool, &record, 1, &ticket, NULL);
  CHECK(ticket.epoch == 0 && ticket.first_lsn == 0 && ticket.last_lsn == 0);
  ewal_spool_bounds(spool, &a, &b, &c);
  CHECK(a == 0 && b == 0 && c == 0);
  a = 7;
  ewal_spool_term(spool, &a);
  CHECK(a == 0);
  ewal_spool_event_fd(spool, &fd, NULL);
  CHECK(fd == 0);
  ewal_spool_read_since(spool, 0, 1, 1, &records, NULL);
  CHECK(records.id == 0);
  ewal_records_get(records, &at, &n);
  CHECK(at == NULL && n == 0);
  ewal_cursor_open(spool, 0, &cursor, NULL);
  CHECK(cursor.id == 0);
  records.id = 7;
  ewal_cursor_next(cursor, 1, 1, 0, &records, NULL);
  CHECK(records.id == 0);
  a = 7;
  ewal_spool_prune_through(spool, 1, &a, NULL);
  CHECK(a == 0);
  n = 7;
  ewal_spool_salvaged(spool, 0, text, sizeof text, &n, NULL);
  CHECK(text[0] == 0 && n == 0);
  a = n = 7;
  text[0] = 'x';
  ewal_spool_torn(spool, text, sizeof text, &n, &a, NULL);
  CHECK(text[0] == 0 && n == 0 && a == 0);
  stats.batches = 7;
  ewal_spool_stats(spool, &stats, NULL);
  CHECK(stats.batches == 0 && stats.struct_size == sizeof stats);
  report.files = 7;
  ewal_spool_salvage(NULL, &report, NULL);
  CHECK(report.files == 0 && report.struct_size == sizeof report);
}

static void the_size_rule_holds(void) {
  const ewal_spool_options init = EWAL_SPOOL_OPTIONS_INIT;
  struct {
    ewal_spool_options known;
    unsigned char tail[64];
  } options;
  ewal_salvage_report report = EWAL_SALVAGE_REPORT_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  const char *path = in_scratch("sizes");
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool;
  uint32_t bad[] = {0, 4, sizeof init - 1, 4097, UINT32_MAX};
  size_t i;
  memset(&options, 0, sizeof options);
  options.known = init;
  for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    options.known.struct_size = bad[i];
    EXPECT(EWAL_E_INVALID, ewal_spool_open(path, &options.known, &spool, &error),
           &error);
    CHECK(strstr(error.message, "struct_size") != NULL);
  }
  options.known.struct_size = sizeof options;
  options.tail[63] = 1;
  EXPECT(EWAL_E_ABI, ewal_spool_open(path, &options.known, &spool, &error), &error);
  options.tail[63] = 0;
  EXPECT(EWAL_OK, ewal_spool_open(path, &options.known, &spool, &error), &error);
  stats.struct_size = 8;
  EXPECT(EWAL_E_INVALID, ewal_spool_stats(spool, &stats, &error), &error);
  close_spool(spool);
  report.struct_size = sizeof report - 1;
  EXPECT(EWAL_E_INVALID, ewal_spool_salvage(path, &report, &error), &error);
}

static void an_error_struct_of_no_version_is_not_touched(void) {
  ewal_error error;
  ewal_spool spool = {7};
  uint32_t sizes[] = {0, 251, 253, sizeof error - 1};
  size_t i;
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    memset(&error, 'x', sizeof error);
    error.struct_size = sizes[i];
    spool.id = 7;
    CHECK(ewal_spool_open(in_scratch("small"), NULL, &spool, &error) == EWAL_E_INVALID);
    CHECK(spool.id == 0 && error.message[0] == 'x' && error.lsn != 0);
  }
  /* Nothing was done: nobody holds the lock. */
  spool = open_spool("small", NULL);
  close_spool(spool);
}

static void options_out_of_range_are_named(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool;
  const char *path = in_scratch("range");
#define REFUSE(field, value, name)                                           \
  do {                                                                       \
    ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;                    \
    options.field = value;                                                   \
    EXPECT(EWAL_E_INVALID, ewal_spool_open(path, &options, &spool, &error), &error); \
    CHECK(strncmp(error.message, name ": ", strlen(name) + 2) == 0);         \
  } while (0)
  REFUSE(flags, 4, "flags");
  REFUSE(sync_policy, UINT32_MAX, "sync_policy");
  REFUSE(sync_style, 4, "sync_style");
  REFUSE(max_payload, (256u << 20) + 1, "max_payload");
  REFUSE(ring_bytes, (1u << 30) + 1, "ring_bytes");
  REFUSE(flush_interval_ns, 1, "flush_interval");
  REFUSE(flush_interval_ns, UINT64_MAX, "flush_interval");
  REFUSE(block_timeout_ns, UINT64_MAX, "block_timeout");
  REFUSE(max_memory, 1, "max_memory");
  REFUSE(max_log_bytes, 1, "max_log_bytes");
  REFUSE(segment_size, 20000, "segment_size");
#undef REFUSE
}

static void payloads_at_the_limit_and_above_it(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  static char bytes[10001];
  ewal_record record;
  ewal_records records;
  const ewal_record *got;
  ewal_spool spool;
  size_t n;
  options.max_payload = 10000;
  spool = open_spool("limit", &options);
  memset(bytes, 'x', sizeof bytes);
  record = make_record(1, 1, "");
  record.payload.data = bytes;
  record.payload.len = 10001;
  EXPECT(EWAL_E_TOO_LARGE, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  record.payload.len = 10000;
  EXPECT(EWAL_OK, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  close_spool(spool);
  spool = open_spool("limit", NULL);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 9, &records, &error), &error);
  CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == 1);
  CHECK(got->payload.len == 10000 && memcmp(got->payload.data, bytes, 10000) == 0);
  CHECK(ewal_records_release(records) == EWAL_OK);
  close_spool(spool);
}

static void arguments_may_end_at_an_unmapped_page_and_need_no_alignment(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ewal_spool spool = open_spool("edge", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record[2];
  ewal_spool_ticket ticket;
  void *out = base + 1;
  void *at;
  CHECK(base != MAP_FAILED && munmap(base + page, page) == 0);
  record[0] = make_record(1, 1, "");
  record[0].payload.data = memcpy(base + page - 5, "at it", 5);
  record[0].payload.len = 5;
  EXPECT(EWAL_OK, ewal_spool_append(spool, record, 1, -1, &error), &error);
  record[0] = make_record(1, 2, "2");
  record[1] = make_record(1, 3, "3");
  at = memcpy(base + page - sizeof record, record, sizeof record);
  EXPECT(EWAL_OK, ewal_spool_append(spool, at, 2, -1, &error), &error);
  record[0].lsn = 4;
  record[1].lsn = 5;
  at = memcpy(base + page - sizeof record - 3, record, sizeof record);
  EXPECT(EWAL_OK, ewal_spool_submit(spool, at, 2, out, &error), &error);
  /* Nothing is read after the call. */
  memset(base, 0xee, 1);
  memset(at, 0xee, sizeof record);
  memcpy(&ticket, out, sizeof ticket);
  CHECK(ticket.first_lsn == 4 && ticket.last_lsn == 5);
  EXPECT(EWAL_OK, ewal_spool_wait(spool, ticket, -1, &error), &error);
  close_spool(spool);
  CHECK(munmap(base, page) == 0);
}

static void foreign_numbers_are_no_handles(void) {
  ewal_coordinator wal = open_db("foreign", NULL), no_wal;
  ewal_spool spool = open_spool("foreign", NULL), odd;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_cursor cursor, no_such;
  ewal_records records, none;
  uint64_t bit, epoch;
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 1, 1, &records, &error), &error);
  no_wal.id = spool.id;
  CHECK(ewal_current_epoch(no_wal, &epoch) == EWAL_E_INVALID);
  odd.id = wal.id;
  CHECK(ewal_spool_close(odd, -1, &error) == EWAL_E_INVALID);
  no_such.id = records.id;
  CHECK(ewal_cursor_close(no_such) == EWAL_E_INVALID);
  none.id = cursor.id;
  CHECK(ewal_records_release(none) == EWAL_E_INVALID);
  for (bit = 1; bit != 0; bit <<= 1) {
    odd.id = spool.id ^ bit;
    CHECK(ewal_spool_bounds(odd, NULL, NULL, NULL) < 0);
  }
  CHECK(ewal_records_release(records) == EWAL_OK);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  close_spool(spool);
  close_db(wal);
}

static void a_closed_spool_answers_closed(void) {
  ewal_spool spool = open_spool("after", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(1, 1, "x");
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_records records;
  ewal_cursor cursor;
  uint64_t lsn;
  int fd;
  const ewal_status closed = EWAL_E_CLOSED;
  close_spool(spool);
  EXPECT(closed, ewal_spool_close(spool, -1, &error), &error);
  EXPECT(closed, ewal_spool_submit(spool, &record, 1, NULL, &error), &error);
  EXPECT(closed, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  EXPECT(closed, ewal_spool_wait(spool, no_ticket, -1, &error), &error);
  EXPECT(closed, ewal_spool_flush(spool, -1, &error), &error);
  EXPECT(closed, ewal_spool_request_flush(spool, no_ticket, &error), &error);
  EXPECT(closed, ewal_spool_wait_after(spool, 0, -1, &error), &error);
  EXPECT(closed, ewal_spool_event_fd(spool, &fd, &error), &error);
  EXPECT(closed, ewal_spool_read_since(spool, 0, 1, 1, &records, &error), &error);
  EXPECT(closed, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(closed, ewal_spool_prune_through(spool, 1, &lsn, &error), &error);
  EXPECT(closed, ewal_spool_truncate_after(spool, 0, 9, &error), &error);
  EXPECT(closed, ewal_spool_stats(spool, &stats, &error), &error);
  CHECK(ewal_spool_bounds(spool, &lsn, NULL, NULL) == closed);
  CHECK(ewal_spool_term(spool, &lsn) == closed);
}

static pthread_barrier_t gate;

/* One of 64 closes, of four kinds of handle. */
typedef struct {
  ewal_spool spool;
  ewal_cursor cursor;
  ewal_records records;
  ewal_spool_reader reader;
  ewal_status got[4];
} closing;

static void *close_at_once(void *arg) {
  closing *c = arg;
  pthread_barrier_wait(&gate);
  c->got[0] = ewal_spool_close(c->spool, -1, NULL);
  c->got[1] = ewal_cursor_close(c->cursor);
  c->got[2] = ewal_records_release(c->records);
  c->got[3] = ewal_spool_reader_close(c->reader);
  return NULL;
}

static void of_64_closes_one_succeeds(void) {
  int round, i, k;
  for (round = 0; round < 10; round++) {
    pthread_t threads[64];
    closing each[64], one;
    int ok[4] = {0}, closed[4] = {0};
    ewal_record record = make_record(1, 1 + (uint64_t)round, "x");
    one.spool = open_spool("close64", NULL);
    CHECK(ewal_spool_submit(one.spool, &record, 1, NULL, NULL) == EWAL_OK);
    CHECK(ewal_cursor_open(one.spool, 0, &one.cursor, NULL) == EWAL_OK);
    CHECK(ewal_spool_read_since(one.spool, 0, 1, 1, &one.records, NULL) == EWAL_OK);
    CHECK(ewal_spool_reader_open(in_scratch("close64"), 0, &one.reader, NULL) == EWAL_OK);
    pthread_barrier_init(&gate, NULL, 64);
    for (i = 0; i < 64; i++) {
      each[i] = one;
      CHECK(pthread_create(&threads[i], NULL, close_at_once, &each[i]) == 0);
    }
    for (i = 0; i < 64; i++) {
      pthread_join(threads[i], NULL);
      for (k = 0; k < 4; k++) {
        ok[k] += each[i].got[k] == EWAL_OK;
        closed[k] += each[i].got[k] == EWAL_E_CLOSED;
      }
    }
    pthread_barrier_destroy(&gate);
    for (k = 0; k < 4; k++)
      CHECK(ok[k] == 1 && closed[k] == 63);
  }
}

/* A close that is not in time leaves the spool open, whoever closes beside it. */
static void *poll_close(void *arg) {
  closing *c = arg;
  pthread_barrier_wait(&gate);
  c->got[0] = ewal_spool_close(c->spool, 0, NULL);
  return NULL;
}

static void a_close_that_is_not_in_time_takes_nothing(void) {
  int round, i;
  for (round = 0; round < 50; round++) {
    pthread_t threads[4];
    closing each[4];
    bool ended = false;
    ewal_spool spool = open_spool("in_time", NULL);
    ewal_record record = make_record(1, 1 + (uint64_t)round, "x");
    CHECK(ewal_spool_submit(spool, &record, 1, NULL, NULL) == EWAL_OK);
    pthread_barrier_init(&gate, NULL, 4);
    for (i = 0; i < 4; i++) {
      each[i].spool = spool;
      CHECK(pthread_create(&threads[i], NULL, poll_close, &each[i]) == 0);
    }
    for (i = 0; i < 4; i++) {
      pthread_join(threads[i], NULL);
      CHECK(each[i].got[0] == EWAL_OK || each[i].got[0] == EWAL_TIMEOUT ||
            each[i].got[0] == EWAL_E_CLOSED);
      CHECK(!(ended && each[i].got[0] == EWAL_OK));
      ended = ended || each[i].got[0] == EWAL_OK;
    }
    pthread_barrier_destroy(&gate);
    CHECK(ewal_spool_close(spool, -1, NULL) == (ended ? EWAL_E_CLOSED : EWAL_OK));
  }
}

static void many_handles_leave_no_memory_behind_and_never_alias(void) {
  ewal_spool spool = open_spool("million", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records first = {0}, records;
  ewal_cursor cursor;
  long before = 0;
  int i;
  append(spool, 1, 1);
  for (i = 0; i < times(1000000); i++) {
    EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 1, 1, &records, &error), &error);
    CHECK(records.id != first.id);
    if (i == 0)
      first = records;
    CHECK(ewal_records_release(records) == EWAL_OK);
    if (i % 10 == 0) {
      EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
      CHECK(ewal_cursor_close(cursor) == EWAL_OK);
    }
    if (i == 10000)
      before = resident_kib();
  }
  CHECK(ewal_records_release(first) == EWAL_E_CLOSED);
  CHECK(resident_kib() < before + 1024);
  close_spool(spool);
}

/* What a callback was told, and a letter in a pipe for its call and its drop. */
typedef struct {
  ewal_spool spool;
  uint64_t epoch;
  ewal_status status, blocking;
  pthread_t thread;
  int ends[2];
} listener;

static void hear(void *user, uint64_t epoch, ewal_status status) {
  listener *l = user;
  l->epoch = epoch;
  l->status = status;
  l->blocking = ewal_spool_flush(l->spool, -1, NULL);
  l->thread = pthread_self();
  CHECK(write(l->ends[1], "c", 1) == 1);
}
static void forget(void *user) { CHECK(write(((listener *)user)->ends[1], "d", 1) == 1); }

/* The next letters are these. */
static void expect_letters(const listener *l, const char *letters) {
  char got;
  for (; *letters != 0; letters++)
    CHECK(read(l->ends[0], &got, 1) == 1 && got == *letters);
}

static void a_callback_tells_once_of_records(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(1, 7, "x");
  ewal_spool_ticket ticket, never = {1 << 20, 0, 0};
  ewal_primary in_memory;
  listener l = {0};
  uint64_t lsn;
  CHECK(pipe(l.ends) == 0);
  options.flush_interval_ns = UINT64_C(3600000000000);
  l.spool = open_spool("callback", &options);
  EXPECT(EWAL_OK, ewal_spool_submit(l.spool, &record, 1, &ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_on_durable(l.spool, ticket, hear, &l, forget, &error), &error);
  expect_letters(&l, "cd");
  CHECK(l.status == EWAL_OK && l.epoch == ticket.epoch && l.blocking == EWAL_E_DEADLOCK);
  CHECK(!pthread_equal(l.thread, pthread_self()));
  CHECK(ewal_spool_bounds(l.spool, NULL, &lsn, NULL) == EWAL_OK && lsn == 7);
  /* Refused: never called, and dropped by then. */
  EXPECT(EWAL_E_INVALID, ewal_spool_on_durable(l.spool, never, hear, &l, forget, &error),
         &error);
  EXPECT(EWAL_E_INVALID, ewal_spool_on_durable(l.spool, ticket, NULL, &l, forget, &error),
         &error);
  expect_letters(&l, "dd");
  /* A close calls those that still wait, before it returns. */
  record.lsn = 8;
  EXPECT(EWAL_OK, ewal_spool_submit(l.spool, &record, 1, &ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_on_durable(l.spool, ticket, hear, &l, forget, &error), &error);
  close_spool(l.spool);
  EXPECT(EWAL_E_CLOSED, ewal_spool_on_durable(l.spool, ticket, hear, &l, forget, &error),
         &error);
  expect_letters(&l, "cdd");
  CHECK(l.status == EWAL_OK && l.epoch == ticket.epoch);
  /* In memory, on this thread. */
  EXPECT(EWAL_OK, ewal_primary_open(NULL, NULL, &in_memory, &error), &error);
  CHECK(ewal_primary_spool(in_memory, &l.spool) == EWAL_OK);
  EXPECT(EWAL_OK, ewal_spool_submit(l.spool, &record, 1, &ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_on_durable(l.spool, ticket, hear, &l, forget, &error), &error);
  CHECK(pthread_equal(l.thread, pthread_self()) && l.blocking == EWAL_E_DEADLOCK);
  expect_letters(&l, "cd");
  EXPECT(EWAL_OK, ewal_primary_close(in_memory, -1, &error), &error);
  close(l.ends[0]);
  close(l.ends[1]);
}

static void stale_handles_never_alias(void) {
  static ewal_spool stale[1000];
  const int rounds = times(1000);
  ewal_spool live;
  long before = 0;
  int i, j;
  for (i = 0; i < rounds; i++) {
    stale[i] = open_spool("reopen", NULL);
    close_spool(stale[i]);
    if (i == rounds / 4)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 4096);
  live = open_spool("reopen", NULL);
  for (i = 0; i < rounds; i++) {
    CHECK(stale[i].id != live.id);
    CHECK(ewal_spool_bounds(stale[i], NULL, NULL, NULL) == EWAL_E_CLOSED);
    CHECK(ewal_spool_close(stale[i], 0, NULL) == EWAL_E_CLOSED);
    for (j = 0; j < i; j += 97)
      CHECK(stale[i].id != stale[j].id);
  }
  append(live, 1, 1);
  close_spool(live);
}

static void a_second_writer_is_told(void) {
  ewal_spool spool = open_spool("locked", NULL), second = {7};
  ewal_coordinator wal = open_db("locked", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_E_LOCKED, ewal_spool_open(in_scratch("locked"), NULL, &second, &error),
         &error);
  CHECK(second.id == 0);
  close_spool(spool);
  spool = open_spool("locked", NULL);
  close_spool(spool);
  close_db(wal);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(null_is_refused_over_living_handles_too);
  RUN(out_parameters_are_zeroed_on_failure);
  RUN(the_size_rule_holds);
  RUN(an_error_struct_of_no_version_is_not_touched);
  RUN(options_out_of_range_are_named);
  RUN(payloads_at_the_limit_and_above_it);
  RUN(arguments_may_end_at_an_unmapped_page_and_need_no_alignment);
  RUN(foreign_numbers_are_no_handles);
  RUN(a_closed_spool_answers_closed);
  RUN(of_64_closes_one_succeeds);
  RUN(a_close_that_is_not_in_time_takes_nothing);
  RUN(many_handles_leave_no_memory_behind_and_never_alias);
  RUN(a_callback_tells_once_of_records);
  RUN(stale_handles_never_alias);
  RUN(a_second_writer_is_told);
  return 0;
}
