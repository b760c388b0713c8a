/// @file
/// The spool: a durable log of records, for log shipping.

#ifndef EPOCHWAL_SPOOL_HPP
#define EPOCHWAL_SPOOL_HPP

#include <epochwal/callback.hpp>
#include <epochwal/descriptor.hpp>
#include <epochwal/records.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef EPOCHWAL_COROUTINES
#include <epochwal/durable.hpp>
#endif

EPOCHWAL_NAMESPACE_BEGIN

namespace detail {

/// A callable that finds terms, shared by copies of the options.
struct term_finder {
  std::shared_ptr<void> function;
  std::uint64_t (*find)(void* function, bytes payload) = nullptr;
};

/// One open's use of it. What the callable throws is kept, and makes the open
/// fail.
class term_call {
 public:
  explicit term_call(const term_finder& finder) noexcept : finder_(finder) {}

  /// Puts it in, where there is one.
  void put_into(ewal_spool_options& options) noexcept {
    if (finder_.find == nullptr) return;
    options.term_of = run;
    options.term_user = this;
  }

  /// Throws what the callable has thrown.
  void throw_on() const {
#ifndef EPOCHWAL_NO_EXCEPTIONS
    if (thrown_) std::rethrow_exception(thrown_);
#endif
  }

 private:
  static std::uint64_t run(void* user, const void* payload, std::size_t size) noexcept {
    auto* self = static_cast<term_call*>(user);
#ifndef EPOCHWAL_NO_EXCEPTIONS
    try {
      return self->find(payload, size);
    } catch (...) {
      self->thrown_ = std::current_exception();
      return EWAL_TERM_REFUSED;
    }
#else
    return self->find(payload, size);
#endif
  }
  std::uint64_t find(const void* payload, std::size_t size) const {
    return finder_.find(finder_.function.get(), as_bytes(payload, size));
  }

  const term_finder& finder_;
#ifndef EPOCHWAL_NO_EXCEPTIONS
  std::exception_ptr thrown_{};
#endif
};

}  // namespace detail

/// The options of `ewal_spool_options`, at their defaults. Fields are those of
/// the C struct, documented there; zero is the default everywhere.
struct spool_options : ewal_spool_options {
  spool_options() noexcept : ewal_spool_options(EWAL_SPOOL_OPTIONS_INIT) {}

  /// The longest that a record on which nobody waits stays staged.
  spool_options& flush_interval(interval time) noexcept {
    flush_interval_ns = time.count();
    return *this;
  }
  /// How long an append waits for room.
  spool_options& block_timeout(interval time) noexcept {
    block_timeout_ns = time.count();
    return *this;
  }
  /// Calls `function(bytes)` for the payload of each record of RDLW version 1 or
  /// 2 that the open takes in: it gives the record's term, or 0 where it has
  /// none. What it throws comes out of the open, which takes nothing in then.
  template <class F>
  spool_options& find_term(F&& function) {
    using owned = std::decay_t<F>;
    static_assert(std::is_invocable_r_v<std::uint64_t, owned&, bytes>,
                  "the callable takes bytes and gives a term");
    terms_.function = std::make_shared<owned>(std::forward<F>(function));
    terms_.find = [](void* found, bytes payload) -> std::uint64_t {
      return (*static_cast<owned*>(found))(payload);
    };
    return *this;
  }

 private:
  friend class spool;
  friend class primary;
  detail::term_finder terms_;
};

/// What submitted records were given: what to wait for.
struct spool_ticket {
  /// The epoch that they become durable with.
  std::uint64_t epoch = 0;
  /// The LSN of the first of them.
  std::uint64_t first_lsn = 0;
  /// The LSN of the last of them.
  std::uint64_t last_lsn = 0;

  /// As the C functions want it.
  [[nodiscard]] constexpr ewal_spool_ticket to_c() const noexcept {
    return {epoch, first_lsn, last_lsn};
  }
};

/// The first and the last record of a spool, and where pruning has come to; 0
/// where there is none.
struct spool_bounds {
  /// The first that can be read.
  std::uint64_t oldest_lsn = 0;
  /// The highest durable one ever.
  std::uint64_t current_lsn = 0;
  /// Those up to here are gone.
  std::uint64_t pruned_through = 0;
};

/// What an open dropped of records that were never acknowledged.
struct torn_tail {
  /// The file.
  std::string path;
  /// Bytes from the start of the file.
  std::uint64_t offset = 0;
};

class primary;

/// A durable log of records: `ewal_spool`, closed at the end of its life, unless
/// a `primary` has lent it. Any number of threads may call the const members of
/// one object at a time; moving and destroying want it alone.
///
/// Each operation is there twice: `x()` throws `error`, `try_x()` returns a
/// result and is all there is without exceptions.
class spool {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  spool() noexcept = default;

  /// Leaves nothing behind.
  spool(spool&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  spool& operator=(spool&& other) noexcept {
    if (this != &other) {
      close_quietly();
      handle_ = other.release();
    }
    return *this;
  }
  spool(const spool&) = delete;
  spool& operator=(const spool&) = delete;

  /// Makes durable what is staged, and closes; blocks as long as that takes,
  /// and says nothing about what could not be made durable: call `close` to
  /// know.
  ~spool() { close_quietly(); }

  /// Opens the spool of the data file at `path`. A second writer gets
  /// EWAL_E_LOCKED.
  static result<spool> try_open(path_view path, const spool_options& options = {}) {
    ewal_spool_options c = options;
    detail::term_call terms(options.terms_);
    terms.put_into(c);
    ewal_spool handle{};
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_spool_open(path.c_str(), &c, &handle, e); });
    terms.throw_on();
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return spool(handle);
  }

  /// Stages records, all or none; wait for what it gives.
  [[nodiscard]] result<spool_ticket> try_submit(span<const record> work) const {
    ewal_spool_ticket c{};
    auto done = detail::call([&](ewal_error* e) {
      return ewal_spool_submit(handle_, work.data(), work.size(), &c, e);
    });
    return detail::with(spool_ticket{c.epoch, c.first_lsn, c.last_lsn}, std::move(done));
  }
  /// Stages one record.
  [[nodiscard]] result<spool_ticket> try_submit(const record& work) const {
    return try_submit(span<const record>(&work, 1));
  }

  /// Appends records, all or none, durable on return. Where it failed and they
  /// stay staged, the error's `staged()` has the ticket.
  result<void> try_append(span<const record> work, timeout time = forever) const {
    detail::c_error e;
    const ewal_status status =
        ewal_spool_append(handle_, work.data(), work.size(), time.count(), &e);
    if (status == EWAL_OK) return {};
    if (e.staged_epoch == 0) return e.as_unexpected(status);
    return e.as_unexpected(status, ticket{e.staged_epoch, work[work.size() - 1].lsn});
  }
  /// Appends one record.
  result<void> try_append(const record& work, timeout time = forever) const {
    return try_append(span<const record>(&work, 1), time);
  }

  /// Waits until what was submitted is durable. EWAL_TIMEOUT: still pending.
  result<void> try_wait(const spool_ticket& staged, timeout time = forever) const {
    return detail::call([&](ewal_error* e) {
      return ewal_spool_wait(handle_, staged.to_c(), time.count(), e);
    });
  }
  /// The same for what a failed append has left staged.
  result<void> try_wait(const ticket& staged, timeout time = forever) const {
    return try_wait(spool_ticket{staged.epoch, staged.commit_seq, staged.commit_seq}, time);
  }

  /// Starts the flush of what was submitted, in the background.
  result<void> try_request_flush(const spool_ticket& staged) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_request_flush(handle_, staged.to_c(), e); });
  }

  /// Calls `function(epoch, status)` once; see `coordinator::try_on_durable`. In
  /// memory it is called before this returns, on this thread.
  template <class F>
  result<void> try_on_durable(const spool_ticket& staged, F&& function) const {
    return detail::give_callback(
        std::forward<F>(function),
        [&](ewal_durable_fn run, void* user, ewal_drop_fn drop, ewal_error* e) {
          return ewal_spool_on_durable(handle_, staged.to_c(), run, user, drop, e);
        });
  }

  /// Waits for all that is staged.
  result<void> try_flush(timeout time = forever) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_flush(handle_, time.count(), e); });
  }

  /// Durable records above `lsn`; none at the end. EWAL_E_WAL_REMOVED and
  /// EWAL_E_AHEAD say in `error::lsn` where to go on.
  [[nodiscard]] result<records> try_read_since(std::uint64_t lsn, read_limit limit = {}) const {
    ewal_records handle{};
    auto done = detail::call([&](ewal_error* e) {
      return ewal_spool_read_since(handle_, lsn, limit.records, limit.bytes, &handle, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return records(handle);
  }

  /// Reads of memory.
  [[nodiscard]] result<spool_bounds> try_bounds() const {
    spool_bounds b;
    auto done = detail::call([&](ewal_error*) {
      return ewal_spool_bounds(handle_, &b.oldest_lsn, &b.current_lsn, &b.pruned_through);
    });
    return detail::with(b, std::move(done));
  }

  /// The term of now; 0 before the first record.
  [[nodiscard]] result<std::uint64_t> try_term() const {
    std::uint64_t term = 0;
    auto done = detail::call([&](ewal_error*) { return ewal_spool_term(handle_, &term); });
    return detail::with(term, std::move(done));
  }

  /// Whether whoever has everything up to `lsn`, the last of it of `term`, may read
  /// on from there; EWAL_E_DIVERGED where it has a tail of its own.
  result<void> try_check_term(std::uint64_t lsn, std::uint64_t term) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_check_term(handle_, lsn, term, e); });
  }

  /// The durable history of terms, oldest first.
  [[nodiscard]] result<std::vector<ewal_term_start>> try_terms() const {
    return detail::list<ewal_term_start>(
        [&](ewal_term_start* out, std::size_t cap, std::size_t* count, ewal_error* e) {
          return ewal_spool_terms(handle_, out, cap, count, e);
        });
  }

  /// What salvages have lost and pruning has not passed, ascending.
  [[nodiscard]] result<std::vector<ewal_lost_range>> try_lost() const {
    return detail::list<ewal_lost_range>(
        [&](ewal_lost_range* out, std::size_t cap, std::size_t* count, ewal_error* e) {
          return ewal_spool_lost(handle_, out, cap, count, e);
        });
  }

  /// Waits until a durable record lies above `lsn`.
  result<void> try_wait_after(std::uint64_t lsn, timeout time = forever) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_wait_after(handle_, lsn, time.count(), e); });
  }

  /// Lets records at or below `lsn` go; how far pruning has come.
  result<std::uint64_t> try_prune_through(std::uint64_t lsn) const {
    std::uint64_t pruned = 0;
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_spool_prune_through(handle_, lsn, &pruned, e); });
    return detail::with(pruned, std::move(done));
  }

  /// Begins `new_term` behind `lsn`; records above it are saved aside: see
  /// `saved_tail`.
  result<void> try_truncate_after(std::uint64_t lsn, std::uint64_t new_term) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_truncate_after(handle_, lsn, new_term, e); });
  }

  /// A descriptor of one's own that becomes readable each time records become
  /// durable, and after failure and close.
  [[nodiscard]] result<file_descriptor> try_event_fd() const {
    int fd = -1;
    auto done = detail::call([&](ewal_error* e) { return ewal_spool_event_fd(handle_, &fd, e); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return file_descriptor(fd);
  }

  /// The figures: batches are runs of records, frames are records.
  [[nodiscard]] result<ewal_stats> try_stats() const {
    ewal_stats figures{};
    figures.struct_size = sizeof(figures);
    auto done =
        detail::call([&](ewal_error* e) { return ewal_spool_stats(handle_, &figures, e); });
    return detail::with(figures, std::move(done));
  }

  /// The files that an open with EWAL_OPEN_SALVAGE moved or copied aside.
  [[nodiscard]] result<std::vector<std::string>> try_salvaged() const {
    std::vector<std::string> files;
    for (;;) {
      auto file = detail::text(
          [&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
            return ewal_spool_salvaged(handle_, files.size(), buffer, size, length, e);
          });
      if (file.has_value()) {
        files.push_back(*std::move(file));
      } else if (file.error().status() == EWAL_E_NOT_FOUND) {
        return files;
      } else {
        return detail::unexpected(std::move(file).error());
      }
    }
  }

  /// What the open dropped; none where it found all whole.
  [[nodiscard]] result<std::optional<torn_tail>> try_torn() const {
    torn_tail torn;
    auto path = detail::text(
        [&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
          return ewal_spool_torn(handle_, buffer, size, length, &torn.offset, e);
        });
    if (path.has_value()) {
      torn.path = *std::move(path);
      return std::optional<torn_tail>(std::move(torn));
    }
    if (path.error().status() == EWAL_E_NOT_FOUND) return std::optional<torn_tail>();
    return detail::unexpected(std::move(path).error());
  }

  /// Writes the durable records to a new RDLW file; how many they were.
  /// EWAL_E_EXISTS where there is a file of this name.
  result<std::uint64_t> try_export_rdlw(path_view path) const {
    std::uint64_t count = 0;
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_spool_export_rdlw(handle_, path.c_str(), &count, e); });
    return detail::with(count, std::move(done));
  }

  /// Where the single-file spool was moved that the open has taken in.
  [[nodiscard]] result<std::optional<std::string>> try_imported() const {
    return path_of(ewal_spool_imported);
  }

  /// The file in which the last truncation has saved what it cut off.
  [[nodiscard]] result<std::optional<std::string>> try_saved_tail() const {
    return path_of(ewal_spool_saved_tail);
  }

  /// Moves what is damaged, and all beyond it, aside.
  static result<ewal_salvage_report> try_salvage(path_view path) {
    ewal_salvage_report report{};
    report.struct_size = sizeof(report);
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_spool_salvage(path.c_str(), &report, e); });
    return detail::with(report, std::move(done));
  }

  /// Makes durable what is staged, and closes; see `coordinator::try_close`.
  result<void> try_close(timeout time = forever) const {
    // The handle is kept: that it is stale is the library's to know.
    return detail::call(
        [&](ewal_error* e) { return ewal_spool_close(handle_, time.count(), e); });
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  explicit spool(path_view path, const spool_options& options = {}) : spool(open(path, options)) {}

  static spool open(path_view path, const spool_options& options = {}) {
    return detail::unwrap(try_open(path, options));
  }
  spool_ticket submit(span<const record> work) const { return detail::unwrap(try_submit(work)); }
  spool_ticket submit(const record& work) const { return detail::unwrap(try_submit(work)); }
  void append(span<const record> work, timeout time = forever) const {
    detail::unwrap(try_append(work, time));
  }
  void append(const record& work, timeout time = forever) const {
    detail::unwrap(try_append(work, time));
  }
  void wait(const spool_ticket& staged, timeout time = forever) const {
    detail::unwrap(try_wait(staged, time));
  }
  void wait(const ticket& staged, timeout time = forever) const {
    detail::unwrap(try_wait(staged, time));
  }
  void request_flush(const spool_ticket& staged) const {
    detail::unwrap(try_request_flush(staged));
  }
  template <class F>
  void on_durable(const spool_ticket& staged, F&& function) const {
    detail::unwrap(try_on_durable(staged, std::forward<F>(function)));
  }
  void flush(timeout time = forever) const { detail::unwrap(try_flush(time)); }
  [[nodiscard]] records read_since(std::uint64_t lsn, read_limit limit = {}) const {
    return detail::unwrap(try_read_since(lsn, limit));
  }
  [[nodiscard]] spool_bounds bounds() const { return detail::unwrap(try_bounds()); }
  [[nodiscard]] std::uint64_t term() const { return detail::unwrap(try_term()); }
  void check_term(std::uint64_t lsn, std::uint64_t term) const {
    detail::unwrap(try_check_term(lsn, term));
  }
  [[nodiscard]] std::vector<ewal_term_start> terms() const { return detail::unwrap(try_terms()); }
  [[nodiscard]] std::vector<ewal_lost_range> lost() const { return detail::unwrap(try_lost()); }
  void wait_after(std::uint64_t lsn, timeout time = forever) const {
    detail::unwrap(try_wait_after(lsn, time));
  }
  std::uint64_t prune_through(std::uint64_t lsn) const {
    return detail::unwrap(try_prune_through(lsn));
  }
  void truncate_after(std::uint64_t lsn, std::uint64_t new_term) const {
    detail::unwrap(try_truncate_after(lsn, new_term));
  }
  [[nodiscard]] file_descriptor event_fd() const { return detail::unwrap(try_event_fd()); }
  [[nodiscard]] ewal_stats stats() const { return detail::unwrap(try_stats()); }
  [[nodiscard]] std::vector<std::string> salvaged() const {
    return detail::unwrap(try_salvaged());
  }
  [[nodiscard]] std::optional<torn_tail> torn() const { return detail::unwrap(try_torn()); }
  std::uint64_t export_rdlw(path_view path) const {
    return detail::unwrap(try_export_rdlw(path));
  }
  [[nodiscard]] std::optional<std::string> imported() const {
    return detail::unwrap(try_imported());
  }
  [[nodiscard]] std::optional<std::string> saved_tail() const {
    return detail::unwrap(try_saved_tail());
  }
  static ewal_salvage_report salvage(path_view path) { return detail::unwrap(try_salvage(path)); }
  void close(timeout time = forever) const { detail::unwrap(try_close(time)); }
  /// @}
#endif

#ifdef EPOCHWAL_COROUTINES
  /// `co_await spool.durable(ticket)`; see `coordinator::durable`.
  template <class Executor = resume_inline>
  [[nodiscard]] auto durable(const spool_ticket& staged, Executor&& executor = {}) const {
    using resume = std::decay_t<Executor>;
    return durable_awaiter<detail::awaited_records, resume>({handle_, staged.to_c()},
                                                            std::forward<Executor>(executor));
  }
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_spool native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_spool release() noexcept { return std::exchange(handle_, ewal_spool{}); }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  friend class primary;
  explicit spool(ewal_spool handle) noexcept : handle_(handle) {}

  /// A path that there may be none of.
  template <typename Ask>
  result<std::optional<std::string>> path_of(Ask ask) const {
    auto path = detail::text(
        [&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
          return ask(handle_, buffer, size, length, e);
        });
    if (path.has_value()) return std::optional<std::string>(*std::move(path));
    if (path.error().status() == EWAL_E_NOT_FOUND) return std::optional<std::string>();
    return detail::unexpected(std::move(path).error());
  }

  void close_quietly() noexcept {
    if (handle_.id != 0) ewal_spool_close(release(), -1, nullptr);
  }

  ewal_spool handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
