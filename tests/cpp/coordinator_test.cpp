// The throwing face of the coordinator.

#include "check.hpp"
#include "workload.hpp"

#include <poll.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <type_traits>

using namespace std::chrono_literals;
using workload::quiet;
using workload::transaction;

static_assert(!std::is_copy_constructible_v<epochwal::coordinator>);
static_assert(!std::is_copy_assignable_v<epochwal::coordinator>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::coordinator>);
static_assert(std::is_nothrow_move_assignable_v<epochwal::coordinator>);
static_assert(std::is_nothrow_destructible_v<epochwal::coordinator>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::file_descriptor>);

TEST(what_is_committed_comes_back) {
  const std::string db = check::fresh_database();
  const transaction one(11, 1);
  const transaction two(12, 2);
  epochwal::ticket last;
  {
    epochwal::coordinator wal(db, quiet());
    const epochwal::ticket first = wal.commit(one.batch());
    last = wal.commit(two.batch(), 60s);
    CHECK(first.commit_seq == 1);
    CHECK(last.commit_seq == 2);
    CHECK(first.epoch < last.epoch);
    CHECK(wal.durable_epoch() == last.epoch);
    CHECK(wal.current_epoch() > last.epoch);
    wal.close();
  }
  epochwal::recovery log(db);
  std::size_t seen = 0;
  for (const epochwal::recovered_batch& batch : log) {
    ++seen;
    CHECK(batch.commit_seq == seen);
    CHECK((seen == 1 ? one : two).is(batch));
  }
  CHECK(seen == 2);
  CHECK(epochwal::max_durable_epoch(db) == last.epoch);
}

TEST(metadata_and_every_kind_of_container_come_back) {
  const std::string db = check::fresh_database();
  const std::string text = "a page of text";
  const std::uint32_t words[] = {1, 2, 3};
  const epochwal::frame frames[] = {{7, std::string_view(text)}, {8, words, 8}};
  {
    epochwal::coordinator wal = epochwal::coordinator::open(db, quiet());
    epochwal::batch batch{1, 0, 1, frames, {}};
    const std::string note = "note";
    batch.metadata = epochwal::as_bytes(note);
    wal.commit(batch);
  }
  epochwal::recovery log = epochwal::recovery::open(db);
  const auto batch = log.next();
  REQUIRE(batch.has_value());
  CHECK(batch->metadata.size() == 4);
  REQUIRE(batch->frames.size() == 2);
  CHECK(batch->frames[0].image().size() == text.size());
  CHECK(std::memcmp(batch->frames[0].image().data(), text.data(), text.size()) == 0);
  CHECK(batch->frames[1].image().size() == sizeof(words));
  CHECK(std::memcmp(batch->frames[1].image().data(), words, sizeof(words)) == 0);
  CHECK(!log.next().has_value());
}

TEST(a_second_writer_is_told_locked) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  CHECK_THROWS(EWAL_E_LOCKED, epochwal::coordinator(db, quiet()));
  wal.close();
  epochwal::coordinator again(db, quiet());
}

TEST(bad_arguments_are_named) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const transaction good(1, 1);
  epochwal::batch bad = good.batch();
  bad.txn_id = 0;
  CHECK_THROWS(EWAL_E_INVALID, wal.commit(bad));
  bad = good.batch();
  bad.commit_seq = 0;
  CHECK_THROWS(EWAL_E_INVALID, wal.submit(bad));
  // The first thing that a newcomer forgets: the message says which option.
  CHECK(std::string_view(wal.try_submit(bad).error().what()).find("sequencing") !=
        std::string_view::npos);
  bad = good.batch();
  bad.frames = {};
  CHECK_THROWS(EWAL_E_INVALID, wal.submit(bad));
  const epochwal::frame page_zero[] = {{0, good.one}};
  bad.frames = page_zero;
  CHECK_THROWS(EWAL_E_INVALID, wal.submit(bad));
  CHECK_THROWS(EWAL_E_INVALID, wal.wait(wal.current_epoch() + 1000));
  CHECK_THROWS(EWAL_E_INVALID, epochwal::coordinator(std::string("a\0b", 3)));
  epochwal::coordinator_options options;
  options.segment_size = 1;
  CHECK_THROWS(EWAL_E_INVALID, epochwal::coordinator(check::fresh_database(), options));
  try {
    epochwal::coordinator refused("/nonexistent-directory/app.db");
    CHECK(false);
  } catch (const epochwal::error& e) {
    CHECK(e.os_errno() == ENOENT);
    CHECK(std::string_view(e.what()).find("nonexistent-directory") != std::string_view::npos);
  }
  // None of it was staged.
  CHECK(wal.stats().batches == 0);
}

TEST(moving_leaves_nothing_behind_and_closes_what_was_there) {
  const std::string db = check::fresh_database();
  const std::string other = check::fresh_database();
  epochwal::coordinator a(db, quiet());
  epochwal::coordinator b = std::move(a);
  CHECK(!a);
  CHECK(b);
  CHECK_THROWS(EWAL_E_INVALID, a.submit(transaction(1, 1).batch()));
  CHECK_THROWS(EWAL_E_INVALID, (void)a.durable_epoch());
  CHECK_THROWS(EWAL_E_INVALID, a.close());
  b.commit(transaction(1, 1).batch());

  epochwal::coordinator c(other, quiet());
  c = std::move(b);
  // The one that c held is closed: its lock is free.
  epochwal::coordinator d(other, quiet());
  c.commit(transaction(2, 2).batch());
  epochwal::coordinator& alias = c;
  c = std::move(alias);
  c.commit(transaction(3, 3).batch());
  a = std::move(c);
  a.commit(transaction(4, 4).batch());

  const ewal_coordinator raw = a.release();
  CHECK(!a);
  CHECK(ewal_coordinator_close(raw, -1, nullptr) == EWAL_OK);
}

TEST(closing_twice_and_using_after_close_are_defined) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const ewal_coordinator raw = wal.native_handle();
  wal.close(60s);
  CHECK_THROWS(EWAL_E_CLOSED, wal.close());
  CHECK_THROWS(EWAL_E_CLOSED, wal.flush());
  CHECK_THROWS(EWAL_E_CLOSED, (void)wal.stats());
  CHECK(ewal_flush(raw, -1, nullptr, nullptr) == EWAL_E_CLOSED);
}

TEST(the_destructor_flushes) {
  const std::string db = check::fresh_database();
  const transaction work(9, 1);
  { epochwal::coordinator(db, quiet()).submit(work.batch()); }
  epochwal::recovery log(db);
  const auto batch = log.next();
  REQUIRE(batch.has_value());
  CHECK(work.is(*batch));
}

TEST(a_commit_that_times_out_gives_its_ticket) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const transaction work(9, 1);
  try {
    // A deadline long past: polls, and does not wait for ever.
    wal.commit(work.batch(), -5s);
    CHECK(false);
  } catch (const epochwal::error& e) {
    CHECK(e.is_timeout());
    REQUIRE(e.staged().has_value());
    CHECK(e.staged()->commit_seq == 1);
    CHECK_THROWS(EWAL_TIMEOUT, wal.wait(*e.staged(), 0s));
    wal.wait(*e.staged());
    CHECK(wal.durable_epoch() == e.staged()->epoch);
  }
  CHECK(wal.stats().batches == 1);
}

TEST(flush_waits_for_all_that_is_staged) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  wal.submit(transaction(1, 1).batch());
  const epochwal::ticket last = wal.submit(transaction(2, 2).batch());
  CHECK(wal.flush(60s) == last.epoch);
  CHECK(wal.durable_epoch() == last.epoch);
}

TEST(many_threads_lose_nothing_and_bring_nothing_twice) {
  constexpr std::uint64_t threads = 8;
  constexpr std::uint64_t each = 40;
  const std::string db = check::fresh_database();
  epochwal::coordinator_options options = quiet();
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  std::mutex lock;
  std::set<std::uint64_t> sequences;
  {
    epochwal::coordinator wal(db, options);
    std::vector<std::thread> committers;
    for (std::uint64_t t = 0; t < threads; ++t)
      committers.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < each; ++i) {
          const epochwal::ticket given =
              wal.commit(transaction(t * each + i + 1, 0).batch());
          const std::lock_guard<std::mutex> held(lock);
          sequences.insert(given.commit_seq);
        }
      });
    for (std::thread& committer : committers) committer.join();
  }
  CHECK(sequences.size() == threads * each);
  CHECK(*sequences.begin() == 1);
  CHECK(*sequences.rbegin() == threads * each);
  std::set<std::uint64_t> transactions;
  std::uint64_t before = 0;
  epochwal::recovery log(db);
  for (const auto& batch : log) {
    CHECK(transaction(batch.txn_id, 0).is(batch));
    CHECK(transactions.insert(batch.txn_id).second);
    CHECK(batch.commit_seq == before + 1);
    before = batch.commit_seq;
  }
  CHECK(transactions.size() == threads * each);
}

TEST(a_callback_runs_once_elsewhere_and_is_destroyed) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const epochwal::ticket staged = wal.submit(transaction(1, 1).batch());
  struct news {
    std::uint64_t epoch;
    ewal_status status;
    std::thread::id thread;
    ewal_status blocking;
  };
  std::promise<news> told;
  auto future = told.get_future();
  auto alive = std::make_shared<int>(0);
  std::weak_ptr<int> watched = alive;
  // Held by value, and not copyable: a promise.
  wal.on_durable(staged.epoch, [&wal, told = std::move(told), alive = std::move(alive)](
                                   std::uint64_t epoch, ewal_status status) mutable {
    const auto refused = wal.try_flush();
    told.set_value({epoch, status, std::this_thread::get_id(),
                    refused ? EWAL_OK : refused.error().status()});
  });
  const news got = future.get();
  CHECK(got.epoch == staged.epoch);
  CHECK(got.status == EWAL_OK);
  CHECK(got.thread != std::this_thread::get_id());
  CHECK(got.blocking == EWAL_E_DEADLOCK);
  wal.close();
  CHECK(watched.expired());
}

std::atomic<int> plain_calls{0};
void plain(std::uint64_t, ewal_status) { ++plain_calls; }

TEST(callbacks_are_any_callable) {
  epochwal::coordinator wal(check::fresh_database(), quiet());
  struct functor {
    std::promise<std::uint64_t>* told;
    int operator()(std::uint64_t epoch, ewal_status) const {
      told->set_value(epoch);
      return 7;  // nobody asks
    }
  };
  std::promise<std::uint64_t> told;
  const epochwal::ticket staged = wal.submit(transaction(1, 1).batch());
  const functor named{&told};
  wal.on_durable(staged, plain);
  wal.on_durable(staged, named);
  wal.on_durable(staged.epoch, std::function<void(std::uint64_t, ewal_status)>(plain));
  CHECK(told.get_future().get() == staged.epoch);
  wal.close();
  CHECK(plain_calls == 2);
}

TEST(options_mean_the_times_that_they_are_given) {
  const auto opens = [](auto&& set) {
    epochwal::coordinator_options options;
    set(options);
    CHECK_THROWS(EWAL_E_INVALID, epochwal::coordinator(check::fresh_database(), options));
  };
  opens([](auto& o) { o.epoch_interval(-1ns); });
  opens([](auto& o) { o.epoch_interval(0s); });
  opens([](auto& o) { o.epoch_interval(std::chrono::hours::max()); });
  opens([](auto& o) { o.block_timeout(std::chrono::hours::max()); });
  epochwal::coordinator_options options;
  options.epoch_interval(epochwal::forever).block_timeout(std::chrono::duration<double>(0.5));
  CHECK(options.epoch_interval_ns == EWAL_EPOCH_INTERVAL_OFF);
  CHECK(options.block_timeout_ns == 500'000'000);
  const epochwal::coordinator wal(check::fresh_database(), options.block_timeout(0s));
}

TEST(a_callback_that_is_refused_is_destroyed_uncalled) {
  epochwal::coordinator nothing;
  auto alive = std::make_shared<int>(0);
  std::weak_ptr<int> watched = alive;
  std::atomic<bool> called{false};
  CHECK_THROWS(EWAL_E_INVALID,
               nothing.on_durable(1, [&called, alive = std::move(alive)](
                                         std::uint64_t, ewal_status) { called = true; }));
  CHECK(watched.expired());
  CHECK(!called);
}

TEST(the_event_descriptor_tells_of_progress) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  epochwal::file_descriptor fd = wal.event_fd();
  epochwal::file_descriptor second = wal.event_fd();
  CHECK(fd.get() != second.get());
  const epochwal::ticket staged = wal.submit(transaction(1, 1).batch());
  wal.request_flush(staged.epoch);
  pollfd wanted{fd.get(), POLLIN, 0};
  CHECK(poll(&wanted, 1, 60'000) == 1);
  CHECK(wal.durable_epoch() == staged.epoch);
  epochwal::file_descriptor moved = std::move(fd);
  CHECK(fd.get() == -1);
  CHECK(moved.get() == wanted.fd);
}

TEST(a_checkpoint_forgets_what_the_database_has) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const epochwal::ticket first = wal.commit(transaction(1, 1).batch());
  wal.commit(transaction(2, 2).batch());
  CHECK_THROWS(EWAL_E_INVALID, wal.checkpoint(wal.current_epoch() + 1));
  wal.checkpoint(first.epoch);
  wal.close();
  epochwal::recovery log(db);
  const auto batch = log.next();
  REQUIRE(batch.has_value());
  CHECK(batch->txn_id == 2);
  CHECK(!log.next().has_value());
}

TEST(one_process_shares_a_coordinator) {
  const std::string db = check::fresh_database();
  const std::filesystem::path path = db;
  const std::filesystem::path detour = path.parent_path() / ".." /
                                       path.parent_path().filename() / path.filename();
  auto a = epochwal::coordinator::for_path(path, quiet());
  auto b = epochwal::coordinator::for_path(detour, quiet());
  const epochwal::ticket staged = a.commit(transaction(1, 1).batch());
  CHECK(b.durable_epoch() == staged.epoch);
  epochwal::coordinator_options other = quiet();
  other.slot_count = 3;
  CHECK_THROWS(EWAL_E_INVALID, epochwal::coordinator::for_path(db, other));
  a.close();
  b.commit(transaction(2, 2).batch());
  CHECK_THROWS(EWAL_E_LOCKED, epochwal::coordinator(db, quiet()));
}

TEST(figures_count) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  wal.commit(transaction(1, 1).batch());
  const ewal_stats figures = wal.stats();
  CHECK(figures.batches == 1);
  CHECK(figures.frames == 2);
  CHECK(figures.bytes == 2 * workload::page_size);
  const std::string text = wal.prometheus();
  CHECK(text.find("epochwal_batches_total") != std::string::npos);
  CHECK(text.find('\0') == std::string::npos);
  CHECK(text.back() == '\n');
  std::uint32_t waiting = 0;
  wal.submit(transaction(2, 2).batch());
  for (std::uint32_t lane = 0; lane < figures.lanes; ++lane) waiting += wal.lane_backlog(lane);
  CHECK(waiting == 2);
  CHECK_THROWS(EWAL_E_NOT_FOUND, (void)wal.lane_backlog(figures.lanes));
  CHECK(wal.salvaged().empty());
}

int main() { return check::run(); }
