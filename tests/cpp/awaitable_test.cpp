// co_await coordinator.durable(ticket), from C++20 on.

#include "check.hpp"
#include "workload.hpp"

#include <coroutine>
#include <exception>
#include <functional>
#include <future>
#include <thread>
#include <vector>

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

detached wait_inline(const epochwal::coordinator& wal, std::uint64_t epoch,
                     std::promise<end>& told) {
  end how;
  try {
    co_await wal.durable(epoch);
  } catch (const epochwal::error& e) {
    how.status = e.status();
  }
  how.thread = std::this_thread::get_id();
  told.set_value(how);
}

template <class Executor>
detached wait_on(const epochwal::coordinator& wal, epochwal::ticket ticket, Executor executor,
                 std::promise<end>& told) {
  co_await wal.durable(ticket, std::move(executor));
  // On a thread of one's own, blocking calls are fine.
  wal.flush();
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
  wait_inline(nothing, 1, told);
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

int main() { return check::run(); }
