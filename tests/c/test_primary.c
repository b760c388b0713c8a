/* A primary through its C interface: what replicas and commits are told. */
#include "primary.h"

#include <poll.h>
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


/* Whether a descriptor has become readable, which is reset. */
static bool rings(int fd) {
  struct pollfd watched;
  uint64_t count;
  watched.fd = fd;
  watched.events = POLLIN;
  if (poll(&watched, 1, 0) != 1)
    return false;
  CHECK(read(fd, &count, sizeof count) == sizeof count);
  return true;
}

/* What a listing of slots or replicas has seen. */
typedef struct {
  int n, stop_after;
  char ids[8][16];
  ewal_slot_info slots[8];
  ewal_replica_info replicas[8];
  ewal_primary primary; /* to be called back, where its id is not 0 */
} seen;

static int see_slot(void *user, const ewal_slot_info *slot) {
  seen *s = user;
  CHECK(slot->struct_size == sizeof *slot && s->n < 8);
  snprintf(s->ids[s->n], sizeof s->ids[0], "%s", slot->id);
  s->slots[s->n++] = *slot;
  return s->n == s->stop_after;
}

static int see_replica(void *user, const ewal_replica_info *replica) {
  seen *s = user;
  CHECK(replica->struct_size == sizeof *replica && s->n < 8);
  snprintf(s->ids[s->n], sizeof s->ids[0], "%s", replica->id);
  CHECK(strcmp(replica->region ? replica->region : "none", "eu") == 0 ||
        replica->region == NULL);
  s->replicas[s->n++] = *replica;
  return s->n == s->stop_after;
}

static seen slots_of(ewal_primary primary) {
  seen s;
  ewal_error error = EWAL_ERROR_INIT;
  memset(&s, 0, sizeof s);
  EXPECT(EWAL_OK, ewal_primary_slots(primary, see_slot, &s, &error), &error);
  return s;
}

static seen replicas_of(ewal_primary primary) {
  seen s;
  ewal_error error = EWAL_ERROR_INIT;
  memset(&s, 0, sizeof s);
  EXPECT(EWAL_OK, ewal_primary_replicas(primary, see_replica, &s, &error), &error);
  return s;
}

static void listings_show_slots_and_replicas(void) {
  ewal_primary primary = open_primary("listings", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack ack = EWAL_ACK_INIT;
  ewal_registration b = join(primary, "b", "eu");
  ewal_progress progress = EWAL_PROGRESS_INIT;
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  uint64_t epoch, after, lsn;
  uint32_t level;
  seen s, one;
  fill(primary, 9);
  EXPECT(EWAL_OK, ewal_primary_slot_create(primary, "a", 3, false, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_slot_create(primary, "c", EWAL_SLOT_AT_END, true, &error),
         &error);
  EXPECT(EWAL_E_EXISTS, ewal_primary_slot_create(primary, "b", 3, false, &error), &error);
  EXPECT(EWAL_E_AHEAD, ewal_primary_slot_create(primary, "d", 10, false, &error), &error);
  CHECK(error.lsn == 9);
  EXPECT(EWAL_OK, ewal_primary_note_pull(primary, "b", b.generation, 8, &error), &error);
  ack.written = 7;
  ack.durable = 6;
  ack.applied = 5;
  ack.apply_errors = 4;
  ack.divergences = 3;
  EXPECT(EWAL_OK, ewal_primary_ack(primary, "b", b.generation, &ack, &error), &error);
  for (level = 0; level <= EWAL_LEVEL_APPLIED; level++) {
    static const uint64_t at[] = {6, 7, 6, 5}; /* 0 is the default */
    EXPECT(EWAL_OK, ewal_primary_quorum_lsn(primary, 1, level, &lsn, &error), &error);
    CHECK(lsn == at[level]);
  }
  s = slots_of(primary);
  CHECK(s.n == 3 && strcmp(s.ids[0], "a") == 0 && strcmp(s.ids[2], "c") == 0);
  CHECK(s.slots[0].restart_lsn == 3 && s.slots[0].confirmed_lsn == 3);
  CHECK(!s.slots[0].temporary && !s.slots[0].registered && s.slots[0].region == NULL);
  CHECK(s.slots[1].restart_lsn == 6 && s.slots[1].confirmed_lsn == 5);
  CHECK(s.slots[1].registered && s.slots[1].last_seen_ms >= s.slots[1].created_ms);
  CHECK(s.slots[1].wal_status == EWAL_WAL_RESERVED && s.slots[1].cause == 0);
  CHECK(s.slots[1].invalidated_ms == 0 && s.slots[1].safe_wal_size > 0);
  CHECK(s.slots[2].restart_lsn == 9 && s.slots[2].temporary);
  /* And one by its id. */
  memset(&one, 0, sizeof one);
  EXPECT(EWAL_OK, ewal_primary_slot(primary, "b", see_slot, &one, &error), &error);
  CHECK(one.n == 1 && strcmp(one.ids[0], "b") == 0 && one.slots[0].restart_lsn == 6);
  EXPECT(EWAL_E_NOT_FOUND, ewal_primary_slot(primary, "d", see_slot, &one, &error),
         &error);
  CHECK(one.n == 1 && strstr(error.message, "slot \"d\"") != NULL);
  s = replicas_of(primary);
  CHECK(s.n == 1 && strcmp(s.ids[0], "b") == 0);
  CHECK(s.replicas[0].generation == b.generation && s.replicas[0].connected_at_ms > 0);
  CHECK(s.replicas[0].sent_lsn == 8 && s.replicas[0].written_lsn == 7);
  CHECK(s.replicas[0].durable_lsn == 6 && s.replicas[0].applied_lsn == 5);
  CHECK(s.replicas[0].apply_errors == 4 && s.replicas[0].divergences == 3);
  CHECK(s.replicas[0].healthy && s.replicas[0].counts);
  CHECK(!s.replicas[0].rebootstrapping);
  EXPECT(EWAL_OK, ewal_primary_progress(primary, &progress, &error), &error);
  CHECK(progress.replicas == 1 && progress.highest_sent == 8);
  CHECK(progress.lowest_applied == 5 && progress.lag == 3);
  CHECK(progress.safe_replay_lsn == 6 && progress.quorum_lsn == 0);
  CHECK(progress.has_retention_floor && progress.retention_floor == 3);
  CHECK(ewal_primary_topology_epoch(primary, &epoch) == EWAL_OK);
  EXPECT(EWAL_OK, ewal_primary_set_rebootstrapping(primary, "b", true, &error), &error);
  CHECK(ewal_primary_topology_epoch(primary, &after) == EWAL_OK && after > epoch);
  s = replicas_of(primary);
  CHECK(s.replicas[0].rebootstrapping && !s.replicas[0].counts);
  EXPECT(EWAL_E_NOT_FOUND, ewal_primary_set_rebootstrapping(primary, "a", true, &error),
         &error);
  EXPECT(EWAL_OK, ewal_primary_stats(primary, &stats, &error), &error);
  CHECK(stats.slots == 3 && stats.valid_slots == 3 && stats.replicas == 1);
  CHECK(stats.registrations == 1 && stats.acks == 1 && stats.saves > 0);
  close_primary(primary);
}

/* Drops the slot that it is shown, and looks around. */
static int drop_it(void *user, const ewal_slot_info *slot) {
  seen *s = user;
  ewal_error error = EWAL_ERROR_INIT;
  CHECK(slots_of(s->primary).n == 3 - s->n);
  EXPECT(EWAL_OK, ewal_primary_slot_drop(s->primary, slot->id, &error), &error);
  s->n++;
  return 0;
}

static void a_listing_may_be_stopped_and_may_change_what_it_lists(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_error error = EWAL_ERROR_INIT;
  seen s;
  memset(&s, 0, sizeof s);
  join(primary, "a", NULL);
  join(primary, "b", NULL);
  join(primary, "c", "eu");
  s.stop_after = 2;
  EXPECT(EWAL_OK, ewal_primary_slots(primary, see_slot, &s, &error), &error);
  CHECK(s.n == 2 && strcmp(s.ids[1], "b") == 0);
  s.n = 0;
  EXPECT(EWAL_OK, ewal_primary_replicas(primary, see_replica, &s, &error), &error);
  CHECK(s.n == 2);
  s.n = 0;
  s.primary = primary;
  EXPECT(EWAL_OK, ewal_primary_slots(primary, drop_it, &s, &error), &error);
  CHECK(s.n == 3 && slots_of(primary).n == 0 && replicas_of(primary).n == 0);
  EXPECT(EWAL_E_NOT_FOUND, ewal_primary_slot_drop(primary, "a", &error), &error);
  close_primary(primary);
}

/* Closes the primary whose slots are being listed. */
static int close_it(void *user, const ewal_slot_info *slot) {
  seen *s = user;
  close_primary(s->primary);
  CHECK(strcmp(slot->id, s->n++ ? "b" : "a") == 0);
  s->stop_after = ewal_primary_close(s->primary, -1, NULL);
  return 1;
}

static void a_listing_outlives_its_primary(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  seen s;
  memset(&s, 0, sizeof s);
  join(primary, "a", NULL);
  join(primary, "b", NULL);
  s.primary = primary;
  CHECK(ewal_primary_slots(primary, close_it, &s, NULL) == EWAL_OK);
  CHECK(s.n == 1 && s.stop_after == EWAL_E_CLOSED);
}

static void what_a_slot_needs_is_not_pruned(void) {
  ewal_primary primary = open_primary("prune", NULL);
  ewal_spool spool = spool_of(primary);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(primary, "a", NULL);
  uint64_t pruned;
  fill(primary, 100);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 40, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_prune(primary, 30, &pruned, &error), &error);
  CHECK(pruned == 30);
  EXPECT(EWAL_OK, ewal_spool_prune_through(spool, 90, &pruned, &error), &error);
  CHECK(pruned == 40);
  EXPECT(EWAL_OK, ewal_primary_prune(primary, EWAL_NO_ARCHIVE, &pruned, &error), &error);
  CHECK(pruned == 40);
  EXPECT(EWAL_E_WAL_REMOVED, ewal_primary_slot_create(primary, "b", 39, false, &error),
         &error);
  CHECK(error.lsn == 41);
  /* Registered again after the slot's session: it knows where it was. */
  close_primary(primary);
  primary = open_primary("prune", NULL);
  EXPECT(EWAL_E_FENCED, has(primary, "a", a.generation, 50, &error), &error);
  a = join(primary, "a", NULL);
  CHECK(!a.created && a.restart_lsn == 40);
  EXPECT(EWAL_OK, ewal_primary_slot_drop(primary, "a", &error), &error);
  EXPECT(EWAL_OK, ewal_primary_prune(primary, EWAL_NO_ARCHIVE, &pruned, &error), &error);
  CHECK(pruned == 100);
  close_primary(primary);
}

/* The last event above a number. */
typedef struct {
  ewal_primary_event event;
  char slot_id[16];
  int n;
} last_event;

static int see_event(void *user, const ewal_primary_event *event) {
  last_event *last = user;
  CHECK(event->struct_size == sizeof *event && event->at_ms > 0);
  last->event = *event;
  snprintf(last->slot_id, sizeof last->slot_id, "%s", event->slot_id ? event->slot_id : "");
  last->n++;
  return 0;
}

static last_event event_after(ewal_primary primary, uint64_t number) {
  last_event last;
  ewal_error error = EWAL_ERROR_INIT;
  memset(&last, 0, sizeof last);
  EXPECT(EWAL_OK, ewal_primary_events_since(primary, number, see_event, &last, &error), &error);
  return last;
}

static void a_slot_beyond_the_horizon_is_given_up(void) {
  ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_primary primary;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a;
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  ewal_resume resume;
  last_event last;
  seen s;
  options.horizon_lsns = 10;
  primary = open_primary("horizon", &options);
  a = join(primary, "a", NULL);
  fill(primary, 6);
  CHECK(slots_of(primary).slots[0].wal_status == EWAL_WAL_EXTENDED);
  fill(primary, 11);
  s = slots_of(primary);
  CHECK(s.slots[0].wal_status == EWAL_WAL_UNRESERVED && s.slots[0].safe_wal_size == 0);
  CHECK(strcmp(ewal_wal_status_name(s.slots[0].wal_status), "unreserved") == 0);
  memset(&s, 0, sizeof s);
  EXPECT(EWAL_OK, ewal_primary_enforce_limits(primary, 77, see_slot, &s, &error), &error);
  CHECK(s.n == 1 && s.slots[0].cause == EWAL_CAUSE_HORIZON);
  CHECK(s.slots[0].invalidated_ms == 77 && s.slots[0].wal_status == EWAL_WAL_LOST);
  last = event_after(primary, 0);
  CHECK(last.n == 1 && last.event.kind == EWAL_EVENT_SLOT_INVALIDATED);
  CHECK(strcmp(last.slot_id, "a") == 0 && last.event.cause == EWAL_CAUSE_HORIZON);
  CHECK(last.event.lsn == 0 && last.event.message == NULL);
  EXPECT(EWAL_E_WAL_REMOVED, has(primary, "a", a.generation, 11, &error), &error);
  resume = plan(primary, "a", 0, 0);
  CHECK(resume.kind == EWAL_RESUME_REBOOTSTRAP && resume.cause == EWAL_CAUSE_HORIZON);
  EXPECT(EWAL_OK, ewal_primary_slot_reset(primary, "a", 9, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_slot_reset(primary, "a", EWAL_SLOT_AT_END, &error), &error);
  CHECK(slots_of(primary).slots[0].restart_lsn == 11);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 11, &error), &error);
  EXPECT(EWAL_E_ORDER, ewal_primary_slot_reset(primary, "a", 9, &error), &error);
  CHECK(error.lsn == 11);
  EXPECT(EWAL_OK, ewal_primary_stats(primary, &stats, &error), &error);
  CHECK(stats.invalidated_horizon == 1 && stats.acks_invalid == 1);
  CHECK(stats.rebootstraps_horizon == 1);
  close_primary(primary);
}

static void a_wait_that_can_not_be_met_says_so_or_degrades(void) {
  ewal_primary primary = open_primary("unmet", NULL);
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  last_event last;
  join(primary, "a", "eu");
  fill(primary, 3);
  EXPECT(EWAL_E_NOT_FOUND, wait_for(primary, 3, "any 2", -1, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_UNMEETABLE && !result.degraded);
  CHECK(result.observed == 0 && result.required == 2);
  EXPECT(EWAL_E_NOT_FOUND, wait_for(primary, 3, "regions 1 (eu, us)", -1, &result, &error),
         &error);
  policy.policy = "regions 1 (eu, us)";
  policy.flags = EWAL_ACK_DEGRADE;
  EXPECT(EWAL_OK, ewal_primary_wait_acks(primary, 3, &policy, -1, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_UNMEETABLE && result.degraded);
  CHECK(result.observed == 0 && result.required == 2);
  policy.policy = "any 1";
  EXPECT(EWAL_OK, ewal_primary_wait_acks(primary, 3, &policy, 0, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_TIMED_OUT && result.degraded);
  last = event_after(primary, 0);
  CHECK(last.n == 2 && last.event.kind == EWAL_EVENT_COMMIT_DEGRADED);
  CHECK(last.event.lsn == 3 && last.event.required == 1 && last.event.observed == 0);
  CHECK(event_after(primary, last.event.number).n == 0);
  /* What is not durable here counts by no policy. */
  EXPECT(EWAL_TIMEOUT, ewal_primary_wait_acks(primary, 4, &policy, 0, &result, &error),
         &error);
  CHECK(!result.degraded);
  EXPECT(EWAL_OK, ewal_primary_stats(primary, &stats, &error), &error);
  CHECK(stats.waits_degraded == 2 && stats.waits_unmeetable == 3);
  close_primary(primary);
}

static void a_cut_below_what_a_quorum_has_is_refused(void) {
  ewal_primary primary = open_primary("cut", NULL);
  ewal_spool spool = spool_of(primary);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(primary, "a", NULL);
  ewal_record late = make_record(1, 9, "x");
  ewal_resume resume;
  fill(primary, 8);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 5, &error), &error);
  EXPECT(EWAL_OK, wait_for(primary, 5, "1", -1, NULL, &error), &error);
  EXPECT(EWAL_E_ORDER, ewal_spool_truncate_after(spool, 4, 2, &error), &error);
  CHECK(error.lsn == 5);
  EXPECT(EWAL_OK, ewal_spool_truncate_after(spool, 6, 3, &error), &error);
  /* A term that falls, and a replica that was on the tail that is gone. */
  EXPECT(EWAL_E_FENCED, ewal_spool_append(spool, &late, 1, -1, &error), &error);
  resume = plan(primary, "a", 8, 1);
  CHECK(resume.kind == EWAL_RESUME_DIVERGED && resume.common_lsn == 6);
  close_primary(primary);
}

static void a_primary_in_memory_has_it_all_but_files(void) {
  ewal_primary primary = open_primary(NULL, NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(primary, "a", NULL);
  ewal_records records;
  uint64_t pruned;
  size_t n;
  int fd;
  fill(primary, 20);
  EXPECT(EWAL_OK, ewal_spool_read_since(spool_of(primary), 15, 9, 999, &records, &error),
         &error);
  CHECK(take(records, &n) == 20 && n == 5);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 12, &error), &error);
  EXPECT(EWAL_OK, wait_for(primary, 12, "any 1 (a)", -1, NULL, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_prune(primary, EWAL_NO_ARCHIVE, &pruned, &error), &error);
  CHECK(pruned == 12);
  EXPECT(EWAL_OK, ewal_primary_save(primary, &error), &error);
  EXPECT(EWAL_E_NOT_FOUND, ewal_primary_salvaged(primary, NULL, 0, NULL, &error), &error);
  EXPECT(EWAL_OK, ewal_spool_event_fd(spool_of(primary), &fd, &error), &error);
  CHECK(!rings(fd));
  fill(primary, 21);
  CHECK(rings(fd) && close(fd) == 0);
  close_primary(primary);
}

/* Bounded by count: what falls out counts as pruned, whoever needs it. */
static void a_primary_in_memory_forgets_what_is_oldest(void) {
  ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_spool_options spool = EWAL_SPOOL_OPTIONS_INIT;
  ewal_primary primary;
  ewal_resume resume;
  uint64_t oldest, pruned;
  spool.ring_records = 10;
  options.spool = &spool;
  primary = open_primary(NULL, &options);
  join(primary, "a", NULL);
  fill(primary, 25);
  CHECK(ewal_spool_bounds(spool_of(primary), &oldest, NULL, &pruned) == EWAL_OK);
  CHECK(oldest == 16 && pruned == 15);
  resume = plan(primary, "a", 0, 0);
  CHECK(resume.kind == EWAL_RESUME_REBOOTSTRAP);
  CHECK(resume.cause == EWAL_CAUSE_WAL_REMOVED);
  close_primary(primary);
}

/* No number is too large for a double, or for the end of the range. */
static void large_lsns_are_kept_to_the_last_bit(void) {
  const uint64_t double_end = (uint64_t)1 << 53, last = UINT64_MAX - 1;
  ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_primary primary;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a;
  ewal_record beyond = make_record(1, UINT64_MAX, "x");
  char json[512];
  uint64_t lsn;
  seen s;
  int round;
  options.horizon_lsns = EWAL_HORIZON_OFF;
  primary = open_primary("large", &options);
  a = join(primary, "a", NULL);
  for (round = 0; round < 2; round++) {
    const uint64_t base = round == 0 ? double_end : last - 1;
    append(spool_of(primary), 1, base);
    append(spool_of(primary), 1, base + 1);
    EXPECT(EWAL_OK, has(primary, "a", a.generation, base, &error), &error);
    EXPECT(EWAL_TIMEOUT, wait_for(primary, base + 1, "1", 0, NULL, &error), &error);
    EXPECT(EWAL_E_AHEAD, has(primary, "a", a.generation, base + 2, &error), &error);
    CHECK(error.lsn == base + 1);
    EXPECT(EWAL_OK, has(primary, "a", a.generation, base + 1, &error), &error);
    EXPECT(EWAL_OK, wait_for(primary, base + 1, "1", 0, NULL, &error), &error);
    EXPECT(EWAL_OK, ewal_primary_quorum_lsn(primary, 1, 0, &lsn, &error), &error);
    CHECK(lsn == base + 1);
    EXPECT(EWAL_OK, ewal_primary_prune(primary, base, &lsn, &error), &error);
    CHECK(lsn == base);
    EXPECT(EWAL_OK, ewal_primary_export_slots(primary, json, sizeof json, NULL, &error),
           &error);
    CHECK(strstr(json, round == 0 ? "9007199254740993" : "18446744073709551614"));
    close_primary(primary);
    primary = open_primary("large", &options);
    s = slots_of(primary);
    CHECK(s.n == 1 && s.slots[0].restart_lsn == base + 1);
    CHECK(s.slots[0].confirmed_lsn == base + 1 && s.slots[0].saved_lsn == base + 1);
    a = join(primary, "a", NULL);
    CHECK(a.restart_lsn == base + 1);
  }
  EXPECT(EWAL_E_INVALID, ewal_spool_append(spool_of(primary), &beyond, 1, -1, &error),
         &error);
  EXPECT(EWAL_TIMEOUT, wait_for(primary, UINT64_MAX, "1", 0, NULL, &error), &error);
  close_primary(primary);
}

/* One byte of a file is turned over. */
static void flip(const char *path, long at) {
  FILE *f = fopen(path, "r+b");
  int byte;
  CHECK(f != NULL && fseek(f, at, SEEK_SET) == 0);
  byte = getc(f);
  CHECK(byte != EOF && fseek(f, at, SEEK_SET) == 0);
  CHECK(putc(byte ^ 0x10, f) != EOF && fclose(f) == 0);
}

/* A store that can't be read, or is gone, is an error: nothing is pruned. */
static void without_its_slots_nothing_opens(void) {
  ewal_primary_options options = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_primary primary = open_primary("flipped", NULL);
  const char *store = in_scratch("flipped.logical.slots");
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool alone;
  uint64_t pruned;
  char path[PATH_MAX];
  size_t n;
  fill(primary, 9);
  join(primary, "a", NULL);
  close_primary(primary);
  flip(store, 20);
  EXPECT(EWAL_E_CORRUPT, ewal_primary_open(in_scratch("flipped"), NULL, &primary, &error),
         &error);
  CHECK(primary.id == 0 && strstr(error.message, "slots") != NULL);
  /* Nor does a spool opened alone prune. */
  alone = open_spool("flipped", NULL);
  EXPECT(EWAL_E_CORRUPT, ewal_spool_prune_through(alone, 5, &pruned, &error), &error);
  close_spool(alone);
  options.flags = EWAL_SALVAGE_SLOTS;
  primary = open_primary("flipped", &options);
  EXPECT(EWAL_OK, ewal_primary_salvaged(primary, path, sizeof path, &n, &error), &error);
  CHECK(n == strlen(path) && access(path, F_OK) == 0);
  CHECK(event_after(primary, 0).event.kind == EWAL_EVENT_STORE_SALVAGED);
  close_primary(primary);
  primary = open_primary("flipped", NULL);
  close_primary(primary);
  CHECK(unlink(store) == 0);
  EXPECT(EWAL_E_CORRUPT, ewal_primary_open(in_scratch("flipped"), NULL, &primary, &error),
         &error);
}

/* The JSON of other software is taken in once, and given back. */
static void the_older_store_is_taken_in_and_exported(void) {
  ewal_primary primary = open_primary("exporter", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  char json[4096], again[4096];
  size_t n, cap;
  FILE *f;
  seen s;
  fill(primary, 5);
  EXPECT(EWAL_OK, ewal_primary_slot_create(primary, "\xc3\xa9\"", 4, false, &error),
         &error);
  EXPECT(EWAL_OK, ewal_primary_export_slots(primary, json, sizeof json, &n, &error),
         &error);
  CHECK(n == strlen(json) && n > 10);
  for (cap = 1; cap < n + 2; cap++) {
    memset(again, '#', sizeof again);
    EXPECT(EWAL_OK, ewal_primary_export_slots(primary, again, cap, NULL, &error), &error);
    CHECK(strlen(again) == (n < cap ? n : cap - 1) && again[cap] == '#');
    CHECK(strncmp(again, json, strlen(again)) == 0);
  }
  close_primary(primary);
  /* A spool alone first, so that its slots lie within it. */
  {
    ewal_spool spool = open_spool("importer", NULL);
    uint64_t lsn;
    for (lsn = 1; lsn <= 5; lsn++)
      append(spool, 1, lsn);
    close_spool(spool);
  }
  f = fopen(in_scratch("importer.logical.slots.json"), "wb");
  CHECK(f != NULL && fwrite(json, 1, n, f) == n && fclose(f) == 0);
  primary = open_primary("importer", NULL);
  s = slots_of(primary);
  CHECK(s.n == 1 && strcmp(s.ids[0], "\xc3\xa9\"") == 0 && s.slots[0].restart_lsn == 4);
  EXPECT(EWAL_OK, ewal_primary_export_slots(primary, again, sizeof again, &n, &error),
         &error);
  CHECK(strcmp(json, again) == 0);
  CHECK(event_after(primary, 0).event.count == 1);
  close_primary(primary);
}

enum { WAITERS = 32 };
typedef struct {
  ewal_primary primary;
  ewal_spool spool;
  int index;
  ewal_status got;
} waiting;

static void *wait_for_ever(void *arg) {
  static const char *const policies[] = {"any 1", "any 1 (a)", "first 1 (a)", "regions 1 (eu)",
                                         "local"};
  waiting *w = arg;
  if (w->index % 6 == 5)
    w->got = ewal_spool_wait_after(w->spool, 1, -1, NULL);
  else
    w->got = wait_for(w->primary, 2, policies[w->index % 6], -1, NULL, NULL);
  return NULL;
}

/* Waits until so many commit waits sleep. */
static void until_waiting(ewal_primary primary, uint64_t n) {
  ewal_replication_stats stats = EWAL_REPLICATION_STATS_INIT;
  ewal_error error = EWAL_ERROR_INIT;
  do
    EXPECT(EWAL_OK, ewal_primary_stats(primary, &stats, &error), &error);
  while (stats.waiting < n);
}

static void whoever_waits_while_it_closes_is_told(void) {
  int in_memory, i;
  for (in_memory = 0; in_memory < 2; in_memory++) {
    ewal_primary primary = open_primary(in_memory ? NULL : "closing", NULL);
    pthread_t threads[WAITERS];
    waiting each[WAITERS];
    uint64_t asleep = 0;
    join(primary, "a", "eu");
    fill(primary, 1);
    for (i = 0; i < WAITERS; i++) {
      each[i].primary = primary;
      each[i].spool = spool_of(primary);
      each[i].index = i;
      asleep += i % 6 < 4;
      CHECK(pthread_create(&threads[i], NULL, wait_for_ever, &each[i]) == 0);
    }
    until_waiting(primary, asleep);
    close_primary(primary);
    for (i = 0; i < WAITERS; i++) {
      pthread_join(threads[i], NULL);
      CHECK(each[i].got == EWAL_E_CLOSED);
    }
  }
}

static void *ack_in_a_thread(void *arg) {
  waiting *w = arg;
  ewal_error error = EWAL_ERROR_INIT;
  ewal_registration a = join(w->primary, "a", "eu");
  uint64_t lsn;
  for (lsn = 1; lsn <= 100; lsn++) {
    EXPECT(EWAL_OK, ewal_spool_wait_after(w->spool, lsn - 1, -1, &error), &error);
    EXPECT(EWAL_OK, has(w->primary, "a", a.generation, lsn, &error), &error);
  }
  return NULL;
}

/* A replica follows while commits wait for it, each for its own. */
static void commits_and_their_replica_go_on_together(void) {
  ewal_primary primary = open_primary("together", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  pthread_t replica;
  waiting w;
  uint64_t lsn;
  w.primary = primary;
  w.spool = spool_of(primary);
  join(primary, "a", "eu");
  CHECK(pthread_create(&replica, NULL, ack_in_a_thread, &w) == 0);
  for (lsn = 1; lsn <= 100; lsn++) {
    append(w.spool, 1, lsn);
    EXPECT(EWAL_OK, wait_for(primary, lsn, "first 1 (a, b)", -1, &result, &error), &error);
    CHECK(result.observed == 1 && result.required == 1);
  }
  pthread_join(replica, NULL);
  close_primary(primary);
}

static ewal_ack_watch watch(ewal_primary primary, uint64_t lsn, const char *text) {
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack_watch watch;
  ewal_error error = EWAL_ERROR_INIT;
  policy.policy = text;
  EXPECT(EWAL_OK, ewal_primary_watch_acks(primary, lsn, &policy, &watch, &error), &error);
  return watch;
}

static bool decided(ewal_ack_watch watch) {
  bool is;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_ack_watch_decided(watch, &is, &error), &error);
  return is;
}

/* Nobody sleeps: a descriptor says when to look. */
static void an_event_loop_waits_for_replicas(void) {
  ewal_primary primary = open_primary("watch", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_registration a = join(primary, "a", NULL);
  ewal_ack_watch near, far, never;
  bool is;
  int fd;
  fill(primary, 5);
  EXPECT(EWAL_OK, ewal_primary_event_fd(primary, &fd, &error), &error);
  near = watch(primary, 3, "any 1");
  far = watch(primary, 5, "any 1 (a)");
  never = watch(primary, 5, "2");
  CHECK(!decided(near) && !decided(far) && decided(never));
  rings(fd); /* for the one that is decided at once */
  EXPECT(EWAL_E_NOT_FOUND, ewal_ack_watch_finish(never, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_UNMEETABLE && result.required == 2);
  EXPECT(EWAL_OK, has(primary, "a", a.generation, 3, &error), &error);
  CHECK(rings(fd) && decided(near) && !decided(far));
  EXPECT(EWAL_OK, ewal_ack_watch_finish(near, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_REACHED);
  EXPECT(EWAL_E_CLOSED, ewal_ack_watch_finish(near, &result, &error), &error);
  CHECK(result.outcome == 0);
  EXPECT(EWAL_E_CLOSED, ewal_ack_watch_decided(near, &is, &error), &error);
  /* Given up. */
  EXPECT(EWAL_TIMEOUT, ewal_ack_watch_finish(far, &result, &error), &error);
  CHECK(result.outcome == EWAL_ACK_TIMED_OUT && !rings(fd));
  far = watch(primary, 5, "any 1 (a)");
  close_primary(primary);
  CHECK(rings(fd));
  EXPECT(EWAL_E_CLOSED, ewal_ack_watch_decided(far, &is, &error), &error);
  EXPECT(EWAL_E_CLOSED, ewal_ack_watch_finish(far, NULL, &error), &error);
  CHECK(close(fd) == 0);
}

/* A callback of the flusher may not wait for what the flusher does. */
typedef struct {
  ewal_primary primary;
  uint64_t generation;
  ewal_ack_watch watch;
} called_back;

static void call_back(void *user, uint64_t epoch, ewal_status status) {
  const called_back *c = user;
  const ewal_status deadlock = EWAL_E_DEADLOCK;
  ewal_primary other;
  ewal_error error = EWAL_ERROR_INIT;
  CHECK(epoch > 0 && status == EWAL_OK);
  EXPECT(deadlock, ewal_primary_open(NULL, NULL, &other, &error), &error);
  EXPECT(deadlock, ewal_primary_close(c->primary, 0, &error), &error);
  EXPECT(deadlock, ewal_primary_register(c->primary, "b", NULL, NULL, &error), &error);
  EXPECT(deadlock, ewal_primary_ensure_registered(c->primary, "b", NULL, NULL, &error),
         &error);
  EXPECT(deadlock, ewal_primary_unregister(c->primary, "a", &error), &error);
  EXPECT(deadlock, ewal_primary_set_rebootstrapping(c->primary, "a", true, &error), &error);
  EXPECT(deadlock, wait_for(c->primary, 1, "local", 0, NULL, &error), &error);
  EXPECT(deadlock, ewal_primary_slot_create(c->primary, "b", 0, false, &error), &error);
  EXPECT(deadlock, ewal_primary_slot_drop(c->primary, "a", &error), &error);
  EXPECT(deadlock, ewal_primary_slot_reset(c->primary, "a", 0, &error), &error);
  EXPECT(deadlock, ewal_primary_enforce_limits(c->primary, 0, NULL, NULL, &error), &error);
  EXPECT(deadlock, ewal_primary_prune(c->primary, 0, NULL, &error), &error);
  EXPECT(deadlock, ewal_ack_watch_finish(c->watch, NULL, &error), &error);
  EXPECT(deadlock, ewal_primary_save(c->primary, &error), &error);
  EXPECT(EWAL_OK, has(c->primary, "a", c->generation, 1, &error), &error);
  EXPECT(EWAL_OK, ewal_primary_touch(c->primary, "a", c->generation, &error), &error);
  CHECK(slots_of(c->primary).n == 1);
}

static void from_a_callback_nothing_blocks(void) {
  ewal_primary primary = open_primary("callback", NULL);
  ewal_coordinator wal = open_db("callback", NULL);
  ewal_error error = EWAL_ERROR_INIT;
  called_back c;
  ewal_ticket ticket;
  one_page p;
  c.primary = primary;
  c.generation = join(primary, "a", NULL).generation;
  fill(primary, 1);
  c.watch = watch(primary, 1, "1");
  make_page(&p, 1, 1, 'x');
  EXPECT(EWAL_OK, ewal_submit(wal, &p.batch, &ticket, &error), &error);
  EXPECT(EWAL_OK, ewal_on_durable(wal, ticket.epoch, call_back, &c, NULL, &error), &error);
  close_db(wal);
  CHECK(slots_of(primary).slots[0].restart_lsn == 1);
  EXPECT(EWAL_OK, ewal_ack_watch_finish(c.watch, NULL, &error), &error);
  close_primary(primary);
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(commit_waits_for_its_replica);
  RUN(acknowledgements_that_can_not_be_are_refused);
  RUN(a_replica_is_told_where_to_go_on);
  RUN(listings_show_slots_and_replicas);
  RUN(a_listing_may_be_stopped_and_may_change_what_it_lists);
  RUN(a_listing_outlives_its_primary);
  RUN(what_a_slot_needs_is_not_pruned);
  RUN(a_slot_beyond_the_horizon_is_given_up);
  RUN(a_wait_that_can_not_be_met_says_so_or_degrades);
  RUN(a_cut_below_what_a_quorum_has_is_refused);
  RUN(a_primary_in_memory_has_it_all_but_files);
  RUN(a_primary_in_memory_forgets_what_is_oldest);
  RUN(large_lsns_are_kept_to_the_last_bit);
  RUN(without_its_slots_nothing_opens);
  RUN(the_older_store_is_taken_in_and_exported);
  RUN(whoever_waits_while_it_closes_is_told);
  RUN(commits_and_their_replica_go_on_together);
  RUN(an_event_loop_waits_for_replicas);
  RUN(from_a_callback_nothing_blocks);
  return 0;
}
