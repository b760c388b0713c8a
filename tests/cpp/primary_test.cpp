// The throwing face of the primary.

#include "check.hpp"

#include <epochwal/epochwal.hpp>

#include <poll.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<epochwal::primary>);
static_assert(!std::is_copy_assignable_v<epochwal::ack_watch>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::primary>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::primary>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::ack_watch>);
static_assert(std::is_nothrow_destructible_v<epochwal::primary>);

namespace {

/// Appends records up to an LSN.
void fill(const epochwal::primary& primary, std::uint64_t through) {
  const epochwal::spool spool = primary.spool();
  for (std::uint64_t lsn = spool.bounds().current_lsn + 1; lsn <= through; ++lsn)
    spool.append({1, lsn, "x"});
}

/// All of it up to an LSN.
epochwal::acknowledgement all_of(std::uint64_t lsn) { return {lsn, lsn, lsn}; }

}  // namespace

TEST(a_commit_counts_once_its_replica_has_it) {
  const epochwal::primary primary(check::fresh_database());
  const epochwal::registration a = primary.register_replica("a", "eu");
  CHECK(a.created);
  CHECK(a.restart_lsn == 0);
  fill(primary, 5);
  CHECK_THROWS(EWAL_TIMEOUT, primary.wait_acks(5, "any 1", 0s));
  CHECK_THROWS(EWAL_E_NOT_FOUND, primary.wait_acks(5, "any 2"));
  const auto few = primary.try_wait_acks(5, "any 2");
  REQUIRE(!few && few.error().acks().has_value());
  CHECK(few.error().acks()->observed == 0);
  CHECK(few.error().acks()->required == 2);
  CHECK(!primary.try_wait_acks(5, "loca").error().acks().has_value());
  CHECK_THROWS(EWAL_E_INVALID, primary.wait_acks(5, "loca"));
  primary.note_pull("a", a.generation, 5);
  primary.ack("a", a.generation, {5, 4, 3});
  CHECK(primary.wait_acks(4, "any 1 (a)", 60s).observed == 1);
  const std::string_view in_eu = "regions 1 (eu)";
  CHECK(primary.wait_acks(5, {in_eu, epochwal::ack_level::written}).required == 1);
  CHECK_THROWS(EWAL_TIMEOUT, primary.wait_acks(4, {"1", epochwal::ack_level::applied}, 1ms));
  CHECK(primary.wait_acks(5, "local").required == 0);
  CHECK(primary.quorum_lsn(1) == 4);
  CHECK(primary.quorum_lsn(1, epochwal::ack_level::applied) == 3);
  CHECK(primary.quorum_lsn(2) == 0);
  const auto degraded =
      primary.wait_acks(5, epochwal::ack_policy(std::string("first 1 (b)")).degrade());
  CHECK(degraded.degraded);
  CHECK(degraded.required == 1);
  const auto events = primary.events_since();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == epochwal::event_kind::commit_degraded);
  CHECK(events[0].lsn == 5);
  CHECK(primary.events_since(events[0].number).empty());
}

TEST(a_replica_follows_in_a_thread_of_its_own) {
  const epochwal::primary primary(check::fresh_database());
  primary.register_replica("a");
  std::thread replica([&] {
    const auto session = primary.register_replica("a");
    const epochwal::cursor tail(primary.spool(), session.restart_lsn);
    for (std::uint64_t last = 0; last < 50;)
      for (const epochwal::record& r : tail.next(60s, {7, 1 << 20})) {
        last = r.lsn;
        primary.ack("a", session.generation, all_of(last));
      }
  });
  for (std::uint64_t lsn = 1; lsn <= 50; ++lsn) {
    fill(primary, lsn);
    CHECK(primary.wait_acks(lsn, "any 1", 60s).observed == 1);
  }
  replica.join();
  CHECK(primary.prune() == 50);
}

TEST(errors_say_what_is_wrong_and_where_to_go_on) {
  const epochwal::primary primary(check::fresh_database());
  const auto first = primary.register_replica("a");
  fill(primary, 5);
  CHECK_THROWS(EWAL_E_NOT_FOUND, primary.ack("b", 1, all_of(1)));
  const auto second = primary.register_replica("a");
  CHECK(!second.created);
  CHECK_THROWS(EWAL_E_FENCED, primary.ack("a", first.generation, all_of(1)));
  CHECK_THROWS(EWAL_E_FENCED, primary.touch("a", first.generation));
  CHECK(primary.ensure_registered("a").generation == second.generation);
  try {
    primary.ack("a", second.generation, all_of(6));
    CHECK(false);
  } catch (const epochwal::error& e) {
    CHECK(e.status() == EWAL_E_AHEAD);
    CHECK(e.lsn() == 5);
  }
}

TEST(a_replica_is_told_where_to_go_on) {
  const epochwal::primary primary(check::fresh_database());
  const auto a = primary.register_replica("a");
  fill(primary, 9);
  primary.ack("a", a.generation, all_of(4));
  auto plan = primary.plan_resume("a", 2, 1);
  CHECK(plan.kind == epochwal::resume_kind::partial);
  CHECK(plan.resume_lsn == 4);
  plan = primary.plan_resume("a", 12);
  CHECK(plan.kind == epochwal::resume_kind::diverged);
  CHECK(plan.common_lsn == 9);
  plan = primary.plan_resume("b", 2);
  CHECK(plan.kind == epochwal::resume_kind::rebootstrap);
  CHECK(plan.cause == epochwal::slot_cause::unknown);
  CHECK(std::string(epochwal::name_of(plan.cause)) == "unknown");
}

TEST(slots_and_replicas_are_listed) {
  const epochwal::primary primary(check::fresh_database());
  const auto b = primary.register_replica("b", "eu");
  fill(primary, 9);
  primary.slot_create("a", 3);
  primary.slot_create("c", std::nullopt, true);
  primary.ack("b", b.generation, {7, 6, 5, 4, 3});
  CHECK(primary.slot("b").id == "b");
  CHECK_THROWS(EWAL_E_NOT_FOUND, (void)primary.slot("nobody"));
  const auto slots = primary.slots();
  REQUIRE(slots.size() == 3);
  CHECK(slots[0].id == "a");
  CHECK(slots[0].restart_lsn == 3);
  CHECK(!slots[0].region.has_value());
  CHECK(slots[1].region == "eu");
  CHECK(slots[1].restart_lsn == 6);
  CHECK(slots[1].confirmed_lsn == 5);
  CHECK(slots[1].wal_status == epochwal::wal_status::reserved);
  CHECK(std::string(epochwal::name_of(slots[1].wal_status)) == "reserved");
  CHECK(slots[1].safe_wal_size.has_value());
  CHECK(slots[2].temporary);
  CHECK(slots[2].restart_lsn == 9);
  const auto replicas = primary.replicas();
  REQUIRE(replicas.size() == 1);
  CHECK(replicas[0].generation == b.generation);
  CHECK(replicas[0].written_lsn == 7);
  CHECK(replicas[0].durable_lsn == 6);
  CHECK(replicas[0].applied_lsn == 5);
  CHECK(replicas[0].apply_errors == 4);
  CHECK(replicas[0].divergences == 3);
  CHECK(replicas[0].healthy);
  CHECK(replicas[0].counts);
  const auto progress = primary.progress();
  CHECK(progress.replicas == 1);
  CHECK(progress.safe_replay_lsn == 6);
  CHECK(progress.retention_floor == 3);
  const auto epoch = primary.topology_epoch();
  primary.set_rebootstrapping("b", true);
  CHECK(primary.topology_epoch() > epoch);
  primary.unregister_replica("b");
  CHECK(primary.replicas().empty());
  CHECK(primary.stats().slots == 3);
  primary.slot_drop("a");
  CHECK(primary.prune(4) == 4);
  CHECK(primary.prune() == 6);
  CHECK(primary.export_slots().find("\"b\"") != std::string::npos);
  CHECK(!primary.salvaged().has_value());
  primary.save();
}

TEST(any_callable_lists_stops_and_throws) {
  const epochwal::primary primary = epochwal::primary::in_memory();
  for (const char* id : {"a", "b", "c"}) primary.register_replica(id);
  std::vector<std::string> seen;
  primary.for_each_slot([&](const epochwal::slot_info& slot) { seen.push_back(slot.id); });
  CHECK(seen.size() == 3);
  seen.clear();
  primary.for_each_replica([&](const epochwal::replica_info& replica) {
    seen.push_back(replica.id);
    return seen.size() < 2;
  });
  CHECK(seen.size() == 2);
  const auto no = [](const epochwal::slot_info&) { throw std::out_of_range("no more"); };
  try {
    primary.for_each_slot(no);
    CHECK(false);
  } catch (const std::out_of_range& e) {
    CHECK(std::string(e.what()) == "no more");
  }
  // It may change what is listed.
  primary.for_each_slot([&](const epochwal::slot_info& slot) { primary.slot_drop(slot.id); });
  CHECK(primary.slots().empty());
  CHECK(!primary.progress().retention_floor.has_value());
}

TEST(limits_give_slots_up) {
  epochwal::primary_options options;
  options.horizon_lsns = 10;
  const epochwal::primary primary(check::fresh_database(), options);
  primary.register_replica("a");
  fill(primary, 11);
  CHECK(primary.slots()[0].wal_status == epochwal::wal_status::unreserved);
  const auto given_up = primary.enforce_limits(77);
  REQUIRE(given_up.size() == 1);
  CHECK(given_up[0].cause == epochwal::slot_cause::horizon);
  CHECK(given_up[0].invalidated_ms == 77);
  const auto events = primary.events_since();
  REQUIRE(events.size() == 1);
  CHECK(events[0].slot_id == "a");
  CHECK(!events[0].message.has_value());
  primary.slot_reset("a", 9);
  CHECK(primary.slots()[0].restart_lsn == 9);
  primary.slot_reset("a", std::nullopt);
  CHECK(primary.slots()[0].restart_lsn == 11);
  CHECK(primary.enforce_limits().empty());
}

TEST(the_spool_is_lent) {
  const std::string db = check::fresh_database();
  epochwal::spool kept;
  {
    const epochwal::primary primary(db);
    primary.spool().append({1, 1, "x"});
    { const epochwal::spool ends = primary.spool(); }
    CHECK_THROWS(EWAL_E_INVALID, primary.spool().close());
    CHECK_THROWS(EWAL_E_LOCKED, epochwal::spool{db});
    kept = primary.spool();
    kept.append({1, 2, "y"});
  }
  CHECK_THROWS(EWAL_E_CLOSED, (void)kept.bounds());
  kept = epochwal::spool(db);
  CHECK(kept.bounds().current_lsn == 2);
  CHECK_THROWS(EWAL_E_LOCKED, epochwal::primary{db});
}

TEST(options_reach_the_primary_and_its_spool) {
  epochwal::primary_options options;
  options.spool.max_payload = 4;
  options.healthy_for(1min).idle_timeout(1h).save_interval(10ms);
  options.max_slots = 1;
  const epochwal::primary_options copied = options;
  const epochwal::primary primary(check::fresh_database(), copied);
  CHECK_THROWS(EWAL_E_TOO_LARGE, primary.spool().append({1, 1, "12345"}));
  primary.register_replica("a");
  CHECK_THROWS(EWAL_E_TOO_LARGE, primary.register_replica("b"));
  const auto refused = [](auto&& set) {
    epochwal::primary_options wrong;
    set(wrong);
    CHECK_THROWS(EWAL_E_INVALID, epochwal::primary::in_memory(wrong));
  };
  refused([](auto& o) { o.healthy_for(-1ns); });
  refused([](auto& o) { o.idle_timeout(-1ns); });
  refused([](auto& o) { o.idle_timeout(0s); });
  refused([](auto& o) { o.save_interval(-1ns); });
  CHECK(epochwal::primary_options().idle_timeout(epochwal::forever).idle_timeout_ns ==
        EWAL_IDLE_TIMEOUT_OFF);
}

TEST(a_zero_byte_ends_no_name) {
  const epochwal::primary primary = epochwal::primary::in_memory();
  primary.register_replica("a");
  const std::string cut("a\0b", 3);
  CHECK_THROWS(EWAL_E_INVALID, primary.register_replica(cut));
  CHECK_THROWS(EWAL_E_INVALID, primary.register_replica("b", cut));
  CHECK_THROWS(EWAL_E_INVALID, primary.unregister_replica(std::string_view(cut)));
  CHECK_THROWS(EWAL_E_INVALID, primary.wait_acks(0, std::string("local\0 ", 7)));
  CHECK_THROWS(EWAL_E_INVALID, primary.register_replica(static_cast<const char*>(nullptr)));
  CHECK(primary.replicas().size() == 1);
  // And no path: that would be a primary in memory.
  CHECK_THROWS(EWAL_E_INVALID, epochwal::primary{std::string("a\0b", 3)});
  CHECK_THROWS(EWAL_E_INVALID, epochwal::primary{static_cast<const char*>(nullptr)});
}

TEST(an_event_loop_waits_for_replicas) {
  epochwal::ack_watch kept;
  CHECK_THROWS(EWAL_E_INVALID, (void)kept.is_decided());
  {
    const epochwal::primary primary(check::fresh_database());
    const auto a = primary.register_replica("a");
    fill(primary, 5);
    const epochwal::file_descriptor fd = primary.event_fd();
    epochwal::ack_watch near = primary.watch_acks(3, "any 1");
    kept = primary.watch_acks(5, "any 1");
    pollfd watched{fd.get(), POLLIN, 0};
    CHECK(poll(&watched, 1, 0) == 0);
    primary.ack("a", a.generation, all_of(3));
    CHECK(poll(&watched, 1, 60000) == 1);
    CHECK(near.is_decided());
    CHECK(!kept.is_decided());
    CHECK(primary.stats().waiting == 2);
    CHECK(near.finish().observed == 1);
    CHECK_THROWS(EWAL_E_INVALID, near.finish());
    near = primary.watch_acks(5, "any 1");
    near = epochwal::ack_watch();  // given up
    CHECK(primary.stats().waiting == 1);
  }
  CHECK_THROWS(EWAL_E_CLOSED, (void)kept.is_decided());
}

TEST(moving_leaves_nothing_behind_and_closes_what_was_there) {
  const std::string db = check::fresh_database();
  const std::string other = check::fresh_database();
  epochwal::primary a(db);
  epochwal::primary b = std::move(a);
  CHECK(!a);
  CHECK_THROWS(EWAL_E_INVALID, a.save());
  CHECK_THROWS(EWAL_E_INVALID, (void)a.spool());
  epochwal::primary c(other);
  c = std::move(b);
  const epochwal::primary d(other);
  c.close(60s);
  CHECK_THROWS(EWAL_E_CLOSED, c.close());
  CHECK_THROWS(EWAL_E_CLOSED, (void)c.slots());
  epochwal::primary e(db);
  const ewal_primary raw = e.release();
  CHECK(ewal_primary_close(raw, -1, nullptr) == EWAL_OK);
}

TEST(one_who_waits_hears_of_the_close) {
  const epochwal::primary primary = epochwal::primary::in_memory();
  primary.register_replica("a");
  ewal_status status = EWAL_OK;
  std::thread waiter([&] {
    const auto nothing = primary.try_wait_acks(1, "any 1");
    status = nothing ? EWAL_OK : nothing.error().status();
  });
  while (primary.stats().waiting == 0) std::this_thread::yield();
  primary.close();
  waiter.join();
  CHECK(status == EWAL_E_CLOSED);
}

int main() { return check::run(); }
