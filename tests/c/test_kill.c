/* SIGKILL: a writer process with several threads tells of each durable commit
 * through a pipe and is killed at a random moment, again and again. What it
 * told of is in the log, once; and each life goes on with higher epochs.
 *
 * EWAL_SEED repeats a run's moments as far as the scheduler lets it. */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { ROUNDS = 20, THREADS = 4, MAX_SEQ = 1 << 20 };

typedef struct {
  uint64_t seq, epoch;
} ack;

static uint64_t acked_epoch[MAX_SEQ]; /* 0: never told of */
static unsigned char found[MAX_SEQ];

/* The writer. */
static ewal_coordinator wal;
static atomic_ullong next_seq;
static int ack_fd;

static unsigned char fill_of(uint64_t seq, unsigned i) {
  return (unsigned char)(seq * 131 + i * 7 + 1);
}

static void *write_until_killed(void *unused) {
  (void)unused;
  for (;;) {
    ewal_error error = EWAL_ERROR_INIT;
    uint64_t seq = atomic_fetch_add(&next_seq, 1);
    unsigned char pages[3][PAGE];
    ewal_frame frames[3];
    ewal_batch batch = EWAL_BATCH_INIT;
    ewal_ticket ticket;
    ack told;
    unsigned i;
    for (i = 0; i < 3; i++) {
      memset(pages[i], fill_of(seq, i), PAGE);
      frames[i].page_number = (uint32_t)(seq * 3 + i);
      frames[i].db_size_if_commit = i == 2 ? 3 * MAX_SEQ : 0;
      frames[i].data.data = pages[i];
      frames[i].data.len = PAGE;
    }
    batch.txn_id = batch.commit_seq = seq;
    batch.frames = frames;
    batch.frame_count = 1 + seq % 3;
    EXPECT(EWAL_OK, ewal_commit(wal, &batch, -1, &ticket, &error), &error);
    told.seq = seq;
    told.epoch = ticket.epoch;
    CHECK(write(ack_fd, &told, sizeof told) == sizeof told);
  }
}

static void write_for_a_life(uint64_t first_seq) {
  pthread_t thread;
  int i;
  wal = open_db("kill", NULL);
  atomic_store(&next_seq, first_seq);
  for (i = 1; i < THREADS; i++)
    CHECK(pthread_create(&thread, NULL, write_until_killed, NULL) == 0);
  write_until_killed(NULL);
}

/* The parent: reads what the writer tells, and kills it after some of it. */
static unsigned live_and_die(uint64_t first_seq, unsigned kill_after) {
  int fds[2];
  unsigned acks = 0;
  ack told;
  pid_t writer;
  CHECK(pipe(fds) == 0);
  fflush(NULL);
  writer = fork();
  CHECK(writer >= 0);
  if (writer == 0) {
    close(fds[0]);
    ack_fd = fds[1];
    write_for_a_life(first_seq);
  }
  close(fds[1]);
  while (read(fds[0], &told, sizeof told) == sizeof told) {
    CHECK(told.seq >= first_seq && told.seq < MAX_SEQ);
    CHECK(acked_epoch[told.seq] == 0);
    acked_epoch[told.seq] = told.epoch;
    /* What is told after the signal, before it hits, counts too. */
    if (++acks == kill_after)
      CHECK(kill(writer, SIGKILL) == 0);
  }
  close(fds[0]);
  CHECK(waitpid(writer, NULL, 0) == writer);
  CHECK(acks >= kill_after);
  return acks;
}

static void check_frames(const ewal_recovered_batch *batch) {
  size_t i, j;
  CHECK(batch->txn_id == batch->commit_seq);
  CHECK(batch->frame_count == 1 + batch->commit_seq % 3);
  for (i = 0; i < batch->frame_count; i++) {
    const unsigned char *page = batch->frames[i].data.data;
    CHECK(batch->frames[i].page_number == batch->commit_seq * 3 + i);
    CHECK(batch->frames[i].data.len == PAGE);
    for (j = 0; j < PAGE; j++)
      CHECK(page[j] == fill_of(batch->commit_seq, (unsigned)i));
  }
}

/* All that was told of is there, once; gives the highest sequence. */
static uint64_t check_log(uint64_t *last_epoch) {
  ewal_recovery reader;
  ewal_recovered_batch batch;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_status status;
  uint64_t seq, high = 0;
  memset(found, 0, sizeof found);
  *last_epoch = 0;
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("kill"), NULL, &reader, &error),
         &error);
  while ((status = ewal_recovery_next(reader, &batch, &error)) == EWAL_OK) {
    seq = batch.commit_seq;
    CHECK(seq < MAX_SEQ && !found[seq]);
    found[seq] = 1;
    CHECK(batch.epoch >= *last_epoch);
    *last_epoch = batch.epoch;
    CHECK(acked_epoch[seq] == 0 || acked_epoch[seq] == batch.epoch);
    check_frames(&batch);
    if (seq > high)
      high = seq;
  }
  EXPECT(EWAL_END, status, &error);
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  for (seq = 0; seq < MAX_SEQ; seq++)
    CHECK(!acked_epoch[seq] || found[seq]);
  return high;
}

static void nothing_told_of_is_lost_by_sigkill(void) {
  const char *given = getenv("EWAL_SEED");
  unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
  uint64_t high = 0, last_epoch = 0, before, seq;
  unsigned round, total = 0;
  printf("# EWAL_SEED=%u\n", seed);
  srand(seed);
  for (round = 0; round < ROUNDS; round++) {
    before = last_epoch;
    seq = high + 1;
    total += live_and_die(seq, 1 + (unsigned)rand() % 300);
    high = check_log(&last_epoch);
    for (; seq <= high; seq++)
      CHECK(!acked_epoch[seq] || acked_epoch[seq] > before);
  }
  printf("# %u commits told of over %u lives, %" PRIu64 " epochs\n", total, ROUNDS,
         last_epoch);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(nothing_told_of_is_lost_by_sigkill);
  return 0;
}
