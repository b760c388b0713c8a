/// @file
/// A place in a spool, for those who follow it.

#ifndef EPOCHWAL_CURSOR_HPP
#define EPOCHWAL_CURSOR_HPP

#include <epochwal/records.hpp>
#include <epochwal/result.hpp>
#include <epochwal/spool.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// A reader that keeps its place in a spool: `ewal_cursor`, closed at the end of
/// its life. One thread at a time reads with it; any may `close` it meanwhile,
/// which wakes the one that waits. It may outlive its spool, and gives
/// EWAL_E_CLOSED then.
///
/// With exceptions it is an input range of `records` that follows the spool:
/// `for (const records& batch : tail) ...` waits for what comes, and ends where
/// the cursor or its spool is closed. Any other error is thrown.
class cursor {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  cursor() noexcept = default;
  /// Leaves nothing behind.
  cursor(cursor&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  cursor& operator=(cursor&& other) noexcept {
    if (this != &other) {
      close();
      handle_ = other.release();
    }
    return *this;
  }
  cursor(const cursor&) = delete;
  cursor& operator=(const cursor&) = delete;
  ~cursor() { close(); }

  /// A cursor behind `lsn`; its first read says whether that can be read from.
  static result<cursor> try_open(const spool& of, std::uint64_t lsn) {
    cursor opened;
    auto done = detail::call([&](ewal_error* e) {
      return ewal_cursor_open(of.native_handle(), lsn, &opened.handle_, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return opened;
  }

  /// The next records, at least one: waits until there is one. The cursor
  /// stays where it is after any error, EWAL_TIMEOUT included.
  [[nodiscard]] result<records> try_next(timeout time = forever, read_limit limit = {}) const {
    ewal_records handle{};
    auto done = detail::call([&](ewal_error* e) {
      return ewal_cursor_next(handle_, limit.records, limit.bytes, time.count(), &handle, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return records(handle);
  }

  /// Ends it, also for a thread that waits with it. Does nothing where it is
  /// closed.
  void close() const noexcept {
    if (handle_.id != 0) ewal_cursor_close(handle_);
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  cursor(const spool& of, std::uint64_t lsn) : cursor(open(of, lsn)) {}
  static cursor open(const spool& of, std::uint64_t lsn) {
    return detail::unwrap(try_open(of, lsn));
  }
  [[nodiscard]] records next(timeout time = forever, read_limit limit = {}) const {
    return detail::unwrap(try_next(time, limit));
  }
  /// @}

  /// Where the cursor was closed, or its spool.
  struct sentinel {};

  /// The cursor's place, with the records that it gave last; all iterators of one
  /// cursor advance together.
  class iterator {
   public:
    /// @name An input iterator
    /// @{

    /// It waits for records as it goes, and can't go back.
    using iterator_category = std::input_iterator_tag;
    using value_type = records;
    using difference_type = std::ptrdiff_t;
    using pointer = const records*;
    using reference = const records&;

    iterator() = default;
    explicit iterator(const cursor& tail) : tail_(&tail) { ++*this; }

    reference operator*() const noexcept { return batch_; }
    pointer operator->() const noexcept { return &batch_; }
    iterator& operator++() {
      auto next = tail_->try_next();
      if (!next.has_value() && next.error().status() == EWAL_E_CLOSED)
        batch_ = records();
      else
        batch_ = detail::unwrap(std::move(next));
      return *this;
    }
    void operator++(int) { ++*this; }
    // A read gives one record at least.
    friend bool operator==(const iterator& i, sentinel) noexcept { return i.batch_.empty(); }
    friend bool operator!=(const iterator& i, sentinel) noexcept { return !i.batch_.empty(); }
#if __cplusplus < 202002L
    friend bool operator==(sentinel, const iterator& i) noexcept { return i.batch_.empty(); }
    friend bool operator!=(sentinel, const iterator& i) noexcept { return !i.batch_.empty(); }
#endif
    /// @}

   private:
    const cursor* tail_ = nullptr;
    records batch_;
  };

  /// Waits for the next records.
  [[nodiscard]] iterator begin() const { return iterator(*this); }
  /// Whatever iterator has come to it.
  [[nodiscard]] sentinel end() const noexcept { return {}; }
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_cursor native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_cursor release() noexcept { return std::exchange(handle_, ewal_cursor{}); }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  ewal_cursor handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
