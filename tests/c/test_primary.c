/* A primary through its C interface: what replicas and commits are told. */
#include "primary.h"

#include <pthread.h>

/* A commit counts once its replica has it. */
static void commit_waits_for_its_replica(void) {
  ewal_primary primary = open_primary("commit", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_registration a = join(primary, "a", "eu");
  uint64_t lsn;
  CHECK(a.created && a.restart_lsn == 0 && a.generation > 0);
  fill(primary, 5);
  EXPECT(EWAL_OK, ewal_primary_note_pull(primary, "a", a.generation, 5, &error), &error);
  EXPECT(EWAL_TIMEOUT, wait_for(primary, 5, "any 1", 0, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_TIMED_OUT && !result.degraded);
  CHECK(result.observed == 0 && result.required == 1);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 5, &error), &error);
  EXPECT(EWAL_OK, wait_for(primary, 5, "any 1 (a)", -1, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_REACHED && result.observed == 1);
  EXPECT(EWAL_OK, wait_for(primary, 5, "regions 1 (eu)", -1, NULL, &error), &error);
  EXPECT(EWAL_OK, wait_for(primary, 5, "local", 0, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_REACHED && result.required == 0);
  EXPECT(EWAL_OK,
         ewal_primary_quorum_lsn(primary, 1, EWAL_LEVEL_APPLIED, &lsn, &error), &error);
  CHECK(lsn == 5);
  EXPECT(EWAL_OK, ewal_primary_quorum_lsn(primary, 2, 0, &lsn, &error), &error);
  CHECK(lsn == 0);
  close_primary(primary);
}

static void acknowledgements_that_can_not_be_are_refused(void) {
  ewal_primary primary = open_primary("refused", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration first = join(primary, "a", NULL), second;
  fill(primary, 5);
  EXPECT(EWAL_E_AHEAD, has(primary, "a", first.generation, 6, &error), &error);
  CHECK(error.lsn == 5);
  EXPECT(EWAL_E_AHEAD, has(primary, "a", first.generation, UINT64_MAX, &error), &error);
  EXPECT(EWAL_E_AHEAD,
         ewal_primary_note_pull(primary, "a", first.generation, 6, &error), &error);
  CHECK(error.lsn == 5);
  EXPECT(EWAL_E_NOT_FOUND, has(primary, "b", first.generation, 1, &error), &error);
  /* The same id again: the progress stays, the older session ends. */
  EXPECT(EWAL_OK, has(primary, "a", first.generation, 3, &error), &error);
  second = join(primary, "a", NULL);
  CHECK(!second.created && second.restart_lsn == 3);
  CHECK(second.generation > first.generation);
  EXPECT(EWAL_E_FENCED, has(primary, "a", first.generation, 4, &error), &error);
  EXPECT(EWAL_E_FENCED, ewal_primary_touch(primary, "a", first.generation, &error),
         &error);
  EXPECT(EWAL_E_FENCED, has(primary, "a", 0, 4, &error), &error);
  EXPECT(EWAL_OK, has(primary, "a", second.generation, 4, &error), &error);
  /* A session that there is goes on where it is only asked for. */
  EXPECT(EWAL_OK, ewal_primary_ensure_registered(primary, "a", NULL, &first, &error),
         &error);
  CHECK(first.generation == second.generation && first.restart_lsn == 4);
  EXPECT(EWAL_OK, ewal_primary_unregister(primary, "a", &error), &error);
  EXPECT(EWAL_E_NOT_FOUND, has(primary, "a", second.generation, 5, &error), &error);
  close_primary(primary);
}

static ewal_resume plan(ewal_primary primary, const char *id, uint64_t since,
                        uint64_t term) {
  ewal_resume resume;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_primary_plan_resume(primary, id, since, term, &resume, &error),
         &error);
  return resume;
}

static void a_replica_is_told_where_to_go_on(void) {
  ewal_primary primary = open_primary("resume", NULL);
  ewal_spool spool = spool_of(primary);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a;
  ewal_resume r;
  a = join(primary, "a", NULL);
  fill(primary, 5);
  append(spool, 2, 10);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 3, &error), &error);
  r = plan(primary, "a", 2, 1);
  CHECK(r.kind == EWAL_RESUME_PARTIAL && r.resume_lsn == 3);
  CHECK(r.cause == 0 && r.common_lsn == 0);
  r = plan(primary, "a", 4, 0);
  CHECK(r.kind == EWAL_RESUME_PARTIAL && r.resume_lsn == 4);
  /* Its record 10 is not of this history, whose term 2 begins there. */
  r = plan(primary, "a", 10, 1);
  CHECK(r.kind == EWAL_RESUME_DIVERGED && r.common_lsn == 9 && r.resume_lsn == 0);
  r = plan(primary, "a", 11, 2);
  CHECK(r.kind == EWAL_RESUME_DIVERGED && r.common_lsn == 10);
  r = plan(primary, "nobody", 2, 1);
  CHECK(r.kind == EWAL_RESUME_REBOOTSTRAP && r.cause == EWAL_CAUSE_UNKNOWN);
  CHECK(strcmp(ewal_cause_name(r.cause), "unknown") == 0);
  close_primary(primary);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(commit_waits_for_its_replica);
  RUN(acknowledgements_that_can_not_be_are_refused);
  RUN(a_replica_is_told_where_to_go_on);
  return 0;
}
