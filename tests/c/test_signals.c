/* A storm of signals, without SA_RESTART, on every thread of the process, the
 * library's too: no call ends for one, and no batch is lost or doubled. */
#include "primary.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { THREADS = 4, ENOUGH = 1000 };

static atomic_uint commits;
static atomic_bool over;
static ewal_coordinator wal;

/* How many a thread has taken. */
static _Thread_local volatile sig_atomic_t taken;

static void on_signal(int signal) {
  (void)signal;
  taken++;
}

/* Alone in the process, it would be the main thread that takes each signal:
 * whoever is to be interrupted has to be addressed. */
static void *blow(void *unused) {
  const pid_t process = getpid();
  const long self = syscall(SYS_gettid);
  (void)unused;
  while (!atomic_load(&over)) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    CHECK(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
      long thread = strtol(task->d_name, NULL, 10);
      if (thread > 0 && thread != self)
        syscall(SYS_tgkill, process, thread, SIGALRM);
    }
    closedir(tasks);
  }
  return NULL;
}

static void *commit_in_the_storm(void *first) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = (uintptr_t)first;
  while (taken < times(ENOUGH) ||
         atomic_load(&commits) < (unsigned)times(ENOUGH)) {
    one_page p;
    make_page(&p, seq, (uint32_t)seq, (unsigned char)seq);
    EXPECT(EWAL_OK, ewal_commit(wal, &p.batch, -1, NULL, &error), &error);
    atomic_fetch_add(&commits, 1);
    seq += THREADS;
  }
  return NULL;
}

/* A replica in the storm: what it is sent, it acknowledges. */
static void *follow_in_the_storm(void *arg) {
  ewal_primary primary = *(ewal_primary *)arg;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(primary, "a", NULL);
  ewal_cursor tail;
  ewal_records records;
  size_t n;
  EXPECT(EWAL_OK, ewal_cursor_open(spool_of(primary), 0, &tail, &error), &error);
  for (;;) {
    uint64_t last;
    ewal_status status = ewal_cursor_next(tail, 100, 1 << 20, -1, &records, &error);
    if (status == EWAL_E_CLOSED)
      break;
    EXPECT(EWAL_OK, status, &error);
    last = take(records, &n);
    EXPECT(EWAL_OK, has(primary, "a", a.generation, last, &error), &error);
  }
  CHECK(ewal_cursor_close(tail) == EWAL_OK);
  return NULL;
}

static void no_wait_for_a_replica_ends_for_a_signal(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary = open_primary("storm", NULL);
  pthread_t storm, replica;
  uint64_t lsn;
  atomic_store(&over, false);
  taken = 0;
  join(primary, "a", NULL);
  CHECK(pthread_create(&storm, NULL, blow, NULL) == 0);
  CHECK(pthread_create(&replica, NULL, follow_in_the_storm, &primary) == 0);
  for (lsn = 1; taken < times(ENOUGH); lsn++) {
    fill(primary, lsn);
    EXPECT(EWAL_OK, wait_for(primary, lsn, "any 1", -1, NULL, &error), &error);
  }
  close_primary(primary);
  CHECK(pthread_join(replica, NULL) == 0);
  atomic_store(&over, true);
  CHECK(pthread_join(storm, NULL) == 0);
}

static void no_call_ends_for_a_signal(void) {
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_recovery_options verify = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  struct sigaction action;
  pthread_t storm, threads[THREADS];
  uintptr_t i;
  int round;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  CHECK(pthread_create(&storm, NULL, blow, NULL) == 0);
  /* Rolls too, and opening and closing by a thread in the storm. */
  options.segment_size = 64 * 1024;
  for (round = 0; round < 10; round++) {
    wal = open_db("storm", &options);
    close_db(wal);
  }
  wal = open_db("storm", &options);
  for (i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, commit_in_the_storm,
                         (void *)(i + 1)) == 0);
  for (i = 0; i < THREADS; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  close_db(wal);
  verify.flags = EWAL_RECOVER_VERIFY_ONLY;
  EXPECT(EWAL_OK,
         ewal_recover_into_file(in_scratch("storm"), in_scratch("unused"), PAGE,
                                &verify, &summary, &error),
         &error);
  CHECK(summary.batches == atomic_load(&commits));
  CHECK(taken > 0);
  atomic_store(&over, true);
  CHECK(pthread_join(storm, NULL) == 0);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(no_call_ends_for_a_signal);
  RUN(no_wait_for_a_replica_ends_for_a_signal);
  return 0;
}
