// The throwing face of the spool.

#include "check.hpp"

#include <epochwal/epochwal.hpp>

#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef CHECK_RANGES
#include <ranges>
#endif

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<epochwal::spool>);
static_assert(!std::is_copy_assignable_v<epochwal::cursor>);
static_assert(!std::is_copy_constructible_v<epochwal::records>);
static_assert(!std::is_copy_constructible_v<epochwal::spool_reader>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::spool_reader>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::spool>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::cursor>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::records>);
static_assert(!std::is_copy_constructible_v<epochwal::spool_reader>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::spool_reader>);
static_assert(std::is_nothrow_destructible_v<epochwal::spool>);

namespace {

constexpr epochwal::read_limit all{std::numeric_limits<std::size_t>::max(),
                                   std::numeric_limits<std::size_t>::max()};

/// Appends records whose payload is their LSN in decimal.
void append(const epochwal::spool& spool, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t lsn = first; lsn <= last; ++lsn) {
    const std::string text = std::to_string(lsn);
    spool.append({1, lsn, text, 1000 + lsn});
  }
}

bool is_right(const epochwal::record& r) {
  return r.text() == std::to_string(r.lsn) && r.timestamp_ms == 1000 + r.lsn && r.term == 1;
}

/// Nothing is written by itself.
epochwal::spool_options quiet() {
  epochwal::spool_options options;
  options.flush_interval(1h);
  options.segment_size = 32 << 10;
  return options;
}

}  // namespace

TEST(what_is_appended_comes_back) {
  const std::string db = check::fresh_database();
  {
    epochwal::spool spool(db);
    const std::vector<std::uint32_t> words{1, 2, 3};
    const std::vector<epochwal::record> run{{1, 2, "two"}, {2, 5, words, 77}};
    const epochwal::spool_ticket ticket = spool.submit(run);
    CHECK(ticket.first_lsn == 2);
    CHECK(ticket.last_lsn == 5);
    spool.wait(ticket, 60s);
    spool.append({2, 6, std::string_view("six")}, 60s);
    spool.close();
  }
  const epochwal::spool spool = epochwal::spool::open(db);
  CHECK(spool.bounds().oldest_lsn == 2);
  CHECK(spool.bounds().current_lsn == 6);
  CHECK(spool.bounds().pruned_through == 0);
  CHECK(spool.term() == 2);
  CHECK(!spool.torn().has_value());
  const epochwal::records got = spool.read_since(0);
  REQUIRE(got.size() == 3);
  CHECK(got[0].text() == "two");
  CHECK(got[0].timestamp_ms > 0);
  CHECK(got[1].term == 2);
  CHECK(got[1].timestamp_ms == 77);
  CHECK(got[1].data().size() == 12);
  CHECK(got.back().text() == "six");
  CHECK(spool.read_since(6).empty());
  CHECK(spool.stats().batches == 0);
}

TEST(a_read_is_limited_and_gives_one_at_least) {
  epochwal::spool spool(check::fresh_database());
  append(spool, 1000, 1019);
  CHECK(spool.read_since(0, {5, 1 << 20}).size() == 5);
  CHECK(spool.read_since(0, {100, 12}).size() == 3);
  CHECK(spool.read_since(0, {100, 0}).size() == 1);
  CHECK_THROWS(EWAL_E_INVALID, (void)spool.read_since(0, {0, 9}));
  std::size_t n = 0;
  for (const epochwal::record& r : spool.read_since(0)) n += is_right(r);
  CHECK(n == 20);
}

TEST(errors_have_the_lsn_to_go_on_from) {
  epochwal::spool spool(check::fresh_database());
  append(spool, 1, 10);
  const auto lsn_of = [](ewal_status status, auto&& call) {
    try {
      call();
    } catch (const epochwal::error& e) {
      CHECK(e.status() == status);
      return e.lsn().value_or(0);
    }
    CHECK(false);  // nothing was thrown
    return std::uint64_t{0};
  };
  CHECK(lsn_of(EWAL_E_ORDER, [&] { spool.append({1, 10, "x"}); }) == 10);
  CHECK(lsn_of(EWAL_E_FENCED, [&] { spool.append({0, 11, "x"}); }) == 10);
  CHECK(lsn_of(EWAL_E_AHEAD, [&] { (void)spool.read_since(11); }) == 10);
  CHECK(spool.prune_through(4) == 4);
  CHECK(lsn_of(EWAL_E_WAL_REMOVED, [&] { (void)spool.read_since(3); }) == 5);
  CHECK(lsn_of(EWAL_E_INVALID, [&] { spool.append({1, 0, "x"}); }) == 0);
  spool.truncate_after(7, 3);
  CHECK(lsn_of(EWAL_E_FENCED, [&] { spool.truncate_after(7, 3); }) == 7);
  CHECK(spool.bounds().current_lsn == 7);
  CHECK(spool.term() == 3);
  spool.check_term(7, 1);
  CHECK(lsn_of(EWAL_E_DIVERGED, [&] { spool.check_term(7, 2); }) == 6);
}

TEST(an_append_that_times_out_gives_its_ticket) {
  epochwal::spool spool(check::fresh_database(), quiet());
  try {
    // A deadline long past: polls, and does not wait for ever.
    spool.append({1, 3, "x"}, -5s);
    CHECK(false);
  } catch (const epochwal::error& e) {
    CHECK(e.is_timeout());
    REQUIRE(e.staged().has_value());
    CHECK(e.staged()->commit_seq == 3);
    CHECK_THROWS(EWAL_TIMEOUT, spool.wait(*e.staged(), 0s));
    CHECK_THROWS(EWAL_TIMEOUT, spool.wait_after(0, 1ms));
    spool.wait(*e.staged());
  }
  CHECK(spool.bounds().current_lsn == 3);
  (void)spool.submit({1, 4, "y"});
  spool.flush(60s);
  spool.wait_after(3, 0s);
}

TEST(a_cursor_follows_and_is_closed_by_another_thread) {
  epochwal::spool spool(check::fresh_database());
  const epochwal::cursor tail(spool, 0);
  CHECK_THROWS(EWAL_TIMEOUT, (void)tail.next(0s));
  std::thread writer([&] { append(spool, 1, 200); });
  std::uint64_t next = 1;
  while (next <= 200)
    for (const epochwal::record& r : tail.next(60s, {7, 1 << 20})) {
      CHECK(is_right(r));
      CHECK(r.lsn == next);
      ++next;
    }
  writer.join();
  ewal_status status = EWAL_OK;
  std::thread waiter([&] {
    const auto nothing = tail.try_next();
    status = nothing ? EWAL_OK : nothing.error().status();
  });
  tail.close();
  waiter.join();
  CHECK(status == EWAL_E_CLOSED);
  CHECK_THROWS(EWAL_E_CLOSED, (void)tail.next());
}

TEST(a_loop_over_a_cursor_follows_until_the_close) {
  epochwal::spool spool(check::fresh_database());
  const epochwal::spool copy(check::fresh_database());
  append(spool, 1, 30);
  const epochwal::cursor tail(spool, 0);
  std::thread replica([&] {
    for (const epochwal::records& batch : tail) copy.append(batch);
  });
  append(spool, 31, 60);
  copy.wait_after(59, 60s);
  spool.close();
  replica.join();
  const epochwal::records got = copy.read_since(0);
  CHECK(got.size() == 60);
  for (const epochwal::record& r : got) CHECK(is_right(r));
  CHECK(tail.begin() == tail.end());
  // One that the cursor itself ends.
  const epochwal::cursor own(copy, 0);
  std::size_t n = 0;
  for (const epochwal::records& batch : own) {
    if ((n += batch.size()) == 60) own.close();
  }
  CHECK(n == 60);
}

TEST(a_loop_over_a_cursor_throws_what_is_no_end) {
  epochwal::spool spool(check::fresh_database());
  append(spool, 1, 9);
  spool.prune_through(5);
  const epochwal::cursor late(spool, 2);
  CHECK_THROWS(EWAL_E_WAL_REMOVED, for (const auto& batch : late) CHECK(batch.empty()));
}

#ifdef CHECK_RANGES
static_assert(std::ranges::input_range<const epochwal::cursor>);
static_assert(!std::ranges::forward_range<epochwal::cursor>);
static_assert(std::ranges::input_range<epochwal::spool_reader>);
static_assert(!std::ranges::forward_range<epochwal::spool_reader>);
#endif

#ifdef CHECK_VIEWS
TEST(a_cursor_goes_through_views) {
  epochwal::spool spool(check::fresh_database());
  append(spool, 1, 9);
  const epochwal::cursor tail(spool, 3);
  std::uint64_t sum = 0;
  for (const epochwal::record& r : tail | std::views::join | std::views::take(5)) {
    CHECK(is_right(r));
    sum += r.lsn;
  }
  CHECK(sum == 4 + 5 + 6 + 7 + 8);
  // A temporary one lives in its view.
  const std::string db = check::fresh_database();
  append(epochwal::spool(db), 1, 9);
  auto right = epochwal::spool_reader(db) | std::views::filter(is_right);
  CHECK(std::ranges::distance(right) == 9);
}
#endif

TEST(a_cursor_that_waits_hears_of_the_close) {
  epochwal::spool spool(check::fresh_database());
  epochwal::cursor tail(spool, 0);
  ewal_status status = EWAL_OK;
  std::thread waiter([&] {
    const auto nothing = tail.try_next();
    status = nothing ? EWAL_OK : nothing.error().status();
  });
  spool.close();
  waiter.join();
  CHECK(status == EWAL_E_CLOSED);
}

TEST(a_cursor_keeps_its_segment_across_a_prune) {
  epochwal::spool_options options = quiet();
  options.ring_bytes = EWAL_RING_BYTES_OFF;
  epochwal::spool spool(check::fresh_database(), options);
  append(spool, 1, 100);
  epochwal::cursor begun(spool, 0);
  const epochwal::cursor fresh(spool, 0);
  CHECK(begun.next(0s, {2, 100}).size() == 2);
  CHECK(spool.prune_through(90) == 90);
  CHECK(begun.next(0s, {1, 100})[0].lsn == 3);
  CHECK_THROWS(EWAL_E_WAL_REMOVED, (void)fresh.next(0s));
  begun = epochwal::cursor::open(spool, 90);
  CHECK(begun.next(0s).size() == 10);
}

TEST(records_outlive_everything_and_move) {
  const std::string db = check::fresh_database();
  epochwal::records kept;
  CHECK(kept.empty());
  {
    epochwal::spool spool(db);
    append(spool, 1, 50);
    epochwal::records got = spool.read_since(0, all);
    epochwal::records moved = std::move(got);
    CHECK(got.empty());
    CHECK(got.native_handle().id == 0);
    kept = spool.read_since(49);
    kept = std::move(moved);
    spool.prune_through(50);
  }
  CHECK(kept.size() == 50);
  for (const epochwal::record& r : kept) CHECK(is_right(r));
  const ewal_records raw = kept.release();
  CHECK(kept.empty());
  CHECK(ewal_records_release(raw) == EWAL_OK);
  CHECK(epochwal::records(raw).empty());
}

TEST(moving_leaves_nothing_behind_and_closes_what_was_there) {
  const std::string db = check::fresh_database();
  const std::string other = check::fresh_database();
  epochwal::spool a(db);
  CHECK_THROWS(EWAL_E_LOCKED, epochwal::spool{db});
  epochwal::spool b = std::move(a);
  CHECK(!a);
  CHECK_THROWS(EWAL_E_INVALID, a.append({1, 1, "x"}));
  CHECK_THROWS(EWAL_E_INVALID, (void)a.bounds());
  epochwal::spool c(other);
  c = std::move(b);
  const epochwal::spool d(other);
  c.append({1, 1, "x"});
  c.close(60s);
  CHECK_THROWS(EWAL_E_CLOSED, c.close());
  CHECK_THROWS(EWAL_E_CLOSED, c.append({1, 2, "x"}));
  CHECK_THROWS(EWAL_E_CLOSED, epochwal::cursor(c, 0));
}

TEST(a_descriptor_tells_of_records) {
  epochwal::spool spool(check::fresh_database());
  const epochwal::file_descriptor fd = spool.event_fd();
  pollfd watched{fd.get(), POLLIN, 0};
  CHECK(poll(&watched, 1, 0) == 0);
  spool.append({1, 1, "x"});
  CHECK(poll(&watched, 1, 60000) == 1);
}

TEST(a_spool_without_damage_is_salvaged_as_it_is) {
  const std::string db = check::fresh_database();
  CHECK_THROWS(EWAL_E_NOT_FOUND, epochwal::spool::salvage(db));
  {
    epochwal::spool spool(db);
    append(spool, 1, 3);
    CHECK_THROWS(EWAL_E_LOCKED, epochwal::spool::salvage(db));
  }
  const ewal_salvage_report report = epochwal::spool::salvage(db);
  CHECK(report.files == 0);
  CHECK(report.current_lsn == 3);
  epochwal::spool_options options;
  options.flags = EWAL_OPEN_SALVAGE;
  CHECK(epochwal::spool(db, options).salvaged().empty());
}

TEST(an_export_is_taken_in_and_a_cut_tail_is_saved) {
  const std::string db = check::fresh_database();
  const std::string copy = db + "-copy";
  epochwal::spool spool(db, quiet());
  append(spool, 1, 9);
  CHECK(!spool.imported().has_value());
  CHECK(!spool.saved_tail().has_value());
  CHECK(spool.export_rdlw(copy + ".logical.wal") == 9);
  CHECK_THROWS(EWAL_E_EXISTS, spool.export_rdlw(copy + ".logical.wal"));
  spool.truncate_after(7, 3);
  REQUIRE(spool.saved_tail().has_value());
  CHECK(*spool.saved_tail() == db + ".logical.wal.cut-1");
  epochwal::spool other(copy);
  REQUIRE(other.imported().has_value());
  CHECK(*other.imported() == copy + ".logical.wal.imported-1");
  const epochwal::records records = other.read_since(0, all);
  CHECK(records.size() == 9);
  for (const epochwal::record& r : records) CHECK(is_right(r));
  // Nothing else writes it.
  const epochwal::spool_ticket ticket = spool.submit({3, 8, "x"});
  spool.request_flush(ticket);
  spool.wait_after(7);
  CHECK_THROWS(EWAL_E_INVALID, spool.request_flush({1 << 20, 0, 0}));
}

TEST(a_reader_needs_no_handle_of_the_spool) {
  const std::string db = check::fresh_database();
  epochwal::spool spool(db, quiet());
  // With one sync for all of them.
  for (std::uint64_t lsn = 1; lsn <= 1500; ++lsn) {
    const std::string text = std::to_string(lsn);
    (void)spool.submit({1, lsn, text, 1000 + lsn});
  }
  spool.flush();
  // More than a batch: the range goes on.
  std::uint64_t last = 20;
  for (const epochwal::record& r : epochwal::spool_reader(db, 20)) {
    CHECK(r.lsn == ++last);
    CHECK(is_right(r));
  }
  CHECK(last == 1500);
  epochwal::spool_reader reader(db);
  const epochwal::records three = reader.next({3, 100});
  CHECK(three.size() == 3);
  epochwal::spool_reader moved(std::move(reader));
  CHECK_THROWS(EWAL_E_INVALID, (void)reader.next());
  CHECK(moved.next(all).size() == 1497);
  CHECK(moved.next().empty());
  const ewal_spool_summary summary = moved.report();
  CHECK(summary.records == 1500);
  CHECK(summary.writer);
  moved.close();
  CHECK_THROWS(EWAL_E_CLOSED, (void)moved.next());
  CHECK(three.back().lsn == 3);
  CHECK_THROWS(EWAL_E_AHEAD, (void)epochwal::spool_reader(db, 1501).begin());
  spool.prune_through(1000);
  CHECK_THROWS(EWAL_E_WAL_REMOVED, epochwal::spool_reader(db, 999));
  const epochwal::spool_reader nothing(check::fresh_database());
  CHECK(!nothing.report().exists);
}

TEST(a_spool_knows_its_past) {
  epochwal::spool spool(check::fresh_database(), quiet());
  append(spool, 1, 3);
  spool.truncate_after(2, 7);
  const std::vector<ewal_term_start> terms = spool.terms();
  REQUIRE(terms.size() == 2);
  CHECK(terms[0].term == 1);
  CHECK(terms[0].first_lsn == 1);
  CHECK(terms[1].term == 7);
  CHECK(terms[1].first_lsn == 3);
  CHECK(spool.lost().empty());
}

/// A RDLW file of version 1, without terms: the payloads are their digits.
void write_version_one(const std::string& path, unsigned count) {
  std::ofstream file(path, std::ios::binary);
  for (unsigned lsn = 1; lsn <= count; ++lsn) {
    char record[22] = "RDLW\1";
    record[5] = static_cast<char>(lsn);
    record[13] = 1;
    record[21] = static_cast<char>('0' + lsn);
    file.write(record, sizeof record);
  }
}

TEST(any_callable_finds_terms_and_what_it_throws_comes_out) {
  const std::string db = check::fresh_database();
  const std::string file = db + ".logical.wal";
  write_version_one(file, 5);
  epochwal::spool_options options;
  options.find_term([calls = std::make_unique<int>(0)](epochwal::bytes) -> std::uint64_t {
    if (++*calls == 3) throw std::out_of_range("no term");
    return 1;
  });
  const auto fails = [](auto&& open) {
    try {
      open();
      return false;
    } catch (const std::out_of_range& e) {
      return std::string_view(e.what()) == "no term";
    }
  };
  CHECK(fails([&] { epochwal::spool refused(db, options); }));
  CHECK(std::filesystem::exists(file));
  options.find_term([](epochwal::bytes payload) {
    return static_cast<std::uint64_t>(payload[0]) - '0' + 6;
  });
  epochwal::primary_options of_primary;
  of_primary.spool = options;
  {
    const epochwal::primary primary(db, of_primary);
    CHECK(!std::filesystem::exists(file));
    const epochwal::records got = primary.spool().read_since(0);
    REQUIRE(got.size() == 5);
    CHECK(got.front().term == 7);
    CHECK(got.back().term == 11);
  }
  // One that throws for a primary.
  const std::string other = check::fresh_database();
  write_version_one(other + ".logical.wal", 1);
  of_primary.spool.find_term(
      [](epochwal::bytes) -> std::uint64_t { throw std::out_of_range("no term"); });
  CHECK(fails([&] { epochwal::primary refused(other, of_primary); }));
}

TEST(a_callback_tells_of_records_once) {
  const epochwal::spool spool(check::fresh_database(), quiet());
  const epochwal::spool_ticket staged = spool.submit({1, 4, "x"});
  std::promise<std::pair<std::uint64_t, ewal_status>> told;
  auto future = told.get_future();
  // Not copyable: a promise.
  spool.on_durable(staged, [told = std::move(told)](std::uint64_t epoch,
                                                    ewal_status status) mutable {
    told.set_value({epoch, status});
  });
  CHECK(future.get() == std::pair(staged.epoch, ewal_status{EWAL_OK}));
  CHECK(spool.bounds().current_lsn == 4);
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = alive;
  CHECK_THROWS(EWAL_E_INVALID,
               spool.on_durable({1 << 20, 0, 0}, [alive = std::move(alive)](auto, auto) {}));
  CHECK(watched.expired());
}

TEST(options_out_of_range_are_refused) {
  epochwal::spool_options options;
  options.flush_interval(-1s);
  CHECK_THROWS(EWAL_E_INVALID, epochwal::spool(check::fresh_database(), options));
  options.flush_interval(std::chrono::hours::max());
  CHECK_THROWS(EWAL_E_INVALID, epochwal::spool(check::fresh_database(), options));
}

int main() { return check::run(); }
