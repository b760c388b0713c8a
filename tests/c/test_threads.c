/* Many threads: close under load, and threads that come and go. */
#include "primary.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { SUBMITTERS = 32, WAITERS = 32, ROUNDS = 8, ENOUGH = 2000 };

static ewal_coordinator wal;
static atomic_ullong next_seq;
static atomic_ullong tickets[1 << 20]; /* epoch by sequence; 0: none */
static atomic_uchar waited_ok[1 << 20];
static atomic_uint submitted;

static void *submit_until_closed(void *unused) {
  ewal_error error = EWAL_ERROR_INIT;
  (void)unused;
  for (;;) {
    uint64_t seq = atomic_fetch_add(&next_seq, 1);
    ewal_ticket ticket;
    ewal_status status;
    one_page p;
    CHECK(seq < sizeof tickets / sizeof tickets[0]);
    make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
    status = ewal_submit(wal, &p.batch, &ticket, &error);
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      return NULL;
    }
    CHECK(ticket.epoch > 0 && ticket.commit_seq == seq);
    atomic_store(&tickets[seq], ticket.epoch);
    atomic_fetch_add(&submitted, 1);
    /* Not so fast that the log outgrows the test. */
    if (seq % 4 == 0) {
      status = ewal_wait(wal, ticket.epoch, -1, &error);
      if (status != EWAL_OK) {
        EXPECT(EWAL_E_CLOSED, status, &error);
        return NULL;
      }
    }
  }
}

static void *wait_until_closed(void *start_at) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = (uintptr_t)start_at;
  for (;;) {
    uint64_t epoch = atomic_load(&tickets[seq]), now;
    ewal_status status;
    if (epoch == 0) {
      if (ewal_current_epoch(wal, &now) != EWAL_OK)
        return NULL;
      sched_yield();
      continue;
    }
    status = ewal_wait(wal, epoch, -1, &error);
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      return NULL;
    }
    atomic_store(&waited_ok[seq], 1);
    seq += WAITERS;
  }
}

/* Every batch whose submit succeeded before close is in the log. */
static void check_log(uint64_t first, uint64_t end) {
  static unsigned char found[1 << 20];
  ewal_recovery reader;
  ewal_recovered_batch batch;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_status status;
  uint64_t seq, last_epoch = 0;
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("closing"), NULL, &reader, &error),
         &error);
  while ((status = ewal_recovery_next(reader, &batch, &error)) == EWAL_OK) {
    CHECK(batch.epoch >= last_epoch);
    last_epoch = batch.epoch;
    CHECK(batch.commit_seq < sizeof found);
    if (batch.commit_seq < first)
      continue;
    CHECK(!found[batch.commit_seq]);
    found[batch.commit_seq] = 1;
    CHECK(batch.epoch == atomic_load(&tickets[batch.commit_seq]));
  }
  EXPECT(EWAL_END, status, &error);
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  for (seq = first; seq < end; seq++) {
    CHECK(found[seq] == (atomic_load(&tickets[seq]) != 0));
    CHECK(found[seq] || !atomic_load(&waited_ok[seq]));
  }
}

static void closing_under_load_loses_and_hangs_nobody(void) {
  int round, i;
  atomic_store(&next_seq, 1);
  for (round = 0; round < ROUNDS; round++) {
    pthread_t threads[SUBMITTERS + WAITERS];
    uint64_t first = atomic_load(&next_seq);
    wal = open_db("closing", NULL);
    atomic_store(&submitted, 0);
    for (i = 0; i < SUBMITTERS; i++)
      CHECK(pthread_create(&threads[i], NULL, submit_until_closed, NULL) == 0);
    for (i = 0; i < WAITERS; i++)
      CHECK(pthread_create(&threads[SUBMITTERS + i], NULL, wait_until_closed,
                           (void *)(uintptr_t)(first + (uint64_t)i)) == 0);
    while (atomic_load(&submitted) < (unsigned)times(ENOUGH))
      sched_yield();
    close_db(wal);
    for (i = 0; i < SUBMITTERS + WAITERS; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    check_log(first, atomic_load(&next_seq));
  }
}

static ewal_primary primary;
static ewal_spool spool;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static uint64_t appended;           /* under `turn` */
static atomic_ullong acknowledged;  /* the highest LSN whose wait was EWAL_OK */

/* Stages the next record, and gives its LSN. */
static ewal_status append_next(uint64_t *lsn, ewal_error *error) {
  ewal_record record = make_record(1, 0, "x");
  ewal_status status;
  CHECK(pthread_mutex_lock(&turn) == 0);
  *lsn = record.lsn = appended + 1;
  status = ewal_spool_submit(spool, &record, 1, NULL, error);
  appended += status == EWAL_OK;
  CHECK(pthread_mutex_unlock(&turn) == 0);
  return status;
}

static void note_acknowledged(uint64_t lsn) {
  unsigned long long seen = atomic_load(&acknowledged);
  while (seen < lsn && !atomic_compare_exchange_weak(&acknowledged, &seen, lsn))
    ;
}

static void *commit_until_closed(void *unused) {
  ewal_error error = EWAL_ERROR_INIT;
  (void)unused;
  for (;;) {
    uint64_t lsn;
    ewal_status status = append_next(&lsn, &error);
    if (status == EWAL_OK)
      status = wait_for(primary, lsn, "any 1", -1, NULL, &error);
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      return NULL;
    }
    note_acknowledged(lsn);
  }
}

/* Waits for records that others will append. */
static void *await_until_closed(void *first) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t lsn;
  for (lsn = (uintptr_t)first;; lsn += WAITERS) {
    ewal_status status = lsn % 2 ? wait_for(primary, lsn, "any 1 (a, b)", -1, NULL, &error)
                                 : ewal_spool_wait_after(spool, lsn - 1, -1, &error);
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      return NULL;
    }
    if (lsn % 2)
      note_acknowledged(lsn);
  }
}

static void *follow_until_closed(void *unused) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(primary, "a", NULL);
  ewal_cursor tail;
  (void)unused;
  EXPECT(EWAL_OK, ewal_cursor_open(spool, a.restart_lsn, &tail, &error), &error);
  for (;;) {
    const ewal_record *at;
    ewal_records records;
    ewal_status status = ewal_cursor_next(tail, 1000, SIZE_MAX, -1, &records, &error);
    size_t n;
    if (status == EWAL_OK) {
      uint64_t last;
      CHECK(ewal_records_get(records, &at, &n) == EWAL_OK && n > 0);
      last = at[n - 1].lsn;
      CHECK(ewal_records_release(records) == EWAL_OK);
      status = has(primary, "a", a.generation, last, &error);
    }
    if (status != EWAL_OK) {
      EXPECT(EWAL_E_CLOSED, status, &error);
      CHECK(ewal_cursor_close(tail) == EWAL_OK);
      return NULL;
    }
  }
}

static void closing_a_primary_under_load_tells_everybody(void) {
  int round, i;
  appended = 0;
  for (round = 0; round < ROUNDS; round++) {
    pthread_t threads[SUBMITTERS + WAITERS + 1];
    uint64_t current, before = appended;
    primary = open_primary("closing", NULL);
    spool = spool_of(primary);
    join(primary, "a", NULL);
    for (i = 0; i < SUBMITTERS; i++)
      CHECK(pthread_create(&threads[i], NULL, commit_until_closed, NULL) == 0);
    for (i = 0; i < WAITERS; i++)
      CHECK(pthread_create(&threads[SUBMITTERS + i], NULL, await_until_closed,
                           (void *)(uintptr_t)(before + 1 + (uint64_t)i)) == 0);
    CHECK(pthread_create(&threads[SUBMITTERS + WAITERS], NULL, follow_until_closed, NULL) == 0);
    /* Each was at the replica, which has joined by then. */
    while (atomic_load(&acknowledged) < before + (unsigned)times(ENOUGH) / 8)
      sched_yield();
    close_primary(primary);
    for (i = 0; i < SUBMITTERS + WAITERS + 1; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    /* What was taken before the close is there, acknowledged or not. */
    primary = open_primary("closing", NULL);
    CHECK(ewal_spool_bounds(spool_of(primary), NULL, &current, NULL) == EWAL_OK);
    CHECK(current == appended && current >= atomic_load(&acknowledged));
    close_primary(primary);
  }
}

/* A batch of pages, and a record with its acknowledgement. */
static void *submit_once(void *generation) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = atomic_fetch_add(&next_seq, 1), lsn;
  one_page p;
  make_page(&p, seq, (uint32_t)seq, 1);
  EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, NULL, &error), &error);
  EXPECT(EWAL_OK, append_next(&lsn, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_touch(primary, "a", *(uint64_t *)generation, &error), &error);
  return NULL;
}

static void short_lived_threads_leave_nothing_behind(void) {
  enum { AT_ONCE = 8, CHECKPOINT_EACH = 10000 };
  const int total = times(100000);
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_stats spooled = EWAL_STATS_INIT;
  uint64_t generation;
  pthread_attr_t small;
  long before = 0;
  int i, j;
  CHECK(pthread_attr_init(&small) == 0);
  CHECK(pthread_attr_setstacksize(&small, 64 * 1024) == 0);
  options.slot_count = 16;
  wal = open_db("short", &options);
  primary = open_primary("short", NULL);
  spool = spool_of(primary);
  appended = 0;
  generation = join(primary, "a", NULL).generation;
  atomic_store(&next_seq, 1);
  for (i = 0; i < total; i += AT_ONCE) {
    pthread_t threads[AT_ONCE];
    for (j = 0; j < AT_ONCE; j++)
      CHECK(pthread_create(&threads[j], &small, submit_once, &generation) == 0);
    for (j = 0; j < AT_ONCE; j++)
      CHECK(pthread_join(threads[j], NULL) == 0);
    if (i % CHECKPOINT_EACH == 0) {
      uint64_t epoch;
      EXPECT(EWAL_OK, ewal_flush(wal, -1, &epoch, &error), &error);
      EXPECT(EWAL_OK, ewal_checkpoint(wal, epoch, &error), &error);
      EXPECT(EWAL_OK, ewal_spool_flush(spool, -1, &error), &error);
    }
    if (i == total / 2)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 8 * 1024);
  EXPECT(EWAL_OK, ewal_coordinator_stats(wal, &stats, &error), &error);
  CHECK(stats.batches == (uint64_t)total);
  CHECK(stats.lanes == 16 && stats.lanes_in_use <= 2);
  EXPECT(EWAL_OK, ewal_spool_stats(spool, &spooled, &error), &error);
  CHECK(spooled.batches == (uint64_t)total && spooled.lanes_in_use <= 2);
  pthread_attr_destroy(&small);
  close_db(wal);
  close_primary(primary);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(closing_under_load_loses_and_hangs_nobody);
  RUN(closing_a_primary_under_load_tells_everybody);
  RUN(short_lived_threads_leave_nothing_behind);
  return 0;
}
