/* Many threads: close under load, and threads that come and go. */
#include "harness.h"

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

static void *submit_once(void *unused) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = atomic_fetch_add(&next_seq, 1);
  one_page p;
  (void)unused;
  make_page(&p, seq, (uint32_t)seq, 1);
  EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, NULL, &error), &error);
  return NULL;
}

static void short_lived_threads_leave_nothing_behind(void) {
  enum { AT_ONCE = 8, CHECKPOINT_EACH = 10000 };
  const int total = times(100000);
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  pthread_attr_t small;
  long before = 0;
  int i, j;
  CHECK(pthread_attr_init(&small) == 0);
  CHECK(pthread_attr_setstacksize(&small, 64 * 1024) == 0);
  options.slot_count = 16;
  wal = open_db("short", &options);
  atomic_store(&next_seq, 1);
  for (i = 0; i < total; i += AT_ONCE) {
    pthread_t threads[AT_ONCE];
    for (j = 0; j < AT_ONCE; j++)
      CHECK(pthread_create(&threads[j], &small, submit_once, NULL) == 0);
    for (j = 0; j < AT_ONCE; j++)
      CHECK(pthread_join(threads[j], NULL) == 0);
    if (i % CHECKPOINT_EACH == 0) {
      uint64_t epoch;
      EXPECT(EWAL_OK, ewal_flush(wal, -1, &epoch, &error), &error);
      EXPECT(EWAL_OK, ewal_checkpoint(wal, epoch, &error), &error);
    }
    if (i == total / 2)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 8 * 1024);
  EXPECT(EWAL_OK, ewal_coordinator_stats(wal, &stats, &error), &error);
  CHECK(stats.batches == (uint64_t)total);
  CHECK(stats.lanes == 16 && stats.lanes_in_use <= 2);
  pthread_attr_destroy(&small);
  close_db(wal);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(closing_under_load_loses_and_hangs_nobody);
  RUN(short_lived_threads_leave_nothing_behind);
  return 0;
}
