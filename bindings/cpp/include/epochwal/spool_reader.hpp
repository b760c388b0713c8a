/// @file
/// A spool read from outside: beside its writer, from any process.

#ifndef EPOCHWAL_SPOOL_READER_HPP
#define EPOCHWAL_SPOOL_READER_HPP

#include <epochwal/records.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// A stream of a spool's durable records: `ewal_spool_reader`, closed at the end
/// of its life. It takes no writer's lock, and gives what was durable when it was
/// opened; to read on, open another one behind the last record. For one thread at
/// a time.
///
/// With exceptions it is an input range, to be walked once, with one batch in
/// memory: `for (const auto& r : spool_reader("app.db")) ...`; an error on the way
/// is thrown. Without exceptions there is `try_next` only.
class spool_reader {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  spool_reader() noexcept = default;
  /// Leaves nothing behind.
  spool_reader(spool_reader&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  spool_reader& operator=(spool_reader&& other) noexcept {
    if (this != &other) {
      close();
      handle_ = other.release();
    }
    return *this;
  }
  spool_reader(const spool_reader&) = delete;
  spool_reader& operator=(const spool_reader&) = delete;
  ~spool_reader() { close(); }

  /// Opens the spool of the data file at `path` for reading: records above
  /// `since`, or all that there are. Where there is no spool the stream is empty.
  static result<spool_reader> try_open(path_view path,
                                       std::optional<std::uint64_t> since = std::nullopt) {
    spool_reader opened;
    auto done = detail::call([&](ewal_error* e) {
      return ewal_spool_reader_open(path.c_str(), since.value_or(EWAL_SINCE_OLDEST),
                                    &opened.handle_, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return opened;
  }

  /// The next records, at least one; none at the end.
  [[nodiscard]] result<records> try_next(read_limit limit = {}) {
    ewal_records handle{};
    detail::c_error e;
    const ewal_status status =
        ewal_spool_reader_next(handle_, limit.records, limit.bytes, &handle, &e);
    if (status == EWAL_END) return records();
    if (status != EWAL_OK) return e.as_unexpected(status);
    return records(handle);
  }

  /// What was read so far; complete once the stream has ended.
  [[nodiscard]] result<ewal_spool_summary> try_report() const {
    ewal_spool_summary summary = EWAL_SPOOL_SUMMARY_INIT;
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_spool_reader_report(handle_, &summary, e); });
    return detail::with(summary, std::move(done));
  }

  /// Lets go of the files; every other call answers EWAL_E_CLOSED from then on.
  /// Does nothing where it is closed.
  void close() noexcept {
    if (handle_.id != 0) ewal_spool_reader_close(handle_);
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  explicit spool_reader(path_view path, std::optional<std::uint64_t> since = std::nullopt)
      : spool_reader(open(path, since)) {}

  static spool_reader open(path_view path, std::optional<std::uint64_t> since = std::nullopt) {
    return detail::unwrap(try_open(path, since));
  }
  [[nodiscard]] records next(read_limit limit = {}) { return detail::unwrap(try_next(limit)); }
  [[nodiscard]] ewal_spool_summary report() const { return detail::unwrap(try_report()); }
  /// @}

  /// The end of the stream.
  struct sentinel {};

  /// A place in the stream, with the batch that it is in: moved, never copied. The
  /// reader may not move meanwhile.
  class iterator {
   public:
    /// @name An input iterator
    /// @{

    /// It reads as it goes, and can't go back.
    using iterator_category = std::input_iterator_tag;
    using value_type = record;
    using difference_type = std::ptrdiff_t;
    using pointer = const record*;
    using reference = const record&;

    iterator() = default;
    explicit iterator(spool_reader& stream) : stream_(&stream) { refill(); }

    reference operator*() const { return batch_[at_]; }
    pointer operator->() const { return &batch_[at_]; }
    iterator& operator++() {
      if (++at_ == batch_.size()) refill();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, sentinel) noexcept { return i.batch_.empty(); }
    friend bool operator!=(const iterator& i, sentinel) noexcept { return !i.batch_.empty(); }
#if __cplusplus < 202002L
    friend bool operator==(sentinel, const iterator& i) noexcept { return i.batch_.empty(); }
    friend bool operator!=(sentinel, const iterator& i) noexcept { return !i.batch_.empty(); }
#endif
    /// @}

   private:
    void refill() {
      // First, so that two batches are never held at once.
      batch_ = records();
      batch_ = stream_->next();
      at_ = 0;
    }

    spool_reader* stream_ = nullptr;
    records batch_;
    std::size_t at_ = 0;
  };

  /// Reads the first batch that was not read yet.
  [[nodiscard]] iterator begin() { return iterator(*this); }
  /// Whatever iterator has come to it.
  [[nodiscard]] sentinel end() const noexcept { return {}; }
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_spool_reader native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_spool_reader release() noexcept {
    return std::exchange(handle_, ewal_spool_reader{});
  }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  ewal_spool_reader handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
