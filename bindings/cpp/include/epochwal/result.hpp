/// @file
/// Errors, and results that hold one.

#ifndef EPOCHWAL_RESULT_HPP
#define EPOCHWAL_RESULT_HPP

#include <epochwal/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#ifdef EPOCHWAL_STD_EXPECTED
#include <expected>
#endif

EPOCHWAL_NAMESPACE_BEGIN

/// The epoch and the commit sequence that a staged batch was given.
struct ticket {
  /// The epoch that the batch becomes durable with; wait for it.
  std::uint64_t epoch = 0;
  /// The caller's, or the one that the coordinator assigned.
  std::uint64_t commit_seq = 0;
};

/// Acknowledgements where there are too few of them.
struct missed_acks {
  /// Those that count.
  std::uint32_t observed = 0;
  /// Those that the policy asks for.
  std::uint32_t required = 0;
};

/// Why a call did not do what it was asked for. Thrown by the plain members,
/// held by the result of the `try_` members.
class error : public std::runtime_error {
 public:
  /// With what the accessors below give.
  error(ewal_status status, int os_errno, const std::string& message,
        std::optional<ticket> staged = std::nullopt,
        std::optional<std::uint64_t> lsn = std::nullopt,
        std::optional<missed_acks> acks = std::nullopt)
      : std::runtime_error(message),
        status_(status),
        os_errno_(os_errno),
        staged_(staged),
        lsn_(lsn),
        acks_(acks) {}

  /// `EWAL_TIMEOUT`, `EWAL_BUSY` or one of `EWAL_E_*`.
  [[nodiscard]] ewal_status status() const noexcept { return status_; }

  /// The operating system's error number; 0 where no call to it failed.
  [[nodiscard]] int os_errno() const noexcept { return os_errno_; }

  /// The time was up; what was waited for is still pending.
  [[nodiscard]] bool is_timeout() const noexcept { return status_ == EWAL_TIMEOUT; }

  /// The ticket of what stays staged although its commit or append did not
  /// finish (timeout, no space, outcome unknown): wait again with it, and do
  /// not submit it a second time. Of a spool's records, `commit_seq` is the
  /// last LSN.
  [[nodiscard]] const std::optional<ticket>& staged() const noexcept { return staged_; }

  /// The LSN to go on from, where there is one: the first that can be read
  /// (EWAL_E_WAL_REMOVED), the spool's last (EWAL_E_AHEAD, EWAL_E_ORDER,
  /// EWAL_E_FENCED), the last one in common (EWAL_E_DIVERGED).
  [[nodiscard]] const std::optional<std::uint64_t>& lsn() const noexcept { return lsn_; }

  /// How far a wait for replicas has come that ended without enough of them
  /// (EWAL_TIMEOUT, EWAL_E_NOT_FOUND).
  [[nodiscard]] const std::optional<missed_acks>& acks() const noexcept { return acks_; }

 private:
  ewal_status status_;
  int os_errno_;
  std::optional<ticket> staged_;
  std::optional<std::uint64_t> lsn_;
  std::optional<missed_acks> acks_;
};

#ifdef EPOCHWAL_STD_EXPECTED

/// A value or an `error`: `std::expected` where there is one, and before C++23 the
/// part of it that this header needs, with the same names.
template <class T>
using result = std::expected<T, error>;

namespace detail {
using unexpected = std::unexpected<error>;
}

#else

namespace detail {
/// What makes a result hold an error.
struct unexpected {
  error why;
  explicit unexpected(error e) : why(std::move(e)) {}
};
}  // namespace detail

/// A value or an `error`: the part of `std::expected` that this header needs.
/// `*r` and `r->` want a value, `r.error()` wants an error; asking for what is
/// not there ends the program. `r.value()` throws the error where exceptions
/// are on.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  using error_type = class error;

  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(detail::unexpected e) : state_(std::in_place_index<1>, std::move(e.why)) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& operator*() & { return get(); }
  [[nodiscard]] const T& operator*() const& { return const_cast<result*>(this)->get(); }
  [[nodiscard]] T&& operator*() && { return std::move(get()); }
  [[nodiscard]] T* operator->() { return &get(); }
  [[nodiscard]] const T* operator->() const { return &**this; }

  T& value() & { return checked().get(); }
  const T& value() const& { return const_cast<result*>(this)->checked().get(); }
  T&& value() && { return std::move(checked().get()); }

  template <class U>
  [[nodiscard]] T value_or(U&& otherwise) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(otherwise));
  }

  [[nodiscard]] const error_type& error() const& {
    const error_type* e = std::get_if<1>(&state_);
    if (e == nullptr) std::abort();
    return *e;
  }
  [[nodiscard]] error_type&& error() && {
    return std::move(const_cast<error_type&>(std::as_const(*this).error()));
  }

 private:
  T& get() {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return *value;
  }

  result& checked() {
#ifndef EPOCHWAL_NO_EXCEPTIONS
    if (!has_value()) throw error_type(std::as_const(*this).error());
#endif
    return *this;
  }

  std::variant<T, error_type> state_;
};

/// Success, or an `error`.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  using error_type = class error;

  result() = default;
  result(detail::unexpected e) : error_(std::move(e.why)) {}

  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void operator*() const noexcept {}

  void value() const {
    if (has_value()) return;
#ifndef EPOCHWAL_NO_EXCEPTIONS
    throw error_type(*error_);
#else
    std::abort();
#endif
  }

  [[nodiscard]] const error_type& error() const& {
    if (has_value()) std::abort();
    return *error_;
  }
  [[nodiscard]] error_type&& error() && {
    if (has_value()) std::abort();
    return std::move(*error_);
  }

 private:
  std::optional<error_type> error_;
};

#endif  // EPOCHWAL_STD_EXPECTED

namespace detail {

/// The C error struct, ready to be filled in.
struct c_error : ewal_error {
  c_error() noexcept : ewal_error() { struct_size = sizeof(ewal_error); }

  [[nodiscard]] unexpected as_unexpected(ewal_status status,
                                         std::optional<ticket> staged = std::nullopt,
                                         std::optional<missed_acks> acks = std::nullopt) const {
    const char* text = message[0] != '\0' ? message : ewal_status_name(status);
    const auto at = lsn != 0 ? std::optional<std::uint64_t>(lsn) : std::nullopt;
    return unexpected(epochwal::error(status, os_errno, text, staged, at, acks));
  }
};

/// A failure that this header finds by itself.
inline unexpected fail(ewal_status status, const char* message) {
  return unexpected(epochwal::error(status, 0, message));
}

/// Calls a C function whose last argument is the error struct.
template <class F>
result<void> call(F&& function) {
  c_error e;
  const ewal_status status = function(static_cast<ewal_error*>(&e));
  if (status != EWAL_OK) return e.as_unexpected(status);
  return {};
}

/// `value`, unless the call that was to fill it failed. By reference: where that
/// call is made beside it, either may come first, and a copy be too early.
template <class T>
result<T> with(const T& value, result<void>&& done) {
  if (!done.has_value()) return unexpected(std::move(done).error());
  return value;
}

/// The text of a C function that writes as snprintf does: `write(buffer,
/// capacity, &length, error)`. Asked again where the text has grown meanwhile.
template <class F>
result<std::string> text(F&& write) {
  std::string buffer;
  for (;;) {
    std::size_t length = 0;
    auto done = call([&](ewal_error* e) {
      // The string's own final zero takes the one that is written.
      return write(buffer.data(), buffer.empty() ? 0 : buffer.size() + 1, &length, e);
    });
    if (!done.has_value()) return unexpected(std::move(done).error());
    const bool whole = length <= buffer.size();
    buffer.resize(length);
    if (whole) return buffer;
  }
}

/// The list of a C function that fills an array as far as it goes: `write(array,
/// capacity, &count, error)`. Asked again where it has grown meanwhile.
template <class T, class F>
result<std::vector<T>> list(F&& write) {
  std::vector<T> all;
  for (;;) {
    std::size_t count = 0;
    auto done = call([&](ewal_error* e) { return write(all.data(), all.size(), &count, e); });
    if (!done.has_value()) return unexpected(std::move(done).error());
    const bool whole = count <= all.size();
    all.resize(count);
    if (whole) return all;
  }
}

#ifndef EPOCHWAL_NO_EXCEPTIONS
/// The value, or the error thrown as itself.
template <class T>
T unwrap(result<T>&& r) {
  if (!r.has_value()) throw error(std::move(r).error());
  if constexpr (!std::is_void_v<T>) return *std::move(r);
}
#endif

}  // namespace detail

EPOCHWAL_NAMESPACE_END

#endif
