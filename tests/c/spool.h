/* What the tests of the spool share: records of one byte run, spools in the
 * scratch directory. */
#ifndef SPOOL_H
#define SPOOL_H

#include "harness.h"

static inline ewal_record make_record(uint64_t term, uint64_t lsn, const char *text) {
  ewal_record record;
  record.term = term;
  record.lsn = lsn;
  record.timestamp_ms = 1700000000000 + lsn % 1000;
  record.payload.data = text;
  record.payload.len = strlen(text);
  return record;
}

static inline ewal_spool open_spool(const char *name, const ewal_spool_options *options) {
  ewal_spool spool;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_spool_open(in_scratch(name), options, &spool, &error), &error);
  return spool;
}

static inline void close_spool(ewal_spool spool) {
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_spool_close(spool, -1, &error), &error);
}

/* Appends a record whose payload is its LSN in decimal. */
static inline void append(ewal_spool spool, uint64_t term, uint64_t lsn) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record;
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, lsn);
  record = make_record(term, lsn, text);
  EXPECT(EWAL_OK, ewal_spool_append(spool, &record, 1, -1, &error), &error);
}

/* The record is the one that `append` wrote. */
static inline void check_record(const ewal_record *record) {
  char text[24];
  int n = snprintf(text, sizeof text, "%" PRIu64, record->lsn);
  CHECK(record->payload.len == (size_t)n);
  CHECK(memcmp(record->payload.data, text, (size_t)n) == 0);
  CHECK(record->timestamp_ms == 1700000000000 + record->lsn % 1000);
}

/* Checks a batch, releases it, and gives its last LSN; 0 where it is empty. */
static inline uint64_t take(ewal_records records, size_t *n) {
  const ewal_record *at;
  uint64_t last = 0;
  size_t i;
  CHECK(ewal_records_get(records, &at, n) == EWAL_OK);
  for (i = 0; i < *n; i++) {
    CHECK(at[i].lsn > last);
    check_record(&at[i]);
    last = at[i].lsn;
  }
  CHECK(ewal_records_release(records) == EWAL_OK);
  return last;
}

/* Overwrites four bytes of a spool's newest segment. */
static inline void damage(const char *name, long offset) {
  char command[PATH_MAX + 200];
  snprintf(command, sizeof command,
           "f=$(ls '%s'.logical.wal-seg-* | grep -v salvaged | tail -n 1) && "
           "printf '\\377\\377\\377\\377' | dd of=\"$f\" bs=1 seek=%ld conv=notrunc 2>/dev/null",
           in_scratch(name), offset);
  CHECK(system(command) == 0);
}

#endif
