/* Misuse of the primary: whatever a caller hands in, it gets a status. */
#include "primary.h"

#include <pthread.h>

static const ewal_status bad = EWAL_E_INVALID;

static void numbers_without_a_name_are_empty(void) {
  CHECK(ewal_cause_name(0)[0] == 0 && ewal_cause_name(UINT32_MAX)[0] == 0);
  CHECK(ewal_wal_status_name(0)[0] == 0 && ewal_wal_status_name(5)[0] == 0);
}

/* NULL over a living handle: that is not what is refused. */
static void null_is_refused_over_a_living_handle_too(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack ack = EWAL_ACK_INIT;
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack_watch watch;
  ewal_resume resume;
  uint64_t lsn;
#define REFUSE(call, word)                                                   \
  do {                                                                       \
    EXPECT(bad, call, &error);                                               \
    CHECK(strstr(error.message, word) != NULL);                              \
  } while (0)
  CHECK(ewal_primary_spool(primary, NULL) == bad);
  CHECK(ewal_primary_topology_epoch(primary, NULL) == bad);
  REFUSE(ewal_primary_salvaged(primary, NULL, 1, NULL, &error), "buf");
  REFUSE(ewal_primary_register(primary, NULL, NULL, NULL, &error), "id is NULL");
  REFUSE(ewal_primary_ensure_registered(primary, NULL, NULL, NULL, &error), "id");
  REFUSE(ewal_primary_unregister(primary, NULL, &error), "id");
  REFUSE(ewal_primary_set_rebootstrapping(primary, NULL, true, &error), "id");
  REFUSE(ewal_primary_note_pull(primary, NULL, 1, 0, &error), "id");
  REFUSE(ewal_primary_touch(primary, NULL, 1, &error), "id");
  REFUSE(ewal_primary_plan_resume(primary, NULL, 0, 0, &resume, &error), "id");
  REFUSE(ewal_primary_plan_resume(primary, "a", 0, 0, NULL, &error), "out");
  REFUSE(ewal_primary_ack(primary, NULL, 1, &ack, &error), "id");
  REFUSE(ewal_primary_ack(primary, "a", 1, NULL, &error), "ack is NULL");
  REFUSE(ewal_primary_wait_acks(primary, 1, NULL, 0, NULL, &error), "policy is NULL");
  REFUSE(ewal_primary_wait_acks(primary, 1, &policy, 0, NULL, &error),
         "policy is NULL");
  REFUSE(ewal_primary_event_fd(primary, NULL, &error), "out_fd");
  policy.policy = "1";
  REFUSE(ewal_primary_watch_acks(primary, 1, NULL, &watch, &error), "policy");
  REFUSE(ewal_primary_watch_acks(primary, 1, &policy, NULL, &error), "out");
  EXPECT(EWAL_OK, ewal_primary_watch_acks(primary, 1, &policy, &watch, &error), &error);
  REFUSE(ewal_ack_watch_decided(watch, NULL, &error), "out");
  CHECK(ewal_ack_watch_finish(watch, NULL, NULL) == EWAL_E_NOT_FOUND);
  REFUSE(ewal_primary_slots(primary, NULL, NULL, &error), "function");
  REFUSE(ewal_primary_slot(primary, "a", NULL, NULL, &error), "function");
  REFUSE(ewal_primary_replicas(primary, NULL, NULL, &error), "function");
  REFUSE(ewal_primary_events_since(primary, 0, NULL, NULL, &error), "function");
  REFUSE(ewal_primary_slot_create(primary, NULL, 0, false, &error), "id");
  REFUSE(ewal_primary_slot_create(primary, "", 0, false, &error), "empty");
  REFUSE(ewal_primary_slot_drop(primary, NULL, &error), "id");
  REFUSE(ewal_primary_slot_reset(primary, NULL, 0, &error), "id");
  REFUSE(ewal_primary_export_slots(primary, NULL, 1, NULL, &error), "buf");
  REFUSE(ewal_primary_progress(primary, NULL, &error), "progress is NULL");
  REFUSE(ewal_primary_stats(primary, NULL, &error), "stats is NULL");
  EXPECT(EWAL_OK, ewal_primary_enforce_limits(primary, 0, NULL, NULL, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_prune(primary, 0, NULL, &error), &error);
  REFUSE(ewal_primary_quorum_lsn(primary, 1, 0, NULL, &error), "out");
  REFUSE(ewal_primary_quorum_lsn(primary, 0, 0, &lsn, &error), "n: ");
  REFUSE(ewal_primary_quorum_lsn(primary, 1, 4, &lsn, &error), "level: ");
#undef REFUSE
  close_primary(primary);
}

static void names_that_can_not_be_are_refused(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_error error = EWAL_ERROR_INIT;
  char name[257];
  memset(name, 'x', sizeof name);
  name[256] = 0;
  EXPECT(bad, ewal_primary_register(primary, "", NULL, NULL, &error), &error);
  EXPECT(bad, ewal_primary_register(primary, name, NULL, NULL, &error), &error);
  EXPECT(bad, ewal_primary_register(primary, "a\nb", NULL, NULL, &error), &error);
  EXPECT(bad, ewal_primary_register(primary, "\xff", NULL, NULL, &error), &error);
  CHECK(strstr(error.message, "UTF-8") != NULL);
  EXPECT(bad, ewal_primary_register(primary, "a", "", NULL, &error), &error);
  EXPECT(bad, ewal_primary_register(primary, "a", "\xc3(", NULL, &error), &error);
  CHECK(strstr(error.message, "region") != NULL);
  name[255] = 0;
  EXPECT(EWAL_OK, ewal_primary_register(primary, name, "\xc3\xa9", NULL, &error),
         &error);
  close_primary(primary);
}

static void out_parameters_are_zeroed_on_failure(void) {
  ewal_primary primary = {7};
  ewal_spool spool = {7};
  ewal_registration registration = {7, 7, true, {7}};
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_ack_watch watch = {7};
  ewal_resume resume = {7, 7, 7, 7};
  ewal_progress progress = EWAL_PROGRESS_INIT;
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  uint64_t a = 7;
  size_t n = 7;
  int fd = 7;
  bool decided = true;
  char text[4] = "old";
  ewal_primary_open("", NULL, &primary, NULL);
  CHECK(primary.id == 0);
  ewal_primary_spool(primary, &spool);
  CHECK(spool.id == 0);
  ewal_primary_topology_epoch(primary, &a);
  CHECK(a == 0);
  ewal_primary_salvaged(primary, text, sizeof text, &n, NULL);
  CHECK(text[0] == 0 && n == 0);
  ewal_primary_register(primary, "a", NULL, &registration, NULL);
  CHECK(registration.generation == 0 && !registration.created);
  registration.generation = 7;
  ewal_primary_ensure_registered(primary, "a", NULL, &registration, NULL);
  CHECK(registration.generation == 0);
  ewal_primary_plan_resume(primary, "a", 1, 1, &resume, NULL);
  CHECK(resume.kind == 0 && resume.cause == 0);
  CHECK(resume.resume_lsn == 0 && resume.common_lsn == 0);
  result.outcome = result.observed = 7;
  ewal_primary_wait_acks(primary, 1, NULL, 0, &result, NULL);
  CHECK(result.outcome == 0 && result.observed == 0);
  CHECK(result.struct_size == sizeof result);
  a = 7;
  ewal_primary_quorum_lsn(primary, 1, 0, &a, NULL);
  CHECK(a == 0);
  ewal_primary_event_fd(primary, &fd, NULL);
  CHECK(fd == 0);
  ewal_primary_watch_acks(primary, 1, NULL, &watch, NULL);
  CHECK(watch.id == 0);
  ewal_ack_watch_decided(watch, &decided, NULL);
  CHECK(!decided);
  result.outcome = 7;
  ewal_ack_watch_finish(watch, &result, NULL);
  CHECK(result.outcome == 0);
  a = 7;
  ewal_primary_prune(primary, 1, &a, NULL);
  CHECK(a == 0);
  n = 7;
  text[0] = 'x';
  ewal_primary_export_slots(primary, text, sizeof text, &n, NULL);
  CHECK(text[0] == 0 && n == 0);
  progress.lag = stats.acks = 7;
  ewal_primary_progress(primary, &progress, NULL);
  ewal_primary_stats(primary, &stats, NULL);
  CHECK(progress.lag == 0 && progress.struct_size == sizeof progress);
  CHECK(stats.acks == 0 && stats.struct_size == sizeof stats);
}

static void the_size_rule_holds(void) {
  const ewal_primary_options init = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_primary primary = open_primary(NULL, NULL), other;
  ewal_registration a = join(primary, "a", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_spool_options spool = EWAL_SPOOL_OPTIONS_INIT;
  ewal_progress progress = EWAL_PROGRESS_INIT;
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  struct {
    ewal_primary_options known;
    unsigned char tail[64];
  } options;
  struct {
    ewal_ack known;
    unsigned char tail[64];
  } ack;
  struct {
    ewal_ack_policy known;
    unsigned char tail[64];
  } policy;
  memset(&options, 0, sizeof options);
  memset(&ack, 0, sizeof ack);
  memset(&policy, 0, sizeof policy);
  options.known = init;
  policy.known.policy = "local";
#define OPEN() ewal_primary_open(NULL, &options.known, &other, &error)
#define ACK() ewal_primary_ack(primary, "a", a.generation, &ack.known, &error)
#define WAIT() ewal_primary_wait_acks(primary, 0, &policy.known, 0, &result, &error)
#define SIZES(it, call)                                                      \
  do {                                                                       \
    it.known.struct_size = sizeof it.known - 1;                              \
    EXPECT(bad, call, &error);                                               \
    CHECK(strstr(error.message, "struct_size") != NULL);                     \
    it.known.struct_size = UINT32_MAX;                                       \
    EXPECT(bad, call, &error);                                               \
    it.known.struct_size = sizeof it;                                        \
    it.tail[63] = 1;                                                         \
    EXPECT(EWAL_E_ABI, call, &error);                                        \
    it.tail[63] = 0;                                                         \
    EXPECT(EWAL_OK, call, &error);                                           \
  } while (0)
  SIZES(options, OPEN());
  close_primary(other);
  SIZES(ack, ACK());
  SIZES(policy, WAIT());
#undef SIZES
  result.struct_size--;
  EXPECT(bad, WAIT(), &error);
  progress.struct_size--;
  EXPECT(bad, ewal_primary_progress(primary, &progress, &error), &error);
  stats.struct_size = 8;
  EXPECT(bad, ewal_primary_stats(primary, &stats, &error), &error);
  ack.known.reserved = 1;
  EXPECT(bad, ACK(), &error);
  policy.known.reserved = 1;
  result.struct_size++;
  EXPECT(bad, WAIT(), &error);
  CHECK(strstr(error.message, "reserved") != NULL);
  spool.struct_size = 8;
  options.known.spool = &spool;
  EXPECT(bad, OPEN(), &error);
  CHECK(strstr(error.message, "spool: ") == error.message);
  close_primary(primary);
}

static void options_out_of_range_are_named(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary;
#define REFUSE(field, value, name)                                           \
  do {                                                                       \
    ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;                \
    options.field = value;                                                   \
    EXPECT(bad, ewal_primary_open(NULL, &options, &primary, &error), &error); \
    CHECK(strncmp(error.message, name ": ", strlen(name) + 2) == 0);         \
  } while (0)
  REFUSE(flags, EWAL_OPEN_SALVAGE, "flags");
  REFUSE(flags, 0x80000000u, "flags");
  REFUSE(healthy_for_ns, 1, "healthy_for");
  REFUSE(healthy_for_ns, UINT64_MAX, "healthy_for");
  REFUSE(idle_timeout_ns, 1, "idle_timeout");
  REFUSE(idle_timeout_ns, UINT64_MAX - 1, "idle_timeout");
  REFUSE(save_interval_ns, 1, "save_interval");
  REFUSE(save_interval_ns, UINT64_MAX, "save_interval");
  REFUSE(max_slots, UINT32_MAX, "max_slots");
  REFUSE(trace_capacity, UINT32_MAX, "trace_capacity");
#undef REFUSE
}

/* What is not known is never "local". */
static void policies_that_are_none_are_refused(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  const char *const texts[] = {"",      "loca",    "local 1",         "none", "0",
                               "all",   "any 0",   "any 2 (a)",       "-1",   "any 1 (a,)",
                               "first", "\xff", "quorum 1 (a)", "any 1 (a"};
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  size_t i;
  for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    result.outcome = 7;
    EXPECT(bad, wait_for(primary, 0, texts[i], 0, &result, &error), &error);
    CHECK(result.outcome == 0 && strstr(error.message, "policy") != NULL);
  }
  policy.policy = "local";
  policy.level = 4;
  EXPECT(bad, ewal_primary_wait_acks(primary, 0, &policy, 0, NULL, &error), &error);
  policy.level = EWAL_LEVEL_APPLIED;
  policy.flags = 2;
  EXPECT(bad, ewal_primary_wait_acks(primary, 0, &policy, 0, NULL, &error), &error);
  close_primary(primary);
}

/* Its spool is lent: it ends with the primary, and by no other way. */
static void the_spool_is_borrowed(void) {
  ewal_primary primary = open_primary("borrowed", NULL);
  ewal_spool spool = spool_of(primary), other;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = make_record(1, 2, "x");
  ewal_records records;
  ewal_cursor cursor;
  uint64_t lsn;
  CHECK(spool_of(primary).id == spool.id);
  EXPECT(bad, ewal_spool_close(spool, -1, &error), &error);
  append(spool, 1, 1);
  EXPECT(EWAL_OK, ewal_cursor_open(spool, 0, &cursor, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool, 0, 9, 99, &records, &error), &error);
  EXPECT(EWAL_E_LOCKED, ewal_spool_open(in_scratch("borrowed"), NULL, &other, &error),
         &error);
  close_primary(primary);
  CHECK(ewal_primary_spool(primary, &other) == EWAL_E_CLOSED && other.id == 0);
  EXPECT(EWAL_E_CLOSED, ewal_spool_append(spool, &record, 1, -1, &error), &error);
  EXPECT(EWAL_E_CLOSED, ewal_spool_close(spool, -1, &error), &error);
  CHECK(ewal_spool_bounds(spool, &lsn, NULL, NULL) == EWAL_E_CLOSED);
  EXPECT(EWAL_E_CLOSED, ewal_cursor_next(cursor, 1, 1, -1, &records, &error), &error);
  CHECK(ewal_cursor_close(cursor) == EWAL_OK);
  /* Opened alone it is somebody else's, and closes. */
  spool = open_spool("borrowed", NULL);
  EXPECT(EWAL_E_LOCKED, ewal_primary_open(in_scratch("borrowed"), NULL, &primary, &error),
         &error);
  CHECK(primary.id == 0);
  close_spool(spool);
}

static void foreign_numbers_are_no_handles(void) {
  ewal_primary primary = open_primary(NULL, NULL), odd;
  ewal_spool spool = spool_of(primary), no_spool;
  uint64_t bit, n;
  no_spool.id = primary.id;
  CHECK(ewal_spool_bounds(no_spool, &n, NULL, NULL) == bad);
  odd.id = spool.id;
  CHECK(ewal_primary_topology_epoch(odd, &n) == bad);
  for (bit = 1; bit != 0; bit <<= 1) {
    odd.id = primary.id ^ bit;
    CHECK(ewal_primary_topology_epoch(odd, &n) < 0);
    CHECK(ewal_primary_close(odd, 0, NULL) < 0);
  }
  close_primary(primary);
}

static pthread_barrier_t gate;
static void *close_at_once(void *handle) {
  pthread_barrier_wait(&gate);
  return (void *)(intptr_t)ewal_primary_close(*(ewal_primary *)handle, -1, NULL);
}
static void *poll_close(void *handle) {
  pthread_barrier_wait(&gate);
  return (void *)(intptr_t)ewal_primary_close(*(ewal_primary *)handle, 0, NULL);
}

/* Closes it from many threads at once, and counts how they end. */
static int closed_by(int n, void *(*close)(void *), ewal_primary primary, int *late) {
  pthread_t threads[64];
  int i, ok = 0;
  *late = 0;
  pthread_barrier_init(&gate, NULL, (unsigned)n);
  for (i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, close, &primary) == 0);
  for (i = 0; i < n; i++) {
    void *status;
    pthread_join(threads[i], &status);
    CHECK((intptr_t)status == EWAL_OK || (intptr_t)status == EWAL_E_CLOSED ||
          (intptr_t)status == EWAL_TIMEOUT);
    ok += (intptr_t)status == EWAL_OK;
    *late += (intptr_t)status == EWAL_TIMEOUT;
  }
  pthread_barrier_destroy(&gate);
  return ok;
}

static void of_64_closes_one_succeeds(void) {
  int round, late;
  for (round = 0; round < 10; round++) {
    ewal_primary primary = open_primary(round % 2 ? "close64" : NULL, NULL);
    fill(primary, 1 + (uint64_t)round);
    CHECK(closed_by(64, close_at_once, primary, &late) == 1 && late == 0);
  }
}

/* A close that is not in time leaves it open, whoever closes beside it. */
static void a_close_that_is_not_in_time_takes_nothing(void) {
  int round, late;
  for (round = 0; round < 50; round++) {
    ewal_primary primary = open_primary("in_time", NULL);
    ewal_record record = make_record(1, 1 + (uint64_t)round, "x");
    ewal_registration a = join(primary, "a", NULL);
    int ok;
    CHECK(a.generation > 0);
    CHECK(ewal_spool_submit(spool_of(primary), &record, 1, NULL, NULL) == EWAL_OK);
    ok = closed_by(4, poll_close, primary, &late);
    CHECK(ok <= 1);
    if (!ok)
      CHECK(ewal_primary_touch(primary, "a", a.generation, NULL) == EWAL_OK);
    CHECK(ewal_primary_close(primary, -1, NULL) == (ok ? EWAL_E_CLOSED : EWAL_OK));
  }
}

typedef struct {
  ewal_ack_watch watch;
  ewal_status got;
} finishing;

static void *finish_at_once(void *arg) {
  finishing *f = arg;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  pthread_barrier_wait(&gate);
  f->got = ewal_ack_watch_finish(f->watch, &result, NULL);
  return NULL;
}

static ewal_ack_watch watch(ewal_primary primary, const char *text) {
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_watch watch;
  policy.policy = text;
  EXPECT(EWAL_OK, ewal_primary_watch_acks(primary, 1, &policy, &watch, &error), &error);
  return watch;
}

static void of_64_that_end_a_watch_one_succeeds(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  int round, i;
  fill(primary, 1);
  for (round = 0; round < 10; round++) {
    pthread_t threads[64];
    finishing each[64];
    int ok = 0, closed = 0;
    each[0].watch = watch(primary, "local");
    pthread_barrier_init(&gate, NULL, 64);
    for (i = 0; i < 64; i++) {
      each[i].watch = each[0].watch;
      CHECK(pthread_create(&threads[i], NULL, finish_at_once, &each[i]) == 0);
    }
    for (i = 0; i < 64; i++) {
      pthread_join(threads[i], NULL);
      ok += each[i].got == EWAL_OK;
      closed += each[i].got == EWAL_E_CLOSED;
    }
    pthread_barrier_destroy(&gate);
    CHECK(ok == 1 && closed == 63);
  }
  close_primary(primary);
}

static void a_million_watches_leave_no_memory_behind(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_ack_watch first = {0}, more;
  long before = 0;
  int i;
  fill(primary, 1);
  join(primary, "a", NULL);
  for (i = 0; i < times(1000000); i++) {
    more = watch(primary, "any 1");
    CHECK(more.id != first.id);
    if (i == 0)
      first = more;
    CHECK(ewal_ack_watch_finish(more, NULL, NULL) == EWAL_TIMEOUT);
    if (i == 10000)
      before = resident_kib();
  }
  CHECK(ewal_ack_watch_finish(first, NULL, NULL) == EWAL_E_CLOSED);
  CHECK(resident_kib() < before + 1024);
  close_primary(primary);
}

static void many_handles_leave_no_memory_behind_and_never_alias(void) {
  static ewal_primary stale[1000];
  const int rounds = times(1000);
  long before = 0;
  uint64_t epoch;
  int i, j;
  for (i = 0; i < rounds; i++) {
    stale[i] = open_primary(i % 4 ? NULL : "reopen", NULL);
    join(stale[i], "a", NULL);
    close_primary(stale[i]);
    if (i == rounds / 4)
      before = resident_kib();
  }
  CHECK(resident_kib() < before + 4096);
  for (i = 0; i < rounds; i++) {
    CHECK(ewal_primary_topology_epoch(stale[i], &epoch) == EWAL_E_CLOSED);
    for (j = 0; j < i; j += 97)
      CHECK(stale[i].id != stale[j].id);
  }
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(numbers_without_a_name_are_empty);
  RUN(null_is_refused_over_a_living_handle_too);
  RUN(names_that_can_not_be_are_refused);
  RUN(out_parameters_are_zeroed_on_failure);
  RUN(the_size_rule_holds);
  RUN(options_out_of_range_are_named);
  RUN(policies_that_are_none_are_refused);
  RUN(the_spool_is_borrowed);
  RUN(foreign_numbers_are_no_handles);
  RUN(of_64_closes_one_succeeds);
  RUN(a_close_that_is_not_in_time_takes_nothing);
  RUN(of_64_that_end_a_watch_one_succeeds);
  RUN(a_million_watches_leave_no_memory_behind);
  RUN(many_handles_leave_no_memory_behind_and_never_alias);
  return 0;
}
