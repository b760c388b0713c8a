/* RDLW: records to files of other software, and from them. */
#include "spool.h"

#include <sys/wait.h>

/* The path that one of the functions gives that write one; "" where there is
 * none. */
typedef ewal_status path_fn(ewal_spool, char *, size_t, size_t *, ewal_error *);
static const char *path_of(path_fn *ask, ewal_spool spool) {
  static char path[PATH_MAX];
  ewal_error error = EWAL_ERROR_INIT;
  size_t n = 7, measured = 7;
  const ewal_status status = ask(spool, path, sizeof path, &n, &error);
  if (status != EWAL_E_NOT_FOUND)
    EXPECT(EWAL_OK, status, &error);
  CHECK(n == strlen(path));
  CHECK(ask(spool, NULL, 0, &measured, NULL) == status && measured == n);
  return path;
}

static void an_export_is_taken_in_by_the_open_that_finds_it(void) {
  ewal_spool spool = open_spool("out", NULL), copy;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  char file[PATH_MAX];
  uint64_t lsn, count = 7;
  size_t n;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, 1 + lsn / 5, lsn);
  CHECK(*path_of(ewal_spool_imported, spool) == 0);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 2, NULL, &error), &error);
  snprintf(file, sizeof file, "%s", in_scratch("copy.logical.wal"));
  EXPECT(EWAL_OK, ewal_spool_export_rdlw(spool, file, &count, &error), &error);
  CHECK(count == 7);
  EXPECT(EWAL_E_EXISTS, ewal_spool_export_rdlw(spool, file, &count, &error), &error);
  CHECK(count == 0);
  EXPECT(EWAL_E_NOT_FOUND,
         ewal_spool_export_rdlw(spool, in_scratch("no/such"), NULL, &error), &error);
  EXPECT(EWAL_E_INVALID, ewal_spool_export_rdlw(spool, NULL, &count, &error), &error);
  close_spool(spool);
  EXPECT(EWAL_E_CLOSED, ewal_spool_export_rdlw(spool, "x", NULL, &error), &error);
  copy = open_spool("copy", NULL);
  snprintf(file, sizeof file, "%s.imported-1", in_scratch("copy.logical.wal"));
  CHECK(strcmp(path_of(ewal_spool_imported, copy), file) == 0);
  CHECK(access(file, R_OK) == 0 && access(in_scratch("copy.logical.wal"), F_OK) != 0);
  EXPECT(EWAL_OK, ewal_spool_read_since(copy, 0, 99, 999, &records, &error), &error);
  CHECK(take(records, &n) == 9 && n == 7);
  close_spool(copy);
  copy = open_spool("copy", NULL);
  CHECK(*path_of(ewal_spool_imported, copy) == 0);
  close_spool(copy);
}

static void one_file_keeps_the_records_where_that_is_asked_for(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_records records;
  ewal_spool spool;
  uint64_t lsn, pruned;
  size_t n;
  options.format = EWAL_FORMAT_RDLW;
  spool = open_spool("one", &options);
  for (lsn = 1; lsn <= 20; lsn++)
    append(spool, 1, lsn);
  CHECK(access(in_scratch("one.logical.wal"), R_OK) == 0);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 15, &pruned, &error), &error);
  CHECK(pruned == 15);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 18, 4, &error), &error);
  close_spool(spool);
  spool = open_spool("one", &options);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 15, 99, 999, &records, &error), &error);
  CHECK(take(records, &n) == 18 && n == 3);
  append(spool, 4, 19);
  close_spool(spool);
  /* A native one takes it in, and is none any more. */
  spool = open_spool("one", NULL);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 15, 99, 999, &records, &error), &error);
  CHECK(take(records, &n) == 19 && n == 4);
  close_spool(spool);
  EXPECT(EWAL_E_UNSUPPORTED, ewal_spool_open(in_scratch("one"), &options, &spool, &error),
         &error);
  CHECK(strstr(error.message, "format: ") != NULL);
}

/* A file of version 1: no term, no checksum. */
static void write_version_one(const char *name, unsigned count) {
  FILE *file = fopen(in_scratch(name), "wb");
  unsigned lsn;
  CHECK(file != NULL);
  for (lsn = 1; lsn <= count; lsn++) {
    unsigned char record[23] = "RDLW\1";
    record[5] = (unsigned char)lsn;
    record[13] = 2;
    record[21] = 'x';
    record[22] = (unsigned char)(10 + lsn / 2);
    CHECK(fwrite(record, sizeof record, 1, file) == 1);
  }
  CHECK(fclose(file) == 0);
}

static ewal_spool opened_from_inside;
static uint64_t second_byte(void *user, const void *payload, size_t len) {
  CHECK(len == 2);
  ++*(unsigned *)user;
  /* It runs inside of a call, and may not make one that blocks. */
  CHECK(ewal_spool_open(in_scratch("inside"), NULL, &opened_from_inside, NULL) ==
        EWAL_E_DEADLOCK);
  return ((const unsigned char *)payload)[1];
}

static void terms_of_old_versions_are_asked_for(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  const ewal_record *got;
  ewal_records records;
  unsigned called = 0, format;
  ewal_spool spool;
  size_t n;
  for (format = EWAL_FORMAT_NATIVE; format <= EWAL_FORMAT_RDLW; format++) {
    const char *name = format == EWAL_FORMAT_RDLW ? "old2" : "old1";
    write_version_one(format == EWAL_FORMAT_RDLW ? "old2.logical.wal" : "old1.logical.wal", 5);
    options.format = format;
    options.term_of = second_byte;
    options.term_user = &called;
    spool = open_spool(name, &options);
    CHECK(called >= 5);
    called = 0;
    EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 99, &records, &error), &error);
    CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == 5);
    CHECK(got[0].term == 10 && got[1].term == 11 && got[4].term == 12);
    CHECK(ewal_records_release(records) == EWAL_OK);
    close_spool(spool);
    /* They have it now. */
    spool = open_spool(name, &options);
    CHECK(called == 0);
    close_spool(spool);
  }
  write_version_one("old3.logical.wal", 2);
  spool = open_spool("old3", NULL);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 99, &records, &error), &error);
  CHECK(ewal_records_get(records, &got, &n) == EWAL_OK && n == 2 && got[1].term == 1);
  CHECK(ewal_records_release(records) == EWAL_OK);
  close_spool(spool);
}

static uint64_t refuse_the_third(void *user, const void *payload, size_t len) {
  (void)len;
  return ++*(unsigned *)user == 3 ? EWAL_TERM_REFUSED : ((const unsigned char *)payload)[1];
}

static void a_term_that_is_refused_takes_nothing_in(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  unsigned called, format;
  ewal_spool spool;
  for (format = EWAL_FORMAT_NATIVE; format <= EWAL_FORMAT_RDLW; format++) {
    const char *name = format == EWAL_FORMAT_RDLW ? "refused2" : "refused1";
    const char *file = format == EWAL_FORMAT_RDLW ? "refused2.logical.wal"
                                                  : "refused1.logical.wal";
    write_version_one(file, 5);
    called = 0;
    options.format = format;
    options.term_of = refuse_the_third;
    options.term_user = &called;
    EXPECT(EWAL_E_INVALID, ewal_spool_open(in_scratch(name), &options, &spool, &error),
           &error);
    CHECK(strstr(error.message, "EWAL_TERM_REFUSED") != NULL);
    CHECK(access(in_scratch(file), R_OK) == 0);
    /* Asked again, it takes them in from the first on. */
    options.term_of = second_byte;
    spool = open_spool(name, &options);
    CHECK((access(in_scratch(file), R_OK) == 0) == (format == EWAL_FORMAT_RDLW));
    EXPECT(EWAL_OK, ewal_spool_check_term(spool, 1, 10, &error), &error);
    EXPECT(EWAL_OK, ewal_spool_check_term(spool, 5, 12, &error), &error);
    close_spool(spool);
  }
}

static void a_cut_says_where_it_has_saved_the_tail(void) {
  ewal_spool spool = open_spool("tail", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t lsn;
  for (lsn = 1; lsn <= 5; lsn++)
    append(spool, 1, lsn);
  CHECK(*path_of(ewal_spool_saved_tail, spool) == 0);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 3, 2, &error), &error);
  CHECK(strstr(path_of(ewal_spool_saved_tail, spool), "tail.logical.wal.cut-1") != NULL);
  CHECK(access(path_of(ewal_spool_saved_tail, spool), R_OK) == 0);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 3, 3, &error), &error);
  CHECK(*path_of(ewal_spool_saved_tail, spool) == 0);
  EXPECT(EWAL_E_INVALID, ewal_spool_saved_tail(spool, NULL, 1, NULL, &error), &error);
  EXPECT(EWAL_E_INVALID, ewal_spool_imported(spool, NULL, 1, NULL, &error), &error);
  close_spool(spool);
}

static void a_flush_is_asked_for_and_done_in_the_background(void) {
  ewal_spool_options options = EWAL_SPOOL_OPTIONS_INIT;
  const ewal_spool_ticket never = {1 << 20, 0, 0};
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(1, 1, "1");
  ewal_spool_ticket ticket;
  ewal_spool spool;
  /* Nothing is written by itself. */
  options.flush_interval_ns = UINT64_C(3600000000000);
  spool = open_spool("request", &options);
  EXPECT(EWAL_OK, ewal_spool_submit(spool, &record, 1, &ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_request_flush(spool, ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_wait_after(spool, 0, -1, &error), &error);
  EXPECT(EWAL_E_INVALID, ewal_spool_request_flush(spool, never, &error), &error);
  close_spool(spool);
  EXPECT(EWAL_E_CLOSED, ewal_spool_request_flush(spool, ticket, &error), &error);
}

static void a_damaged_file_is_salvaged(void) {
  ewal_salvage_report report = EWAL_SALVAGE_REPORT_INIT;
  ewal_spool spool = open_spool("whole", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  FILE *file;
  uint64_t lsn;
  for (lsn = 1; lsn <= 9; lsn++)
    append(spool, 1, lsn);
  EXPECT(EWAL_OK,
         ewal_spool_export_rdlw(spool, in_scratch("flipped.logical.wal"), NULL, &error),
         &error);
  close_spool(spool);
  file = fopen(in_scratch("flipped.logical.wal"), "r+b");
  CHECK(file != NULL && fseek(file, 2 * 38 + 33, SEEK_SET) == 0);
  CHECK(fputc('x', file) == 'x' && fclose(file) == 0);
  EXPECT(EWAL_E_CORRUPT, ewal_spool_open(in_scratch("flipped"), NULL, &spool, &error),
         &error);
  CHECK(strstr(error.message, "flipped.logical.wal") != NULL);
  EXPECT(EWAL_OK, ewal_spool_salvage(in_scratch("flipped"), &report, &error), &error);
  CHECK(report.files == 1 && report.oldest_lsn == 1 && report.current_lsn == 9);
}

static void ignore_call(void *user, uint64_t epoch, ewal_status status) {
  (void)user, (void)epoch, (void)status;
}

static void the_child_of_a_fork_is_told(void) {
  ewal_spool spool = open_spool("forked", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  int status;
  pid_t child;
  append(spool, 1, 1);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    const ewal_spool_ticket ticket = {1, 1, 1};
    const ewal_status forked = EWAL_E_FORKED;
    EXPECT(forked, ewal_spool_export_rdlw(spool, "x", NULL, &error), &error);
    EXPECT(forked, ewal_spool_imported(spool, NULL, 0, NULL, &error), &error);
    EXPECT(forked, ewal_spool_saved_tail(spool, NULL, 0, NULL, &error), &error);
    EXPECT(forked, ewal_spool_request_flush(spool, ticket, &error), &error);
    EXPECT(forked, ewal_spool_on_durable(spool, ticket, ignore_call, NULL, NULL, &error),
           &error);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close_spool(spool);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(an_export_is_taken_in_by_the_open_that_finds_it);
  RUN(one_file_keeps_the_records_where_that_is_asked_for);
  RUN(terms_of_old_versions_are_asked_for);
  RUN(a_term_that_is_refused_takes_nothing_in);
  RUN(a_cut_says_where_it_has_saved_the_tail);
  RUN(a_flush_is_asked_for_and_done_in_the_background);
  RUN(a_damaged_file_is_salvaged);
  RUN(the_child_of_a_fork_is_told);
  return 0;
}
