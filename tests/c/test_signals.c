/* A signal a millisecond, without SA_RESTART: no call ends for it. */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

static atomic_uint signals, commits;
static ewal_coordinator wal;

static void on_alarm(int signal) {
  (void)signal;
  atomic_fetch_add(&signals, 1);
}

static void *commit_in_the_storm(void *first) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = (uintptr_t)first;
  while (atomic_load(&signals) < 1000 || atomic_load(&commits) < 1000) {
    one_page p;
    make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
    EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
    atomic_fetch_add(&commits, 1);
    seq += 4;
  }
  return NULL;
}

static void no_commit_ends_for_a_signal(void) {
  const struct itimerval each_ms = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
  ewal_recovery_options verify = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  struct sigaction action;
  pthread_t threads[4];
  uintptr_t i;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  CHECK(setitimer(ITIMER_REAL, &each_ms, NULL) == 0);
  wal = open_db("storm", NULL);
  for (i = 0; i < 4; i++)
    CHECK(pthread_create(&threads[i], NULL, commit_in_the_storm,
                         (void *)(i + 1)) == 0);
  for (i = 0; i < 4; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  close_db(wal);
  verify.flags = EWAL_RECOVER_VERIFY_ONLY;
  EXPECT(EWAL_OK,
         ewal_recover_into_file(in_scratch("storm"), in_scratch("unused"), PAGE,
                                &verify, &summary, &error),
         &error);
  CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
  CHECK(summary.batches == atomic_load(&commits));
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(no_commit_ends_for_a_signal);
  return 0;
}
