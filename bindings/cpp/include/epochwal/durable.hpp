// C++20: `co_await coordinator.durable(ticket)`.

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
  void operator()(std::coroutine_handle<> waiting) const { waiting.resume(); }
};

/// Waits for an epoch without a thread.
///
/// Where the epoch is durable already the coroutine goes on at once, on its
/// own thread. Else it is suspended, and `resume` is called with it **on a
/// thread of the library**. With `resume_inline` the coroutine itself goes on
/// there: it should be quick, it holds up the news for others, and calls that
/// block on this library fail with EWAL_E_DEADLOCK, closing it included. Pass
/// an executor to go on elsewhere.
///
/// A suspended coroutine must not be destroyed before it was resumed: closing
/// the coordinator resumes all of them.
template <class Resume>
class [[nodiscard]] durable_awaiter {
 public:
  durable_awaiter(ewal_coordinator handle, std::uint64_t epoch, Resume resume)
      : handle_(handle), epoch_(epoch), resume_(std::move(resume)) {}

  [[nodiscard]] bool await_ready() const noexcept {
    std::uint64_t durable = 0;
    bool any = false;
    return ewal_durable_epoch(handle_, &durable, &any) == EWAL_OK && any && epoch_ <= durable;
  }

  bool await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    detail::c_error e;
    // From a success on, another thread may have resumed the coroutine and
    // with it destroyed this object: nothing of it is touched again.
    const ewal_status status = ewal_on_durable(handle_, epoch_, notify, this, nullptr, &e);
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

  ewal_coordinator handle_;
  std::uint64_t epoch_;
  Resume resume_;
  std::coroutine_handle<> waiting_;
  ewal_status status_ = EWAL_OK;
  detail::c_error failure_;
};

EPOCHWAL_NAMESPACE_END

#endif
