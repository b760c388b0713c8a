/* Processes beside each other: a reader while another one writes, a second
 * writer by another path, and a process that has no descriptor left. */
#include "primary.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static ewal_ticket commit_one(ewal_coordinator wal, uint64_t seq) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ticket ticket;
  one_page p;
  make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
  EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, &ticket, &error), &error);
  return ticket;
}

/* Reads all batches, which are 1, 2, 3 ... without a gap; gives the last. */
static ewal_status read_all(const char *name, uint64_t *last, ewal_error *error) {
  ewal_recovery reader;
  ewal_recovered_batch batch;
  ewal_status status = ewal_recovery_open(in_scratch(name), NULL, &reader, error);
  *last = 0;
  if (status != EWAL_OK)
    return status;
  while ((status = ewal_recovery_next(reader, &batch, error)) == EWAL_OK) {
    const unsigned char *page = batch.frames[0].data.data;
    size_t i;
    CHECK(batch.commit_seq == ++*last);
    CHECK(batch.frame_count == 1 && batch.frames[0].data.len == PAGE);
    for (i = 0; i < PAGE; i++)
      CHECK(page[i] == (unsigned char)*last);
  }
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
  return status == EWAL_END ? EWAL_OK : status;
}

static void a_reader_sees_a_prefix_that_only_grows(void) {
  enum { PASSES = 40, EACH = 10 };
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t told = 0, seen = 0, now;
  int fds[2], pass;
  pid_t writer;
  options.segment_size = 64 * 1024;
  CHECK(pipe(fds) == 0);
  fflush(NULL);
  writer = fork();
  CHECK(writer >= 0);
  if (writer == 0) {
    ewal_coordinator wal = open_db("growing", &options);
    uint64_t seq;
    close(fds[0]);
    for (seq = 1;; seq++) {
      commit_one(wal, seq);
      CHECK(write(fds[1], &seq, sizeof seq) == sizeof seq);
    }
  }
  close(fds[1]);
  for (pass = 0; pass < PASSES; pass++) {
    int i;
    for (i = 0; i < EACH; i++)
      CHECK(read(fds[0], &told, sizeof told) == sizeof told);
    EXPECT(EWAL_OK, read_all("growing", &now, &error), &error);
    CHECK(now >= told && now >= seen);
    seen = now;
  }
  CHECK(kill(writer, SIGKILL) == 0);
  CHECK(waitpid(writer, NULL, 0) == writer);
  while (read(fds[0], &now, sizeof now) == sizeof now)
    told = now;
  close(fds[0]);
  EXPECT(EWAL_OK, read_all("growing", &now, &error), &error);
  CHECK(now >= told && now >= seen);
}

static void expect_locked(const char *name) {
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  size_t deleted;
  EXPECT(EWAL_E_LOCKED, ewal_coordinator_open(in_scratch(name), NULL, &wal, &error),
         &error);
  CHECK(strstr(error.message, "another writer") != NULL);
  EXPECT(EWAL_E_LOCKED, ewal_cleanup_segments(in_scratch(name), &deleted, &error),
         &error);
}

static void a_second_writer_is_told_by_whatever_path_it_comes(void) {
  static const char *const ways[] = {"one/db", "one/../one/db", "two/file",
                                     "two/directory/db"};
  ewal_coordinator wal;
  size_t i;
  int fd, status;
  pid_t child;
  CHECK(mkdir(in_scratch("one"), 0700) == 0 && mkdir(in_scratch("two"), 0700) == 0);
  fd = open(in_scratch("one/db"), O_CREAT | O_WRONLY, 0600);
  CHECK(fd >= 0 && close(fd) == 0);
  CHECK(symlink("../one/db", in_scratch("two/file")) == 0);
  CHECK(symlink("../one", in_scratch("two/directory")) == 0);
  wal = open_db("two/file", NULL);
  fflush(NULL);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (i = 0; i < sizeof ways / sizeof *ways; i++)
      expect_locked(ways[i]);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (i = 0; i < sizeof ways / sizeof *ways; i++)
    expect_locked(ways[i]);
  commit_one(wal, 1);
  close_db(wal);
  for (i = 0; i < sizeof ways / sizeof *ways; i++)
    close_db(open_db(ways[i], NULL));
}

/* The limit under which the next descriptor but `spare` is refused. */
static rlim_t limit_of(int spare) {
  int fds[64] = {0}, i;
  rlim_t refused;
  for (i = 0; i <= spare; i++) {
    fds[i] = open("/dev/null", O_RDONLY);
    CHECK(fds[i] >= 0);
  }
  refused = (rlim_t)fds[spare];
  for (i = 0; i <= spare; i++)
    close(fds[i]);
  return refused;
}

static void set_limit(rlim_t soft) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = soft;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void without_descriptors_it_says_so_and_heals(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_coordinator wal;
  ewal_ticket ticket;
  ewal_status status;
  struct rlimit before;
  uint64_t seq, last;
  int spare, refused = 0;
  one_page p;
  options.segment_size = 16 * 1024;
  /* Nobody else tries, who might begin without descriptors and end with. */
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  /* Opening. */
  for (spare = 0;; spare++) {
    CHECK(spare < 40);
    set_limit(limit_of(spare));
    status = ewal_coordinator_open(in_scratch("limit"), &options, &wal, &error);
    set_limit(before.rlim_cur);
    if (status == EWAL_OK)
      break;
    EXPECT(EWAL_E_IO, status, &error);
    CHECK(error.os_errno == EMFILE);
  }
  CHECK(spare > 0);
  /* Rolling: what waits is told, and is durable once there are some again. */
  for (seq = 1; seq <= 200; seq++) {
    make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
    set_limit(limit_of((int)(seq % 4)));
    status = ewal_commit(wal, &p.batch, -1, &ticket, &error);
    set_limit(before.rlim_cur);
    if (status != EWAL_OK) {
      CHECK(error.os_errno == EMFILE);
      refused++;
      EXPECT(EWAL_OK, ewal_wait(wal, ticket.epoch, -1, &error), &error);
    }
  }
  CHECK(refused > 0);
  /* Reading: never a part for the whole. */
  for (spare = 0;; spare++) {
    CHECK(spare < 40);
    set_limit(limit_of(spare));
    status = read_all("limit", &last, &error);
    set_limit(before.rlim_cur);
    if (status == EWAL_OK)
      break;
    EXPECT(EWAL_E_IO, status, &error);
    CHECK(error.os_errno == EMFILE);
  }
  CHECK(spare > 0 && last == 200);
  close_db(wal);
}

static void a_spool_without_descriptors_says_so_and_heals(void) {
  static char text[1000];
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_cursor cursor;
  ewal_record record;
  ewal_spool spool;
  ewal_status status;
  struct rlimit before;
  const ewal_record *at;
  uint64_t lsn, last = 0;
  int spare, refused = 0;
  size_t n;
  options.segment_size = 16 * 1024;
  options.flush_interval_ns = UINT64_C(3600) * 1000 * 1000 * 1000;
  options.ring_bytes = EWAL_RING_BYTES_OFF;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  for (spare = 0;; spare++) {
    CHECK(spare < 40);
    set_limit(limit_of(spare));
    status = ewal_spool_open(in_scratch("spool-limit"), &options, &spool, &error);
    set_limit(before.rlim_cur);
    if (status == EWAL_OK)
      break;
    EXPECT(EWAL_E_IO, status, &error);
    CHECK(error.os_errno == EMFILE && spool.id == 0);
  }
  CHECK(spare > 0);
  memset(text, 'x', sizeof text - 1);
  for (lsn = 1; lsn <= 200; lsn++) {
    record = make_record(1, lsn, text);
    set_limit(limit_of((int)(lsn % 4)));
    status = ewal_spool_append(spool, &record, 1, -1, &error);
    set_limit(before.rlim_cur);
    if (status != EWAL_OK) {
      CHECK(error.os_errno == EMFILE && error.staged_epoch > 0);
      refused++;
      /* A try of the library's own, begun before, may be told of first. */
      while ((status = ewal_spool_flush(spool, -1, &error)) == EWAL_E_IO)
        CHECK(error.os_errno == EMFILE);
      EXPECT(EWAL_OK, status, &error);
    }
  }
  CHECK(refused > 0);
  /* A reader that can't open a file is told, and misses nothing. */
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  for (refused = 0, spare = 0; last < 200; spare++) {
    set_limit(limit_of(spare % 4));
    status = ewal_cursor_next(cursor, 3, SIZE_MAX, -1, &records, &error);
    set_limit(before.rlim_cur);
    if (status != EWAL_OK) {
      CHECK(error.os_errno == EMFILE && records.id == 0);
      refused++;
      continue;
    }
    CHECK(ewal_records_get(records, &at, &n) == EWAL_OK && n > 0);
    CHECK(at[0].lsn == last + 1 && at[n - 1].lsn == last + n);
    last += n;
    CHECK(ewal_records_release(records) == EWAL_OK);
  }
  CHECK(refused > 0);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  close_spool(spool);
}

static void a_primary_without_descriptors_says_so_and_heals(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary;
  ewal_status status;
  struct rlimit before;
  int spare, fd;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  for (spare = 0;; spare++) {
    CHECK(spare < 40);
    set_limit(limit_of(spare));
    status = ewal_primary_open(in_scratch("slots-limit"), NULL, &primary, &error);
    set_limit(before.rlim_cur);
    if (status == EWAL_OK)
      break;
    EXPECT(EWAL_E_IO, status, &error);
    CHECK(error.os_errno == EMFILE && primary.id == 0);
  }
  CHECK(spare > 0);
  set_limit(limit_of(0));
  status = ewal_primary_event_fd(primary, &fd, &error);
  set_limit(before.rlim_cur);
  EXPECT(EWAL_E_IO, status, &error);
  CHECK(error.os_errno == EMFILE && fd == 0);
  join(primary, "a", NULL);
  close_primary(primary);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(a_reader_sees_a_prefix_that_only_grows);
  RUN(a_second_writer_is_told_by_whatever_path_it_comes);
  RUN(without_descriptors_it_says_so_and_heals);
  RUN(a_spool_without_descriptors_says_so_and_heals);
  RUN(a_primary_without_descriptors_says_so_and_heals);
  return 0;
}
