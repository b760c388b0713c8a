// co_await of what is to become durable, from C++20 on.

#include "check.hpp"
#include "workload.hpp"

#include <chrono>
#include <coroutine>
#include <exception>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using workload::quiet;
using workload::transaction;

namespace {

/// Starts at once, ends by itself; tells of its end through a promise.
struct detached {
  struct promise_type {
    detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct end {
  ewal_status status = EWAL_OK;
  std::thread::id thread;
};

/// For an epoch of a coordinator, or for records of a spool.
template <class Log, class Ticket>
detached wait_inline(const Log& log, Ticket ticket, std::promise<end>& told) {
  end how;
  try {
    co_await log.durable(ticket);
  } catch (const epochwal::error& e) {
    how.status = e.status();
  }
  how.thread = std::this_thread::get_id();
  told.set_value(how);
}

template <class Log, class Ticket, class Executor>
detached wait_on(const Log& log, Ticket ticket, Executor executor, std::promise<end>& told) {
  co_await log.durable(ticket, std::move(executor));
  // On a thread of one's own, blocking calls are fine.
  log.flush();
  told.set_value({EWAL_OK, std::this_thread::get_id()});
}

detached append_in_memory(epochwal::spool spool, std::uint64_t last, std::promise<end>& told) {
  for (std::uint64_t lsn = 1; lsn <= last; ++lsn)
    co_await spool.durable(spool.submit({1, lsn, "x"}));
  told.set_value({EWAL_OK, std::this_thread::get_id()});
}

}  // namespace

TEST(a_coroutine_goes_on_when_its_epoch_is_durable) {
  epochwal::coordinator wal(check::fresh_database(), quiet());
  const epochwal::ticket staged = wal.submit(transaction(1, 1).batch());
  std::promise<end> told;
  wait_inline(wal, staged.epoch, told);
  const end how = told.get_future().get();
  CHECK(how.status == EWAL_OK);
  CHECK(how.thread != std::this_thread::get_id());
  CHECK(wal.durable_epoch() == staged.epoch);
}

TEST(what_is_durable_already_does_not_suspend) {
  epochwal::coordinator wal(check::fresh_database(), quiet());
  const epochwal::ticket done = wal.commit(transaction(1, 1).batch());
  std::promise<end> told;
  wait_inline(wal, done.epoch, told);
  CHECK(told.get_future().get().thread == std::this_thread::get_id());
}

TEST(an_executor_chooses_the_thread) {
  epochwal::coordinator wal(check::fresh_database(), quiet());
  const epochwal::ticket staged = wal.submit(transaction(1, 1).batch());
  std::promise<std::coroutine_handle<>> posted;
  std::promise<end> told;
  wait_on(wal, staged, [&posted](std::coroutine_handle<> waiting) { posted.set_value(waiting); },
          told);
  posted.get_future().get().resume();
  CHECK(told.get_future().get().thread == std::this_thread::get_id());
}

TEST(a_refusal_is_thrown_where_it_was_asked) {
  epochwal::coordinator nothing;
  std::promise<end> told;
  wait_inline(nothing, std::uint64_t{1}, told);
  const end how = told.get_future().get();
  CHECK(how.status == EWAL_E_INVALID);
  CHECK(how.thread == std::this_thread::get_id());
}

TEST(closing_resumes_every_waiting_coroutine) {
  constexpr std::size_t count = 64;
  epochwal::coordinator wal(check::fresh_database(), quiet());
  std::vector<std::promise<end>> told(count);
  for (std::size_t i = 0; i < count; ++i)
    wait_inline(wal, wal.submit(transaction(i + 1, i + 1).batch()).epoch, told[i]);
  wal.close();
  for (auto& one : told) CHECK(one.get_future().get().status == EWAL_OK);
}

/// One coroutine that appends: its thread is the library's after the first wait.
detached append_all(const epochwal::spool& spool, std::uint64_t last, std::promise<end>& told) {
  for (std::uint64_t lsn = 1; lsn <= last; ++lsn) {
    co_await spool.durable(spool.submit({1, lsn, "x"}));
    CHECK(spool.bounds().current_lsn >= lsn);
    CHECK_THROWS(EWAL_E_DEADLOCK, spool.flush());
  }
  told.set_value({EWAL_OK, std::this_thread::get_id()});
}

TEST(a_coroutine_appends_to_a_spool) {
  const epochwal::spool spool(check::fresh_database());
  std::promise<end> told;
  append_all(spool, 50, told);
  CHECK(told.get_future().get().thread != std::this_thread::get_id());
  CHECK(spool.bounds().current_lsn == 50);
}

TEST(records_that_are_durable_do_not_suspend) {
  const epochwal::spool spool(check::fresh_database());
  const epochwal::spool_ticket staged = spool.submit({1, 5, "x"});
  spool.wait(staged);
  std::promise<end> told;
  wait_inline(spool, staged, told);
  CHECK(told.get_future().get().thread == std::this_thread::get_id());
  // In memory nothing ever does.
  const epochwal::primary primary = epochwal::primary::in_memory();
  std::promise<end> again;
  append_in_memory(primary.spool(), 100'000, again);
  CHECK(again.get_future().get().thread == std::this_thread::get_id());
}

TEST(an_executor_chooses_the_thread_for_records) {
  const epochwal::spool spool(check::fresh_database());
  const epochwal::spool_ticket staged = spool.submit({1, 1, "x"});
  std::promise<std::coroutine_handle<>> posted;
  std::promise<end> told;
  wait_on(spool, staged,
          [&posted](std::coroutine_handle<> waiting) { posted.set_value(waiting); }, told);
  posted.get_future().get().resume();
  CHECK(told.get_future().get().thread == std::this_thread::get_id());
}

TEST(a_ticket_that_was_never_given_is_refused) {
  const epochwal::spool spool(check::fresh_database());
  std::promise<end> told;
  wait_inline(spool, epochwal::spool_ticket{1 << 20, 0, 0}, told);
  CHECK(told.get_future().get().status == EWAL_E_INVALID);
  spool.close();
  std::promise<end> closed;
  wait_inline(spool, epochwal::spool_ticket{1, 1, 1}, closed);
  CHECK(closed.get_future().get().status == EWAL_E_CLOSED);
}

/// Stages a batch and a record, and ends as a crash does: what they were given.
std::pair<epochwal::ticket, epochwal::spool_ticket> lost_in_a_crash(const std::string& db) {
  std::pair<epochwal::ticket, epochwal::spool_ticket> given;
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    epochwal::spool_options options;
    options.flush_interval(std::chrono::hours(1));
    epochwal::coordinator wal(db, quiet());
    epochwal::spool spool(db, options);
    given = {wal.submit(transaction(1, 1).batch()), spool.submit({1, 1, "lost"})};
    _exit(write(ends[1], &given, sizeof given) == sizeof given ? 0 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(read(ends[0], &given, sizeof given) == sizeof given);
  close(ends[0]);
  close(ends[1]);
  return given;
}

TEST(what_a_crash_has_lost_is_not_durable_once_others_are) {
  const std::string db = check::fresh_database();
  const auto [batch, record] = lost_in_a_crash(db);
  epochwal::coordinator wal(db, quiet());
  epochwal::spool spool(db);
  CHECK(wal.commit(transaction(1, 1).batch()).epoch > batch.epoch);
  spool.append({1, 1, "another"});
  CHECK_THROWS(EWAL_E_INVALID, wal.wait(batch));
  CHECK_THROWS(EWAL_E_INVALID, spool.wait(record));
  std::promise<end> of_batch, of_record;
  wait_inline(wal, batch, of_batch);
  CHECK(of_batch.get_future().get().status == EWAL_E_INVALID);
  wait_inline(spool, record, of_record);
  CHECK(of_record.get_future().get().status == EWAL_E_INVALID);
}

int main() { return check::run(); }
