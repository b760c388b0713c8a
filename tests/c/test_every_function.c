/* Every function of the header: with NULL and zero, with the largest numbers, over
 * handles of every other kind, over one that is closed, and in the child of a
 * fork. */
#include "primary.h"

#include <sys/wait.h>

/* A function, called over a handle, with all pointers to one place. */
typedef struct {
  const char *name;
  int kind; /* of its handle, or NO_HANDLE */
  bool has_error;
  ewal_status (*zero)(uint64_t id, void *at, ewal_error *error);
  ewal_status (*largest)(uint64_t id, void *at, ewal_error *error);
} function;

/* Written by every_function.awk from the header: the kinds of handles and all
 * functions. */
#include "every_function.h"

#define EACH(f)                                                              \
  for (f = functions; f < functions + sizeof functions / sizeof functions[0]; f++)

/* A function gives a status, and says why where it is given an error struct. */
static void expect(ewal_status status, const char *why, const function *f, uint64_t id) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_status got = f->zero(id, NULL, &error);
  if (got != status || (f->has_error && strstr(error.message, why) == NULL)) {
    fprintf(stderr, "%s: %s (%s), not %s (%s)\n", f->name, ewal_status_name(got),
            error.message, ewal_status_name(status), why);
    exit(1);
  }
  CHECK(!f->has_error || (error.code == got && error.message[0] != 0));
  CHECK(f->zero(id, NULL, NULL) == got);
}

static void null_and_zero_are_refused(void) {
  const function *f;
  EACH(f)
    expect(EWAL_E_INVALID, "", f, 0);
}

/* One object of each kind, and its handle. */
static uint64_t id[KINDS];

static void open_each(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_coordinator wal = open_db("each", NULL);
  ewal_spool spool = open_spool("each", NULL);
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_recovery recovery;
  ewal_cursor cursor;
  ewal_records records;
  ewal_spool_reader reader;
  ewal_ack_watch watch;
  int kind;
  EXPECT(EWAL_OK, ewal_recovery_open(in_scratch("each"), NULL, &recovery, &error), &error);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 99, &records, &error), &error);
  EXPECT(EWAL_OK,
         ewal_spool_reader_open(in_scratch("each"), EWAL_SINCE_OLDEST, &reader, &error),
         &error);
  policy.policy = "any 1";
  EXPECT(EWAL_OK, ewal_primary_watch_acks(primary, 1, &policy, &watch, &error), &error);
  id[COORDINATOR] = wal.id;
  id[RECOVERY] = recovery.id;
  id[SPOOL] = spool.id;
  id[CURSOR] = cursor.id;
  id[RECORDS] = records.id;
  id[SPOOL_READER] = reader.id;
  id[PRIMARY] = primary.id;
  id[ACK_WATCH] = watch.id;
  for (kind = 0; kind < KINDS; kind++)
    CHECK(id[kind] != 0);
}

static void close_each(void) {
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_coordinator_close((ewal_coordinator){id[COORDINATOR]}, -1, &error), &error);
  CHECK(ewal_recovery_close((ewal_recovery){id[RECOVERY]}) == EWAL_OK);
  CHECK(ewal_cursor_close((ewal_cursor){id[CURSOR]}) == EWAL_OK);
  CHECK(ewal_records_release((ewal_records){id[RECORDS]}) == EWAL_OK);
  CHECK(ewal_spool_reader_close((ewal_spool_reader){id[SPOOL_READER]}) == EWAL_OK);
  EXPECT(EWAL_OK, ewal_spool_close((ewal_spool){id[SPOOL]}, -1, &error), &error);
  CHECK(ewal_ack_watch_finish((ewal_ack_watch){id[ACK_WATCH]}, NULL, NULL) == EWAL_E_NOT_FOUND);
  EXPECT(EWAL_OK, ewal_primary_close((ewal_primary){id[PRIMARY]}, -1, &error), &error);
}

/* Whether a function ends its handle. */
static bool ends(const function *f) {
  return strstr(f->name, "_close") || strstr(f->name, "_release") || strstr(f->name, "_finish");
}

/* A number of another kind is no handle, and its object goes on. */
static void handles_of_other_kinds_are_refused(void) {
  const function *f;
  int other;
  open_each();
  EACH(f) {
    for (other = 0; other < KINDS && f->kind != NO_HANDLE; other++)
      if (other != f->kind)
        expect(EWAL_E_INVALID, "is no handle of a", f, id[other]);
  }
  close_each();
}

/* Counts, lengths and LSNs beyond everything, beside NULL and beside memory that
 * is all zeros: refused, or of no harm. What they were about goes on. */
static void the_largest_numbers_do_no_harm(void) {
  static uint64_t zeros[8192];
  const function *f;
  int in_memory;
  open_each();
  EACH(f) {
    if (ends(f))
      continue;
    for (in_memory = 0; in_memory < 2; in_memory++) {
      ewal_error error = EWAL_ERROR_INIT;
      ewal_status got = f->largest(f->kind == NO_HANDLE ? 0 : id[f->kind],
                                   in_memory ? zeros : NULL, &error);
      if (got == EWAL_E_PANIC || got == EWAL_E_FAILED) {
        fprintf(stderr, "%s: %s: %s\n", f->name, ewal_status_name(got), error.message);
        exit(1);
      }
      memset(zeros, 0, sizeof zeros);
    }
  }
  close_each();
}

/* After others have taken their places in the tables, too. */
static void closed_handles_are_told(void) {
  uint64_t stale[KINDS];
  const function *f;
  int pass;
  open_each();
  memcpy(stale, id, sizeof stale);
  close_each();
  for (pass = 0; pass < 2; pass++) {
    EACH(f) {
      if (f->kind != NO_HANDLE)
        expect(EWAL_E_CLOSED, "closed", f, stale[f->kind]);
    }
    if (pass == 0)
      open_each();
  }
  close_each();
}

/* Whether a child is told of its inheritance: not of what is its own memory, nor
 * where it only lets go of what is its parent's. Some look at their arguments
 * first: test_fork.c hands them good ones. */
static bool is_told(const function *f) {
  if (f->kind == SPOOL || f->kind == PRIMARY)
    return true;
  if (f->kind == NO_HANDLE || f->kind == RECORDS)
    return false;
  return (f->kind == COORDINATOR || !ends(f)) && f->zero(id[f->kind], NULL, NULL) != EWAL_E_INVALID;
}

static void the_child_of_a_fork_is_told(void) {
  const function *f;
  pid_t child;
  int status;
  open_each();
  fflush(NULL);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
    EACH(f) {
      if (is_told(f))
        expect(EWAL_E_FORKED, "fork", f, id[f->kind]);
    }
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close_each();
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(null_and_zero_are_refused);
  RUN(handles_of_other_kinds_are_refused);
  RUN(the_largest_numbers_do_no_harm);
  RUN(closed_handles_are_told);
  RUN(the_child_of_a_fork_is_told);
  return 0;
}
