/// @file
/// C++20: `co_await wal.durable(ticket)`, of a coordinator and of a spool.

#ifndef EPOCHWAL_DURABLE_HPP
#define EPOCHWAL_DURABLE_HPP

#include <epochwal/result.hpp>

#include <coroutine>
#include <cstdint>
#include <string>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// Goes on where the news arrives.
struct resume_inline {
  /// On the thread that brings the news.
  void operator()(std::coroutine_handle<> waiting) const { waiting.resume(); }
};

namespace detail {

/// An epoch of a coordinator, as what a coroutine waits for.
struct awaited_epoch {
  ewal_coordinator log;
  std::uint64_t epoch;

  [[nodiscard]] bool is_durable() const noexcept {
    std::uint64_t durable = 0;
    bool any = false;
    // The quick look first. Below what is durable lie epochs that never were,
    // which a crash has taken: those the wait knows.
    return ewal_durable_epoch(log, &durable, &any) == EWAL_OK && any && epoch <= durable &&
           ewal_wait(log, epoch, 0, nullptr) == EWAL_OK;
  }
  ewal_status call_back(ewal_durable_fn run, void* user, ewal_error* e) const noexcept {
    return ewal_on_durable(log, epoch, run, user, nullptr, e);
  }
};

/// Records of a spool.
struct awaited_records {
  ewal_spool log;
  ewal_spool_ticket ticket;

  [[nodiscard]] bool is_durable() const noexcept {
    std::uint64_t last = 0;
    // As above: other records may have the LSNs of those that a crash has taken.
    return ewal_spool_bounds(log, nullptr, &last, nullptr) == EWAL_OK &&
           ticket.last_lsn <= last && ewal_spool_wait(log, ticket, 0, nullptr) == EWAL_OK;
  }
  ewal_status call_back(ewal_durable_fn run, void* user, ewal_error* e) const noexcept {
    return ewal_spool_on_durable(log, ticket, run, user, nullptr, e);
  }
};

}  // namespace detail

/// Waits until something is durable, without a thread.
///
/// Where it is already the coroutine goes on at once, on its own thread. Else it
/// is suspended, and `resume` is called with it **on a thread of the library**.
/// With `resume_inline` the coroutine itself goes on there: it should be quick,
/// it holds up the news for others, and calls that block on this library fail
/// with EWAL_E_DEADLOCK, closing it included. Pass an executor to go on
/// elsewhere. An exception that leaves the executor ends the program.
///
/// A suspended coroutine must not be destroyed before it was resumed: closing
/// the log resumes all of them.
template <class Awaited, class Resume>
class [[nodiscard]] durable_awaiter {
 public:
  /// What `durable` gives.
  durable_awaiter(const Awaited& awaited, Resume resume)
      : awaited_(awaited), resume_(std::move(resume)) {}

  /// @name What co_await calls
  /// @{

  /// By the rules of C++20 for awaiters.
  [[nodiscard]] bool await_ready() const noexcept { return awaited_.is_durable(); }

  bool await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    detail::c_error e;
    // From a success on, another thread may have resumed the coroutine and
    // with it destroyed this object: nothing of it is touched again.
    const ewal_status status = awaited_.call_back(notify, this, &e);
    if (status == EWAL_OK) return true;
    failure_ = e;
    status_ = status;
    return false;
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  void await_resume() const { detail::unwrap(outcome()); }
#else
  result<void> await_resume() const { return outcome(); }
#endif
  /// @}

 private:
  static void notify(void* user, std::uint64_t, ewal_status status) noexcept {
    auto* self = static_cast<durable_awaiter*>(user);
    self->status_ = status;
    // Moved out: resuming may destroy the awaiter, and the function with it.
    Resume resume = std::move(self->resume_);
    resume(self->waiting_);
  }

  result<void> outcome() const {
    if (status_ == EWAL_OK) return {};
    return failure_.as_unexpected(status_);
  }

  Awaited awaited_;
  Resume resume_;
  std::coroutine_handle<> waiting_;
  ewal_status status_ = EWAL_OK;
  detail::c_error failure_;
};

EPOCHWAL_NAMESPACE_END

#endif
