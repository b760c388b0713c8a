/* The ordinary way through: commit, wait in each way there is, recover,
 * checkpoint. */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

static void what_was_committed_comes_back(void) {
  enum { N = 200 };
  ewal_coordinator wal = open_db("basic", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovery reader;
  ewal_recovered_batch batch;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  uint64_t i, epoch = 0;
  bool any;
  for (i = 1; i <= N; i++) {
    one_page p;
    ewal_ticket ticket;
    make_page(&p, i, (uint32_t)i, (unsigned char)i);
    p.batch.txn_id = i * 1000;
    p.batch.txn_epoch = (uint32_t)i + 5;
    p.batch.metadata.data = &i;
    p.batch.metadata.len = i % 2 ? sizeof i : 0;
    EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, &ticket, &error), &error);
    CHECK(ticket.epoch > epoch && ticket.commit_seq == i);
    epoch = ticket.epoch;
  }
  CHECK(ewal_durable_epoch(wal, &epoch, &any) == EWAL_OK);
  CHECK(any && epoch >= N);
  close_db(wal);
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("basic"), NULL, &reader, &error),
         &error);
  for (i = 1; i <= N; i++) {
    unsigned char page[PAGE];
    memset(page, (int)i, sizeof page);
    EXPECT(EWAL_OK, ewal_recovery_next(reader, &batch, &error), &error);
    CHECK(batch.commit_seq == i && batch.txn_id == i * 1000);
    CHECK(batch.txn_epoch == i + 5);
    CHECK(batch.frame_count == 1 && batch.frames[0].page_number == i);
    CHECK(batch.frames[0].db_size_if_commit == i);
    CHECK(batch.frames[0].data.len == PAGE);
    CHECK(memcmp(batch.frames[0].data.data, page, PAGE) == 0);
    CHECK(batch.metadata.len == (i % 2 ? sizeof i : 0));
    if (batch.metadata.len)
      CHECK(memcmp(batch.metadata.data, &i, sizeof i) == 0);
  }
  for (i = 0; i < 3; i++) {
    EXPECT(EWAL_END, ewal_recovery_next(reader, &batch, &error), &error);
    CHECK(batch.frames == NULL && batch.epoch == 0);
  }
  EXPECT(EWAL_OK, ewal_recovery_report(reader, &summary, &error), &error);
  CHECK(summary.verdict == EWAL_VERDICT_CLEAN && summary.suspect_count == 0);
  CHECK(summary.batches == N && summary.records == N);
  CHECK(summary.highest_commit_seq == N && summary.db_size == N);
  CHECK(summary.last_epoch == epoch && !summary.has_checkpoint);
  {
    ewal_epoch_range ranges[8];
    size_t n;
    EXPECT(EWAL_OK, ewal_recovery_epochs(reader, ranges, 8, &n, &error), &error);
    CHECK(n >= 1 && ranges[0].first == summary.first_epoch);
    EXPECT(EWAL_OK, ewal_recovery_epochs(reader, NULL, 0, &n, &error), &error);
    CHECK(n >= 1);
  }
  {
    ewal_suspect suspect;
    EXPECT(EWAL_E_NOT_FOUND, ewal_recovery_suspect(reader, 0, &suspect, &error),
           &error);
  }
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
}

static int list_one(void *user, const ewal_segment_info *segment) {
  unsigned *seen = user;
  CHECK(segment->struct_size == sizeof *segment);
  CHECK(segment->version == 2 && segment->bytes > 0);
  CHECK(strstr(segment->path, "-wal-seg-") != NULL);
  ++*seen;
  return 0;
}

static int stop_at_once(void *user, const ewal_segment_info *segment) {
  (void)segment;
  ++*(unsigned *)user;
  return 1;
}

static void the_log_is_read_without_a_coordinator(void) {
  const char *path = in_scratch("files");
  ewal_coordinator wal = open_db("files", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_recovery_options options = EWAL_RECOVERY_OPTIONS_INIT;
  uint64_t i, epoch, max;
  unsigned seen = 0;
  size_t removed;
  bool any;
  FILE *f;
  unsigned char page[PAGE];
  EXPECT(EWAL_OK, ewal_max_durable_epoch(path, &max, &any, &error), &error);
  CHECK(!any && max == 0);
  for (i = 1; i <= 10; i++) {
    one_page p;
    make_page(&p, i, (uint32_t)(i % 4 + 1), (unsigned char)i);
    p.frame.db_size_if_commit = 4;
    EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
  }
  CHECK(ewal_durable_epoch(wal, &epoch, NULL) == EWAL_OK);
  close_db(wal);
  EXPECT(EWAL_OK, ewal_max_durable_epoch(path, &max, &any, &error), &error);
  CHECK(any && max == epoch);
  EXPECT(EWAL_OK, ewal_list_segments(path, list_one, &seen, &error), &error);
  CHECK(seen >= 1);
  seen = 0;
  EXPECT(EWAL_OK, ewal_list_segments(path, stop_at_once, &seen, &error), &error);
  CHECK(seen == 1);

  options.flags = EWAL_RECOVER_VERIFY_ONLY;
  EXPECT(EWAL_OK,
         ewal_recover_into_file(path, in_scratch("files.out"), PAGE, &options,
                                &summary, &error),
         &error);
  CHECK(summary.batches == 10 && access(in_scratch("files.out"), F_OK) != 0);
  options.flags = EWAL_RECOVER_DELETE_SEGMENTS;
  EXPECT(EWAL_OK,
         ewal_recover_into_file(path, in_scratch("files.out"), PAGE, &options,
                                &summary, &error),
         &error);
  CHECK(summary.batches == 10);
  CHECK(summary.db_size == 4);
  f = fopen(in_scratch("files.out"), "rb");
  CHECK(f != NULL);
  for (i = 1; i <= 4; i++) {
    /* The last batch that wrote page i. */
    unsigned char want = (unsigned char)(i <= 3 ? i + 7 : 7);
    CHECK(fread(page, PAGE, 1, f) == 1);
    CHECK(page[0] == want && page[PAGE - 1] == want);
  }
  CHECK(fread(page, 1, 1, f) == 0);
  fclose(f);
  seen = 0;
  EXPECT(EWAL_OK, ewal_list_segments(path, list_one, &seen, &error), &error);
  CHECK(seen == 0);
  EXPECT(EWAL_OK, ewal_cleanup_segments(path, &removed, &error), &error);
  CHECK(removed == 0);
  /* Epochs go on where they were. */
  wal = open_db("files", NULL);
  CHECK(ewal_current_epoch(wal, &max) == EWAL_OK);
  CHECK(max > epoch);
  close_db(wal);
}

static void a_checkpoint_takes_epochs_out_of_recovery(void) {
  ewal_coordinator wal = open_db("checkpoint", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_recovery_options verify = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_ticket ticket;
  uint64_t i, middle = 0;
  for (i = 1; i <= 20; i++) {
    one_page p;
    make_page(&p, i, 1, (unsigned char)i);
    EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, &ticket, &error), &error);
    if (i == 10)
      middle = ticket.epoch;
  }
  EXPECT(EWAL_E_INVALID, ewal_checkpoint(wal, ticket.epoch + 1, &error), &error);
  EXPECT(EWAL_OK, ewal_checkpoint(wal, middle, &error), &error);
  EXPECT(EWAL_OK, ewal_checkpoint(wal, middle - 1, &error), &error);
  EXPECT(EWAL_OK, ewal_coordinator_stats(wal, &stats, &error), &error);
  CHECK(stats.has_checkpoint && stats.checkpoint_epoch == middle);
  CHECK(stats.has_durable && stats.durable_epoch == ticket.epoch);
  CHECK(stats.batches == 20 && stats.frames == 20 && stats.bytes == 20 * PAGE);
  CHECK(stats.groups >= 20 && stats.epochs >= 20 && stats.flush.count >= 20);
  CHECK(stats.flush.p50 > 0 && stats.flush.max >= stats.flush.p50);
  CHECK(stats.lanes == 128 && stats.max_memory == 256u << 20);
  close_db(wal);
  verify.flags = EWAL_RECOVER_VERIFY_ONLY;
  EXPECT(EWAL_OK,
         ewal_recover_into_file(in_scratch("checkpoint"), in_scratch("unused"),
                                PAGE, &verify, &summary, &error),
         &error);
  CHECK(summary.batches == 10 && summary.has_checkpoint);
  CHECK(summary.checkpoint_epoch == middle);
}

static void the_figures_name_the_sync_style(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_coordinator wal = open_db("style", NULL);
  EXPECT(EWAL_OK, ewal_coordinator_stats(wal, &stats, &error), &error);
  CHECK(stats.sync_style == EWAL_SYNC_STYLE_DIRECT ||
        stats.sync_style == EWAL_SYNC_STYLE_BUFFERED);
  close_db(wal);
  options.sync_style = EWAL_SYNC_STYLE_BUFFERED;
  wal = open_db("style", &options);
  EXPECT(EWAL_OK, ewal_coordinator_stats(wal, &stats, &error), &error);
  CHECK(stats.sync_style == EWAL_SYNC_STYLE_BUFFERED);
  close_db(wal);
}

static void an_event_fd_tells_of_durability_and_of_close(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket;
  one_page p;
  int fd, other;
  uint64_t count;
  struct pollfd ready;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  wal = open_db("eventfd", &options);
  EXPECT(EWAL_OK, ewal_event_fd(wal, &fd, &error), &error);
  EXPECT(EWAL_OK, ewal_event_fd(wal, &other, &error), &error);
  CHECK(fd != other);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  while (read(fd, &count, sizeof count) > 0)
    continue;
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, &ticket, &error), &error);
  ready.fd = fd;
  ready.events = POLLIN;
  CHECK(poll(&ready, 1, 0) == 0);
  EXPECT(EWAL_OK, ewal_request_flush(wal, ticket.epoch, &error), &error);
  CHECK(poll(&ready, 1, 30000) == 1);
  CHECK(read(fd, &count, sizeof count) == sizeof count);
  EXPECT(EWAL_OK, ewal_wait(wal, ticket.epoch, 0, &error), &error);
  /* They are written one after the other. */
  ready.fd = other;
  CHECK(poll(&ready, 1, 30000) == 1);
  close_db(wal);
  ready.fd = fd;
  CHECK(poll(&ready, 1, 30000) == 1);
  close(fd);
  close(other);
}

/* What callbacks saw. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  ewal_coordinator wal;
  unsigned calls, drops, wrong;
  ewal_status inside[4];
} seen = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0}, 0, 0, 0, {0}};

static void on_durable(void *user, uint64_t epoch, ewal_status status) {
  unsigned char *mark = user;
  ewal_status inside[4];
  one_page p;
  make_page(&p, 1000, 1, 'x');
  inside[0] = ewal_wait(seen.wal, epoch, -1, NULL);
  inside[1] = ewal_flush(seen.wal, -1, NULL, NULL);
  inside[2] = ewal_commit(seen.wal, &p.batch, -1, NULL, NULL);
  inside[3] = ewal_coordinator_close(seen.wal, -1, NULL);
  pthread_mutex_lock(&seen.lock);
  memcpy(seen.inside, inside, sizeof inside);
  seen.wrong += status != EWAL_OK || epoch == 0 || *mark != 0;
  *mark = 1;
  seen.calls++;
  pthread_cond_broadcast(&seen.changed);
  pthread_mutex_unlock(&seen.lock);
}

static void on_drop(void *user) {
  unsigned char *mark = user;
  pthread_mutex_lock(&seen.lock);
  seen.wrong += *mark != 1;
  *mark = 2;
  seen.drops++;
  pthread_cond_broadcast(&seen.changed);
  pthread_mutex_unlock(&seen.lock);
}

static void callbacks_run_once_and_drop_once(void) {
  enum { N = 200 };
  static unsigned char marks[N];
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket;
  unsigned i;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  seen.wal = open_db("callbacks", &options);
  for (i = 0; i < N; i++) {
    one_page p;
    make_page(&p, i + 1, 1, 'x');
    EXPECT(EWAL_OK, ewal_submit(seen.wal, &p.batch, &ticket, &error), &error);
    EXPECT(EWAL_OK,
           ewal_on_durable(seen.wal, ticket.epoch, on_durable, &marks[i], on_drop,
                           &error),
           &error);
    if (i == N / 2) {
      pthread_mutex_lock(&seen.lock);
      while (seen.calls == 0)
        pthread_cond_wait(&seen.changed, &seen.lock);
      pthread_mutex_unlock(&seen.lock);
    }
  }
  close_db(seen.wal);
  CHECK(seen.calls == N && seen.drops == N && seen.wrong == 0);
  for (i = 0; i < N; i++)
    CHECK(marks[i] == 2);
  for (i = 0; i < 4; i++)
    CHECK(seen.inside[i] == EWAL_E_DEADLOCK);
}

static void a_batch_that_stays_staged_has_its_ticket(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket = {0, 0};
  ewal_status status;
  uint32_t lane, backlog, sum = 0;
  uint64_t flushed;
  one_page p;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  wal = open_db("ticket", &options);
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, &ticket, &error), &error);
  for (lane = 0; ewal_lane_backlog(wal, lane, &backlog, &error) == EWAL_OK; lane++)
    sum += backlog;
  CHECK(error.code == EWAL_E_NOT_FOUND && lane == 128 && sum == 1);
  EXPECT(EWAL_TIMEOUT, ewal_wait(wal, ticket.epoch, 0, &error), &error);
  CHECK(error.code == EWAL_TIMEOUT);
  make_page(&p, 2, 1, 'y');
  status = ewal_commit(wal, &p.batch, 0, &ticket, &error);
  CHECK(status == EWAL_TIMEOUT || status == EWAL_OK);
  CHECK(ticket.epoch != 0 && ticket.commit_seq == 2);
  EXPECT(EWAL_OK, ewal_flush(wal, -1, &flushed, &error), &error);
  CHECK(flushed >= ticket.epoch);
  EXPECT(EWAL_OK, ewal_wait(wal, ticket.epoch, 0, &error), &error);
  close_db(wal);
}

static void the_coordinator_numbers_commits(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket;
  one_page p;
  uint64_t i;
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  wal = open_db("numbers", &options);
  for (i = 1; i <= 5; i++) {
    make_page(&p, 9, 1, 'x');
    p.batch.commit_seq = 0;
    EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, &ticket, &error), &error);
    CHECK(ticket.commit_seq == i);
  }
  p.batch.commit_seq = 6;
  EXPECT(EWAL_E_INVALID, ewal_submit(wal, &p.batch, &ticket, &error), &error);
  close_db(wal);
}

static void figures_as_text(void) {
  ewal_coordinator wal = open_db("text", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  size_t n;
  char *text;
  EXPECT(EWAL_OK, ewal_stats_prometheus(wal, NULL, 0, &n, &error), &error);
  text = malloc(n + 100);
  CHECK(text != NULL);
  EXPECT(EWAL_OK, ewal_stats_prometheus(wal, text, n + 100, &n, &error), &error);
  CHECK(strstr(text, "epochwal_batches_total{db=") != NULL);
  CHECK(strlen(text) == n);
  free(text);
  close_db(wal);
}

static void a_path_need_not_be_text(void) {
  ewal_coordinator wal = open_db("\xff\xfe odd", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  one_page p;
  uint64_t epoch;
  bool any;
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
  close_db(wal);
  EXPECT(EWAL_OK,
         ewal_max_durable_epoch(in_scratch("\xff\xfe odd"), &epoch, &any, &error),
         &error);
  CHECK(any);
}

/* A database that is opened with another identity than the log's. */
static void an_identity_is_checked(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_recovery_options reading = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_coordinator wal;
  ewal_recovery reader;
  ewal_recovered_batch batch;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_status status;
  one_page p;
  memset(options.database_id, 1, 16);
  wal = open_db("identity", &options);
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
  close_db(wal);
  memset(options.database_id, 2, 16);
  CHECK(ewal_coordinator_open(in_scratch("identity"), &options, &wal, &error) < 0);
  memset(reading.database_id, 2, 16);
  status = ewal_recovery_open(in_scratch("identity"), &reading, &reader, &error);
  if (status == EWAL_OK) {
    status = ewal_recovery_next(reader, &batch, &error);
    ewal_recovery_close(reader);
  }
  CHECK(status < 0);
}

typedef struct {
  unsigned n;
  bool aborted;
} v1_seen;

static int see_v1(void *user, const ewal_segment_record *record) {
  v1_seen *s = user;
  s->n++;
  CHECK(record->epoch == 42 && record->txn_id == 7);
  if (!record->has_end_seq)
    s->aborted = true;
  else
    CHECK(record->after_image.len == 3 &&
          memcmp(record->after_image.data, "new", 3) == 0);
  CHECK(memcmp(record->before_image.data, "old", 3) == 0);
  return 0;
}

static void version_1_segments_as_files(void) {
  const char *path = in_scratch("v1");
  ewal_segment_record records[2] = {EWAL_SEGMENT_RECORD_INIT,
                                    EWAL_SEGMENT_RECORD_INIT};
  ewal_error error = EWAL_ERROR_INIT;
  v1_seen s = {0, false};
  char file[PATH_MAX];
  size_t i;
  for (i = 0; i < 2; i++) {
    records[i].txn_id = 7;
    records[i].page_number = (uint32_t)i + 1;
    records[i].begin_seq = 1;
    records[i].end_seq = 2;
    records[i].has_end_seq = i == 0;
    records[i].before_image.data = "old";
    records[i].before_image.len = 3;
    records[i].after_image.data = "new";
    records[i].after_image.len = 3;
  }
  EXPECT(EWAL_E_INVALID, ewal_segment_write(path, 42, NULL, 2, &error), &error);
  EXPECT(EWAL_E_TOO_LARGE, ewal_segment_write(path, 42, records, SIZE_MAX, &error),
         &error);
  EXPECT(EWAL_E_NOT_FOUND, ewal_segment_read(path, 42, see_v1, &s, &error), &error);
  EXPECT(EWAL_OK, ewal_segment_write(path, 42, records, 2, &error), &error);
  EXPECT(EWAL_E_EXISTS, ewal_segment_write(path, 42, records, 2, &error), &error);
  EXPECT(EWAL_OK, ewal_segment_path(path, 42, file, sizeof file, NULL, &error),
         &error);
  CHECK(access(file, F_OK) == 0);
  EXPECT(EWAL_OK, ewal_segment_read(path, 42, see_v1, &s, &error), &error);
  CHECK(s.n == 2 && s.aborted);
  EXPECT(EWAL_OK, ewal_segment_delete(path, 42, &error), &error);
  EXPECT(EWAL_E_NOT_FOUND, ewal_segment_delete(path, 42, &error), &error);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(version_1_segments_as_files);
  RUN(what_was_committed_comes_back);
  RUN(the_log_is_read_without_a_coordinator);
  RUN(a_checkpoint_takes_epochs_out_of_recovery);
  RUN(the_figures_name_the_sync_style);
  RUN(an_event_fd_tells_of_durability_and_of_close);
  RUN(callbacks_run_once_and_drop_once);
  RUN(a_batch_that_stays_staged_has_its_ticket);
  RUN(the_coordinator_numbers_commits);
  RUN(figures_as_text);
  RUN(a_path_need_not_be_text);
  RUN(an_identity_is_checked);
  return 0;
}
