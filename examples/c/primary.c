/* primary DB: commits each line of the standard input once a replica has it. The
 * replica is a thread here; elsewhere it is another machine, and what passes
 * between the two is the caller's to send.
 *
 *     cc primary.c -pthread $(pkg-config --cflags --libs epochwal) -o primary
 */
#include <epochwal.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const ewal_error *error) {
  fprintf(stderr, "primary: %s: %s: %s\n", what, ewal_status_name(error->code),
          error->message);
  exit(1);
}

/* Writes what it is sent to a file of its own, here the standard output, and
 * says so. It goes on from where it was, whichever of the two was restarted. */
static void *replicate(void *arg) {
  ewal_primary primary = *(ewal_primary *)arg;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack ack = EWAL_ACK_INIT;
  ewal_registration session;
  ewal_resume plan;
  ewal_spool spool;
  ewal_cursor tail;
  ewal_records records;

  if (ewal_primary_register(primary, "replica-1", NULL, &session, &error) != EWAL_OK ||
      ewal_primary_plan_resume(primary, "replica-1", session.restart_lsn, 0, &plan,
                               &error) != EWAL_OK)
    die("register", &error);
  if (plan.kind != EWAL_RESUME_PARTIAL) {
    fprintf(stderr, "primary: load the replica anew (%s)\n", ewal_cause_name(plan.cause));
    exit(1);
  }
  ewal_primary_spool(primary, &spool);
  if (ewal_cursor_open(spool, plan.resume_lsn, &tail, &error) != EWAL_OK)
    die("cursor", &error);
  /* Until the primary closes. */
  while (ewal_cursor_next(tail, 100, 1 << 20, -1, &records, &error) == EWAL_OK) {
    const ewal_record *at;
    size_t n, i;
    ewal_records_get(records, &at, &n);
    for (i = 0; i < n; i++)
      printf("%llu %.*s\n", (unsigned long long)at[i].lsn, (int)at[i].payload.len,
             (const char *)at[i].payload.data);
    fflush(stdout);
    ack.written = ack.durable = ack.applied = at[n - 1].lsn;
    ewal_records_release(records);
    if (ewal_primary_ack(primary, "replica-1", session.generation, &ack, &error) != EWAL_OK)
      die("ack", &error);
  }
  ewal_cursor_close(tail);
  return NULL;
}

static void commit_lines(ewal_primary primary) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_record record = {1, 0, 0, {NULL, 0}}; /* of term 1, now */
  ewal_spool spool;
  char line[4096];

  policy.policy = "any 1 (replica-1, replica-2)";
  ewal_primary_spool(primary, &spool);
  ewal_spool_bounds(spool, NULL, &record.lsn, NULL);
  while (fgets(line, sizeof line, stdin) != NULL) {
    record.lsn++;
    record.payload.data = line;
    record.payload.len = strcspn(line, "\n");
    /* Durable here when this returns, and there after the other. */
    if (ewal_spool_append(spool, &record, 1, -1, &error) != EWAL_OK)
      die("append", &error);
    if (ewal_primary_wait_acks(primary, record.lsn, &policy, 10000000000, NULL, &error) !=
        EWAL_OK)
      die("wait for a replica", &error);
  }
}

int main(int argc, char **argv) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_primary primary;
  pthread_t replica;
  uint64_t pruned;

  if (argc != 2) {
    fprintf(stderr, "usage: primary DB\n");
    return 2;
  }
  if (ewal_primary_open(argv[1], NULL, &primary, &error) != EWAL_OK)
    die("open", &error);
  /* Here, so that it is a member before the first commit waits. */
  if (ewal_primary_ensure_registered(primary, "replica-1", NULL, NULL, &error) != EWAL_OK)
    die("register", &error);
  if (pthread_create(&replica, NULL, replicate, &primary) != 0)
    return 1;
  commit_lines(primary);
  /* What every slot has passed need not be kept. */
  if (ewal_primary_prune(primary, EWAL_NO_ARCHIVE, &pruned, &error) != EWAL_OK)
    die("prune", &error);
  if (ewal_primary_close(primary, -1, &error) != EWAL_OK)
    die("close", &error);
  pthread_join(replica, NULL);
  printf("pruned through %llu\n", (unsigned long long)pruned);
  return 0;
}
