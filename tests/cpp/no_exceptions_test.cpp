// The face that is left with -fno-exceptions: results.

#include "check.hpp"
#include "workload.hpp"

#include <future>
#include <string>
#include <type_traits>

#ifndef EPOCHWAL_NO_EXCEPTIONS
#error "to be compiled with -fno-exceptions"
#endif

using workload::quiet;
using workload::transaction;

namespace {
template <class T, class = void>
struct throws_on_open : std::false_type {};
template <class T>
struct throws_on_open<T, std::void_t<decltype(&T::open)>> : std::true_type {};
}  // namespace

static_assert(!throws_on_open<epochwal::coordinator>::value,
              "what would have to throw is not offered");
static_assert(!throws_on_open<epochwal::spool>::value);
static_assert(!throws_on_open<epochwal::cursor>::value);
static_assert(!throws_on_open<epochwal::spool_reader>::value);
static_assert(!throws_on_open<epochwal::primary>::value);
static_assert(!throws_on_open<epochwal::recovery>::value);
static_assert(!throws_on_open<epochwal::spool_reader>::value);

TEST(results_carry_values) {
  const std::string db = check::fresh_database();
  auto wal = epochwal::coordinator::try_open(db, quiet());
  REQUIRE(wal.has_value());
  const transaction one(1, 1);
  const auto staged = wal->try_commit(one.batch(), std::chrono::minutes(1));
  REQUIRE(staged.has_value());
  CHECK(staged->commit_seq == 1);
  const auto durable = wal->try_durable_epoch();
  REQUIRE(durable.has_value());
  CHECK(*durable == staged->epoch);
  CHECK(wal->try_wait(*staged).has_value());
  CHECK(wal->try_close().has_value());

  auto log = epochwal::recovery::try_open(db);
  REQUIRE(log.has_value());
  auto batch = log->try_next();
  REQUIRE(batch.has_value());
  REQUIRE(batch->has_value());
  CHECK(one.is(**batch));
  batch = log->try_next();
  REQUIRE(batch.has_value());
  CHECK(!batch->has_value());
  const auto report = log->try_report();
  REQUIRE(report.has_value());
  CHECK(report->batches == 1);
}

TEST(results_carry_errors) {
  const std::string db = check::fresh_database();
  auto wal = epochwal::coordinator::try_open(db, quiet());
  REQUIRE(wal.has_value());
  const auto second = epochwal::coordinator::try_open(db, quiet());
  REQUIRE(!second.has_value());
  CHECK(second.error().status() == EWAL_E_LOCKED);
  CHECK(second.error().what()[0] != '\0');
  const auto pending = wal->try_commit(transaction(1, 1).batch(), std::chrono::seconds(0));
  REQUIRE(!pending.has_value());
  CHECK(pending.error().is_timeout());
  REQUIRE(pending.error().staged().has_value());
  CHECK(wal->try_wait(*pending.error().staged()).has_value());
  const auto missing = epochwal::coordinator::try_open("/nonexistent-directory/app.db");
  REQUIRE(!missing.has_value());
  CHECK(missing.error().os_errno() == ENOENT);
}

TEST(a_spool_without_exceptions) {
  const std::string db = check::fresh_database();
  auto spool = epochwal::spool::try_open(db);
  REQUIRE(spool.has_value());
  const auto ticket = spool->try_submit({1, 1, "one"});
  REQUIRE(ticket.has_value());
  CHECK(spool->try_wait(*ticket).has_value());
  CHECK(spool->try_append({1, 2, "two"}).has_value());
  const auto refused = spool->try_append({1, 2, "again"});
  REQUIRE(!refused.has_value());
  CHECK(refused.error().status() == EWAL_E_ORDER);
  CHECK(refused.error().lsn() == 2);
  CHECK(!refused.error().staged().has_value());
  const auto records = spool->try_read_since(0);
  REQUIRE(records.has_value());
  REQUIRE(records->size() == 2);
  CHECK((*records)[1].text() == "two");
  const auto tail = epochwal::cursor::try_open(*spool, 2);
  REQUIRE(tail.has_value());
  const auto nothing = tail->try_next(std::chrono::seconds(0));
  REQUIRE(!nothing.has_value());
  CHECK(nothing.error().is_timeout());
  CHECK(!nothing.error().lsn().has_value());
  auto reader = epochwal::spool_reader::try_open(db, 1);
  REQUIRE(reader.has_value());
  const auto rest = reader->try_next();
  REQUIRE(rest.has_value());
  CHECK(rest->size() == 1);
  const auto end = reader->try_next();
  REQUIRE(end.has_value());
  CHECK(end->empty());
  CHECK(!epochwal::spool_reader::try_open("/nonexistent-directory/app.db").has_value());
  CHECK(spool->try_close().has_value());
}

TEST(a_primary_without_exceptions) {
  auto primary = epochwal::primary::try_open(check::fresh_database());
  REQUIRE(primary.has_value());
  const auto a = primary->try_register_replica("a", "eu");
  REQUIRE(a.has_value());
  const auto spool = primary->try_spool();
  REQUIRE(spool.has_value());
  CHECK(spool->try_append({1, 1, "one"}).has_value());
  const auto early = primary->try_wait_acks(1, "any 1", std::chrono::seconds(0));
  REQUIRE(!early.has_value());
  CHECK(early.error().is_timeout());
  CHECK(primary->try_ack("a", a->generation, {1, 1, 1}).has_value());
  const auto reached = primary->try_wait_acks(1, "any 1");
  REQUIRE(reached.has_value());
  CHECK(reached->observed == 1);
  const auto slots = primary->try_slots();
  REQUIRE(slots.has_value());
  REQUIRE(slots->size() == 1);
  CHECK((*slots)[0].restart_lsn == 1);
  const auto slot = primary->try_slot("b");
  REQUIRE(!slot.has_value());
  CHECK(slot.error().status() == EWAL_E_NOT_FOUND);
  int n = 0;
  CHECK(primary->try_for_each_replica([&](const epochwal::replica_info&) { ++n; }).has_value());
  CHECK(n == 1);
  const auto pruned = primary->try_prune();
  REQUIRE(pruned.has_value());
  CHECK(*pruned == 1);
  CHECK(primary->try_close().has_value());
}

TEST(listings_work) {
  const std::string db = check::fresh_database();
  {
    auto wal = epochwal::coordinator::try_open(db, quiet());
    REQUIRE(wal.has_value());
    REQUIRE(wal->try_commit(transaction(1, 1).batch()).has_value());
  }
  const auto segments = epochwal::try_list_segments(db);
  REQUIRE(segments.has_value());
  CHECK(segments->size() == 1);
  const auto removed = epochwal::try_cleanup_segments(db);
  REQUIRE(removed.has_value());
  CHECK(*removed == 1);
}

TEST(callables_go_through) {
  const std::string db = check::fresh_database();
  std::string image = "x";
  epochwal::segment_record one;
  one.txn_id = one.page_number = 1;
  one.begin_seq = one.end_seq = 1;
  one.has_end_seq = true;
  const epochwal::segment_record records[] = {one.after(image)};
  CHECK(epochwal::try_write_segment(db, 3, records).has_value());
  int n = 0;
  const auto count = [&n](const auto&) { ++n; };
  CHECK(epochwal::try_read_segment(db, 3, count).has_value());
  CHECK(epochwal::try_for_each_segment(db, count).has_value());
  CHECK(n == 2);
  epochwal::spool_options options;
  options.find_term([&n](epochwal::bytes) { return static_cast<std::uint64_t>(++n); });
  const auto spool = epochwal::spool::try_open(db, options);
  REQUIRE(spool.has_value());
  const auto staged = spool->try_submit({1, 1, "one"});
  REQUIRE(staged.has_value());
  CHECK(spool->try_on_durable(*staged, [&n](auto, ewal_status s) { n += s == EWAL_OK; })
            .has_value());
  CHECK(spool->try_close().has_value());
  CHECK(n == 3);
}

#ifdef EPOCHWAL_COROUTINES
namespace {
/// Starts at once, ends by itself.
struct detached {
  struct promise_type {
    detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept {}
  };
};

template <class Log, class Ticket>
detached wait(const Log& log, Ticket ticket, std::promise<ewal_status>& told) {
  const epochwal::result<void> outcome = co_await log.durable(ticket);
  told.set_value(outcome ? EWAL_OK : outcome.error().status());
}
}  // namespace

TEST(a_coroutine_is_given_a_result) {
  const auto spool = epochwal::spool::try_open(check::fresh_database());
  REQUIRE(spool.has_value());
  const auto staged = spool->try_submit({1, 1, "one"});
  REQUIRE(staged.has_value());
  std::promise<ewal_status> good, bad;
  wait(*spool, *staged, good);
  CHECK(good.get_future().get() == EWAL_OK);
  wait(epochwal::coordinator(), std::uint64_t{1}, bad);
  CHECK(bad.get_future().get() == EWAL_E_INVALID);
}
#endif

int main() { return check::run(); }
