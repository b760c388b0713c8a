/* Memory: nothing is read or written beyond what the caller gave, and
 * nothing is read after the call. */
#include "primary.h"

#include <sys/mman.h>

/* A place of some bytes that ends where an unmapped page begins. */
static void *at_the_edge(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t whole = (bytes + page - 1) / page * page;
  unsigned char *base = mmap(NULL, whole + page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(base != MAP_FAILED);
  CHECK(munmap(base + whole, page) == 0);
  return base + whole - bytes;
}

static void *copy_at_the_edge(const void *from, size_t bytes) {
  return memcpy(at_the_edge(bytes), from, bytes);
}

static void every_argument_may_end_at_an_unmapped_page(void) {
  const ewal_coordinator_options options_init = EWAL_COORDINATOR_OPTIONS_INIT;
  const ewal_recovery_options reading_init = EWAL_RECOVERY_OPTIONS_INIT;
  const ewal_recovery_summary summary_init = EWAL_RECOVERY_SUMMARY_INIT;
  const ewal_stats stats_init = EWAL_STATS_INIT;
  const ewal_error error_init = EWAL_ERROR_INIT;
  const ewal_batch batch_init = EWAL_BATCH_INIT;
  const char *name = in_scratch("edge");
  char *path = copy_at_the_edge(name, strlen(name) + 1);
  ewal_coordinator *wal = at_the_edge(sizeof *wal);
  ewal_recovery *reader = at_the_edge(sizeof *reader);
  ewal_recovered_batch *got = at_the_edge(sizeof *got);
  ewal_ticket *ticket = at_the_edge(sizeof *ticket);
  ewal_error *error = copy_at_the_edge(&error_init, sizeof error_init);
  ewal_stats *stats = copy_at_the_edge(&stats_init, sizeof stats_init);
  ewal_recovery_summary *summary =
      copy_at_the_edge(&summary_init, sizeof summary_init);
  uint64_t *epoch = at_the_edge(sizeof *epoch);
  bool *any = at_the_edge(sizeof *any);
  char *text = at_the_edge(10);
  size_t sizes[] = {1, 511, 512, 4096, 4097, 65535, 65536}, i;
  EXPECT(EWAL_OK,
         ewal_coordinator_open(
             path, copy_at_the_edge(&options_init, sizeof options_init), wal, error),
         error);
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    ewal_frame *frames = at_the_edge(2 * sizeof *frames);
    ewal_batch *batch = copy_at_the_edge(&batch_init, sizeof batch_init);
    size_t j;
    for (j = 0; j < 2; j++) {
      frames[j].page_number = (uint32_t)(2 * i + j + 1);
      frames[j].data.data = memset(at_the_edge(sizes[i]), 'e', sizes[i]);
      frames[j].data.len = sizes[i];
    }
    batch->txn_id = batch->commit_seq = i + 1;
    batch->frames = frames;
    batch->frame_count = 2;
    batch->metadata.data = memset(at_the_edge(sizes[i]), 'm', sizes[i]);
    batch->metadata.len = sizes[i];
    EXPECT(EWAL_OK, ewal_commit(*wal, batch, -1, ticket, error), error);
  }
  EXPECT(EWAL_OK, ewal_coordinator_stats(*wal, stats, error), error);
  CHECK(ewal_durable_epoch(*wal, epoch, any) == EWAL_OK && *any);
  EXPECT(EWAL_OK, ewal_stats_prometheus(*wal, text, 10, NULL, error), error);
  CHECK(strlen(text) == 9);
  EXPECT(EWAL_E_INVALID, ewal_wait(*wal, UINT64_MAX, 0, error), error);
  EXPECT(EWAL_OK, ewal_coordinator_close(*wal, -1, error), error);
  EXPECT(EWAL_OK,
         ewal_recovery_open(path, copy_at_the_edge(&reading_init, sizeof reading_init),
                            reader, error),
         error);
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    EXPECT(EWAL_OK, ewal_recovery_next(*reader, got, error), error);
    CHECK(got->frame_count == 2 && got->frames[1].data.len == sizes[i]);
    CHECK(got->metadata.len == sizes[i]);
  }
  EXPECT(EWAL_END, ewal_recovery_next(*reader, got, error), error);
  EXPECT(EWAL_OK, ewal_recovery_report(*reader, summary, error), error);
  CHECK(ewal_recovery_close(*reader) == EWAL_OK);
}

static int count_images(void *user, const ewal_segment_record *record) {
  CHECK(record->before_image.len == 511 && record->after_image.len == 4097);
  ++*(int *)user;
  return 0;
}

static void a_segments_images_may_end_at_an_unmapped_page(void) {
  const ewal_segment_record init = EWAL_SEGMENT_RECORD_INIT;
  ewal_segment_record *records = at_the_edge(2 * sizeof *records);
  ewal_error error = EWAL_ERROR_INIT;
  int i, n = 0;
  for (i = 0; i < 2; i++) {
    ewal_segment_record record = init;
    record.txn_id = 1;
    record.page_number = (uint32_t)i + 1;
    record.begin_seq = record.end_seq = 1;
    record.has_end_seq = true;
    record.before_image.data = memset(at_the_edge(511), 'b', 511);
    record.before_image.len = 511;
    record.after_image.data = memset(at_the_edge(4097), 'a', 4097);
    record.after_image.len = 4097;
    records[i] = record;
  }
  EXPECT(EWAL_OK, ewal_segment_write(in_scratch("segment"), 7, records, 2, &error), &error);
  EXPECT(EWAL_OK, ewal_segment_read(in_scratch("segment"), 7, count_images, &n, &error),
         &error);
  CHECK(n == 2);
}

/* A copy that ends at the edge, or one byte before it, where nothing that has
 * an alignment lies right. */
static void *odd(const void *from, size_t bytes, int before) {
  return memcpy(at_the_edge(bytes + (size_t)before), from, bytes);
}

static void a_primarys_arguments_may_lie_anywhere(void) {
  const ewal_spool_options spool_init = EWAL_SPOOL_OPTIONS_INIT;
  const ewal_ack_result result_init = EWAL_ACK_RESULT_INIT;
  const ewal_progress progress_init = EWAL_PROGRESS_INIT;
  const ewal_replication_stats stats_init = EWAL_REPLICATION_STATS_INIT;
  const ewal_error error_init = EWAL_ERROR_INIT;
  int shift;
  for (shift = 0; shift < 2; shift++) {
    ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
    ewal_ack ack = EWAL_ACK_INIT;
    ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
    ewal_error *error = odd(&error_init, sizeof error_init, shift);
    const char *path = in_scratch("edge-primary");
    const char *id = odd("a", 2, shift), *region = odd("eu", 3, shift);
    ewal_registration given, *registration = odd(&given, sizeof given, shift);
    ewal_resume plan, *resume = odd(&plan, sizeof plan, shift);
    ewal_ack_result *result = odd(&result_init, sizeof result_init, shift);
    ewal_ack_watch none = {0}, *watch = odd(&none, sizeof none, shift);
    ewal_primary null = {0}, *primary = odd(&null, sizeof null, shift), it;
    uint64_t zero = 0, *lsn = odd(&zero, sizeof zero, shift);
    bool no = false, *decided = odd(&no, sizeof no, shift);
    options.spool = odd(&spool_init, sizeof spool_init, shift);
    policy.policy = odd("any 1", 6, shift);
    EXPECT(EWAL_OK,
           ewal_primary_open(odd(path, strlen(path) + 1, shift),
                             odd(&options, sizeof options, shift), primary, error),
           error);
    memcpy(&it, primary, sizeof it);
    EXPECT(EWAL_OK, ewal_primary_register(it, id, region, registration, error), error);
    memcpy(&given, registration, sizeof given);
    fill(it, (uint64_t)shift + 1);
    ack.durable = (uint64_t)shift + 1;
    EXPECT(EWAL_OK,
           ewal_primary_ack(it, id, given.generation, odd(&ack, sizeof ack, shift), error),
           error);
    EXPECT(EWAL_OK,
           ewal_primary_wait_acks(it, 1, odd(&policy, sizeof policy, shift), 0, result, error),
           error);
    EXPECT(EWAL_OK,
           ewal_primary_watch_acks(it, 1, odd(&policy, sizeof policy, shift), watch, error),
           error);
    memcpy(&none, watch, sizeof none);
    EXPECT(EWAL_OK, ewal_ack_watch_decided(none, decided, error), error);
    EXPECT(EWAL_OK, ewal_ack_watch_finish(none, result, error), error);
    EXPECT(EWAL_OK, ewal_primary_plan_resume(it, id, 0, 0, resume, error), error);
    EXPECT(EWAL_OK, ewal_primary_quorum_lsn(it, 1, 0, lsn, error), error);
    EXPECT(EWAL_OK,
           ewal_primary_progress(it, odd(&progress_init, sizeof progress_init, shift), error),
           error);
    EXPECT(EWAL_OK, ewal_primary_stats(it, odd(&stats_init, sizeof stats_init, shift), error),
           error);
    memcpy(&zero, lsn, sizeof zero);
    CHECK(zero == (uint64_t)shift + 1);
    memcpy(&plan, resume, sizeof plan);
    CHECK(plan.kind == EWAL_RESUME_PARTIAL && plan.resume_lsn == (uint64_t)shift + 1);
    close_primary(it);
  }
}

static void nothing_is_read_after_the_call(void) {
  enum { N = 300 };
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_coordinator wal;
  ewal_recovery reader;
  ewal_recovered_batch got;
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t i;
  one_page p;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  wal = open_db("overwritten", &options);
  for (i = 1; i <= N; i++) {
    make_page(&p, i, (uint32_t)i, (unsigned char)i);
    EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, NULL, &error), &error);
    memset(&p, 0xee, sizeof p);
  }
  close_db(wal);
  EXPECT(EWAL_OK,
         ewal_recovery_open(in_scratch("overwritten"), NULL, &reader, &error),
         &error);
  for (i = 1; i <= N; i++) {
    EXPECT(EWAL_OK, ewal_recovery_next(reader, &got, &error), &error);
    make_page(&p, got.commit_seq, 1, (unsigned char)got.commit_seq);
    CHECK(got.commit_seq == i && got.frames[0].data.len == PAGE);
    CHECK(memcmp(got.frames[0].data.data, p.page, PAGE) == 0);
  }
  CHECK(ewal_recovery_close(reader) == EWAL_OK);
}

static void nothing_of_a_record_is_read_after_the_call(void) {
  enum { N = 300, LEN = 200 };
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  const ewal_record *got;
  ewal_record run[3];
  unsigned char payload[3][LEN], expected[LEN];
  ewal_spool spool;
  uint64_t lsn;
  size_t n, i;
  /* Nothing is written before the close. */
  options.flush_interval_ns = UINT64_C(3600) * 1000 * 1000 * 1000;
  spool = open_spool("overwritten", &options);
  for (lsn = 1; lsn <= N; lsn += 3) {
    for (i = 0; i < 3; i++) {
      run[i] = make_record(1, lsn + i, "");
      run[i].payload.data = memset(payload[i], (int)(lsn + i), LEN);
      run[i].payload.len = LEN;
    }
    EXPECT(EWAL_OK, ewal_spool_submit(spool, run, 3, NULL, &error), &error);
    memset(payload, 0xee, sizeof payload);
    memset(run, 0xee, sizeof run);
  }
  close_spool(spool);
  spool = open_spool("overwritten", NULL);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, N, SIZE_MAX, &records, &error), &error);
  CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == N);
  for (i = 0; i < N; i++) {
    memset(expected, (int)(i + 1), LEN);
    CHECK(got[i].lsn == i + 1 && got[i].payload.len == LEN);
    CHECK(memcmp(got[i].payload.data, expected, LEN) == 0);
  }
  CHECK(ewal_records_release(records) == EWAL_OK);
  close_spool(spool);
}

/* Packed by a caller, or read from a wire: nothing needs to be aligned. */
static void arguments_need_no_alignment(void) {
  static unsigned char place[8][128];
  ewal_coordinator wal = open_db("unaligned", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  one_page p;
  ewal_ticket ticket;
  void *frame = place[0] + 1, *batch = place[1] + 1, *out = place[2] + 1;
  make_page(&p, 1, 1, 'x');
  memcpy(frame, &p.frame, sizeof p.frame);
  p.batch.frames = frame;
  memcpy(batch, &p.batch, sizeof p.batch);
  EXPECT(EWAL_OK, ewal_commit(wal, batch, -1, out, &error), &error);
  memcpy(&ticket, out, sizeof ticket);
  CHECK(ticket.commit_seq == 1);
  close_db(wal);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(every_argument_may_end_at_an_unmapped_page);
  RUN(a_segments_images_may_end_at_an_unmapped_page);
  RUN(a_primarys_arguments_may_lie_anywhere);
  RUN(nothing_is_read_after_the_call);
  RUN(nothing_of_a_record_is_read_after_the_call);
  RUN(arguments_need_no_alignment);
  return 0;
}
