/// @file
/// Views of memory: bytes, frames, batches; and paths and timeouts as arguments.

#ifndef EPOCHWAL_VIEW_HPP
#define EPOCHWAL_VIEW_HPP

#include <epochwal/config.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#ifdef EPOCHWAL_STD_SPAN
#include <span>
#endif

EPOCHWAL_NAMESPACE_BEGIN

#ifdef EPOCHWAL_STD_SPAN

/// `std::span` where there is one, and in C++17 the part of it that this header
/// needs, with the same names.
template <class T>
using span = std::span<T>;

#else

namespace detail {
/// Whether what `C` refers to is contiguous and holds `T`.
template <class T, class C, class = void>
inline constexpr bool is_contiguous = false;
template <class T, class C>
inline constexpr bool is_contiguous<
    T, C, std::void_t<decltype(std::data(std::declval<C>()), std::size(std::declval<C>()))>> =
    std::is_convertible_v<
        std::remove_pointer_t<decltype(std::data(std::declval<C>()))> (*)[], T (*)[]>;
}  // namespace detail

/// The part of `std::span` that this header needs; from C++20 on it is that.
template <class T>
class span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using iterator = T*;

  constexpr span() noexcept = default;
  constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  /// Anything contiguous, such as a vector or an array, that holds `T`; also a
  /// temporary one, where it is for reading.
  template <class C, class = std::enable_if_t<detail::is_contiguous<T, C&> &&
                                              !std::is_same_v<std::remove_cv_t<C>, span>>>
  constexpr span(C& container) noexcept
      : data_(std::data(container)), size_(std::size(container)) {}
  template <class C, class = std::enable_if_t<std::is_const_v<T> &&
                                              detail::is_contiguous<T, const C&>>,
            class = void>
  constexpr span(const C& container) noexcept
      : data_(std::data(container)), size_(std::size(container)) {}

  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr T* begin() const noexcept { return data_; }
  [[nodiscard]] constexpr T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] constexpr T& operator[](std::size_t index) const { return data_[index]; }
  [[nodiscard]] constexpr T& front() const { return data_[0]; }
  [[nodiscard]] constexpr T& back() const { return data_[size_ - 1]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

#endif

/// Bytes that somebody else owns.
using bytes = span<const std::byte>;

namespace detail {

/// An array that holds its elements in itself.
template <class C>
inline constexpr bool is_array = std::is_array_v<C>;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;

/// Whether taking the address of a temporary of this type is harmless: it is
/// a view, and what it points to outlives it.
template <class C>
inline constexpr bool is_view =
    std::is_trivially_copyable_v<C> && sizeof(C) <= 2 * sizeof(void*) && !is_array<C>;

/// A string literal, whose array has a zero at its end that nobody means.
template <class C>
inline constexpr bool is_literal =
    std::is_array_v<std::remove_reference_t<C>> &&
    std::is_same_v<std::remove_extent_t<std::remove_reference_t<C>>, const char>;

template <class C>
ewal_slice slice_of(C&& container) {
  using element = std::remove_pointer_t<decltype(std::data(container))>;
  static_assert(std::is_lvalue_reference_v<C> || is_view<std::remove_cv_t<C>>,
                "the bytes of a temporary are gone before they are used");
  static_assert(std::is_trivially_copyable_v<element>, "only plain data has bytes to write");
  ewal_slice slice;
  slice.data = std::data(container);
  slice.len = std::size(container) * sizeof(element);
  return slice;
}

inline bytes view_of(const ewal_slice& slice) {
  return bytes(static_cast<const std::byte*>(slice.data), slice.len);
}

}  // namespace detail

/// `size` bytes from `data` on.
inline bytes as_bytes(const void* data, std::size_t size) {
  return bytes(static_cast<const std::byte*>(data), size);
}

/// The bytes of a vector, string, array or view of plain data.
template <class C, class = decltype(std::data(std::declval<C&>()))>
bytes as_bytes(C&& container) {
  return detail::view_of(detail::slice_of(std::forward<C>(container)));
}

/// One page image. Borrows its bytes. An array of frames is an array of
/// `ewal_frame`: nothing is converted or copied on the way into the library.
struct frame : ewal_frame {
  /// To be filled in.
  constexpr frame() noexcept : ewal_frame{} {}
  /// A view of what the library lends.
  explicit frame(const ewal_frame& other) noexcept : ewal_frame(other) {}

  /// Page `number` (not 0) with the bytes of a vector, string, array or view,
  /// 1 to 65536 of them. `db_size` is the database's size in pages on the
  /// frame that commits a transaction, else 0.
  template <class C, class = decltype(std::data(std::declval<C&>()))>
  frame(std::uint32_t number, C&& image, std::uint32_t db_size = 0) : ewal_frame{} {
    page_number = number;
    db_size_if_commit = db_size;
    data = detail::slice_of(std::forward<C>(image));
  }

  /// The image.
  [[nodiscard]] bytes image() const noexcept { return detail::view_of(data); }
};

// The library walks an array of frames in steps of an ewal_frame.
static_assert(sizeof(frame) == sizeof(ewal_frame) && std::is_standard_layout_v<frame>);

/// The frames of one transaction, in write order. Borrowed: the library has
/// copied them when `submit` returns.
struct batch {
  /// Transaction id, not 0.
  std::uint64_t txn_id = 0;
  /// Second half of the caller's transaction token.
  std::uint32_t txn_epoch = 0;
  /// 1 or above; 0 where the coordinator assigns sequences.
  std::uint64_t commit_seq = 0;
  /// At least one.
  span<const frame> frames = {};
  /// Opaque bytes kept with the batch, up to 64 KiB.
  bytes metadata = {};
};

/// A logical record of a spool. Borrows its payload. An array of records is an
/// array of `ewal_record`: nothing is converted or copied on the way into the
/// library.
struct record : ewal_record {
  /// To be filled in.
  constexpr record() noexcept : ewal_record{} {}
  /// A view of what the library lends.
  explicit record(const ewal_record& other) noexcept : ewal_record(other) {}

  /// With the bytes of a vector, string, array or view, or a literal without its
  /// final zero. The LSN is 1 or above; a time of 0 is now.
  template <class C, class = decltype(std::data(std::declval<C&>()))>
  record(std::uint64_t its_term, std::uint64_t its_lsn, C&& content, std::uint64_t time_ms = 0)
      : ewal_record{} {
    term = its_term;
    lsn = its_lsn;
    timestamp_ms = time_ms;
    if constexpr (detail::is_literal<C>)
      payload = detail::slice_of(std::string_view(content));
    else
      payload = detail::slice_of(std::forward<C>(content));
  }

  /// The payload as bytes.
  [[nodiscard]] bytes data() const noexcept { return detail::view_of(payload); }
  /// The payload as text.
  [[nodiscard]] std::string_view text() const noexcept {
    return {static_cast<const char*>(payload.data), payload.len};
  }
};

// The library walks an array of records in steps of an ewal_record.
static_assert(sizeof(record) == sizeof(ewal_record) && std::is_standard_layout_v<record>);

/// Frames that the library owns.
using frames_view = span<const frame>;
/// Records that the library owns.
using records_view = span<const record>;

namespace detail {
// The library's arrays as arrays of the types above, which add no data to the C
// structs, and could have been made in place of them: they are trivially copied.
static_assert(std::is_trivially_copyable_v<frame> && std::is_trivially_copyable_v<record>);
inline frames_view frames_of(const ewal_frame* first, std::size_t count) {
  return {reinterpret_cast<const frame*>(first), count};
}
inline records_view records_of(const ewal_record* first, std::size_t count) {
  return {reinterpret_cast<const record*>(first), count};
}
}  // namespace detail

/// Waits without end.
struct forever_t {};
/// As a timeout, or in options that can be off.
inline constexpr forever_t forever{};

namespace detail {
/// In nanoseconds, as far as they go; 0 for what is not above it.
template <class Rep, class Period>
constexpr std::int64_t saturated(std::chrono::duration<Rep, Period> time) noexcept {
  // In floating point first: the cast to integers overflows on long times.
  using wide = std::chrono::duration<long double, std::nano>;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const long double exact = wide(time).count();
  if (!(exact > 0)) return 0;
  if (exact >= static_cast<long double>(most)) return most;
  return static_cast<std::int64_t>(exact);
}
}  // namespace detail

/// How long a call may block: any `std::chrono` duration, a deadline by any clock,
/// or `forever`. What is below zero polls, so that a deadline that has passed does
/// not turn into an endless wait.
class timeout {
 public:
  /// Until it is done, or fails.
  constexpr timeout(forever_t) noexcept : nanoseconds_(-1) {}

  /// As long; what does not fit into 64 bits of nanoseconds, 292 years.
  template <class Rep, class Period>
  constexpr timeout(std::chrono::duration<Rep, Period> time) noexcept
      : nanoseconds_(detail::saturated(time)) {}

  /// As long as it is until then, by the clock of now.
  template <class Clock, class Duration>
  timeout(std::chrono::time_point<Clock, Duration> deadline)
      : timeout(until(deadline.time_since_epoch(), Clock::now().time_since_epoch())) {}

  /// As the C functions want it.
  [[nodiscard]] constexpr std::int64_t count() const noexcept { return nanoseconds_; }

 private:
  /// What lies between the two, without overflow where one is `max()` or `min()`.
  static constexpr std::chrono::duration<long double, std::nano> until(
      std::chrono::duration<long double, std::nano> then,
      std::chrono::duration<long double, std::nano> now) noexcept {
    return then - now;
  }

  std::int64_t nanoseconds_;
};

/// A time in the options: any `std::chrono` duration. In the C structs 0 is the
/// default and the highest value is off; here each time is meant. One that is out
/// of range, below zero too, is refused by the open.
class interval {
 public:
  /// As long.
  template <class Rep, class Period>
  constexpr interval(std::chrono::duration<Rep, Period> time) noexcept
      : nanoseconds_(meant(time)) {}

  /// As the C structs want it.
  [[nodiscard]] constexpr std::uint64_t count() const noexcept { return nanoseconds_; }

 private:
  template <class Rep, class Period>
  static constexpr std::uint64_t meant(std::chrono::duration<Rep, Period> time) noexcept {
    // Written so that a NaN is refused, too.
    if (!(std::chrono::duration<long double>(time).count() >= 0)) return std::uint64_t{1} << 63;
    const std::int64_t nanoseconds = detail::saturated(time);
    return nanoseconds == 0 ? 1 : static_cast<std::uint64_t>(nanoseconds);
  }

  std::uint64_t nanoseconds_;
};

/// A path: C string, `std::string`, `std::filesystem::path`. Only for
/// arguments: it borrows.
class path_view {
 public:
  /// A C string.
  path_view(const char* path) noexcept : path_(path) {}
  /// A string, whose zero bytes are seen.
  path_view(const std::string& path) noexcept : path_(checked(path)) {}
  /// `std::filesystem::path`, without including its header.
  template <class P, class = std::enable_if_t<std::is_same_v<
                         decltype(std::declval<const P&>().native()), const std::string&>>>
  path_view(const P& path) noexcept : path_(checked(path.native())) {}

  /// NULL, which the C functions refuse, where the path holds a zero byte:
  /// cut off there it would name another file.
  [[nodiscard]] const char* c_str() const noexcept { return path_; }

 private:
  static const char* checked(const std::string& path) noexcept {
    return std::strlen(path.c_str()) == path.size() ? path.c_str() : nullptr;
  }

  const char* path_;
};

/// A text: C string, `std::string`, `std::string_view`. Only for arguments.
class text_arg {
 public:
  /// A C string; NULL is no text.
  text_arg(const char* text) : text_(text != nullptr ? text : ""), is_text_(text != nullptr) {}
  /// A string or a view of one, which is copied.
  template <class T, class = std::enable_if_t<std::is_convertible_v<const T&, std::string_view> &&
                                              !std::is_convertible_v<const T&, const char*>>>
  text_arg(const T& text)
      : text_(std::string_view(text)), is_text_(text_.find('\0') == std::string::npos) {}

  /// NULL, which the C functions refuse, where the text holds a zero byte: cut
  /// off there it would be another one.
  [[nodiscard]] const char* c_str() const noexcept { return is_text_ ? text_.c_str() : nullptr; }

 private:
  std::string text_;
  bool is_text_;
};

EPOCHWAL_NAMESPACE_END

#endif
