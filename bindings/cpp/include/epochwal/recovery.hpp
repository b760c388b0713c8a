/// @file
/// The reader's side: the batches of a log in replay order.

#ifndef EPOCHWAL_RECOVERY_HPP
#define EPOCHWAL_RECOVERY_HPP

#include <epochwal/callback.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

EPOCHWAL_NAMESPACE_BEGIN

/// The options of `ewal_recovery_options`, at their defaults. Fields are
/// those of the C struct, documented there.
struct recovery_options : ewal_recovery_options {
  recovery_options() noexcept : ewal_recovery_options(EWAL_RECOVERY_OPTIONS_INIT) {}
};

/// One recovered batch: a view that is good until the next one is asked for.
struct recovered_batch {
  /// The epoch that it became durable with.
  std::uint64_t epoch = 0;
  /// The caller's, or the one that the coordinator assigned.
  std::uint64_t commit_seq = 0;
  /// Transaction id.
  std::uint64_t txn_id = 0;
  /// Second half of the caller's transaction token.
  std::uint32_t txn_epoch = 0;
  /// In write order.
  frames_view frames;
  /// The caller's bytes; empty where none were given, and in version 1.
  bytes metadata;
};

/// A place in a file in which something was found.
struct suspect_place {
  /// The file.
  std::string path;
  /// What is wrong.
  std::string reason;
  /// Bytes from the start of the file.
  std::uint64_t offset = 0;
  /// EWAL_VERDICT_TORN or EWAL_VERDICT_CORRUPT.
  std::uint32_t verdict = 0;
};

/// A stream of recovered batches: `ewal_recovery`, closed at the end of its
/// life. For one thread at a time.
///
/// With exceptions it is an input range, to be walked once:
/// `for (const auto& batch : recovery::open("app.db")) ...`; an error on the
/// way is thrown. Without exceptions there is `try_next` only: a loop that
/// ended early and silently would pass off a damaged log as a short one.
class recovery {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  recovery() noexcept = default;
  /// Leaves nothing behind.
  recovery(recovery&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  recovery& operator=(recovery&& other) noexcept {
    if (this != &other) {
      close();
      handle_ = other.release();
    }
    return *this;
  }
  recovery(const recovery&) = delete;
  recovery& operator=(const recovery&) = delete;
  ~recovery() { close(); }

  /// Opens the log beside the database at `path` for reading, also while a
  /// writer works on it.
  static result<recovery> try_open(path_view path, const recovery_options& options = {}) {
    recovery opened;
    auto done = detail::call([&](ewal_error* e) {
      return ewal_recovery_open(path.c_str(), &options, &opened.handle_, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return opened;
  }

  /// The next batch, or none at the end.
  [[nodiscard]] result<std::optional<recovered_batch>> try_next() {
    ewal_recovered_batch c{};
    detail::c_error e;
    const ewal_status status = ewal_recovery_next(handle_, &c, &e);
    if (status == EWAL_END) return std::optional<recovered_batch>();
    if (status != EWAL_OK) return e.as_unexpected(status);
    return std::optional<recovered_batch>(recovered_batch{
        c.epoch, c.commit_seq, c.txn_id, c.txn_epoch,
        detail::frames_of(c.frames, c.frame_count), detail::view_of(c.metadata)});
  }

  /// What was read so far; complete once the stream has ended.
  [[nodiscard]] result<ewal_recovery_summary> try_report() const {
    ewal_recovery_summary summary{};
    summary.struct_size = sizeof(summary);
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_recovery_report(handle_, &summary, e); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return summary;
  }

  /// The torn and corrupt places found so far, in the order of the log.
  [[nodiscard]] result<std::vector<suspect_place>> try_suspects() const {
    std::vector<suspect_place> places;
    for (;;) {
      ewal_suspect c{};
      detail::c_error e;
      const ewal_status status = ewal_recovery_suspect(handle_, places.size(), &c, &e);
      if (status == EWAL_E_NOT_FOUND) return places;
      if (status != EWAL_OK) return e.as_unexpected(status);
      places.push_back({c.path, c.reason, c.offset, c.verdict});
    }
  }

  /// The recovered epochs as ranges, ascending, both ends included.
  [[nodiscard]] result<std::vector<ewal_epoch_range>> try_epochs() const {
    return detail::list<ewal_epoch_range>(
        [&](ewal_epoch_range* out, std::size_t cap, std::size_t* count, ewal_error* e) {
          return ewal_recovery_epochs(handle_, out, cap, count, e);
        });
  }

  /// Lets go of the segments; every other call answers EWAL_E_CLOSED from then
  /// on. Does nothing where it is closed.
  void close() noexcept {
    if (handle_.id != 0) ewal_recovery_close(handle_);
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  explicit recovery(path_view path, const recovery_options& options = {})
      : recovery(open(path, options)) {}

  static recovery open(path_view path, const recovery_options& options = {}) {
    return detail::unwrap(try_open(path, options));
  }
  [[nodiscard]] std::optional<recovered_batch> next() { return detail::unwrap(try_next()); }
  [[nodiscard]] ewal_recovery_summary report() const { return detail::unwrap(try_report()); }

  [[nodiscard]] std::vector<suspect_place> suspects() const {
    return detail::unwrap(try_suspects());
  }
  [[nodiscard]] std::vector<ewal_epoch_range> epochs() const {
    return detail::unwrap(try_epochs());
  }
  /// @}

  /// The end of the stream.
  struct sentinel {};

  /// A place in the stream; all iterators of one stream advance together.
  class iterator {
   public:
    /// @name An input iterator
    /// @{

    /// It reads as it goes, and can't go back.
    using iterator_category = std::input_iterator_tag;
    using value_type = recovered_batch;
    using difference_type = std::ptrdiff_t;
    using pointer = const recovered_batch*;
    using reference = const recovered_batch&;

    iterator() = default;
    explicit iterator(recovery& stream) : stream_(&stream) { ++*this; }

    reference operator*() const { return *batch_; }
    pointer operator->() const { return &*batch_; }
    iterator& operator++() {
      batch_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, sentinel) noexcept {
      return !i.batch_.has_value();
    }
    friend bool operator!=(const iterator& i, sentinel) noexcept { return i.batch_.has_value(); }
#if __cplusplus < 202002L
    friend bool operator==(sentinel, const iterator& i) noexcept {
      return !i.batch_.has_value();
    }
    friend bool operator!=(sentinel, const iterator& i) noexcept { return i.batch_.has_value(); }
#endif
    /// @}

   private:
    recovery* stream_ = nullptr;
    std::optional<recovered_batch> batch_;
  };

  /// Reads the first batch that was not read yet.
  [[nodiscard]] iterator begin() { return iterator(*this); }
  /// Whatever iterator has come to it.
  [[nodiscard]] sentinel end() const noexcept { return {}; }
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_recovery native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_recovery release() noexcept {
    return std::exchange(handle_, ewal_recovery{});
  }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  ewal_recovery handle_{};
};

/// A segment file, as a listing shows it.
struct segment_info {
  /// The file.
  std::string path;
  /// From its name.
  std::uint64_t first_epoch = 0;
  /// The last epoch in it that can be read, if any.
  std::optional<std::uint64_t> last_epoch;
  /// Its length.
  std::uint64_t bytes = 0;
  /// 1 or 2; 0 where the header can't be read.
  std::uint32_t version = 0;
  /// The checkpoint has passed it: its epochs are not recovered again.
  bool checkpointed = false;

  segment_info() = default;
  /// What the C function lists, as its own.
  explicit segment_info(const ewal_segment_info& c)
      : path(c.path),
        first_epoch(c.first_epoch),
        bytes(c.bytes),
        version(c.version),
        checkpointed(c.checkpointed) {
    if (c.has_last_epoch) last_epoch = c.last_epoch;
  }
};

/// Applies the log to the database file `target`: page n at offset
/// (n-1) x `page_size`. Synced when it returns. Where it is missing it is made,
/// unless the log has no pages: then nothing is touched.
inline result<ewal_recovery_summary> try_recover_into_file(
    path_view path, path_view target, std::uint32_t page_size,
    const recovery_options& options = {}) {
  ewal_recovery_summary summary{};
  summary.struct_size = sizeof(summary);
  auto done = detail::call([&](ewal_error* e) {
    return ewal_recover_into_file(path.c_str(), target.c_str(), page_size, &options, &summary,
                                  e);
  });
  if (!done.has_value()) return detail::unexpected(std::move(done).error());
  return summary;
}

/// The highest epoch that recovery would give back, if any.
[[nodiscard]] inline result<std::optional<std::uint64_t>> try_max_durable_epoch(path_view path) {
  std::uint64_t epoch = 0;
  bool any = false;
  auto done = detail::call(
      [&](ewal_error* e) { return ewal_max_durable_epoch(path.c_str(), &epoch, &any, e); });
  if (!done.has_value()) return detail::unexpected(std::move(done).error());
  return any ? std::optional<std::uint64_t>(epoch) : std::nullopt;
}

namespace detail {
/// The C function that lists the segments of a log.
inline auto segment_lister(const path_view& path) {
  return [path](ewal_segment_fn each, void* user, ewal_error* e) {
    return ewal_list_segments(path.c_str(), each, user, e);
  };
}
}  // namespace detail

/// Calls `function(const segment_info&)` for each segment file, in the order of
/// their epochs, on this thread. One that gives a bool goes on while it is true;
/// what it throws comes out here.
template <class F>
result<void> try_for_each_segment(path_view path, F&& function) {
  return detail::listing<segment_info, ewal_segment_info>(function,
                                                          detail::segment_lister(path));
}
/// All segment files, in the order of their epochs.
[[nodiscard]] inline result<std::vector<segment_info>> try_list_segments(path_view path) {
  return detail::collected<segment_info, ewal_segment_info>(detail::segment_lister(path));
}

/// Deletes all segments, under the writer's lock; gives their number.
inline result<std::size_t> try_cleanup_segments(path_view path) {
  std::size_t removed = 0;
  auto done = detail::call(
      [&](ewal_error* e) { return ewal_cleanup_segments(path.c_str(), &removed, e); });
  if (!done.has_value()) return detail::unexpected(std::move(done).error());
  return removed;
}

#ifndef EPOCHWAL_NO_EXCEPTIONS
/// @name Throwing
/// @{

/// What its `try_` twin does; throws where that gives an error.
inline ewal_recovery_summary recover_into_file(path_view path, path_view target,
                                               std::uint32_t page_size,
                                               const recovery_options& options = {}) {
  return detail::unwrap(try_recover_into_file(path, target, page_size, options));
}
[[nodiscard]] inline std::optional<std::uint64_t> max_durable_epoch(path_view path) {
  return detail::unwrap(try_max_durable_epoch(path));
}
template <class F>
void for_each_segment(path_view path, F&& function) {
  detail::unwrap(try_for_each_segment(path, function));
}
[[nodiscard]] inline std::vector<segment_info> list_segments(path_view path) {
  return detail::unwrap(try_list_segments(path));
}
inline std::size_t cleanup_segments(path_view path) {
  return detail::unwrap(try_cleanup_segments(path));
}
/// @}
#endif

EPOCHWAL_NAMESPACE_END

#endif
