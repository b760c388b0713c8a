/* Misuse: whatever a caller hands in, it gets a status and a message. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>

static const ewal_coordinator no_coordinator;
static const ewal_recovery no_recovery;

static void versions_agree(void) {
  CHECK(ewal_abi_version() == EWAL_ABI_VERSION);
  CHECK(strcmp(ewal_version(), EWAL_VERSION) == 0);
}

static void every_status_has_its_name(void) {
  static const struct {
    ewal_status status;
    const char *name;
  } all[] = {
#define ROW(s) {s, #s}
      ROW(EWAL_OK), ROW(EWAL_TIMEOUT), ROW(EWAL_END), ROW(EWAL_BUSY),
      ROW(EWAL_E_INVALID), ROW(EWAL_E_NO_MEMORY), ROW(EWAL_E_IO),
      ROW(EWAL_E_CORRUPT), ROW(EWAL_E_LOCKED), ROW(EWAL_E_CLOSED),
      ROW(EWAL_E_FORKED), ROW(EWAL_E_UNSUPPORTED), ROW(EWAL_E_TOO_LARGE),
      ROW(EWAL_E_NO_SPACE), ROW(EWAL_E_ABI), ROW(EWAL_E_FORMAT),
      ROW(EWAL_E_NOT_FOUND), ROW(EWAL_E_EXISTS), ROW(EWAL_E_FAILED),
      ROW(EWAL_E_OUTCOME_UNKNOWN), ROW(EWAL_E_DEADLOCK), ROW(EWAL_E_ORDER),
      ROW(EWAL_E_FENCED), ROW(EWAL_E_WAL_REMOVED), ROW(EWAL_E_AHEAD),
      ROW(EWAL_E_DIVERGED), ROW(EWAL_E_PANIC),
#undef ROW
  };
  size_t i;
  for (i = 0; i < sizeof all / sizeof all[0]; i++)
    CHECK(strcmp(ewal_status_name(all[i].status), all[i].name) == 0);
  CHECK(strcmp(ewal_status_name(-1000), "EWAL_UNKNOWN") == 0);
}

static int dropped, called;
static void count_drop(void *user) { dropped += user == &dropped; }
static void count_call(void *user, uint64_t epoch, ewal_status status) {
  (void)user, (void)epoch, (void)status;
  called++;
}

/* NULL over a living coordinator: the handle is not what is refused. */
static void null_is_refused_over_a_living_handle_too(void) {
  ewal_coordinator wal = open_db("null", NULL);
  ewal_recovery reader;
  ewal_error error = EWAL_ERROR_INIT;
  const ewal_status bad = EWAL_E_INVALID;
  EXPECT(bad, ewal_submit(wal, NULL, NULL, &error), &error);
  CHECK(strstr(error.message, "batch is NULL") != NULL);
  EXPECT(bad, ewal_commit(wal, NULL, 0, NULL, &error), &error);
  EXPECT(bad, ewal_wait(wal, 1u << 30, 0, &error), &error);
  CHECK(ewal_current_epoch(wal, NULL) == bad);
  CHECK(ewal_durable_epoch(wal, NULL, NULL) == bad);
  EXPECT(bad, ewal_event_fd(wal, NULL, &error), &error);
  EXPECT(bad, ewal_request_flush(wal, 1u << 30, &error), &error);
  EXPECT(bad, ewal_on_durable(wal, 1, NULL, NULL, NULL, &error), &error);
  EXPECT(bad, ewal_coordinator_stats(wal, NULL, &error), &error);
  EXPECT(bad, ewal_lane_backlog(wal, 0, NULL, &error), &error);
  EXPECT(bad, ewal_stats_prometheus(wal, NULL, 10, NULL, &error), &error);
  EXPECT(bad, ewal_checkpoint(wal, UINT64_MAX, &error), &error);
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("null"), NULL, &reader, &error),
         &error);
  EXPECT(bad, ewal_recovery_next(reader, NULL, &error), &error);
  EXPECT(bad, ewal_recovery_report(reader, NULL, &error), &error);
  EXPECT(bad, ewal_recovery_suspect(reader, 0, NULL, &error), &error);
  EXPECT(bad, ewal_recovery_epochs(reader, NULL, 1, NULL, &error), &error);
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  CHECK(ewal_recovery_close(reader) == EWAL_E_CLOSED);
  close_db(wal);
}

static void out_parameters_are_zeroed_on_failure(void) {
  ewal_coordinator wal = {7};
  ewal_recovery reader = {7};
  ewal_ticket ticket = {7, 7};
  ewal_recovered_batch batch;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  const ewal_recovered_batch zero_batch = {0, 0, 0, 0, NULL, 0, {NULL, 0}};
  uint64_t epoch = 7;
  uint32_t frames = 7;
  size_t n = 7;
  bool any = true;
  int fd = 7;
  char text[4] = "old";
  ewal_coordinator_open(NULL, NULL, &wal, NULL);
  CHECK(wal.id == 0);
  ewal_recovery_open(NULL, NULL, &reader, NULL);
  CHECK(reader.id == 0);
  ewal_submit(no_coordinator, NULL, &ticket, NULL);
  CHECK(ticket.epoch == 0 && ticket.commit_seq == 0);
  ticket.epoch = 7;
  ewal_commit(no_coordinator, NULL, 0, &ticket, NULL);
  CHECK(ticket.epoch == 0);
  ewal_flush(no_coordinator, 0, &epoch, NULL);
  CHECK(epoch == 0);
  epoch = 7;
  ewal_durable_epoch(no_coordinator, &epoch, &any);
  CHECK(epoch == 0 && !any);
  ewal_event_fd(no_coordinator, &fd, NULL);
  CHECK(fd == 0);
  ewal_lane_backlog(no_coordinator, 0, &frames, NULL);
  CHECK(frames == 0);
  ewal_stats_prometheus(no_coordinator, text, sizeof text, &n, NULL);
  CHECK(n == 0 && text[0] == 0);
  memset(&batch, 7, sizeof batch);
  ewal_recovery_next(no_recovery, &batch, NULL);
  CHECK(memcmp(&batch, &zero_batch, sizeof batch) == 0);
  stats.batches = 7;
  ewal_coordinator_stats(no_coordinator, &stats, NULL);
  CHECK(stats.batches == 0 && stats.struct_size == sizeof stats);
  summary.db_size = 7;
  ewal_recover_into_file(NULL, NULL, 0, NULL, &summary, NULL);
  CHECK(summary.db_size == 0 && summary.struct_size == sizeof summary);
}

/* A struct of another version: its first bytes, its size, and a tail. */
typedef struct {
  ewal_coordinator_options known;
  unsigned char tail[64];
} larger_options;

static void the_size_rule_holds_for_options(void) {
  const ewal_coordinator_options init = EWAL_COORDINATOR_OPTIONS_INIT;
  larger_options options;
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  const char *path = in_scratch("sizes");
  uint32_t bad[] = {0, 4, sizeof init - 1, 4097, UINT32_MAX};
  size_t i;
  memset(&options, 0, sizeof options);
  options.known = init;
  for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    options.known.struct_size = bad[i];
    EXPECT(EWAL_E_INVALID,
           ewal_coordinator_open(path, &options.known, &wal, &error), &error);
    CHECK(strstr(error.message, "struct_size") != NULL);
  }
  options.known.struct_size = sizeof options;
  EXPECT(EWAL_OK, ewal_coordinator_open(path, &options.known, &wal, &error),
         &error);
  close_db(wal);
  options.tail[63] = 1;
  EXPECT(EWAL_E_ABI, ewal_coordinator_open(path, &options.known, &wal, &error),
         &error);
}

static void the_size_rule_holds_for_the_other_structs(void) {
  ewal_coordinator wal = open_db("sizes2", NULL);
  ewal_recovery reader;
  ewal_recovery_options recovery = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  struct {
    one_page known;
    unsigned char tail[8];
  } batch;
  ewal_ticket ticket;
  memset(&batch, 0, sizeof batch);
  make_page(&batch.known, 1, 1, 'x');
  batch.known.batch.struct_size = sizeof(ewal_batch) - 1;
  EXPECT(EWAL_E_INVALID, ewal_submit(wal, &batch.known.batch, &ticket, &error),
         &error);
  batch.known.batch.struct_size = sizeof(ewal_batch) + 8;
  batch.tail[0] = 1;
  EXPECT(EWAL_E_ABI, ewal_submit(wal, &batch.known.batch, &ticket, &error),
         &error);
  batch.tail[0] = 0;
  EXPECT(EWAL_OK, ewal_submit(wal, &batch.known.batch, &ticket, &error), &error);
  stats.struct_size = 8;
  EXPECT(EWAL_E_INVALID, ewal_coordinator_stats(wal, &stats, &error), &error);
  recovery.struct_size = 8;
  EXPECT(EWAL_E_INVALID,
         ewal_recovery_open(in_scratch("sizes2"), &recovery, &reader, &error),
         &error);
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("sizes2"), NULL, &reader, &error),
         &error);
  summary.struct_size = 8;
  EXPECT(EWAL_E_INVALID, ewal_recovery_report(reader, &summary, &error), &error);
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  close_db(wal);
}

static void an_error_struct_that_is_too_small_is_not_touched(void) {
  ewal_error error;
  ewal_coordinator wal = {7};
  memset(&error, 'x', sizeof error);
  error.struct_size = sizeof error - 1;
  CHECK(ewal_coordinator_open(in_scratch("small"), NULL, &wal, &error) ==
        EWAL_E_INVALID);
  CHECK(wal.id == 0);
  CHECK(error.message[0] == 'x' && error.code != EWAL_E_INVALID);
  /* Nothing was done: nobody holds the lock. */
  wal = open_db("small", NULL);
  close_db(wal);
}

static void options_out_of_range_are_named(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_coordinator wal;
  const char *path = in_scratch("range");
#define REFUSE(field, value, name)                                           \
  do {                                                                       \
    ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;        \
    options.field = value;                                                   \
    EXPECT(EWAL_E_INVALID, ewal_coordinator_open(path, &options, &wal, &error), \
           &error);                                                          \
    CHECK(strncmp(error.message, name ": ", strlen(name) + 2) == 0);         \
    CHECK(error.code == EWAL_E_INVALID && error.os_errno == 0);              \
  } while (0)
  REFUSE(flags, 2, "flags");
  REFUSE(flags, 0x80000000u, "flags");
  REFUSE(slot_count, 65536, "slot_count");
  REFUSE(overflow_policy, 4, "overflow_policy");
  REFUSE(sync_policy, UINT32_MAX, "sync_policy");
  REFUSE(sync_style, 4, "sync_style");
  REFUSE(segment_format, 3, "segment_format");
  REFUSE(sequencing, 3, "sequencing");
  REFUSE(epoch_interval_ns, 1, "epoch_interval");
  REFUSE(epoch_interval_ns, UINT64_MAX - 1, "epoch_interval");
  REFUSE(buffer_capacity, 1, "buffer_capacity");
  REFUSE(block_timeout_ns, UINT64_MAX, "block_timeout");
  REFUSE(max_memory, 1, "max_memory");
  REFUSE(max_batch_bytes, UINT64_MAX, "max_batch_bytes");
  REFUSE(max_log_bytes, 1, "max_log_bytes");
  REFUSE(segment_size, 20000, "segment_size");
  REFUSE(segment_size, UINT64_MAX, "segment_size");
#undef REFUSE
}

static void recovery_flags_are_checked(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovery_options options = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_recovery reader;
  options.flags = 8;
  EXPECT(EWAL_E_INVALID,
         ewal_recovery_open(in_scratch("none"), &options, &reader, &error), &error);
  options.flags = EWAL_RECOVER_DELETE_SEGMENTS;
  EXPECT(EWAL_E_INVALID,
         ewal_recovery_open(in_scratch("none"), &options, &reader, &error), &error);
}

static void bad_batches_are_refused(void) {
  ewal_coordinator wal = open_db("batches", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket;
  one_page p;
  ewal_frame two[2];
  static unsigned char large[65537];
#define REFUSE(status, change, word)                                         \
  do {                                                                       \
    make_page(&p, 1, 1, 'x');                                                \
    two[0] = two[1] = p.frame;                                               \
    change;                                                                  \
    ticket.epoch = 7;                                                        \
    EXPECT(status, ewal_submit(wal, &p.batch, &ticket, &error), &error);     \
    CHECK(ticket.epoch == 0);                                                \
    CHECK(strstr(error.message, word) != NULL);                              \
    EXPECT(status, ewal_commit(wal, &p.batch, -1, &ticket, &error), &error); \
  } while (0)
  REFUSE(EWAL_E_INVALID, p.batch.frames = NULL, "frames");
  REFUSE(EWAL_E_INVALID, p.batch.frame_count = SIZE_MAX, "frame_count");
  REFUSE(EWAL_E_INVALID,
         p.batch.frame_count = SIZE_MAX / sizeof(ewal_frame) + 1, "frame_count");
  REFUSE(EWAL_E_TOO_LARGE, p.batch.frame_count = (1u << 30) + 1, "frame_count");
  REFUSE(EWAL_E_INVALID, p.batch.frame_count = 0, "frame");
  REFUSE(EWAL_E_INVALID, p.batch.txn_id = 0, "txn_id");
  REFUSE(EWAL_E_INVALID, p.batch.commit_seq = 0, "commit_seq");
  REFUSE(EWAL_E_INVALID, p.frame.page_number = 0, "page");
  REFUSE(EWAL_E_INVALID, p.frame.data.data = NULL, "frames[0].data: NULL");
  REFUSE(EWAL_E_INVALID, p.frame.data.len = 0, "frame");
  REFUSE(EWAL_E_TOO_LARGE, p.frame.data.len = SIZE_MAX, "frames[0].data");
  REFUSE(EWAL_E_TOO_LARGE, p.frame.data.len = 65537, "65537");
  REFUSE(EWAL_E_TOO_LARGE, p.frame.data.len = 70001, "frames[0].data: 70001");
  REFUSE(EWAL_E_INVALID,
         (two[1].data.data = NULL, p.batch.frames = two, p.batch.frame_count = 2),
         "frames[1].data: NULL with a length of");
  REFUSE(EWAL_E_INVALID, p.batch.metadata.len = 1, "metadata");
  REFUSE(EWAL_E_INVALID,
         (p.batch.metadata.data = large, p.batch.metadata.len = SIZE_MAX),
         "metadata");
  REFUSE(EWAL_E_TOO_LARGE,
         (p.batch.metadata.data = large, p.batch.metadata.len = sizeof large),
         "metadata");
#undef REFUSE
  close_db(wal);
}

static void a_refused_callback_is_never_called_but_always_dropped(void) {
  ewal_coordinator wal = open_db("callback", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_error small = EWAL_ERROR_INIT;
  small.struct_size = 4;
  dropped = called = 0;
  EXPECT(EWAL_E_INVALID,
         ewal_on_durable(no_coordinator, 1, count_call, &dropped, count_drop,
                         &error),
         &error);
  CHECK(dropped == 1);
  EXPECT(EWAL_E_INVALID,
         ewal_on_durable(wal, 1, NULL, &dropped, count_drop, &error), &error);
  CHECK(dropped == 2);
  EXPECT(EWAL_E_INVALID,
         ewal_on_durable(wal, UINT64_MAX, count_call, &dropped, count_drop, &error),
         &error);
  CHECK(dropped == 3);
  CHECK(ewal_on_durable(wal, 1, count_call, &dropped, count_drop, &small) ==
        EWAL_E_INVALID);
  CHECK(dropped == 4);
  close_db(wal);
  EXPECT(EWAL_E_CLOSED,
         ewal_on_durable(wal, 1, count_call, &dropped, count_drop, &error), &error);
  CHECK(dropped == 5 && called == 0);
}

static pthread_barrier_t gate;
static void *close_at_once(void *handle) {
  ewal_error error = EWAL_ERROR_INIT;
  pthread_barrier_wait(&gate);
  return (void *)(intptr_t)ewal_coordinator_close(*(ewal_coordinator *)handle, -1,
                                                  &error);
}

static void of_64_closes_one_succeeds(void) {
  int round, i;
  for (round = 0; round < 10; round++) {
    pthread_t threads[64];
    int ok = 0, closed = 0;
    ewal_coordinator wal = open_db("close64", NULL);
    one_page p;
    make_page(&p, 1 + (uint64_t)round, 1, 'x');
    CHECK(ewal_submit(wal, &p.batch, NULL, NULL) == EWAL_OK);
    pthread_barrier_init(&gate, NULL, 64);
    for (i = 0; i < 64; i++)
      CHECK(pthread_create(&threads[i], NULL, close_at_once, &wal) == 0);
    for (i = 0; i < 64; i++) {
      void *status;
      pthread_join(threads[i], &status);
      ok += (intptr_t)status == EWAL_OK;
      closed += (intptr_t)status == EWAL_E_CLOSED;
    }
    pthread_barrier_destroy(&gate);
    CHECK(ok == 1 && closed == 63);
  }
}

static void *close_reader_at_once(void *handle) {
  pthread_barrier_wait(&gate);
  return (void *)(intptr_t)ewal_recovery_close(*(ewal_recovery *)handle);
}

static void of_64_closes_of_a_recovery_one_succeeds(void) {
  int round, i;
  for (round = 0; round < 10; round++) {
    pthread_t threads[64];
    ewal_recovery reader;
    ewal_error error = EWAL_ERROR_INIT;
    int ok = 0, closed = 0;
    EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("close64"), NULL, &reader, &error),
           &error);
    pthread_barrier_init(&gate, NULL, 64);
    for (i = 0; i < 64; i++)
      CHECK(pthread_create(&threads[i], NULL, close_reader_at_once, &reader) == 0);
    for (i = 0; i < 64; i++) {
      void *status;
      pthread_join(threads[i], &status);
      ok += (intptr_t)status == EWAL_OK;
      closed += (intptr_t)status == EWAL_E_CLOSED;
    }
    pthread_barrier_destroy(&gate);
    CHECK(ok == 1 && closed == 63);
  }
}

static void *poll_close(void *handle) {
  pthread_barrier_wait(&gate);
  return (void *)(intptr_t)ewal_coordinator_close(*(ewal_coordinator *)handle, 0, NULL);
}

/* A close that is not in time leaves it open, whoever closes beside it. */
static void a_close_that_is_not_in_time_takes_nothing(void) {
  int round, i;
  for (round = 0; round < 50; round++) {
    pthread_t threads[4];
    int ok = 0;
    ewal_coordinator wal = open_db("in_time", NULL);
    one_page p;
    make_page(&p, 1 + (uint64_t)round, 1, 'x');
    CHECK(ewal_submit(wal, &p.batch, NULL, NULL) == EWAL_OK);
    pthread_barrier_init(&gate, NULL, 4);
    for (i = 0; i < 4; i++)
      CHECK(pthread_create(&threads[i], NULL, poll_close, &wal) == 0);
    for (i = 0; i < 4; i++) {
      void *status;
      pthread_join(threads[i], &status);
      CHECK((intptr_t)status == EWAL_OK || (intptr_t)status == EWAL_TIMEOUT ||
            (intptr_t)status == EWAL_E_CLOSED);
      ok += (intptr_t)status == EWAL_OK;
    }
    pthread_barrier_destroy(&gate);
    CHECK(ok <= 1);
    CHECK(ewal_coordinator_close(wal, -1, NULL) == (ok ? EWAL_E_CLOSED : EWAL_OK));
  }
}

static void stale_handles_never_alias(void) {
  static ewal_coordinator stale[1000];
  const int rounds = times(1000);
  ewal_coordinator live;
  uint64_t epoch;
  long before = 0;
  int i, j;
  for (i = 0; i < rounds; i++) {
    stale[i] = open_db("reopen", NULL);
    close_db(stale[i]);
    if (i == rounds / 4)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 4096);
  live = open_db("reopen", NULL);
  for (i = 0; i < rounds; i++) {
    CHECK(stale[i].id != live.id);
    CHECK(ewal_current_epoch(stale[i], &epoch) == EWAL_E_CLOSED);
    CHECK(ewal_coordinator_close(stale[i], 0, NULL) == EWAL_E_CLOSED);
    for (j = 0; j < i; j += 97)
      CHECK(stale[i].id != stale[j].id);
  }
  CHECK(ewal_current_epoch(live, &epoch) == EWAL_OK);
  close_db(live);
}

static void closed_readers_leave_no_memory_behind_and_never_alias(void) {
  static ewal_recovery stale[1000];
  const int rounds = times(1000);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovered_batch batch;
  ewal_recovery live;
  long before = 0;
  int i, j;
  for (i = 0; i < rounds; i++) {
    EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("close64"), NULL, &stale[i], &error),
           &error);
    EXPECT(EWAL_OK, ewal_recovery_next(stale[i], &batch, &error), &error);
    CHECK(ewal_recovery_close(stale[i]) == EWAL_OK);
    if (i == rounds / 4)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 4096);
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("close64"), NULL, &live, &error), &error);
  for (i = 0; i < rounds; i++) {
    CHECK(stale[i].id != live.id);
    CHECK(ewal_recovery_next(stale[i], &batch, NULL) == EWAL_E_CLOSED);
    for (j = 0; j < i; j += 97)
      CHECK(stale[i].id != stale[j].id);
  }
  CHECK(ewal_recovery_close(live) == EWAL_OK);
}

static void a_million_handles_leave_no_memory_behind(void) {
  ewal_coordinator first, more;
  ewal_error error = EWAL_ERROR_INIT;
  const char *path = in_scratch("million");
  long before = 0;
  int i;
  EXPECT(EWAL_OK, ewal_coordinator_for_path(path, NULL, &first, &error), &error);
  for (i = 0; i < times(1000000); i++) {
    EXPECT(EWAL_OK, ewal_coordinator_for_path(path, NULL, &more, &error), &error);
    EXPECT(EWAL_OK, ewal_coordinator_close(more, -1, &error), &error);
    if (i == 10000)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 1024);
  close_db(first);
}

static void foreign_numbers_are_no_handles(void) {
  ewal_coordinator wal = open_db("foreign", NULL);
  ewal_recovery reader = {0}, wrong = {0};
  ewal_coordinator odd;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovered_batch batch;
  uint64_t bit, epoch;
  wrong.id = wal.id;
  EXPECT(EWAL_E_INVALID, ewal_recovery_next(wrong, &batch, &error), &error);
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("foreign"), NULL, &reader, &error),
         &error);
  odd.id = reader.id;
  CHECK(ewal_current_epoch(odd, &epoch) == EWAL_E_INVALID);
  for (bit = 1; bit != 0; bit <<= 1) {
    odd.id = wal.id ^ bit;
    CHECK(ewal_current_epoch(odd, &epoch) < 0);
    odd.id = ~wal.id;
    CHECK(ewal_coordinator_close(odd, 0, NULL) < 0);
  }
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  close_db(wal);
}

static void errors_carry_errno_and_a_whole_message(void) {
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  char path[1024];
  size_t n, i;
  CHECK(ewal_coordinator_open(in_scratch("no/such/dir"), NULL, &wal, &error) < 0);
  CHECK(error.os_errno == ENOENT);
  CHECK(strstr(error.message, "no/such") != NULL);
  /* Two-byte characters, so that one of two offsets cuts one in half. */
  for (i = 0; i < 2; i++) {
    size_t at;
    snprintf(path, sizeof path, "%s/%s", scratch_dir, i ? "x" : "");
    n = strlen(path);
    while (n + 3 < sizeof path - 8) {
      path[n++] = (char)0xc3;
      path[n++] = (char)0xa9;
      if (n % 200 < 2)
        path[n++] = '/';
    }
    path[n] = 0;
    CHECK(ewal_coordinator_open(path, NULL, &wal, &error) < 0);
    at = strlen(error.message);
    CHECK(at >= EWAL_MESSAGE_BYTES - 2 && at < EWAL_MESSAGE_BYTES);
    CHECK((unsigned char)error.message[at - 1] != 0xc3);
  }
  wal = open_db("clean", NULL);
  CHECK(ewal_wait(wal, 1u << 30, 0, &error) < 0 && error.message[0] != 0);
  EXPECT(EWAL_OK, ewal_flush(wal, -1, NULL, &error), &error);
  CHECK(error.code == EWAL_OK && error.os_errno == 0 && error.message[0] == 0);
  close_db(wal);
}

static void texts_are_cut_as_by_snprintf(void) {
  ewal_error error = EWAL_ERROR_INIT;
  const char *whole = "db-wal-seg-123456789abcdef0";
  char buf[64];
  size_t n, cap;
  EXPECT(EWAL_OK,
         ewal_segment_path("db", 0x123456789abcdef0, NULL, 0, &n, &error), &error);
  CHECK(n == strlen(whole));
  for (cap = 1; cap < sizeof buf; cap++) {
    memset(buf, '#', sizeof buf);
    EXPECT(EWAL_OK,
           ewal_segment_path("db", 0x123456789abcdef0, buf, cap, &n, &error),
           &error);
    CHECK(n == strlen(whole));
    CHECK(strlen(buf) == (n < cap ? n : cap - 1));
    CHECK(strncmp(buf, whole, strlen(buf)) == 0);
    CHECK(cap == sizeof buf || buf[cap] == '#');
  }
}

static void a_second_writer_is_told(void) {
  ewal_coordinator wal = open_db("locked", NULL), second;
  ewal_coordinator_options other = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  const char *path = in_scratch("locked");
  one_page p;
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
  EXPECT(EWAL_E_LOCKED, ewal_coordinator_open(path, NULL, &second, &error), &error);
  EXPECT(EWAL_E_LOCKED, ewal_cleanup_segments(path, NULL, &error), &error);
  close_db(wal);
  EXPECT(EWAL_OK, ewal_coordinator_for_path(path, NULL, &wal, &error), &error);
  other.slot_count = 3;
  EXPECT(EWAL_E_INVALID, ewal_coordinator_for_path(path, &other, &second, &error),
         &error);
  close_db(wal);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(versions_agree);
  RUN(every_status_has_its_name);
  RUN(null_is_refused_over_a_living_handle_too);
  RUN(out_parameters_are_zeroed_on_failure);
  RUN(the_size_rule_holds_for_options);
  RUN(the_size_rule_holds_for_the_other_structs);
  RUN(an_error_struct_that_is_too_small_is_not_touched);
  RUN(options_out_of_range_are_named);
  RUN(recovery_flags_are_checked);
  RUN(bad_batches_are_refused);
  RUN(a_refused_callback_is_never_called_but_always_dropped);
  RUN(of_64_closes_one_succeeds);
  RUN(of_64_closes_of_a_recovery_one_succeeds);
  RUN(a_close_that_is_not_in_time_takes_nothing);
  RUN(stale_handles_never_alias);
  RUN(closed_readers_leave_no_memory_behind_and_never_alias);
  RUN(a_million_handles_leave_no_memory_behind);
  RUN(foreign_numbers_are_no_handles);
  RUN(errors_carry_errno_and_a_whole_message);
  RUN(texts_are_cut_as_by_snprintf);
  RUN(a_second_writer_is_told);
  return 0;
}
