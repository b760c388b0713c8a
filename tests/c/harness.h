/* What the tests share: checks that say where they failed, a scratch
 * directory, batches of one page, clocks. Each test is a function; a program
 * prints "ok NAME" for each, and ends at the first check that fails. */
#ifndef HARNESS_H
#define HARNESS_H

#include "epochwal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* GCC defines __SANITIZE_ADDRESS__, clang has a feature of that name. */
#if defined __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

static const char *scratch_dir;

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,             \
              #condition);                                                   \
      exit(1);                                                               \
    }                                                                        \
  } while (0)

/* The status of a call is the one expected; else its name and the message. */
#define EXPECT(status, call, error)                                          \
  do {                                                                       \
    ewal_status got_ = (call);                                               \
    if (got_ != (status)) {                                                  \
      fprintf(stderr, "%s:%d: %s: %s, not %s: %s\n", __FILE__, __LINE__,     \
              #call, ewal_status_name(got_), ewal_status_name(status),       \
              (error)->message);                                             \
      exit(1);                                                               \
    }                                                                        \
  } while (0)

#define RUN(test)                                                            \
  do {                                                                       \
    test();                                                                  \
    printf("ok %s\n", #test);                                                \
    fflush(stdout);                                                          \
  } while (0)

static inline void start(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s SCRATCH-DIRECTORY\n", argv[0]);
    exit(2);
  }
  scratch_dir = argv[1];
}

/* A path in the scratch directory; valid until the 64th call after. */
static inline const char *in_scratch(const char *name) {
  static char paths[64][PATH_MAX];
  static unsigned next;
  char *path = paths[next++ % 64];
  snprintf(path, PATH_MAX, "%s/%s", scratch_dir, name);
  return path;
}

#define PAGE 512

/* A batch of one frame whose page is filled with a byte. */
typedef struct {
  unsigned char page[PAGE];
  ewal_frame frame;
  ewal_batch batch;
} one_page;

static inline void make_page(one_page *p, uint64_t seq, uint32_t page_number,
                             unsigned char fill) {
  const ewal_batch init = EWAL_BATCH_INIT;
  memset(p->page, fill, sizeof p->page);
  p->frame.page_number = page_number;
  p->frame.db_size_if_commit = page_number;
  p->frame.data.data = p->page;
  p->frame.data.len = sizeof p->page;
  p->batch = init;
  p->batch.txn_id = seq;
  p->batch.commit_seq = seq;
  p->batch.frames = &p->frame;
  p->batch.frame_count = 1;
}

static inline ewal_coordinator open_db(const char *name,
                                       const ewal_coordinator_options *options) {
  ewal_coordinator wal;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_coordinator_open(in_scratch(name), options, &wal, &error),
         &error);
  return wal;
}

static inline void close_db(ewal_coordinator wal) {
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_coordinator_close(wal, -1, &error), &error);
}

/* Under an interpreter of machine code, which takes fifty times as long, a test
 * that only repeats itself does so less often. */
static inline int light(void) { return getenv("EWAL_LIGHT") != NULL; }
static inline int times(int full) { return light() ? full / 50 : full; }

/* Resident memory in KiB. */
static inline long resident_kib(void) {
  long pages = 0, total = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f != NULL);
  CHECK(fscanf(f, "%ld %ld", &total, &pages) == 2);
  fclose(f);
  /* They keep what was freed, so that nothing is told by what is resident. */
  if (UNDER_ASAN || light())
    return 0;
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#endif
